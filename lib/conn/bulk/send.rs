//! The sending half: lays records into a batch, seals the batch at once, and a thread writes it.

use super::{BATCHES, Breaker, LAST_WORDS_WITHIN, Line, Shared, Throttle, next};
use crate::conn::{Reason, kind};
use crate::error::{Error, Result, reason};
use crate::frame::LENGTH_LEN;
use crate::record::{MAX_BODY_LEN, OVERHEAD, Sealer};
use crate::threads::lock;
use std::io::{self, IoSliceMut, Write};
use std::net::Shutdown;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Instant;

/// With less room than this left in a batch, bulk data begins the next one: short records cost as much as long ones.
const LEAST_ROOM: usize = 16 << 10;

/// Lays records into large batches, seals each batch at once, and has it written by a thread.
pub struct BulkSender {
    shared: Arc<Shared>,
    batch: Piece,
    empty: mpsc::Receiver<Vec<u8>>,
    /// Batches that may still be made.
    to_make: usize,
    is_ended: bool,
}

/// Records on their way to the socket.
#[derive(Default)]
pub(super) struct Piece {
    room: Vec<u8>,
    /// Where each record lies: length, type, body and room for the tag.
    records: Vec<Range<usize>>,
    /// Whether the room is one of the batches that go round.
    is_batch: bool,
}

impl Piece {
    fn batch(room: Vec<u8>) -> Self {
        Piece { room, records: Vec::new(), is_batch: true }
    }

    /// One record that every service shares.
    pub(super) fn shared(kind: u8, body: &[u8]) -> Self {
        let mut piece = Piece { room: vec![0; body.len() + OVERHEAD], ..Piece::default() };
        piece.lay(kind, &[body], body.len());
        piece
    }

    /// Where the records end.
    fn end(&self) -> usize {
        self.records.last().map_or(0, |last| last.end)
    }

    /// Room that is left for the body of one more record; `None` if not even an empty one fits.
    fn left(&self) -> Option<usize> {
        self.room.len().checked_sub(self.end() + OVERHEAD)
    }

    /// Lays a record for which there is room.
    fn lay(&mut self, kind: u8, parts: &[&[u8]], length: usize) {
        let start = self.end();
        let place = start..start + length + OVERHEAD;
        let record = self.room.get_mut(place.clone()).unwrap_or_default();
        if let Some((first, mut rest)) = record.get_mut(LENGTH_LEN..).and_then(|text| text.split_first_mut()) {
            *first = kind;
            for part in parts {
                let Some((to, behind)) = rest.split_at_mut_checked(part.len()) else { break };
                to.copy_from_slice(part);
                rest = behind;
            }
        }
        self.records.push(place);
    }

    /// Room for the bodies of the records that may follow, for at most `most` bytes.
    fn bodies(&mut self, mut most: u64) -> Vec<IoSliceMut<'_>> {
        let start = self.end();
        let mut rest = self.room.get_mut(start..).unwrap_or_default();
        let mut bodies = Vec::new();
        while most > 0 && rest.len() > OVERHEAD {
            let length = usize::try_from(most).unwrap_or(usize::MAX).min(MAX_BODY_LEN).min(rest.len() - OVERHEAD);
            let (record, behind) = rest.split_at_mut(length + OVERHEAD);
            let body = record.get_mut(LENGTH_LEN + 1..LENGTH_LEN + 1 + length).unwrap_or_default();
            bodies.push(IoSliceMut::new(body));
            most -= u64::try_from(length).unwrap_or(most);
            rest = behind;
        }
        bodies
    }

    /// Makes records of the first `filled` bytes of the room that [`Piece::bodies`] gave.
    fn take_filled(&mut self, kind: u8, mut filled: usize) {
        while let Some(left) = self.left().filter(|left| filled > 0 && *left > 0) {
            let length = filled.min(MAX_BODY_LEN).min(left);
            let start = self.end();
            if let Some(first) = self.room.get_mut(start + LENGTH_LEN) {
                *first = kind;
            }
            self.records.push(start..start + length + OVERHEAD);
            filled -= length;
        }
    }

    /// Seals the records where they lie; returns the bytes of the bodies that are the service's own.
    pub(super) fn seal(&mut self, sealer: &mut Sealer) -> Result<u64> {
        let mut carried = 0;
        for place in &self.records {
            let record = self.room.get_mut(place.clone()).unwrap_or_default();
            if record.get(LENGTH_LEN).is_some_and(|kind| *kind < kind::SHARED) {
                carried += u64::try_from(record.len() - OVERHEAD).unwrap_or(u64::MAX);
            }
            sealer.seal_in_place(record)?;
        }
        Ok(carried)
    }

    fn sealed(&self) -> &[u8] {
        self.room.get(..self.end()).unwrap_or_default()
    }
}

impl BulkSender {
    pub(super) fn start(shared: Arc<Shared>, queue: mpsc::Receiver<Piece>) -> Result<Self> {
        let (again, empty) = mpsc::channel();
        shared.start(move |shared| write(shared, &queue, &again))?;
        Ok(BulkSender { shared, batch: Piece::default(), empty, to_make: BATCHES, is_ended: false })
    }

    /// Lays one record of the service's own into the batch; its body is the parts in a row. A full batch is sent.
    ///
    /// # Errors
    /// A body over [`MAX_BODY_LEN`]; the connection is gone, or was ended by a [`super::Breaker`].
    pub fn push(&mut self, kind: u8, parts: &[&[u8]]) -> Result<()> {
        debug_assert!(kind < kind::SHARED, "the type {kind:#x} is not the service's own");
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > MAX_BODY_LEN {
            return Err(Error::protocol(format!("a record of {length} bytes is too long")));
        }
        self.make_room(length)?;
        self.batch.lay(kind, parts, length);
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
        kind: u8,
        most: u64,
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> Result<io::Result<usize>> {
        self.make_room(usize::try_from(most).unwrap_or(usize::MAX).min(LEAST_ROOM))?;
        let filled = read(&mut self.batch.bodies(most));
        if let Ok(count) = filled {
            self.batch.take_filled(kind, count);
        }
        Ok(filled)
    }

    /// Sees to it that one more body of `length` bytes fits into the batch.
    fn make_room(&mut self, length: usize) -> Result<()> {
        if self.batch.is_batch && self.batch.left().is_none_or(|left| left < length) {
            self.flush()?;
        }
        if !self.batch.is_batch {
            self.batch = Piece::batch(self.empty_room()?);
        }
        Ok(())
    }

    /// Room for a batch, once there is some.
    fn empty_room(&mut self) -> Result<Vec<u8>> {
        if let Ok(room) = self.empty.try_recv() {
            return Ok(room);
        }
        if self.to_make > 0 {
            self.to_make -= 1;
            return Ok(self.shared.new_room());
        }
        // The thread ends, and with it the wait, when the connection is gone or cut.
        self.empty.recv().map_err(|_| self.shared.broken().unwrap_or_else(super::ended))
    }

    /// What tells whether the connection is over.
    #[must_use]
    pub fn breaker(&self) -> Breaker {
        Breaker(self.shared.clone())
    }

    /// Seals the batch and hands it to the thread that writes. Waits only while all room is taken.
    ///
    /// # Errors
    /// The connection is gone, or was ended by a [`super::Breaker`].
    pub fn flush(&mut self) -> Result<()> {
        if let Some(error) = self.shared.broken() {
            return Err(error);
        }
        if self.batch.records.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        lock(&self.shared.line).send(batch)
    }

    /// Ends this direction in good order, and waits until everything is written.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn close(mut self) -> Result<()> {
        self.flush()?;
        self.is_ended = true;
        lock(&self.shared.line).last_words(None)?;
        // The thread has written everything when it lets go.
        while self.empty.recv().is_ok() {}
        self.shared.broken().map_or(Ok(()), Err)
    }

    /// Ends the connection, tells the other side why, and waits until it has closed; it has 5 s for that.
    pub fn fail(mut self, why: Reason, text: &str) {
        self.is_ended = true;
        self.shared.cut(why, text);
        self.shared.wait();
    }
}

impl Drop for BulkSender {
    /// Without a close the other side sees that something is missing.
    fn drop(&mut self) {
        if !self.is_ended {
            lock(&self.shared.line).out = None;
        }
    }
}

/// Writes what is sealed, in order, and gives signs of life when there is nothing.
fn write(shared: &Shared, queue: &mpsc::Receiver<Piece>, again: &mpsc::Sender<Vec<u8>>) {
    let mut throttle = Throttle::new(shared.rate);
    loop {
        let piece = match next(queue, shared.beat()) {
            Ok(Some(piece)) => piece,
            Ok(None) => match ping(&mut lock(&shared.line), queue) {
                Some(piece) => piece,
                None => continue,
            },
            Err(_) => break,
        };
        if !piece.is_batch {
            shared.answering.store(false, Ordering::Release);
        }
        if let Err(cause) = write_all(shared, &mut throttle, piece.sealed()) {
            shared.fail(format!("the connection was cut: {}", reason(&cause)));
            break;
        }
        if piece.is_batch {
            // Its owner may be gone.
            let _ = again.send(piece.room);
        }
    }
    // That is the end of this direction; if it is gone already, so much the better.
    let _ = shared.socket.shutdown(Shutdown::Write);
}

/// What is to be written after a silence: what came meanwhile, or else a PING.
fn ping(line: &mut Line, queue: &mpsc::Receiver<Piece>) -> Option<Piece> {
    if let Ok(piece) = queue.try_recv() {
        return Some(piece);
    }
    let mut ping = Piece::shared(kind::PING, &[]);
    ping.seal(&mut line.sealer).is_ok().then_some(ping)
}

/// Writes `bytes`. A write that is stuck is given up after a while if the connection was cut, or the other side says nothing any
/// more: it may have gone without a word to those who wait.
fn write_all(shared: &Shared, throttle: &mut Throttle, mut bytes: &[u8]) -> io::Result<()> {
    let mut socket = &shared.socket;
    let mut cut_at = None;
    let mut stuck_at = None;
    while !bytes.is_empty() {
        let is_cut = shared.is_cut.load(Ordering::Acquire);
        // The last words stand behind what is sealed already.
        let most = if is_cut { usize::MAX } else { throttle.most() };
        let now = bytes.get(..most.min(bytes.len())).unwrap_or_default();
        match socket.write(now) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                shared.sent.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
                stuck_at = None;
                if !is_cut {
                    throttle.rest(count);
                }
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if shared.is_silent.load(Ordering::Acquire) {
                    stuck_at.get_or_insert_with(Instant::now);
                }
            }
            Err(cause) => return Err(cause),
        }
        if is_cut {
            cut_at.get_or_insert_with(Instant::now);
        }
        let is_over = |since: Option<Instant>| since.is_some_and(|since| since.elapsed() > LAST_WORDS_WITHIN);
        if is_over(cut_at) || is_over(stuck_at) {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}
