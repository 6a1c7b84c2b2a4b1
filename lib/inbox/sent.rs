//! Which one-time keys of others' cards we have sealed to: the next message takes another one.

use super::Inbox;
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::proto::inbox::{Card, KeyHash};
use crate::random;
use crate::store::{Privacy, State, Version};
use crate::trust::Time;
use serde::{Deserialize, Serialize};

/// The name of the file.
pub const SENT: &str = "sent.json";

/// Most keys that are remembered; beyond that the oldest is forgotten.
const MAX_SENT: usize = 1000;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    version: Version,
    sent: Vec<Row>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    key: KeyHash,
    at: Time,
    expires: Time,
}

impl State for Sent {
    const PRIVACY: Privacy = Privacy::Plain;
}

impl Inbox {
    /// Takes a one-time key of a card for one more message, and when we took it before, if we did. The lock must be held.
    pub(super) fn take_key(&self, card: &Card) -> Result<(PublicKey, Option<Time>)> {
        let (now, dir) = (self.time(), &self.0.dir);
        let mut sent: Sent = dir.read(SENT)?.unwrap_or_default();
        sent.sent.retain(|row| row.expires > now);
        // Where in the list, which is in order: many may be sealed in one second.
        let before = |key: &PublicKey| sent.sent.iter().rposition(|row| row.key == KeyHash::of(key));
        // Somebody else may have the same card: beginning anywhere, two rarely take the same key.
        let keys = card.keys();
        let [chance] = random::bytes()?;
        let start = usize::from(chance) % keys.len();
        let (later, earlier) = keys.split_at_checked(start).unwrap_or((keys, &[]));
        let taken = earlier.iter().chain(later).map(|key| (*key, before(key))).min_by_key(|(_, place)| *place);
        let (key, place) = taken.ok_or_else(|| Error::state("a card without a key"))?;
        let at = place.and_then(|place| sent.sent.get(place)).map(|row| row.at);
        sent.sent.push(Row { key: KeyHash::of(&key), at: now, expires: card.expires() });
        let over = sent.sent.len().saturating_sub(MAX_SENT);
        sent.sent.drain(..over);
        dir.write(SENT, &sent)?;
        dir.settle(SENT)?;
        Ok((key, at))
    }
}
