//! How much is kept of one author, and that it is the same for all.

use super::hostile::header;
use super::net::{BEGIN, Net};
use crate::error::Result;
use crate::group::replica::{Replica, Words};
use crate::group::roster::{MOST_ACTS, Verdict};
use crate::group::shelf::{MemoryShelf, Shelf, Stored};
use crate::proto::group::roster::{Act, Op, Place, Role};
use crate::proto::group::{Class, Entry, EntryId, Inc, Kind, LogId, Mode};

/// A shelf on which each log takes so many bytes.
struct Swollen(MemoryShelf, u64);

impl Shelf for Swollen {
    fn logs(&self) -> Result<Vec<Stored>> {
        self.0.logs()
    }

    fn bytes(&self, _log: &LogId) -> u64 {
        self.1
    }

    fn read(&self, log: &LogId, from: u64, most: usize) -> Result<Vec<Entry>> {
        self.0.read(log, from, most)
    }

    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        self.0.append(entries)
    }

    fn keep_fork(&mut self, fork: &[Entry; 2]) -> Result<()> {
        self.0.keep_fork(fork)
    }

    fn forks(&self) -> Result<Vec<[Entry; 2]>> {
        self.0.forks()
    }
}

/// The first act of an admin in a log of its own that has seen all that it knows.
fn first_act(net: &Net, node: usize, inc: u64) -> Entry {
    let mut header = header(net, node, Class::Roster);
    (header.log.inc, header.seq, header.prev) = (Inc(inc.to_be_bytes()), 1, EntryId::default());
    let seen: Vec<Place> = net.nodes[node].replica.roster().heads().to_vec();
    let act = Act { seen, op: Op::Rename { name: format!("name {inc}") }, key: None };
    Entry::sign(&net.nodes[node].me, header, act.encode().unwrap()).unwrap()
}

#[test]
fn an_admin_with_more_logs_than_are_kept_can_be_removed_everywhere() {
    let mut net = Net::group(5, Mode::Public);
    let (now, mallory, other) = (net.now, net.nodes[3].key(), net.nodes[4].key());
    net.nodes[0].act(Op::Promote { member: mallory }, None, now).unwrap();
    net.nodes[0].act(Op::Promote { member: other }, None, now).unwrap();
    (1..5).for_each(|other| net.connect(0, other));
    net.settle();
    net.wires.clear();
    let all: Vec<Entry> = (1..=66).map(|inc| first_act(&net, 3, inc)).collect();
    net.now = BEGIN + 200_000;
    let now = net.now;
    assert_eq!(net.nodes[0].replica.take(all[..64].to_vec(), now).unwrap().stored.len(), 64);
    assert_eq!(net.nodes[1].replica.take(all[1..65].to_vec(), now).unwrap().stored.len(), 64);
    let taken = net.nodes[4].replica.take(all[2..].to_vec(), now).unwrap();
    assert_eq!(taken.stored.len(), 64);
    // What another admin does after one that is not taken is refused, in words.
    let done = net.nodes[4].act(Op::Rename { name: "after them".to_owned() }, None, now + 1).unwrap();
    let taken = net.nodes[1].replica.take(vec![done], now + 1).unwrap();
    assert!(!taken.is_early && taken.refused[0].1.contains("one too many"), "{taken:?}");
    net.nodes[0].remove(mallory, now + 1).unwrap();
    for (one, other) in [(0, 1), (0, 2), (1, 2), (0, 4)] {
        net.connect(one, other);
    }
    net.settle();
    for node in [0, 1, 2, 4] {
        assert_eq!(
            net.nodes[node].replica.roster().role(&mallory),
            None,
            "{node}: {:?}",
            net.nodes[node].refused.last()
        );
    }
    assert_eq!(net.nodes[1].replica.roster().role(&other), Some(Role::Admin));
}

#[test]
fn what_all_logs_of_an_author_take_together_is_limited_before_and_after_a_restart_and_for_ourselves_too() {
    let mut net = Net::group(3, Mode::Public);
    let now = net.now;
    for inc in 1..=2 {
        let mut header = header(&net, 2, Class::Content);
        header.log.inc = Inc([inc; 8]);
        let said = Entry::sign(&net.nodes[2].me, header, b"said".to_vec()).unwrap();
        net.nodes[1].replica.take(vec![said.clone()], now).unwrap();
        net.nodes[2].replica.take(vec![said], now).unwrap();
    }
    let genesis = net.nodes[1].replica.genesis().clone();
    let mut next = header(&net, 2, Class::Content);
    next.log.inc = Inc([3; 8]);
    let next = Entry::sign(&net.nodes[2].me, next, b"more".to_vec()).unwrap();
    for (bytes, is_full) in [((128 << 20) - 1, false), (128 << 20, true)] {
        let shelf = Swollen(net.nodes[1].replica.shelf().clone(), bytes);
        let mut replica = Replica::open(genesis.clone(), shelf).unwrap();
        let taken = replica.take(vec![next.clone()], now).unwrap();
        assert_eq!(taken.refused.iter().any(|(_, why)| why.contains("more than 256 MiB")), is_full, "{taken:?}");
        assert_eq!(taken.stored.is_empty(), is_full);
        // The author itself does not write what nobody takes.
        let shelf = Swollen(net.nodes[2].replica.shelf().clone(), bytes);
        let mut replica = Replica::open(genesis.clone(), shelf).unwrap();
        let words = Words { kind: Kind::Message, text: b"more", reply_to: EntryId::default() };
        let written = replica.write(&net.nodes[2].me, next.header.log, &words, &[], now);
        assert_eq!(written.is_err(), is_full);
        if let Err(error) = written {
            assert!(error.to_string().contains("256 MiB") && error.hints()[0].contains("group.keep_days"), "{error}");
        }
    }
    // Acts of the owner, 256 MiB; of an admin, 16.
    let admin = net.nodes[1].key();
    net.nodes[0].act(Op::Promote { member: admin }, None, now).unwrap();
    net.connect(0, 1);
    net.settle();
    net.nodes[1].act(Op::Rename { name: "mine".to_owned() }, None, now + 1).unwrap();
    for (author, bytes) in [(0, 256 << 20), (1, 16 << 20)] {
        let node = &net.nodes[author];
        let (shelf, log) = (Swollen(node.replica.shelf().clone(), bytes), node.log(Class::Roster));
        let mut replica = Replica::open(genesis.clone(), shelf).unwrap();
        let error = replica.act(&node.me, log, Op::Rename { name: "more".to_owned() }, None, now).unwrap_err();
        assert!(error.to_string().contains(&format!("{} MiB", bytes >> 20)), "{error}");
    }
}

#[test]
fn a_log_has_ten_thousand_acts_at_most() {
    let net = Net::group(2, Mode::Public);
    let mut header = header(&net, 0, Class::Roster);
    for (seq, counts) in [(MOST_ACTS, true), (MOST_ACTS + 1, false)] {
        header.seq = seq;
        let verdict = net.nodes[1].replica.roster().verdict(&header, &EntryId::default());
        assert_eq!(verdict == Verdict::Counts, counts, "{verdict:?}");
    }
}
