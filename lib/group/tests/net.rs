//! The network: nodes, and wires between some of them, on which messages wait until the seed lets them through.

use crate::dice::Dice;
use crate::group::keys::{EpochKey, wrap};
use crate::group::replica::{Replica, Words};
use crate::group::session::{Came, Session};
use crate::group::shelf::MemoryShelf;
use crate::key::{KeyPair, PublicKey, SecretKey};
use crate::proto::group::roster::{Cut, Op, Place, Role, Wraps};
use crate::proto::group::{Class, Entry, EntryId, Genesis, History, Inc, KeyId, Kind, LogId, Message, Mode};
use std::collections::{BTreeMap, VecDeque};

/// Milliseconds since 1970 at which every run begins.
pub(super) const BEGIN: u64 = 1_800_000_000_000;

/// A key pair that is always the same.
pub(super) fn key_pair(number: u8) -> KeyPair {
    KeyPair::from_secret(SecretKey::from_bytes(&secret(number)))
}

fn secret(number: u8) -> [u8; 32] {
    [number.wrapping_add(1); 32]
}

/// A member, or one that will be.
pub(super) struct Node {
    pub(super) me: KeyPair,
    secret: [u8; 32],
    pub(super) replica: Replica<MemoryShelf>,
    pub(super) keys: BTreeMap<KeyId, EpochKey>,
    inc: u8,
    pub(super) refused: Vec<(PublicKey, String)>,
}

impl Node {
    pub(super) fn new(number: u8, genesis: &Genesis) -> Self {
        let replica = Replica::open(genesis.clone(), MemoryShelf::default()).unwrap();
        Node {
            me: key_pair(number),
            secret: secret(number),
            replica,
            keys: BTreeMap::new(),
            inc: 0,
            refused: Vec::new(),
        }
    }

    pub(super) fn key(&self) -> PublicKey {
        self.me.public()
    }

    pub(super) fn log(&self, class: Class) -> LogId {
        LogId { class, author: self.me.public(), inc: Inc([self.inc; 8]) }
    }

    /// From now on it writes new logs, as one does whose state was restored.
    pub(super) fn restored(&mut self) {
        self.inc += 1;
    }

    /// A copy of it that somebody else runs, with what is on its shelf; both write on in the same logs.
    pub(super) fn copied(&self) -> Node {
        let (genesis, shelf) = (self.replica.genesis().clone(), self.replica.shelf().clone());
        let replica = Replica::open(genesis, shelf).unwrap();
        let me = KeyPair::from_secret(SecretKey::from_bytes(&self.secret));
        Node { me, secret: self.secret, replica, keys: self.keys.clone(), inc: self.inc, refused: Vec::new() }
    }

    /// It ends and begins anew with what is on its shelf.
    pub(super) fn restart(&mut self) {
        let (genesis, shelf) = (self.replica.genesis().clone(), self.replica.shelf().clone());
        self.replica = Replica::open(genesis, shelf).unwrap();
    }

    pub(super) fn say(&mut self, text: &str, now: u64) -> crate::error::Result<Entry> {
        let keys: Vec<EpochKey> =
            self.replica.roster().keys().iter().filter_map(|key| self.keys.get(key).cloned()).collect();
        if keys.len() < self.replica.roster().keys().len() {
            return Err(crate::error::Error::refused("a key is missing"));
        }
        let log = self.log(Class::Content);
        let words = Words { kind: Kind::Message, text: text.as_bytes(), reply_to: EntryId::default() };
        let entry = self.replica.write(&self.me, log, &words, &keys, now)?;
        Ok(entry)
    }

    pub(super) fn act(&mut self, op: Op, key: Option<Wraps>, now: u64) -> crate::error::Result<Entry> {
        let log = self.log(Class::Roster);
        let entry = self.replica.act(&self.me, log, op, key, now)?;
        self.gather(std::slice::from_ref(&entry));
        Ok(entry)
    }

    /// A new key for all members but one.
    pub(super) fn new_key(&self, but: Option<&PublicKey>) -> Option<Wraps> {
        if self.replica.genesis().mode != Mode::Private {
            return None;
        }
        let members: Vec<PublicKey> =
            self.replica.roster().members().keys().filter(|key| Some(*key) != but).copied().collect();
        Some(wrap(&self.replica.group(), &[EpochKey::random().unwrap()], &members).unwrap())
    }

    pub(super) fn add(&mut self, member: PublicKey, now: u64) -> crate::error::Result<Entry> {
        let keys: Vec<EpochKey> =
            self.replica.roster().keys().iter().filter_map(|key| self.keys.get(key).cloned()).collect();
        let given = (self.replica.genesis().mode == Mode::Private)
            .then(|| wrap(&self.replica.group(), &keys, &[member]).unwrap());
        self.act(Op::Add { member, invite: None, given }, None, now)
    }

    pub(super) fn cut(&self, member: &PublicKey) -> Cut {
        let places = |class| {
            let logs = self.replica.logs().filter(|stored| stored.log.class == class && stored.log.author == *member);
            logs.map(|stored| Place::of(&stored.log, stored.seq, stored.id)).collect()
        };
        Cut { content: places(Class::Content), roster: places(Class::Roster) }
    }

    pub(super) fn remove(&mut self, member: PublicKey, now: u64) -> crate::error::Result<Entry> {
        let (cut, key) = (self.cut(&member), self.new_key(Some(&member)));
        self.act(Op::Remove { member, cut }, key, now)
    }

    /// What an admin does by itself: a new key where there are several, and keys for those who lack them.
    pub(super) fn tend(&mut self, now: u64) {
        let roster = self.replica.roster();
        if roster.role(&self.key()).is_none_or(|role| role < Role::Admin)
            || self.replica.genesis().mode != Mode::Private
        {
            return;
        }
        if roster.keys().len() > 1 || !roster.lacking().is_empty() || !roster.strangers().is_empty() {
            let key = self.new_key(None);
            self.act(Op::Rotate {}, key, now).unwrap();
        }
    }

    /// Takes the keys that acts bring for us.
    pub(super) fn gather(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.header.log.class == Class::Roster) {
            let act = crate::proto::group::roster::Act::decode(entry.body.as_deref().unwrap()).unwrap();
            let given = match &act.op {
                Op::Add { given, .. } => given.as_ref(),
                Op::Give { given } => Some(given),
                _ => None,
            };
            for wraps in given.into_iter().chain(act.key.as_ref()) {
                for boxed in &wraps.boxes {
                    if let Some(key) =
                        crate::group::keys::unwrap(&self.replica.group(), &self.me, &wraps.ephemeral, boxed)
                    {
                        self.keys.insert(boxed.key, key);
                    }
                }
            }
        }
    }

    /// The texts that it shows, in order; those that it cannot read as `None`.
    pub(super) fn shown(&self) -> Vec<(EntryId, Option<String>)> {
        let mut shown = Vec::new();
        let tips: Vec<_> = self.replica.tips().filter(|tip| tip.log.class == Class::Content).collect();
        for tip in tips {
            let first = self.replica.first_of(&tip.log).unwrap();
            for entry in self.replica.read(&tip.log, 1, usize::MAX).unwrap() {
                let verdict = self.replica.roster().verdict(&entry.header, &first);
                if verdict != crate::group::roster::Verdict::Counts {
                    continue;
                }
                let body = entry.body.as_deref().unwrap();
                let text = match entry.header.key.is_zero() {
                    true => Some(body.to_vec()),
                    false => {
                        match crate::group::keys::open_body(|key| self.keys.get(key).cloned(), &entry.header, body) {
                            crate::group::keys::Opened::Text(text) => Some(text),
                            _ => None,
                        }
                    }
                };
                let text = text.map(|text| String::from_utf8(text).unwrap());
                shown.push(((entry.header.clock, entry.header.log.author, entry.header.seq), entry.id, text));
            }
        }
        shown.sort_by_key(|(place, ..)| *place);
        shown.into_iter().map(|(_, id, text)| (id, text)).collect()
    }

    pub(super) fn digests(&self) -> [[u8; 32]; 2] {
        [self.replica.digest(Class::Roster), self.replica.digest(Class::Content)]
    }
}

/// A connection.
pub(super) struct Wire {
    pub(super) ends: [usize; 2],
    sessions: [Session; 2],
    waiting: [VecDeque<Vec<u8>>; 2],
}

/// All of it.
pub(super) struct Net {
    pub(super) nodes: Vec<Node>,
    pub(super) wires: Vec<Wire>,
    pub(super) now: u64,
    /// Bytes that were carried, by the first byte of the message.
    pub(super) carried: BTreeMap<u8, usize>,
}

impl Net {
    /// A group of `count` members, all of whom know of each other.
    pub(super) fn group(count: u8, mode: Mode) -> Self {
        let owner = key_pair(0).public();
        let genesis =
            Genesis { owner, created: BEGIN / 1000, mode, history: History::All, key: KeyId::default(), salt: [7; 16] };
        let nodes = (0..count).map(|number| Node::new(number, &genesis)).collect();
        let mut net = Net { nodes, wires: Vec::new(), now: BEGIN, carried: BTreeMap::new() };
        let owner = &mut net.nodes[0];
        let key = (mode == Mode::Private)
            .then(|| wrap(&owner.replica.group(), &[EpochKey::random().unwrap()], &[owner.key()]).unwrap());
        owner.act(Op::Create { name: "a group".to_owned() }, key, BEGIN).unwrap();
        for number in 1..count {
            net.now += 1;
            let (now, member) = (net.now, key_pair(number).public());
            net.nodes[0].add(member, now).unwrap();
        }
        for other in 1..usize::from(count) {
            net.connect(0, other);
        }
        net.settle();
        net.wires.clear();
        net
    }

    pub(super) fn connect(&mut self, one: usize, other: usize) {
        if one == other || self.wires.iter().any(|wire| wire.ends == [one, other] || wire.ends == [other, one]) {
            return;
        }
        let sessions = [one, other].map(|end| {
            let is_behind =
                self.wires.iter().any(|wire| (0..2).any(|at| wire.ends[at] == end && wire.sessions[at].is_behind()));
            Session::new(&self.nodes[end].replica, is_behind)
        });
        self.wires.push(Wire { ends: [one, other], sessions, waiting: Default::default() });
    }

    /// Cuts a wire; what was on its way is lost.
    pub(super) fn cut(&mut self, wire: usize) {
        self.wires.swap_remove(wire);
    }

    pub(super) fn cut_all_of(&mut self, node: usize) {
        self.wires.retain(|wire| !wire.ends.contains(&node));
    }

    /// One end of a wire says what it has to say next, if anything.
    pub(super) fn speak(&mut self, wire: usize, end: usize) -> bool {
        let wire = &mut self.wires[wire];
        let node = &self.nodes[wire.ends[end]];
        match wire.sessions[end].next(&node.replica, self.now).unwrap() {
            Some(message) => {
                let bytes = message.encode();
                *self.carried.entry(bytes[0]).or_default() += bytes.len();
                wire.waiting[1 - end].push_back(bytes);
                true
            }
            None => false,
        }
    }

    /// One end of a wire speaks or hears, if there is one.
    pub(super) fn go_on(&mut self, dice: &mut Dice) {
        if self.wires.is_empty() {
            return;
        }
        let (wire, end) = (dice.roll(self.wires.len()), dice.roll(2));
        if dice.roll(2) == 0 {
            self.speak(wire, end);
        } else {
            self.hear(wire, end);
        }
    }

    /// One end of a wire hears what waits for it, if anything does.
    pub(super) fn hear(&mut self, wire: usize, end: usize) -> bool {
        let wire = &mut self.wires[wire];
        let Some(bytes) = wire.waiting[end].pop_front() else { return false };
        let node = &mut self.nodes[wire.ends[end]];
        let message = Message::decode(&bytes).unwrap();
        if let Came::Entries(taken) = wire.sessions[end].hear(&mut node.replica, message, self.now).unwrap() {
            node.refused.extend(taken.refused);
            node.gather(&taken.stored);
        }
        true
    }

    /// Everything that can be said is said and heard, and time passes, until nobody has anything to say any more.
    pub(super) fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..200_000 {
            let mut something = false;
            for wire in 0..self.wires.len() {
                for end in 0..2 {
                    something |= self.speak(wire, end);
                    something |= self.hear(wire, end);
                }
            }
            if something {
                quiet = 0;
                continue;
            }
            let wakes = self.wires.iter().flat_map(|wire| wire.sessions.iter().filter_map(Session::wake_at)).min();
            match wakes {
                Some(at) => self.now = at.max(self.now + 1),
                None => return,
            }
            quiet += 1;
            assert!(quiet < 1000, "somebody wants what nobody brings");
        }
        panic!("it does not settle");
    }
}
