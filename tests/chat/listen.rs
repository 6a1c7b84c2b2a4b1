//! The listener: its hook, the commands that work through it, and its end.

use crate::sandbox::{Running, User, binary};
use nix::sys::signal::Signal;
use std::process::Command;
use std::time::{Duration, Instant};

/// Two users who agree on messages; the first can be dialed.
struct Two {
    host: User,
    guest: User,
}

/// A listener, and where it is.
struct Listener {
    running: Running,
    address: String,
}

impl Two {
    /// They have made a pair.
    fn paired() -> Self {
        let two = Two { host: User::with_key(), guest: User::with_key() };
        let listener = two.listen(&[]);
        let host = listener.address.clone();
        two.guest.run("kw-chat", ["pair", "invite", &host]).succeeds();
        two.host.run("kw-chat", ["pair", "accept", &two.guest.key(), "--name", "guest"]).succeeds();
        two.guest.run("kw-chat", ["pair", "invite", &host]).succeeds();
        two
    }

    fn listen(&self, args: &[&str]) -> Listener {
        let mut command = self.host.command("kw-chat");
        command.args(["listen", "--listen", "127.0.0.1:0"]).args(args);
        let mut running = Running::start(&mut command);
        let address = running.address();
        Listener { running, address }
    }

    fn send(&self, to: &Listener, text: &str) {
        self.guest.run("kw-chat", ["send", &to.address, text]).succeeds();
    }

    /// A program of the host's that runs `script`.
    fn script(&self, script: &str) -> String {
        self.host.script(script)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.host.file(name)).unwrap_or_default()
    }
}

#[track_caller]
fn eventually(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(60), "it did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_message_is_one_line_whatever_stands_in_it() {
    let two = Two::paired();
    let mut listener = two.listen(&[]);
    two.send(&listener, "a\nb\u{1b}[2J\u{202e}c");
    let line = listener.running.line();
    assert!(line.ends_with(" guest: a\\nb\\u{1b}[2J\\u{202e}c"), "{line:?}");
}

#[test]
fn a_hook_gets_the_text_as_it_is_and_who_wrote_it_but_no_shell_does() {
    let two = Two::paired();
    let out = two.host.file("out");
    let hook = two.script(&format!(
        "{{ cat; printf '|%s|%s|%s' \"$KEYWIRE_PEER\" \"$KEYWIRE_PEER_NAME\" \"$1\"; }} > '{0}.new'; mv '{0}.new' '{0}'",
        out.display()
    ));
    let listener = two.listen(&["--exec", &format!("{hook} '$(id) b'")]);
    let text = "$(touch x) `id` \u{1b}[2J\n";
    two.send(&listener, text);
    eventually(|| out.exists());
    assert_eq!(two.read("out"), format!("{text}|{}|guest|$(id) b", two.guest.key()));
}

#[test]
fn a_hook_gets_each_message_once_and_in_order_over_restarts_of_the_listener() {
    let two = Two::paired();
    let hook = two.script(&format!("{{ cat; echo; }} >> '{}'", two.host.file("out").display()));
    let mut first = two.listen(&["--exec", &hook]);
    two.send(&first, "1");
    two.send(&first, "2");
    eventually(|| two.read("out") == "1\n2\n");
    // Killed, it might hand the last one out again: its hook may be done, and its cursor not yet there.
    first.running.signal(Signal::SIGTERM);
    assert!(first.running.child.wait().unwrap().success());
    // Nobody hooks this one up when it comes.
    let between = two.listen(&[]);
    two.send(&between, "3");
    drop(between);
    let last = two.listen(&["--exec", &hook]);
    eventually(|| two.read("out") == "1\n2\n3\n");
    two.send(&last, "4");
    eventually(|| two.read("out") == "1\n2\n3\n4\n");
}

#[test]
fn a_hook_that_fails_is_tried_again_before_the_next_message_has_its_turn() {
    let two = Two::paired();
    let hook = two.script(&format!(
        "read -r text; echo \"$text\" >> '{}'; [ \"$text\" != bad ] || [ -e '{}' ]",
        two.host.file("out").display(),
        two.host.file("mended").display()
    ));
    let listener = two.listen(&["--exec", &hook]);
    two.send(&listener, "bad\n");
    two.send(&listener, "good\n");
    eventually(|| two.read("out") == "bad\nbad\n");
    std::fs::write(two.host.file("mended"), "").unwrap();
    eventually(|| two.read("out") == "bad\nbad\nbad\ngood\n");
}

#[test]
fn a_cursor_gives_each_message_once_with_a_listener_and_without_one() {
    let two = Two::paired();
    let listener = two.listen(&[]);
    let received = || two.host.run("kw-chat", ["recv", "--cursor", "tickets"]).succeeds().stdout;
    two.send(&listener, "one");
    two.send(&listener, "two");
    let first = received();
    assert!(first.lines().map(|line| line.rsplit(' ').next().unwrap()).eq(["one", "two"]), "{first}");
    assert_eq!(received(), "");
    two.send(&listener, "three");
    drop(listener);
    assert!(received().ends_with(" guest: three\n"));
    assert_eq!(received(), "");
    two.host.run("kw-chat", ["recv", "--cursor", "tickets", "--timeout", "100ms"]).fails(124, "");
}

#[test]
fn a_message_that_was_not_printed_is_printed_by_the_next_call() {
    let two = Two::paired();
    let listener = two.listen(&[]);
    two.send(&listener, "one");
    let script = format!("'{}' recv --cursor c > /dev/full", binary("kw-chat"));
    let done = Command::new("sh").arg("-c").arg(script).env("KEYWIRE_HOME", two.host.home()).output().unwrap();
    assert_eq!(done.status.code(), Some(7));
    assert!(two.host.run("kw-chat", ["recv", "--cursor", "c"]).succeeds().stdout.ends_with(" guest: one\n"));
}

#[test]
fn a_second_listener_says_who_runs_and_a_stopped_one_is_not_waited_for_for_ever() {
    let two = Two::paired();
    let mut listener = two.listen(&[]);
    let told = format!("'listen' runs already, as process {}", listener.running.pid());
    two.host.run("kw-chat", ["listen"]).fails(7, &told);
    listener.running.signal(Signal::SIGSTOP);
    two.host.run("kw-chat", ["status"]).fails(7, "does not answer");
    listener.running.signal(Signal::SIGCONT);
    two.host.run("kw-chat", ["status"]).succeeds();
    listener.running.signal(Signal::SIGTERM);
    assert!(listener.running.child.wait().unwrap().success());
    assert!(two.host.run("kw-chat", ["status"]).succeeds().stdout.contains("listening  no"));
}

#[test]
fn a_listener_that_was_killed_leaves_nothing_in_the_way() {
    let two = Two::paired();
    let mut listener = two.listen(&[]);
    listener.running.signal(Signal::SIGKILL);
    listener.running.child.wait().unwrap();
    assert!(two.host.run("kw-chat", ["status"]).succeeds().stdout.contains("listening  no"));
    let again = two.listen(&[]);
    two.send(&again, "here");
    let status = two.host.run("kw-chat", ["status"]).succeeds().stdout;
    assert!(status.contains(&again.address), "{status}");
}

#[test]
fn a_listener_ends_well_when_nobody_reads_what_it_prints() {
    let two = Two::paired();
    let mut listener = two.listen(&[]);
    listener.running.close_output();
    two.send(&listener, "nobody reads this");
    assert!(listener.running.child.wait().unwrap().success());
}
