//! The peer's words of pairing, and what they change on the disk: pairs, and the keys of conversations.

use super::Chat;
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::pair::{Heard, Pairs, Standing};
use crate::proto::chat::Envelope;
use crate::ratchet::Ratchet;
use std::net::IpAddr;

/// What a word of pairing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Paired,
    Ended,
    Declined,
    /// What was said must be said again.
    Owed,
    /// The peer must know that there is no pair.
    NoPair,
    Other,
}

impl Chat {
    /// Takes a word of pairing that is proven to be `from`'s, over a connection with `source`, or sealed (kw-inbox).
    ///
    /// # Errors
    /// What the peer says makes no sense, or it cannot be kept.
    pub(crate) fn hear(
        &self,
        from: PublicKey,
        source: Option<IpAddr>,
        word: &Envelope,
    ) -> Result<(Option<Change>, Standing)> {
        let (us, now, conversation) = (self.ourselves(), self.now(), self.with(from));
        Pairs::update(self.store(), |pairs| {
            let heard = match word {
                Envelope::Invite(invite) => pairs.on_invite(us, from, source, invite, now)?,
                Envelope::Received(about) => pairs.on_received(&from, about, now),
                Envelope::Ack(ack) => pairs.on_ack(us, &from, ack, now)?,
                Envelope::Confirm(confirm) => conversation.keys(|ratchet| match ratchet {
                    Some(ratchet) => pairs.on_confirm(&from, confirm, ratchet),
                    None => Heard::NoPair,
                })?,
                Envelope::Decline(about) => pairs.on_decline(&from, about, now),
                Envelope::NoPair(none) => {
                    pairs.on_none(&from, none, conversation.keys(|keys| keys.map(Ratchet::pair))?, now)
                }
                _ => return Err(Error::protocol("an envelope out of place")),
            };
            let change = match heard {
                // The keys are on the disk before anything says that there are any.
                Heard::Paired(ratchet) => {
                    conversation.begin(*ratchet)?;
                    Some(Change::Paired)
                }
                Heard::Ended => {
                    conversation.end()?;
                    Some(Change::Ended)
                }
                Heard::Declined => Some(Change::Declined),
                Heard::Pending | Heard::Confirmed | Heard::Delivered => Some(Change::Other),
                Heard::Owed => Some(Change::Owed),
                Heard::NoPair => Some(Change::NoPair),
                Heard::Nothing => None,
            };
            Ok((change, pairs.standing(&from)))
        })
    }
}
