//! Sealed messages by hand: sealed, carried as text, opened once.

use super::{card, card_for, inbox, open, put, rkis, seal};
use crate::sandbox::{Done, User};
use std::process::Stdio;

#[test]
fn a_message_is_opened_by_whom_it_is_for_and_says_who_has_sealed_it() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let text = card(&ada, &["--label", "bob"]);
    let sealed = seal(&bob, &text, &["--text", "it is me, Bob"]);
    let opened = open(&ada, &sealed, &["--json"]).succeeds().objects().remove(0);
    assert_eq!((&opened["event"], &opened["text"]), (&"message".into(), &"it is me, Bob".into()));
    assert_eq!((&opened["from"], &opened["name"]), (&bob.key().into(), &serde_json::Value::Null));
    assert_eq!((&opened["label"], &opened["rki"]), (&"bob".into(), &rkis(&ada, &text)[0].as_str().into()));
    assert_eq!((&opened["invite"], &opened["accepts"]), (&false.into(), &false.into()));
    assert!(opened["received"].as_u64().unwrap() >= opened["time"].as_u64().unwrap(), "{opened}");

    ada.run("kw-peers", ["add", "bob", &bob.key()]).succeeds();
    let line = inbox(&ada, &["messages"]).succeeds().stdout;
    let (time, said) = line.split_once(' ').unwrap();
    assert_eq!((time.len(), said), ("2026-11-22T09:31:00Z".len(), "bob: it is me, Bob\n"));
    assert_eq!(inbox(&ada, &["messages", "--json"]).succeeds().objects()[0]["id"], opened["id"]);
}

#[test]
fn a_card_and_a_message_go_through_a_pipeline_without_a_file() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let spawn = |user: &User, args: &[&str], stdin: Stdio| {
        user.command("kw-inbox").args(args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut card = spawn(&ada, &["card"], Stdio::null());
    let mut seal = spawn(&bob, &["seal", "--card", "-", "--text", "hello"], card.stdout.take().unwrap().into());
    let opened = Done::of(ada.command("kw-inbox").args(["open", "-"]).stdin(seal.stdout.take().unwrap()));
    assert!(opened.succeeds().stdout.ends_with(": hello\n"));
    assert!(card.wait().unwrap().success() && seal.wait().unwrap().success());
}

#[test]
fn a_text_from_standard_input_is_sealed_as_it_is_but_for_the_end_of_its_last_line() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let full = "x".repeat(60 << 10);
    for (written, text) in
        [("two\nlines\n", "two\nlines"), ("\u{1b}[2Jtab\t\u{202e}", "\u{1b}[2Jtab\t\u{202e}"), (&full, &full)]
    {
        let file = card_for(&bob, &ada, &[]);
        let args = ["seal", "--text", "-", "--card", file.to_str().unwrap()];
        let sealed = bob.run_with("kw-inbox", args, written.as_bytes()).succeeds().stdout;
        assert_eq!(open(&ada, &sealed, &["--json"]).succeeds().objects()[0]["text"], text);
    }
    let lines = inbox(&ada, &["messages", "-n", "3"]).succeeds().stdout;
    assert!(lines.contains(": two\\nlines\n") && lines.contains(": \\u{1b}[2Jtab\\t\\u{202e}\n"), "{lines}");
    let last = inbox(&ada, &["messages", "--count=1"]).succeeds().stdout;
    assert!(last.contains("xxx") && last.lines().count() == 1, "{last}");

    let file = card_for(&bob, &ada, &[]);
    let args = ["seal", "--text", "-", "--card", file.to_str().unwrap()];
    for (written, why) in [(&b"\xff"[..], "not UTF-8"), (b"\n", "is empty"), (format!("{full}x").as_bytes(), "60 KiB")]
    {
        bob.run_with("kw-inbox", args, written).fails(2, why);
    }
}

#[test]
fn a_message_is_found_in_the_mail_around_it() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let sealed = seal(&bob, &card(&ada, &[]), &["--text", "hello"]);
    let mail = format!("Subject: caf\u{e9}\n\nSee below.\n\n{sealed}\n-- \nBob\n").replace('\n', "\r\n");
    // Not UTF-8, as mails may be.
    let mail = mail.replace('\u{e9}', "?").into_bytes().into_iter().map(|b| if b == b'?' { 0xe9 } else { b });
    let opened = ada.run_with("kw-inbox", ["open", "-"], &mail.collect::<Vec<u8>>()).succeeds();
    assert!(opened.stdout.ends_with(": hello\n"), "{opened:?}");
    // Of several the first is opened.
    let card = card(&ada, &["--uses", "2"]);
    let two = ["one", "two"].map(|text| seal(&bob, &card, &["--text", text])).concat();
    let opened = open(&ada, &two, &[]).succeeds();
    assert!(opened.stdout.ends_with(": one\n") && opened.stderr.contains("more than one sealed message"), "{opened:?}");
}

#[test]
fn what_was_opened_is_not_opened_again() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let sealed = seal(&bob, &card(&ada, &[]), &["--text", "hello"]);
    open(&ada, &sealed, &[]).succeeds();
    open(&ada, &sealed, &[]).fails(1, "opened already");
    assert_eq!(inbox(&ada, &["messages"]).succeeds().stdout.lines().count(), 1);
}

#[test]
fn a_second_message_to_a_key_is_refused_and_its_sender_was_warned() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let text = card(&ada, &["--uses", "2"]);
    let seal =
        |said: &str| bob.run_with("kw-inbox", ["seal", "--card", "-", "--text", said], text.as_bytes()).succeeds();
    let (first, second, third) = (seal("one"), seal("two"), seal("three"));
    assert!(!first.stderr.contains("before") && !second.stderr.contains("before"), "{second:?}");
    assert!(third.stderr.contains("sealed to this one-time key before"), "{third:?}");
    open(&ada, &first.stdout, &[]).succeeds();
    open(&ada, &second.stdout, &[]).succeeds();
    open(&ada, &third.stdout, &[]).fails(1, "was used");
    assert_eq!(inbox(&ada, &["messages"]).succeeds().stdout.lines().count(), 2);
}

#[test]
fn what_cannot_be_opened_is_refused_before_a_passphrase_is_asked_for() {
    let (ada, bob, eve) = (User::with_key(), User::with_key(), User::with_key());
    let unknown = seal(&bob, &card(&eve, &[]), &["--text", "x"]);
    let revoked = seal(&bob, &card(&ada, &["--label", "revoked"]), &["--text", "x"]);
    inbox(&ada, &["revoke", "--all"]).succeeds();
    let used = seal(&bob, &card(&ada, &[]), &["--text", "x"]);
    open(&ada, &used, &[]).succeeds();
    let live = seal(&bob, &card(&ada, &[]), &["--text", "x"]);

    let passphrase = put(&ada, "passphrase", "correct horse\n");
    let passphrase = passphrase.to_str().unwrap();
    ada.run("kw-keygen", ["passphrase", "--new-passphrase-file", passphrase]).succeeds();
    open(&ada, &unknown, &[]).fails(1, "none that is known here");
    open(&ada, &revoked, &[]).fails(1, "was revoked");
    open(&ada, &used, &[]).fails(1, "opened already");
    open(&ada, &live, &[]).fails(5, "a passphrase is needed");
    open(&ada, &live, &["--passphrase-file", passphrase]).succeeds();
    inbox(&ada, &["cards"]).succeeds();
    inbox(&ada, &["messages"]).fails(5, "a passphrase is needed");
    assert_eq!(inbox(&ada, &["messages", "--passphrase-file", passphrase]).succeeds().stdout.lines().count(), 2);
}

#[test]
fn a_message_that_was_changed_or_cut_short_is_refused_and_the_whole_one_opens_after_it() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let sealed = seal(&bob, &card(&ada, &[]), &["--text", "hello"]);
    let lines: Vec<&str> = sealed.lines().collect();
    let cut = [&lines[..2], &lines[3..]].concat().join("\n");
    open(&ada, &cut, &[]).fails_with(1);
    open(&ada, &lines[..3].join("\n"), &[]).fails(1, "breaks off");
    // In the sealed text itself: it reads as a message, and does not authenticate.
    let at = sealed.len() - 90;
    let mut changed = sealed.clone().into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    open(&ada, str::from_utf8(&changed).unwrap(), &[]).fails(1, "changed on the way");
    open(&ada, &sealed, &[]).succeeds();
}

#[test]
fn a_message_stays_when_nobody_reads_what_open_prints() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let sealed = put(&ada, "sealed", &seal(&bob, &card(&ada, &[]), &["--text", "hello"]));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Done::of(ada.command("kw-inbox").args(["open"]).arg(&sealed).stdout(writer)).fails_with(0);
    assert!(inbox(&ada, &["messages"]).succeeds().stdout.ends_with(": hello\n"));
}

#[test]
fn nobody_seals_to_a_card_of_his_own() {
    let ada = User::with_key();
    let file = card_for(&ada, &ada, &[]);
    inbox(&ada, &["seal", "--text", "x", "--card", file.to_str().unwrap()]).fails(2, "our own");
}
