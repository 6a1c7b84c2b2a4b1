//! Sealing: a message to a card.

use super::{Inbox, MAX_LIFE, Wish, prologue};
use crate::error::{Error, Result};
use crate::handshake::{Handshake, Known, Pattern, Role};
use crate::key::{KeyPair, PublicKey};
use crate::pair::{Pair, Pairs};
use crate::proto::chat::{Envelope, Invite, InviteId};
use crate::proto::inbox::{Address, Card, Content, Frame, Rki, SealedMessage, check_text};
use crate::trust::Time;
use std::sync::Arc;

/// What our user says to the owner of a card.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// A text.
    pub text: Option<String>,
    /// Whether to ask for a pair: kw-chat's invite goes along.
    pub pair: bool,
    /// Where the answer to that may be delivered; none if it must come over a connection of kw-chat.
    pub answer_at: Vec<Address>,
}

/// A message that was sealed.
#[derive(Clone, Debug)]
pub struct Sealing {
    /// The message.
    pub message: SealedMessage,
    /// When we last sealed one to the same one-time key, if we did: only the first that arrives is opened.
    pub before: Option<Time>,
}

impl Inbox {
    /// Seals a greeting to a card.
    ///
    /// # Errors
    /// The card is our own or over, there is nothing to say, it is too long; a pair that cannot be asked for, or that the owner
    /// of the card has asked for.
    pub fn seal(&self, me: &Arc<KeyPair>, card: &Card, greeting: &Greeting) -> Result<Sealing> {
        let _lock = self.lock()?;
        self.check_card(me, card)?;
        // Before anything is made for it.
        check_text(greeting.text.as_deref().unwrap_or_default(), greeting.pair)?;
        let (invite, answer) = match greeting.pair {
            true => {
                let (invite, answer) = self.invite(me, card.recipient(), &greeting.answer_at)?;
                (Some(invite), answer)
            }
            false => (None, None),
        };
        let content = match (invite, greeting.text.clone()) {
            (Some(invite), text) => Content::Invite { invite, text },
            (None, Some(text)) => Content::Text(text),
            (None, None) => return Err(Error::usage("there is nothing to say").hint("give --text, --pair, or both")),
        };
        self.seal_frame(me, card, &Frame { time: self.millis(), card: answer, content })
    }

    /// Seals a frame to a card that was checked. The lock must be held.
    pub(super) fn seal_frame(&self, me: &KeyPair, card: &Card, frame: &Frame) -> Result<Sealing> {
        let payload = frame.encode()?;
        let (key, before) = self.take_key(card)?;
        Ok(Sealing { message: sealed(me, card, key, &payload)?, before })
    }

    /// Refuses a card that nothing can be sealed to.
    fn check_card(&self, me: &KeyPair, card: &Card) -> Result<()> {
        if card.recipient() == me.public() {
            return Err(Error::usage("that is our own card").hint("a card is for others, who want to write to us"));
        }
        card.check_time(self.time())
    }

    /// Our invite to `peer`, the one that waits or a new one, and the card for its answer if that may be delivered somewhere.
    /// Nothing is made if one of the two cannot be.
    fn invite(&self, me: &Arc<KeyPair>, peer: PublicKey, answer_at: &[Address]) -> Result<(Invite, Option<Card>)> {
        let chat = self.chat(me)?;
        let (us, now) = (chat.ourselves(), chat.now());
        Pairs::update(chat.store(), |pairs| {
            pairs.expire(now);
            // Over a connection it would be settled which of two invites counts. Here both could wait for the other's answer.
            if pairs.get(&peer).is_some_and(Pair::can_accept) {
                return Err(Error::no(format!("{} has invited you", peer.short()))
                    .hint(format!("compare with 'kw-chat verify {peer}', then 'kw-chat pair accept {peer}'")));
            }
            pairs.invite(us, peer, false, now)?;
            let invite = pairs.owed(&peer, now).into_iter().find_map(|word| match word {
                Envelope::Invite(invite) => Some(invite),
                _ => None,
            });
            let invite = invite.ok_or_else(|| Error::state("the invite that was made is not there"))?;
            // The invite is allowed by now, and not on the disk before its card is.
            let answer = self.answer_card(me, peer, invite.id, answer_at)?;
            Ok((invite, answer))
        })
    }

    /// The card for the answer of `peer` to this invite: the one that it has from us and may still use, or a new one. That for
    /// the answer to an invite that is gone is taken back: such an answer counts for nothing, and may still be on its way.
    fn answer_card(
        &self,
        me: &KeyPair,
        peer: PublicKey,
        invite: InviteId,
        answer_at: &[Address],
    ) -> Result<Option<Card>> {
        let (mut keys, now) = (self.swept()?, self.time());
        let (mut found, mut is_changed) = (None, false);
        for row in keys.cards.iter_mut().filter(|row| row.peer == Some(peer) && row.is_live()) {
            let card = row.card()?;
            // It may be of another identity with the same state.
            if card.recipient() != me.public() {
                continue;
            }
            if row.invite != Some(invite) {
                row.revoke(now);
                is_changed = true;
            // An answer takes its time.
            } else if row.expires > now.after(MAX_LIFE / 2) && card.addresses() == answer_at {
                found = Some(card);
            }
        }
        if is_changed {
            self.save(&keys)?;
        }
        if found.is_some() || answer_at.is_empty() {
            return Ok(found);
        }
        let addresses = answer_at.to_vec();
        let label = format!("for the answer of {}", peer.short());
        self.make_card_for(me, Wish { label, life: MAX_LIFE, uses: 1, addresses }, Some((peer, invite))).map(Some)
    }
}

/// `payload`, sealed to a one-time key of a card.
pub(super) fn sealed(me: &KeyPair, card: &Card, key: PublicKey, payload: &[u8]) -> Result<SealedMessage> {
    let peer = Known { fixed: Some(card.recipient()), ephemeral: Some(key) };
    let ephemeral = KeyPair::generate()?;
    let mut handshake =
        Handshake::new(Pattern::KXfallback, Role::Initiator, &prologue(card), me, peer, ephemeral.secret())?;
    SealedMessage::new(Rki::of(&key), handshake.write(payload)?)
}
