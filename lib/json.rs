//! JSON: the one place that names serde_json.

use crate::error::{Error, Result};
use crate::term;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use serde_json::{Value, json};

/// Parses JSON from at most `most` bytes; the depth is bounded too (128, by serde_json).
///
/// # Errors
/// More bytes, bytes that are not JSON, or JSON of another shape. The reason names the line and column; what it means is
/// for the caller to say, who knows whether a peer or a file sent it.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], most: usize) -> std::result::Result<T, String> {
    if bytes.len() > most {
        return Err(format!("{} bytes where at most {most} may stand", bytes.len()));
    }
    serde_json::from_slice(bytes).map_err(|cause| cause.to_string())
}

/// Writes `value` on one line without its end. What could fool a terminal is in it as an escape of JSON's own.
///
/// # Errors
/// None for the types of this project, whose map keys are text.
pub fn line<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|cause| Error::state(format!("cannot write JSON: {cause}")))?;
    if !text.contains(term::is_unsafe) {
        return Ok(text);
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if term::is_unsafe(c) {
            safe.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    Ok(safe)
}

/// Writes `value` for people: indented, with a line end.
///
/// # Errors
/// As [`line()`].
pub fn pretty<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|cause| Error::state(format!("cannot write JSON: {cause}")))
}

/// Bytes that stand in JSON as base64 (RFC 4648 section 4, with padding).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
        out.serialize_str(&data_encoding::BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        // The decoder takes pieces in a row, each with its padding, and the same bytes could be written in many ways.
        if text.trim_end_matches('=').contains('=') {
            return Err(serde::de::Error::custom("padding inside of base64"));
        }
        data_encoding::BASE64.decode(text.as_bytes()).map(Bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_same_and_holds_nothing_that_a_terminal_would_obey() {
        let text = "a\u{1b}\u{7f}\u{9b}\u{202e}\u{e0041}\"\\ e";
        let line = line(text).unwrap();
        assert_eq!(line, r#""a\u001b\u007f\u009b\u202e\udb40\udc41\"\\ e""#);
        assert_eq!(parse::<String>(line.as_bytes(), 100).unwrap(), text);
    }
}
