//! The shelf on disk: a file for each log.

use super::Group;
use super::logs::{Found, Line, LogFile, dir_name, file_name, in_dir};
use crate::error::{Error, Result};
use crate::group::shelf::{Shelf, Stored, check_places};
use crate::json;
use crate::log::{FileId, Lines, Log, Writer};
use crate::proto::group::{Class, Entry, EntryId, LogId};
use crate::store::{Store, sync_parent};
use crate::threads::lock;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

/// The log of pairs of entries in one place.
const FORKS: &str = "forks.jsonl";

/// How many logs are open for writing at a time.
const AT_ONCE: usize = 64;

/// By then the system has written what a process that died had not synced.
const UNSYNCED: Duration = Duration::from_secs(600);

/// Bytes that are read at a time where entries are read in a row.
const BLOCK: u64 = 64 << 10;

/// What an entry takes beside its body when entries are counted out.
const ENTRY_LEN: usize = 400;

const CUT_OFF: &str = "a line that was written half when a program died was cut off";
const DAMAGED: &str = "there are lines in it that are damaged: it was kept as a file of that name with '.bad' behind it, and what it lacks now is \
     asked from other members";

/// The logs of a group on disk. One process writes them at a time.
pub struct DiskShelf {
    pub(super) group: Group,
    /// Whether that is this one.
    writes: bool,
    pub(super) known: BTreeMap<LogId, Stored>,
    /// Where the reading of a log ended last: the place of an entry in its log, and that of its line in which file.
    pub(super) ends: RefCell<BTreeMap<LogId, (u64, u64, FileId)>>,
}

/// A line of the file of forks.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fork {
    a: Line,
    b: Line,
}

impl DiskShelf {
    /// The shelf of `group`. It reads both ends of each log; what a process that died left half is cut off, and a damaged end
    /// is moved out of the way.
    ///
    /// # Errors
    /// A log that is a symbolic link, somebody else's or writable by others, and one that cannot be read.
    pub fn open(group: &Group) -> Result<Self> {
        let mut shelf = Self::load(group, true)?;
        shelf.mend()?;
        Ok(shelf)
    }

    /// The same for whoever only reads while another process may write: nothing is changed, what is damaged or written half is
    /// left out, and nothing can be added.
    ///
    /// # Errors
    /// As [`DiskShelf::open`].
    pub fn look(group: &Group) -> Result<Self> {
        Self::load(group, false)
    }

    fn load(group: &Group, writes: bool) -> Result<Self> {
        let mut shelf = DiskShelf { group: group.clone(), writes, known: BTreeMap::new(), ends: RefCell::default() };
        for class in [Class::Roster, Class::Content] {
            let Some(dir) = group.dir.look_below(dir_name(class))? else { continue };
            for log in in_dir(&dir, class)? {
                shelf.take_up(&dir, log)?;
            }
        }
        Ok(shelf)
    }

    /// What was found on the disk since this was last asked and the user should know, as lines without line ends. Nothing is
    /// said twice.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.group.notices.take()
    }

    /// Moves out of the way what reading found damaged, and all that stands behind it in its log: the logs that are shorter
    /// now, or gone, so that they can be asked from others again.
    ///
    /// # Errors
    /// A full disk, among others; the log is as it was then.
    pub fn mend(&mut self) -> Result<Vec<LogId>> {
        let mut mended = Vec::new();
        self.must_write()?;
        while let Some((log, keep)) = { lock(&self.group.damaged).first_key_value().map(|(log, keep)| (*log, *keep)) } {
            self.cut(&log, keep)?;
            lock(&self.group.damaged).remove(&log);
            let dir = self.group.class_dir(log.class)?;
            self.take_up(&dir, log)?;
            mended.push(log);
        }
        mended.dedup();
        Ok(mended)
    }

    /// Takes nothing more, for whoever still has it in hand when the group is taken off the disk.
    pub fn close(&mut self) {
        self.writes = false;
    }

    pub(super) fn must_write(&self) -> Result<()> {
        match self.writes {
            true => Ok(()),
            false => Err(Error::state("a shelf that is only looked at cannot be changed")),
        }
    }

    /// Reads both ends of a log.
    fn take_up(&mut self, dir: &Store, log: LogId) -> Result<()> {
        self.known.remove(&log);
        self.ends.borrow_mut().remove(&log);
        let file = self.file(dir, log);
        let Some(mut lines) = file.lines()? else { return Ok(()) };
        let is_young = lines.modified().is_none_or(|at| at.elapsed().map_or(true, |age| age < UNSYNCED));
        if self.writes && (lines.rest() > 0 || is_young) {
            // Whoever wrote it may have died before it was synced, and what is here counts from now on.
            let _lock = self.group.dir.lock()?;
            let mut writer = self.writer(&file)?;
            writer.sync()?;
            sync_parent(&file.log.path())?;
            lines = writer.lines()?;
        }
        let mut found = file.look(&lines)?;
        if let (Found::Damage(keep), false) = (&found, self.writes) {
            self.group.meet_damage(log, &lines, *keep);
            lines = lines.up_to(*keep);
            found = file.look(&lines)?;
        }
        match found {
            Found::Nothing => {}
            Found::Entries(first, last) => {
                let (seq, id, clock) = (last.header.seq, last.id, last.header.clock);
                self.known.insert(log, Stored { log, first, seq, id, clock, bytes: lines.bytes() });
            }
            Found::Damage(keep) => self.group.meet_damage(log, &lines, keep),
        }
        Ok(())
    }

    /// Keeps a damaged log under another name, and its first `keep` bytes under its own.
    fn cut(&self, log: &LogId, keep: u64) -> Result<()> {
        let _lock = self.group.dir.lock()?;
        let dir = self.group.class_dir(log.class)?;
        let file = self.file(&dir, *log);
        let path = file.log.path();
        let (name, bad) = (file_name(log), format!("{}.bad", file_name(log)));
        let copy = |most: u64, to: &mut File| io::copy(&mut File::open(&path)?.take(most), to).map(drop);
        dir.replace(&bad, |to| copy(u64::MAX, to))?;
        dir.settle(&bad)?;
        dir.replace(&name, |to| copy(keep, to))?;
        dir.settle(&name)?;
        self.group.notices.add(&path, DAMAGED);
        Ok(())
    }

    pub(super) fn file(&self, dir: &Store, log: LogId) -> LogFile {
        LogFile::new(self.group.id, dir, log)
    }

    /// Takes a log for adding to it, under the lock of the group.
    fn writer(&self, file: &LogFile) -> Result<Writer> {
        let writer = file.log.writer()?;
        if writer.cut_off() > 0 {
            self.group.notices.add(&file.log.path(), CUT_OFF);
        }
        Ok(writer)
    }

    /// Adds entries to the ends of their logs; how long each was before and is then is put into `lengths`.
    fn add(&self, logs: &[(LogId, Vec<&Entry>)], lengths: &mut Vec<(LogId, u64, u64)>) -> Result<()> {
        for some in logs.chunks(AT_ONCE) {
            let mut writers = Vec::new();
            for (log, entries) in some {
                let file = self.file(&self.group.class_dir(log.class)?, *log);
                let mut writer = self.writer(&file)?;
                if writer.len() != self.known.get(log).map_or(0, |known| known.bytes) {
                    return Err(Error::state(format!("{} was changed by another program", file.log.path().display())));
                }
                let text = entries.iter().map(|entry| Line::of(entry).text()).collect::<Result<String>>()?;
                let before = writer.len();
                writer.add(&text)?;
                lengths.push((*log, before, writer.len()));
                writers.push(writer);
            }
            for writer in &mut writers {
                writer.sync()?;
            }
        }
        Ok(())
    }

    /// Takes back what was added to logs.
    fn take_back(&self, lengths: &[(LogId, u64, u64)]) {
        for (log, before, _) in lengths {
            let writer = self.group.class_dir(log.class).and_then(|dir| self.file(&dir, *log).log.writer());
            // What cannot be taken back now is read as damage, or as an entry, by the next process.
            let _ = writer.map(|mut writer| writer.take_back(*before));
        }
    }

    /// Entries from the place `from` on. `place` is that of the line of the entry before it, which is read for what names it.
    fn read_from(&self, file: &LogFile, lines: &Lines, place: u64, from: u64, most: usize) -> Result<Vec<Entry>> {
        let mut entries = Vec::<Entry>::new();
        let (mut bytes, mut before) = (0, None::<(u64, EntryId, u64)>);
        for line in lines.forwards(place) {
            let (at, line) = line?;
            let Some(entry) = file.entry(&line) else {
                self.group.meet_damage(file.id, lines, at);
                return Ok(entries);
            };
            // The one before the first is only read for what names it.
            let expected = before.map_or(from.saturating_sub(1).max(1), |(seq, _, _)| seq.saturating_add(1));
            if entry.header.seq != expected {
                self.group.meet_damage(file.id, lines, at);
                return Ok(entries);
            }
            if before.is_some_and(|(_, id, _)| entry.header.prev != id) {
                // One of the two is not what it was.
                self.group.meet_damage(file.id, lines, before.map_or(at, |(_, _, at)| at));
                entries.pop();
                return Ok(entries);
            }
            bytes += ENTRY_LEN + entry.body.as_ref().map_or(0, Vec::len);
            if bytes > most && !entries.is_empty() {
                break;
            }
            before = Some((entry.header.seq, entry.id, at));
            if entry.header.seq >= from {
                entries.push(entry);
            } else {
                bytes = 0;
            }
        }
        if let Some((seq, _, at)) = before {
            self.ends.borrow_mut().insert(file.id, (seq, at, lines.id()));
        }
        Ok(entries)
    }

    fn forks_log(&self) -> Log {
        Log::new(self.group.dir.clone(), FORKS, u64::MAX)
    }
}

impl Shelf for DiskShelf {
    fn logs(&self) -> Result<Vec<Stored>> {
        Ok(self.known.values().copied().collect())
    }

    fn bytes(&self, log: &LogId) -> u64 {
        self.known.get(log).map_or(0, |known| known.bytes)
    }

    fn read(&self, log: &LogId, from: u64, most: usize) -> Result<Vec<Entry>> {
        let from = from.max(1);
        if self.known.get(log).is_none_or(|known| from > known.seq) {
            return Ok(Vec::new());
        }
        let file = self.file(&self.group.class_dir(log.class)?, *log);
        let Some(lines) = file.lines()? else {
            return Err(Error::state(format!("{} is gone", file.log.path().display())));
        };
        let before = from - 1;
        let is_it = |(seq, _, id): &&(u64, u64, FileId)| *seq == before && id.is(&lines.id());
        let end = self.ends.borrow().get(log).filter(is_it).map(|(_, place, _)| *place);
        let place = match end {
            Some(place) => place,
            None => file.find(&lines, |header| header.seq < before)?,
        };
        self.read_from(&file, &lines.in_blocks_of(BLOCK), place, from, most)
    }

    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        self.must_write()?;
        check_places(entries, |log| self.known.get(log).map(|known| (known.seq, known.id)))?;
        let mut logs: BTreeMap<LogId, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            logs.entry(entry.header.log).or_default().push(entry);
        }
        let logs: Vec<_> = logs.into_iter().collect();
        let _lock = self.group.dir.lock()?;
        let mut lengths = Vec::new();
        if let Err(error) = self.add(&logs, &mut lengths) {
            self.take_back(&lengths);
            return Err(error.hint("nothing was changed"));
        }
        for ((log, entries), (_, _, bytes)) in logs.iter().zip(lengths) {
            if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
                let first = self.known.get(log).map_or(first.header.roster, |known| known.first);
                let (seq, id, clock) = (last.header.seq, last.id, last.header.clock);
                self.known.insert(*log, Stored { log: *log, first, seq, id, clock, bytes });
            }
        }
        Ok(())
    }

    fn keep_fork(&mut self, fork: &[Entry; 2]) -> Result<()> {
        self.must_write()?;
        let [first, _] = fork;
        let is_there =
            |[there, _]: &[Entry; 2]| there.header.log == first.header.log && there.header.seq <= first.header.seq;
        if self.forks()?.iter().any(is_there) {
            return Ok(());
        }
        let [a, b] = fork.each_ref().map(|entry| Line::of(&Entry { body: None, ..entry.clone() }));
        let cut_off = self.forks_log().append(&[Fork { a, b }])?;
        if cut_off > 0 {
            self.group.notices.add(&self.forks_log().path(), CUT_OFF);
        }
        Ok(())
    }

    fn forks(&self) -> Result<Vec<[Entry; 2]>> {
        let mut forks = BTreeMap::<LogId, [Entry; 2]>::new();
        let Some(lines) = self.forks_log().lines()? else { return Ok(Vec::new()) };
        for found in lines.forwards(0) {
            let (_, found) = found?;
            let fork = json::parse::<Fork>(&found, found.len()).ok();
            let Some(fork) = fork.and_then(|fork| Some([fork.a.entry()?, fork.b.entry()?])) else {
                self.group.notices.add(lines.path(), "there are lines in it that are damaged, and left out");
                continue;
            };
            let [first, _] = &fork;
            let seq = first.header.seq;
            match forks.get(&first.header.log) {
                Some([known, _]) if known.header.seq <= seq => {}
                _ => drop(forks.insert(first.header.log, fork)),
            }
        }
        Ok(forks.into_values().collect())
    }
}
