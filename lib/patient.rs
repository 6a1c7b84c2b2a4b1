//! Blocking reads and writes of a descriptor that others may have made non-blocking, such as a standard stream: the mode
//! belongs to all who share it, so it is not ours to change.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Room asked for in a pipe, in bytes: fewer changes between two processes.
const PIPE_ROOM: i32 = 1 << 20;

/// Asks for more room in a pipe. What is no pipe, or may have no more, works as it is.
pub fn widen(pipe: &impl AsFd) {
    let _ = fcntl(pipe.as_fd().as_raw_fd(), FcntlArg::F_SETPIPE_SZ(PIPE_ROOM));
}

/// A pipe, socket, file or terminal. Where it does not wait, we wait here.
#[derive(Debug)]
pub struct Patient(File);

impl Patient {
    /// Takes a descriptor, and asks for more room if it is a pipe.
    #[must_use]
    pub fn new(stream: OwnedFd) -> Self {
        widen(&stream);
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
                    match poll(&mut [PollFd::new(self.0.as_fd(), what)], PollTimeout::NONE) {
                        Ok(_) | Err(Errno::EINTR) => {}
                        Err(cause) => return Err(cause.into()),
                    }
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl AsFd for Patient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// One end, and a patient other one that does not wait by itself.
    fn ends() -> (UnixStream, Patient) {
        let (other, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        (other, Patient::new(stream.into()))
    }

    #[test]
    fn what_is_empty_for_a_moment_is_waited_for() {
        let (mut other, mut patient) = ends();
        let reading = std::thread::spawn(move || {
            let mut came = Vec::new();
            patient.read_to_end(&mut came).map(|_| came)
        });
        for _ in 0..100 {
            other.write_all(b"a").unwrap();
            std::thread::yield_now();
        }
        drop(other);
        assert_eq!(reading.join().unwrap().unwrap(), [b'a'; 100]);
    }

    #[test]
    fn what_is_full_for_a_moment_is_waited_for() {
        let (mut other, mut patient) = ends();
        let writing = std::thread::spawn(move || patient.write_all(&[7; 1 << 22]));
        while crate::sys::readable_now(&other).unwrap() < 10_000 {
            std::thread::yield_now();
        }
        let mut came = Vec::new();
        other.read_to_end(&mut came).unwrap();
        assert!(writing.join().unwrap().is_ok() && came == [7; 1 << 22]);
    }
}
