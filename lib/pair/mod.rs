//! Pairing: who has agreed to messages from whom. The state machine and its file, `pairs.json`.
//!
//! Every change is by somebody's word: the user's (`ours.rs`), or the peer's over a connection that has proven its key
//! (`theirs.rs`). Nothing here knows a socket. keywire-protocol(7), CHAT; keywire-files(5).
//!
//! With a key there is an outcome, which is the last word that counts, and beside it at most one invite that waits: ours
//! for the peer's word, or the peer's for our user's. A pair holds while an invite for new keys waits beside it.

mod agree;
mod bounds;
mod check;
mod ours;
mod owed;
mod theirs;

#[cfg(test)]
mod tests;

use crate::addr::HostPort;
use crate::error::{Error, Result};
use crate::json::Bytes;
use crate::key::{KeyPair, PublicKey};
use crate::proto::chat::{Invite, InviteId, PairAck};
use crate::ratchet::Ratchet;
use crate::seal::StorageKey;
use crate::store::{Privacy, State, Store, Version};
use crate::trust::{Admission, Time};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// The name of the file in the state directory.
pub const PAIRS: &str = "pairs.json";

/// How long an invite waits.
pub const INVITE_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Everybody with whom there is, was or may be a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    version: Version,
    pairs: Vec<Pair>,
    /// Invites that had their answer, oldest first: the same ones do not come back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    settled: Vec<Settled>,
}

/// What there is with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The other key.
    pub key: PublicKey,
    outcome: Outcome,
    since: Time,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<HostPort>,
    /// Our invite, which waits for the peer's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ours: Option<Ours>,
    /// The peer's invite, which waits for our user's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    theirs: Option<Theirs>,
    /// Our consent, until the peer shows that it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ack: Option<PairAck>,
    /// Our proof, for the peer's consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirm: Option<Confirm>,
    /// The invite of which the peer is still to be told that our user said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decline: Option<InviteId>,
    /// Whether an open message of ours went to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    open_sent: bool,
    /// Whether an open message came from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    open_received: bool,
}

/// The last word that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    None,
    Accepted,
    Declined,
    DeclinedByPeer,
    Blocked,
    Removed,
    RemovedByPeer,
}

/// An invite of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {
    id: InviteId,
    expires: Time,
    /// Message 1, as it is sent.
    noise: Bytes,
    /// Its ephemeral key and its payload, under the storage key: what message 2 needs.
    sealed: Bytes,
    /// When the peer last said that it has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received: Option<Time>,
}

/// An invite of the peer's. What it says of the sender is looked at when our user accepts, and not before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Theirs {
    id: InviteId,
    expires: Time,
    /// Message 1, as it came.
    noise: Bytes,
    /// Where it came from; none if it did not come over a connection of its sender's, but sealed (kw-inbox).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<IpAddr>,
    came: Time,
}

/// What answers the peer's consent, as often as it comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirm {
    id: InviteId,
    mac: Bytes,
    /// The hash of the consent that it answers: another one under the same id is not answered.
    consent: Bytes,
    /// Whether it has left since the consent came last.
    said: bool,
}

/// An invite that had its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settled {
    key: PublicKey,
    id: InviteId,
}

/// What a pair has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing.
    Stranger,
    /// We have asked, and wait.
    Invited,
    /// The peer has asked, and waits for our user.
    Pending,
    /// Both agreed. Until the peer has shown that it has the keys too, nothing is sealed for it.
    Accepted {
        /// Whether it has.
        confirmed: bool,
    },
    /// Our user said no.
    Declined,
    /// The peer said no to us.
    DeclinedByPeer,
    /// Our user wants no connection.
    Blocked,
    /// It was a pair, and our user ended it.
    Removed,
    /// It was a pair, and the peer has ended it.
    RemovedByPeer,
    /// Never a pair, but messages went both ways while `"pairing": "open"` was set; they still may.
    Open,
}

/// This side, where pairing needs it.
#[derive(Clone, Copy)]
pub struct Ourselves<'a> {
    /// Our key pair.
    pub me: &'a KeyPair,
    /// For what waits in the file.
    pub storage: &'a StorageKey,
    /// Where we can be dialed, for the introduction.
    pub addresses: &'a [HostPort],
}

/// What the peer's word came to.
pub enum Heard {
    /// Nothing that anybody needs to know.
    Nothing,
    /// What is owed must be said now, even if it was said on this connection before.
    Owed,
    /// A new invite waits for our user.
    Pending,
    /// Both agreed: these are the keys. They must be saved before the pairs are.
    Paired(Box<Ratchet>),
    /// The peer has shown that it has the keys.
    Confirmed,
    /// Our invite has arrived.
    Delivered,
    /// The peer said no.
    Declined,
    /// The peer is not, or no longer, paired with us.
    Ended,
    /// The peer takes us for paired by an invite that is gone: it must be told that we are not (`pair-none`).
    NoPair,
}

impl State for Pairs {
    const PRIVACY: Privacy = Privacy::Secret;

    fn check(&self) -> std::result::Result<(), String> {
        check::check(self)
    }
}

impl Pairs {
    /// The pairs of `store`; none if there is no file.
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub fn load(store: &Store) -> Result<Self> {
        Ok(store.read(PAIRS)?.unwrap_or_default())
    }

    /// Changes the pairs of `store`. The file is written only if anything has changed: a peer's idle words cost no disk.
    ///
    /// # Errors
    /// Those of `change` and of [`Store::update`].
    pub fn update<R>(store: &Store, change: impl FnOnce(&mut Pairs) -> Result<R>) -> Result<R> {
        store.update(PAIRS, |found: &mut Option<Pairs>| {
            let before = found.take().unwrap_or_default();
            let mut pairs = before.clone();
            let answer = change(&mut pairs)?;
            *found = (pairs != before).then_some(pairs);
            Ok(answer)
        })
    }

    /// All of them, in the order they came.
    #[must_use]
    pub fn list(&self) -> &[Pair] {
        &self.pairs
    }

    /// The one with `key`.
    #[must_use]
    pub fn get(&self, key: &PublicKey) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.key == *key)
    }

    /// What there is with `key`.
    #[must_use]
    pub fn standing(&self, key: &PublicKey) -> Standing {
        self.get(key).map_or(Standing::Stranger, Pair::standing)
    }

    /// Lets `key` talk to us.
    ///
    /// # Errors
    /// It is blocked.
    pub fn admit(&self, key: &PublicKey) -> Result<Admission> {
        match self.standing(key) {
            Standing::Blocked => Err(Error::refused("it is blocked")),
            _ => Ok(Admission::of(*key)),
        }
    }

    /// Changes what there is with `key`, from nothing if need be; nothing has changed if `change` fails.
    fn change<R>(&mut self, key: PublicKey, now: SystemTime, change: impl FnOnce(&mut Pair) -> Result<R>) -> Result<R> {
        let mut pair = self.get(&key).cloned().unwrap_or_else(|| Pair::new(key, now));
        let before = pair.standing();
        let answer = change(&mut pair)?;
        if std::mem::discriminant(&before) != std::mem::discriminant(&pair.standing()) {
            pair.since = Time::of(now);
        }
        match self.pairs.iter_mut().find(|pair| pair.key == key) {
            Some(place) => *place = pair,
            None => self.pairs.push(pair),
        }
        self.bound(&key);
        Ok(answer)
    }
}

impl Pair {
    fn new(key: PublicKey, now: SystemTime) -> Self {
        Pair {
            key,
            outcome: Outcome::None,
            since: Time::of(now),
            addresses: Vec::new(),
            ours: None,
            theirs: None,
            ack: None,
            confirm: None,
            decline: None,
            open_sent: false,
            open_received: false,
        }
    }

    /// What it has come to.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.outcome {
            Outcome::Accepted => Standing::Accepted { confirmed: self.ack.is_none() },
            Outcome::Blocked => Standing::Blocked,
            Outcome::Declined => Standing::Declined,
            _ if self.ours.is_some() => Standing::Invited,
            _ if self.theirs.is_some() => Standing::Pending,
            Outcome::DeclinedByPeer => Standing::DeclinedByPeer,
            Outcome::Removed => Standing::Removed,
            Outcome::RemovedByPeer => Standing::RemovedByPeer,
            Outcome::None if self.is_open() => Standing::Open,
            Outcome::None => Standing::Stranger,
        }
    }

    /// Since when. New keys for a pair do not make it younger.
    #[must_use]
    pub fn since(&self) -> Time {
        self.since
    }

    /// Where the invite that waits for our user came from, if it came over a connection, and when it expires.
    #[must_use]
    pub fn pending(&self) -> Option<(Option<IpAddr>, Time)> {
        let waits = self.theirs.as_ref().filter(|_| self.outcome != Outcome::Declined);
        waits.map(|theirs| (theirs.source, theirs.until()))
    }

    /// Whether our user can agree to an invite of the peer's; also if he said no to it, and the peer has not heard of that.
    #[must_use]
    pub fn can_accept(&self) -> bool {
        self.theirs.is_some()
    }

    /// Whether a pair that holds is asked for new keys by the peer, which waits for our user.
    #[must_use]
    pub fn asks_to_renew(&self) -> bool {
        self.outcome == Outcome::Accepted && self.theirs.is_some()
    }

    /// Whether an invite of ours or our consent to the peer's is on its way: the two ends may have different keys as yet.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.ours.is_some() || self.ack.is_some()
    }

    /// Whether messages went both ways in the open and may go on so. An invite that waits does not end that.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open_sent && self.open_received
    }

    /// Where the peer said it can be dialed.
    #[must_use]
    pub fn addresses(&self) -> &[HostPort] {
        &self.addresses
    }

    /// Ends all that there was but for `outcome`.
    fn end(&mut self, outcome: Outcome) {
        let ended = Pair { outcome, since: self.since, ..Pair::new(self.key, SystemTime::UNIX_EPOCH) };
        *self = ended;
    }
}

impl Ours {
    fn invite(&self) -> Invite {
        Invite { id: self.id, expires: self.expires.unix(), noise: self.noise.clone() }
    }
}

impl Theirs {
    fn invite(&self) -> Invite {
        Invite { id: self.id, expires: self.expires.unix(), noise: self.noise.clone() }
    }

    /// Until when it waits here: never longer than an invite may, whatever the sender's clock says.
    fn until(&self) -> Time {
        self.expires.min(self.came.after(INVITE_LIFE))
    }
}
