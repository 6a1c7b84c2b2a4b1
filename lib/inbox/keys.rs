//! One-time keys: which there are, and what became of each.

use super::Inbox;
use super::secrets::has_secrets;
use crate::error::{Error, Result};
use crate::key::{KeyPair, PublicKey};
use crate::proto::chat::InviteId;
use crate::proto::inbox::{Address, Card, KeyHash, MAX_USES, Rki, SealedId};
use crate::store::{Privacy, State, Store, Version};
use crate::term::is_unsafe;
use crate::trust::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// The name of the file that says what became of each key.
pub const KEYS: &str = "keys.json";

/// Most one-time keys that are live at a time: each is a message that somebody may send.
pub const MAX_LIVE: usize = 50;

/// Longest that a card is good for.
pub const MAX_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Most cards that are remembered: beyond that, the oldest of which no key is live is forgotten.
const MAX_CARDS: usize = 200;

/// Longest label of a card, in bytes.
const MAX_LABEL_LEN: usize = 200;

/// All cards of this user, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    version: Version,
    pub(super) cards: Vec<CardRow>,
}

/// A card of this user's, and what became of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardRow {
    /// What the user calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// When it was made.
    pub made: Time,
    /// From when on it is good for nothing.
    pub expires: Time,
    /// For whose answer it was made, if it was: it went along with a message to that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PublicKey>,
    /// The invite of ours that it went along with, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<InviteId>,
    /// The card, as text.
    pub card: String,
    /// Its one-time keys, in their order.
    pub keys: Vec<KeyRow>,
}

/// A one-time key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRow {
    /// Its hash, which begins with its identifier.
    pub key: KeyHash,
    /// What became of it.
    pub state: KeyState,
    /// Since when, if it is not live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Who used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<PublicKey>,
    /// The message it was used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<SealedId>,
}

/// What became of a one-time key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// A message may come for it.
    Live,
    /// A message was opened with it.
    Used,
    /// Its time was over.
    Expired,
    /// Our user has taken it back.
    Revoked,
}

/// What a new card is to be.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What the user calls it.
    pub label: String,
    /// How long it is good for.
    pub life: Duration,
    /// How many messages may be sealed to it.
    pub uses: usize,
    /// Where they are delivered.
    pub addresses: Vec<Address>,
}

impl State for Keys {
    const PRIVACY: Privacy = Privacy::Plain;

    fn check(&self) -> std::result::Result<(), String> {
        let mut seen = BTreeSet::new();
        for row in self.rows() {
            if !seen.insert(row.key) {
                return Err(format!("the one-time key {} stands in it twice", row.rki()));
            }
            let is_live = row.state == KeyState::Live;
            if is_live && (row.at.is_some() || row.by.is_some() || row.message.is_some())
                || !is_live && row.at.is_none()
            {
                return Err(format!("what it says of the one-time key {} cannot be", row.rki()));
            }
        }
        match self.cards.iter().find(|card| card.keys.is_empty() || card.keys.len() > MAX_USES) {
            Some(card) => Err(format!("a card with {} one-time keys", card.keys.len())),
            None => Ok(()),
        }
    }
}

impl KeyRow {
    /// Its identifier.
    #[must_use]
    pub fn rki(&self) -> Rki {
        self.key.rki()
    }

    fn end(&mut self, state: KeyState, at: Time) {
        (self.state, self.at) = (state, Some(at));
    }
}

impl CardRow {
    /// The card itself.
    ///
    /// # Errors
    /// Somebody has edited it.
    pub fn card(&self) -> Result<Card> {
        self.card.parse().map_err(|why: Error| {
            Error::state(format!("a card in {KEYS} cannot be used: {why}")).hint("put back a copy, or revoke its keys")
        })
    }

    /// Whether a message may still come for it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.keys.iter().any(|row| row.state == KeyState::Live)
    }

    /// Takes its live keys back.
    pub(super) fn revoke(&mut self, now: Time) {
        self.keys.iter_mut().filter(|row| row.state == KeyState::Live).for_each(|row| row.end(KeyState::Revoked, now));
    }
}

impl Keys {
    pub(super) fn load(dir: &Store) -> Result<Self> {
        match dir.read(KEYS)? {
            Some(keys) => Ok(keys),
            // Without it they would all be wiped, as those of keys that nobody knows.
            None if has_secrets(dir)? => Err(Error::state(format!(
                "{} is not there, and the secrets of its keys are",
                dir.path(KEYS).display()
            ))
            .hint(
                "put it back; or remove the directory 'keys' beside it, and with it what is on its way to those keys",
            )),
            None => Ok(Keys::default()),
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &KeyRow> {
        self.cards.iter().flat_map(|card| &card.keys)
    }

    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut KeyRow> {
        self.cards.iter_mut().flat_map(|card| &mut card.keys)
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &KeyRow> {
        self.rows().filter(|row| row.state == KeyState::Live)
    }

    /// Ends the keys whose time is over; whether there were any.
    pub(super) fn expire(&mut self, now: Time) -> bool {
        let over = self.cards.iter_mut().filter(|card| card.expires <= now);
        let mut any = false;
        for row in over.flat_map(|card| &mut card.keys).filter(|row| row.state == KeyState::Live) {
            row.end(KeyState::Expired, now);
            any = true;
        }
        any
    }
}

impl Inbox {
    /// Saves what has changed, then wipes the secrets of keys that are not live. In this order: a key that is said to be live
    /// has its secret, and one that is not may have it only until the next look.
    pub(super) fn save(&self, keys: &Keys) -> Result<()> {
        self.0.dir.write(KEYS, keys)?;
        self.0.dir.settle(KEYS)?;
        self.wipe(keys);
        Ok(())
    }

    /// All cards that are remembered, oldest first, as they stand now.
    ///
    /// # Errors
    /// The file cannot be read, or written if the time of a key is over.
    pub fn cards(&self) -> Result<Vec<CardRow>> {
        let _lock = self.lock()?;
        self.swept().map(|keys| keys.cards)
    }

    /// A new card of `me`: its secrets are on the disk before it is there.
    ///
    /// # Errors
    /// What is wished for is too much, or cannot be written; nothing is left of it then.
    pub fn make_card(&self, me: &KeyPair, wish: Wish) -> Result<Card> {
        let _lock = self.lock()?;
        self.make_card_for(me, wish, None)
    }

    /// The same under the lock; `answer` is whose answer it is for, and to which invite, if it is for one.
    pub(super) fn make_card_for(
        &self,
        me: &KeyPair,
        wish: Wish,
        answer: Option<(PublicKey, InviteId)>,
    ) -> Result<Card> {
        if wish.label.len() > MAX_LABEL_LEN || wish.label.contains(is_unsafe) {
            return Err(Error::usage(format!("a label has at most {MAX_LABEL_LEN} bytes, and no control characters")));
        }
        if wish.life > MAX_LIFE || wish.life < Duration::from_secs(1) {
            return Err(Error::usage(format!("a card is good for 1s to {}d", MAX_LIFE.as_secs() / 86_400))
                .hint("whoever still needs one after that asks for a new one"));
        }
        let mut keys = self.swept()?;
        let live = keys.live().count();
        if wish.uses == 0 || wish.uses + live > MAX_LIVE {
            let more = format!("{live} one-time keys are live; with {} more they would be over {MAX_LIVE}", wish.uses);
            return Err(Error::no(more)
                .hint("'kw-inbox cards' shows them; 'kw-inbox revoke' takes those back that nobody will use"));
        }
        let pairs: Vec<KeyPair> = (0..wish.uses).map(|_| KeyPair::generate()).collect::<Result<_>>()?;
        let (made, public) = (self.time(), pairs.iter().map(KeyPair::public).collect());
        let expires = made.after(wish.life);
        let card = Card::make(me, public, expires, wish.addresses)?;
        let rows = pairs
            .iter()
            .map(|pair| KeyRow {
                key: KeyHash::of(&pair.public()),
                state: KeyState::Live,
                at: None,
                by: None,
                message: None,
            })
            .collect();
        if keys.cards.is_empty() {
            // Secrets without it are those of somebody who lost it.
            self.save(&keys)?;
        }
        self.keep_secrets(me, &pairs)?;
        let (peer, invite) = answer.unzip();
        keys.cards.push(CardRow { label: wish.label, made, expires, peer, invite, card: card.to_string(), keys: rows });
        let mut over = keys.cards.len().saturating_sub(MAX_CARDS);
        keys.cards.retain(|card| {
            let goes = over > 0 && !card.is_live();
            over -= usize::from(goes);
            !goes
        });
        self.save(&keys)?;
        Ok(card)
    }

    /// Takes back the live keys that `rki` names; how many.
    ///
    /// # Errors
    /// There is none, or it cannot be written.
    pub fn revoke(&self, rki: Rki) -> Result<usize> {
        let mut found = None;
        let count = self.revoke_where(|row| {
            let is_it = row.rki() == rki;
            found = if is_it { Some(row.state) } else { found };
            is_it
        })?;
        match (count, found) {
            (0, None) => {
                Err(Error::no(format!("there is no one-time key {rki}")).hint("'kw-inbox cards' shows those there are"))
            }
            (0, Some(state)) => Err(Error::no(format!("the one-time key {rki} is not live: it is {state}"))),
            (count, _) => Ok(count),
        }
    }

    /// Takes back all live keys; how many.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn revoke_all(&self) -> Result<usize> {
        self.revoke_where(|_| true)
    }

    fn revoke_where(&self, mut is_it: impl FnMut(&KeyRow) -> bool) -> Result<usize> {
        let _lock = self.lock()?;
        let (mut keys, now) = (self.swept()?, self.time());
        let mut count = 0;
        for row in keys.rows_mut() {
            if is_it(row) && row.state == KeyState::Live {
                row.end(KeyState::Revoked, now);
                count += 1;
            }
        }
        if count > 0 {
            self.save(&keys)?;
        }
        Ok(count)
    }

    /// The keys as they stand now, under the lock: what is over has ended, and nothing is left of what somebody who died began.
    pub(super) fn swept(&self) -> Result<Keys> {
        let mut keys = Keys::load(&self.0.dir)?;
        self.sweep(&mut keys)?;
        Ok(keys)
    }

    /// Ends what is over, and wipes what is left.
    pub(super) fn sweep(&self, keys: &mut Keys) -> Result<()> {
        if keys.expire(self.time()) {
            return self.save(keys);
        }
        self.wipe(keys);
        Ok(())
    }
}

impl std::fmt::Display for KeyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            KeyState::Live => "live",
            KeyState::Used => "used",
            KeyState::Expired => "expired",
            KeyState::Revoked => "revoked",
        })
    }
}
