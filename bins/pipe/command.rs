//! The command of `--exec`: started for one dialer, and ended with everything that it started.

use keywire::error::{Error, Result, reason};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use tokio::process::Child;

/// How long a command that was hung up may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// A command that was started.
pub(crate) struct Running(Child);

impl Running {
    /// Starts `line` by /bin/sh with `about` in its environment; with it come our ends of its input and its output.
    pub(crate) fn start(line: &str, about: &[(&str, String)]) -> Result<(Self, OwnedFd, OwnedFd)> {
        let told = |cause: io::Error| Error::state(format!("cannot start /bin/sh: {}", reason(&cause)));
        let (their_stdin, stdin) = io::pipe().map_err(told)?;
        let (stdout, their_stdout) = io::pipe().map_err(told)?;
        let mut command = std::process::Command::new("/bin/sh");
        command.arg("-c").arg(line).envs(about.iter().map(|(name, value)| (name, value)));
        keywire::sys::lead_session(&mut command, false);
        command.stdin(their_stdin).stdout(their_stdout);
        let child = tokio::process::Command::from(command).spawn().map_err(told)?;
        Ok((Running(child), stdin.into(), stdout.into()))
    }

    /// Waits until it has ended. Losing the future loses nothing.
    ///
    /// # Errors
    /// It says that it failed, or was ended by a signal.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        let status = self.0.wait().await;
        let status = status.map_err(|cause| Error::state(format!("the command was lost: {}", reason(&cause))))?;
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => Err(Error::state(format!("the command ended with status {code}"))),
            (None, number) => {
                let signal = number.and_then(|number| Signal::try_from(number).ok());
                let name = signal.map_or("a signal", Signal::as_str);
                Err(Error::state(format!("the command was ended by {name}")))
            }
        }
    }

    /// SIGHUP for the command and all that it started, if it still runs.
    pub(crate) fn hang_up(&self) {
        self.kill(Signal::SIGHUP);
        // What was stopped must run to hear it.
        self.kill(Signal::SIGCONT);
    }

    /// Hangs it up if it still runs, and waits for its end; what takes longer than 5 s is killed.
    pub(crate) async fn finish(mut self) {
        self.hang_up();
        if tokio::time::timeout(GRACE, self.0.wait()).await.is_err() {
            self.kill(Signal::SIGKILL);
            // Nothing survives that.
            let _ = self.0.wait().await;
        }
    }

    /// Until it is waited for, its number is nobody else's.
    fn kill(&self, signal: Signal) {
        if let Some(group) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            // A group that is gone has what was wanted.
            let _ = kill(Pid::from_raw(-group), signal);
        }
    }
}

impl Drop for Running {
    /// The last resort, should a session come to grief.
    fn drop(&mut self) {
        self.kill(Signal::SIGHUP);
    }
}
