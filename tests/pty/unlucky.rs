//! Bad luck and bad company: a host that dies in the midst of it, readers that never read, and memory that must not grow.

use super::{Pair, eventually, is_alive, random};
use crate::link::{Link, Quality};
use crate::sandbox::{Done, Running, User, binary};
use keywire::key::{KeyPair, SecretKey};
use keywire::store::Store;
use keywire::trust::{Allowlist, Right};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

/// Most that one side may take for a session whose other side does not read, in KiB: a window of 4 MiB and what is sealed.
const MOST_HELD: u64 = 16 << 10;

/// The most KiB of memory that a process has ever had.
fn most_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    most.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Ticks of processor time that a process has used.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Waits until a process has nothing more to do: whatever could flow has flown.
fn settles(pid: u32) {
    eventually("it has nothing more to do", || {
        let before = ticks(pid);
        std::thread::sleep(Duration::from_millis(300));
        before == ticks(pid)
    });
}

/// Lets a process run on whatever becomes of the test, so that it can be ended.
struct Stopped<'a>(&'a Running);

impl<'a> Stopped<'a> {
    fn new(running: &'a Running) -> Self {
        running.signal(Signal::SIGSTOP);
        Stopped(running)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::SIGCONT);
    }
}

#[test]
fn a_host_that_is_killed_in_the_midst_of_a_flood_leaves_no_flood_and_can_start_anew() {
    let pair = Pair::new();
    let mut clients = Vec::new();
    for options in [&[][..], &["-tt"]] {
        let mut client = pair.guest.command("kw-pty");
        client.args(options).args([&pair.address, "echo $$; exec yes"]).stderr(Stdio::piped());
        let mut client = Running::start(&mut client);
        let pid: i32 = client.line().trim().parse().unwrap();
        for _ in 0..10_000 {
            assert_eq!(client.line().trim(), "y");
        }
        clients.push((client, pid));
    }
    pair.daemon.signal(Signal::SIGKILL);
    for (mut client, pid) in clients {
        let mut said = String::new();
        let mut stderr = client.child.stderr.take().unwrap();
        while client.line().trim() == "y" {}
        stderr.read_to_string(&mut said).unwrap();
        assert!(said.contains("the connection was"), "{said}");
        assert_eq!(client.child.wait().unwrap().code(), Some(255));
        eventually("the flood has ended", || !is_alive(pid));
    }
    let at = pair.address.split_once('@').unwrap().1;
    let mut command = pair.host.command("kw-ptyd");
    let mut anew = Running::start(command.args(["--listen", at, "--allow", &pair.guest.key()]).stderr(Stdio::null()));
    assert_eq!(anew.address(), pair.address);
    assert_eq!(pair.run("echo anew").succeeds().stdout, "anew\n");
}

#[test]
fn two_clients_at_once_get_their_bytes_back_in_both_directions() {
    let pair = Pair::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let bytes = random(64 << 20);
                assert!(pair.run_with("cat", &bytes).succeeds().bytes == bytes, "the bytes were changed");
            });
        }
    });
}

#[test]
fn clients_that_never_read_take_little_memory_and_disturb_nobody() {
    let pair = Pair::new();
    let flood = "head -c 100000000 /dev/zero";
    pair.run(flood).succeeds();
    let before = most_memory(pair.daemon.pid());
    let clients: Vec<Running> = [&[][..], &["-tt"], &[], &["-tt"]]
        .map(|options| {
            let mut client = pair.start(options, "echo $$; exec yes");
            client.line();
            client
        })
        .into();
    let stopped: Vec<Stopped<'_>> = clients.iter().map(Stopped::new).collect();
    settles(pair.daemon.pid());
    assert_eq!(pair.run(flood).succeeds().bytes.len(), 100_000_000);
    let done = pair.guest.run("kw-pty", ["-tt", &pair.address, "seq 1 20000"]).succeeds();
    assert!(done.stdout.ends_with("20000\r\n"));
    let after = most_memory(pair.daemon.pid());
    assert!(after < before + MOST_HELD, "{before} KiB before, {after} KiB after");
    drop(stopped);
}

#[test]
fn output_that_nobody_reads_fills_no_memory_and_comes_whole_in_the_end() {
    let pair = Pair::new();
    let mut client = pair.start(&[], "echo $$; head -c 200000000 /dev/zero; exit 3");
    client.line();
    settles(client.pid());
    for pid in [client.pid(), pair.daemon.pid()] {
        assert!(most_memory(pid) < 2 * MOST_HELD, "{} KiB", most_memory(pid));
    }
    let (status, rest) = client.finish();
    assert_eq!((status.code(), rest.len()), (Some(3), 200_000_000));
}

#[test]
fn input_that_nobody_reads_fills_no_memory() {
    let pair = Pair::new();
    let mut client = pair.guest.command("kw-pty");
    client.args([&pair.address, "echo $$; read line; exit 4"]).stdin(std::fs::File::open("/dev/zero").unwrap());
    let mut client = client.stdout(Stdio::piped()).spawn().unwrap();
    let mut pid = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(client.stdout.take().unwrap()), &mut pid).unwrap();
    settles(client.id());
    for pid in [client.id(), pair.daemon.pid()] {
        assert!(most_memory(pid) < 2 * MOST_HELD, "{} KiB", most_memory(pid));
    }
    client.kill().unwrap();
    client.wait().unwrap();
    eventually("the command has ended", || !is_alive(pid.trim().parse().unwrap()));
}

#[test]
fn a_client_that_is_stopped_for_too_long_loses_its_session_and_is_told() {
    let pair = Pair::with(&["--keepalive", "1"]);
    for command in ["exec sleep 1000", "exec yes"] {
        let mut client = pair.guest.command("kw-pty");
        client.args([&pair.address, &format!("echo $$; {command}")]).stderr(Stdio::piped());
        let mut client = Running::start(&mut client);
        let pid = client.line().trim().parse().unwrap();
        let stopped = Stopped::new(&client);
        eventually("the command has ended", || !is_alive(pid));
        drop(stopped);
        let mut stderr = client.child.stderr.take().unwrap();
        let mut said = String::new();
        while client.line() == "y" {}
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(client.child.wait().unwrap().code(), Some(255), "{said}");
        assert!(said.contains("the connection was") || said.contains("no sign of life"), "{said}");
    }
}

#[test]
fn a_network_that_dies_in_the_midst_of_a_flood_in_both_directions_ends_everything() {
    let pair = Pair::with(&["--keepalive", "1"]);
    for silent in [false, true] {
        let (link, address) = Link::to_peer(&pair.address, Quality::NEAR);
        let mut client = pair.guest.command("kw-pty");
        client.args(["--keepalive", "1", &address, "echo $$; exec cat"]).stderr(Stdio::null());
        let mut client = Running::start(&mut client);
        let pid = client.line().parse().unwrap();
        let mut stdin = client.child.stdin.take().unwrap();
        let writing = std::thread::spawn(move || while stdin.write_all(b"all work and no play\n").is_ok() {});
        for _ in 0..100_000 {
            client.line();
        }
        if silent {
            link.die();
        } else {
            link.cut();
        }
        let (status, _) = client.finish();
        assert_eq!(status.code(), Some(255));
        writing.join().unwrap();
        eventually("the command has ended", || !is_alive(pid));
    }
}

#[test]
fn a_host_without_descriptors_turns_new_sessions_away_and_goes_on() {
    let (host, guest) = (User::with_key(), User::with_key());
    let line = "ulimit -n 40; exec \"$0\" --listen 127.0.0.1:0 --allow \"$1\"";
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", line, binary("kw-ptyd"), &guest.key()]).env("KEYWIRE_HOME", host.home());
    let mut daemon = Running::start(command.stderr(Stdio::null()));
    let address = daemon.address();
    let mut sessions = Vec::new();
    let refused = loop {
        let mut client = guest.command("kw-pty");
        client.args(["--keepalive", "1", &address, "echo up; sleep 1000"]).stderr(Stdio::piped());
        let mut client = Running::start(&mut client);
        if client.line() != "up" {
            break client;
        }
        sessions.push(client);
        assert!(sessions.len() < 40, "there are descriptors for everybody");
    };
    let (status, _) = refused.finish();
    assert!(matches!(status.code(), Some(126 | 255)), "{status:?}");
    assert!(!sessions.is_empty());
    drop(sessions);
    eventually("there is room again", || guest.run("kw-pty", [&address, "echo in"]).stdout == "in\n");
}

#[test]
fn an_allowlist_of_ten_thousand_rules_lets_the_last_one_in() {
    let (host, guest) = (User::with_key(), User::with_key());
    Allowlist::update(&Store::at(&host.home()), |list| {
        for number in 0..10_000_u32 {
            let mut secret = [1; 32];
            secret[..4].copy_from_slice(&number.to_be_bytes());
            let key = KeyPair::from_secret(SecretKey::from_bytes(&secret)).public();
            list.rule_mut(key).rights.insert(Right::Shell);
        }
        list.rule_mut(guest.key().parse().unwrap()).rights.insert(Right::Exec);
        Ok(())
    })
    .unwrap();
    let mut daemon = Running::start(host.command("kw-ptyd").args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()));
    let address = daemon.address();
    assert_eq!(guest.run("kw-pty", [&address, "echo in"]).succeeds().stdout, "in\n");
    let done = Done::of(User::with_key().command("kw-pty").args([&address, "echo in"]));
    done.fails(255, "not on the allowlist");
}
