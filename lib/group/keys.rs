//! Epoch keys: made by the owner and admins, wrapped to members, and what bodies are sealed under.

use crate::error::{Error, Result};
use crate::kdf::Secret;
use crate::key::{KeyPair, PublicKey};
use crate::proto::group::roster::{Wrap, Wraps};
use crate::proto::group::{GroupId, Header, KeyId};

/// An epoch key.
#[derive(Clone)]
pub struct EpochKey(pub Secret);

impl EpochKey {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> Result<Self> {
        Err(Error::state("not there yet"))
    }

    /// Its id in `group`, which commits to it: nobody can find another key with the same.
    #[must_use]
    pub fn id(&self, _group: &GroupId) -> KeyId {
        KeyId::default()
    }

    /// The key that several make together, which only those have who have them all; of one it is that itself. Their order does
    /// not matter.
    #[must_use]
    pub fn join(_keys: &[EpochKey]) -> EpochKey {
        EpochKey(Secret::default())
    }
}

/// The id of the key that several make together: known to those too who lack them.
#[must_use]
pub fn joint_id(_ids: &[KeyId]) -> KeyId {
    KeyId::default()
}

/// Seals `keys` to `members`: every key to every member.
///
/// # Errors
/// The system has no random numbers.
pub fn wrap(_group: &GroupId, _keys: &[EpochKey], _members: &[PublicKey]) -> Result<Wraps> {
    Err(Error::state("not there yet"))
}

/// Opens a box that is for us; `None` if it is not what it says.
#[must_use]
pub fn unwrap(_group: &GroupId, _me: &KeyPair, _ephemeral: &PublicKey, _wrap: &Wrap) -> Option<EpochKey> {
    None
}

/// Seals a body: AES-256-GCM under a key for this entry alone, its nonce in front. `header` names key, author, inc and seq;
/// all of it but length and hash of the body is authenticated.
///
/// # Errors
/// The system has no random numbers.
pub fn seal_body(_keys: &[EpochKey], _group: &GroupId, _header: &Header, _text: &[u8]) -> Result<Vec<u8>> {
    Err(Error::state("not there yet"))
}

/// Opens a body; `None` if it was not sealed so.
#[must_use]
pub fn open_body(_key: &EpochKey, _header: &Header, _body: &[u8]) -> Option<Vec<u8>> {
    None
}

/// What became of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It opened, or was in clear.
    Text(Vec<u8>),
    /// We lack the key that has this id.
    NoKey(KeyId),
    /// It is not what its author sealed.
    Broken,
}
