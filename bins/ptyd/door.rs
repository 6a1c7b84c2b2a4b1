//! The door: lets in by the allowlist and by what the command line adds to it, and keeps the books.

use crate::args::Allowed;
use crate::audit::{Audit, Note};
use keywire::error::Result;
use keywire::host::{Ended, Event, Keeper, What};
use keywire::key::PublicKey;
use keywire::proto::copy::Way;
use keywire::proto::pty::{Exit, Op, Request};
use keywire::store::Store;
use keywire::term::sanitize_line;
use keywire::threads::lock;
use keywire::trust::{ALLOW, Allowlist, Grant, Peers, Right};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// A file that was changed more recently than this may be changed again without looking different: its times are coarse.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Most characters of a command in the log.
const MOST_SHOWN: usize = 1000;

/// Decides by the allowlist, and by what the command line adds to it.
pub(crate) struct Door {
    store: Store,
    also: Allowlist,
    known: Mutex<Option<(Stamp, Allowlist)>>,
    seen: Mutex<Stamp>,
    audit: Audit,
}

/// What tells one state of a file from another; nothing where there is no file.
type Stamp = Option<(u64, u64, u64, SystemTime, i64)>;

impl Door {
    pub(crate) fn new(allowed: &[Allowed]) -> Result<Self> {
        let store = Store::home()?;
        let peers = Peers::load(&store)?;
        let mut also = Allowlist::default();
        for one in allowed {
            let key = peers.resolve_key(&one.who)?;
            also.rule_mut(key).rights.extend(&one.rights);
        }
        let audit = Audit::start(store.clone());
        let seen = Mutex::new(stamp(&store));
        Ok(Door { store, also, known: Mutex::new(None), seen, audit })
    }

    /// Asks the allowlist of the state directory, which is read again only if it has changed.
    fn grant_by_list(&self, key: &PublicKey, right: Right, now: SystemTime) -> Result<Grant> {
        let mut known = lock(&self.known);
        let stamp = stamp(&self.store);
        let list = match known.take() {
            Some((then, list)) if then == stamp && is_settled(&stamp, now) => list,
            _ => Allowlist::load(&self.store)?,
        };
        let (_, list) = known.insert((stamp, list));
        list.grant(key, right, now)
    }
}

impl Keeper for Door {
    fn grant(&self, key: &PublicKey, right: Right) -> Result<Grant> {
        let now = SystemTime::now();
        self.also.grant(key, right, now).or_else(|_| self.grant_by_list(key, right, now))
    }

    fn has_changed(&self) -> bool {
        let stamp = stamp(&self.store);
        let mut seen = lock(&self.seen);
        let changed = *seen != stamp || !is_settled(&stamp, SystemTime::now());
        *seen = stamp;
        changed
    }

    fn subsystem(&self, name: &str, grant: &Grant) -> Option<Vec<OsString>> {
        if name != "sftp" {
            return None;
        }
        // This program itself, whatever lies at its path by now.
        let mut words: Vec<OsString> = vec!["/proc/self/exe".into(), "--sftp-server".into()];
        let rule = grant.rule();
        match (rule.gives(Right::CopyRead), rule.gives(Right::CopyWrite)) {
            (true, false) => words.push("--read-only".into()),
            (false, true) => words.push("--write-only".into()),
            _ => {}
        }
        if let Some(root) = &rule.root {
            words.extend(["--root".into(), root.into()]);
        }
        Some(words)
    }

    fn note(&self, event: &Event<'_>) {
        let what = match &event.what {
            What::Refused(why) => format!("refused: {}", sanitize_line(why)),
            What::Began => format!("began: {}", event.request.map(asked).unwrap_or_default()),
            What::Ended(_, _, ended) => match ended {
                Ended::Command(Exit::Status(status)) => format!("ended with status {status}"),
                Ended::Command(Exit::Signal(signal)) => format!("ended by the signal {signal}"),
                Ended::Command(Exit::NotStarted(_, why)) => format!("could not be started: {why}"),
                Ended::Copied(outcome) => format!("ended: {} copied, {} failed", outcome.stored, outcome.failed),
                Ended::Disconnected(why) => format!("hung up: {}", sanitize_line(why)),
                Ended::Revoked(why) => format!("hung up: {}", sanitize_line(why)),
                Ended::Stopped => "hung up: the host is ending".to_owned(),
            },
        };
        self.audit.note(Note::of(event, what));
    }
}

/// What was asked for, for a person.
fn asked(request: &Request) -> String {
    let command = || {
        let text = request.command.as_deref().unwrap_or_default();
        let shown: String = text.chars().take(MOST_SHOWN).collect();
        let more = if shown.len() < text.len() { "..." } else { "" };
        sanitize_line(&shown) + more
    };
    match request.op {
        Op::Exec => command(),
        Op::Subsystem => format!("the subsystem {}", command()),
        Op::Shell => "a shell".to_owned(),
        Op::None => "nothing but the connection".to_owned(),
        Op::Copy => match request.copy.map(|copy| copy.way) {
            Some(Way::ToHost) => "a copy to here".to_owned(),
            _ => "a copy from here".to_owned(),
        },
    }
}

fn stamp(store: &Store) -> Stamp {
    let found = std::fs::symlink_metadata(store.path(ALLOW)).ok()?;
    Some((found.dev(), found.ino(), found.size(), found.modified().ok()?, found.ctime_nsec()))
}

fn is_settled(stamp: &Stamp, now: SystemTime) -> bool {
    let changed_at = stamp.map(|(.., modified, _)| modified);
    changed_at.is_none_or(|at| now.duration_since(at).is_ok_and(|age| age > SETTLED_AFTER))
}
