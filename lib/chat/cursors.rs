//! `cursors.json`: how far whoever reads under a name has come, in each conversation. See keywire-files(5).

use super::{CHAT_DIR, Chat};
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::store::{Privacy, State, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the file in the directory of conversations.
pub const CURSORS: &str = "cursors.json";

/// Longest name of a cursor.
const MAX_NAME_LEN: usize = 63;

/// Most names: they are made by whatever name a script comes up with.
pub(crate) const MAX_CURSORS: usize = 1000;

/// All cursors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursors {
    version: Version,
    cursors: BTreeMap<String, BTreeMap<PublicKey, u64>>,
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

impl Cursors {
    /// The cursors as they are now; none if there is no file.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::read`].
    pub fn load(chat: &Chat) -> Result<Self> {
        match chat.store().look_below(CHAT_DIR)? {
            Some(dir) => Ok(dir.read(CURSORS)?.unwrap_or_default()),
            None => Ok(Cursors::default()),
        }
    }

    /// The place of the last message with `peer` that was read under `name`; 0 if none was.
    ///
    /// # Errors
    /// A name that cannot be one: 1 to 63 letters, digits, `-`, `_` and `.` make one.
    pub fn get(&self, name: &str, peer: &PublicKey) -> Result<u64> {
        checked_cursor_name(name)?;
        Ok(self.cursors.get(name).and_then(|places| places.get(peer)).copied().unwrap_or(0))
    }

    /// Moves the cursor `name` to these places. It is on disk when this returns.
    ///
    /// # Errors
    /// As [`Cursors::get`], more than 1,000 names, and those of [`crate::store::Store::update`].
    pub fn set(chat: &Chat, name: &str, places: &[(PublicKey, u64)]) -> Result<()> {
        checked_cursor_name(name)?;
        chat.store().below(CHAT_DIR)?.update(CURSORS, |cursors: &mut Option<Cursors>| {
            let names = &mut cursors.get_or_insert_default().cursors;
            if !names.contains_key(name) && names.len() >= MAX_CURSORS {
                return Err(Error::state(format!("there are {MAX_CURSORS} cursors, and no room for '{name}'"))
                    .hint(format!("use one that is there, or take some out of {CHAT_DIR}/{CURSORS}")));
            }
            names.entry(name.to_owned()).or_default().extend(places.iter().copied());
            Ok(())
        })
    }
}

pub(crate) fn checked_cursor_name(name: &str) -> Result<()> {
    if is_cursor_name(name) {
        return Ok(());
    }
    let most = MAX_NAME_LEN;
    Err(Error::usage(format!("not a name for a cursor: 1 to {most} letters, digits, '-', '_' and '.' make one")))
}

pub(crate) fn is_cursor_name(name: &str) -> bool {
    let may_stand = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=MAX_NAME_LEN).contains(&name.len()) && name.chars().all(may_stand)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::tests::Home;
    use crate::key::KeyPair;

    #[test]
    fn a_cursor_stands_where_it_was_put_in_each_conversation() {
        let home = Home::new();
        let chat = home.chat();
        let (one, two) = (KeyPair::generate().unwrap().public(), KeyPair::generate().unwrap().public());
        assert_eq!(Cursors::load(&chat).unwrap().get("backup", &one).unwrap(), 0);
        Cursors::set(&chat, "backup", &[(one, 5), (two, 7)]).unwrap();
        Cursors::set(&chat, "backup", &[(one, 6)]).unwrap();
        Cursors::set(&chat, "other", &[(two, 1)]).unwrap();
        let cursors = Cursors::load(&home.chat()).unwrap();
        let at = |name, peer| cursors.get(name, peer).unwrap();
        assert_eq!([at("backup", &one), at("backup", &two), at("other", &two), at("other", &one)], [6, 7, 1, 0]);
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused() {
        let home = Home::new();
        let chat = home.chat();
        for name in ["", "a b", "../x", "\u{1b}", "ä", &"x".repeat(64)] {
            assert_eq!(Cursors::set(&chat, name, &[]).unwrap_err().kind(), crate::error::Kind::Usage, "{name:?}");
        }
        Cursors::set(&chat, &"x".repeat(63), &[]).unwrap();
    }

    #[test]
    fn there_are_no_more_names_than_fit() {
        let home = Home::new();
        let chat = home.chat();
        let cursors = (0..MAX_CURSORS).map(|name| (name.to_string(), BTreeMap::new())).collect();
        let fill = |file: &mut Option<Cursors>| {
            *file = Some(Cursors { version: Version, cursors });
            Ok(())
        };
        home.store().below(CHAT_DIR).unwrap().update(CURSORS, fill).unwrap();
        assert!(Cursors::set(&chat, "one-more", &[]).unwrap_err().to_string().contains("no room for 'one-more'"));
        Cursors::set(&chat, "7", &[]).unwrap();
    }
}
