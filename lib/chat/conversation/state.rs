//! `state.json`: what must be known of a conversation to go on with it. See keywire-files(5).

use super::recent::Recent;
use super::record::Line;
use crate::error::{Error, Result};
use crate::json::{self, Bytes};
use crate::key::PublicKey;
use crate::proto::chat::MessageId;
use crate::ratchet::{Head, Ratchet, Slot};
use crate::seal::StorageKey;
use crate::store::{Privacy, State, Store, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The name of the file in the conversation's directory.
pub(super) const STATE: &str = "state.json";

/// Bytes of log that the messages of a peer may take in a day.
pub(super) const MAX_DAY: u64 = 256 << 20;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// The contents of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    version: Version,
    /// The other key.
    key: PublicKey,
    /// The place of the next message.
    pub(super) next_seq: u64,
    /// How many bytes of the log are accounted for here.
    pub(super) log_len: u64,
    /// The day since 1970 on which a message came last.
    day: u64,
    /// Bytes of log that the peer's messages took on that day.
    received: u64,
    /// The peer's last messages.
    pub(super) recent: Recent,
    /// The newest time of a message that is no longer among those.
    pub(super) forgotten: u64,
    /// Messages of ours that wait, oldest first.
    pub(super) waiting: Vec<Waiting>,
    /// The keys, sealed under the storage key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<Bytes>,
}

/// A message of ours that waits. Its text is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    pub(super) id: MessageId,
    pub(super) seq: u64,
    /// Where its line begins in the log. If it does not, the line is looked for.
    pub(super) at: u64,
    ack: bool,
    time: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<MessageId>,
    /// Whether it goes without the pair's keys.
    pub(super) open: bool,
    /// How often it was sealed anew.
    pub(super) anew: u32,
}

/// The keys of the pair, and those of the messages that have a number already.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    pub(super) ratchet: Ratchet,
    pub(super) slots: BTreeMap<MessageId, Slot>,
}

impl State for Kept {
    const PRIVACY: Privacy = Privacy::Secret;
}

impl Kept {
    /// The state of the conversation with `peer` in `dir`, if there is one.
    pub(super) fn load(dir: &Store, peer: &PublicKey) -> Result<Option<Self>> {
        let kept: Option<Kept> = dir.read(STATE)?;
        match kept {
            Some(kept) if kept.key != *peer => {
                let path = dir.path(STATE);
                Err(Error::state(format!("{} is that of another conversation, with {}", path.display(), kept.key))
                    .hint("put it back where it belongs"))
            }
            kept => Ok(kept),
        }
    }

    pub(super) fn new(peer: PublicKey) -> Self {
        Kept {
            version: Version,
            key: peer,
            next_seq: 1,
            log_len: 0,
            day: 0,
            received: 0,
            recent: Recent::default(),
            forgotten: 0,
            waiting: Vec::new(),
            keys: None,
        }
    }

    /// The keys; `None` if there are none.
    pub(super) fn open_keys(&self, dir: &Store, storage: &StorageKey, me: &PublicKey) -> Result<Option<Keys>> {
        let Some(sealed) = &self.keys else { return Ok(None) };
        let cannot = |why: String| Error::state(format!("{} cannot be used: {why}", dir.path(STATE).display()));
        let text = storage.open(&context(me, &self.key), sealed).map_err(|why| cannot(why.to_string()))?;
        json::parse(&text, text.len()).map(Some).map_err(|_| cannot("its keys are damaged".to_owned()))
    }

    pub(super) fn seal_keys(&mut self, keys: Option<&Keys>, storage: &StorageKey, me: &PublicKey) -> Result<()> {
        self.keys = match keys {
            None => None,
            Some(keys) => {
                let text = Zeroizing::new(json::line(keys)?);
                Some(storage.seal(&context(me, &self.key), text.as_bytes())?)
            }
        };
        Ok(())
    }

    /// How many bytes of log the peer's messages may still take at the time `now`.
    pub(super) fn room(&self, now: u64) -> u64 {
        if now / DAY == self.day { MAX_DAY.saturating_sub(self.received) } else { MAX_DAY }
    }

    /// Takes `bytes` of what the peer may take today.
    pub(super) fn charge(&mut self, bytes: u64, now: u64) {
        if now / DAY != self.day {
            (self.day, self.received) = (now / DAY, 0);
        }
        self.received = self.received.saturating_add(bytes);
    }

    /// Takes up a message of the peer that takes `bytes` of the log.
    pub(super) fn took(&mut self, id: &MessageId, time: u64, bytes: u64, now: u64) {
        self.charge(bytes, now);
        self.recent.add(id, time, now, &mut self.forgotten);
    }
}

impl Waiting {
    /// A message that stands at `at` in the log.
    pub(super) fn new(head: &Head, seq: u64, at: u64, open: bool) -> Self {
        let Head { id, ack, time, ttl, reply_to } = head.clone();
        Waiting { id, seq, at, ack, time, ttl, reply_to, open, anew: 0 }
    }

    /// A message that is in the log, and not in the state: whoever stored it died between the two.
    pub(super) fn found(line: &Line<'_>, at: u64) -> Self {
        let (ttl, reply_to) = (line.ttl, line.reply_to.clone());
        let head = Head { id: line.id.clone(), ack: true, time: line.time, ttl, reply_to };
        Waiting::new(&head, line.seq, at, !line.sealed)
    }

    pub(super) fn head(&self) -> Head {
        let Waiting { id, ack, time, ttl, reply_to, .. } = self.clone();
        Head { id, ack, time, ttl, reply_to }
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.ttl.is_some_and(|ttl| self.time.saturating_add(ttl.saturating_mul(1000)) <= now)
    }
}

fn context<'a>(me: &'a PublicKey, peer: &'a PublicKey) -> [&'a [u8]; 3] {
    [b"keywire chat state", me.as_bytes(), peer.as_bytes()]
}
