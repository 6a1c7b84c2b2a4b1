//! The local end of a pipe: standard input and output, a command, or a TCP connection. All are read and written by plain
//! blocking calls on threads of their own, which is the fastest way to move bytes here.

use keywire::error::{Error, Result, reason};
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command, Stdio};

/// Room asked for in a pipe, in bytes: fewer changes between two processes.
const PIPE_ROOM: i32 = 1 << 20;

/// What is read from, what is written to, and how to end both.
pub(crate) struct Local {
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) writer: Box<dyn Write + Send>,
    pub(crate) end: End,
}

/// Keeps what the two streams belong to.
pub(crate) enum End {
    /// Standard input and output: they end with the process.
    Stdio,
    /// A command of ours.
    Command(Child),
    /// A TCP connection.
    Tcp(TcpStream),
}

impl Local {
    /// Standard input, unless there is to be none, and standard output.
    pub(crate) fn stdio(no_stdin: bool) -> Result<Self> {
        let told = |cause: io::Error| Error::state(format!("cannot use standard input and output: {}", reason(&cause)));
        let own = |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned().map(File::from);
        let (stdin, stdout) = (own(&io::stdin()).map_err(told)?, own(&io::stdout()).map_err(told)?);
        for stream in [&stdin, &stdout] {
            // What is no pipe, or may have no more room, works as it is.
            let _ = fcntl(stream.as_raw_fd(), FcntlArg::F_SETPIPE_SZ(PIPE_ROOM));
        }
        let reader: Box<dyn Read + Send> = if no_stdin { Box::new(io::empty()) } else { Box::new(stdin) };
        Ok(Local { reader, writer: Box::new(stdout), end: End::Stdio })
    }

    /// A command for /bin/sh, told who is at the other end.
    pub(crate) fn command(line: &str, about: &[(&str, String)]) -> Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line).envs(about.iter().map(|(name, value)| (name, value)));
        keywire::sys::lead_session(&mut command, false);
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|cause| Error::state(format!("cannot start /bin/sh: {}", reason(&cause))))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => {
                Ok(Local { reader: Box::new(stdout), writer: Box::new(stdin), end: End::Command(child) })
            }
            _ => Err(Error::state("a command without pipes")),
        }
    }

    /// A TCP connection.
    pub(crate) fn tcp(socket: TcpStream) -> Result<Self> {
        let told = |cause: io::Error| Error::network(format!("the TCP connection is gone: {}", reason(&cause)));
        socket.set_nodelay(true).map_err(told)?;
        let (reader, writer) = (socket.try_clone().map_err(told)?, socket.try_clone().map_err(told)?);
        Ok(Local { reader: Box::new(reader), writer: Box::new(HalfOpen(writer)), end: End::Tcp(socket) })
    }
}

/// A TCP connection's sending half: dropping it tells the other end that no more comes.
struct HalfOpen(TcpStream);

impl Write for HalfOpen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        // The other end may have closed already.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

impl End {
    /// Ends what is left: a command is hung up if it still runs, a TCP connection closed. Unblocks whoever reads from it.
    pub(crate) fn end(self) {
        match self {
            End::Stdio => {}
            End::Command(mut child) => {
                if !matches!(child.try_wait(), Ok(Some(_))) {
                    hang_up(&child);
                }
                // It must not stay behind as a zombie, however long it takes to go.
                std::thread::spawn(move || child.wait());
            }
            End::Tcp(socket) => {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
    }
}

/// SIGHUP for the command and all that it started.
fn hang_up(child: &Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // It may have ended since.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(-group), nix::sys::signal::Signal::SIGHUP);
    }
}
