//! Which key is dialed, and where: what the command line says about it, and the address book.

use crate::line::args::Args;
use keywire::addr::{HostPort, PeerAddr};
use keywire::error::{Error, Result};
use keywire::proto::pty::PTY;
use keywire::trust::Peers;
use std::net::Ipv6Addr;

/// The peer that `args` name: a name or a key from the address book, or, with a key in front or by `-l`, `HOST[:PORT]`.
///
/// # Errors
/// An unknown name, a mistyped key, and what is no address.
pub(crate) fn resolve(args: &Args, peers: &Peers) -> Result<PeerAddr> {
    let host = args.host.as_deref().unwrap_or_default();
    let replaced = args.host_name.as_deref().map(|name| expand(name, host)).transpose()?;
    let Some(user) = &args.user else {
        let Some(replaced) = replaced else {
            let found = peers.resolve(host, args.port.or(PTY.port))?;
            // A port on the command line counts for more than the one in the address book.
            let at = match args.port {
                Some(port) => found.at.with_port(port),
                None => found.at,
            };
            return Ok(PeerAddr { key: found.key, at });
        };
        let key = peers.resolve_key(host)?;
        let known = peers.with_key(&key).and_then(|peer| peer.addresses.first()?.port());
        return Ok(PeerAddr { key, at: with_port(&replaced, args.port.or(known))? });
    };
    let key = peers.resolve_key(user).map_err(|error| {
        let hint = "before the '@', and behind -l, stands the key of the host or its name in the address book";
        if peers.get(host).is_ok() {
            error.hint(format!("or leave it out: '{host}' is in the address book"))
        } else {
            error.hint(hint)
        }
    })?;
    let own = parse_host(host).ok().and_then(|at| at.port());
    let at = match replaced {
        Some(replaced) => with_port(&replaced, own.or(args.port))?,
        None => with_port(host, args.port)?,
    };
    Ok(PeerAddr { key, at })
}

/// `HOST[:PORT]`, at `port` or the service's own where it names none.
fn with_port(host: &str, port: Option<u16>) -> Result<HostPort> {
    let at = parse_host(host)?;
    let port = at.port().or(port).or(PTY.port).unwrap_or(0);
    Ok(at.with_port(port))
}

/// What would be dialed if the host were not in the address book: `HOST[:PORT]` as it was written, or what replaces it.
pub(crate) fn written(args: &Args) -> Result<HostPort> {
    let host = args.host.as_deref().unwrap_or_default();
    match args.host_name.as_deref() {
        Some(name) => parse_host(&expand(name, host)?),
        None => parse_host(host),
    }
}

/// `HOST[:PORT]`, in which an IPv6 address may stand without brackets, as rsync and git hand it on.
fn parse_host(text: &str) -> Result<HostPort> {
    let address = text.split_once('%').map_or(text, |(address, _zone)| address);
    if address.parse::<Ipv6Addr>().is_ok() { format!("[{text}]").parse() } else { text.parse() }
}

/// `%h` is the host as it was written, `%%` is `%`.
fn expand(name: &str, host: &str) -> Result<String> {
    let mut expanded = String::new();
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('h')) => expanded.push_str(host),
            ('%', Some('%')) => expanded.push('%'),
            ('%', other) => {
                let shown = other.map(|c| c.escape_debug().to_string()).unwrap_or_default();
                return Err(
                    Error::usage(format!("-o HostName: unknown sign '%{shown}'")).hint("%h is the host, %% is %")
                );
            }
            (c, _) => expanded.push(c),
        }
    }
    Ok(expanded)
}
