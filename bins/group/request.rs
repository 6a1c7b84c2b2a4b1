//! What a command asks for, and what it is answered: the same whether whoever holds the groups answers over the control socket
//! or the command answers itself.

use keywire::group::engine::{Begin, Brief, Deed, Info, InviteInfo, Joined, Message, Terms};
use keywire::key::PublicKey;
use keywire::proto::group::{EntryId, GroupId, Mode};
use serde::{Deserialize, Serialize};

/// The first line of a call.
#[derive(Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The key whose groups are meant, if an identity was named.
    pub(crate) me: Option<PublicKey>,
    pub(crate) request: Request,
}

/// What a command asks for. Groups and members are what the user has written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Whether whoever answers holds the groups for long.
    Who,
    Create {
        name: String,
        mode: Mode,
        history: Past,
    },
    Invite {
        group: String,
        terms: Terms,
    },
    Invites {
        group: String,
    },
    Revoke {
        group: String,
        capability: String,
    },
    Join {
        link: String,
        name: Option<String>,
        /// How long to wait to be let in, in milliseconds.
        wait: u64,
    },
    Send(Sending),
    Receive(Receiving),
    /// Messages: the last `most`, or those since a time.
    Read {
        group: String,
        /// In milliseconds since 1970.
        since: Option<u64>,
        most: Option<usize>,
    },
    Search {
        group: String,
        text: String,
    },
    Act {
        group: String,
        what: What,
        member: String,
    },
    Rename {
        group: String,
        name: String,
    },
    Leave {
        group: String,
    },
    List,
    Info {
        group: String,
    },
}

impl Request {
    /// Whether it changes nothing and needs no connection.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(
            self,
            Request::Invites { .. }
                | Request::Read { .. }
                | Request::Search { .. }
                | Request::List
                | Request::Info { .. }
        )
    }

    /// Whether it is about all groups.
    pub(crate) fn is_about_all(&self) -> bool {
        match self {
            Request::List => true,
            Request::Receive(receiving) => receiving.group.is_none(),
            _ => false,
        }
    }

    /// Whether it may take for ever.
    pub(crate) fn stays(&self) -> bool {
        matches!(self, Request::Receive(receiving) if receiving.follow || receiving.wait.is_some())
    }
}

/// What newcomers can read of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Past {
    None,
    All,
    Last(u32),
}

/// What is done with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    Promote,
    Demote,
    Mute,
    Unmute,
    Remove,
    Approve,
}

impl What {
    /// The command.
    pub(crate) fn word(self) -> &'static str {
        match self {
            What::Promote => "promote",
            What::Demote => "demote",
            What::Mute => "mute",
            What::Unmute => "unmute",
            What::Remove => "remove",
            What::Approve => "approve",
        }
    }

    /// The act on `member`.
    pub(crate) fn deed(self, member: PublicKey) -> Deed {
        match self {
            What::Promote => Deed::Promote(member),
            What::Demote => Deed::Demote(member),
            What::Mute => Deed::Mute(member),
            What::Unmute => Deed::Unmute(member),
            What::Remove => Deed::Remove(member),
            What::Approve => Deed::Approve(member),
        }
    }
}

/// Messages to a group: the texts follow, each as an [`Input`].
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Sending {
    pub(crate) group: String,
    pub(crate) reply_to: Option<EntryId>,
    /// How long to wait until another member holds it, in milliseconds.
    pub(crate) wait: u64,
}

/// Messages of others.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Receiving {
    /// In which group; in all if none is named.
    pub(crate) group: Option<String>,
    /// Whose; everybody's if nobody is named.
    pub(crate) from: Vec<String>,
    /// The cursor at which to begin in those groups where it is. What was printed is told as [`Input::Printed`], and the cursor
    /// moved.
    pub(crate) cursor: Option<String>,
    /// Where to begin in all others.
    pub(crate) begin: Begin,
    pub(crate) max: Option<u64>,
    /// How long to wait for the first, in milliseconds.
    pub(crate) wait: Option<u64>,
    pub(crate) follow: bool,
}

/// What a command says while its request is answered.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Input {
    /// The text of a message.
    Text(String),
    /// There are no more texts.
    End,
    /// So many more messages were printed, and the output flushed.
    Printed(usize),
}

/// A group that is spoken of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    /// What it is called here.
    pub(crate) name: String,
}

impl From<&Brief> for Group {
    fn from(brief: &Brief) -> Self {
        Group { id: brief.id, name: brief.name.clone() }
    }
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reply {
    /// To [`Request::Who`].
    Holder {
        stays: bool,
    },
    /// Whoever answers ends too soon for what was asked: it shall be asked for again.
    Busy,
    /// What is answered may take a while from now on.
    Begun,
    Message {
        group: Group,
        message: Box<Message>,
        is_ours: bool,
    },
    Sent(Sent),
    Created(Brief),
    Joined {
        brief: Brief,
        how: Joined,
        /// The name that it would have here if no other group had that.
        instead_of: Option<String>,
    },
    Listed(Brief),
    Invite {
        group: Group,
        invite: InviteInfo,
        link: Option<Link>,
    },
    Info(Box<Info>),
    /// A group that cannot be read, and why.
    Fault(String),
    /// Something has changed.
    Roster {
        group: Group,
        text: String,
    },
}

/// A link that was made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) text: String,
    /// How many members it names who can be dialed.
    pub(crate) peers: usize,
}

/// What became of a message, or of an act.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) group: Group,
    /// None for a message.
    pub(crate) deed: Option<String>,
    pub(crate) member: Option<PublicKey>,
    pub(crate) id: Option<EntryId>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// This member holds it, after so many milliseconds.
    Held(PublicKey, u64),
    /// It has left, and nobody waited.
    Sent,
    /// It has left, and nobody has said in time that he holds it.
    Late,
    Unreachable(String),
    /// There is no other member.
    Alone,
}
