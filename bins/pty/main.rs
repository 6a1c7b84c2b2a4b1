//! kw-pty: opens a shell, or runs a command, on the host that has a key.

mod args;
mod client;
mod escape;
mod streams;
mod trial;

use args::Args;
use client::{Client, Left};
use keywire::addr::{HostPort, PeerAddr};
use keywire::cli;
use keywire::conn::{DialOptions, dial};
use keywire::error::{Error, Kind, Result, reason};
use keywire::modes::modes;
use keywire::proto::pty::{Op, PTY, Request, Tty, VARIABLES};
use keywire::store::Store;
use keywire::term::{RawMode, WindowSize, sanitize_line};
use keywire::trust::Peers;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

const NAME: &str = "kw-pty";

fn main() -> ExitCode {
    cli::main_of_remote(NAME, run)
}

fn run(args: Args) -> Result<ExitCode> {
    let plan = Plan::new(&args)?;
    let left = if args.r#try { trial::run(plan)? } else { dial_and_serve(plan, &args)? };
    Ok(left.report(NAME, args.quiet))
}

fn dial_and_serve(plan: Plan, args: &Args) -> Result<Left> {
    let peer = args.words.first().ok_or_else(|| Error::usage("no host").hint("write kw-pty PEER [COMMAND]"))?;
    let to = address(peer, args)?;
    let me = cli::identity(args.identity.as_deref(), args.passphrase_file.as_deref())?;
    let options = DialOptions {
        keepalive: Duration::from_secs(args.keepalive),
        allow_self: args.allow_self,
        ..DialOptions::default()
    };
    let talk = |text: &str| {
        if args.verbose > 0 {
            cli::say(&format!("{NAME}: {text}"));
        }
    };
    talk(&format!("dialing {to} as {}", me.public()));
    let right = if plan.request.op == Op::Shell { "shell" } else { "exec" };
    let served = cli::block_on(async {
        let connection = dial(&me, &to, PTY, &plan.request.encode()?, options).await?;
        talk(&format!("connected: {} proved its key", connection.remote()));
        Client::new(connection, plan)?.run().await
    });
    served.map_err(|error| match error.kind() {
        Kind::Refused => error.hint(format!("on the host: kw-peers allow {} {right}", me.public())),
        _ => error,
    })
}

/// Where PEER is: a name, `KEY@HOST[:PORT]`, or, with `-l KEY`, `HOST[:PORT]`.
fn address(peer: &str, args: &Args) -> Result<PeerAddr> {
    let peers = Peers::load(&Store::home()?)?;
    let Some(login) = &args.login else {
        let found = peers.resolve(peer, args.port.or(PTY.port))?;
        // A port on the command line counts for more than the one in the address book.
        let at = match args.port {
            Some(port) if !peer.contains('@') => found.at.with_port(port),
            _ => found.at,
        };
        return Ok(PeerAddr { key: found.key, at });
    };
    let key = peers.resolve_key(login)?;
    let at: HostPort = peer.parse()?;
    let port = at.port().or(args.port).or(PTY.port).unwrap_or(0);
    Ok(PeerAddr { key, at: at.with_port(port) })
}

/// What is to be done, settled before anything is dialed.
struct Plan {
    request: Request,
    /// The command line, where it does not fit into the request.
    rest_of_command: Vec<u8>,
    /// The terminal here, if it is to hand on every key.
    raw: Option<RawMode>,
    escape: Option<u8>,
    read_stdin: bool,
}

impl Plan {
    fn new(args: &Args) -> Result<Self> {
        let words = if args.r#try { args.words.as_slice() } else { args.words.get(1..).unwrap_or_default() };
        let words = match words {
            [dashes, rest @ ..] if dashes == "--" => rest,
            words => words,
        };
        let command = (!words.iter().all(String::is_empty)).then(|| words.join(" "));
        let stdin = std::io::stdin();
        let at_terminal = stdin.is_terminal();
        let wanted = match (args.no_tty, args.tty, &command) {
            (true, _, _) => false,
            (_, 0, None) | (_, 1, _) => at_terminal && !args.no_stdin,
            (_, 0, Some(_)) => false,
            (_, _, _) => true,
        };
        if args.tty == 1 && !args.no_tty && !wanted && !args.quiet {
            cli::say(&format!(
                "{NAME}: no terminal is given, since standard input is none; -tt gives one all the same"
            ));
        }
        let raw = if wanted && at_terminal && !args.no_stdin {
            let raw = RawMode::prepare(&stdin);
            Some(raw.map_err(|cause| Error::state(format!("cannot use the terminal: {}", reason(&cause))))?)
        } else {
            None
        };
        // What is not UTF-8 has no place in a request.
        let texts =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let env = texts.filter(|(name, _)| VARIABLES.contains(&name.as_str()) || name.starts_with("LC_"));
        let mut request =
            Request { env: env.collect::<BTreeMap<_, _>>(), tty: wanted.then(terminal), ..Request::default() };
        let rest_of_command = command.map_or_else(Vec::new, |line| request.set_command(line.into_bytes()));
        Ok(Plan { request, rest_of_command, raw, escape: escape_character(&args.escape)?, read_stdin: !args.no_stdin })
    }
}

/// What this terminal is; a usual one where there is none.
fn terminal() -> Tty {
    let size = WindowSize::of(&std::io::stdin()).or_else(|| WindowSize::of(&std::io::stdout()));
    let size = size.unwrap_or(WindowSize { rows: 24, cols: 80 }).clamped();
    let term = std::env::var("TERM").ok().filter(|term| !term.is_empty() && term.len() <= 64);
    Tty {
        term: term.unwrap_or_else(|| "dumb".to_owned()),
        rows: size.rows,
        cols: size.cols,
        modes: modes(&std::io::stdin()),
    }
}

fn escape_character(text: &str) -> Result<Option<u8>> {
    match text.as_bytes() {
        b"none" => Ok(None),
        [one] => Ok(Some(*one)),
        [b'^', letter @ (b'@'..=b'_' | b'a'..=b'z')] => Ok(Some(letter & 0x1f)),
        _ => Err(Error::usage(format!("'{}' cannot start an escape", sanitize_line(text)))
            .hint("write one character, ^ and a letter, or none")),
    }
}
