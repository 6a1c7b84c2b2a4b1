//! One-to-one messages: what is stored of them, and how they are delivered.
//!
//! [`Chat`] is this user's side of it; [`Conversation`] is what there is with one peer, on disk; [`Engine`] carries
//! messages over connections in either direction. kw-chat(1), keywire-files(5).

mod config;
mod conversation;
mod cursors;
mod engine;
mod hear;
#[cfg(test)]
mod tests;

pub use config::{CONFIG, Config, GroupSettings, InboxSettings, Pairing};
pub use conversation::{Conversation, Draft, Entry, Incoming, Queued, Side, Stage};
pub use cursors::{CURSORS, Cursors};
pub(crate) use cursors::{MAX_CURSORS, checked_cursor_name, is_cursor_name};
pub use engine::{Delivery, Engine, Event, Options, Target, of_chat};

use crate::error::{Error, Result};
use crate::key::{KeyPair, PublicKey};
use crate::log::Notices;
use crate::pair::{Ourselves, Pairs};
use crate::seal::StorageKey;
use crate::store::Store;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Tells the time: tests bring their own.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The directory of conversations in the state directory.
pub const CHAT_DIR: &str = "chat";

/// This user's side of all conversations. Cheap to clone.
#[derive(Clone)]
pub struct Chat(Arc<Inner>);

struct Inner {
    store: Store,
    me: Arc<KeyPair>,
    storage: StorageKey,
    config: Config,
    clock: Clock,
    notices: Notices,
}

impl Chat {
    /// The conversations of `me` in the state directory `store`.
    ///
    /// # Errors
    /// A configuration that cannot be used, a directory that cannot be made.
    pub fn open(store: Store, me: Arc<KeyPair>, clock: Clock) -> Result<Self> {
        let config = Config::load(&store)?;
        let storage = StorageKey::of(&me);
        Ok(Chat(Arc::new(Inner { store, me, storage, config, clock, notices: Notices::default() })))
    }

    /// The state directory.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Who we are.
    #[must_use]
    pub fn me(&self) -> &Arc<KeyPair> {
        &self.0.me
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.0.clock)()
    }

    /// This side, as pairing needs it.
    #[must_use]
    pub fn ourselves(&self) -> Ourselves<'_> {
        Ourselves { me: &self.0.me, storage: &self.0.storage, addresses: &self.0.config.addresses }
    }

    /// The pairs as they are now, without invites whose time is over.
    ///
    /// # Errors
    /// Those of [`Pairs::load`].
    pub fn pairs(&self) -> Result<Pairs> {
        let mut pairs = Pairs::load(&self.0.store)?;
        pairs.expire(self.now());
        Ok(pairs)
    }

    /// The conversation with `peer`, whether there is one yet or not.
    #[must_use]
    pub fn with(&self, peer: PublicKey) -> Conversation {
        Conversation::new(self.clone(), peer)
    }

    /// Everybody with whom there is a conversation on disk, in the order of the keys' text.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn peers(&self) -> Result<Vec<PublicKey>> {
        let Some(dir) = self.0.store.look_below(CHAT_DIR)? else { return Ok(Vec::new()) };
        let path = dir.path("");
        let failed = |cause| Error::file("read", &path, &cause);
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            names.insert(entry.map_err(failed)?.file_name());
        }
        Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    /// What was found on the disk since this was last asked and the user should know, as lines without line ends: lines of a
    /// log that are damaged, for one. Nothing is said twice.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.0.notices.take()
    }

    /// Has the user told that `what` is so with `path`: once.
    fn notice(&self, path: &Path, what: &'static str) {
        self.0.notices.add(path, what);
    }
}
