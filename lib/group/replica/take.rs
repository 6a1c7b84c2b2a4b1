//! Taking in what another member sends.

use super::forks::Compared;
use super::quota::MOST_LOGS_OF_ONE;
use super::{Log, MOST_AHEAD, Replica, known, short};
use crate::error::{Error, Result};
use crate::group::roster::Verdict;
use crate::group::shelf::{Shelf, Stored};
use crate::key::PublicKey;
use crate::proto::group::message::Tip;
use crate::proto::group::{Class, Entry, EntryId, LogId};
use std::collections::BTreeMap;

/// Entries older than this may come without their bodies, which their keepers may have dropped: milliseconds.
const MAY_LACK_BODY: u64 = 7 * 24 * 3600 * 1000;

/// When an act is asked for again whose clock is ahead of ours, in milliseconds: ours may have been set right.
const AGAIN_AFTER: u64 = 60 * 1000;

/// What became of entries.
#[derive(Debug, Default)]
pub struct Taken {
    /// Those that are stored now, and were not before.
    pub stored: Vec<Entry>,
    /// Whether there were some that can be taken only when others are there.
    pub is_early: bool,
    /// When those should be asked for again that come too soon by our clock, in milliseconds since 1970.
    pub again_at: Option<u64>,
    /// Those that cannot be taken: whose, and why.
    pub refused: Vec<(PublicKey, String)>,
    /// Logs found to be forked, with the proof.
    pub forks: Vec<[Entry; 2]>,
    /// Logs of which the sender has other entries than we.
    pub differing: BTreeMap<LogId, Compared>,
    /// Why not all could be taken that is right: the disk failed after something was stored.
    pub failure: Option<Error>,
}

/// Content that came in one message, and counts already, but is not stored yet.
#[derive(Default)]
struct Unstored {
    entries: Vec<Entry>,
    /// What its logs were before.
    before: Vec<(LogId, Option<Log>)>,
}

/// Cuts off what does not follow in a row, and what stands behind its last good signature. Without any nothing of it is proven.
fn sign_off(run: &mut Vec<Entry>) -> bool {
    let follows = |pair: &&[Entry]| matches!(pair, [one, next] if next.header.prev == one.id);
    let in_row = run.windows(2).take_while(follows).count() + 1;
    run.truncate(in_row);
    while run.last().is_some_and(|last| !last.is_signed()) {
        run.pop();
    }
    !run.is_empty()
}

/// Why an entry is not taken.
enum No {
    Early,
    /// Its clock is ahead of ours: it may be ours that is wrong.
    Ahead(String),
    /// The owner has seen this log, of whose author there are more than are taken.
    Lacks(LogId),
    Refused(String),
}

impl<S: Shelf> Replica<S> {
    /// Takes what is right of `entries`, in which those of a log stand in a row. What is stored when it returns survives a loss
    /// of power.
    ///
    /// The last signature of a row commits to all before it through their hashes; only that one is checked. The others are kept
    /// as they came: who uses one as a proof checks it.
    ///
    /// # Errors
    /// They cannot be stored, and none is. If it fails when some are stored already, [`Taken::failure`] says so.
    pub fn take(&mut self, entries: Vec<Entry>, now: u64) -> Result<Taken> {
        let (mut taken, mut content) = (Taken::default(), Unstored::default());
        let version = self.version;
        let mut done = self.take_runs(entries, now, &mut taken, &mut content);
        let has_content = !content.entries.is_empty();
        if done.is_ok() && has_content {
            done = self.shelf.append(&content.entries);
        }
        match &done {
            Ok(()) => taken.stored.append(&mut content.entries),
            Err(_) => self.forget(content.before),
        }
        // A fold on the way has looked for the ends of logs on the shelf, where content was not yet.
        if self.is_stale || (has_content && self.version != version) {
            self.is_stale = true;
            done = done.and(self.fold());
        }
        taken.failure = done.err();
        taken.differing.retain(|_, compared| compared.is_different());
        if !taken.stored.is_empty() {
            self.version += 1;
            self.progress = now;
        }
        match taken.failure {
            Some(error) if taken.stored.is_empty() && taken.forks.is_empty() => Err(error),
            _ => Ok(taken),
        }
    }

    /// Stores acts, one row after the other, and sees which content is right.
    fn take_runs(&mut self, entries: Vec<Entry>, now: u64, taken: &mut Taken, content: &mut Unstored) -> Result<()> {
        let mut rest = entries.into_iter().peekable();
        while let Some(first) = rest.next() {
            let log = first.header.log;
            let mut run = vec![first];
            while let Some(next) = rest.next_if(|next| {
                let last = run.last().map(|last| (last.header.log, last.header.seq + 1));
                last == Some((next.header.log, next.header.seq))
            }) {
                run.push(next);
            }
            let run = self.right(run, now, taken)?;
            if run.is_empty() {
                continue;
            }
            match log.class {
                Class::Content => {
                    // They count at once, so that what follows in the same message is judged right, and are stored together.
                    content.before.push((log, self.logs.get(&log).copied()));
                    self.remember(&run);
                    content.entries.extend(run);
                }
                Class::Roster => {
                    let acts = run.iter().map(known).collect::<Result<Vec<_>>>()?;
                    self.shelf.append(&run)?;
                    self.remember(&run);
                    acts.into_iter().for_each(|act| self.push_act(act));
                    taken.stored.extend(run);
                }
            }
        }
        Ok(())
    }

    /// What of a row is right, new, and fits where its log ends.
    fn right(&mut self, mut run: Vec<Entry>, now: u64, taken: &mut Taken) -> Result<Vec<Entry>> {
        let Some(log) = run.first().map(|entry| entry.header.log) else { return Ok(run) };
        if run.iter().any(|entry| entry.header.group != self.group) {
            taken.refused.push((log.author, "an entry of another group".to_owned()));
            return Ok(Vec::new());
        }
        let fork_at = self.fork_at(&log);
        let before = self.logs.get(&log).map(|log| log.stored);
        let known_to = before.map_or(0, |stored| stored.seq);
        let new_from = run.iter().position(|entry| entry.header.seq > known_to).unwrap_or(run.len());
        let held: Vec<Entry> = run.drain(..new_from).take_while(|entry| entry.header.seq < fork_at).collect();
        if self.compare(&log, &held, taken)? {
            return Ok(Vec::new());
        }
        let Some(first) = run.first().filter(|first| first.header.seq < fork_at) else { return Ok(Vec::new()) };
        if first.header.seq != known_to + 1 {
            taken.is_early = true;
            return Ok(Vec::new());
        }
        if first.header.prev != before.map(|stored| stored.id).unwrap_or_default() {
            taken.differing.entry(log).or_default().differs(known_to);
            return Ok(Vec::new());
        }
        if before.is_none() && self.has_no_room_for(&log) {
            taken.refused.push((log.author, format!("more than {MOST_LOGS_OF_ONE} logs of one kind")));
            return Ok(Vec::new());
        }
        if let Some(most) = self.is_full(log.class, log.author) {
            let what = if log.class == Class::Roster { "acts" } else { "entries" };
            taken.refused.push((log.author, format!("more than {most} MiB of {what}")));
            return Ok(Vec::new());
        }
        if !sign_off(&mut run) {
            taken.refused.push((log.author, "an entry that its author did not sign".to_owned()));
            return Ok(Vec::new());
        }
        // What stands from a fork on counts for nobody, but may hold the signature of what stands before.
        run.retain(|entry| entry.header.seq < fork_at);
        let Some(first) = run.first() else { return Ok(run) };
        let mut clock = before.map_or(0, |stored| stored.clock);
        let origin = before.map_or(first.header.roster, |stored| stored.first);
        let mut right = run.len();
        for (at, entry) in run.iter().enumerate() {
            let in_place = if entry.header.clock <= clock {
                Err(No::Refused("an entry whose clock is not after the one before it".to_owned()))
            } else {
                match self.judge(entry, &origin, now) {
                    // Folding is dear: it is done where it may make a difference.
                    Err(_) if self.is_stale => {
                        self.fold()?;
                        self.judge(entry, &origin, now)
                    }
                    judged => judged,
                }
            };
            if let Err(no) = in_place {
                match no {
                    No::Early => taken.is_early = true,
                    No::Ahead(why) => {
                        taken.again_at = Some(now.saturating_add(AGAIN_AFTER));
                        taken.refused.push((log.author, why));
                    }
                    No::Lacks(lacking) => {
                        self.owners.insert(lacking);
                        taken.is_early = true;
                    }
                    No::Refused(why) => taken.refused.push((log.author, why)),
                }
                right = at;
                break;
            }
            clock = entry.header.clock;
        }
        run.truncate(right);
        Ok(run)
    }

    fn judge(&self, entry: &Entry, first: &EntryId, now: u64) -> std::result::Result<(), No> {
        let header = &entry.header;
        if !self.roster.was_ever(&header.log.author) {
            return Err(No::Refused("an entry of a key that is no member".to_owned()));
        }
        if entry.body.is_none()
            && (header.log.class == Class::Roster || header.clock.saturating_add(MAY_LACK_BODY) > now)
        {
            return Err(No::Refused("an entry without its body".to_owned()));
        }
        match self.roster.verdict(header, first) {
            Verdict::Counts | Verdict::Hidden(_) => {}
            Verdict::Refused(why) => return Err(No::Refused(why)),
            Verdict::Later => return Err(No::Early),
        }
        if header.log.class == Class::Content {
            return Ok(());
        }
        if header.clock > now.saturating_add(MOST_AHEAD) {
            // Every later act would have to be later still.
            let minutes = (header.clock - now) / 60_000;
            return Err(No::Ahead(format!("an act whose clock is {minutes} minutes ahead of ours")));
        }
        let known = known(entry).map_err(|error| No::Refused(error.to_string()))?;
        for seen in &known.act.seen {
            let log = LogId { class: Class::Roster, author: seen.author, inc: seen.inc };
            if log == header.log {
                return Err(No::Refused("an act that has seen its own log".to_owned()));
            }
            let end = self.ends_before(&log);
            if seen.seq >= end {
                // What stands there counts for nobody, and may be another thing here, or not here: it has seen what is before it.
                let before = end.saturating_sub(1);
                match before == 0 || self.places.contains_key(&(seen.author, seen.inc, before)) {
                    true => continue,
                    false => return Err(No::Early),
                }
            }
            match self.places.get(&(seen.author, seen.inc, seen.seq)) {
                // It has seen another act than ours: the proof of that will come.
                Some((id, _)) if *id != seen.id => return Err(No::Early),
                Some((_, clock)) if *clock >= header.clock => {
                    return Err(No::Refused("an act that is older than what it has seen".to_owned()));
                }
                Some(_) => {}
                None if !self.logs.contains_key(&log) && self.has_no_room_for(&log) => {
                    if header.log.author != self.genesis.owner {
                        let author = log.author.short();
                        return Err(No::Refused(format!("an act after one in a log of {author} that is one too many")));
                    }
                    return Err(if entry.is_signed() { No::Lacks(log) } else { No::Early });
                }
                None => return Err(No::Early),
            }
        }
        // What is not signed must not be folded: of acts each signature is checked.
        match entry.is_signed() {
            true => Ok(()),
            false => Err(No::Refused("an act that its author did not sign".to_owned())),
        }
    }

    /// Whether a new log is one more than are kept of its author.
    fn has_no_room_for(&self, log: &LogId) -> bool {
        !self.owners.contains(log) && self.logs_of(log.class, log.author) >= MOST_LOGS_OF_ONE
    }

    /// Sees that entries are stored.
    pub(super) fn remember(&mut self, run: &[Entry]) {
        for entry in run {
            let header = &entry.header;
            let bytes = self.shelf.bytes(&header.log);
            let log = self.logs.entry(header.log).or_insert(Log {
                stored: Stored {
                    log: header.log,
                    first: header.roster,
                    seq: 0,
                    id: EntryId::default(),
                    clock: 0,
                    bytes: 0,
                },
                end: Tip { log: header.log, seq: 0, id: [0; 16] },
            });
            let counts = log.end.seq == log.stored.seq;
            log.stored = Stored { seq: header.seq, id: entry.id, clock: header.clock, bytes, ..log.stored };
            if counts {
                log.end = Tip { log: header.log, seq: header.seq, id: short(&entry.id) };
            }
        }
    }

    /// Sees that content is not stored after all: its logs are what they were.
    fn forget(&mut self, before: Vec<(LogId, Option<Log>)>) {
        for (log, before) in before.into_iter().rev() {
            match before {
                Some(before) => drop(self.logs.insert(log, before)),
                None => drop(self.logs.remove(&log)),
            }
        }
        // Acts may have come meanwhile that cut them.
        self.is_stale = true;
    }

    /// Whether an entry's clock is so far ahead of ours that it is said.
    pub fn is_ahead(&self, entry: &Entry, now: u64) -> bool {
        entry.header.time > now.saturating_add(MOST_AHEAD)
    }
}
