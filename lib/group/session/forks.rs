//! Authors who wrote two entries in one place: what proves that to the other.

use super::Session;
use crate::error::Result;
use crate::group::replica::{Compared, Replica};
use crate::group::shelf::Shelf;
use crate::proto::group::{Entry, LogId, Message};

impl Session {
    /// Sends entries of ours of a log of which the other has others: whoever holds two in one place has the proof.
    pub(super) fn prove<S: Shelf>(&mut self, replica: &Replica<S>, log: &LogId, compared: &Compared) -> Result<()> {
        let ours = replica.samples(log, compared)?;
        if !ours.is_empty() {
            self.queue.push_back(Message::Entries(ours));
        }
        Ok(())
    }

    /// A proof that the other has not heard of, once it has what stands before the place that it is about.
    pub(super) fn untold_fork<S: Shelf>(&mut self, replica: &Replica<S>) -> Option<Box<[Entry; 2]>> {
        let is_untold = |fork: &&[Entry; 2]| {
            let header = &fork[0].header;
            self.theirs(&header.log).saturating_add(1) >= header.seq && !self.forks.contains(&(header.log, header.seq))
        };
        let fork = replica.forks().find(is_untold)?;
        self.forks.insert((fork[0].header.log, fork[0].header.seq));
        Some(Box::new(fork.clone()))
    }
}
