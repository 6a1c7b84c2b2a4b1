//! What is to be done, settled before anything is dialed.

use crate::NAME;
use crate::line::{Args, Session, TtyWish};
use keywire::cli;
use keywire::error::{Error, Result, reason};
use keywire::modes::modes;
use keywire::proto::pty::{Op, Request, Tty, VARIABLES};
use keywire::term::{RawMode, WindowSize};
use std::collections::BTreeMap;
use std::io::IsTerminal;

/// A session that is to come.
pub(crate) struct Plan {
    pub(crate) request: Request,
    /// The command line, where it does not fit into the request.
    pub(crate) rest_of_command: Vec<u8>,
    /// The terminal here, if it is to hand on every key.
    pub(crate) raw: Option<RawMode>,
    /// The character that starts an escape.
    pub(crate) escape: Option<u8>,
    pub(crate) read_stdin: bool,
    /// Whether the times at which keys are pressed are to be hidden from whoever sees the network.
    pub(crate) hide_timing: bool,
}

impl Plan {
    /// Settles what `args` ask for, on the terminal that is here. Call it before any thread starts.
    ///
    /// # Errors
    /// A terminal that cannot be used.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let stdin = std::io::stdin();
        let has_terminal = stdin.is_terminal() && !args.is_without_input();
        let wanted = wants_tty(args, has_terminal);
        if args.tty == Some(TtyWish::Yes) && !wanted && !args.is_quiet() {
            cli::say(&format!(
                "{NAME}: no terminal is given, since standard input is none; -tt gives one all the same"
            ));
        }
        let raw = if wanted && has_terminal {
            let raw = RawMode::prepare(&stdin);
            Some(raw.map_err(|cause| Error::state(format!("cannot use the terminal: {}", reason(&cause))))?)
        } else {
            None
        };
        let (request, rest_of_command) = request(args, wanted)?;
        Ok(Plan {
            request,
            rest_of_command,
            raw,
            escape: args.escape.unwrap_or(Some(b'~')),
            read_stdin: !args.is_without_input(),
            hide_timing: args.hide_timing == Some(true),
        })
    }
}

/// Whether the session gets a terminal: a subsystem and nothing never do, a shell does if there is one here.
pub(crate) fn wants_tty(args: &Args, has_terminal: bool) -> bool {
    match (args.session.unwrap_or(Session::Default), args.tty.unwrap_or(TtyWish::Auto)) {
        (Session::Subsystem | Session::None, _) | (_, TtyWish::No) => false,
        (Session::Default, TtyWish::Force) => true,
        (Session::Default, TtyWish::Yes) => has_terminal,
        (Session::Default, TtyWish::Auto) => has_terminal && args.command().is_none(),
    }
}

/// What the host is asked for, and what of its command does not fit into the request.
pub(crate) fn request(args: &Args, tty: bool) -> Result<(Request, Vec<u8>)> {
    // What is not UTF-8 has no place in a request.
    let texts =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let ours = texts.filter(|(name, _)| VARIABLES.contains(&name.as_str()) || name.starts_with("LC_"));
    let mut env: BTreeMap<String, String> = ours.collect();
    env.extend(args.env.iter().flatten().cloned());
    let tty = tty.then(|| terminal(env.get("TERM")));
    let mut request = Request { env, tty, ..Request::default() };
    let mut rest = Vec::new();
    match (args.session.unwrap_or(Session::Default), args.command()) {
        (Session::None, _) => request.op = Op::None,
        (Session::Subsystem, name) => {
            let name = name.unwrap_or_default().to_vec();
            let name = String::from_utf8(name).map_err(|_| Error::usage("the name of the subsystem is not UTF-8"))?;
            (request.op, request.command) = (Op::Subsystem, Some(name));
        }
        (Session::Default, Some(command)) => rest = request.set_command(command.to_vec()),
        (Session::Default, None) => {}
    }
    Ok((request, rest))
}

/// What this terminal is; a usual one where there is none.
fn terminal(chosen: Option<&String>) -> Tty {
    let size = WindowSize::of(&std::io::stdin()).or_else(|| WindowSize::of(&std::io::stdout()));
    let size = size.unwrap_or(WindowSize { rows: 24, cols: 80 }).clamped();
    let term = chosen.cloned().or_else(|| std::env::var("TERM").ok());
    let term = term.filter(|term| !term.is_empty() && term.len() <= keywire::proto::pty::MAX_NAME_LEN);
    let term = term.unwrap_or_else(|| "dumb".to_owned());
    Tty { term, rows: size.rows, cols: size.cols, modes: modes(&std::io::stdin()) }
}
