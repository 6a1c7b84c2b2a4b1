//! Many logs in one order. Of each only a few lines are in memory, and no file stays open.

use crate::error::{Error, Result};
use crate::group::home::{Group, LogFile};
use crate::key::PublicKey;
use crate::log::{FileId, Lines};
use crate::proto::group::{Dep, Entry, EntryId, Header, Inc, LogId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Bytes of lines that are in memory, all logs together.
const MEMORY: u64 = 4 << 20;

/// Most of them of one log.
const MOST_OF_ONE: u64 = 64 << 10;

/// Least of them of one log.
const LEAST_OF_ONE: u64 = 2 << 10;

/// Where an entry stands in the order of all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    clock: u64,
    author: PublicKey,
    pub(super) seq: u64,
    inc: Inc,
}

impl Key {
    pub(super) fn of(header: &Header) -> Self {
        Key { clock: header.clock, author: header.log.author, seq: header.seq, inc: header.log.inc }
    }
}

/// Which way is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Back,
    Forth,
}

/// A log, as far as it went when it was looked at.
pub(super) struct Track {
    pub(super) file: LogFile,
    /// What its first entry names as the last act known.
    pub(super) first: EntryId,
    /// Its last entry.
    pub(super) last: Key,
    /// What that has seen of others.
    pub(super) last_deps: Vec<Dep>,
    id: FileId,
    bytes: u64,
    group: Group,
}

impl Track {
    /// Looks at both ends; `None` if there is nothing to read.
    pub(super) fn open(file: LogFile, group: &Group) -> Result<Option<Self>> {
        let Some(lines) = file.lines()? else { return Ok(None) };
        let Some(first) = lines.forwards(0).next().transpose()? else { return Ok(None) };
        let first = file.head(&first.1).map(|head| head.header.roster);
        let mut last = None;
        for line in lines.backwards() {
            last = file.head(&line?.1);
            if last.is_some() {
                break;
            }
        }
        let (Some(first), Some(last)) = (first, last) else {
            group.meet_damage(file.id, &lines, 0);
            return Ok(None);
        };
        let (id, bytes, last, last_deps) = (lines.id(), lines.bytes(), Key::of(&last.header), last.header.deps);
        Ok(Some(Track { file, first, last, last_deps, id, bytes, group: group.clone() }))
    }

    /// The last entry that `is`, those that are so standing before those that are not.
    pub(super) fn last_where(&self, is: impl Fn(&Header) -> bool) -> Result<Option<Key>> {
        let Some(lines) = self.file.lines()? else { return Ok(None) };
        for line in lines.backwards_from(self.file.find(&lines, is)?) {
            if let Some(head) = self.file.head(&line?.1) {
                return Ok(Some(Key::of(&head.header)));
            }
        }
        Ok(None)
    }
}

/// The entries of many logs in one order.
pub(super) struct Merge {
    way: Way,
    sources: Vec<Source>,
    /// The next entry of each log.
    next: BTreeMap<Key, usize>,
}

/// One of them.
struct Source {
    track: Arc<Track>,
    ahead: VecDeque<Line>,
    /// Where the next line to read ends, or begins, in which file.
    at: u64,
    id: FileId,
    /// The place of the last entry that was read.
    read: u64,
    /// The last place that counts.
    end: u64,
    /// Bytes of lines that may be in memory.
    room: u64,
}

/// A line that was read. A long one is read again when it is its turn.
struct Line {
    key: Key,
    place: u64,
    bytes: Option<Vec<u8>>,
}

impl Merge {
    /// All entries of `tracks` as far as `end` says that they count; forth, those behind the places `from`.
    pub(super) fn new(
        tracks: &[Arc<Track>],
        way: Way,
        end: &dyn Fn(&LogId, &EntryId) -> Option<u64>,
        from: impl Fn(&LogId) -> u64,
    ) -> Result<Self> {
        let each = MEMORY / u64::try_from(tracks.len().max(1)).unwrap_or(u64::MAX);
        let room = each.clamp(LEAST_OF_ONE, MOST_OF_ONE);
        let mut merge = Merge { way, sources: Vec::new(), next: BTreeMap::new() };
        for track in tracks {
            let end = end(&track.file.id, &track.first).unwrap_or(u64::MAX).min(track.last.seq);
            let from = from(&track.file.id);
            if end <= from {
                continue;
            }
            let (track, ahead, id) = (track.clone(), VecDeque::new(), track.id);
            let (at, read) = match way {
                Way::Back => (track.bytes, end.saturating_add(1)),
                Way::Forth => (0, from),
            };
            let last = track.last;
            let mut source = Source { track, ahead, at, id, read, end, room };
            if way == Way::Back && end == last.seq {
                // Where it ends is known: it is read only if it is its turn.
                merge.next.insert(last, merge.sources.len());
            } else {
                if source.read > 0 {
                    source.seek(way)?;
                }
                source.read_ahead(way)?;
                merge.next.extend(source.ahead.front().map(|line| (line.key, merge.sources.len())));
            }
            merge.sources.push(source);
        }
        Ok(merge)
    }

    /// The next entry, and its log.
    pub(super) fn next(&mut self) -> Result<Option<(Arc<Track>, Entry)>> {
        loop {
            let next = match self.way {
                Way::Back => self.next.pop_last(),
                Way::Forth => self.next.pop_first(),
            };
            let Some((_, index)) = next else { return Ok(None) };
            let Some(source) = self.sources.get_mut(index) else { return Ok(None) };
            if source.ahead.is_empty() {
                source.read_ahead(self.way)?;
            }
            let Some(line) = source.ahead.pop_front() else { continue };
            if source.ahead.is_empty() {
                source.read_ahead(self.way)?;
            }
            self.next.extend(source.ahead.front().map(|line| (line.key, index)));
            if let Some(entry) = source.entry(line)? {
                return Ok(Some((source.track.clone(), entry)));
            }
        }
    }
}

impl Source {
    /// Goes to where reading goes on, in a file that is not known yet.
    fn seek(&mut self, way: Way) -> Result<()> {
        let Some(lines) = self.track.file.lines()? else { return Ok(()) };
        self.find(&lines, way)
    }

    fn find(&mut self, lines: &Lines, way: Way) -> Result<()> {
        self.at = match way {
            Way::Back => self.track.file.find(lines, |header| header.seq < self.read)?,
            Way::Forth => self.track.file.find(lines, |header| header.seq <= self.read)?,
        };
        self.id = lines.id();
        Ok(())
    }

    /// Reads some lines, if there are more.
    fn read_ahead(&mut self, way: Way) -> Result<()> {
        let Some(lines) = self.track.file.lines()? else { return Ok(()) };
        if !lines.id().is(&self.id) {
            self.find(&lines, way)?;
        }
        let lines = lines.in_blocks_of(self.room);
        let mut more: Box<dyn Iterator<Item = Result<(u64, Vec<u8>)>>> = match way {
            Way::Back => Box::new(lines.backwards_from(self.at)),
            Way::Forth => Box::new(lines.forwards(self.at)),
        };
        let mut room = self.room;
        while let Some((place, line)) = more.next().transpose()? {
            let length = u64::try_from(line.len()).unwrap_or(u64::MAX).saturating_add(1);
            let fits = length <= room;
            if !fits && !self.ahead.is_empty() {
                break;
            }
            self.at = match way {
                Way::Back => place,
                Way::Forth => place.saturating_add(length),
            };
            let Some(head) = self.track.file.head(&line) else {
                self.track.group.meet_damage(self.track.file.id, &lines, place);
                continue;
            };
            if way == Way::Forth && head.header.seq > self.end {
                break;
            }
            self.read = head.header.seq;
            room = room.saturating_sub(length);
            self.ahead.push_back(Line { key: Key::of(&head.header), place, bytes: fits.then_some(line) });
            if !fits {
                break;
            }
        }
        Ok(())
    }

    /// The entry in a line; `None` if it is damaged.
    fn entry(&self, line: Line) -> Result<Option<Entry>> {
        let file = &self.track.file;
        let is_it = |entry: &Entry| entry.header.seq == line.key.seq;
        if let Some(entry) = line.bytes.as_deref().and_then(|bytes| file.entry(bytes)).filter(is_it) {
            return Ok(Some(entry));
        }
        let lines = file.lines()?.ok_or_else(|| Error::state("a log is gone that was there"))?;
        let place = match lines.id().is(&self.id) {
            true => line.place,
            false => file.find(&lines, |header| header.seq < line.key.seq)?,
        };
        let lines = lines.in_blocks_of(MOST_OF_ONE);
        let read = lines.forwards(place).next().transpose()?;
        let entry = read.and_then(|(_, bytes)| file.entry(&bytes)).filter(is_it);
        if entry.is_none() {
            self.track.group.meet_damage(file.id, &lines, place);
        }
        Ok(entry)
    }
}

#[cfg(test)]
impl Merge {
    /// Bytes of lines that it holds.
    pub(super) fn in_memory(&self) -> usize {
        let lines = self.sources.iter().flat_map(|source| &source.ahead);
        lines.map(|line| line.bytes.as_ref().map_or(0, Vec::len) + size_of::<Line>()).sum()
    }
}
