//! One group in memory: the copy that is kept, the keys that open it, and who is connected.

use super::Status;
use super::absorb::Told;
use crate::error::{Error, Result};
use crate::group::home::{DiskShelf, Facts, Group as Kept, Known};
use crate::group::keys::{EpochKey, MAX_JOINT, Opened, open_body};
use crate::group::replica::Replica;
use crate::key::{KeyPair, PublicKey};
use crate::proto::group::roster::Role;
use crate::proto::group::{Class, Entry, Genesis, GroupId, KeyId, LogId, Mode};
use crate::threads::lock;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

/// One group.
pub(super) struct Group {
    pub(super) id: GroupId,
    /// What it is called here.
    pub(super) name: String,
    pub(super) genesis: Genesis,
    state: Mutex<Loaded>,
    /// Counts what changes: entries, connections, what others hold.
    changed: watch::Sender<u64>,
    /// Counts changes of entries: what there is to say to others.
    news: watch::Sender<u64>,
    pub(super) links: Mutex<Links>,
}

/// What is kept of a group, while it is worked on.
pub(super) struct Loaded {
    pub(super) replica: Replica<DiskShelf>,
    pub(super) kept: Kept,
    /// What `kept` says, as nobody else changes it.
    pub(super) facts: Facts,
    /// What members have said of themselves.
    pub(super) known: Known,
    pub(super) keys: BTreeMap<KeyId, EpochKey>,
    /// What the user was told of the roster.
    pub(super) told: Told,
    /// When what is too old was forgotten last, in milliseconds since 1970.
    pub(super) forgot: u64,
    /// Entries that are stored, but what they bring beside themselves could not be kept yet.
    pub(super) unabsorbed: Vec<Entry>,
}

/// Who is connected, and what came of trying.
#[derive(Default)]
pub(super) struct Links {
    pub(super) sessions: HashMap<u64, Link>,
    pub(super) reach: HashMap<PublicKey, Reach>,
    /// How far a member has said that it holds our logs: the furthest.
    pub(super) held: HashMap<LogId, (u64, PublicKey)>,
    /// When we last had the same as another member, in milliseconds since 1970.
    pub(super) synced: Option<u64>,
    /// Wishes to join that were passed on, by who and which invite, and when.
    pub(super) wishes: HashMap<(PublicKey, PublicKey), Instant>,
    /// What is wrong with our own state, if it kept a conversation from going on.
    pub(super) trouble: Option<String>,
}

/// A connection with a member.
pub(super) struct Link {
    pub(super) peer: PublicKey,
    /// Whether the member has said what it has.
    pub(super) is_met: bool,
    /// Whether it has something that we lack.
    pub(super) is_behind: bool,
    /// Whether both have the same.
    pub(super) is_level: bool,
    /// Words of another part of the house for it. What finds no room is not said: a wish comes again.
    pub(super) words: tokio::sync::mpsc::Sender<crate::proto::group::Message>,
}

/// What came of dialing a member.
#[derive(Default)]
pub(super) struct Reach {
    pub(super) seen: Option<u64>,
    pub(super) failure: Option<String>,
    pub(super) failures: u32,
    /// Not before then is it dialed again.
    pub(super) rests_until: Option<Instant>,
    pub(super) is_refused: bool,
    pub(super) is_dialed: bool,
}

impl Group {
    /// The group as it is kept.
    ///
    /// # Errors
    /// State that cannot be read.
    pub(super) fn open(kept: Kept, me: &KeyPair, reads_only: bool) -> Result<Self> {
        let facts = kept.facts()?;
        let (name, genesis) = (facts.name.clone(), facts.genesis.clone());
        // Whoever writes puts a damaged file aside.
        let known = if reads_only { kept.known().unwrap_or_default() } else { kept.known_or_aside()? };
        let (is_gone, known, keys) = (known.is_none(), known.unwrap_or_default(), kept.keys()?);
        let shelf = if reads_only { DiskShelf::look(&kept)? } else { DiskShelf::open(&kept)? };
        let replica = Replica::open(genesis.clone(), shelf)?;
        let (told, unabsorbed) = (Told::default(), Vec::new());
        let mut loaded = Loaded { replica, kept, facts, known, keys, told, forgot: 0, unabsorbed };
        if !reads_only {
            loaded.mend()?;
            loaded.begin(me)?;
            loaded.catch_up(me, is_gone)?;
        }
        loaded.told = loaded.who_is_who();
        Ok(Group {
            id: genesis.id(),
            name,
            genesis,
            state: Mutex::new(loaded),
            changed: watch::Sender::new(0),
            news: watch::Sender::new(0),
            links: Mutex::default(),
        })
    }

    /// What is kept, for work that waits for the disk.
    pub(super) fn state(&self) -> MutexGuard<'_, Loaded> {
        lock(&self.state)
    }

    pub(super) fn links(&self) -> MutexGuard<'_, Links> {
        lock(&self.links)
    }

    /// Says that entries have changed.
    pub(super) fn change(&self) {
        self.news.send_modify(|count| *count += 1);
        self.change_links();
    }

    /// Says that something has changed about the connections. They have nothing to say because of that: were each woken by
    /// what the others hear, one message would cost the square of them.
    pub(super) fn change_links(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// When entries change.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether a member other than `peer` is bringing us what we lack.
    pub(super) fn is_behind(&self) -> bool {
        self.links().sessions.values().any(|link| link.is_behind)
    }
}

impl Loaded {
    /// Changes what is known of the group, on disk and here.
    pub(super) fn change_facts(&mut self, change: impl FnOnce(&mut Facts)) -> Result<()> {
        self.facts = self.kept.update(|facts| {
            change(facts);
            Ok(facts.clone())
        })?;
        Ok(())
    }

    /// What an entry says.
    pub(super) fn open(&self, entry: &Entry) -> Opened {
        match &entry.body {
            None => Opened::Broken,
            Some(body) if entry.header.key.is_zero() => Opened::Text(body.clone()),
            Some(body) => open_body(|key| self.keys.get(key).cloned(), &entry.header, body),
        }
    }

    /// The keys under which is sealed what is written now; none in a public group.
    ///
    /// # Errors
    /// A key has not come yet.
    pub(super) fn present_keys(&self) -> Result<Vec<EpochKey>> {
        let wanted = self.replica.roster().keys();
        let keys: Vec<EpochKey> = wanted.iter().filter_map(|key| self.keys.get(key).cloned()).collect();
        if keys.len() < wanted.len() || (keys.is_empty() && self.replica.genesis().mode != Mode::Public) {
            return Err(Error::refused("the group's key has not come yet")
                .hint("an admin gives it when one is reached; 'kw-group info' says who can be"));
        }
        if keys.len() > MAX_JOINT {
            return Err(Error::refused(format!(
                "the group has {} keys at once, and at most {MAX_JOINT} seal a message",
                keys.len()
            ))
            .hint("the owner or an admin makes a new one when it is reached"));
        }
        Ok(keys)
    }

    /// What we may do.
    ///
    /// # Errors
    /// We are no member.
    pub(super) fn role(&self, me: &PublicKey) -> Result<Role> {
        let not = |why: &str| Err(Error::refused(why));
        match (self.facts.status, self.replica.roster().role(me)) {
            (Status::Left, _) => not("you have left this group"),
            (Status::Removed, _) => not("you were removed from this group"),
            (Status::Pending, _) => not("no member of this group was reached yet, so you are none"),
            (Status::Waiting, None) => not("an admin must approve you first"),
            (_, Some(role)) => Ok(role),
            (Status::Active, None) => not("you are no member of this group"),
        }
    }

    /// Moves out of the way what reading found damaged; what is missing then is asked from others again.
    pub(super) fn mend(&mut self) -> Result<()> {
        match self.replica.shelf_mut().mend()?.is_empty() {
            true => Ok(()),
            false => self.replica.reload(),
        }
    }

    /// Our own log of a class.
    pub(super) fn own_log(&mut self, class: Class) -> Result<LogId> {
        self.mend()?;
        let log = self.kept.own_log(class)?;
        // Behind a cut, or where two entries stand in one place, nothing of ours counts any more.
        if self.replica.is_closed(&log) {
            self.kept.retire_log(&log)?;
            return self.kept.own_log(class);
        }
        Ok(log)
    }

    /// Sees entries of ours that another had and we lacked: our logs were put back from a copy, in the same file. Who knows how
    /// much more of them there is; they are never written again.
    pub(super) fn see_own(&self, me: &PublicKey, stored: &[Entry]) -> Result<()> {
        let logs: BTreeSet<LogId> =
            stored.iter().map(|entry| entry.header.log).filter(|log| log.author == *me).collect();
        logs.iter().try_for_each(|log| self.kept.retire_log(log))
    }
}

/// Words for the user about refused entries.
pub(super) fn refusal(author: &PublicKey, why: &str) -> String {
    format!("from {}: {why}; it was not taken", author.short())
}
