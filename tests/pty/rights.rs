//! What a rule gives and for how long, and what is written down about it.

use super::{Pair, eventually, is_alive};
use crate::sandbox::{Done, Running, User};
use keywire::json::{self, Value};
use std::process::{Command, Stdio};

/// A host whose allowlist has a rule for the guest.
struct Ruled {
    /// It ends before its folder goes, and does not write it anew.
    daemon: Running,
    host: User,
    guest: User,
    address: String,
}

impl Ruled {
    fn new(rule: &[&str]) -> Self {
        Ruled::with(rule, &[])
    }

    fn with(rule: &[&str], options: &[&str]) -> Self {
        let (host, guest) = (User::with_key(), User::with_key());
        let mut allow = host.command("kw-peers");
        Done::of(allow.args(["allow", &guest.key()]).args(rule)).succeeds();
        let log = std::fs::File::create(host.file("log")).unwrap();
        let mut daemon =
            Running::start(host.command("kw-ptyd").args(["--listen", "127.0.0.1:0"]).args(options).stderr(log));
        let address = daemon.address();
        Ruled { daemon, host, guest, address }
    }

    /// Starts a command that says its process and waits.
    fn waiting(&self, guest: &User) -> (Running, i32) {
        let mut client = guest.command("kw-pty");
        client.args([&self.address, "echo $$; exec sleep 1000"]).stderr(Stdio::piped());
        let mut client = Running::start(&mut client);
        let pid = client.line().parse().unwrap();
        (client, pid)
    }

    /// The lines of the audit log, once there are so many.
    fn audit(&self, count: usize) -> Vec<Value> {
        let mut lines = Vec::new();
        eventually("the audit log has its lines", || {
            let text = std::fs::read_to_string(self.host.home().join("ptyd.audit.jsonl")).unwrap_or_default();
            lines = text.lines().map(|line| json::parse(line.as_bytes(), 1 << 20).unwrap()).collect();
            lines.len() >= count
        });
        assert_eq!(lines.len(), count);
        lines
    }
}

/// What a client that was cut off says, and that it ends with 255.
fn last_words(client: Running) -> String {
    let mut client = client;
    let mut words = String::new();
    std::io::Read::read_to_string(&mut client.child.stderr.take().unwrap(), &mut words).unwrap();
    assert_eq!(client.finish().0.code(), Some(255), "{words}");
    words
}

#[test]
fn a_right_that_is_taken_away_ends_the_session_that_lives_by_it() {
    let ruled = Ruled::new(&["exec"]);
    let (client, pid) = ruled.waiting(&ruled.guest);
    ruled.host.run("kw-peers", ["deny", &ruled.guest.key()]).succeeds();
    assert!(last_words(client).contains("it is no longer allowed: it is not on the allowlist"));
    eventually("the command has ended", || !is_alive(pid));
}

#[test]
fn another_right_that_is_taken_away_ends_nothing() {
    let ruled = Ruled::new(&["exec", "pipe", "copy-read"]);
    let (mut client, pid) = ruled.waiting(&ruled.guest);
    let other = User::with_key();
    ruled.host.run("kw-peers", ["allow", &other.key(), "exec"]).succeeds();
    let (other_client, _) = ruled.waiting(&other);
    ruled.host.run("kw-peers", ["deny", &ruled.guest.key(), "pipe", "copy-read"]).succeeds();
    ruled.host.run("kw-peers", ["deny", &other.key()]).succeeds();
    // The host has looked at its rules when it ends this one.
    last_words(other_client);
    assert!(is_alive(pid) && client.child.try_wait().unwrap().is_none());
}

#[test]
fn a_rule_that_expires_ends_its_session() {
    let ruled = Ruled::new(&["exec", "--expires", "2s"]);
    let (client, pid) = ruled.waiting(&ruled.guest);
    assert!(last_words(client).contains("has expired"));
    eventually("the command has ended", || !is_alive(pid));
}

#[test]
fn an_end_that_a_rule_gets_later_ends_its_session_too() {
    let ruled = Ruled::new(&["exec"]);
    let (client, _) = ruled.waiting(&ruled.guest);
    ruled.host.run("kw-peers", ["allow", &ruled.guest.key(), "exec", "--expires", "3s"]).succeeds();
    assert!(last_words(client).contains("has expired"));
}

#[test]
fn the_command_of_a_rule_runs_only_for_a_key_that_may_run_commands() {
    for (right, options) in [("forward", &["-N"][..]), ("copy-read", &["-s"])] {
        let ruled = Ruled::new(&[right, "--command", "echo ran"]);
        let mut client = ruled.guest.command("kw-pty");
        client.args(options).arg(&ruled.address).args((right == "copy-read").then_some("sftp"));
        Done::of(&mut client).fails(255, "without the right 'exec'");
    }
}

#[test]
fn a_rule_that_gets_a_forced_command_ends_the_session_that_had_none() {
    let ruled = Ruled::new(&["exec"]);
    let (client, _) = ruled.waiting(&ruled.guest);
    ruled.host.run("kw-peers", ["allow", &ruled.guest.key(), "exec", "--command", "true"]).succeeds();
    assert!(last_words(client).contains("its rule on the allowlist has changed"));
}

#[test]
fn a_slip_in_the_allowlist_cuts_off_nobody_who_could_mend_it() {
    let always = User::with_key();
    let ruled = Ruled::with(&["exec"], &["--allow", &always.key()]);
    let (mut client, pid) = ruled.waiting(&ruled.guest);
    std::fs::write(ruled.host.home().join("allow.json"), "{ half").unwrap();
    ruled.guest.run("kw-pty", [&ruled.address, "true"]).fails(255, "cannot read its allowlist");
    // Meanwhile the host looks at its rules, twice.
    always.run("kw-pty", [&ruled.address, "sleep 2.2"]).succeeds();
    assert!(is_alive(pid) && client.child.try_wait().unwrap().is_none());
}

#[test]
fn a_session_is_one_line_of_the_audit_log() {
    let ruled = Ruled::new(&["exec"]);
    ruled.guest.run_with("kw-pty", [&ruled.address, "cat; echo err >&2; exit 3"], b"12345").fails_with(3);
    let line = &ruled.audit(1)[0];
    let expected = [
        ("key", json::json!(ruled.guest.key())),
        ("op", json::json!("exec")),
        ("command", json::json!("cat; echo err >&2; exit 3")),
        ("tty", json::json!(false)),
        ("received", json::json!(5)),
        ("sent", json::json!(9)),
        ("outcome", json::json!("exit")),
        ("status", json::json!(3)),
    ];
    for (name, value) in expected {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    assert!(line["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(line["began"].as_str().unwrap() <= line["ended"].as_str().unwrap());
}

#[test]
fn every_way_to_end_has_a_name_in_the_audit_log() {
    let ruled = Ruled::new(&["exec"]);
    let run = |command: &str| ruled.guest.run("kw-pty", [&ruled.address, command]);
    run("kill -KILL $$");
    assert_eq!(
        (&ruled.audit(1)[0]["outcome"], &ruled.audit(1)[0]["signal"]),
        (&json::json!("signal"), &json::json!("KILL"))
    );
    let (mut client, _) = ruled.waiting(&ruled.guest);
    client.child.kill().unwrap();
    assert_eq!(ruled.audit(2)[1]["outcome"], "disconnected");
    let stranger = User::with_key();
    stranger.run("kw-pty", [&ruled.address, "true"]).fails(255, "not on the allowlist");
    let refused = &ruled.audit(3)[2];
    assert_eq!((&refused["outcome"], &refused["key"]), (&json::json!("refused"), &json::json!(stranger.key())));
    let (client, _) = ruled.waiting(&ruled.guest);
    ruled.host.run("kw-peers", ["deny", &ruled.guest.key()]).succeeds();
    last_words(client);
    assert_eq!(ruled.audit(4)[3]["outcome"], "revoked");
    ruled.host.run("kw-peers", ["allow", &ruled.guest.key(), "exec"]).succeeds();
    let (_client, _) = ruled.waiting(&ruled.guest);
    ruled.daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(ruled.audit(5)[4]["outcome"], "stopped");
}

#[test]
fn what_the_dialer_put_into_the_environment_is_never_written_down() {
    let ruled = Ruled::new(&["exec"]);
    let mut client = ruled.guest.command("kw-pty");
    Done::of(client.args([&ruled.address, "true"]).env("LC_TELEPHONE", "s3cret-value")).succeeds();
    ruled.audit(1);
    let text = std::fs::read_to_string(ruled.host.home().join("ptyd.audit.jsonl")).unwrap();
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_host_whose_audit_log_cannot_be_written_says_so_and_serves() {
    let (host, guest) = (User::with_key(), User::with_key());
    std::fs::create_dir(host.home().join("ptyd.audit.jsonl")).unwrap();
    let mut command = host.command("kw-ptyd");
    command.args(["--listen", "127.0.0.1:0", "--allow", &guest.key()]).stderr(Stdio::piped());
    let mut daemon = Running::start(&mut command);
    let address = daemon.address();
    guest.run("kw-pty", [&address, "exit 4"]).fails_with(4);
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut daemon.child.stderr.take().unwrap(), &mut said).unwrap();
    assert!(said.contains("the audit log lacks 1 of its lines"), "{said}");
}

#[test]
fn a_host_whose_talk_nobody_reads_serves_and_ends() {
    use nix::fcntl::{FcntlArg, fcntl};
    let (host, guest) = (User::with_key(), User::with_key());
    let (_reader, mut writer) = std::io::pipe().unwrap();
    let size = fcntl(std::os::fd::AsRawFd::as_raw_fd(&writer), FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    std::io::Write::write_all(&mut writer, &vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
    let mut command = host.command("kw-ptyd");
    command.args(["--listen", "127.0.0.1:0", "--allow", &guest.key()]).stderr(writer);
    let mut daemon = Running::start(&mut command);
    let address = daemon.address();
    for _ in 0..4 {
        let mut client = Running::start(guest.command("kw-pty").args([&address, "true"]));
        eventually("the command has run", || client.child.try_wait().unwrap().is_some_and(|ended| ended.success()));
    }
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    eventually("the host has ended", || daemon.child.try_wait().unwrap().is_some_and(|ended| ended.success()));
}

#[test]
fn ten_thousand_rules_are_no_hindrance() {
    let (host, guest) = (User::with_key(), User::with_key());
    host.run("kw-peers", ["allow", &guest.key(), "exec"]).succeeds();
    let path = host.home().join("allow.json");
    let mut list: Value = json::parse(&std::fs::read(&path).unwrap(), 1 << 20).unwrap();
    let rules = list["rules"].as_array_mut().unwrap();
    for _ in 0..10_000 {
        let key = keywire::key::KeyPair::generate().unwrap().public().to_string();
        rules.insert(0, json::json!({ "key": key, "rights": ["shell"] }));
    }
    std::fs::write(&path, json::line(&list).unwrap()).unwrap();
    let mut daemon = Running::start(host.command("kw-ptyd").args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()));
    let address = daemon.address();
    assert_eq!(guest.run("kw-pty", [&address, "echo in"]).succeeds().stdout, "in\n");
}

#[test]
fn a_command_of_a_hundred_kilobytes_runs_and_one_that_no_system_takes_is_an_error_here() {
    let pair = Pair::new();
    let long = format!(": {}; echo end", "x".repeat(120_000));
    assert_eq!(pair.run(&long).succeeds().stdout, "end\n");
    let half = "x".repeat(65_533);
    let done = pair.guest.run("kw-pty", [&pair.address, "echo", &half, &half]);
    done.fails(255, "the command is too long: 131072 bytes of 131071");
}

#[test]
fn nothing_but_the_connection_is_a_session_too_and_ends_with_the_right_to_it() {
    let ruled = Ruled::new(&["forward"]);
    ruled.guest.run("kw-pty", [&ruled.address, "true"]).fails(255, "without the right 'exec'");
    let mut client = ruled.guest.command("kw-pty");
    let client = Running::start(client.args(["-N", &ruled.address]).stderr(Stdio::piped()));
    let log = || std::fs::read_to_string(ruled.host.file("log")).unwrap_or_default();
    eventually("the session has begun", || log().contains("began: nothing but the connection"));
    ruled.host.run("kw-peers", ["deny", &ruled.guest.key()]).succeeds();
    assert!(last_words(client).contains("it is no longer allowed"));
    let line = &ruled.audit(2)[1];
    assert_eq!((&line["op"], &line["outcome"]), (&json::json!("none"), &json::json!("revoked")));
}

#[test]
fn a_subsystem_that_is_not_there_is_named() {
    let ruled = Ruled::new(&["shell"]);
    ruled.guest.run("kw-pty", ["-s", &ruled.address, "nfs"]).fails(255, "there is no subsystem 'nfs' here");
}

#[test]
fn a_command_may_be_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let pair = Pair::new();
    let mut client = pair.guest.command("kw-pty");
    client.arg(&pair.address).arg(std::ffi::OsStr::from_bytes(b"printf %s 'a\xff\xfeb'"));
    assert_eq!(Done::of(&mut client).succeeds().bytes, b"a\xff\xfeb");
}

#[test]
fn an_original_command_of_any_length_reaches_a_forced_one() {
    let ruled = Ruled::new(&["exec", "--command", "printf %s \"$KEYWIRE_ORIGINAL_COMMAND\" | wc -c"]);
    let asked = "y".repeat(100_000);
    assert_eq!(ruled.guest.run("kw-pty", [&ruled.address, &asked]).succeeds().stdout.trim(), "100000");
}

#[test]
fn the_unit_starts_the_host_as_it_was_called() {
    let user = User::new();
    let unit = user.run("kw-ptyd", ["--listen", "[::1]:0", "--print-unit", "--allow-self"]).succeeds().stdout;
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert_eq!(start, format!("{} --listen \"[::1]:0\" --allow-self", crate::sandbox::binary("kw-ptyd")));
    assert!(unit.contains(&format!("Environment=KEYWIRE_HOME={}\n", user.home().display())), "{unit}");
    for line in ["NoNewPrivileges=yes", "KillMode=mixed", "WantedBy=default.target"] {
        assert!(unit.lines().any(|there| there == line), "{line}");
    }
}

#[test]
fn systemd_finds_no_fault_with_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: systemd-analyze is not installed");
        return;
    }
    let user = User::new();
    let path = user.file("kw-ptyd.service");
    std::fs::write(&path, user.run("kw-ptyd", ["--listen", "127.0.0.1:0", "--print-unit"]).succeeds().stdout).unwrap();
    let verdict = Done::of(Command::new("systemd-analyze").args(["--user", "--man=no", "verify"]).arg(&path));
    assert!(!verdict.stderr.contains("kw-ptyd.service:"), "{verdict:?}");
}
