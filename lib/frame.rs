//! Frames: a length of two bytes, big endian, and that many bytes; and the fields inside them.
//!
//! Nothing here knows a key or a socket. Every length meets its limit before a byte is allocated or read for it.

use crate::error::{Error, Result, reason};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of the length in front of every frame.
pub const LENGTH_LEN: usize = 2;

/// Largest frame body: one Noise message (Noise specification, section 3).
pub const MAX_FRAME_LEN: usize = 65_535;

/// Writes `body` as one frame.
///
/// # Errors
/// A body over [`MAX_FRAME_LEN`].
pub fn frame(body: &[u8]) -> Result<Vec<u8>> {
    let length = u16::try_from(body.len())
        .map_err(|_| Error::protocol(format!("a frame of {} bytes is too long", body.len())))?;
    Ok([&length.to_be_bytes()[..], body].concat())
}

/// Reads one frame whose body must have from `least` to `most` bytes.
///
/// # Errors
/// Another length, before anything is read for it; and an end or failure of the stream.
pub async fn read_frame(from: &mut (impl AsyncRead + Unpin), least: usize, most: usize) -> Result<Vec<u8>> {
    let failed = |cause| Error::network(format!("the connection ended in a handshake: {}", reason(&cause)));
    let length = usize::from(from.read_u16().await.map_err(failed)?);
    if length < least || length > most {
        return Err(Error::protocol(format!("a frame of {length} bytes where {least} to {most} may stand")));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await.map_err(failed)?;
    Ok(body)
}

/// As much of `text` from its beginning as fits into `most` bytes.
#[must_use]
pub fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Reads the fields of a message from its bytes, front to back.
#[derive(Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at the first byte of `body`.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Fields { rest: body }
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (field, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| Error::protocol("a message ends in the middle of a field"))?;
        self.rest = rest;
        Ok(*field)
    }

    /// One byte.
    ///
    /// # Errors
    /// When none is left.
    pub fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, big endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes, big endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, big endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn slice(&mut self, length: usize) -> Result<&'a [u8]> {
        let (field, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| Error::protocol("a message ends in the middle of a field"))?;
        self.rest = rest;
        Ok(field)
    }

    /// Whether all was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All bytes that are left.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.rest
    }

    /// All bytes that are left, as UTF-8 text of at most `most` bytes.
    ///
    /// # Errors
    /// Longer text, or bytes that are not UTF-8.
    pub fn text(self, most: usize) -> Result<&'a str> {
        if self.rest.len() > most {
            return Err(Error::protocol(format!("a text of {} bytes where at most {most} may stand", self.rest.len())));
        }
        std::str::from_utf8(self.rest).map_err(|_| Error::protocol("a text that is not UTF-8"))
    }

    /// Ends the message here.
    ///
    /// # Errors
    /// When bytes are left.
    pub fn end(self) -> Result<()> {
        match self.rest {
            [] => Ok(()),
            rest => Err(Error::protocol(format!("{} bytes too many at the end of a message", rest.len()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_is_read_back_as_it_was_written() {
        for length in [0, 1, 65_534, 65_535] {
            let body = vec![7; length];
            let bytes = frame(&body).unwrap();
            assert_eq!(read_frame(&mut bytes.as_slice(), 0, MAX_FRAME_LEN).await.unwrap(), body);
        }
        assert!(frame(&vec![0; MAX_FRAME_LEN + 1]).is_err());
    }

    #[tokio::test]
    async fn a_length_outside_the_limits_is_refused_before_the_body_is_read() {
        let mut bytes: &[u8] = &[0, 9, 1, 2, 3];
        assert!(read_frame(&mut bytes, 10, 20).await.unwrap_err().to_string().contains("9 bytes"));
        assert_eq!(bytes, [1, 2, 3]);
    }

    #[test]
    fn fields_end_exactly_where_the_message_ends() {
        let mut fields = Fields::new(&[1, 0, 2, 0, 0, 0, 3]);
        assert_eq!((fields.u8().unwrap(), fields.u16().unwrap(), fields.u32().unwrap()), (1, 2, 3));
        fields.end().unwrap();
        let mut fields = Fields::new(b"ab");
        assert_eq!(fields.slice(1).unwrap(), b"a");
        assert!(fields.slice(2).is_err() && fields.slice(usize::MAX).is_err());
        assert_eq!(fields.slice(1).unwrap(), b"b");
        assert!(Fields::new(&[1]).u16().is_err());
        assert!(Fields::new(&[1]).end().is_err());
        assert!(Fields::new(&[0xff]).text(9).is_err());
        assert!(Fields::new(b"long").text(3).is_err());
    }
}
