//! What is left of acts where a log ends before its last: at a fork, where its author wrote two in one place, or at a cut. Not
//! everybody has what stands behind, so it counts for nobody.
//!
//! What others did stays. Who has seen an act behind the end counts as having seen the log up to there.

use super::Known;
use crate::key::PublicKey;
use crate::proto::group::roster::{Cut, Op, Place};
use crate::proto::group::{EntryId, Inc};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The first place in each roster log that counts for nobody.
pub type Ends = BTreeMap<(PublicKey, Inc), u64>;

/// Acts without what stands behind the ends of their logs.
pub(super) struct Left<'a> {
    pub(super) acts: Cow<'a, [Known]>,
    /// Those whose authors had seen what does not count: they may have built on it.
    pub(super) unsure: HashSet<EntryId>,
}

impl<'a> Left<'a> {
    pub(super) fn of(acts: &'a [Known], ends: &Ends) -> Self {
        if ends.is_empty() {
            return Left { acts: Cow::Borrowed(acts), unsure: HashSet::new() };
        }
        let is_left = |place: &Place| ends.get(&(place.author, place.inc)).is_none_or(|end| place.seq < *end);
        // The last act before each end.
        let mut last: HashMap<(PublicKey, Inc), Place> = HashMap::new();
        for place in acts.iter().map(|act| act.place).filter(is_left) {
            let log = (place.author, place.inc);
            if ends.get(&log).is_some_and(|end| place.seq + 1 == *end) {
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
                let shortened = |place: Place| {
                    if is_left(&place) { Some(place) } else { last.get(&(place.author, place.inc)).copied() }
                };
                *places = all.into_iter().filter_map(shortened).collect();
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
