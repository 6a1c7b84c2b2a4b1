//! Command lines, and what they come to.

mod clients;
mod hosts;
mod line;
mod settings;

use crate::line::args::{Args, Line, parse};
use crate::plan::{request, wants_tty};
use keywire::error::Error;
use keywire::proto::pty::Op;
use std::ffi::OsString;

/// The arguments of a command line that asks for a session.
#[track_caller]
fn args(words: &[&str]) -> Args {
    match parse(words.iter().map(OsString::from)) {
        Ok(Line::Run(args)) => *args,
        other => panic!("{words:?} came to {other:?}"),
    }
}

/// The error of a command line that cannot be.
#[track_caller]
fn error(words: &[&str]) -> Error {
    match parse(words.iter().map(OsString::from)) {
        Err(error) => error,
        Ok(line) => panic!("{words:?} came to {line:?}"),
    }
}

/// Checks that a command line is refused with `what`, and that it is said what to do about it.
#[track_caller]
fn refused(words: &[&str], what: &str) {
    let error = error(words);
    assert!(error.to_string().contains(what) && !error.hints().is_empty(), "{words:?}: {error:?}");
}

/// What a program gets from a command line, without a terminal here.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    key: Option<String>,
    host: String,
    port: Option<u16>,
    op: Op,
    command: Option<String>,
    tty: bool,
    stdin: bool,
}

#[track_caller]
fn seen(words: &[&str]) -> Seen {
    let args = args(words);
    let (request, _) = request(&args, wants_tty(&args, false)).unwrap();
    Seen {
        key: args.user.clone(),
        host: args.host.clone().unwrap(),
        port: args.port,
        op: request.op,
        command: request.command,
        tty: request.tty.is_some(),
        stdin: !args.is_without_input(),
    }
}

/// The host `h` with a command on it, and nothing special.
fn exec(command: &str) -> Seen {
    Seen {
        key: None,
        host: "h".to_owned(),
        port: None,
        op: Op::Exec,
        command: Some(command.to_owned()),
        tty: false,
        stdin: true,
    }
}

/// The same with a subsystem.
fn subsystem(name: &str) -> Seen {
    Seen { op: Op::Subsystem, ..exec(name) }
}

impl Seen {
    fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    fn at(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }
}
