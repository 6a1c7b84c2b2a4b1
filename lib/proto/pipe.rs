//! The service `pipe`: one stream of bytes in each direction. keywire-protocol(7), PIPE.

use crate::conn::{Record, Service};
use crate::error::{Error, Result};
use crate::frame::Fields;

/// The bare pipe. It has no port of its own.
pub const PIPE: Service = Service { name: "pipe", port: None };

/// A message, the same in both directions.
///
/// | type | message | body |
/// |------|---------|------|
/// | 0x01 | `DATA`  | the next bytes of the stream, 1 to 65,518 |
/// | 0x02 | `EOF`   | empty: this direction's stream has ended; the other goes on |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The next bytes of the stream.
    Data(&'a [u8]),
    /// The stream has ended here.
    Eof,
}

/// The type of [`Message::Data`].
pub const DATA: u8 = 0x01;
/// The type of [`Message::Eof`].
pub const EOF: u8 = 0x02;

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// An unknown type, an empty DATA, an EOF with a body.
    pub fn decode(record: &Record<'a>) -> Result<Self> {
        match record.kind {
            DATA if record.body.is_empty() => Err(Error::protocol("DATA without data")),
            DATA => Ok(Message::Data(record.body)),
            EOF => Fields::new(record.body).end().map(|()| Message::Eof),
            other => Err(Error::protocol(format!("a record of the unknown type {other:#04x}"))),
        }
    }
}
