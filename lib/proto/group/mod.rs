//! The service `group`: logs of signed entries, and how two members come to have the same. keywire-protocol(7), GROUP.

pub mod entry;
pub mod genesis;
pub mod ids;
pub mod link;
pub mod message;
pub mod roster;

pub use entry::{Class, Dep, Entry, Header, Kind, LogId};
pub use genesis::{Genesis, History, Mode};
pub use ids::{EntryId, GroupId, Inc, KeyId};
pub use link::Link;
pub use message::{Assembly, Message};

use crate::conn::Service;
use serde::{Deserialize, Serialize};

/// Group conversations.
pub const GROUP: Service = Service { name: "group", port: Some(8802) };

/// Most bytes of text in a message.
pub const MAX_TEXT_LEN: usize = 64 << 10;

/// Most members of a group, its owner among them.
pub const MAX_MEMBERS: usize = 500;

/// Longest name of a group, in characters.
pub const MAX_NAME_LEN: usize = 64;

/// What a dialer asks for: one group a connection. It is the payload of the third handshake message, so nobody on the way sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Which group.
    pub group: GroupId,
}

/// Where a member can be dialed: the body of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// `HOST:PORT`, best first; at most 16. None: nowhere.
    pub addresses: Vec<String>,
}
