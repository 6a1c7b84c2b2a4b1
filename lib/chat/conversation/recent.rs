//! Which messages came lately: each is delivered once, under whatever number it comes again.

use crate::json::Bytes;
use crate::kdf;
use crate::proto::chat::MessageId;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many are remembered. A sender has no more that wait, and sends those first.
const MOST: usize = 1000;

/// Clocks differ by less than this, in milliseconds: a message from later than that says nothing by its time.
const SKEW: u64 = 24 * 60 * 60 * 1000;

/// The last messages that came: of each the beginning of its id's hash, and its time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Bytes", try_from = "Bytes")]
pub(super) struct Recent(VecDeque<(u64, u64)>);

impl Recent {
    pub(super) fn holds(&self, id: &MessageId) -> bool {
        let name = name(id);
        self.0.iter().any(|(one, _)| *one == name)
    }

    /// Whether a message from `time` that is not among these may have come before them. The time is the sender's, and the
    /// same however often the message is sealed: one that is younger than all that were forgotten is new.
    pub(super) fn may_have_forgotten(&self, time: u64, now: u64, forgotten: u64) -> bool {
        self.0.len() >= MOST && (time <= forgotten || time > now.saturating_add(SKEW))
    }

    /// Remembers a message from `time`. The newest time that had to make room for it is kept in `forgotten`.
    pub(super) fn add(&mut self, id: &MessageId, time: u64, now: u64, forgotten: &mut u64) {
        self.0.push_back((name(id), time));
        while self.0.len() > MOST {
            let time = self.0.pop_front().map_or(0, |(_, time)| time);
            if time <= now.saturating_add(SKEW) {
                *forgotten = time.max(*forgotten);
            }
        }
    }
}

fn name(id: &MessageId) -> u64 {
    let hash = kdf::hash(&[id.as_str().as_bytes()]);
    hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

impl From<Recent> for Bytes {
    fn from(recent: Recent) -> Self {
        Bytes(recent.0.iter().flat_map(|(name, time)| [name.to_be_bytes(), time.to_be_bytes()]).flatten().collect())
    }
}

impl TryFrom<Bytes> for Recent {
    type Error = &'static str;

    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        let (rows, rest) = bytes.0.as_chunks::<16>();
        if !rest.is_empty() || rows.len() > MOST {
            return Err("the list of recent messages has a wrong length");
        }
        let row = |row: &[u8; 16]| {
            let both = u128::from_be_bytes(*row);
            let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
            (half(both >> 64), half(both))
        };
        Ok(Recent(rows.iter().map(row).collect()))
    }
}
