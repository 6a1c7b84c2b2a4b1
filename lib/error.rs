//! The one error type: what failed, why, and what to do next.
//!
//! Sentences are lower case, name the thing that failed, and end without a full stop. `cli` prints them with the
//! program's name in front, followed by a `hint:` line where there is a next step.

use std::fmt;
use std::io;
use std::path::Path;

/// Result of everything in keywire that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure this is. It decides the exit status, the same in every program; see keywire(7), EXIT STATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The answer is no: a key that does not check, a name that is not there. Exit status 1.
    No,
    /// The command line is wrong. Exit status 2.
    Usage,
    /// A peer refused this key, or this side refuses the peer. Exit status 3.
    Refused,
    /// The network, or the peer's end of it, failed. Exit status 4.
    Network,
    /// Whoever answers does not prove the key that was meant, or what came does not authenticate. Exit status 4.
    Unproven,
    /// A local file, directory or resource failed. Exit status 5.
    State,
    /// Standard output was closed by its reader: not an error to a person. Exit status 0.
    ClosedOutput,
}

impl Kind {
    /// The exit status of a program that ends with this kind of failure.
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        match self {
            Kind::ClosedOutput => 0,
            Kind::No => 1,
            Kind::Usage => 2,
            Kind::Refused => 3,
            Kind::Network | Kind::Unproven => 4,
            Kind::State => 5,
        }
    }
}

/// A failure: its kind, one sentence that says what and where, and hints that say what to do next.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    what: String,
    hints: Vec<String>,
}

impl Error {
    /// A failure of `kind`, described by `what`.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error { kind, what: what.into(), hints: Vec::new() }
    }

    /// An expected "no" (exit status 1).
    pub fn no(what: impl Into<String>) -> Self {
        Self::new(Kind::No, what)
    }

    /// A wrong command line (exit status 2).
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    /// A refusal by either side (exit status 3).
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(Kind::Refused, what)
    }

    /// A failure of the network or of the peer (exit status 4).
    pub fn network(what: impl Into<String>) -> Self {
        Self::new(Kind::Network, what)
    }

    /// A failure of a local file or resource (exit status 5).
    pub fn state(what: impl Into<String>) -> Self {
        Self::new(Kind::State, what)
    }

    /// A peer that breaks the rules of keywire-protocol(7) (exit status 4).
    pub fn protocol(what: impl fmt::Display) -> Self {
        Self::new(Kind::Network, format!("protocol error: {what}"))
    }

    /// A failed operation on a local file: `cannot VERB PATH: reason`.
    pub fn file(verb: &str, path: &Path, cause: &io::Error) -> Self {
        Self::state(format!("cannot {verb} {}: {}", path.display(), reason(cause)))
    }

    /// A failed write to standard output. A reader that went away (`| head`) is no error to a person.
    pub fn output(cause: &io::Error) -> Self {
        if cause.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Kind::ClosedOutput, "standard output was closed");
        }
        Self::state(format!("cannot write to standard output: {}", reason(cause)))
    }

    /// The same failure with a next step for the reader.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same failure with the next steps of `other`, which it tells of.
    #[must_use]
    pub fn hints_of(mut self, other: &Error) -> Self {
        self.hints.extend_from_slice(&other.hints);
        self
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The next steps, most useful first.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {}

/// The reason in an I/O error, in plain words and without the number the system gives it.
#[must_use]
pub fn reason(cause: &io::Error) -> String {
    let text = cause.to_string();
    let words = match text.split_once(" (os error ") {
        Some((words, _)) => words,
        None => &text,
    };
    let mut chars = words.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => "unknown reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_reads_as_words_without_its_number() {
        assert_eq!(reason(&io::Error::from_raw_os_error(13)), "permission denied");
        assert_eq!(reason(&io::Error::other("odd")), "odd");
    }

    #[test]
    fn a_closed_output_is_no_failure_to_the_shell() {
        let closed = Error::output(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(closed.kind().exit_status(), 0);
        assert_eq!(Error::output(&io::Error::from_raw_os_error(28)).kind(), Kind::State);
    }
}
