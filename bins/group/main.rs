//! kw-group: conversations of many keys that need no server and outlive their owner. See kw-group(1).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod answer;
mod args;
mod commands;
mod house;
mod hook;
mod link;
mod request;
mod serve;
mod show;

use args::{Args, Command};
use keywire::cli;
use keywire::error::Result;
use keywire::talk::exit;
use keywire::unit::Service;
use std::process::ExitCode;

const NAME: &str = "kw-group";

const SERVICE: Service = Service {
    name: NAME,
    description: "keywire groups: takes and passes on what members say",
    page: "kw-group(1)",
    settings: "\
KillMode=mixed
TimeoutStopSec=15
",
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
        Command::Create(args) => commands::create(&args),
        Command::Invite(args) => commands::invite(args),
        Command::Join(args) => commands::join(args),
        Command::Send(args) => commands::send(args),
        Command::Recv(args) => commands::recv(args),
        Command::Listen(args) => commands::listen(args),
        Command::History(args) => commands::history(args),
        Command::Export(args) => commands::export(args),
        Command::Search(args) => commands::search(args),
        Command::Serve(args) if args.print_unit => {
            cli::print(&SERVICE.unit(std::env::args().skip(1))?).map(|()| ExitCode::SUCCESS)
        }
        Command::Serve(args) => serve::serve(&args.own(), &args.listen, args.json).map(|()| ExitCode::SUCCESS),
        Command::Members(args) => commands::members(args),
        Command::Promote(args) => commands::act(args.into()),
        Command::Demote(args) => commands::act(args.into()),
        Command::Mute(args) => commands::act(args.into()),
        Command::Unmute(args) => commands::act(args.into()),
        Command::Remove(args) => commands::act(args.into()),
        Command::Approve(args) => commands::act(args.into()),
        Command::Rename(args) => commands::rename(args),
        Command::Leave(args) => commands::leave(args),
        Command::List(args) => commands::list(&args),
        Command::Info(args) => commands::info(args),
    }
}
