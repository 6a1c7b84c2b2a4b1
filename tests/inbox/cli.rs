//! The command line: what makes no sense is refused, and nothing is done.

use super::{card_for, inbox, new_key, put};
use crate::sandbox::User;

#[test]
fn a_command_line_that_makes_no_sense_is_refused_with_the_reason() {
    let (user, other, key) = (User::with_key(), User::with_key(), new_key());
    let card = card_for(&user, &other, &[]);
    let card = card.to_str().unwrap();
    for (args, why) in [
        (&[][..], "kw-inbox --help"),
        (&["post"], "post"),
        (&["card", "--expires", "5"], "not how long"),
        (&["card", "--expires", "0"], "30d"),
        (&["card", "--expires", "31d"], "1s to 30d"),
        (&["card", "--uses", "0"], "1 to 50"),
        (&["card", "--uses", "51"], "1 to 50"),
        (&["card", "--label", &"x".repeat(201)], "200 bytes"),
        (&["card", "--label", "\u{1b}[2J"], "control characters"),
        (&["card", "--at", "::1"], "brackets"),
        (&["card", "--at", &format!("{key}@host")], "--drop"),
        (&["card", "--at", "host:0"], "port 0"),
        (&["card", "--drop", &key], "no address is known"),
        (&["card", "--qr", "--json"], "--qr"),
        (&["show"], "file"),
        (&["show", "--json", "--qr", card], "--qr"),
        (&["show", "--json", "--picture", card], "--picture"),
        (&["revoke"], "--all means all"),
        (&["revoke", "5bbc43"], "8 digits"),
        (&["revoke", "--all", "5bbc431b"], "--all"),
        (&["seal", "--text", "x"], "--card"),
        (&["seal", "--card", card], "nothing to seal"),
        (&["seal", "--card", card, "--text", ""], "is empty"),
        (&["seal", "--card", card, "--text", &"x".repeat((60 << 10) + 1)], "60 KiB"),
        (&["seal", "--card", "-", "--text", "-"], "two things"),
        (&["send", "--card", card], "nothing to seal"),
        (&["send", "--card", "-", "--text", "-"], "two things"),
        (&["send", "--card", "-", "--sealed", "-"], "two things"),
        (&["send", "--card", card, "--sealed", card, "--text", "x"], "--sealed goes with"),
        (&["send", "--card", card, "--sealed", card, "--pair"], "--sealed goes with"),
        (&["open"], "file"),
        (&["open", "one", "other"], "other"),
        (&["fetch", &key], "no address is known"),
        (&["messages", "-n", "many"], "many"),
        (&["serve", "--listen", "::1"], "brackets"),
        (&["drop", "--listen", "a b"], "no host name"),
    ] {
        let done = inbox(&user, args).fails(2, why);
        assert!(done.stderr.lines().all(|line| line.starts_with("kw-inbox: ")), "{done:?}");
    }
    assert!(!user.home().join("inbox/keys.json").exists());
}

#[test]
fn help_and_the_version_are_results() {
    let user = User::new();
    for args in [&["--help"][..], &["card", "--help"], &["drop", "-h"]] {
        assert!(inbox(&user, args).succeeds().stdout.starts_with("Usage: kw-inbox"), "{args:?}");
    }
    assert!(inbox(&user, &["--version"]).succeeds().stdout.starts_with("kw-inbox "));
    assert!(!user.home().exists());
}

#[test]
fn a_file_that_is_no_card_or_no_sealed_message_is_named() {
    let user = User::with_key();
    let long = "x".repeat(300 << 10);
    for (text, why) in [("", "it is empty"), (" \n", "it is empty"), ("hello", "not a "), (&long, "too long")] {
        let file = put(&user, "file", text);
        let file = file.to_str().unwrap();
        for args in [&["show", file][..], &["seal", "--text", "x", "--card", file], &["open", file]] {
            let done = inbox(&user, args).fails(1, why);
            assert!(done.stderr.contains(file), "{done:?}");
        }
        let done = user.run_with("kw-inbox", ["show", "-"], text.as_bytes()).fails(1, why);
        assert!(done.stderr.contains("standard input"), "{done:?}");
    }
    for args in [&["show", "/nonexistent/card"][..], &["open", "/nonexistent/card"]] {
        inbox(&user, args).fails(5, "cannot read /nonexistent/card: no such file");
    }
}

#[test]
fn whoever_has_no_key_is_told_how_to_make_one() {
    let (user, other) = (User::new(), User::with_key());
    let card = card_for(&user, &other, &[]);
    let card = card.to_str().unwrap();
    for args in [&["card"][..], &["seal", "--card", card, "--text", "x"], &["messages"], &["serve"], &["drop"]] {
        inbox(&user, args).fails(5, "kw-keygen new");
    }
    let shown = inbox(&user, &["show", card]).succeeds();
    assert!(shown.stderr.contains("kw-keygen new") && !shown.stdout.contains("number"), "{shown:?}");
}

#[test]
fn serve_and_drop_print_units_of_their_own() {
    let user = User::new();
    for (command, name) in [("serve", "kw-inbox.service"), ("drop", "kw-inbox-drop.service")] {
        let unit = inbox(&user, &[command, "--listen", "host:8803", "--print-unit"]).succeeds().stdout;
        assert!(unit.contains(&format!("user/{name}")), "{unit}");
        assert!(unit.contains(&format!("kw-inbox {command} --listen host:8803\n")), "{unit}");
    }
}
