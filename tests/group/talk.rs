//! Members who talk, by the commands that people type.

use super::Member;
use crate::pty::eventually;
use crate::sandbox::Running;
use keywire::json::{Value, json};
use nix::sys::signal::Signal;
use std::process::Stdio;

#[test]
fn three_talk_and_one_is_removed() {
    let ada = Member::founder();
    let (bob, eve) = (ada.guest(), ada.guest());
    bob.user.run("kw-peers", ["add", "ada", &ada.user.key()]).succeeds();
    let sent = bob.group(["send", "g", "hello"]).succeeds().stdout;
    assert!(sent.starts_with("held by ada after ") && sent.ends_with(" ms\n"), "{sent}");
    let heard = eve.group(["recv", "--since", "1h", "g"]).succeeds().stdout;
    let short = bob.user.key()[..12].to_owned();
    assert!(heard.contains(&format!("Z {short}")) && heard.ends_with(": hello\n"), "{heard}");

    let done = ada.group(["remove", "g", &eve.user.key()]);
    assert!(done.stdout.starts_with("removed kw1"), "{done:?}");
    bob.group(["send", "g", "secret"]).succeeds();
    eve.group(["recv", "--cursor", "c", "--timeout", "3s", "g"]).succeeds();
    assert_eq!(eve.object(&["info", "g"])["status"], "removed");
    assert_eq!(eve.texts(), ["hello"]);
    eve.group(["send", "g", "after"]).fails_with(6);
    assert_eq!(ada.texts(), ["hello", "secret"]);
    assert_eq!(bob.texts(), ["hello", "secret"]);
}

#[test]
fn a_cursor_hands_each_message_over_once_and_leaves_none_out() {
    let ada = Member::founder();
    let bob = ada.guest();
    let take = || bob.group(["recv", "--cursor", "c", "--json", "g"]).succeeds().objects();
    let texts = |objects: Vec<Value>| objects.iter().map(|one| one["text"].to_string()).collect::<Vec<_>>();
    for text in ["one", "two", "three"] {
        ada.group(["send", "g", text, "--wait", "0"]);
    }
    assert_eq!(texts(bob.group(["recv", "--cursor", "c", "--max", "2", "--json", "g"]).succeeds().objects()).len(), 2);
    assert_eq!(texts(take()), [r#""three""#]);
    assert_eq!(texts(take()), [""; 0]);
    bob.group(["send", "g", "ours"]).succeeds();
    ada.group(["send", "g", "four", "--wait", "0"]);
    assert_eq!(texts(take()), [r#""four""#]);
    assert_eq!(bob.group(["recv", "--timeout", "100ms", "g"]).code(), 124);
}

#[test]
fn who_must_be_approved_waits_until_that_is_done() {
    let ada = Member::founder();
    let bob = Member::new();
    let done = bob.asks(&ada.link(&["--approve"]));
    assert!(done.stderr.contains("not a member of g yet"), "{done:?}");
    let waiting = ada.group(["members", "g", "--json"]).succeeds().objects();
    assert!(waiting.iter().any(|member| member["role"] == "waiting" && member["member"] == bob.user.key().as_str()));
    ada.group(["approve", "g", &bob.user.key()[..12]]);
    eventually("bob is let in", || bob.group(["send", "g", "in"]).status.success());
    assert_eq!(ada.texts(), ["in"]);
}

#[test]
fn an_invite_that_was_ended_lets_nobody_in() {
    let ada = Member::founder();
    let link = ada.link(&[]);
    let capability = ada.object(&["invite", "--list", "g"])["capability"].as_str().unwrap().to_owned();
    ada.group(["invite", "g", "--revoke", &capability]).succeeds();
    Member::new().join(&link).fails_with(6);
}

#[test]
fn commands_that_come_at_the_same_time_share_the_groups_and_lose_nothing() {
    let ada = Member::new();
    ada.group(["create", "g"]).succeeds();
    let send =
        |text: String| ada.user.command("kw-group").args(["send", "g", &text]).stderr(Stdio::piped()).spawn().unwrap();
    let running: Vec<_> = (0..8).map(|count| send(count.to_string())).collect();
    for one in running {
        let done = one.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(3), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let mut texts = ada.texts();
    texts.sort();
    assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn a_second_service_says_who_runs_and_another_identity_is_refused() {
    let mut ada = Member::founder();
    ada.group(["serve", "--listen", "127.0.0.1:0"]).fails(7, "'serve' runs already, as process");
    let other = crate::sandbox::User::with_key();
    let identity = other.home().join("identity.json");
    ada.group(["send", "g", "x", "-i", identity.to_str().unwrap()]).fails(7, "not the identity that was named");
    ada.stop();
    ada.serve();
    ada.group(["list"]).succeeds();
}

#[test]
fn a_hook_gets_each_message_with_its_author_and_goes_on_where_it_was() {
    let ada = Member::founder();
    let bob = ada.guest();
    let hook =
        ada.user.script("printf '%s %s %s|' \"$KEYWIRE_GROUP_NAME\" \"$KEYWIRE_PEER\" \"$(cat)\" >> \"${0%/*}/got\"");
    let listen = || Running::start(ada.user.command("kw-group").args(["listen", "g", "--exec", &hook]));
    let got = || std::fs::read_to_string(ada.user.file("got")).unwrap_or_default();
    let expected = |text: &str| format!("g {} {text}|", bob.user.key());
    let cursors = || {
        std::fs::read_dir(ada.user.home().join("groups"))
            .unwrap()
            .flatten()
            .any(|entry| entry.path().join("cursors.json").exists())
    };

    let mut first = listen();
    eventually("the hook has a cursor", cursors);
    bob.group(["send", "g", "one"]).succeeds();
    assert!(first.line().ends_with(": one"));
    eventually("the hook got the first", || got() == expected("one"));
    first.signal(Signal::SIGTERM);
    assert!(first.child.wait().unwrap().success());

    bob.group(["send", "g", "two"]).succeeds();
    let _second = listen();
    eventually("the hook got the second", || got() == expected("one") + &expected("two"));
}

#[test]
fn what_could_fool_a_terminal_is_shown_as_an_escape_and_exact_in_json() {
    let ada = Member::founder();
    let bob = ada.guest();
    let text = "a\u{1b}[2J\u{202e}b\tc";
    bob.group(["send", "g", text]).succeeds();
    let shown = ada.group(["history", "g"]).succeeds().stdout;
    assert!(shown.contains(r"a\u{1b}[2J\u{202e}b\tc") && !shown.contains('\u{1b}'), "{shown}");
    assert_eq!(ada.object(&["history", "g"])["text"], text);
    assert_eq!(ada.object(&["history", "g"])["unreadable"], json!(null));
}

#[test]
fn a_member_that_leaves_tells_the_others_and_keeps_what_was_said() {
    let ada = Member::founder();
    let bob = ada.guest();
    bob.group(["send", "g", "goodbye"]).succeeds();
    assert_eq!(bob.group(["leave", "g"]).succeeds().stdout, "left g\n");
    assert_eq!(bob.object(&["list"])["status"], "left");
    assert_eq!(bob.texts(), ["goodbye"]);
    bob.group(["send", "g", "more"]).fails_with(6);
    eventually("ada is alone", || ada.object(&["info", "g"])["members"] == 1);
}
