//! The two halves of a connection for whoever moves much and does nothing else: blocking, and each with a thread of its own
//! at the socket, so that files and network are busy at the same time.

use super::{Batch, Connection, Reason};
use crate::error::{Error, Result};
use std::io::{self, IoSliceMut};

/// How bulk goes about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BulkOptions {
    /// Most bytes a second in each direction.
    pub rate: Option<u64>,
}

/// Lays records into large batches, seals each batch at once, and has it written by a thread.
pub struct BulkSender {}

/// Takes what a thread has read, and opens it.
pub struct BulkReceiver {}

/// Ends a connection from another thread.
#[derive(Clone)]
pub struct Breaker {}

impl Connection {
    /// The connection for blocking use. Needs no runtime any more.
    ///
    /// # Errors
    /// The socket is gone, or no thread can be started.
    pub fn into_bulk(self, _options: BulkOptions) -> Result<(BulkSender, BulkReceiver, Breaker)> {
        Err(Error::state("not yet"))
    }
}

impl BulkSender {
    /// Lays one record of the service's own into the batch; its body is the parts in a row. A full batch is sent.
    ///
    /// # Errors
    /// A body over [`crate::record::MAX_BODY_LEN`]; the connection is gone, or was ended by a [`Breaker`].
    pub fn push(&mut self, _kind: u8, _parts: &[&[u8]]) -> Result<()> {
        Ok(())
    }

    /// Lays records of `kind` into the batch whose bodies `read` fills: it is given room for at most `most` bytes (less if
    /// the batch ends before), a slice a record, and says how many bytes it filled, in order, from the first slice on.
    /// Returns what it said. Nothing is laid when it fills nothing.
    ///
    /// # Errors
    /// Those of [`BulkSender::push`]; the inner ones are those of `read`.
    pub fn fill(
        &mut self,
        _kind: u8,
        _most: u64,
        _read: impl FnOnce(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> Result<io::Result<usize>> {
        Ok(Ok(0))
    }

    /// Seals the batch and hands it to the thread that writes. Waits only while all room is taken.
    ///
    /// # Errors
    /// The connection is gone, or was ended by a [`Breaker`].
    pub fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Bodies of the service's own records so far, in bytes.
    #[must_use]
    pub fn carried(&self) -> u64 {
        0
    }

    /// Ends this direction in good order, and waits until everything is written.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn close(self) -> Result<()> {
        Ok(())
    }

    /// Ends the connection and tells the other side why, within 5 s.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn fail(self, _why: Reason, _text: &str) -> Result<()> {
        Ok(())
    }
}

impl BulkReceiver {
    /// All records that are here, waiting for the first of them; `None` when the other side has closed its direction in good
    /// order.
    ///
    /// # Errors
    /// Those of [`super::Receiver::recv`]; and that a [`Breaker`] ended the connection.
    pub fn recv(&mut self) -> Result<Option<&Batch>> {
        Ok(None)
    }

    /// The same without waiting: `None` when nothing whole is here. After the close it is an error.
    ///
    /// # Errors
    /// Those of [`BulkReceiver::recv`], and the close.
    pub fn try_recv(&mut self) -> Result<Option<&Batch>> {
        Ok(None)
    }

    /// Bodies of the service's own records so far, in bytes.
    #[must_use]
    pub fn carried(&self) -> u64 {
        0
    }
}

impl Breaker {
    /// Lets every wait for the connection end with `why`, at both halves. The other side can still be told: with
    /// [`BulkSender::fail`].
    pub fn cut(&self, _why: Error) {}
}
