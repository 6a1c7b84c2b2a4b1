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
        // Until then, Ctrl-D would be the terminal's own.
        eventually("keys are read", || screen.is_raw());
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

#[test]
fn no_two_groups_here_have_one_name() {
    let (ada, bob) = (Member::founder(), Member::new());
    bob.group(["create", "g"]).succeeds();
    bob.group(["create", "g"]).fails(1, "hint: give this one a name of its own");
    let link = ada.link(&["--uses", "9"]);
    bob.user.run_with("kw-group", ["join", "--name", "g", "-"], link.as_bytes()).fails(1, "another group 'g' here");
    // Nobody was dialed: the link counts as often as it did.
    assert_eq!(ada.object(&["invite", "--list", "g"])["left"], 9);
    let joined = bob.join(&link).succeeds();
    assert_eq!(joined.stdout, "joined g-2\n");
    assert_eq!(joined.stderr, "kw-group: it is called g-2 here: g is another group\n");
    let more = Member::founder();
    assert_eq!(bob.join(&more.link(&[])).succeeds().stdout, "joined g-3\n");
    let names: Vec<String> = bob.group(["list"]).succeeds().stdout.lines().map(|line| line[..3].to_owned()).collect();
    assert_eq!(names, ["g  ", "g-2", "g-3"]);
    let joined = Member::new().join(&link).succeeds();
    assert_eq!((joined.stdout.as_str(), joined.stderr.as_str()), ("joined g\n", ""));
}

/// How many groups have a directory.
fn directories(member: &Member) -> usize {
    let entries = std::fs::read_dir(member.user.home().join("groups")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir()).count()
}

#[test]
fn a_link_that_lets_nobody_in_leaves_everything_as_it_was() {
    let mut ada = Member::founder();
    let other = ada.link(&["--approve", "--uses", "9"]);
    let ended = ada.group(["invite", "g", "--json"]).succeeds().objects().remove(0);
    let link = ended["link"].as_str().unwrap();
    ada.group(["invite", "g", "--revoke", ended["capability"].as_str().unwrap()]).succeeds();
    for serves in [false, true] {
        let mut bob = Member::new();
        if serves {
            bob.serve();
        }
        bob.join(link).fails(6, "revoked");
        assert_eq!((bob.group(["list"]).succeeds().stdout.as_str(), directories(&bob)), ("", 0));
        bob.user.run_with("kw-group", ["join", "--wait", "1s", "-"], other.as_bytes()).fails(5, "must approve");
        let facts = || std::fs::read_to_string(bob.file()).unwrap();
        let before = facts();
        bob.join(link).fails(6, "revoked");
        assert_eq!(facts(), before);
        // What waits can be let in after all.
        assert!(ada.group(["approve", "g", &bob.user.key()]).stdout.starts_with("approved "));
        eventually("bob is in", || bob.user.run_with("kw-group", ["join", "-"], other.as_bytes()).code() == 1);
        assert_eq!(bob.object(&["list"])["status"], "active");
    }
    ada.stop();
}

#[test]
fn of_a_group_in_which_we_never_were_nothing_stays_when_we_leave() {
    let mut ada = Member::founder();
    let link = ada.link(&["--approve", "--uses", "9"]);
    let join = |bob: &Member| bob.user.run_with("kw-group", ["join", "--wait", "1s", "-"], link.as_bytes());
    for serves in [false, true] {
        let mut bob = Member::new();
        if serves {
            bob.serve();
        }
        join(&bob).fails_with(5);
        assert_eq!(bob.object(&["list"])["status"], "waiting");
        let left = bob.group(["leave", "g"]).succeeds();
        assert_eq!((left.stdout.as_str(), left.stderr.as_str()), ("left g\n", ""));
        bob.group(["info", "g"]).fails(1, "no group");
        assert_eq!(directories(&bob), 0);
        // And by the same link again, as if nothing had been.
        join(&bob).fails_with(5);
        assert!(ada.group(["approve", "g", &bob.user.key()]).stdout.starts_with("approved "));
        eventually("bob is in", || join(&bob).code() == 1);
        bob.group(["send", "g", "here"]).succeeds();
        bob.group(["leave", "g"]).succeeds();
        assert_eq!(bob.texts().last().unwrap(), "here");
    }
    let bob = Member::new();
    ada.stop();
    join(&bob).fails_with(3);
    bob.group(["leave", "g"]).succeeds();
    assert_eq!(directories(&bob), 0);
}

#[test]
fn a_group_that_cannot_be_read_is_missed_in_what_is_about_all() {
    let mut ada = Member::new();
    ada.group(["create", "broken"]).succeeds();
    std::fs::write(ada.file(), "{").unwrap();
    let id = ada.group(["create", "g"]).succeeds().stdout.trim().to_owned();
    for serves in [false, true] {
        if serves {
            ada.serve();
        }
        for options in [&[][..], &["--json"]] {
            let done = ada.group([&["list"], options].concat()).fails_with(7);
            assert!(done.stdout.contains(&id) && done.stdout.lines().count() == 1, "{done:?}");
            assert_eq!(count(&done.stderr, "/group.json"), 1, "{done:?}");
        }
        for options in [&["--cursor", "c"][..], &["--timeout", "1ms"], &["--since", "1h", "--timeout", "1ms"]] {
            let done = ada.group([&["recv"], options].concat()).fails_with(7);
            assert_eq!(count(&done.stderr, "/group.json"), 1, "{done:?}");
        }
        ada.group(["recv", "--cursor", "c", "g"]).succeeds();
        ada.group(["info", "g"]).succeeds();
    }
}
