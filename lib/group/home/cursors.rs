//! `cursors.json`: how far whoever reads under a name has come in each log of a group. See keywire-files(5).

use super::Group;
use crate::chat::{MAX_CURSORS, checked_cursor_name, is_cursor_name};
use crate::error::{Error, Result};
use crate::group::history::Position;
use crate::key::PublicKey;
use crate::proto::group::Inc;
use crate::store::{Privacy, State, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the file in the group's directory.
const CURSORS: &str = "cursors.json";

/// How far somebody has read a log: the place of the last entry.
#[derive(Debug, Serialize, Deserialize)]
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
    cursors: BTreeMap<String, Vec<Row>>,
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

impl Group {
    /// Where the cursor `name` stands; `None` if it is new.
    ///
    /// # Errors
    /// A name that cannot be one: 1 to 63 letters, digits, `-`, `_` and `.` make one; and a file that cannot be read.
    pub fn cursor(&self, name: &str) -> Result<Option<Position>> {
        checked_cursor_name(name)?;
        let cursors: Option<Cursors> = self.dir.read(CURSORS)?;
        Ok(cursors.unwrap_or_default().cursors.get(name).map(|rows| position(rows)))
    }

    /// Moves the cursor `name`: in logs of which `to` says nothing it stays where it is. It is on disk when this returns.
    ///
    /// # Errors
    /// As [`Group::cursor`], more than 1,000 names, and those of [`crate::store::Store::update`].
    pub fn set_cursor(&self, name: &str, to: &Position) -> Result<()> {
        checked_cursor_name(name)?;
        self.dir.update(CURSORS, |cursors: &mut Option<Cursors>| {
            let names = &mut cursors.get_or_insert_default().cursors;
            if !names.contains_key(name) && names.len() >= MAX_CURSORS {
                let path = self.dir.path(CURSORS);
                return Err(Error::state(format!("there are {MAX_CURSORS} cursors, and no room for '{name}'"))
                    .hint(format!("use one that is there, or take some out of {}", path.display())));
            }
            let rows = names.entry(name.to_owned()).or_default();
            let mut there = position(rows);
            there.extend(to);
            *rows = there.into_iter().map(|((author, inc), seq)| Row { author, inc, seq }).collect();
            Ok(())
        })
    }
}

fn position(rows: &[Row]) -> Position {
    rows.iter().map(|row| ((row.author, row.inc), row.seq)).collect()
}
