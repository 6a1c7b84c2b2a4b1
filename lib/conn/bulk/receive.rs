//! The receiving half: a thread reads, and whoever receives opens what it has read.

use super::{BATCHES, LAST_WORDS_WITHIN, LOOK_EVERY, Shared, Throttle, next};
use crate::conn::intake::{Intake, Taken, after_close, whole_frame};
use crate::conn::{Batch, KEEPALIVE_MISSED};
use crate::error::{Error, Result, reason};
use crate::frame::LENGTH_LEN;
use crate::seal::TAG_LEN;
use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Takes what a thread has read, and opens it.
pub struct BulkReceiver {
    shared: Arc<Shared>,
    came: mpsc::Receiver<Came>,
    again: mpsc::Sender<Vec<u8>>,
    intake: Intake,
    batch: Batch,
    /// The batch is to be handed out once more.
    is_kept: bool,
    state: State,
    /// An error behind records that were handed out before it.
    fault: Option<Error>,
}

/// How far the other side's direction is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// It was closed in good order.
    Ended,
    /// After an error nothing that comes means anything.
    Broken,
}

/// What the thread hands over.
pub(super) enum Came {
    /// Room whose first bytes are so many bytes of whole frames.
    Frames(Vec<u8>, usize),
    /// Nothing more comes, for this reason.
    End(Error),
    /// The connection was ended on this side.
    Over,
}

impl BulkReceiver {
    /// `rest` has come already.
    pub(super) fn start(
        shared: Arc<Shared>,
        came: mpsc::Receiver<Came>,
        intake: Intake,
        rest: Vec<u8>,
    ) -> Result<Self> {
        let (again, empty) = mpsc::channel();
        for _ in 0..BATCHES {
            let _ = again.send(shared.new_room());
        }
        shared.start(move |shared| {
            let ended = Reading { shared, empty, left: rest }.run();
            shared.is_silent.store(true, Ordering::Release);
            let _ = shared.wake.send(Came::End(ended));
        })?;
        let batch = Batch::default();
        Ok(BulkReceiver { shared, came, again, intake, batch, is_kept: false, state: State::Open, fault: None })
    }

    /// All records that are here, waiting for the first of them; `None` when the other side has closed its direction in good
    /// order.
    ///
    /// # Errors
    /// Those of [`crate::conn::Receiver::recv`]; and that a [`super::Breaker`] ended the connection.
    pub fn recv(&mut self) -> Result<Option<&Batch>> {
        while self.go_on()? {
            if std::mem::take(&mut self.is_kept) {
                return Ok(Some(&self.batch));
            }
            // This half keeps a sender of the queue itself, so that it never ends.
            let came = self.came.recv().unwrap_or(Came::Over);
            if self.open(came)? {
                return Ok(Some(&self.batch));
            }
        }
        Ok(None)
    }

    /// The same without waiting: `None` when nothing whole is here.
    ///
    /// # Errors
    /// Those of [`BulkReceiver::recv`].
    pub fn try_recv(&mut self) -> Result<Option<&Batch>> {
        while self.go_on()? {
            if std::mem::take(&mut self.is_kept) {
                return Ok(Some(&self.batch));
            }
            let Ok(came) = self.came.try_recv() else { return Ok(None) };
            if self.open(came)? {
                return Ok(Some(&self.batch));
            }
        }
        Ok(None)
    }

    /// Takes the first `count` records of the last batch for done; the rest of it comes again with the next receive.
    pub fn take_only(&mut self, count: usize) {
        self.batch.records.drain(..count.min(self.batch.records.len()));
        self.is_kept = !self.batch.records.is_empty();
    }

    /// Whether the other side has closed its direction.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Ended
    }

    /// The better reason for a failure to send: what the other side said last, if it said anything.
    #[must_use]
    pub fn reason_for(&mut self, failure: Error) -> Error {
        if self.shared.is_cut.load(Ordering::Acquire) {
            return failure;
        }
        let patience = Instant::now() + LAST_WORDS_WITHIN;
        while self.state == State::Open {
            let left = patience.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match next(&self.came, left) {
                Ok(Some(Came::Frames(room, whole))) => match self.open(Came::Frames(room, whole)) {
                    Ok(_) => self.recall(),
                    Err(said) => return said,
                },
                Ok(Some(Came::End(said))) => return said,
                _ => break,
            }
        }
        self.fault.take().unwrap_or(failure)
    }

    /// Whether more may come. Lets the thread use the last batch's room again.
    fn go_on(&mut self) -> Result<bool> {
        if self.shared.is_cut.load(Ordering::Acquire) {
            self.state = State::Broken;
            return Err(self.shared.broken().unwrap_or_else(super::ended));
        }
        if self.is_kept {
            return Ok(true);
        }
        self.recall();
        match self.state {
            State::Open => Ok(true),
            State::Ended => Ok(false),
            State::Broken => Err(self.fault.take().unwrap_or_else(|| Error::protocol("nothing can follow an error"))),
        }
    }

    fn recall(&mut self) {
        self.batch.records.clear();
        if !self.batch.buffer.is_empty() {
            // The thread may have ended.
            let _ = self.again.send(std::mem::take(&mut self.batch.buffer));
        }
    }

    /// Opens the frames that came; whether there are records of the service's own among them.
    fn open(&mut self, came: Came) -> Result<bool> {
        let (room, whole) = match came {
            Came::Frames(room, whole) => (room, whole),
            Came::End(error) => {
                self.state = State::Broken;
                self.shared.fail(error.to_string());
                // Without a close it is nobody who will read what is still to be written.
                let _ = self.shared.socket.shutdown(Shutdown::Both);
                return Err(self.shared.broken().unwrap_or(error));
            }
            Came::Over => return Ok(false),
        };
        self.batch.buffer = room;
        if let Err(error) = self.open_frames(whole) {
            self.state = State::Broken;
            if self.batch.records.is_empty() {
                return Err(error);
            }
            self.fault = Some(error);
        }
        Ok(!self.batch.records.is_empty())
    }

    fn open_frames(&mut self, whole: usize) -> Result<()> {
        let mut at = 0;
        while at < whole {
            if self.state == State::Ended {
                return Err(after_close());
            }
            let rest = self.batch.buffer.get(at..whole).unwrap_or_default();
            let Some(length) = whole_frame(rest)? else { break };
            let frame = at + LENGTH_LEN..at + length;
            at = frame.end;
            let body = frame.start + 1..frame.end - TAG_LEN;
            match self.intake.take(self.batch.buffer.get_mut(frame).unwrap_or_default())? {
                Taken::Record(kind) => self.batch.records.push((kind, body)),
                Taken::Ping => self.shared.answer()?,
                Taken::Pong => {}
                Taken::End => self.state = State::Ended,
            }
        }
        Ok(())
    }
}

impl Drop for BulkReceiver {
    /// Nobody takes what still comes. After a cut the thread takes it, so that the last words are not overtaken by a reset.
    fn drop(&mut self) {
        if !self.shared.is_cut.load(Ordering::Acquire) {
            let _ = self.shared.socket.shutdown(Shutdown::Read);
        }
    }
}

/// The thread at the socket.
struct Reading<'a> {
    shared: &'a Shared,
    empty: mpsc::Receiver<Vec<u8>>,
    /// The beginning of a frame that is not whole yet.
    left: Vec<u8>,
}

impl Reading<'_> {
    /// Reads to the end, and says why it is one.
    fn run(mut self) -> Error {
        let mut throttle = Throttle::new(self.shared.rate);
        loop {
            let Some(mut room) = self.empty_room() else { return self.drain() };
            match self.fill(&mut room, &mut throttle) {
                Ok(whole) => {
                    if self.shared.wake.send(Came::Frames(room, whole)).is_ok() {
                        continue;
                    }
                    return if self.shared.is_cut.load(Ordering::Acquire) { self.drain() } else { super::ended() };
                }
                Err(_) if self.shared.is_cut.load(Ordering::Acquire) => return self.drain(),
                Err(error) => return error,
            }
        }
    }

    /// Room to read into, once there is some; `None` if nobody wants it.
    fn empty_room(&self) -> Option<Vec<u8>> {
        loop {
            if self.shared.is_cut.load(Ordering::Acquire) {
                return None;
            }
            match next(&self.empty, LOOK_EVERY) {
                Ok(Some(room)) => return Some(room),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
    }

    /// Reads until there is a whole frame; says how many bytes of whole frames there are, and keeps what is behind them.
    fn fill(&mut self, room: &mut [u8], throttle: &mut Throttle) -> Result<usize> {
        let mut filled = self.left.len();
        if let Some(front) = room.get_mut(..filled) {
            front.copy_from_slice(&self.left);
        }
        self.left.clear();
        let (mut whole, mut missed) = (0, 0);
        loop {
            while let Some(length) = whole_frame(room.get(whole..filled).unwrap_or_default()).transpose() {
                // A frame that cannot be is told where it is opened, after what came before it.
                let Ok(length) = length else { return Ok(filled) };
                whole += length;
            }
            if whole > 0 {
                self.left.extend_from_slice(room.get(whole..filled).unwrap_or_default());
                return Ok(whole);
            }
            let free = room.get_mut(filled..).unwrap_or_default();
            let free = free.get_mut(..throttle.most().min(free.len())).unwrap_or_default();
            let mut socket = &self.shared.socket;
            match socket.read(free) {
                Ok(0) => return Err(Error::network("the connection was cut: it ended without a close")),
                Ok(count) => {
                    filled += count;
                    missed = 0;
                    self.shared.received.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
                    throttle.rest(count);
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    missed += 1;
                    if missed >= KEEPALIVE_MISSED {
                        // A write that is stuck must end too.
                        let _ = self.shared.socket.shutdown(Shutdown::Both);
                        let why = "the connection was lost: the other side gives no sign of life";
                        return Err(Error::network(why));
                    }
                }
                Err(cause) => return Err(Error::network(format!("the connection was cut: {}", reason(&cause)))),
            }
        }
    }

    /// Takes and forgets what still comes: closing a socket that holds unread bytes resets the connection, and a reset
    /// overtakes the last words.
    fn drain(&mut self) -> Error {
        let mut room = vec![0; 64 << 10];
        let until = Instant::now() + LAST_WORDS_WITHIN;
        let _ = self.shared.socket.set_read_timeout(Some(LOOK_EVERY));
        while Instant::now() < until {
            let mut socket = &self.shared.socket;
            match socket.read(&mut room) {
                Ok(1..) => {}
                Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                _ => break,
            }
        }
        super::ended()
    }
}
