//! Reading a log: its complete lines, forwards or backwards, in blocks, so that the end of a long log costs no more than that
//! of a short one.

use super::{FileId, end_of_last_line, read};
use crate::error::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes that are read at a time, unless the reader wants another number of them.
const BLOCK: u64 = 64 << 10;

/// Longest line that is given: more than the longest message takes.
const MAX_LINE_LEN: usize = 256 << 10;

/// The complete lines of a log, as many as there were when it was opened. What is left of a line at the end is none.
///
/// Each is given with its place, the number of bytes before it, and without its end. One that is longer than 256 KiB, which is
/// none of ours, is given as an empty one.
pub struct Lines {
    file: File,
    path: PathBuf,
    end: u64,
    block: u64,
    id: FileId,
    rest: u64,
    modified: Option<SystemTime>,
}

impl Lines {
    pub(super) fn new(file: File, path: PathBuf) -> Result<Self> {
        let found = file.metadata().map_err(|cause| Error::file("look at", &path, &cause))?;
        let end = end_of_last_line(&file, found.len()).map_err(|cause| Error::file("read", &path, &cause))?;
        let (id, rest, modified) = (FileId::of(&found), found.len() - end, found.modified().ok());
        Ok(Lines { file, path, end, block: BLOCK, id, rest, modified })
    }

    /// The same, read `bytes` at a time: less for one line, and where many logs are read at once.
    #[must_use]
    pub fn in_blocks_of(mut self, bytes: u64) -> Self {
        self.block = bytes.max(1);
        self
    }

    /// The same without those behind `place`, where one begins.
    #[must_use]
    pub fn up_to(mut self, place: u64) -> Self {
        self.end = self.end.min(place);
        self
    }

    /// How many bytes they have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// How many bytes stand behind them: what is left of a line.
    #[must_use]
    pub fn rest(&self) -> u64 {
        self.rest
    }

    /// When something was last written to it.
    #[must_use]
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// Which file it is.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Where the log lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lines from the last one back to the first.
    #[must_use]
    pub fn backwards(&self) -> Backwards<'_> {
        self.backwards_from(self.end)
    }

    /// The lines that end at `place` or before it, where one begins, from there back to the first.
    #[must_use]
    pub fn backwards_from(&self, place: u64) -> Backwards<'_> {
        Backwards { lines: self, block: Vec::new(), at: place.min(self.end), too_long: false }
    }

    /// The lines from `place` on, where one begins.
    #[must_use]
    pub fn forwards(&self, place: u64) -> Forwards<'_> {
        Forwards { lines: self, block: Vec::new(), given: 0, at: place, too_long: false }
    }

    /// The place of the first line that begins at `place` or behind it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn line_from(&self, place: u64) -> Result<u64> {
        let Some(mut at) = place.checked_sub(1) else { return Ok(0) };
        while at < self.end {
            let piece = self.read(at)?;
            if let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
                return Ok(at + count(end) + 1);
            }
            at += count(piece.len());
        }
        Ok(self.end)
    }

    /// The next block at `place`.
    fn read(&self, place: u64) -> Result<Vec<u8>> {
        self.read_some(place, self.block.min(self.end.saturating_sub(place)))
    }

    fn read_some(&self, place: u64, bytes: u64) -> Result<Vec<u8>> {
        read(&self.file, place, bytes).map_err(|cause| Error::file("read", &self.path, &cause))
    }
}

/// Lines from the last back to the first.
pub struct Backwards<'a> {
    lines: &'a Lines,
    /// What was read and not given yet. It ends where the next line to give ends.
    block: Vec<u8>,
    /// The place of the block.
    at: u64,
    /// Whether bytes of the next line to give were left out.
    too_long: bool,
}

impl Iterator for Backwards<'_> {
    type Item = Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let body = self.block.len().saturating_sub(1);
            let end_before = self.block.get(..body).and_then(|body| body.iter().rposition(|byte| *byte == b'\n'));
            if end_before.is_some() || self.at == 0 {
                if self.block.is_empty() {
                    return None;
                }
                let begin = end_before.map_or(0, |end| end + 1);
                let line = self.block.split_off(begin);
                return Some(Ok((self.at + count(begin), whole(line, &mut self.too_long))));
            }
            if self.block.len() > MAX_LINE_LEN {
                self.block = vec![b'\n'];
                self.too_long = true;
            }
            let more = self.lines.block.min(self.at);
            match self.lines.read_some(self.at - more, more) {
                Ok(mut piece) => {
                    self.at -= more;
                    piece.append(&mut self.block);
                    self.block = piece;
                }
                Err(error) => {
                    (self.at, self.block) = (0, Vec::new());
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Lines from one on.
pub struct Forwards<'a> {
    lines: &'a Lines,
    /// What was read last, and how much of it was given.
    block: Vec<u8>,
    given: usize,
    /// The place of the next line to give.
    at: u64,
    too_long: bool,
}

impl Iterator for Forwards<'_> {
    type Item = Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (place, mut line) = (self.at, Vec::new());
        loop {
            let ahead = self.block.get(self.given..).unwrap_or_default();
            let end = ahead.iter().position(|byte| *byte == b'\n');
            let piece = end.and_then(|end| ahead.get(..=end)).unwrap_or(ahead);
            self.at += count(piece.len());
            self.given += piece.len();
            if line.len() > MAX_LINE_LEN {
                self.too_long = true;
            } else {
                line.extend_from_slice(piece);
            }
            if end.is_some() {
                return Some(Ok((place, whole(line, &mut self.too_long))));
            }
            if self.at >= self.lines.end {
                return None;
            }
            match self.lines.read(self.at) {
                Ok(piece) => (self.block, self.given) = (piece, 0),
                Err(error) => {
                    (self.at, self.block) = (self.lines.end, Vec::new());
                    return Some(Err(error));
                }
            }
        }
    }
}

/// A line without its end; an empty one if it is too long.
fn whole(mut line: Vec<u8>, too_long: &mut bool) -> Vec<u8> {
    line.pop();
    match std::mem::take(too_long) || line.len() > MAX_LINE_LEN {
        true => Vec::new(),
        false => line,
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::log::tests::Dir;

    /// A log of lines of these lengths, with `rest` behind the last one.
    fn log(dir: &Dir, lengths: &[usize], rest: &str) -> Log {
        let text: String = lengths.iter().map(|length| "x".repeat(*length) + "\n").collect();
        std::fs::write(dir.log(0).path(), text + rest).unwrap();
        dir.log(0)
    }

    #[test]
    fn lines_are_the_same_in_both_directions_however_they_lie_in_the_blocks() {
        let block = usize::try_from(BLOCK).unwrap();
        let odd: Vec<usize> = (0..400).map(|number| number * 37 % 3001).collect();
        let around = [block - 2, block - 1, block, block + 1, 0, 0, 3 * block, MAX_LINE_LEN, 1, block * 2 - 1];
        for (lengths, rest) in
            [(&odd[..], ""), (&around, "half a line"), (&[5], ""), (&[], "half"), (&[], ""), (&[0], "")]
        {
            let dir = Dir::new();
            let lines = log(&dir, lengths, rest).lines().unwrap().unwrap();
            let mut place = 0;
            let mut expected = Vec::new();
            for length in lengths {
                expected.push((place, *length));
                place += count(*length) + 1;
            }
            assert_eq!(lines.bytes(), place);
            let short = |line: Result<(u64, Vec<u8>)>| line.map(|(place, line)| (place, line.len())).unwrap();
            assert_eq!(lines.forwards(0).map(short).collect::<Vec<_>>(), expected);
            for (at, (place, _)) in expected.iter().enumerate().step_by(97) {
                assert_eq!(lines.forwards(*place).map(short).collect::<Vec<_>>(), expected[at..]);
                assert_eq!(lines.line_from(*place).unwrap(), *place);
                let next = expected.get(at + 1).map_or(lines.bytes(), |next| next.0);
                assert_eq!(lines.line_from(*place + 1).unwrap(), next);
            }
            assert_eq!(lines.line_from(lines.bytes() + 7).unwrap(), lines.bytes());
            let forwards = expected.clone();
            expected.reverse();
            assert_eq!(lines.backwards().map(short).collect::<Vec<_>>(), expected);
            for (at, (place, _)) in expected.iter().enumerate().step_by(89) {
                assert_eq!(lines.backwards_from(*place).map(short).collect::<Vec<_>>(), expected[at + 1..]);
            }
            let lines = lines.in_blocks_of(777);
            assert_eq!(lines.backwards().map(short).collect::<Vec<_>>(), expected);
            assert_eq!(lines.forwards(0).map(short).collect::<Vec<_>>(), forwards);
            assert_eq!(lines.rest(), count(rest.len()));
        }
    }

    #[test]
    fn a_line_too_long_to_be_one_is_empty_and_the_others_are_whole() {
        let dir = Dir::new();
        let lines = log(&dir, &[3, 5 << 20, 4, MAX_LINE_LEN + 1, 2], "").lines().unwrap().unwrap();
        let found: Vec<_> = lines.forwards(0).map(|line| line.unwrap().1.len()).collect();
        assert_eq!(found, [3, 0, 4, 0, 2]);
        let found: Vec<_> = lines.backwards().map(|line| line.unwrap().1.len()).collect();
        assert_eq!(found, [2, 0, 4, 0, 3]);
    }

    #[test]
    fn a_log_that_is_cut_short_while_it_is_read_is_an_error_and_the_reading_ends() {
        let dir = Dir::new();
        let log = log(&dir, &[200_000, 200_000], "");
        let lines = log.lines().unwrap().unwrap();
        std::fs::write(log.path(), "").unwrap();
        assert_eq!(lines.backwards().map(|line| line.is_err()).collect::<Vec<_>>(), [true]);
        assert_eq!(lines.forwards(0).map(|line| line.is_err()).collect::<Vec<_>>(), [true]);
    }

    #[test]
    fn no_log_has_no_lines_and_a_link_to_one_is_refused() {
        let dir = Dir::new();
        assert!(dir.log(0).lines().unwrap().is_none());
        std::os::unix::fs::symlink("/dev/null", dir.log(0).path()).unwrap();
        assert!(dir.log(0).lines().err().unwrap().to_string().contains("symbolic link"));
    }
}
