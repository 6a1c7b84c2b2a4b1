//! Blocking reads and writes of a descriptor that others may have made non-blocking, such as a standard stream: the mode
//! belongs to all who share it, so it is not ours to change.

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Room asked for in a pipe, in bytes: fewer changes between two processes.
const PIPE_ROOM: i32 = 1 << 20;

/// A pipe, socket, file or terminal. Where it does not wait, we wait here.
#[derive(Debug)]
pub struct Patient(File);

impl Patient {
    /// Takes a descriptor, and asks for more room if it is a pipe.
    #[must_use]
    pub fn new(stream: OwnedFd) -> Self {
        // What is no pipe, or may have no more room, works as it is.
        let _ = fcntl(stream.as_raw_fd(), FcntlArg::F_SETPIPE_SZ(PIPE_ROOM));
        Patient(File::from(stream))
    }

    /// The same for another descriptor of what `stream` refers to.
    ///
    /// # Errors
    /// It is not open, or there are no more descriptors.
    pub fn of(stream: &impl AsFd) -> io::Result<Self> {
        stream.as_fd().try_clone_to_owned().map(Patient::new)
    }

    /// Does `work` once the descriptor lets it be done.
    fn patiently<T>(&self, what: PollFlags, mut work: impl FnMut(&File) -> io::Result<T>) -> io::Result<T> {
        loop {
            match work(&self.0) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(self.0.as_fd(), what)], PollTimeout::NONE)?;
                }
                done => return done,
            }
        }
    }
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.patiently(PollFlags::POLLIN, |mut file| file.read(into))
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.patiently(PollFlags::POLLIN, |mut file| file.read_vectored(into))
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(PollFlags::POLLOUT, |mut file| file.write(bytes))
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.patiently(PollFlags::POLLOUT, |mut file| file.write_vectored(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
