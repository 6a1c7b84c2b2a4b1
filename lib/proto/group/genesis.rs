//! What a group begins with, and is named by.

use super::ids::{GroupId, KeyId};
use crate::error::{Error, Result};
use crate::frame::Fields;
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
        let (tag, count) = match self.history {
            History::None => (0, 0),
            History::All => (1, 0),
            History::Last(count) => (2, count),
        };
        let mode = match self.mode {
            Mode::Public => 0,
            Mode::Private => 1,
            Mode::Open => 2,
        };
        let mut bytes = vec![1];
        bytes.extend_from_slice(self.owner.as_bytes());
        bytes.extend_from_slice(&self.created.to_be_bytes());
        bytes.extend_from_slice(&[mode, tag]);
        bytes.extend_from_slice(&u32::to_be_bytes(count));
        bytes.extend_from_slice(&self.key.0);
        bytes.extend_from_slice(&self.salt);
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// Another version; a value that cannot be; too few or too many bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let wrong =
            |what: &str, found: u32| Error::protocol(format!("a group's beginning with the unknown {what} {found}"));
        let mut fields = Fields::new(bytes);
        match fields.u8()? {
            1 => {}
            other => return Err(wrong("version", other.into())),
        }
        let owner = PublicKey::from_bytes(&fields.array::<32>()?)?;
        let created = fields.u64()?;
        let mode = match fields.u8()? {
            0 => Mode::Public,
            1 => Mode::Private,
            2 => Mode::Open,
            other => return Err(wrong("mode", other.into())),
        };
        let history = match (fields.u8()?, fields.u32()?) {
            (0, 0) => History::None,
            (1, 0) => History::All,
            (2, count) => History::Last(count),
            (other, _) => return Err(wrong("policy of history", other.into())),
        };
        let (key, salt) = (KeyId(fields.array()?), fields.array()?);
        fields.end()?;
        Ok(Genesis { owner, created, mode, history, key, salt })
    }

    /// The group's id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        GroupId(crate::kdf::hash_32(&[&self.encode()]))
    }
}
