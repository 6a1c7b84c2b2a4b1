//! Values of settings: the words of an `-o` line, and what they can be.

use crate::line::args::{Level, Session, TtyWish};
use keywire::conn::Family;
use keywire::error::{Error, Result};
use std::path::PathBuf;
use std::time::Duration;

/// Which of two values for one setting counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wins {
    /// The one that came first: so it is in ssh for every `-o`, and for most letters with a value.
    First,
    /// This one, whatever came before: so it is for letters without a value.
    Last,
}

impl Wins {
    /// Puts a value into its place, if it counts.
    pub(crate) fn put<T>(self, place: &mut Option<T>, value: Result<T>) -> Result<()> {
        let value = value?;
        if self == Wins::Last || place.is_none() {
            *place = Some(value);
        }
        Ok(())
    }
}

/// What stands behind the name of a setting.
#[derive(Debug)]
pub(crate) struct Value<'a> {
    /// All of it, as it was written.
    pub(crate) whole: &'a str,
    /// Its words, without the quotes.
    pub(crate) words: Vec<String>,
}

impl<'a> Value<'a> {
    /// One word that stands for itself, such as the value of a letter.
    pub(crate) fn word(word: &'a str) -> Self {
        Value { whole: word, words: vec![word.to_owned()] }
    }

    /// The words of `whole`, quoted as in ssh_config(5).
    pub(crate) fn split(whole: &'a str) -> Result<Self> {
        Ok(Value { whole, words: words(whole)? })
    }

    /// The one word that there must be.
    pub(crate) fn one(&self) -> Result<&str> {
        match self.words.as_slice() {
            [word] if !word.is_empty() => Ok(word),
            [] | [_] => Err(Error::usage("the value is missing")),
            _ => {
                Err(Error::usage("there must be one value").hint("a value with a space in it stands in double quotes"))
            }
        }
    }
}

/// Splits words at blanks; quotes of either kind hold them together, and a backslash stands before a quote, a backslash or a
/// blank. What follows a `#` at the beginning of a word is a comment.
fn words(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        if chars.peek().is_none_or(|c| *c == '#') {
            return Ok(words);
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_ascii_whitespace()) {
            match (c, quote) {
                ('\\', _) => match chars.next_if(|c| "\"'\\".contains(*c) || quote.is_none() && *c == ' ') {
                    Some(c) => word.push(c),
                    None => word.push('\\'),
                },
                (c, Some(open)) if c == open => quote = None,
                ('"' | '\'', None) => quote = Some(c),
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return Err(Error::usage("a quote is not closed"));
        }
        words.push(word);
    }
}

/// The one of `choices` that `text` names, in any case.
fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T> {
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Error::usage(format!("'{}' is none of {}", text.escape_debug(), names.join(", ")))
    })
}

pub(crate) fn flag(text: &str) -> Result<bool> {
    choice(text, &[("yes", true), ("no", false), ("true", true), ("false", false)])
}

pub(crate) fn family(text: &str) -> Result<Family> {
    choice(text, &[("any", Family::Any), ("inet", Family::V4), ("inet6", Family::V6)])
}

pub(crate) fn tty(text: &str) -> Result<TtyWish> {
    use TtyWish::{Auto, Force, No, Yes};
    choice(text, &[("auto", Auto), ("no", No), ("yes", Yes), ("force", Force), ("true", Yes), ("false", No)])
}

pub(crate) fn session(text: &str) -> Result<Session> {
    choice(text, &[("default", Session::Default), ("subsystem", Session::Subsystem), ("none", Session::None)])
}

pub(crate) fn level(text: &str) -> Result<Level> {
    use Level::{Info, Quiet, Verbose};
    let levels = [("QUIET", Quiet), ("FATAL", Quiet), ("ERROR", Quiet), ("INFO", Info), ("VERBOSE", Verbose)];
    let finer = ["DEBUG", "DEBUG1", "DEBUG2", "DEBUG3"].map(|name| (name, Verbose));
    choice(text, &[&levels[..], &finer].concat())
}

pub(crate) fn port(text: &str) -> Result<u16> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Error::usage(format!("'{}' is no port: write a number from 1 to 65535", text.escape_debug())))
}

/// Seconds, or numbers with units such as `1m30s`.
pub(crate) fn time(text: &str) -> Result<Duration> {
    let wrong = || {
        Error::usage(format!("'{}' is no time", text.escape_debug()))
            .hint("write seconds, or a number and s, m, h, d or w")
    };
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let mut behind = behind.chars();
        let unit = match behind.next().map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 7 * 86_400,
            Some(_) => return Err(wrong()),
        };
        let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)?;
        total = total.checked_add(seconds).ok_or_else(wrong)?;
        rest = behind.as_str();
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(total)) }
}

/// A time, or `none`, which is zero.
pub(crate) fn time_or_none(text: &str) -> Result<Duration> {
    if text == "none" { Ok(Duration::ZERO) } else { time(text) }
}

/// `none`, a character, or `^` and a letter.
pub(crate) fn escape(text: &str) -> Result<Option<u8>> {
    match text.as_bytes() {
        b"none" => Ok(None),
        [one] => Ok(Some(*one)),
        [b'^', letter @ b'@'..=b'\x7f'] => Ok(Some(letter & 0x1f)),
        _ => Err(Error::usage(format!("'{}' cannot start an escape", text.escape_debug()))
            .hint("write one character, ^ and a letter, or none")),
    }
}

/// Whether the times of keystrokes are hidden; how often does not matter, since keywire has an interval of its own.
pub(crate) fn hide_timing(text: &str) -> Result<bool> {
    match text.strip_prefix("interval:") {
        Some(milliseconds) => match milliseconds.parse::<u16>() {
            Ok(1..=1000) => Ok(true),
            _ => Err(Error::usage(format!("'{}' is no interval: write 1 to 1000", milliseconds.escape_debug()))),
        },
        None => flag(text),
    }
}

/// `NAME=VALUE`, one or more; the first of a name counts.
pub(crate) fn variables(words: &[String]) -> Result<Vec<(String, String)>> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for word in words {
        let (name, value) = word.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            Error::usage(format!("'{}' sets no variable", word.escape_debug())).hint("write NAME=VALUE")
        })?;
        if variables.iter().all(|(known, _)| known != name) {
            variables.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(variables)
}

/// The path of a key pair; ssh would dial without one for `none`.
pub(crate) fn identity(text: &str) -> Result<PathBuf> {
    if text.eq_ignore_ascii_case("none") {
        return Err(
            Error::usage("nobody is dialed without a key pair").hint("leave it out for the one of the state directory")
        );
    }
    Ok(path(text))
}

/// A path; `~/` is the home directory, for a shell that does not know that a path follows leaves it as it is.
pub(crate) fn path(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}
