//! How much is kept, and for how long: what strangers do must not crowd out what the user did.

use super::{Outcome, Pair, Pairs, Settled, Standing, Theirs};
use crate::key::PublicKey;
use crate::proto::chat::InviteId;
use crate::trust::Time;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// Most invites that wait for our user and came over connections of strangers. How many come sealed is for the user to say,
/// who gives cards away.
pub(super) const MAX_PENDING: usize = 64;

/// How long after an invite of a stranger the next one from the same source is taken.
pub(super) const SOURCE_PAUSE: Duration = Duration::from_secs(10);

/// Most keys of which only a past is known: declined, removed, and open conversations.
pub(super) const MAX_PAST: usize = 1000;

/// Most keys from which, or to which, open messages went and none came back.
pub(super) const MAX_HALF_OPEN: usize = 64;

/// Most answered invites that are remembered.
pub(super) const MAX_SETTLED: usize = 1000;

impl Pairs {
    /// Forgets the invites whose time is over; whether there were any. Every change does that first; whoever only shows the
    /// pairs does it with what it has read.
    pub fn expire(&mut self, now: SystemTime) -> bool {
        let at = Time::of(now);
        let mut any = false;
        for pair in &mut self.pairs {
            let before = pair.standing();
            let ours = pair.ours.take_if(|ours| ours.expires <= at).is_some();
            let theirs = pair.theirs.take_if(|theirs| theirs.until() <= at).is_some();
            any |= ours || theirs;
            if before != pair.standing() {
                pair.since = at;
            }
        }
        if any {
            self.pairs.retain(|pair| !pair.is_empty());
            while self.drop_oldest(MAX_PAST, None, Pair::is_past, |pair| pair.since) {}
        }
        any
    }

    /// Keeps to the bounds after a change to `key`, which is not what gives way.
    pub(super) fn bound(&mut self, key: &PublicKey) {
        self.pairs.retain(|pair| !pair.is_empty());
        if let Some(oldest) = self.oldest(MAX_PENDING, Some(key), Pair::waits_at_the_door, Pair::came) {
            // What there was with that key before its invite stays.
            for pair in self.pairs.iter_mut().filter(|pair| pair.key == oldest) {
                pair.theirs = None;
            }
            self.pairs.retain(|pair| !pair.is_empty());
        }
        self.drop_oldest(MAX_HALF_OPEN, Some(key), Pair::is_half_open, |pair| pair.since);
        while self.drop_oldest(MAX_PAST, Some(key), Pair::is_past, |pair| pair.since) {}
    }

    /// Whether an invite from `source` comes too soon after another: of the same key if it is paired with us, else of any
    /// stranger from there. This machine itself may send as many as it likes.
    pub(super) fn is_too_soon(&self, from: &PublicKey, source: IpAddr, now: Time) -> bool {
        let is_soon = |theirs: &Theirs| theirs.came.apart(now) < SOURCE_PAUSE;
        match self.get(from).filter(|pair| pair.outcome == Outcome::Accepted) {
            Some(pair) => pair.theirs.as_ref().is_some_and(is_soon),
            None if source.to_canonical().is_loopback() => false,
            None => {
                let strangers = self.pairs.iter().filter(|pair| pair.outcome != Outcome::Accepted);
                let mut waiting = strangers.filter_map(|pair| pair.theirs.as_ref());
                waiting.any(|theirs| is_soon(theirs) && theirs.source.map(network) == Some(network(source)))
            }
        }
    }

    pub(super) fn is_settled(&self, key: &PublicKey, id: InviteId) -> bool {
        self.settled.iter().any(|settled| settled.id == id && settled.key == *key)
    }

    /// Remembers that the invite `id` of `key` had its answer.
    pub(super) fn settle(&mut self, key: &PublicKey, id: InviteId) {
        if !self.is_settled(key, id) {
            self.settled.push(Settled { key: *key, id });
            let over = self.settled.len().saturating_sub(MAX_SETTLED);
            self.settled.drain(..over);
        }
    }

    /// Drops the oldest of `kind` if there are more than `most`.
    fn drop_oldest(
        &mut self,
        most: usize,
        but: Option<&PublicKey>,
        kind: impl Fn(&Pair) -> bool,
        age: impl Fn(&Pair) -> Time,
    ) -> bool {
        let oldest = self.oldest(most, but, kind, age);
        self.pairs.retain(|pair| Some(pair.key) != oldest);
        oldest.is_some()
    }

    /// The oldest of `kind` if there are more than `most`; never `but`.
    fn oldest(
        &self,
        most: usize,
        but: Option<&PublicKey>,
        kind: impl Fn(&Pair) -> bool,
        age: impl Fn(&Pair) -> Time,
    ) -> Option<PublicKey> {
        let all = || self.pairs.iter().filter(|pair| kind(pair));
        if all().count() <= most {
            return None;
        }
        all().filter(|pair| but != Some(&pair.key)).min_by_key(|pair| age(pair)).map(|pair| pair.key)
    }
}

impl Pair {
    fn came(&self) -> Time {
        self.theirs.as_ref().map_or(self.since, |theirs| theirs.came)
    }

    /// Whether it is an invite that came over a connection of a stranger's.
    fn waits_at_the_door(&self) -> bool {
        self.standing() == Standing::Pending && self.theirs.as_ref().is_some_and(|theirs| theirs.source.is_some())
    }

    fn is_half_open(&self) -> bool {
        self.standing() == Standing::Stranger
    }

    /// Whether only a past is known of it, which may be forgotten.
    fn is_past(&self) -> bool {
        matches!(
            self.standing(),
            Standing::Declined
                | Standing::DeclinedByPeer
                | Standing::Removed
                | Standing::RemovedByPeer
                | Standing::Open
        )
    }
}

/// The part of an address that one owner has: an IPv4 address, or the first half of an IPv6 address.
fn network(source: IpAddr) -> u128 {
    match source.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() >> 64 | 1 << 127,
    }
}
