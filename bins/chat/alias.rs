//! `alias`: the address book, as kw-peers keeps it.

use crate::args::{AliasAdd, AliasList, AliasRemove};
use keywire::addr::HostPort;
use keywire::cli;
use keywire::error::Result;
use keywire::json::{self, json};
use keywire::store::Store;
use keywire::table;
use keywire::term::sanitize_line;
use keywire::trust::{Peer, Peers, key_and_addresses};
use std::time::SystemTime;

pub(crate) fn add(args: &AliasAdd) -> Result<()> {
    let (key, addresses) = key_and_addresses(&args.keys, "kw-chat alias add NAME KEY@HOST:PORT")?;
    let note = args.note.as_deref().unwrap_or_default();
    let now = SystemTime::now();
    let peer = Peers::update(&Store::home()?, |peers| peers.add(&args.name, key, &addresses, note, now).cloned())?;
    let at = addresses_of(&peer);
    cli::say(&match at.is_empty() {
        true => format!("{} is {}, without an address", peer.name, peer.key),
        false => format!("{} is {} at {at}", peer.name, peer.key),
    });
    Ok(())
}

pub(crate) fn remove(args: &AliasRemove) -> Result<()> {
    let gone = Peers::update(&Store::home()?, |peers| peers.remove(&args.name))?;
    cli::say(&format!("removed {}, {}", gone.name, gone.key));
    Ok(())
}

pub(crate) fn list(args: &AliasList) -> Result<()> {
    let peers = Peers::load(&Store::home()?)?;
    if args.json {
        let fields = |peer: &Peer| {
            json!({
                "name": peer.name, "key": peer.key, "addresses": peer.addresses, "added": peer.added, "note": peer.note,
            })
        };
        return cli::print(&json::pretty(&peers.list().iter().map(fields).collect::<Vec<_>>())?);
    }
    if peers.list().is_empty() {
        cli::say("the address book is empty; 'kw-chat alias add NAME KEY@HOST:PORT' puts a peer into it");
    }
    let rows: Vec<_> =
        peers.list().iter().map(|peer| [peer.name.clone(), peer.key.to_string(), addresses_of(peer)]).collect();
    cli::print(&table::align(&rows))
}

fn addresses_of(peer: &Peer) -> String {
    sanitize_line(&peer.addresses.iter().map(HostPort::to_string).collect::<Vec<_>>().join(","))
}
