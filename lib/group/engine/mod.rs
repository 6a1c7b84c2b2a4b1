//! The engine: all groups of a state directory, and the connections with their members.
//!
//! One process works on them at a time: whoever holds the lock [`SERVE`] in [`GROUPS_DIR`]. Others call it.

mod absorb;
mod act;
mod door;
mod group;
mod join;
mod reach;
mod read;
mod report;
mod say;
mod session;
mod tend;
mod welcome;
mod withdraw;
#[cfg(test)]
mod tests;

pub use super::history::{Gap, Message, Position, Text};
pub use super::home::{GROUPS_DIR, Status};
pub use report::{Begin, Brief, Deed, Delivery, Event, Info, InviteInfo, JoinInfo, Joined, MemberInfo, Terms};

use super::home::{Facts, Groups};
use super::keys::EpochKey;
use crate::addr::HostPort;
use crate::error::Result;
use crate::key::{KeyPair, PublicKey};
use crate::proto::group::{GROUP, GroupId};
use crate::proto::pty::PTY;
use crate::store::Store;
use crate::threads::{lock, on_disk};
use group::{Group, refusal};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

/// What the control socket and its lock are called there.
pub const SERVE: &str = "serve";

/// Events that a subscriber may be behind.
const MOST_BEHIND: usize = 4096;

/// How long the same is not said again of the same author.
const SAY_AGAIN: Duration = Duration::from_secs(3600);

/// Most words of which is known when they were said, and most that concern one key.
const MOST_SAID: usize = 1000;
const MOST_SAID_OF_ONE: usize = 20;

/// How an engine goes about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether our own key may be dialed, and dial.
    pub allow_self: bool,
    /// Whether it only reads: the lock is not held, and nothing is written or mended.
    pub reads_only: bool,
}

/// All groups of a state directory. Cheap to clone.
#[derive(Clone)]
pub struct House(Arc<Inner>);

struct Inner {
    store: Store,
    me: Arc<KeyPair>,
    options: Options,
    home: Groups,
    groups: Mutex<BTreeMap<GroupId, Arc<Group>>>,
    events: broadcast::Sender<Event>,
    tasks: Mutex<JoinSet<()>>,
    ids: AtomicU64,
    is_serving: AtomicBool,
    stopping: watch::Sender<bool>,
    /// Where we can be dialed.
    listening: Mutex<Vec<HostPort>>,
    /// What was said of whom, and when.
    said: Mutex<HashMap<(PublicKey, String), Instant>>,
    /// Groups that could not be read, and why.
    faults: Vec<String>,
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("House(..)")
    }
}

impl House {
    /// The groups of `store` for the key `me`. It has no connection yet. It is used inside a tokio runtime; unless
    /// it only reads, by whoever holds the lock.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn open(store: Store, me: Arc<KeyPair>, options: Options) -> Result<Self> {
        let home = Groups::open(&store, &me);
        let mut groups = BTreeMap::new();
        let mut failed = Vec::new();
        for kept in home.list()? {
            let id = kept.id();
            match Group::open(kept, &me, options.reads_only) {
                Ok(group) => drop(groups.insert(id, Arc::new(group))),
                // One that is damaged must not keep the others from being held.
                Err(error) => failed.push(format!("{}: {error}", short_id(&id))),
            }
        }
        let house = House(Arc::new(Inner {
            store,
            me,
            options,
            home,
            groups: Mutex::new(groups),
            events: broadcast::Sender::new(MOST_BEHIND),
            tasks: Mutex::default(),
            ids: AtomicU64::new(0),
            is_serving: AtomicBool::new(false),
            stopping: watch::Sender::new(false),
            listening: Mutex::default(),
            said: Mutex::default(),
            faults: failed,
        }));
        Ok(house)
    }

    /// The state directory.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Our key.
    #[must_use]
    pub fn me(&self) -> &Arc<KeyPair> {
        &self.0.me
    }

    /// What happens from now on. A subscriber that is too slow is told how many it has missed; messages are on disk.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// What was found on the disk and the user should know, as lines without line ends. Nothing is said twice.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.0.home.notices()
    }

    /// The groups that cannot be read, each with the reason, as lines without line ends. They are not among the others.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.0.faults
    }

    /// Ends all connections in good order.
    pub async fn end(&self) {
        self.0.stopping.send_replace(true);
        loop {
            let mut tasks = std::mem::take(&mut *lock(&self.0.tasks));
            if tasks.is_empty() {
                break;
            }
            while tasks.join_next().await.is_some() {}
        }
        if !self.0.options.reads_only {
            let groups = self.all();
            // What cannot be kept now is no more than when somebody was seen.
            let _ = on_disk(move || groups.iter().try_for_each(|group| group.keep_seen(0))).await;
        }
    }

    fn allows_self(&self) -> bool {
        self.0.options.allow_self
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.0.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    fn next_id(&self) -> u64 {
        self.0.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// A group that is here and in order.
    fn loaded(&self, id: &GroupId) -> Option<Arc<Group>> {
        lock(&self.0.groups).get(id).cloned()
    }

    /// The same for a call that names it.
    fn group(&self, id: &GroupId) -> Result<Arc<Group>> {
        self.loaded(id).ok_or_else(|| {
            crate::error::Error::state(format!("the group {} cannot be read", short_id(id)))
                .hint("what is wrong with its files was said when this program began; see keywire-files(5)")
        })
    }

    fn all(&self) -> Vec<Arc<Group>> {
        lock(&self.0.groups).values().cloned().collect()
    }

    /// Puts a new group on the disk and among the others.
    fn keep(&self, facts: Facts, keys: &[EpochKey]) -> Result<Arc<Group>> {
        let kept = self.0.home.create(facts, keys)?;
        let id = kept.id();
        let group = Arc::new(Group::open(kept, &self.0.me, false)?);
        lock(&self.0.groups).insert(id, group.clone());
        Ok(group)
    }

    fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.0.events.send(event);
    }

    /// Says to the user why something of `author` was not taken.
    fn notice(&self, group: &Group, author: PublicKey, why: &str) {
        self.say_once(group, author, &refusal(&author, why));
    }

    /// Says to the user something that concerns `key`; not again and again, and of no key without end.
    fn say_once(&self, group: &Group, key: PublicKey, text: &str) {
        let text = format!("{}: {text}", group.name);
        let mut said = lock(&self.0.said);
        let now = Instant::now();
        said.retain(|_, at| now.duration_since(*at) < SAY_AGAIN);
        let of_one = said.keys().filter(|(one, _)| *one == key).count();
        let is_room = said.len() < MOST_SAID && of_one < MOST_SAID_OF_ONE;
        if is_room && said.insert((key, text.clone()), now).is_none() {
            self.tell(Event::Notice(text));
        }
    }

    /// Says what was found on the disk meanwhile.
    fn say_noticed(&self) {
        self.notices().into_iter().for_each(|text| self.tell(Event::Notice(text)));
    }

    /// Ends when the engine does.
    fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.0.stopping.subscribe();
        async move {
            // Without a sender there is nothing left to stop.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }
}

/// An address in the address book, where groups are concerned: with the port of a host's shell it stands for that host.
#[must_use]
pub fn of_group(at: HostPort) -> HostPort {
    match GROUP.port.filter(|_| at.port().is_none() || at.port() == PTY.port) {
        Some(port) => at.with_port(port),
        None => at,
    }
}

/// A group in a notice: the first digits of its id, which commands take for it.
fn short_id(id: &GroupId) -> String {
    id.to_string().get(..12).unwrap_or_default().to_owned()
}

/// An entry in a notice.
fn short_entry(id: &crate::proto::group::EntryId) -> String {
    id.to_string().get(..12).unwrap_or_default().to_owned()
}
