//! Authors that write two entries in one place: the proof of it, and the search for the lowest such place.
//!
//! Two copies that differ somewhere differ from some place on. Whoever sees that the other has another entry sends its own in
//! places below, the further down the fewer; the other compares them, and answers in the same way between the last that is
//! equal and the first that is not.

use super::Replica;
use super::quota::MOST_LOGS_OF_ONE;
use super::take::Taken;
use crate::error::Result;
use crate::group::roster::{Ends, Known, Roster};
use crate::group::shelf::Shelf;
use crate::key::PublicKey;
use crate::proto::group::{Class, Entry, EntryId, Inc, LogId};
use std::collections::HashMap;

/// So many entries of a row that are others than ours are tried for a proof: of a long row not all may be signed.
const MOST_TRIED: usize = 32;

/// What is known of where two copies of a log differ.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Up to there they are equal.
    pub equal_to: u64,
    /// From there on they differ.
    pub differ_from: u64,
}

impl Default for Compared {
    fn default() -> Self {
        Compared { equal_to: 0, differ_from: u64::MAX }
    }
}

impl Compared {
    pub(super) fn differs(&mut self, seq: u64) {
        self.differ_from = self.differ_from.min(seq);
    }

    fn equals(&mut self, seq: u64) {
        self.equal_to = self.equal_to.max(seq);
    }

    pub(super) fn is_different(&self) -> bool {
        self.differ_from < u64::MAX
    }
}

impl<S: Shelf> Replica<S> {
    /// Takes a proof that an author has written two entries in one place; `true` if it is new. It is kept only of a log that is
    /// here, or whose beginning could be, and in a place that is; and a lower one than is known only if it is about our entry.
    ///
    /// # Errors
    /// It cannot be stored.
    pub fn take_fork(&mut self, fork: [Entry; 2]) -> Result<bool> {
        let [one, other] = &fork;
        let log = one.header.log;
        let is_one = one.id != other.id
            && one.header.group == self.group
            && (other.header.group, other.header.log, other.header.seq) == (self.group, log, one.header.seq)
            && self.concerns(&fork)?
            && one.is_signed()
            && other.is_signed();
        if !is_one {
            return Ok(false);
        }
        let mut fork = fork.map(|entry| Entry { body: None, ..entry });
        fork.sort_by_key(|entry| entry.id);
        self.shelf.keep_fork(&fork)?;
        self.forks.insert(log, fork);
        self.is_stale = true;
        self.fold()?;
        Ok(true)
    }

    /// Whether a fork says anything new of a log of ours.
    fn concerns(&self, fork: &[Entry; 2]) -> Result<bool> {
        let [one, other] = fork;
        let (log, seq) = (one.header.log, one.header.seq);
        let known = self.forks.get(&log).map(|fork| fork[0].header.seq);
        match (self.logs.get(&log), known) {
            (Some(ours), None) => Ok(seq <= ours.stored.seq.saturating_add(1)),
            (Some(_), Some(known)) if seq < known => {
                let ours = self.entry_at(&log, seq)?;
                Ok(ours.is_none_or(|ours| ours.id == one.id || ours.id == other.id))
            }
            // Nothing of it can come here any more, and acts that have seen it wait for this.
            (None, None) => {
                let is_of_author = |other: &&LogId| (other.class, other.author) == (log.class, log.author);
                let forked = self.forks.keys().filter(|forked| !self.logs.contains_key(forked)).filter(is_of_author);
                let count = self.logs_of(log.class, log.author) + forked.count();
                Ok(seq == 1 && self.roster.was_ever(&log.author) && count < MOST_LOGS_OF_ONE)
            }
            _ => Ok(false),
        }
    }

    /// Compares entries in a row, in places that we hold, with ours: whether they differ. The first of which both are signed is
    /// kept as a proof.
    pub(super) fn compare(&mut self, log: &LogId, row: &[Entry], taken: &mut Taken) -> Result<bool> {
        let (Some(first), Some(last)) = (row.first(), row.last()) else { return Ok(false) };
        // If the last one is what we have, so are those before it.
        let Some(ours) = self.entry_at(log, last.header.seq)? else { return Ok(false) };
        if ours.id == last.id {
            taken.differing.entry(*log).or_default().equals(last.header.seq);
            return Ok(false);
        }
        let mut before = match first.header.seq.checked_sub(1) {
            None | Some(0) => Some(first.header.prev),
            Some(seq) => self.entry_at(log, seq)?.map(|entry| entry.id),
        };
        let (mut differs, mut tried) = (false, 0);
        for entry in row {
            let Some(ours) = self.entry_at(log, entry.header.seq)? else { break };
            if ours.id == entry.id {
                before = Some(ours.id);
                continue;
            }
            let compared = taken.differing.entry(*log).or_default();
            if !differs {
                compared.differs(entry.header.seq);
                if before == Some(entry.header.prev) {
                    compared.equals(entry.header.seq - 1);
                }
                differs = true;
            }
            let fork = [ours, entry.clone()];
            if self.take_fork(fork.clone())? {
                taken.forks.push(fork);
                break;
            }
            tried += 1;
            if tried == MOST_TRIED {
                break;
            }
        }
        Ok(true)
    }

    /// Our entries of `log`, without bodies, in places from which it can be told where another copy begins to differ.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn samples(&self, log: &LogId, between: &Compared) -> Result<Vec<Entry>> {
        let Compared { equal_to, differ_from } = *between;
        let mut samples = Vec::new();
        let mut back = 1;
        let mut at = differ_from.saturating_sub(1);
        while at > equal_to {
            samples.extend(self.entry_at(log, at)?.map(|entry| Entry { body: None, ..entry }));
            if at == equal_to + 1 {
                break;
            }
            back *= 2;
            at = differ_from.saturating_sub(back).max(equal_to + 1);
        }
        samples.reverse();
        Ok(samples)
    }

    /// The entry in a place, whether it counts or not.
    fn entry_at(&self, log: &LogId, seq: u64) -> Result<Option<Entry>> {
        match self.logs.get(log) {
            Some(known) if seq <= known.stored.seq => Ok(self.shelf.read(log, seq, 1)?.into_iter().next()),
            _ => Ok(None),
        }
    }

    /// Who is who by `acts`.
    pub(super) fn roster_of(&self, acts: &[Known]) -> Roster {
        let forks = self.forks.iter().filter(|(log, _)| log.class == Class::Roster);
        let forks: Ends = forks.map(|(log, fork)| ((log.author, log.inc), fork[0].header.seq)).collect();
        let is_forked = !forks.is_empty();
        let roster = Roster::fold_before(&self.genesis, acts, &forks, is_forked);
        let mut ends = forks.clone();
        // As far as acts are here, or somebody has seen them.
        let mut named: HashMap<(PublicKey, Inc), u64> = HashMap::new();
        for place in acts.iter().flat_map(|known| known.act.seen.iter().chain([&known.place])) {
            let seq = named.entry((place.author, place.inc)).or_default();
            *seq = place.seq.max(*seq);
        }
        for ((author, inc), seq) in named {
            let log = LogId { class: Class::Roster, author, inc };
            let cut = roster.cut(&log, &EntryId::default());
            if let Some(end) = cut.map(|cut| cut.saturating_add(1)).filter(|end| *end <= seq) {
                ends.entry((author, inc)).and_modify(|other| *other = end.min(*other)).or_insert(end);
            }
        }
        // Who has no act behind a cut gets none: they must not be in the past of what others do either.
        match ends == forks {
            true => roster,
            false => Roster::fold_before(&self.genesis, acts, &ends, is_forked),
        }
    }

    /// The first place of a roster log from which on acts count for nobody.
    pub(super) fn ends_before(&self, log: &LogId) -> u64 {
        let cut = self.roster.cut(log, &EntryId::default()).map_or(u64::MAX, |cut| cut.saturating_add(1));
        self.fork_at(log).min(cut)
    }

    /// How far `log` can count.
    pub fn limit(&self, log: &LogId) -> u64 {
        let cut = self.first_of(log).and_then(|first| self.roster.cut(log, &first)).unwrap_or(u64::MAX);
        cut.min(self.fork_at(log).saturating_sub(1))
    }

    /// The first place of `log` in which there are two entries, as far as that is known.
    pub fn fork_at(&self, log: &LogId) -> u64 {
        self.forks.get(log).map_or(u64::MAX, |fork| fork[0].header.seq)
    }
}
