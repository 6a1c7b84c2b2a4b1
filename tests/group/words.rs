//! What is said, and the exit status: names in commands, links that are none, and what becomes of many lines.

use super::Member;
use crate::pty::eventually;
use crate::sandbox::binary;
use crate::terminal::Screen;
use keywire::json::json;

/// The lines of `text` with `what` in them.
fn count(text: &str, what: &str) -> usize {
    text.lines().filter(|line| line.contains(what)).count()
}

#[test]
fn a_command_that_is_printed_names_a_group_so_that_a_shell_takes_it() {
    let ada = Member::new();
    for name in ["night watch", "-x", "o'brien", "$HOME", "~"] {
        let mut create = vec!["create"];
        create.extend((name == "-x").then_some("--"));
        let id = ada.group([&create[..], &[name]].concat()).succeeds().stdout.trim().to_owned();
        let made = ada.group(["invite", &id]).succeeds();
        let (_, command) = made.stderr.split_once("'kw-group ").unwrap();
        let (command, _) = command.split_once("' ends that").unwrap();
        assert_eq!(command.split(' ').nth(1), Some(&id[..12]), "{made:?}");
        assert!(made.stderr.contains(&format!("can join {name}: ")), "{made:?}");
        ada.group(command.split(' ')).succeeds();
        ada.group(["remove", &id, "nobody"]).fails(1, &format!("'kw-group members {}' shows", &id[..12]));
    }
    ada.group(["create", "Ünder_2.0-a"]).succeeds();
    assert!(ada.group(["invite", "Ünder_2.0-a"]).stderr.contains("'kw-group invite Ünder_2.0-a --revoke "));
}

#[test]
fn nothing_typed_at_the_prompt_for_a_link_is_no_link() {
    let ada = Member::new();
    for keys in ["\x04", "\r", " \r"] {
        let mut screen = Screen::with(&ada.user, binary("kw-group"), &["join"]);
        screen.expect("invite link: ");
        screen.type_keys(keys);
        assert_eq!(screen.ends(), 2, "{}", screen.all());
        screen.expect("kw-group: no link was typed");
    }
}

#[test]
fn a_line_that_is_no_message_has_status_2_whatever_became_of_those_before() {
    let ada = Member::founder();
    let bob = ada.guest();
    let send = |member: &Member, input: &[u8]| member.user.run_with("kw-group", ["send", "g", "-"], input);
    let done = send(&bob, b"good\n\xff\xfebad\nmore\n").fails_with(2);
    assert!(done.stderr.contains("line 2 is not UTF-8"), "{done:?}");
    drop(ada);
    let done = send(&bob, b"kept\n\xff\xfebad\nmore\n").fails_with(2);
    assert!(done.stderr.contains("; kept\n") && done.stderr.contains("line 2 is not UTF-8"), "{done:?}");
    assert_eq!(bob.texts(), ["good", "kept"]);
    // Who may not say anything at all is told that.
    bob.group(["leave", "g"]).fails_with(3);
    send(&bob, b"late\n\xff\n").fails_with(6);
}

#[test]
fn why_many_lines_reach_nobody_is_said_once_and_of_how_many() {
    let ada = Member::new();
    ada.group(["create", "g"]).succeeds();
    let send = |lines: u64, options: &[&str]| {
        let input: String = (0..lines).map(|line| format!("{line}\n")).collect();
        let done = ada.user.run_with("kw-group", [&["send", "g", "-"], options].concat(), input.as_bytes());
        done.fails_with(3)
    };
    for (lines, more) in [(1, ""), (2, "the next message"), (200, "the next 199 messages")] {
        let done = send(lines, &[]);
        assert_eq!(count(&done.stderr, "g has no other member; kept"), 1, "{done:?}");
        let rest = if more.is_empty() { String::new() } else { format!("kw-group: the same is true of {more}\n") };
        let (_, said) = done.stderr.split_once("makes a link\n").unwrap();
        assert_eq!(said, rest);
    }
    let done = send(3, &["--json"]);
    let reasons = done.objects().iter().filter(|sent| sent["reason"] == "g has no other member; kept").count();
    assert_eq!((reasons, count(&done.stderr, "; kept")), (3, 1), "{done:?}");
}

#[test]
fn invites_by_which_nobody_can_come_any_more_are_not_listed() {
    let ada = Member::founder();
    let long = ada.group(["invite", "g", "--uses", "2", "--json"]).succeeds().objects().remove(0);
    ada.link(&["--expires", "1s"]);
    let listed = || ada.group(["invite", "--list", "g", "--json"]).succeeds().objects();
    // Another, by which one comes.
    ada.guest();
    eventually("the time of the short one is over", || listed().len() == 1);
    assert_eq!((&listed()[0]["capability"], &listed()[0]["left"]), (&long["capability"], &json!(2)));
}
