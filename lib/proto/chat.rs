//! The service `chat`: envelopes of JSON, the same in both directions. keywire-protocol(7), CHAT.

use crate::conn::{Record, Service};
use crate::error::{Error, Result};
use crate::json::{self, Bytes};
use crate::random;
use crate::record::MAX_BODY_LEN;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One-to-one messages and what they need.
pub const CHAT: Service = Service { name: "chat", port: Some(8801) };

/// Most bytes of text in a message.
pub const MAX_TEXT_LEN: usize = 64 << 10;

/// Most bytes of an envelope: the text in base64, and room for what stands around it.
pub const MAX_ENVELOPE_LEN: usize = 96 << 10;

/// Longest message id.
pub const MAX_ID_LEN: usize = 64;

/// A record of this service: a piece of an envelope.
///
/// | type | message    | body |
/// |------|------------|------|
/// | 0x01 | `PART`     | the next bytes of an envelope, 1 to 65,518; the next record goes on with it |
/// | 0x02 | `ENVELOPE` | the last bytes of an envelope, 1 to 65,518 |
pub mod kind {
    /// An envelope goes on in the next record.
    pub const PART: u8 = 0x01;
    /// An envelope ends here.
    pub const ENVELOPE: u8 = 0x02;
}

/// What is said. In JSON the field `type` names which of these it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Envelope {
    /// Asks for consent.
    #[serde(rename = "pair-invite")]
    Invite(Invite),
    /// An invite has come. It says nothing about what becomes of it.
    #[serde(rename = "pair-received")]
    Received(About),
    /// Consent to an invite.
    #[serde(rename = "pair-ack")]
    Ack(PairAck),
    /// The keys are the same at both ends.
    #[serde(rename = "pair-confirm")]
    Confirm(PairConfirm),
    /// No consent to an invite. It is said once.
    #[serde(rename = "pair-decline")]
    Decline(About),
    /// This side is not paired with the other.
    #[serde(rename = "pair-none")]
    NoPair(NoPair),
    /// Where this side stands, and its half of the next epoch's key.
    #[serde(rename = "chat-hello")]
    Hello(Hello),
    /// A message.
    #[serde(rename = "chat-msg")]
    Message(Message),
    /// A message is saved.
    #[serde(rename = "chat-ack")]
    Saved(Saved),
    /// A message is not saved.
    #[serde(rename = "chat-nak")]
    NotSaved(NotSaved),
    /// This side has nothing more to say for now: all it had was said, and its messages are answered.
    #[serde(rename = "chat-idle")]
    Idle(Idle),
    /// A message to a key that is not paired, for those who have set `"pairing": "open"`.
    #[serde(rename = "chat-open")]
    Open(Open),
    /// An open message is saved.
    #[serde(rename = "chat-open-ack")]
    OpenSaved(OpenSaved),
}

/// Asks for consent: Noise KK, message 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// 16 random bytes.
    pub id: InviteId,
    /// Until when it can be accepted, in seconds since 1970.
    pub expires: u64,
    /// `e, es, ss` with an [`Introduction`] as payload.
    pub noise: Bytes,
}

/// The payload of an invite and of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introduction {
    /// Where the sender can be dialed, `HOST:PORT`; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// Names an invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The invite's id.
    pub id: InviteId,
}

/// Which pair there is not: one that was ended, or never made, may be spoken of when there is a newer one already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoPair {
    /// The pair, 16 bytes, as in the hello that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<Bytes>,
    /// The invite that the answer or the confirmation was for that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<InviteId>,
}

/// How much of what the other side said has been seen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    /// Envelopes of the other side on this connection so far, but those of this type.
    pub heard: u64,
}

/// Consent: Noise KK, message 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairAck {
    /// The invite's id.
    pub id: InviteId,
    /// `e, ee, se` with an [`Introduction`] as payload.
    pub noise: Bytes,
}

/// The proof that the inviter has the keys: a MAC under them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairConfirm {
    /// The invite's id.
    pub id: InviteId,
    /// 32 bytes.
    pub mac: Bytes,
}

/// Where this side stands. Each side sends one when a connection begins and the two are paired, and again when it wants a
/// new epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The pair, 16 bytes.
    pub pair: Bytes,
    /// This side's newest epoch.
    pub ep: u64,
    /// Whether anything came from the other side in that epoch.
    pub proven: bool,
    /// Messages that this side has sealed in that epoch.
    pub sent: u64,
    /// One more than the highest counter that came from the other side in that epoch.
    pub seen: u64,
    /// One more than the highest counter of this side's that the other has acknowledged in that epoch.
    pub acked: u64,
    /// A fresh X25519 public key, 32 bytes.
    pub step: Bytes,
    /// Whether this side wants a new epoch now.
    pub want: bool,
    /// 32 bytes over all of it and the connection.
    pub mac: Bytes,
}

/// A sealed message. All its fields are bound to the ciphertext.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Names it for both sides, for ever.
    pub id: MessageId,
    /// The epoch whose key it is under.
    pub ep: u64,
    /// Its number among the sender's in that epoch, from 0.
    pub n: u64,
    /// 12 random bytes.
    pub nonce: Bytes,
    /// The text under ChaCha20-Poly1305.
    pub ct: Bytes,
    /// Whether the sender wants to know when it is saved.
    pub ack: bool,
    /// When it was written, in milliseconds since 1970, by the sender's clock.
    pub time: u64,
    /// How many seconds after `time` it means nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Which message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
}

/// A message is on the disk of whoever says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// The message's id.
    pub id: MessageId,
    /// Its epoch.
    pub ep: u64,
    /// Its number.
    pub n: u64,
    /// 32 bytes over the id, epoch, number and ciphertext.
    pub mac: Bytes,
}

/// A message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotSaved {
    /// The message's id.
    pub id: MessageId,
    /// Its epoch.
    pub ep: u64,
    /// Its number.
    pub n: u64,
    /// Why.
    pub why: Why,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Its key is not there: an epoch this side does not have, or a number too far ahead. Seal it anew in another epoch.
    NoKey,
    /// Another message had its number. Seal it anew in another epoch.
    Used,
    /// It does not open.
    Damaged,
    /// This side takes no more from this sender for a while. Try again later.
    Full,
    /// This side cannot save it now. Try again later.
    Unavailable,
}

/// A message that only the connection protects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Names it for both sides, for ever.
    pub id: MessageId,
    /// The text.
    pub body: Bytes,
    /// Whether the sender wants to know when it is saved.
    pub ack: bool,
    /// When it was written, in milliseconds since 1970, by the sender's clock.
    pub time: u64,
    /// Which message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
}

/// An open message is on the disk of whoever says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenSaved {
    /// The message's id.
    pub id: MessageId,
}

impl Envelope {
    /// The bytes of its JSON.
    ///
    /// # Errors
    /// More than [`MAX_ENVELOPE_LEN`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        let text = json::line(self)?.into_bytes();
        match text.len() <= MAX_ENVELOPE_LEN {
            true => Ok(text),
            false => Err(Error::usage(format!("an envelope of {} bytes; the most is {MAX_ENVELOPE_LEN}", text.len()))),
        }
    }

    /// The records that carry it: the type of each, and its body.
    ///
    /// # Errors
    /// Those of [`Envelope::encode`].
    pub fn records(&self) -> Result<Vec<(u8, Vec<u8>)>> {
        let text = self.encode()?;
        let pieces = text.chunks(MAX_BODY_LEN);
        let last = pieces.len().saturating_sub(1);
        let of_piece = |at| if at == last { kind::ENVELOPE } else { kind::PART };
        Ok(pieces.enumerate().map(|(at, piece)| (of_piece(at), piece.to_vec())).collect())
    }

    /// Reads its JSON.
    ///
    /// # Errors
    /// An unknown type or field, a missing one, or a value that makes no sense.
    pub fn decode(text: &[u8]) -> Result<Self> {
        json::parse(text, MAX_ENVELOPE_LEN).map_err(|why| Error::protocol(format!("an envelope that is none: {why}")))
    }
}

/// Puts envelopes together from records.
#[derive(Default)]
pub struct Assembly {
    text: Vec<u8>,
}

impl Assembly {
    /// Takes the next record; an envelope when it is whole.
    ///
    /// # Errors
    /// An unknown type, a record without a body, an envelope over [`MAX_ENVELOPE_LEN`], and those of [`Envelope::decode`].
    pub fn take(&mut self, record: &Record<'_>) -> Result<Option<Envelope>> {
        if !matches!(record.kind, kind::PART | kind::ENVELOPE) {
            return Err(Error::protocol(format!("a record of the unknown type {:#04x}", record.kind)));
        }
        if record.body.is_empty() || self.text.len() + record.body.len() > MAX_ENVELOPE_LEN {
            return Err(Error::protocol(format!("an envelope beyond the limit of {MAX_ENVELOPE_LEN} bytes, or empty")));
        }
        self.text.extend_from_slice(record.body);
        match record.kind {
            kind::PART => Ok(None),
            _ => Envelope::decode(&std::mem::take(&mut self.text)).map(Some),
        }
    }
}

/// The id of an invite: 16 bytes, in JSON as 32 digits of hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InviteId(pub [u8; 16]);

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InviteId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(InviteId).ok_or_else(|| Error::usage("an invite's id is 32 digits of hexadecimal"))
    }
}

/// The id of a message: 1 to 64 letters, digits, `.`, `_`, `:` and `-`. One that nobody chose is 32 digits of hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(String);

impl MessageId {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> Result<Self> {
        let bytes: [u8; 16] = random::bytes()?;
        Ok(MessageId(data_encoding::HEXLOWER.encode(&bytes)))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MessageId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let may_stand = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
        match (1..=MAX_ID_LEN).contains(&text.len()) && text.chars().all(may_stand) {
            true => Ok(MessageId(text.to_owned())),
            false => Err(Error::usage("not a message id: 1 to 64 letters, digits, '.', '_', ':' and '-' make one")),
        }
    }
}

macro_rules! as_text {
    ($($name:ty),+) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

as_text!(InviteId, MessageId);
