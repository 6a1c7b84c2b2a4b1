//! Delivery: to the recipient itself, and through a drop box, with nobody online at the same time as the other.

use super::{card, card_for, inbox, new_key, open, put, seal};
use crate::sandbox::{Running, User};
use keywire::json::Value;
use std::process::Stdio;

/// A program of `user`'s that listens, and where: `KEY@HOST:PORT`.
pub(super) fn listen(user: &User, args: &[&str]) -> (Running, String) {
    let mut running =
        Running::start(user.command("kw-inbox").args(args).args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()));
    let address = running.address();
    (running, address)
}

/// A drop box for `owner`.
pub(super) fn drop_box_for(owner: &User) -> (User, Running, String) {
    let holder = User::with_key();
    holder.run("kw-peers", ["add", "owner", &owner.key()]).succeeds();
    holder.run("kw-peers", ["allow", "owner", "drop"]).succeeds();
    let (running, address) = listen(&holder, &["drop"]);
    (holder, running, address)
}

#[test]
fn two_who_are_never_online_together_meet_through_a_drop_box() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let (_holder, _drop, at) = drop_box_for(&ada);
    let for_bob = card_for(&bob, &ada, &["--label", "bob", "--drop", &at]);
    let sent = inbox(&bob, &["send", "--text", "hello", "--card", for_bob.to_str().unwrap()]).succeeds();
    let short = keywire::key::PublicKey::short(&ada.key().parse().unwrap());
    assert_eq!(sent.stdout, format!("held for {short} at {at}\n"));

    let fetched = inbox(&ada, &["fetch", "--json"]).succeeds().objects();
    assert_eq!(fetched.len(), 1, "{fetched:?}");
    assert_eq!((&fetched[0]["text"], &fetched[0]["from"]), (&"hello".into(), &bob.key().into()));
    assert_eq!(inbox(&ada, &["fetch", &at]).succeeds().stdout, "");
}

#[test]
fn what_was_sealed_is_delivered_as_often_as_need_be_and_taken_once() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let (_holder, _drop, at) = drop_box_for(&ada);
    let text = card(&ada, &["--drop", &at]);
    let for_bob = put(&bob, "card", &text);
    let sealed = seal(&bob, &text, &["--text", "hello"]);
    for _ in 0..3 {
        let args = ["send", "--sealed", "-", "--card", for_bob.to_str().unwrap()];
        let sent = bob.run_with("kw-inbox", args, sealed.as_bytes()).succeeds();
        assert!(sent.stdout.starts_with("held for "), "{sent:?}");
    }
    // By hand, before it is fetched.
    open(&ada, &sealed, &[]).succeeds();
    let fetched = inbox(&ada, &["fetch"]).succeeds();
    assert!(fetched.stdout.is_empty() && fetched.stderr.contains("was opened already"), "{fetched:?}");
    assert_eq!(inbox(&ada, &["messages"]).succeeds().stdout.lines().count(), 1);
}

#[test]
fn serve_prints_what_is_delivered_to_it_and_says_no_to_the_rest() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let (mut serving, at) = listen(&ada, &["serve"]);
    let host = at.split_once('@').unwrap().1;
    let text = card(&ada, &["--at", host]);
    let for_bob = put(&bob, "card", &text);
    let send = |sealed: &str| {
        let args = ["send", "--sealed", "-", "--card", for_bob.to_str().unwrap()];
        bob.run_with("kw-inbox", args, sealed.as_bytes())
    };
    let (first, second) = (seal(&bob, &text, &["--text", "first"]), seal(&bob, &text, &["--text", "second"]));
    let sent = send(&first).succeeds().stdout;
    assert!(sent.starts_with("delivered to ") && sent.ends_with(&format!(" at {host}\n")), "{sent}");
    assert!(serving.line().ends_with(": first"));
    assert!(send(&first).succeeds().stdout.ends_with(", and opened before\n"));
    send(&second).fails(3, "has had a message to this one-time key already");
    inbox(&ada, &["revoke", "--all"]).succeeds();

    let other = card(&ada, &["--at", host]);
    let sealed = seal(&bob, &other, &["--text", "third"]);
    inbox(&ada, &["revoke", "--all"]).succeeds();
    put(&bob, "card", &other);
    send(&sealed).fails(3, "has revoked the one-time key");
    // A message and a card that do not belong together go nowhere.
    send(&first).fails(1, "sealed to another card");
}

#[test]
fn serve_ends_in_good_order_and_with_whoever_reads_it() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let (serving, _) = listen(&ada, &["serve"]);
    serving.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(serving.finish().0.success());

    let (mut serving, at) = listen(&ada, &["serve"]);
    let for_bob = card_for(&bob, &ada, &["--at", at.split_once('@').unwrap().1]);
    serving.close_output();
    // It ends when it cannot print the message, and not before it has said that it has it.
    inbox(&bob, &["send", "--text", "hello", "--card", for_bob.to_str().unwrap()]).succeeds();
    assert!(serving.child.wait().unwrap().success());
    assert!(inbox(&ada, &["messages"]).succeeds().stdout.ends_with(": hello\n"));
}

#[test]
fn serve_listens_and_ends_while_somebody_else_holds_the_lock_of_the_inbox() {
    let ada = User::with_key();
    inbox(&ada, &["cards"]).succeeds();
    let lock = std::fs::File::options().write(true).open(ada.home().join("inbox/.lock")).unwrap();
    lock.lock().unwrap();
    let (serving, _) = listen(&ada, &["serve"]);
    serving.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(serving.finish().0.success());
}

#[test]
fn serve_prints_what_it_is_opening_when_it_is_asked_to_end() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let sealed = seal(&bob, &card(&ada, &[]), &["--text", "hello"]);
    let keys = ada.home().join("inbox/keys.json");
    let before = std::fs::read(&keys).unwrap();
    open(&ada, &sealed, &[]).succeeds();
    // As if it had died just before the key was over: whoever comes next goes on from there.
    std::fs::write(&keys, before).unwrap();
    let lock = std::fs::File::options().write(true).open(ada.home().join("inbox/.lock")).unwrap();
    lock.lock().unwrap();
    let (mut serving, at) = listen(&ada, &["serve"]);
    serving.signal(nix::sys::signal::Signal::SIGTERM);
    // It takes nobody in any more, so it knows.
    while std::net::TcpStream::connect(at.split_once('@').unwrap().1).is_ok() {
        std::thread::yield_now();
    }
    drop(lock);
    assert!(serving.line().ends_with(": hello"));
    assert!(serving.finish().0.success());
}

#[test]
fn serve_fetches_what_waited_in_a_drop_box() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let (_holder, _drop, at) = drop_box_for(&ada);
    let for_bob = card_for(&bob, &ada, &["--drop", &at]);
    inbox(&bob, &["send", "--text", "hello", "--card", for_bob.to_str().unwrap()]).succeeds();
    let (mut serving, _) = listen(&ada, &["serve"]);
    assert!(serving.line().ends_with(": hello"));
}

#[test]
fn a_drop_box_tells_as_objects_what_it_holds_and_who_took_it() {
    let (ada, bob, holder) = (User::with_key(), User::with_key(), User::with_key());
    holder.run("kw-peers", ["add", "ada", &ada.key()]).succeeds();
    holder.run("kw-peers", ["allow", "ada", "drop"]).succeeds();
    let mut command = holder.command("kw-inbox");
    let mut running = Running::start(command.args(["drop", "--json", "--listen", "127.0.0.1:0"]).stderr(Stdio::null()));
    let mut object = || keywire::json::parse::<Value>(running.line().as_bytes(), 1 << 16).unwrap();
    let listening = object();
    assert_eq!(listening["event"], "listening");
    let at = listening["address"].as_str().unwrap().to_owned();
    let for_bob = card_for(&bob, &ada, &["--drop", &at]);
    inbox(&bob, &["send", "--text", "hello", "--card", for_bob.to_str().unwrap()]).succeeds();
    let held = object();
    assert_eq!((&held["event"], &held["owner"], &held["name"]), (&"held".into(), &ada.key().into(), &"ada".into()));
    let fetched = inbox(&ada, &["fetch", "--json"]).succeeds().objects();
    assert_eq!(fetched[0]["id"], held["id"]);
    let taken = object();
    assert_eq!((&taken["event"], &taken["name"], &taken["count"]), (&"fetched".into(), &"ada".into(), &1.into()));
}

#[test]
fn a_drop_box_holds_for_those_who_have_the_right_only() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let (_holder, _drop, at) = drop_box_for(&User::with_key());
    let for_bob = card_for(&bob, &ada, &["--drop", &at]);
    let refused =
        inbox(&bob, &["send", "--text", "x", "--card", for_bob.to_str().unwrap()]).fails(3, "does not hold messages");
    assert!(refused.stderr.contains("kw-peers allow KEY drop"), "{refused:?}");
    inbox(&ada, &["fetch"]).fails(3, "does not hold messages for this key");
}

#[test]
fn what_cannot_be_opened_is_said_and_does_not_come_again() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let (_holder, _drop, at) = drop_box_for(&ada);
    let text = card(&ada, &["--drop", &at]);
    let for_bob = put(&bob, "card", &text);
    for said in ["first", "second"] {
        inbox(&bob, &["send", "--text", said, "--card", for_bob.to_str().unwrap()]).succeeds();
    }
    let fetched = inbox(&ada, &["fetch"]).succeeds();
    assert_eq!(fetched.stdout.lines().count(), 1, "{fetched:?}");
    assert!(fetched.stderr.contains("was used"), "{fetched:?}");
    let fetched = inbox(&ada, &["fetch", &at]).succeeds();
    assert_eq!((fetched.stdout.as_str(), fetched.stderr.as_str()), ("", ""));
}

#[test]
fn a_drop_box_that_is_away_does_not_keep_others_from_being_looked_into() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let (_holder, _drop, at) = drop_box_for(&ada);
    let away = format!("{}@127.0.0.1:1", new_key());
    let for_bob = card_for(&bob, &ada, &["--drop", &away, "--drop", &at]);
    let sent = inbox(&bob, &["send", "--text", "hello", "--card", for_bob.to_str().unwrap()]).succeeds();
    assert!(sent.stdout.ends_with(&format!(" at {at}\n")), "{sent:?}");
    let fetched = inbox(&ada, &["fetch"]).fails_with(4);
    assert!(fetched.stdout.ends_with(": hello\n") && fetched.stderr.contains("127.0.0.1:1"), "{fetched:?}");
    inbox(&ada, &["fetch", &away]).fails(4, "127.0.0.1:1");
}

#[test]
fn nobody_who_can_be_reached_is_said_with_a_way_to_try_the_same_again() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let for_bob = card_for(&bob, &ada, &["--at", "127.0.0.1:1"]);
    let failed = inbox(&bob, &["send", "--text", "x", "--card", for_bob.to_str().unwrap()]).fails(4, "127.0.0.1:1");
    assert!(failed.stderr.contains("send --sealed"), "{failed:?}");
    let by_hand = card_for(&bob, &ada, &[]);
    inbox(&bob, &["send", "--text", "x", "--card", by_hand.to_str().unwrap()]).fails(1, "names no address");
    // What could not be delivered anywhere was not sealed either.
    let sealed = inbox(&bob, &["seal", "--text", "x", "--card", by_hand.to_str().unwrap()]).succeeds();
    assert_eq!(sealed.stderr, "");
    inbox(&ada, &["fetch"]).fails(1, "no drop box is known");
}

#[test]
fn an_invite_is_shown_as_one_and_its_answer_goes_back_with_a_fetch() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let (holder, _drop, at) = drop_box_for(&ada);
    holder.run("kw-peers", ["add", "bob", &bob.key()]).succeeds();
    holder.run("kw-peers", ["allow", "bob", "drop"]).succeeds();
    let for_bob = card_for(&bob, &ada, &["--drop", &at]);
    let settings = format!(r#"{{"version": 1, "inbox": {{"addresses": ["{at}"]}}}}"#);
    std::fs::write(bob.home().join("config.json"), settings).unwrap();
    inbox(&bob, &["send", "--pair", "--text", "me", "--card", for_bob.to_str().unwrap()]).succeeds();

    let fetched = inbox(&ada, &["fetch"]).succeeds();
    assert!(fetched.stdout.ends_with(" (invites): me\n"), "{fetched:?}");
    assert!(fetched.stderr.contains(&format!("kw-chat pair accept {}", bob.key())), "{fetched:?}");
    let object = inbox(&ada, &["messages", "--json"]).succeeds().objects().remove(0);
    assert_eq!((&object["invite"], &object["accepts"]), (&true.into(), &false.into()));
    let answer = object["card"].as_str().unwrap().parse::<keywire::proto::inbox::Card>().unwrap();
    assert_eq!(answer.recipient().to_string(), bob.key());

    // Whether accepting brings the answer there itself, or the fetch after it does.
    ada.run("kw-chat", ["pair", "accept", "--name", "bob", &bob.key()]).succeeds();
    inbox(&ada, &["fetch"]).succeeds();
    let fetched = inbox(&bob, &["fetch"]).succeeds();
    assert!(fetched.stdout.ends_with(" (accepts):\n"), "{fetched:?}");
    let paired = keywire::key::PublicKey::short(&ada.key().parse().unwrap());
    assert!(fetched.stderr.contains(&format!("paired with {paired}")), "{fetched:?}");
}

#[test]
fn an_invite_without_a_place_for_its_answer_says_so() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let text = card(&ada, &[]);
    let sealed = bob.run_with("kw-inbox", ["seal", "--pair", "--card", "-"], text.as_bytes()).succeeds();
    assert!(sealed.stderr.contains("no address for the answer"), "{sealed:?}");
    let opened = open(&ada, &sealed.stdout, &["--json"]).succeeds().objects().remove(0);
    assert_eq!((&opened["invite"], &opened["text"], &opened["card"]), (&true.into(), &Value::Null, &Value::Null));
}

#[test]
fn the_drop_box_of_a_card_that_was_taken_back_is_not_looked_into_any_more() {
    let ada = User::with_key();
    let nowhere = format!("{}@127.0.0.1:1", new_key());
    let text = card(&ada, &["--uses", "2", "--drop", &nowhere]);
    inbox(&ada, &["fetch"]).fails(4, "127.0.0.1:1");
    let keys = super::rkis(&ada, &text);
    inbox(&ada, &["revoke", &keys[0].to_uppercase()]).succeeds();
    inbox(&ada, &["fetch"]).fails(4, "127.0.0.1:1");
    inbox(&ada, &["revoke", &keys[1]]).succeeds();
    inbox(&ada, &["fetch"]).fails(1, "no drop box is known");
}
