//! Names for those who are shown, and keys of which only the beginning was written.

use super::{PEERS, Peers, looks_like_key};
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::store::Store;
use std::os::unix::fs::MetadataExt;

/// Fewest characters of a key that stand for it: an attacker who makes keys at random does not meet them.
const LEAST_BEGINNING: usize = 12;

/// The one of `keys` that `text` is the beginning of, or the short form; `None` if it is neither of any, or a whole key.
///
/// # Errors
/// It is too little of a key, or the beginning of several.
pub fn key_beginning(text: &str, keys: impl Iterator<Item = PublicKey>) -> Result<Option<PublicKey>> {
    let text = text.to_ascii_lowercase();
    if looks_like_key(&text) || !text.starts_with("kw1") {
        return Ok(None);
    }
    let (beginning, end) = text.split_once("...").unwrap_or((&text, ""));
    let mut meant = keys.filter(|key| {
        let key = key.to_string();
        key.starts_with(beginning) && key.ends_with(end)
    });
    match (meant.next(), meant.next()) {
        (None, _) => Ok(None),
        (Some(key), None) if beginning.len() >= LEAST_BEGINNING => Ok(Some(key)),
        (Some(_), _) => Err(Error::usage(format!("'{}' is too little of a key", text.escape_debug()))
            .hint(format!("write more of it: at least {LEAST_BEGINNING} characters, and what no other begins with"))),
    }
}

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
