//! What there is with one peer, on disk: the log of messages and the state of their keys.
//!
//! Everything here takes the lock of the conversation's directory, works on what is on disk then, and has synced what it says
//! before it says it. keywire-files(5).

use super::Chat;
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::proto::chat::{Envelope, Hello, Message, MessageId, NotSaved, Open, OpenSaved, Saved};
use crate::ratchet::{Head, Meeting, Ratchet, Step};
use serde::Serialize;

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
        let _ = (ratchet, &self.chat);
        Err(Error::state("not built"))
    }

    /// Wipes the keys and what waits. The history stays.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn end(&self) -> Result<()> {
        Err(Error::state("not built"))
    }

    /// Looks at the keys, if there are any.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn keys<R>(&self, look: impl FnOnce(Option<&Ratchet>) -> R) -> Result<R> {
        Ok(look(None))
    }

    /// Stores messages of ours that are to be delivered: all are on disk when this returns. `open` ones go without the
    /// pair's keys.
    ///
    /// # Errors
    /// An id that was used for another text, too many that wait, no keys, a disk that takes no more. Then none is stored.
    pub fn queue(&self, drafts: &[Draft], open: bool) -> Result<Vec<Queued>> {
        let _ = (drafts, open);
        Err(Error::state("not built"))
    }

    /// The messages that wait, as they are sent, oldest first: `Envelope::Message` and `Envelope::Open`, but those with an id
    /// for which `skip` says so, and no more than `most`. Those whose time is over are taken out.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn waiting(&self, skip: impl Fn(&MessageId) -> bool, most: usize) -> Result<Vec<Envelope>> {
        let _ = (skip, most);
        Ok(Vec::new())
    }

    /// How many wait.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn count_waiting(&self) -> Result<usize> {
        Ok(0)
    }

    /// Takes messages of the peer: each is on disk when this returns, or the answer says that it is not. The answers stand
    /// in the order of `messages`: `chat-ack`, `chat-nak` or `chat-open-ack`, also for those that want none; the entries
    /// are those that are new.
    ///
    /// # Errors
    /// Nothing was stored, and nothing must be answered but that it cannot be now.
    pub fn receive(&self, messages: &[Incoming]) -> Result<(Vec<Envelope>, Vec<Entry>)> {
        let _ = messages;
        Err(Error::state("not built"))
    }

    /// The peer has saved messages of ours: which of them waited until now. One that does not prove it is left waiting.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn saved(&self, acks: &[Saved]) -> Result<Vec<MessageId>> {
        let _ = acks;
        Err(Error::state("not built"))
    }

    /// The same for open messages.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open_saved(&self, acks: &[OpenSaved]) -> Result<Vec<MessageId>> {
        let _ = acks;
        Err(Error::state("not built"))
    }

    /// A message of ours could not be opened by the peer (`no-key`, `used`, `damaged`): it is sealed anew in the newest
    /// epoch. `false` if it does not wait any more, or was sealed anew too often.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn seal_anew(&self, nak: &NotSaved) -> Result<bool> {
        let _ = nak;
        Err(Error::state("not built"))
    }

    /// Takes messages that wait out again.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn withdraw(&self, ids: &[MessageId]) -> Result<()> {
        let _ = ids;
        Err(Error::state("not built"))
    }

    /// A hello for the connection named `binding`; `None` without keys. `reconnected` at the beginning of a connection.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn hello(&self, binding: &[u8; 64], reconnected: bool) -> Result<Option<Step>> {
        let _ = (binding, reconnected);
        Ok(None)
    }

    /// Whether the newest epoch has lasted long enough.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn wants_step(&self) -> Result<bool> {
        Ok(false)
    }

    /// Compares the two hellos of a connection; a new epoch is on disk when this returns.
    ///
    /// # Errors
    /// Those of [`Ratchet::meet`], and it cannot be written.
    pub fn meet(&self, step: Step, theirs: &Hello, binding: &[u8; 64]) -> Result<Meeting> {
        let _ = (step, theirs, binding);
        Err(Error::state("not built"))
    }

    /// The last `count` messages, oldest first. It reads a bounded part of the log.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn last(&self, count: usize) -> Result<Vec<Entry>> {
        let _ = count;
        Ok(Vec::new())
    }

    /// The messages behind the place `seq`, oldest first, `count` at the most.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn after(&self, seq: u64, count: usize) -> Result<Vec<Entry>> {
        let _ = (seq, count);
        Ok(Vec::new())
    }

    /// Every message from the first on, one after the other.
    ///
    /// # Errors
    /// The log cannot be read, or `each` says no.
    pub fn each(&self, each: impl FnMut(Entry) -> Result<()>) -> Result<()> {
        drop(each);
        Ok(())
    }

    /// The place of the last message; 0 if there is none.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn last_seq(&self) -> Result<u64> {
        Ok(0)
    }

    /// The place of the last message that was stored before `millis` (since 1970), by our clock; 0 if there is none.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn seq_before(&self, millis: u64) -> Result<u64> {
        let _ = millis;
        Ok(0)
    }

    /// Forgets messages that were stored before `millis` (since 1970) and do not wait.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn forget_before(&self, millis: u64) -> Result<u64> {
        let _ = millis;
        Ok(0)
    }
}
