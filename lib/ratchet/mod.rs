//! The keys of a pair's messages: a hash chain for each direction, and a new Diffie-Hellman step now and then.
//!
//! Pure state: no clock, no file, no socket. What is kept is secret, and stored only sealed. keywire-protocol(7), CHAT.

mod epoch;
mod meet;

pub use meet::{Meeting, Step};

use crate::error::{Error, Result};
use crate::handshake::Finished;
use crate::json::Bytes;
use crate::kdf;
use crate::key::PublicKey;
use crate::proto::chat::{MAX_TEXT_LEN, Message, MessageId, PairConfirm, Saved, Why};
use crate::random;
use crate::seal::{MESSAGE_NONCE_LEN, TAG_LEN, open_message, seal_message};
use epoch::{Epoch, Kept, Key, Proof, Skipped, advance, below, hash_of, message_key};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// Messages after which an epoch ends.
pub const EPOCH_MESSAGES: u64 = 100;

/// Seconds after which an epoch ends that anything was said in.
pub const EPOCH_SECONDS: u64 = 24 * 60 * 60;

/// The same where a connection begins: those that come soon after another have nothing new to gain.
pub const RECONNECT_SECONDS: u64 = 10 * 60;

/// Most messages that may be missing: as many seeds are kept of all epochs together, and a message that is further ahead
/// is not opened.
pub const MAX_SKIPPED: usize = 1000;

/// Most epochs before the newest that messages are still taken in.
pub const MAX_OLD_EPOCHS: usize = 8;

/// Bytes of the name of a pair.
pub const PAIR_LEN: usize = 16;

/// All keys of one pair at one end.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratchet {
    me: PublicKey,
    peer: PublicKey,
    pair: Kept<PAIR_LEN>,
    /// What an epoch's keys come from, with a new agreement, where the two ends have no epoch in common.
    recover: Key,
    hello: Key,
    confirm: Key,
    /// The epoch with the greatest name, and the chain of our messages: they are sealed in it alone.
    newest: Epoch,
    sending: Key,
    /// Older ones, in the order of their names.
    old: VecDeque<Epoch>,
    /// In the order they were skipped.
    skipped: VecDeque<Skipped>,
}

/// What a message says besides its text. It travels in clear inside the connection, bound to the ciphertext.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its id.
    pub id: MessageId,
    /// Whether an acknowledgement is wanted.
    pub ack: bool,
    /// When it was written, in milliseconds since 1970.
    pub time: u64,
    /// How many seconds after that it means nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Which message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
}

impl From<&Message> for Head {
    fn from(message: &Message) -> Self {
        let Message { id, ack, time, ttl, reply_to, .. } = message.clone();
        Head { id, ack, time, ttl, reply_to }
    }
}

/// The place of a message of ours in its chain, and the keys for it alone: enough to seal it again, to the same bytes, until
/// it is acknowledged.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Its epoch.
    pub ep: u64,
    /// Its number in that epoch.
    pub n: u64,
    pair: Kept<PAIR_LEN>,
    key: Key,
    nonce: Kept<MESSAGE_NONCE_LEN>,
    /// Of the ciphertext: nothing else is ever sealed with this key and nonce.
    hash: Kept<64>,
    ack: Key,
}

/// An opened message.
pub struct Opened {
    /// The text.
    pub text: Zeroizing<Vec<u8>>,
    /// What to answer once it is on the disk.
    pub saved: Saved,
}

impl Ratchet {
    /// The first epoch, from a finished pairing; `now` in seconds since 1970.
    #[must_use]
    pub fn begin(keys: &Finished, me: PublicKey, now: u64) -> Self {
        let both = Zeroizing::new([keys.from_initiator.as_ref(), keys.from_responder.as_ref()].concat());
        let root = Kept(kdf::derive(&keys.hash, &both, &[b"keywire chat root v1"]));
        let mut pair = [0; PAIR_LEN];
        for (to, from) in pair.iter_mut().zip(keys.hash) {
            *to = from;
        }
        let (newest, sending) = Epoch::begin(&root, 0, me, keys.peer, now);
        Ratchet {
            me,
            peer: keys.peer,
            pair: pair.into(),
            recover: below(&root, &[b"recover"]),
            hello: below(&root, &[b"hello"]),
            confirm: below(&root, &[b"confirm"]),
            newest,
            sending,
            old: VecDeque::new(),
            skipped: VecDeque::new(),
        }
    }

    /// The name of the pair: both ends have the same, and no other pair has it.
    #[must_use]
    pub fn pair(&self) -> [u8; PAIR_LEN] {
        *self.pair.0
    }

    /// The proof for `pair-confirm` that this end has the keys.
    #[must_use]
    pub fn confirm(&self, invite: [u8; 16]) -> [u8; 32] {
        kdf::mac(&self.confirm.0, &[b"keywire confirm v1", self.pair.0.as_ref(), self.me.as_bytes(), &invite])
    }

    /// Whether `confirm` proves that the other end has the keys.
    #[must_use]
    pub fn is_confirmed_by(&self, confirm: &PairConfirm) -> bool {
        let parts: [&[u8]; 4] = [b"keywire confirm v1", self.pair.0.as_ref(), self.peer.as_bytes(), &confirm.id.0];
        confirm.mac.0.as_slice().try_into().is_ok_and(|mac| kdf::is_mac(&self.confirm.0, &parts, mac))
    }

    /// Takes the next number for a message and moves the chain on. The keys must be saved before the message leaves.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn next(&mut self, head: &Head, text: &[u8]) -> Result<Slot> {
        self.next_with(head, text, random::bytes()?)
    }

    fn next_with(&mut self, head: &Head, text: &[u8], nonce: [u8; MESSAGE_NONCE_LEN]) -> Result<Slot> {
        let mut chain = self.sending.clone();
        let (ep, n) = (self.newest.ep, self.newest.sent);
        let mut slot = Slot {
            ep,
            n,
            pair: self.pair.clone(),
            key: message_key(&advance(&mut chain), &head.id, n),
            nonce: nonce.into(),
            hash: [0; 64].into(),
            ack: self.newest.their_acks.clone(),
        };
        slot.hash = hash_of(&self.write(&slot, head, text)?).into();
        self.sending = chain;
        self.newest.sent += 1;
        Ok(slot)
    }

    /// Seals a message in its slot: the same bytes each time.
    ///
    /// # Errors
    /// Another message than the slot was taken for, or the slot of another pair.
    pub fn seal(&self, slot: &Slot, head: &Head, text: &[u8]) -> Result<Message> {
        let message = self.write(slot, head, text)?;
        match hash_of(&message) == *slot.hash.0 {
            true => Ok(message),
            false => Err(Error::state(format!("the message {} is not the one that its keys are for", head.id))),
        }
    }

    fn write(&self, slot: &Slot, head: &Head, text: &[u8]) -> Result<Message> {
        let Head { id, ack, time, ttl, reply_to } = head.clone();
        let Slot { ep, n, .. } = *slot;
        let aad = self.bound(ep, n, &self.me, &self.peer, head);
        let ct = Bytes(seal_message(&slot.key.0, &slot.nonce.0, &aad, text)?);
        Ok(Message { id, ep, n, nonce: Bytes(slot.nonce.0.to_vec()), ct, ack, time, ttl, reply_to })
    }

    /// What is bound to a ciphertext: its AAD.
    fn bound(&self, ep: u64, n: u64, sender: &PublicKey, receiver: &PublicKey, head: &Head) -> Vec<u8> {
        let (ep, n, time) = (ep.to_be_bytes(), n.to_be_bytes(), head.time.to_be_bytes());
        let ttl = head.ttl.map(u64::to_be_bytes);
        kdf::join(&[
            b"keywire chat v1",
            self.pair.0.as_ref(),
            &ep,
            &n,
            sender.as_bytes(),
            receiver.as_bytes(),
            head.id.as_str().as_bytes(),
            &[u8::from(head.ack)],
            &time,
            ttl.as_ref().map_or(&[], |ttl| ttl.as_slice()),
            head.reply_to.as_ref().map_or(&[], |id| id.as_str().as_bytes()),
        ])
    }

    /// Opens a message from the peer, each number once. Nothing has changed when it does not open.
    ///
    /// # Errors
    /// Why not, as the peer is told.
    pub fn open(&mut self, message: &Message) -> std::result::Result<Opened, Why> {
        let nonce = message.nonce.0.as_slice().try_into().map_err(|_| Why::Damaged)?;
        if message.ct.0.len() > MAX_TEXT_LEN + TAG_LEN {
            return Err(Why::Damaged);
        }
        let aad = self.bound(message.ep, message.n, &self.peer, &self.me, &Head::from(message));
        let epoch = self.epoch(message.ep).ok_or(Why::NoKey)?;
        let (mut chain, mut passed) = (epoch.receiving.clone(), Vec::new());
        let place = match message.n.checked_sub(epoch.seen) {
            // Nothing is kept of a number that was used.
            None => Some(self.skipped.iter().position(|it| (it.ep, it.n) == (message.ep, message.n)).ok_or(Why::Used)?),
            Some(gap) if usize::try_from(gap).is_ok_and(|gap| gap <= MAX_SKIPPED) => {
                passed.extend((epoch.seen..message.n).map(|n| Skipped {
                    ep: message.ep,
                    n,
                    seed: advance(&mut chain),
                }));
                None
            }
            Some(_) => return Err(Why::NoKey),
        };
        let seed = match place.and_then(|at| self.skipped.get(at)) {
            Some(kept) => kept.seed.clone(),
            None => advance(&mut chain),
        };
        let key = message_key(&seed, &message.id, message.n);
        let text = open_message(&key.0, nonce, &aad, &message.ct.0).ok_or(Why::Damaged)?;

        match place {
            Some(at) => drop(self.skipped.remove(at)),
            None => {
                self.skipped.extend(passed);
                let surplus = self.skipped.len().saturating_sub(MAX_SKIPPED);
                self.skipped.drain(..surplus);
            }
        }
        let pair = self.pair();
        let epoch = self.epoch_mut(message.ep).ok_or(Why::NoKey)?;
        if place.is_none() {
            (epoch.receiving, epoch.seen) = (chain, message.n + 1);
        }
        epoch.proven = true;
        Ok(Opened { text, saved: epoch.acknowledge(&pair, message) })
    }

    /// The acknowledgement of a message that was opened before; `None` if its epoch is forgotten. What is acknowledged is
    /// this ciphertext: who stores its MAC with the message sees whether it is the one that was opened.
    #[must_use]
    pub fn acknowledge(&self, message: &Message) -> Option<Saved> {
        Some(self.epoch(message.ep)?.acknowledge(self.pair.0.as_ref(), message))
    }

    /// The peer has acknowledged our message `n` of the epoch `ep`, so it has the epoch too.
    pub fn acknowledged(&mut self, ep: u64, n: u64) {
        if let Some(epoch) = self.epoch_mut(ep) {
            epoch.proven = true;
            epoch.acked = epoch.acked.max(n.saturating_add(1));
        }
    }

    /// Whether the newest epoch has lasted long enough; `reconnected` if this is asked at the beginning of a connection.
    #[must_use]
    pub fn is_due(&self, now: u64, reconnected: bool) -> bool {
        let carried = self.newest.sent + self.newest.seen;
        let age = now.saturating_sub(self.newest.since);
        let long = if reconnected { RECONNECT_SECONDS } else { EPOCH_SECONDS };
        carried >= EPOCH_MESSAGES || (carried > 0 && age >= long)
    }

    fn epoch(&self, ep: u64) -> Option<&Epoch> {
        std::iter::once(&self.newest).chain(&self.old).find(|epoch| epoch.ep == ep)
    }

    fn epoch_mut(&mut self, ep: u64) -> Option<&mut Epoch> {
        std::iter::once(&mut self.newest).chain(&mut self.old).find(|epoch| epoch.ep == ep)
    }
}

impl Slot {
    /// Whether `saved` acknowledges the message in this slot.
    #[must_use]
    pub fn is_acknowledged_by(&self, saved: &Saved) -> bool {
        let proof = Proof {
            key: &self.ack.0,
            pair: self.pair.0.as_ref(),
            id: &saved.id,
            ep: self.ep,
            n: self.n,
            sealed: &self.hash.0,
        };
        (saved.ep, saved.n) == (self.ep, self.n) && proof.is(&saved.mac.0)
    }
}

#[cfg(test)]
mod tests;
