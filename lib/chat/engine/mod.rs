//! The engine: connections with peers, and what goes over them.
//!
//! One [`Line`] a peer, any number of connections on it in either direction ([`session`]). What is to be delivered lies on
//! disk; a connection that begins, or is told that something has changed, looks there. While the engine serves, a courier a
//! peer dials as long as something waits ([`courier`]).

mod courier;
mod daily;
mod door;
mod line;
mod send;
mod session;

use super::{Chat, Entry};
use crate::addr::{HostPort, PeerAddr};
use crate::conn::{Connection, DialOptions, dial};
use crate::error::{Error, Kind, Result};
use crate::key::PublicKey;
use crate::pair::{Pair, Standing};
use crate::proto::chat::{CHAT, MessageId};
use crate::proto::pty::PTY;
use crate::threads::{lock, on_disk};
use crate::trust::Peers;
use line::{Line, Status};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Events that a subscriber may be behind.
const MOST_BEHIND: usize = 4096;

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

impl Delivery {
    fn of(error: &Error) -> Self {
        match error.kind() {
            Kind::Refused => Delivery::Refused(error.to_string()),
            Kind::Unproven => Delivery::Unproven(error.to_string()),
            _ => Delivery::Unreachable(error.to_string()),
        }
    }
}

/// What happens while an engine runs.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message of the peer's was stored.
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
pub struct Engine(Arc<Inner>);

struct Inner {
    chat: Chat,
    options: Options,
    events: broadcast::Sender<Event>,
    lines: Mutex<HashMap<PublicKey, Arc<Line>>>,
    tasks: Mutex<JoinSet<()>>,
    sessions: AtomicU64,
    stopping: watch::Sender<bool>,
    is_serving: AtomicBool,
}

impl Engine {
    /// An engine that has no connection yet. It is used inside a tokio runtime.
    #[must_use]
    pub fn new(chat: Chat, options: Options) -> Self {
        Engine(Arc::new(Inner {
            chat,
            options,
            events: broadcast::Sender::new(MOST_BEHIND),
            lines: Mutex::default(),
            tasks: Mutex::default(),
            sessions: AtomicU64::new(0),
            stopping: watch::Sender::new(false),
            is_serving: AtomicBool::new(false),
        }))
    }

    /// What it works on.
    #[must_use]
    pub fn chat(&self) -> &Chat {
        &self.0.chat
    }

    /// What happens from now on. A subscriber that is too slow is told how many it has missed; messages are on disk.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// Meets `to` for at most `patience`: says what is owed, delivers what waits, and takes what the peer has for us.
    ///
    /// # Errors
    /// The peer cannot be reached, refuses us, or is not who it should be.
    pub async fn visit(&self, to: &Target, patience: Duration) -> Result<()> {
        let until = Instant::now() + patience;
        let late = || Error::network(format!("no answer within {} s", patience.as_secs()));
        let line = self.line(to.key);
        let mut status = line.status();
        let there = status.borrow_and_update().sessions > 0;
        if to.only || !there {
            timeout_at(until, self.reach(to)).await.map_err(|_| late())??;
        }
        line.changed();
        let over = |status: &Status| status.is_idle || status.sessions == 0;
        let met = timeout_at(until, status.wait_for(over)).await.map_err(|_| late())?;
        match met.ok().and_then(|status| status.failure.clone().filter(|_| status.sessions == 0)) {
            Some(Delivery::Refused(why)) => Err(Error::refused(why)),
            Some(Delivery::Unproven(why)) => Err(Error::new(Kind::Unproven, why)),
            Some(Delivery::Unreachable(why)) => Err(Error::network(why)),
            _ => Ok(()),
        }
    }

    /// Something was changed for `peer` on disk: pairs, or messages that wait. Connections that are there see to it, and a
    /// running service dials.
    pub fn changed(&self, peer: &PublicKey) {
        let line = self.line(*peer);
        line.is_idle(false);
        line.changed();
        if self.0.is_serving.load(Ordering::Acquire) {
            self.send_courier(*peer);
        }
    }

    /// Ends all connections in good order.
    pub async fn end(&self) {
        self.0.stopping.send_replace(true);
        let mut tasks = std::mem::take(&mut *lock(&self.0.tasks));
        while tasks.join_next().await.is_some() {}
    }

    /// Dials `to` and begins a session.
    async fn reach(&self, to: &Target) -> Result<()> {
        let mut failure = None;
        let peer = to.key;
        let also = match to.only {
            true => Vec::new(),
            false => self.addresses(peer).await?,
        };
        let mut tried: Vec<&HostPort> = Vec::new();
        for at in to.addresses.iter().chain(&also) {
            if tried.contains(&at) {
                continue;
            }
            tried.push(at);
            let options = DialOptions { allow_self: self.0.options.allow_self, ..DialOptions::default() };
            let address = PeerAddr { key: peer, at: at.clone() };
            match dial(&self.0.chat.0.me, &address, CHAT, b"{}", options).await {
                Ok(connection) => {
                    self.spawn(self.hold(connection));
                    return Ok(());
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| Error::network("no address is known for it")))
    }

    /// Where `peer` can be dialed: by the address book, and by what it said itself.
    async fn addresses(&self, peer: PublicKey) -> Result<Vec<HostPort>> {
        let chat = self.0.chat.clone();
        on_disk(move || {
            let book = Peers::load(chat.store())?;
            let listed = book.with_key(&peer).map(|peer| peer.addresses.clone()).unwrap_or_default();
            let listed = listed.into_iter().map(of_chat);
            let said = chat.pairs()?.get(&peer).map(|pair| pair.addresses().to_vec()).unwrap_or_default();
            Ok(listed.chain(said).collect())
        })
        .await
    }

    /// What there is with `peer`, and whether messages may go both ways in the open whatever it is.
    async fn standing(&self, peer: PublicKey) -> Result<(Standing, bool)> {
        let chat = self.0.chat.clone();
        on_disk(move || {
            let pairs = chat.pairs()?;
            Ok((pairs.standing(&peer), pairs.get(&peer).is_some_and(Pair::is_open)))
        })
        .await
    }

    /// Carries a session to its end. It is counted from now on, so that whoever dialed sees it at once.
    fn hold(&self, connection: Connection) -> impl Future<Output = ()> + Send + use<> {
        let (engine, peer) = (self.clone(), connection.peer());
        let line = self.line(peer);
        let place = line.session_began(self.0.sessions.fetch_add(1, Ordering::Relaxed));
        async move {
            // How it ended stands in the line's status.
            let _ = session::run(&engine, &line, place, connection).await;
            drop(line);
            engine.forget_line(&peer);
            if engine.0.is_serving.load(Ordering::Acquire) {
                engine.send_courier(peer);
            }
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.0.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    fn line(&self, peer: PublicKey) -> Arc<Line> {
        lock(&self.0.lines).entry(peer).or_insert_with(|| Arc::new(Line::new())).clone()
    }

    /// Tells subscribers what was noticed of the files.
    pub fn tell_notices(&self) {
        for text in self.0.chat.notices() {
            self.tell(Event::Notice(text));
        }
    }

    /// Forgets the line of `peer` if nobody uses it: anybody may connect, and leave nothing behind.
    fn forget_line(&self, peer: &PublicKey) {
        let mut lines = lock(&self.0.lines);
        if lines.get(peer).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(peer);
        }
    }

    fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.0.events.send(event);
    }

    /// What we call `peer`: our name for it, or the short form of its key.
    fn name(&self, peer: &PublicKey) -> String {
        let book = Peers::load(self.0.chat.store()).ok();
        book.and_then(|book| book.name_of(peer).map(str::to_owned)).unwrap_or_else(|| peer.short())
    }

    /// Ends when the engine does.
    fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.0.stopping.subscribe();
        async move {
            // Without a sender there is nothing left to stop.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }
}

/// An address in the address book, where chat is concerned: with the port of a host's shell it stands for that host.
#[must_use]
pub fn of_chat(at: HostPort) -> HostPort {
    match CHAT.port.filter(|_| at.port().is_none() || at.port() == PTY.port) {
        Some(port) => at.with_port(port),
        None => at,
    }
}
