//! What a shell on another machine must get right, row by row: statuses, streams, words, start-up files, and the network.

use super::{Pair, eventually, is_alive, random};
use crate::link::{Link, Quality};
use crate::sandbox::{Dir, Done, Running, User, binary};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Standard error of a client that has ended, whole.
fn said(client: &mut Running) -> String {
    let mut said = String::new();
    client.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    said
}

impl Pair {
    /// Starts a client through `address` with its standard error in our hands; its command says its process first.
    fn start_via(&self, address: &str, options: &[&str], command: &str) -> (Running, i32) {
        let mut client = self.guest.command("kw-pty");
        client.args(options).args([address, &format!("echo $$; {command}")]).stderr(Stdio::piped());
        let mut client = Running::start(&mut client);
        let pid = client.line().trim().parse().unwrap();
        (client, pid)
    }
}

#[test]
fn a_status_of_255_is_told_from_a_failure_by_what_is_said() {
    let pair = Pair::new();
    let (key, _) = pair.address.split_once('@').unwrap();
    let own = pair.run("exit 255");
    assert_eq!((own.code(), own.stderr.as_str()), (255, ""));
    pair.guest.run("kw-pty", ["-q", &format!("{key}@127.0.0.1:1"), "exit 255"]).fails(255, "kw-pty: ");
}

#[test]
fn a_death_by_signal_of_what_the_shell_runs_is_the_shells_to_tell() {
    assert_eq!(Pair::new().run("sh -c 'kill -9 $$'; exit $?").code(), 137);
}

#[test]
fn a_command_that_closes_its_output_early_is_waited_for() {
    let pair = Pair::new();
    for close in ["exec >/dev/null 2>&1", "exec >&- 2>&-", "exec <&- >&- 2>&-"] {
        assert_eq!(pair.run(&format!("{close}; sleep 0.5; exit 6")).code(), 6, "{close}");
    }
}

#[test]
fn a_wrong_command_line_is_255_with_a_word_and_nothing_on_standard_output() {
    let pair = Pair::new();
    let address = pair.address.as_str();
    let wrong: [&[&str]; 8] = [
        &[],
        &["--nonsense", address],
        &["-Z", address],
        &["-p", "70000", address],
        &["-p", "x", address],
        &["-e", "too long", address],
        &["not a host"],
        &["kw1nonsense@127.0.0.1:1", "true"],
    ];
    for words in wrong {
        pair.guest.run("kw-pty", words).fails(255, "kw-pty: ");
    }
}

#[test]
fn a_client_that_is_asked_to_end_takes_its_command_with_it() {
    let pair = Pair::new();
    for options in [&[][..], &["-tt"]] {
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
            let (mut client, pid) = pair.start_via(&pair.address, options, "exec sleep 1000");
            client.signal(signal);
            assert!(!client.child.wait().unwrap().success());
            eventually("the command has ended", || !is_alive(pid));
        }
    }
}

#[test]
fn a_command_that_has_stopped_itself_ends_with_its_client() {
    let pair = Pair::new();
    for options in [&[][..], &["-tt"]] {
        let (client, pid) = pair.start_via(&pair.address, options, "kill -STOP $$");
        let stopped = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ");
        eventually("it has stopped", stopped);
        client.signal(Signal::SIGKILL);
        eventually("the command has ended", || !is_alive(pid));
    }
}

#[test]
fn a_network_that_is_cut_ends_both_sides() {
    let pair = Pair::new();
    let (link, address) = Link::to_peer(&pair.address, Quality::NEAR);
    for options in [&[][..], &["-tt"]] {
        let (mut client, pid) = pair.start_via(&address, options, "exec sleep 1000");
        link.cut();
        assert_eq!(client.child.wait().unwrap().code(), Some(255));
        let said = said(&mut client);
        assert!(said.contains("the connection was"), "{said}");
        eventually("the command has ended", || !is_alive(pid));
    }
}

#[test]
fn a_network_that_falls_silent_is_noticed_on_both_sides() {
    let pair = Pair::with(&["--keepalive", "1"]);
    let (link, address) = Link::to_peer(&pair.address, Quality::NEAR);
    let (mut client, pid) = pair.start_via(&address, &["--keepalive", "1"], "exec sleep 1000");
    link.die();
    assert_eq!(client.child.wait().unwrap().code(), Some(255));
    let said = said(&mut client);
    assert!(said.contains("no sign of life"), "{said}");
    eventually("the command has ended", || !is_alive(pid));
}

#[test]
fn a_client_that_is_stopped_for_a_moment_loses_nothing() {
    let pair = Pair::new();
    let (mut client, _) = pair.start_via(&pair.address, &[], "cat; exit 4");
    client.stdin().write_all(b"late\n").unwrap();
    client.signal(Signal::SIGSTOP);
    // The moment itself: nothing is waited for.
    std::thread::sleep(std::time::Duration::from_millis(500));
    client.signal(Signal::SIGCONT);
    assert_eq!(client.line(), "late");
    let (status, rest) = client.finish();
    assert_eq!((status.code(), rest), (Some(4), Vec::new()));
}

#[test]
fn a_command_that_is_silent_for_long_is_not_taken_for_dead() {
    let pair = Pair::with(&["--keepalive", "1"]);
    let done = pair.guest.run("kw-pty", ["--keepalive", "1", &pair.address, "sleep 5; exit 23"]);
    assert_eq!((done.code(), done.stderr.as_str()), (23, ""));
}

#[test]
fn an_interrupt_ends_a_command_that_does_not_catch_it_with_130() {
    let pair = Pair::new();
    let (mut client, pid) = pair.start_via(&pair.address, &[], "exec sleep 1000");
    client.signal(Signal::SIGINT);
    assert_eq!(client.child.wait().unwrap().code(), Some(130));
    assert!(!is_alive(pid));
}

#[test]
fn a_second_interrupt_leaves_a_command_that_ignores_the_first() {
    let pair = Pair::new();
    let (mut client, pid) =
        pair.start_via(&pair.address, &[], "trap 'echo no' INT; echo up; while :; do sleep 0.05; done");
    assert_eq!(client.line(), "up");
    client.signal(Signal::SIGINT);
    assert_eq!(client.line(), "no");
    client.signal(Signal::SIGINT);
    assert_eq!(client.child.wait().unwrap().code(), Some(130));
    eventually("the command has ended", || !is_alive(pid));
}

#[test]
fn a_reader_that_is_gone_before_the_first_byte_holds_up_nobody() {
    let pair = Pair::new();
    for at in 0..20 {
        let mut client = pair.start(&[], &format!("echo {at}"));
        client.close_output();
        // It may have written before the reader was gone.
        assert!(matches!(client.child.wait().unwrap().code(), Some(0 | 255)));
    }
}

#[test]
fn standard_error_flows_while_nobody_reads_standard_output() {
    let pair = Pair::new();
    let command = "head -c 50000000 /dev/zero & head -c 3000000 /dev/zero >&2; echo over >&2; wait; exit 5";
    let mut client = pair.guest.command("kw-pty");
    let mut client = Running::start(client.args([&pair.address, command]).stderr(Stdio::piped()));
    let mut seen = Vec::new();
    let mut stderr = client.child.stderr.take().unwrap();
    let mut piece = [0; 65_536];
    while !seen.ends_with(b"over\n") {
        let count = stderr.read(&mut piece).unwrap();
        let last = &seen[seen.len().saturating_sub(300)..];
        assert!(count > 0, "{} bytes, then {:?}", seen.len(), String::from_utf8_lossy(last));
        seen.extend_from_slice(&piece[..count]);
    }
    assert_eq!(seen.len(), 3_000_005);
    let (status, rest) = client.finish();
    assert_eq!((status.code(), rest.len()), (Some(5), 50_000_000));
}

#[test]
fn a_background_job_without_our_streams_lives_on_and_holds_up_nothing() {
    let pair = Pair::new();
    let started = |options: &[&str], command: &str| -> i32 {
        let done = Done::of(pair.guest.command("kw-pty").args(options).args([&pair.address, command])).succeeds();
        done.stdout.trim().parse().unwrap()
    };
    let plain = started(&[], "sleep 1000 >/dev/null 2>&1 </dev/null & echo $!");
    let kept = started(&["-tt"], "trap '' HUP; sleep 1000 >/dev/null 2>&1 </dev/null & echo $!");
    for pid in [plain, kept] {
        assert!(is_alive(pid));
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    let hung_up = started(&["-tt"], "sleep 1000 & echo $!");
    eventually("the job was hung up with its terminal", || !is_alive(hung_up));
}

#[test]
fn what_goes_into_one_pipe_stays_in_order() {
    let done = Pair::new().run("for i in $(seq 500); do echo o$i; echo e$i >&2; done 2>&1").succeeds();
    let expected: String = (1..=500).map(|i| format!("o{i}\ne{i}\n")).collect();
    assert_eq!((done.stdout, done.stderr), (expected, String::new()));
}

#[test]
fn an_archive_comes_through_in_both_directions() {
    let (pair, dir) = (Pair::new(), Dir::new());
    std::fs::create_dir_all(dir.join("from/deep")).unwrap();
    std::fs::create_dir_all(dir.join("to")).unwrap();
    std::fs::write(dir.join("from/deep/bytes"), random(3_000_000)).unwrap();
    let shell = |line: &str| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line, binary("kw-pty"), &pair.address]);
        Done::of(command.env("KEYWIRE_HOME", pair.guest.home()).current_dir(dir.path())).succeeds()
    };
    let there = dir.path().display();
    shell(&format!("tar c from | \"$0\" \"$1\" 'tar x -C {there}/to' && diff -r from to/from && rm -r to/from"));
    shell(&format!("\"$0\" \"$1\" 'tar c -C {there} from' | tar x -C to && diff -r from to/from"));
}

#[test]
fn a_loop_that_reads_a_list_keeps_it_with_n_and_loses_it_without() {
    let pair = Pair::new();
    for (option, lines) in [("-n", "1\n2\n3\n"), ("-q", "1\n")] {
        let line = "printf '1\\n2\\n3\\n' | while read n; do \"$0\" \"$1\" \"$2\" \"echo $n; cat >/dev/null\"; done";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", line, binary("kw-pty"), option, &pair.address]);
        assert_eq!(Done::of(shell.env("KEYWIRE_HOME", pair.guest.home())).succeeds().stdout, lines, "{option}");
    }
}

#[test]
fn standard_error_and_input_get_through_a_flood_of_standard_output() {
    let pair = Pair::new();
    let mut client = pair.guest.command("kw-pty");
    client.args([&pair.address, "yes & while read line; do echo heard $line >&2; done; kill $!"]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut flood = client.stdout.take().unwrap();
    flood.read_exact(&mut [0; 4096]).unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut flood, &mut std::io::sink()).unwrap());
    let mut stdin = client.stdin.take().unwrap();
    let mut stderr = BufReader::new(client.stderr.take().unwrap());
    for number in 0..20 {
        writeln!(stdin, "{number}").unwrap();
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert_eq!(line, format!("heard {number}\n"));
    }
    drop(stdin);
    assert!(client.wait().unwrap().success());
    assert!(reader.join().unwrap() > 0);
}

#[test]
fn a_flood_of_errors_that_the_network_holds_up_does_not_keep_the_host_from_hearing() {
    let pair = Pair::new();
    let (link, address) = Link::to_peer(&pair.address, Quality::slow(std::time::Duration::from_millis(20), 4_000_000));
    let mut client = pair.guest.command("kw-pty");
    client.args([&address, "head -c 6000000 /dev/zero & head -c 12000000 /dev/zero >&2; wait; exit 5"]);
    let done = Done::of(&mut client);
    assert_eq!((done.code(), done.bytes.len(), done.stderr.len()), (5, 6_000_000, 12_000_000));
    drop(link);
}

#[test]
fn an_empty_command_is_a_login_shell() {
    let pair = Pair::new();
    let mut client = pair.guest.command("kw-pty");
    let done = Done::with(client.args([&pair.address, ""]), b"echo \"<$0>\"\n");
    assert!(done.stdout.contains("<-"), "{done:?}");
}

#[test]
fn a_command_is_no_login_shell() {
    let done = Pair::new().run("echo \"<$0>\"").succeeds();
    assert!(!done.stdout.contains("<-"), "{done:?}");
}

#[test]
fn values_that_are_handed_on_stand_on_no_command_line_and_in_no_log() {
    let (host, guest) = (User::with_key(), User::with_key());
    let mut command = host.command("kw-ptyd");
    command.args(["--listen", "127.0.0.1:0", "--allow", &guest.key()]).stderr(Stdio::piped());
    let mut daemon = Running::start(&mut command);
    let address = daemon.address();
    let mut client = guest.command("kw-pty");
    let look = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; echo \"$LC_TOKEN\" | tr a-z A-Z";
    let done = Done::of(client.args(["-vv", &address, look]).env("LC_TOKEN", "open-sesame")).succeeds();
    assert!(done.stdout.contains("OPEN-SESAME"), "it was not handed on");
    daemon.signal(Signal::SIGTERM);
    daemon.child.wait().unwrap();
    let log = said(&mut daemon);
    assert!(log.contains("LC_TOKEN"), "the log does not know the command: {log}");
    for seen in [&done.stdout, &done.stderr, &log] {
        assert!(!seen.contains("open-sesame"), "{seen}");
    }
}

#[test]
fn a_command_has_the_limits_and_the_mask_that_its_host_was_started_with() {
    let (host, guest) = (User::with_key(), User::with_key());
    let line = "umask 027; ulimit -n 777; exec \"$0\" --listen 127.0.0.1:0 --allow \"$1\"";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line, binary("kw-ptyd"), &guest.key()]).env("KEYWIRE_HOME", host.home()).stderr(Stdio::null());
    let mut daemon = Running::start(&mut command);
    let address = daemon.address();
    assert_eq!(guest.run("kw-pty", [&address, "umask; ulimit -n"]).succeeds().stdout, "0027\n777\n");
}

#[test]
fn a_rule_that_has_expired_lets_nobody_in() {
    let (host, guest) = (User::with_key(), User::with_key());
    host.run("kw-peers", ["allow", &guest.key(), "shell", "--expires", "2099-01-01"]).succeeds();
    let mut daemon = Running::start(host.command("kw-ptyd").args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()));
    let address = daemon.address();
    guest.run("kw-pty", [&address, "true"]).succeeds();
    let file = host.home().join("allow.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("2099-", "2019-")).unwrap();
    guest.run("kw-pty", [&address, "true"]).fails(255, "expired");
}

#[test]
fn what_is_typed_is_not_held_back_on_either_side() {
    let strace = |log: &Path| {
        let mut command = Command::new("strace");
        // As a detached grandchild: the process that is started is the program itself.
        command.args(["-D", "-f", "-e", "trace=setsockopt", "-o"]).arg(log).stderr(Stdio::null());
        command
    };
    let dir = Dir::new();
    let (ours, theirs) = (dir.join("client"), dir.join("host"));
    if !strace(&ours).arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: strace is not installed, or may not trace here");
        return;
    }
    let (host, guest) = (User::with_key(), User::with_key());
    let mut daemon = strace(&theirs);
    daemon.args([binary("kw-ptyd"), "--listen", "127.0.0.1:0", "--allow", &guest.key()]);
    let mut daemon = Running::start(daemon.env("KEYWIRE_HOME", host.home()));
    let address = daemon.address();
    let mut client = strace(&ours);
    Done::of(client.args([binary("kw-pty"), &address, "true"]).env("KEYWIRE_HOME", guest.home())).succeeds();
    for log in [ours, theirs] {
        eventually("it sends at once", || std::fs::read_to_string(&log).unwrap().contains("TCP_NODELAY, [1]"));
    }
}

#[test]
fn no_terminal_is_given_where_none_is_wanted() {
    let pair = Pair::new();
    for options in [&["-T"][..], &["-tt", "-T"]] {
        let done = Done::of(pair.guest.command("kw-pty").args(options).args([&pair.address, "tty"]));
        assert_eq!(done.stdout, "not a tty\n", "{options:?}");
    }
}

#[test]
fn a_hundred_sessions_in_a_row_lose_no_last_line() {
    let pair = Pair::new();
    for at in 0..100 {
        let mut client = pair.guest.command("kw-pty");
        let done = Done::with(client.args(["-tt", &pair.address, &format!("echo last {at}")]), b"typed meanwhile");
        assert!(done.status.success() && done.stdout.contains(&format!("last {at}\r\n")), "{done:?}");
    }
}
