//! kw-inbox: first contact with someone who is offline. See kw-inbox(1).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod args;
mod cards;
mod open;
mod read;
mod said;
mod seal;
mod serve;
mod show;

use args::{Args, Command};
use keywire::addr::PeerAddr;
use keywire::chat::Config;
use keywire::cli;
use keywire::error::Result;
use keywire::inbox::Inbox;
use keywire::key::PublicKey;
use keywire::proto::chat::CHAT;
use keywire::proto::group::GROUP;
use keywire::proto::inbox::INBOX;
use keywire::proto::pty::PTY;
use keywire::store::Store;
use keywire::trust::Peers;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

const NAME: &str = "kw-inbox";

fn main() -> ExitCode {
    cli::main(NAME, |args| run(args).map(|()| ExitCode::SUCCESS))
}

fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Card(args) => cards::card(&args),
        Command::Show(args) => cards::show(&args),
        Command::Cards(args) => cards::cards(&args),
        Command::Revoke(args) => cards::revoke(&args),
        Command::Seal(args) => seal::seal(&args),
        Command::Send(args) => seal::send(&args),
        Command::Open(args) => open::open(&args),
        Command::Fetch(args) => open::fetch(&args),
        Command::Messages(args) => open::messages(&args),
        Command::Serve(args) => serve::serve(&args),
        Command::Drop(args) => serve::drop(&args),
    }
}

/// Our cards, and what came by them.
fn inbox(store: &Store) -> Result<Inbox> {
    Inbox::open(store.clone(), Arc::new(SystemTime::now))
}

/// The drop boxes that may hold messages for us.
fn drop_boxes(inbox: &Inbox, me: PublicKey, store: &Store) -> Result<Vec<PeerAddr>> {
    inbox.drop_boxes(me, Config::load(store)?.inbox.addresses)
}

/// A drop box: a name of the address book, or `KEY@HOST[:PORT]`. In the address book the port of another service of keywire
/// stands for that host.
fn drop_box(peers: &Peers, who: &str) -> Result<PeerAddr> {
    let PeerAddr { key, at } = peers.resolve(who, INBOX.port)?;
    let others = [PTY.port, CHAT.port, GROUP.port];
    Ok(match INBOX.port {
        Some(port) if !who.contains('@') && others.contains(&at.port()) => PeerAddr { key, at: at.with_port(port) },
        _ => PeerAddr { key, at },
    })
}
