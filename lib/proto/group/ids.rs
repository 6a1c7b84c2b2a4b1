//! What names things in a group: hashes, and random bytes. In JSON and in text they are digits of hexadecimal.

use crate::error::Result;
use crate::kdf::{self, Secret};
use crate::proto::ids::hex_id;
use crate::random;

hex_id! {
    /// A group: BLAKE2b-256 of its genesis.
    GroupId, 32
}
hex_id! {
    /// An entry: BLAKE2b-256 of its header.
    EntryId, 32
}
hex_id! {
    /// An epoch key, or several that are used together.
    KeyId, 32
}
hex_id! {
    /// Incarnation: random, made with the file of a log.
    Inc, 8
}

impl KeyId {
    /// The id of `key`, which commits to it: nobody can find another key with the same. It does not depend on the group, since an
    /// open group's id depends on it.
    #[must_use]
    pub fn of(key: &Secret) -> Self {
        KeyId(*kdf::derive(&[], key.as_ref(), &[b"keywire group key id v1"]))
    }
}

impl Inc {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> Result<Self> {
        random::bytes().map(Inc)
    }
}
