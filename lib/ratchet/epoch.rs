//! What an epoch is made of, and how keys come from keys.

use crate::json::Bytes;
use crate::kdf::{self, Secret};
use crate::key::PublicKey;
use crate::proto::chat::{Message, MessageId, Saved};
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes that are stored, in JSON as base64, and wiped when dropped.
#[derive(Clone)]
pub(super) struct Kept<const N: usize>(pub(super) Zeroizing<[u8; N]>);

/// A key that is stored.
pub(super) type Key = Kept<{ kdf::SECRET_LEN }>;

impl<const N: usize> From<[u8; N]> for Kept<N> {
    fn from(bytes: [u8; N]) -> Self {
        Kept(Zeroizing::new(bytes))
    }
}

impl<const N: usize> Serialize for Kept<N> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&Zeroizing::new(data_encoding::BASE64.encode(self.0.as_ref())))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Kept<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// Takes the text where it stands: an owned copy of it would not be wiped.
        struct Text<const N: usize>;

        impl<const N: usize> Visitor<'_> for Text<N> {
            type Value = Kept<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes in base64")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Kept<N>, E> {
                let bytes = data_encoding::BASE64.decode(text.as_bytes()).map(Zeroizing::new);
                let bytes = bytes.ok().and_then(|bytes| bytes.as_slice().try_into().map(Zeroizing::new).ok());
                // What stands there instead is not repeated: it may be a secret.
                bytes.map(Kept).ok_or_else(|| E::custom(format!("not {N} bytes in base64")))
            }
        }
        from.deserialize_str(Text).map_err(|_| D::Error::custom(format!("not {N} bytes in base64")))
    }
}

/// What the keys below another are called, in front of what else they belong to.
pub(super) fn below(key: &Key, info: &[&[u8]]) -> Key {
    Kept(kdf::derive(b"keywire chat v1", key.0.as_ref(), info))
}

/// The first key of the chain of a sender's messages.
fn chain(root: &Key, sender: PublicKey, receiver: PublicKey) -> Key {
    below(root, &[b"chain", sender.as_bytes(), receiver.as_bytes()])
}

/// The seed of the chain's next message. The chain moves on, and the key that the seed came from is gone.
pub(super) fn advance(chain: &mut Key) -> Key {
    let seed = below(chain, &[b"message"]);
    *chain = below(chain, &[b"next"]);
    seed
}

/// The key of one message.
pub(super) fn message_key(seed: &Key, id: &MessageId, n: u64) -> Key {
    below(seed, &[b"key", id.as_str().as_bytes(), &n.to_be_bytes()])
}

/// The seed of a message that has not come yet, though a later one has.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Skipped {
    pub(super) ep: u64,
    pub(super) n: u64,
    pub(super) seed: Key,
}

/// What is kept of an epoch: enough to receive in it, to acknowledge, and to go on from it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Epoch {
    pub(super) ep: u64,
    /// Since when, in seconds since 1970.
    pub(super) since: u64,
    /// What the next epoch's keys come from, with a new agreement.
    pub(super) step: Key,
    /// The chain of the peer's messages.
    pub(super) receiving: Key,
    /// One more than the highest number that came: where that chain stands.
    pub(super) seen: u64,
    /// How many messages we have sealed in it.
    pub(super) sent: u64,
    /// One more than the highest number of ours that the peer has acknowledged.
    pub(super) acked: u64,
    /// For our acknowledgements, and for those of the peer.
    pub(super) our_acks: Key,
    pub(super) their_acks: Key,
    /// Whether anything came that only a peer with these keys can have made.
    pub(super) proven: bool,
}

impl Epoch {
    /// The epoch of a root, and the chain of our messages in it. The root must be wiped.
    pub(super) fn begin(root: &Key, ep: u64, me: PublicKey, peer: PublicKey, now: u64) -> (Self, Key) {
        let acks = |acker: PublicKey, other: PublicKey| below(root, &[b"ack", acker.as_bytes(), other.as_bytes()]);
        let epoch = Epoch {
            ep,
            since: now,
            step: below(root, &[b"step"]),
            receiving: chain(root, peer, me),
            seen: 0,
            sent: 0,
            acked: 0,
            our_acks: acks(me, peer),
            their_acks: acks(peer, me),
            proven: false,
        };
        (epoch, chain(root, me, peer))
    }

    /// The acknowledgement of a message in this epoch.
    pub(super) fn acknowledge(&self, pair: &[u8], message: &Message) -> Saved {
        let Message { id, ep, n, .. } = message;
        let proof = Proof { key: &self.our_acks.0, pair, id, ep: *ep, n: *n, sealed: &hash_of(message) };
        Saved { id: id.clone(), ep: *ep, n: *n, mac: Bytes(proof.make().to_vec()) }
    }
}

/// What an acknowledgement is a MAC over, and under which key.
pub(super) struct Proof<'a> {
    pub(super) key: &'a Secret,
    pub(super) pair: &'a [u8],
    pub(super) id: &'a MessageId,
    pub(super) ep: u64,
    pub(super) n: u64,
    pub(super) sealed: &'a [u8; 64],
}

impl Proof<'_> {
    pub(super) fn make(&self) -> [u8; 32] {
        self.with(|parts| kdf::mac(self.key, parts))
    }

    pub(super) fn is(&self, mac: &[u8]) -> bool {
        mac.try_into().is_ok_and(|mac| self.with(|parts| kdf::is_mac(self.key, parts, mac)))
    }

    fn with<R>(&self, over: impl FnOnce(&[&[u8]]) -> R) -> R {
        let (ep, n) = (self.ep.to_be_bytes(), self.n.to_be_bytes());
        over(&[b"keywire ack v1", self.pair, self.id.as_str().as_bytes(), &ep, &n, self.sealed])
    }
}

/// The hash that an acknowledgement names a ciphertext by.
pub(super) fn hash_of(message: &Message) -> [u8; 64] {
    kdf::hash(&[&message.nonce.0, &message.ct.0])
}
