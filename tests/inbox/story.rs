//! The whole of it: two who share no channel and are never there at the same time are paired, and then write to each other.

use super::delivery::{drop_box_for, listen};
use super::{card_for, inbox};
use crate::chat::Party;
use crate::sandbox::{Running, User};

/// Ada, Bob, and a drop box for both.
fn strangers() -> (Party, Party, (User, Running), String) {
    let (ada, bob) = (Party::new(), Party::new());
    let (holder, drop, at) = drop_box_for(&ada.user);
    holder.run("kw-peers", ["add", "bob", &bob.user.key()]).succeeds();
    holder.run("kw-peers", ["allow", "bob", "drop"]).succeeds();
    let settings = format!(r#"{{"version": 1, "inbox": {{"addresses": ["{at}"]}}}}"#);
    std::fs::write(bob.user.home().join("config.json"), settings).unwrap();
    (ada, bob, (holder, drop), at)
}

#[test]
fn two_who_are_never_there_at_the_same_time_are_paired_and_a_message_flows() {
    let (mut ada, bob, _drop, at) = strangers();
    // Ada makes a card, and is away. Bob seals an invite to it, leaves it at the drop box, and is away.
    let card = card_for(&bob.user, &ada.user, &["--label", "bob", "--drop", &at]);
    inbox(&bob.user, &["send", "--pair", "--text", "it is bob", "--card", card.to_str().unwrap()]).succeeds();
    assert_eq!(bob.standing(&ada), "invited");
    // Ada comes back, opens, accepts; the answer is left for Bob, whom nobody can reach.
    let fetched = inbox(&ada.user, &["fetch"]).succeeds();
    assert!(fetched.stdout.ends_with(" (invites): it is bob\n"));
    assert!(fetched.stderr.contains(" asks to chat: compare with 'kw-chat verify "), "{fetched:?}");
    let listed = ada.chat(["pair", "list"]).succeeds().stdout;
    assert!(listed.contains("pending") && listed.contains("from kw-inbox  until "), "{listed}");
    let accepted = ada.chat(["pair", "accept", "--name", "bob", &bob.user.key()]).succeeds();
    let left = format!("the answer is left at {}, sealed\n", at.split_once('@').unwrap().1);
    assert!(accepted.stdout.ends_with(&left), "{accepted:?}");
    assert_eq!(ada.standing(&bob), "unconfirmed");
    // Bob comes back.
    inbox(&bob.user, &["fetch"]).succeeds();
    assert_eq!(bob.standing(&ada), "accepted");
    // Both are there for once, and a message flows in either direction.
    ada.listen(&[]);
    bob.names(&ada, "ada");
    bob.chat(["send", "--wait=20s", "ada", "hello"]).succeeds();
    assert!(ada.listener().line().ends_with(" bob: hello"));
    assert_eq!(ada.standing(&bob), "accepted");
    // It waits until Bob is there the next time.
    ada.chat(["send", "--wait=0", "bob", "hello yourself"]);
    crate::pty::eventually("the reply has arrived", || {
        bob.chat(["recv", "--timeout", "5s", "--cursor", "c", "ada"]);
        bob.texts(&ada) == ["hello", "hello yourself"]
    });
}

#[test]
fn whoever_has_lost_a_pair_asks_again_and_is_accepted_again() {
    let (ada, bob, _drop, at) = strangers();
    let card = card_for(&bob.user, &ada.user, &["--drop", &at]);
    inbox(&bob.user, &["send", "--pair", "--card", card.to_str().unwrap()]).succeeds();
    inbox(&ada.user, &["fetch"]).succeeds();
    ada.chat(["pair", "accept", &bob.user.key()]).succeeds();
    inbox(&bob.user, &["fetch"]).succeeds();
    assert_eq!(bob.standing(&ada), "accepted");
    std::fs::remove_file(ada.user.home().join("pairs.json")).unwrap();
    std::fs::copy(bob.user.home().join("config.json"), ada.user.home().join("config.json")).unwrap();
    let card = card_for(&ada.user, &bob.user, &["--drop", &at]);
    inbox(&ada.user, &["send", "--pair", "--card", card.to_str().unwrap()]).succeeds();
    let fetched = inbox(&bob.user, &["fetch"]).succeeds();
    let steps = format!("then 'kw-chat pair accept {}'", ada.user.key());
    assert!(fetched.stderr.contains(" asks for new keys, ") && fetched.stderr.contains(&steps), "{fetched:?}");
    assert!(!fetched.stderr.contains("paired with"), "{fetched:?}");
    bob.chat(["pair", "accept", &ada.user.key()]).succeeds();
    let fetched = inbox(&ada.user, &["fetch"]).succeeds();
    assert!(fetched.stderr.contains("paired with"), "{fetched:?}");
    assert_eq!(ada.standing(&bob), "accepted");
}

#[test]
fn an_answer_that_could_not_be_left_goes_with_the_next_fetch() {
    let (ada, bob, (_holder, drop), at) = strangers();
    let card = card_for(&bob.user, &ada.user, &["--drop", &at]);
    inbox(&bob.user, &["send", "--pair", "--card", card.to_str().unwrap()]).succeeds();
    inbox(&ada.user, &["fetch"]).succeeds();
    // The drop box is away.
    std::mem::drop(drop);
    let accepted = ada.chat(["pair", "accept", "--json", &bob.user.key()]).succeeds();
    assert!(accepted.stderr.contains("the answer could not be left for"), "{accepted:?}");
    assert_eq!(accepted.objects()[0]["left"], keywire::json::Value::Null);
    let failed = inbox(&ada.user, &["fetch"]);
    assert_eq!(failed.status.code(), Some(4), "{failed:?}");
    assert_eq!((ada.standing(&bob), bob.standing(&ada)), ("unconfirmed".to_owned(), "invited".to_owned()));
}

#[test]
fn serve_opens_an_invite_and_kw_chat_that_listens_accepts_it() {
    let (mut ada, bob) = (Party::listening(), Party::new());
    let (_serving, at) = listen(&ada.user, &["serve"]);
    let card = card_for(&bob.user, &ada.user, &["--at", at.split_once('@').unwrap().1]);
    inbox(&bob.user, &["send", "--pair", "--card", card.to_str().unwrap()]).succeeds();
    assert_eq!(ada.standing(&bob), "pending");
    ada.chat(["pair", "accept", &bob.user.key(), "--name", "bob"]).succeeds();
    // Without a place for the answer, it waits for a connection.
    bob.names(&ada, "ada");
    bob.chat(["send", "--wait=20s", "ada", "hello"]).succeeds();
    assert!(ada.listener().line().ends_with(" bob: hello"));
}

#[test]
fn an_answer_that_its_recipient_will_never_take_is_not_tried_again() {
    let (ada, bob) = (Party::new(), Party::new());
    let (_serving, at) = listen(&bob.user, &["serve"]);
    let own = at.split_once('@').unwrap().1;
    let settings = format!(r#"{{"version": 1, "inbox": {{"addresses": ["{own}"]}}}}"#);
    std::fs::write(bob.user.home().join("config.json"), settings).unwrap();
    let card = card_for(&bob.user, &ada.user, &[]);
    let sealed = bob.user.run("kw-inbox", ["seal", "--pair", "--card", card.to_str().unwrap()]).succeeds().stdout;
    super::open(&ada.user, &sealed, &[]).succeeds();
    // Bob has taken back the card for the answer.
    inbox(&bob.user, &["revoke", "--all"]).succeeds();
    let accepted = ada.chat(["pair", "accept", &bob.user.key()]).succeeds();
    assert!(accepted.stderr.contains("has revoked the one-time key"), "{accepted:?}");
    let answers = std::fs::read_to_string(ada.user.home().join("inbox/answers.json")).unwrap();
    assert!(!answers.contains(&bob.user.key()), "{answers}");
    inbox(&ada.user, &["fetch"]).fails(1, "no drop box is known");
}
