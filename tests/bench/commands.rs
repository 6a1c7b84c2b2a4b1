//! Commands that do nothing: what is left is the way there and back.

use crate::hosts::{Host, Ssh};
use crate::link::{Link, Quality};
use crate::table::{Table, median, pairs, ratio, shown};
use std::process::Command;
use std::time::Duration;

const RUNS: usize = 21;
const MANY: usize = 32;
const AT_A_TIME: usize = 8;
const ROUND_TRIP: Duration = Duration::from_millis(50);

pub fn rows(table: &mut Table) {
    let Some(ssh) = Ssh::start_or_say() else { return };
    let host = Host::start();
    let (_master, shared) = ssh.master();
    let shared = shared.each_ref().map(String::as_str);
    let ours = || host.pty();
    let fresh = || ssh.command(&[]);
    let open = || ssh.command(&shared);
    compare(table, "host true, fresh connection", RUNS, ("", "<= 0.08"), (&ours, run), (&fresh, run));
    compare(
        table,
        "host true, fresh connection",
        RUNS,
        (", open ControlMaster", "<= 1.00"),
        (&ours, run),
        (&open, run),
    );
    let name = &format!("host true, {MANY} times, {AT_A_TIME} at a time");
    compare(table, name, 3, ("", ""), (&ours, run_many), (&fresh, run_many));
    compare(table, name, 7, (", open ControlMaster", "<= 1.00"), (&ours, run_many), (&open, run_many));
    let far = [host.at(), ssh.at()].map(|at| Link::new(at, Quality::distant(ROUND_TRIP)));
    let name = &format!("host true, {} ms a round trip", ROUND_TRIP.as_millis());
    let (ours, fresh) = (|| host.pty_at(far[0].address(), &[]), || ssh.command_at(far[1].address(), &[]));
    compare(table, name, 7, ("", "<= 0.30"), (&ours, run), (&fresh, run));
}

/// What makes a command, and what runs it.
type Way<'a> = (&'a (dyn Fn() -> Command + Sync), fn(&(dyn Fn() -> Command + Sync)));

fn compare(table: &mut Table, name: &str, runs: usize, (how, bar): (&str, &str), ours: Way<'_>, theirs: Way<'_>) {
    let (ours, theirs) = pairs(runs, || ours.1(ours.0), || theirs.1(theirs.0));
    let shown_ms = |times: &[Duration]| format!("{:.1} ms", median(times).as_secs_f64() * 1e3);
    table.row([
        format!("kw-pty {name}"),
        shown_ms(&ours),
        format!("ssh{how}: {}", shown_ms(&theirs)),
        shown(ratio(&ours, &theirs)),
        if bar.is_empty() { String::new() } else { format!("{bar} of its time") },
    ]);
}

fn run(command: &(dyn Fn() -> Command + Sync)) {
    assert!(command().arg("true").status().unwrap().success());
}

fn run_many(command: &(dyn Fn() -> Command + Sync)) {
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| (0..MANY / AT_A_TIME).for_each(|_| run(command)));
        }
    });
}
