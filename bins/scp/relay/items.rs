//! The items that are under way between two hosts: what the receiver says of them by number gets its name here.

use keywire::error::{Error, Result};
use keywire::proto::copy::WINDOW;
use keywire::root::{Kind, MAX_PATH_LEN};
use std::collections::VecDeque;

/// Items that the sender has sent and the receiver has not settled.
#[derive(Debug, Default)]
pub(super) struct Items {
    open: VecDeque<Item>,
    /// Items in front of those.
    settled: u64,
    /// How deep the directory is that could not be made: nothing in it is stored, and nothing more is said of it.
    lost_below: Option<usize>,
    /// The last one is a file that has not ended.
    is_inside: bool,
}

#[derive(Debug)]
struct Item {
    path: Vec<u8>,
    kind: Kind,
    depth: usize,
    size: u64,
    fate: Fate,
}

/// What is known of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It may be stored.
    Sent,
    /// The sender said why it is not as it should be.
    Excused,
    /// The sender gave it up.
    Lost,
    /// The receiver said that it is not stored.
    Failed,
}

impl Items {
    /// The next one, so deep below what was named; a file may go on.
    ///
    /// # Errors
    /// It is further ahead than a sender may be.
    pub(super) fn add(&mut self, path: &[u8], kind: Kind, depth: usize, size: u64, goes_on: bool) -> Result<()> {
        if u64::try_from(self.open.len()).is_ok_and(|open| open >= WINDOW) {
            return Err(Error::protocol("more items than the receiver has settled room for"));
        }
        self.open.push_back(Item { path: path.to_vec(), kind, depth, size, fate: Fate::Sent });
        self.is_inside = goes_on;
        Ok(())
    }

    /// The first `count` of all are settled; `stored` is told of those that are where they belong.
    ///
    /// # Errors
    /// There are not so many, or they were more before.
    pub(super) fn settle(&mut self, count: u64, mut stored: impl FnMut(&[u8], Kind, u64)) -> Result<()> {
        let more = count.checked_sub(self.settled).and_then(|more| usize::try_from(more).ok());
        let unfinished = usize::from(self.is_inside && self.open.back().is_some_and(|last| last.fate != Fate::Failed));
        let more = more.filter(|more| *more <= self.open.len().saturating_sub(unfinished));
        let more = more.ok_or_else(|| Error::protocol(format!("STORED for {count} items")))?;
        for item in self.open.drain(..more) {
            if self.lost_below.is_some_and(|depth| item.depth > depth) {
                continue;
            }
            self.lost_below = (item.fate == Fate::Failed && item.kind == Kind::Directory).then_some(item.depth);
            if matches!(item.fate, Fate::Sent | Fate::Excused) {
                stored(&item.path, item.kind, item.size);
            }
        }
        self.settled = count;
        Ok(())
    }

    /// The item of this number is not stored; answers with its path if that is news.
    ///
    /// # Errors
    /// It is not under way, or that was said before.
    pub(super) fn fail(&mut self, number: u64) -> Result<Option<&[u8]>> {
        let at = number.checked_sub(self.settled).and_then(|at| usize::try_from(at).ok());
        let item = at.and_then(|at| self.open.get_mut(at)).filter(|item| item.fate != Fate::Failed);
        let item = item.ok_or_else(|| Error::protocol(format!("FAILED for the item {number}")))?;
        let before = std::mem::replace(&mut item.fate, Fate::Failed);
        Ok((before != Fate::Lost).then_some(&item.path))
    }

    /// The sender says that something is wrong with what is at this path.
    pub(super) fn excuse(&mut self, path: &[u8]) {
        if let Some(last) = self.open.back_mut().filter(|last| last.fate == Fate::Sent && is_told_as(&last.path, path))
        {
            last.fate = Fate::Excused;
        }
    }

    /// The last item has ended, and has so many bytes.
    pub(super) fn end_last(&mut self, size: u64) {
        self.is_inside = false;
        if let Some(last) = self.open.back_mut() {
            last.size = size;
        }
    }

    /// The sender gave up the last item; answers with its path if nobody has said why.
    pub(super) fn lose_last(&mut self) -> Option<Vec<u8>> {
        self.is_inside = false;
        let is_said = self.is_in_lost();
        let last = self.open.back_mut().filter(|last| last.fate != Fate::Failed)?;
        let before = std::mem::replace(&mut last.fate, Fate::Lost);
        (before == Fate::Sent && !is_said).then(|| last.path.clone())
    }

    /// The file that is under way, if there is one that may be stored.
    pub(super) fn inside(&self) -> Option<&[u8]> {
        let last = self.open.back().filter(|last| self.is_inside && last.fate != Fate::Failed)?;
        Some(&last.path)
    }

    /// Whether all that was sent is settled.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the last item is in a directory that could not be made.
    fn is_in_lost(&self) -> bool {
        let Some(mut depth) = self.open.back().map(|last| last.depth) else { return false };
        for item in self.open.iter().rev().filter(|item| item.kind == Kind::Directory) {
            if item.depth < depth {
                depth = item.depth;
                if item.fate == Fate::Failed {
                    return true;
                }
            }
        }
        self.lost_below.is_some_and(|lost| depth > lost)
    }
}

/// Whether a sender that has something to say of `path` names it so: as much of it as a message has room for.
pub(super) fn is_told_as(path: &[u8], told: &[u8]) -> bool {
    path.get(..path.len().min(MAX_PATH_LEN)) == Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(all: &[(&str, Kind, usize)]) -> Items {
        let mut items = Items::default();
        for (path, kind, depth) in all {
            items.add(path.as_bytes(), *kind, *depth, 1, false).unwrap();
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
        assert_eq!(items.fail(1).unwrap(), Some(&b"b"[..]));
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
    fn what_a_sender_gives_up_is_not_stored_and_news_only_if_nobody_said_why() {
        let begin = |path: &str| {
            let mut items = Items::default();
            items.add(path.as_bytes(), Kind::File, 0, 9, true).unwrap();
            items
        };
        let mut items = begin("a");
        assert!(settle(&mut items, 1).is_err(), "it has not ended");
        let mut items = begin("a");
        assert_eq!(items.lose_last(), Some(b"a".to_vec()));
        assert!(items.fail(0).unwrap().is_none(), "all was said");
        assert_eq!(settle(&mut items, 1).unwrap(), [""; 0]);
        let mut items = begin("a");
        items.excuse(b"a");
        assert_eq!(items.lose_last(), None);
        assert_eq!(settle(&mut items, 1).unwrap(), [""; 0]);
        let mut items = begin("a");
        items.fail(0).unwrap();
        assert_eq!(items.lose_last(), None);
        for settled in [0, 1, 2] {
            let mut items = self::items(&[("d", Kind::Directory, 0), ("d/e", Kind::Directory, 1)]);
            items.fail(0).unwrap();
            settle(&mut items, settled).unwrap();
            items.add(b"d/e/a", Kind::File, 2, 9, true).unwrap();
            assert_eq!(items.lose_last(), None, "{settled}: its directory is not there");
        }
    }

    #[test]
    fn a_sender_that_runs_too_far_ahead_is_stopped() {
        let mut items = Items::default();
        for _ in 0..WINDOW {
            items.add(b"a", Kind::File, 0, 0, false).unwrap();
        }
        assert!(items.add(b"a", Kind::File, 0, 0, false).is_err());
        settle(&mut items, 1).unwrap();
        items.add(b"a", Kind::File, 0, 0, false).unwrap();
    }
}
