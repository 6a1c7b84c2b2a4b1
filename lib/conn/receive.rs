//! The receiving half of a connection.

use super::Reason;
use super::intake::{Intake, Taken, after_close, whole_frame};
use super::pulse::{Pulse, Silence};
use crate::error::{Error, Result, reason};
use crate::frame::{Fields, LENGTH_LEN, MAX_FRAME_LEN};
use crate::key::PublicKey;
use crate::record::Opener;
use crate::seal::TAG_LEN;
use crate::term::sanitize_line;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

/// Longest text in an ERROR record.
pub const MAX_ERROR_TEXT: usize = 1000;

/// Room that a connection has while little comes: a screenful.
const IDLE_ROOM: usize = 8 << 10;

/// Room that a connection under full load has: some 16 of the largest records, so that one read brings many.
const FULL_ROOM: usize = 1 << 20;

/// One record of the service's own.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its type, below 0xF0.
    pub kind: u8,
    /// Its body.
    pub body: &'a [u8],
}

/// Records that came together, in the buffer that they came in.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) buffer: Vec<u8>,
    pub(super) records: Vec<(u8, Range<usize>)>,
}

impl Batch {
    /// The records, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let body = |body: &Range<usize>| self.buffer.get(body.clone()).unwrap_or_default();
        self.records.iter().map(move |(kind, place)| Record { kind: *kind, body: body(place) })
    }
}

/// Receives records in order and opens them in place.
pub struct Receiver {
    pub(super) socket: OwnedReadHalf,
    pub(super) intake: Intake,
    pub(super) buffer: Vec<u8>,
    /// The part of the buffer that came and was not taken yet.
    pub(super) filled: Range<usize>,
    state: State,
    /// A record that was looked for and not taken yet.
    kept: Option<(u8, Range<usize>)>,
    /// Whether a PONG has come.
    answered: bool,
    /// An error that was found behind records that are still to be taken.
    fault: Option<Error>,
    silence: Silence,
    pulse: Arc<Pulse>,
}

/// How far the other side's direction is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// It was closed in good order.
    Ended,
    /// After an error nothing that comes means anything: a record that did not open must not be skipped.
    Broken,
}

/// What the bytes at hand come to.
enum Step {
    Record(u8, Range<usize>),
    Incomplete,
    End,
}

impl Receiver {
    pub(super) fn new(socket: OwnedReadHalf, opener: Opener, pulse: Arc<Pulse>, me: PublicKey) -> Self {
        let buffer = vec![0; IDLE_ROOM];
        let silence = pulse.silence();
        Receiver {
            socket,
            intake: Intake::new(opener, me),
            buffer,
            filled: 0..0,
            state: State::Open,
            kept: None,
            answered: false,
            fault: None,
            silence,
            pulse,
        }
    }

    /// The next record, or `None` when the other side has closed its direction in good order. Losing the future loses no
    /// byte.
    ///
    /// # Errors
    /// The other side ended the connection with an error; or the connection was cut, which is never taken for an end; or
    /// the other side broke the protocol, or gave no sign of life. Nothing more can be received then.
    pub async fn recv(&mut self) -> Result<Option<Record<'_>>> {
        loop {
            match self.step()? {
                Step::Record(kind, body) => return Ok(Some(self.record(kind, body))),
                Step::End => return Ok(None),
                Step::Incomplete => self.fill().await?,
            }
        }
    }

    /// All records that are here, waiting for the first of them; `false` when the other side has closed its direction. They
    /// come in the buffer that they came in, and `batch`'s own is used from now on: no byte is copied. Losing the future
    /// loses no byte.
    ///
    /// # Errors
    /// Those of [`Receiver::recv`], after what came before.
    pub async fn recv_batch(&mut self, batch: &mut Batch) -> Result<bool> {
        batch.records.clear();
        loop {
            match self.step() {
                Ok(Step::Record(kind, body)) => {
                    batch.records.push((kind, body));
                    continue;
                }
                Ok(Step::Incomplete) if batch.records.is_empty() => {
                    self.fill().await?;
                    continue;
                }
                Ok(Step::End) if batch.records.is_empty() => return Ok(false),
                Ok(Step::Incomplete | Step::End) => {}
                Err(error) if batch.records.is_empty() => return Err(error),
                Err(error) => self.fault = Some(error),
            }
            self.change_buffers(batch);
            return Ok(true);
        }
    }

    /// Waits for an answer to a PING or for the first record, which stays to be received. Losing the future loses no byte.
    pub(super) async fn first_sign(&mut self) -> Result<()> {
        loop {
            match self.step()? {
                Step::Record(kind, body) => self.kept = Some((kind, body)),
                Step::Incomplete if !self.answered => {
                    self.fill().await?;
                    continue;
                }
                Step::Incomplete | Step::End => {}
            }
            return Ok(());
        }
    }

    /// Gives the buffer away and goes on in the batch's, with what is left over.
    fn change_buffers(&mut self, batch: &mut Batch) {
        let left = self.filled.len();
        batch.buffer.resize(self.buffer.len(), 0);
        if let (Some(to), Some(from)) = (batch.buffer.get_mut(..left), self.buffer.get(self.filled.clone())) {
            to.copy_from_slice(from);
        }
        std::mem::swap(&mut self.buffer, &mut batch.buffer);
        self.filled = 0..left;
    }

    fn record(&self, kind: u8, body: Range<usize>) -> Record<'_> {
        Record { kind, body: self.buffer.get(body).unwrap_or_default() }
    }

    fn step(&mut self) -> Result<Step> {
        if self.state == State::Broken {
            return Err(self.fault.take().unwrap_or_else(|| Error::protocol("nothing can follow an error")));
        }
        if let Some((kind, body)) = self.kept.take() {
            return Ok(Step::Record(kind, body));
        }
        let step = self.next_step();
        if step.is_err() {
            self.state = State::Broken;
        }
        step
    }

    /// Takes frames off the buffer up to the next record that is the service's own.
    fn next_step(&mut self) -> Result<Step> {
        while self.state == State::Open {
            let filled = self.buffer.get(self.filled.clone()).unwrap_or_default();
            let Some(length) = whole_frame(filled)? else { return Ok(Step::Incomplete) };
            let frame = self.filled.start + LENGTH_LEN..self.filled.start + length;
            self.filled.start = frame.end;
            self.pulse.hear();
            let body = frame.start + 1..frame.end - TAG_LEN;
            match self.intake.take(self.buffer.get_mut(frame).unwrap_or_default())? {
                Taken::Record(kind) => return Ok(Step::Record(kind, body)),
                Taken::Ping => self.pulse.owe_answer(),
                Taken::Pong => self.answered = true,
                Taken::End if self.filled.is_empty() => self.state = State::Ended,
                Taken::End => return Err(after_close()),
            }
        }
        Ok(Step::End)
    }

    /// Takes and forgets whatever still comes, up to the other side's end, for at most `within`. Closing a socket that
    /// holds unread bytes resets the connection, and a reset overtakes the last words that were sent.
    pub async fn drain(mut self, within: Duration) {
        let drained = async { while matches!(self.socket.read(&mut self.buffer).await, Ok(1..)) {} };
        // The other side had its time.
        let _ = tokio::time::timeout(within, drained).await;
    }

    /// Reads what has come into the buffer, making room first. Losing the future loses no byte.
    async fn fill(&mut self) -> Result<()> {
        self.make_room();
        loop {
            let free = self.buffer.get_mut(self.filled.end..).unwrap_or_default();
            let room = free.len();
            tokio::select! {
                biased;
                read = self.socket.read(free) => {
                    let count = read.map_err(|cause| Error::network(format!("the connection was cut: {}", reason(&cause))))?;
                    if count == 0 {
                        return Err(Error::network("the connection was cut: it ended without a close"));
                    }
                    self.silence.broken();
                    self.filled.end += count;
                    if count == room && self.buffer.len() < FULL_ROOM {
                        self.buffer.resize(self.buffer.len() * 2, 0);
                    }
                    return Ok(());
                }
                gone = self.silence.lasts() => {
                    if gone {
                        return Err(Error::network("the connection was lost: the other side gives no sign of life"));
                    }
                    if self.filled.is_empty() && self.buffer.len() > IDLE_ROOM {
                        self.filled = 0..0;
                        self.buffer = vec![0; IDLE_ROOM];
                    }
                }
            }
        }
    }

    /// Moves what is left to the front when the frame it begins would not fit behind it, and grows for a large one.
    fn make_room(&mut self) {
        if self.filled.is_empty() {
            self.filled = 0..0;
        }
        let filled = self.buffer.get(self.filled.clone()).unwrap_or_default();
        let frame = match filled.split_first_chunk::<LENGTH_LEN>() {
            Some((length, _)) => LENGTH_LEN + usize::from(u16::from_be_bytes(*length)),
            None => LENGTH_LEN,
        };
        debug_assert!(frame <= LENGTH_LEN + MAX_FRAME_LEN, "two bytes say no more");
        if self.filled.start + frame > self.buffer.len() || self.filled.end == self.buffer.len() {
            let length = self.filled.len();
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..length;
            if frame > self.buffer.len() {
                self.buffer.resize(frame, 0);
            }
        }
    }
}

/// What an ERROR record says.
pub(super) fn told(body: &[u8], me: &PublicKey) -> Error {
    let mut fields = Fields::new(body);
    let (code, text) = match fields.u8().and_then(|code| Ok((code, fields.text(MAX_ERROR_TEXT)?))) {
        Ok((code, text)) => (code, sanitize_line(text)),
        Err(broken) => return broken,
    };
    match Reason::from_code(code) {
        Some(Reason::Refused) => Error::refused(format!("host refused this key ({me}): {text}")),
        Some(Reason::BadRequest) => Error::protocol(format!("the other side does not understand: {text}")),
        Some(Reason::Unavailable) => Error::network(format!("the other side cannot: {text}")),
        Some(Reason::ShuttingDown) => Error::network(format!("the other side is going away: {text}")),
        None => Error::network(format!("the other side ended the connection (code {code}): {text}")),
    }
}
