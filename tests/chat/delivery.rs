//! Delivery: what is acknowledged is saved, what cannot be delivered waits, and a script can tell them apart.

use super::{Party, paired};
use crate::link::{Link, Quality};
use crate::sandbox::Running;
use std::io::Write;
use std::process::Stdio;

#[test]
fn what_cannot_be_delivered_waits_and_goes_with_the_next_connection_in_either_direction() {
    let (a, mut b) = paired();
    b.stop();
    let sent = a.chat(["send", "b", "waits"]).fails_with(3);
    assert!(sent.stderr.contains("cannot be reached") && sent.stderr.contains("queued"), "{sent:?}");
    let sent = a.chat(["send", "--no-queue", "b", "does not"]).fails_with(3);
    assert!(!sent.stderr.contains("queued"), "{sent:?}");
    b.listen(&[]);
    b.chat(["send", "--wait=100ms", "a", "from b"]).fails_with(3);
    a.chat(["send", "b", "later"]).succeeds();
    assert_eq!(b.texts(&a), ["first", "from b", "waits", "later"]);
    a.chat(["recv", "--since", "1h", "b"]).succeeds();
    assert_eq!(a.texts(&b), ["first", "waits", "does not", "later", "from b"]);
    assert_eq!(a.history(&b)[2]["stage"], "expired");
}

#[test]
fn a_script_can_tell_by_the_exit_status_alone_what_became_of_a_message() {
    let (a, mut b) = paired();
    a.chat(["send", "b", "saved"]).fails_with(0);
    a.chat(["send"]).fails_with(2);
    a.chat(["send", "--wait=never", "b", "x"]).fails_with(2);
    let stranger = Party::listening();
    a.names(&stranger, "stranger");
    a.chat(["send", "stranger", "not paired"]).fails_with(5);
    a.chat(["pair", "invite", "stranger"]).succeeds();
    a.chat(["send", "stranger", "consent pending"]).fails_with(5);
    stranger.chat(["pair", "decline", &a.user.key()]).succeeds();
    a.chat(["send", "stranger", "declined"]).fails_with(6);
    // Somebody else at the address of b.
    let to = format!("{}@{}", b.user.key(), stranger.address.split_once('@').unwrap().1);
    a.chat(["send", "--via", &format!("tcp://{to}"), "b", "wrong key"]).fails_with(8);
    b.listener().signal(nix::sys::signal::Signal::SIGSTOP);
    a.chat(["ask", "--timeout=300ms", "b", "reached?"]).fails_with(3);
    b.listener().signal(nix::sys::signal::Signal::SIGCONT);
    a.chat(["ask", "--timeout=1s", "b", "an answer?"]).fails_with(124);
    b.kill();
    a.chat(["send", "b", "unreachable"]).fails_with(3);
    a.chat(["recv", "--cursor", "c", "--timeout=100ms", "stranger"]).fails_with(124);
    let state = a.user.home().join("pairs.json");
    std::fs::write(&state, "{").unwrap();
    a.chat(["send", "b", "corrupt"]).fails_with(7);
    assert_eq!(std::fs::read_to_string(state).unwrap(), "{");
}

#[test]
fn a_message_that_was_sent_and_not_acknowledged_is_its_own_exit_status() {
    let (a, b) = paired();
    let (link, address) = Link::to_peer(&b.address, Quality::NEAR);
    a.user.run("kw-peers", ["remove", "b"]).succeeds();
    a.user.run("kw-peers", ["add", "b", &address]).succeeds();
    let mut sending = a.user.command("kw-chat");
    sending.args(["send", "--wait=2s", "b", "-"]).stderr(Stdio::piped());
    let mut sending = Running::start(&mut sending);
    writeln!(sending.stdin(), "one").unwrap();
    assert!(sending.line().starts_with("acked by b"));
    link.die();
    writeln!(sending.stdin(), "two").unwrap();
    let (status, _) = sending.finish();
    assert_eq!(status.code(), Some(4));
    let via = format!("tcp://{}", b.address);
    a.chat(["send", "--via", &via, "b", "three"]).succeeds();
    assert_eq!(b.texts(&a), ["first", "one", "two", "three"]);
}

#[test]
fn the_same_id_is_delivered_once_and_never_for_another_text() {
    let (a, mut b) = paired();
    for _ in 0..3 {
        a.chat(["send", "--id", "job-7", "b", "done"]).succeeds();
    }
    let sent = a.chat(["send", "--id", "job-7", "b", "not done"]);
    assert!(sent.code() == 2 && sent.stderr.contains("job-7"), "{sent:?}");
    b.stop();
    a.chat(["send", "--id", "job-8", "b", "later"]).fails_with(3);
    b.listen(&[]);
    a.chat(["send", "--id", "job-8", "b", "later"]).succeeds();
    assert_eq!(b.texts(&a), ["first", "done", "later"]);
}

#[test]
fn a_question_gets_the_answer_that_was_given_to_it() {
    let (a, mut b) = paired();
    let mut ask = a.user.command("kw-chat");
    ask.args(["ask", "--timeout=20s", "--id", "q-1", "b", "how many?"]);
    let ask = Running::start(&mut ask);
    assert!(b.listener().line().ends_with("how many?"));
    // It waits on its own connection, since nobody can dial it.
    b.chat(["send", "--wait=20s", "a", "something else"]).succeeds();
    b.chat(["send", "--wait=20s", "--reply-to", "q-1", "a", "three"]).succeeds();
    let (status, answer) = ask.finish();
    assert!(status.success());
    assert_eq!(answer, b"three\n");
}

#[test]
fn a_cursor_goes_on_where_it_was_and_leaves_nothing_out() {
    let (a, b) = paired();
    assert!(b.chat(["recv", "--cursor", "job"]).succeeds().stdout.ends_with(" a: first\n"));
    b.chat(["recv", "--cursor", "job", "--timeout=100ms"]).fails_with(124);
    for text in ["two", "three", "four"] {
        a.chat(["send", "b", text]).succeeds();
    }
    let got = b.chat(["recv", "--cursor", "job", "--max", "2"]).succeeds().stdout;
    assert!(got.lines().map(|line| line.split(": ").last().unwrap()).eq(["two", "three"]), "{got}");
    assert!(b.chat(["recv", "--cursor", "job"]).succeeds().stdout.ends_with(" a: four\n"));
    assert_eq!(b.chat(["recv", "--cursor", "other"]).succeeds().stdout.lines().count(), 4);
}

#[test]
fn messages_past_their_time_are_not_delivered() {
    let (a, mut b) = paired();
    b.stop();
    a.chat(["send", "--ttl=1s", "--wait=100ms", "b", "stale"]).fails_with(3);
    a.chat(["send", "--wait=100ms", "b", "fresh"]).fails_with(3);
    let written = std::time::Instant::now();
    crate::pty::eventually("a second is over", || written.elapsed().as_millis() > 1100);
    b.listen(&[]);
    a.chat(["recv", "--timeout=5s", "--since", "1h", "b"]);
    crate::pty::eventually("the fresh one has come", || b.texts(&a) == ["first", "fresh"]);
    assert_eq!(a.history(&b)[1]["stage"], "expired");
}

#[test]
fn ten_thousand_messages_of_fifty_senders_arrive_once_each_and_in_order() {
    const SENDERS: usize = 50;
    const EACH: usize = 200;
    let mut b = Party::listening();
    let senders: Vec<Party> = (0..SENDERS)
        .map(|_| {
            let a = Party::new();
            a.names(&b, "b");
            a.chat(["pair", "invite", "b"]).succeeds();
            a
        })
        .collect();
    for a in &senders {
        b.chat(["pair", "accept", &a.user.key()]);
    }
    let lines: String = (0..EACH).map(|number| format!("message {number}\n")).collect();
    std::thread::scope(|scope| {
        for a in &senders {
            scope.spawn(|| a.chat_with(["send", "--wait=120s", "b", "-"], &lines).succeeds());
        }
        // It prints them all; nobody may hold it up.
        for _ in 0..SENDERS * EACH {
            assert!(!b.listener().line().is_empty());
        }
    });
    for a in &senders {
        assert!(b.texts(a).iter().eq(lines.lines()), "{:?}", b.texts(a));
    }
}

#[test]
fn what_a_peer_writes_reaches_no_terminal_and_json_has_it_exactly() {
    let (a, mut b) = paired();
    let evil = "\u{1b}]0;owned\u{7}\u{202e}live\r\nFAKE b: yes\t\u{9b}31m";
    a.chat(["send", "b", evil]).succeeds();
    let line = b.listener().line();
    for shown in [line, b.chat(["history", "a"]).succeeds().stdout, b.chat(["search", "a", "owned"]).succeeds().stdout]
    {
        assert!(!shown.trim_end_matches('\n').lines().any(|line| line.starts_with("FAKE")), "{shown:?}");
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}', '\r', '\u{9b}']), "{shown:?}");
    }
    assert_eq!(b.texts(&a)[1], evil);
}

#[test]
fn a_one_shot_call_goes_through_the_listener_that_runs() {
    let (mut a, mut b) = paired();
    a.listen(&[]);
    // Its listener has the key pair; the call itself needs none.
    let identity = a.user.home().join("identity.json");
    std::fs::rename(&identity, a.user.home().join("away")).unwrap();
    a.chat(["send", "b", "through it"]).succeeds();
    assert!(b.listener().line().ends_with("through it"));
    std::fs::rename(a.user.home().join("away"), &identity).unwrap();
    let second = a.user.run("kw-chat", ["listen", "--listen", "127.0.0.1:0"]);
    assert!(second.code() == 7 && second.stderr.contains(&a.listener().pid().to_string()), "{second:?}");
    a.listener().signal(nix::sys::signal::Signal::SIGSTOP);
    a.chat(["send", "b", "nobody answers"]).fails_with(7);
    a.kill();
    a.chat(["send", "b", "without it"]).succeeds();
}

#[test]
fn calls_at_once_without_a_listener_carry_each_others_messages_and_all_know_it() {
    let (a, b) = paired();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let a = &a;
            scope.spawn(move || a.chat(["send", "--wait=20s", "b", &format!("at once {number}")]).succeeds());
        }
    });
    assert_eq!(b.texts(&a).len(), 9);
}

#[test]
fn a_message_that_was_taken_back_and_acknowledged_late_harms_no_other() {
    let (mut a, mut b) = paired();
    a.listen(&[]);
    b.listener().signal(nix::sys::signal::Signal::SIGSTOP);
    std::thread::scope(|scope| {
        let patient = scope.spawn(|| a.chat(["send", "--wait=20s", "b", "patient"]));
        crate::pty::eventually("it waits", || a.texts(&b).contains(&"patient".to_owned()));
        let hasty = a.chat(["send", "--no-queue", "--wait=300ms", "b", "hasty"]);
        assert!([3, 4].contains(&hasty.code()), "{hasty:?}");
        b.listener().signal(nix::sys::signal::Signal::SIGCONT);
        patient.join().unwrap().succeeds();
    });
    a.chat(["send", "b", "and more"]).succeeds();
}

#[test]
fn whoever_does_not_read_what_became_of_them_has_sent_all_lines_all_the_same() {
    let (a, b) = paired();
    let lines: String = (0..300).map(|number| format!("{number}\n")).collect();
    let mut command = a.user.command("kw-chat");
    command.args(["send", "--wait=20s", "b", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut sending = Running::start(&mut command);
    sending.close_output();
    sending.stdin().write_all(lines.as_bytes()).unwrap();
    drop(sending.child.stdin.take());
    assert!(sending.child.wait().unwrap().success());
    assert_eq!(b.texts(&a).len(), 301);
}
