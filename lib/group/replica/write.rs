//! Writing in our own logs.

use super::{MOST_AHEAD, Replica, known, short};
use crate::error::{Error, Result};
use crate::group::keys::{EpochKey, joint_id, seal_body};
use crate::group::shelf::Shelf;
use crate::key::KeyPair;
use crate::proto::group::entry::MAX_DEPS;
use crate::proto::group::roster::{Act, Op, Place, Wraps};
use crate::proto::group::{Class, Dep, Entry, EntryId, Header, KeyId, Kind, LogId};

/// What is said.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// As what.
    pub kind: Kind,
    /// In which words.
    pub text: &'a [u8],
    /// In answer to what; zero for nothing.
    pub reply_to: EntryId,
}

impl<S: Shelf> Replica<S> {
    /// Writes content into our log `log`: words, sealed under `keys` together, or in clear without any.
    ///
    /// # Errors
    /// A text that is too long; it cannot be stored.
    pub fn write(&mut self, me: &KeyPair, log: LogId, words: &Words<'_>, keys: &[EpochKey], now: u64) -> Result<Entry> {
        let Words { kind, text, reply_to } = *words;
        if let Some(most) = self.is_full(Class::Content, log.author) {
            let what = format!(
                "what you have said in this group takes {most} MiB, and more than that nobody keeps of one member"
            );
            let hint = "let old texts be dropped: group.keep_days in config.json, see keywire-files(5)";
            return Err(Error::refused(what).hint(hint));
        }
        let mut header = self.header(log, kind, now);
        header.roster = self.roster.head(&me.public());
        header.reply_to = reply_to;
        header.deps = self.deps(&log, now);
        let body = if keys.is_empty() || text.is_empty() {
            text.to_vec()
        } else {
            header.key = joint_id(&keys.iter().map(|key| key.id()).collect::<Vec<_>>());
            seal_body(keys, &header, text)?
        };
        let entry = Entry::sign(me, header, body)?;
        self.shelf.append(std::slice::from_ref(&entry))?;
        self.remember(std::slice::from_ref(&entry));
        self.version += 1;
        Ok(entry)
    }

    /// Writes an act into our log `log`.
    ///
    /// # Errors
    /// The act would be void; it cannot be stored.
    pub fn act(&mut self, me: &KeyPair, log: LogId, op: Op, key: Option<Wraps>, now: u64) -> Result<Entry> {
        if let Some(most) = self.is_full(Class::Roster, log.author) {
            let what =
                format!("your acts in this group take {most} MiB, and more than that nobody keeps of one member");
            return Err(Error::refused(what).hint("another admin, or the owner, can do it"));
        }
        let own = |place: &&Place| (place.author, place.inc) != (log.author, log.inc);
        let seen: Vec<Place> = self.roster.heads().iter().filter(own).copied().collect();
        let after = self.acts.iter().map(|act| act.clock).max().unwrap_or(0);
        let mut header = self.header(log, Kind::Act, now);
        header.clock = header.clock.max(after + 1);
        let entry = Entry::sign(me, header, Act { seen, op, key }.encode()?)?;
        let act = known(&entry)?;
        let mut acts = self.acts.clone();
        acts.push(act.clone());
        let trial = self.roster_of(&acts);
        if let Some((_, why)) = trial.void().iter().find(|(id, _)| *id == entry.id) {
            return Err(Error::refused(why.clone()));
        }
        self.shelf.append(std::slice::from_ref(&entry))?;
        self.remember(std::slice::from_ref(&entry));
        self.push_act(act);
        self.fold()?;
        Ok(entry)
    }

    /// What every entry of ours says.
    fn header(&self, log: LogId, kind: Kind, now: u64) -> Header {
        let before = self.logs.get(&log).map(|log| log.stored);
        // A clock that is far ahead would take ours along for ever.
        let seen =
            self.logs.values().map(|log| log.stored.clock).filter(|clock| *clock <= now.saturating_add(MOST_AHEAD));
        let own = before.map_or(0, |before| before.clock);
        Header {
            group: self.group,
            log,
            seq: before.map_or(1, |before| before.seq + 1),
            prev: before.map(|before| before.id).unwrap_or_default(),
            clock: now.max(seen.max().map_or(0, |clock| clock + 1)).max(own + 1),
            time: now,
            kind,
            roster: EntryId::default(),
            key: KeyId::default(),
            reply_to: EntryId::default(),
            deps: Vec::new(),
            body_len: 0,
            body_hash: [0; 32],
        }
    }

    /// The newest entries of others that we have seen since our own last one. Those whose clocks are far ahead would take all
    /// places for ever.
    fn deps(&self, own: &LogId, now: u64) -> Vec<Dep> {
        let since = self.logs.get(own).map_or(0, |log| log.stored.clock);
        let mut others: Vec<_> = self
            .logs
            .values()
            .filter(|log| log.stored.log.class == Class::Content && log.stored.log != *own)
            .filter(|log| log.end.seq == log.stored.seq && log.stored.clock > since)
            .filter(|log| log.stored.clock <= now.saturating_add(MOST_AHEAD))
            .map(|log| log.stored)
            .collect();
        others.sort_by_key(|stored| std::cmp::Reverse((stored.clock, stored.log)));
        others.truncate(MAX_DEPS);
        others.iter().map(|stored| Dep { log: stored.log.tag(), seq: stored.seq, id: short(&stored.id) }).collect()
    }
}
