//! Where kw-pty differs from ssh on purpose: both results, so that neither changes unseen.

use super::{Both, Client, Outcome};
use crate::pty::{eventually, is_alive};
use crate::sandbox::Running;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::process::Stdio;

const BOTH: [Client; 2] = [Client::KwPty, Client::Ssh];

impl Both {
    /// What a command line comes to through kw-pty, and through ssh.
    fn each(&self, options: &'static [&'static str], line: &'static str) -> [Outcome; 2] {
        BOTH.map(|client| self.run(client, (options, line)))
    }

    /// Starts a command and leaves it running; with its process and that of its host.
    fn start_command(&self, client: Client, command: &str) -> (Running, (i32, i32)) {
        let mut call = self.client(client, &[]);
        let mut running = Running::start(call.arg(format!("echo $$ $PPID; {command}")).stderr(Stdio::null()));
        let line = running.line();
        (running, processes(&line))
    }
}

fn said(text: &str) -> String {
    text.to_owned()
}

fn processes(line: &str) -> (i32, i32) {
    let (pid, host) = line.trim().split_once(' ').unwrap();
    (pid.parse().unwrap(), host.parse().unwrap())
}

/// The process that has started `pid`, or has inherited it.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()
}

/// Waits until the session in which `host` has started `pid` is over, and says whether `pid` lives on; then it does no longer.
fn outlives_its_session((pid, host): (i32, i32)) -> bool {
    eventually("the session is over", || !is_alive(pid) || parent(pid) != Some(host));
    let lives = is_alive(pid);
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    lives
}

#[test]
fn a_death_by_signal_is_told_and_ssh_makes_255_of_it() {
    let Some(both) = Both::start() else { return };
    for (line, status) in
        [(r#""$@" 'kill -9 $$'"#, 137), (r#""$@" 'kill -TERM $$'"#, 143), (r#""$@" 'kill -SEGV $$'"#, 139)]
    {
        let [ours, theirs] = both.each(&[], line);
        assert_eq!(ours, Outcome(Some(status), said(""), said("")));
        assert_eq!(theirs, Outcome(Some(255), said(""), said("")));
    }
}

#[test]
fn a_command_ends_with_its_client_and_under_sshd_it_does_not() {
    let Some(both) = Both::start() else { return };
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP] {
        for client in BOTH {
            let (mut running, started) = both.start_command(client, "exec sleep 1000");
            running.signal(signal);
            let status = running.child.wait().unwrap();
            assert_eq!(status.code(), (signal != Signal::SIGKILL).then_some(255), "{client:?} {signal}");
            assert_eq!(outlives_its_session(started), client == Client::Ssh, "{client:?} {signal}");
        }
    }
}

#[test]
fn ctrl_c_interrupts_a_command_without_a_terminal_and_ssh_leaves_it_running() {
    let Some(both) = Both::start() else { return };
    for client in BOTH {
        let command = r#""$@" 'echo $$ $PPID; exec sleep 1000'"#;
        let Outcome(_, shown, _) = both.run_on_a_terminal(client, (&[], command), "\n", "\x03");
        let (line, rest) = shown.split_once("\r\n").unwrap();
        assert_eq!(rest, "^C");
        assert_eq!(outlives_its_session(processes(line)), client == Client::Ssh, "{client:?}");
    }
}

#[test]
fn a_job_left_in_the_background_holds_up_ssh_only() {
    let Some(both) = Both::start() else { return };
    for client in BOTH {
        let gate = both.dir.join(format!("{client:?}"));
        let job = format!("while [ ! -e {} ]; do sleep 0.05; done; echo late", gate.display());
        let mut call = both.client(client, &[]);
        let mut running = Running::start(call.arg(format!("{{ {job}; }} & echo at once; exit 6")));
        assert_eq!(running.line(), "at once");
        if client == Client::KwPty {
            assert_eq!(running.child.wait().unwrap().code(), Some(6));
        }
        std::fs::write(gate, "").unwrap();
        let (status, rest) = running.finish();
        assert_eq!(status.code(), Some(6));
        assert_eq!(rest, if client == Client::Ssh { &b"late\n"[..] } else { b"" });
    }
}

#[test]
fn the_end_of_input_is_typed_on_a_terminal_and_ssh_keeps_it_to_itself() {
    let Some(both) = Both::start() else { return };
    let line = r#"printf 'abc\n' | timeout 2 "$@" 'stty -echo; cat; echo end'"#;
    let [ours, theirs] = both.each(&["-tt"], line);
    assert!(ours.0 == Some(0) && ours.1.ends_with("end\r\n"), "{ours:?}");
    assert!(theirs.0 == Some(124) && !theirs.1.contains("end"), "{theirs:?}");
}

#[test]
fn a_terminal_that_is_nowhere_has_a_usual_size_and_under_ssh_none() {
    let Some(both) = Both::start() else { return };
    let sizes = both.each(&["-tt"], r#""$@" stty size"#).map(|outcome| outcome.1);
    assert_eq!(sizes, ["24 80\r\n", "0 0\r\n"]);
}

#[test]
fn output_that_cannot_be_written_is_a_failure_and_ssh_keeps_silent() {
    let Some(both) = Both::start() else { return };
    let [ours, theirs] = both.each(&[], r#""$@" 'echo lost; exit 3' >/dev/full"#);
    assert!(ours.0 == Some(255) && ours.2.contains("cannot write to standard output"), "{ours:?}");
    assert_eq!(theirs, Outcome(Some(3), said(""), said("")));
}

#[test]
fn the_environments_differ_by_the_names_that_belong_to_either() {
    let Some(both) = Both::start() else { return };
    let names = |text: &str| -> BTreeSet<String> {
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned()).collect()
    };
    let [ours, theirs] =
        both.each(&[], r#"unset LANG LANGUAGE COLORTERM NO_COLOR; "$@" /usr/bin/env"#).map(|outcome| outcome.1);
    let (ours, theirs) = (names(&ours), names(&theirs));
    let only =
        |these: &BTreeSet<String>, those: &BTreeSet<String>| these.difference(those).cloned().collect::<Vec<_>>();
    assert_eq!(only(&ours, &theirs), ["KEYWIRE_CONNECTION", "KEYWIRE_PEER"]);
    let theirs: Vec<_> = only(&theirs, &ours).into_iter().filter(|name| name != "MAIL").collect();
    assert_eq!(theirs, ["SSH_CLIENT", "SSH_CONNECTION"]);
}

#[test]
fn a_command_without_a_reader_ends_by_the_pipe_and_ssh_makes_255_of_it() {
    let Some(both) = Both::start() else { return };
    let line = r#"{ "$@" 'exec yes'; echo "status $?" >&2; } | head -n 1"#;
    let [ours, theirs] = both.each(&[], line);
    assert_eq!(ours, Outcome(Some(0), said("y\n"), said("status 141\n")));
    assert_eq!(theirs, Outcome(Some(0), said("y\n"), said("status 255\n")));
}
