//! The logs that we write ourselves: which they are, and that nobody else's file is taken for one.
//!
//! A log that was put back from a copy lacks what was written since, and peers may have that. Who went on with it would write a
//! second entry in the same place, which nobody could tell from a lie. So `group.json` names the very file, and if another lies in
//! its place a new log is begun. The order of writing: the file is made, empty, and synced; then `group.json` names it; and only
//! then an entry is written. Whoever dies before the second leaves an empty file that was never used, and is removed.

use super::facts::Facts;
use super::logs::{LogFile, dir_name, file_name, in_dir};
use super::{GROUP, Group};
use crate::error::{Error, Result};
use crate::log::FileId;
use crate::proto::group::{Class, Inc, LogId};
use crate::store::Store;
use serde::{Deserialize, Serialize};

/// The logs that we write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logs {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roster: Option<Own>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Own>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Own {
    inc: Inc,
    file: FileId,
    /// The file that is about to be put in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<FileId>,
}

impl Logs {
    fn of(&mut self, class: Class) -> &mut Option<Own> {
        match class {
            Class::Roster => &mut self.roster,
            Class::Content => &mut self.content,
        }
    }

    fn get(&self, class: Class) -> Option<&Own> {
        match class {
            Class::Roster => self.roster.as_ref(),
            Class::Content => self.content.as_ref(),
        }
    }
}

impl Group {
    /// Our own log of `class`: the one that `group.json` names, if that very file is there; else a new one, whose file is
    /// made before this returns.
    ///
    /// # Errors
    /// The file cannot be made, or is none of ours.
    pub fn own_log(&self, class: Class) -> Result<LogId> {
        if let Some((log, _)) = self.present_log(&self.facts()?, class)? {
            return Ok(log);
        }
        self.update(|facts| {
            if let Some((log, _)) = self.present_log(facts, class)? {
                return Ok(log);
            }
            let dir = self.class_dir(class)?;
            self.remove_unused(&dir, class)?;
            let log = LogId { class, author: self.me, inc: Inc::random()? };
            let file = LogFile::new(self.id, &dir, log);
            file.log.writer()?.sync()?;
            let made = file.lines()?.ok_or_else(|| Error::state(format!("{} is gone", file.log.path().display())))?;
            *facts.logs.of(class) = Some(Own { inc: log.inc, file: made.id(), next: None });
            Ok(log)
        })
    }

    /// Whether nothing was ever written in our log of `class`.
    ///
    /// # Errors
    /// Those of [`Group::facts`].
    pub fn is_unwritten(&self, class: Class) -> Result<bool> {
        let facts = self.facts()?;
        if facts.logs.get(class).is_none() {
            let Some(dir) = self.dir.look_below(dir_name(class))? else { return Ok(true) };
            return Ok(in_dir(&dir, class)?.is_empty());
        }
        let Some((log, _)) = self.present_log(&facts, class)? else { return Ok(false) };
        let lines = LogFile::new(self.id, &self.class_dir(class)?, log).lines()?;
        Ok(lines.is_some_and(|lines| lines.bytes() == 0 && lines.rest() == 0))
    }

    /// Never again writes our log `log`: a peer has more of it than we do, for one. The next one asked for is new.
    ///
    /// # Errors
    /// Those of [`Group::update`].
    pub fn retire_log(&self, log: &LogId) -> Result<()> {
        self.update(|facts| {
            let own = facts.logs.of(log.class);
            if own.as_ref().is_some_and(|own| own.inc == log.inc) {
                *own = None;
            }
            Ok(())
        })
    }

    /// The directory of the logs of `class`, made if it is not there.
    pub(super) fn class_dir(&self, class: Class) -> Result<Store> {
        self.dir.below(dir_name(class))
    }

    /// The log that `group.json` names, and its file, if that very file is there.
    fn present_log(&self, facts: &Facts, class: Class) -> Result<Option<(LogId, FileId)>> {
        let Some(own) = facts.logs.get(class) else { return Ok(None) };
        let Some(dir) = self.dir.look_below(dir_name(class))? else { return Ok(None) };
        let log = LogId { class, author: self.me, inc: own.inc };
        let Some(found) = LogFile::new(self.id, &dir, log).lines()? else { return Ok(None) };
        let is_it = own.file.is(&found.id()) || own.next.is_some_and(|next| next.is(&found.id()));
        Ok(is_it.then_some((log, found.id())))
    }

    /// Removes empty files of ours, which no `group.json` named before whoever made them died.
    fn remove_unused(&self, dir: &Store, class: Class) -> Result<()> {
        for log in in_dir(dir, class)?.into_iter().filter(|log| log.author == self.me) {
            let file = LogFile::new(self.id, dir, log);
            if file.lines()?.is_some_and(|lines| lines.bytes() == 0 && lines.rest() == 0) {
                let path = dir.path(&file_name(&log));
                std::fs::remove_file(&path).map_err(|cause| Error::file("remove", &path, &cause))?;
            }
        }
        Ok(())
    }

    /// Says that the file `next` is about to be put in the place of our log's. The directory must be locked. Whoever dies on
    /// the way leaves one or the other, and `group.json` knows both.
    pub(super) fn announce_file(&self, log: &LogId, next: FileId) -> Result<()> {
        self.change_own(log, Some(next))
    }

    /// Says that it was. The directory must be locked.
    pub(super) fn settle_file(&self, log: &LogId) -> Result<()> {
        self.change_own(log, None)
    }

    fn change_own(&self, log: &LogId, next: Option<FileId>) -> Result<()> {
        let mut facts = self.facts()?;
        let present = self.present_log(&facts, log.class)?.filter(|(present, _)| present == log);
        let Some((LogId { inc, .. }, file)) = present else { return Ok(()) };
        *facts.logs.of(log.class) = Some(Own { inc, file, next });
        self.dir.write(GROUP, &facts)?;
        self.dir.settle(GROUP)
    }
}
