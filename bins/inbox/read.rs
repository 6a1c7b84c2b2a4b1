//! Cards, sealed messages and texts, from files, standard input and the command line.

use crate::args::Input;
use crate::show::notice;
use keywire::error::{Error, Result, reason};
use keywire::proto::inbox::{BEGIN, Card, MAX_ARMOUR_LEN, MAX_CARD_TEXT_LEN, MAX_GREETING_LEN, SealedMessage};
use keywire::text::at_most;
use std::fs::File;
use std::io::{self, Read};

/// The card in `from`.
///
/// # Errors
/// It cannot be read, or there is no card in it, or one that was changed.
pub(crate) fn card(from: &Input) -> Result<Card> {
    text(from, MAX_CARD_TEXT_LEN, "card")?.parse().map_err(|wrong| named(from, &wrong))
}

/// The sealed message in `from`.
///
/// # Errors
/// It cannot be read, or there is no sealed message in it.
pub(crate) fn sealed(from: &Input) -> Result<SealedMessage> {
    let text = text(from, MAX_ARMOUR_LEN, "sealed message")?;
    let sealed = SealedMessage::from_armour(&text).map_err(|wrong| named(from, &wrong))?;
    if text.lines().filter(|line| line.trim() == BEGIN).count() > 1 {
        notice(&format!("there is more than one sealed message in {from}; this is the first"));
    }
    Ok(sealed)
}

/// The text of a message: what was given, or all of standard input.
///
/// # Errors
/// It is no text, empty, or too long.
pub(crate) fn message(given: &str) -> Result<String> {
    at_most(MAX_GREETING_LEN, given)
}

/// What stands in `from`, where a `what` shall be. What is no text in it is none of that.
fn text(from: &Input, most: usize, what: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let read = match from {
        Input::File(path) => File::open(path).and_then(|file| whole(file, most, &mut bytes)),
        Input::Stdin => whole(io::stdin().lock(), most, &mut bytes),
    };
    match (read, from) {
        (Err(cause), Input::File(path)) => return Err(Error::file("read", path, &cause)),
        (Err(cause), Input::Stdin) => return Err(Error::state(format!("cannot read {from}: {}", reason(&cause)))),
        (Ok(true), _) => {}
        (Ok(false), _) => return Err(Error::no(format!("{from} is not a {what}: it is too long to be one"))),
    }
    if bytes.trim_ascii().is_empty() {
        return Err(Error::no(format!("{from} is not a {what}: it is empty")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads all of `from` if that is no more than `most`, and says whether it was.
fn whole(from: impl Read, most: usize, bytes: &mut Vec<u8>) -> io::Result<bool> {
    from.take(u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(bytes)?;
    Ok(bytes.len() <= most)
}

/// The error, with where it was found in front.
fn named(from: &Input, wrong: &Error) -> Error {
    Error::new(wrong.kind(), format!("{from}: {wrong}")).hints_of(wrong)
}
