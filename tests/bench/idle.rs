//! Memory of a host that waits, and of what each idle session adds to it.

use crate::hosts::{Host, kib};
use crate::table::Table;
use std::process::{Child, Stdio};

const SESSIONS: usize = 100;

pub fn rows(table: &mut Table) {
    let host = Host::start();
    let pid = host.server.0.id();
    let alone = kib(pid, "VmRSS");
    let mut sessions: Vec<Child> = (0..SESSIONS)
        .map(|_| {
            let mut command = host.pty();
            let mut session =
                command.arg("echo; exec cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            // Its first byte says that it is there.
            std::io::Read::read_exact(session.stdout.as_mut().unwrap(), &mut [0]).unwrap();
            session
        })
        .collect();
    let full = kib(pid, "VmRSS");
    for session in &mut sessions {
        drop(session.stdin.take());
        session.wait().unwrap();
    }
    table.row([
        "kw-ptyd, resident, waiting".to_owned(),
        format!("{:.1} MiB", alone as f64 / 1024.0),
        String::new(),
        String::new(),
        "<= 8 MiB".to_owned(),
    ]);
    table.row([
        format!("one idle session of {SESSIONS} in kw-ptyd"),
        format!("{} KiB", full.saturating_sub(alone) / SESSIONS),
        String::new(),
        String::new(),
        "<= 200 KiB".to_owned(),
    ]);
}
