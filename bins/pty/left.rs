//! How a session was left, and what that comes to.

use keywire::cli;
use keywire::proto::pty::Exit;
use keywire::term::sanitize_line;
use std::process::ExitCode;

/// How the session was left.
#[derive(Debug)]
pub(crate) enum Left {
    /// The command ended.
    Exit(Exit),
    /// The user left, or this process was asked to end.
    Early(u8),
    /// Nobody reads our output any more.
    OutputClosed,
}

impl Left {
    /// Says what a person should know, and gives the exit status.
    pub(crate) fn report(self, name: &str, quiet: bool) -> ExitCode {
        let status = match self {
            Left::Exit(Exit::Status(status)) => status,
            Left::Exit(Exit::Signal(signal)) => {
                if !quiet {
                    cli::say(&format!("{name}: the command was ended by the signal {}", sanitize_line(&signal)));
                }
                128 + number(&signal)
            }
            Left::Exit(Exit::NotStarted(status, why)) => {
                cli::say(&format!("{name}: the host could not start it: {}", sanitize_line(&why)));
                status
            }
            Left::Early(status) => status,
            Left::OutputClosed => 255,
        };
        ExitCode::from(status)
    }
}

/// The number of the signal that is called `name` here; 0 for one that this system does not have.
pub(crate) fn number(name: &str) -> u8 {
    let called = |number: &u8| {
        nix::sys::signal::Signal::try_from(i32::from(*number))
            .is_ok_and(|one| one.as_str().strip_prefix("SIG") == Some(name))
    };
    name.parse().ok().filter(|number| *number < 128).or_else(|| (1..=64).find(called)).unwrap_or(0)
}
