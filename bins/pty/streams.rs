//! Standard input, output and error.
//!
//! A terminal is read and written where the session is served: a key would feel every thread between it and the
//! connection. Everything else has a thread of its own, since a file cannot be waited for, and what others made blocking
//! must stay so. Either way whichever is stuck holds up no other, nor the connection.

use keywire::patient::Patient;
use keywire::proto::pty::Stream;
use keywire::sys::AsyncFile;
use nix::libc::{O_NOCTTY, O_NONBLOCK};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc as channel;

/// Most bytes of standard input in one piece: one record.
const PIECE: usize = keywire::record::MAX_BODY_LEN;

/// Pieces of standard input that may wait for the network.
const PIECES: usize = 4;

/// Most bytes of output in one piece: few enough that the host hears early that it may go on.
const ONE_WRITE: usize = 256 << 10;

/// Pieces of room that are kept: one is filled while the other is written.
const SPARE: usize = 2;

/// The terminal on `stream`, opened anew by its name: what is non-blocking here stays as it is for everyone else who has
/// it open. `None` if it is none, or may not be opened, as after a change of user.
fn terminal(stream: &impl AsFd) -> Option<AsyncFile> {
    let name = nix::unistd::ttyname(stream).ok()?;
    let file = File::options().read(true).write(true).custom_flags(O_NOCTTY | O_NONBLOCK).open(name).ok()?;
    AsyncFile::new(file.into()).ok()
}

/// Standard input.
pub(crate) enum Source {
    Terminal(AsyncFile),
    Thread(channel::Receiver<Vec<u8>>),
}

impl Source {
    pub(crate) fn stdin() -> io::Result<Self> {
        let stdin = io::stdin();
        match terminal(&stdin) {
            Some(terminal) => Ok(Source::Terminal(terminal)),
            None => Ok(Source::Thread(read(Patient::of(&stdin)?))),
        }
    }

    /// The next piece; `None` at the end. Losing the future loses no byte.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        let terminal = match self {
            Source::Terminal(terminal) => terminal,
            Source::Thread(pieces) => return pieces.recv().await,
        };
        loop {
            // A terminal that is gone has no more to say.
            terminal.readable().await.ok()?;
            match terminal.try_read(PIECE, <[u8]>::to_vec) {
                Ok(piece) => return Some(piece).filter(|piece| !piece.is_empty()),
                Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Reads on a thread, which ends with the process: nothing else can end a read of a pipe that is silent.
fn read(mut stdin: Patient) -> channel::Receiver<Vec<u8>> {
    let (pieces, read) = channel::channel(PIECES);
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
                Err(_) => break,
            }
        }
    });
    read
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
    stdout: Sink,
    stderr: Sink,
    written: channel::UnboundedReceiver<Written>,
    /// Bytes that were handed over and not written yet; the credit that was granted bounds them.
    waiting: u64,
}

enum Sink {
    Terminal(Screen),
    Thread(Arc<Line>),
}

impl Outputs {
    pub(crate) fn new() -> io::Result<Self> {
        let (tell, written) = channel::unbounded_channel();
        let stdout = Sink::new(Stream::Stdout, &io::stdout(), tell.clone())?;
        let stderr = Sink::new(Stream::Stderr, &io::stderr(), tell)?;
        Ok(Outputs { stdout, stderr, written, waiting: 0 })
    }

    /// Hands `bytes` to a stream.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let sink = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        self.waiting += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match sink {
            Sink::Terminal(screen) => {
                screen.waiting.extend(bytes);
                screen.pump();
            }
            Sink::Thread(line) => line.hand_over(bytes),
        }
    }

    /// Whether all that was handed over is written.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting == 0
    }

    /// Waits for something to be written. Losing the future loses nothing.
    pub(crate) async fn written(&mut self) -> Written {
        let written = tokio::select! {
            Some(written) = self.written.recv() => written,
            written = self.stdout.written(Stream::Stdout) => written,
            written = self.stderr.written(Stream::Stderr) => written,
        };
        match &written {
            Written::Bytes(_, count) => self.waiting = self.waiting.saturating_sub(u64::from(*count)),
            Written::Failed(..) => self.waiting = 0,
        }
        written
    }
}

impl Sink {
    fn new(stream: Stream, out: &impl AsFd, tell: channel::UnboundedSender<Written>) -> io::Result<Self> {
        match terminal(out) {
            Some(file) => Ok(Sink::Terminal(Screen::new(file))),
            None => Ok(Sink::Thread(Line::start(stream, Patient::of(out)?, tell))),
        }
    }

    /// Waits for something to be written by this side; a thread tells by itself.
    async fn written(&mut self, stream: Stream) -> Written {
        match self {
            Sink::Terminal(screen) => screen.written(stream).await,
            Sink::Thread(_) => std::future::pending().await,
        }
    }
}

/// A terminal that is written to.
struct Screen {
    file: AsyncFile,
    /// What it has not taken yet.
    waiting: VecDeque<u8>,
    /// Bytes that it took, and nobody was told.
    written: u32,
    /// Why it takes no more, until somebody is told.
    failed: Option<io::Error>,
}

impl Screen {
    fn new(file: AsyncFile) -> Self {
        Screen { file, waiting: VecDeque::new(), written: 0, failed: None }
    }

    /// Writes what it takes now.
    fn pump(&mut self) {
        while self.failed.is_none() && !self.waiting.is_empty() {
            match self.file.try_write(self.waiting.as_slices().0) {
                Ok(count) => {
                    self.waiting.drain(..count);
                    self.written = self.written.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => self.failed = Some(cause),
            }
        }
    }

    /// Waits for something to be written. Losing the future loses nothing.
    async fn written(&mut self, stream: Stream) -> Written {
        loop {
            if self.written > 0 {
                return Written::Bytes(stream, std::mem::take(&mut self.written));
            }
            if let Some(cause) = self.failed.take() {
                return Written::Failed(stream, cause);
            }
            if self.waiting.is_empty() || self.file.writable().await.is_err() {
                return std::future::pending().await;
            }
            self.pump();
        }
    }
}

/// Bytes on their way to a thread that writes.
#[derive(Default)]
struct Line {
    pieces: Mutex<Pieces>,
    more: Condvar,
}

/// What waits, and room that was used before: to ask for memory for every piece would make both threads wait for it.
#[derive(Default)]
struct Pieces {
    full: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl Line {
    /// Starts the thread. It ends with the process, or when its stream fails. The descriptor itself is written to: the
    /// standard library's own standard output would cut the bytes into lines.
    fn start(stream: Stream, mut out: Patient, tell: channel::UnboundedSender<Written>) -> Arc<Self> {
        let line = Arc::new(Line::default());
        let taking = line.clone();
        std::thread::spawn(move || {
            loop {
                let mut piece = taking.take();
                let failed = out.write_all(&piece).err();
                let is_over = failed.is_some();
                let count = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                let told = failed.map_or(Written::Bytes(stream, count), |cause| Written::Failed(stream, cause));
                if tell.send(told).is_err() || is_over {
                    break;
                }
                piece.clear();
                taking.give_back(piece);
            }
        });
        line
    }

    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over bytes, in one piece with those before them as long as it is not too large.
    fn hand_over(&self, bytes: &[u8]) {
        let mut pieces = self.pieces();
        let is_idle = pieces.full.is_empty();
        match pieces.full.back_mut().filter(|last| last.len() + bytes.len() <= ONE_WRITE) {
            Some(last) => last.extend_from_slice(bytes),
            None => {
                let mut piece = pieces.spare.pop().unwrap_or_default();
                piece.extend_from_slice(bytes);
                pieces.full.push_back(piece);
            }
        }
        drop(pieces);
        if is_idle {
            self.more.notify_one();
        }
    }

    /// The next piece; waits for it.
    fn take(&self) -> Vec<u8> {
        let mut pieces = self.pieces();
        loop {
            match pieces.full.pop_front() {
                Some(piece) => return piece,
                None => pieces = self.more.wait(pieces).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn give_back(&self, piece: Vec<u8>) {
        let mut pieces = self.pieces();
        if pieces.spare.len() < SPARE {
            pieces.spare.push(piece);
        }
    }
}
