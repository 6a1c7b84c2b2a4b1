//! kw-pipe: standard input and output, a program, or a TCP port, over one encrypted connection between two keys.

mod args;
mod carry;
mod local;

use args::{Args, Command, Dial, Listen};
use carry::carry;
use keywire::addr::{HostPort, PeerAddr};
use keywire::cli;
use keywire::conn::{Connection, DialOptions, Incoming, Limits, ListenOptions, Listener, Reason, dial};
use keywire::error::{Error, Kind, Result, reason};
use keywire::key::KeyPair;
use keywire::proto::pipe::PIPE;
use keywire::store::Store;
use keywire::trust::{Allowlist, Peers, Right};
use local::Local;
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const NAME: &str = "kw-pipe";

/// What a pipe's request says in I3: nothing, since there is nothing to choose.
const REQUEST: &[u8] = b"{}";

fn main() -> ExitCode {
    cli::main(NAME, run)
}

fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Listen(args) => listen(args)?,
        Command::Dial(args) => match args.tcp.clone() {
            Some(at) => dial_for_tcp(&args, &at)?,
            None => dial_once(&args)?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for dialers: one for standard input and output, any number for a command or a TCP port.
fn listen(args: Listen) -> Result<()> {
    if args.exec.is_some() && args.tcp.is_some() {
        return Err(Error::usage("--exec and --tcp exclude each other"));
    }
    let me = Arc::new(cli::identity(args.identity.as_deref(), args.passphrase_file.as_deref())?);
    let store = Store::home()?;
    let door = Door::new(store, &args.allow)?;
    let at: HostPort = args.address.parse()?;
    let options = ListenOptions {
        limits: Limits { startups: args.max_startups, limit_loopback: args.limit_loopback, ..Limits::default() },
        keepalive: Duration::from_secs(args.keepalive),
        allow_self: args.allow_self,
        ..ListenOptions::default()
    };
    cli::block_on_all(async {
        let mut listener = Listener::bind(me, &at, PIPE, options).await?;
        let line = format!("listening {}\n", listener.address()?);
        if args.exec.is_none() && args.tcp.is_none() {
            // Standard output is the peer's.
            eprint!("{line}");
            let connection = door.first(&mut listener).await?;
            drop(listener);
            return carry(connection, Local::stdio(args.no_stdin)?).await;
        }
        cli::print(&line)?;
        let mut stop = std::pin::pin!(cli::asked_to_end()?);
        let mut pipes = JoinSet::new();
        let (door, args) = (Arc::new(door), Arc::new(args));
        loop {
            tokio::select! {
                incoming = listener.accept() => {
                    let (incoming, door, args) = (incoming?, door.clone(), args.clone());
                    pipes.spawn(async move { attend(incoming, &door, &args).await });
                }
                Some(_) = pipes.join_next(), if !pipes.is_empty() => {}
                () = &mut stop => return Ok(()),
            }
        }
    })
}

/// One dialer of a command or a TCP port.
async fn attend(incoming: Incoming, door: &Door, args: &Listen) {
    let peer = incoming.peer();
    let served = async {
        let connection = door.let_in(incoming).await?;
        let about = [("KEYWIRE_PEER", peer.to_string()), ("KEYWIRE_CONNECTION", connection.description())];
        let local = match (&args.exec, &args.tcp) {
            (Some(line), _) => Local::command(line, &about),
            (None, at) => connect(at.as_deref().unwrap_or_default()).await,
        };
        match local {
            Ok(local) => carry(connection, local).await,
            Err(error) => {
                let (sender, receiver) = connection.split();
                sender.fail(Reason::Unavailable, &error.to_string()).await?;
                receiver.drain(Duration::from_secs(2)).await;
                Err(error)
            }
        }
    };
    if let Err(error) = served.await
        && error.kind() != Kind::ClosedOutput
    {
        eprintln!("{NAME}: {}: {error}", peer.short());
    }
}

/// Opens a TCP connection.
async fn connect(at: &str) -> Result<Local> {
    let at = at.to_owned();
    let connected = tokio::task::spawn_blocking(move || {
        TcpStream::connect(&at).map_err(|cause| Error::network(format!("cannot connect to {at}: {}", reason(&cause))))
    });
    Local::tcp(connected.await.map_err(|_| Error::network("cannot connect"))??)
}

/// Standard input and output over one connection.
fn dial_once(args: &Dial) -> Result<()> {
    let (me, to) = who(args)?;
    let told = cli::block_on(async {
        let connection = dial(&me, &to, PIPE, REQUEST, options(args)).await?;
        carry(connection, Local::stdio(args.no_stdin)?).await
    });
    told.map_err(|error| hinted(error, &me))
}

/// A connection for every TCP connection to `at`.
fn dial_for_tcp(args: &Dial, at: &str) -> Result<()> {
    let (me, to) = who(args)?;
    let at: HostPort = at.parse()?;
    let port = at.port().ok_or_else(|| Error::usage(format!("no port in '{at}'")))?;
    let told = |cause: std::io::Error| Error::state(format!("cannot listen on {at}: {}", reason(&cause)));
    let listener = TcpListener::bind((at.host(), port)).map_err(told)?;
    let bound = listener.local_addr().map_err(told)?;
    let (me, to, options) = (Arc::new(me), Arc::new(to), options(args));
    cli::block_on_all(async {
        let mut accepted = accept(listener);
        let mut stop = std::pin::pin!(cli::asked_to_end()?);
        cli::print(&format!("listening {bound}\n"))?;
        let mut pipes = JoinSet::new();
        loop {
            tokio::select! {
                Some(socket) = accepted.recv() => {
                    let (me, to) = (me.clone(), to.clone());
                    pipes.spawn(async move {
                        let carried = async {
                            let connection = dial(&me, &to, PIPE, REQUEST, options).await?;
                            carry(connection, Local::tcp(socket)?).await
                        };
                        if let Err(error) = carried.await {
                            cli::report(NAME, &hinted(error, &me));
                        }
                    });
                }
                Some(_) = pipes.join_next(), if !pipes.is_empty() => {}
                () = &mut stop => return Ok(()),
            }
        }
    })
}

/// Accepts TCP connections on a thread, as they are wanted.
fn accept(listener: TcpListener) -> mpsc::Receiver<TcpStream> {
    let (give, accepted) = mpsc::channel(1);
    std::thread::spawn(move || {
        loop {
            match listener.accept() {
                Ok((socket, _)) => {
                    if give.blocking_send(socket).is_err() {
                        break;
                    }
                }
                // It was gone again, or there is no descriptor for it: others will come.
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    });
    accepted
}

fn who(args: &Dial) -> Result<(KeyPair, PeerAddr)> {
    let to = Peers::load(&Store::home()?)?.resolve(&args.peer, PIPE.port)?;
    Ok((cli::identity(args.identity.as_deref(), args.passphrase_file.as_deref())?, to))
}

fn options(args: &Dial) -> DialOptions {
    DialOptions {
        keepalive: Duration::from_secs(args.keepalive),
        allow_self: args.allow_self,
        ..DialOptions::default()
    }
}

fn hinted(error: Error, me: &KeyPair) -> Error {
    match error.kind() {
        Kind::Refused => error.hint(format!("on the host: kw-peers allow {} pipe", me.public())),
        _ => error,
    }
}

/// Who may come in: the keys of the command line, and those that the allowlist gives the right `pipe`.
struct Door {
    store: Store,
    also: Allowlist,
}

impl Door {
    fn new(store: Store, allowed: &[String]) -> Result<Self> {
        let peers = Peers::load(&store)?;
        let mut also = Allowlist::default();
        for who in allowed {
            also.rule_mut(peers.resolve_key(who)?).rights.insert(Right::Pipe);
        }
        Ok(Door { store, also })
    }

    /// Lets a dialer in, or turns it away and says so.
    async fn let_in(&self, incoming: Incoming) -> Result<Connection> {
        let (key, now) = (incoming.peer(), SystemTime::now());
        let asked = self.also.grant(&key, Right::Pipe, now);
        let asked = asked.or_else(|_| Allowlist::load(&self.store)?.grant(&key, Right::Pipe, now));
        match asked {
            Ok(grant) => incoming.authorize(&grant),
            Err(error) => {
                let reason = if error.kind() == Kind::Refused { Reason::Refused } else { Reason::Unavailable };
                let from = incoming.from();
                // It may be gone before it knows why.
                let _ = incoming.refuse(reason, &error.to_string()).await;
                Err(Error::refused(format!("refused {key} from {from}: {error}")))
            }
        }
    }

    /// The first dialer that is let in.
    async fn first(&self, listener: &mut Listener) -> Result<Connection> {
        loop {
            match self.let_in(listener.accept().await?).await {
                Ok(connection) => return Ok(connection),
                Err(error) => eprintln!("{NAME}: {error}"),
            }
        }
    }
}
