//! What needs no other side: command lines, names, numbers, and an empty home.

use crate::sandbox::{Done, User};
use keywire::json::{Value, json};
use keywire::key::KeyPair;
use std::process::Command;

fn new_key() -> String {
    KeyPair::generate().unwrap().public().to_string()
}

fn chat(user: &User, args: &[&str]) -> Done {
    user.run("kw-chat", args)
}

/// What a command prints, one object a line.
fn objects(done: Done) -> Vec<Value> {
    done.succeeds().objects()
}

#[test]
fn a_wrong_command_line_has_status_2_and_a_next_step() {
    let user = User::with_key();
    let key = new_key();
    let other = new_key();
    for (args, why) in [
        (&[][..], "--help"),
        (&["pair"], "--help"),
        (&["send"], "peer"),
        (&["send", &key, "--wait", "5", "x"], "5s"),
        (&["send", &key, "--wait=soon", "x"], "not how long"),
        (&["send", &key, "--id", "a b", "x"], "not a message id"),
        (&["send", &key, "--id", "a", "-"], "one message only"),
        (&["send", &key, "--ttl", "10ms", "x"], "a second at least"),
        (&["send", &key, ""], "the text is empty"),
        (&["send", &key, &"x".repeat((64 << 10) + 1)], "64 KiB"),
        (&["send", "--via", &format!("tcp://{other}@h:1"), &key, "x"], "not that of"),
        (&["send", "--via", "h:1", &key, "x"], "tcp://KEY@HOST:PORT"),
        (&["ask", &key, "-"], "standard input is empty"),
        (&["recv"], "from where on is not said"),
        (&["recv", "--since", "7"], "without a peer"),
        (&["recv", "--since", "soon"], "not a time"),
        (&["recv", "--cursor", "a b"], "cannot be the name"),
        (&["recv", "--cursor", "exec"], "the hook's"),
        (&["recv", "--follow", "--via", "tcp://x"], "--via goes with a peer"),
        (&["listen", "--exec", "no-such-program x"], "no such program"),
        (&["listen", "--exec", "a 'b"], "is not closed"),
        (&["listen", "--listen", "::1"], "brackets"),
        (&["pair", "accept", &key, "--name", "a b"], "cannot be a name"),
        (&["verify", &user.key()], "our own key"),
        (&["history", &key, "--since", "x"], "not a time"),
        (&["alias", "add", "ops"], "no key is given"),
    ] {
        let done = chat(&user, args).fails(2, why);
        assert!(done.stderr.lines().all(|line| line.starts_with("kw-chat: ")), "{done:?}");
    }
}

#[test]
fn help_and_the_version_are_results() {
    let user = User::new();
    for args in [&["--help"][..], &["send", "--help"], &["pair", "--help"], &["pair", "accept", "--help"]] {
        assert!(chat(&user, args).succeeds().stdout.starts_with("Usage: kw-chat"), "{args:?}");
    }
    assert!(chat(&user, &["--version"]).succeeds().stdout.starts_with("kw-chat "));
    assert!(!user.home().exists());
}

#[test]
fn an_unknown_name_is_a_no_with_the_nearest_one() {
    let user = User::with_key();
    chat(&user, &["alias", "add", "ops", &new_key()]).succeeds();
    for args in [&["send", "opps", "x"][..], &["pair", "accept", "opps"], &["history", "opps"], &["verify", "opps"]] {
        chat(&user, args).fails(1, "did you mean 'ops'?");
    }
}

#[test]
fn the_names_are_those_of_kw_peers() {
    let (user, key) = (User::new(), new_key());
    let said = chat(&user, &["alias", "add", "ops", &format!("{key}@host"), "--note", "x"]).succeeds().stderr;
    assert_eq!(said, format!("ops is {key} at host\n"));
    let list = chat(&user, &["alias", "list"]).succeeds().stdout;
    assert_eq!(list, format!("ops  {key}  host\n"));
    assert_eq!(list, user.run("kw-peers", ["list"]).succeeds().stdout);
    let list = |program, args: &[&str]| user.run(program, args).succeeds().stdout;
    assert_eq!(list("kw-chat", &["alias", "list", "--json"]), list("kw-peers", &["list", "--json"]));
    chat(&user, &["alias", "remove", "ops"]).succeeds();
    assert_eq!(list("kw-peers", &["list"]), "");
    chat(&user, &["alias", "remove", "ops"]).fails(1, "no peer is called 'ops'");
}

#[test]
fn both_ends_see_the_same_number_and_so_does_kw_keygen() {
    let (one, other) = (User::with_key(), User::with_key());
    let seen = chat(&one, &["verify", &other.key()]).succeeds().stdout;
    assert_eq!(seen, chat(&other, &["verify", &one.key()]).succeeds().stdout);
    assert_eq!(seen, one.run("kw-keygen", ["fingerprint", &one.key(), &other.key()]).succeeds().stdout);
    let digits = seen.split_whitespace().collect::<Vec<_>>();
    assert!(digits.len() == 12 && digits.iter().all(|group| group.len() == 5), "{seen}");
    assert_ne!(seen, chat(&one, &["verify", &new_key()]).succeeds().stdout);

    chat(&one, &["alias", "add", "ops", &other.key()]).succeeds();
    let number = objects(chat(&one, &["verify", "ops", "--json"])).remove(0);
    let expected = json!({
        "event": "number", "key": one.key(), "peer": other.key(), "name": "ops", "number": digits.join(" "),
    });
    assert_eq!(number, expected);
}

#[test]
fn the_number_is_drawn_on_a_terminal_or_when_it_is_asked_for() {
    let (user, key) = (User::with_key(), new_key());
    let plain = chat(&user, &["verify", &key]).succeeds().stdout;
    let drawn = chat(&user, &["verify", "--qr", &key]).succeeds().stdout;
    assert!(drawn.starts_with(&plain) && drawn.contains('█') && !plain.contains('█'), "{drawn}");
}

#[test]
fn an_empty_home_has_no_pairs_no_messages_and_no_listener() {
    let user = User::with_key();
    assert_eq!(chat(&user, &["pair", "list"]).succeeds().stdout, "");
    assert_eq!(chat(&user, &["pair", "list", "--json"]).succeeds().stdout, "");
    assert_eq!(chat(&user, &["history", &new_key()]).succeeds().stdout, "");
    assert_eq!(chat(&user, &["export", &new_key()]).succeeds().stdout, "");
    chat(&user, &["search", &new_key(), "x"]).fails(1, "no message has that in it");
    let status = chat(&user, &["status"]).succeeds().stdout;
    assert!(status.contains("listening  no:") && status.contains("pairing    required\npairs      none\n"), "{status}");
    let status = objects(chat(&user, &["status", "--json"])).remove(0);
    let expected = json!({
        "event": "status", "key": user.key(), "listening": null, "pairing": "required", "pairs": {}, "waiting": [],
    });
    assert_eq!(status, expected);
}

#[test]
fn an_open_house_is_said_in_capitals() {
    let user = User::with_key();
    std::fs::write(user.home().join("config.json"), r#"{"version": 1, "pairing": "open"}"#).unwrap();
    assert!(chat(&user, &["status"]).succeeds().stdout.contains("pairing    OPEN"));
    assert_eq!(objects(chat(&user, &["status", "--json"]))[0]["pairing"], "open");
}

#[test]
fn without_an_identity_the_next_step_is_named_and_the_status_is_7() {
    let user = User::new();
    for args in [&["status"][..], &["send", &new_key(), "x"], &["listen"], &["pair", "invite", &new_key()]] {
        chat(&user, args).fails(7, "hint: make a key pair: kw-keygen new");
    }
}

#[test]
fn nothing_can_be_accepted_that_nobody_asked_for_by_any_name() {
    let user = User::with_key();
    chat(&user, &["pair", "accept", "kw1qqqqqqqqqqqqq"]).fails(1, "'kw-chat pair list' shows the keys");
}

#[test]
fn standard_input_is_not_touched_where_a_text_is_given() {
    let user = User::with_key();
    // Each line of it is the next command's, as in a loop of a shell.
    let script = format!(
        "printf 'one\\ntwo\\n' | while read -r line; do '{}' send --wait 1s --no-queue '{}@127.0.0.1:9' \"$line\"; \
         echo \"$line\"; done",
        crate::sandbox::binary("kw-chat"),
        new_key()
    );
    let done = Done::of(Command::new("sh").arg("-c").arg(script).env("KEYWIRE_HOME", user.home()));
    assert_eq!(done.stdout.lines().filter(|line| ["one", "two"].contains(line)).count(), 2, "{done:?}");
}

#[test]
fn the_unit_starts_the_listener_as_it_was_called() {
    let user = User::new();
    let unit = chat(&user, &["listen", "--print-unit", "--exec", "a 'b c'", "--listen", "[::]:7"]).succeeds().stdout;
    let program = crate::sandbox::binary("kw-chat");
    assert!(unit.contains(&format!("ExecStart={program} listen --exec \"a 'b c'\" --listen \"[::]:7\"\n")), "{unit}");
    assert!(unit.contains("Documentation=man:kw-chat(1)\n"), "{unit}");
    assert!(unit.contains("/kw-chat.service, then:"), "{unit}");
}
