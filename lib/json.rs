//! JSON: the one place that names serde_json.

use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use serde_json::{Value, json};

/// Parses JSON from at most `most` bytes; the depth is bounded too (128, by serde_json).
///
/// # Errors
/// More bytes, bytes that are not JSON, or JSON of another shape. The reason names the line and column; what it means is
/// for the caller to say, who knows whether a peer or a file sent it.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], most: usize) -> std::result::Result<T, String> {
    if bytes.len() > most {
        return Err(format!("{} bytes where at most {most} may stand", bytes.len()));
    }
    serde_json::from_slice(bytes).map_err(|cause| cause.to_string())
}

/// Writes `value` on one line without its end.
///
/// # Errors
/// None for the types of this project, whose map keys are text.
pub fn line<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|cause| Error::state(format!("cannot write JSON: {cause}")))
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
