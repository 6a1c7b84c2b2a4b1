//! kw-chat: messages to a key, with its user's consent, saved before they are acknowledged. See kw-chat(1).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod alias;
mod answer;
mod args;
mod call;
mod commands;
mod exit;
mod hook;
mod inbox;
mod listen;
mod request;
mod show;
mod whom;

use args::{AliasCommand, Args, Command, PairCommand};
use keywire::cli;
use keywire::error::Result;
use keywire::unit::Service;
use std::process::ExitCode;

const NAME: &str = "kw-chat";

const SERVICE: Service = Service {
    name: NAME,
    description: "keywire chat: receives messages, and delivers those that wait",
    page: "kw-chat(1)",
    settings: "\
# The listener ends first, and gives its hooks a moment; what they leave is ended after that.
KillMode=mixed
TimeoutStopSec=15

# Hooks inherit what follows: nothing that they run becomes another user.",
};

fn main() -> ExitCode {
    cli::main(NAME, |args| {
        Ok(run(args).unwrap_or_else(|error| {
            cli::report(NAME, &error);
            ExitCode::from(exit::of(error.kind()))
        }))
    })
}

fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Listen(args) if args.print_unit => cli::print(&SERVICE.unit(std::env::args().skip(1))?)?,
        Command::Listen(args) => listen::listen(&args)?,
        Command::Send(args) => return commands::send(args),
        Command::Ask(args) => return commands::ask(args),
        Command::Recv(args) => return commands::recv(args),
        Command::Pair(args) => match args.command {
            PairCommand::Invite(args) => return commands::invite(&args),
            PairCommand::List(args) => commands::list(&args)?,
            PairCommand::Accept(args) => return commands::accept(&args),
            PairCommand::Decline(args) => return commands::decline(&args),
            PairCommand::Dismiss(args) => return commands::dismiss(&args),
            PairCommand::Block(args) => return commands::block(&args),
            PairCommand::Remove(args) => return commands::remove(&args),
        },
        Command::Verify(args) => commands::verify(&args)?,
        Command::History(args) => return commands::history(&args),
        Command::Export(args) => return commands::export(&args),
        Command::Search(args) => return commands::search(args),
        Command::Alias(args) => match args.command {
            AliasCommand::Add(args) => alias::add(&args)?,
            AliasCommand::Remove(args) => alias::remove(&args)?,
            AliasCommand::List(args) => alias::list(&args)?,
        },
        Command::Status(args) => return commands::status(&args),
    }
    Ok(ExitCode::SUCCESS)
}
