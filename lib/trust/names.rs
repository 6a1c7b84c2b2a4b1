//! Names for those who are shown.

use super::{PEERS, Peers};
use crate::error::Result;
use crate::key::PublicKey;
use crate::store::Store;
use std::os::unix::fs::MetadataExt;

/// Names from the address book, read anew when it has changed.
pub struct Names {
    store: Store,
    peers: Peers,
    stamp: Stamp,
}

/// What tells one state of a file from another; nothing where there is no file.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Names {
    /// The names as they are now.
    ///
    /// # Errors
    /// Those of [`Peers::load`].
    pub fn load(store: &Store) -> Result<Self> {
        let stamp = stamp(store);
        Ok(Names { store: store.clone(), peers: Peers::load(store)?, stamp })
    }

    /// The name of `key`, if it has one.
    pub fn of(&mut self, key: &PublicKey) -> Option<&str> {
        let stamp = stamp(&self.store);
        if self.stamp != stamp {
            self.stamp = stamp;
            // An address book that cannot be read for a moment is no reason to stop showing messages.
            if let Ok(peers) = Peers::load(&self.store) {
                self.peers = peers;
            }
        }
        self.peers.name_of(key)
    }

    /// The name of `key`, or the key itself.
    pub fn called(&mut self, key: &PublicKey) -> String {
        self.of(key).map_or_else(|| key.to_string(), str::to_owned)
    }
}

/// Each change is a new file, so its number and times tell.
fn stamp(store: &Store) -> Stamp {
    let found = std::fs::symlink_metadata(store.path(PEERS)).ok()?;
    Some((found.ino(), found.size(), found.mtime_nsec(), found.ctime_nsec()))
}
