//! The audit log: one JSON object for each dialer, written by a thread of its own, so that a slow disk holds up no session.

use crate::NAME;
use keywire::cli;
use keywire::host::{Ended, Event, What};
use keywire::key::PublicKey;
use keywire::log::Log;
use keywire::proto::pty::{Exit, Op, Request};
use keywire::store::Store;
use keywire::trust::timestamp;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::SystemTime;

/// The name of the log in the state directory.
const FILE: &str = "ptyd.audit.jsonl";

/// Size beyond which the log is moved aside, in bytes: some 50,000 sessions.
const MOST: u64 = 16 << 20;

/// Most characters of a command or a reason in an entry.
const MOST_TEXT: usize = 4096;

/// One dialer.
#[derive(Serialize)]
pub(crate) struct Entry {
    key: PublicKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    from: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<Op>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<bool>,
    began: String,
    ended: String,
    received: u64,
    sent: u64,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// How it ended.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Refused,
    Exit,
    Signal,
    NotStarted,
    Disconnected,
    Revoked,
    Stopped,
}

impl Entry {
    /// What is written of `event`; nothing of a session that goes on.
    pub(crate) fn of(event: &Event<'_>, name: Option<String>) -> Option<Self> {
        let now = SystemTime::now();
        let short = |text: &str| text.chars().take(MOST_TEXT).collect::<String>();
        let (mut status, mut signal, mut reason) = (None, None, None);
        let (began, traffic, outcome) = match &event.what {
            What::Began => return None,
            What::Refused(why) => {
                reason = Some(short(why));
                (now, Default::default(), Outcome::Refused)
            }
            What::Ended(began, traffic, ended) => {
                let outcome = match ended {
                    Ended::Command(Exit::Status(code)) => {
                        status = Some(*code);
                        Outcome::Exit
                    }
                    Ended::Command(Exit::Signal(name)) => {
                        signal = Some(name.clone());
                        Outcome::Signal
                    }
                    Ended::Command(Exit::NotStarted(code, why)) => {
                        (status, reason) = (Some(*code), Some(short(why)));
                        Outcome::NotStarted
                    }
                    Ended::Disconnected(why) => {
                        reason = Some(short(why));
                        Outcome::Disconnected
                    }
                    Ended::Revoked(why) => {
                        reason = Some(short(why));
                        Outcome::Revoked
                    }
                    Ended::Stopped => Outcome::Stopped,
                };
                (*began, *traffic, outcome)
            }
        };
        let of_request = |get: fn(&Request) -> Option<String>| event.request.and_then(get);
        Some(Entry {
            key: event.peer,
            name,
            from: event.from,
            op: event.request.map(|request| request.op),
            command: of_request(|request| request.command.clone()).map(|command| short(&command)),
            tty: event.request.map(|request| request.tty.is_some()),
            began: timestamp(began),
            ended: timestamp(now),
            received: traffic.received,
            sent: traffic.sent,
            outcome,
            status,
            signal,
            reason,
        })
    }
}

/// Writes the log until it is dropped.
pub(crate) struct Audit {
    entries: Option<mpsc::Sender<Entry>>,
    writer: Option<JoinHandle<()>>,
}

impl Audit {
    pub(crate) fn start(store: Store) -> Self {
        let (entries, taken) = mpsc::channel::<Entry>();
        let log = Log::new(store, FILE, MOST);
        let writer = std::thread::spawn(move || {
            while let Ok(first) = taken.recv() {
                // All that came while the last ones were written, with one sync.
                let batch: Vec<Entry> = std::iter::once(first).chain(taken.try_iter()).collect();
                match log.append(&batch) {
                    Ok(0) => {}
                    Ok(cut) => cli::say(&format!(
                        "{NAME}: {}: {cut} bytes of an incomplete last line were cut off",
                        log.path().display()
                    )),
                    // A host that nobody can reach because its disk is full cannot be helped by anybody.
                    Err(error) => {
                        cli::say(&format!("{NAME}: the audit log lacks {} of its lines: {error}", batch.len()))
                    }
                }
            }
        });
        Audit { entries: Some(entries), writer: Some(writer) }
    }

    pub(crate) fn note(&self, entry: Option<Entry>) {
        if let (Some(entries), Some(entry)) = (&self.entries, entry) {
            // The writer takes entries for as long as this is there.
            let _ = entries.send(entry);
        }
    }
}

impl Drop for Audit {
    /// Waits until all is written.
    fn drop(&mut self) {
        self.entries = None;
        if let Some(writer) = self.writer.take() {
            // A writer that came to grief has nothing more to write.
            let _ = writer.join();
        }
    }
}
