//! Hooks: a command that is run for each message, with the text on its standard input and nothing of it on its command line.

mod words;

use crate::error::{Error, Result, reason};
use crate::talk::gone;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, watch};

/// How long to wait before a message is tried again.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// How often a message is tried.
pub const TRIES: usize = PAUSES.len() + 1;

/// How many commands run at once.
const AT_ONCE: usize = 16;

/// How long a command may go on when everything ends.
const GRACE: Duration = Duration::from_secs(5);

/// A command for each message.
pub struct Hook {
    program: PathBuf,
    args: Vec<String>,
    running: Semaphore,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// The command has ended with status 0.
    Done,
    /// Everything ended before that.
    Stopped,
    /// It has failed [`TRIES`] times; why it did the last time.
    Failed(String),
}

impl Hook {
    /// The hook that `line` describes.
    ///
    /// # Errors
    /// It cannot be split into words, or there is no such program.
    pub fn new(line: &str) -> Result<Self> {
        let mut words = words::split(line)?.into_iter();
        let program = words::program(&words.next().unwrap_or_default())?;
        Ok(Hook { program, args: words.collect(), running: Semaphore::new(AT_ONCE) })
    }

    /// Runs it for `text`, with the variables `about` in its environment, until it has worked, has failed too often, or
    /// everything ends.
    pub async fn hand_over(
        &self,
        text: &str,
        about: &[(&str, Option<String>)],
        stopped: &watch::Receiver<bool>,
    ) -> Handed {
        let mut why = String::new();
        for pause in std::iter::once(Duration::ZERO).chain(PAUSES) {
            if tokio::time::timeout(pause, gone(stopped.clone())).await.is_ok() {
                return Handed::Stopped;
            }
            match self.run_once(text, about, stopped).await {
                Ok(true) => return Handed::Done,
                Ok(false) => return Handed::Stopped,
                Err(error) => why = error.to_string(),
            }
        }
        Handed::Failed(why)
    }

    /// Runs the command; `false` if it was ended because everything ends.
    async fn run_once(
        &self,
        text: &str,
        about: &[(&str, Option<String>)],
        stopped: &watch::Receiver<bool>,
    ) -> Result<bool> {
        let told =
            |cause: &std::io::Error| Error::state(format!("cannot run {}: {}", self.program.display(), reason(cause)));
        let _turn = self.running.acquire().await;
        let mut child = self.command(about)?.spawn().map_err(|cause| told(&cause))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let stdin = child.stdin.take();
        let text = text.to_owned();
        // It need not read any of it.
        let feeding = tokio::spawn(async move {
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(text.as_bytes()).await;
            }
        });
        let ends = async {
            gone(stopped.clone()).await;
            tokio::time::sleep(GRACE).await;
        };
        let status = tokio::select! {
            status = child.wait() => Some(status),
            () = ends => None,
        };
        feeding.abort();
        match status {
            Some(Ok(status)) if status.success() => Ok(true),
            Some(Ok(status)) => Err(Error::state(match (status.code(), status.signal()) {
                (Some(code), _) => format!("it ended with status {code}"),
                (None, signal) => format!("it was ended by signal {}", signal.unwrap_or_default()),
            })),
            Some(Err(cause)) => Err(told(&cause)),
            None => {
                // With whatever it started.
                if let Some(group) = group {
                    let _ = kill(Pid::from_raw(-group.as_raw()), Signal::SIGKILL);
                }
                let _ = child.wait().await;
                Ok(false)
            }
        }
    }

    fn command(&self, about: &[(&str, Option<String>)]) -> Result<tokio::process::Command> {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args);
        for (variable, value) in about {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        let output = std::io::stderr().as_fd().try_clone_to_owned();
        let output = output.map_err(|cause| Error::state(format!("no standard error: {}", reason(&cause))))?;
        crate::sys::lead_session(&mut command, false);
        command.stdin(Stdio::piped()).stdout(output);
        Ok(command.into())
    }
}
