//! Invite links: `keywire:invite:` and the base64url of some JSON. Whoever has the link may join, so it is a secret.

use super::MAX_NAME_LEN;
use super::genesis::{Genesis, Mode};
use super::ids::{GroupId, KeyId};
use crate::addr::PeerAddr;
use crate::error::{Error, Result};
use crate::json::{self, Bytes};
use crate::kdf::{self, Secret};
use crate::key::{KeyPair, PublicKey, SecretKey};
use crate::sign::{self, Signature};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// What a link begins with.
pub const PREFIX: &str = "keywire:invite:";

/// Longest link.
pub const MAX_LINK_LEN: usize = 8192;

/// Most addresses in a link.
pub const MAX_PEERS: usize = 16;

/// Bytes of a link's secret.
pub const SECRET_LEN: usize = 16;

/// What a wish's signature is for.
const PURPOSE: &str = "group-join";

/// What a link holds.
#[derive(Clone)]
pub struct Link {
    /// What the group began with, and so its id, owner and mode.
    pub genesis: Genesis,
    /// The group's name when the link was made: only a word for its reader.
    pub name: String,
    /// Members that can be dialed; at most [`MAX_PEERS`].
    pub peers: Vec<PeerAddr>,
    /// From which the capability is derived.
    pub secret: Zeroizing<[u8; SECRET_LEN]>,
    /// In an open group: its key.
    pub key: Option<Secret>,
}

/// The JSON of a link.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    genesis: Bytes,
    name: String,
    peers: Vec<PeerAddr>,
    secret: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Bytes>,
}

/// The capability of an invite: a key pair from its secret, whose public half stands in the roster.
#[must_use]
pub fn capability(group: &GroupId, secret: &[u8; SECRET_LEN]) -> KeyPair {
    let secret = kdf::derive(&group.0, secret, &[b"keywire group capability v1"]);
    KeyPair::from_secret(SecretKey::from_bytes(&secret))
}

/// A key's wish to become a member: the capability's signature over the group and that key.
///
/// # Errors
/// The system has no random numbers.
pub fn wish(capability: &KeyPair, group: &GroupId, joiner: &PublicKey) -> Result<Signature> {
    sign::sign(capability, PURPOSE, &[group.0, *joiner.as_bytes()].concat())
}

/// Whether `signature` is that wish.
#[must_use]
pub fn is_wish(capability: &PublicKey, group: &GroupId, joiner: &PublicKey, signature: &Signature) -> bool {
    sign::verify(capability, PURPOSE, &[group.0, *joiner.as_bytes()].concat(), signature)
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("group", &self.genesis.id()).field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Text {
            genesis: Bytes(self.genesis.encode()),
            name: self.name.clone(),
            peers: self.peers.clone(),
            secret: Bytes(self.secret.to_vec()),
            key: self.key.as_ref().map(|key| Bytes(key.to_vec())),
        };
        let json = Zeroizing::new(json::line(&text).map_err(|_| fmt::Error)?);
        f.write_str(PREFIX)?;
        f.write_str(&Zeroizing::new(BASE64URL_NOPAD.encode(json.as_bytes())))
    }
}

impl FromStr for Link {
    type Err = Error;

    /// Reads a link, with or without white space around it. What is wrong with it is said without its secrets.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::usage(format!("not an invite link: {why}"));
        let cut_short = "copy the whole link again, from keywire:invite: to its last character";
        let text = text.trim();
        if text.len() > MAX_LINK_LEN {
            return Err(wrong(&format!("{} characters, more than the {MAX_LINK_LEN} that one has", text.len())));
        }
        let code = text.strip_prefix(PREFIX).ok_or_else(|| wrong(&format!("it does not begin with {PREFIX}")))?;
        let json = BASE64URL_NOPAD.decode(code.as_bytes()).map(Zeroizing::new).map_err(|cause| {
            let at = PREFIX.len() + cause.position + 1;
            wrong(&format!("it breaks off or is damaged at character {at}")).hint(cut_short)
        })?;
        let text: Text = json::parse(&json, MAX_LINK_LEN)
            .map_err(|cause| wrong(&format!("what is in it is not what belongs there: {cause}")).hint(cut_short))?;
        let Text { genesis, name, peers, secret, key } = text;
        let (secret, key) = (Zeroizing::new(secret.0), key.map(|key| Zeroizing::new(key.0)));
        let genesis = Genesis::decode(&genesis.0).map_err(|cause| wrong(&cause.to_string()))?;
        if name.chars().count() > MAX_NAME_LEN {
            return Err(wrong(&format!("its group has a name of more than {MAX_NAME_LEN} characters")));
        }
        if peers.len() > MAX_PEERS {
            return Err(wrong(&format!("{} addresses, more than {MAX_PEERS}", peers.len())));
        }
        let secret = secret.as_slice().try_into().map(Zeroizing::new);
        let secret = secret.map_err(|_| wrong(&format!("its secret has not {SECRET_LEN} bytes")))?;
        let key = match (genesis.mode, key) {
            (Mode::Open, None) => return Err(wrong("its group is open, and the group's key is not in it")),
            (Mode::Open, Some(key)) => Some(
                <[u8; 32]>::try_from(key.as_slice())
                    .map(Secret::new)
                    .ok()
                    .filter(|key| KeyId::of(key) == genesis.key)
                    .ok_or_else(|| wrong("the key in it is not its group's"))?,
            ),
            (Mode::Public | Mode::Private, Some(_)) => {
                return Err(wrong("there is a key in it, and its group is not open"));
            }
            (Mode::Public | Mode::Private, None) => None,
        };
        Ok(Link { genesis, name, peers, secret, key })
    }
}

#[cfg(test)]
mod tests;
