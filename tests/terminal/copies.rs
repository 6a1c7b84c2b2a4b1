//! kw-scp as whoever waits for it sees it.

use super::Screen;
use crate::sandbox::binary;
use crate::scp::Ends;
use std::fs;

/// A copy of a file of 10,000,000 bytes, which takes two seconds.
fn slow_copy(ends: &Ends, options: &[&str]) -> Screen {
    let large = ends.here("large");
    fs::write(&large, vec![7; 10_000_000]).unwrap();
    let to = format!("{}:{}", ends.address, ends.there("copy").display());
    let words = [options, &["-l", "40000", large.to_str().unwrap(), &to]].concat();
    Screen::with(&ends.guest, binary("kw-scp"), &words)
}

#[test]
fn a_copy_shows_the_file_how_much_of_it_is_done_how_fast_and_the_time_left() {
    let ends = Ends::new();
    let mut screen = slow_copy(&ends, &[]);
    for part in ["large", " of 9.54 MiB", "MiB/s", " left", "1 file, 9.54 MiB"] {
        screen.expect(part);
    }
    assert_eq!(screen.child.wait().unwrap().exit_code(), 0);
    assert_eq!(fs::metadata(ends.there("copy")).unwrap().len(), 10_000_000);
}

#[test]
fn ctrl_c_ends_a_copy_and_says_how_it_can_go_on() {
    let ends = Ends::new();
    let mut screen = slow_copy(&ends, &[]);
    screen.expect("MiB/s");
    screen.type_keys("\x03");
    screen.expect("--resume");
    assert!(!screen.child.wait().unwrap().success());
    assert!(!ends.there("copy").exists());
}

#[test]
fn a_quiet_copy_shows_nothing_on_a_terminal_either() {
    let ends = Ends::new();
    let mut screen = slow_copy(&ends, &["-q"]);
    assert_eq!(screen.child.wait().unwrap().exit_code(), 0);
    assert_eq!(screen.all(), "");
}
