//! What was sent and not settled yet: the names of so many items, and no more.

use crate::root::Kind;
use std::collections::VecDeque;

/// Items from the first that is not settled on.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    settled: u64,
    items: VecDeque<Item>,
    /// Their paths, one behind the other.
    paths: VecDeque<u8>,
    /// Bytes of the paths that were forgotten.
    forgotten: u64,
    /// The path that is told.
    told: Vec<u8>,
}

#[derive(Debug)]
struct Item {
    kind: Kind,
    size: u64,
    /// How many directories it is in.
    depth: usize,
    /// Where its path ends.
    end: u64,
    fate: Fate,
}

/// What is known of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It may have been stored.
    Sent,
    /// It will not be stored, and all that is to be said of it was said.
    Lost,
    /// The receiver said that it is not stored.
    Failed,
}

impl Ledger {
    /// How many items there were.
    pub(super) fn sent(&self) -> u64 {
        self.settled + u64::try_from(self.items.len()).unwrap_or(u64::MAX)
    }

    /// How many of them are settled.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Adds the next item.
    pub(super) fn add(&mut self, path: &[u8], kind: Kind, size: u64, depth: usize) {
        self.paths.extend(path);
        let end = self.forgotten + u64::try_from(self.paths.len()).unwrap_or(u64::MAX);
        self.items.push_back(Item { kind, size, depth, end, fate: Fate::Sent });
    }

    /// The last item turned out to have so many bytes.
    pub(super) fn resize_last(&mut self, size: u64) {
        if let Some(last) = self.items.back_mut() {
            last.size = size;
        }
    }

    /// The last item is not to be stored.
    pub(super) fn lose_last(&mut self) {
        if let Some(last) = self.items.back_mut().filter(|last| last.fate == Fate::Sent) {
            last.fate = Fate::Lost;
        }
    }

    /// Whether the last item may still be stored.
    pub(super) fn wants_last(&self) -> bool {
        self.items.back().is_none_or(|last| last.fate == Fate::Sent)
    }

    /// An item is not stored, and nothing that is in it. Returns its path if that is news; the error is what is wrong.
    pub(super) fn fail(&mut self, item: u64) -> Result<Option<&[u8]>, &'static str> {
        let at = item.checked_sub(self.settled).ok_or("FAILED for an item that is settled")?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let failed = self.items.get_mut(at).ok_or("FAILED for an item that was never sent")?;
        let fate = std::mem::replace(&mut failed.fate, Fate::Failed);
        let (kind, depth, end) = (failed.kind, failed.depth, failed.end);
        if fate == Fate::Failed {
            return Err("FAILED twice for one item");
        }
        if kind == Kind::Directory {
            let inside = self.items.iter_mut().skip(at.saturating_add(1)).take_while(|item| item.depth > depth);
            inside.filter(|item| item.fate == Fate::Sent).for_each(|item| item.fate = Fate::Lost);
        }
        if fate == Fate::Lost {
            return Ok(None);
        }
        let start = at.checked_sub(1).and_then(|before| self.items.get(before)).map_or(self.forgotten, |item| item.end);
        self.tell(start, end);
        Ok(Some(&self.told))
    }

    /// The first item is settled. Returns its path, kind and size if it is stored.
    pub(super) fn settle(&mut self) -> Option<(&[u8], Kind, u64)> {
        let item = self.items.pop_front()?;
        self.settled += 1;
        if item.fate == Fate::Sent {
            self.tell(self.forgotten, item.end);
        }
        let length = usize::try_from(item.end - self.forgotten).unwrap_or(usize::MAX);
        self.paths.drain(..length.min(self.paths.len()));
        self.forgotten = item.end;
        (item.fate == Fate::Sent).then_some((self.told.as_slice(), item.kind, item.size))
    }

    fn tell(&mut self, start: u64, end: u64) {
        let place = |at: u64| usize::try_from(at - self.forgotten).unwrap_or(usize::MAX).min(self.paths.len());
        self.told.clear();
        self.told.extend(self.paths.range(place(start)..place(end)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(ledger: &mut Ledger) -> Option<(String, u64)> {
        ledger.settle().map(|(path, _, size)| (String::from_utf8_lossy(path).into_owned(), size))
    }

    #[test]
    fn items_are_settled_in_order_and_by_their_names() {
        let mut ledger = Ledger::default();
        for round in 0..3 {
            ledger.add(b"first", Kind::File, 1, 0);
            ledger.add(b"", Kind::File, 2, 0);
            assert_eq!(ledger.fail(round * 3 + 1), Ok(Some(&b""[..])));
            assert!(!ledger.wants_last());
            ledger.add(b"third", Kind::Link, 3, 0);
            assert!(ledger.wants_last());
            assert_eq!(ledger.sent(), round * 3 + 3);
            assert_eq!(settle(&mut ledger), Some(("first".into(), 1)));
            assert_eq!(settle(&mut ledger), None);
            assert_eq!(ledger.fail(round * 3 + 2), Ok(Some(&b"third"[..])));
            assert_eq!(settle(&mut ledger), None);
            assert_eq!(ledger.settled(), round * 3 + 3);
        }
    }

    #[test]
    fn only_what_was_sent_and_is_not_settled_can_fail_and_once() {
        let mut ledger = Ledger::default();
        assert!(ledger.fail(0).is_err());
        ledger.add(b"a", Kind::File, 0, 0);
        assert!(ledger.fail(1).is_err() && ledger.fail(u64::MAX).is_err());
        assert!(ledger.fail(0).is_ok() && ledger.fail(0).is_err());
        settle(&mut ledger);
        assert!(ledger.fail(0).is_err());
    }

    #[test]
    fn what_is_in_a_directory_that_failed_is_lost_without_a_word() {
        let mut ledger = Ledger::default();
        ledger.add(b"d", Kind::Directory, 0, 0);
        ledger.add(b"d/e", Kind::Directory, 0, 1);
        ledger.add(b"d/e/f", Kind::File, 0, 2);
        ledger.add(b"d/g", Kind::File, 0, 1);
        assert_eq!(ledger.fail(1), Ok(Some(&b"d/e"[..])));
        assert_eq!(settle(&mut ledger), Some(("d".into(), 0)));
        assert_eq!(ledger.fail(2), Ok(None), "all was said");
        assert_eq!((settle(&mut ledger), settle(&mut ledger)), (None, None));
        assert_eq!(settle(&mut ledger), Some(("d/g".into(), 0)));
    }

    #[test]
    fn what_was_abandoned_is_not_stored() {
        let mut ledger = Ledger::default();
        ledger.add(b"a", Kind::File, 0, 0);
        ledger.lose_last();
        assert!(!ledger.wants_last());
        assert_eq!(settle(&mut ledger), None);
    }
}
