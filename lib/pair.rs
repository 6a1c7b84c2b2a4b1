//! Pairing: who has agreed to messages from whom. The state machine and its file, `pairs.json`.
//!
//! Every change is by somebody's word: the user's, or the peer's over a connection that has proven its key. Nothing here knows
//! a socket. keywire-protocol(7), CHAT; keywire-files(5).

use crate::addr::HostPort;
use crate::error::{Error, Result};
use crate::key::{KeyPair, PublicKey};
use crate::proto::chat::{About, Envelope, Invite, PairAck, PairConfirm};
use crate::ratchet::Ratchet;
use crate::seal::StorageKey;
use crate::store::{Privacy, State, Store, Version};
use crate::trust::Admission;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::SystemTime;

/// The name of the file in the state directory.
pub const PAIRS: &str = "pairs.json";

/// Everybody with whom there is, was or may be a pair.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    version: Version,
    pairs: Vec<Pair>,
}

/// What there is with one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The other key.
    pub key: PublicKey,
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
}

impl State for Pairs {
    const PRIVACY: Privacy = Privacy::Secret;
}

impl Pairs {
    /// The pairs of `store`; none if there is no file.
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub fn load(store: &Store) -> Result<Self> {
        Ok(store.read(PAIRS)?.unwrap_or_default())
    }

    /// Changes the pairs of `store`.
    ///
    /// # Errors
    /// Those of `change` and of [`Store::update`].
    pub fn update<R>(store: &Store, change: impl FnOnce(&mut Pairs) -> Result<R>) -> Result<R> {
        store.update(PAIRS, |pairs: &mut Option<Pairs>| change(pairs.get_or_insert_default()))
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
        Ok(Admission::of(*key))
    }

    /// Our user invites `key`. An invite that still waits is kept as it is.
    ///
    /// # Errors
    /// It is blocked, or paired already and `renew` does not ask for new keys.
    pub fn invite(&mut self, us: Ourselves<'_>, key: PublicKey, renew: bool, now: SystemTime) -> Result<()> {
        let _ = (us, key, renew, now);
        Err(Error::state("not built"))
    }

    /// Our user agrees to the invite of `key`.
    ///
    /// # Errors
    /// There is none, or it has expired.
    pub fn accept(&mut self, us: Ourselves<'_>, key: &PublicKey, now: SystemTime) -> Result<Ratchet> {
        let _ = (us, key, now);
        Err(Error::state("not built"))
    }

    /// Our user says no to `key`, now and later.
    ///
    /// # Errors
    /// There is no invite.
    pub fn decline(&mut self, key: &PublicKey, now: SystemTime) -> Result<()> {
        let _ = (key, now);
        Err(Error::state("not built"))
    }

    /// Our user forgets the invite of `key` without an answer; the same one does not come back.
    ///
    /// # Errors
    /// There is no invite.
    pub fn dismiss(&mut self, key: &PublicKey, now: SystemTime) -> Result<()> {
        let _ = (key, now);
        Err(Error::state("not built"))
    }

    /// Our user wants no connection with `key`. An end of the pair comes with it.
    pub fn block(&mut self, key: PublicKey, now: SystemTime) {
        let _ = (key, now);
    }

    /// Our user ends whatever there is with `key`: a pair, an invite of ours, a block, a no.
    ///
    /// # Errors
    /// There is nothing.
    pub fn remove(&mut self, key: &PublicKey, now: SystemTime) -> Result<()> {
        let _ = (key, now);
        Err(Error::state("not built"))
    }

    /// An open message went to `key` (`ours`), or came from it.
    pub fn opened(&mut self, key: PublicKey, ours: bool, now: SystemTime) {
        let _ = (key, ours, now);
    }

    /// `pair-invite` from `from`, who dials or is dialed at `source`.
    ///
    /// # Errors
    /// It does not open, so it is not an invite of that key to us.
    pub fn on_invite(
        &mut self,
        us: Ourselves<'_>,
        from: PublicKey,
        source: IpAddr,
        invite: &Invite,
        now: SystemTime,
    ) -> Result<Heard> {
        let _ = (us, from, source, invite, now);
        Err(Error::state("not built"))
    }

    /// `pair-received` from `from`.
    pub fn on_received(&mut self, from: &PublicKey, about: &About) -> Heard {
        let _ = (from, about);
        Heard::Nothing
    }

    /// `pair-ack` from `from`.
    ///
    /// # Errors
    /// It does not open, so it is no consent.
    pub fn on_ack(&mut self, us: Ourselves<'_>, from: &PublicKey, ack: &PairAck, now: SystemTime) -> Result<Heard> {
        let _ = (us, from, ack, now);
        Err(Error::state("not built"))
    }

    /// `pair-confirm` from `from`; `ratchet` has the keys of the pair.
    pub fn on_confirm(&mut self, from: &PublicKey, confirm: &PairConfirm, ratchet: &Ratchet) -> Heard {
        let _ = (from, confirm, ratchet);
        Heard::Nothing
    }

    /// `pair-decline` from `from`.
    pub fn on_decline(&mut self, from: &PublicKey, about: &About, now: SystemTime) -> Heard {
        let _ = (from, about, now);
        Heard::Nothing
    }

    /// `pair-none` from `from`.
    pub fn on_none(&mut self, from: &PublicKey, now: SystemTime) -> Heard {
        let _ = (from, now);
        Heard::Nothing
    }

    /// What must be said to `key` on the next connection, in this order, until [`Pairs::said`] or an answer changes it.
    #[must_use]
    pub fn owed(&self, key: &PublicKey, now: SystemTime) -> Vec<Envelope> {
        let _ = (key, now);
        Vec::new()
    }

    /// `envelope`, which was owed to `key`, has left; whether anything changed by that.
    pub fn said(&mut self, key: &PublicKey, envelope: &Envelope) -> bool {
        let _ = (key, envelope);
        false
    }
}

impl Pair {
    /// What it has come to.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing::Stranger
    }

    /// Since when.
    #[must_use]
    pub fn since(&self) -> &str {
        ""
    }

    /// Where the invite that waits came from, and when it expires (RFC 3339).
    #[must_use]
    pub fn pending(&self) -> Option<(IpAddr, &str)> {
        None
    }

    /// Whether a pair that holds is asked for new keys by the peer, which waits for our user.
    #[must_use]
    pub fn asks_to_renew(&self) -> bool {
        false
    }

    /// Where the peer said it can be dialed.
    #[must_use]
    pub fn addresses(&self) -> &[HostPort] {
        &[]
    }
}
