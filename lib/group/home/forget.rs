//! Forgetting: what is too old loses its text, and the log is written anew without it. The headers stay, so the chain can be
//! checked by all who ask for it.

use super::DiskShelf;
use super::logs::{Line, LogFile, file_name};
use crate::error::Result;
use crate::group::shelf::Shelf;
use crate::json;
use crate::log::{FileId, Lines};
use crate::proto::group::{Class, Header, Kind, LogId};
use crate::store::Store;
use std::fs::File;
use std::io::{self, BufWriter, Write};

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Before when, in milliseconds since 1970, what was said is forgotten, where texts are kept for so many days; `None` if they
/// are kept for ever.
#[must_use]
pub fn forgotten_before(keep_days: Option<u32>, now: u64) -> Option<u64> {
    keep_days.map(|days| now.saturating_sub(u64::from(days) * DAY))
}

/// Whether an entry loses its body. The order of entries decides, and not the time that their authors name. Addresses are
/// small, and needed for as long as they are the last.
fn is_forgotten(header: &Header, before: u64) -> bool {
    header.kind == Kind::Message && header.clock < before
}

impl DiskShelf {
    /// Drops the texts of messages that come before `millis` (since 1970) in the order of entries; how many.
    ///
    /// # Errors
    /// A log cannot be written; then it is as it was.
    pub fn forget_before(&mut self, millis: u64) -> Result<u64> {
        self.must_write()?;
        let mut forgotten = 0;
        for stored in self.logs()?.iter().filter(|stored| stored.log.class == Class::Content) {
            let dir = self.group.class_dir(Class::Content)?;
            forgotten += self.forget(&dir, stored.log, millis)?;
        }
        Ok(forgotten)
    }

    fn forget(&mut self, dir: &Store, log: LogId, millis: u64) -> Result<u64> {
        let file = self.file(dir, log);
        let _lock = self.group.dir.lock()?;
        let Some(lines) = file.lines()? else { return Ok(0) };
        let end = file.find(&lines, |header| header.clock < millis)?;
        if !has_texts(&file, &lines, end)? {
            return Ok(0);
        }
        let (mut forgotten, mut length) = (0, 0);
        dir.replace(&file_name(&log), |to| {
            (forgotten, length) = write_without(&file, &lines, end, millis, to)?;
            to.sync_all()?;
            self.group.announce_file(&log, FileId::of(&to.metadata()?)).map_err(io::Error::other)
        })?;
        dir.settle(&file_name(&log))?;
        self.group.settle_file(&log)?;
        self.known.entry(log).and_modify(|known| known.bytes = length);
        self.ends.borrow_mut().remove(&log);
        Ok(forgotten)
    }
}

/// Whether the last message before `end` has its text. Those before it do not once it has lost it.
fn has_texts(file: &LogFile, lines: &Lines, end: u64) -> Result<bool> {
    for line in lines.backwards_from(end) {
        match file.head(&line?.1) {
            Some(head) if head.header.kind == Kind::Message => return Ok(head.has_body),
            _ => {}
        }
    }
    Ok(false)
}

/// Writes the lines, those before `end` without the bodies that are too old: how many lost theirs, and the bytes that were
/// written. A damaged line may be anything, and stays.
fn write_without(file: &LogFile, lines: &Lines, end: u64, millis: u64, to: &mut File) -> io::Result<(u64, u64)> {
    let mut out = BufWriter::new(to);
    let (mut forgotten, mut length) = (0, 0);
    for line in lines.forwards(0) {
        let (place, mut line) = line.map_err(io::Error::other)?;
        let head = file.head(&line).filter(|head| place < end && head.has_body && is_forgotten(&head.header, millis));
        if head.is_some() {
            let short = json::parse::<Line>(&line, line.len()).map_err(io::Error::other)?.without_body();
            line = json::line(&short).map_err(io::Error::other)?.into_bytes();
            forgotten += 1;
        }
        line.push(b'\n');
        out.write_all(&line)?;
        length += u64::try_from(line.len()).unwrap_or(0);
    }
    out.flush()?;
    Ok((forgotten, length))
}
