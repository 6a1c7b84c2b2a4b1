//! The two threads of a local end: plain blocking reads and writes, which is the fastest way to move bytes here.

use keywire::error::{Error, Result, reason};
use keywire::record::MAX_BODY_LEN;
use std::io::{self, Read, Write};
use tokio::sync::{mpsc, oneshot};

/// Bytes in one piece between a thread and the connection: enough that neither waits for the other often.
const PIECE: usize = 16 * MAX_BODY_LEN;

/// Pieces on their way between a thread and the connection: fewer than 4 make them wait for each other.
const PIECES: usize = 4;

/// Bytes that were read, in a buffer that is used again. What of it was never filled takes no memory.
pub(crate) struct Piece {
    room: Vec<u8>,
    filled: usize,
}

impl Piece {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.room.get(..self.filled).unwrap_or_default()
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
            let mut piece = again.try_recv().unwrap_or_else(|_| Piece { room: vec![0; PIECE], filled: 0 });
            let read = match reader.read(&mut piece.room) {
                Ok(0) => break,
                Ok(count) => {
                    piece.filled = count;
                    Ok(piece)
                }
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
    full: Option<mpsc::Sender<Vec<u8>>>,
    empty: mpsc::UnboundedReceiver<Vec<u8>>,
    /// `None` once it has ended.
    running: Option<oneshot::Receiver<io::Result<()>>>,
    outcome: io::Result<()>,
}

impl Writing {
    /// A buffer to fill.
    pub(crate) fn room(&mut self) -> Vec<u8> {
        self.empty.try_recv().unwrap_or_default()
    }

    /// Whether the thread still takes bytes, as far as is known.
    pub(crate) fn takes_more(&self) -> bool {
        self.running.is_some()
    }

    /// Hands over bytes; `false` if the thread takes no more.
    pub(crate) async fn give(&self, piece: Vec<u8>) -> bool {
        match &self.full {
            Some(full) => full.send(piece).await.is_ok(),
            None => false,
        }
    }

    /// Waits until the thread takes no more: after a failure, or the end. Losing the future loses nothing.
    pub(crate) async fn ended(&mut self) {
        if let Some(running) = &mut self.running {
            self.outcome = running.await.unwrap_or(Ok(()));
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

/// Whether it is time to write `piece`.
pub(crate) fn is_full(piece: &[u8]) -> bool {
    piece.len() >= PIECE
}

/// Starts to write.
pub(crate) fn write_pieces(mut writer: Box<dyn Write + Send>) -> Result<Writing> {
    let (full, mut take) = mpsc::channel::<Vec<u8>>(PIECES);
    let (again, empty) = mpsc::unbounded_channel();
    let (tell, running) = oneshot::channel();
    start(move || {
        let mut result = Ok(());
        while let Some(mut piece) = take.blocking_recv() {
            result = writer.write_all(&piece).and_then(|()| writer.flush());
            if result.is_err() {
                break;
            }
            piece.clear();
            // The connection may be over.
            let _ = again.send(piece);
        }
        // The end of the stream comes before the word that all is written.
        drop(writer);
        let _ = tell.send(result);
    })?;
    Ok(Writing { full: Some(full), empty, running: Some(running), outcome: Ok(()) })
}

/// Starts a thread that ends with its local end.
pub(crate) fn start(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let started = std::thread::Builder::new().spawn(work);
    started.map(drop).map_err(|cause| Error::state(format!("cannot start a thread: {}", reason(&cause))))
}
