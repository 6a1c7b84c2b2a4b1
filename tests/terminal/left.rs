//! A session that ends before the program on the screen does.

use super::Screen;
use crate::pty::{Pair, is_alive};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a full-screen program switches on, and then waits.
const PROGRAM: &str = r"printf '\033[?1049h\033[?25l\033[?1002hscreen'; exec sleep 1000";

/// What gives the screen back.
const BACK: &str = "\x1b[?25h\x1b[?1002l\x1b[?1049l";

#[test]
fn a_session_that_is_cut_gives_the_screen_back_and_says_how_to_go_on() {
    let pair = Pair::new();
    let mut screen = Screen::new(&pair.guest, &["-t", &pair.address, PROGRAM]);
    screen.expect("screen");
    pair.daemon.signal(Signal::SIGKILL);
    screen.expect(BACK);
    screen.expect("the connection was");
    screen.expect("dial again for a new session");
    assert_eq!(screen.ends(), 255);
}

#[test]
fn leaving_gives_the_screen_back() {
    let pair = Pair::new();
    let mut screen = Screen::new(&pair.guest, &["-t", &pair.address, PROGRAM]);
    screen.expect("screen");
    screen.type_keys("\r~.");
    screen.expect(BACK);
    assert_eq!(screen.ends(), 255);
}

#[test]
fn a_program_that_is_killed_gives_the_screen_back() {
    let pair = Pair::new();
    let program = PROGRAM.replace("printf '", "printf \"pid-$$-\"; printf '");
    let mut screen = Screen::new(&pair.guest, &["-t", &pair.address, &program]);
    screen.expect("pid-");
    let pid: i32 = screen.expect("-").trim_end_matches('-').parse().unwrap();
    screen.expect("screen");
    assert!(is_alive(pid));
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    screen.expect(BACK);
    screen.expect("ended by the signal KILL");
    assert_eq!(screen.ends(), 137);
}

#[test]
fn a_program_that_ends_by_itself_leaves_the_screen_as_it_wants_it() {
    let pair = Pair::new();
    let mut screen = Screen::new(&pair.guest, &["-t", &pair.address, r"printf '\033[?25lscreen'"]);
    screen.expect("screen");
    assert_eq!(screen.ends(), 0);
    assert!(!screen.all().contains("\x1b[?25h"));
}
