//! The connection: one TCP connection, one handshake, then records both ways.
//!
//! [`dial()`] and [`Listener`] make a [`Connection`]; [`Connection::split`] gives its two halves, which share no lock. The
//! only module that names a socket of ours. keywire-protocol(7), CONNECTION.

mod bulk;
mod dial;
mod gate;
mod intake;
mod listen;
mod pulse;
mod receive;
mod send;

#[cfg(test)]
pub(crate) use bulk::tests::pair as bulk_pair;
pub use bulk::{Breaker, BulkOptions, BulkReceiver, BulkSender};
pub use dial::{DialOptions, Family, dial};
pub use gate::{
    Counts, ENFORCED_FROM as PENALTY_ENFORCED_FROM, FAILED as PENALTY_FAILED, LONGEST as PENALTY_LONGEST, Limits,
    REFUSED as PENALTY_REFUSED, STALLED as PENALTY_STALLED,
};
pub use listen::{Incoming, ListenOptions, Listener};
pub use pulse::MISSED as KEEPALIVE_MISSED;
pub use receive::{Batch, MAX_ERROR_TEXT, Receiver, Record};
pub use send::{Closing, Sender};

use crate::error::{Error, Kind, Result};
use crate::key::PublicKey;
use crate::noise::Transport;
use pulse::Pulse;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a whole handshake may take: far more than three slow round trips, far less than a person waits.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// How long looking up a host and reaching it by TCP may take.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection is silent before the other end is asked for a sign of life.
pub const KEEPALIVE: Duration = Duration::from_secs(15);

/// Types of records that every service shares; all below belong to the service. keywire-protocol(7), RECORDS.
///
/// | type | message | body |
/// |------|---------|------|
/// | 0xF0 | `PING`  | empty: asks for a PONG |
/// | 0xF1 | `PONG`  | empty: answers a PING |
/// | 0xFE | `ERROR` | code u8, text of at most 1,000 bytes: why the sender ends the connection |
/// | 0xFF | `CLOSE` | bytes u64: the sum of the bodies of the service's own records in this direction; it ends here |
pub mod kind {
    /// The first type that is not the service's own.
    pub const SHARED: u8 = 0xf0;
    /// Asks for a PONG.
    pub const PING: u8 = 0xf0;
    /// Answers a PING.
    pub const PONG: u8 = 0xf1;
    /// Says why the connection ends: a code and a text.
    pub const ERROR: u8 = 0xfe;
    /// Ends this direction: how many bytes of bodies it carried.
    pub const CLOSE: u8 = 0xff;
}

/// Why one side ends a connection, as it stands in an ERROR record.
///
/// | code | name            | meaning |
/// |------|-----------------|---------|
/// | 1    | `REFUSED`       | the key may not do what it asked for |
/// | 2    | `BAD_REQUEST`   | the request, or what followed it, makes no sense to this side |
/// | 3    | `UNAVAILABLE`   | this side cannot do it now |
/// | 4    | `SHUTTING_DOWN` | this side is going away |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The key may not do what it asked for.
    Refused,
    /// The request, or what followed it, makes no sense to this side.
    BadRequest,
    /// This side cannot do it now.
    Unavailable,
    /// This side is going away.
    ShuttingDown,
}

impl Reason {
    const ALL: [Reason; 4] = [Reason::Refused, Reason::BadRequest, Reason::Unavailable, Reason::ShuttingDown];

    /// The byte on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Reason::Refused => 1,
            Reason::BadRequest => 2,
            Reason::Unavailable => 3,
            Reason::ShuttingDown => 4,
        }
    }

    /// What the other side is told of an error that ends a conversation here, if anything: that something of ours cannot be read or
    /// written, but not what, for names of files are none of its business; and which of its own words made no sense.
    #[must_use]
    pub fn of(error: &Error) -> Option<(Self, String)> {
        match error.kind() {
            Kind::State => Some((Reason::Unavailable, "what is kept here cannot be read or written now".to_owned())),
            Kind::Network if error.to_string().starts_with("protocol error") => {
                Some((Reason::BadRequest, error.to_string()))
            }
            _ => None,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

/// What is spoken on a connection. Its name is bound into the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The name in the prologue.
    pub name: &'static str,
    /// The port where an address names none.
    pub port: Option<u16>,
}

/// An encrypted connection between two keys that know each other.
pub struct Connection {
    peer: PublicKey,
    channel_binding: [u8; 64],
    local: SocketAddr,
    remote: SocketAddr,
    sender: Sender,
    receiver: Receiver,
}

impl Connection {
    fn new(socket: TcpStream, me: PublicKey, peer: PublicKey, keys: Transport, keepalive: Duration) -> Result<Self> {
        let told =
            |cause| crate::error::Error::network(format!("the connection is gone: {}", crate::error::reason(&cause)));
        let (local, remote) = (socket.local_addr().map_err(told)?, socket.peer_addr().map_err(told)?);
        let pulse = Arc::new(Pulse::new(keepalive));
        let (reading, writing) = socket.into_split();
        Ok(Connection {
            peer,
            channel_binding: keys.channel_binding,
            local,
            remote,
            sender: Sender::new(writing, keys.sealer, pulse.clone()),
            receiver: Receiver::new(reading, keys.opener, pulse, me),
        })
    }

    /// The key at the other end, proven by the handshake.
    #[must_use]
    pub fn peer(&self) -> PublicKey {
        self.peer
    }

    /// The handshake hash: both ends have the same, and no other connection has it.
    #[must_use]
    pub fn channel_binding(&self) -> &[u8; 64] {
        &self.channel_binding
    }

    /// The other end of the TCP connection.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// `REMOTE-ADDRESS PORT LOCAL-ADDRESS PORT`, the value of `KEYWIRE_CONNECTION`; ssh users know the form.
    #[must_use]
    pub fn description(&self) -> String {
        format!("{} {} {} {}", self.remote.ip(), self.remote.port(), self.local.ip(), self.local.port())
    }

    /// Waits until the other end shows that it has let us in: it answers a PING, or sends a record, which stays to be
    /// received. A dial alone does not tell, since a refusal comes after it.
    ///
    /// # Errors
    /// It has not, and why; or the connection is gone.
    pub async fn admitted(&mut self) -> Result<()> {
        self.sender.ping().await?;
        self.sender.while_waiting(self.receiver.first_sign()).await?
    }

    /// The two directions.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_side_hears_what_is_its_business_and_the_name_of_no_file_of_ours() {
        let (why, text) = Reason::of(&Error::state("cannot write /home/ada/log: no space left")).unwrap();
        assert!(why == Reason::Unavailable && !text.contains("/home"), "{text}");
        let (why, text) = Reason::of(&Error::protocol("a second HELLO")).unwrap();
        assert!(why == Reason::BadRequest && text.contains("a second HELLO"), "{text}");
        assert_eq!(Reason::of(&Error::network("the connection was lost")), None);
    }
}
