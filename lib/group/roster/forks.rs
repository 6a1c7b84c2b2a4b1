//! What is left of acts where an author wrote two in one place of a log: that log ends before them, for everybody.
//!
//! What others did stays. Who has seen an act behind the fork counts as having seen the log up to there.

use super::Known;
use crate::key::PublicKey;
use crate::proto::group::roster::{Cut, Op, Place};
use crate::proto::group::{EntryId, Inc};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The first place in each roster log in which there are two acts.
pub type Forks = BTreeMap<(PublicKey, Inc), u64>;

/// Acts without what stands behind forks.
pub(super) struct Left<'a> {
    pub(super) acts: Cow<'a, [Known]>,
    /// Those whose authors had seen what does not count: they may have built on it.
    pub(super) unsure: HashSet<EntryId>,
}

impl<'a> Left<'a> {
    pub(super) fn of(acts: &'a [Known], forks: &Forks) -> Self {
        if forks.is_empty() {
            return Left { acts: Cow::Borrowed(acts), unsure: HashSet::new() };
        }
        let is_left = |place: &Place| forks.get(&(place.author, place.inc)).is_none_or(|fork| place.seq < *fork);
        // The last act before each fork.
        let mut last: HashMap<(PublicKey, Inc), Place> = HashMap::new();
        for place in acts.iter().map(|act| act.place).filter(is_left) {
            let log = (place.author, place.inc);
            if forks.get(&log).is_some_and(|fork| place.seq + 1 == *fork) {
                last.insert(log, place);
            }
        }
        let mut unsure = HashSet::new();
        let mut left: Vec<Known> = acts.iter().filter(|act| is_left(&act.place)).cloned().collect();
        for known in &mut left {
            let mut is_sure = true;
            let mut shorten = |places: &mut Vec<Place>| {
                let all = std::mem::take(places);
                is_sure &= all.iter().all(is_left);
                let at_fork = |place: Place| {
                    if is_left(&place) { Some(place) } else { last.get(&(place.author, place.inc)).copied() }
                };
                *places = all.into_iter().filter_map(at_fork).collect();
            };
            shorten(&mut known.act.seen);
            if let Some(cut) = cut(&mut known.act.op) {
                shorten(&mut cut.roster);
            }
            if !is_sure {
                unsure.insert(known.place.id);
            }
        }
        Left { acts: Cow::Owned(left), unsure }
    }
}

fn cut(op: &mut Op) -> Option<&mut Cut> {
    match op {
        Op::Remove { cut, .. } | Op::Demote { cut, .. } | Op::Mute { cut, .. } => Some(cut),
        _ => None,
    }
}
