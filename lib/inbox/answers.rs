//! Answers to pair-invites that came sealed: our user's consent, sealed to the card that came along.

use super::Inbox;
use crate::error::{Error, Result};
use crate::json::Bytes;
use crate::key::{KeyPair, PublicKey};
use crate::pair::{INVITE_LIFE, Pair, Pairs};
use crate::proto::chat::{Envelope, InviteId};
use crate::proto::inbox::{Card, Content, Frame, SealedMessage};
use crate::store::{Privacy, State, Version};
use crate::trust::Time;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::SystemTime;

/// The name of the file.
pub const ANSWERS: &str = "answers.json";

/// Most cards for answers that are kept; beyond that the oldest is forgotten.
const MAX_ANSWERS: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answers {
    version: Version,
    answers: Vec<Row>,
}

/// Where an answer may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    peer: PublicKey,
    /// The invite that it answers.
    invite: InviteId,
    expires: Time,
    /// The card of the peer, as text.
    card: String,
    /// The answer, once it is sealed: it is the same however often it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Bytes>,
}

/// An answer that is to be delivered.
#[derive(Clone, Debug)]
pub struct Due {
    /// To whom.
    pub peer: PublicKey,
    /// The peer's card, which says where.
    pub card: Card,
    /// What.
    pub message: SealedMessage,
}

impl State for Answers {
    const PRIVACY: Privacy = Privacy::Plain;
}

impl Row {
    fn card(&self) -> Result<Card> {
        self.card.parse().map_err(|why: Error| Error::state(format!("a card in {ANSWERS} cannot be used: {why}")))
    }
}

impl Inbox {
    /// The answers that are to be delivered, to `only` if that is given: those to invites that our user has accepted, of peers
    /// that are not known to know it.
    ///
    /// # Errors
    /// What is on the disk cannot be read or written.
    pub fn due(&self, me: &Arc<KeyPair>, only: Option<PublicKey>) -> Result<Vec<Due>> {
        let _lock = self.lock()?;
        let (pairs, now) = (Pairs::load(&self.0.store)?, self.now());
        self.change_answers(|answers| {
            // An invite that our user may still agree to is not forgotten.
            answers.retain(|row| {
                let may_be = pairs.get(&row.peer).is_some_and(Pair::can_accept);
                may_be || consent(&pairs, &row.peer, row.invite, now).is_some()
            });
            let mut due = Vec::new();
            for row in answers.iter_mut().filter(|row| only.is_none_or(|only| row.peer == only)) {
                let Some(content) = consent(&pairs, &row.peer, row.invite, now) else { continue };
                let card = row.card()?;
                let message = match &row.sealed {
                    Some(sealed) => SealedMessage::decode(&sealed.0)?,
                    None => {
                        let frame = Frame { time: self.millis(), card: None, content };
                        let message = self.seal_frame(me, &card, &frame)?.message;
                        row.sealed = Some(Bytes(message.bytes().to_vec()));
                        message
                    }
                };
                due.push(Due { peer: row.peer, card, message });
            }
            Ok(due)
        })
    }

    /// An answer was delivered, or never will be.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn settle(&self, due: &Due) -> Result<()> {
        let _lock = self.lock()?;
        self.change_answers(|answers| {
            answers.retain(|row| row.sealed.as_ref().is_none_or(|sealed| sealed.0 != due.message.bytes()));
            Ok(())
        })
    }

    /// Keeps the card that came with an invite. The lock must be held.
    pub(super) fn keep_for_answer(&self, peer: PublicKey, invite: InviteId, card: &Card) -> Result<()> {
        self.change_answers(|answers| {
            // The same invite may come in several messages; the card of the last is the one to answer to.
            answers.retain(|row| row.peer != peer);
            // Not for as long as the peer says.
            let expires = card.expires().min(self.time().after(INVITE_LIFE));
            let card = card.to_string();
            answers.push(Row { peer, invite, expires, card, sealed: None });
            let over = answers.len().saturating_sub(MAX_ANSWERS);
            answers.drain(..over);
            Ok(())
        })
    }

    /// Changes what there is, without that whose card is over. The lock must be held.
    fn change_answers<R>(&self, change: impl FnOnce(&mut Vec<Row>) -> Result<R>) -> Result<R> {
        let before: Answers = self.0.dir.read(ANSWERS)?.unwrap_or_default();
        let (mut after, now) = (before.clone(), self.time());
        after.answers.retain(|row| row.expires > now);
        let answer = change(&mut after.answers)?;
        if before != after {
            self.0.dir.write(ANSWERS, &after)?;
            self.0.dir.settle(ANSWERS)?;
        }
        Ok(answer)
    }
}

/// Our consent to this invite of `peer`, if the peer is not known to have it.
pub(super) fn consent(pairs: &Pairs, peer: &PublicKey, invite: InviteId, now: SystemTime) -> Option<Content> {
    pairs.owed(peer, now).into_iter().find_map(|word| match word {
        Envelope::Ack(ack) if ack.id == invite => Some(Content::Ack(ack)),
        _ => None,
    })
}
