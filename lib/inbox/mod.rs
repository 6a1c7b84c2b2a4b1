//! First contact with someone who is offline: cards of one-time keys, and the messages that are sealed to them.
//!
//! [`Inbox`] is this user's side: its cards, what was opened, what was sealed. It knows no connection. kw-inbox(1),
//! keywire-files(5), keywire-protocol(7).

mod answers;
pub mod carry;
pub mod door;
pub mod dropbox;
mod keys;
mod open;
mod opened;
mod seal;
mod secrets;
mod sent;
mod service;
#[cfg(test)]
mod tests;

pub use answers::{ANSWERS, Due};
pub use keys::{CardRow, KEYS, KeyRow, KeyState, MAX_LIFE, MAX_LIVE, Wish};
pub use open::NotOpened;
pub use opened::{Handed, OPENED, Opened};
pub use seal::{Greeting, Sealing};
pub use sent::SENT;
pub use service::{Outcome, Recipient};

use crate::chat::{Chat, Clock};
use crate::error::Result;
use crate::key::KeyPair;
use crate::log::Notices;
use crate::proto::inbox::Card;
use crate::store::Store;
use crate::trust::{self, Time};
use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

/// The directory in the state directory.
pub const INBOX_DIR: &str = "inbox";

/// This user's side of first contact. Cheap to clone.
#[derive(Clone)]
pub struct Inbox(Arc<Inner>);

struct Inner {
    store: Store,
    dir: Store,
    clock: Clock,
    notices: Notices,
}

impl Inbox {
    /// What there is in the state directory `store`. Whose it is matters only where a key is used.
    ///
    /// # Errors
    /// The directory cannot be made, or is not ours alone.
    pub fn open(store: Store, clock: Clock) -> Result<Self> {
        let dir = store.below(INBOX_DIR)?;
        Ok(Inbox(Arc::new(Inner { store, dir, clock, notices: Notices::default() })))
    }

    /// What was found on the disk since this was last asked and the user should know, as lines without line ends.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.0.notices.take()
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.0.clock)()
    }

    fn time(&self) -> Time {
        Time::of(self.now())
    }

    /// What time it is, in milliseconds since 1970.
    fn millis(&self) -> u64 {
        trust::millis(self.now())
    }

    /// The conversations of the same user.
    fn chat(&self, me: &Arc<KeyPair>) -> Result<Chat> {
        Chat::open(self.0.store.clone(), me.clone(), self.0.clock.clone())
    }

    /// Waits until nobody else changes what is there; until the file is dropped, nobody does.
    fn lock(&self) -> Result<File> {
        self.0.dir.lock()
    }
}

/// What is hashed before the first message of a handshake: the version of this protocol, and the card as it was given away.
fn prologue(card: &Card) -> Vec<u8> {
    [b"keywire-inbox/1", card.bytes()].concat()
}
