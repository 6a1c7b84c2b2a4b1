//! The items that are under way between two hosts: what the receiver says of them by number gets its name here.

use keywire::error::{Error, Result};
use keywire::proto::copy::WINDOW;
use keywire::root::Kind;
use std::collections::VecDeque;

/// Items that the sender has sent and the receiver has not settled.
#[derive(Debug, Default)]
pub(super) struct Items {
    open: VecDeque<Item>,
    /// Items in front of those.
    settled: u64,
    /// How deep the directory is that could not be made: nothing in it is stored, and nothing more is said of it.
    lost_below: Option<usize>,
}

#[derive(Debug)]
struct Item {
    path: Vec<u8>,
    kind: Kind,
    depth: usize,
    size: u64,
    failed: bool,
}

impl Items {
    /// The next one, so deep below what was named.
    ///
    /// # Errors
    /// It is further ahead than a sender may be.
    pub(super) fn add(&mut self, path: &[u8], kind: Kind, depth: usize, size: u64) -> Result<()> {
        if u64::try_from(self.open.len()).is_ok_and(|open| open >= WINDOW) {
            return Err(Error::protocol("more items than the receiver has settled room for"));
        }
        self.open.push_back(Item { path: path.to_vec(), kind, depth, size, failed: false });
        Ok(())
    }

    /// The first `count` of all are settled; `stored` is told of those that are where they belong.
    ///
    /// # Errors
    /// There are not so many, or they were more before.
    pub(super) fn settle(&mut self, count: u64, mut stored: impl FnMut(&[u8], Kind, u64)) -> Result<()> {
        let more = count.checked_sub(self.settled).and_then(|more| usize::try_from(more).ok());
        let more = more.filter(|more| *more <= self.open.len());
        let more = more.ok_or_else(|| Error::protocol(format!("STORED for {count} items")))?;
        for item in self.open.drain(..more) {
            if self.lost_below.is_some_and(|depth| item.depth > depth) {
                continue;
            }
            self.lost_below = (item.failed && item.kind == Kind::Directory).then_some(item.depth);
            if !item.failed {
                stored(&item.path, item.kind, item.size);
            }
        }
        self.settled = count;
        Ok(())
    }

    /// The item of this number is not stored; answers with its path.
    ///
    /// # Errors
    /// It is not under way, or that was said before.
    pub(super) fn fail(&mut self, number: u64) -> Result<&[u8]> {
        let at = number.checked_sub(self.settled).and_then(|at| usize::try_from(at).ok());
        let item = at.and_then(|at| self.open.get_mut(at)).filter(|item| !item.failed);
        let item = item.ok_or_else(|| Error::protocol(format!("FAILED for the item {number}")))?;
        item.failed = true;
        Ok(&item.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(all: &[(&str, Kind, usize)]) -> Items {
        let mut items = Items::default();
        for (path, kind, depth) in all {
            items.add(path.as_bytes(), *kind, *depth, 1).unwrap();
        }
        items
    }

    fn settle(items: &mut Items, count: u64) -> Result<Vec<String>> {
        let mut stored = Vec::new();
        items.settle(count, |path, _, _| stored.push(String::from_utf8(path.to_vec()).unwrap())).map(|()| stored)
    }

    #[test]
    fn items_are_settled_in_the_order_in_which_they_were_sent() {
        let mut items = items(&[("a", Kind::File, 0), ("b", Kind::File, 0), ("c", Kind::Link, 0)]);
        assert_eq!(items.fail(1).unwrap(), b"b");
        assert_eq!(settle(&mut items, 2).unwrap(), ["a"]);
        assert_eq!(settle(&mut items, 2).unwrap(), [""; 0]);
        assert_eq!(settle(&mut items, 3).unwrap(), ["c"]);
    }

    #[test]
    fn a_receiver_cannot_settle_what_was_not_sent_or_take_back_what_it_said() {
        let mut items = items(&[("a", Kind::File, 0), ("b", Kind::File, 0)]);
        assert!(settle(&mut items, 3).is_err());
        assert!(items.fail(2).is_err());
        assert!(items.fail(1).is_ok());
        assert!(items.fail(1).is_err());
        assert!(settle(&mut items, 1).is_ok());
        assert!(items.fail(0).is_err());
        assert!(settle(&mut items, 0).is_err());
        assert!(settle(&mut items, u64::MAX).is_err());
    }

    #[test]
    fn nothing_in_a_directory_that_failed_counts_as_stored() {
        let (file, directory) = (Kind::File, Kind::Directory);
        let mut items = items(&[
            ("d", directory, 0),
            ("d/a", file, 1),
            ("d/e", directory, 1),
            ("d/e/b", file, 2),
            ("d/e/f", directory, 2),
            ("d/e/f/c", file, 3),
            ("d/g", directory, 1),
            ("d/g/d", file, 2),
        ]);
        items.fail(2).unwrap();
        assert_eq!(settle(&mut items, 4).unwrap(), ["d", "d/a"]);
        assert_eq!(settle(&mut items, 8).unwrap(), ["d/g", "d/g/d"]);
    }

    #[test]
    fn a_sender_that_runs_too_far_ahead_is_stopped() {
        let mut items = Items::default();
        for _ in 0..WINDOW {
            items.add(b"a", Kind::File, 0, 0).unwrap();
        }
        assert!(items.add(b"a", Kind::File, 0, 0).is_err());
        settle(&mut items, 1).unwrap();
        items.add(b"a", Kind::File, 0, 0).unwrap();
    }
}
