//! However a session ends, nothing that it started is left, and nobody waits for what does not come.

use super::{Pair, eventually, is_alive};
use crate::sandbox::{Running, User, binary};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_reader_that_has_seen_enough_ends_the_client_and_the_command() {
    let pair = Pair::new();
    let mut client = pair.start(&[], "echo $$; exec yes");
    let pid = client.line().parse().unwrap();
    client.close_output();
    assert_eq!(client.child.wait().unwrap().code(), Some(141));
    eventually("yes has ended", || !is_alive(pid));
}

#[test]
fn a_command_that_writes_no_more_goes_on_without_a_reader() {
    let pair = Pair::new();
    let mut client = pair.start(&[], "echo ready; read line; echo unread 2>/dev/null; echo done >&2; exit 4");
    assert_eq!(client.line(), "ready");
    client.close_output();
    writeln!(client.stdin(), "go on").unwrap();
    assert_eq!(client.child.wait().unwrap().code(), Some(4));
}

#[test]
fn a_background_job_that_keeps_the_output_open_does_not_hold_up_the_end() {
    let pair = Pair::new();
    let started = Instant::now();
    let done = pair.run("sleep 1000 & echo $!; exit 6");
    assert_eq!(done.code(), 6);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let left = nix::unistd::Pid::from_raw(done.stdout.trim().parse().unwrap());
    nix::sys::signal::kill(left, Signal::SIGKILL).unwrap();
}

#[test]
fn a_background_job_that_never_stops_writing_does_not_hold_up_the_end() {
    let pair = Pair::new();
    let done = pair.run("yes & echo $! >&2; exit 6");
    assert_eq!(done.code(), 6);
    let left = nix::unistd::Pid::from_raw(done.stderr.trim().parse().unwrap());
    let _ = nix::sys::signal::kill(left, Signal::SIGKILL);
}

#[test]
fn a_client_that_is_killed_leaves_no_command_running() {
    let pair = Pair::new();
    for options in [&[][..], &["-tt"]] {
        let mut client = pair.start(options, "echo $$; sleep 1000; echo never");
        let pid = client.line().trim().parse().unwrap();
        client.signal(Signal::SIGKILL);
        eventually("the command has ended", || !is_alive(pid));
    }
}

#[test]
fn a_command_that_ignores_being_hung_up_is_killed_with_its_children() {
    let pair = Pair::new();
    let mut client = pair.start(&[], "trap '' HUP TERM; sleep 1000 & echo $$ $!; wait; wait; sleep 1000");
    let line = client.line();
    let pids: Vec<i32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    client.signal(Signal::SIGKILL);
    for pid in pids {
        eventually("all have ended", || !is_alive(pid));
    }
}

#[test]
fn a_host_that_is_killed_leaves_no_shell_running_and_its_clients_say_so() {
    for options in [&[][..], &["-tt"]] {
        let pair = Pair::new();
        let mut command = pair.guest.command("kw-pty");
        command.args(options).args([&pair.address, "echo $$; sleep 1000; echo never"]).stderr(Stdio::piped());
        let mut client = Running::start(&mut command);
        let pid = client.line().trim().parse().unwrap();
        pair.daemon.signal(Signal::SIGKILL);
        eventually("the shell has ended", || !is_alive(pid));
        let mut said = String::new();
        client.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("the connection was"), "{said}");
        assert_eq!(client.child.wait().unwrap().code(), Some(255));
    }
}

#[test]
fn a_host_that_is_asked_to_end_tells_its_sessions_and_leaves_nothing() {
    let mut pair = Pair::new();
    let mut command = pair.guest.command("kw-pty");
    command.args([&pair.address, "echo $$; sleep 1000; echo never"]).stderr(Stdio::piped());
    let mut client = Running::start(&mut command);
    let pid = client.line().trim().parse().unwrap();
    pair.daemon.signal(Signal::SIGTERM);
    let mut said = String::new();
    client.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("going away"), "{said}");
    assert_eq!(pair.daemon.child.wait().unwrap().code(), Some(0));
    assert!(!is_alive(pid));
}

#[test]
fn an_interrupt_here_is_one_for_the_command_there() {
    let pair = Pair::new();
    let mut client = pair.start(&[], "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.01; done");
    assert_eq!(client.line(), "ready");
    client.signal(Signal::SIGINT);
    assert_eq!(client.line(), "caught");
    assert_eq!(client.child.wait().unwrap().code(), Some(9));
}

#[test]
fn a_thousand_sessions_leave_no_file_process_or_memory_behind() {
    let pair = Pair::new();
    pair.run("true").succeeds();
    let pid = pair.daemon.pid();
    let files = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    let children = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let lists =
            tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
        lists.map(|list| list.split_whitespace().count()).sum::<usize>()
    };
    for _ in 0..50 {
        pair.run("true").succeeds();
    }
    let (files_before, memory_before) = (files(), memory());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let pair = &pair;
            scope.spawn(move || {
                for round in 0..250 {
                    match (thread + round) % 4 {
                        0 => pair.guest.run("kw-pty", ["-tt", &pair.address, "true"]),
                        1 => pair.run("exit 1"),
                        2 => pair.run_with("cat", b"x"),
                        _ => pair.run("kill -9 $$"),
                    };
                }
            });
        }
    });
    eventually("all files are closed", || files() <= files_before);
    assert_eq!(children(), 0);
    assert!(memory() < memory_before + 8192, "{} KiB before, {} KiB after", memory_before, memory());
}

#[test]
fn an_unfinished_line_is_not_executed_when_the_client_is_gone() {
    let pair = Pair::new();
    let marker = pair.host.file("executed");
    let mut client = pair.start(&["-tt"], "echo ready; exec /bin/sh");
    assert_eq!(client.line().trim(), "ready");
    write!(client.stdin(), "echo sh; echo $$\ntouch {}", marker.display()).unwrap();
    client.stdin().flush().unwrap();
    let pid = loop {
        if let Ok(pid) = client.line().trim().parse() {
            break pid;
        }
    };
    client.signal(Signal::SIGKILL);
    eventually("the shell has ended", || !is_alive(pid));
    assert!(!marker.exists());
}

#[test]
fn a_background_job_that_dribbles_does_not_hold_up_the_end() {
    let pair = Pair::new();
    let started = Instant::now();
    let done = pair.run("(for i in $(seq 200); do echo x; sleep 0.05; done) & echo hi; exit 3");
    assert_eq!(done.code(), 3);
    assert!(done.stdout.contains("hi"), "{done:?}");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn a_host_whose_log_nobody_reads_serves_all_the_same() {
    let (host, guest) = (User::with_key(), User::with_key());
    let mut command = host.command("kw-ptyd");
    command.args(["--listen", "127.0.0.1:0", "--allow", &guest.key()]).stderr(Stdio::piped());
    let mut daemon = Running::start(&mut command);
    drop(daemon.child.stderr.take());
    let address = daemon.address();
    for status in [3, 4] {
        assert_eq!(guest.run("kw-pty", [&address, &format!("exit {status}")]).code(), status);
    }
}

#[test]
fn a_client_whose_messages_nobody_reads_still_gives_the_status() {
    let pair = Pair::new();
    let mut command = pair.guest.command("kw-pty");
    command.args([&pair.address, "kill -9 $$"]).stderr(Stdio::piped());
    let mut client = Running::start(&mut command);
    drop(client.child.stderr.take());
    assert_eq!(client.child.wait().unwrap().code(), Some(137));
}

#[test]
fn a_host_that_was_told_to_ignore_hangups_does() {
    let (host, guest) = (User::with_key(), User::with_key());
    let mut command = std::process::Command::new("/bin/sh");
    let line = "trap '' HUP; exec \"$0\" --listen 127.0.0.1:0 --allow \"$1\"";
    command.args(["-c", line, binary("kw-ptyd"), &guest.key()]).env("KEYWIRE_HOME", host.home());
    let mut daemon = Running::start(command.stderr(Stdio::null()));
    let address = daemon.address();
    daemon.signal(Signal::SIGHUP);
    guest.run("kw-pty", [&address, "true"]).succeeds();
}
