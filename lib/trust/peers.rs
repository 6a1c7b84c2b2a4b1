//! The address book: names for keys, and where they listen.

use super::{check_name, looks_like_key, parse_key, quoted, timestamp};
use crate::addr::{HostPort, PeerAddr};
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::store::{Privacy, State, Store, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::SystemTime;

/// The name of the address book in the state directory.
pub const PEERS: &str = "peers.json";

/// Most addresses of one peer: all are shown on one line, and a dialer tries no more.
pub const MAX_ADDRESSES: usize = 16;

/// Longest note, in bytes: a word about a peer, not a file.
const MAX_NOTE_LEN: usize = 1000;

/// The address book.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    version: Version,
    peers: Vec<Peer>,
}

/// One entry of the address book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// What we call it; unique.
    pub name: String,
    /// Its key.
    pub key: PublicKey,
    /// Where it listens, best first.
    #[serde(default)]
    pub addresses: Vec<HostPort>,
    /// When the entry was made (RFC 3339, UTC).
    pub added: String,
    /// A word of ours about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl State for Peers {
    const PRIVACY: Privacy = Privacy::Plain;

    fn check(&self) -> std::result::Result<(), String> {
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for peer in &self.peers {
            check_name(&peer.name).map_err(|why| why.to_string())?;
            if !names.insert(peer.name.to_ascii_lowercase()) {
                return Err(format!("the name '{}' stands in it twice", peer.name));
            }
            if !keys.insert(peer.key) {
                return Err(format!("the key {} stands in it twice", peer.key));
            }
            if humantime::parse_rfc3339(&peer.added).is_err() {
                return Err(format!("'{}' was added at '{}', which is no time", peer.name, peer.added.escape_debug()));
            }
            peer.check_limits().map_err(|why| why.to_string())?;
        }
        Ok(())
    }
}

impl Peer {
    fn check_limits(&self) -> Result<()> {
        if self.addresses.len() > MAX_ADDRESSES {
            return Err(Error::usage(format!("'{}' would have more than {MAX_ADDRESSES} addresses", self.name)));
        }
        if self.note.len() > MAX_NOTE_LEN {
            return Err(Error::usage(format!("the note on '{}' is longer than {MAX_NOTE_LEN} bytes", self.name)));
        }
        Ok(())
    }
}

impl Peers {
    /// The address book of `store`; empty if there is none.
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub fn load(store: &Store) -> Result<Self> {
        Ok(store.read(PEERS)?.unwrap_or_default())
    }

    /// Changes the address book of `store`.
    ///
    /// # Errors
    /// Those of `change` and of [`Store::update`].
    pub fn update<R>(store: &Store, change: impl FnOnce(&mut Peers) -> Result<R>) -> Result<R> {
        store.update(PEERS, |peers: &mut Option<Peers>| change(peers.get_or_insert_default()))
    }

    /// All entries, in the order they were added.
    #[must_use]
    pub fn list(&self) -> &[Peer] {
        &self.peers
    }

    /// The entry of `key`.
    #[must_use]
    pub fn with_key(&self, key: &PublicKey) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.key == *key)
    }

    /// The name we have for `key`.
    #[must_use]
    pub fn name_of(&self, key: &PublicKey) -> Option<&str> {
        self.with_key(key).map(|peer| peer.name.as_str())
    }

    /// The entry called `name`, in any case.
    ///
    /// # Errors
    /// There is none; the nearest name is suggested.
    pub fn get(&self, name: &str) -> Result<&Peer> {
        self.position(name).map(|at| self.peers.get(at)).and_then(|peer| peer.ok_or_else(|| Error::no("no such peer")))
    }

    /// Adds an entry, or addresses to the entry of the same name and key; answers with what it is now.
    ///
    /// # Errors
    /// A name that cannot be one, a name that stands for another key, and a key that has another name: each is the
    /// other's only one, or a key in a list could not be told by its name.
    pub fn add(
        &mut self,
        name: &str,
        key: PublicKey,
        addresses: &[HostPort],
        note: &str,
        now: SystemTime,
    ) -> Result<&Peer> {
        check_name(name)?;
        let known = self.position(name).ok();
        if let Some(peer) = known.and_then(|at| self.peers.get(at)).filter(|peer| peer.key != key) {
            return Err(Error::no(format!("'{}' is the name of another key, {}", peer.name, peer.key.short()))
                .hint(format!("choose another name, or first: kw-peers remove {}", peer.name)));
        }
        if let (None, Some(other)) = (known, self.with_key(&key)) {
            return Err(Error::no(format!("{} is in the address book already, as '{}'", key.short(), other.name))
                .hint(format!("to change its name: kw-peers rename {} {name}", other.name)));
        }
        let at = known.unwrap_or_else(|| {
            let (name, added) = (name.to_owned(), timestamp(now));
            self.peers.push(Peer { name, key, addresses: Vec::new(), added, note: String::new() });
            self.peers.len() - 1
        });
        #[allow(clippy::indexing_slicing, reason = "the position was found or made in the line above")]
        let peer = &mut self.peers[at];
        for address in addresses {
            if !peer.addresses.contains(address) {
                peer.addresses.push(address.clone());
            }
        }
        if !note.is_empty() {
            note.clone_into(&mut peer.note);
        }
        peer.check_limits()?;
        Ok(peer)
    }

    /// Calls the entry `old` by another name.
    ///
    /// # Errors
    /// There is no `old`, `new` cannot be a name, or it is taken.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<()> {
        check_name(new)?;
        let at = self.position(old)?;
        if self.position(new).is_ok_and(|taken| taken != at) {
            return Err(Error::no(format!("there is a peer called '{new}' already"))
                .hint("choose another name, or 'kw-peers show' who that is"));
        }
        if let Some(peer) = self.peers.get_mut(at) {
            new.clone_into(&mut peer.name);
        }
        Ok(())
    }

    /// Takes the entry `name` out.
    ///
    /// # Errors
    /// There is none.
    pub fn remove(&mut self, name: &str) -> Result<Peer> {
        let at = self.position(name)?;
        Ok(self.peers.remove(at))
    }

    /// The key that `text` stands for: a key itself, or a name.
    ///
    /// # Errors
    /// A mistyped key, or an unknown name.
    pub fn resolve_key(&self, text: &str) -> Result<PublicKey> {
        if looks_like_key(text) {
            return parse_key(text);
        }
        self.get(text).map(|peer| peer.key)
    }

    /// Where to dial `text`: `KEY@HOST[:PORT]`, or a name with its first address; `port` where none is given.
    ///
    /// # Errors
    /// What is neither, a name without an address, and no port anywhere.
    pub fn resolve(&self, text: &str, port: Option<u16>) -> Result<PeerAddr> {
        let found = if text.contains('@') {
            text.parse()?
        } else if looks_like_key(text) {
            let key = parse_key(text)?;
            let at = self.with_key(&key).and_then(|peer| peer.addresses.first()).cloned();
            let at = at.ok_or_else(|| {
                Error::usage(format!("no address is known for {}", key.short())).hint(format!("write {key}@HOST:PORT"))
            })?;
            PeerAddr { key, at }
        } else {
            let peer = self.get(text)?;
            let at = peer.addresses.first().cloned().ok_or_else(|| {
                Error::usage(format!("no address is known for '{text}'"))
                    .hint(format!("add one: kw-peers add {text} {}@HOST:PORT", peer.key))
            })?;
            PeerAddr { key: peer.key, at }
        };
        match found.at.port().or(port) {
            Some(port) => Ok(PeerAddr { key: found.key, at: found.at.with_port(port) }),
            None => Err(Error::usage(format!("no port for '{text}'")).hint("write KEY@HOST:PORT")),
        }
    }

    fn position(&self, name: &str) -> Result<usize> {
        self.peers.iter().position(|peer| peer.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let unknown = Error::no(format!("no peer is called {}", quoted(name)));
            match self.nearest(name) {
                Some(near) => unknown.hint(format!("did you mean '{near}'?")),
                None => unknown.hint("'kw-peers list' shows the names; KEY@HOST:PORT works without one"),
            }
        })
    }

    /// The known name that `name` may be a slip of: at most a third of its characters differ.
    fn nearest(&self, name: &str) -> Option<&str> {
        let most = name.chars().count().div_ceil(3);
        let distances = self.peers.iter().map(|peer| (distance(name, &peer.name), peer.name.as_str()));
        distances.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
    }
}

/// How many characters must be added, removed or changed to make one name of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_ascii_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.to_ascii_lowercase().chars().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        for (cell, theirs) in row.iter_mut().skip(1).zip(&other) {
            let best = (diagonal + usize::from(c != *theirs)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyPair;

    fn book(names: &[&str]) -> Peers {
        let mut peers = Peers::default();
        for name in names {
            let key = KeyPair::generate().unwrap().public();
            peers.add(name, key, &["host:7".parse().unwrap()], "", SystemTime::UNIX_EPOCH).unwrap();
        }
        peers
    }

    #[test]
    fn the_distance_counts_single_changes() {
        for (one, other, apart) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("Alice", "alcie", 2)] {
            assert_eq!(distance(one, other), apart, "{one} {other}");
        }
    }

    #[test]
    fn a_slip_of_a_name_is_answered_with_the_name_that_was_meant() {
        let peers = book(&["alice", "bob"]);
        assert_eq!(peers.get("alcie").unwrap_err().hints(), ["did you mean 'alice'?"]);
        assert!(!peers.get("zaphod").unwrap_err().hints().concat().contains("did you mean"));
    }

    #[test]
    fn a_name_stands_for_one_key_only() {
        let mut peers = book(&["alice"]);
        let (own, other) = (peers.list()[0].key, KeyPair::generate().unwrap().public());
        assert!(peers.add("Alice", other, &[], "", SystemTime::UNIX_EPOCH).is_err());
        assert!(peers.add("bob", own, &[], "", SystemTime::UNIX_EPOCH).is_err());
        peers.add("alice", own, &["other:9".parse().unwrap()], "", SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(peers.get("alice").unwrap().addresses.len(), 2);
    }

    #[test]
    fn a_name_an_address_and_a_key_all_resolve() {
        let peers = book(&["alice"]);
        let key = peers.list()[0].key;
        for text in ["alice".to_owned(), key.to_string(), format!("{key}@host:7")] {
            assert_eq!(peers.resolve(&text, Some(9)).unwrap().to_string(), format!("{key}@host:7"));
        }
        assert_eq!(peers.resolve(&format!("{key}@host"), Some(9)).unwrap().at.port(), Some(9));
        assert!(peers.resolve(&format!("{key}@host"), None).is_err());
    }
}
