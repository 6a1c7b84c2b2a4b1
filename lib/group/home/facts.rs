//! `group.json`: what is known of a group beside its logs. See keywire-files(5).

use super::own::Logs;
use crate::addr::{HostPort, PeerAddr};
use crate::json::Bytes;
use crate::key::PublicKey;
use crate::proto::group::{Genesis, KeyId, MAX_NAME_LEN};
use crate::sign::Signature;
use crate::store::{Privacy, State, Version};
use crate::term;
use crate::trust::MAX_ADDRESSES;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of the file in the group's directory.
pub(super) const GROUP: &str = "group.json";

/// What is known of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    version: Version,
    /// What this user calls it.
    pub name: String,
    /// What it began with.
    #[serde(with = "genesis")]
    pub genesis: Genesis,
    /// How we stand.
    pub status: Status,
    /// The logs that we write.
    #[serde(default)]
    pub(super) logs: Logs,
    /// Members that can be dialed, from the link.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "peers")]
    pub peers: Vec<PeerAddr>,
    /// With what we ask to become a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Wish>,
    /// The addresses that we announced last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub announced: Vec<HostPort>,
    /// The key under which that was, in a private group.
    #[serde(default, skip_serializing_if = "KeyId::is_zero")]
    pub announced_under: KeyId,
}

/// How we stand in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// We have a link, and no member was reached yet.
    Pending,
    /// A member was reached, and an admin must approve us.
    Waiting,
    /// We are a member.
    Active,
    /// We have left.
    Left,
    /// We were removed.
    Removed,
}

impl Status {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Waiting => "waiting",
            Status::Active => "active",
            Status::Left => "left",
            Status::Removed => "removed",
        }
    }
}

/// A wish to become a member: an invite's capability, and its signature over the group and who wants to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The public half of the invite's capability.
    pub capability: PublicKey,
    /// Its signature.
    #[serde(with = "signature")]
    pub signature: Signature,
}

impl Facts {
    /// A group of which nothing else is known yet.
    #[must_use]
    pub fn new(name: &str, genesis: Genesis, status: Status) -> Self {
        Facts {
            version: Version,
            name: name.to_owned(),
            genesis,
            status,
            logs: Logs::default(),
            peers: Vec::new(),
            wish: None,
            announced: Vec::new(),
            announced_under: KeyId::default(),
        }
    }
}

impl State for Facts {
    const PRIVACY: Privacy = Privacy::Secret;

    fn check(&self) -> std::result::Result<(), String> {
        let length = self.name.chars().count();
        if !(1..=MAX_NAME_LEN).contains(&length) || self.name.contains(term::is_unsafe) {
            return Err(format!("the name of a group has 1 to {MAX_NAME_LEN} characters that can be shown"));
        }
        for (what, count) in [("peers", self.peers.len()), ("announced", self.announced.len())] {
            if count > MAX_ADDRESSES {
                return Err(format!("\"{what}\" has {count} addresses; the most is {MAX_ADDRESSES}"));
            }
        }
        Ok(())
    }
}

/// A genesis as base64 of its bytes.
mod genesis {
    use super::{Bytes, Deserialize, Deserializer, Genesis, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(genesis: &Genesis, out: S) -> Result<S::Ok, S::Error> {
        Bytes(genesis.encode()).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Genesis, D::Error> {
        Genesis::decode(&Bytes::deserialize(from)?.0).map_err(serde::de::Error::custom)
    }
}

/// Addresses with keys, as text.
mod peers {
    use super::{Deserialize, Deserializer, PeerAddr, Serializer};

    pub(super) fn serialize<S: Serializer>(peers: &[PeerAddr], out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(peers.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PeerAddr>, D::Error> {
        let peers = Vec::<String>::deserialize(from)?;
        peers.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
    }
}

/// A signature as base64.
pub(super) mod signature {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer, Signature};

    pub(in super::super) fn serialize<S: Serializer>(signature: &Signature, out: S) -> Result<S::Ok, S::Error> {
        Bytes(signature.0.to_vec()).serialize(out)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Signature, D::Error> {
        let bytes = Bytes::deserialize(from)?.0.try_into();
        bytes.map(Signature).map_err(|_| serde::de::Error::custom("not the 64 bytes of a signature"))
    }
}
