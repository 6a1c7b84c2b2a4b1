//! What of each file the receiver has already, if it was asked, and whether that is what the file begins with here.

use super::walk::Walk;
use crate::conn::Breaker;
use crate::copy::Place;
use crate::proto::copy::HASH_LEN;
use crate::root::{Access, RelPath, Status};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};

/// Most files that are gone on with: some 50 MB of memory. What is beyond is sent whole.
const MAX_OFFERS: usize = 1 << 20;

/// Bytes that are hashed before it is looked whether anybody still waits: some milliseconds.
pub(super) const PIECE: u64 = 16 << 20;

/// The receiver's answers.
pub(super) struct Answers<'a> {
    place: &'a Place,
    over: Breaker,
    /// What was asked and not answered yet.
    asked: VecDeque<Asked>,
    /// For the path and source of a file, as a number: how many of its first bytes are there, and for which state of it.
    agreed: HashMap<u64, (u64, u64)>,
    hasher: RandomState,
}

struct Asked {
    key: u64,
    /// Where it is, if there is room to remember an answer.
    path: Option<RelPath>,
    size: u64,
}

impl<'a> Answers<'a> {
    pub(super) fn new(place: &'a Place, over: Breaker) -> Self {
        Answers { place, over, asked: VecDeque::new(), agreed: HashMap::new(), hasher: RandomState::new() }
    }

    /// How many files were asked for and not answered.
    pub(super) fn asked(&self) -> u64 {
        u64::try_from(self.asked.len()).unwrap_or(u64::MAX)
    }

    /// The file that `walk` came to last is asked for.
    pub(super) fn ask(&mut self, walk: &Walk<'_>, size: u64) {
        let path = walk.place_of().ok().filter(|_| self.agreed.len() < MAX_OFFERS);
        self.asked.push_back(Asked { key: self.key(walk), path, size });
    }

    /// The answer to the next that was asked. The error is what is wrong with it.
    pub(super) fn answer(&mut self, length: u64, hash: &[u8; HASH_LEN]) -> Result<(), &'static str> {
        let asked = self.asked.pop_front().ok_or("HAVE without ASK")?;
        if length > asked.size {
            return Err("HAVE of more than there is");
        }
        let Some(path) = asked.path.filter(|_| length > 0) else { return Ok(()) };
        // What cannot be read is told when it is to be sent.
        if let Ok(Some(status)) = self.begins_with(&path, length, hash)
            && status.size == asked.size
        {
            self.agreed.insert(asked.key, (length, self.state(&status)));
        }
        Ok(())
    }

    /// How many first bytes of the file that `walk` came to last are there, if it still is as it was.
    pub(super) fn agreed(&self, walk: &Walk<'_>, status: &Status) -> u64 {
        if self.agreed.is_empty() {
            return 0;
        }
        match self.agreed.get(&self.key(walk)) {
            Some((length, state)) if *state == self.state(status) => *length,
            _ => 0,
        }
    }

    /// The status of the file if this is the hash of its first bytes.
    fn begins_with(&self, path: &RelPath, length: u64, hash: &[u8; HASH_LEN]) -> io::Result<Option<Status>> {
        let access = Access { read: true, ..Access::default() };
        let file = self.place.root().file(path, access)?;
        // Before it is read: a change while it is read must show.
        let status = Status::of(&file)?;
        let mut hasher = blake3::Hasher::new();
        hash_first(&mut hasher, &file, length, &self.over)?;
        Ok((hasher.finalize().as_bytes() == hash).then_some(status))
    }

    fn key(&self, walk: &Walk<'_>) -> u64 {
        self.hasher.hash_one((walk.begun(), walk.path()))
    }

    fn state(&self, status: &Status) -> u64 {
        self.hasher.hash_one((status.size, status.modified, status.modified_nanos, status.changed))
    }
}

/// Hashes the first bytes of a file that was not read yet, as long as somebody waits for it.
///
/// # Errors
/// It cannot be read, or has not that many; or nobody waits any more.
pub(super) fn hash_first(hasher: &mut blake3::Hasher, file: &File, length: u64, over: &Breaker) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        if over.is_over() {
            return Err(io::Error::other("the connection is over"));
        }
        let before = hasher.count();
        hasher.update_reader(file.take(left.min(PIECE)))?;
        match hasher.count() - before {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => left -= count,
        }
    }
    Ok(())
}
