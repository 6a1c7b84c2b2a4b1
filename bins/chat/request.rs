//! What a command asks for, and what it is answered: the same whether the listener answers over its control socket or the
//! command answers itself.

use keywire::addr::HostPort;
use keywire::chat::{Entry, Target};
use keywire::key::PublicKey;
use keywire::proto::chat::MessageId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The first line of a call.
#[derive(Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The key whose conversations are meant, if an identity was named.
    pub(crate) me: Option<PublicKey>,
    pub(crate) request: Request,
}

/// What a command asks for.
#[derive(Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Request {
    Send(Sending),
    Ask(Asking),
    Receive(Receiving),
    Invite {
        to: To,
        renew: bool,
    },
    Change {
        to: To,
        change: Change,
    },
    Read {
        peer: PublicKey,
        part: Part,
    },
    /// The messages that have a text in them.
    Search {
        peer: PublicKey,
        text: String,
    },
    Status,
}

/// Messages to a peer: the texts follow, each as an [`Input`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Sending {
    pub(crate) to: To,
    /// The id of the one message that follows.
    pub(crate) id: Option<MessageId>,
    pub(crate) reply_to: Option<MessageId>,
    /// In seconds.
    pub(crate) ttl: Option<u64>,
    /// How long to wait for the acknowledgement, in milliseconds.
    pub(crate) wait: u64,
    pub(crate) keep: bool,
}

/// A message that wants an answer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Asking {
    pub(crate) to: To,
    pub(crate) text: String,
    pub(crate) id: Option<MessageId>,
    pub(crate) reply_to: Option<MessageId>,
    /// How long to wait for the answer, in milliseconds.
    pub(crate) wait: u64,
}

/// Messages from peers.
#[derive(Serialize, Deserialize)]
pub(crate) struct Receiving {
    /// From whom; from everybody if nobody is named.
    pub(crate) peer: Option<PublicKey>,
    /// Who is visited first, if nobody listens.
    pub(crate) visit: Vec<To>,
    /// The cursor at which to begin with those peers that it knows. What was printed is told as [`Input::Printed`], and the
    /// cursor moved.
    pub(crate) cursor: Option<String>,
    /// Where to begin with all others.
    pub(crate) begin: Begin,
    pub(crate) max: Option<u64>,
    /// How long to wait for the first, in milliseconds.
    pub(crate) wait: Option<u64>,
    pub(crate) follow: bool,
}

/// Where to begin in a conversation.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Begin {
    /// Behind this place.
    Seq(u64),
    /// With what was stored from then on, in milliseconds since 1970.
    Time(u64),
    /// With what comes.
    Now,
}

/// What our user has decided about a peer.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    Accept,
    Decline,
    Dismiss,
    Block,
    Remove,
}

/// A part of a conversation.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Where to begin; with the first message if nothing is said.
    pub(crate) begin: Option<Begin>,
    /// How many at most, the last ones.
    pub(crate) most: Option<usize>,
}

/// A peer, and where it can be dialed; see [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct To {
    pub(crate) key: PublicKey,
    pub(crate) addresses: Vec<HostPort>,
    pub(crate) only: bool,
}

impl From<To> for Target {
    fn from(to: To) -> Self {
        Target { key: to.key, addresses: to.addresses, only: to.only }
    }
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

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reply {
    Message(Entry),
    Sent(Sent),
    Pair(Relation),
    Status(Status),
}

/// What became of a message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) peer: PublicKey,
    pub(crate) id: MessageId,
    pub(crate) outcome: Outcome,
    /// Whether it is delivered later.
    pub(crate) queued: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It is saved there, after so many milliseconds.
    Acked(u64),
    /// It was sent, and nobody waited.
    Sent,
    /// It was sent, and not acknowledged in time.
    Late,
    Unreachable(String),
    /// The standing, in a word.
    Unpaired(String),
    Refused(String),
    Unproven(String),
}

/// What there is with a key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Relation {
    pub(crate) peer: PublicKey,
    /// In a word.
    pub(crate) standing: String,
    pub(crate) since: String,
    /// Where an invite that waits for our user came from, and when it expires.
    pub(crate) pending: Option<(Option<IpAddr>, String)>,
    pub(crate) renews: bool,
    /// Whether the peer was told, or why it was not.
    pub(crate) told: Option<Result<(), String>>,
    /// Where our consent was left, sealed, for a peer that was not told; or why it was not.
    pub(crate) left: Option<Result<String, String>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) key: PublicKey,
    /// Where the listener can be dialed.
    pub(crate) listening: Option<String>,
    pub(crate) is_open: bool,
    /// How many of each standing.
    pub(crate) pairs: BTreeMap<String, usize>,
    /// How many messages wait for whom.
    pub(crate) waiting: Vec<(PublicKey, usize)>,
}
