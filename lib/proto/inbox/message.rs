//! What is said on a connection of the service `inbox`. keywire-protocol(7), INBOX.

use super::{KeyHash, SealedId, SealedMessage, Ticket};
use crate::conn::Record;
use crate::error::{Error, Result};
use crate::frame::Fields;
use crate::trust::Time;

/// Most messages that are held for one owner, and so most ids in a TAKEN: the one-time keys of some cards, all used.
pub const MAX_HELD: usize = 400;

/// Bytes of an id.
const ID_LEN: usize = 16;

/// What the dialer says.
///
/// | type | message   | body |
/// |------|-----------|------|
/// | 0x01 | `TICKET`  | TicketV1: what the DELIVERs that follow are admitted by |
/// | 0x02 | `DELIVER` | InboxHandshakeV1: a sealed message, at most 65,000 bytes; answered by DELIVERED or REFUSED |
/// | 0x03 | `FETCH`   | empty: asks for what is held for the dialer's key; answered by HELD for each, then END, or by REFUSED |
/// | 0x04 | `TAKEN`   | ids of 16 bytes, 1 to 400 of them: these need not be held any longer; answered by REMOVED or REFUSED |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromDialer {
    /// By this, what follows is admitted.
    Ticket(Ticket),
    /// A message for the recipient of the ticket.
    Deliver(SealedMessage),
    /// Asks for what is held.
    Fetch,
    /// What need not be held any longer.
    Taken(Vec<SealedId>),
}

/// What the listener says.
///
/// | type | message     | body |
/// |------|-------------|------|
/// | 0x11 | `DELIVERED` | empty: the message is on the disk |
/// | 0x12 | `REFUSED`   | reason u8: it is not, or what was asked for is not given |
/// | 0x13 | `HELD`      | id (16), then the sealed message of that id |
/// | 0x14 | `END`       | empty: nothing else is held |
/// | 0x15 | `REMOVED`   | empty: what was taken is no longer on the disk |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromListener {
    /// The message is on the disk.
    Delivered,
    /// It is not.
    Refused(Refusal),
    /// A message that is held.
    Held(SealedMessage),
    /// All that is held was said.
    End,
    /// What was taken is gone.
    Removed,
}

/// Why a message is not taken.
///
/// | reason | name          | meaning |
/// |--------|---------------|---------|
/// | 1      | `UNKNOWN`     | nothing is held for that key here, or the one-time key is not known |
/// | 2      | `EXPIRED`     | the card has expired |
/// | 3      | `REVOKED`     | the recipient has revoked the one-time key |
/// | 4      | `USED`        | the one-time key is used up |
/// | 5      | `SAME`        | this very message was opened before |
/// | 6      | `FULL`        | as much is held as may be |
/// | 7      | `WRONG`       | the ticket or the message is not what it should be, or is not understood |
/// | 8      | `UNAVAILABLE` | it cannot be done now |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is held for that key here, or the one-time key is not known.
    Unknown,
    /// The card has expired.
    Expired,
    /// The recipient has revoked the one-time key.
    Revoked,
    /// The one-time key is used up.
    Used,
    /// This very message was opened before.
    Same,
    /// As much is held as may be.
    Full,
    /// The ticket or the message is not what it should be, or is not understood.
    Wrong,
    /// It cannot be done now.
    Unavailable,
}

/// What becomes of a delivery: it is on the disk, or why it is not.
pub type Delivery = std::result::Result<(), Refusal>;

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 8] = [
        Refusal::Unknown,
        Refusal::Expired,
        Refusal::Revoked,
        Refusal::Used,
        Refusal::Same,
        Refusal::Full,
        Refusal::Wrong,
        Refusal::Unavailable,
    ];

    /// The byte on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Refusal::Unknown => 1,
            Refusal::Expired => 2,
            Refusal::Revoked => 3,
            Refusal::Used => 4,
            Refusal::Same => 5,
            Refusal::Full => 6,
            Refusal::Wrong => 7,
            Refusal::Unavailable => 8,
        }
    }

    fn from_code(code: u8) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|reason| reason.code() == code);
        known.ok_or_else(|| Error::protocol(format!("a REFUSED for the unknown reason {code}")))
    }
}

impl Ticket {
    /// The one-time key that `sealed` is sealed to, if this ticket admits it.
    ///
    /// # Errors
    /// The ticket has expired, is not for that key, or not its recipient's.
    pub fn admits(&self, sealed: &SealedMessage, now: Time) -> std::result::Result<KeyHash, Refusal> {
        if self.expires() <= now {
            return Err(Refusal::Expired);
        }
        self.key(&sealed.rki()).filter(|_| self.is_signed()).ok_or(Refusal::Wrong)
    }
}

impl FromDialer {
    /// Makes sense of a record.
    ///
    /// # Errors
    /// An unknown type, a body that is not what its type says, too few ids or too many.
    pub fn decode(record: &Record<'_>) -> Result<Self> {
        let mut fields = Fields::new(record.body);
        let message = match record.kind {
            0x01 => return Ticket::decode(record.body).map(FromDialer::Ticket).map_err(Error::protocol),
            0x02 => return sealed(record.body).map(FromDialer::Deliver),
            0x03 => FromDialer::Fetch,
            0x04 => {
                let mut ids = Vec::new();
                while !fields.is_empty() {
                    ids.push(SealedId(fields.array()?));
                }
                if ids.is_empty() || ids.len() > MAX_HELD {
                    return Err(Error::protocol(format!("a TAKEN of {} ids; it has 1 to {MAX_HELD}", ids.len())));
                }
                FromDialer::Taken(ids)
            }
            other => return Err(unknown(other)),
        };
        fields.end()?;
        Ok(message)
    }

    /// The type and body for the wire.
    #[must_use]
    pub fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            FromDialer::Ticket(ticket) => (0x01, ticket.encode()),
            FromDialer::Deliver(message) => (0x02, message.bytes().to_vec()),
            FromDialer::Fetch => (0x03, Vec::new()),
            FromDialer::Taken(ids) => (0x04, ids.iter().flat_map(|id| id.0).collect()),
        }
    }
}

impl FromListener {
    /// Makes sense of a record.
    ///
    /// # Errors
    /// An unknown type or reason, a body that is not what its type says, a HELD whose id is not its message's.
    pub fn decode(record: &Record<'_>) -> Result<Self> {
        let mut fields = Fields::new(record.body);
        let message = match record.kind {
            0x11 => FromListener::Delivered,
            0x12 => FromListener::Refused(Refusal::from_code(fields.u8()?)?),
            0x13 => {
                let id = SealedId(fields.array::<ID_LEN>()?);
                let message = sealed(fields.bytes())?;
                if message.id() != id {
                    return Err(Error::protocol("a HELD with the id of another message"));
                }
                return Ok(FromListener::Held(message));
            }
            0x14 => FromListener::End,
            0x15 => FromListener::Removed,
            other => return Err(unknown(other)),
        };
        fields.end()?;
        Ok(message)
    }

    /// The type and body for the wire.
    #[must_use]
    pub fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            FromListener::Delivered => (0x11, Vec::new()),
            FromListener::Refused(why) => (0x12, vec![why.code()]),
            FromListener::Held(message) => (0x13, [&message.id().0, message.bytes()].concat()),
            FromListener::End => (0x14, Vec::new()),
            FromListener::Removed => (0x15, Vec::new()),
        }
    }
}

impl From<Delivery> for FromListener {
    fn from(delivery: Delivery) -> Self {
        delivery.map_or_else(FromListener::Refused, |()| FromListener::Delivered)
    }
}

fn sealed(bytes: &[u8]) -> Result<SealedMessage> {
    SealedMessage::decode(bytes).map_err(Error::protocol)
}

fn unknown(kind: u8) -> Error {
    Error::protocol(format!("a record of the unknown type {kind:#04x}"))
}
