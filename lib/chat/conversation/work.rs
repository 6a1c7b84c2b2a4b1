//! A change of a conversation, under its lock: what is on disk, made right after a crash, and how it gets there again.

use super::record::{Fate, Line, Mark, Record, Texts, id_at_a_glance};
use super::state::{Kept, Keys, STATE, Waiting};
use super::{Conversation, LOG, Side};
use crate::error::{Error, Result};
use crate::json;
use crate::log::{Lines, Writer};
use crate::proto::chat::MessageId;
use crate::store::{Store, sync_parent};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use zeroize::Zeroizing;

/// A conversation that is being changed. Nothing has changed on disk until [`Work::save`].
pub(super) struct Work<'a> {
    talk: &'a Conversation,
    dir: Store,
    _lock: File,
    log: Writer,
    lines: String,
    pub(super) kept: Kept,
    pub(super) keys: Option<Keys>,
    pub(super) now: u64,
}

/// A message of the log that was looked for.
pub(super) struct Found {
    pub(super) numbers: (Option<u64>, Option<u64>),
    pub(super) text: Option<Zeroizing<Vec<u8>>>,
    pub(super) fate: Option<Fate>,
}

impl<'a> Work<'a> {
    pub(super) fn begin(talk: &'a Conversation) -> Result<Self> {
        let dir = talk.make_dir()?;
        let lock = dir.lock()?;
        let kept = Kept::load(&dir, &talk.peer)?.unwrap_or_else(|| Kept::new(talk.peer));
        let keys = kept.open_keys(&dir, talk.storage(), &talk.me())?;
        let log = talk.log(&dir).writer()?;
        if log.cut_off() > 0 {
            talk.chat.notice(&dir.path(LOG), "a line that was written half when a program died was cut off");
        }
        let now = talk.now();
        let mut work = Work { talk, dir, _lock: lock, log, lines: String::new(), kept, keys, now };
        work.reconcile()?;
        Ok(work)
    }

    /// Takes up what stands in the log and is not in the state: whoever wrote it died before the state was saved, or the state
    /// was put back from a copy.
    fn reconcile(&mut self) -> Result<()> {
        let length = self.log.len();
        if length == self.kept.log_len {
            return Ok(());
        }
        // Whoever wrote it may have died before it was synced, and what is taken up here may be acknowledged next.
        self.log.sync()?;
        sync_parent(&self.dir.path(LOG))?;
        let lines = self.log.lines()?;
        let known = self.kept.log_len;
        let goes_on = known < length && lines.line_from(known)? == known;
        for line in lines.forwards(if goes_on { known } else { 0 }) {
            let (at, line) = line?;
            match Record::read(&line) {
                Some(Record::Message(found)) if found.seq >= self.kept.next_seq => {
                    self.kept.next_seq = found.seq.saturating_add(1);
                    match found.side {
                        Side::In => self.kept.took(&found.id, found.time, size(&line), self.now),
                        Side::Out => self.kept.waiting.push(Waiting::found(&found, at)),
                    }
                }
                Some(Record::Message(_)) => {}
                Some(Record::Mark(seq, _)) => {
                    if let Some(index) = self.kept.waiting.iter().position(|waiting| waiting.seq == seq) {
                        self.take_out(index);
                    }
                }
                None => self.talk.say_damaged(&lines),
            }
        }
        self.kept.log_len = length;
        Ok(())
    }

    /// Adds a line to the log; where it begins, and how many bytes it takes.
    fn add<T: Serialize>(&mut self, record: &T) -> Result<(u64, u64)> {
        let line = json::line(record)?;
        let at = self.log.len() + size(self.lines.as_bytes()) - 1;
        self.lines += &line;
        self.lines.push('\n');
        Ok((at, size(line.as_bytes())))
    }

    /// Adds a message; its place among the messages, and where its line begins and how many bytes it takes.
    pub(super) fn add_message(&mut self, mut line: Line<'_>, text: &[u8]) -> Result<(u64, u64, u64)> {
        let seq = self.kept.next_seq;
        line.seq = seq;
        line.stored = self.now;
        line.text = self.texts().seal(line.side, &line.id, seq, text)?;
        let (at, bytes) = self.add(&line)?;
        self.kept.next_seq = seq.saturating_add(1);
        Ok((seq, at, bytes))
    }

    /// Takes the message at `index` out of those that wait, and writes down what became of it.
    pub(super) fn settle(&mut self, index: usize, fate: Fate) -> Result<MessageId> {
        let waiting = self.take_out(index);
        self.add(&Mark::new(waiting.seq, fate, self.now))?;
        Ok(waiting.id)
    }

    fn take_out(&mut self, index: usize) -> Waiting {
        let waiting = self.kept.waiting.remove(index);
        if let Some(keys) = &mut self.keys {
            keys.slots.remove(&waiting.id);
        }
        waiting
    }

    pub(super) fn texts(&self) -> Texts<'a> {
        self.talk.texts()
    }

    /// What the log has, without what was added.
    pub(super) fn log(&self) -> Result<Lines> {
        self.log.lines()
    }

    /// The text of a message that waits; `None`, and it is said, if it is not in the log any more.
    pub(super) fn text(&self, lines: &Lines, waiting: &Waiting) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let open = |line: &[u8]| match Record::read(line) {
            Some(Record::Message(line)) if line.seq == waiting.seq && line.id == waiting.id => {
                (line.side == Side::Out).then(|| self.texts().open(&line).ok())
            }
            _ => None,
        };
        let there = lines.forwards(waiting.at).next().transpose()?;
        let mut text = there.and_then(|(_, line)| open(&line));
        if text.is_none() {
            for line in lines.backwards() {
                text = open(&line?.1);
                if text.is_some() {
                    break;
                }
            }
        }
        let text = text.flatten();
        if text.is_none() {
            self.talk.chat.notice(lines.path(), "a message that waits to be sent is damaged in it, and stays unsent");
        }
        Ok(text)
    }

    /// Looks for messages in the last `most` bytes of the log.
    pub(super) fn find(&self, side: Side, ids: &HashSet<&MessageId>, most: u64) -> Result<HashMap<MessageId, Found>> {
        let mut found = HashMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        let lines = self.log()?;
        let names: HashSet<&str> = ids.iter().map(|id| id.as_str()).collect();
        let mut fates = BTreeMap::new();
        for line in lines.backwards() {
            let (at, line) = line?;
            if id_at_a_glance(&line).is_none_or(|id| names.contains(id)) {
                match Record::read(&line) {
                    Some(Record::Message(line)) if line.side == side && ids.contains(&line.id) => {
                        let fate = fates.get(&line.seq).copied();
                        let text = (side == Side::Out).then(|| self.texts().open(&line).ok()).flatten();
                        let numbers = (line.ep, line.n);
                        found.entry(line.id).or_insert(Found { numbers, text, fate });
                    }
                    Some(Record::Mark(seq, fate)) if side == Side::Out => {
                        fates.insert(seq, fate);
                    }
                    Some(_) => {}
                    None => self.talk.say_damaged(&lines),
                }
            }
            if found.len() == ids.len() || lines.bytes() - at > most {
                break;
            }
        }
        Ok(found)
    }

    /// Puts it all on disk: first what was added to the log, then the state. `synced` if the lines are messages, or marks
    /// that nothing would make up for.
    pub(super) fn save(mut self, synced: bool) -> Result<()> {
        let before = self.log.len();
        if let Err(error) = self.write(synced) {
            self.log.take_back(before);
            return Err(error.hint("nothing was changed"));
        }
        self.dir.settle(STATE)
    }

    fn write(&mut self, synced: bool) -> Result<()> {
        if !self.lines.is_empty() {
            self.log.add(&self.lines)?;
            if synced {
                self.log.sync()?;
            }
        }
        self.save_state()
    }

    fn save_state(&mut self) -> Result<()> {
        self.kept.log_len = self.log.len();
        self.kept.seal_keys(self.keys.as_ref(), self.talk.storage(), &self.talk.me())?;
        self.dir.write(STATE, &self.kept)
    }

    /// Puts a log that `fill` writes in the place of the one there is; it gives back how many bytes it wrote.
    pub(super) fn save_with_log(
        mut self,
        fill: impl FnOnce(&mut Kept, &mut File) -> std::io::Result<u64>,
    ) -> Result<()> {
        let mut length = 0;
        let kept = &mut self.kept;
        self.dir.replace(LOG, |file| {
            length = fill(kept, file)?;
            Ok(())
        })?;
        self.dir.settle(LOG)?;
        self.log = self.talk.log(&self.dir).writer()?;
        match self.log.len() == length {
            true => self.save(true),
            false => Err(Error::state(format!("{} was changed by another program", self.dir.path(LOG).display()))),
        }
    }
}

/// The bytes of a line with its end.
pub(super) fn size(line: &[u8]) -> u64 {
    u64::try_from(line.len()).map_or(u64::MAX, |bytes| bytes + 1)
}
