//! One session on the host: bytes between the connection and the command, in one loop that waits for all of them at once.
//!
//! Nothing in the loop waits for one stream alone, so a resize or a signal gets through while the command does not read,
//! and a dialer that does not read holds up nobody. Credit bounds what is in memory.

use super::child::{Command, PIPE_ROOM};
use crate::conn::{Reason, Receiver, Sender};
use crate::error::{Error, Result};
use crate::proto::pty::{Exit, FromDialer, FromHost, STDERR, STDOUT, Stream};
use crate::record::MAX_BODY_LEN;
use crate::sys::{self, AsyncFile};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Sealed bytes that wait for the network before more output is read: a few full records.
const MOST_PENDING: usize = 512 << 10;

/// How long a terminal may be silent after its command has ended before that counts as its end. The kernel hangs it up then,
/// so this is for a terminal that something else still holds.
const LAST_OUTPUT: Duration = Duration::from_millis(100);

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The command ended, and the dialer was told.
    Command(Exit),
    /// The dialer went away first; the command was hung up.
    Disconnected(String),
    /// The host is going away; the command was hung up.
    Stopped,
}

/// Why a dialer is heard no more.
enum Heard {
    /// It says what makes no sense.
    Nonsense(Error),
    /// It is gone.
    Gone(Error),
}

/// One of the command's output streams.
struct Output {
    file: Option<Arc<AsyncFile>>,
    credit: u32,
    /// Once the command has ended: the bytes that were on the way then.
    left: Option<u32>,
}

/// The bytes on their way into the command.
struct Input {
    file: Option<Arc<AsyncFile>>,
    waiting: Vec<u8>,
    written: usize,
    ended: bool,
    /// Whether the last byte that came was not the end of a line.
    half_line: bool,
    /// The credit that the dialer has left.
    credit: u32,
    /// Bytes written since credit was last granted.
    freed: u32,
    window: u32,
}

/// Serves `command` to a dialer that starts with a credit of `window` bytes a stream, until either is gone or `stop` ends.
pub(super) async fn serve(
    mut command: Command,
    mut sender: Sender,
    mut receiver: Receiver,
    window: u32,
    stop: impl Future<Output = ()>,
) -> Ended {
    let mut stdout = Output { file: command.stdout.clone(), credit: window, left: None };
    let mut stderr = Output { file: command.stderr.clone(), credit: window, left: None };
    let mut input = Input::new(command.stdin.take(), window);
    let mut stop = std::pin::pin!(stop);
    let mut exit: Option<Exit> = None;
    let gone = loop {
        let room = sender.pending() < MOST_PENDING;
        let drained = stdout.file.is_none() && stderr.file.is_none();
        if let (Some(_), true) = (&exit, drained) {
            break None;
        }
        tokio::select! {
            record = receiver.recv() => {
                let heard = match record {
                    Ok(Some(record)) => FromDialer::decode(&record).and_then(|message| match message {
                        FromDialer::Stdin(bytes) => input.take(bytes),
                        FromDialer::Eof => input.end(command.end_of_input()),
                        FromDialer::Resize(size) => { command.resize(size); Ok(()) }
                        FromDialer::Signal(name) => { command.signal(name); Ok(()) }
                        FromDialer::Window(Stream::Stdout, more) => stdout.grant(more),
                        FromDialer::Window(Stream::Stderr, more) => stderr.grant(more),
                    }).map_err(Heard::Nonsense),
                    Ok(None) => Err(Heard::Gone(Error::network("the dialer closed before the command ended"))),
                    Err(error) => Err(Heard::Gone(error)),
                };
                match heard {
                    Ok(()) => {}
                    Err(Heard::Nonsense(error)) => {
                        // It may be gone already.
                        let _ = sender.fail(Reason::BadRequest, &error.to_string()).await;
                        drop((stdout, stderr, input));
                        tokio::join!(command.hang_up(), receiver.drain(LISTEN_ON));
                        return Ended::Disconnected(error.to_string());
                    }
                    Err(Heard::Gone(error)) => break Some(error),
                }
            }
            () = stdout.readable(), if room && stdout.can_send() => stdout.pump(STDOUT, &mut sender),
            () = stderr.readable(), if room && stderr.can_send() => stderr.pump(STDERR, &mut sender),
            () = input.writable(), if input.is_waiting() => input.pump(&mut sender),
            ended = command.wait(), if exit.is_none() => {
                exit = Some(ended);
                stdout.end_with_the_command(command.has_terminal());
                stderr.end_with_the_command(command.has_terminal());
            }
            () = tokio::time::sleep(LAST_OUTPUT), if exit.is_some() && room && !stdout.is_held() && !stderr.is_held() => {
                // This process may have been stopped for so long: what is there is taken first.
                stdout.pump(STDOUT, &mut sender);
                if sender.pending() == 0 {
                    break None;
                }
            }
            driven = sender.drive() => {
                if let Err(error) = driven {
                    break Some(error);
                }
            }
            () = &mut stop => {
                // A dialer that is gone already needs no telling.
                let _ = sender.fail(Reason::ShuttingDown, "the host's program is ending").await;
                drop((stdout, stderr, input));
                tokio::join!(command.hang_up(), receiver.drain(LISTEN_ON));
                return Ended::Stopped;
            }
        }
    };
    drop((stdout, stderr, input));
    match (gone, exit) {
        (None, Some(exit)) => {
            conclude(sender, receiver, &exit).await;
            Ended::Command(exit)
        }
        (gone, exit) => {
            if exit.is_none() {
                command.hang_up().await;
            }
            Ended::Disconnected(gone.map_or_else(String::new, |error| error.to_string()))
        }
    }
}

/// How long a dialer may take to close after it was told the end.
const LISTEN_ON: Duration = Duration::from_secs(5);

/// Tells the dialer how the command ended, after all its output.
pub(super) async fn conclude(mut sender: Sender, receiver: Receiver, exit: &Exit) {
    let (kind, body) = FromHost::Exit(exit.clone()).encode();
    // A dialer that is gone already needs no telling.
    if sender.push(kind, &[&body]).is_ok() && sender.close().await.is_ok() {
        receiver.drain(LISTEN_ON).await;
    }
}

impl Output {
    fn can_send(&self) -> bool {
        self.file.is_some() && self.credit > 0
    }

    /// The command has ended. What it wrote is in its pipe; what it left running may write more, for ever, and that is
    /// nobody's. A terminal ends by itself.
    fn end_with_the_command(&mut self, terminal: bool) {
        let left = match &self.file {
            Some(file) if !terminal => sys::readable_now(file.as_ref()).unwrap_or(PIPE_ROOM),
            _ => PIPE_ROOM,
        };
        self.left = Some(left);
        if left == 0 {
            self.file = None;
        }
    }

    /// Whether there may be output that the dialer has not let us send yet.
    fn is_held(&self) -> bool {
        self.file.is_some() && self.credit == 0
    }

    async fn readable(&self) {
        match &self.file {
            Some(file) => {
                let _ = file.readable().await;
            }
            None => std::future::pending().await,
        }
    }

    /// More credit from the dialer.
    fn grant(&mut self, more: u32) -> Result<()> {
        self.credit = self.credit.checked_add(more).ok_or_else(|| Error::protocol("a window beyond 4 GiB"))?;
        Ok(())
    }

    /// Seals what the command has written, as far as credit and memory go.
    fn pump(&mut self, kind: u8, sender: &mut Sender) {
        while let Some(file) = self.file.as_ref().filter(|_| self.credit > 0 && sender.pending() < MOST_PENDING) {
            let most = self.credit.min(self.left.unwrap_or(u32::MAX));
            let most = usize::try_from(most).unwrap_or(MAX_BODY_LEN);
            let sealed = file.try_read(most, |bytes| {
                let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                if !bytes.is_empty() && sender.push(kind, &[bytes]).is_ok() { count } else { 0 }
            });
            match sealed {
                Ok(0) => self.file = None,
                Ok(count) => {
                    self.credit -= count;
                    self.left = self.left.map(|left| left.saturating_sub(count));
                    if self.left == Some(0) {
                        self.file = None;
                    }
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                // A terminal whose last program is gone says EIO.
                Err(_) => self.file = None,
            }
        }
    }
}

impl Input {
    fn new(file: Option<Arc<AsyncFile>>, window: u32) -> Self {
        Input {
            file,
            waiting: Vec::new(),
            written: 0,
            ended: false,
            half_line: false,
            credit: window,
            freed: 0,
            window,
        }
    }

    fn is_waiting(&self) -> bool {
        self.file.is_some() && self.written < self.waiting.len()
    }

    async fn writable(&self) {
        match &self.file {
            Some(file) => {
                let _ = file.writable().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Bytes from the dialer, within its credit. What comes after the command closed its input is let go.
    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.credit = self.credit.checked_sub(count).ok_or_else(|| Error::protocol("more input than was granted"))?;
        if self.ended {
            return Err(Error::protocol("input after its end"));
        }
        self.half_line = bytes.last().is_some_and(|last| !matches!(last, b'\n' | b'\r'));
        if self.file.is_some() {
            self.waiting.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// The dialer has no more. A pipe is closed when all is written; a terminal is given its character for the end.
    fn end(&mut self, character: Option<u8>) -> Result<()> {
        if self.ended {
            return Err(Error::protocol("a second end of input"));
        }
        self.ended = true;
        // Behind a half line the first one only hands over that half.
        self.waiting.extend(character.filter(|_| self.half_line));
        self.waiting.extend(character);
        if self.written == self.waiting.len() && character.is_none() {
            self.file = None;
        }
        Ok(())
    }

    /// Writes what fits, and grants credit for it.
    fn pump(&mut self, sender: &mut Sender) {
        while let Some(file) = self.file.as_ref().filter(|_| self.written < self.waiting.len()) {
            match file.try_write(self.waiting.get(self.written..).unwrap_or_default()) {
                Ok(count) => {
                    self.written += count;
                    self.freed = self.freed.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                // The command reads no more (EPIPE), or its terminal is gone: the rest has nowhere to go.
                Err(_) => self.file = None,
            }
        }
        if self.file.is_none() || self.written == self.waiting.len() {
            self.waiting.clear();
            self.written = 0;
            if self.ended {
                self.file = None;
            }
        }
        if self.freed >= self.window / 4 {
            let (kind, body) = FromHost::Window(self.freed).encode();
            // Four bytes always fit into a record.
            let _ = sender.push(kind, &[&body]);
            self.credit = self.credit.saturating_add(self.freed);
            self.freed = 0;
        }
    }
}
