//! Reading back what was said: the logs of all members as one row, in either direction.
//!
//! Messages stand in the order of their clocks, then of their authors' keys, then of their places; all who have the same entries
//! see the same row. No lock is taken and nothing is written: logs only grow, half a line at an end is not read, and a log that
//! was written anew meanwhile is found again by place. Memory is bounded however long the logs are, and however many.

mod merge;
#[cfg(test)]
mod tests;

use self::merge::{Key, Merge, Track, Way};
use super::home::Group;
use super::keys::Opened;
use super::roster::Verdict;
use crate::error::Result;
use crate::key::PublicKey;
use crate::proto::group::{Dep, Entry, EntryId, GroupId, Header, Inc, Kind, LogId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A message, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Where it was said.
    pub group: GroupId,
    /// The entry.
    pub id: EntryId,
    /// Who said it: signed.
    pub author: PublicKey,
    /// In which of the author's logs.
    pub inc: Inc,
    /// Its place there.
    pub seq: u64,
    /// Orders messages. Milliseconds since 1970.
    pub clock: u64,
    /// When it was written, by the author's clock, in milliseconds since 1970.
    pub time: u64,
    /// What it says.
    pub text: Text,
    /// Which entry it answers.
    pub reply_to: Option<EntryId>,
    /// Whether something that stands behind it in order was here before it.
    pub late: bool,
    /// What is missing before it, and known to exist.
    pub gaps: Vec<Gap>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Text {
    /// This.
    Readable(String),
    /// It cannot be read, and why.
    Unreadable(String),
}

/// Entries that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Whose; nobody knows if no entry of that log is here.
    pub author: Option<PublicKey>,
    /// The first that is missing.
    pub from: u64,
    /// The last that is known to be.
    pub to: u64,
}

/// How far a reader has come in each content log.
pub type Position = BTreeMap<(PublicKey, Inc), u64>;

/// How entries are looked at: what the roster and the keys say of them.
#[derive(Clone, Copy)]
pub struct Lens<'a> {
    /// Opens the body of an entry that has one.
    pub open: &'a dyn Fn(&Entry) -> Opened,
    /// What becomes of an entry, whose log's first names this as the last act known. Only what counts is shown.
    pub verdict: &'a dyn Fn(&Header, &EntryId) -> Verdict,
    /// The last place that counts in a log that was cut or forked; its first entry names this as the last act known.
    pub end: &'a dyn Fn(&LogId, &EntryId) -> Option<u64>,
}

/// What was said in a group, as far as it was there when this was opened.
pub struct History {
    tracks: Vec<Arc<Track>>,
}

impl Message {
    /// What is shown of an entry with this body, if it is a message.
    #[must_use]
    pub fn of(entry: &Entry, open: &dyn Fn(&Entry) -> Opened) -> Option<Self> {
        let header = &entry.header;
        if header.kind != Kind::Message {
            return None;
        }
        let unreadable = |why: &str| Text::Unreadable(why.to_owned());
        let opened = entry.body.as_ref().map(|_| open(entry));
        let text = match opened {
            None => unreadable("its text is not kept: it is too old"),
            Some(Opened::Text(text)) => {
                String::from_utf8(text).map_or_else(|_| unreadable("it is no text"), Text::Readable)
            }
            Some(Opened::NoKey(_)) => unreadable("its key is not here: it is for those who were members then"),
            Some(Opened::Broken) => unreadable("its author has not sealed it as it should be"),
        };
        Some(Message {
            group: header.group,
            id: entry.id,
            author: header.log.author,
            inc: header.log.inc,
            seq: header.seq,
            clock: header.clock,
            time: header.time,
            text,
            reply_to: (!header.reply_to.is_zero()).then_some(header.reply_to),
            late: false,
            gaps: Vec::new(),
        })
    }

    /// Where it stands in an export: below its author, by its time in nanoseconds since 1970 and its place.
    #[must_use]
    pub fn path(&self) -> String {
        format!("msgs/{}/{}/{}", self.author, u128::from(self.time) * 1_000_000, self.seq)
    }
}

impl History {
    /// The history of `group`, as far as it is there now. Both ends of each log are read.
    ///
    /// # Errors
    /// A log that is none of ours, or cannot be read.
    pub fn open(group: &Group) -> Result<Self> {
        let mut tracks = Vec::new();
        for file in group.content()? {
            tracks.extend(Track::open(file, group)?.map(Arc::new));
        }
        Ok(History { tracks })
    }

    /// The last `most` messages, oldest first.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn last(&self, most: usize, lens: Lens<'_>) -> Result<Vec<Message>> {
        let mut merge = Merge::new(&self.tracks, Way::Back, lens.end, |_| 0)?;
        let mut found = Vec::new();
        while found.len() < most {
            let Some((track, entry)) = merge.next()? else { break };
            found.extend(shown(&track, &entry, lens).map(|message| (message, entry.header.deps)));
        }
        let mut gaps = self.gaps(lens);
        let told = |(mut message, deps): (Message, Vec<_>)| {
            message.gaps = gaps.before(&deps);
            message
        };
        Ok(found.into_iter().rev().map(told).collect())
    }

    /// The next messages behind `position`, which is moved behind all that was looked at for them: at most `most`, in order;
    /// none if there are no more. What came late in a log is among them, wherever it stands in order.
    ///
    /// # Errors
    /// A log cannot be read; the position is where it was then.
    pub fn after(&self, position: &mut Position, most: usize, lens: Lens<'_>) -> Result<Vec<Message>> {
        let mut moved = position.clone();
        let at = |log: &LogId| position.get(&(log.author, log.inc)).copied().unwrap_or(0);
        let mut merge = Merge::new(&self.tracks, Way::Forth, lens.end, at)?;
        let (mut found, mut newest) = (Vec::new(), None::<Option<Key>>);
        let mut gaps = self.gaps(lens);
        while found.len() < most {
            let Some((track, entry)) = merge.next()? else { break };
            let header = &entry.header;
            moved.insert((header.log.author, header.log.inc), header.seq);
            let Some(mut message) = shown(&track, &entry, lens) else { continue };
            let newest = match newest {
                Some(newest) => newest,
                None => *newest.insert(self.newest(at)?),
            };
            message.late = newest.is_some_and(|newest| Key::of(header) < newest);
            message.gaps = gaps.before(&header.deps);
            found.push(message);
        }
        *position = moved;
        Ok(found)
    }

    /// Behind everything that is there.
    #[must_use]
    pub fn end(&self) -> Position {
        self.tracks.iter().map(|track| ((track.file.id.author, track.file.id.inc), track.last.seq)).collect()
    }

    /// Before all whose time is later than `millis` (since 1970).
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn at(&self, millis: u64) -> Result<Position> {
        let mut position = Position::new();
        for track in &self.tracks {
            // No entry has a clock before its time.
            let seq = track.last_where(|header| header.clock <= millis)?.map_or(0, |key| key.seq);
            position.insert((track.file.id.author, track.file.id.inc), seq);
        }
        Ok(position)
    }

    /// What is missing, and known to exist by the last that each member said.
    #[must_use]
    pub fn missing(&self, lens: Lens<'_>) -> Vec<Gap> {
        let mut deps: Vec<_> = self.tracks.iter().flat_map(|track| &track.last_deps).copied().collect();
        // The furthest first: what others name of the same log is part of that gap.
        deps.sort_by_key(|dep| std::cmp::Reverse(dep.seq));
        self.gaps(lens).before(&deps)
    }

    /// The last in order of what stands at or before a position.
    fn newest(&self, at: impl Fn(&LogId) -> u64) -> Result<Option<Key>> {
        let mut newest = None;
        for track in &self.tracks {
            let seq = at(&track.file.id);
            let key = match seq {
                0 => None,
                seq if seq >= track.last.seq => Some(track.last),
                seq => track.last_where(|header| header.seq <= seq)?,
            };
            newest = newest.max(key);
        }
        Ok(newest)
    }

    fn gaps(&self, lens: Lens<'_>) -> Gaps {
        let log = |track: &Arc<Track>| {
            let counts = (lens.end)(&track.file.id, &track.first).unwrap_or(u64::MAX);
            (track.file.id.tag(), Reach { author: Some(track.file.id.author), seq: track.last.seq, counts })
        };
        Gaps(self.tracks.iter().map(log).collect())
    }
}

/// How far each log reaches, by the name that entries give it.
struct Gaps(HashMap<[u8; 8], Reach>);

struct Reach {
    author: Option<PublicKey>,
    /// The last place that is here, or was said to be missing.
    seq: u64,
    /// The last that counts.
    counts: u64,
}

impl Gaps {
    /// What is missing of what an entry names, and was not said to be yet.
    fn before(&mut self, deps: &[Dep]) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for dep in deps {
            let reach = self.0.entry(dep.log).or_insert(Reach { author: None, seq: 0, counts: u64::MAX });
            let to = dep.seq.min(reach.counts);
            if to > reach.seq {
                gaps.push(Gap { author: reach.author, from: reach.seq + 1, to });
                reach.seq = to;
            }
        }
        gaps
    }
}

/// The message that an entry is, if it is one that is shown.
fn shown(track: &Track, entry: &Entry, lens: Lens<'_>) -> Option<Message> {
    match (lens.verdict)(&entry.header, &track.first) {
        Verdict::Counts => Message::of(entry, lens.open),
        Verdict::Hidden(_) | Verdict::Refused(_) | Verdict::Later => None,
    }
}
