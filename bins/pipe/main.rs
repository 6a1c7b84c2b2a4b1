//! kw-pipe: standard input and output, a program, or a TCP port, over one encrypted connection between two keys.

mod args;
mod carry;
mod command;
mod door;
mod local;
mod threads;

use args::{Args, Command, Dial, Listen};
use carry::carry;
use door::Door;
use keywire::addr::{HostPort, PeerAddr};
use keywire::cli;
use keywire::conn::{DialOptions, Limits, ListenOptions, Listener, dial};
use keywire::error::{Error, Kind, Result, reason};
use keywire::key::KeyPair;
use keywire::proto::pipe::PIPE;
use keywire::store::Store;
use keywire::trust::Peers;
use local::Local;
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

const NAME: &str = "kw-pipe";

/// What a pipe's request says in I3: nothing, since there is nothing to choose.
const REQUEST: &[u8] = b"{}";

fn main() -> ExitCode {
    cli::main(NAME, run)
}

fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Listen(args) => listen(&args)?,
        Command::Dial(args) => match &args.tcp {
            Some(at) => dial_for_tcp(&args, &with_port(at)?)?,
            None => dial_once(&args)?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// What a listener connects its dialers to.
#[derive(Clone)]
enum Serves {
    Command(String),
    Tcp(HostPort),
}

/// Waits for dialers: one for standard input and output, any number for a command or a TCP port.
fn listen(args: &Listen) -> Result<()> {
    let serves = match (&args.exec, &args.tcp) {
        (Some(_), Some(_)) => return Err(Error::usage("--exec and --tcp exclude each other")),
        (Some(line), None) => Some(Serves::Command(line.clone())),
        (None, Some(at)) => Some(Serves::Tcp(with_port(at)?)),
        (None, None) => None,
    };
    if args.max_startups == 0 {
        return Err(Error::usage("--max-startups 0 would let nobody in").hint("the least is 1"));
    }
    let at = with_port(&args.address)?;
    let door = Door::new(Store::home()?, &args.allow)?;
    let me = Arc::new(cli::identity(args.identity.as_deref(), args.passphrase_file.as_deref())?);
    let options = ListenOptions {
        limits: Limits { startups: args.max_startups, limit_loopback: args.limit_loopback, ..Limits::default() },
        keepalive: Duration::from_secs(args.keepalive),
        allow_self: args.allow_self,
        ..ListenOptions::default()
    };
    cli::block_on_all(async {
        let listener = Listener::bind(me, &at, PIPE, options).await?;
        match serves {
            Some(serves) => door.serve(listener, serves).await,
            None => door.serve_one(listener, args.no_stdin).await,
        }
    })
}

/// Standard input and output over one connection.
fn dial_once(args: &Dial) -> Result<()> {
    let (me, to) = who(args)?;
    let told = cli::block_on(async {
        let connection = dial(&me, &to, PIPE, REQUEST, options(args)).await?;
        carry(connection, Local::stdio(args.no_stdin)?, std::future::pending()).await
    });
    told.map_err(|error| hinted(error, &me))
}

/// A connection for every TCP connection to `at`.
fn dial_for_tcp(args: &Dial, at: &HostPort) -> Result<()> {
    let (me, to) = who(args)?;
    let told = |cause: std::io::Error| {
        let error = Error::state(format!("cannot listen on {at}: {}", reason(&cause)));
        match cause.kind() {
            std::io::ErrorKind::AddrInUse => error.hint("another program listens there; port 0 takes a free one"),
            _ => error,
        }
    };
    let listener = TcpListener::bind((at.host(), at.port().unwrap_or(0))).map_err(told)?;
    let bound = listener.local_addr().map_err(told)?;
    let (me, to, options) = (Arc::new(me), Arc::new(to), options(args));
    cli::block_on_all(async {
        let mut accepted = accept(listener)?;
        let mut stop = std::pin::pin!(cli::asked_to_end()?);
        cli::print(&format!("listening {bound}\n"))?;
        let mut pipes = Pipes::new();
        loop {
            tokio::select! {
                Some(socket) = accepted.recv() => {
                    let (me, to, stop) = (me.clone(), to.clone(), pipes.stop());
                    pipes.spawn(async move {
                        let carried = async {
                            let local = Local::tcp(socket)?;
                            match dial(&me, &to, PIPE, REQUEST, options).await {
                                Ok(connection) => carry(connection, local, stop).await,
                                Err(error) => {
                                    local.end.cut();
                                    Err(error)
                                }
                            }
                        };
                        if let Err(error) = carried.await {
                            cli::report(NAME, &hinted(error, &me));
                        }
                    });
                }
                () = pipes.one_ended() => {}
                () = &mut stop => break,
            }
        }
        pipes.end_all().await
    })
}

/// Accepts TCP connections on a thread, as they are wanted.
fn accept(listener: TcpListener) -> Result<mpsc::Receiver<TcpStream>> {
    let (give, accepted) = mpsc::channel(1);
    threads::start(move || {
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
    })?;
    Ok(accepted)
}

/// The pipes of a program that carries any number of them.
struct Pipes {
    tasks: JoinSet<()>,
    stopping: watch::Sender<bool>,
}

impl Pipes {
    fn new() -> Self {
        Pipes { tasks: JoinSet::new(), stopping: watch::Sender::new(false) }
    }

    /// Ends when every pipe shall.
    fn stop(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.subscribe();
        async move {
            // Without a sender there is nothing left to stop.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }

    fn spawn(&mut self, pipe: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(pipe);
    }

    /// Waits until one has ended.
    async fn one_ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending().await
        }
    }

    /// Waits until all have ended by themselves.
    async fn all_ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Tells every peer that this is the end, and waits for all pipes to end; whoever asks again does not wait.
    async fn end_all(mut self) -> Result<()> {
        self.stopping.send_replace(true);
        let again = cli::asked_to_end()?;
        tokio::select! {
            () = self.all_ended() => {}
            () = again => {}
        }
        Ok(())
    }
}

fn who(args: &Dial) -> Result<(KeyPair, PeerAddr)> {
    let to = Peers::load(&Store::home()?)?.resolve(&args.peer, PIPE.port)?;
    Ok((cli::identity(args.identity.as_deref(), args.passphrase_file.as_deref())?, to))
}

/// An address that needs its port.
fn with_port(text: &str) -> Result<HostPort> {
    let at: HostPort = text.parse()?;
    match at.port() {
        Some(_) => Ok(at),
        None => Err(Error::usage(format!("no port in '{at}'")).hint("write HOST:PORT or [IPV6]:PORT")),
    }
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
