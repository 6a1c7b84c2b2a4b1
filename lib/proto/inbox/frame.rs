//! What stands in a sealed message.

use super::card::Card;
use super::wire::{self, AckPrivateV1, FrameType, InboxV1Frame, InvitePrivateV1, array};
use crate::error::{Error, Result};
use crate::json::Bytes;
use crate::proto::chat::{Invite, InviteId, PairAck};
use prost::Message;

/// Most bytes of text in a message.
pub const MAX_GREETING_LEN: usize = 60 << 10;

/// Most bytes of text beside an invite, which takes its room as well.
pub const MAX_NOTE_LEN: usize = 48 << 10;

/// Frames are filled up to a multiple of this, so that their length says little.
const STEP: usize = 256;

/// Least bytes of filling: from 128 on, how long it is takes two bytes, and the sum comes out even.
const LEAST_PADDING: usize = 128;

/// Bytes of the filling's field besides the filling: its tag, and how long it is.
const PADDING_OVERHEAD: usize = 3;

/// What a sender says to a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When, in milliseconds since 1970, by the sender's clock.
    pub time: u64,
    /// A card of the sender's, for the answer.
    pub card: Option<Card>,
    /// What.
    pub content: Content,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A greeting.
    Text(String),
    /// The sender wants to be paired: the invite of kw-chat.
    Invite {
        /// The invite.
        invite: Invite,
        /// A greeting beside it.
        text: Option<String>,
    },
    /// Consent to an invite of the recipient's.
    Ack(PairAck),
}

impl Frame {
    /// Its bytes, filled up.
    ///
    /// # Errors
    /// A text over [`MAX_GREETING_LEN`], a time beyond what a clock can say.
    pub fn encode(&self) -> Result<Vec<u8>> {
        match &self.content {
            Content::Text(text) => check_text(text, false)?,
            Content::Invite { text: Some(text), .. } => check_text(text, true)?,
            Content::Invite { text: None, .. } | Content::Ack(_) => {}
        }
        let mut wire = InboxV1Frame {
            timestamp: i64::try_from(self.time).map_err(|_| Error::state("the clock is wrong"))?,
            padding: Vec::new(),
            card: self.card.as_ref().map(|card| card.bytes().to_vec()).unwrap_or_default(),
            frame_type: Some(match &self.content {
                Content::Text(text) => FrameType::TextV1(text.clone()),
                Content::Invite { invite, text } => FrameType::InvitePrivateV1(InvitePrivateV1 {
                    id: invite.id.0.to_vec(),
                    expires: invite.expires,
                    noise: invite.noise.0.clone(),
                    text: text.clone().unwrap_or_default(),
                }),
                Content::Ack(ack) => {
                    FrameType::AckPrivateV1(AckPrivateV1 { id: ack.id.0.to_vec(), noise: ack.noise.0.clone() })
                }
            }),
        };
        let filled = (wire.encoded_len() + PADDING_OVERHEAD + LEAST_PADDING).next_multiple_of(STEP);
        wire.padding = vec![0; filled - wire.encoded_len() - PADDING_OVERHEAD];
        Ok(wire.encode_to_vec())
    }

    /// Reads one.
    ///
    /// # Errors
    /// Anything that is none, and a card in it that is not its own maker's.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let wire: InboxV1Frame = wire::decode(bytes, super::MAX_SEALED_LEN, "a frame")?;
        let time = u64::try_from(wire.timestamp).map_err(|_| Error::no("a frame from before 1970"))?;
        let card = if wire.card.is_empty() { None } else { Some(Card::decode(&wire.card)?) };
        let id = |id: &[u8]| array(id, "the id of an invite").map(InviteId);
        let content = match wire.frame_type {
            Some(FrameType::TextV1(text)) => Content::Text(text),
            Some(FrameType::InvitePrivateV1(InvitePrivateV1 { id: of, expires, noise, text })) => {
                let invite = Invite { id: id(&of)?, expires, noise: Bytes(noise) };
                Content::Invite { invite, text: Some(text).filter(|text| !text.is_empty()) }
            }
            Some(FrameType::AckPrivateV1(AckPrivateV1 { id: of, noise })) => {
                Content::Ack(PairAck { id: id(&of)?, noise: Bytes(noise) })
            }
            None => {
                return Err(Error::no("a frame of a kind that is not known here").hint("a newer keywire may know it"));
            }
        };
        let frame = Frame { time, card, content };
        // The filling is part of it: with another one, the same would be another message, and could be one that is too long.
        match frame.encode()? == bytes {
            true => Ok(frame),
            false => Err(Error::no("a frame that is not filled as it should be")),
        }
    }
}

/// Refuses a text that is too long, for a message of its own or beside an invite.
///
/// # Errors
/// It is.
pub fn check_text(text: &str, beside_invite: bool) -> Result<()> {
    let (most, words) = if beside_invite { (MAX_NOTE_LEN, " beside an invite") } else { (MAX_GREETING_LEN, "") };
    match text.len() <= most {
        true => Ok(()),
        false => Err(Error::usage(format!("a text of {} bytes; the most{words} is {} KiB", text.len(), most >> 10))
            .hint("a larger text goes as a file: kw-scp(1)")),
    }
}
