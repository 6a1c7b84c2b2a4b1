//! The service `pty`: a shell, one command, or a copy, on the host. keywire-protocol(7), PTY and COPY.

use crate::conn::{Record, Service};
use crate::error::{Error, Result};
use crate::frame::Fields;
use crate::json;
use crate::modes::MAX_MODES;
use crate::noise::MAX_REQUEST_LEN;
use crate::proto::copy;
use crate::term::WindowSize;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The remote shell.
pub const PTY: Service = Service { name: "pty", port: Some(2022) };

/// Variables that a dialer hands on and a host takes, beside `LC_*`: how text is shown, and what git asks for. Nothing that
/// changes which code runs.
pub const VARIABLES: &[&str] = &["LANG", "LANGUAGE", "COLORTERM", "NO_COLOR", "GIT_PROTOCOL"];

/// Bytes of a stream that may be under way before the reader has granted more, in a session with a terminal: little, so
/// that what a person sees is never far behind.
pub const TERMINAL_WINDOW: u32 = 256 << 10;

/// The same in a session without a terminal: enough to fill a long, fast path.
pub const COMMAND_WINDOW: u32 = 4 << 20;

/// The type of [`FromHost::Stdout`].
pub const STDOUT: u8 = 0x11;
/// The type of [`FromHost::Stderr`].
pub const STDERR: u8 = 0x12;
/// The type of [`FromDialer::Stdin`].
pub const STDIN: u8 = 0x01;
/// The type of [`FromDialer::Command`].
pub const COMMAND: u8 = 0x06;

/// Longest name of a terminal or a signal.
pub const MAX_NAME_LEN: usize = 64;

/// Longest command line, in bytes: what Linux takes as one argument of a program (MAX_ARG_STRLEN), less the zero behind it.
pub const MAX_COMMAND_LEN: u32 = 131_071;

/// Longest command line, as JSON text, that stands in the request itself.
const MAX_COMMAND_TEXT: usize = 8 << 10;

/// Written bytes of which the reader of a stream owes credit at the latest in a session with a terminal: so few that the
/// time until it comes tells how long the path is. Without a terminal it is a quarter of the window.
pub const TERMINAL_GRANT: u32 = 1 << 10;

/// Most bytes in a PAD.
pub const MAX_PAD_LEN: usize = 64;

/// Longest reason in an EXIT.
pub const MAX_REASON_LEN: usize = 1000;

/// What the dialer asks for, in I3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What is to run.
    pub op: Op,
    /// The command line for the user's shell, or the subsystem's name; absent for a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Bytes of the command line that COMMAND records bring, where it is too long for `command`, or no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_length: Option<u32>,
    /// Variables; the host takes only the names that it knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The dialer's terminal; without one the streams are pipes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<Tty>,
    /// What the copy is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<copy::Request>,
}

/// What is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// A login shell.
    #[default]
    Shell,
    /// One command line.
    Exec,
    /// A service of the host itself.
    Subsystem,
    /// Nothing: the connection itself is what is wanted.
    None,
    /// Files are copied: what follows is said in the messages of [`copy`].
    Copy,
}

/// The dialer's terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tty {
    /// Its type, the value of `TERM`.
    pub term: String,
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub cols: u16,
    /// Its modes; the host leaves those that it does not know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modes: BTreeMap<String, u32>,
}

impl From<copy::Request> for Request {
    fn from(copy: copy::Request) -> Self {
        Request { op: Op::Copy, copy: Some(copy), ..Request::default() }
    }
}

impl Request {
    /// Asks for the command `line`, and returns what of it must follow in COMMAND records.
    pub fn set_command(&mut self, line: Vec<u8>) -> Vec<u8> {
        self.op = Op::Exec;
        let text = String::from_utf8(line);
        match text {
            Ok(text) if json::line(&text).is_ok_and(|json| json.len() <= MAX_COMMAND_TEXT) => {
                self.command = Some(text);
                Vec::new()
            }
            text => {
                let line = text.map_or_else(std::string::FromUtf8Error::into_bytes, String::into_bytes);
                self.command_length = Some(u32::try_from(line.len()).unwrap_or(u32::MAX));
                line
            }
        }
    }

    /// The bytes for I3.
    ///
    /// # Errors
    /// A command line or a request that is longer than it may be.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let too_long = |what: &str, length: String, most: String| {
            Error::usage(format!("{what} too long: {length} bytes of {most}")).hint("send long data on standard input")
        };
        if let Some(length) = self.command_length.filter(|length| *length > MAX_COMMAND_LEN) {
            return Err(too_long("the command is", length.to_string(), MAX_COMMAND_LEN.to_string()));
        }
        let bytes = json::line(self)?.into_bytes();
        if bytes.len() > MAX_REQUEST_LEN {
            let (length, most) = (bytes.len().to_string(), MAX_REQUEST_LEN.to_string());
            return Err(too_long("the command with its environment is", length, most));
        }
        Ok(bytes)
    }

    /// Reads the bytes of I3.
    ///
    /// # Errors
    /// Anything but a request that makes sense.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let request: Request = json::parse(bytes, MAX_REQUEST_LEN).map_err(Error::protocol)?;
        let (text, bytes) = (request.command.is_some(), request.command_length.is_some());
        let fits = match request.op {
            Op::Shell | Op::None | Op::Copy => !text && !bytes,
            Op::Exec => text != bytes,
            Op::Subsystem => text && !bytes,
        };
        if !fits {
            return Err(Error::protocol("a command has one line, a subsystem a name, and nothing else has either"));
        }
        if request.copy.is_some() != (request.op == Op::Copy) {
            return Err(Error::protocol("a copy says what it is to be, and nothing else does"));
        }
        if request.command_length.is_some_and(|length| !(1..=MAX_COMMAND_LEN).contains(&length)) {
            return Err(Error::protocol(format!("a command line has 1 to {MAX_COMMAND_LEN} bytes")));
        }
        let texts = request.env.iter().flat_map(|(name, value)| [name, value]);
        if texts.chain(&request.command).chain(request.tty.iter().map(|tty| &tty.term)).any(|text| text.contains('\0'))
        {
            return Err(Error::protocol("a zero byte in a text"));
        }
        if request.tty.iter().any(|tty| tty.term.len() > MAX_NAME_LEN) {
            return Err(Error::protocol("the name of the terminal is too long"));
        }
        if request.tty.iter().any(|tty| tty.modes.len() > MAX_MODES) {
            return Err(Error::protocol("a terminal with too many modes"));
        }
        Ok(request)
    }

    /// The credit that each stream of this session starts with.
    #[must_use]
    pub fn window(&self) -> u32 {
        if self.tty.is_some() { TERMINAL_WINDOW } else { COMMAND_WINDOW }
    }

    /// Written bytes after which the dialer grants credit again.
    #[must_use]
    pub fn grant_after(&self) -> u32 {
        if self.tty.is_some() { TERMINAL_GRANT } else { COMMAND_WINDOW / 4 }
    }
}

/// One of the host's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output; with a terminal, all output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What the dialer says.
///
/// | type | message  | body |
/// |------|----------|------|
/// | 0x01 | `STDIN`  | the next bytes of standard input, 1 to 65,518 |
/// | 0x02 | `EOF`    | empty: standard input has ended |
/// | 0x03 | `RESIZE` | rows u16, cols u16 |
/// | 0x04 | `SIGNAL` | name of a signal without SIG, at most 64 bytes |
/// | 0x05 | `WINDOW` | stream u8 (1 STDOUT, 2 STDERR), bytes u32: so many more may be sent on it |
/// | 0x06 | `COMMAND` | the next bytes of the command line, 1 to 65,518 |
/// | 0x07 | `PAD`    | 1 to 64 bytes without a meaning, which the host sends back |
/// | 0x08 | `CLOSED` | empty: nobody reads standard output any more |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromDialer<'a> {
    /// The next bytes of standard input.
    Stdin(&'a [u8]),
    /// Standard input has ended.
    Eof,
    /// The terminal has another size.
    Resize(WindowSize),
    /// A signal for the command.
    Signal(&'a str),
    /// More credit for a stream.
    Window(Stream, u32),
    /// The next bytes of the command line.
    Command(&'a [u8]),
    /// Nothing, so that nobody sees when something is said.
    Pad(&'a [u8]),
    /// Nobody reads standard output any more.
    Closed,
}

impl<'a> FromDialer<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// Anything that is not in the table.
    pub fn decode(record: &Record<'a>) -> Result<Self> {
        let mut fields = Fields::new(record.body);
        match record.kind {
            STDIN => data(record.body).map(FromDialer::Stdin),
            0x02 => fields.end().map(|()| FromDialer::Eof),
            0x03 => {
                let size = WindowSize { rows: fields.u16()?, cols: fields.u16()? };
                fields.end().map(|()| FromDialer::Resize(size))
            }
            0x04 => fields.text(MAX_NAME_LEN).map(FromDialer::Signal),
            0x05 => {
                let stream = match fields.u8()? {
                    1 => Stream::Stdout,
                    2 => Stream::Stderr,
                    other => return Err(Error::protocol(format!("a window for the unknown stream {other}"))),
                };
                let more = fields.u32()?;
                fields.end().map(|()| FromDialer::Window(stream, more))
            }
            COMMAND => data(record.body).map(FromDialer::Command),
            0x07 => pad(record.body).map(FromDialer::Pad),
            0x08 => fields.end().map(|()| FromDialer::Closed),
            other => Err(Error::protocol(format!("a record of the unknown type {other:#04x}"))),
        }
    }

    /// The type and body for the wire.
    #[must_use]
    pub fn encode(&self) -> (u8, Cow<'a, [u8]>) {
        match self {
            FromDialer::Stdin(bytes) => (STDIN, Cow::Borrowed(bytes)),
            FromDialer::Eof => (0x02, Cow::Borrowed(&[])),
            FromDialer::Resize(size) => (0x03, Cow::Owned([size.rows.to_be_bytes(), size.cols.to_be_bytes()].concat())),
            FromDialer::Signal(name) => (0x04, Cow::Borrowed(name.as_bytes())),
            FromDialer::Window(stream, more) => {
                let stream = match stream {
                    Stream::Stdout => 1,
                    Stream::Stderr => 2,
                };
                (0x05, Cow::Owned([&[stream][..], &more.to_be_bytes()].concat()))
            }
            FromDialer::Command(bytes) => (COMMAND, Cow::Borrowed(bytes)),
            FromDialer::Pad(bytes) => (0x07, Cow::Borrowed(bytes)),
            FromDialer::Closed => (0x08, Cow::Borrowed(&[])),
        }
    }
}

/// What the host says.
///
/// | type | message  | body |
/// |------|----------|------|
/// | 0x11 | `STDOUT` | the next bytes of standard output, 1 to 65,518 |
/// | 0x12 | `STDERR` | the next bytes of standard error, 1 to 65,518 |
/// | 0x13 | `EXIT`   | how it ended u8: 0 and status u8; 1 and name of the signal without SIG; 2, status u8 and reason, at most 1,000 bytes: it could not be started |
/// | 0x14 | `WINDOW` | bytes u32: so many more may be sent on STDIN |
/// | 0x15 | `PAD`    | the bytes of the dialer's PAD |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromHost<'a> {
    /// The next bytes of standard output.
    Stdout(&'a [u8]),
    /// The next bytes of standard error.
    Stderr(&'a [u8]),
    /// It has ended, and all its output was sent before.
    Exit(Exit),
    /// More credit for standard input.
    Window(u32),
    /// What came as a PAD.
    Pad(&'a [u8]),
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(u8),
    /// By a signal, named without SIG; a number where the signal has no name.
    Signal(String),
    /// It never began: 127 if it is not there, 126 if it cannot be run, and why.
    NotStarted(u8, String),
}

impl<'a> FromHost<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// Anything that is not in the table.
    pub fn decode(record: &Record<'a>) -> Result<Self> {
        let mut fields = Fields::new(record.body);
        match record.kind {
            STDOUT => data(record.body).map(FromHost::Stdout),
            STDERR => data(record.body).map(FromHost::Stderr),
            0x13 => Exit::decode(fields).map(FromHost::Exit),
            0x14 => {
                let more = fields.u32()?;
                fields.end().map(|()| FromHost::Window(more))
            }
            0x15 => pad(record.body).map(FromHost::Pad),
            other => Err(Error::protocol(format!("a record of the unknown type {other:#04x}"))),
        }
    }

    /// The type and body for the wire.
    #[must_use]
    pub fn encode(&self) -> (u8, Cow<'a, [u8]>) {
        match self {
            FromHost::Stdout(bytes) => (STDOUT, Cow::Borrowed(bytes)),
            FromHost::Stderr(bytes) => (STDERR, Cow::Borrowed(bytes)),
            FromHost::Exit(exit) => (0x13, Cow::Owned(exit.encode())),
            FromHost::Window(more) => (0x14, Cow::Owned(more.to_be_bytes().to_vec())),
            FromHost::Pad(bytes) => (0x15, Cow::Borrowed(bytes)),
        }
    }
}

impl Exit {
    fn decode(mut fields: Fields<'_>) -> Result<Self> {
        match fields.u8()? {
            0 => {
                let status = fields.u8()?;
                fields.end().map(|()| Exit::Status(status))
            }
            1 => fields.text(MAX_NAME_LEN).map(|name| Exit::Signal(name.to_owned())),
            2 => {
                let status = fields.u8()?;
                fields.text(MAX_REASON_LEN).map(|reason| Exit::NotStarted(status, reason.to_owned()))
            }
            other => Err(Error::protocol(format!("an exit of the unknown kind {other}"))),
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Exit::Status(status) => vec![0, *status],
            Exit::Signal(name) => [&[1], name.as_bytes()].concat(),
            Exit::NotStarted(status, reason) => {
                let reason: String = reason.chars().take(MAX_REASON_LEN / 4).collect();
                [&[2, *status], reason.as_bytes()].concat()
            }
        }
    }
}

/// A piece of a stream; empty ones would only be noise.
fn data(body: &[u8]) -> Result<&[u8]> {
    if body.is_empty() { Err(Error::protocol("a piece of a stream without bytes")) } else { Ok(body) }
}

/// The body of a PAD.
fn pad(body: &[u8]) -> Result<&[u8]> {
    if (1..=MAX_PAD_LEN).contains(&body.len()) { Ok(body) } else { Err(Error::protocol("a PAD of a wrong length")) }
}
