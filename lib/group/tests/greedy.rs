//! What a member could use up: each of it has its limit.

use super::net::{Net, key_pair};
use crate::error::Result;
use crate::group::replica::Replica;
use crate::group::session::Session;
use crate::group::shelf::{MemoryShelf, Shelf, Stored};
use crate::proto::group::message::Tip;
use crate::proto::group::roster::Op;
use crate::proto::group::{Class, Entry, EntryId, Header, Inc, LogId, Message, Mode};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Bytes of entries that `session` has to say now.
fn said(session: &mut Session, net: &Net, now: u64) -> usize {
    let mut bytes = 0;
    while let Some(message) = session.next(&net.nodes[0].replica, now).unwrap() {
        if let Message::Entries(_) = message {
            bytes += message.encode().len();
        }
    }
    bytes
}

#[test]
fn who_wants_everything_again_before_it_can_have_come_gets_it_once() {
    let mut net = Net::group(2, Mode::Public);
    for number in 0..20 {
        let now = net.now + number;
        net.nodes[0].say(&"x".repeat(20_000), now).unwrap();
    }
    let group = net.nodes[0].replica.group();
    let mut session = Session::new(&net.nodes[0].replica, false);
    let mut now = net.now + 1000;
    let hear = |session: &mut Session, net: &mut Net, message, now| {
        session.hear(&mut net.nodes[0].replica, message, now).unwrap();
    };
    hear(&mut session, &mut net, Message::Hello { group, roster: [0; 32], content: [0; 32] }, now);
    hear(&mut session, &mut net, Message::Have { is_all: true, tips: Vec::new() }, now);
    let all = said(&mut session, &net, now);
    assert!(all > 400_000);
    let mut again = 0;
    for _ in 0..100 {
        hear(&mut session, &mut net, Message::Want, now);
        again += said(&mut session, &net, now);
    }
    assert_eq!(again, all);
    // The last of them is not forgotten: it may have been about something else.
    now = session.wake_at().unwrap();
    assert_eq!(said(&mut session, &net, now), all);
    assert_eq!(session.wake_at(), None);
}

#[test]
fn who_names_other_entries_in_all_places_is_proven_to_only_a_few_times() {
    let mut net = Net::group(2, Mode::Public);
    for number in 0..100 {
        let now = net.now + number;
        net.nodes[0].say("something", now).unwrap();
    }
    let log = net.nodes[0].log(Class::Content);
    let mut session = Session::new(&net.nodes[0].replica, false);
    for seq in 1..=100 {
        let other = Message::Have { is_all: false, tips: vec![Tip { log, seq, id: [9; 16] }] };
        session.hear(&mut net.nodes[0].replica, other, net.now).unwrap();
    }
    let mut proofs = 0;
    while let Some(message) = session.next(&net.nodes[0].replica, net.now).unwrap() {
        proofs += usize::from(matches!(message, Message::Entries(_)));
    }
    assert!((1..=16).contains(&proofs), "{proofs}");
}

#[test]
fn who_names_logs_that_there_are_not_has_little_of_it_kept() {
    let mut net = Net::group(3, Mode::Public);
    let now = net.now;
    let stranger = key_pair(200);
    let real = net.nodes[2].say("something", now).unwrap();
    let mut session = Session::new(&net.nodes[1].replica, false);
    let replica = &mut net.nodes[1].replica;
    for author in [stranger.public(), key_pair(2).public()] {
        for inc in 0..10_u64 {
            let log = |at: u64| LogId { class: Class::Content, author, inc: Inc((inc * 4096 + at).to_be_bytes()) };
            let tips = (0..4096).map(|at| Tip { log: log(at), seq: 1, id: [0; 16] }).collect();
            session.hear(replica, Message::Have { is_all: false, tips }, now).unwrap();
        }
    }
    assert!(session.remembered() < 17_000, "{}", session.remembered());
    let before = session.remembered();
    for inc in 0..200_u64 {
        let log = LogId { class: Class::Content, author: stranger.public(), inc: Inc((inc << 32).to_be_bytes()) };
        let header = Header { log, seq: 5, prev: EntryId([1; 32]), ..real.header.clone() };
        let entry = Entry::sign(&stranger, header, b"early".to_vec()).unwrap();
        session.hear(replica, Message::Entries(vec![entry]), now).unwrap();
    }
    assert_eq!(session.remembered(), before);
    // The log that there is counts all the same.
    let log = real.header.log;
    session.hear(replica, Message::Entries(vec![real]), now).unwrap();
    assert_eq!(session.theirs(&log), 1);
}

#[test]
fn what_was_said_of_a_log_before_its_author_was_known_as_a_member_counts_once_it_is() {
    let mut net = Net::group(2, Mode::Public);
    let (now, newcomer) = (net.now, key_pair(7));
    let group = net.nodes[0].replica.group();
    let log = LogId { class: Class::Content, author: newcomer.public(), inc: Inc([7; 8]) };
    // Somebody else is bringing what this one lacks, so that it must ask for what does not come.
    let mut session = Session::new(&net.nodes[1].replica, true);
    let add = net.nodes[0].act(Op::Add { member: newcomer.public(), invite: None, given: None }, None, now).unwrap();
    let tips = [add.clone()].iter().map(Tip::of).chain([Tip { log, seq: 3, id: [3; 16] }]).collect();
    let replica = &mut net.nodes[1].replica;
    session.hear(replica, Message::Hello { group, roster: [0; 32], content: [0; 32] }, now).unwrap();
    session.hear(replica, Message::Have { is_all: true, tips }, now).unwrap();
    replica.take(vec![add], now).unwrap();
    while session.next(replica, now).unwrap().is_some() {}
    assert_eq!(session.theirs(&log), 3);
    assert!(session.is_behind() && !session.is_level(replica));
    let mut wants = 0;
    while let Some(at) = session.wake_at() {
        wants += usize::from(session.next(replica, at).unwrap() == Some(Message::Want));
        assert!(at < now + 60_000);
    }
    assert_eq!(wants, 1);
}

/// A shelf that counts the entries that are read.
struct Counting {
    shelf: MemoryShelf,
    count: Cell<usize>,
}

impl Shelf for Counting {
    fn logs(&self) -> Result<Vec<Stored>> {
        self.shelf.logs()
    }

    fn read(&self, log: &LogId, from: u64, most: usize) -> Result<Vec<Entry>> {
        let entries = self.shelf.read(log, from, most)?;
        self.count.set(self.count.get() + entries.len());
        Ok(entries)
    }

    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        self.shelf.append(entries)
    }

    fn keep_fork(&mut self, fork: &[Entry; 2]) -> Result<()> {
        self.shelf.keep_fork(fork)
    }

    fn forks(&self) -> Result<Vec<[Entry; 2]>> {
        self.shelf.forks()
    }
}

#[test]
fn of_a_long_roster_only_so_much_is_read_at_a_time_as_is_sent() {
    const MOST: usize = 8 << 10;
    let mut net = Net::group(3, Mode::Public);
    let admin = net.nodes[1].key();
    let now = net.now;
    net.nodes[0].act(Op::Promote { member: admin }, None, now).unwrap();
    net.connect(0, 1);
    net.settle();
    for number in 0..100 {
        for node in [0, 1] {
            net.now += 1;
            let now = net.now;
            net.nodes[node].act(Op::Rename { name: format!("name {number}") }, None, now).unwrap();
        }
    }
    net.settle();
    let replica = &net.nodes[0].replica;
    let shelf = Counting { shelf: replica.shelf().clone(), count: Cell::default() };
    let replica = Replica::open(replica.genesis().clone(), shelf).unwrap();
    replica.shelf().count.set(0);
    let (mut theirs, mut all) = (BTreeMap::new(), Vec::new());
    loop {
        let acts = replica.missing_acts(&theirs, MOST).unwrap();
        let Some(last) = acts.last() else { break };
        assert!(acts.len() == 1 || acts.len() * 512 < MOST, "{last:?}");
        theirs.extend(acts.iter().map(|act| (act.header.log, act.header.seq)));
        all.extend(acts.iter().map(|act| (act.header.clock, act.id)));
    }
    assert_eq!(all.len(), replica.acts().len());
    assert!(all.is_sorted());
    let read = replica.shelf().count.get();
    assert!(read < 3 * all.len(), "{read} were read for {}", all.len());
}

#[test]
fn who_says_that_it_has_what_it_does_not_send_is_not_waited_for() {
    let mut net = Net::group(3, Mode::Public);
    let now = net.now;
    let said: Vec<Entry> = (0..2).map(|number| net.nodes[2].say("something", now + number).unwrap()).collect();
    let log = said[0].header.log;
    let group = net.nodes[0].replica.group();
    let replica = &mut net.nodes[1].replica;
    let mut session = Session::new(replica, false);
    let later = |session: &mut Session, replica: &mut Replica<MemoryShelf>, until: u64| {
        while session.next(replica, until).unwrap().is_some() {}
    };
    session.hear(replica, Message::Hello { group, roster: [0; 32], content: [0; 32] }, now).unwrap();
    let tips = vec![Tip { log, seq: 1 << 40, id: [3; 16] }];
    session.hear(replica, Message::Have { is_all: true, tips }, now).unwrap();
    later(&mut session, replica, now);
    assert!(session.is_behind());
    // It brings something of it, and is waited for as long again.
    let first = session.wake_at().unwrap();
    session.hear(replica, Message::Entries(vec![said[0].clone()]), first - 1).unwrap();
    later(&mut session, replica, first);
    assert!(session.is_behind());
    let second = session.wake_at().unwrap();
    assert!(second > first);
    later(&mut session, replica, second);
    assert!(!session.is_behind() && !session.is_level(replica));
    assert_eq!(session.wake_at(), None);
    // To say the same again makes nothing of it.
    let tips = vec![Tip { log, seq: 1 << 41, id: [3; 16] }];
    session.hear(replica, Message::Have { is_all: false, tips }, second + 1).unwrap();
    later(&mut session, replica, second + 1);
    assert!(!session.is_behind());
    session.hear(replica, Message::Entries(vec![said[1].clone()]), second + 2).unwrap();
    later(&mut session, replica, second + 2);
    assert!(session.is_behind());
}
