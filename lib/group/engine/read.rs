//! Reading: what was said, and how a group stands.

use super::House;
use super::group::{Group, Loaded};
use super::report::{Begin, Brief, Gap, Info, InviteInfo, JoinInfo, MemberInfo, Message, Position, Text};
use crate::error::Result;
use crate::group::home::Cursor;
use crate::group::keys::Opened;
use crate::group::shelf::{Shelf, Stored};
use crate::key::PublicKey;
use crate::proto::group::{Class, Entry, EntryId, GroupId, History, Kind, LogId};
use crate::threads::on_disk;
use std::collections::{BTreeMap, HashMap};

/// Bytes of a log that are read at a time.
const PIECE: usize = 256 << 10;

impl House {
    /// All groups that are here, those that were left among them, by name.
    ///
    /// # Errors
    /// State that cannot be read.
    pub async fn groups(&self) -> Result<Vec<Brief>> {
        let house = self.clone();
        on_disk(move || {
            let mut briefs: Vec<Brief> = house.all().iter().map(|group| group.brief()).collect();
            briefs.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
            Ok(briefs)
        })
        .await
    }

    /// The group that `word` names: by its name here, its id, or the beginning of that, 8 digits or more.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub async fn find(&self, word: &str) -> Result<Brief> {
        let (house, word) = (self.clone(), word.to_owned());
        on_disk(move || Ok(house.group(&house.0.home.find(&word)?.id())?.brief())).await
    }

    /// How a group stands.
    ///
    /// # Errors
    /// State that cannot be read.
    pub async fn info(&self, group: GroupId) -> Result<Info> {
        let group = self.group(&group)?;
        let me = self.me().public();
        on_disk(move || group.info(me)).await
    }

    /// The last `most` messages, oldest first. Waits for the disk.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn last(&self, group: GroupId, most: usize) -> Result<Vec<Message>> {
        let group = self.group(&group)?;
        let state = group.state();
        state.last(most)
    }

    /// Where a reader stands who begins at `begin`. Waits for the disk.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn position(&self, group: GroupId, begin: Begin) -> Result<Position> {
        let group = self.group(&group)?;
        let state = group.state();
        let mut position = Position::new();
        for stored in state.content() {
            let seq = match begin {
                Begin::Start => 0,
                Begin::Now => stored.seq,
                Begin::Time(time) => state.before(&stored, time)?,
            };
            position.insert((stored.log.author, stored.log.inc), seq);
        }
        Ok(position)
    }

    /// The next messages behind `position`, which is moved behind them: at most `most`, in order; none if there are no more.
    /// Waits for the disk.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn after(&self, group: GroupId, position: &mut Position, most: usize) -> Result<Vec<Message>> {
        let group = self.group(&group)?;
        let state = group.state();
        state.after(position, most)
    }

    /// Where the cursor `name` stands; `None` if it is new. Waits for the disk.
    ///
    /// # Errors
    /// A name that cannot be one; state that cannot be read.
    pub fn cursor(&self, group: GroupId, name: &str) -> Result<Option<Position>> {
        let cursor = self.group(&group)?.state().kept.cursor(name)?;
        Ok(Some(cursor.places().collect::<Position>()).filter(|position| !position.is_empty()))
    }

    /// Moves the cursor `name`. Waits for the disk.
    ///
    /// # Errors
    /// As [`House::cursor`]; too many names.
    pub fn set_cursor(&self, group: GroupId, name: &str, position: &Position) -> Result<()> {
        let mut cursor = Cursor::default();
        for ((author, inc), seq) in position {
            cursor.set(&LogId { class: Class::Content, author: *author, inc: *inc }, *seq);
        }
        self.group(&group)?.state().kept.set_cursor(name, &cursor)
    }
}

impl Loaded {
    /// The logs of content.
    fn content(&self) -> Vec<Stored> {
        self.replica.logs().filter(|stored| stored.log.class == Class::Content).copied().collect()
    }

    /// The place of the last entry of a log that was written at `time` or before. Times of a log need not rise, but those who
    /// tell them wrong are not found by them.
    fn before(&self, stored: &Stored, time: u64) -> Result<u64> {
        let (mut low, mut high) = (0, stored.seq);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let entry = self.replica.shelf().read(&stored.log, middle, 1)?;
            match entry.first().is_some_and(|entry| entry.header.time <= time) {
                true => low = middle,
                false => high = middle - 1,
            }
        }
        Ok(low)
    }

    /// The last messages of all logs together: of each no more is read than may be among them.
    fn last(&self, most: usize) -> Result<Vec<Message>> {
        let mut logs = self.content();
        logs.sort_by_key(|stored| std::cmp::Reverse(stored.clock));
        let mut last: BTreeMap<(u64, PublicKey, u64), Entry> = BTreeMap::new();
        for stored in logs {
            let mut before = stored.seq.min(self.replica.end(&stored.log));
            let step = u64::try_from(most).unwrap_or(u64::MAX).clamp(1, 1024);
            while before > 0 {
                let least = last.first_key_value().map(|((clock, ..), _)| *clock).filter(|_| last.len() >= most);
                let from = before.saturating_sub(step) + 1;
                let entries = self.between(&stored.log, from, before)?;
                // The clocks of a log rise.
                let is_done = entries.first().is_none_or(|entry| least.is_some_and(|least| entry.header.clock < least));
                for entry in entries {
                    if entry.header.kind == Kind::Message && self.is_shown(&entry.header) {
                        let header = &entry.header;
                        last.insert((header.clock, header.log.author, header.seq), entry);
                        if last.len() > most {
                            last.pop_first();
                        }
                    }
                }
                if is_done
                    || (last.len() >= most
                        && last.first_key_value().is_some_and(|((clock, ..), _)| *clock >= stored.clock))
                {
                    break;
                }
                before = from - 1;
            }
        }
        Ok(last.into_values().map(|entry| self.message(&entry, false)).collect())
    }

    /// The entries of a log in the places `from` to `to`.
    fn between(&self, log: &LogId, from: u64, to: u64) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        let mut at = from;
        while at <= to {
            let entries = self.replica.shelf().read(log, at, PIECE)?;
            let Some(last) = entries.last() else { break };
            at = last.header.seq + 1;
            found.extend(entries.into_iter().filter(|entry| entry.header.seq <= to));
        }
        Ok(found)
    }

    /// What stands behind `position`, in order.
    fn after(&self, position: &mut Position, most: usize) -> Result<Vec<Message>> {
        let mut heads: Vec<(Stored, std::collections::VecDeque<Entry>)> = Vec::new();
        for stored in self.content() {
            heads.push((stored, std::collections::VecDeque::new()));
        }
        let mut messages = Vec::new();
        while messages.len() < most {
            for (stored, entries) in &mut heads {
                let place = position.get(&(stored.log.author, stored.log.inc)).copied().unwrap_or(0);
                let end = self.replica.end(&stored.log);
                if entries.is_empty() && place < end {
                    entries.extend(self.replica.shelf().read(&stored.log, place + 1, PIECE / 8)?);
                    entries.retain(|entry| entry.header.seq <= end);
                }
            }
            let next = heads.iter_mut().filter(|(_, entries)| !entries.is_empty()).min_by_key(|(_, entries)| {
                entries.front().map(|entry| (entry.header.clock, entry.header.log.author, entry.header.seq))
            });
            let Some(entry) = next.and_then(|(_, entries)| entries.pop_front()) else { break };
            let header = &entry.header;
            position.insert((header.log.author, header.log.inc), header.seq);
            if header.kind == Kind::Message && self.is_shown(header) {
                messages.push(self.message(&entry, false));
            }
        }
        Ok(messages)
    }

    /// A message as it is shown.
    fn message(&self, entry: &Entry, late: bool) -> Message {
        let header = &entry.header;
        let text = match self.open(entry) {
            _ if entry.body.is_none() => Text::Unreadable("it was dropped to save space".to_owned()),
            Opened::Text(text) => match String::from_utf8(text) {
                Ok(text) => Text::Readable(text),
                Err(_) => Text::Unreadable("it is no text".to_owned()),
            },
            Opened::NoKey(_) => Text::Unreadable("it is sealed under a key that we were not given".to_owned()),
            Opened::Broken => Text::Unreadable("it is not what its author sealed".to_owned()),
        };
        Message {
            group: header.group,
            id: entry.id,
            author: header.log.author,
            inc: header.log.inc,
            seq: header.seq,
            clock: header.clock,
            time: header.time,
            text,
            reply_to: Some(header.reply_to).filter(|id| *id != EntryId::default()),
            late,
            gaps: self.gaps_before(entry),
        }
    }

    /// What the author had seen and is not here.
    fn gaps_before(&self, entry: &Entry) -> Vec<Gap> {
        let logs: HashMap<[u8; 8], Stored> = match entry.header.deps.is_empty() {
            true => HashMap::new(),
            false => self.content().into_iter().map(|stored| (stored.log.tag(), stored)).collect(),
        };
        let gap = |dep: &crate::proto::group::Dep| match logs.get(&dep.log) {
            None => Some(Gap { author: None, from: 1, to: dep.seq }),
            Some(stored) if stored.seq < dep.seq && self.replica.end(&stored.log) == stored.seq => {
                Some(Gap { author: Some(stored.log.author), from: stored.seq + 1, to: dep.seq })
            }
            Some(_) => None,
        };
        entry.header.deps.iter().filter_map(gap).collect()
    }
}

impl Group {
    fn brief(&self) -> Brief {
        let state = self.state();
        Brief { id: self.id, name: state.facts.name.clone(), mode: self.genesis.mode, status: state.facts.status }
    }

    fn info(&self, me: PublicKey) -> Result<Info> {
        let brief = self.brief();
        let state = self.state();
        let roster = state.replica.roster();
        let links = self.links();
        let member = |(key, member): (&PublicKey, &crate::group::roster::Member)| {
            let reach = links.reach.get(key);
            let addresses = state.known.addresses.get(key).map(|at| at.iter().map(ToString::to_string).collect());
            MemberInfo {
                member: *key,
                role: member.role,
                muted: member.muted,
                addresses: addresses.unwrap_or_default(),
                connected: links.sessions.values().any(|link| link.peer == *key),
                seen: reach.and_then(|reach| reach.seen),
                failure: reach.and_then(|reach| reach.failure.clone()),
            }
        };
        let invite = |(key, invite): (&PublicKey, &crate::group::roster::Invite)| InviteInfo {
            capability: *key,
            by: invite.by,
            expires: invite.expires,
            left: invite.left,
            approve: invite.approve,
        };
        let joins = state.kept.joins()?.into_iter().map(|join| JoinInfo {
            member: join.member,
            capability: join.capability,
            since: join.since.unix().saturating_mul(1000),
        });
        let mut gaps = Vec::new();
        for stored in state.content() {
            for entry in state.replica.shelf().read(&stored.log, stored.seq, 1)? {
                gaps.extend(state.gaps_before(&entry));
            }
        }
        gaps.dedup();
        Ok(Info {
            brief,
            title: roster.name().to_owned(),
            owner: self.genesis.owner,
            me,
            created: self.genesis.created,
            history: match self.genesis.history {
                History::None => "none".to_owned(),
                History::All => "all".to_owned(),
                History::Last(count) => count.to_string(),
            },
            members: roster.members().iter().map(member).collect(),
            invites: roster.invites().iter().map(invite).collect(),
            joins: joins.collect(),
            gaps,
            forks: state.replica.forks().map(|fork| fork[0].header.log.author).collect(),
            void: roster.void().iter().map(|(id, why)| format!("{}: {why}", super::short_entry(id))).collect(),
            entries: state.content().iter().map(|stored| stored.seq).sum(),
            synced: links.synced,
        })
    }
}
