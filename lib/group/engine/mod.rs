//! The engine: all groups of a state directory, and the connections with their members.
//!
//! One process works on them at a time: whoever holds the lock [`SERVE`] in [`GROUPS_DIR`]. Others call it.

use crate::conn::Listener;
use crate::error::{Error, Result};
use crate::key::{KeyPair, PublicKey};
use crate::proto::group::roster::Role;
use crate::proto::group::{EntryId, GroupId, History, Inc, Link, Mode};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// The directory of groups in the state directory.
pub const GROUPS_DIR: &str = "groups";

/// What the control socket and its lock are called there.
pub const SERVE: &str = "serve";

/// Events that a subscriber may be behind.
const MOST_BEHIND: usize = 4096;

/// How an engine goes about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether our own key may be dialed, and dial.
    pub allow_self: bool,
    /// Whether it only reads: the lock is not held, and nothing is written or mended.
    pub reads_only: bool,
}

/// A message, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Where it was said.
    pub group: GroupId,
    /// The entry.
    pub id: EntryId,
    /// Who said it: signed.
    pub author: PublicKey,
    /// In which of the author's logs.
    pub inc: Inc,
    /// Its place there.
    pub seq: u64,
    /// Orders messages. Milliseconds since 1970.
    pub clock: u64,
    /// When it was written, by the author's clock, in milliseconds since 1970.
    pub time: u64,
    /// What it says.
    pub text: Text,
    /// Which entry it answers.
    pub reply_to: Option<EntryId>,
    /// Whether something that stands behind it in order was here before it.
    pub late: bool,
    /// What is missing before it, and known to exist.
    pub gaps: Vec<Gap>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Text {
    /// This.
    Readable(String),
    /// It cannot be read, and why.
    Unreadable(String),
}

/// Entries that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Whose; nobody knows if no entry of that log is here.
    pub author: Option<PublicKey>,
    /// The first that is missing.
    pub from: u64,
    /// The last that is known to be.
    pub to: u64,
}

/// How far a reader has come in each content log.
pub type Position = BTreeMap<(PublicKey, Inc), u64>;

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
        /// What.
        message: Arc<Message>,
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

/// All groups of a state directory. Cheap to clone.
#[derive(Clone)]
pub struct House(Arc<Inner>);

struct Inner {
    store: Store,
    me: Arc<KeyPair>,
    events: broadcast::Sender<Event>,
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("House(..)")
    }
}

fn not_there<T>() -> Result<T> {
    Err(Error::state("not there yet"))
}

impl House {
    /// The groups of `store` for the key `me`. It has no connection yet. It is used inside a tokio runtime; unless
    /// it only reads, by whoever holds the lock.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn open(store: Store, me: Arc<KeyPair>, _options: Options) -> Result<Self> {
        Ok(House(Arc::new(Inner { store, me, events: broadcast::Sender::new(MOST_BEHIND) })))
    }

    /// The state directory.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Our key.
    #[must_use]
    pub fn me(&self) -> &Arc<KeyPair> {
        &self.0.me
    }

    /// All groups that are here, those that were left among them, by name.
    ///
    /// # Errors
    /// State that cannot be read.
    pub async fn groups(&self) -> Result<Vec<Brief>> {
        Ok(Vec::new())
    }

    /// How a group stands.
    ///
    /// # Errors
    /// State that cannot be read.
    pub async fn info(&self, _group: GroupId) -> Result<Info> {
        not_there()
    }

    /// Makes a group, of which we are the owner.
    ///
    /// # Errors
    /// A name that cannot be one; state that cannot be written.
    pub async fn create(&self, _name: String, _mode: Mode, _history: History) -> Result<GroupId> {
        not_there()
    }

    /// Makes an invite; and the entry that says so to the others.
    ///
    /// # Errors
    /// We may not ([`crate::error::Kind::Refused`]).
    pub async fn invite(&self, _group: GroupId, _terms: Terms) -> Result<(Link, EntryId)> {
        not_there()
    }

    /// Keeps the group of a link, under `name` or its own, and asks its members for `patience` to be let in.
    ///
    /// # Errors
    /// They refuse us ([`crate::error::Kind::Refused`]); nobody proves its key ([`crate::error::Kind::Unproven`]).
    pub async fn join(&self, _link: Link, _name: Option<String>, _patience: Duration) -> Result<(GroupId, Joined)> {
        not_there()
    }

    /// Says `text`. It is on disk when this returns, and on its way if there are connections.
    ///
    /// # Errors
    /// We may not: removed, muted, not a member yet ([`crate::error::Kind::Refused`]).
    pub async fn say(&self, _group: GroupId, _text: String, _reply_to: Option<EntryId>) -> Result<EntryId> {
        not_there()
    }

    /// What becomes of an entry of ours within `patience`; members are dialed as need be. Without patience it is waited, for a
    /// while, until it has left.
    ///
    /// # Errors
    /// There is no such entry.
    pub async fn delivered(&self, _group: GroupId, _id: EntryId, _patience: Duration) -> Result<Delivery> {
        not_there()
    }

    /// Acts on the roster; the entry can be followed as a message can.
    ///
    /// # Errors
    /// We may not ([`crate::error::Kind::Refused`]); there is no such member, wish or invite ([`crate::error::Kind::No`]).
    pub async fn act(&self, _group: GroupId, _deed: Deed) -> Result<EntryId> {
        not_there()
    }

    /// Leaves; the entry that says so to the others, if we were a member. What was said stays here.
    ///
    /// # Errors
    /// The owner cannot leave ([`crate::error::Kind::Refused`]).
    pub async fn leave(&self, _group: GroupId) -> Result<Option<EntryId>> {
        not_there()
    }

    /// Meets members for at most `patience`, until we have what one of them has.
    ///
    /// # Errors
    /// Nobody can be reached.
    pub async fn visit(&self, _group: GroupId, _patience: Duration) -> Result<()> {
        not_there()
    }

    /// The last `most` messages, oldest first. Waits for the disk.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn last(&self, _group: GroupId, _most: usize) -> Result<Vec<Message>> {
        not_there()
    }

    /// Where a reader stands who begins at `begin`. Waits for the disk.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn position(&self, _group: GroupId, _begin: Begin) -> Result<Position> {
        not_there()
    }

    /// The next messages behind `position`, which is moved behind them: at most `most`, in order; none if there are no more.
    /// Waits for the disk.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn after(&self, _group: GroupId, _position: &mut Position, _most: usize) -> Result<Vec<Message>> {
        not_there()
    }

    /// Where the cursor `name` stands; `None` if it is new. Waits for the disk.
    ///
    /// # Errors
    /// A name that cannot be one; state that cannot be read.
    pub fn cursor(&self, _group: GroupId, _name: &str) -> Result<Option<Position>> {
        not_there()
    }

    /// Moves the cursor `name`. Waits for the disk.
    ///
    /// # Errors
    /// As [`House::cursor`]; too many names.
    pub fn set_cursor(&self, _group: GroupId, _name: &str, _position: &Position) -> Result<()> {
        not_there()
    }

    /// What happens from now on. A subscriber that is too slow is told how many it has missed; messages are on disk.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// Holds all groups until `stop`: accepts connections if there is a listener, and makes some.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(&self, _listener: Option<Listener>, stop: impl Future<Output = ()> + Send) -> Result<()> {
        stop.await;
        Ok(())
    }

    /// Ends all connections in good order.
    pub async fn end(&self) {}
}
