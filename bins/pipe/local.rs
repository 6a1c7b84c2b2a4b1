//! The local end of a pipe: standard input and output, a command, or a TCP connection.

use crate::command::Running;
use keywire::error::{Error, Result, reason};
use keywire::patient::Patient;
use keywire::sys;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a write to a TCP connection that is not read looks whether there is still a reason to wait.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is read from, what is written to, and how to end both.
pub(crate) struct Local {
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) writer: Box<dyn Write + Send>,
    pub(crate) end: End,
}

/// What the two streams belong to.
pub(crate) enum End {
    /// Standard input and output: they end with the process.
    Stdio,
    /// A command of ours.
    Command(Running),
    /// A TCP connection, and whether it must not end in good order.
    Tcp(TcpStream, Arc<AtomicBool>),
}

/// Which of them it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocalKind {
    Stdio,
    Command,
    Tcp,
}

impl LocalKind {
    /// Whether it is over when it says so, whatever the peer still sends.
    pub(crate) fn ends_alone(self) -> bool {
        self == LocalKind::Command
    }

    /// A failure to `read` or to `write`.
    pub(crate) fn cannot(self, verb: &str, cause: &io::Error) -> Error {
        match (self, verb) {
            (LocalKind::Stdio, "write") => Error::output(cause),
            (LocalKind::Stdio, _) => Error::state(format!("cannot {verb} standard input: {}", reason(cause))),
            (LocalKind::Command, _) => Error::state(format!("cannot {verb} a pipe of the command: {}", reason(cause))),
            (LocalKind::Tcp, _) => Error::network(format!("the TCP connection was lost: {}", reason(cause))),
        }
    }
}

impl Local {
    /// Standard input, unless there is to be none, and standard output.
    pub(crate) fn stdio(no_stdin: bool) -> Result<Self> {
        let told = |cause: io::Error| Error::state(format!("cannot use standard input and output: {}", reason(&cause)));
        let (stdin, stdout) = (Patient::of(&io::stdin()).map_err(told)?, Patient::of(&io::stdout()).map_err(told)?);
        // Whoever reads standard output sees its end when ours is dropped, and not only when this process ends.
        let nothing = File::options().write(true).open("/dev/null").map_err(told)?;
        nix::unistd::dup2(nothing.as_raw_fd(), io::stdout().as_raw_fd()).map_err(|cause| told(cause.into()))?;
        let reader: Box<dyn Read + Send> = if no_stdin { Box::new(io::empty()) } else { Box::new(stdin) };
        Ok(Local { reader, writer: Box::new(stdout), end: End::Stdio })
    }

    /// A command for /bin/sh, with `about` in its environment.
    pub(crate) fn command(line: &str, about: &[(&str, String)]) -> Result<Self> {
        let (running, stdin, stdout) = Running::start(line, about)?;
        let (reader, writer) = (Box::new(Patient::new(stdout)), Box::new(Patient::new(stdin)));
        Ok(Local { reader, writer, end: End::Command(running) })
    }

    /// A TCP connection.
    pub(crate) fn tcp(socket: TcpStream) -> Result<Self> {
        let told = |cause: io::Error| LocalKind::Tcp.cannot("use", &cause);
        socket.set_nodelay(true).map_err(told)?;
        socket.set_write_timeout(Some(LOOK_EVERY)).map_err(told)?;
        let cut = Arc::new(AtomicBool::new(false));
        let reader = Box::new(socket.try_clone().map_err(told)?);
        let writer = Box::new(HalfOpen { socket: socket.try_clone().map_err(told)?, cut: cut.clone() });
        Ok(Local { reader, writer, end: End::Tcp(socket, cut) })
    }
}

impl End {
    pub(crate) fn kind(&self) -> LocalKind {
        match self {
            End::Stdio => LocalKind::Stdio,
            End::Command(_) => LocalKind::Command,
            End::Tcp(..) => LocalKind::Tcp,
        }
    }

    /// Waits until a command has ended; nothing else ends alone. Losing the future loses nothing.
    ///
    /// # Errors
    /// It failed: whoever sent to it must know.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        match self {
            End::Command(running) => running.ended().await,
            End::Stdio | End::Tcp(..) => Ok(()),
        }
    }

    /// Makes sure that nothing takes what follows for an end in good order: a command is hung up before its input ends, and
    /// a TCP connection will be reset.
    pub(crate) fn cut(&self) {
        match self {
            End::Stdio => {}
            End::Command(running) => running.hang_up(),
            End::Tcp(socket, cut) => {
                cut.store(true, Ordering::Release);
                // If it cannot be reset it is gone already.
                let _ = sys::reset_when_closed(socket);
                let _ = socket.shutdown(Shutdown::Read);
            }
        }
    }

    /// Ends what is left: a command that still runs, a TCP connection that is still read.
    pub(crate) async fn finish(self) {
        match self {
            End::Stdio => {}
            End::Command(running) => running.finish().await,
            End::Tcp(socket, cut) => {
                if !cut.load(Ordering::Acquire) {
                    // The other end may have closed already.
                    let _ = socket.shutdown(Shutdown::Both);
                }
            }
        }
    }
}

/// A TCP connection's sending half: dropping it tells the other end that no more comes, unless it was cut.
struct HalfOpen {
    socket: TcpStream,
    cut: Arc<AtomicBool>,
}

impl HalfOpen {
    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }
}

impl Write for HalfOpen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.socket.write(bytes) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock && !self.is_cut() => {}
                done => return done,
            }
        }
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match self.socket.write_vectored(bytes) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock && !self.is_cut() => {}
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        if !self.is_cut() {
            // The other end may have closed already.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }
}
