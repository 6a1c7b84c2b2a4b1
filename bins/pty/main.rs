//! kw-pty: opens a shell, or runs a command, on the host that has a key.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

mod client;
mod escape;
mod left;
mod line;
mod plan;
mod screen;
mod signals;
mod streams;
mod timing;
mod trial;

use client::Client;
use keywire::cli;
use keywire::conn::{CONNECT_WITHIN, DialOptions, HANDSHAKE_WITHIN, KEEPALIVE, dial};
use keywire::error::{Error, Kind, Result, reason};
use keywire::identity::IdentityFile;
use keywire::key::KeyPair;
use keywire::proto::pty::{Op, PTY};
use keywire::store::Store;
use keywire::sys::{self, Background, Forked};
use keywire::trust::Peers;
use left::Left;
use line::{Answer, Args, Line};
use plan::Plan;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

const NAME: &str = "kw-pty";

fn main() -> ExitCode {
    cli::main_of_remote(NAME, run)
}

fn run(words: Vec<OsString>) -> Result<ExitCode> {
    let args = match line::parse(words)? {
        Line::Run(args) => args,
        Line::Tell(answer) => return tell(answer).map(|()| ExitCode::SUCCESS),
    };
    if let Some(file) = &args.log_file {
        cli::log_to(file)?;
    }
    if args.show {
        return cli::print(&line::shown::settings(&args)).map(|()| ExitCode::SUCCESS);
    }
    let plan = Plan::new(&args)?;
    let left = match args.is_background() {
        _ if args.r#try => trial::run(plan)?,
        false => dial_and_serve(plan, &args, None)?,
        // No thread runs before this, and no runtime.
        true => match sys::fork_to_background().map_err(|cause| not_to_background(&cause))? {
            Forked::Background(background) => dial_and_serve(plan, &args, Some(background))?,
            Forked::Foreground(status) => return Ok(ExitCode::from(status)),
        },
    };
    Ok(left.report(NAME, args.is_quiet()))
}

fn tell(answer: Answer) -> Result<()> {
    match answer {
        Answer::Help => cli::print(&line::help::help()),
        Answer::Version => cli::print(&format!("{}\n", cli::version(NAME))),
        Answer::VersionAsTalk => {
            cli::say(&cli::version(NAME));
            Ok(())
        }
    }
}

fn dial_and_serve(plan: Plan, args: &Args, background: Option<Background>) -> Result<Left> {
    let to = line::place::resolve(args, &Peers::load(&Store::home()?)?)?;
    let me = identity(args)?;
    let within = args.connect_timeout.filter(|within| !within.is_zero());
    let options = DialOptions {
        connect_within: within.unwrap_or(CONNECT_WITHIN),
        handshake_within: within.unwrap_or(HANDSHAKE_WITHIN),
        keepalive: args.keepalive.unwrap_or(KEEPALIVE),
        allow_self: args.allow_self,
        family: args.family.unwrap_or_default(),
    };
    let talk = |text: &str| {
        if args.is_verbose() {
            cli::say(&format!("{NAME}: {text}"));
        }
    };
    talk(&format!("dialing {to} as {}", me.public()));
    let right = match plan.request.op {
        Op::Shell => "shell",
        Op::Exec => "exec",
        Op::Subsystem | Op::Copy => "copy-read copy-write",
        Op::None => "forward",
    };
    let served = cli::block_on(async {
        let mut connection = dial(&me, &to, PTY, &plan.request.encode()?, options).await?;
        talk(&format!("connected: {} proved its key", connection.remote()));
        if let Some(background) = background {
            connection.admitted().await?;
            background.go().map_err(|cause| not_to_background(&cause))?;
        }
        Client::new(connection, plan)?.run().await.map_err(lost)
    });
    served.map_err(|error| match error.kind() {
        Kind::Refused => error.hint(format!("on the host: kw-peers allow {} {right}", me.public())),
        _ => error,
    })
}

/// A session that the network has ended: what becomes of it, and how to go on.
fn lost(error: Error) -> Error {
    match error.kind() {
        Kind::Network => {
            error.hint("the host hangs up what ran there as soon as it notices; dial again for a new session")
        }
        _ => error,
    }
}

fn not_to_background(cause: &io::Error) -> Error {
    Error::state(format!("cannot go to the background: {}", reason(cause)))
}

/// Our key pair. In batch mode nobody is asked for its passphrase.
fn identity(args: &Args) -> Result<KeyPair> {
    if args.batch != Some(true) || args.passphrase_file.is_some() {
        return cli::identity(args.identity.as_deref(), args.passphrase_file.as_deref());
    }
    let identity = IdentityFile::locate(args.identity.as_deref())?;
    identity.load(|| {
        Err(Error::state(format!(
            "{} is sealed, and BatchMode asks nobody for its passphrase",
            identity.path().display()
        ))
        .hint("put the passphrase into a file that only you may read, and name it: --passphrase-file FILE"))
    })
}
