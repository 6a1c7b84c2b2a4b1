//! The engine: connections with peers, and what goes over them.

use super::{Chat, Draft, Entry};
use crate::addr::HostPort;
use crate::conn::Listener;
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::pair::Standing;
use crate::proto::chat::MessageId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// How an engine goes about it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a connection without a use stays open.
    pub idle: Duration,
    /// Whether our own key may be dialed, and dial.
    pub allow_self: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { idle: Duration::from_secs(60), allow_self: false }
    }
}

/// A peer, and where it can be dialed.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its key.
    pub key: PublicKey,
    /// Where, best first; none if that is not known.
    pub addresses: Vec<HostPort>,
    /// Whether only these addresses are tried, and a connection that is there already is not used.
    pub only: bool,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The peer has saved it. `after` is how long that took; it is zero for one that was saved before.
    Saved {
        /// From the call to the acknowledgement.
        after: Duration,
    },
    /// It was sent, and nobody waited for the acknowledgement, or none came in time. It is sent again later.
    Sent,
    /// The peer cannot be reached now, and why. It waits, unless it was not to be kept.
    Unreachable(String),
    /// The peer is not paired with us.
    Unpaired(Standing),
    /// The peer has declined us, or refuses our connections; its words.
    Refused(String),
    /// Whoever answers at the peer's address does not prove its key, or what came does not authenticate.
    Unproven(String),
}

/// What happens while an engine runs.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message was stored, ours or the peer's.
    Message(Arc<Entry>),
    /// The peer has saved a message of ours.
    Acked {
        /// Who.
        peer: PublicKey,
        /// Which.
        id: MessageId,
    },
    /// What there is with a key has changed.
    Pair {
        /// With whom.
        peer: PublicKey,
        /// To what.
        standing: Standing,
    },
    /// Something that the user should know, as a line without a line end.
    Notice(String),
}

/// Connections with peers, in either direction. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    chat: Chat,
    events: broadcast::Sender<Event>,
}

impl Engine {
    /// An engine that has no connection yet. It must be made inside a tokio runtime.
    #[must_use]
    pub fn new(chat: Chat, options: Options) -> Self {
        let _ = options;
        Engine { chat, events: broadcast::Sender::new(1024) }
    }

    /// What it works on.
    #[must_use]
    pub fn chat(&self) -> &Chat {
        &self.chat
    }

    /// What happens from now on. A subscriber that is too slow is told how many it has missed; messages are on disk.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Stores `drafts` for `to` and delivers them, for at most `patience`; zero sends and does not wait. What is not
    /// acknowledged then is delivered later, if `keep` says so, else taken out. One answer for each draft, in order.
    ///
    /// # Errors
    /// They cannot be stored: then nothing was sent.
    pub async fn send(
        &self,
        to: &Target,
        drafts: Vec<Draft>,
        patience: Duration,
        keep: bool,
    ) -> Result<Vec<(MessageId, Delivery)>> {
        let _ = (to, drafts, patience, keep);
        Err(Error::state("not built"))
    }

    /// Meets `to` for at most `patience`: says what is owed, delivers what waits, and takes what the peer has for us.
    ///
    /// # Errors
    /// The peer cannot be reached, refuses us, or is not who it should be.
    pub async fn visit(&self, to: &Target, patience: Duration) -> Result<()> {
        let _ = (to, patience);
        Err(Error::state("not built"))
    }

    /// Something was changed for `peer` on disk: pairs, or messages that wait. Connections that are there see to it, and a
    /// running service dials.
    pub fn changed(&self, peer: &PublicKey) {
        let _ = peer;
    }

    /// Serves whoever dials `listener`, and delivers what waits, until `stop` ends.
    ///
    /// # Errors
    /// The listener is gone.
    pub async fn serve(&self, listener: Listener, stop: impl Future<Output = ()> + Send) -> Result<()> {
        let _ = (listener, stop);
        Err(Error::state("not built"))
    }

    /// Ends all connections in good order.
    pub async fn end(&self) {}
}
