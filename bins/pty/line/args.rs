//! The command line of kw-pty, shaped like ssh's: options before the host and right behind it, then the command.

use crate::line::options::{Answer, Does, Row, row_of_letter, row_of_long};
use crate::line::values::{Value, Wins};
use crate::line::{names, options};
use keywire::conn::Family;
use keywire::error::{Error, Result};
use std::ffi::OsString;
use std::iter::Peekable;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

/// What a command line came to. What was not said is `None`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Args {
    /// The host as it was written, without the key before it.
    pub(crate) host: Option<String>,
    /// The key that must be there, or its name in the address book.
    pub(crate) user: Option<String>,
    pub(crate) port: Option<u16>,
    /// What is dialed in place of the host's own address; `%h` is the host as it was written.
    pub(crate) host_name: Option<String>,
    pub(crate) family: Option<Family>,
    pub(crate) identity: Option<PathBuf>,
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Whether nobody is there to answer a question.
    pub(crate) batch: Option<bool>,
    /// Zero is the time that keywire itself takes for right.
    pub(crate) connect_timeout: Option<Duration>,
    /// Zero never asks.
    pub(crate) keepalive: Option<Duration>,
    pub(crate) allow_self: bool,
    pub(crate) session: Option<Session>,
    /// The words behind the host, joined by single spaces, whatever bytes they are. An empty one is none.
    pub(crate) command: Option<Vec<u8>>,
    /// The command that was given by `-o RemoteCommand`; an empty one is none.
    pub(crate) remote_command: Option<String>,
    pub(crate) tty: Option<TtyWish>,
    /// Variables for the host, in the order they were written.
    pub(crate) env: Option<Vec<(String, String)>>,
    pub(crate) stdin_null: Option<bool>,
    pub(crate) background: Option<bool>,
    /// The character that starts an escape; `Some(None)` for none.
    pub(crate) escape: Option<Option<u8>>,
    pub(crate) hide_timing: Option<bool>,
    pub(crate) log: Option<Level>,
    pub(crate) log_file: Option<PathBuf>,
    /// Patterns of option names that may be unknown.
    pub(crate) ignore_unknown: Option<String>,
    /// Whether the settings are to be shown, and nothing done.
    pub(crate) show: bool,
    /// Whether both ends are made for the moment, on this machine.
    pub(crate) r#try: bool,
}

/// What is wanted at the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// A shell, or the command.
    Default,
    /// The service that the command names.
    Subsystem,
    /// The connection itself.
    None,
}

/// Whether a terminal is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TtyWish {
    /// For a shell.
    Auto,
    /// Never.
    No,
    /// If there is one here.
    Yes,
    /// Always.
    Force,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Errors only.
    Quiet,
    /// What a user should know.
    Info,
    /// What is being done.
    Verbose,
}

/// What the words of a command line ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// To do what the arguments say.
    Run(Box<Args>),
    /// To be told something.
    Tell(Answer),
}

/// Where the options ended.
enum Stop {
    /// At a word that is none, or where there are no more words.
    Word,
    /// Behind `--`: no option follows any more.
    Dashes,
    /// At one that only asks.
    Tell(Answer),
}

/// Reads a command line the way ssh does with getopt(3).
///
/// # Errors
/// Options that are unknown, that keywire does not have or that lack a value; no host; and what cannot go together.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Line> {
    let mut args = Args::default();
    let mut words = words.into_iter().map(OsString::into_vec).peekable();
    let mut stop = args.options(&mut words)?;
    if matches!(stop, Stop::Word | Stop::Dashes) && !args.r#try {
        let Some(word) = words.next() else { return Err(no_host()) };
        args.destination(&text("the host", word)?)?;
        if matches!(stop, Stop::Word) {
            stop = args.options(&mut words)?;
        }
    }
    if let Stop::Tell(answer) = stop {
        return Ok(Line::Tell(answer));
    }
    let words: Vec<Vec<u8>> = words.collect();
    args.command = Some(words.join(&b' ')).filter(|command| !command.is_empty());
    args.check()?;
    Ok(Line::Run(Box::new(args)))
}

impl Args {
    /// Whether nothing is said but errors.
    pub(crate) fn is_quiet(&self) -> bool {
        self.log == Some(Level::Quiet)
    }

    /// Whether it is said what is being done.
    pub(crate) fn is_verbose(&self) -> bool {
        self.log == Some(Level::Verbose)
    }

    /// Whether this process goes to the background.
    pub(crate) fn is_background(&self) -> bool {
        self.background == Some(true)
    }

    /// Whether the command sees the end of its input at once.
    pub(crate) fn is_without_input(&self) -> bool {
        self.stdin_null == Some(true) || self.is_background() || self.session == Some(Session::None)
    }

    /// The bytes of the command, wherever it was given.
    pub(crate) fn command(&self) -> Option<&[u8]> {
        let remote = self.remote_command.as_deref().filter(|command| !command.is_empty());
        self.command.as_deref().or(remote.map(str::as_bytes))
    }

    /// Takes options as far as there are any.
    fn options(&mut self, words: &mut Peekable<impl Iterator<Item = Vec<u8>>>) -> Result<Stop> {
        // A lone dash is no option.
        while let Some(word) = words.next_if(|word| word.len() > 1 && word.starts_with(b"-")) {
            let told = match word.strip_prefix(b"--") {
                Some(b"") => return Ok(Stop::Dashes),
                Some(long) => self.long(long, words)?,
                None => self.cluster(word.get(1..).unwrap_or_default(), words)?,
            };
            if let Some(answer) = told {
                return Ok(Stop::Tell(answer));
            }
        }
        Ok(Stop::Word)
    }

    /// `--name`, `--name value` or `--name=value`.
    fn long(&mut self, word: &[u8], words: &mut impl Iterator<Item = Vec<u8>>) -> Result<Option<Answer>> {
        let (name, value) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) => (word.get(..at).unwrap_or_default(), word.get(at + 1..)),
            None => (word, None),
        };
        let shown = format!("--{}", name.escape_ascii());
        let row = std::str::from_utf8(name).ok().and_then(row_of_long).ok_or_else(|| unknown(&shown))?;
        let value = match (row.value, value) {
            (None, None) => None,
            (None, Some(_)) => return Err(Error::usage(format!("the option {shown} takes no value"))),
            (Some(_), Some(value)) => Some(text(&shown, value.to_vec())?),
            (Some(_), None) => Some(text(&shown, words.next().ok_or_else(|| no_value(&shown))?)?),
        };
        self.take(row, &shown, value.as_deref())
    }

    /// `-a`, `-abc`, `-avalue` or `-a value`.
    fn cluster(&mut self, word: &[u8], words: &mut impl Iterator<Item = Vec<u8>>) -> Result<Option<Answer>> {
        let mut letters = word;
        while let Some((letter, rest)) = letters.split_first() {
            letters = rest;
            let shown = format!("-{}", letter.escape_ascii());
            let row = row_of_letter(char::from(*letter)).ok_or_else(|| unknown(&shown))?;
            let value = match row.value {
                None => None,
                Some(_) if !rest.is_empty() => Some(text(&shown, std::mem::take(&mut letters).to_vec())?),
                Some(_) => Some(text(&shown, words.next().ok_or_else(|| no_value(&shown))?)?),
            };
            if let Some(answer) = self.take(row, &shown, value.as_deref())? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Does what an option asks for. `shown` is how it was written.
    fn take(&mut self, row: &Row, shown: &str, value: Option<&str>) -> Result<Option<Answer>> {
        let value = value.unwrap_or_default();
        let done = match &row.does {
            Does::Tell(answer) => return Ok(Some(answer.written_as(shown))),
            Does::Line => return names::take_line(self, value).map(|()| None),
            Does::Name(name) => names::take(self, name, &Value::word(value), Wins::First),
            Does::NameAlways(name) => names::take(self, name, &Value::word(value), Wins::Last),
            Does::Stands(name, value) => names::take(self, name, &Value::word(value), Wins::Last),
            Does::Own(set) => set(self, value),
            Does::Nothing => Ok(()),
            Does::Only(only) => only.check(&Value::word(value)),
        };
        done.map_err(|error| about(shown, &error))?;
        Ok(None)
    }

    /// The host: `HOST`, `KEY@HOST[:PORT]` or `ssh://[KEY@]HOST[:PORT]`.
    fn destination(&mut self, word: &str) -> Result<()> {
        let (word, port) = match word.strip_prefix("ssh://") {
            Some(rest) => options::host_and_port(rest.strip_suffix('/').unwrap_or(rest))?,
            None => (word, None),
        };
        let (user, host) = match word.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, word),
        };
        if host.is_empty() || user == Some("") {
            return Err(no_host());
        }
        self.user = self.user.take().or(user.map(str::to_owned));
        self.port = self.port.or(port);
        self.host = Some(host.to_owned());
        Ok(())
    }

    /// Refuses what cannot go together, as ssh does.
    fn check(&self) -> Result<()> {
        let remote = self.remote_command.as_deref().is_some_and(|command| !command.is_empty());
        if self.command.is_some() && remote {
            return Err(Error::usage("there are two commands: one behind the host, and one in -o RemoteCommand")
                .hint("-o RemoteCommand=none leaves the second out, if it stands before the other"));
        }
        if self.session == Some(Session::Subsystem) && self.command.is_none() {
            return Err(Error::usage("-s needs the name of a subsystem").hint("write kw-pty -s PEER sftp"));
        }
        if self.is_background() && self.command().is_none() && self.session != Some(Session::None) {
            return Err(Error::usage("a shell cannot go to the background").hint("give -f a command, or -N beside it"));
        }
        if self.r#try && self.host.is_some() {
            return Err(
                Error::usage("--try makes its own host").hint("write kw-pty --try [COMMAND], with no other host")
            );
        }
        if self.is_background() && self.r#try {
            return Err(Error::usage("--try makes a host of this process, which stays in the foreground"));
        }
        Ok(())
    }
}

/// A word as text. Only a command may be any bytes.
fn text(what: &str, word: Vec<u8>) -> Result<String> {
    String::from_utf8(word)
        .map_err(|word| Error::usage(format!("{what} is not UTF-8: {}", word.as_bytes().escape_ascii())))
}

/// The same error, with the option that it is about in front.
pub(crate) fn about(option: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("{option}: {error}")).hints_of(error)
}

fn unknown(option: &str) -> Error {
    Error::usage(format!("unknown option {option}")).hint("'kw-pty --help' shows the options")
}

fn no_value(option: &str) -> Error {
    Error::usage(format!("the option {option} needs a value")).hint("'kw-pty --help' shows the options")
}

fn no_host() -> Error {
    Error::usage("no host").hint("write kw-pty PEER [COMMAND]; 'kw-pty --help' shows the options")
}
