//! Listening: let connections in up to the handshake, and hand out those that prove a key.

use super::gate::{Counts, FAILED, Limits, Penalties, REFUSED, STALLED, Source, Waiting};
use super::{Connection, HANDSHAKE_WITHIN, KEEPALIVE, Reason, Service};
use crate::addr::{HostPort, PeerAddr};
use crate::error::{Error, Result, reason};
use crate::frame::{frame, read_frame};
use crate::key::{KeyPair, PublicKey};
use crate::noise::{Accepted, I1_LEN, I3_OVERHEAD, MAX_REQUEST_LEN, PREFACE_LEN, Preface, Responder};
use crate::trust::{Admission, Grant};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connections that may wait in the kernel to be accepted; it takes its own limit (`net.core.somaxconn`) if that is less.
/// Beyond it new ones are not heard, and try again only after a second.
const BACKLOG: u32 = 4096;

/// How long the listener rests when the system has no descriptor for one more connection.
const REST: Duration = Duration::from_millis(100);

/// How long a peer that is turned away has to read why.
const LISTEN_ON: Duration = Duration::from_secs(2);

/// How a listener goes about it.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// What is allowed before a key is known.
    pub limits: Limits,
    /// The deadline for a whole handshake.
    pub handshake_within: Duration,
    /// Silence after which the other end is asked for a sign of life; zero never asks.
    pub keepalive: Duration,
    /// Whether our own key may dial.
    pub allow_self: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions {
            limits: Limits::default(),
            handshake_within: HANDSHAKE_WITHIN,
            keepalive: KEEPALIVE,
            allow_self: false,
        }
    }
}

/// Listens for one service under one key.
pub struct Listener {
    tcp: TcpListener,
    me: Arc<KeyPair>,
    service: Service,
    options: ListenOptions,
    handshakes: JoinSet<(SocketAddr, Result<Incoming>)>,
    waiting: Waiting,
    penalties: Arc<Mutex<Penalties>>,
    counts: Counts,
    /// Until when no connection is accepted, since there is no descriptor for it.
    resting: Option<Instant>,
}

impl Listener {
    /// Listens at `at`; port 0 takes a free one.
    ///
    /// # Errors
    /// The host is not this machine's, the port is taken, or may not be used.
    pub async fn bind(me: Arc<KeyPair>, at: &HostPort, service: Service, options: ListenOptions) -> Result<Self> {
        let port = at.port().or(service.port);
        let port =
            port.ok_or_else(|| Error::usage(format!("no port to listen on in '{at}'")).hint("write HOST:PORT"))?;
        let tcp = bind(at.host(), port).await.map_err(|cause| {
            let error = Error::state(format!("cannot listen on {}: {}", at.clone().with_port(port), reason(&cause)));
            match cause.kind() {
                std::io::ErrorKind::AddrInUse => error.hint("another program listens there; port 0 takes a free one"),
                std::io::ErrorKind::PermissionDenied => {
                    error.hint("ports below 1024 are the system's; take a higher one")
                }
                _ => error,
            }
        })?;
        let penalties = Arc::new(Mutex::new(Penalties::new(&options.limits)));
        Ok(Listener {
            tcp,
            me,
            service,
            options,
            handshakes: JoinSet::new(),
            waiting: Waiting::default(),
            penalties,
            counts: Counts::default(),
            resting: None,
        })
    }

    /// What to dial to get here: our key and the address we listen at.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn address(&self) -> Result<PeerAddr> {
        let at = self.tcp.local_addr().map_err(|cause| Error::state(format!("cannot listen: {}", reason(&cause))))?;
        Ok(PeerAddr { key: self.me.public(), at: at.to_string().parse()? })
    }

    /// What was kept out so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The next dialer that has proven its key. It has no right to anything yet. Losing the future loses no connection.
    ///
    /// # Errors
    /// The socket is gone.
    pub async fn accept(&mut self) -> Result<Incoming> {
        loop {
            let rested = self.resting.unwrap_or_else(Instant::now);
            tokio::select! {
                Some(over) = self.handshakes.join_next_with_id(), if !self.handshakes.is_empty() => {
                    if let Some(incoming) = self.conclude(over) {
                        return Ok(incoming);
                    }
                }
                accepted = self.tcp.accept(), if self.resting.is_none() => match accepted {
                    Ok((socket, from)) => self.begin(socket, from),
                    Err(cause) => self.pause(&cause)?,
                },
                () = tokio::time::sleep_until(rested), if self.resting.is_some() => self.resting = None,
            }
        }
    }

    /// Gives a new connection a place and a deadline, or closes it.
    fn begin(&mut self, socket: TcpStream, from: SocketAddr) {
        let source = Source::of(from.ip());
        let kept_out = lock(&self.penalties).keep_out(source, Instant::now());
        if kept_out || self.waiting.is_full_for(source, &self.options.limits) {
            self.counts.turned_away += 1;
            return;
        }
        let (me, service, options) = (self.me.clone(), self.service, self.options);
        let penalties = self.penalties.clone();
        let handle = self.handshakes.spawn(async move {
            let proven = tokio::time::timeout(options.handshake_within, handshake(socket, &me, service)).await;
            let (socket, accepted) = match proven {
                Ok(Ok(proven)) => proven,
                Ok(Err(error)) => {
                    lock(&penalties).add(source, FAILED, Instant::now());
                    return (from, Err(error));
                }
                Err(_) => {
                    lock(&penalties).add(source, STALLED, Instant::now());
                    return (from, Err(Error::network("the handshake took too long")));
                }
            };
            if accepted.peer == me.public() && !options.allow_self {
                return (from, Err(Error::protocol("our own key dials")));
            }
            let incoming =
                Incoming { socket, accepted, from, me: me.public(), keepalive: options.keepalive, penalties };
            (from, Ok(incoming))
        });
        if self.waiting.take_in(source, handle, &self.options.limits) {
            self.counts.crowded_out += 1;
        }
    }

    fn conclude(&mut self, over: std::result::Result<Ended, tokio::task::JoinError>) -> Option<Incoming> {
        match over {
            Ok((id, (_, outcome))) => {
                self.waiting.give_back(id);
                self.counts.failed += u64::from(outcome.is_err());
                outcome.ok()
            }
            Err(ended) => {
                self.waiting.give_back(ended.id());
                None
            }
        }
    }

    /// A connection that went away before it was accepted is nothing; no descriptors left is a reason to rest, but not for
    /// those that have one.
    fn pause(&mut self, cause: &std::io::Error) -> Result<()> {
        match cause.raw_os_error() {
            Some(nix::libc::EMFILE | nix::libc::ENFILE | nix::libc::ENOBUFS | nix::libc::ENOMEM) => {
                self.resting = Some(Instant::now() + REST);
                Ok(())
            }
            Some(nix::libc::EBADF | nix::libc::EINVAL | nix::libc::ENOTSOCK) => {
                Err(Error::state(format!("cannot accept connections: {}", reason(cause))))
            }
            _ => Ok(()),
        }
    }
}

/// Listens on the first address of `host` that can be listened on.
async fn bind(host: &str, port: u16) -> std::io::Result<TcpListener> {
    let mut failure = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        let listening = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // A port whose last connections are still fading away can be listened on again.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        match listening() {
            Ok(listening) => return Ok(listening),
            Err(cause) => failure = cause,
        }
    }
    Err(failure)
}

/// How a handshake's task ends.
type Ended = (tokio::task::Id, (SocketAddr, Result<Incoming>));

/// The listener's side, with not one byte sent before I1 opens under our key.
async fn handshake(mut socket: TcpStream, me: &KeyPair, service: Service) -> Result<(TcpStream, Accepted)> {
    let lost = |cause| Error::network(format!("the connection ended in the handshake: {}", reason(&cause)));
    let mut preface = [0; PREFACE_LEN];
    socket.read_exact(&mut preface).await.map_err(lost)?;
    let preface = Preface::from_bytes(preface)?;
    let i1 = read_frame(&mut socket, I1_LEN, I1_LEN).await?;
    let (responder, i2) = Responder::start(me, preface, service.name, &i1)?;
    socket.set_nodelay(true).map_err(lost)?;
    socket.write_all(&frame(&i2)?).await.map_err(lost)?;
    let i3 = read_frame(&mut socket, I3_OVERHEAD, I3_OVERHEAD + MAX_REQUEST_LEN).await?;
    let accepted = responder.read_i3(&i3)?;
    Ok((socket, accepted))
}

/// Penalties stay right even if a thread died while it held them: every change is a single step.
fn lock(penalties: &Mutex<Penalties>) -> std::sync::MutexGuard<'_, Penalties> {
    penalties.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A dialer that has proven its key and said what it wants, and has no right to it yet.
pub struct Incoming {
    socket: TcpStream,
    accepted: Accepted,
    from: SocketAddr,
    me: PublicKey,
    keepalive: Duration,
    penalties: Arc<Mutex<Penalties>>,
}

impl Incoming {
    /// The key at the other end.
    #[must_use]
    pub fn peer(&self) -> PublicKey {
        self.accepted.peer
    }

    /// What it asks for, as it came.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.accepted.request
    }

    /// Where it comes from.
    #[must_use]
    pub fn from(&self) -> SocketAddr {
        self.from
    }

    /// What a limit for one source counts: the address it comes from, or the IPv6 network that a customer gets; none for this
    /// machine's own addresses, unless they are held to limits too.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        let source = Source::of(self.from.ip());
        lock(&self.penalties).limits(source).then(|| source.address())
    }

    /// Lets it in. The grant must be the peer's own.
    ///
    /// # Errors
    /// The grant is another key's, or the connection is gone.
    pub fn authorize(self, grant: &Grant) -> Result<Connection> {
        if grant.key() != self.accepted.peer {
            return Err(Error::refused("the grant belongs to another key"));
        }
        self.connect()
    }

    /// Lets it in to a service that takes everybody but those it refuses. The admission must be the peer's own.
    ///
    /// # Errors
    /// The admission is another key's, or the connection is gone.
    pub fn admit(self, admission: Admission) -> Result<Connection> {
        if admission.key() != self.accepted.peer {
            return Err(Error::refused("the admission is another key's"));
        }
        self.connect()
    }

    /// Turns it away: one sealed record that says why, and a close. Its source is remembered for it.
    ///
    /// # Errors
    /// The connection is gone, so it may not know why.
    pub async fn refuse(self, why: Reason, text: &str) -> Result<()> {
        if matches!(why, Reason::Refused | Reason::BadRequest) {
            lock(&self.penalties).add(Source::of(self.from.ip()), REFUSED, Instant::now());
        }
        let (sender, receiver) = self.connect()?.split();
        sender.fail(why, text).await?;
        receiver.drain(LISTEN_ON).await;
        Ok(())
    }

    fn connect(self) -> Result<Connection> {
        Connection::new(self.socket, self.me, self.accepted.peer, self.accepted.transport, self.keepalive)
    }
}
