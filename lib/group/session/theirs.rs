//! What one end of a conversation remembers of the other's logs. The other can name logs that there are not, as many as it
//! likes.

use crate::group::replica::{MOST_LOGS_OF_ONE, Replica};
use crate::group::shelf::Shelf;
use crate::proto::group::message::Tip;
use crate::proto::group::{Inc, LogId};
use std::collections::{BTreeMap, HashMap};

/// Most logs by keys that are no members yet. A newcomer knows nobody, and hears of all at once: 500 members, each with more
/// logs than one has whose state was never lost.
const MOST_UNKNOWN: usize = 16 << 10;

/// How far the other's logs go.
#[derive(Default)]
pub(super) struct Theirs {
    ends: BTreeMap<LogId, u64>,
    /// What was said of logs by keys that are no members yet: the acts that make them so may come later.
    unknown: HashMap<LogId, Tip>,
    /// How many acts there were when those were looked through last.
    acts: usize,
}

impl Theirs {
    /// How far the other has stored `log`, as far as it has said.
    pub(super) fn end(&self, log: &LogId) -> u64 {
        self.ends.get(log).copied().unwrap_or(0)
    }

    /// The same of all logs.
    pub(super) fn ends(&self) -> &BTreeMap<LogId, u64> {
        &self.ends
    }

    /// It has stored `log` up to `seq`.
    pub(super) fn reach(&mut self, log: &LogId, seq: u64) {
        let end = self.ends.entry(*log).or_insert(0);
        *end = seq.max(*end);
    }

    /// Whether it is remembered how far the other has `log`: if we have it too, or could take it.
    pub(super) fn heeds<S: Shelf>(&self, replica: &Replica<S>, log: &LogId) -> bool {
        let of_one = LogId { inc: Inc([0; 8]), ..*log }..=LogId { inc: Inc([u8::MAX; 8]), ..*log };
        self.ends.contains_key(log)
            || replica.first_of(log).is_some()
            || (replica.roster().was_ever(&log.author)
                && self.ends.range(of_one).take(MOST_LOGS_OF_ONE).count() < MOST_LOGS_OF_ONE)
    }

    /// Keeps what is said of a log that is not heeded, if its author may become a member.
    pub(super) fn put_off<S: Shelf>(&mut self, replica: &Replica<S>, tip: &Tip) {
        let has_room = self.unknown.len() < MOST_UNKNOWN || self.unknown.contains_key(&tip.log);
        if has_room && !replica.roster().was_ever(&tip.log.author) {
            let kept = self.unknown.entry(tip.log).or_insert(*tip);
            if kept.seq < tip.seq {
                *kept = *tip;
            }
        }
    }

    /// What was put off, and is about a member now.
    pub(super) fn known_now<S: Shelf>(&mut self, replica: &Replica<S>) -> Vec<Tip> {
        let acts = replica.acts().len();
        if std::mem::replace(&mut self.acts, acts) == acts {
            return Vec::new();
        }
        let is_known = |log: &LogId, _: &mut Tip| replica.roster().was_ever(&log.author);
        self.unknown.extract_if(is_known).map(|(_, tip)| tip).collect()
    }

    /// How many logs it remembers something of.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.ends.len() + self.unknown.len()
    }
}
