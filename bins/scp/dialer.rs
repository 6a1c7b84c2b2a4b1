//! Connections to hosts for copies.

use crate::NAME;
use crate::args::Args;
use crate::operand::Host;
use crate::plan;
use keywire::addr::PeerAddr;
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
    /// Loads the address book, and our key, for which a passphrase may be asked.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub(crate) fn new(args: &Args) -> Result<Self> {
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
        let peers = Peers::load(&Store::home()?)?;
        let file = |arg: &'_ Option<cli::PathArg>| arg.as_ref().map(AsRef::as_ref).map(std::path::Path::to_owned);
        let me = cli::identity(file(&args.identity).as_deref(), file(&args.passphrase_file).as_deref())?;
        Ok(Dialer { me, peers, port: args.port, options, rate: plan::rate(args)?, is_verbose: args.verbose })
    }

    /// Where `host` is.
    ///
    /// # Errors
    /// Those of [`Host::resolve`].
    pub(crate) fn resolve(&self, host: &Host) -> Result<PeerAddr> {
        host.resolve(&self.peers, self.port)
    }

    /// Dials `host` and says what is asked of it.
    ///
    /// # Errors
    /// Those of [`dial`].
    pub(crate) fn ask(&self, host: &Host, wishes: Request, asked: &[Asked<'_>]) -> Result<Link> {
        let to = self.resolve(host)?;
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
