//! kw-ptyd and kw-pty over a real connection: what a command sees, what its user gets back, and what is left behind.

use crate::sandbox::{Done, Running, User};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A host that lets one guest in, and the guest.
pub struct Pair {
    pub host: User,
    pub guest: User,
    pub daemon: Running,
    pub address: String,
}

impl Pair {
    pub fn new() -> Self {
        Pair::with(&[])
    }

    pub fn with(options: &[&str]) -> Self {
        let (host, guest) = (User::with_key(), User::with_key());
        let mut command = host.command("kw-ptyd");
        command.args(["--listen", "127.0.0.1:0", "--allow", &guest.key()]).args(options).stderr(Stdio::null());
        let mut daemon = Running::start(&mut command);
        let address = daemon.address();
        Pair { host, guest, daemon, address }
    }

    /// Runs a command on the host.
    pub fn run(&self, command: &str) -> Done {
        self.guest.run("kw-pty", [&self.address, command])
    }

    pub fn run_with(&self, command: &str, input: &[u8]) -> Done {
        self.guest.run_with("kw-pty", [&self.address, command], input)
    }

    /// Starts a command on the host and leaves it running.
    pub fn start(&self, options: &[&str], command: &str) -> Running {
        let mut client = self.guest.command("kw-pty");
        client.args(options).args([&self.address, command]).stderr(Stdio::null());
        Running::start(&mut client)
    }
}

/// Whether a process exists and is no zombie.
pub fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

/// Waits until `condition` holds; a test that waits for long has failed.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::yield_now();
    }
}

/// Bytes that no compression and no line discipline leaves alone.
pub fn random(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_exit_status_is_the_commands_own() {
    let pair = Pair::new();
    for status in [0, 1, 4, 5, 44, 126, 127, 254, 255] {
        let done = pair.run(&format!("exit {status}"));
        assert_eq!((done.code(), done.stderr.as_str()), (status, ""));
    }
}

#[test]
fn a_death_by_signal_is_128_and_its_number_and_is_named() {
    let pair = Pair::new();
    for (signal, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11)] {
        let done = pair.run(&format!("kill -{signal} $$"));
        assert_eq!(done.code(), 128 + number);
        assert!(done.stderr.contains(signal), "{done:?}");
    }
}

#[test]
fn a_missing_command_is_127_and_one_that_is_no_program_126() {
    let pair = Pair::new();
    assert_eq!(pair.run("/nonexistent/program").code(), 127);
    assert_eq!(pair.run("/etc/passwd").code(), 126);
}

#[test]
fn standard_output_and_error_stay_apart() {
    let done = Pair::new().run("echo out; echo err >&2; echo out");
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\nout\n", "err\n"));
}

#[test]
fn all_output_arrives_before_the_exit_status_however_much_there_is() {
    let pair = Pair::new();
    let done = pair.run("head -c 20000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero >&2; exit 7");
    assert_eq!((done.code(), done.bytes.len(), done.stderr.len()), (7, 20_000_000, 3_000_000));
}

#[test]
fn standard_error_arrives_whole_after_standard_output_was_closed() {
    let done = Pair::new().run("exec >/dev/null; head -c 1000000 /dev/zero >&2");
    assert_eq!((done.code(), done.stderr.len()), (0, 1_000_000));
}

#[test]
fn the_end_of_input_reaches_the_command_and_it_may_still_speak() {
    let done = Pair::new().run_with("cat; echo after", b"before\n");
    assert_eq!(done.stdout, "before\nafter\n");
}

#[test]
fn input_of_every_size_comes_through_as_it_was() {
    let pair = Pair::new();
    for size in [0, 1, 2, 100, 1024, 32_768, 65_517, 65_518, 65_519, 200_000, 5_000_000] {
        let bytes = random(size);
        assert!(pair.run_with("cat", &bytes).bytes == bytes, "{size} bytes");
    }
}

#[test]
fn a_quarter_gibibyte_of_random_bytes_comes_back_as_it_went() {
    let pair = Pair::new();
    let bytes = random(256 << 20);
    let done = pair.run_with("cat", &bytes);
    assert_eq!(done.bytes.len(), bytes.len());
    assert!(done.bytes == bytes, "the bytes were changed");
}

#[test]
fn a_command_without_input_sees_its_end_at_once() {
    let pair = Pair::new();
    let done = Done::with(pair.guest.command("kw-pty").args(["-n", &pair.address, "cat; echo end"]), b"not for you");
    assert_eq!(done.stdout, "end\n");
}

#[test]
fn a_command_that_never_reads_holds_up_neither_its_output_nor_its_end() {
    let pair = Pair::new();
    let done = pair.run_with("echo here; sleep 0.1; exit 3", &vec![0; 64 << 20]);
    assert_eq!((done.code(), done.stdout.as_str()), (3, "here\n"));
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_client_and_the_command() {
    let pair = Pair::new();
    let mut client = pair.start(&[], "echo $$; exec yes");
    let pid = client.line().parse().unwrap();
    client.close_output();
    assert_eq!(client.child.wait().unwrap().code(), Some(255));
    eventually("yes has ended", || !is_alive(pid));
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
fn the_words_of_a_command_are_joined_by_spaces_and_given_to_the_shell() {
    let pair = Pair::new();
    let done = pair.guest.run("kw-pty", [&pair.address, "echo", "a  b", "$HOME", "-n", "--help"]);
    assert_eq!(done.stdout.trim(), format!("a b {} -n --help", std::env::var("HOME").unwrap_or_default()));
}

#[test]
fn a_commands_streams_are_pipes() {
    let done = Pair::new().run("readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2");
    assert!(done.stdout.lines().count() == 3 && done.stdout.lines().all(|line| line.starts_with("pipe:")), "{done:?}");
}

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
fn no_file_of_the_host_is_open_in_a_command() {
    let done = Pair::new().run("ls /proc/self/fd").succeeds();
    // ls itself opens the folder.
    assert_eq!(done.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
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
fn a_terminal_is_given_on_demand_with_its_size_and_type() {
    let pair = Pair::new();
    let mut client = pair.guest.command("kw-pty");
    client.args(["-tt", &pair.address, "tty; stty size; echo $TERM"]).env("TERM", "vt220");
    let done = Done::of(&mut client).succeeds();
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert!(lines[0].starts_with("/dev/pts/"), "{lines:?}");
    assert_eq!(&lines[1..], ["24 80", "vt220"]);
}

#[test]
fn the_end_of_input_ends_a_program_that_reads_a_terminal() {
    let pair = Pair::new();
    let done =
        Done::with(pair.guest.command("kw-pty").args(["-tt", &pair.address, "stty -echo; cat; echo end"]), b"line\n");
    assert!(done.stdout.contains("line") && done.stdout.ends_with("end\r\n"), "{done:?}");
}

#[test]
fn a_hundred_thousand_lines_come_through_a_terminal_whole() {
    let pair = Pair::new();
    let done = pair.guest.run("kw-pty", ["-tt", &pair.address, "seq 1 100000"]).succeeds();
    assert_eq!(done.stdout.lines().map(str::trim_end).filter(|line| !line.is_empty()).count(), 100_000);
    assert!(done.stdout.ends_with("100000\r\n"));
}

#[test]
fn without_a_terminal_here_one_t_gives_none_and_says_so() {
    let pair = Pair::new();
    let done = pair.guest.run("kw-pty", ["-t", &pair.address, "tty"]);
    assert_eq!(done.stdout, "not a tty\n");
    assert!(done.stderr.contains("-tt"), "{done:?}");
}

#[test]
fn a_shell_without_a_terminal_reads_commands_from_standard_input() {
    let pair = Pair::new();
    let done = Done::with(pair.guest.command("kw-pty").arg(&pair.address), b"echo $((6 * 7))\nexit 5\n");
    assert_eq!(done.code(), 5);
    assert!(done.stdout.contains("42"), "{done:?}");
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
