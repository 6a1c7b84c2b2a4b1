//! Forgetting: the log is written anew without what is too old.

use super::Conversation;
use super::record::Record;
use super::work::{Work, size};
use crate::error::Result;
use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::ops::RangeInclusive;

/// Places of messages that are left out: as runs, since what is old stands together.
#[derive(Default)]
struct Runs(Vec<RangeInclusive<u64>>);

impl Conversation {
    /// Forgets messages that were stored before `millis` (since 1970) and do not wait; how many.
    ///
    /// # Errors
    /// The log cannot be written; then it is as it was.
    pub fn forget_before(&self, millis: u64) -> Result<u64> {
        if !self.has_older(millis)? {
            return Ok(0);
        }
        let work = Work::begin(self)?;
        let lines = work.log()?;
        let mut waiting: HashSet<u64> = work.kept.waiting.iter().map(|one| one.seq).collect();
        let mut gone = Runs::default();
        let mut forgotten = 0;
        work.save_with_log(|kept, file| {
            let mut out = BufWriter::new(file);
            let mut length = 0;
            let mut places = HashMap::new();
            for line in lines.forwards(0) {
                let (_, line) = line.map_err(std::io::Error::other)?;
                match Record::read(&line) {
                    Some(Record::Message(found)) if waiting.remove(&found.seq) => {
                        places.insert(found.seq, length);
                    }
                    Some(Record::Message(found)) if found.stored < millis => {
                        gone.add(found.seq);
                        forgotten += 1;
                        continue;
                    }
                    Some(Record::Mark(seq, _)) if gone.holds(seq) => continue,
                    // A damaged line may be anything.
                    _ => {}
                }
                out.write_all(&line)?;
                out.write_all(b"\n")?;
                length += size(&line);
            }
            for one in &mut kept.waiting {
                one.at = places.get(&one.seq).copied().unwrap_or(one.at);
            }
            out.flush().map(|()| length)
        })?;
        Ok(forgotten)
    }

    /// Whether the first message that does not wait is old enough.
    fn has_older(&self, millis: u64) -> Result<bool> {
        let Some((dir, kept)) = self.kept()? else { return Ok(false) };
        let Some(lines) = self.log(&dir).lines()? else { return Ok(false) };
        for line in lines.forwards(0) {
            match Record::read(&line?.1) {
                Some(Record::Message(found)) if kept.waiting.iter().all(|one| one.seq != found.seq) => {
                    return Ok(found.stored < millis);
                }
                _ => {}
            }
        }
        Ok(false)
    }
}

impl Runs {
    fn add(&mut self, seq: u64) {
        match self.0.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(seq) => *last = *last.start()..=seq,
            _ => self.0.push(seq..=seq),
        }
    }

    fn holds(&self, seq: u64) -> bool {
        let behind = self.0.partition_point(|run| *run.start() <= seq);
        behind.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|run| run.contains(&seq))
    }
}
