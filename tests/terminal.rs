//! kw-pty on a real terminal: keys, sizes, escapes, and a terminal that is as before whatever happens.

mod copies;
mod left;
mod rows;
mod timing;

use crate::link::{Link, Quality};
use crate::pty::{Pair, eventually, is_alive};
use crate::sandbox::{User, binary};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::Pid;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A terminal with a program of ours on it, and a person in front of it.
pub struct Screen {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    seen: Arc<(Mutex<Vec<u8>>, Condvar)>,
    child: Box<dyn Child + Send + Sync>,
    /// Keeps the terminal open when the program is gone, so that its modes can still be read.
    _slave: Box<dyn portable_pty::SlavePty + Send>,
}

impl Screen {
    fn new(user: &User, args: &[&str]) -> Self {
        Screen::with(user, binary("kw-pty"), args)
    }

    pub fn with(user: &User, program: &str, args: &[&str]) -> Self {
        let pair = native_pty_system().openpty(size(24, 80)).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env("KEYWIRE_HOME", user.home());
        command.env("TERM", "xterm");
        command.env("PS1", "$ ");
        let child = pair.slave.spawn_command(command).unwrap();
        let (keys, mut screen) = (pair.master.take_writer().unwrap(), pair.master.try_clone_reader().unwrap());
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let shown = seen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                shown.0.lock().unwrap().extend(&bytes[..count]);
                shown.1.notify_all();
            }
        });
        Screen { master: pair.master, keys, seen, child, _slave: pair.slave }
    }

    /// A shell on the host whose prompt is known.
    fn shell(pair: &Pair) -> Self {
        let mut screen = Screen::new(&pair.guest, &["-t", &pair.address, "PS1='$ ' exec /bin/sh -i"]);
        screen.expect("$ ");
        screen
    }

    pub fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until `text` has been shown since the last time, and returns what was shown up to its end.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut seen = self.seen.0.lock().unwrap();
        // A flood is long, and is not to be searched again from its beginning.
        let mut from = 0;
        loop {
            let found = seen[from..].windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                return String::from_utf8_lossy(&seen.drain(..from + at + text.len()).collect::<Vec<_>>()).into_owned();
            }
            from = (seen.len() + 1).saturating_sub(text.len()).max(from);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last = seen.len().saturating_sub(2000);
                let last = String::from_utf8_lossy(&seen[last..]).into_owned();
                drop(seen);
                panic!("{text:?} is not in what was shown, which ends with {last:?}");
            }
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Waits until so many bytes more have been shown, and forgets them.
    fn skip(&mut self, count: usize) {
        let mut seen = self.seen.0.lock().unwrap();
        let mut skipped = 0;
        while skipped < count {
            skipped += seen.len();
            seen.clear();
            seen = self.seen.1.wait(seen).unwrap();
        }
    }

    /// All that was shown since the last time.
    pub fn all(&self) -> String {
        String::from_utf8_lossy(&self.seen.0.lock().unwrap()).into_owned()
    }

    fn modes(&self) -> Termios {
        // SAFETY is the test's own: the master is open for as long as this is.
        tcgetattr(borrow(self.master.as_raw_fd().unwrap())).unwrap()
    }

    /// Whether keys are read one by one, and not shown.
    pub fn is_raw(&self) -> bool {
        !self.modes().local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.process_id().unwrap() as i32)
    }

    pub fn ends(&mut self) -> u32 {
        self.child.wait().unwrap().exit_code()
    }
}

#[allow(unsafe_code)]
fn borrow(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: only used within one call, while the terminal is open.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

fn size(rows: u16, cols: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

#[test]
fn keys_reach_the_shell_and_its_exit_status_comes_back() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    screen.type_keys("echo $((6*7)); exit 9\r");
    screen.expect("42\r\n");
    assert_eq!(screen.ends(), 9);
}

#[test]
fn the_first_size_and_every_later_one_reach_the_program() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    screen.type_keys("stty size\r");
    screen.expect("24 80\r\n");
    for (rows, cols) in [(50, 132), (10, 40), (33, 99)] {
        screen.master.resize(size(rows, cols)).unwrap();
        screen.type_keys(&format!("until [ \"$(stty size)\" = '{rows} {cols}' ]; do :; done; echo now-$((6*7))\r"));
        screen.expect("now-42\r\n");
    }
}

#[test]
fn a_flood_stops_at_ctrl_c() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    screen.type_keys("yes\r");
    screen.expect("y\r\ny\r\ny\r\n");
    screen.type_keys("\x03");
    screen.expect("^C");
    screen.type_keys("echo $((6*7))\r");
    screen.expect("42\r\n");
}

/// Waits until more waits in the terminal than it can show, since nobody reads it.
fn is_stuck(screen: &Screen) {
    let terminal = borrow(screen.master.as_raw_fd().unwrap());
    eventually("the terminal is full", || keywire::sys::readable_now(&terminal).unwrap() > 4000);
}

#[test]
fn a_screen_that_takes_no_more_keeps_nobody_from_leaving() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    let seen = screen.seen.clone();
    // Whoever reads waits for us.
    let held = seen.0.lock().unwrap();
    screen.type_keys("yes\r");
    is_stuck(&screen);
    screen.type_keys("\r~.");
    assert_eq!(screen.ends(), 255);
    drop(held);
    assert!(!screen.is_raw());
}

#[test]
fn what_waits_for_a_slow_screen_is_shown_before_the_end() {
    let pair = Pair::new();
    let mut screen = Screen::new(&pair.guest, &["-tt", &pair.address, "echo up; read go; seq 1 30000; exit 5"]);
    screen.expect("up");
    let seen = screen.seen.clone();
    let held = seen.0.lock().unwrap();
    screen.type_keys("\r");
    is_stuck(&screen);
    drop(held);
    let shown = screen.expect("\r\n30000\r\n");
    let lines: Vec<String> = (1..=30_000).map(|number| number.to_string()).collect();
    assert_eq!(shown.lines().skip_while(|line| *line != "1").collect::<Vec<_>>(), lines);
    assert_eq!(screen.ends(), 5);
}

#[test]
fn the_terminal_stays_blocking_for_everyone_else() {
    let pair = Pair::new();
    let screen = Screen::shell(&pair);
    for stream in 0..3 {
        let info = std::fs::read_to_string(format!("/proc/{}/fdinfo/{stream}", screen.pid())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        assert_eq!(i32::from_str_radix(flags, 8).unwrap() & nix::libc::O_NONBLOCK, 0, "{stream}: {info}");
    }
}

#[test]
fn on_a_slow_distant_link_little_is_shown_after_ctrl_c() {
    let pair = Pair::new();
    // A round trip carries 10,000 bytes; a whole window would be 262,144.
    let (_link, address) = Link::to_peer(&pair.address, Quality::slow(Duration::from_millis(50), 200_000));
    let mut screen = Screen::new(&pair.guest, &["-t", &address, "PS1='$ ' exec /bin/sh -i"]);
    screen.expect("$ ");
    screen.type_keys("yes\r");
    screen.skip(300_000);
    screen.type_keys("\x03");
    let shown = screen.expect("^C").len();
    assert!(shown < 60_000, "{shown} bytes");
}

#[test]
fn the_keys_that_erase_and_interrupt_here_do_so_there() {
    let pair = Pair::new();
    let line = format!("stty erase ^H intr ^X susp undef -ixon; {} -t {} 'stty -a'", binary("kw-pty"), pair.address);
    let mut screen = Screen::with(&pair.guest, "/bin/sh", &["-c", &line]);
    let shown = screen.expect(" echoke");
    for wanted in ["erase = ^H;", "intr = ^X;", "susp = <undef>;", " -ixon "] {
        assert!(shown.contains(wanted), "{wanted:?} is not in {shown:?}");
    }
}

#[test]
fn a_size_gets_through_while_nothing_reads_what_is_typed() {
    let pair = Pair::new();
    let mut screen = Screen::new(
        &pair.guest,
        &["-t", &pair.address, "stty raw -echo; trap 'stty size; exit' WINCH; echo up; while :; do sleep 0.05; done"],
    );
    screen.expect("up");
    screen.type_keys(&"x".repeat(3000));
    screen.master.resize(size(31, 77)).unwrap();
    screen.expect("31 77");
}

#[test]
fn the_terminal_is_raw_during_the_session_and_as_before_after_it() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    assert!(screen.is_raw());
    screen.type_keys("exit\r");
    screen.ends();
    assert!(!screen.is_raw());
}

#[test]
fn a_tilde_and_a_dot_leave_and_the_host_ends_what_runs() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    screen.type_keys("echo pid-$$-\r");
    screen.expect("\r\npid-");
    let pid = screen.expect("-").trim_end_matches('-').parse().unwrap();
    screen.expect("$ ");
    screen.type_keys("\r~?");
    screen.expect("~^Z");
    screen.type_keys("\r~.");
    assert_eq!(screen.ends(), 255);
    assert!(!screen.is_raw());
    eventually("the shell has ended", || !is_alive(pid));
}

#[test]
fn without_escapes_a_tilde_is_a_tilde() {
    let pair = Pair::new();
    let mut screen =
        Screen::new(&pair.guest, &["-e", "none", "-t", &pair.address, "stty raw -echo; echo up; exec cat"]);
    screen.expect("up");
    screen.type_keys("\r~.~?");
    screen.expect("\r~.~?");
}

#[test]
fn every_byte_that_is_typed_comes_through() {
    let pair = Pair::new();
    let mut screen = Screen::new(
        &pair.guest,
        &["-e", "none", "-t", &pair.address, "stty raw -echo; echo up; exec od -An -v -tx1 -N 256 -w16"],
    );
    screen.expect("up");
    screen.keys.write_all(&(0..=255).collect::<Vec<u8>>()).unwrap();
    for row in 0..16_u8 {
        screen.expect(&(0..16).map(|column| format!(" {:02x}", row * 16 + column)).collect::<String>());
    }
}

#[test]
fn a_client_that_is_asked_to_end_restores_the_terminal() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let pair = Pair::new();
        let mut screen = Screen::shell(&pair);
        kill(screen.pid(), signal).unwrap();
        assert_eq!(screen.ends(), 255);
        assert!(!screen.is_raw(), "{signal}");
    }
}

#[test]
fn a_client_that_is_killed_leaves_the_terminal_as_it_was() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    assert!(screen.is_raw());
    kill(screen.pid(), Signal::SIGKILL).unwrap();
    screen.ends();
    eventually("the terminal is restored", || !screen.is_raw());
}

#[test]
fn a_host_that_is_killed_leaves_the_terminal_as_it_was_and_a_word_about_it() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    pair.daemon.signal(Signal::SIGKILL);
    screen.expect("the connection was");
    assert_eq!(screen.ends(), 255);
    assert!(!screen.is_raw());
}

#[test]
fn suspended_it_gives_the_terminal_back_and_takes_it_again() {
    let pair = Pair::new();
    // Only a shell with job control can have a job that is suspended.
    let mut screen = Screen::with(&pair.guest, "/bin/sh", &["-i"]);
    screen.expect("$ ");
    screen.type_keys(&format!("{} -t {} 'PS1=\"remote> \" exec /bin/sh -i'\r", binary("kw-pty"), pair.address));
    screen.expect("\nremote> ");
    screen.type_keys("\r");
    screen.expect("remote> ");
    screen.type_keys("~\x1a");
    screen.expect("Stopped");
    screen.expect("$ ");
    screen.type_keys("stty -a | grep -o ' icanon'; echo local-$((6*7))\r");
    assert!(screen.expect("local-42\r\n").contains("\r\n icanon"));
    screen.type_keys("fg\r");
    screen.expect("exec /bin/sh");
    eventually("the terminal is taken again", || screen.is_raw());
    screen.type_keys("echo remote-$((6*7))\r");
    screen.expect("remote-42\r\n");
}

#[test]
fn a_shell_of_its_own_is_a_login_shell_at_home() {
    let pair = Pair::new();
    let mut screen = Screen::new(&pair.guest, &[&pair.address]);
    screen.type_keys("echo \"at-$0-$PWD-\"\r");
    let shown = screen.expect("-/");
    assert!(shown.contains("at--"), "{shown:?}");
    screen.type_keys("exit\r");
    screen.ends();
}
