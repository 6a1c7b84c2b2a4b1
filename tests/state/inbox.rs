//! Cards, their keys and what was opened, as keywire-files(5) shows them.

use super::page::{example, identity, listed, value};
use crate::sandbox::User;
use keywire::inbox::{Greeting, Inbox, KeyState};
use keywire::key::KeyPair;
use keywire::pair::Standing;
use keywire::proto::inbox::Content;
use keywire::store::Store;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The state of `user` at the time of the example.
fn inbox(user: &User, now: u64) -> Inbox {
    let clock = Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_millis(now));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(user.home()).unwrap();
    Inbox::open(Store::at(&user.home()), clock).unwrap()
}

fn put(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

#[test]
fn the_cards_and_the_message_in_the_page_are_ones_that_open_and_go_on() {
    let (me, now) = (identity(), value(&example("inbox/opened.jsonl"))["stored"].as_u64().unwrap());
    let user = User::new();
    let inbox_of_page = inbox(&user, now);
    let dir = user.home().join("inbox");
    fs::DirBuilder::new().mode(0o700).create(dir.join("keys")).unwrap();
    for name in ["keys.json", "opened.jsonl", "sent.json", "answers.json"] {
        put(&dir.join(name), &example(&format!("inbox/{name}")));
    }
    let rows = value(&example("inbox/keys.json"))["cards"][0]["keys"].clone();
    let live = rows.as_array().unwrap().iter().find(|row| row["state"] == "live").unwrap();
    put(&dir.join(format!("keys/{}.json", live["key"].as_str().unwrap())), &example("inbox/keys/HASH.json"));

    let cards = inbox_of_page.cards().unwrap();
    let states: BTreeSet<String> = cards[0].keys.iter().map(|row| row.state.to_string()).collect();
    assert_eq!((cards.len(), cards[0].label.as_str(), states.len()), (2, "for bob", 2));
    assert!(cards[1].peer.is_some() && cards[1].invite.is_some() && cards[1].is_live());
    let opened = inbox_of_page.messages(&me, 10).unwrap().remove(0);
    assert_eq!((opened.text(), opened.label.as_str()), (Some("hello, it is bob"), "for bob"));
    assert!(matches!(opened.frame.content, Content::Invite { .. }));
    let answers = value(&example("inbox/answers.json"));
    assert_eq!(answers["answers"][0]["peer"], opened.from.to_string().as_str());
    assert_eq!(answers["answers"][0]["card"], opened.frame.card.as_ref().unwrap().to_string().as_str());

    // A message to the key that is live still opens, and one to somebody else's card is still sealed.
    let (other, bob) = (User::new(), Arc::new(KeyPair::generate().unwrap()));
    let there = inbox(&other, now);
    let greeting = Greeting { text: Some("again".to_owned()), pair: false, answer_at: Vec::new() };
    let card = cards[0].card().unwrap();
    let to_live = (0..8).find_map(|_| {
        let message = there.seal(&bob, &card, &greeting).unwrap().message;
        inbox_of_page.unseal(&me, &message).unwrap().ok()
    });
    assert_eq!(to_live.unwrap().text(), Some("again"));
    assert!(inbox_of_page.cards().unwrap()[0].keys.iter().all(|row| row.state == KeyState::Used));
    let wish =
        keywire::inbox::Wish { label: String::new(), life: Duration::from_secs(60), uses: 1, addresses: Vec::new() };
    let theirs = there.make_card(&bob, wish).unwrap();
    inbox_of_page.seal(&me, &theirs, &greeting).unwrap();
    // Nobody has invited in this state, so nothing is owed.
    assert!(inbox_of_page.due(&me, None).unwrap().is_empty());
    assert_eq!(
        keywire::pair::Pairs::load(&Store::at(&user.home())).unwrap().standing(&opened.from),
        Standing::Stranger
    );
    assert!(inbox_of_page.notices().is_empty(), "the example is damaged");
}

#[test]
fn the_page_names_every_field_of_an_opened_message_and_no_other() {
    let shown = value(&example("inbox/opened.jsonl"));
    assert!(listed("inbox/opened.jsonl").iter().eq(shown.as_object().unwrap().keys().collect::<BTreeSet<_>>()));
}
