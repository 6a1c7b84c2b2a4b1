//! The audit log, one JSON object for each dialer, and the lines on standard error: written by a thread of its own, so that
//! neither a slow disk nor a reader that has stopped holds up a session.

use crate::NAME;
use keywire::cli;
use keywire::host::{Ended, Event, What};
use keywire::key::PublicKey;
use keywire::log::Log;
use keywire::proto::copy::Way;
use keywire::proto::pty::{Exit, Op, Request};
use keywire::store::Store;
use keywire::trust::{Peers, timestamp};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The name of the log in the state directory.
const FILE: &str = "ptyd.audit.jsonl";

/// Size beyond which the log is moved aside, in bytes: some 50,000 sessions.
const MOST: u64 = 16 << 20;

/// Most bytes of a command or a reason in an entry.
const MOST_TEXT: usize = 4096;

/// The same for a dialer that was refused: anybody can be one.
const MOST_REFUSED_TEXT: usize = 200;

/// Refused dialers that get an entry of their own in each [`SPAN`]. At less than 3 KiB for one, strangers alone need days to
/// fill the log, and cannot make it forget the sessions before them overnight.
const MOST_REFUSED: u64 = 60;

/// See [`MOST_REFUSED`].
const SPAN: Duration = Duration::from_secs(3600);

/// What may wait to be written; more is counted and left out, so that a disk that hangs takes no memory.
const MOST_WAITING: usize = 1024;

/// How long the end of the host waits until all is written.
const WAIT_AT_END: Duration = Duration::from_secs(3);

/// What happened, as it goes to the thread that writes.
pub(crate) struct Note {
    peer: PublicKey,
    from: SocketAddr,
    what: String,
    entry: Option<Entry>,
}

impl Note {
    /// `what` is the event for people.
    pub(crate) fn of(event: &Event<'_>, what: String) -> Self {
        Note { peer: event.peer, from: event.from, what, entry: Entry::of(event) }
    }
}

/// A line of the log.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    One(Box<Entry>),
    /// Refused dialers without an entry of their own, and when they came.
    LeftOut {
        outcome: Outcome,
        left_out: u64,
        began: String,
        ended: String,
    },
}

/// One dialer.
#[derive(Serialize)]
struct Entry {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<Way>,
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
    stored: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// How it ended.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Refused,
    Exit,
    Copied,
    Signal,
    NotStarted,
    Disconnected,
    Revoked,
    Stopped,
}

impl Entry {
    /// What is written of `event`; nothing of a session that goes on.
    fn of(event: &Event<'_>) -> Option<Self> {
        let now = SystemTime::now();
        let most = if matches!(event.what, What::Refused(_)) { MOST_REFUSED_TEXT } else { MOST_TEXT };
        let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= most;
        let short = |text: &str| text.char_indices().take_while(fits).map(|(_, c)| c).collect::<String>();
        let (mut status, mut signal, mut reason, mut copied) = (None, None, None, None);
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
                    Ended::Copied(outcome) => {
                        copied = Some(outcome);
                        Outcome::Copied
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
            name: None,
            from: event.from,
            op: event.request.map(|request| request.op),
            command: of_request(|request| request.command.clone()).map(|command| short(&command)),
            tty: event.request.filter(|request| request.copy.is_none()).map(|request| request.tty.is_some()),
            way: event.request.and_then(|request| request.copy).map(|copy| copy.way),
            began: timestamp(began),
            ended: timestamp(now),
            received: traffic.received,
            sent: traffic.sent,
            outcome,
            status,
            signal,
            stored: copied.map(|outcome| outcome.stored),
            failed: copied.map(|outcome| outcome.failed),
            reason,
        })
    }
}

/// How many refused dialers there were of late.
struct Refusals {
    since: Instant,
    began: SystemTime,
    count: u64,
}

impl Refusals {
    fn new() -> Self {
        Refusals { since: Instant::now(), began: SystemTime::now(), count: 0 }
    }

    /// Whether one more gets an entry of its own.
    fn admits_one(&mut self) -> bool {
        if self.count == 0 {
            *self = Self::new();
        }
        self.count += 1;
        self.count <= MOST_REFUSED
    }

    /// How long the count still goes on, if anybody has been left out.
    fn remaining(&self) -> Option<Duration> {
        (self.count > MOST_REFUSED).then(|| SPAN.saturating_sub(self.since.elapsed()))
    }

    /// Begins anew if the time is over or this is the end, and says who was left out.
    fn settle(&mut self, is_end: bool) -> Option<Line> {
        if !is_end && self.since.elapsed() < SPAN {
            return None;
        }
        let before = std::mem::replace(self, Self::new());
        let left_out = before.count.saturating_sub(MOST_REFUSED);
        let ended = timestamp(SystemTime::now());
        let line = Line::LeftOut { outcome: Outcome::Refused, left_out, began: timestamp(before.began), ended };
        (left_out > 0).then_some(line)
    }
}

/// The thread that writes.
struct Writer {
    store: Store,
    log: Log,
    refusals: Refusals,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, taken: &mpsc::Receiver<Note>) {
        loop {
            let first = match self.refusals.remaining() {
                Some(wait) => taken.recv_timeout(wait),
                None => taken.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            // All that came while the last ones were written, with one sync.
            let is_end = matches!(first, Err(RecvTimeoutError::Disconnected));
            let mut notes: Vec<Note> = first.into_iter().chain(taken.try_iter().take(MOST_WAITING)).collect();
            let peers = Peers::load(&self.store).ok();
            let mut lines: Vec<Line> = self.refusals.settle(is_end).into_iter().collect();
            let mut said = Vec::new();
            for note in &mut notes {
                let name = peers.as_ref().and_then(|peers| peers.name_of(&note.peer)).map(str::to_owned);
                let who = name.clone().unwrap_or_else(|| note.peer.to_string());
                said.push(format!("{NAME}: {who} from {}: {}", note.from, note.what));
                if let Some(entry) = note.entry.take()
                    && (!matches!(entry.outcome, Outcome::Refused) || self.refusals.admits_one())
                {
                    lines.push(Line::One(Box::new(Entry { name, ..entry })));
                }
            }
            // The books before the talk: nobody may be there to read that.
            self.write(&lines);
            said.iter().for_each(|line| cli::say(line));
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                cli::say(&format!("{NAME}: {lost} events were not written down: they came faster than they could be"));
            }
            if is_end {
                return;
            }
        }
    }

    fn write(&self, lines: &[Line]) {
        if lines.is_empty() {
            return;
        }
        match self.log.append(lines) {
            Ok(0) => {}
            Ok(cut) => cli::say(&format!(
                "{NAME}: {}: {cut} bytes of an incomplete last line were cut off",
                self.log.path().display()
            )),
            // A host that nobody can reach because its disk is full cannot be helped by anybody.
            Err(error) => cli::say(&format!("{NAME}: the audit log lacks {} of its lines: {error}", lines.len())),
        }
    }
}

/// Writes until it is dropped.
pub(crate) struct Audit {
    notes: Option<mpsc::SyncSender<Note>>,
    lost: Arc<AtomicU64>,
    /// Nothing ever comes from here; it closes when the thread has ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Audit {
    pub(crate) fn start(store: Store) -> Self {
        let (notes, taken) = mpsc::sync_channel(MOST_WAITING);
        let (alive, ended) = mpsc::channel();
        let lost = Arc::new(AtomicU64::new(0));
        let log = Log::new(store.clone(), FILE, MOST);
        let writer = Writer { store, log, refusals: Refusals::new(), lost: lost.clone() };
        std::thread::spawn(move || {
            writer.run(&taken);
            drop(alive);
        });
        Audit { notes: Some(notes), lost, ended: Mutex::new(ended) }
    }

    /// Never waits.
    pub(crate) fn note(&self, note: Note) {
        if self.notes.as_ref().is_some_and(|notes| notes.try_send(note).is_err()) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Audit {
    /// Waits until all is written, but not for a disk that hangs or for a reader that has stopped.
    fn drop(&mut self) {
        self.notes = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _: Result<(), RecvTimeoutError> = ended.recv_timeout(WAIT_AT_END);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_wipe_the_log() {
        let dir = std::env::temp_dir().join(format!("keywire-audit-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let audit = Audit::start(Store::at(&dir));
        let peer = keywire::key::KeyPair::generate().unwrap().public();
        let text = "\u{1}".repeat(MOST_TEXT);
        let request = Request { op: Op::Exec, command: Some(text.clone()), ..Request::default() };
        for _ in 0..500 {
            let what = What::Refused(&text);
            let event = Event { peer, from: "192.0.2.1:1".parse().unwrap(), request: Some(&request), what };
            audit.note(Note::of(&event, String::new()));
        }
        let ended = Ended::Stopped;
        let what = What::Ended(SystemTime::now(), keywire::host::Traffic::default(), &ended);
        let event = Event { peer, from: "192.0.2.1:1".parse().unwrap(), request: Some(&request), what };
        audit.note(Note::of(&event, String::new()));
        drop(audit);
        let log = std::fs::read_to_string(dir.join(FILE)).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 62, "60 refusals, a session, and who was left out");
        assert!(lines[..60].iter().all(|line| line.len() < 3000 && line.contains("refused")));
        assert!(lines[60].contains("stopped") && lines[60].len() > 20_000);
        assert!(lines[61].contains("\"left_out\":440"), "{}", lines[61]);
    }
}
