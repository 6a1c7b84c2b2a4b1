//! The command on the host: started with a terminal or with pipes, and ended with everything it started.
//!
//! The terminal is opened by portable-pty, but the command is started by hand: portable-pty hides why a command could not
//! be started and by which signal it ended, and its writer types a line end when it is dropped.

use super::environment::Account;
use crate::error::reason;
use crate::modes::set_modes;
use crate::proto::pty::{Exit, Tty};
use crate::sys::{self, AsyncFile};
use crate::term::WindowSize;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{InputFlags, LocalFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::Pid;
use portable_pty::{MasterPty, PtySize, native_pty_system};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

/// How long a command that was hung up may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// How long a command that was killed may take to be gone.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// How long a command may take to heed its terminal being closed before it is hung up by hand.
const HEED: Duration = Duration::from_millis(500);

/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Room in a pipe to or from a command, in bytes: fewer changes between two processes under load.
pub(super) const PIPE_ROOM: u32 = 1 << 20;

/// What is to run.
pub(super) enum Job {
    /// The user's login shell.
    Shell,
    /// A line for that shell.
    Line(Vec<u8>),
    /// A program of the host's own, with its arguments.
    Program(Vec<OsString>),
}

/// A running command and our ends of its streams.
pub(super) struct Command {
    process: tokio::process::Child,
    group: Pid,
    ended: bool,
    terminal: Option<Box<dyn MasterPty + Send>>,
    /// Takes its standard input.
    pub(super) stdin: Option<Arc<AsyncFile>>,
    /// Gives its standard output; with a terminal, all output.
    pub(super) stdout: Option<Arc<AsyncFile>>,
    /// Gives its standard error.
    pub(super) stderr: Option<Arc<AsyncFile>>,
}

/// What the command gets for its three streams, and what we keep.
struct Streams {
    theirs: [OwnedFd; 3],
    stdin: Arc<AsyncFile>,
    stdout: Arc<AsyncFile>,
    stderr: Option<Arc<AsyncFile>>,
    terminal: Option<Box<dyn MasterPty + Send>>,
}

impl Command {
    /// Starts `job`, on a terminal like `tty` if there is one, as the leader of a session of its own.
    ///
    /// # Errors
    /// What the dialer is told if it cannot be started: 127 and 126 as a shell would say.
    pub(super) fn start(
        account: &Account,
        job: Job,
        tty: Option<&Tty>,
        env: &BTreeMap<String, OsString>,
    ) -> std::result::Result<Self, Exit> {
        let program = match &job {
            Job::Program(words) => PathBuf::from(words.first().cloned().unwrap_or_default()),
            Job::Shell | Job::Line(_) => account.shell.clone(),
        };
        check(&program, &account.home)?;
        let streams = tty.map_or_else(with_pipes, with_terminal);
        let streams =
            streams.map_err(|cause| Exit::NotStarted(126, format!("no terminal or pipes: {}", reason(&cause))))?;
        let mut command = match job {
            Job::Program(words) => {
                let mut words = words.into_iter();
                let mut command = std::process::Command::new(words.next().unwrap_or_default());
                command.args(words);
                command
            }
            job => {
                let mut command = std::process::Command::new(&account.shell);
                let name = account.shell.file_name().unwrap_or_default();
                match job {
                    Job::Line(line) => command.arg0(name).arg("-c").arg(OsString::from_vec(line)),
                    // A dash in front makes it a login shell.
                    _ => command.arg0([OsString::from("-").as_os_str(), name].into_iter().collect::<OsString>()),
                };
                command
            }
        };
        sys::lead_session(&mut command, streams.terminal.is_some());
        let [stdin, stdout, stderr] = streams.theirs;
        command.env_clear().envs(env).current_dir(&account.home).stdin(stdin).stdout(stdout).stderr(stderr);
        let process = tokio::process::Command::from(command).spawn().map_err(|cause| not_started(&program, &cause))?;
        let group = process.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let group = group.ok_or_else(|| Exit::NotStarted(126, "it ended before it began".to_owned()))?;
        Ok(Command {
            process,
            group,
            ended: false,
            terminal: streams.terminal,
            stdin: Some(streams.stdin),
            stdout: Some(streams.stdout),
            stderr: streams.stderr,
        })
    }

    /// Waits until it has ended. Losing the future loses nothing.
    pub(super) async fn wait(&mut self) -> Exit {
        let status = self.process.wait().await;
        self.ended = true;
        status.map_or_else(|cause| Exit::NotStarted(126, format!("it was lost: {}", reason(&cause))), exit)
    }

    /// Whether its streams are a terminal.
    pub(super) fn has_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Gives its terminal another size; without a terminal there is nothing to do.
    pub(super) fn resize(&self, size: WindowSize) {
        if let Some(terminal) = &self.terminal {
            // A terminal that is gone needs no size.
            let _ = terminal.resize(pty_size(size.clamped()));
        }
    }

    /// Sends a signal to what the user would mean by it: the job in the foreground, or the whole command.
    pub(super) fn signal(&self, name: &str) {
        const MAY_BE_SENT: [Signal; 7] = [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGKILL,
            Signal::SIGTERM,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
        ];
        if self.ended {
            // Its number may be another's by now.
            return;
        }
        let signal = MAY_BE_SENT.into_iter().find(|signal| signal.as_str().strip_prefix("SIG") == Some(name));
        if let Some(signal) = signal {
            self.kill(self.foreground().unwrap_or(self.group), signal);
        }
    }

    /// What ends a terminal's input, if the terminal is in a mode in which something does.
    pub(super) fn end_of_input(&self) -> Option<u8> {
        self.terminal.as_ref()?;
        let modes = tcgetattr(self.stdout.as_deref()?).ok()?;
        let end = modes.control_chars.get(nix::libc::VEOF).copied();
        end.filter(|_| modes.local_flags.contains(LocalFlags::ICANON))
    }

    /// Ends it with everything in its process group, and the job in the foreground of its terminal: SIGHUP, and SIGKILL for
    /// what is left after 5 s.
    pub(super) async fn hang_up(mut self) {
        let foreground = self.foreground().filter(|group| *group != self.group);
        let groups: Vec<Pid> = [Some(self.group), foreground].into_iter().flatten().collect();
        // The kernel hangs up whoever leads a terminal that is closed. Hung up twice at once, bash ends before it has hung
        // up its own jobs.
        let by_kernel = self.terminal.is_some();
        let by_hand = if by_kernel { foreground } else { Some(self.group) };
        by_hand.iter().for_each(|group| self.hang_up_group(*group));
        (self.stdin, self.stdout, self.stderr, self.terminal) = (None, None, None, None);
        if by_kernel && tokio::time::timeout(HEED, self.wait()).await.is_err() {
            self.hang_up_group(self.group);
        }
        let deadline = tokio::time::Instant::now() + GRACE;
        while tokio::time::Instant::now() < deadline {
            if !self.ended {
                // Not being done yet is no failure.
                let _ = tokio::time::timeout(LOOK_EVERY, self.wait()).await;
            } else if groups.iter().all(|group| kill(Pid::from_raw(-group.as_raw()), None).is_err()) {
                return;
            } else {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        for group in &groups {
            self.kill(*group, Signal::SIGKILL);
        }
        // What another user's process leads, as under sudo, is not ours to end, nor to wait for.
        let _ = tokio::time::timeout(LAST_WAIT, self.wait()).await;
    }

    /// The process group in the foreground of the terminal.
    fn foreground(&self) -> Option<Pid> {
        self.terminal.as_ref()?.process_group_leader().map(Pid::from_raw)
    }

    fn hang_up_group(&self, group: Pid) {
        self.kill(group, Signal::SIGHUP);
        // A stopped job must run to hear it.
        self.kill(group, Signal::SIGCONT);
    }

    fn kill(&self, group: Pid, signal: Signal) {
        // A group that is gone has what was wanted.
        let _ = kill(Pid::from_raw(-group.as_raw()), signal);
    }
}

impl Drop for Command {
    /// The last resort, should a session come to grief: nothing is left running.
    fn drop(&mut self) {
        if !self.ended {
            self.kill(self.group, Signal::SIGHUP);
        }
    }
}

/// Names what would stop `program` from starting, which the system reports without saying what is missing.
fn check(program: &Path, home: &Path) -> std::result::Result<(), Exit> {
    let not_started =
        |status, path: &Path, why: &str| Err(Exit::NotStarted(status, format!("{}: {why}", path.display())));
    match std::fs::metadata(program) {
        Err(cause) => return not_started(127, program, &reason(&cause)),
        Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
            return not_started(126, program, "the login shell is not a program");
        }
        Ok(_) => {}
    }
    match std::fs::metadata(home) {
        Err(cause) => not_started(126, home, &format!("the home directory: {}", reason(&cause))),
        Ok(found) if !found.is_dir() => not_started(126, home, "the home directory is not a directory"),
        Ok(_) => Ok(()),
    }
}

fn not_started(program: &Path, cause: &io::Error) -> Exit {
    let status = if cause.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    Exit::NotStarted(status, format!("{}: {}", program.display(), reason(cause)))
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Status(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        (None, number) => {
            let number = number.unwrap_or(0);
            let name = Signal::try_from(number).ok().and_then(|signal| signal.as_str().strip_prefix("SIG"));
            Exit::Signal(name.map_or_else(|| number.to_string(), str::to_owned))
        }
    }
}

fn pty_size(size: WindowSize) -> PtySize {
    PtySize { rows: size.rows, cols: size.cols, pixel_width: 0, pixel_height: 0 }
}

/// A new terminal: its size and modes are set before anything runs on it, and it knows that its text is UTF-8.
fn with_terminal(tty: &Tty) -> io::Result<Streams> {
    let size = WindowSize { rows: tty.rows, cols: tty.cols }.clamped();
    let pair = native_pty_system().openpty(pty_size(size)).map_err(io::Error::other)?;
    let name = pair.master.tty_name().ok_or_else(|| io::Error::other("a terminal without a name"))?;
    let theirs = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NOCTTY).open(name)?;
    let mut modes = tcgetattr(&theirs)?;
    modes.input_flags.insert(InputFlags::IUTF8);
    tcsetattr(&theirs, SetArg::TCSANOW, &modes)?;
    set_modes(&theirs, &tty.modes)?;
    let ours = pair.master.as_raw_fd().ok_or_else(|| io::Error::other("a terminal without a descriptor"))?;
    let ours = Arc::new(AsyncFile::new(sys::duplicate(ours)?)?);
    Ok(Streams {
        theirs: [theirs.try_clone()?.into(), theirs.try_clone()?.into(), theirs.into()],
        stdin: ours.clone(),
        stdout: ours,
        stderr: None,
        terminal: Some(pair.master),
    })
}

/// Three pipes: with sockets in their place some shells would take the session for an interactive one.
fn with_pipes() -> io::Result<Streams> {
    let (their_stdin, stdin) = io::pipe()?;
    let (stdout, their_stdout) = io::pipe()?;
    let (stderr, their_stderr) = io::pipe()?;
    let ours = |end: OwnedFd| -> io::Result<Arc<AsyncFile>> {
        if let Ok(room) = i32::try_from(PIPE_ROOM) {
            // More room is a matter of speed only; the system may have none to give.
            let _ = fcntl(end.as_raw_fd(), FcntlArg::F_SETPIPE_SZ(room));
        }
        AsyncFile::new(end).map(Arc::new)
    };
    Ok(Streams {
        theirs: [their_stdin.into(), their_stdout.into(), their_stderr.into()],
        stdin: ours(stdin.into())?,
        stdout: ours(stdout.into())?,
        stderr: Some(ours(stderr.into())?),
        terminal: None,
    })
}
