//! A disk that fails in the midst of a message: nothing counts that is not on it, and nothing that is on it goes unseen.

use super::net::{BEGIN, Net};
use crate::error::{Error, Result};
use crate::group::replica::Replica;
use crate::group::shelf::{MemoryShelf, Shelf, Stored};
use crate::proto::group::roster::Op;
use crate::proto::group::{Class, Entry, EntryId, LogId, Mode};
use std::cell::Cell;

/// A shelf on which one call fails, after so many that do not.
struct Failing {
    shelf: MemoryShelf,
    left: Cell<Option<usize>>,
}

impl Failing {
    fn call(&self) -> Result<()> {
        match self.left.take() {
            Some(0) => Err(Error::state("no room")),
            left => {
                self.left.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

impl Shelf for Failing {
    fn logs(&self) -> Result<Vec<Stored>> {
        self.call()?;
        self.shelf.logs()
    }

    fn bytes(&self, log: &LogId) -> u64 {
        self.shelf.bytes(log)
    }

    fn read(&self, log: &LogId, from: u64, most: usize) -> Result<Vec<Entry>> {
        self.call()?;
        self.shelf.read(log, from, most)
    }

    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        self.call()?;
        self.shelf.append(entries)
    }

    fn keep_fork(&mut self, fork: &[Entry; 2]) -> Result<()> {
        self.call()?;
        self.shelf.keep_fork(fork)
    }

    fn forks(&self) -> Result<Vec<[Entry; 2]>> {
        self.call()?;
        self.shelf.forks()
    }
}

/// A copy as it is before the message, on a disk on which the call after `left` others fails.
fn copy(net: &Net, left: usize) -> Replica<Failing> {
    let before = &net.nodes[3].replica;
    let shelf = Failing { shelf: before.shelf().clone(), left: Cell::new(None) };
    let copy = Replica::open(before.genesis().clone(), shelf).unwrap();
    copy.shelf().left.set(Some(left));
    copy
}

fn digests<S: Shelf>(replica: &Replica<S>) -> [[u8; 32]; 2] {
    [replica.digest(Class::Roster), replica.digest(Class::Content)]
}

/// Up to which entry each log is stored.
fn ends<S: Shelf>(replica: &Replica<S>) -> Vec<(LogId, u64, EntryId)> {
    replica.logs().map(|stored| (stored.log, stored.seq, stored.id)).collect()
}

#[test]
fn whatever_call_fails_while_a_message_is_taken_what_counts_is_what_is_stored_and_all_that_is_stored_is_told() {
    let mut net = Net::group(4, Mode::Public);
    let (now, removed) = (net.now, net.nodes[2].key());
    // Content, acts that cut some of it, and content again in the same message.
    let first = net.nodes[1].say("first", now).unwrap();
    let early = net.nodes[2].say("early", now + 1).unwrap();
    net.connect(0, 2);
    net.settle();
    let late = net.nodes[2].say("late", now + 2).unwrap();
    let named = net.nodes[0].act(Op::Rename { name: "another".to_owned() }, None, now + 3).unwrap();
    let cut = crate::proto::group::roster::Cut {
        content: vec![crate::proto::group::roster::Place::of(&early.header.log, 1, early.id)],
        ..Default::default()
    };
    let gone = net.nodes[0].act(Op::Remove { member: removed, cut }, None, now + 4).unwrap();
    let last = net.nodes[0].say("last", now + 5).unwrap();
    let message = vec![first, early, late, named, gone, last];
    let mut whole = copy(&net, usize::MAX);
    whole.take(message.clone(), BEGIN + 100_000).unwrap();
    let mut failed = 0;
    for left in 0.. {
        let mut replica = copy(&net, left);
        let taken = replica.take(message.clone(), BEGIN + 100_000);
        let is_over = replica.shelf().left.get().is_some();
        replica.shelf().left.set(None);
        let told: Vec<EntryId> = taken.iter().flat_map(|taken| &taken.stored).map(|entry| entry.id).collect();
        let again = Replica::open(replica.genesis().clone(), replica.shelf().shelf.clone()).unwrap();
        assert_eq!(ends(&replica), ends(&again), "after {left} calls: {taken:?}");
        for tip in replica.tips() {
            let there = again.shelf().read(&tip.log, tip.seq, 1).unwrap().remove(0);
            assert_eq!(there.id.0[..16], tip.id, "after {left} calls: {taken:?}");
        }
        let is_there =
            |entry: &&Entry| again.shelf().read(&entry.header.log, entry.header.seq, 1).unwrap() == [(*entry).clone()];
        let stored: Vec<EntryId> = message.iter().filter(is_there).map(|entry| entry.id).collect();
        assert!(stored.iter().all(|id| told.contains(id)), "after {left} calls: {taken:?}");
        // With room again it goes on.
        replica.take(message.clone(), BEGIN + 100_000).unwrap();
        assert_eq!(digests(&replica), digests(&whole), "after {left} calls");
        if is_over {
            break;
        }
        assert!(taken.map_or(true, |taken| taken.failure.is_some()));
        failed += 1;
    }
    assert!(failed > 3);
}
