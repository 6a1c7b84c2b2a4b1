//! One command on a fresh connection.

use crate::hosts::{Host, Ssh};
use crate::table::{Table, median, pairs, ratio, shown};

const RUNS: usize = 21;

pub fn rows(table: &mut Table) {
    let Some(ssh) = Ssh::start() else {
        eprintln!("left out: no OpenSSH server could be started");
        return;
    };
    let host = Host::start();
    let (ours, theirs) = pairs(
        RUNS,
        || assert!(host.pty().arg("true").status().unwrap().success()),
        || assert!(ssh.command(&[]).arg("true").status().unwrap().success()),
    );
    table.row([
        "kw-pty host true, fresh connection".to_owned(),
        format!("{:.1} ms", median(&ours).as_secs_f64() * 1e3),
        format!("ssh host true: {:.1} ms", median(&theirs).as_secs_f64() * 1e3),
        shown(ratio(&ours, &theirs)),
        "<= 0.08 of its time".to_owned(),
    ]);
}
