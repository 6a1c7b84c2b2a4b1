//! Reading back what was written. No lock is taken: the log only grows, and half a line at its end is not read.

use super::record::{Fate, Line, Record};
use super::{Conversation, Entry, LOG, Side, Stage};
use crate::error::{Error, Result};
use crate::log::Lines;
use std::collections::{BTreeMap, BTreeSet};

/// Below this much of the log a message is looked for line by line.
const NEAR: u64 = 64 << 10;

/// A conversation as it was when the reading began.
struct View<'a> {
    talk: &'a Conversation,
    lines: Lines,
    /// The places of those that wait.
    waiting: BTreeSet<u64>,
    next_seq: u64,
}

impl Conversation {
    /// The last `count` messages, oldest first. It reads a bounded part of the log.
    ///
    /// # Errors
    /// The log cannot be read, or nothing in it opens under our key.
    pub fn last(&self, count: usize) -> Result<Vec<Entry>> {
        let Some(view) = self.view()? else { return Ok(Vec::new()) };
        let mut opening = Opening::default();
        let mut fates = BTreeMap::new();
        for line in view.lines.backwards() {
            if opening.entries.len() >= count {
                break;
            }
            let (_, line) = line?;
            match view.read(&line) {
                Some(Record::Message(line)) => {
                    let fate = fates.remove(&line.seq);
                    opening.take(&view, line, fate);
                }
                Some(Record::Mark(seq, fate)) => {
                    fates.insert(seq, fate);
                }
                None => {}
            }
        }
        let mut entries = opening.finish()?;
        entries.reverse();
        Ok(entries)
    }

    /// The messages behind the place `seq`, oldest first, `count` at the most.
    ///
    /// # Errors
    /// The log cannot be read, or nothing in it opens under our key.
    pub fn after(&self, seq: u64, count: usize) -> Result<Vec<Entry>> {
        let Some(view) = self.view()? else { return Ok(Vec::new()) };
        let mut opening = Opening::default();
        // Messages of ours whose mark, if there is one, comes later.
        let mut open: BTreeMap<u64, usize> = BTreeMap::new();
        for line in view.lines.forwards(view.near(seq)?) {
            if opening.entries.len() >= count && open.is_empty() {
                break;
            }
            let (_, line) = line?;
            match view.read(&line) {
                Some(Record::Message(line)) if line.seq > seq && opening.entries.len() < count => {
                    let (place, ours) = (line.seq, line.side == Side::Out);
                    opening.take(&view, line, None);
                    if ours && !view.waits(place) {
                        open.insert(place, opening.entries.len().saturating_sub(1));
                    }
                }
                Some(Record::Mark(seq, fate)) => {
                    let entry = open.remove(&seq).and_then(|index| opening.entries.get_mut(index));
                    if let Some(entry) = entry.filter(|entry| entry.seq == seq) {
                        entry.stage = Some(fate.stage());
                    }
                }
                _ => {}
            }
        }
        opening.finish()
    }

    /// Every message from the first on, one after the other.
    ///
    /// # Errors
    /// The log cannot be read, nothing in it opens under our key, or `each` says no.
    pub fn each(&self, mut each: impl FnMut(Entry) -> Result<()>) -> Result<()> {
        let Some(view) = self.view()? else { return Ok(()) };
        // What is not here was acknowledged, or waits.
        let mut fates = BTreeMap::new();
        for line in view.lines.forwards(0) {
            match Record::read(&line?.1) {
                Some(Record::Mark(seq, fate)) if fate != Fate::Acked || view.waits(seq) => {
                    fates.insert(seq, fate);
                }
                _ => {}
            }
        }
        let mut opening = Opening::default();
        let mut some = false;
        for line in view.lines.forwards(0) {
            let (_, line) = line?;
            if let Some(Record::Message(line)) = view.read(&line) {
                let fate = fates.remove(&line.seq);
                opening.take(&view, line, fate);
                for entry in opening.entries.drain(..) {
                    some = true;
                    each(entry)?;
                }
            }
        }
        if some { Ok(()) } else { opening.finish().map(drop) }
    }

    /// The place of the last message; 0 if there is none.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn last_seq(&self) -> Result<u64> {
        self.last_where(|_| true)
    }

    /// The place of the last message that was stored before `millis` (since 1970), by our clock; 0 if there is none.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn seq_before(&self, millis: u64) -> Result<u64> {
        self.last_where(|line| line.stored < millis)
    }

    fn last_where(&self, is: impl Fn(&Line<'_>) -> bool) -> Result<u64> {
        let Some(view) = self.view()? else { return Ok(0) };
        for line in view.lines.backwards() {
            match view.read(&line?.1) {
                Some(Record::Message(line)) if is(&line) => return Ok(line.seq),
                _ => {}
            }
        }
        Ok(0)
    }

    fn view(&self) -> Result<Option<View<'_>>> {
        let Some(dir) = self.look_dir()? else { return Ok(None) };
        // The state first: a message that is stored after it was read has a place that it does not know.
        let kept = self.kept()?.map(|(_, kept)| kept);
        let Some(lines) = self.log(&dir).lines()? else { return Ok(None) };
        let next_seq = kept.as_ref().map_or(1, |kept| kept.next_seq);
        let waiting = kept.map(|kept| kept.waiting.iter().map(|one| one.seq).collect()).unwrap_or_default();
        Ok(Some(View { talk: self, lines, waiting, next_seq }))
    }
}

impl View<'_> {
    /// Reads a line; a damaged one is none, and it is said.
    fn read<'a>(&self, line: &'a [u8]) -> Option<Record<'a>> {
        let record = Record::read(line);
        if record.is_none() {
            self.talk.say_damaged(&self.lines);
        }
        record
    }

    fn waits(&self, seq: u64) -> bool {
        seq >= self.next_seq || self.waiting.contains(&seq)
    }

    fn stage(&self, seq: u64, fate: Option<Fate>) -> Stage {
        match fate {
            Some(fate) => fate.stage(),
            None if self.waits(seq) => Stage::Queued,
            None => Stage::Acked,
        }
    }

    /// A place in the log, not far before the first message behind `seq`.
    fn near(&self, seq: u64) -> Result<u64> {
        let (mut low, mut high) = (0, self.lines.bytes());
        while high - low > NEAR {
            let middle = low + (high - low) / 2;
            match self.first_message(self.lines.line_from(middle)?)? {
                Some((at, found)) if found <= seq && at < high => low = at,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The first message that begins at `place` or behind it: where, and its place among the messages.
    fn first_message(&self, place: u64) -> Result<Option<(u64, u64)>> {
        for line in self.lines.forwards(place) {
            let (at, line) = line?;
            if let Some(Record::Message(line)) = Record::read(&line) {
                return Ok(Some((at, line.seq)));
            }
        }
        Ok(None)
    }
}

/// Messages that are being opened.
#[derive(Default)]
struct Opening {
    entries: Vec<Entry>,
    failed: Option<Error>,
}

impl Opening {
    /// Opens one; one that does not open is left out, and it is said.
    fn take(&mut self, view: &View<'_>, line: Line<'_>, fate: Option<Fate>) {
        let stage = (line.side == Side::Out).then(|| view.stage(line.seq, fate));
        match view.talk.texts().entry(line, stage) {
            Ok(entry) => self.entries.push(entry),
            Err(why) => {
                view.talk.say_damaged(&view.lines);
                let path = view.lines.path().with_file_name(LOG);
                self.failed.get_or_insert(Error::state(format!("{} cannot be used: {why}", path.display())));
            }
        }
    }

    /// What was opened. A log of which nothing opens is not taken for an empty one.
    fn finish(self) -> Result<Vec<Entry>> {
        match self.failed {
            Some(error) if self.entries.is_empty() => Err(error),
            _ => Ok(self.entries),
        }
    }
}
