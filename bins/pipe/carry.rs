//! Carries bytes between a local end and a connection, in both directions at once, to the end of both.

use crate::local::Local;
use keywire::conn::{Connection, Receiver, Sender};
use keywire::error::{Error, Kind, Result, reason};
use keywire::proto::pipe::{DATA, EOF, Message};
use keywire::record::MAX_BODY_LEN;
use std::io::{self, Read, Write};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Bytes in one piece between a thread and the connection: enough that neither waits for the other often.
const PIECE: usize = 16 * MAX_BODY_LEN;

/// Pieces on their way between a thread and the connection: fewer than 4 make them wait for each other.
const PIECES: usize = 4;

/// How long the peer may take to close after us.
const LISTEN_ON: Duration = Duration::from_secs(5);

/// Carries until both directions have ended in good order.
///
/// # Errors
/// The connection was cut, the peer stopped reading, or the local end failed.
pub(crate) async fn carry(connection: Connection, local: Local) -> Result<()> {
    let (mut sender, mut receiver) = connection.split();
    let (mut read, write) = (read_pieces(local.reader), write_pieces(local.writer));
    let (told_done, done) = oneshot::channel();
    let carried = tokio::try_join!(
        async {
            send(&mut sender, &mut read).await?;
            // The other direction may go on for long.
            sender.while_waiting(done).await.map(drop)
        },
        async {
            receive(&mut receiver, write).await?;
            // Whoever waited has ended with an error of its own.
            let _ = told_done.send(());
            Ok(())
        },
    );
    let outcome = match carried {
        Ok(_) => {
            sender.close().await?;
            match receiver.recv().await? {
                None => Ok(()),
                Some(_) => Err(Error::protocol("bytes after the end of the stream")),
            }
        }
        Err(error) => {
            // In good order as far as we are concerned: what was received is complete, and no more is wanted.
            if sender.close().await.is_ok() && error.kind() == Kind::ClosedOutput {
                receiver.drain(LISTEN_ON).await;
            }
            Err(error)
        }
    };
    local.end.end();
    outcome
}

/// Local bytes to the peer, then the end.
async fn send(sender: &mut Sender, read: &mut Pieces) -> Result<()> {
    while let Some(piece) = sender.while_waiting(read.full.recv()).await? {
        let piece = piece.map_err(|cause| Error::state(format!("cannot read the input: {}", reason(&cause))))?;
        for body in piece.chunks(MAX_BODY_LEN) {
            sender.push(DATA, &[body])?;
        }
        sender.flush().await?;
        // The reading thread may have reached its end.
        let _ = read.empty.send(piece);
    }
    sender.send(EOF, &[]).await
}

/// The peer's bytes to the local end, up to its EOF.
async fn receive(receiver: &mut Receiver, write: Writing) -> Result<()> {
    let Writing { full, mut empty, outcome } = write;
    let mut piece = Vec::new();
    let mut ended = false;
    while !ended {
        let mut record = receiver.recv().await?;
        // All that is here already, up to a whole piece, before the next system call.
        while let Some(found) = record {
            match Message::decode(&found)? {
                Message::Data(bytes) => piece.extend_from_slice(bytes),
                Message::Eof => ended = true,
            }
            record = if ended || piece.len() >= PIECE { None } else { receiver.ready()? };
        }
        if piece.is_empty() && !ended {
            return Err(Error::network("the peer closed before the end of its stream: it reads no more"));
        }
        if !piece.is_empty() && full.send(piece).await.is_err() {
            break;
        }
        piece = empty.try_recv().unwrap_or_default();
    }
    drop(full);
    outcome.await.unwrap_or(Ok(())).map_err(|cause| Error::output(&cause))
}

/// Pieces that a thread has read, and empty ones on their way back to it.
struct Pieces {
    full: mpsc::Receiver<io::Result<Vec<u8>>>,
    empty: mpsc::UnboundedSender<Vec<u8>>,
}

fn read_pieces(mut reader: Box<dyn Read + Send>) -> Pieces {
    let (give, full) = mpsc::channel(PIECES);
    let (empty, mut again) = mpsc::unbounded_channel::<Vec<u8>>();
    std::thread::spawn(move || {
        loop {
            let mut piece = again.try_recv().unwrap_or_default();
            piece.resize(PIECE, 0);
            let read = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => {
                    piece.truncate(count);
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
    });
    Pieces { full, empty }
}

/// Pieces for a thread to write, empty ones on their way back, and what became of it all.
struct Writing {
    full: mpsc::Sender<Vec<u8>>,
    empty: mpsc::UnboundedReceiver<Vec<u8>>,
    outcome: oneshot::Receiver<io::Result<()>>,
}

fn write_pieces(mut writer: Box<dyn Write + Send>) -> Writing {
    let (full, mut take) = mpsc::channel::<Vec<u8>>(PIECES);
    let (again, empty) = mpsc::unbounded_channel();
    let (tell, outcome) = oneshot::channel();
    std::thread::spawn(move || {
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
    });
    Writing { full, empty, outcome }
}
