//! How much is kept of one author.

use super::Replica;
use crate::group::shelf::Shelf;
use crate::key::PublicKey;
use crate::proto::group::{Class, Inc, LogId};

/// Most logs of one author in one class: each restored backup begins another.
pub(in crate::group) const MOST_LOGS_OF_ONE: usize = 64;

/// Most bytes of one author's logs of content, all together.
const MOST_CONTENT: u64 = 256 << 20;

/// Most bytes of an admin's acts: they are all in memory.
const MOST_ADMIN: u64 = 16 << 20;

/// Most bytes of the owner's acts: whoever could write none would have a group that nobody leads.
const MOST_OWNER: u64 = 256 << 20;

impl<S: Shelf> Replica<S> {
    /// How many logs of a class of one author are here.
    pub(super) fn logs_of(&self, class: Class, author: PublicKey) -> usize {
        self.those_of(class, author).count()
    }

    /// How many MiB there may be of an author in a class, if that is reached.
    pub(super) fn is_full(&self, class: Class, author: PublicKey) -> Option<u64> {
        let most = match class {
            Class::Content => MOST_CONTENT,
            Class::Roster if author == self.genesis.owner => MOST_OWNER,
            Class::Roster => MOST_ADMIN,
        };
        // As they lie there now, so that it makes no difference when this is asked.
        let bytes = self.those_of(class, author).map(|log| self.shelf.bytes(log)).fold(0, u64::saturating_add);
        (bytes >= most).then_some(most >> 20)
    }

    fn those_of(&self, class: Class, author: PublicKey) -> impl Iterator<Item = &LogId> {
        let log = |inc| LogId { class, author, inc };
        self.logs.range(log(Inc([0; 8]))..=log(Inc([0xff; 8]))).map(|(log, _)| log)
    }
}
