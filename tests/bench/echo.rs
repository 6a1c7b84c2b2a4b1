//! From a key to its echo: what a person feels.

use crate::hosts::{Host, Ssh};
use crate::screen::Screen;
use crate::table::{Table, median, ratio, shown};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Keys in a row on one terminal before the next has its turn.
const BLOCK: usize = 10;
const BLOCKS: usize = 40;
/// Between two keys: longer than any echo takes here, and no multiple of a timer's tick.
const GAP: Duration = Duration::from_millis(12);

/// Echoes every byte as it comes.
const ECHO: &str = "stty raw -echo; echo up; exec cat";

pub fn rows(table: &mut Table) {
    let Some(ssh) = Ssh::start_or_say() else { return };
    let host = Host::start();
    let mut bare = Command::new("/bin/sh");
    bare.arg("-c");
    // Newer ones hide when keys are typed unless they are told not to.
    let plain: &[&str] = if knows_obscuring() { &["-tt", "-o", "ObscureKeystrokeTiming=no"] } else { &["-tt"] };
    let commands = [host.pty_at(host.at(), &["-e", "none", "-tt"]), ssh.command(plain), bare];
    let mut screens = commands.map(|mut command| {
        let mut screen = Screen::new(command.arg(ECHO));
        screen.expect(b"up");
        (screen, Vec::new())
    });
    for _ in 0..BLOCKS {
        for (screen, times) in &mut screens {
            times.push((0..BLOCK).map(|at| echo(screen, b'a' + (at % 26) as u8)).collect::<Vec<_>>());
        }
    }
    let [ours, theirs, local] = screens.map(|(_, times)| times);
    let medians = |blocks: &[Vec<Duration>]| blocks.iter().map(|block| median(block)).collect::<Vec<_>>();
    let all = [&ours, &theirs, &local].map(|blocks| {
        let mut all = blocks.concat();
        all.sort();
        all
    });
    let micros = |time: Duration| format!("{} us", time.as_micros());
    for (name, percent) in [("p50", 50), ("p99", 99)] {
        let [our, their, bare] = all.each_ref().map(|all| all[all.len() * percent / 100]);
        let quotient = match percent {
            50 => shown(ratio(&medians(&ours), &medians(&theirs))),
            _ => format!("{:.2}", our.as_secs_f64() / their.as_secs_f64()),
        };
        table.row([
            format!("keystroke to echo, {name}"),
            micros(our),
            format!("ssh: {}; no network at all: {}", micros(their), micros(bare)),
            quotient,
            "<= 1.00".to_owned(),
        ]);
    }
}

fn knows_obscuring() -> bool {
    let mut probe = Command::new("ssh");
    probe.args(["-F", "none", "-G", "-o", "ObscureKeystrokeTiming=no", "localhost"]);
    probe.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

fn echo(screen: &mut Screen, key: u8) -> Duration {
    std::thread::sleep(GAP);
    let start = Instant::now();
    screen.type_keys(&[key]);
    assert_eq!(screen.shown(), [key]);
    start.elapsed()
}
