//! What a receiver has said of what it has: so that what a sender goes on with is that, and still as it was.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::MetadataExt;

/// Most offers that are remembered, at 9 to 18 bytes each. What comes after is copied anew.
const MAX_OFFERS: usize = 900_000;

/// What was offered: a number for each that stands for its path and for all that tells whether it has changed.
#[derive(Debug, Default)]
pub(super) struct Offers {
    numbers: RandomState,
    made: HashSet<u64>,
}

impl Offers {
    /// Whether one more can be remembered.
    pub(super) fn has_room(&self) -> bool {
        self.made.len() < MAX_OFFERS
    }

    /// Remembers that `file` was offered for what will be at `path`.
    ///
    /// # Errors
    /// Its status cannot be had.
    pub(super) fn remember(&mut self, path: &[u8], file: &File) -> io::Result<()> {
        let number = self.number(path, file)?;
        self.made.insert(number);
        Ok(())
    }

    /// Whether `file` was offered for what will be at `path`, and is as it was.
    ///
    /// # Errors
    /// Its status cannot be had.
    pub(super) fn made(&self, path: &[u8], file: &File) -> io::Result<bool> {
        Ok(self.made.contains(&self.number(path, file)?))
    }

    fn number(&self, path: &[u8], file: &File) -> io::Result<u64> {
        let is = file.metadata()?;
        let modified = (is.mtime(), is.mtime_nsec());
        Ok(self.numbers.hash_one((path, is.dev(), is.ino(), is.len(), modified)))
    }
}
