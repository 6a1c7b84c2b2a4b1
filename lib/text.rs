//! The text of messages: from the command line, or from standard input.

use crate::cli::undash;
use crate::error::{Error, Result, reason};
use std::io::{BufRead, IsTerminal, Read};

/// Most bytes of text in a message.
const MAX_TEXT_LEN: usize = 64 << 10;

const _: () =
    assert!(MAX_TEXT_LEN == crate::proto::chat::MAX_TEXT_LEN && MAX_TEXT_LEN == crate::proto::group::MAX_TEXT_LEN);

/// Where text comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// This.
    Argument(String),
    /// Standard input. It may be empty where it was asked for: a filter may find nothing to say.
    Stdin {
        /// Whether it was.
        may_be_empty: bool,
    },
}

impl Source {
    /// What `text` says: itself, or standard input for a `-`, and for nothing unless somebody sits there.
    ///
    /// # Errors
    /// Nothing was given, or too much.
    pub fn of(text: Option<&str>) -> Result<Self> {
        match text.map(undash) {
            Some("-") => Ok(Source::Stdin { may_be_empty: true }),
            Some(text) => checked(text.to_owned(), "the text", MAX_TEXT_LEN).map(Source::Argument),
            None if std::io::stdin().is_terminal() => {
                Err(Error::usage("no text is given").hint("write it at the end, or - to type it"))
            }
            None => Ok(Source::Stdin { may_be_empty: false }),
        }
    }

    /// All of it, as one message.
    ///
    /// # Errors
    /// Standard input cannot be read, is no text, empty, or too much.
    pub fn whole(self) -> Result<String> {
        match self {
            Source::Argument(text) => Ok(text),
            Source::Stdin { .. } => all_of_stdin(MAX_TEXT_LEN),
        }
    }
}

/// `text` itself, or all of standard input for a `-`, as one message of `most` bytes at most.
///
/// # Errors
/// Those of [`Source::whole`].
pub fn at_most(most: usize, text: &str) -> Result<String> {
    match undash(text) {
        "-" => all_of_stdin(most),
        text => checked(text.to_owned(), "the text", most),
    }
}

fn all_of_stdin(most: usize) -> Result<String> {
    // One more byte than fits, and the end of the last line.
    let read = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(2);
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(read).read_to_end(&mut bytes).map_err(|cause| cannot_read(&cause))?;
    text(bytes, "standard input", most)
}

/// Hands over each line of `from` that is not empty, as long as `take` wants more.
///
/// # Errors
/// It cannot be read, or a line is no text or too long: what stands before it was handed over. There is no line, and there
/// had to be one.
pub fn hand_over_lines(mut from: impl BufRead, mut take: impl FnMut(String) -> bool, may_be_empty: bool) -> Result<()> {
    let mut is_empty = true;
    let most = u64::try_from(MAX_TEXT_LEN).unwrap_or(u64::MAX) + 2;
    for number in 1_u64.. {
        let mut bytes = Vec::new();
        let read = from.by_ref().take(most).read_until(b'\n', &mut bytes).map_err(|cause| cannot_read(&cause))?;
        if read == 0 {
            break;
        }
        if bytes == b"\n" {
            continue;
        }
        let text = text(bytes, &format!("line {number}"), MAX_TEXT_LEN)
            .map_err(|error| error.hint("the lines from there on were not sent"))?;
        is_empty = false;
        if !take(text) {
            // Nobody wants more; what became of the rest is said elsewhere.
            break;
        }
    }
    match is_empty && !may_be_empty {
        true => Err(Error::usage("no text is given, and standard input is empty").hint("write it at the end")),
        false => Ok(()),
    }
}

/// Text from bytes, without the end of its last line.
fn text(mut bytes: Vec<u8>, what: &str, most: usize) -> Result<String> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::usage(format!("{what} is not UTF-8")).hint("a message is text; base64(1) makes text of anything")
    })?;
    checked(text, what, most)
}

fn checked(text: String, what: &str, most: usize) -> Result<String> {
    if text.is_empty() {
        return Err(Error::usage(format!("{what} is empty")));
    }
    if text.len() > most {
        return Err(Error::usage(format!("{what} is longer than {} KiB, the most in a message", most >> 10)));
    }
    Ok(text)
}

fn cannot_read(cause: &std::io::Error) -> Error {
    Error::state(format!("cannot read standard input: {}", reason(cause)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> (Vec<String>, Result<()>) {
        let mut texts = Vec::new();
        let take = |text| {
            texts.push(text);
            true
        };
        let done = hand_over_lines(input, take, false);
        (texts, done)
    }

    #[test]
    fn each_line_is_a_message_and_empty_ones_are_none() {
        let (texts, done) = lines(b"one\n\n two \nthree");
        assert_eq!((texts, done.is_ok()), (vec!["one".into(), " two ".into(), "three".into()], true));
    }

    #[test]
    fn a_line_that_is_no_text_is_named_after_those_before_it_were_handed_over() {
        let (texts, done) = lines(b"one\n\xff\ntwo\n");
        assert_eq!((texts, done.unwrap_err().to_string().as_str()), (vec!["one".to_owned()], "line 2 is not UTF-8"));
    }

    #[test]
    fn nothing_is_a_message_only_for_those_who_asked_for_what_there_is() {
        assert!(lines(b"").1.is_err() && lines(b"\n\n").1.is_err());
        assert!(hand_over_lines(&b"\n"[..], |_| true, true).is_ok());
    }

    #[test]
    fn a_line_of_64_kib_is_taken_and_a_longer_one_is_not() {
        let full = "x".repeat(MAX_TEXT_LEN);
        assert_eq!(lines(format!("{full}\n").as_bytes()).0, std::slice::from_ref(&full));
        let (texts, done) = lines(format!("{full}x\n").as_bytes());
        assert!(texts.is_empty() && done.unwrap_err().to_string().contains("64 KiB"));
    }
}
