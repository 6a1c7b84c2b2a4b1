//! Carries bytes between a local end and a connection, in both directions at once, to the end of both.
//!
//! Each direction ends with an EOF. CLOSE follows when this side has done its part: its EOF is sent, and what came is
//! delivered, or a command that did not want more has ended. So a CLOSE from the other side says that nothing was lost, and
//! everything else is said with an ERROR.

use crate::local::{End, Local, LocalKind};
use crate::threads::{Reading, Writing, read_pieces, write_pieces};
use keywire::conn::{Batch, Connection, Reason, Receiver, Sender};
use keywire::error::{Error, Result};
use keywire::proto::pipe::{EOF, Message};
use std::io;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the peer may take to close after us, and what came before an error may take to be written.
const LISTEN_ON: Duration = Duration::from_secs(5);

/// What ended a pipe before its end.
enum Fault {
    /// The peer or the way to it: there is nobody to tell.
    Peer(Error),
    /// This side, for the reason that the peer is given.
    Own(Reason, Error),
}

impl Fault {
    fn own(error: Error) -> Self {
        Fault::Own(Reason::Unavailable, error)
    }
}

/// Carries until both directions have ended in good order, or `stop` ends.
///
/// # Errors
/// The connection was cut, the peer could not deliver what was sent, the local end failed, or it is time to stop.
pub(crate) async fn carry(connection: Connection, local: Local, stop: impl Future<Output = ()>) -> Result<()> {
    let Local { reader, writer, mut end } = local;
    let (mut sender, mut receiver) = connection.split();
    let (mut read, mut write) = (read_pieces(reader)?, write_pieces(writer)?);
    let carried = tokio::select! {
        carried = both(&mut sender, &mut receiver, &mut read, &mut write, &mut end) => carried,
        () = stop => Err(Fault::Own(Reason::ShuttingDown, Error::network("kw-pipe was asked to end"))),
    };
    match carried {
        Ok(last) => {
            let closed = sender.close().await;
            let heard = match last {
                // The peer has said that it is done, and may be gone.
                Last::Ours => Ok(()),
                // It may take its time to deliver what it has.
                Last::Theirs(Wait::Long) => closed.and(closing(&mut receiver).await),
                // The command is gone: what still comes is nobody's.
                Last::Theirs(Wait::Short) => {
                    receiver.drain(LISTEN_ON).await;
                    closed
                }
            };
            end.finish().await;
            heard
        }
        Err(fault) => {
            // Before anything local could take this for an end in good order.
            end.cut();
            drop(read);
            let written = async {
                // Whoever reads gets what came. It may have stopped reading.
                let _ = tokio::time::timeout(LISTEN_ON, write.conclude()).await;
            };
            let told = async {
                match fault {
                    Fault::Peer(error) => error,
                    Fault::Own(why, error) => {
                        // It may be gone before it knows why.
                        if sender.fail(why, &error.to_string()).await.is_ok() {
                            receiver.drain(LISTEN_ON).await;
                        }
                        error
                    }
                }
            };
            let ((), error, ()) = tokio::join!(written, told, end.finish());
            Err(error)
        }
    }
}

/// Who still has to close.
enum Last {
    /// The peer has closed.
    Ours,
    /// The peer has not closed yet.
    Theirs(Wait),
}

/// How long the peer's close is worth waiting for.
enum Wait {
    Short,
    Long,
}

async fn both(
    sender: &mut Sender,
    receiver: &mut Receiver,
    read: &mut Reading,
    write: &mut Writing,
    end: &mut End,
) -> std::result::Result<Last, Fault> {
    let local = end.kind();
    let (tell_done, done) = oneshot::channel();
    let mut receiving = std::pin::pin!(async {
        receive(receiver, write, local).await?;
        // Whoever waited has ended with a fault of its own.
        let _ = tell_done.send(());
        closing(receiver).await.map_err(Fault::Peer)
    });
    let sending = async {
        send(sender, read, local).await?;
        // What a command said is whole only if the command says so too.
        sender.while_waiting(end.ended()).await.map_err(Fault::Peer)?.map_err(Fault::own)?;
        sender.send(EOF, &[]).await.map_err(Fault::Peer)?;
        if local.ends_alone() {
            return Ok(());
        }
        // The other direction may go on for long.
        sender.while_waiting(done).await.map(drop).map_err(Fault::Peer)
    };
    tokio::select! {
        biased;
        received = &mut receiving => received.map(|()| Last::Ours),
        sent = sending => sent.map(|()| Last::Theirs(if local.ends_alone() { Wait::Short } else { Wait::Long })),
    }
}

/// Local bytes to the peer, up to their end.
async fn send(sender: &mut Sender, read: &mut Reading, local: LocalKind) -> std::result::Result<(), Fault> {
    while let Some(piece) = sender.while_waiting(read.next()).await.map_err(Fault::Peer)? {
        let piece = piece.map_err(|cause| Fault::own(local.cannot("read", &cause)))?;
        for record in piece.records() {
            sender.push_text(record).map_err(Fault::own)?;
        }
        sender.flush().await.map_err(Fault::Peer)?;
        read.give_back(piece);
    }
    Ok(())
}

/// The peer's bytes to the local end, up to its EOF, and until they are written there.
async fn receive(receiver: &mut Receiver, write: &mut Writing, local: LocalKind) -> std::result::Result<(), Fault> {
    let mut wanted = true;
    let mut coming = Coming::More;
    while matches!(coming, Coming::More) {
        let mut batch = write.room();
        coming = tokio::select! {
            biased;
            taken = receiver.recv_batch(&mut batch) => look(taken, &batch)?,
            () = write.ended(), if wanted => Coming::More,
        };
        // What came before a fault is delivered too.
        wanted = wanted && write.takes_more() && write.give(batch).await;
        if let Coming::Nonsense(error) = coming {
            return Err(Fault::Own(Reason::BadRequest, error));
        }
        if !wanted && !local.ends_alone() {
            break;
        }
    }
    match write.conclude().await {
        // A command may end before it has read everything: that is for the command to say.
        Err(cause) if !(local.ends_alone() && cause.kind() == io::ErrorKind::BrokenPipe) => {
            Err(Fault::own(local.cannot("write", &cause)))
        }
        _ => Ok(()),
    }
}

/// What a batch says of what comes after it.
enum Coming {
    More,
    /// Its last record was the EOF.
    Nothing,
    Nonsense(Error),
}

fn look(taken: Result<bool>, batch: &Batch) -> std::result::Result<Coming, Fault> {
    if !taken.map_err(Fault::Peer)? {
        return Err(Fault::Peer(Error::network("the peer closed before the end of its stream")));
    }
    let mut coming = Coming::More;
    for record in batch.records() {
        match (Message::decode(&record), &coming) {
            (Err(error), _) => return Ok(Coming::Nonsense(error)),
            (Ok(_), Coming::Nothing) => {
                return Ok(Coming::Nonsense(Error::protocol("something follows the end of the stream")));
            }
            (Ok(Message::Eof), _) => coming = Coming::Nothing,
            (Ok(Message::Data(_)), _) => {}
        }
    }
    Ok(coming)
}

/// The peer's CLOSE after its EOF.
async fn closing(receiver: &mut Receiver) -> Result<()> {
    match receiver.recv().await? {
        None => Ok(()),
        Some(_) => Err(Error::protocol("something follows the end of the stream")),
    }
}
