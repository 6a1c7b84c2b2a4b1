//! Who gets in, by which address, and what those who do not are told.

use super::Pair;
use crate::sandbox::{Done, Running, User};
use std::process::Stdio;

#[test]
fn the_environment_is_a_clean_slate() {
    let host = User::with_key();
    let guest = User::with_key();
    let mut command = host.command("kw-ptyd");
    command
        .args(["--listen", "127.0.0.1:0", "--allow", &guest.key()])
        .env("DAEMONS_OWN", "1")
        .env("LD_LIBRARY_PATH", "/x");
    let mut daemon = Running::start(command.stderr(Stdio::null()));
    let address = daemon.address();
    let mut client = guest.command("kw-pty");
    client.args([&address, "exec /usr/bin/env"]).env("LANG", "C.UTF-8").env("LC_TIME", "C").env("LD_PRELOAD_X", "no");
    let shown = Done::of(client.env("GIT_PROTOCOL", "version=2").env("SECRET", "no")).succeeds().stdout;
    let names: Vec<&str> = shown.lines().filter_map(|line| line.split('=').next()).collect();
    for wanted in [
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "PATH",
        "LANG",
        "LC_TIME",
        "GIT_PROTOCOL",
        "KEYWIRE_PEER",
        "KEYWIRE_CONNECTION",
    ] {
        assert!(names.contains(&wanted), "{wanted} is not in {names:?}");
    }
    for unwanted in ["DAEMONS_OWN", "LD_LIBRARY_PATH", "LD_PRELOAD_X", "SECRET", "TERM", "KEYWIRE_HOME"] {
        assert!(!names.contains(&unwanted), "{unwanted} is in {names:?}");
    }
    assert!(shown.contains(&format!("KEYWIRE_PEER={}", guest.key())));
}

#[test]
fn a_stranger_is_refused_before_anything_is_started() {
    let pair = Pair::new();
    let stranger = User::with_key();
    let marker = pair.host.file("started");
    let done = stranger
        .run("kw-pty", [&pair.address, &format!("touch {}", marker.display())])
        .fails(255, "not on the allowlist");
    assert!(done.stderr.contains(&stranger.key()), "{done:?}");
    assert!(done.stderr.contains(&format!("hint: on the host: kw-peers allow {} exec", stranger.key())), "{done:?}");
    assert!(!marker.exists());
}

#[test]
fn a_key_with_the_right_to_commands_only_gets_no_shell() {
    let (host, guest) = (User::with_key(), User::with_key());
    host.run("kw-peers", ["allow", &guest.key(), "exec"]).succeeds();
    let mut daemon = Running::start(host.command("kw-ptyd").args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()));
    let address = daemon.address();
    guest.run("kw-pty", [&address, "echo yes"]).succeeds();
    guest.run("kw-pty", [&address]).fails(255, "without the right 'shell'");
}

#[test]
fn a_change_of_the_allowlist_counts_from_the_next_session_on() {
    let (host, guest) = (User::with_key(), User::with_key());
    let mut daemon = Running::start(host.command("kw-ptyd").args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()));
    let address = daemon.address();
    guest.run("kw-pty", [&address, "true"]).fails(255, "not on the allowlist");
    host.run("kw-peers", ["allow", &guest.key(), "shell"]).succeeds();
    guest.run("kw-pty", [&address, "true"]).succeeds();
    host.run("kw-peers", ["deny", &guest.key()]).succeeds();
    guest.run("kw-pty", [&address, "true"]).fails(255, "not on the allowlist");
}

#[test]
fn a_forced_command_runs_whatever_was_asked_for() {
    let (host, guest) = (User::with_key(), User::with_key());
    host.run("kw-peers", ["allow", &guest.key(), "exec", "--command", "echo forced $KEYWIRE_ORIGINAL_COMMAND"])
        .succeeds();
    let mut daemon = Running::start(host.command("kw-ptyd").args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()));
    let address = daemon.address();
    assert_eq!(guest.run("kw-pty", [&address, "rm -rf /x"]).succeeds().stdout, "forced rm -rf /x\n");
}

#[test]
fn a_damaged_allowlist_lets_nobody_in_and_tells_a_stranger_nothing() {
    let (host, guest) = (User::with_key(), User::with_key());
    host.run("kw-peers", ["allow", &guest.key(), "shell"]).succeeds();
    let mut daemon = Running::start(host.command("kw-ptyd").args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()));
    let address = daemon.address();
    std::fs::write(host.home().join("allow.json"), "{ damaged").unwrap();
    let done = guest.run("kw-pty", [&address, "true"]).fails(255, "cannot read its allowlist");
    assert!(!done.stderr.contains("damaged") && !done.stderr.contains(host.home().to_str().unwrap()), "{done:?}");
}

#[test]
fn a_key_and_a_host_may_be_given_apart_as_rsync_does() {
    let pair = Pair::new();
    let (key, at) = pair.address.split_once('@').unwrap();
    let (host, port) = at.rsplit_once(':').unwrap();
    let done = pair.guest.run("kw-pty", ["-l", key, "-p", port, host, "echo", "hi"]);
    assert_eq!(done.succeeds().stdout, "hi\n");
    let done = pair.guest.run("kw-pty", [&format!("-p{port}"), &format!("{key}@{host}"), "echo", "hi"]);
    assert_eq!(done.succeeds().stdout, "hi\n");
}

#[test]
fn a_name_from_the_address_book_is_a_host() {
    let pair = Pair::new();
    pair.guest.run("kw-peers", ["add", "box", &pair.address]).succeeds();
    assert_eq!(pair.guest.run("kw-pty", ["box", "echo hi"]).succeeds().stdout, "hi\n");
    pair.guest.run("kw-pty", ["bux", "echo hi"]).fails(255, "hint: did you mean 'box'?");
}

#[test]
fn every_way_not_to_get_through_is_one_clear_line_and_255() {
    let pair = Pair::new();
    let (key, at) = pair.address.split_once('@').unwrap();
    let other = User::with_key().key();
    let guest = &pair.guest;
    guest.run("kw-pty", [&format!("{other}@{at}"), "true"]).fails(255, "handshake with");
    guest.run("kw-pty", [&format!("{key}@127.0.0.1:1"), "true"]).fails(255, "connection refused");
    guest.run("kw-pty", [&format!("{key}@no-such-host.invalid"), "true"]).fails(255, "cannot find the host");
    let mut mistyped = key.to_owned();
    mistyped.replace_range(10..11, if &key[10..11] == "q" { "p" } else { "q" });
    guest.run("kw-pty", [&format!("{mistyped}@{at}"), "true"]).fails(255, "checksum");
    guest.run("kw-pty", ["--nonsense"]).fails(255, "--help");
    User::new().run("kw-pty", [&pair.address, "true"]).fails(255, "kw-keygen new");
}

#[test]
fn ones_own_key_is_a_guest_only_where_both_ends_say_so() {
    let user = User::with_key();
    for allow_self in [&[][..], &["--allow-self"]] {
        let mut command = user.command("kw-ptyd");
        command.args(["--listen", "127.0.0.1:0", "--allow", &user.key()]).args(allow_self);
        let mut daemon = Running::start(command.stderr(Stdio::null()));
        let address = daemon.address();
        user.run("kw-pty", [&address, "true"]).fails(255, "own key");
        let status = user.run("kw-pty", ["--allow-self", &address, "exit 3"]).code();
        assert_eq!(status, if allow_self.is_empty() { 255 } else { 3 });
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let pair = Pair::new();
    let at = pair.address.split_once('@').unwrap().1;
    pair.host.run("kw-ptyd", ["--listen", at]).fails(5, at);
}

#[test]
fn trying_it_out_needs_no_state_and_leaves_none() {
    let user = User::new();
    let done = user.run("kw-pty", ["--try", "echo tried; exit 3"]);
    assert_eq!((done.code(), done.stdout.as_str()), (3, "tried\n"));
    assert!(!user.home().exists());
}

#[test]
fn a_port_on_the_command_line_counts_for_more_than_the_address_book() {
    let pair = Pair::new();
    let (key, at) = pair.address.split_once('@').unwrap();
    let port = at.rsplit_once(':').unwrap().1;
    pair.guest.run("kw-peers", ["add", "box", &format!("{key}@127.0.0.1:1")]).succeeds();
    assert_eq!(pair.guest.run("kw-pty", ["-p", port, "box", "echo hi"]).succeeds().stdout, "hi\n");
}

#[test]
fn two_dashes_behind_the_host_are_not_the_command() {
    let pair = Pair::new();
    assert_eq!(pair.guest.run("kw-pty", [&pair.address, "--", "echo", "-n", "hi"]).succeeds().stdout, "hi");
}

#[test]
fn a_variable_that_is_not_text_is_left_out() {
    let pair = Pair::new();
    let mut command = pair.guest.command("kw-pty");
    let latin1: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xe9");
    command.args([&pair.address, "echo \"$LANG-$LC_TIME\""]).env("LC_TIME", latin1).env("LANG", "C");
    assert_eq!(Done::of(&mut command).succeeds().stdout, "C-\n");
}

#[test]
fn a_forced_command_is_what_a_shell_comes_to_as_well() {
    let (host, guest) = (User::with_key(), User::with_key());
    host.run("kw-peers", ["allow", &guest.key(), "exec", "--command", "echo forced"]).succeeds();
    let mut daemon = Running::start(host.command("kw-ptyd").args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()));
    assert_eq!(guest.run("kw-pty", [&daemon.address()]).succeeds().stdout, "forced\n");
}
