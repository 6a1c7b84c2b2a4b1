//! The groups of this user on disk: `groups/`, and below it a directory for each group. See keywire-files(5).
//!
//! Every file but the logs is changed under the lock of its directory, as all state is. To the logs only one process adds at a
//! time ([`DiskShelf`]); whoever only reads ([`super::history`]) takes no lock.

mod cursors;
mod disk;
mod facts;
mod forget;
mod joins;
mod keyring;
mod known;
mod logs;
mod names;
mod own;
#[cfg(test)]
pub(super) mod tests;

pub use disk::DiskShelf;
pub use facts::{Facts, Status, Wish};
pub use forget::forgotten_before;
pub use joins::{Join, Joining, MAX_JOINS};
pub use known::Known;
pub use names::in_command;

pub(super) use logs::LogFile;

use super::keys::EpochKey;
use crate::error::{Error, Result};
use crate::key::{KeyPair, PublicKey};
use crate::log::{Lines, Notices};
use crate::proto::group::{Class, Genesis, GroupId, LogId};
use crate::seal::StorageKey;
use crate::store::{Store, sync_parent};
use crate::threads::lock;
use facts::GROUP;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// The directory of groups in the state directory.
pub const GROUPS_DIR: &str = "groups";

/// Fewest digits of an id that name a group.
const MIN_PREFIX: usize = 8;

/// All groups of this user. Cheap to clone.
#[derive(Clone)]
pub struct Groups {
    store: Store,
    me: PublicKey,
    storage: Arc<StorageKey>,
    notices: Arc<Notices>,
    /// Held while a group is made: two at once could get the same name.
    making: Arc<Mutex<()>>,
}

/// One group on disk. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    id: GroupId,
    dir: Store,
    me: PublicKey,
    storage: Arc<StorageKey>,
    notices: Arc<Notices>,
    /// Logs in which damage was met, and how many bytes of them stand before it.
    damaged: Arc<Mutex<BTreeMap<LogId, u64>>>,
}

impl Groups {
    /// The groups of `me` in the state directory `store`. Nothing is read or made yet.
    #[must_use]
    pub fn open(store: &Store, me: &KeyPair) -> Self {
        let storage = Arc::new(StorageKey::of(me));
        Groups { store: store.clone(), me: me.public(), storage, notices: Arc::default(), making: Arc::default() }
    }

    /// Their directory, made if it is not there.
    ///
    /// # Errors
    /// Those of [`Store::below`].
    pub fn dir(&self) -> Result<Store> {
        self.store.below(GROUPS_DIR)
    }

    /// All of them, in the order of their ids.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Group>> {
        let Some(dir) = self.store.look_below(GROUPS_DIR)? else { return Ok(Vec::new()) };
        let mut groups = Vec::new();
        for id in names(&dir)?.iter().filter_map(|name| name.parse::<GroupId>().ok()) {
            let Some(below) = dir.look_below(&id.to_string())? else { continue };
            // Without the file, it is one whose making was cut short.
            if below.path(GROUP).symlink_metadata().is_ok() {
                groups.push(self.group(id, below));
            }
        }
        Ok(groups)
    }

    /// The group that `word` names: by its name here, its id, or the beginning of its id, 8 digits or more.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn find(&self, word: &str) -> Result<Group> {
        let digits = word.len() >= MIN_PREFIX && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let (mut found, mut failed) = (Vec::new(), None);
        for group in self.list()? {
            let id = group.id.to_string();
            if id == word {
                return Ok(group);
            }
            // A name may look like the beginning of another group's id: whoever gave it must not get what is meant for that.
            let named = group.facts().map(|facts| facts.name == word).unwrap_or_else(|error| {
                failed = Some(error);
                false
            });
            if named || digits && id.starts_with(word) {
                found.push(group);
            }
        }
        let ids: Vec<_> = found.iter().filter_map(|group| Some(group.id.to_string().get(..16)?.to_owned())).collect();
        match (found.pop(), ids.len(), failed) {
            (Some(group), 1, _) => Ok(group),
            (None, _, Some(error)) => Err(error),
            (None, _, None) => Err(Error::no(format!("there is no group '{word}'"))
                .hint("name it as 'kw-group list' does, or by the first 8 digits of its id or more")),
            _ => Err(Error::usage(format!("'{word}' may be any of {} groups: {}", ids.len(), ids.join(", ")))
                .hint("name one by its id, or by enough of its first digits")),
        }
    }

    /// The group with this id, if it is there.
    ///
    /// # Errors
    /// Its directory cannot be used.
    pub fn get(&self, id: &GroupId) -> Result<Option<Group>> {
        let Some(dir) = self.store.look_below(GROUPS_DIR)? else { return Ok(None) };
        let below = dir.look_below(&id.to_string())?;
        Ok(below.filter(|below| below.path(GROUP).symlink_metadata().is_ok()).map(|below| self.group(*id, below)))
    }

    /// Makes a group with what is known of it and the keys that are there from the beginning. It is on disk when this returns;
    /// whatever fails or dies before, there is none.
    ///
    /// # Errors
    /// It is there already, or another has its name; those of [`Store::update`].
    pub fn create(&self, facts: Facts, keys: &[EpochKey]) -> Result<Group> {
        let id = facts.genesis.id();
        let _making = lock(&self.making);
        self.check_free(&facts.name, &id)?;
        let group = self.group(id, self.dir()?.below(&id.to_string())?);
        group.add_keys(keys)?;
        group.dir.update(GROUP, |there: &mut Option<Facts>| match there {
            Some(_) => Err(Error::no(format!("the group {id} is there already"))),
            None => {
                *there = Some(facts);
                Ok(())
            }
        })?;
        Ok(group)
    }

    /// Takes `group` off the disk, with all that is kept of it.
    ///
    /// # Errors
    /// It cannot be removed, or not all of it; then it can be tried again.
    pub fn remove(&self, group: &Group) -> Result<()> {
        let (dir, facts) = (group.dir.path(""), group.dir.path(GROUP));
        // Without that file there is no group: whoever dies on the way leaves none.
        match std::fs::remove_file(&facts) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &facts, &cause));
            }
            _ => sync_parent(&facts)?,
        }
        std::fs::remove_dir_all(&dir).map_err(|cause| Error::file("remove", &dir, &cause))?;
        sync_parent(&dir)
    }

    /// What was found on the disk since this was last asked and the user should know, as lines without line ends. Nothing is
    /// said twice.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.notices.take()
    }

    fn group(&self, id: GroupId, dir: Store) -> Group {
        let (storage, notices) = (self.storage.clone(), self.notices.clone());
        Group { id, dir, me: self.me, storage, notices, damaged: Arc::default() }
    }
}

impl Group {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Who we are.
    #[must_use]
    pub fn me(&self) -> PublicKey {
        self.me
    }

    /// What is known of it.
    ///
    /// # Errors
    /// Those of [`Store::read`], and a file that is another group's.
    pub fn facts(&self) -> Result<Facts> {
        let path = self.dir.path(GROUP);
        let facts: Option<Facts> = self.dir.read(GROUP)?;
        facts.ok_or_else(|| Error::state(format!("{} is gone", path.display()))).and_then(|facts| self.checked(facts))
    }

    /// Changes what is known of it. It is on disk when this returns.
    ///
    /// # Errors
    /// Those of [`Group::facts`], what `change` returns, and those of [`Store::update`].
    pub fn update<R>(&self, change: impl FnOnce(&mut Facts) -> Result<R>) -> Result<R> {
        self.dir.update(GROUP, |there: &mut Option<Facts>| match there {
            Some(facts) => {
                *facts = self.checked(facts.clone())?;
                change(facts)
            }
            None => Err(Error::state(format!("{} is gone", self.dir.path(GROUP).display()))),
        })
    }

    fn checked(&self, facts: Facts) -> Result<Facts> {
        match facts.genesis.id() {
            id if id == self.id => Ok(facts),
            id => {
                let path = self.dir.path(GROUP);
                Err(Error::state(format!("{} is that of another group, {id}", path.display()))
                    .hint("put it back where it belongs"))
            }
        }
    }

    /// What the group began with.
    ///
    /// # Errors
    /// Those of [`Group::facts`].
    pub fn genesis(&self) -> Result<Genesis> {
        self.facts().map(|facts| facts.genesis)
    }
}

impl Group {
    /// The logs of content.
    pub(super) fn content(&self) -> Result<Vec<LogFile>> {
        let Some(dir) = self.dir.look_below(logs::dir_name(Class::Content))? else { return Ok(Vec::new()) };
        let logs = logs::in_dir(&dir, Class::Content)?;
        Ok(logs.into_iter().map(|log| LogFile::new(self.id, &dir, log)).collect())
    }

    /// Sees that a log is damaged behind its first `at` bytes: it is said, and mended by whoever writes.
    pub(super) fn meet_damage(&self, log: LogId, lines: &Lines, at: u64) {
        self.notices.add(lines.path(), "there are lines in it that are damaged, and left out");
        lock(&self.damaged).entry(log).and_modify(|keep| *keep = at.min(*keep)).or_insert(at);
    }
}

/// The names in a directory, in order. One that is no text is none of ours.
fn names(dir: &Store) -> Result<BTreeSet<String>> {
    let path = dir.path("");
    let failed = |cause| Error::file("read", &path, &cause);
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(&path).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    Ok(names)
}
