//! Acts on the roster: the bodies of entries in roster logs. keywire-protocol(7), GROUP, Roster.

use super::entry::{LogId, MAX_BODY};
use super::ids::{EntryId, Inc, KeyId};
use crate::error::{Error, Result};
use crate::json::{self, Bytes};
use crate::key::PublicKey;
use serde::{Deserialize, Serialize};

/// One act, and what its author had seen of all roster logs, its own excepted: an act is taken only once all of that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// The last act in each roster log but its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Place>,
    /// What is done.
    pub op: Op,
    /// A new epoch key for all who are members once this is done. Each removal in a private group has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Wraps>,
}

impl Act {
    /// Its JSON: what the entry's body is.
    ///
    /// # Errors
    /// One longer than an entry may hold.
    pub fn encode(&self) -> Result<Vec<u8>> {
        json::line(self).map(String::into_bytes)
    }

    /// Reads it.
    ///
    /// # Errors
    /// JSON that is none; an unknown act or field; a value that cannot be.
    pub fn decode(body: &[u8]) -> Result<Self> {
        json::parse(body, MAX_BODY).map_err(|why| Error::protocol(format!("an act that is none: {why}")))
    }
}

/// An entry in a log of the class that is spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Whose log.
    pub author: PublicKey,
    /// Which of the author's.
    pub inc: Inc,
    /// The entry's place in it.
    pub seq: u64,
    /// The entry.
    pub id: EntryId,
}

impl Place {
    /// The entry `seq` of `log`.
    #[must_use]
    pub fn of(log: &LogId, seq: u64, id: EntryId) -> Self {
        Place { author: log.author, inc: log.inc, seq, id }
    }
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Says and reads.
    Member,
    /// Adds, removes and mutes members, invites, renames, and makes new keys; touches neither admins nor the owner.
    Admin,
    /// Everything. The owner stands in the genesis for ever.
    Owner,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// The owner's first act: the group's name; in a private group with the first key.
    Create {
        /// Up to 64 characters.
        name: String,
    },
    /// A key becomes a member.
    Add {
        /// Who.
        member: PublicKey,
        /// By which invite it came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invite: Option<PublicKey>,
        /// The epoch keys it is given: those of the present, and of the past as the group's history policy says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        given: Option<Wraps>,
    },
    /// A member is one no more; or a key may not become one. Behind the cut nothing of it counts.
    Remove {
        /// Who.
        member: PublicKey,
        /// The last entry that counts in each of its logs, content and roster; a log that is not there has none.
        cut: Cut,
    },
    /// A member becomes an admin: the owner's act.
    Promote {
        /// Who.
        member: PublicKey,
    },
    /// An admin becomes a member: the owner's act. Behind the cut no act of its counts.
    Demote {
        /// Who.
        member: PublicKey,
        /// The last acts that count.
        cut: Cut,
    },
    /// A member is heard no more. Behind the cut nothing of it is shown.
    Mute {
        /// Who.
        member: PublicKey,
        /// The last entries that are shown.
        cut: Cut,
    },
    /// A member is heard again: what it writes from the time on when it knows of this.
    Unmute {
        /// Who.
        member: PublicKey,
    },
    /// Whoever has the secret of this key may become a member.
    Invite {
        /// The public half of the capability in the link.
        capability: PublicKey,
        /// Until when, in seconds since 1970.
        expires: u64,
        /// How many may.
        uses: u32,
        /// Whether an admin must approve each.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        approve: bool,
    },
    /// An invite counts no more.
    Revoke {
        /// Which.
        capability: PublicKey,
    },
    /// Another name.
    Rename {
        /// Up to 64 characters.
        name: String,
    },
    /// Nothing but a new key.
    Rotate {},
    /// A member gets keys that it lacks.
    Give {
        /// The keys.
        given: Wraps,
    },
    /// The owner's word on how things stand. Acts that are concurrent with it cannot change what it says, and no admin's cut
    /// reaches below its frontier.
    Checkpoint {
        /// All members but the owner.
        members: Vec<Standing>,
        /// The last entry in each content log.
        frontier: Vec<Place>,
    },
}

/// The last entries that count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// In its content logs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Place>,
    /// In its roster logs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roster: Vec<Place>,
}

/// How a member stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Who.
    pub member: PublicKey,
    /// What it may do.
    pub role: Role,
    /// Whether it is not heard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
}

/// Epoch keys, each sealed to a member: one X25519 key made for this act and forgotten, and a box for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wraps {
    /// The public half of the key made for this.
    pub ephemeral: PublicKey,
    /// The boxes.
    pub boxes: Vec<Wrap>,
}

/// One epoch key for one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrap {
    /// For whom.
    pub member: PublicKey,
    /// Which key.
    pub key: KeyId,
    /// 48 bytes: the key, sealed.
    pub sealed: Bytes,
}

#[cfg(test)]
mod tests;
