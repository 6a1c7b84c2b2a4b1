//! The commands of the address book.

use crate::args::{Add, List, Remove, Rename, Show};
use crate::{allowlist, note};
use keywire::addr::{HostPort, PeerAddr};
use keywire::cli;
use keywire::error::{Error, Result};
use keywire::identity::IdentityFile;
use keywire::json::{self, json};
use keywire::store::Store;
use keywire::table;
use keywire::term::sanitize_line;
use keywire::trust::{Allowlist, Peer, Peers, key_and_addresses, looks_like_key, parse_key};
use std::time::SystemTime;

pub(crate) fn add(args: &Add, now: SystemTime) -> Result<()> {
    let (key, addresses) = key_and_addresses(&args.keys, "kw-peers add NAME KEY@HOST:PORT")?;
    let text = args.note.as_deref().unwrap_or_default();
    let peer = Peers::update(&Store::home()?, |peers| peers.add(&args.name, key, &addresses, text, now).cloned())?;
    cli::say(&format!(
        "{} is {}{}",
        peer.name,
        peer.key,
        match peer.addresses.is_empty() {
            true => ", without an address".to_owned(),
            false => format!(" at {}", addresses_of(&peer)),
        }
    ));
    // A missing or sealed identity is no reason to complain here; the programs that need it do.
    let own = IdentityFile::locate(None).and_then(|file| file.public());
    if own.is_ok_and(|(own, _)| own == key) {
        note("that is your own key");
    }
    Ok(())
}

pub(crate) fn list(args: &List) -> Result<()> {
    let peers = Peers::load(&Store::home()?)?;
    if args.json {
        return cli::print(&json::pretty(&peers.list().iter().map(fields).collect::<Vec<_>>())?);
    }
    if peers.list().is_empty() {
        cli::say("the address book is empty; 'kw-peers add NAME KEY@HOST:PORT' puts a peer into it");
    }
    let rows: Vec<_> =
        peers.list().iter().map(|peer| [peer.name.clone(), peer.key.to_string(), addresses_of(peer)]).collect();
    cli::print(&table::align(&rows))
}

pub(crate) fn show(args: &Show, now: SystemTime) -> Result<()> {
    let store = Store::home()?;
    let peers = Peers::load(&store)?;
    let peer = find(&peers, &args.peer)?;
    let list = Allowlist::load(&store)?;
    let rule = list.rule(&peer.key);
    if args.json {
        let rule = rule.map(|rule| allowlist::fields(rule, &peers, now));
        return cli::print(&json::pretty(&json!({ "peer": fields(peer), "rule": rule }))?);
    }
    let mut rows = vec![["name".to_owned(), peer.name.clone()], ["key".to_owned(), peer.key.to_string()]];
    for at in &peer.addresses {
        rows.push(["address".to_owned(), sanitize_line(&PeerAddr { key: peer.key, at: at.clone() }.to_string())]);
    }
    rows.push(["added".to_owned(), peer.added.clone()]);
    if !peer.note.is_empty() {
        rows.push(["note".to_owned(), sanitize_line(&peer.note)]);
    }
    if let Some(rule) = rule {
        rows.push(["may".to_owned(), allowlist::in_words(rule, now)]);
    }
    cli::print(&table::align(&rows))
}

/// The entry that a name or a key stands for.
fn find<'a>(peers: &'a Peers, text: &str) -> Result<&'a Peer> {
    if !looks_like_key(text) {
        return peers.get(text);
    }
    let key = parse_key(text)?;
    peers.with_key(&key).ok_or_else(|| {
        Error::no(format!("{} is not in the address book", key.short()))
            .hint(format!("kw-peers add NAME {key}@HOST:PORT"))
    })
}

pub(crate) fn rename(args: &Rename) -> Result<()> {
    let key = Peers::update(&Store::home()?, |peers| {
        let key = peers.get(&args.old)?.key;
        peers.rename(&args.old, &args.new).map(|()| key)
    })?;
    cli::say(&format!("{} is {key}", args.new));
    Ok(())
}

pub(crate) fn remove(args: &Remove) -> Result<()> {
    let store = Store::home()?;
    let gone = Peers::update(&store, |peers| peers.remove(&args.name))?;
    cli::say(&format!("removed {}, {}", gone.name, gone.key));
    if Allowlist::load(&store)?.rule(&gone.key).is_some() {
        note(&format!("what it may do here stands; to end that: kw-peers deny {}", gone.key));
    }
    Ok(())
}

fn addresses_of(peer: &Peer) -> String {
    sanitize_line(&peer.addresses.iter().map(HostPort::to_string).collect::<Vec<_>>().join(","))
}

/// A peer as `--json` prints it: every field, whether it is set or not.
fn fields(peer: &Peer) -> json::Value {
    json!({
        "name": peer.name, "key": peer.key, "addresses": peer.addresses, "added": peer.added, "note": peer.note,
    })
}
