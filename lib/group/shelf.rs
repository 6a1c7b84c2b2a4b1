//! Where the entries of a group lie.

use crate::error::{Error, Result};
use crate::proto::group::{Entry, EntryId, LogId};
use std::collections::BTreeMap;

/// A log that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Which.
    pub log: LogId,
    /// What its first entry names as the last act known.
    pub first: EntryId,
    /// Its last entry's place.
    pub seq: u64,
    /// That entry.
    pub id: EntryId,
    /// That entry's clock.
    pub clock: u64,
    /// How many bytes the log has.
    pub bytes: u64,
}

/// Keeps entries. It is told nothing that it must judge: what comes to it is right, and in its place.
pub trait Shelf: Send {
    /// The logs that are there.
    ///
    /// # Errors
    /// They cannot be read.
    fn logs(&self) -> Result<Vec<Stored>>;

    /// How many bytes `log` takes now.
    fn bytes(&self, log: &LogId) -> u64 {
        let logs = self.logs().unwrap_or_default();
        logs.iter().find(|stored| stored.log == *log).map_or(0, |stored| stored.bytes)
    }

    /// Entries of `log` from place `from` on, in a row: as many as `most` bytes hold, but at least one if there is one.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&self, log: &LogId, from: u64, most: usize) -> Result<Vec<Entry>>;

    /// Adds entries, each at the end of its log. They survive a loss of power when it returns; if it fails, none is there.
    ///
    /// # Errors
    /// A full disk, among others.
    fn append(&mut self, entries: &[Entry]) -> Result<()>;

    /// Two entries that their author wrote in one place. Kept for ever: of each log those in the lowest place.
    ///
    /// # Errors
    /// As [`Shelf::append`].
    fn keep_fork(&mut self, fork: &[Entry; 2]) -> Result<()>;

    /// All of those.
    ///
    /// # Errors
    /// They cannot be read.
    fn forks(&self) -> Result<Vec<[Entry; 2]>>;
}

/// A shelf in memory, for simulations. A copy of it is what a backup would be.
#[derive(Clone, Debug, Default)]
pub struct MemoryShelf {
    logs: BTreeMap<LogId, MemoryLog>,
    forks: BTreeMap<LogId, [Entry; 2]>,
}

#[derive(Clone, Debug, Default)]
struct MemoryLog {
    entries: Vec<Entry>,
    bytes: u64,
}

/// Checks that each of `entries` follows the one before it in its log, of which `tip` knows the last.
///
/// # Errors
/// One does not.
pub(super) fn check_places(entries: &[Entry], tip: impl Fn(&LogId) -> Option<(u64, EntryId)>) -> Result<()> {
    let mut tips = BTreeMap::new();
    for entry in entries {
        let header = &entry.header;
        let tip = tips.entry(header.log).or_insert_with(|| tip(&header.log).unwrap_or_default());
        if Some(header.seq) != tip.0.checked_add(1) || header.prev != tip.1 {
            return Err(Error::state(format!("entry {} of {:?} does not follow {}", header.seq, header.log, tip.0)));
        }
        *tip = (header.seq, entry.id);
    }
    Ok(())
}

impl Shelf for MemoryShelf {
    fn logs(&self) -> Result<Vec<Stored>> {
        let stored = |(log, stored): (&LogId, &MemoryLog)| {
            let (first, last) = (stored.entries.first()?, stored.entries.last()?);
            let (first, seq, id, clock) = (first.header.roster, last.header.seq, last.id, last.header.clock);
            Some(Stored { log: *log, first, seq, id, clock, bytes: stored.bytes })
        };
        Ok(self.logs.iter().filter_map(stored).collect())
    }

    fn bytes(&self, log: &LogId) -> u64 {
        self.logs.get(log).map_or(0, |log| log.bytes)
    }

    fn read(&self, log: &LogId, from: u64, most: usize) -> Result<Vec<Entry>> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let skipped = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        for entry in self.logs.get(log).iter().flat_map(|log| &log.entries).skip(skipped) {
            bytes += entry.encode().len();
            if bytes > most && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        check_places(entries, |log| self.logs.get(log)?.entries.last().map(|last| (last.header.seq, last.id)))?;
        for entry in entries {
            let log = self.logs.entry(entry.header.log).or_default();
            log.bytes += u64::try_from(entry.encode().len()).unwrap_or(0);
            log.entries.push(entry.clone());
        }
        Ok(())
    }

    fn keep_fork(&mut self, fork: &[Entry; 2]) -> Result<()> {
        let [first, _] = fork;
        let known = self.forks.get(&first.header.log).map(|[known, _]| known.header.seq);
        if known.is_none_or(|known| known > first.header.seq) {
            let fork = fork.clone().map(|entry| Entry { body: None, ..entry });
            self.forks.insert(first.header.log, fork);
        }
        Ok(())
    }

    fn forks(&self) -> Result<Vec<[Entry; 2]>> {
        Ok(self.forks.values().cloned().collect())
    }
}
