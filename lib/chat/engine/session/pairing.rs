//! The words of pairing on a connection.

use super::Session;
use crate::chat::Pairing;
use crate::chat::engine::{Delivery, Event};
use crate::chat::hear::Change;
use crate::error::{Error, Result};
use crate::pair::{Pairs, Standing};
use crate::proto::chat::{About, Envelope, NoPair};

impl Session<'_> {
    /// What pairing owes the peer, each once on this connection.
    pub(super) async fn say_owed(&mut self) -> Result<()> {
        let (engine, peer) = (self.engine.clone(), self.peer);
        let owed = self.on_disk(move || Ok(engine.chat().pairs()?.owed(&peer, engine.chat().now()))).await?;
        for envelope in owed {
            if self.said.contains(&envelope) {
                continue;
            }
            self.say(&envelope)?;
            self.said.push(envelope.clone());
            self.leaving_words.push(envelope);
        }
        Ok(())
    }

    /// Words that were owed are under way.
    pub(super) async fn owed_has_left(&mut self) -> Result<()> {
        let words = std::mem::take(&mut self.leaving_words);
        if words.is_empty() {
            return Ok(());
        }
        let peer = self.peer;
        self.change_pairs(move |pairs| {
            for word in &words {
                pairs.said(&peer, word);
            }
        })
        .await
    }

    /// A word of pairing from the peer.
    pub(super) async fn pairing(&mut self, envelope: Envelope) -> Result<()> {
        let (peer, source) = (self.peer, self.source);
        if let Envelope::Invite(invite) = &envelope {
            let received = Envelope::Received(About { id: invite.id });
            self.say(&received)?;
        }
        let is_no_pair = matches!(envelope, Envelope::NoPair(_));
        let about = match &envelope {
            Envelope::Ack(ack) => Some(ack.id),
            Envelope::Confirm(confirm) => Some(confirm.id),
            _ => None,
        };
        let chat = self.engine.chat().clone();
        let (heard, standing) = self.on_disk(move || chat.hear(peer, Some(source), &envelope)).await?;
        if is_no_pair && !matches!(standing, Standing::Accepted { .. }) {
            self.line.fail_all(&Delivery::Unpaired(standing));
        }
        let Some(change) = heard else { return self.look().await };
        match change {
            Change::Declined => self.line.fail_all(&Delivery::Unpaired(standing)),
            Change::Owed => {
                self.said.clear();
                return self.look().await;
            }
            Change::NoPair => return self.say(&Envelope::NoPair(NoPair { pair: None, id: about })),
            Change::Paired | Change::Ended | Change::Other => {}
        }
        self.engine.tell(Event::Pair { peer, standing });
        self.line.changed();
        self.look().await
    }

    /// Tells the peer that there is no pair, if there is none and none is in the making.
    pub(super) async fn no_pair(&mut self, none: NoPair) -> Result<()> {
        match self.standing().await? {
            Standing::Accepted { .. } if self.pair.is_some() => {
                Err(Error::protocol("an open message from a key that is paired"))
            }
            Standing::Accepted { .. } => Ok(()),
            _ => self.say(&Envelope::NoPair(none)),
        }
    }

    /// Whether open messages are taken from this peer.
    pub(super) async fn is_open(&mut self) -> Result<bool> {
        Ok(match self.look_up().await? {
            (Standing::Accepted { .. } | Standing::Blocked, _) => false,
            (_, is_open) => is_open || self.engine.chat().config().pairing == Pairing::Open,
        })
    }

    /// Changes the pairs.
    pub(super) async fn change_pairs(&mut self, change: impl FnOnce(&mut Pairs) + Send + 'static) -> Result<()> {
        let chat = self.engine.chat().clone();
        self.on_disk(move || {
            Pairs::update(chat.store(), |pairs| {
                change(pairs);
                Ok(())
            })
        })
        .await
    }
}
