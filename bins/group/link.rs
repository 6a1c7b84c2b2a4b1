//! Links: from where they come to `join`, and what is said about what they are worth.

use crate::NAME;
use keywire::cli::{self, undash};
use keywire::error::{Error, Result, reason};
use keywire::proto::group::Mode;
use keywire::proto::group::link::MAX_LINK_LEN;
use std::io::{IsTerminal, Read};

/// The text of the link: itself, standard input, or what is typed without being shown.
pub(crate) fn text(given: Option<&str>) -> Result<String> {
    match given.map(undash) {
        Some("-") => first_line(),
        Some(link) => {
            warn(
                "the link stands in the history of the shell now, and whoever has it may come: 'join' alone asks for it",
            );
            Ok(link.to_owned())
        }
        None if std::io::stdin().is_terminal() => match cli::typed("link", "invite link: ")? {
            link if link.trim().is_empty() => Err(Error::usage("no link was typed")),
            link => Ok(link),
        },
        None => first_line(),
    }
}

fn first_line() -> Result<String> {
    let most = u64::try_from(MAX_LINK_LEN).unwrap_or(u64::MAX) + 2;
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(most)
        .read_to_string(&mut text)
        .map_err(|cause| Error::usage(format!("cannot read a link from standard input: {}", reason(&cause))))?;
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(Error::usage("there is no link on standard input")),
    }
}

/// Says what a mode other than the private one means, before anybody relies on it.
pub(crate) fn warn_of(mode: Mode) {
    match mode {
        Mode::Private => {}
        Mode::Public => warn(
            "this group is PUBLIC: what is said is not sealed, and whoever carries it or sees a member's files reads it",
        ),
        Mode::Open => warn(
            "this group is OPEN: one key for ever stands in its link; who ever had a link reads everything, and no \
             removal changes that",
        ),
    }
}

pub(crate) fn warn(text: &str) {
    cli::say(&format!("{NAME}: warning: {text}"));
}
