//! A line of `log.jsonl`: a message, or a mark that says what became of one. See keywire-files(5).

use super::{Entry, Side, Stage};
use crate::error::{Error, Result};
use crate::json::{self, Bytes};
use crate::key::PublicKey;
use crate::proto::chat::MessageId;
use crate::seal::StorageKey;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use zeroize::Zeroizing;

/// Marks are shorter than this, and messages longer: their text alone is.
const MARK_LEN: usize = 64;

/// A message, its text sealed under the storage key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    pub(super) seq: u64,
    pub(super) side: Side,
    pub(super) id: MessageId,
    pub(super) time: u64,
    pub(super) stored: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reply_to: Option<MessageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ep: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) n: Option<u64>,
    pub(super) sealed: bool,
    #[serde(borrow)]
    pub(super) text: Cow<'a, str>,
}

/// What became of the message of ours that has the place `seq`, and when, in milliseconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    pub(super) seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acked: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expired: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    withdrawn: Option<u64>,
}

/// What may become of a message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The peer has saved it.
    Acked,
    /// Its time was over.
    Expired,
    /// It was taken back; it may be sent again under its id.
    Withdrawn,
}

/// One of them.
#[derive(Debug)]
pub(super) enum Record<'a> {
    Message(Line<'a>),
    Mark(u64, Fate),
}

impl<'a> Record<'a> {
    /// Reads a line; `None` if it is damaged.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        if line.len() >= MARK_LEN {
            return json::parse(line, line.len()).ok().map(Record::Message);
        }
        let mark: Mark = json::parse(line, line.len()).ok()?;
        let fate = match (mark.acked, mark.expired, mark.withdrawn) {
            (Some(_), None, None) => Fate::Acked,
            (None, Some(_), None) => Fate::Expired,
            (None, None, Some(_)) => Fate::Withdrawn,
            _ => return None,
        };
        Some(Record::Mark(mark.seq, fate))
    }
}

impl Mark {
    pub(super) fn new(seq: u64, fate: Fate, now: u64) -> Self {
        let at = |this: Fate| (fate == this).then_some(now);
        Mark { seq, acked: at(Fate::Acked), expired: at(Fate::Expired), withdrawn: at(Fate::Withdrawn) }
    }
}

impl Fate {
    /// How the user sees it.
    pub(super) fn stage(self) -> Stage {
        match self {
            Fate::Acked => Stage::Acked,
            Fate::Expired | Fate::Withdrawn => Stage::Expired,
        }
    }
}

/// The key and the names under which texts of one conversation are sealed.
pub(super) struct Texts<'a> {
    pub(super) storage: &'a StorageKey,
    pub(super) me: PublicKey,
    pub(super) peer: PublicKey,
}

impl Texts<'_> {
    /// What binds a text to its place: it opens in no other line.
    fn context<R>(&self, side: Side, id: &MessageId, seq: u64, then: impl FnOnce(&[&[u8]]) -> R) -> R {
        let side: &[u8] = match side {
            Side::In => b"in",
            Side::Out => b"out",
        };
        let (me, peer) = (self.me, self.peer);
        let seq = seq.to_be_bytes();
        then(&[b"keywire chat text", me.as_bytes(), peer.as_bytes(), side, id.as_str().as_bytes(), &seq])
    }

    /// Seals `text` for the line of that message.
    pub(super) fn seal(&self, side: Side, id: &MessageId, seq: u64, text: &[u8]) -> Result<Cow<'static, str>> {
        let sealed = self.context(side, id, seq, |context| self.storage.seal(context, text))?;
        Ok(Cow::Owned(BASE64.encode(&sealed.0)))
    }

    /// Opens the text of `line`.
    pub(super) fn open(&self, line: &Line<'_>) -> Result<Zeroizing<Vec<u8>>> {
        let sealed =
            BASE64.decode(line.text.as_bytes()).map_err(|_| Error::state("a text that is stored is damaged"))?;
        self.context(line.side, &line.id, line.seq, |context| self.storage.open(context, &Bytes(sealed)))
    }

    /// What the user sees of `line`.
    pub(super) fn entry(&self, line: Line<'_>, stage: Option<Stage>) -> Result<Entry> {
        let text = self.open(&line)?;
        let text = std::str::from_utf8(&text).map_err(|_| Error::state("a text that is stored is damaged"))?;
        Ok(Entry {
            seq: line.seq,
            peer: self.peer,
            side: line.side,
            id: line.id,
            time: line.time,
            stored: line.stored,
            reply_to: line.reply_to,
            stage,
            sealed: line.sealed,
            text: text.to_owned(),
        })
    }
}

/// The id in a line as it is written here, without reading the rest of it; `None` if it must be read.
pub(super) fn id_at_a_glance(line: &[u8]) -> Option<&str> {
    const BEFORE: &[u8] = b"\"id\":\"";
    let head = line.get(..80)?;
    let at = head.windows(BEFORE.len()).position(|piece| piece == BEFORE)?;
    let rest = line.get(at + BEFORE.len()..)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(rest.get(..end)?).ok()
}
