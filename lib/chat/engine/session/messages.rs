//! Messages on a connection: ours on their way out, and the peer's on their way to the disk.

use super::Session;
use crate::chat::engine::line::Progress;
use crate::chat::engine::{Delivery, Event};
use crate::chat::{Incoming, Pairing};
use crate::error::{Error, Kind, Result};
use crate::pair::Standing;
use crate::proto::chat::{Envelope, MessageId, NoPair, NotSaved, Open, OpenSaved, Saved, Why};
use std::time::Duration;
use tokio::time::Instant;

/// Messages that may be under way without an answer.
const WINDOW: usize = 128;

/// Messages after which it is worth a look whether the epoch has lasted long enough.
const STEP_AFTER: usize = 100;

/// How long messages rest that the peer has no room for.
const REST: Duration = Duration::from_secs(30);

impl Session<'_> {
    /// Sends messages that wait, as long as there is room in the window.
    pub(super) async fn deliver(&mut self) -> Result<()> {
        if self.is_drained || self.resting.is_some() || !self.may_deliver().await? {
            return self.say_idle();
        }
        let Some(flying) = self.line.in_flight(self.id) else { return self.say_idle() };
        let room = WINDOW.saturating_sub(flying.len());
        if room == 0 {
            return Ok(());
        }
        let (conversation, skip) = (self.conversation.clone(), flying.clone());
        let waiting = self.on_disk(move || conversation.waiting(|id| skip.contains(id), room)).await?;
        let ids: Vec<MessageId> = waiting.iter().filter_map(|envelope| id_of(envelope).cloned()).collect();
        self.line.fly(self.id, ids.iter().cloned());
        for envelope in &waiting {
            self.say(envelope)?;
        }
        self.leaving.extend(ids);
        self.is_drained = waiting.is_empty() && flying.is_empty();
        self.say_idle()
    }

    /// Whether the peer can take messages on this connection now.
    async fn may_deliver(&mut self) -> Result<bool> {
        Ok(match self.look_up().await? {
            (Standing::Accepted { confirmed }, _) => confirmed && self.has_met && self.rejected.is_empty(),
            (Standing::Blocked, _) => false,
            (_, is_open) => is_open || self.engine.chat().config().pairing == Pairing::Open,
        })
    }

    /// Messages of the peer's: stored, then answered.
    pub(super) async fn receive(&mut self, messages: Vec<Incoming>) -> Result<()> {
        let is_open = |message: &Incoming| matches!(message, Incoming::Open(_));
        if messages.iter().any(is_open) && !self.is_open().await? {
            return self.no_pair(NoPair::default()).await;
        }
        if !messages.iter().all(is_open) && self.pair.is_none() {
            // It may have been made by another process just now.
            self.look_at_pair().await?;
        }
        if !messages.iter().all(is_open) && self.pair.is_none() {
            return self.no_pair(NoPair::default()).await;
        }
        if messages.iter().any(is_open) {
            let (peer, now) = (self.peer, self.engine.chat().now());
            self.change_pairs(move |pairs| pairs.opened(peer, false, now)).await?;
        }
        let count = messages.len();
        let wanted: Vec<bool> = messages.iter().map(wants_answer).collect();
        let naks: Vec<Envelope> = messages.iter().map(unavailable).collect();
        let conversation = self.conversation.clone();
        match self.on_disk(move || conversation.receive(&messages)).await {
            Ok((answers, entries)) => {
                for (answer, wanted) in answers.iter().zip(wanted) {
                    if wanted || matches!(answer, Envelope::NotSaved(_)) {
                        self.say(answer)?;
                    }
                }
                for entry in entries {
                    self.engine.tell(Event::Message(entry.into()));
                }
            }
            // Nothing was stored: the peer keeps them, and tries again.
            Err(error) if error.kind() == Kind::State => {
                let name = self.engine.name(&self.peer);
                self.notice(format!("a message from {name} could not be stored: {error}"));
                for nak in &naks {
                    self.say(nak)?;
                }
            }
            Err(error) => return Err(error),
        }
        self.step_if_due(count).await
    }

    /// Begins a new epoch after `count` more messages of this one, if it has lasted long enough.
    async fn step_if_due(&mut self, count: usize) -> Result<()> {
        self.since_step += count;
        let conversation = self.conversation.clone();
        let may_be_due = self.since_step >= STEP_AFTER && self.has_met && self.step.is_none();
        if may_be_due && self.on_disk(move || conversation.wants_step()).await? {
            self.step().await?;
        }
        Ok(())
    }

    /// Messages of ours that the peer has saved.
    pub(super) async fn saved(&mut self, saved: Vec<Saved>, open_saved: Vec<OpenSaved>) -> Result<()> {
        // What was not sent here needs no answer here, and costs none to look at.
        let saved: Vec<Saved> = saved.into_iter().filter(|ack| self.flies(&ack.id)).collect();
        let open_saved: Vec<OpenSaved> = open_saved.into_iter().filter(|ack| self.flies(&ack.id)).collect();
        if saved.is_empty() && open_saved.is_empty() {
            return Ok(());
        }
        let conversation = self.conversation.clone();
        let (acked, late, forged) = self
            .on_disk(move || {
                let mut acked = conversation.saved(&saved)?;
                let (mut late, mut forged) = (Vec::new(), None);
                for ack in saved.iter().filter(|ack| !acked.contains(&ack.id)).collect::<Vec<_>>() {
                    match conversation.is_forged(ack)? {
                        true => forged = Some(ack.id.clone()),
                        false => late.push(ack.id.clone()),
                    }
                }
                if !open_saved.is_empty() {
                    acked.extend(conversation.open_saved(&open_saved)?);
                }
                Ok((acked, late, forged))
            })
            .await?;
        self.line.land(&acked);
        // Another process, or another connection, has settled them, and tells its own.
        self.line.land(&late);
        let count = acked.len();
        for id in acked {
            self.line.progress(&id, &Progress::Acked);
            self.engine.tell(Event::Acked { peer: self.peer, id });
        }
        if let Some(id) = forged {
            let name = self.engine.name(&self.peer);
            return Err(Error::protocol(format!("an acknowledgement of {id} from {name} does not authenticate")));
        }
        self.step_if_due(count).await
    }

    /// Whether a message of ours went over this connection and is not answered.
    fn flies(&self, id: &MessageId) -> bool {
        self.line.flies(self.id, id)
    }

    /// A message of ours that the peer has not saved.
    pub(super) async fn not_saved(&mut self, nak: NotSaved) -> Result<()> {
        let id = nak.id.clone();
        if !self.flies(&id) {
            return Ok(());
        }
        match nak.why {
            Why::NoKey | Why::Used | Why::Damaged => {
                self.line.land([&id]);
                self.rejected.push(nak);
                if self.step.is_none() {
                    self.step().await?;
                }
            }
            Why::Full | Why::Unavailable => {
                let name = self.engine.name(&self.peer);
                let why = match nak.why {
                    Why::Full => format!("{name} takes no more messages from us for now"),
                    _ => format!("{name} cannot save messages now"),
                };
                if self.resting.is_none() {
                    self.notice(why.clone());
                }
                self.line.land([&id]);
                self.line.progress(&id, &Progress::Failed(Delivery::Unreachable(why)));
                self.resting = Some(Instant::now() + REST);
            }
        }
        Ok(())
    }
}

fn id_of(envelope: &Envelope) -> Option<&MessageId> {
    match envelope {
        Envelope::Message(message) => Some(&message.id),
        Envelope::Open(Open { id, .. }) => Some(id),
        _ => None,
    }
}

fn wants_answer(message: &Incoming) -> bool {
    match message {
        Incoming::Sealed(message) => message.ack,
        Incoming::Open(open) => open.ack,
    }
}

/// The answer to a message that cannot be stored now.
fn unavailable(message: &Incoming) -> Envelope {
    let (id, ep, n) = match message {
        Incoming::Sealed(message) => (message.id.clone(), message.ep, message.n),
        Incoming::Open(open) => (open.id.clone(), 0, 0),
    };
    Envelope::NotSaved(NotSaved { id, ep, n, why: Why::Unavailable })
}
