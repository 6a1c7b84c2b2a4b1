//! What a group begins with, and is named by.

use super::ids::{GroupId, KeyId};
use crate::error::{Error, Result};
use crate::key::PublicKey;
use serde::{Deserialize, Serialize};

/// Who can read and join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Bodies in clear.
    Public,
    /// Bodies under epoch keys that only members get.
    Private,
    /// Bodies under one key for ever, which stands in the link.
    Open,
}

/// What a newcomer of a private group can read of what was said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Nothing that was said under an earlier key than the present one.
    None,
    /// Everything.
    All,
    /// The epochs in which the last so many messages were said.
    Last(u32),
}

/// What a group begins with. Its hash is the group's id, so nothing of it can ever change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The owner, for ever.
    pub owner: PublicKey,
    /// Seconds since 1970.
    pub created: u64,
    /// Who can read and join.
    pub mode: Mode,
    /// What a newcomer can read.
    pub history: History,
    /// In an open group, its key's id; else zero.
    pub key: KeyId,
    /// 16 random bytes.
    pub salt: [u8; 16],
}

impl Genesis {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads it.
    ///
    /// # Errors
    /// Another version; a value that cannot be; too few or too many bytes.
    pub fn decode(_bytes: &[u8]) -> Result<Self> {
        Err(Error::protocol("not there yet"))
    }

    /// The group's id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        GroupId(crate::kdf::hash_32(&[&self.encode()]))
    }
}
