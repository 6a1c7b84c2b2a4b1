//! What names things in a group: hashes, and random bytes. In JSON and in text they are digits of hexadecimal.

use crate::error::{Error, Result};
use crate::kdf::{self, Secret};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! id {
    ($(#[$about:meta])* $name:ident, $length:literal) => {
        $(#[$about])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// Whether it names nothing.
            #[must_use]
            pub fn is_zero(&self) -> bool {
                *self == Self::default()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(self.0.get(..6).unwrap_or_default()))
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
                let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
                bytes.map($name).ok_or_else(|| Error::usage(format!("{} digits of hexadecimal belong there", 2 * $length)))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// A group: BLAKE2b-256 of its genesis.
    GroupId, 32
}
id! {
    /// An entry: BLAKE2b-256 of its header.
    EntryId, 32
}
id! {
    /// An epoch key, or several that are used together.
    KeyId, 32
}
id! {
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
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes)
            .map_err(|cause| Error::state(format!("the system gives no random numbers: {cause}")))?;
        Ok(Inc(bytes))
    }
}
