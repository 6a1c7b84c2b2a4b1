mod content;
mod keys;
mod random;
mod rules;
mod speed;
mod standing;

use super::*;
use crate::json::Bytes;
use crate::kdf;
use crate::proto::group::roster::{Cut, Standing, Wrap, Wraps};
use crate::proto::group::{Class, Header, History as Policy, Kind, LogId};

/// Somebody, by number; the owner is 0.
fn key(number: u16) -> PublicKey {
    let mut bytes = [1; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(&bytes).unwrap()
}

/// An epoch key, by number.
fn epoch(number: u16) -> KeyId {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    KeyId(bytes)
}

fn wraps(key_number: u16, members: &[u16]) -> Wraps {
    let boxes =
        members.iter().map(|number| Wrap { member: key(*number), key: epoch(key_number), sealed: Bytes(vec![0; 48]) });
    Wraps { ephemeral: key(9999), boxes: boxes.collect() }
}

fn genesis(mode: Mode) -> Genesis {
    let open = if mode == Mode::Open { epoch(500) } else { KeyId::default() };
    Genesis { owner: key(0), created: 1, mode, history: Policy::All, key: open, salt: [0; 16] }
}

/// A group's acts, and logs to which more are added.
#[derive(Clone)]
struct World {
    genesis: Genesis,
    acts: Vec<Known>,
}

impl World {
    /// A group with an owner (0), admins (1, 2, 3) and members (4, 5, 6). Keys are told apart where they matter.
    fn new(mode: Mode) -> Self {
        let mut world = World { genesis: genesis(mode), acts: Vec::new() };
        let private = mode == Mode::Private;
        world.with_key(0, Op::Create { name: "rowing".into() }, private.then(|| wraps(0, &[0])));
        for number in 1..=6 {
            let given = private.then(|| wraps(0, &[number]));
            world.act(0, Op::Add { member: key(number), invite: None, given });
        }
        for number in 1..=3 {
            world.act(0, promote(number));
        }
        world
    }

    /// What a new act sees that sees everything.
    fn now(&self) -> Vec<Place> {
        Roster::fold(&self.genesis, &self.acts).heads().to_vec()
    }

    /// An act that has seen everything.
    fn act(&mut self, author: u16, op: Op) -> Place {
        self.with_key(author, op, None)
    }

    fn with_key(&mut self, author: u16, op: Op, wraps: Option<Wraps>) -> Place {
        let now = self.now();
        self.put(author, 1, &now, op, wraps)
    }

    /// An act that has seen what is in `seen`, and its own log.
    fn after(&mut self, seen: &[Place], author: u16, op: Op) -> Place {
        self.put(author, 1, seen, op, None)
    }

    fn put(&mut self, author: u16, inc: u8, seen: &[Place], op: Op, wraps: Option<Wraps>) -> Place {
        let (author, inc) = (key(author), Inc([inc; 8]));
        let is_own = |place: &Place| (place.author, place.inc) == (author, inc);
        let seq = self.acts.iter().filter(|act| is_own(&act.place)).count() as u64 + 1;
        let id = EntryId(kdf::hash_32(&[author.as_bytes(), &inc.0, &seq.to_be_bytes(), format!("{op:?}").as_bytes()]));
        let place = Place { author, inc, seq, id };
        let seen = seen.iter().filter(|place| !is_own(place)).copied().collect();
        self.acts.push(Known { place, clock: self.acts.len() as u64 + 1, act: Act { seen, op, key: wraps } });
        place
    }

    fn roster(&self) -> Roster {
        Roster::fold(&self.genesis, &self.acts)
    }

    fn role(&self, number: u16) -> Option<Role> {
        self.roster().role(&key(number))
    }

    /// Why an act is void.
    fn why(&self, place: &Place) -> Option<String> {
        self.roster().void().iter().find(|(id, _)| *id == place.id).map(|(_, why)| why.clone())
    }

    fn is_void(&self, place: &Place, because: &str) {
        let why = self.why(place).expect("the act is in force");
        assert!(why.contains(because), "{why}");
    }
}

/// The last entry that counts in a content log.
fn at(number: u16, inc: u8, seq: u64) -> Place {
    Place { author: key(number), inc: Inc([inc; 8]), seq, id: EntryId([1; 32]) }
}

fn add(number: u16) -> Op {
    Op::Add { member: key(number), invite: None, given: None }
}

fn remove(number: u16, content: &[Place]) -> Op {
    Op::Remove { member: key(number), cut: Cut { content: content.to_vec(), roster: Vec::new() } }
}

fn mute(number: u16, content: &[Place]) -> Op {
    Op::Mute { member: key(number), cut: Cut { content: content.to_vec(), roster: Vec::new() } }
}

fn unmute(number: u16) -> Op {
    Op::Unmute { member: key(number) }
}

fn promote(number: u16) -> Op {
    Op::Promote { member: key(number) }
}

fn demote(number: u16, acts: &[Place]) -> Op {
    Op::Demote { member: key(number), cut: Cut { content: Vec::new(), roster: acts.to_vec() } }
}

fn rename(name: &str) -> Op {
    Op::Rename { name: name.into() }
}

/// The header of an entry in a content log.
fn entry(number: u16, inc: u8, seq: u64, roster: EntryId) -> Header {
    Header {
        group: crate::proto::group::GroupId([0; 32]),
        log: LogId { class: Class::Content, author: key(number), inc: Inc([inc; 8]) },
        seq,
        prev: EntryId::default(),
        clock: 1,
        time: 1,
        kind: Kind::Message,
        roster,
        key: KeyId::default(),
        reply_to: EntryId::default(),
        deps: Vec::new(),
        body_len: 0,
        body_hash: [0; 32],
    }
}
