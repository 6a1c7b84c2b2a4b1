//! What there is with one peer, on disk: the log of messages and the state of their keys.
//!
//! Everything here takes the lock of the conversation's directory, works on what is on disk then, and has synced what it says
//! before it says it. keywire-files(5).

mod forget;
mod history;
mod receive;
mod recent;
mod record;
mod send;
mod state;
#[cfg(test)]
mod tests;
mod work;

use self::record::{Fate, Texts};
use self::state::{Kept, Keys};
use self::work::Work;
use super::{CHAT_DIR, Chat};
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::log::{Lines, Log};
use crate::proto::chat::{Hello, Message, MessageId, Open};
use crate::ratchet::{Head, Meeting, Ratchet, Step};
use crate::seal::StorageKey;
use crate::store::Store;
use crate::trust;
use serde::Serialize;
use std::collections::BTreeMap;

/// The name of the log in the conversation's directory.
const LOG: &str = "log.jsonl";

/// How far back in the log a message is looked for that may have come, or been sent, before.
const LOOK_BACK: u64 = 32 << 20;

/// The conversation with one peer.
#[derive(Clone)]
pub struct Conversation {
    chat: Chat,
    peer: PublicKey,
}

/// A message of ours that is to be sent.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What goes with the text.
    pub head: Head,
    /// The text.
    pub text: String,
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The peer.
    In,
    /// We.
    Out,
}

/// How far a message of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It waits for a connection, or for the peer's word.
    Queued,
    /// The peer has saved it.
    Acked,
    /// Its time was over before it could be delivered.
    Expired,
}

/// A message as it is stored, opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Entry {
    /// Its place in this conversation's log: from 1, and growing.
    pub seq: u64,
    /// The other key.
    pub peer: PublicKey,
    /// Who wrote it.
    pub side: Side,
    /// Its id.
    pub id: MessageId,
    /// When it was written, by the writer's clock, in milliseconds since 1970.
    pub time: u64,
    /// When it was stored, by our clock, in milliseconds since 1970.
    pub stored: u64,
    /// Which message it answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply_to: Option<MessageId>,
    /// How far it is, if it is ours.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stage: Option<Stage>,
    /// Whether it was sealed under the pair's keys; an open one was not.
    pub sealed: bool,
    /// The text, exactly as it was written.
    pub text: String,
}

/// A message from the peer.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// Under the pair's keys.
    Sealed(Message),
    /// Under the connection's alone.
    Open(Open),
}

/// What became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It waits to be delivered.
    Waiting,
    /// The same id was used before, for the same text: this is how far that one is.
    Known(Stage),
}

impl Conversation {
    pub(super) fn new(chat: Chat, peer: PublicKey) -> Self {
        Conversation { chat, peer }
    }

    /// The other key.
    #[must_use]
    pub fn peer(&self) -> PublicKey {
        self.peer
    }

    /// Puts new keys in place of those that were there. Messages that wait are sealed anew under them.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn begin(&self, ratchet: Ratchet) -> Result<()> {
        let mut work = Work::begin(self)?;
        work.keys = Some(Keys { ratchet, slots: BTreeMap::new() });
        for waiting in &mut work.kept.waiting {
            // One that was to go without keys has some now: it must not go without them.
            (waiting.open, waiting.anew) = (false, 0);
        }
        work.save(false)
    }

    /// Wipes the keys and what waits. The history stays.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn end(&self) -> Result<()> {
        if self.look_dir()?.is_none() {
            return Ok(());
        }
        let mut work = Work::begin(self)?;
        while !work.kept.waiting.is_empty() {
            work.settle(0, Fate::Withdrawn)?;
        }
        work.keys = None;
        work.save(true)
    }

    /// Looks at the keys, if there are any.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn keys<R>(&self, look: impl FnOnce(Option<&Ratchet>) -> R) -> Result<R> {
        let keys = match self.kept()? {
            Some((dir, kept)) => kept.open_keys(&dir, self.storage(), &self.me())?,
            None => None,
        };
        Ok(look(keys.as_ref().map(|keys| &keys.ratchet)))
    }

    /// A hello for the connection named `binding`; `None` without keys. It asks for a new epoch if one is due at the beginning
    /// of a connection, or if there `must` be one.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn hello(&self, binding: &[u8; 64], must: bool) -> Result<Option<Step>> {
        let now = self.now() / 1000;
        self.keys(|keys| keys.map(|keys| keys.hello(binding, must || keys.is_due(now, true))).transpose())?
    }

    /// Whether the newest epoch has lasted long enough.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn wants_step(&self) -> Result<bool> {
        let now = self.now() / 1000;
        self.keys(|keys| keys.is_some_and(|keys| keys.is_due(now, false)))
    }

    /// Compares the two hellos of a connection; a new epoch is on disk when this returns.
    ///
    /// # Errors
    /// Those of [`Ratchet::meet`], no keys, and it cannot be written.
    pub fn meet(&self, step: Step, theirs: &Hello, binding: &[u8; 64]) -> Result<Meeting> {
        let mut work = Work::begin(self)?;
        let now = work.now / 1000;
        let Some(keys) = &mut work.keys else {
            return Err(Error::state(format!("there are no keys for messages with {}", self.peer)));
        };
        let meeting = keys.ratchet.meet(step, theirs, binding, now)?;
        if meeting.stepped {
            work.save(false)?;
        }
        Ok(meeting)
    }

    /// The state, if there is one, and the directory. No lock is taken for it.
    fn kept(&self) -> Result<Option<(Store, Kept)>> {
        let Some(dir) = self.look_dir()? else { return Ok(None) };
        Ok(Kept::load(&dir, &self.peer)?.map(|kept| (dir, kept)))
    }

    /// The directory, if it is there.
    fn look_dir(&self) -> Result<Option<Store>> {
        match self.chat.store().look_below(CHAT_DIR)? {
            Some(dir) => dir.look_below(&self.peer.to_string()),
            None => Ok(None),
        }
    }

    fn make_dir(&self) -> Result<Store> {
        self.chat.store().below(CHAT_DIR)?.below(&self.peer.to_string())
    }

    fn log(&self, dir: &Store) -> Log {
        Log::new(dir.clone(), LOG, u64::MAX)
    }

    fn storage(&self) -> &StorageKey {
        &self.chat.0.storage
    }

    fn me(&self) -> PublicKey {
        self.chat.me().public()
    }

    fn texts(&self) -> Texts<'_> {
        Texts { storage: self.storage(), me: self.me(), peer: self.peer }
    }

    /// What time it is, in milliseconds since 1970.
    fn now(&self) -> u64 {
        trust::millis(self.chat.now())
    }

    fn say_damaged(&self, lines: &Lines) {
        self.chat.notice(lines.path(), "there are lines in it that are damaged, and left out");
    }
}
