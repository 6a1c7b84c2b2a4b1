//! Arguments that are no text. File names are bytes, and argh reads text: a byte that is no part of UTF-8 passes through it as
//! a character of its own.

use super::undash;
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::str::FromStr;

/// The character that stands for the byte 0; those behind it stand for the others. Private use, as far from what fonts and
/// people use as it can be.
const ZERO: u32 = 0x10_fe00;

/// The character that marks a lone `-`, see [`super::LONE_DASH`]; in an argument it is taken apart as well.
const DASH_MARK: char = '\u{f8ff}';

/// An argument that may be any bytes, such as the path of a file. Only in programs that [`super::main_of_files`] runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathArg(OsString);

impl PathArg {
    /// The bytes, as they stood on the command line.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl AsRef<Path> for PathArg {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl FromStr for PathArg {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(PathArg(OsString::from_vec(to_bytes(undash(word)))))
    }
}

/// `arg` as text that [`to_bytes`] turns back into exactly these bytes.
pub(super) fn to_text(arg: &OsStr) -> String {
    let mut text = String::new();
    for chunk in arg.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                c if byte_of(c).is_some() || c == DASH_MARK => {
                    text.extend(c.encode_utf8(&mut [0; 4]).bytes().filter_map(char_of));
                }
                c => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().copied().filter_map(char_of));
    }
    text
}

/// The bytes that [`to_text`] made `text` of.
fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// `text`, which may hold words that [`to_text`] made, for people.
pub(super) fn shown(text: &str) -> String {
    String::from_utf8_lossy(&to_bytes(text)).into_owned()
}

fn char_of(byte: u8) -> Option<char> {
    char::from_u32(ZERO + u32::from(byte))
}

fn byte_of(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(ZERO)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(bytes: &[u8]) -> Vec<u8> {
        to_text(OsStr::from_bytes(bytes)).parse::<PathArg>().unwrap().as_bytes().to_vec()
    }

    #[test]
    fn any_bytes_come_through_the_command_line_as_they_are() {
        let stand_ins: String = (0..=255).filter_map(char_of).collect();
        for bytes in [
            &b""[..],
            b"plain",
            b"\xff",
            b"a\xc3",
            b"\xc3(",
            b"\xed\xa0\x80",
            "ä\u{f8ff}-".as_bytes(),
            b"\xf4\x90\x80\x80",
        ] {
            assert_eq!(through(bytes), bytes, "{}", bytes.escape_ascii());
        }
        assert_eq!(through(stand_ins.as_bytes()), stand_ins.as_bytes());
        for first in 1..=255 {
            for second in 1..=255 {
                assert_eq!(through(&[first, second]), [first, second]);
            }
        }
    }

    #[test]
    fn text_is_itself() {
        for text in ["plain", "zwei Wörter", "日本語", "\u{10fdff}\u{10ff00}"] {
            assert_eq!(to_text(OsStr::new(text)), text);
        }
    }

    #[test]
    fn a_lone_dash_is_not_mistaken_for_a_file_that_is_called_like_its_mark() {
        assert_eq!(crate::cli::LONE_DASH.parse::<PathArg>().unwrap().as_bytes(), b"-");
        assert_eq!(through(crate::cli::LONE_DASH.as_bytes()), crate::cli::LONE_DASH.as_bytes());
    }

    #[test]
    fn what_is_shown_of_an_argument_is_text_without_stand_ins() {
        assert_eq!(shown(&format!("no {}", to_text(OsStr::from_bytes(b"\xffx")))), "no \u{fffd}x");
    }
}
