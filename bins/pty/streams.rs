//! Standard input, output and error, each on a thread of its own: whichever is stuck holds up no other, nor the connection.

use keywire::proto::pty::Stream;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::mpsc;
use tokio::sync::mpsc as channel;

/// Most bytes of standard input in one piece: one record.
const PIECE: usize = keywire::record::MAX_BODY_LEN;

/// Pieces of standard input that may wait for the network.
const PIECES: usize = 4;

/// Reads standard input. The thread ends with the process: nothing else can end a read of a terminal.
pub(crate) fn read_stdin() -> io::Result<channel::Receiver<Vec<u8>>> {
    let (pieces, read) = channel::channel(PIECES);
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        loop {
            match stdin.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => {
                    if pieces.blocking_send(piece.get(..count).unwrap_or_default().to_vec()).is_err() {
                        break;
                    }
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                // A terminal that is gone has no more to say.
                Err(_) => break,
            }
        }
    });
    Ok(read)
}

/// What became of bytes that were handed to a stream.
pub(crate) enum Written {
    /// So many were written.
    Bytes(Stream, u32),
    /// The stream takes no more.
    Failed(Stream, io::Error),
}

/// Writes standard output and standard error.
pub(crate) struct Outputs {
    stdout: mpsc::Sender<Vec<u8>>,
    stderr: mpsc::Sender<Vec<u8>>,
    written: channel::UnboundedReceiver<Written>,
    /// Bytes that were handed over and not written yet; the credit that was granted bounds them.
    waiting: u64,
}

impl Outputs {
    pub(crate) fn new() -> io::Result<Self> {
        let (tell, written) = channel::unbounded_channel();
        let stdout = write(Stream::Stdout, &io::stdout(), tell.clone())?;
        let stderr = write(Stream::Stderr, &io::stderr(), tell)?;
        Ok(Outputs { stdout, stderr, written, waiting: 0 })
    }

    /// Hands `bytes` to a stream.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let thread = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        // A stream that has failed has said so, and takes nothing more.
        if thread.send(bytes.to_vec()).is_ok() {
            self.waiting += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        }
    }

    /// Whether all that was handed over is written.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting == 0
    }

    /// Waits for something to be written. Losing the future loses nothing.
    pub(crate) async fn written(&mut self) -> Written {
        match self.written.recv().await {
            Some(Written::Bytes(stream, count)) => {
                self.waiting = self.waiting.saturating_sub(u64::from(count));
                Written::Bytes(stream, count)
            }
            Some(failed) => {
                self.waiting = 0;
                failed
            }
            None => std::future::pending().await,
        }
    }
}

/// Writes to `out` on a thread of its own. The descriptor itself is written to: the standard library's own standard output
/// would cut the bytes into lines.
fn write(
    stream: Stream,
    out: &impl AsFd,
    tell: channel::UnboundedSender<Written>,
) -> io::Result<mpsc::Sender<Vec<u8>>> {
    let (hand_over, taken) = mpsc::channel::<Vec<u8>>();
    let mut out = File::from(out.as_fd().try_clone_to_owned()?);
    std::thread::spawn(move || {
        for bytes in taken {
            let result = out.write_all(&bytes);
            let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let (told, failed) = match result {
                Ok(()) => (Written::Bytes(stream, count), false),
                Err(cause) => (Written::Failed(stream, cause), true),
            };
            if tell.send(told).is_err() || failed {
                break;
            }
        }
    });
    Ok(hand_over)
}
