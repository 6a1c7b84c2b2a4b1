//! `cursors.json`: how far whoever reads under a name has come in each log of a group. See keywire-files(5).

use super::Group;
use crate::chat::{MAX_CURSORS, checked_cursor_name, is_cursor_name};
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::proto::group::{Inc, LogId};
use crate::store::{Privacy, State, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the file in the group's directory.
const CURSORS: &str = "cursors.json";

/// How far somebody has read: the place of the last entry in each log of content. What comes late in a log is behind it still.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Row>", into = "Vec<Row>")]
pub struct Cursor(BTreeMap<(PublicKey, Inc), u64>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    author: PublicKey,
    inc: Inc,
    seq: u64,
}

/// The contents of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursors {
    version: Version,
    cursors: BTreeMap<String, Cursor>,
}

impl State for Cursors {
    const PRIVACY: Privacy = Privacy::Plain;

    fn check(&self) -> std::result::Result<(), String> {
        match self.cursors.keys().find(|name| !is_cursor_name(name)) {
            Some(_) => Err("a cursor has a name that cannot be one".to_owned()),
            None => Ok(()),
        }
    }
}

impl Cursor {
    /// The place of the last entry of `log` that was read; 0 if none was.
    #[must_use]
    pub fn get(&self, log: &LogId) -> u64 {
        self.0.get(&(log.author, log.inc)).copied().unwrap_or(0)
    }

    /// All places.
    pub fn places(&self) -> impl Iterator<Item = ((PublicKey, Inc), u64)> {
        self.0.iter().map(|(log, seq)| (*log, *seq))
    }

    /// Moves it to the place `seq` in `log`.
    pub fn set(&mut self, log: &LogId, seq: u64) {
        self.0.insert((log.author, log.inc), seq);
    }
}

impl From<Vec<Row>> for Cursor {
    fn from(rows: Vec<Row>) -> Self {
        Cursor(rows.into_iter().map(|row| ((row.author, row.inc), row.seq)).collect())
    }
}

impl From<Cursor> for Vec<Row> {
    fn from(cursor: Cursor) -> Self {
        cursor.0.into_iter().map(|((author, inc), seq)| Row { author, inc, seq }).collect()
    }
}

impl Group {
    /// The cursor `name` as it stands now; at the beginning if there is none.
    ///
    /// # Errors
    /// A name that cannot be one: 1 to 63 letters, digits, `-`, `_` and `.` make one; and a file that cannot be read.
    pub fn cursor(&self, name: &str) -> Result<Cursor> {
        checked_cursor_name(name)?;
        let cursors: Option<Cursors> = self.dir.read(CURSORS)?;
        Ok(cursors.unwrap_or_default().cursors.remove(name).unwrap_or_default())
    }

    /// Moves the cursor `name`: in logs of which `to` says nothing it stays where it is. It is on disk when this returns.
    ///
    /// # Errors
    /// As [`Group::cursor`], more than 1,000 names, and those of [`crate::store::Store::update`].
    pub fn set_cursor(&self, name: &str, to: &Cursor) -> Result<()> {
        checked_cursor_name(name)?;
        self.dir.update(CURSORS, |cursors: &mut Option<Cursors>| {
            let names = &mut cursors.get_or_insert_default().cursors;
            if !names.contains_key(name) && names.len() >= MAX_CURSORS {
                let path = self.dir.path(CURSORS);
                return Err(Error::state(format!("there are {MAX_CURSORS} cursors, and no room for '{name}'"))
                    .hint(format!("use one that is there, or take some out of {}", path.display())));
            }
            names.entry(name.to_owned()).or_default().0.extend(&to.0);
            Ok(())
        })
    }
}
