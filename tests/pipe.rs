//! kw-pipe with real processes: standard input and output between two keys, and every way in which that can fail; below
//! this, commands and TCP ports.

pub mod exec;
mod tcp;

use crate::peer::Peer;
use crate::sandbox::{Done, User};
use blake2::{Blake2b512, Digest};
use keywire::key::KeyPair;
use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, Stdio};
use std::time::{Duration, Instant};

/// A kw-pipe that runs beside the test; it is killed when the test ends.
pub struct Pipe {
    child: Child,
    out: Box<dyn BufRead + Send>,
    err: BufReader<ChildStderr>,
}

impl Pipe {
    pub fn start<S: AsRef<OsStr>>(user: &User, args: impl IntoIterator<Item = S>) -> Self {
        let mut command = user.command("kw-pipe");
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = Box::new(BufReader::new(child.stdout.take().unwrap()));
        let err = BufReader::new(child.stderr.take().unwrap());
        Pipe { child, out, err }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stdin(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().unwrap()
    }

    /// The next line on standard output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// The next line on standard error.
    pub fn said(&mut self) -> String {
        let mut line = String::new();
        self.err.read_line(&mut line).unwrap();
        line
    }

    /// The address in the first line of a listener for standard input and output.
    pub fn address(&mut self) -> String {
        address(&self.said())
    }

    /// The address in the first line of a listener for a command or a TCP port.
    pub fn served(&mut self) -> String {
        address(&self.line())
    }

    /// Ends its standard input and waits for its end.
    pub fn finish(mut self) -> Done {
        drop(self.child.stdin.take());
        let (mut bytes, mut stderr) = (Vec::new(), String::new());
        std::thread::scope(|scope| {
            scope.spawn(|| self.err.read_to_string(&mut stderr).unwrap());
            self.out.read_to_end(&mut bytes).unwrap();
        });
        let stdout = String::from_utf8_lossy(&bytes).into_owned();
        Done { status: self.child.wait().unwrap(), bytes, stdout, stderr }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(line: &str) -> String {
    line.trim_end().strip_prefix("listening ").unwrap_or_else(|| panic!("no address in {line:?}")).to_owned()
}

/// Two users, of whom the first one's listeners let the second one in.
pub fn two() -> (User, User, String) {
    let (host, dialer) = (User::with_key(), User::with_key());
    let key = dialer.key();
    host.run("kw-peers", ["allow", &key, "pipe"]).succeeds();
    (host, dialer, key)
}

/// Bytes that no pattern helps to guess (xorshift64*), the same for the same seed.
pub struct Noise(pub u64);

impl Noise {
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for eight in bytes.chunks_mut(8) {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let random = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
            eight.copy_from_slice(&random[..eight.len()]);
        }
    }
}

#[test]
fn a_quarter_of_a_gibibyte_crosses_in_both_directions_at_once_unharmed() {
    const MEBIBYTES: usize = 256;
    fn feed(mut stdin: ChildStdin, seed: u64) -> Vec<u8> {
        let (mut noise, mut hash, mut piece) = (Noise(seed), Blake2b512::new(), vec![0; 1 << 20]);
        for _ in 0..MEBIBYTES {
            noise.fill(&mut piece);
            hash.update(&piece);
            stdin.write_all(&piece).unwrap();
        }
        hash.finalize().to_vec()
    }
    fn drain(out: &mut (dyn BufRead + Send)) -> (u64, Vec<u8>) {
        let (mut hash, mut piece, mut total) = (Blake2b512::new(), vec![0; 1 << 20], 0);
        loop {
            match out.read(&mut piece).unwrap() {
                0 => return (total, hash.finalize().to_vec()),
                count => {
                    hash.update(&piece[..count]);
                    total += count as u64;
                }
            }
        }
    }
    let (host, dialer, _) = two();
    let mut listen = Pipe::start(&host, ["listen", "127.0.0.1:0"]);
    let mut dial = Pipe::start(&dialer, ["dial", &listen.address()]);
    let (from_host, from_dialer) = (listen.child.stdin.take().unwrap(), dial.child.stdin.take().unwrap());
    std::thread::scope(|scope| {
        let host_sent = scope.spawn(|| feed(from_host, 1));
        let dialer_sent = scope.spawn(|| feed(from_dialer, 2));
        let host_got = scope.spawn(|| drain(listen.out.as_mut()));
        let dialer_got = drain(dial.out.as_mut());
        let host_got = host_got.join().unwrap();
        assert_eq!(dialer_got, ((MEBIBYTES << 20) as u64, host_sent.join().unwrap()));
        assert_eq!(host_got, ((MEBIBYTES << 20) as u64, dialer_sent.join().unwrap()));
    });
    dial.finish().succeeds();
    listen.finish().succeeds();
}

#[test]
fn one_direction_ends_while_the_other_goes_on() {
    let (host, dialer, _) = two();
    for dialer_ends_first in [true, false] {
        let mut listen = Pipe::start(&host, ["listen", "127.0.0.1:0"]);
        let dial = Pipe::start(&dialer, ["dial", &listen.address()]);
        let (mut first, mut second) = if dialer_ends_first { (dial, listen) } else { (listen, dial) };
        first.stdin().write_all(b"question\n").unwrap();
        drop(first.child.stdin.take());
        let mut question = String::new();
        second.out.read_to_string(&mut question).unwrap();
        assert_eq!(question, "question\n");
        second.stdin().write_all(b"answer\n").unwrap();
        assert_eq!(first.line(), "answer\n");
        second.stdin().write_all(b"and more\n").unwrap();
        second.finish().succeeds();
        assert_eq!(first.finish().succeeds().stdout, "and more\n");
    }
}

#[test]
fn no_bytes_at_all_are_delivered_too() {
    let (host, dialer, _) = two();
    let mut listen = Pipe::start(&host, ["listen", "-n", "127.0.0.1:0"]);
    let dialed = dialer.run("kw-pipe", ["dial", &listen.address()]).succeeds();
    assert_eq!((dialed.stdout.as_str(), dialed.stderr.as_str()), ("", ""));
    let listened = listen.finish().succeeds();
    assert_eq!((listened.stdout.as_str(), listened.stderr.as_str()), ("", ""));
}

#[test]
fn an_ipv6_address_is_dialed_as_it_was_printed() {
    let (host, dialer, _) = two();
    let mut listen = Pipe::start(&host, ["listen", "-n", "[::1]:0"]);
    let address = listen.address();
    assert!(address.contains("@[::1]:"), "{address}");
    dialer.run_with("kw-pipe", ["dial", &address], b"six").succeeds();
    assert_eq!(listen.finish().succeeds().stdout, "six");
}

#[test]
fn a_name_from_the_address_book_is_dialed_and_allowed() {
    let (host, dialer) = (User::with_key(), User::with_key());
    host.run("kw-peers", ["add", "dialer", &dialer.key()]).succeeds();
    let mut listen = Pipe::start(&host, ["listen", "-n", "--allow", "dialer", "127.0.0.1:0"]);
    dialer.run("kw-peers", ["add", "host", &listen.address()]).succeeds();
    dialer.run_with("kw-pipe", ["dial", "host"], b"by name").succeeds();
    assert_eq!(listen.finish().succeeds().stdout, "by name");
}

#[test]
fn a_stranger_is_refused_by_key_and_the_listener_waits_for_the_one_it_allows() {
    let (host, dialer, _) = two();
    let stranger = User::with_key();
    let key = stranger.key();
    let mut listen = Pipe::start(&host, ["listen", "-n", "127.0.0.1:0"]);
    let address = listen.address();
    let refused = stranger.run_with("kw-pipe", ["dial", &address], b"let me in").fails(3, &key);
    assert!(refused.stderr.contains("it is not on the allowlist"), "{refused:?}");
    assert!(refused.stderr.contains(&format!("hint: on the host: kw-peers allow {key} pipe")), "{refused:?}");
    let logged = listen.said();
    assert!(logged.contains(&format!("refused {key} from 127.0.0.1:")), "{logged}");
    assert!(listen.said().contains(&format!("hint: to allow it: kw-peers allow {key} pipe")));
    dialer.run_with("kw-pipe", ["dial", &address], b"me instead").succeeds();
    assert_eq!(listen.finish().succeeds().stdout, "me instead");
}

#[test]
fn a_stranger_who_does_not_go_away_holds_up_nobody() {
    let (host, dialer, _) = two();
    let mut listen = Pipe::start(&host, ["listen", "-n", "127.0.0.1:0"]);
    let address = listen.address();
    let stranger = KeyPair::generate().unwrap();
    let lingering: Vec<Peer> = (0..20).map(|_| Peer::dial(&stranger, &address.parse().unwrap(), "pipe")).collect();
    for _ in &lingering {
        assert!(listen.said().contains("refused"));
        assert!(listen.said().contains("hint"));
    }
    let started = Instant::now();
    dialer.run_with("kw-pipe", ["dial", &address], b"quick").succeeds();
    assert!(started.elapsed() < Duration::from_secs(15), "held up for {:?}", started.elapsed());
    drop(lingering);
    assert_eq!(listen.finish().succeeds().stdout, "quick");
}

#[test]
fn the_right_to_a_shell_is_no_right_to_a_pipe() {
    let (host, dialer) = (User::with_key(), User::with_key());
    host.run("kw-peers", ["allow", &dialer.key(), "shell"]).succeeds();
    let mut listen = Pipe::start(&host, ["listen", "127.0.0.1:0"]);
    dialer.run("kw-pipe", ["dial", &listen.address()]).fails(3, "without the right 'pipe'");
}

#[test]
fn an_allowlist_that_cannot_be_read_lets_nobody_in() {
    let (host, dialer, _) = two();
    let mut listen = Pipe::start(&host, ["listen", "127.0.0.1:0"]);
    let address = listen.address();
    std::fs::write(host.home().join("allow.json"), "{").unwrap();
    let refused = dialer.run("kw-pipe", ["dial", &address]).fails(4, "its allowlist cannot be read");
    assert!(!refused.stderr.contains(&host.home().display().to_string()), "{refused:?}");
    assert!(listen.said().contains("allow.json"));
}

#[test]
fn every_dial_that_fails_says_why_in_one_line_and_what_to_do() {
    let (host, dialer, _) = two();
    let mut listen = Pipe::start(&host, ["listen", "127.0.0.1:0"]);
    let address = listen.address();
    let (key, at) = address.split_once('@').unwrap();
    let other = KeyPair::generate().unwrap().public();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        (format!("{other}@{at}"), 4, "handshake with kw1", Some("does the host have that key")),
        (format!("{key}@{free}"), 4, "connection refused", Some("nothing listens there")),
        (format!("{key}@no-such-host.invalid:7"), 4, "cannot find the host 'no-such-host.invalid'", None),
        (format!("{key}@127.0.0.1"), 2, "no port", Some("KEY@HOST:PORT")),
        (format!("{}@{at}", key.replace("kw1", "kw1q")), 2, "characters instead of 61", None),
        (key.to_owned(), 2, "no address is known", Some("@HOST:PORT")),
        ("nobody".to_owned(), 1, "no peer is called 'nobody'", Some("kw-peers list")),
    ];
    for (to, code, why, hint) in cases {
        let failed = dialer.run("kw-pipe", ["dial", &to]).fails(code, why);
        let (errors, hints): (Vec<&str>, Vec<&str>) = failed.stderr.lines().partition(|line| !line.contains(" hint: "));
        assert_eq!(errors.len(), 1, "{failed:?}");
        assert!(hint.is_none_or(|hint| hints.concat().contains(hint)), "{hint:?} is not in {failed:?}");
        assert!(failed.stderr.lines().all(|line| line.starts_with("kw-pipe: ")), "{failed:?}");
    }
}

#[test]
fn a_listener_that_cannot_start_says_why() {
    let user = User::with_key();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    user.run("kw-pipe", ["listen", &taken]).fails(5, "address already in use");
    user.run("kw-pipe", ["listen", "127.0.0.1"]).fails(2, "no port in '127.0.0.1'");
    user.run("kw-pipe", ["listen", "--exec", "cat", "--tcp", "h:1", "127.0.0.1:0"]).fails(2, "exclude each other");
    user.run("kw-pipe", ["listen", "--tcp", "h", "127.0.0.1:0"]).fails(2, "no port in 'h'");
    user.run("kw-pipe", ["listen", "--allow", "nobody", "127.0.0.1:0"]).fails(1, "no peer is called 'nobody'");
    user.run("kw-pipe", ["listen", "--max-startups", "0", "127.0.0.1:0"]).fails(2, "let nobody in");
    User::new().run("kw-pipe", ["listen", "127.0.0.1:0"]).fails(5, "no identity");
}

#[test]
fn a_port_of_another_service_answers_a_pipe_with_no_byte() {
    let (host, dialer, _) = two();
    let mut ptyd = crate::sandbox::Running::start(host.command("kw-ptyd").args(["--listen", "127.0.0.1:0"]));
    let address = ptyd.address();
    dialer.run("kw-pipe", ["dial", &address]).fails(4, "it closed without an answer");
    let mut socket = crate::peer::connect(&address.parse().unwrap());
    let stranger = KeyPair::generate().unwrap();
    let (_, first) = crate::peer::first_words(&stranger, &address.parse().unwrap(), "pipe");
    socket.write_all(&first).unwrap();
    assert_eq!(crate::peer::rest(&mut socket), b"");
}

#[test]
fn dialing_oneself_needs_to_be_meant_on_both_sides() {
    let user = User::with_key();
    for (listens, dials, works) in [(false, true, false), (true, false, false), (true, true, true)] {
        let flag = |meant| if meant { &["--allow-self"][..] } else { &[] };
        let key = user.key();
        let mut listen =
            Pipe::start(&user, [&["listen", "-n", "--allow", &key], flag(listens), &["127.0.0.1:0"]].concat());
        let address = listen.address();
        let dialed = user.run_with("kw-pipe", [&["dial"], flag(dials), &[address.as_str()]].concat(), b"me");
        assert_eq!(dialed.status.success(), works, "{dialed:?}");
        assert_eq!(dialed.stderr.contains("--allow-self"), !dials, "{dialed:?}");
        if works {
            assert_eq!(listen.finish().succeeds().stdout, "me");
        }
    }
}

#[test]
fn whoever_outlives_a_killed_side_says_that_it_was_cut() {
    let (host, dialer, _) = two();
    for kill_the_listener in [true, false] {
        let mut listen = Pipe::start(&host, ["listen", "127.0.0.1:0"]);
        let dial = Pipe::start(&dialer, ["dial", &listen.address()]);
        let (victim, mut other) = if kill_the_listener { (listen, dial) } else { (dial, listen) };
        let mut victim = victim;
        // Data flows, and more of it than was read.
        let mut feed = victim.child.stdin.take().unwrap();
        let feeding = std::thread::spawn(move || while feed.write_all(&[7; 65_536]).is_ok() {});
        let mut some = [0; 100_000];
        other.out.read_exact(&mut some).unwrap();
        victim.signal(Signal::SIGKILL);
        let left = other.finish();
        assert_eq!(left.code(), 4, "{left:?}");
        assert!(left.stderr.contains("the connection was cut"), "{}", left.stderr);
        assert_eq!(left.stderr.lines().count(), 1, "{}", left.stderr);
        drop(victim);
        feeding.join().unwrap();
    }
}

#[test]
fn a_closed_output_ends_both_sides_and_only_the_reader_is_content() {
    let (host, dialer, _) = two();
    let mut listen = Pipe::start(&host, ["listen", "127.0.0.1:0"]);
    let mut dial = Pipe::start(&dialer, ["dial", &listen.address()]);
    let mut feed = listen.child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || while feed.write_all(b"y\n").is_ok() {});
    assert_eq!(dial.line(), "y\n");
    // As `| head -1` does; standard input stays open.
    dial.out = Box::new(std::io::empty());
    let ended = dial.child.wait().unwrap();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(dial.said(), "");
    let left = listen.finish().fails(4, "the other side cannot: standard output was closed");
    assert_eq!(left.stderr.lines().count(), 1, "{}", left.stderr);
    feeding.join().unwrap();
}

#[test]
fn an_output_that_takes_no_more_is_an_error_at_both_ends() {
    let (host, dialer, _) = two();
    let mut listen = Pipe::start(&host, ["listen", "127.0.0.1:0"]);
    let mut full = dialer.command("kw-pipe");
    full.args(["dial", &listen.address()]).stderr(Stdio::piped());
    full.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let dial = full.spawn().unwrap();
    listen.stdin().write_all(b"too much").unwrap();
    let dialed = dial.wait_with_output().unwrap();
    assert_eq!(dialed.status.code(), Some(5), "{dialed:?}");
    assert!(String::from_utf8_lossy(&dialed.stderr).contains("no space left on device"), "{dialed:?}");
    assert!(listen.finish().fails(4, "the other side cannot").stderr.contains("no space left"));
}
