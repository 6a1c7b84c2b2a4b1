//! Groups on disk.

mod damage;
mod facts;
mod full;
mod restore;
mod shelf;

use super::{DiskShelf, Facts, Group, Groups, Status};
use crate::group::keys::EpochKey;
use crate::group::shelf::Shelf;
use crate::key::{KeyPair, PublicKey};
use crate::proto::group::{Class, Entry, EntryId, Genesis, GroupId, Header, History, Inc, KeyId, Kind, LogId, Mode};
use crate::sign::Signature;
use crate::store::Store;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// When the tests begin, in milliseconds since 1970.
pub(in crate::group) const BEGIN: u64 = 1_800_000_000_000;

/// A user's state directory.
pub(in crate::group) struct Home {
    pub(in crate::group) dir: PathBuf,
    pub(in crate::group) me: Arc<KeyPair>,
}

impl Home {
    pub(in crate::group) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("keywire-group-{}-{count}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Home { dir, me: Arc::new(KeyPair::generate().unwrap()) }
    }

    /// The groups as a program sees them that has just started.
    pub(in crate::group) fn groups(&self) -> Groups {
        Groups::open(&Store::at(&self.dir), &self.me)
    }

    /// A group of this user.
    pub(in crate::group) fn create(&self, name: &str) -> Group {
        self.groups().create(Facts::new(name, genesis(self.me.public(), name), Status::Active), &[]).unwrap()
    }

    /// The only group, as a program sees it that has just started.
    pub(in crate::group) fn start(&self) -> Group {
        self.groups().list().unwrap().remove(0)
    }

    pub(in crate::group) fn shelf(&self) -> DiskShelf {
        DiskShelf::open(&self.start()).unwrap()
    }

    /// Where a file of the only group lies.
    pub(in crate::group) fn path(&self, name: &str) -> PathBuf {
        self.dir.join("groups").join(self.start().id().to_string()).join(name)
    }

    fn log_path(&self, log: &LogId) -> PathBuf {
        self.path(super::logs::dir_name(log.class)).join(super::logs::file_name(log))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn genesis(owner: PublicKey, name: &str) -> Genesis {
    let mut salt = [0; 16];
    salt.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    let (mode, history) = (Mode::Private, History::Last(100));
    Genesis { owner, created: BEGIN / 1000, mode, history, key: KeyId::default(), salt }
}

/// A member that writes, one entry after the other.
pub(in crate::group) struct Writer {
    pub(in crate::group) group: GroupId,
    pub(in crate::group) log: LogId,
    pub(in crate::group) seq: u64,
    prev: EntryId,
    pub(in crate::group) clock: u64,
}

impl Writer {
    /// Somebody else.
    pub(in crate::group) fn new(group: &Group) -> Self {
        let log =
            LogId { class: Class::Content, author: KeyPair::generate().unwrap().public(), inc: Inc::random().unwrap() };
        Writer::of(group, log)
    }

    pub(in crate::group) fn of(group: &Group, log: LogId) -> Self {
        Writer { group: group.id(), log, seq: 0, prev: EntryId::default(), clock: BEGIN }
    }

    /// A header for the next entry.
    pub(in crate::group) fn header(&mut self) -> Header {
        self.seq += 1;
        self.clock += 1000;
        let kind = if self.log.class == Class::Roster { Kind::Act } else { Kind::Message };
        let (zero, clock) = (EntryId::default(), self.clock);
        Header {
            group: self.group,
            log: self.log,
            seq: self.seq,
            prev: self.prev,
            clock,
            time: clock,
            kind,
            roster: zero,
            key: KeyId::default(),
            reply_to: zero,
            deps: Vec::new(),
            body_len: 0,
            body_hash: [0; 32],
        }
    }

    pub(in crate::group) fn write_as(&mut self, mut header: Header, body: &[u8]) -> Entry {
        header.body_len = u32::try_from(body.len()).unwrap();
        header.body_hash = crate::kdf::hash_32(&[body]);
        let entry = Entry::of(&header.encode(), Signature([7; 64]), Some(body.to_vec())).unwrap();
        self.prev = entry.id;
        entry
    }

    pub(in crate::group) fn write(&mut self, text: &str) -> Entry {
        let header = self.header();
        self.write_as(header, text.as_bytes())
    }

    pub(in crate::group) fn write_some(&mut self, count: usize) -> Vec<Entry> {
        (0..count).map(|_| self.write(&format!("text {}", self.seq + 1))).collect()
    }
}

/// All entries of a log.
fn all(shelf: &DiskShelf, log: &LogId) -> Vec<Entry> {
    let mut all = Vec::new();
    loop {
        let more = shelf.read(log, all.len() as u64 + 1, 1000).unwrap();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

fn texts(shelf: &DiskShelf, log: &LogId) -> Vec<String> {
    all(shelf, log).into_iter().map(|entry| String::from_utf8(entry.body.unwrap()).unwrap()).collect()
}

/// Copies a directory as `cp -a` does.
fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-aT").args([from, to]).status().unwrap();
    assert!(status.success());
}

fn key(byte: u8) -> EpochKey {
    EpochKey(crate::kdf::Secret::new([byte; 32]))
}
