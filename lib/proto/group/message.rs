//! What two members say to each other.

use super::entry::{Class, Entry, LogId, is_place};
use super::ids::{GroupId, Inc};
use crate::conn::Record;
use crate::error::{Error, Result};
use crate::frame::{Fields, cut};
use crate::key::PublicKey;
use crate::record::MAX_BODY_LEN;
use crate::sign::Signature;

/// Most bytes of a message.
pub const MAX_MESSAGE_LEN: usize = 512 << 10;

/// How many bytes of entries are put into one message, unless a single one is longer.
pub const CHUNK: usize = 192 << 10;

/// Longest reason in a WAIT, in bytes.
const MAX_WHY_LEN: usize = 1000;

/// A record of this service: a piece of a message.
///
/// | type | message | body |
/// |------|---------|------|
/// | 0x01 | `PART`  | the next bytes of a message, 1 to 65,518; the next record goes on with it |
/// | 0x02 | `LAST`  | the last bytes of a message, 1 to 65,518 |
pub mod kind {
    /// A message goes on in the next record.
    pub const PART: u8 = 0x01;
    /// A message ends here.
    pub const LAST: u8 = 0x02;
}

/// What is said, the same in both directions. The first byte of a message says which it is.
///
/// | byte | message   | what follows |
/// |------|-----------|--------------|
/// | 0x01 | `HELLO`   | group (32), digest of the roster logs (32), digest of the content logs (32) |
/// | 0x02 | `HAVE`    | 1 if these are all that the sender has, 0 if they are what is new; for each log: class (1), author (32), inc (8), seq (8), the first 16 bytes of that entry's id |
/// | 0x03 | `ENTRIES` | entries, those of one log in a row |
/// | 0x04 | `WANT`    | empty: send what the HAVEs said, and what is new from now on |
/// | 0x05 | `PRUNE`   | empty: of what is new send only HAVE |
/// | 0x06 | `JOIN`    | capability (32), its signature (64) over the group and the key of who wants to join, that key (32) |
/// | 0x07 | `WAIT`    | why who wants to join has to wait: UTF-8 text, at most 1,000 bytes |
/// | 0x08 | `FORK`    | two entries in the same place of the same log, without their bodies |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Where the sender stands.
    Hello {
        /// Which group.
        group: GroupId,
        /// Digest of its roster logs.
        roster: [u8; 32],
        /// Digest of its content logs.
        content: [u8; 32],
    },
    /// What the sender has stored.
    Have {
        /// Whether it has nothing else.
        is_all: bool,
        /// The last entry of each log.
        tips: Vec<Tip>,
    },
    /// Entries that the receiver lacks.
    Entries(Vec<Entry>),
    /// The sender wants entries, not only to know of them.
    Want,
    /// The sender gets its entries elsewhere.
    Prune,
    /// A key wants to become a member.
    Join {
        /// The public half of the invite's capability.
        capability: PublicKey,
        /// Its signature.
        signature: Signature,
        /// The key: the sender's own, or that of somebody for whom it passes this on.
        joiner: PublicKey,
    },
    /// Not yet.
    Wait(String),
    /// An author has written two entries in one place.
    Fork(Box<[Entry; 2]>),
}

/// How far a log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Which.
    pub log: LogId,
    /// Its last entry's place.
    pub seq: u64,
    /// The first 16 bytes of that entry's id.
    pub id: [u8; 16],
}

impl Tip {
    /// That of a log that goes as far as `entry`.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let id = *entry.id.0.first_chunk().unwrap_or(&[0; 16]);
        Tip { log: entry.header.log, seq: entry.header.seq, id }
    }
}

impl Message {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Message::Hello { group, roster, content } => [&[1][..], &group.0, roster, content].concat(),
            Message::Have { is_all, tips } => {
                let mut bytes = vec![2, u8::from(*is_all)];
                for tip in tips {
                    bytes.push(match tip.log.class {
                        Class::Roster => 0,
                        Class::Content => 1,
                    });
                    bytes.extend_from_slice(tip.log.author.as_bytes());
                    bytes.extend_from_slice(&tip.log.inc.0);
                    bytes.extend_from_slice(&tip.seq.to_be_bytes());
                    bytes.extend_from_slice(&tip.id);
                }
                bytes
            }
            Message::Entries(entries) => {
                let mut bytes = vec![3];
                entries.iter().for_each(|entry| bytes.extend_from_slice(&entry.encode()));
                bytes
            }
            Message::Want => vec![4],
            Message::Prune => vec![5],
            Message::Join { capability, signature, joiner } => {
                [&[6][..], capability.as_bytes(), &signature.0, joiner.as_bytes()].concat()
            }
            Message::Wait(why) => [&[7], cut(why, MAX_WHY_LEN).as_bytes()].concat(),
            Message::Fork(entries) => {
                let mut bytes = vec![8];
                for entry in entries.iter() {
                    bytes.extend_from_slice(&Entry { body: None, ..entry.clone() }.encode());
                }
                bytes
            }
        }
    }

    /// The records that carry it: the type of each, and its body.
    #[must_use]
    pub fn records(&self) -> Vec<(u8, Vec<u8>)> {
        let bytes = self.encode();
        let pieces = bytes.chunks(MAX_BODY_LEN);
        let last = pieces.len().saturating_sub(1);
        let of_piece = |at| if at == last { kind::LAST } else { kind::PART };
        pieces.enumerate().map(|(at, piece)| (of_piece(at), piece.to_vec())).collect()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// An unknown one, a value that cannot be, too few or too many bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(bytes);
        let message = match fields.u8()? {
            1 => Message::Hello { group: GroupId(fields.array()?), roster: fields.array()?, content: fields.array()? },
            2 => {
                let is_all = match fields.u8()? {
                    0 => false,
                    1 => true,
                    other => return Err(Error::protocol(format!("{other} where a HAVE says whether it is all"))),
                };
                let mut tips = Vec::new();
                while !fields.is_empty() {
                    let class = match fields.u8()? {
                        0 => Class::Roster,
                        1 => Class::Content,
                        other => return Err(Error::protocol(format!("the unknown class {other} in a HAVE"))),
                    };
                    let author = PublicKey::from_bytes(&fields.array::<32>()?)?;
                    let log = LogId { class, author, inc: Inc(fields.array()?) };
                    let seq = fields.u64()?;
                    // 0 says that there is nothing.
                    if seq > 0 && !is_place(seq) {
                        return Err(Error::protocol(format!("a HAVE of the place {seq}, which no log has")));
                    }
                    tips.push(Tip { log, seq, id: fields.array()? });
                }
                Message::Have { is_all, tips }
            }
            3 => {
                let mut entries = Vec::new();
                while !fields.is_empty() {
                    entries.push(Entry::decode(&mut fields)?);
                }
                Message::Entries(entries)
            }
            4 => Message::Want,
            5 => Message::Prune,
            6 => Message::Join {
                capability: PublicKey::from_bytes(&fields.array::<32>()?)?,
                signature: Signature(fields.array()?),
                joiner: PublicKey::from_bytes(&fields.array::<32>()?)?,
            },
            7 => return Ok(Message::Wait(fields.text(MAX_WHY_LEN)?.to_owned())),
            8 => {
                let pair = [Entry::decode(&mut fields)?, Entry::decode(&mut fields)?];
                if pair.iter().any(|entry| entry.body.is_some()) {
                    return Err(Error::protocol("a FORK with bodies"));
                }
                let place = |entry: &Entry| (entry.header.group, entry.header.log, entry.header.seq);
                let [one, other] = &pair;
                if place(one) != place(other) || one.id == other.id {
                    return Err(Error::protocol("a FORK of entries that do not stand in one place"));
                }
                Message::Fork(Box::new(pair))
            }
            other => return Err(Error::protocol(format!("an unknown message {other:#04x}"))),
        };
        fields.end()?;
        Ok(message)
    }
}

/// Puts messages together from records.
#[derive(Default)]
pub struct Assembly {
    bytes: Vec<u8>,
}

impl Assembly {
    /// Takes the next record; a message when it is whole.
    ///
    /// # Errors
    /// An unknown type, a record without a body, a message over [`MAX_MESSAGE_LEN`], and those of [`Message::decode`].
    pub fn take(&mut self, record: &Record<'_>) -> Result<Option<Message>> {
        if !matches!(record.kind, kind::PART | kind::LAST) {
            return Err(Error::protocol(format!("a record of the unknown type {:#04x}", record.kind)));
        }
        if record.body.is_empty() || self.bytes.len() + record.body.len() > MAX_MESSAGE_LEN {
            return Err(Error::protocol(format!("a message beyond the limit of {MAX_MESSAGE_LEN} bytes, or empty")));
        }
        self.bytes.extend_from_slice(record.body);
        match record.kind {
            kind::PART => Ok(None),
            _ => Message::decode(&std::mem::take(&mut self.bytes)).map(Some),
        }
    }
}

#[cfg(test)]
mod tests;
