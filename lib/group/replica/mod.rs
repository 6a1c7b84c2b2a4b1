//! One member's copy of a group: takes entries in, and says what another copy lacks. No clock, no files and no network of its own.

mod forks;
mod missing;
mod quota;
mod take;
mod write;

pub use forks::Compared;
pub(in crate::group) use missing::length;
pub(in crate::group) use quota::MOST_LOGS_OF_ONE;
pub use take::Taken;
pub use write::Words;

use super::roster::{Known, MOST_ACTS, Roster};
use super::shelf::{Shelf, Stored};
use crate::error::{Error, Result};
use crate::kdf;
use crate::key::PublicKey;
use crate::proto::group::message::Tip;
use crate::proto::group::roster::{Act, Op, Place};
use crate::proto::group::{Class, Entry, EntryId, Genesis, GroupId, Inc, LogId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How far ahead of us a clock may be without being flagged, in milliseconds.
pub const MOST_AHEAD: u64 = 10 * 60 * 1000;

/// How many entries are looked through at a time for one, and at most.
const FIND: u64 = 64;
const MOST_FIND: u64 = 4096;

/// A copy of a group.
pub struct Replica<S> {
    genesis: Genesis,
    group: GroupId,
    shelf: S,
    logs: BTreeMap<LogId, Log>,
    acts: Vec<Known>,
    /// Roster logs that an act of the owner has seen: they are taken, however many there are.
    owners: BTreeSet<LogId>,
    /// Where the acts stand, with their clocks.
    places: HashMap<(PublicKey, Inc, u64), (EntryId, u64)>,
    roster: Roster,
    /// Whether there are acts that the roster does not know of yet.
    is_stale: bool,
    /// Where logs end whose author wrote two entries in one place: before the first of those.
    forks: BTreeMap<LogId, [Entry; 2]>,
    /// When something was last stored that came from another member.
    progress: u64,
    /// Changes with everything that is stored.
    version: u64,
}

/// A log, as far as it is stored, and as far as it counts.
#[derive(Clone, Copy, Debug)]
struct Log {
    stored: Stored,
    /// The last entry that counts; none if its place is 0.
    end: Tip,
}

/// One class of logs in a few bytes: equal digests, equal logs.
pub type Digest = [u8; 32];

impl<S: Shelf> Replica<S> {
    /// The copy that lies on `shelf`.
    ///
    /// # Errors
    /// It cannot be read; an act that is stored is none.
    pub fn open(genesis: Genesis, shelf: S) -> Result<Self> {
        let group = genesis.id();
        let roster = Roster::fold(&genesis, &[]);
        let forks = shelf.forks()?.into_iter().map(|fork| (fork[0].header.log, fork)).collect();
        let mut replica = Replica {
            genesis,
            group,
            shelf,
            logs: BTreeMap::new(),
            acts: Vec::new(),
            owners: BTreeSet::new(),
            places: HashMap::new(),
            roster,
            is_stale: false,
            forks,
            progress: 0,
            version: 0,
        };
        replica.reload()?;
        Ok(replica)
    }

    /// Takes up what lies on the shelf anew, where that has less than before.
    ///
    /// # Errors
    /// As [`Replica::open`].
    pub fn reload(&mut self) -> Result<()> {
        (self.logs, self.acts, self.places) = (BTreeMap::new(), Vec::new(), HashMap::new());
        for stored in self.shelf.logs()? {
            if stored.log.class == Class::Roster {
                self.load_acts(&stored)?;
            }
            let end = Tip { log: stored.log, seq: stored.seq, id: short(&stored.id) };
            self.logs.insert(stored.log, Log { stored, end });
        }
        self.fold()
    }

    /// What it began with.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The group's id.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Who is who.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Where its entries lie.
    pub fn shelf(&self) -> &S {
        &self.shelf
    }

    /// Where its entries lie, for whoever tidies up there.
    pub fn shelf_mut(&mut self) -> &mut S {
        &mut self.shelf
    }

    /// Changes whenever something is stored.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When something was last stored that came from another member, in milliseconds since 1970.
    pub fn progress(&self) -> u64 {
        self.progress
    }

    /// The logs that are stored, as they are stored.
    pub fn logs(&self) -> impl Iterator<Item = &Stored> {
        self.logs.values().map(|log| &log.stored)
    }

    /// The last entry of each log that counts.
    pub fn tips(&self) -> impl Iterator<Item = Tip> {
        self.logs.values().map(|log| log.end).filter(|tip| tip.seq > 0)
    }

    /// How far `log` counts.
    pub fn end(&self, log: &LogId) -> u64 {
        self.logs.get(log).map_or(0, |log| log.end.seq)
    }

    /// The acts that are stored.
    pub fn acts(&self) -> &[Known] {
        &self.acts
    }

    /// Up to which clock a key that was removed may know the acts: those that led to its removal.
    pub fn removed_at(&self, key: &PublicKey) -> Option<u64> {
        let removes = |act: &&Known| matches!(&act.act.op, Op::Remove { member, .. } if member == key);
        let clocks = || self.acts.iter().filter(removes).map(|act| act.clock).max();
        self.roster.is_removed(key).then(clocks).flatten()
    }

    /// What the first entry of `log` names as the last act known.
    pub fn first_of(&self, log: &LogId) -> Option<EntryId> {
        self.logs.get(log).map(|log| log.stored.first)
    }

    /// Whether the author of `log` wrote two entries in one place of it.
    pub fn is_forked(&self, log: &LogId) -> bool {
        self.forks.contains_key(log)
    }

    /// Whether nothing that is written into `log` from now on would count.
    pub fn is_closed(&self, log: &LogId) -> bool {
        let first = self.first_of(log);
        let is_full = log.class == Class::Roster && self.logs.get(log).is_some_and(|log| log.stored.seq >= MOST_ACTS);
        is_full || self.is_forked(log) || first.is_some_and(|first| self.roster.cut(log, &first).is_some())
    }

    /// Where an entry of `author` stands, if it is there: it is looked for from the end.
    ///
    /// # Errors
    /// The entries cannot be read.
    pub fn find_own(&self, author: &PublicKey, id: &EntryId) -> Result<Option<(LogId, u64)>> {
        for log in self.logs.values().map(|log| log.stored).filter(|stored| stored.log.author == *author) {
            let least = log.seq.saturating_sub(MOST_FIND);
            let mut before = log.seq;
            while before > least {
                let from = before.saturating_sub(FIND) + 1;
                let mut at = from;
                while at <= before {
                    let entries = self.shelf.read(&log.log, at, 1 << 20)?;
                    let Some(last) = entries.last() else { break };
                    at = last.header.seq + 1;
                    if let Some(found) = entries.iter().find(|entry| entry.id == *id) {
                        return Ok(Some((log.log, found.header.seq)));
                    }
                }
                before = from - 1;
            }
        }
        Ok(None)
    }

    /// Logs whose author wrote two entries in one place, with these.
    pub fn forks(&self) -> impl Iterator<Item = &[Entry; 2]> {
        self.forks.values()
    }

    /// The digest of all logs of a class, as far as they count.
    pub fn digest(&self, class: Class) -> Digest {
        let mut bytes = Vec::new();
        for tip in self.tips().filter(|tip| tip.log.class == class) {
            bytes.extend_from_slice(tip.log.author.as_bytes());
            bytes.extend_from_slice(&tip.log.inc.0);
            bytes.extend_from_slice(&tip.seq.to_be_bytes());
            bytes.extend_from_slice(&tip.id);
        }
        kdf::hash_32(&[&bytes])
    }

    /// Entries of `log` that count, from place `from` on: as many as `most` bytes hold, but at least one if there is one.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn read(&self, log: &LogId, from: u64, most: usize) -> Result<Vec<Entry>> {
        let end = self.end(log);
        if from > end {
            return Ok(Vec::new());
        }
        let mut entries = self.shelf.read(log, from, most)?;
        entries.retain(|entry| entry.header.seq <= end);
        Ok(entries)
    }

    /// The same, ending with an entry whose signature is right, so that whoever gets them can prove them. If that stands behind
    /// what counts, what is between comes with it.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn signed(&self, log: &LogId, from: u64, most: usize) -> Result<Vec<Entry>> {
        let mut entries = self.read(log, from, most)?;
        let is_open = |entries: &[Entry]| entries.last().is_some_and(|last| !last.is_signed());
        let mut beyond = Vec::new();
        let mut at = entries.last().map_or(from, |last| last.header.seq + 1);
        while is_open(if beyond.is_empty() { &entries } else { &beyond }) {
            let next = self.shelf.read(log, at, 1)?;
            let Some(last) = next.last() else { break };
            at = last.header.seq + 1;
            beyond.extend(next);
        }
        if is_open(&beyond) {
            beyond.clear();
        }
        entries.extend(beyond);
        while is_open(&entries) {
            entries.pop();
        }
        Ok(entries)
    }

    /// The first 16 bytes of the id of the entry in place `seq`, if it counts.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn id_at(&self, log: &LogId, seq: u64) -> Result<Option<[u8; 16]>> {
        match self.logs.get(log) {
            Some(log) if log.end.seq == seq => Ok(Some(log.end.id)),
            Some(known) if seq > 0 && seq < known.end.seq => {
                Ok(self.shelf.read(log, seq, 1)?.first().map(|entry| short(&entry.id)))
            }
            _ => Ok(None),
        }
    }

    /// Reads the acts of a log that is stored already.
    fn load_acts(&mut self, stored: &Stored) -> Result<()> {
        let mut from = 1;
        while from <= stored.seq {
            let entries = self.shelf.read(&stored.log, from, 1 << 20)?;
            let Some(last) = entries.last() else { break };
            from = last.header.seq + 1;
            for entry in &entries {
                self.push_act(known(entry)?);
            }
        }
        Ok(())
    }

    fn push_act(&mut self, act: Known) {
        let place = &act.place;
        self.places.insert((place.author, place.inc, place.seq), (place.id, act.clock));
        self.acts.push(act);
        self.is_stale = true;
    }

    /// Folds the roster anew, and sees how far each log counts by it.
    fn fold(&mut self) -> Result<()> {
        self.roster = self.roster_of(&self.acts);
        let mut ends = Vec::new();
        for (id, log) in &self.logs {
            let cut = self.roster.cut(id, &log.stored.first).unwrap_or(u64::MAX);
            let seq = log.stored.seq.min(cut).min(self.fork_at(id).saturating_sub(1));
            if seq != log.end.seq {
                let at = if seq == log.stored.seq {
                    short(&log.stored.id)
                } else if seq == 0 {
                    [0; 16]
                } else {
                    // What came in one message with what ends it may not be stored yet; it is looked for again.
                    let Some(last) = self.shelf.read(id, seq, 1)?.into_iter().next() else { continue };
                    short(&last.id)
                };
                ends.push(Tip { log: *id, seq, id: at });
            }
        }
        for end in ends {
            if let Some(log) = self.logs.get_mut(&end.log) {
                log.end = end;
            }
        }
        self.version += 1;
        self.is_stale = false;
        Ok(())
    }
}

/// The act that an entry is.
fn known(entry: &Entry) -> Result<Known> {
    let header = &entry.header;
    let body = entry.body.as_deref().ok_or_else(|| Error::protocol("an act without its body"))?;
    let act = Act::decode(body)?;
    Ok(Known { place: Place::of(&header.log, header.seq, entry.id), clock: header.clock, act })
}

/// How a [`Tip`] names an entry.
fn short(id: &EntryId) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(id.0.get(..16).unwrap_or_default());
    short
}
