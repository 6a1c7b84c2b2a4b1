//! What another copy lacks.

use super::Replica;
use crate::error::Result;
use crate::group::shelf::Shelf;
use crate::proto::group::{Class, Entry, LogId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// About how many bytes an entry has in a message.
pub(in crate::group) fn length(entry: &Entry) -> usize {
    512 + entry.body.as_ref().map_or(0, Vec::len)
}

impl<S: Shelf> Replica<S> {
    /// Acts that are missing where logs go as far as `theirs` says, in an order in which they can be taken: by clock. They are
    /// as many as `most` bytes hold, but at least one if there is one.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn missing_acts(&self, theirs: &BTreeMap<LogId, u64>, most: usize) -> Result<Vec<Entry>> {
        let head = |log: &LogId, seq: u64| {
            let (id, clock) = self.places.get(&(log.author, log.inc, seq))?;
            Some(Reverse((*clock, *id, *log, seq)))
        };
        let behind = self.tips().filter(|tip| tip.log.class == Class::Roster).filter_map(|tip| {
            let from = theirs.get(&tip.log).map_or(1, |theirs| theirs.saturating_add(1));
            if from <= tip.seq { head(&tip.log, from) } else { None }
        });
        let mut heads: BinaryHeap<_> = behind.collect();
        // What is read and not used yet is no more than is asked for, however many logs there are.
        let share = most / heads.len().max(1);
        let mut unused: BTreeMap<LogId, VecDeque<Entry>> = BTreeMap::new();
        let (mut missing, mut bytes) = (Vec::new(), 0);
        while let Some(Reverse((_, _, log, seq))) = heads.pop() {
            let unused = unused.entry(log).or_default();
            if unused.is_empty() {
                unused.extend(self.read(&log, seq, share)?);
            }
            // A damaged log ends before the damage.
            let Some(act) = unused.pop_front() else { continue };
            bytes += length(&act);
            if bytes > most && !missing.is_empty() {
                break;
            }
            missing.push(act);
            if seq < self.end(&log) {
                heads.extend(head(&log, seq + 1));
            }
        }
        Ok(missing)
    }
}
