//! Where the entries of a group lie.

use crate::error::Result;
use crate::proto::group::{Entry, EntryId, LogId};

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

    /// Two entries that their author wrote in one place. Kept for ever, once for each log.
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
