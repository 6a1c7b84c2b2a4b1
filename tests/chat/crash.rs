//! Death at every system call: what was acknowledged is saved, and nothing is there twice.

use super::{Party, paired};
use crate::sandbox::strace_works;
use std::process::{Command, Stdio};

/// The calls that change or show anything on the way from a message to its acknowledgement, and the files of a conversation
/// that they are made on; those on no file are on the connection.
const CALLS: [(&str, &str); 16] = [
    ("openat", "log.jsonl"),
    ("write", "log.jsonl"),
    ("fdatasync", "log.jsonl"),
    ("openat", "state.json"),
    ("openat", ".state.json.tmp"),
    ("write", ".state.json.tmp"),
    ("fsync", ".state.json.tmp"),
    ("rename", ".state.json.tmp"),
    ("openat", ".lock"),
    ("flock", ".lock"),
    ("openat", ""),
    ("fsync", ""),
    ("close", "log.jsonl"),
    ("close", ".state.json.tmp"),
    ("close", ".lock"),
    ("sendto", "-"),
];

/// More than one thread makes any of them for one message.
const MOST: usize = 8;

/// `kw-chat` with `args`, killed when one of its threads makes `call` on `file` of its conversation with `peer` for the
/// `when`th time: strace counts for each thread.
fn dying(party: &Party, peer: &Party, (call, file): (&str, &str), when: usize, args: &[&str]) -> Command {
    let inner = party.user.command("kw-chat");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null"]);
    if file != "-" {
        command.arg("-P").arg(party.user.home().join("chat").join(peer.user.key()).join(file));
    }
    command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:signal=KILL:when={when}")]);
    command.arg(inner.get_program()).args(args).env("KEYWIRE_HOME", party.user.home());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// The process that strace runs.
fn traced(strace: u32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Every text of `wanted` is there once, in order, but for those that nobody was told of.
fn holds(there: &[String], acked: &[String]) {
    for text in acked {
        assert_eq!(there.iter().filter(|one| *one == text).count(), 1, "{text} in {there:?}");
    }
    let mut once = there.to_vec();
    once.dedup();
    assert_eq!(once, there);
}

#[test]
fn a_receiver_that_is_killed_at_any_call_has_saved_what_it_acknowledged_once() {
    if !strace_works() {
        return;
    }
    let (a, mut b) = paired();
    b.stop();
    let at = b.address.split_once('@').unwrap().1.to_owned();
    let (mut sent, mut acked, mut deaths) = (vec!["first".to_owned()], vec!["first".to_owned()], 0);
    for call in CALLS {
        for when in 1..MOST {
            let mut listener = dying(&b, &a, call, when, &["listen", "--listen", &at]).spawn().unwrap();
            let mut out = std::io::BufReader::new(listener.stdout.take().unwrap());
            let mut line = String::new();
            std::io::BufRead::read_line(&mut out, &mut line).unwrap();
            if line.starts_with("listening") {
                let text = format!("{} {} {when}", call.0, call.1);
                let ended = a.chat(["send", "--wait=10s", "b", &text]);
                // 8: whoever dies in the handshake looks like somebody without the key.
                assert!([0, 3, 4, 8].contains(&ended.code()), "{ended:?}");
                if ended.code() == 0 {
                    acked.push(text.clone());
                }
                sent.push(text);
            }
            let alive = traced(listener.id()).is_some_and(crate::pty::is_alive);
            if let Some(pid) = traced(listener.id()) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            }
            listener.wait().unwrap();
            deaths += usize::from(!alive);
            if alive {
                break;
            }
        }
    }
    assert!(deaths > 20, "{deaths}");
    b.listen(&[]);
    a.chat(["send", "b", "last"]).succeeds();
    sent.push("last".to_owned());
    holds(&b.texts(&a), &acked);
    // What was not acknowledged was kept, and came with the last one.
    assert_eq!(b.texts(&a), sent);
}

#[test]
fn a_sender_that_is_killed_at_any_call_sends_everything_it_kept_once() {
    if !strace_works() {
        return;
    }
    let (a, b) = paired();
    let (mut acked, mut deaths) = (vec!["first".to_owned()], 0);
    for call in CALLS {
        for when in 1..MOST {
            let text = format!("{} {} {when}", call.0, call.1);
            let ended = dying(&a, &b, call, when, &["send", "--wait=10s", "b", &text]).output().unwrap();
            if ended.status.success() {
                acked.push(text);
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths > 20, "{deaths}");
    a.chat(["send", "b", "last"]).succeeds();
    acked.push("last".to_owned());
    let there = b.texts(&a);
    holds(&there, &acked);
    let kept: Vec<String> = a.texts(&b);
    assert_eq!(there, kept);
}

#[test]
fn a_message_that_was_written_and_not_synced_is_synced_before_it_is_acknowledged() {
    if !strace_works() {
        return;
    }
    let (a, mut b) = paired();
    b.stop();
    let at = b.address.split_once('@').unwrap().1.to_owned();
    let args = ["listen", "--listen", &at];
    let mut listener = dying(&b, &a, ("fdatasync", "log.jsonl"), 1, &args).spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(listener.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_ne!(a.chat(["send", "--wait=10s", "b", "half saved"]).code(), 0);
    listener.wait().unwrap();
    let log = b.user.file("strace.log");
    let inner = b.user.command("kw-chat");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-e", "trace=fdatasync,fsync", "-o"]).arg(&log).arg(inner.get_program());
    command.args(args).env("KEYWIRE_HOME", b.user.home()).stderr(Stdio::null());
    let mut again = crate::sandbox::Running::start(&mut command);
    assert!(again.line().starts_with("listening"));
    a.chat(["send", "b", "whole"]).succeeds();
    assert!(again.line().ends_with(" a: whole"));
    assert_eq!(b.texts(&a), ["first", "half saved", "whole"]);
    let synced = std::fs::read_to_string(&log).unwrap();
    let first = synced.lines().find(|line| line.contains(".jsonl") || line.contains("state.json")).unwrap();
    assert!(first.contains("log.jsonl"), "{synced}");
    let pid = traced(again.pid()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
    again.child.wait().unwrap();
}
