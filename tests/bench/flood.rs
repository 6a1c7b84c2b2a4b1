//! Ctrl-C while the screen is flooded: how long until the prompt is back, and how much is shown until then.

use crate::hosts::{Host, Ssh};
use crate::link::{Link, Quality};
use crate::screen::Screen;
use crate::table::{Table, median, ratio, shown};
use std::process::Command;
use std::time::{Duration, Instant};

const ROUND_TRIP: Duration = Duration::from_millis(200);
const RATE: u64 = 200_000;
const PROMPT: &[u8] = b"ready> ";
const SHELL: &str = "PS1='ready> ' exec /bin/sh -i";

pub fn rows(table: &mut Table) {
    let Some(ssh) = Ssh::start_or_say() else { return };
    let host = Host::start();
    let commands = [host.pty_at(host.at(), &["-tt"]), ssh.command(&["-tt"])];
    compare(table, "on this machine", 5, "<= 200 ms", commands);
    let [ours, theirs] = [host.at(), ssh.at()].map(|at| Link::new(at, Quality::slow(ROUND_TRIP, RATE)));
    let commands = [host.pty_at(ours.address(), &["-tt"]), ssh.command_at(theirs.address(), &["-tt"])];
    let name = format!("{} ms a round trip, {} kB/s", ROUND_TRIP.as_millis(), RATE / 1000);
    compare(table, &name, 3, &format!("<= {} ms", ROUND_TRIP.as_millis() + 100), commands);
}

fn compare(table: &mut Table, name: &str, runs: usize, bar: &str, commands: [Command; 2]) {
    let mut screens = commands.map(|mut command| {
        let mut screen = Screen::new(command.arg(SHELL));
        screen.expect(PROMPT);
        (screen, Vec::new(), 0)
    });
    for _ in 0..runs {
        for (screen, times, drained) in &mut screens {
            let (time, bytes) = stop_flood(screen);
            times.push(time);
            *drained += bytes / runs;
        }
    }
    let [ours, theirs] = screens.map(|(_, times, drained)| (times, drained));
    let figures = |(times, drained): &(Vec<Duration>, usize)| {
        format!("{:.1} ms, {drained} bytes", median(times).as_secs_f64() * 1e3)
    };
    table.row([
        format!("Ctrl-C under a flood to the prompt, {name}"),
        figures(&ours),
        format!("ssh: {}", figures(&theirs)),
        shown(ratio(&ours.0, &theirs.0)),
        bar.to_owned(),
    ]);
}

/// Lets it flow for two seconds, and ends it.
fn stop_flood(screen: &mut Screen) -> (Duration, usize) {
    screen.type_keys(b"yes\r");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        screen.shown();
    }
    let start = Instant::now();
    screen.type_keys(b"\x03");
    let drained = screen.expect(PROMPT);
    (start.elapsed(), drained)
}
