//! A connection for whoever moves much and does nothing else: blocking, and each half with a thread of its own at the socket,
//! so that files and network are busy at the same time.
//!
//! Records are sealed and opened by whoever fills and empties the batches, not by the threads at the socket: that is where
//! the bytes still lie in the processor's cache.

mod receive;
mod send;
#[cfg(test)]
pub(crate) mod tests;

pub use receive::BulkReceiver;
pub use send::BulkSender;

use super::{Connection, KEEPALIVE, Reason, kind};
use crate::error::{Error, Result, reason};
use crate::frame;
use crate::record::{MAX_BODY_LEN, OVERHEAD, Sealer};
use crate::threads::lock;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Bytes of a batch: 32 of the largest records, some 2 MiB. With fewer, the system calls are felt.
const BATCH: usize = 32 * (MAX_BODY_LEN + OVERHEAD);

/// Batches on their way between a file and the socket. With 2 they wait for each other.
const BATCHES: usize = 4;

/// How often a write that is stuck looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the last words of a connection may take to leave, and the other side to close after them.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(5);

/// How bulk goes about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BulkOptions {
    /// Most bytes a second in each direction.
    pub rate: Option<u64>,
}

/// Ends a connection from another thread.
#[derive(Clone)]
pub struct Breaker(Arc<Shared>);

/// What both halves, their threads and whoever may end them have in common.
struct Shared {
    socket: TcpStream,
    keepalive: Duration,
    rate: Option<u64>,
    line: Mutex<Line>,
    /// Why the connection is over, where that was noticed or decided on this side.
    over: Mutex<Option<String>>,
    /// It was decided here, so what still comes is nobody's.
    is_cut: AtomicBool,
    /// The other side sends nothing any more.
    is_silent: AtomicBool,
    /// A PONG is on its way to the socket.
    answering: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
    /// Threads at the socket that run.
    running: Mutex<usize>,
    ended: Condvar,
    /// Wakes whoever waits to receive.
    wake: mpsc::Sender<receive::Came>,
}

/// Records are sealed in the order in which they are written: under one lock.
struct Line {
    sealer: Sealer,
    /// `None` once nothing may follow.
    out: Option<mpsc::Sender<send::Piece>>,
    carried: u64,
}

impl Connection {
    /// The connection for blocking use. It needs no runtime any more.
    ///
    /// # Errors
    /// The socket is gone, or no thread can be started.
    pub fn into_bulk(self, options: BulkOptions) -> Result<(BulkSender, BulkReceiver, Breaker)> {
        let Connection { sender, receiver, .. } = self;
        debug_assert_eq!(sender.pending(), 0, "nothing waits to be sent");
        let gone = |cause: &std::io::Error| Error::network(format!("the connection is gone: {}", reason(cause)));
        let rest = receiver.buffer.get(receiver.filled).unwrap_or_default().to_vec();
        let socket = receiver.socket.reunite(sender.socket);
        let socket = socket.map_err(|_| Error::state("two halves of different connections"))?;
        let socket = socket.into_std().map_err(|cause| gone(&cause))?;
        let keepalive = sender.pulse.interval();
        let ready = socket.set_nonblocking(false);
        let ready = ready.and_then(|()| socket.set_read_timeout(Some(keepalive).filter(|after| !after.is_zero())));
        ready.and_then(|()| socket.set_write_timeout(Some(LOOK_EVERY))).map_err(|cause| gone(&cause))?;
        let (out, queue) = mpsc::channel();
        let (wake, came) = mpsc::channel();
        let shared = Arc::new(Shared {
            socket,
            keepalive,
            rate: options.rate,
            line: Mutex::new(Line { sealer: sender.sealer, out: Some(out), carried: sender.carried }),
            over: Mutex::new(None),
            is_cut: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            answering: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            running: Mutex::new(0),
            ended: Condvar::new(),
            wake,
        });
        let sending = BulkSender::start(shared.clone(), queue)?;
        let receiving = BulkReceiver::start(shared.clone(), came, receiver.intake, rest)?;
        Ok((sending, receiving, Breaker(shared)))
    }
}

impl Breaker {
    /// Ends the connection: the other side is told why, and every wait for it ends with `text`, at both halves.
    pub fn cut(&self, why: Reason, text: &str) {
        self.0.cut(why, text);
    }

    /// Ends the connection at once, as if it was cut: what is sealed and not written yet is lost, and every wait ends with `text`.
    pub fn abandon(&self, text: &str) {
        self.0.abandon(text);
    }

    /// Waits until the last words have left, and the other side has closed; it has 5 s for that.
    pub fn wait(&self) {
        self.0.wait();
    }

    /// Whether nothing can be sent any more, or nobody is there to hear it: work for this connection is in vain.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_silent.load(Ordering::Acquire) || lock(&self.0.over).is_some()
    }

    /// Bytes that went over the network so far: sent and received.
    #[must_use]
    pub fn carried(&self) -> (u64, u64) {
        (self.0.sent.load(Ordering::Relaxed), self.0.received.load(Ordering::Relaxed))
    }
}

impl Shared {
    /// Room for a batch. What of it was never written takes no memory, so it is not filled by hand. With a rate it is a quarter
    /// of a second's, or one record's: what is sealed must be sent before anything else can be said.
    fn new_room(&self) -> Vec<u8> {
        let quarter = self.rate.map_or(BATCH, |rate| usize::try_from(rate / 4).unwrap_or(BATCH));
        vec![0; quarter.clamp(MAX_BODY_LEN + OVERHEAD, BATCH)]
    }

    /// Starts a thread at the socket.
    fn start(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) -> Result<()> {
        let shared = self.clone();
        *lock(&self.running) += 1;
        // It counts as ended however it ends, and also if it never begins.
        let running = Running(shared);
        let started = std::thread::Builder::new().spawn(move || work(&running.0));
        started.map(drop).map_err(|cause| Error::state(format!("cannot start a thread: {}", reason(&cause))))
    }

    /// Why the connection is over, if it is.
    fn broken(&self) -> Option<Error> {
        lock(&self.over).as_ref().map(Error::network)
    }

    /// The connection is over for this reason, if it was not before: `false` if it was.
    fn fail(&self, why: String) -> bool {
        let mut over = lock(&self.over);
        let is_first = over.is_none();
        over.get_or_insert(why);
        is_first
    }

    fn cut(&self, why: Reason, text: &str) {
        // Whoever sees the cut lets go of the line, and must not before the last words are on it.
        let mut line = lock(&self.line);
        self.is_cut.store(true, Ordering::Release);
        if self.fail(text.to_owned()) {
            let said = frame::cut(text, super::MAX_ERROR_TEXT);
            // Where nothing can be said any more, nothing is.
            let _ = line.last_words(Some([&[why.code()], said.as_bytes()].concat()));
        }
        drop(line);
        // Nobody may be waiting.
        let _ = self.wake.send(receive::Came::Over);
    }

    fn abandon(&self, text: &str) {
        self.fail(text.to_owned());
        self.is_cut.store(true, Ordering::Release);
        lock(&self.line).out = None;
        // A socket that is gone already is what was wanted.
        let _ = self.socket.shutdown(Shutdown::Both);
        // Nobody may be waiting.
        let _ = self.wake.send(receive::Came::Over);
    }

    /// How long nothing is said before a sign of life is given, whatever has come. Whoever receives may be busy with a disk,
    /// and see no question; so the answer is not waited for.
    fn beat(&self) -> Duration {
        if self.keepalive.is_zero() { KEEPALIVE } else { self.keepalive.min(KEEPALIVE) }
    }

    /// Waits until both threads have ended, and ends them after a while.
    fn wait(&self) {
        let running = lock(&self.running);
        let waited = self.ended.wait_timeout_while(running, LAST_WORDS_WITHIN, |running| *running > 0);
        drop(waited);
        // The other side had its time, or has closed.
        let _ = self.socket.shutdown(Shutdown::Both);
        let running = lock(&self.running);
        drop(self.ended.wait_while(running, |running| *running > 0));
    }

    /// Answers a PING, unless an answer is on its way already, or this direction has ended and nothing more can be said in it.
    fn answer(&self) -> Result<()> {
        let mut line = lock(&self.line);
        if line.out.is_none() || self.answering.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        line.say(kind::PONG, &[])
    }
}

/// A thread at the socket that runs.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        *lock(&self.0.running) -= 1;
        self.0.ended.notify_all();
    }
}

impl Line {
    /// Seals what `piece` holds and hands it to the thread that writes.
    fn send(&mut self, mut piece: send::Piece) -> Result<()> {
        let out = self.out.as_ref().ok_or_else(ended)?;
        self.carried += piece.seal(&mut self.sealer)?;
        // Nobody takes it when the connection is gone: the thread has said why.
        let _ = out.send(piece);
        Ok(())
    }

    /// One record that every service shares.
    fn say(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        self.send(send::Piece::shared(kind, body))
    }

    /// An ERROR if there is one, and a CLOSE; nothing follows.
    fn last_words(&mut self, error: Option<Vec<u8>>) -> Result<()> {
        if let Some(body) = error {
            self.say(kind::ERROR, &body)?;
        }
        let carried = self.carried;
        let said = self.say(kind::CLOSE, &carried.to_be_bytes());
        self.out = None;
        said
    }
}

/// Nothing can follow the end.
fn ended() -> Error {
    Error::network("the connection has ended")
}

/// Keeps the bytes of one direction below a rate.
struct Throttle {
    rate: Option<u64>,
    /// When the bytes so far are used up.
    due: Instant,
}

impl Throttle {
    fn new(rate: Option<u64>) -> Self {
        Throttle { rate, due: Instant::now() }
    }

    /// Most bytes that are moved at once: a tenth of a second's.
    fn most(&self) -> usize {
        self.rate.map_or(usize::MAX, |rate| usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1))
    }

    /// Rests for as long as `count` bytes take.
    fn rest(&mut self, count: usize) {
        let Some(rate) = self.rate.filter(|rate| *rate > 0) else { return };
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let takes = Duration::from_nanos(count.saturating_mul(1_000_000_000) / rate);
        let now = Instant::now();
        self.due = self.due.max(now) + takes;
        std::thread::sleep(self.due - now);
    }
}

/// Waits for the next of a queue: `None` when the time is over.
fn next<T>(queue: &mpsc::Receiver<T>, within: Duration) -> std::result::Result<Option<T>, mpsc::RecvError> {
    if within.is_zero() {
        return queue.recv().map(Some);
    }
    match queue.recv_timeout(within) {
        Ok(next) => Ok(Some(next)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(mpsc::RecvError),
    }
}
