//! What groups are called here.

use super::Groups;
use crate::error::{Error, Result};
use crate::proto::group::{GroupId, MAX_NAME_LEN};
use std::collections::BTreeMap;

/// How many digits of an id stand for a group in a command that is shown.
const DIGITS: usize = 12;

/// How a command names the group `id`, which is called `name` here: by that, if it needs no quotes in a shell and is no option;
/// else by the first digits of the id.
#[must_use]
pub fn in_command(name: &str, id: &GroupId) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-');
    match !name.starts_with('-') && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => id.to_string().chars().take(DIGITS).collect(),
    }
}

impl Groups {
    /// `wanted`, if no group here is called that; else that with the first number behind it, from 2 on, that none has.
    ///
    /// # Errors
    /// The directory of groups cannot be read.
    pub fn free_name(&self, wanted: &str) -> Result<String> {
        let taken = self.names()?;
        let numbered = (2_u32..).map(|number| {
            let end = format!("-{number}");
            let room = MAX_NAME_LEN.saturating_sub(end.len());
            wanted.chars().take(room).collect::<String>() + &end
        });
        let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
        Ok(names.find(|name| !taken.contains_key(name)).unwrap_or_default())
    }

    /// Refuses a name that a group other than `id` has.
    pub(super) fn check_free(&self, name: &str, id: &GroupId) -> Result<()> {
        match self.names()?.get(name) {
            Some(other) if other != id => Err(Error::no(format!("there is another group '{name}' here"))
                .hint("give this one a name of its own; 'kw-group list' shows those that are taken")),
            _ => Ok(()),
        }
    }

    /// What the groups are called that can be read.
    fn names(&self) -> Result<BTreeMap<String, GroupId>> {
        let groups = self.list()?.into_iter();
        Ok(groups.filter_map(|group| Some((group.facts().ok()?.name, group.id()))).collect())
    }
}
