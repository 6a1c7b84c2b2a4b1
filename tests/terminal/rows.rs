//! A terminal's rows: sizes that nobody expects, keys that stop and go on, and ways out when nothing else works.

use super::{Screen, size};
use crate::link::{Link, Quality};
use crate::pty::{Pair, eventually, is_alive, random};
use crate::sandbox::{Dir, Done, binary};
use std::io::Write;
use std::time::Duration;

impl Screen {
    /// The process that the shell says, once it is asked.
    fn shells_process(&mut self) -> i32 {
        self.type_keys("echo pid-$$-\r");
        self.expect("\r\npid-");
        let pid = self.expect("-").trim_end_matches('-').parse().unwrap();
        self.expect("$ ");
        pid
    }
}

#[test]
fn a_terminal_that_knows_no_size_gives_a_usual_one_and_its_real_one_later() {
    let pair = Pair::new();
    let line =
        format!("stty rows 0 cols 0; exec {} -t {} 'PS1=\"> \" exec /bin/sh -i'", binary("kw-pty"), pair.address);
    let mut screen = Screen::with(&pair.guest, "/bin/sh", &["-c", &line]);
    screen.expect("> ");
    screen.type_keys("stty size\r");
    screen.expect("24 80\r\n");
    screen.master.resize(size(30, 100)).unwrap();
    screen.type_keys("until [ \"$(stty size)\" = '30 100' ]; do :; done; echo now-$((6*7))\r");
    screen.expect("now-42\r\n");
}

#[test]
fn a_size_that_no_screen_has_is_cut_to_one_that_programs_can_bear() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    screen.master.resize(size(2000, 65_535)).unwrap();
    screen.type_keys("until [ \"$(stty size)\" = '1000 1000' ]; do :; done; echo now-$((6*7))\r");
    screen.expect("now-42\r\n");
}

#[test]
fn a_size_that_changes_while_the_host_is_dialed_reaches_the_program() {
    let pair = Pair::new();
    let (_link, address) = Link::to_peer(&pair.address, Quality::distant(Duration::from_millis(400)));
    let command = "until [ \"$(stty size)\" = '44 111' ]; do :; done; echo now-$((6*7))";
    let mut screen = Screen::new(&pair.guest, &["-t", &address, command]);
    screen.master.resize(size(44, 111)).unwrap();
    screen.expect("now-42\r\n");
}

#[test]
fn of_two_hundred_sizes_during_a_flood_the_last_one_wins() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    let wait = "until [ \"$(stty size)\" = '77 177' ]; do :; done";
    screen.type_keys(&format!("yes & {wait}; kill $!; wait; echo now-$((6*7))\r"));
    screen.expect("y\r\ny\r\n");
    for at in 0..200 {
        screen.master.resize(size(20 + at % 60, 40 + at)).unwrap();
    }
    screen.master.resize(size(77, 177)).unwrap();
    screen.expect("now-42\r\n");
    screen.type_keys("stty size\r");
    screen.expect("77 177\r\n");
}

#[test]
fn a_tilde_and_a_dot_leave_though_the_network_is_dead() {
    let pair = Pair::new();
    let (link, address) = Link::to_peer(&pair.address, Quality::NEAR);
    let mut screen = Screen::new(&pair.guest, &["-t", &address, "PS1='$ ' exec /bin/sh -i"]);
    screen.expect("$ ");
    link.die();
    screen.type_keys("into the void\r~.");
    assert_eq!(screen.ends(), 255);
    assert!(!screen.is_raw());
}

#[test]
fn a_tilde_and_a_dot_leave_in_the_midst_of_a_flood() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    let pid = screen.shells_process();
    screen.type_keys("yes\r");
    screen.expect("y\r\ny\r\ny\r\n");
    screen.type_keys("\r~.");
    assert_eq!(screen.ends(), 255);
    assert!(!screen.is_raw());
    eventually("the shell has ended", || !is_alive(pid));
}

#[test]
fn a_terminal_that_is_closed_ends_the_session() {
    let pair = Pair::new();
    let mut screen = Screen::shell(&pair);
    let pid = screen.shells_process();
    let Screen { master, keys, mut child, _slave, .. } = screen;
    drop((master, keys, _slave));
    eventually("the shell has ended", || !is_alive(pid));
    child.wait().unwrap();
}

#[test]
fn a_job_is_stopped_and_taken_up_again_by_the_shell_there() {
    let pair = Pair::new();
    let mut screen = Screen::new(&pair.guest, &["-t", &pair.address, "PS1='$ ' exec bash --norc -i"]);
    screen.expect("$ ");
    screen.type_keys("sh -c 'echo up-$((6*7)); read line; echo \"<$line>\"'\r");
    screen.expect("up-42\r\n");
    screen.type_keys("\x1a");
    screen.expect("Stopped");
    screen.expect("$ ");
    screen.type_keys("jobs | grep -c read; fg\r");
    screen.expect("1\r\nsh -c");
    screen.type_keys("again\r");
    screen.expect("<again>\r\n");
    screen.type_keys("exit 4\r");
    assert_eq!(screen.ends(), 4);
}

#[test]
fn ctrl_s_holds_the_output_and_ctrl_q_lets_it_go_on() {
    let (pair, dir) = (Pair::new(), Dir::new());
    let count = dir.join("count");
    let line = format!("i=0; while :; do i=$((i+1)); echo line-$i; echo $i >{}; done", count.display());
    let mut screen = Screen::new(&pair.guest, &["-t", &pair.address, &line]);
    screen.expect("line-100\r\n");
    screen.type_keys("\x13");
    let counted = || std::fs::read_to_string(&count).unwrap();
    eventually("nothing more is written", || {
        let before = counted();
        std::thread::sleep(Duration::from_millis(300));
        before == counted()
    });
    let held = counted();
    screen.type_keys("\x11");
    eventually("it goes on", || counted() != held);
    screen.type_keys("\x03");
    assert_eq!(screen.ends(), 130);
}

#[test]
fn a_terminal_in_raw_mode_changes_no_byte_of_the_output() {
    let (pair, dir) = (Pair::new(), Dir::new());
    let bytes = random(1 << 20);
    std::fs::write(dir.join("bytes"), &bytes).unwrap();
    let command = format!("stty raw -echo; cat {}", dir.join("bytes").display());
    let done = Done::of(pair.guest.command("kw-pty").args(["-tt", &pair.address, &command])).succeeds();
    assert!(done.bytes == bytes, "{} bytes of {}", done.bytes.len(), bytes.len());
}

#[test]
fn a_million_bytes_that_are_typed_at_once_come_through_a_terminal_in_raw_mode() {
    let (pair, dir) = (Pair::new(), Dir::new());
    let (bytes, file) = (random(1_000_000), dir.join("typed"));
    let command = format!("stty raw -echo; echo up; head -c 1000000 >{}", file.display());
    let mut client = pair.start(&["-tt"], &command);
    assert_eq!(client.line(), "up");
    client.stdin().write_all(&bytes).unwrap();
    assert!(client.finish().0.success());
    assert!(std::fs::read(file).unwrap() == bytes, "the bytes were changed");
}

#[test]
fn a_connection_alone_outlives_another_size_and_ends_with_an_interrupt() {
    let pair = Pair::new();
    let mut screen = Screen::new(&pair.guest, &["-v", "-N", &pair.address]);
    screen.expect("proved its key");
    screen.master.resize(size(33, 99)).unwrap();
    // By then the host would have heard of it.
    pair.run("true").succeeds();
    screen.type_keys("\x03");
    assert_eq!(screen.ends(), 130);
}

#[test]
fn a_paste_that_waits_for_the_host_is_typed_in_the_end_though_times_are_hidden() {
    let pair = Pair::new();
    // Ten bytes more than the host grants before anything is read there, and read when no time is even any more.
    let program = "stty raw -echo; echo up; sleep 4; head -c 262154 | wc -c";
    let mut screen = Screen::new(&pair.guest, &["--hide-timing", "-e", "none", "-t", &pair.address, program]);
    screen.expect("up");
    screen.type_keys(&"x".repeat(262_154));
    screen.expect("262154");
}

#[test]
fn a_shells_jobs_are_hung_up_with_it() {
    let (pair, dir) = (Pair::new(), Dir::new());
    let file = dir.join("job");
    let mut screen = Screen::new(&pair.guest, &["-t", &pair.address, "PS1='$ ' exec bash --norc -i"]);
    screen.expect("$ ");
    screen.type_keys(&format!("sleep 1000 & echo $! >{0}.new; mv {0}.new {0}\r", file.display()));
    eventually("the job runs", || file.exists());
    let job = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    assert!(is_alive(job));
    screen.type_keys("\r~.");
    assert_eq!(screen.ends(), 255);
    eventually("the job has ended", || !is_alive(job));
}

#[test]
fn a_character_of_many_bytes_is_erased_as_one() {
    let pair = Pair::new();
    let mut screen = Screen::new(&pair.guest, &["-t", &pair.address, "echo up; read x; printf '<%s>' \"$x\""]);
    screen.expect("up\r\n");
    screen.type_keys("a\u{e9}\u{65e5}\x7f\x7fb\r");
    screen.expect("<ab>");
    assert_eq!(screen.ends(), 0);
}
