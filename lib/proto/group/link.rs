//! Invite links: `keywire:invite:` and the base64url of some JSON. Whoever has the link may join, so it is a secret.

use super::genesis::Genesis;
use super::ids::GroupId;
use crate::addr::PeerAddr;
use crate::error::{Error, Result};
use crate::kdf::Secret;
use crate::key::{KeyPair, PublicKey};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// What a link begins with.
pub const PREFIX: &str = "keywire:invite:";

/// Longest link.
pub const MAX_LINK_LEN: usize = 8192;

/// What a link holds.
#[derive(Clone)]
pub struct Link {
    /// What the group began with, and so its id, owner and mode.
    pub genesis: Genesis,
    /// The group's name when the link was made: only a word for its reader.
    pub name: String,
    /// Members that can be dialed; at most 16.
    pub peers: Vec<PeerAddr>,
    /// From which the capability is derived.
    pub secret: Zeroizing<[u8; 16]>,
    /// In an open group: its key.
    pub key: Option<Secret>,
}

/// The capability of an invite: a key pair from its secret, whose public half stands in the roster.
///
/// # Errors
/// None for a secret that was made at random.
pub fn capability(_group: &GroupId, _secret: &[u8; 16]) -> Result<KeyPair> {
    Err(Error::state("not there yet"))
}

/// A key's wish to become a member: the capability's signature over the group and that key.
///
/// # Errors
/// The system has no random numbers.
pub fn wish(_capability: &KeyPair, _group: &GroupId, _joiner: &PublicKey) -> Result<crate::sign::Signature> {
    Err(Error::state("not there yet"))
}

/// Whether `signature` is that wish.
#[must_use]
pub fn is_wish(
    _capability: &PublicKey,
    _group: &GroupId,
    _joiner: &PublicKey,
    _signature: &crate::sign::Signature,
) -> bool {
    false
}

impl fmt::Display for Link {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl FromStr for Link {
    type Err = Error;

    fn from_str(_text: &str) -> Result<Self> {
        Err(Error::usage("not there yet"))
    }
}
