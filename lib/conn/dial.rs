//! Dialing: find the host, reach it, and make sure that the key is the one that was meant.

use super::{CONNECT_WITHIN, Connection, HANDSHAKE_WITHIN, KEEPALIVE, Service};
use crate::addr::{HostPort, PeerAddr};
use crate::error::{Error, Kind, Result, reason};
use crate::frame::{frame, read_frame};
use crate::key::KeyPair;
use crate::noise::{I2_LEN, Initiator, Preface, Transport};
use crate::seal::Suite;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long an address is tried before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);

/// How a dial goes about it.
#[derive(Clone, Copy, Debug)]
pub struct DialOptions {
    /// The deadline for finding the host and reaching it by TCP.
    pub connect_within: Duration,
    /// The deadline for the whole handshake.
    pub handshake_within: Duration,
    /// Silence after which the other end is asked for a sign of life; zero never asks.
    pub keepalive: Duration,
    /// Whether our own key may be at the other end.
    pub allow_self: bool,
    /// Which of the host's addresses are dialed.
    pub family: Family,
}

/// Kinds of addresses that a host can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// All of them.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    fn admits(self, address: &SocketAddr) -> bool {
        self == Family::Any || address.is_ipv4() == (self == Family::V4)
    }

    fn none_found(self) -> &'static str {
        match self {
            Family::Any => "the host has no address",
            Family::V4 => "the host has no IPv4 address",
            Family::V6 => "the host has no IPv6 address",
        }
    }
}

impl Default for DialOptions {
    fn default() -> Self {
        DialOptions {
            connect_within: CONNECT_WITHIN,
            handshake_within: HANDSHAKE_WITHIN,
            keepalive: KEEPALIVE,
            allow_self: false,
            family: Family::Any,
        }
    }
}

/// Dials `service` of `to` and hands over `request` with the last message of the handshake. The host has not agreed to
/// anything yet: a refusal comes with the first record.
///
/// # Errors
/// Each names the layer that failed: the name, TCP, or the handshake.
pub async fn dial(
    me: &KeyPair,
    to: &PeerAddr,
    service: Service,
    request: &[u8],
    options: DialOptions,
) -> Result<Connection> {
    if to.key == me.public() && !options.allow_self {
        return Err(Error::usage("that is this side's own key").hint("to dial yourself, say --allow-self"));
    }
    let mut socket = tokio::time::timeout(options.connect_within, connect(&to.at, service, options.family))
        .await
        .map_err(|_| unreachable(&to.at, &format!("no answer within {} s", options.connect_within.as_secs())))??;
    let keys = tokio::time::timeout(options.handshake_within, handshake(&mut socket, me, to, service, request))
        .await
        .map_err(|_| {
            not_proven(
                Kind::Network,
                to,
                service,
                &format!("no answer within {} s", options.handshake_within.as_secs()),
            )
        })??;
    Connection::new(socket, me.public(), to.key, keys, options.keepalive)
}

async fn connect(at: &HostPort, service: Service, family: Family) -> Result<TcpStream> {
    let port = at.port().or(service.port).ok_or_else(|| Error::usage(format!("no port for '{}'", at.host())))?;
    let found = tokio::net::lookup_host((at.host(), port))
        .await
        .map_err(|cause| Error::network(format!("cannot find the host '{}': {}", at.host(), lookup_reason(&cause))))?;
    let socket = first_to_answer(found.filter(|address| family.admits(address))).await;
    let socket = socket.unwrap_or_else(|| Err(std::io::Error::other(family.none_found())));
    // Records are whole when they are written: waiting for more would only delay them.
    let ready = socket.and_then(|socket| socket.set_nodelay(true).map(|()| socket));
    ready.map_err(|cause| unreachable(at, &reason(&cause)))
}

/// Connects to whichever of `addresses` answers first, or says why the last of them did not; `None` if there are none. Each
/// has a head start over the next, so that one that leads nowhere holds up no other (RFC 8305, section 5).
async fn first_to_answer(mut addresses: impl Iterator<Item = SocketAddr>) -> Option<std::io::Result<TcpStream>> {
    let mut attempts = JoinSet::new();
    let mut failure = None;
    loop {
        let next = addresses.next();
        let is_last = next.is_none();
        if let Some(address) = next {
            attempts.spawn(TcpStream::connect(address));
        } else if attempts.is_empty() {
            return failure.map(Err);
        }
        tokio::select! {
            Some(tried) = attempts.join_next() => match tried {
                Ok(Ok(socket)) => return Some(Ok(socket)),
                Ok(Err(cause)) => failure = Some(cause),
                Err(_) => {}
            },
            () = tokio::time::sleep(HEAD_START), if !is_last => {}
        }
    }
}

/// The resolver's reason without the words that only say that it is one.
fn lookup_reason(cause: &std::io::Error) -> String {
    let text = reason(cause);
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_lowercase()
}

async fn handshake(
    socket: &mut TcpStream,
    me: &KeyPair,
    to: &PeerAddr,
    service: Service,
    request: &[u8],
) -> Result<Transport> {
    let preface = Preface::new(Suite::fastest());
    let (initiator, i1) = Initiator::start(me, &to.key, preface, service.name)?;
    let lost = |why: &str| not_proven(Kind::Unproven, to, service, why);
    let first = [&preface.to_bytes()[..], &frame(&i1)?].concat();
    socket.write_all(&first).await.map_err(|cause| lost(&reason(&cause)))?;
    let i2 = read_frame(socket, I2_LEN, I2_LEN).await.map_err(|_| lost("it closed without an answer"))?;
    let (i3, transport) =
        initiator.read_i2(&i2).map_err(|_| lost("its answer does not prove the key"))?.finish(request)?;
    socket.write_all(&frame(&i3)?).await.map_err(|cause| lost(&reason(&cause)))?;
    Ok(transport)
}

fn unreachable(at: &HostPort, why: &str) -> Error {
    let error = Error::network(format!("cannot connect to {at}: {why}"));
    if why == "connection refused" {
        error.hint("nothing listens there: is the program running on that port?")
    } else {
        error
    }
}

fn not_proven(kind: Kind, to: &PeerAddr, service: Service, why: &str) -> Error {
    Error::new(kind, format!("handshake with {} at {} failed: {why}", to.key, to.at)).hint(format!(
        "does the host have that key, and does keywire's '{}' service listen on that port?",
        service.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    #[tokio::test]
    async fn an_address_that_never_answers_does_not_hold_up_one_that_does() {
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = silent.listen(1).unwrap();
        let nowhere = silent.local_addr().unwrap();
        // Nobody accepts them, and at some point the system takes no more.
        let mut taken = Vec::new();
        while let Ok(socket) = tokio::time::timeout(HEAD_START, TcpStream::connect(nowhere)).await {
            taken.push(socket);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let socket = first_to_answer([nowhere, there].into_iter()).await.unwrap().unwrap();
        assert_eq!(socket.peer_addr().unwrap(), there);
        let refused = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
        let socket = first_to_answer([refused, there].into_iter()).await.unwrap().unwrap();
        assert_eq!(socket.peer_addr().unwrap(), there);
        assert!(first_to_answer([refused].into_iter()).await.unwrap().is_err());
        assert!(first_to_answer(std::iter::empty()).await.is_none());
    }
}
