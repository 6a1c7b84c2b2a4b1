//! Once, whatever dies meanwhile: each state that a death may leave is made by hand here. The test of the program kills it at
//! each system call.

use super::{Greeting, NotOpened, Side};
use crate::pair::Standing;
use crate::proto::inbox::SealedMessage;
use std::fs;
use std::path::Path;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &to) } else { fs::copy(&path, &to).map(|_| ()).unwrap() }
    }
}

/// Ada with a message of Bob's, which asks for a pair, opened and not opened.
fn opened() -> (Side, SealedMessage, Side) {
    let (ada, bob, before) = (Side::new(1), Side::new(2), Side::new(1));
    let greeting = Greeting { text: Some("hello".to_owned()), pair: true, answer_at: super::at("127.0.0.1:1") };
    let message = bob.inbox.seal(&bob.me, &ada.card(1), &greeting).unwrap().message;
    copy(ada.dir.path(), before.dir.path());
    ada.opens(&message).unwrap();
    (ada, message, before)
}

/// What there must be in the end, however it came to that.
fn is_as_if_nothing_had_happened(side: &Side, message: &SealedMessage) {
    assert!(matches!(side.opens(message).unwrap_err(), NotOpened::Same(_)));
    assert_eq!((side.texts(), side.states(), side.secrets()), (vec!["hello".to_owned()], vec!["used".to_owned()], 0));
    assert_eq!(side.standing(&Side::new(2)), Standing::Pending);
    let answers = fs::read_to_string(side.state("answers.json")).unwrap();
    assert_eq!(answers.matches("\"peer\"").count(), 1);
}

#[test]
fn a_death_before_the_message_is_whole_on_the_disk_opens_it_later() {
    let (done, message, side) = opened();
    let log = fs::read(done.state("opened.jsonl")).unwrap();
    fs::write(side.state("opened.jsonl"), &log[..log.len() / 2]).unwrap();
    side.opens(&message).unwrap();
    assert!(side.inbox.notices()[0].contains("cut off"));
    is_as_if_nothing_had_happened(&side, &message);
}

#[test]
fn a_death_after_the_message_is_stored_hands_it_on_later_and_ends_its_key() {
    let (done, message, side) = opened();
    fs::copy(done.state("opened.jsonl"), side.state("opened.jsonl")).unwrap();
    // Whoever brings it again is told what it says, since nobody may have been.
    assert_eq!(side.opens(&message).unwrap().text(), Some("hello"));
    is_as_if_nothing_had_happened(&side, &message);
}

#[test]
fn a_death_after_the_message_is_stored_is_mended_whatever_became_of_its_key_meanwhile() {
    for is_revoked in [false, true] {
        let (done, message, side) = opened();
        fs::copy(done.state("opened.jsonl"), side.state("opened.jsonl")).unwrap();
        match is_revoked {
            true => assert_eq!(side.inbox.revoke_all().unwrap(), 1),
            false => {
                side.passes(31 * super::DAY);
                assert_eq!(side.states(), ["expired"]);
            }
        }
        // What is stored is not too late.
        side.inbox.check(&message).unwrap();
        let recovered = side.inbox.recover(&side.me).unwrap();
        assert_eq!(recovered.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [message.id()]);
        assert!(side.inbox.recover(&side.me).unwrap().is_empty());
        assert!(matches!(side.opens(&message).unwrap_err(), NotOpened::Same(_)));
        assert_eq!((side.texts(), side.states()), (vec!["hello".to_owned()], vec!["used".to_owned()]));
        // Its invite has expired by then, if the key has.
        let expected = if is_revoked { Standing::Pending } else { Standing::Stranger };
        assert_eq!(side.standing(&Side::new(2)), expected);
    }
}

#[test]
fn keys_that_are_put_back_from_a_copy_are_not_used_a_second_time() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(20);
    let before = Side::new(1);
    copy(ada.dir.path(), before.dir.path());
    let messages: Vec<_> = (0..20).map(|number| bob.says(&card, &number.to_string())).collect();
    messages.iter().for_each(|message| drop(ada.opens(message).unwrap()));
    fs::copy(ada.state("opened.jsonl"), before.state("opened.jsonl")).unwrap();
    let again = bob.says(&card, "another message to the key of the first");
    assert!(messages.iter().any(|message| message.rki() == again.rki()));
    assert!(matches!(before.opens(&again).unwrap_err(), NotOpened::Used(..)));
    for message in &messages[..10] {
        // The last ones are found at once, and the others when they come again.
        let _ = before.opens(message);
        assert!(matches!(before.opens(message).unwrap_err(), NotOpened::Same(_)));
    }
    assert_eq!(before.texts().len(), 20);
}

#[test]
fn a_death_after_the_message_is_handed_on_ends_its_key_later() {
    let (done, message, side) = opened();
    for name in ["inbox/opened.jsonl", "inbox/answers.json", "pairs.json"] {
        fs::copy(done.dir.path().join(name), side.dir.path().join(name)).unwrap();
    }
    assert_eq!(side.opens(&message).unwrap().text(), Some("hello"));
    is_as_if_nothing_had_happened(&side, &message);
}

#[test]
fn a_death_before_the_secret_is_wiped_wipes_it_at_the_next_look() {
    let (done, message, side) = opened();
    for name in ["inbox/opened.jsonl", "inbox/answers.json", "inbox/keys.json", "pairs.json"] {
        fs::copy(done.dir.path().join(name), side.dir.path().join(name)).unwrap();
    }
    fs::write(side.state("keys").join(".half.json.tmp"), "half a secret").unwrap();
    assert_eq!(side.secrets(), 2);
    assert_eq!(side.states(), ["used"]);
    assert_eq!(side.secrets(), 0);
    is_as_if_nothing_had_happened(&side, &message);
}

#[test]
fn two_at_once_open_a_message_once() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(8);
    let messages: Vec<_> = (0..8).map(|number| bob.says(&card, &number.to_string())).collect();
    let opened: usize = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| messages.iter().filter(|message| ada.opens(message).is_ok()).count()))
            .collect();
        tasks.into_iter().map(|task| task.join().unwrap()).sum()
    });
    assert_eq!((opened, ada.texts().len()), (8, 8));
}

#[test]
fn a_message_that_kw_chat_cannot_be_told_of_stops_no_other_and_is_handed_on_when_it_can() {
    let (ada, bob, eve) = (Side::new(1), Side::new(2), Side::new(3));
    let (card, other) = (ada.card(1), ada.card(1));
    let greeting = Greeting { text: Some("hello".to_owned()), pair: true, answer_at: super::at("127.0.0.1:1") };
    let message = bob.inbox.seal(&bob.me, &card, &greeting).unwrap().message;
    fs::write(ada.state("answers.json"), "damaged").unwrap();
    let is_unfinished = |why: &NotOpened| matches!(why, NotOpened::Unfinished(from, why) if *from == bob.me.public() && why.contains("answers.json"));
    for _ in 0..2 {
        assert!(is_unfinished(&ada.opens(&message).unwrap_err()));
    }
    // Its key is over, for good and for whoever else has the card.
    assert_eq!((ada.texts(), ada.states()), (vec!["hello".to_owned()], vec!["used".to_owned(), "live".to_owned()]));
    assert!(matches!(ada.opens(&eve.says(&card, "me too")).unwrap_err(), NotOpened::Used(..)));
    assert_eq!(ada.opens(&eve.says(&other, "it is me")).unwrap().text(), Some("it is me"));
    assert!(is_unfinished(ada.inbox.recover(&ada.me).unwrap()[0].1.as_ref().unwrap_err()));
    fs::remove_file(ada.state("answers.json")).unwrap();
    let recovered = ada.inbox.recover(&ada.me).unwrap();
    assert!(recovered.len() == 1 && recovered[0].0 == message.id() && recovered[0].1.is_ok());
    assert!(matches!(ada.opens(&message).unwrap_err(), NotOpened::Same(_)));
    assert_eq!((ada.standing(&bob), ada.texts().len(), ada.secrets()), (Standing::Pending, 2, 0));
}

#[test]
fn what_cannot_be_wiped_is_noted_and_the_message_is_opened_all_the_same() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let message = bob.says(&ada.card(1), "hello");
    fs::create_dir(ada.state("keys").join("stray")).unwrap();
    assert_eq!(ada.opens(&message).unwrap().text(), Some("hello"));
    assert!(ada.inbox.notices()[0].contains("keys/stray: what is there of keys that are over could not be wiped"));
    assert_eq!((ada.states(), ada.secrets()), (vec!["used".to_owned()], 1));
}

#[test]
fn secrets_without_the_file_of_their_keys_are_not_wiped() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let message = bob.says(&ada.card(1), "hello");
    let (file, aside) = (ada.state("keys.json"), ada.dir.path().join("aside"));
    fs::rename(&file, &aside).unwrap();
    let told = ada.inbox.cards().unwrap_err();
    assert!(told.to_string().ends_with("keys.json is not there, and the secrets of its keys are"), "{told}");
    assert!(told.hints()[0].contains("put it back"));
    assert!(ada.inbox.make_card(&ada.me, super::wish(1)).is_err());
    assert_eq!(ada.secrets(), 1);
    fs::rename(&aside, &file).unwrap();
    assert_eq!(ada.opens(&message).unwrap().text(), Some("hello"));
}

#[test]
fn a_death_before_the_first_card_is_there_leaves_nothing_in_the_way_of_the_next() {
    let ada = Side::new(1);
    ada.card(1);
    // Its secret is written, and it is not.
    fs::write(ada.state("keys.json"), "{\"version\": 1, \"cards\": []}\n").unwrap();
    ada.card(2);
    assert_eq!((ada.states(), ada.secrets()), (vec!["live".to_owned(); 2], 2));
}
