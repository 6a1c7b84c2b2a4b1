//! Conversations as keywire-files(5) shows them.

use super::page::{example, fields, identity, listed, value};
use crate::sandbox::User;
use keywire::chat::{Chat, Cursors, Stage};
use keywire::key::PublicKey;
use keywire::proto::chat::Envelope;
use keywire::store::Store;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const LOG: &str = "chat/KEY/log.jsonl";
const STATE: &str = "chat/KEY/state.json";
const CURSORS: &str = "chat/cursors.json";

#[test]
fn the_conversation_in_the_page_is_one_that_opens_and_goes_on() {
    let me = identity();
    let peer: PublicKey = value(&example(STATE))["key"].as_str().unwrap().parse().unwrap();

    let user = User::new();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(user.home().join(format!("chat/{peer}"))).unwrap();
    for name in [LOG, STATE, CURSORS] {
        let path = user.home().join(name.replace("KEY", &peer.to_string()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
        std::io::Write::write_all(&mut file, example(name).as_bytes()).unwrap();
    }
    let clock = Arc::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_256_100));
    let chat = Chat::open(Store::at(&user.home()), me, clock).unwrap();
    assert_eq!(chat.peers().unwrap(), [peer]);
    let talk = chat.with(peer);
    let history = talk.last(10).unwrap();
    let seen: Vec<_> = history.iter().map(|entry| (entry.text.as_str(), entry.stage)).collect();
    let expected = [
        ("is it done?", None),
        ("it is", Some(Stage::Acked)),
        ("lunch?", Some(Stage::Expired)),
        ("hm", Some(Stage::Expired)),
        ("the next one is done too", Some(Stage::Queued)),
    ];
    assert_eq!(seen, expected);
    let waiting = talk.waiting(|_| false, 10).unwrap();
    assert!(matches!(&waiting[..], [Envelope::Open(open)] if open.body.0 == b"the next one is done too"));
    assert_eq!(Cursors::load(&chat).unwrap().get("backup", &peer).unwrap(), 1);
    assert!(chat.notices().is_empty(), "the example is damaged");
}

#[test]
fn the_page_names_every_field_of_its_conversation_and_no_other() {
    let mut shown = BTreeSet::new();
    example(LOG).lines().for_each(|line| fields(&value(line), &mut shown));
    assert_eq!(listed(LOG), shown, "the list on the left, the example on the right");
    let mut shown = BTreeSet::new();
    fields(&value(&example(STATE)), &mut shown);
    let as_in_the_log = ["id", "seq", "time", "ttl", "reply_to"].map(str::to_owned);
    let mut named = listed(STATE);
    named.extend(as_in_the_log);
    assert_eq!(named, shown, "the list on the left, the example on the right");
    let cursors = value(&example(CURSORS));
    assert!(listed(CURSORS).iter().eq(cursors.as_object().unwrap().keys().collect::<BTreeSet<_>>()));
}
