//! The text of messages: from the command line, or from standard input.

use crate::request::Input;
use keywire::cli::undash;
use keywire::error::{Error, Result, reason};
use keywire::proto::chat::MAX_TEXT_LEN;
use std::io::{BufRead, IsTerminal, Read};
use tokio::sync::mpsc;

/// Where text comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Argument(String),
    Stdin,
}

impl Source {
    /// What `text` says: itself, or standard input for a `-`, and for nothing unless somebody sits there.
    ///
    /// # Errors
    /// Nothing was given, or too much.
    pub(crate) fn of(text: Option<&str>) -> Result<Self> {
        match text.map(undash) {
            Some("-") => Ok(Source::Stdin),
            Some(text) => checked(text.to_owned(), "the text").map(Source::Argument),
            None if std::io::stdin().is_terminal() => {
                Err(Error::usage("no text is given").hint("write it behind the peer, or - to type it"))
            }
            None => Ok(Source::Stdin),
        }
    }

    /// All of it, as one message.
    ///
    /// # Errors
    /// Standard input cannot be read, is no text, empty, or too much.
    pub(crate) fn whole(self) -> Result<String> {
        match self {
            Source::Argument(text) => Ok(text),
            Source::Stdin => {
                let most = u64::try_from(MAX_TEXT_LEN).unwrap_or(u64::MAX) + 2;
                let mut bytes = Vec::new();
                std::io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(|cause| cannot_read(&cause))?;
                text(bytes, "standard input")
            }
        }
    }
}

/// Hands over each line of standard input that is not empty, and the end.
///
/// # Errors
/// It cannot be read, or a line is no text or too long: what stands before it was handed over.
pub(crate) fn hand_over_lines(mut from: impl BufRead, inputs: &mpsc::Sender<Input>) -> Result<()> {
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
        let text = text(bytes, &format!("line {number}"))?;
        if inputs.blocking_send(Input::Text(text)).is_err() {
            // Nobody wants more; what became of the rest is said elsewhere.
            break;
        }
    }
    Ok(())
}

/// Text from bytes, without the end of its last line.
fn text(mut bytes: Vec<u8>, what: &str) -> Result<String> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::usage(format!("{what} is not UTF-8")).hint("a message is text; base64(1) makes text of anything")
    })?;
    checked(text, what)
}

fn checked(text: String, what: &str) -> Result<String> {
    if text.is_empty() {
        return Err(Error::usage(format!("{what} is empty")));
    }
    if text.len() > MAX_TEXT_LEN {
        return Err(Error::usage(format!("{what} is longer than {} KiB, the most in a message", MAX_TEXT_LEN >> 10)));
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
        let (inputs, mut given) = mpsc::channel(100);
        let done = hand_over_lines(input, &inputs);
        drop(inputs);
        let mut texts = Vec::new();
        while let Ok(Input::Text(text)) = given.try_recv() {
            texts.push(text);
        }
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
    fn a_line_of_64_kib_is_taken_and_a_longer_one_is_not() {
        let full = "x".repeat(MAX_TEXT_LEN);
        assert_eq!(lines(format!("{full}\n").as_bytes()).0, std::slice::from_ref(&full));
        let (texts, done) = lines(format!("{full}x\n").as_bytes());
        assert!(texts.is_empty() && done.unwrap_err().to_string().contains("64 KiB"));
    }
}
