//! Messages that were opened: a log, under the storage key.

use super::Inbox;
use crate::error::{Error, Result};
use crate::json::{self, Bytes};
use crate::key::{KeyPair, PublicKey};
use crate::log::Log;
use crate::pair::Standing;
use crate::proto::inbox::{Content, Frame, KeyHash, Rki, SealedId};
use crate::seal::StorageKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The name of the log.
pub const OPENED: &str = "opened.jsonl";

/// Longest line of the log that is read: the largest message, twice in base64, and what stands around it.
const MAX_LINE_LEN: usize = 256 << 10;

/// How far back a message is looked for that a key may have opened.
const LOOK_BACK: u64 = 32 << 20;

/// Where in a line its id and key stand.
const HEAD_LEN: usize = 160;

/// A message that was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its id.
    pub id: SealedId,
    /// The one-time key that opened it.
    pub key: KeyHash,
    /// What we called the card.
    pub label: String,
    /// Whose it is: proven.
    pub from: PublicKey,
    /// When it was opened, by our clock, in milliseconds since 1970.
    pub stored: u64,
    /// What it says.
    pub frame: Frame,
    /// What came of it just now.
    pub handed: Handed,
}

/// What came of a message besides that it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// It is only to be read, or was handed on before.
    Nothing,
    /// It concerns kw-chat: this is what there is with its sender now.
    Standing(Standing),
    /// The same, and an invite of the sender's waits for our user: for a pair, or for new keys if there is one.
    Asks(Standing),
    /// It should concern kw-chat, and makes no sense.
    Nonsense(String),
}

/// A line of the log.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) id: SealedId,
    pub(super) key: KeyHash,
    stored: u64,
    /// A [`Letter`] under the storage key.
    sealed: Bytes,
}

/// What is sealed of a message.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    from: PublicKey,
    label: String,
    frame: Bytes,
}

impl Opened {
    pub(super) fn new(id: SealedId, key: KeyHash, label: &str, from: PublicKey, stored: u64, frame: Frame) -> Self {
        Opened { id, key, label: label.to_owned(), from, stored, frame, handed: Handed::Nothing }
    }

    /// The identifier of the one-time key that opened it.
    #[must_use]
    pub fn rki(&self) -> Rki {
        self.key.rki()
    }

    /// The text, if there is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.frame.content {
            Content::Text(text) => Some(text),
            Content::Invite { text, .. } => text.as_deref(),
            Content::Ack(_) => None,
        }
    }
}

impl Line {
    /// Reads a line as it stands in the log.
    fn read(line: &[u8]) -> Option<Self> {
        json::parse(line, MAX_LINE_LEN).ok()
    }

    /// What stands in it.
    pub(super) fn open(&self, storage: &StorageKey) -> Result<Opened> {
        let text = storage.open(&context(&self.id), &self.sealed)?;
        let Letter { from, label, frame } =
            json::parse(&text, MAX_LINE_LEN).map_err(|_| Error::state(format!("a message in {OPENED} is damaged")))?;
        let frame = Frame::decode(&frame.0)?;
        Ok(Opened::new(self.id, self.key, &label, from, self.stored, frame))
    }
}

impl Inbox {
    /// The last messages that were opened, at most `count`, oldest first. Lines that are damaged or another identity's are left
    /// out, and noted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn messages(&self, me: &KeyPair, count: usize) -> Result<Vec<Opened>> {
        let Some(lines) = self.log().lines()? else { return Ok(Vec::new()) };
        let storage = StorageKey::of(me);
        let mut found = Vec::new();
        for line in lines.backwards() {
            if found.len() == count {
                break;
            }
            match Line::read(&line?.1).map(|line| line.open(&storage)) {
                Some(Ok(opened)) => found.push(opened),
                _ => self.say_damaged(),
            }
        }
        found.reverse();
        Ok(found)
    }

    /// Stores a message; it is on the disk when this returns. The lock must be held.
    pub(super) fn keep(&self, storage: &StorageKey, opened: &Opened) -> Result<()> {
        let letter = Letter { from: opened.from, label: opened.label.clone(), frame: Bytes(opened.frame.encode()?) };
        let letter = Zeroizing::new(json::line(&letter)?);
        let sealed = storage.seal(&context(&opened.id), letter.as_bytes())?;
        let line = Line { id: opened.id, key: opened.key, stored: opened.stored, sealed };
        let mut log = self.log().writer()?;
        if log.cut_off() > 0 {
            let cut = "a line that was written half when a program died was cut off";
            self.0.notices.add(&self.0.dir.path(OPENED), cut);
        }
        log.add(&(json::line(&line)? + "\n"))?;
        log.sync()
    }

    /// The last `count` lines, of those that can be read.
    pub(super) fn last_lines(&self, count: usize) -> Result<Vec<Line>> {
        let Some(lines) = self.log().lines()? else { return Ok(Vec::new()) };
        let last: Vec<_> = lines.backwards().take(count).collect::<Result<_>>()?;
        Ok(last.iter().rev().filter_map(|(_, line)| Line::read(line)).collect())
    }

    /// The line of the message that a one-time key has opened, in the last [`LOOK_BACK`] bytes.
    pub(super) fn line_of(&self, key: &KeyHash) -> Result<Option<Line>> {
        let Some(lines) = self.log().lines()? else { return Ok(None) };
        let (name, end) = (key.to_string(), lines.bytes());
        for line in lines.backwards() {
            let (at, line) = line?;
            if end.saturating_sub(at) > LOOK_BACK {
                break;
            }
            // The key stands near the beginning, before all that is long.
            let head = line.get(..line.len().min(HEAD_LEN)).unwrap_or_default();
            if String::from_utf8_lossy(head).contains(&name) {
                return Ok(Line::read(&line));
            }
        }
        Ok(None)
    }

    fn log(&self) -> Log {
        Log::new(self.0.dir.clone(), OPENED, u64::MAX)
    }

    fn say_damaged(&self) {
        self.0.notices.add(
            &self.0.dir.path(OPENED),
            "there are lines in it that are damaged, or another identity's, and left out",
        );
    }
}

/// What a stored message is bound to.
fn context(id: &SealedId) -> [&[u8]; 2] {
    [b"keywire inbox message", &id.0]
}
