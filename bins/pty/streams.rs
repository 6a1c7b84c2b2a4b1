//! Standard input, output and error.
//!
//! Terminals, pipes and sockets are read and written where the session is served: a key would feel every thread between it
//! and the connection, and so would a program that asks and waits for the answer. Everything else has a thread of its own.
//! Either way whichever is stuck holds up no other, nor the connection.

use keywire::patient::{Patient, widen};
use keywire::proto::pty::Stream;
use keywire::sys::AsyncFile;
use nix::libc::{EIO, O_NOCTTY, O_NONBLOCK};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
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

/// What is on `stream`, to be read or written without waiting; everyone else who has it may still wait for it. A terminal
/// or pipe is opened once more, with `options`. `None` if it can only be waited for by a thread: a file, a device, or what
/// may not be opened once more, as after a change of user.
fn direct(stream: &impl AsFd, options: &mut OpenOptions) -> Option<AsyncFile> {
    let stream = File::from(stream.as_fd().try_clone_to_owned().ok()?);
    let kind = stream.metadata().ok()?.file_type();
    if kind.is_socket() {
        return AsyncFile::shared_socket(stream.into()).ok();
    }
    if !kind.is_fifo() && !stream.is_terminal() {
        return None;
    }
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let file = options.custom_flags(O_NOCTTY | O_NONBLOCK).open(path).ok()?;
    widen(&file);
    AsyncFile::new(file.into()).ok()
}

/// Standard input.
pub(crate) enum Source {
    Direct(AsyncFile),
    Thread(channel::Receiver<io::Result<Vec<u8>>>),
}

impl Source {
    pub(crate) fn stdin() -> io::Result<Self> {
        let stdin = io::stdin();
        match direct(&stdin, File::options().read(true)) {
            Some(file) => Ok(Source::Direct(file)),
            None => Ok(Source::Thread(read(Patient::of(&stdin)?))),
        }
    }

    /// The next piece, or why there is none though the end was not seen; `None` at the end. Losing the future loses no byte.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        let file = match self {
            Source::Direct(file) => file,
            Source::Thread(pieces) => return pieces.recv().await,
        };
        loop {
            file.readable().await.ok()?;
            match file.try_read(PIECE, <[u8]>::to_vec) {
                Ok(piece) => return Some(piece).filter(|piece| !piece.is_empty()).map(Ok),
                Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                // A terminal that is gone has no more to say.
                Err(cause) if cause.raw_os_error() == Some(EIO) => return None,
                Err(cause) => return Some(Err(cause)),
            }
        }
    }
}

/// Reads on a thread, which ends with the process: nothing else can end a read of a pipe that is silent.
fn read(mut stdin: Patient) -> channel::Receiver<io::Result<Vec<u8>>> {
    let (pieces, read) = channel::channel(PIECES);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        loop {
            match stdin.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => {
                    if pieces.blocking_send(Ok(piece.get(..count).unwrap_or_default().to_vec())).is_err() {
                        break;
                    }
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => {
                    // Nobody is left to tell when the session is over.
                    let _ = pieces.blocking_send(Err(cause));
                    break;
                }
            }
        }
    });
    read
}

/// What became of bytes that were handed to a stream.
pub(crate) enum Written {
    /// So many were written.
    Bytes(Stream, u32),
    /// The stream takes no more; what follows goes nowhere.
    Failed(Stream, io::Error),
}

/// Writes standard output and standard error.
pub(crate) struct Outputs {
    stdout: Sink,
    stderr: Sink,
    written: channel::UnboundedReceiver<Written>,
    /// Bytes of either that were handed over and not written yet; the credit that was granted bounds them.
    waiting: [u64; 2],
}

enum Sink {
    Direct(Direct),
    Thread(Arc<Line>),
    /// Nobody reads it any more: so many bytes went nowhere, and nobody was told.
    Nowhere(u32),
}

impl Outputs {
    pub(crate) fn new() -> io::Result<Self> {
        let (tell, written) = channel::unbounded_channel();
        let stdout = Sink::new(Stream::Stdout, &io::stdout(), tell.clone())?;
        let stderr = Sink::new(Stream::Stderr, &io::stderr(), tell)?;
        Ok(Outputs { stdout, stderr, written, waiting: [0; 2] })
    }

    /// Hands `bytes` to a stream.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let sink = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        match sink {
            Sink::Direct(direct) => direct.write(bytes),
            Sink::Thread(line) => line.hand_over(bytes),
            Sink::Nowhere(count) => *count = count.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
        }
        *self.waiting_for(stream) += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    }

    fn waiting_for(&mut self, stream: Stream) -> &mut u64 {
        let [stdout, stderr] = &mut self.waiting;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }

    /// Whether all that was handed over is written.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting == [0; 2]
    }

    /// Waits for something to be written. Losing the future loses nothing.
    pub(crate) async fn written(&mut self) -> Written {
        let written = tokio::select! {
            Some(written) = self.written.recv() => written,
            written = self.stdout.written(Stream::Stdout) => written,
            written = self.stderr.written(Stream::Stderr) => written,
        };
        match written {
            Written::Bytes(stream, count) => {
                let waiting = self.waiting_for(stream);
                *waiting = waiting.saturating_sub(u64::from(count));
                written
            }
            Written::Failed(stream, cause) => {
                let nowhere = Sink::Nowhere(0);
                match stream {
                    Stream::Stdout => self.stdout = nowhere,
                    Stream::Stderr => self.stderr = nowhere,
                }
                *self.waiting_for(stream) = 0;
                Written::Failed(stream, cause)
            }
        }
    }
}

impl Sink {
    fn new(stream: Stream, out: &impl AsFd, tell: channel::UnboundedSender<Written>) -> io::Result<Self> {
        match direct(out, File::options().write(true)) {
            Some(file) => Ok(Sink::Direct(Direct::new(file))),
            None => Ok(Sink::Thread(Line::start(stream, Patient::of(out)?, tell))),
        }
    }

    /// Waits for something to be written by this side; a thread tells by itself.
    async fn written(&mut self, stream: Stream) -> Written {
        match self {
            Sink::Direct(direct) => direct.written(stream).await,
            Sink::Nowhere(count @ 1..) => Written::Bytes(stream, std::mem::take(count)),
            Sink::Thread(_) | Sink::Nowhere(0) => std::future::pending().await,
        }
    }
}

/// What is written to without a thread.
struct Direct {
    file: AsyncFile,
    /// What it has not taken yet.
    waiting: VecDeque<u8>,
    /// Bytes that it took, and nobody was told.
    written: u32,
    /// Why it takes no more, until somebody is told.
    failed: Option<io::Error>,
}

impl Direct {
    fn new(file: AsyncFile) -> Self {
        Direct { file, waiting: VecDeque::new(), written: 0, failed: None }
    }

    /// Writes what it takes now, and keeps the rest.
    fn write(&mut self, bytes: &[u8]) {
        let now = if self.waiting.is_empty() { self.try_write(bytes) } else { 0 };
        self.waiting.extend(bytes.get(now..).unwrap_or_default());
    }

    /// Writes what it takes of `bytes`.
    fn try_write(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty() && self.failed.is_none()) {
            match self.file.try_write(rest) {
                Ok(count) => done += count,
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => self.failed = Some(cause),
            }
        }
        self.written = self.written.saturating_add(u32::try_from(done).unwrap_or(u32::MAX));
        done
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
            let waiting = std::mem::take(&mut self.waiting);
            let done = self.try_write(waiting.as_slices().0);
            self.waiting = waiting;
            self.waiting.drain(..done);
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
