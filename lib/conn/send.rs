//! The sending half of a connection.

use super::pulse::{Beat, Pulse};
use super::{Reason, kind};
use crate::error::{Error, Result, reason};
use crate::record::Sealer;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;

/// Room for records that stays when a connection falls idle.
const IDLE_ROOM: usize = 4 << 10;

/// How long the last words of a connection may take to leave: the other end may have stopped reading.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(5);

/// Seals records and sends them in order.
///
/// [`Sender::push`] only seals into a buffer, and [`Sender::flush`] sends the buffer: seal several records, then flush
/// once. A sender that waits for something else must let the connection's signs of life through: with
/// [`Sender::while_waiting`], or [`Sender::beat`] in a `select!`.
pub struct Sender {
    pub(super) socket: OwnedWriteHalf,
    pub(super) sealer: Sealer,
    out: Vec<u8>,
    written: usize,
    pub(super) carried: u64,
    pub(super) pulse: Arc<Pulse>,
}

impl Sender {
    pub(super) fn new(socket: OwnedWriteHalf, sealer: Sealer, pulse: Arc<Pulse>) -> Self {
        Sender { socket, sealer, out: Vec::new(), written: 0, carried: 0, pulse }
    }

    /// Seals one record of the service's own; its body is the parts in a row.
    ///
    /// # Errors
    /// A body over [`crate::record::MAX_BODY_LEN`].
    pub fn push(&mut self, kind: u8, parts: &[&[u8]]) -> Result<()> {
        debug_assert!(kind < kind::SHARED, "the type {kind:#x} is not the service's own");
        self.forget_written();
        self.sealer.seal(kind, parts, &mut self.out)?;
        let body: usize = parts.iter().map(|part| part.len()).sum();
        self.carried += u64::try_from(body).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Seals one record from `text`: the type byte, one of the service's own, with the body right behind it.
    ///
    /// # Errors
    /// No type byte, or a body over [`crate::record::MAX_BODY_LEN`].
    pub fn push_text(&mut self, text: &[u8]) -> Result<()> {
        debug_assert!(text.first().is_some_and(|kind| *kind < kind::SHARED), "the type is not the service's own");
        self.forget_written();
        self.sealer.seal_text(text, &mut self.out)?;
        self.carried += u64::try_from(text.len() - 1).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Drops the bytes that have left once they are most of the buffer: a flush that is interrupted again and again, while
    /// more is pushed, would let it grow for ever.
    fn forget_written(&mut self) {
        if self.written > self.out.len() / 2 {
            self.out.drain(..self.written);
            self.written = 0;
        }
    }

    /// Sealed bytes that have not left yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.out.len() - self.written
    }

    /// Sends all that was pushed. Losing the future loses no byte.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn flush(&mut self) -> Result<()> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest).await {
                Ok(0) => return Err(Error::network("the connection takes no more bytes")),
                Ok(count) => self.written += count,
                Err(cause) => return Err(Error::network(format!("the connection was cut: {}", reason(&cause)))),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Seals one record and sends it.
    ///
    /// # Errors
    /// Those of [`Sender::push`] and [`Sender::flush`].
    pub async fn send(&mut self, kind: u8, parts: &[&[u8]]) -> Result<()> {
        self.push(kind, parts)?;
        self.flush().await
    }

    /// Asks for a sign of life now.
    pub(super) async fn ping(&mut self) -> Result<()> {
        self.sealer.seal(kind::PING, &[], &mut self.out)?;
        self.flush().await
    }

    /// Waits until a sign of life must be given or asked for, and seals it. Losing the future loses nothing.
    ///
    /// # Errors
    /// Those of sealing.
    pub async fn beat(&mut self) -> Result<()> {
        let kind = match self.pulse.beat().await {
            Beat::Pong => kind::PONG,
            Beat::Ping => {
                if self.out.is_empty() && self.out.capacity() > IDLE_ROOM {
                    self.out = Vec::with_capacity(IDLE_ROOM);
                }
                kind::PING
            }
        };
        self.sealer.seal(kind, &[], &mut self.out)
    }

    /// Sends what was pushed; when there is nothing, waits like [`Sender::beat`]. For a `select!` that must not wait for
    /// the network alone. Losing the future loses no byte.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn drive(&mut self) -> Result<()> {
        if self.pending() > 0 { self.flush().await } else { self.beat().await }
    }

    /// Waits for `something`, giving signs of life meanwhile.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn while_waiting<T>(&mut self, something: impl Future<Output = T>) -> Result<T> {
        let mut something = std::pin::pin!(something);
        loop {
            tokio::select! {
                biased;
                done = &mut something => return Ok(done),
                beat = self.beat() => beat?,
            }
            self.flush().await?;
        }
    }

    /// Ends this direction in good order: the other side learns that it has everything.
    ///
    /// # Errors
    /// The connection is gone, so nobody knows what arrived.
    pub async fn close(mut self) -> Result<()> {
        self.sealer.seal(kind::CLOSE, &[&self.carried.to_be_bytes()], &mut self.out)?;
        self.last_words().await
    }

    /// The same for a path on which the last bytes may take long: the end is sealed now, and [`Closing::sent`] waits for it.
    ///
    /// # Errors
    /// Those of sealing.
    pub fn closing(mut self) -> Result<Closing> {
        self.sealer.seal(kind::CLOSE, &[&self.carried.to_be_bytes()], &mut self.out)?;
        Ok(Closing(self))
    }

    /// Ends the connection and tells the other side why. The text is for people; it is cut at 1,000 bytes.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn fail(mut self, why: Reason, text: &str) -> Result<()> {
        let text = crate::frame::cut(text, super::receive::MAX_ERROR_TEXT);
        self.sealer.seal(kind::ERROR, &[&[why.code()], text.as_bytes()], &mut self.out)?;
        self.sealer.seal(kind::CLOSE, &[&self.carried.to_be_bytes()], &mut self.out)?;
        self.last_words().await
    }

    async fn last_words(&mut self) -> Result<()> {
        let spoken = async {
            self.flush().await?;
            self.socket
                .shutdown()
                .await
                .map_err(|cause| Error::network(format!("the connection was cut: {}", reason(&cause))))
        };
        tokio::time::timeout(LAST_WORDS_WITHIN, spoken)
            .await
            .map_err(|_| Error::network("the other side has stopped reading"))?
    }
}

/// A direction that ends when all that was sealed has left.
pub struct Closing(Sender);

impl Closing {
    /// Waits until it has. Losing the future loses no byte.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn sent(&mut self) -> Result<()> {
        self.0.flush().await?;
        let shut = self.0.socket.shutdown().await;
        shut.map_err(|cause| Error::network(format!("the connection was cut: {}", reason(&cause))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Suite;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_flush_that_is_interrupted_again_and_again_does_not_let_the_buffer_grow() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (ours, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (_reading, writing) = ours.unwrap().into_split();
        let mut theirs = accepted.unwrap().0;
        let sealer = Sealer::new(Suite::ChaChaPoly, &[1; 32]).unwrap();
        let mut sender = Sender::new(writing, sealer, Arc::new(Pulse::new(Duration::ZERO)));
        let mut room = vec![0; 256 << 10];
        for _ in 0..1000 {
            while sender.pending() < 512 << 10 {
                sender.push(1, &[&[0; 60_000]]).unwrap();
            }
            tokio::select! {
                biased;
                flushed = sender.flush() => flushed.unwrap(),
                read = theirs.read(&mut room) => assert!(read.unwrap() > 0),
            }
        }
        assert!(sender.out.len() < 4 << 20, "{} bytes for {} pending", sender.out.len(), sender.pending());
    }
}
