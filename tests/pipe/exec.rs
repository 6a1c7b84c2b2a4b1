//! `kw-pipe listen --exec`: a command for each dialer, and what becomes of it.

use super::{Pipe, two};
use crate::sandbox::User;
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// A listener that runs `line` for each dialer, and its address.
pub fn serving(host: &User, line: &str) -> (Pipe, String) {
    let mut listen = Pipe::start(host, ["listen", "--exec", line, "127.0.0.1:0"]);
    let address = listen.served();
    (listen, address)
}

/// A FIFO: whoever reads it sees its end when every process that wrote to it is gone.
fn fifo(user: &User) -> PathBuf {
    let path = user.file("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    path
}

/// Waits until all processes that hold `fifo` for writing are gone.
fn gone(fifo: &mut File) {
    let mut rest = Vec::new();
    fifo.read_to_end(&mut rest).unwrap();
}

/// Opens `fifo` and waits for the command's first byte.
fn started(fifo: &Path) -> File {
    let mut fifo = File::open(fifo).unwrap();
    fifo.read_exact(&mut [0]).unwrap();
    fifo
}

/// The direct children of a process, the dead ones that nobody asked about too.
pub fn children(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let list = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        children.extend(list.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
    }
    children
}

#[test]
fn a_command_sees_the_end_of_its_input_and_its_output_still_comes() {
    let (host, dialer, _) = two();
    let (_listen, address) = serving(&host, "sort");
    let sorted = dialer.run_with("kw-pipe", ["dial", &address], b"pear\napple\n").succeeds();
    assert_eq!(sorted.stdout, "apple\npear\n");
    let large = vec![b'x'; 3 << 20];
    let (_listen, address) = serving(&host, "cat");
    assert!(dialer.run_with("kw-pipe", ["dial", &address], &large).succeeds().bytes == large);
}

#[test]
fn the_output_of_a_command_is_complete_though_the_input_never_ends() {
    let (host, dialer, _) = two();
    let (_listen, address) = serving(&host, "head -c 20000000 /dev/zero; echo end");
    let mut dial = Pipe::start(&dialer, ["dial", &address]);
    let mut bytes = Vec::new();
    dial.out.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 20_000_004);
    assert!(dial.child.wait().unwrap().success(), "{}", dial.said());
}

#[test]
fn a_command_may_end_before_it_has_read_its_input() {
    let (host, dialer, _) = two();
    let (listen, address) = serving(&host, "head -1");
    let mut dial = Pipe::start(&dialer, ["dial", &address]);
    let mut feed = dial.child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || while feed.write_all(b"line\n").is_ok() {});
    let done = dial.finish().succeeds();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("line\n", ""));
    feeding.join().unwrap();
    listen.signal(Signal::SIGTERM);
    assert_eq!(listen.finish().succeeds().stderr, "");
}

#[test]
fn a_command_that_fails_is_an_error_at_the_dialer_after_all_its_output() {
    let (host, dialer, _) = two();
    for (line, why) in [("echo out; exit 3", "ended with status 3"), ("echo out; kill -9 $$", "ended by SIGKILL")] {
        let (mut listen, address) = serving(&host, line);
        let failed = dialer.run("kw-pipe", ["dial", &address]);
        assert_eq!((failed.code(), failed.stdout.as_str()), (4, "out\n"), "{failed:?}");
        assert!(
            failed.stderr.contains(
                &format!("the other side cannot: the command was {why}").replace("was ended with", "ended with")
            ),
            "{failed:?}"
        );
        assert!(listen.said().contains(why));
    }
}

#[test]
fn a_command_knows_who_is_at_the_other_end() {
    let (host, dialer, key) = two();
    let (_listen, address) = serving(&host, "echo $KEYWIRE_PEER; echo $KEYWIRE_CONNECTION");
    let told = dialer.run("kw-pipe", ["dial", &address]).succeeds().stdout;
    let (peer, connection) = told.split_once('\n').unwrap();
    assert_eq!(peer, key);
    let words: Vec<&str> = connection.split_whitespace().collect();
    let port = address.rsplit_once(':').unwrap().1;
    assert_eq!((words.len(), words[0], words[2], words[3]), (4, "127.0.0.1", "127.0.0.1", port));
}

#[test]
fn a_command_whose_dialer_is_killed_is_hung_up_and_never_sees_an_end() {
    let (host, dialer, _) = two();
    let (fifo, done) = (fifo(&host), host.file("done"));
    let line = format!("exec 3>{}; echo >&3; cat > /dev/null && touch {}", fifo.display(), done.display());
    let (mut listen, address) = serving(&host, &line);
    let mut dial = Pipe::start(&dialer, ["dial", &address]);
    let mut fifo = started(&fifo);
    dial.stdin().write_all(&[1; 500_000]).unwrap();
    dial.signal(Signal::SIGKILL);
    gone(&mut fifo);
    assert!(listen.said().contains("the connection was cut"));
    assert!(!done.exists(), "the command took a cut for the end of its input");
    assert_eq!(children(listen.pid()), Vec::<u32>::new());
}

#[test]
fn a_command_that_does_not_listen_to_a_hangup_is_killed() {
    let (host, dialer, _) = two();
    let fifo = fifo(&host);
    let line = format!("trap '' HUP; exec 3>{}; echo >&3; while :; do sleep 1000; done", fifo.display());
    let (_listen, address) = serving(&host, &line);
    let dial = Pipe::start(&dialer, ["dial", &address]);
    let mut fifo = started(&fifo);
    dial.signal(Signal::SIGKILL);
    gone(&mut fifo);
}

#[test]
fn a_command_whose_listener_is_killed_is_gone_too() {
    let (host, dialer, _) = two();
    let fifo = fifo(&host);
    let (listen, address) = serving(&host, &format!("exec 3>{}; echo >&3; exec cat /dev/zero", fifo.display()));
    let mut dial = Pipe::start(&dialer, ["dial", &address]);
    let mut fifo = started(&fifo);
    dial.out.read_exact(&mut [0; 100_000]).unwrap();
    listen.signal(Signal::SIGKILL);
    gone(&mut fifo);
    let cut = dial.finish();
    assert_eq!(cut.code(), 4);
    assert!(cut.stderr.contains("the connection was cut"), "{}", cut.stderr);
}

#[test]
fn a_listener_that_is_asked_to_end_says_so_and_takes_its_commands_with_it() {
    let (host, dialer, _) = two();
    let fifo = fifo(&host);
    let (listen, address) = serving(&host, &format!("exec 3>{}; echo >&3; exec cat", fifo.display()));
    let mut dial = Pipe::start(&dialer, ["dial", &address]);
    let mut fifo = started(&fifo);
    listen.signal(Signal::SIGTERM);
    gone(&mut fifo);
    assert!(dial.child.wait().unwrap().code() == Some(4));
    assert!(dial.said().contains("the other side is going away: kw-pipe was asked to end"));
    listen.finish().succeeds();
    dialer.run("kw-pipe", ["dial", &address]).fails(4, "connection refused");
}

#[test]
fn a_command_that_stops_reading_holds_up_only_its_own_dialer() {
    let (host, dialer, _) = two();
    let (_listen, address) = serving(&host, "read line; if [ $line = wait ]; then exec sleep 1000; fi; echo $line");
    let mut stuck = Pipe::start(&dialer, ["dial", &address]);
    stuck.stdin().write_all(b"wait\n").unwrap();
    stuck.stdin().write_all(&[b'x'; 60_000]).unwrap();
    assert_eq!(dialer.run_with("kw-pipe", ["dial", &address], b"go\n").succeeds().stdout, "go\n");
}

/// Open descriptors and resident KiB of a process.
pub fn holds(pid: u32) -> (usize, u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
    (std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), resident)
}

#[test]
fn a_thousand_sessions_leave_nothing_behind() {
    use crate::peer::{Peer, rest};
    use keywire::conn::kind;
    use keywire::proto::pipe::{DATA, EOF};
    let host = User::with_key();
    let me = keywire::key::KeyPair::generate().unwrap();
    let mut listen =
        Pipe::start(&host, ["listen", "--allow", &me.public().to_string(), "--exec", "exec cat", "127.0.0.1:0"]);
    let to = listen.served().parse().unwrap();
    let session = || {
        let mut peer = Peer::dial(&me, &to, "pipe");
        peer.send(DATA, b"echo");
        peer.send(EOF, &[]);
        assert_eq!(peer.recv().unwrap(), (DATA, b"echo".to_vec()));
        assert_eq!(peer.recv().unwrap(), (EOF, Vec::new()));
        assert_eq!(peer.recv().unwrap().0, kind::CLOSE);
        peer.close(4);
        assert_eq!(rest(&mut peer.socket), b"");
    };
    let sessions = |count: usize| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..count / 4).for_each(|_| session()));
            }
        });
    };
    sessions(100);
    let before = holds(listen.pid());
    sessions(1000);
    // One more, so that the last of the thousand is over on the other side too; then everything has been put away.
    session();
    let after = holds(listen.pid());
    assert_eq!(children(listen.pid()), Vec::<u32>::new());
    assert!(after.0 <= before.0 + 2, "descriptors: {before:?} before, {after:?} after");
    assert!(after.1 <= before.1 + 8192, "KiB: {before:?} before, {after:?} after");
}
