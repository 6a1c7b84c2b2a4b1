//! What a receiver that asked for something takes: that, and nothing else.

use super::glob;
use crate::error::{Error, Result};

/// Checks the things that a sender says were named, in their order.
#[derive(Debug)]
pub struct Tops<'a> {
    asked: Option<&'a [Vec<u8>]>,
    /// How many more there may be.
    left: u32,
    /// The source that the last one came from, and its path; no path if that source has no more.
    last: Option<(u32, Option<Vec<u8>>)>,
    /// How many sources anything came from, and the first that was passed over.
    given: usize,
    passed: Option<usize>,
}

impl<'a> Tops<'a> {
    /// There will be at most so many; and if anything was asked for, nothing else.
    pub fn new(asked: Option<&'a [Vec<u8>]>, count: u32) -> Self {
        Tops { asked, left: count, last: None, given: 0, passed: None }
    }

    /// Takes the next one.
    ///
    /// # Errors
    /// It is one too many, or was not asked for.
    pub fn take(&mut self, source: u32, path: &[u8]) -> Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| Error::protocol("more than BEGIN announced"))?;
        let Some(asked) = self.asked else { return Ok(()) };
        let unasked = || Error::protocol(format!("'{}' was not asked for", path.escape_ascii()));
        let wanted = usize::try_from(source).ok().and_then(|at| asked.get(at)).ok_or_else(unasked)?;
        let before = match &self.last {
            Some((last, _)) if *last > source => return Err(unasked()),
            Some((last, path)) if *last == source => Some(path.as_deref().ok_or_else(unasked)?),
            _ => None,
        };
        let seen = match before {
            None if path == wanted.as_slice() => None,
            before if before < Some(path) && glob::matches(wanted, path) => Some(path.to_vec()),
            _ => return Err(unasked()),
        };
        let next = self.next();
        if self.last.as_ref().is_none_or(|(last, _)| *last != source) {
            self.given += 1;
            self.passed = self.passed.or_else(|| Some(next).filter(|next| u32::try_from(*next) != Ok(source)));
        }
        self.last = Some((source, seen));
        Ok(())
    }

    /// The number of the source after the last that anything came from.
    fn next(&self) -> usize {
        self.last
            .as_ref()
            .map_or(0, |(last, _)| usize::try_from(*last).map_or(usize::MAX, |last| last.saturating_add(1)))
    }

    /// The first source that was asked for and that nothing came from, unless so many `others` can account for all of them.
    #[must_use]
    pub fn missing(&self, others: u64) -> Option<&'a [u8]> {
        let asked = self.asked?;
        let open = u64::try_from(asked.len() - self.given.min(asked.len())).unwrap_or(u64::MAX);
        let first = asked.get(self.passed.unwrap_or_else(|| self.next()))?;
        (open > others).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(asked: &[&[u8]], count: u32, tops: &[(u32, &[u8])]) -> Vec<bool> {
        let asked: Vec<Vec<u8>> = asked.iter().map(|source| source.to_vec()).collect();
        let mut checked = Tops::new(Some(&asked), count);
        tops.iter().map(|(source, path)| checked.take(*source, path).is_ok()).collect()
    }

    #[test]
    fn what_was_asked_for_is_taken_in_the_order_of_asking() {
        assert_eq!(
            taken(&[b"a", b"d/*.c", b"~/z"], 4, &[(0, b"a"), (1, b"d/1.c"), (1, b"d/2.c"), (2, b"~/z")]),
            [true; 4]
        );
        assert_eq!(taken(&[b"a", b"b"], 2, &[(1, b"b"), (0, b"a")]), [true, false]);
    }

    #[test]
    fn nothing_else_is_taken() {
        for other in [&b"b"[..], b"", b"a/", b"./a", b"a/../b", b"A", b"ab", b"/a"] {
            assert_eq!(taken(&[b"a"], 1, &[(0, other)]), [false], "{other:?}");
        }
        assert_eq!(taken(&[b"a"], 1, &[(1, b"a")]), [false]);
        assert_eq!(taken(&[b"a", b"b"], 2, &[(0, b"b")]), [false]);
        for other in [&b"d/.c"[..], b"d/x/1.c", b"d/1.h", b"d/../1.c", b"1.c"] {
            assert_eq!(taken(&[b"d/*.c"], 1, &[(0, other)]), [false], "{other:?}");
        }
    }

    #[test]
    fn a_source_gives_its_own_name_once_and_what_a_pattern_finds_in_order() {
        assert_eq!(taken(&[b"a"], 9, &[(0, b"a"), (0, b"a")]), [true, false]);
        assert_eq!(taken(&[b"*"], 9, &[(0, b"a"), (0, b"b"), (0, b"b")]), [true, true, false]);
        assert_eq!(taken(&[b"*"], 9, &[(0, b"b"), (0, b"a")]), [true, false]);
        assert_eq!(taken(&[b"*"], 9, &[(0, b"*"), (0, b"a")]), [true, false]);
        assert_eq!(taken(&[b"*"], 1, &[(0, b"a"), (0, b"b")]), [true, false]);
    }

    #[test]
    fn the_first_source_that_nothing_came_from_is_missing() {
        let asked: Vec<Vec<u8>> = [&b"a"[..], b"b*", b"c"].iter().map(|source| source.to_vec()).collect();
        type Taken<'a> = &'a [(u32, &'a [u8])];
        let cases: [(Taken<'_>, [Option<&[u8]>; 4]); 6] = [
            (&[], [Some(b"a"), Some(b"a"), Some(b"a"), None]),
            (&[(0, b"a")], [Some(b"b*"), Some(b"b*"), None, None]),
            (&[(1, b"b1"), (1, b"b2")], [Some(b"a"), Some(b"a"), None, None]),
            (&[(2, b"c")], [Some(b"a"), Some(b"a"), None, None]),
            (&[(0, b"a"), (1, b"b1"), (1, b"b2")], [Some(b"c"), None, None, None]),
            (&[(0, b"a"), (1, b"b1"), (2, b"c")], [None; 4]),
        ];
        for (taken, missing) in cases {
            let mut tops = Tops::new(Some(&asked), 9);
            taken.iter().for_each(|(source, path)| tops.take(*source, path).unwrap());
            for (others, missing) in (0..).zip(missing) {
                assert_eq!(tops.missing(others), missing, "{taken:?} {others}");
            }
        }
        assert_eq!(Tops::new(None, 1).missing(0), None);
    }
}
