//! Entries: what a log consists of. keywire-protocol(7), GROUP, Entries.

use super::ids::{EntryId, GroupId, Inc, KeyId};
use crate::error::{Error, Result};
use crate::frame::Fields;
use crate::kdf;
use crate::key::{KeyPair, PublicKey};
use crate::sign::{self, SIGNATURE_LEN, Signature};
use std::fmt;

/// Most bytes of a body: the longest act on the roster of a full group; a text has at most [`super::MAX_TEXT_LEN`].
pub const MAX_BODY: usize = 160 << 10;

/// Most [`Dep`]s of an entry.
pub const MAX_DEPS: usize = 4;

/// The last clock and the last time: whoever has seen it can still write a later one.
const LATEST: u64 = i64::MAX.unsigned_abs();

/// Bytes of a header without its deps.
const HEADER_LEN: usize = 264;

/// Bytes of a [`Dep`].
const DEP_LEN: usize = 32;

/// What an entry's signature is for.
const PURPOSE: &str = "group-entry";

/// Whether there is such a place in a log: nobody writes so many entries that there is not another.
pub(super) fn is_place(seq: u64) -> bool {
    (1..=LATEST).contains(&seq)
}

/// What a log holds. Acts on the roster come before content wherever logs stand in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Acts of the owner or an admin on the roster.
    Roster,
    /// What a member says.
    Content,
}

/// Names a log: a member has one of each class, and new ones after its state was restored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId {
    /// What it holds.
    pub class: Class,
    /// Who writes it.
    pub author: PublicKey,
    /// Which of the author's.
    pub inc: Inc,
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.class, self.author.short(), self.inc)
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An act on the roster: [`super::roster::Act`] in JSON, in clear.
    Act,
    /// A message: text.
    Message,
    /// Where the author can be dialed: [`super::Addresses`] in JSON.
    Addresses,
    /// The author has left. No body.
    Leave,
}

/// What an author had last seen of another log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dep {
    /// Which log: the first 8 bytes of the hash of its author's key and `inc`.
    pub log: [u8; 8],
    /// Up to which entry.
    pub seq: u64,
    /// The first 16 bytes of that entry's id.
    pub id: [u8; 16],
}

impl LogId {
    /// How a [`Dep`] names this log.
    #[must_use]
    pub fn tag(&self) -> [u8; 8] {
        let hash = kdf::hash(&[self.author.as_bytes(), &self.inc.0]);
        let mut tag = [0; 8];
        tag.copy_from_slice(hash.get(..8).unwrap_or_default());
        tag
    }
}

/// What is signed of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The group.
    pub group: GroupId,
    /// The log it stands in.
    pub log: LogId,
    /// Its place there, from 1.
    pub seq: u64,
    /// The entry before it; zero for the first.
    pub prev: EntryId,
    /// Orders entries for display: later than all that the author had seen, and not before its clock. Milliseconds since 1970.
    pub clock: u64,
    /// When it was written, in milliseconds since 1970.
    pub time: u64,
    /// What it is.
    pub kind: Kind,
    /// The last act on the roster that the author knew; zero in an act.
    pub roster: EntryId,
    /// What its body is sealed under; zero if it is in clear.
    pub key: KeyId,
    /// Which entry it answers; zero if none.
    pub reply_to: EntryId,
    /// What the author had seen of other logs, newest first.
    pub deps: Vec<Dep>,
    /// Bytes of the body.
    pub body_len: u32,
    /// BLAKE2b-256 of the body.
    pub body_hash: [u8; 32],
}

impl Header {
    /// The bytes that are signed; [`Header::decode`] takes no others for it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.front();
        bytes.extend_from_slice(&self.body_len.to_be_bytes());
        bytes.extend_from_slice(&self.body_hash);
        bytes
    }

    /// All but the length and the hash of the body, which are known only once it is sealed: what its seal is bound to.
    #[must_use]
    pub fn front(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.deps.len() * DEP_LEN);
        bytes.push(1);
        bytes.extend_from_slice(&self.group.0);
        bytes.push(match self.log.class {
            Class::Roster => 0,
            Class::Content => 1,
        });
        bytes.extend_from_slice(self.log.author.as_bytes());
        bytes.extend_from_slice(&self.log.inc.0);
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.prev.0);
        bytes.extend_from_slice(&self.clock.to_be_bytes());
        bytes.extend_from_slice(&self.time.to_be_bytes());
        bytes.push(match self.kind {
            Kind::Act => 0,
            Kind::Message => 1,
            Kind::Addresses => 2,
            Kind::Leave => 3,
        });
        bytes.extend_from_slice(&self.roster.0);
        bytes.extend_from_slice(&self.key.0);
        bytes.extend_from_slice(&self.reply_to.0);
        bytes.push(u8::try_from(self.deps.len()).unwrap_or(u8::MAX));
        for dep in &self.deps {
            bytes.extend_from_slice(&dep.log);
            bytes.extend_from_slice(&dep.seq.to_be_bytes());
            bytes.extend_from_slice(&dep.id);
        }
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// Another version; a value that cannot be, or that its kind has no use for; too few or too many bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str| Error::protocol(format!("an entry with {what}"));
        let mut fields = Fields::new(bytes);
        match fields.u8()? {
            1 => {}
            other => return Err(wrong(&format!("the unknown version {other}"))),
        }
        let group = GroupId(fields.array()?);
        let class = match fields.u8()? {
            0 => Class::Roster,
            1 => Class::Content,
            other => return Err(wrong(&format!("the unknown class {other}"))),
        };
        let author = PublicKey::from_bytes(&fields.array::<32>()?)?;
        let log = LogId { class, author, inc: Inc(fields.array()?) };
        let seq = fields.u64()?;
        let prev = EntryId(fields.array()?);
        let clock = fields.u64()?;
        let time = fields.u64()?;
        let kind = match (fields.u8()?, class) {
            (0, Class::Roster) => Kind::Act,
            (1, Class::Content) => Kind::Message,
            (2, Class::Content) => Kind::Addresses,
            (3, Class::Content) => Kind::Leave,
            (other, _) => return Err(wrong(&format!("a kind ({other}) that its log cannot hold"))),
        };
        let (roster, key) = (EntryId(fields.array()?), KeyId(fields.array()?));
        let reply_to = EntryId(fields.array()?);
        let count = usize::from(fields.u8()?);
        if count > MAX_DEPS {
            return Err(wrong("too many deps"));
        }
        let mut deps = Vec::with_capacity(count);
        for _ in 0..count {
            deps.push(Dep { log: fields.array()?, seq: fields.u64()?, id: fields.array()? });
        }
        let body_len = fields.u32()?;
        let body_hash = fields.array()?;
        fields.end()?;
        if !is_place(seq) || (seq == 1) != prev.is_zero() {
            return Err(wrong("a place that does not fit the entry before it"));
        }
        if clock > LATEST || time > LATEST {
            return Err(wrong("a time that never comes"));
        }
        if deps.iter().any(|dep| !is_place(dep.seq)) {
            return Err(wrong("a dep on nothing"));
        }
        // What a kind has no use for is zero, so that nothing can be said there past those who read it.
        let bare = match kind {
            Kind::Act => roster.is_zero() && key.is_zero() && reply_to.is_zero() && deps.is_empty(),
            Kind::Message => true,
            Kind::Addresses => reply_to.is_zero(),
            Kind::Leave => key.is_zero() && reply_to.is_zero() && body_len == 0,
        };
        if !bare {
            return Err(wrong("more than its kind has"));
        }
        if usize::try_from(body_len).map_or(true, |length| length > MAX_BODY) {
            return Err(wrong(&format!("a body of {body_len} bytes, more than {MAX_BODY}")));
        }
        Ok(Header { group, log, seq, prev, clock, time, kind, roster, key, reply_to, deps, body_len, body_hash })
    }
}

/// An entry whose id and body are what its header says. Its signature is another question: [`Entry::is_signed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is signed.
    pub header: Header,
    /// BLAKE2b-256 of the header.
    pub id: EntryId,
    /// The author's.
    pub signature: Signature,
    /// The body as it stands on the wire and on disk: sealed, if the group seals. None if it was dropped.
    pub body: Option<Vec<u8>>,
}

impl Entry {
    /// Signs what `header` and `body` say; length and hash of the body are filled in.
    ///
    /// # Errors
    /// A body over [`MAX_BODY`]; a header that nobody would take; no random numbers.
    pub fn sign(me: &KeyPair, mut header: Header, body: Vec<u8>) -> Result<Self> {
        header.body_len = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_BODY).ok_or_else(|| {
            Error::usage(format!("{} bytes, more than the {MAX_BODY} that an entry holds", body.len()))
        })?;
        header.body_hash = kdf::hash_32(&[&body]);
        let bytes = header.encode();
        Header::decode(&bytes)?;
        let signature = sign::sign(me, PURPOSE, &bytes)?;
        Ok(Entry { header, id: EntryId(kdf::hash_32(&[&bytes])), signature, body: Some(body) })
    }

    /// Takes an entry apart that came from the wire or from disk.
    ///
    /// # Errors
    /// Those of [`Header::decode`]; and a body that is not the one of the header.
    pub fn of(header: &[u8], signature: Signature, body: Option<Vec<u8>>) -> Result<Self> {
        let id = EntryId(kdf::hash_32(&[header]));
        let header = Header::decode(header)?;
        if let Some(body) = &body {
            let fits = u32::try_from(body.len()).is_ok_and(|length| length == header.body_len);
            if !fits || kdf::hash_32(&[body]) != header.body_hash {
                return Err(Error::protocol("an entry with the body of another"));
            }
        }
        Ok(Entry { header, id, signature, body })
    }

    /// Whether its author has signed it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        sign::verify(&self.header.log.author, PURPOSE, &self.header.encode(), &self.signature)
    }

    /// On the wire: the header's length (u16), the header, the signature, 1 if the body follows and 0 if not, the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let header = self.header.encode();
        let mut bytes = Vec::with_capacity(3 + header.len() + SIGNATURE_LEN + self.body.as_ref().map_or(0, Vec::len));
        bytes.extend_from_slice(&u16::try_from(header.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.signature.0);
        bytes.push(u8::from(self.body.is_some()));
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// Reads the next entry of several in a row.
    ///
    /// # Errors
    /// Those of [`Entry::of`], and an end in the midst of it.
    pub fn decode(fields: &mut Fields<'_>) -> Result<Self> {
        let length = usize::from(fields.u16()?);
        let header = fields.slice(length)?;
        let signature = Signature(fields.array()?);
        let body = match fields.u8()? {
            0 => None,
            1 => {
                let length = header.get(header.len().saturating_sub(36)..).and_then(|end| end.first_chunk::<4>());
                let length = length.map_or(0, |length| u32::from_be_bytes(*length));
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > MAX_BODY {
                    return Err(Error::protocol(format!("an entry with a body of more than {MAX_BODY} bytes")));
                }
                Some(fields.slice(length)?.to_vec())
            }
            other => return Err(Error::protocol(format!("{other} where an entry says whether its body follows"))),
        };
        Entry::of(header, signature, body)
    }
}

#[cfg(test)]
mod tests;
