//! The listening side: who may come in, and what for.

use crate::carry::carry;
use crate::local::{Local, LocalKind};
use crate::{NAME, Pipes, Serves};
use keywire::addr::HostPort;
use keywire::cli;
use keywire::conn::{Connection, Incoming, Listener, Reason};
use keywire::error::{Error, Kind, Result, reason};
use keywire::key::PublicKey;
use keywire::store::Store;
use keywire::trust::{Allowlist, Grant, Peers, Right};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, SystemTime};

/// How long a TCP connection may take to be made: as long as the dialer's own.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long a dialer that cannot be served has to read why.
const LISTEN_ON: Duration = Duration::from_secs(2);

/// Who may come in: the keys of the command line, and those that the allowlist gives the right `pipe`.
pub(crate) struct Door {
    store: Store,
    also: Allowlist,
}

impl Door {
    pub(crate) fn new(store: Store, allowed: &[String]) -> Result<Self> {
        let peers = Peers::load(&store)?;
        let mut also = Allowlist::default();
        for who in allowed {
            also.rule_mut(peers.resolve_key(who)?).rights.insert(Right::Pipe);
        }
        Ok(Door { store, also })
    }

    fn grant(&self, key: &PublicKey) -> Result<Grant> {
        let now = SystemTime::now();
        let asked = self.also.grant(key, Right::Pipe, now);
        asked.or_else(|_| Allowlist::load(&self.store)?.grant(key, Right::Pipe, now))
    }

    /// Standard input and output for the first dialer that is allowed; the others are turned away meanwhile.
    pub(crate) async fn serve_one(&self, mut listener: Listener, no_stdin: bool) -> Result<()> {
        // Standard output is the peer's.
        let address = listener.address()?;
        // Without standard error there is nobody who waits for the line.
        cli::say(&format!("listening {address}"));
        let mut refused = Pipes::new();
        let connection = loop {
            tokio::select! {
                incoming = listener.accept() => {
                    let incoming = incoming?;
                    match self.grant(&incoming.peer()) {
                        Ok(grant) => break incoming.authorize(&grant)?,
                        Err(error) => refused.spawn(turn_away(incoming, error)),
                    }
                }
                () = refused.one_ended() => {}
            }
        };
        drop(listener);
        let (carried, ()) =
            tokio::join!(carry(connection, Local::stdio(no_stdin)?, std::future::pending()), refused.all_ended());
        carried
    }

    /// A command or a TCP connection for every dialer that is allowed, until this process is asked to end.
    pub(crate) async fn serve(&self, mut listener: Listener, serves: Serves) -> Result<()> {
        let mut stop = std::pin::pin!(cli::asked_to_end()?);
        cli::print(&format!("listening {}\n", listener.address()?))?;
        let mut pipes = Pipes::new();
        loop {
            tokio::select! {
                incoming = listener.accept() => {
                    let incoming = incoming?;
                    match self.grant(&incoming.peer()) {
                        Ok(grant) => match incoming.authorize(&grant) {
                            Ok(connection) => pipes.spawn(attend(connection, serves.clone(), pipes.stop())),
                            Err(error) => cli::report(NAME, &error),
                        },
                        Err(error) => pipes.spawn(turn_away(incoming, error)),
                    }
                }
                () = pipes.one_ended() => {}
                () = &mut stop => break,
            }
        }
        drop(listener);
        pipes.end_all().await
    }
}

/// Tells a dialer that it may not come in, and the log who it was.
async fn turn_away(incoming: Incoming, why: Error) {
    let (key, from) = (incoming.peer(), incoming.from());
    let refused = why.kind() == Kind::Refused;
    let told = Error::refused(format!("refused {key} from {from}: {why}"));
    let hint = match refused {
        true => format!("to allow it: kw-peers allow {key} pipe"),
        false => "nobody is let in until that is mended".to_owned(),
    };
    cli::report(NAME, &told.hint(hint));
    // What is wrong with our own files is not for strangers; and it may be gone before it knows why.
    let _ = match refused {
        true => incoming.refuse(Reason::Refused, &why.to_string()).await,
        false => incoming.refuse(Reason::Unavailable, "its allowlist cannot be read").await,
    };
}

/// One dialer of a command or a TCP port.
async fn attend(connection: Connection, serves: Serves, stop: impl Future<Output = ()>) {
    let peer = connection.peer();
    let local = match &serves {
        Serves::Command(line) => {
            let about = [("KEYWIRE_PEER", peer.to_string()), ("KEYWIRE_CONNECTION", connection.description())];
            Local::command(line, &about)
        }
        Serves::Tcp(at) => connect(at.clone()).await,
    };
    let served = match local {
        Ok(local) => carry(connection, local, stop).await,
        Err(error) => {
            let (sender, receiver) = connection.split();
            // It may be gone before it knows why.
            if sender.fail(Reason::Unavailable, &error.to_string()).await.is_ok() {
                receiver.drain(LISTEN_ON).await;
            }
            Err(error)
        }
    };
    if let Err(error) = served {
        let told = Error::new(error.kind(), format!("{}: {error}", peer.short()));
        cli::report(NAME, &told.hints_of(&error));
    }
}

/// Opens a TCP connection.
async fn connect(at: HostPort) -> Result<Local> {
    let connected = tokio::task::spawn_blocking(move || {
        let told = |why: &str| Error::network(format!("cannot connect to {at}: {why}"));
        let mut failure = told("the name has no address");
        let found = (at.host(), at.port().unwrap_or(0)).to_socket_addrs().map_err(|cause| told(&reason(&cause)))?;
        for address in found {
            match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
                Ok(socket) => return Ok(socket),
                Err(cause) => failure = told(&reason(&cause)),
            }
        }
        Err(failure)
    });
    let socket = connected.await.map_err(|_| LocalKind::Tcp.cannot("open", &std::io::Error::other("no thread")))?;
    Local::tcp(socket?)
}
