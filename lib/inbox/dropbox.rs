//! The drop box: sealed messages on the disk of a third machine, until their owner fetches them.
//!
//! An owner is a key that the allowlist gives the right `drop`. Whoever delivers shows a ticket, which only the owner can have
//! signed, so strangers write nothing here. What is held is never thrown away to make room. One file a message; it is on the
//! disk before anybody is told that it is held. keywire-files(5).

use crate::error::{Error, Result};
use crate::json::Bytes;
use crate::key::PublicKey;
use crate::log::Notices;
use crate::proto::inbox::{Delivery, KeyHash, MAX_HELD, Refusal, SealedId, SealedMessage, Ticket};
use crate::store::{Privacy, State, Store, Version, sync_parent};
use crate::threads::lock;
use crate::trust::{Allowlist, Right, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// Where a drop box lies in the state directory.
pub const DROP_DIR: &str = "drop";

/// Most different messages to one one-time key: the recipient opens one, and whoever else has the card may have meant well.
pub const MOST_OF_A_KEY: usize = 4;

/// Most bytes of sealed messages that are held for one owner.
pub const MOST_BYTES: usize = 1 << 20;

/// How long a message is held.
pub const HELD_FOR: Duration = Duration::from_secs(14 * 86_400);

/// Held by the process whose drop box it is.
const LOCK: &str = ".box.lock";

/// What the name of a message's file ends in.
const END: &str = ".json";

/// A message as it lies on the disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: Version,
    /// The one-time key that it is sealed to.
    key: KeyHash,
    received: Time,
    /// From then on it is not held any longer.
    until: Time,
    message: Bytes,
}

impl State for Stored {
    const PRIVACY: Privacy = Privacy::Plain;
}

/// What is known of a message without reading it again.
#[derive(Clone, Debug)]
struct Held {
    id: SealedId,
    key: KeyHash,
    length: usize,
    received: Time,
    until: Time,
}

/// All that is held, by owner. All its work is on the disk.
#[derive(Debug)]
pub struct DropBox {
    store: Store,
    held: Mutex<BTreeMap<PublicKey, Vec<Held>>>,
    notices: Notices,
    /// Nobody else writes here as long as this is held.
    _lock: File,
}

impl DropBox {
    /// The drop box of the state directory `home`, without what is over; made if there is none.
    ///
    /// # Errors
    /// Another process has it; the directory cannot be read or written. A file in it that makes no sense is no error, but
    /// noticed.
    pub fn open(home: &Store, now: SystemTime) -> Result<Self> {
        let store = home.below(DROP_DIR)?;
        let lock = store.hold(LOCK)?.ok_or_else(|| {
            let who = store.holder(LOCK).map(|id| format!(", process {id}")).unwrap_or_default();
            Error::state(format!("another drop box runs already in {}{who}", store.path("").display()))
                .hint("stop it, or give this one a state directory of its own in KEYWIRE_HOME")
        })?;
        let drop_box = DropBox { store, held: Mutex::default(), notices: Notices::default(), _lock: lock };
        drop_box.look()?;
        drop_box.expire(now)?;
        Ok(drop_box)
    }

    /// What was found on the disk that the user should know, as lines. Nothing is said twice.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.notices.take()
    }

    /// Holds `sealed` for the recipient of `ticket`, if that is one of the owners in `allowed`. When this says yes, it is on
    /// the disk.
    ///
    /// # Errors
    /// Those of writing. Nothing has changed then.
    pub fn hold(
        &self,
        ticket: &Ticket,
        sealed: &SealedMessage,
        allowed: &Allowlist,
        now: SystemTime,
    ) -> Result<Delivery> {
        let owner = ticket.recipient();
        // Whoever asks for a stranger is to cost nothing: signatures are looked at last.
        if allowed.grant(&owner, Right::Drop, now).is_err() {
            return Ok(Err(Refusal::Unknown));
        }
        let received = Time::of(now);
        let key = match ticket.admits(sealed, received) {
            Ok(key) => key,
            Err(why) => return Ok(Err(why)),
        };
        let until = ticket.expires().min(received.after(HELD_FOR));
        let (id, length) = (sealed.id(), sealed.bytes().len());
        let mut all = lock(&self.held);
        let held = all.entry(owner).or_default();
        self.forget(&owner, held, |one| one.until <= received)?;
        if held.iter().any(|one| one.id == id) {
            return Ok(Ok(()));
        }
        let bytes: usize = held.iter().map(|one| one.length).sum();
        let of_key = held.iter().filter(|one| one.key == key).count();
        if of_key >= MOST_OF_A_KEY || held.len() >= MAX_HELD || bytes + length > MOST_BYTES {
            return Ok(Err(Refusal::Full));
        }
        let message = Bytes(sealed.bytes().to_vec());
        self.write(&owner, &id, &Stored { version: Version, key, received, until, message })?;
        held.push(Held { id, key, length, received, until });
        Ok(Ok(()))
    }

    /// The ids of what is held for `owner`, oldest first.
    #[must_use]
    pub fn list(&self, owner: &PublicKey, now: SystemTime) -> Vec<SealedId> {
        let all = lock(&self.held);
        let held = all.get(owner).map(Vec::as_slice).unwrap_or_default();
        held.iter().filter(|one| one.until > Time::of(now)).map(|one| one.id).collect()
    }

    /// The message `id` of `owner`, if it is held. One that cannot be read is noticed.
    #[must_use]
    pub fn read(&self, owner: &PublicKey, id: &SealedId) -> Option<SealedMessage> {
        if !lock(&self.held).get(owner)?.iter().any(|one| one.id == *id) {
            return None;
        }
        let store = self.store.look_below(&owner.to_string()).ok()??;
        self.load(&store, id).map(|(message, _)| message)
    }

    /// Removes those of `ids` that are held for `owner`; they are no longer on the disk then.
    ///
    /// # Errors
    /// Those of removing. Some may be gone then.
    pub fn remove(&self, owner: &PublicKey, ids: &[SealedId]) -> Result<()> {
        match lock(&self.held).get_mut(owner) {
            Some(held) => self.forget(owner, held, |one| ids.contains(&one.id)),
            None => Ok(()),
        }
    }

    /// Removes what is over.
    ///
    /// # Errors
    /// As [`DropBox::remove`].
    pub fn expire(&self, now: SystemTime) -> Result<()> {
        let now = Time::of(now);
        let mut all = lock(&self.held);
        let done: Result<()> =
            all.iter_mut().try_for_each(|(owner, held)| self.forget(owner, held, |one| one.until <= now));
        all.retain(|_, held| !held.is_empty());
        done
    }

    /// Removes those of `held` that `over` says.
    fn forget(&self, owner: &PublicKey, held: &mut Vec<Held>, over: impl Fn(&Held) -> bool) -> Result<()> {
        if !held.iter().any(&over) {
            return Ok(());
        }
        let dir = self.store.path(&owner.to_string());
        let mut failure = None;
        held.retain(|one| {
            let path = dir.join(format!("{}{END}", one.id));
            match over(one).then(|| std::fs::remove_file(&path)) {
                Some(Err(cause)) if cause.kind() != ErrorKind::NotFound => {
                    failure = Some(Error::file("remove", &path, &cause));
                    true
                }
                gone => gone.is_none(),
            }
        });
        if dir.is_dir() {
            sync_parent(&dir.join(LOCK))?;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Puts a message on the disk.
    fn write(&self, owner: &PublicKey, id: &SealedId, stored: &Stored) -> Result<()> {
        // The lock of the drop box stands for that of each directory in it.
        let (store, name) = (self.store.below(&owner.to_string())?, format!("{id}{END}"));
        store.write(&name, stored)?;
        store.settle(&name).inspect_err(|_| {
            // It is delivered again, and written again then.
            let _ = std::fs::remove_file(store.path(&name));
        })
    }

    /// Finds what is on the disk.
    fn look(&self) -> Result<()> {
        let mut all = BTreeMap::new();
        for name in names(&self.store)? {
            let owner = name.parse::<PublicKey>().ok().filter(|owner| owner.to_string() == name);
            match (owner, self.store.look_below(&name)) {
                (Some(owner), Ok(Some(store))) => {
                    all.insert(owner, self.look_at(&store)?);
                }
                _ if name == LOCK => {}
                _ => self.notices.add(&self.store.path(&name), "does not belong into a drop box"),
            }
        }
        *lock(&self.held) = all;
        Ok(())
    }

    /// Finds what is held for one owner.
    fn look_at(&self, store: &Store) -> Result<Vec<Held>> {
        let mut held = Vec::new();
        for name in names(store)? {
            let id = name.strip_suffix(END).and_then(|id| id.parse().ok());
            match id {
                Some(id) => {
                    if let Some((message, Stored { key, received, until, .. })) = self.load(store, &id) {
                        held.push(Held { id, key, length: message.bytes().len(), received, until });
                    }
                }
                // What a process left that died while it wrote.
                None if name.starts_with('.') && name.ends_with(".tmp") => {
                    let path = store.path(&name);
                    std::fs::remove_file(&path).map_err(|cause| Error::file("remove", &path, &cause))?;
                }
                None => self.notices.add(&store.path(&name), "does not belong into a drop box"),
            }
        }
        held.sort_by_key(|one| (one.received, one.id));
        Ok(held)
    }

    /// Reads a message from the disk; one that is damaged is noticed and left where it is.
    fn load(&self, store: &Store, id: &SealedId) -> Option<(SealedMessage, Stored)> {
        let name = format!("{id}{END}");
        let stored: Option<Stored> = store.read(&name).ok().flatten();
        let found = stored.and_then(|stored| {
            let message = SealedMessage::decode(&stored.message.0).ok()?;
            (message.id() == *id && message.rki() == stored.key.rki()).then_some((message, stored))
        });
        if found.is_none() {
            self.notices.add(&store.path(&name), "is damaged, and not held any longer: it may be removed");
        }
        found
    }
}

/// The names in a directory.
fn names(store: &Store) -> Result<Vec<String>> {
    let path = store.path("");
    let failed = |cause: std::io::Error| Error::file("read", &path, &cause);
    let entries = std::fs::read_dir(&path).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()).map_err(failed)).collect()
}

#[cfg(test)]
mod tests;
