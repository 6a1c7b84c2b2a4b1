//! What groups are called here.

use crate::proto::group::GroupId;

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
