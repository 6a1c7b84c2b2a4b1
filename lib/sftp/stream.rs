//! The two streams: packets out of the input, whole or not at all, and descriptors that are waited for.

use super::broken;
use crate::error::{Error, Result, reason};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

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

/// A descriptor that is waited for where it would not wait itself: whoever made it may have set it so.
#[derive(Debug)]
pub(super) struct Patient<F>(pub(super) F);

impl<F: AsFd> Patient<F> {
    fn wait(&self, until: PollFlags) -> io::Result<()> {
        match poll(&mut [PollFd::new(self.0.as_fd(), until)], PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }

    fn until_done<T>(&mut self, until: PollFlags, mut work: impl FnMut(&mut F) -> io::Result<T>) -> io::Result<T> {
        loop {
            match work(&mut self.0) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => self.wait(until)?,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl<F: Read + AsFd> Read for Patient<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.until_done(PollFlags::POLLIN, |file| file.read(into))
    }
}

impl<F: Write + AsFd> Write for Patient<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.until_done(PollFlags::POLLOUT, |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.until_done(PollFlags::POLLOUT, Write::flush)
    }
}
