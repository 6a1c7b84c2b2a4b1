//! The two threads of a local end: plain blocking reads and writes, which is the fastest way to move bytes here.

use keywire::conn::Batch;
use keywire::error::{Error, Result, reason};
use keywire::proto::pipe::DATA;
use keywire::record::MAX_BODY_LEN;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use tokio::sync::{mpsc, oneshot};

/// Records in one piece between a thread and the connection: enough that neither waits for the other often.
const RECORDS: usize = 16;

/// Room for one record in a piece: its type, and its body right behind it.
const RECORD: usize = 1 + MAX_BODY_LEN;

/// Pieces on their way between a thread and the connection: fewer than 4 make them wait for each other.
const PIECES: usize = 4;

/// Bytes that were read, laid out as DATA records that the cipher can read where they lie. What of it was never filled takes
/// no memory.
pub(crate) struct Piece {
    room: Vec<u8>,
    filled: usize,
}

impl Piece {
    fn new() -> Self {
        Piece { room: vec![0; RECORDS * RECORD], filled: 0 }
    }

    /// Reads once, into as many records as it fills; no bytes are the end.
    fn read(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
        let mut bodies = Vec::with_capacity(RECORDS);
        for record in self.room.chunks_exact_mut(RECORD) {
            if let Some((_, body)) = record.split_first_mut() {
                bodies.push(IoSliceMut::new(body));
            }
        }
        self.filled = reader.read_vectored(&mut bodies)?;
        // Only now: to write a type costs a page of memory, and a session may be idle for long.
        for kind in self.room.iter_mut().step_by(RECORD).take(self.filled.div_ceil(MAX_BODY_LEN)) {
            *kind = DATA;
        }
        Ok(self.filled)
    }

    /// The records that were filled: type and body.
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.room.chunks_exact(RECORD).enumerate().map_while(|(at, record)| {
            let body = self.filled.saturating_sub(at * MAX_BODY_LEN).min(MAX_BODY_LEN);
            record.get(..=body).filter(|_| body > 0)
        })
    }
}

/// A thread that reads.
pub(crate) struct Reading {
    full: mpsc::Receiver<io::Result<Piece>>,
    empty: mpsc::UnboundedSender<Piece>,
}

impl Reading {
    /// The next bytes; `None` at the end. Losing the future loses no byte.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Piece>> {
        self.full.recv().await
    }

    /// Lets the thread use a piece again.
    pub(crate) fn give_back(&self, piece: Piece) {
        // The thread may have reached its end.
        let _ = self.empty.send(piece);
    }
}

/// Starts to read.
pub(crate) fn read_pieces(mut reader: Box<dyn Read + Send>) -> Result<Reading> {
    let (give, full) = mpsc::channel(PIECES);
    let (empty, mut again) = mpsc::unbounded_channel::<Piece>();
    start(move || {
        loop {
            let mut piece = again.try_recv().unwrap_or_else(|_| Piece::new());
            let read = match piece.read(&mut *reader) {
                Ok(0) => break,
                Ok(_) => Ok(piece),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => Err(cause),
            };
            let failed = read.is_err();
            if give.blocking_send(read).is_err() || failed {
                break;
            }
        }
    })?;
    Ok(Reading { full, empty })
}

/// A thread that writes.
pub(crate) struct Writing {
    full: Option<mpsc::Sender<Batch>>,
    empty: mpsc::UnboundedReceiver<Batch>,
    /// `None` once it has ended.
    running: Option<oneshot::Receiver<io::Result<()>>>,
    outcome: io::Result<()>,
}

impl Writing {
    /// A batch to fill.
    pub(crate) fn room(&mut self) -> Batch {
        self.empty.try_recv().unwrap_or_default()
    }

    /// Whether the thread still takes bytes, as far as is known.
    pub(crate) fn takes_more(&self) -> bool {
        self.running.is_some()
    }

    /// Hands over bytes; `false` if the thread takes no more.
    pub(crate) async fn give(&self, batch: Batch) -> bool {
        match &self.full {
            Some(full) => full.send(batch).await.is_ok(),
            None => false,
        }
    }

    /// Waits until the thread takes no more: after a failure, or the end. Losing the future loses nothing.
    pub(crate) async fn ended(&mut self) {
        if let Some(running) = &mut self.running {
            self.outcome = running.await.unwrap_or_else(|_| Err(io::Error::other("the writing thread died")));
            self.running = None;
        }
    }

    /// Ends the stream, and waits until everything is written. Losing the future loses nothing.
    ///
    /// # Errors
    /// Something could not be written; told once.
    pub(crate) async fn conclude(&mut self) -> io::Result<()> {
        self.full = None;
        self.ended().await;
        std::mem::replace(&mut self.outcome, Ok(()))
    }
}

/// Starts to write.
pub(crate) fn write_pieces(mut writer: Box<dyn Write + Send>) -> Result<Writing> {
    let (full, mut take) = mpsc::channel::<Batch>(PIECES);
    let (again, empty) = mpsc::unbounded_channel();
    let (tell, running) = oneshot::channel();
    start(move || {
        let mut result = Ok(());
        while let Some(batch) = take.blocking_recv() {
            result = write_batch(&mut *writer, &batch);
            if result.is_err() {
                break;
            }
            // The connection may be over.
            let _ = again.send(batch);
        }
        // The end of the stream comes before the word that all is written.
        drop(writer);
        let _ = tell.send(result);
    })?;
    Ok(Writing { full: Some(full), empty, running: Some(running), outcome: Ok(()) })
}

/// Writes the bodies of the DATA records, up to what is none, in one call if the system takes them so.
fn write_batch(writer: &mut dyn Write, batch: &Batch) -> io::Result<()> {
    let data = batch.records().take_while(|record| record.kind == DATA);
    let mut bodies: Vec<IoSlice<'_>> = data.map(|record| IoSlice::new(record.body)).collect();
    let mut bodies = bodies.as_mut_slice();
    while !bodies.is_empty() {
        match writer.write_vectored(bodies) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut bodies, count),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    writer.flush()
}

/// Starts a thread that ends with its local end.
pub(crate) fn start(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let started = std::thread::Builder::new().spawn(work);
    started.map(drop).map_err(|cause| Error::state(format!("cannot start a thread: {}", reason(&cause))))
}
