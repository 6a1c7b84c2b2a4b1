//! The file of a log: one entry on a line. See keywire-files(5).

use super::names;
use crate::error::Result;
use crate::json::{self, Bytes};
use crate::log::{Lines, Log};
use crate::proto::group::{Class, Entry, EntryId, GroupId, Header, LogId};
use crate::sign::Signature;
use crate::store::Store;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// Below this much of a log an entry is looked for line by line.
const NEAR: u64 = 16 << 10;

/// Bytes that are read at a time where one line is wanted: most are shorter than 1 KiB.
const PEEK: u64 = 8 << 10;

/// An entry: header, signature and body.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    h: Bytes,
    s: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<Bytes>,
}

/// What is read of a line without its body.
#[derive(Deserialize)]
struct Front {
    h: Bytes,
    b: Option<IgnoredAny>,
}

/// An entry without its body.
pub(in crate::group) struct Head {
    pub(in crate::group) header: Header,
    pub(in crate::group) has_body: bool,
}

/// The file of one log of a group.
pub(in crate::group) struct LogFile {
    pub(in crate::group) id: LogId,
    group: GroupId,
    pub(super) log: Log,
}

/// What a file holds.
pub(super) enum Found {
    /// No line.
    Nothing,
    /// Entries: what the first one names as the last act known, the place of the last one, and that one.
    Entries(EntryId, Box<Entry>),
    /// Lines that are none of an entry of this log, behind so many bytes that may be.
    Damage(u64),
}

/// The directory of the logs of a class in that of their group.
pub(super) fn dir_name(class: Class) -> &'static str {
    match class {
        Class::Roster => "roster",
        Class::Content => "logs",
    }
}

/// The name of the file of a log.
pub(super) fn file_name(log: &LogId) -> String {
    format!("{}-{}.jsonl", log.author, log.inc)
}

/// The logs of `class` in `dir`, which is their directory, in order. Files of other names are none of ours.
pub(super) fn in_dir(dir: &Store, class: Class) -> Result<Vec<LogId>> {
    let log = |name: &str| {
        let (author, inc) = name.strip_suffix(".jsonl")?.split_once('-')?;
        Some(LogId { class, author: author.parse().ok()?, inc: inc.parse().ok()? })
    };
    let names = names(dir)?;
    // Text that is read as a key may be written in another way than this program does.
    Ok(names.iter().filter_map(|name| log(name).filter(|log| file_name(log) == *name)).collect())
}

impl Line {
    pub(super) fn of(entry: &Entry) -> Self {
        let body = entry.body.as_ref().map(|body| Bytes(body.clone()));
        Line { h: Bytes(entry.header.encode()), s: Bytes(entry.signature.0.to_vec()), b: body }
    }

    pub(super) fn without_body(self) -> Self {
        Line { b: None, ..self }
    }

    /// Its text, with its end.
    pub(super) fn text(&self) -> Result<String> {
        Ok(json::line(self)? + "\n")
    }

    /// The entry; `None` if it is damaged.
    pub(super) fn entry(self) -> Option<Entry> {
        Entry::of(&self.h.0, Signature(self.s.0.try_into().ok()?), self.b.map(|b| b.0)).ok()
    }
}

impl LogFile {
    /// The file of `log` in `dir`, the directory of its class.
    pub(in crate::group) fn new(group: GroupId, dir: &Store, id: LogId) -> Self {
        LogFile { id, group, log: Log::new(dir.clone(), &file_name(&id), u64::MAX) }
    }

    /// Its complete lines; `None` if there is no file.
    pub(in crate::group) fn lines(&self) -> Result<Option<Lines>> {
        Ok(self.log.lines()?.map(|lines| lines.in_blocks_of(PEEK)))
    }

    /// The entry of this log in a line; `None` if that is damaged, or another log's.
    pub(in crate::group) fn entry(&self, line: &[u8]) -> Option<Entry> {
        let line: Line = json::parse(line, line.len()).ok()?;
        line.entry().filter(|entry| self.has(&entry.header))
    }

    /// The same, without the body.
    pub(in crate::group) fn head(&self, line: &[u8]) -> Option<Head> {
        let front: Front = json::parse(line, line.len()).ok()?;
        let header = Header::decode(&front.h.0).ok().filter(|header| self.has(header))?;
        Some(Head { header, has_body: front.b.is_some() })
    }

    fn has(&self, header: &Header) -> bool {
        header.log == self.id && header.group == self.group
    }

    /// Looks at both ends.
    pub(super) fn look(&self, lines: &Lines) -> Result<Found> {
        let Some(first) = lines.forwards(0).next().transpose()? else { return Ok(Found::Nothing) };
        let Some(first) = self.head(&first.1).filter(|first| first.header.seq == 1) else {
            return Ok(Found::Damage(0));
        };
        let mut sound = lines.bytes();
        for line in lines.backwards() {
            let (place, line) = line?;
            match self.entry(&line) {
                Some(_) if sound < lines.bytes() => break,
                Some(last) => return Ok(Found::Entries(first.header.roster, Box::new(last))),
                None => sound = place,
            }
        }
        Ok(Found::Damage(sound))
    }

    /// The place of the first line whose entry is not `before`, entries that are so standing before those that are not; or
    /// of a damaged line not far before it.
    pub(in crate::group) fn find(&self, lines: &Lines, before: impl Fn(&Header) -> bool) -> Result<u64> {
        let (mut low, mut high) = (0, lines.bytes());
        while high - low > NEAR {
            let middle = low + (high - low) / 2;
            match self.first_sound(lines, lines.line_from(middle)?)? {
                Some((at, header)) if before(&header) && at < high => low = at,
                _ => high = middle,
            }
        }
        for line in lines.forwards(low) {
            let (place, line) = line?;
            if !self.head(&line).is_some_and(|head| before(&head.header)) {
                return Ok(place);
            }
        }
        Ok(lines.bytes())
    }

    /// The first sound line that begins at `place` or behind it.
    fn first_sound(&self, lines: &Lines, place: u64) -> Result<Option<(u64, Header)>> {
        for line in lines.forwards(place) {
            let (at, line) = line?;
            if let Some(head) = self.head(&line) {
                return Ok(Some((at, head.header)));
            }
        }
        Ok(None)
    }
}
