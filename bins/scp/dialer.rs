//! Connections to hosts for copies.

use crate::NAME;
use crate::args::Args;
use crate::operand::Host;
use crate::plan;
use keywire::cli;
use keywire::conn::{Breaker, BulkOptions, BulkReceiver, BulkSender, DialOptions, Family, dial};
use keywire::error::{Error, Kind, Result};
use keywire::key::KeyPair;
use keywire::proto::copy::{Asked, Request, Way};
use keywire::proto::pty::{self, PTY};
use keywire::store::Store;
use keywire::trust::Peers;
use std::time::Duration;

/// Dials hosts as our key.
pub(crate) struct Dialer {
    me: KeyPair,
    peers: Peers,
    port: Option<u16>,
    options: DialOptions,
    rate: Option<u64>,
    is_verbose: bool,
}

/// A connection on which a copy was asked for.
pub(crate) struct Link {
    pub(crate) out: BulkSender,
    pub(crate) incoming: BulkReceiver,
    pub(crate) breaker: Breaker,
}

impl Dialer {
    /// Loads the address book, looks up all `hosts` in it, and loads our key, for which a passphrase may be asked.
    ///
    /// # Errors
    /// Those of [`Host::resolve`], and that one of them cannot be had.
    pub(crate) fn new<'a>(args: &Args, mut hosts: impl Iterator<Item = &'a Host>) -> Result<Self> {
        let options = DialOptions {
            keepalive: Duration::from_secs(args.keepalive),
            allow_self: args.allow_self,
            family: match (args.ipv4, args.ipv6) {
                (true, _) => Family::V4,
                (_, true) => Family::V6,
                _ => Family::Any,
            },
            ..DialOptions::default()
        };
        let rate = plan::rate(args)?;
        let peers = Peers::load(&Store::home()?)?;
        hosts.try_for_each(|host| host.resolve(&peers, args.port).map(drop))?;
        let [identity, passphrase] =
            [&args.identity, &args.passphrase_file].map(|file| file.as_ref().map(AsRef::as_ref));
        let me = cli::identity(identity, passphrase)?;
        Ok(Dialer { me, peers, port: args.port, options, rate, is_verbose: args.verbose })
    }

    /// Dials `host` and says what is asked of it.
    ///
    /// # Errors
    /// Those of [`dial`].
    pub(crate) fn ask(&self, host: &Host, wishes: Request, asked: &[Asked<'_>]) -> Result<Link> {
        let to = host.resolve(&self.peers, self.port)?;
        self.talk(&format!("dialing {to} as {}", self.me.public()));
        let request = pty::Request::from(wishes).encode()?;
        let options = BulkOptions { rate: self.rate };
        let dialed = cli::block_on(async {
            let connection = dial(&self.me, &to, PTY, &request, self.options).await?;
            self.talk(&format!("connected: {} proved its key", connection.remote()));
            connection.into_bulk(options)
        });
        let (mut out, incoming, breaker) = dialed.map_err(|error| host.hinted(error))?;
        for word in asked.iter().chain(&[Asked::Go]) {
            let (kind, body) = word.encode();
            out.push(kind, &[body])?;
        }
        out.flush()?;
        Ok(Link { out, incoming, breaker })
    }

    /// The same failure of a copy, with what its user can do about it.
    pub(crate) fn hinted(&self, way: Way, error: Error) -> Error {
        let right = match way {
            Way::ToHost => "copy-write",
            Way::FromHost => "copy-read",
        };
        match error.kind() {
            Kind::Refused => error.hint(format!("on the host: kw-peers allow {} {right}", self.me.public())),
            _ => error,
        }
    }

    fn talk(&self, text: &str) {
        if self.is_verbose {
            cli::say(&format!("{NAME}: {text}"));
        }
    }
}
