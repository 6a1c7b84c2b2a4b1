//! The input: packets, whole or not at all.

use super::broken;
use crate::error::{Error, Result, reason};
use std::io::Read;

/// Longest packet, in bytes without its length: what OpenSSH takes, and every client stays below.
pub const MAX_PACKET_LEN: usize = 256 << 10;

/// Bytes of the length in front of every packet.
const LENGTH_LEN: usize = 4;

/// Room for what was read: some packets of the longest kind, so that one read brings many requests and a packet that is cut
/// by the end of the room is rarely moved. Untouched, it costs no memory.
const ROOM_LEN: usize = 4 * (LENGTH_LEN + MAX_PACKET_LEN);

/// What was read and not yet answered. Its room is all that a client can make it take.
#[derive(Debug)]
pub struct Input<R> {
    from: R,
    room: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R: Read> Input<R> {
    /// Packets out of `from`.
    pub fn new(from: R) -> Self {
        Input { from, room: vec![0; ROOM_LEN], start: 0, end: 0 }
    }

    /// The next packet, without its length, if all of it has been read.
    ///
    /// # Errors
    /// A length that no packet has.
    pub fn packet(&mut self) -> Result<Option<&[u8]>> {
        let Some(length) = self.length()? else { return Ok(None) };
        let whole = self.start + LENGTH_LEN..self.start + LENGTH_LEN + length;
        if whole.end > self.end {
            return Ok(None);
        }
        self.start = whole.end;
        Ok(self.room.get(whole))
    }

    /// Reads more; `false` at the end.
    ///
    /// # Errors
    /// An end in the middle of a packet, and a stream that fails.
    pub fn fill(&mut self) -> Result<bool> {
        let needed = LENGTH_LEN + self.length()?.unwrap_or(0);
        if self.start == self.end || self.start + needed > self.room.len() {
            self.room.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let free = self.room.get_mut(self.end..).unwrap_or_default();
        let count = self
            .from
            .read(free)
            .map_err(|cause| Error::state(format!("sftp: cannot read from standard input: {}", reason(&cause))))?;
        self.end += count;
        if count == 0 && self.start < self.end {
            return Err(broken("the input ends in the middle of a packet"));
        }
        Ok(count > 0)
    }

    /// The length of the packet that begins here, once it has been read.
    fn length(&self) -> Result<Option<usize>> {
        let read = self.room.get(self.start..self.end).unwrap_or_default();
        let Some((length, _)) = read.split_first_chunk::<LENGTH_LEN>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        match usize::try_from(length) {
            Ok(fits @ 1..=MAX_PACKET_LEN) => Ok(Some(fits)),
            _ => Err(broken(format!("a packet of {length} bytes where 1 to {MAX_PACKET_LEN} may stand"))),
        }
    }
}
