//! The service `inbox`: first contact with someone who is offline. keywire-protocol(7), INBOX.

mod card;
mod frame;
mod message;
mod sealed;
#[cfg(test)]
mod tests;
mod wire;

pub use card::{Address, Card, MAX_CARD_LEN, MAX_CARD_TEXT_LEN, MAX_DELIVERY_ADDRESSES, MAX_USES, Ticket};
pub use frame::{Content, Frame, MAX_GREETING_LEN, MAX_NOTE_LEN, check_text};
pub use message::{Delivery, FromDialer, FromListener, MAX_HELD, Refusal};
pub use sealed::{BEGIN, END, MAX_ARMOUR_LEN, MAX_SEALED_LEN, SealedMessage};

use super::ids::hex_id;
use crate::conn::Service;
use crate::kdf;
use crate::key::PublicKey;

/// Deliveries of sealed messages.
pub const INBOX: Service = Service { name: "inbox", port: Some(8803) };

/// The definitions of the protocol buffers.
pub const DEFINITIONS: &str = include_str!("inbox.proto");

hex_id! {
    /// Recipient key identifier: by which a recipient finds the one-time key of a message. The first 4 bytes of its
    /// [`KeyHash`].
    Rki, 4
}
hex_id! {
    /// A sealed message: the first 16 bytes of its BLAKE2b-512.
    SealedId, 16
}
hex_id! {
    /// What a drop box knows of a one-time key: the first 32 bytes of BLAKE2b-512 of `WAP` and the key.
    KeyHash, 32
}

impl KeyHash {
    /// That of a one-time key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        KeyHash(head(&kdf::hash(&[b"WAP", key.as_bytes()])))
    }

    /// The identifier of the same key.
    #[must_use]
    pub fn rki(&self) -> Rki {
        Rki(head(&self.0))
    }
}

impl Rki {
    /// That of a one-time key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        KeyHash::of(key).rki()
    }
}

impl SealedId {
    fn of(message: &[u8]) -> Self {
        SealedId(head(&kdf::hash(&[message])))
    }
}

/// The first `N` bytes.
fn head<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut head = [0; N];
    for (to, from) in head.iter_mut().zip(bytes) {
        *to = *from;
    }
    head
}
