//! What the other says that it has beyond what we have, and whether that is to be believed.

use super::{MOST_PATIENCE, PATIENCE, Session};
use crate::group::replica::Replica;
use crate::group::shelf::Shelf;
use crate::proto::group::message::Tip;
use crate::proto::group::{LogId, Message};
use std::collections::HashMap;

/// What we lack.
#[derive(Default)]
pub(super) struct Lacking {
    claims: HashMap<LogId, Claim>,
    /// Until when it is believed that the other will bring something of it.
    until: Option<u64>,
}

/// How far the other says that it has a log.
struct Claim {
    seq: u64,
    /// When it said so first, or brought something of it last.
    since: u64,
}

impl Lacking {
    /// The other has a log as far as this.
    pub(super) fn add(&mut self, tip: &Tip, now: u64) {
        let claim = self.claims.entry(tip.log).or_insert(Claim { seq: tip.seq, since: now });
        claim.seq = tip.seq;
        let until = claim.since + MOST_PATIENCE;
        self.until = self.until.max(Some(until).filter(|until| *until > now));
    }

    /// The other has brought something of `log`.
    pub(super) fn brought(&mut self, log: &LogId, now: u64) {
        if let Some(claim) = self.claims.get_mut(log) {
            claim.since = now;
        }
    }

    /// Sees what has come meanwhile.
    pub(super) fn look<S: Shelf>(&mut self, replica: &Replica<S>, now: u64) {
        self.claims.retain(|log, claim| replica.end(log) < claim.seq.min(replica.limit(log)));
        let until = self.claims.values().map(|claim| claim.since + MOST_PATIENCE).max();
        self.until = until.filter(|until| *until > now);
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Until when the other is believed, in milliseconds since 1970; `None` if it is not, or no more.
    pub(super) fn until(&self) -> Option<u64> {
        self.until
    }

    /// Of how many logs.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.claims.len()
    }
}

impl Session {
    /// The word that what we lack is wanted from this member, once it is time.
    pub(super) fn want<S: Shelf>(&mut self, replica: &Replica<S>, now: u64) -> Option<Message> {
        self.lacking.look(replica, now);
        if self.is_waiting && self.asked != Some(replica.version()) {
            self.is_waiting = false;
            self.want.get_or_insert((now, now + PATIENCE));
        }
        let (since, _) = self.want.filter(|(_, at)| *at <= now)?;
        if self.lacking.is_empty() {
            self.want = None;
            return None;
        }
        if replica.progress() + PATIENCE > now && since + MOST_PATIENCE > now {
            // It is coming from elsewhere.
            self.want = Some((since, now + PATIENCE));
            return None;
        }
        self.want = None;
        self.pruned = false;
        self.asked = Some(replica.version());
        Some(Message::Want)
    }
}
