//! kw-ptyd and kw-pty over a real connection: what a command sees, what its user gets back, and what is left behind.

mod account;
mod beside_ssh;
mod door;
mod ends;
mod line;
mod mended;
mod rights;
mod rows;
mod seeded;
mod streams;
mod unlucky;

use crate::sandbox::{Done, Running, User};
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A host that lets one guest in, and the guest.
pub struct Pair {
    /// It ends before its folder goes, and does not write it anew.
    pub daemon: Running,
    pub host: User,
    pub guest: User,
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
        Pair { daemon, host, guest, address }
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
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
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
fn no_file_of_the_host_is_open_in_a_command() {
    let done = Pair::new().run("ls /proc/self/fd").succeeds();
    // ls itself opens the folder.
    assert_eq!(done.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
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
fn the_end_of_input_behind_half_a_line_ends_a_program_that_reads_a_terminal() {
    let pair = Pair::new();
    let done =
        Done::with(pair.guest.command("kw-pty").args(["-tt", &pair.address, "stty -echo; cat; echo end"]), b"abc");
    assert!(done.stdout.ends_with("abcend\r\n"), "{done:?}");
}
