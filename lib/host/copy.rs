//! One copy on the host: the engine on a thread of its own, until it is done or what lets the dialer in is gone.

use super::environment::Account;
use super::session::{Cut, Ended, Traffic};
use crate::conn::{Batch, BulkOptions, BulkReceiver, BulkSender, Connection, Reason};
use crate::copy::{Outcome, Place, Selection, Target, receive, send};
use crate::error::{Error, Kind, Result, reason};
use crate::proto::copy::{Asked, MAX_ASKED, Request, Way};
use crate::root::MAX_PATH_LEN;
use crate::trust::{Right, Rule};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::sync::oneshot;

/// Most bytes of all that one copy asks for: many times what a command line can hold.
const MAX_ASKED_LEN: usize = 4096 * MAX_PATH_LEN;

/// Serves a copy; says what was asked for, and how it ended.
pub(super) async fn serve(
    connection: Connection,
    wishes: Request,
    rule: &Rule,
    account: &Account,
    cut: impl Future<Output = Cut>,
) -> (String, Ended, Traffic) {
    let (sender, receiver, breaker) = match connection.into_bulk(BulkOptions::default()) {
        Ok(bulk) => bulk,
        Err(error) => return (String::new(), Ended::Disconnected(error.to_string()), Traffic::default()),
    };
    let (root, home) = (rule.root.clone(), account.home.clone());
    let may_read = rule.gives(Right::CopyRead);
    let asked = Arc::new(OnceLock::new());
    let heard = asked.clone();
    let mut copying = match aside(move || copy(&wishes, root, home, may_read, sender, receiver, &heard)) {
        Ok(copying) => copying,
        Err(error) => return (String::new(), Ended::Disconnected(error.to_string()), Traffic::default()),
    };
    let ended = tokio::select! {
        copied = &mut copying => match copied {
            Ok(Ok(outcome)) => Ended::Copied(outcome),
            // Nothing could be stored, and the other side knows why.
            Ok(Err(error)) if error.kind() == Kind::No => Ended::Copied(Outcome { stored: 0, failed: 1 }),
            Ok(Err(error)) => Ended::Disconnected(error.to_string()),
            Err(_) => Ended::Disconnected("the copy came to a sudden end".to_owned()),
        },
        why = cut => {
            let (reason, text) = why.words();
            breaker.cut(reason, &text);
            // It has ended too: each wait for the connection does.
            let _ = copying.await;
            why.ended()
        }
    };
    let (sent, received) = breaker.carried();
    if let Ok(closed) = aside(move || breaker.wait()) {
        // A thread that died has nothing left to wait for.
        let _ = closed.await;
    }
    (asked.get().cloned().unwrap_or_default(), ended, Traffic { received, sent })
}

/// Does `work` on a thread of its own. Those of the runtime are few, and a copy that waits for its dialer would keep one from
/// all others.
fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<oneshot::Receiver<T>> {
    let (tell, done) = oneshot::channel();
    let started = std::thread::Builder::new().spawn(move || {
        // The session may have come to grief.
        let _ = tell.send(work());
    });
    started.map(|_| done).map_err(|cause| Error::state(format!("cannot start a thread: {}", reason(&cause))))
}

/// Listens to what is asked for, and does it.
fn copy(
    wishes: &Request,
    root: Option<PathBuf>,
    home: PathBuf,
    may_read: bool,
    sender: BulkSender,
    mut receiver: BulkReceiver,
    heard: &OnceLock<String>,
) -> Result<Outcome> {
    let place = match &root {
        Some(root) => Place::below(root),
        None => Place::of_home(&home),
    };
    let place = match place {
        Ok(place) => place.telling(may_read),
        Err(cause) => {
            let shown = root.unwrap_or(home);
            let why = format!("the directory of files cannot be opened: {}", reason(&cause));
            sender.fail(Reason::Unavailable, &why);
            return Err(Error::file("open", &shown, &cause));
        }
    };
    let asked = match Words::listen(wishes.way, &mut receiver) {
        Ok(asked) => asked,
        Err(error) => {
            sender.fail(Reason::BadRequest, &error.to_string());
            return Err(error);
        }
    };
    // Nobody else sets it.
    let _ = heard.set(asked.shown());
    let watch = &mut |_: crate::copy::Event<'_>| {};
    match wishes.way {
        Way::ToHost => {
            let target = Target::Path(&place, asked.target.as_deref().unwrap_or_default());
            receive(&target, None, wishes, sender, receiver, watch)
        }
        Way::FromHost => {
            let selection =
                Selection { place, sources: asked.sources, globs: true, excludes: asked.excludes, stdin: false };
            send(&selection, wishes, sender, receiver, watch)
        }
    }
}

/// What the dialer asked for.
#[derive(Default)]
struct Words {
    sources: Vec<Vec<u8>>,
    excludes: Vec<Vec<u8>>,
    target: Option<Vec<u8>>,
    length: usize,
}

impl Words {
    /// Listens up to the GO; what follows it is the copy's.
    fn listen(way: Way, receiver: &mut BulkReceiver) -> Result<Self> {
        let mut words = Words::default();
        loop {
            let batch = receiver.recv()?.ok_or_else(|| Error::protocol("a close before the GO"))?;
            if let Some(count) = words.take(batch)? {
                receiver.take_only(count);
                break;
            }
        }
        let fits = match way {
            Way::ToHost => words.target.is_some() && words.sources.is_empty() && words.excludes.is_empty(),
            Way::FromHost => words.target.is_none() && !words.sources.is_empty(),
        };
        if fits { Ok(words) } else { Err(Error::protocol("what is asked for does not fit its direction")) }
    }

    /// All of it in one line, for the books.
    fn shown(&self) -> String {
        let paths = self.sources.iter().chain(&self.target);
        paths.map(|path| String::from_utf8_lossy(path)).collect::<Vec<_>>().join(" ")
    }

    /// Takes the records up to the GO; says how many they were if it is among them.
    fn take(&mut self, batch: &Batch) -> Result<Option<usize>> {
        for (at, record) in batch.records().enumerate() {
            match Asked::decode(&record)? {
                Asked::Source(path) => self.sources.push(path.to_vec()),
                Asked::Exclude(pattern) => self.excludes.push(pattern.to_vec()),
                Asked::Target(path) if self.target.is_none() => self.target = Some(path.to_vec()),
                Asked::Target(_) => return Err(Error::protocol("a second TARGET")),
                Asked::Go => return Ok(Some(at + 1)),
            }
            self.length += record.body.len();
            if self.length > MAX_ASKED_LEN || self.sources.len() + self.excludes.len() > MAX_ASKED {
                return Err(Error::protocol("too much is asked for at once"));
            }
        }
        Ok(None)
    }
}
