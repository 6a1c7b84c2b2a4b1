//! kw-peers: the address book, which gives keys names and addresses, and the allowlist, which says what a key may do on
//! this machine. See kw-peers(1).

mod allowlist;
mod args;
mod book;

use crate::args::{Args, Command};
use keywire::cli;
use keywire::error::Result;
use std::process::ExitCode;
use std::time::SystemTime;

fn main() -> ExitCode {
    cli::main("kw-peers", run)
}

fn run(args: Args) -> Result<ExitCode> {
    let now = SystemTime::now();
    match args.command {
        Command::Add(add) => book::add(&add, now)?,
        Command::List(list) => book::list(&list)?,
        Command::Show(show) => book::show(&show, now)?,
        Command::Rename(rename) => book::rename(&rename)?,
        Command::Remove(remove) => book::remove(&remove)?,
        Command::Allow(allow) => allowlist::allow(&allow, now)?,
        Command::Deny(deny) => allowlist::deny(&deny, now)?,
        Command::Rules(rules) => allowlist::rules(&rules, now)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what may not be meant.
fn note(text: &str) {
    cli::say(&format!("kw-peers: note: {text}"));
}
