//! What comes, frame by frame: opens each, and sorts out what every service shares.

use super::kind;
use super::receive::told;
use crate::error::{Error, Result};
use crate::frame::{Fields, LENGTH_LEN};
use crate::key::PublicKey;
use crate::record::Opener;
use crate::seal::TAG_LEN;

/// One direction, as its receiving side sees it.
pub(super) struct Intake {
    opener: Opener,
    carried: u64,
    me: PublicKey,
}

/// What a frame turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A record of the service's own, of this type. Its body is the frame without the type in front and the tag behind.
    Record(u8),
    /// The other side asks for a sign of life.
    Ping,
    /// It gives one.
    Pong,
    /// It has closed its direction, and nothing is missing.
    End,
}

impl Intake {
    pub(super) fn new(opener: Opener, me: PublicKey) -> Self {
        Intake { opener, carried: 0, me }
    }

    /// Opens the next frame in place.
    ///
    /// # Errors
    /// It does not open, makes no sense, or says why the other side ends the connection; or something is missing at a CLOSE.
    pub(super) fn take(&mut self, sealed: &mut [u8]) -> Result<Taken> {
        let (kind, text) = self.opener.open(sealed)?;
        match kind {
            kind::PING => Fields::new(text).end().map(|()| Taken::Ping),
            kind::PONG => Fields::new(text).end().map(|()| Taken::Pong),
            kind::ERROR => Err(told(text, &self.me)),
            kind::CLOSE => {
                let mut fields = Fields::new(text);
                let carried = fields.u64()?;
                fields.end()?;
                if carried != self.carried {
                    let came = self.carried;
                    return Err(Error::protocol(format!("the other side sent {carried} bytes, and {came} came")));
                }
                Ok(Taken::End)
            }
            kind if kind < kind::SHARED => {
                self.carried += u64::try_from(text.len()).unwrap_or(u64::MAX);
                Ok(Taken::Record(kind))
            }
            kind => Err(Error::protocol(format!("a record of the unknown type {kind:#04x}"))),
        }
    }
}

/// The length of the frame that `bytes` begin with, its own length included, if it is whole.
///
/// # Errors
/// A frame that no record fits into.
pub(super) fn whole_frame(bytes: &[u8]) -> Result<Option<usize>> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_LEN>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if length <= TAG_LEN {
        return Err(Error::protocol(format!("a record of {length} bytes, too short for its type and tag")));
    }
    Ok((rest.len() >= length).then_some(LENGTH_LEN + length))
}

/// What follows a CLOSE.
pub(super) fn after_close() -> Error {
    Error::protocol("something follows the close")
}
