//! One connection with a peer: both sides say what they owe, meet, and then carry messages.
//!
//! Whatever comes is taken in batches, as much as is there: a batch costs the disk one wait, however many messages it has,
//! and while it is written the next one gathers. An acknowledgement leaves only when what it acknowledges is on the disk.

mod messages;
mod pairing;

use super::line::{Line, Place, Progress};
use super::{Delivery, Engine, Event};
use crate::chat::{Conversation, Incoming};
use crate::conn::{Batch, Connection, Reason, Receiver, Sender};
use crate::error::{Error, Kind, Result};
use crate::json::Bytes;
use crate::key::PublicKey;
use crate::pair::{Pair, Standing};
use crate::proto::chat::{Assembly, Envelope, Hello, Idle, MessageId, NoPair, NotSaved};
use crate::ratchet::{PAIR_LEN, Ratchet, Step};
use crate::threads::on_disk;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Messages that are stored at once.
const BATCH: usize = 256;

/// Envelopes that a key which is not paired may send on one connection: an invite, an answer, and some to spare.
const STRANGERS_ENVELOPES: usize = 64;

/// Bytes that may wait to leave while more is taken in: above what a window of the longest messages makes, so that two
/// sides that both send never wait for each other.
const MOST_PENDING: usize = 16 << 20;

/// How long a connection with a key that is not paired stays open without a use.
const STRANGERS_IDLE: Duration = Duration::from_secs(10);

/// How long the other side has to end its direction after we have ended ours.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Carries what is to be said on `connection` until one side ends it. Its `place` is free before the goodbye is over.
pub(super) async fn run(engine: &Engine, line: &Line, mut place: Place, connection: Connection) -> Result<()> {
    let id = place.id;
    let (peer, source) = (connection.peer(), connection.remote().ip());
    let binding = *connection.channel_binding();
    let (sender, mut receiver) = connection.split();
    let mut session = Session {
        engine,
        line,
        id,
        peer,
        source,
        binding,
        conversation: engine.chat().with(peer),
        sender,
        pair: None,
        step: None,
        has_met: false,
        early: None,
        since_step: 0,
        said: Vec::new(),
        leaving: Vec::new(),
        leaving_words: Vec::new(),
        rejected: Vec::new(),
        resting: None,
        is_drained: false,
        words: 0,
        heard: 0,
        idle_at: None,
        peer_idle_at: None,
        envelopes: 0,
        last_use: Instant::now(),
    };
    let ended = session.carry(&mut receiver).await;
    let Session { sender, .. } = session;
    place.failure = ended.as_ref().err().map(Delivery::of);
    drop(place);
    match ended {
        Ok(()) => {
            sender.close().await?;
            receiver.drain(END_WITHIN).await;
            Ok(())
        }
        Err(error) => {
            if let Some((why, text)) = Reason::of(&error) {
                // The error that led here is the one to report.
                let _ = sender.fail(why, &text).await;
                receiver.drain(END_WITHIN).await;
            }
            Err(error)
        }
    }
}

struct Session<'a> {
    engine: &'a Engine,
    line: &'a Line,
    id: u64,
    peer: PublicKey,
    source: IpAddr,
    binding: [u8; 64],
    conversation: Conversation,
    sender: Sender,
    /// The pair that there are keys of, as far as was seen last.
    pair: Option<[u8; PAIR_LEN]>,
    /// Our hello, until the peer's has come.
    step: Option<Step>,
    has_met: bool,
    /// The peer's hello under keys that we do not have yet.
    early: Option<Hello>,
    /// Messages in either direction since the last meeting.
    since_step: usize,
    /// What was owed and has been said on this connection.
    said: Vec<Envelope>,
    /// Messages that are sealed into the sender and have not left.
    leaving: Vec<MessageId>,
    /// Words of pairing that are sealed into the sender and have not left.
    leaving_words: Vec<Envelope>,
    /// Messages that the peer could not open; they are sealed anew in the next epoch.
    rejected: Vec<NotSaved>,
    /// Until when the peer has no room.
    resting: Option<Instant>,
    /// Whether nothing waited when that was looked at last, and nothing has changed since.
    is_drained: bool,
    /// Envelopes that this side has said, and taken, but those that say that there is nothing more to say.
    words: u64,
    heard: u64,
    /// Where `words` and `heard` stood when this side had nothing more to say last, and the same as the peer sees it.
    idle_at: Option<(u64, u64)>,
    peer_idle_at: Option<(u64, u64)>,
    envelopes: usize,
    last_use: Instant,
}

impl Session<'_> {
    /// Until one side ends in good order, or our user wants no connection with the peer.
    async fn carry(&mut self, receiver: &mut Receiver) -> Result<()> {
        let mut changes = self.line.changes();
        let mut stopped = std::pin::pin!(self.engine.stopped());
        let (mut batch, mut assembly) = (Batch::default(), Assembly::default());
        self.look().await?;
        loop {
            let idle = self.engine.0.options.idle;
            let idle_until = self.last_use + if self.pair.is_some() { idle } else { idle.min(STRANGERS_IDLE) };
            tokio::select! {
                there = receiver.recv_batch(&mut batch), if self.sender.pending() < MOST_PENDING => {
                    if !there? {
                        return Ok(());
                    }
                    self.last_use = Instant::now();
                    let mut envelopes = Vec::new();
                    for record in batch.records() {
                        envelopes.extend(assembly.take(&record)?);
                    }
                    self.take(envelopes).await?;
                }
                changed = changes.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    if self.standing().await? == Standing::Blocked {
                        return Ok(());
                    }
                    self.look().await?;
                }
                driven = self.sender.drive() => driven?,
                () = rest(self.resting) => {
                    self.resting = None;
                    self.deliver().await?;
                }
                () = tokio::time::sleep_until(idle_until) => return Ok(()),
                () = &mut stopped => return Ok(()),
            }
            self.engine.tell_notices();
            if self.sender.pending() == 0 {
                for id in std::mem::take(&mut self.leaving) {
                    self.line.progress(&id, &Progress::Sent);
                }
                self.owed_has_left().await?;
            }
        }
    }

    /// Looks at what is on disk, and says what there is to say.
    async fn look(&mut self) -> Result<()> {
        self.look_at_pair().await?;
        self.say_owed().await?;
        self.say_hello().await?;
        if let Some(early) = self.early.take_if(|early| self.pair.is_some_and(|pair| early.pair.0 == pair)) {
            return Box::pin(self.meet(early)).await;
        }
        self.deliver().await
    }

    /// Whether there are keys, and which: this process is not the only one that changes them.
    pub(super) async fn look_at_pair(&mut self) -> Result<()> {
        self.is_drained = false;
        let (standing, conversation) = (self.standing().await?, self.conversation.clone());
        let pair = self.on_disk(move || conversation.keys(|keys| keys.map(Ratchet::pair))).await?;
        // Keys that are there before both have agreed are those of an agreement that was cut short.
        let pair = pair.filter(|_| matches!(standing, Standing::Accepted { .. }));
        if pair != self.pair {
            // What was met was met under the keys before.
            (self.has_met, self.step) = (false, None);
            if pair.is_none() {
                let ended = self.pair.map(|pair| Bytes(pair.to_vec()));
                self.say(&Envelope::NoPair(NoPair { pair: ended, id: None }))?;
            }
        }
        self.pair = pair;
        Ok(())
    }

    /// Says where we stand, once there are keys.
    async fn say_hello(&mut self) -> Result<()> {
        if self.pair.is_none() || self.step.is_some() || self.has_met {
            return Ok(());
        }
        let (conversation, binding) = (self.conversation.clone(), self.binding);
        let must_step = !self.rejected.is_empty();
        self.step = self.on_disk(move || conversation.hello(&binding, must_step)).await?;
        if let Some(hello) = self.step.as_ref().map(|step| step.hello().clone()) {
            self.say(&Envelope::Hello(hello))?;
        }
        Ok(())
    }

    /// Says it again, for a new epoch.
    async fn step(&mut self) -> Result<()> {
        self.has_met = false;
        self.say_hello().await
    }

    /// Says that there is nothing more to say, once it is so.
    fn say_idle(&mut self) -> Result<()> {
        let is_done = self.step.is_none() && self.rejected.is_empty() && !self.line.has_flights(self.id);
        let here = (self.words, self.heard);
        if is_done && self.idle_at != Some(here) {
            self.write(&Envelope::Idle(Idle { heard: self.heard }))?;
            self.idle_at = Some(here);
        }
        // What the peer said before it heard all of ours says nothing about it.
        self.line.is_idle(is_done && self.peer_idle_at == Some(here));
        Ok(())
    }

    async fn standing(&mut self) -> Result<Standing> {
        Ok(self.look_up().await?.0)
    }

    /// What there is with the peer, and whether messages may go both ways in the open whatever it is.
    async fn look_up(&mut self) -> Result<(Standing, bool)> {
        let (engine, peer) = (self.engine.clone(), self.peer);
        self.on_disk(move || {
            let pairs = engine.chat().pairs()?;
            Ok((pairs.standing(&peer), pairs.get(&peer).is_some_and(Pair::is_open)))
        })
        .await
    }

    fn say(&mut self, envelope: &Envelope) -> Result<()> {
        self.words += 1;
        self.write(envelope)
    }

    fn write(&mut self, envelope: &Envelope) -> Result<()> {
        self.last_use = Instant::now();
        for (kind, body) in envelope.records()? {
            self.sender.push(kind, &[&body])?;
        }
        Ok(())
    }

    /// Takes what came, in order.
    async fn take(&mut self, envelopes: Vec<Envelope>) -> Result<()> {
        self.envelopes += envelopes.len();
        if self.pair.is_none() && self.envelopes > STRANGERS_ENVELOPES && !self.is_open().await? {
            return Err(Error::protocol("too much from a key that is not paired"));
        }
        let (mut messages, mut saved, mut open_saved) = (Vec::new(), Vec::new(), Vec::new());
        let mut envelopes = envelopes.into_iter().peekable();
        while let Some(envelope) = envelopes.next() {
            self.heard += u64::from(!matches!(envelope, Envelope::Idle(_)));
            if !is_message(&envelope) && !matches!(envelope, Envelope::Saved(_) | Envelope::OpenSaved(_)) {
                // A word of pairing may change the keys that they are proven by.
                self.saved(std::mem::take(&mut saved), std::mem::take(&mut open_saved)).await?;
            }
            match envelope {
                Envelope::Message(message) => messages.push(Incoming::Sealed(message)),
                Envelope::Open(open) => messages.push(Incoming::Open(open)),
                Envelope::Saved(one) => saved.push(one),
                Envelope::OpenSaved(one) => open_saved.push(one),
                Envelope::NotSaved(nak) => self.not_saved(nak).await?,
                Envelope::Hello(hello) => self.meet(hello).await?,
                Envelope::Idle(idle) => self.peer_idle_at = Some((idle.heard, self.heard)),
                pairing => self.pairing(pairing).await?,
            }
            // Messages that stand in a row go to the disk at once.
            if !messages.is_empty() && (messages.len() >= BATCH || !envelopes.peek().is_some_and(is_message)) {
                self.receive(std::mem::take(&mut messages)).await?;
            }
        }
        self.saved(saved, open_saved).await?;
        self.deliver().await
    }

    /// A hello under other keys than ours. While new ones are being agreed on, it may be that ours are not there yet.
    async fn meet_later(&mut self, theirs: Hello) -> Result<()> {
        let (engine, peer) = (self.engine.clone(), self.peer);
        let is_changing = |pair: &Pair| pair.is_settling() || pair.asks_to_renew();
        let changes = move || Ok(engine.chat().pairs()?.get(&peer).is_some_and(is_changing));
        if self.on_disk(changes).await? {
            self.early = Some(theirs);
            return Ok(());
        }
        let name = self.engine.name(&self.peer);
        Err(Error::new(Kind::Unproven, format!("{name} has other keys than we have for the two of us"))
            .hint("agree on new ones: kw-chat pair invite --renew"))
    }

    /// The peer's half of a meeting.
    async fn meet(&mut self, theirs: Hello) -> Result<()> {
        if self.pair.is_none_or(|pair| theirs.pair.0 != pair) {
            self.look_at_pair().await?;
        }
        if self.step.is_none() {
            self.has_met = false;
            self.say_hello().await?;
        }
        let Some(pair) = self.pair else {
            return self.no_pair(NoPair { pair: Some(theirs.pair), id: None }).await;
        };
        if theirs.pair.0 != pair {
            return self.meet_later(theirs).await;
        }
        let Some(step) = self.step.take() else { return Ok(()) };
        let (conversation, binding) = (self.conversation.clone(), self.binding);
        let name = self.engine.name(&self.peer);
        let met = self.on_disk(move || conversation.meet(step, &theirs, &binding)).await?;
        if met.we_went_back {
            self.notice(format!(
                "our keys with {name} are older than it has seen them: a backup was restored, or another machine uses the \
                 same state; new keys were agreed"
            ));
        }
        // What went over another connection between the two hellos looks the same.
        if met.peer_went_back && self.line.is_single() {
            self.notice(format!(
                "{name} uses older keys than before: it restored a backup, or two machines use its state; new keys were agreed"
            ));
        }
        (self.has_met, self.since_step, self.is_drained) = (true, 0, false);
        self.line.take_over(self.id);
        for nak in std::mem::take(&mut self.rejected) {
            let conversation = self.conversation.clone();
            let id = nak.id.clone();
            if !self.on_disk(move || conversation.seal_anew(&nak)).await? {
                let why = format!("{name} cannot open the message {id}");
                self.line.progress(&id, &Progress::Failed(Delivery::Unproven(why.clone())));
                self.notice(why);
            }
        }
        self.deliver().await
    }

    fn notice(&self, text: String) {
        self.engine.tell(Event::Notice(text));
    }

    /// Does `work` where it holds up nobody; meanwhile what was said goes on to leave.
    async fn on_disk<T: Send + 'static>(&mut self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let mut work = std::pin::pin!(on_disk(work));
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                driven = self.sender.drive() => driven?,
            }
        }
    }
}

fn is_message(envelope: &Envelope) -> bool {
    matches!(envelope, Envelope::Message(_) | Envelope::Open(_))
}

async fn rest(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
