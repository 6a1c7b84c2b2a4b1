//! What programs are told.

use crate::group::history::Gap;
use crate::group::home::Status;
use crate::key::PublicKey;
use crate::proto::group::roster::Role;
use crate::proto::group::{GroupId, Mode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Begin {
    /// With the first message.
    Start,
    /// With those whose time is later, in milliseconds since 1970.
    Time(u64),
    /// With what comes.
    Now,
}

/// A group, in few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Which.
    pub id: GroupId,
    /// What it is called here.
    pub name: String,
    /// Who can read and join.
    pub mode: Mode,
    /// How we stand.
    pub status: Status,
}

/// A group, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Which, its name here, its mode, and how we stand.
    pub brief: Brief,
    /// The name that its owner or an admin gave it.
    pub title: String,
    /// The owner, for ever.
    pub owner: PublicKey,
    /// Our own key.
    pub me: PublicKey,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// What newcomers can read: `none`, `all`, or how many messages.
    pub history: String,
    /// The members, the owner and ourselves among them.
    pub members: Vec<MemberInfo>,
    /// The invites that still let somebody in.
    pub invites: Vec<InviteInfo>,
    /// Who asks to be approved.
    pub joins: Vec<JoinInfo>,
    /// What is missing, and known to exist.
    pub gaps: Vec<Gap>,
    /// Authors who wrote two entries in one place.
    pub forks: Vec<PublicKey>,
    /// Acts on the roster that do nothing, and why.
    pub void: Vec<String>,
    /// How many entries of content are here.
    pub entries: u64,
    /// When we last had the same as another member, in milliseconds since 1970.
    pub synced: Option<u64>,
}

/// A member, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Who.
    pub member: PublicKey,
    /// What it may do.
    pub role: Role,
    /// Whether it is not heard.
    pub muted: bool,
    /// Where it can be dialed.
    pub addresses: Vec<String>,
    /// Whether there is a connection with it now.
    pub connected: bool,
    /// When there was one last, in milliseconds since 1970.
    pub seen: Option<u64>,
    /// Why it could not be reached when it was dialed last.
    pub failure: Option<String>,
}

/// An invite, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteInfo {
    /// The public half of its capability.
    pub capability: PublicKey,
    /// Who made it.
    pub by: PublicKey,
    /// Until when it counts, in seconds since 1970.
    pub expires: u64,
    /// How many may still come by it.
    pub left: u32,
    /// Whether an admin must approve each.
    pub approve: bool,
}

/// Somebody who asks to be approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinInfo {
    /// Who.
    pub member: PublicKey,
    /// By which invite.
    pub capability: PublicKey,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
}

/// What an invite allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How long it counts, in seconds.
    pub expires: u64,
    /// How many may come by it.
    pub uses: u32,
    /// Whether an admin must approve each.
    pub approve: bool,
}

/// An act on the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// An invite counts no more.
    Revoke(PublicKey),
    /// A member becomes an admin.
    Promote(PublicKey),
    /// An admin becomes a member.
    Demote(PublicKey),
    /// A member is heard no more.
    Mute(PublicKey),
    /// A member is heard again.
    Unmute(PublicKey),
    /// A member is one no more.
    Remove(PublicKey),
    /// Who asks may come.
    Approve(PublicKey),
    /// Another name, for everybody.
    Rename(String),
}

/// What became of the wish to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Joined {
    /// We are a member.
    Active,
    /// Not yet, in a member's words.
    Waiting(String),
    /// No member could be reached, and why; it is tried again.
    Unreachable(String),
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Another member holds it.
    Held {
        /// The first who said so.
        by: PublicKey,
        /// How long that took.
        after: Duration,
    },
    /// It left, and nobody has said in time that he holds it.
    Sent,
    /// No member could be reached, and why. It is kept, and sent later.
    Nobody(String),
    /// There is no other member.
    Alone,
}

/// What happens while an engine runs.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message was stored: one of ours, too.
    Message {
        /// Where.
        group: GroupId,
    },
    /// The roster or our standing changed, in words with keys in short form.
    Roster {
        /// Of which group.
        group: GroupId,
        /// What changed.
        text: String,
    },
    /// Something that the user should know, as a line without a line end.
    Notice(String),
}
