//! What a group begins with, and is named by.

use super::ids::{GroupId, KeyId};
use crate::error::{Error, Result};
use crate::frame::Fields;
use crate::kdf;
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

/// Bytes of a genesis.
const GENESIS_LEN: usize = 95;

impl Genesis {
    /// Its bytes; [`Genesis::decode`] takes no others for it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(GENESIS_LEN);
        bytes.push(1);
        bytes.extend_from_slice(self.owner.as_bytes());
        bytes.extend_from_slice(&self.created.to_be_bytes());
        bytes.push(match self.mode {
            Mode::Public => 0,
            Mode::Private => 1,
            Mode::Open => 2,
        });
        let (history, last) = match self.history {
            History::None => (0, 0),
            History::All => (1, 0),
            History::Last(count) => (2, count),
        };
        bytes.push(history);
        bytes.extend_from_slice(&last.to_be_bytes());
        bytes.extend_from_slice(&self.key.0);
        bytes.extend_from_slice(&self.salt);
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// Another version; a value that cannot be; too few or too many bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str| Error::protocol(format!("a group that begins with {what}"));
        let mut fields = Fields::new(bytes);
        match fields.u8()? {
            1 => {}
            other => return Err(wrong(&format!("the unknown version {other}"))),
        }
        let owner = PublicKey::from_bytes(&fields.array::<32>()?)?;
        let created = fields.u64()?;
        let mode = match fields.u8()? {
            0 => Mode::Public,
            1 => Mode::Private,
            2 => Mode::Open,
            other => return Err(wrong(&format!("the unknown mode {other}"))),
        };
        let history = match (fields.u8()?, fields.u32()?) {
            (0, 0) => History::None,
            (1, 0) => History::All,
            (2, count) if count > 0 => History::Last(count),
            (other, count) => return Err(wrong(&format!("the unknown history {other} of {count}"))),
        };
        let key = KeyId(fields.array()?);
        let salt = fields.array()?;
        fields.end()?;
        match (mode, key.is_zero()) {
            (Mode::Open, true) => Err(wrong("no key though it is open")),
            (Mode::Public | Mode::Private, false) => Err(wrong("a key though it is not open")),
            _ => Ok(Genesis { owner, created, mode, history, key, salt }),
        }
    }

    /// The group's id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        GroupId(kdf::hash_32(&[&self.encode()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyPair, SecretKey};

    fn genesis(mode: Mode, history: History) -> Genesis {
        let owner = KeyPair::from_secret(SecretKey::from_bytes(&[7; 32])).public();
        let key = if mode == Mode::Open { KeyId([9; 32]) } else { KeyId::default() };
        Genesis { owner, created: 1_900_000_000, mode, history, key, salt: [5; 16] }
    }

    #[test]
    fn a_genesis_is_read_as_it_was_written() {
        for mode in [Mode::Public, Mode::Private, Mode::Open] {
            for history in [History::None, History::All, History::Last(1), History::Last(u32::MAX)] {
                let genesis = genesis(mode, history);
                let bytes = genesis.encode();
                assert_eq!(bytes.len(), GENESIS_LEN);
                assert_eq!(Genesis::decode(&bytes).unwrap(), genesis);
            }
        }
    }

    #[test]
    fn a_group_has_another_id_if_anything_of_its_genesis_is_another() {
        let bytes = genesis(Mode::Private, History::None).encode();
        let id = Genesis::decode(&bytes).unwrap().id();
        assert_eq!(id, GroupId(kdf::hash_32(&[&bytes])));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = Genesis::decode(&changed) {
                assert_ne!(changed.id(), id, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_genesis_with_a_value_that_cannot_be_is_refused() {
        let good = genesis(Mode::Private, History::All).encode();
        let with = |at: usize, bytes: &[u8]| {
            let mut changed = good.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            Genesis::decode(&changed).map_err(|error| error.to_string())
        };
        for (at, bytes, why) in [
            (0, &[0][..], "version 0"),
            (0, &[2], "version 2"),
            (1, &[0; 32], "low-order"),
            (1, &[0xff; 32], "canonical"),
            (41, &[3], "mode 3"),
            (42, &[3], "history 3"),
            (42, &[0, 0, 0, 0, 1], "history 0 of 1"),
            (42, &[1, 1, 0, 0, 0], "history 1 of"),
            (42, &[2, 0, 0, 0, 0], "history 2 of 0"),
            (47, &[1], "a key though"),
            (41, &[2], "no key though"),
        ] {
            let told = with(at, bytes).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        for length in 0..good.len() {
            assert!(Genesis::decode(&good[..length]).is_err(), "{length} bytes");
        }
        assert!(Genesis::decode(&[&good[..], &[0]].concat()).is_err());
    }
}
