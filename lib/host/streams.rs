//! A command's three streams, between its pipes or terminal and the connection, within credit.

use super::child::PIPE_ROOM;
use super::pace::Pace;
use crate::conn::Sender;
use crate::error::{Error, Result};
use crate::proto::pty::FromHost;
use crate::record::MAX_BODY_LEN;
use crate::sys::{self, AsyncFile};
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// Sealed bytes that wait for the network before more output is read: a few full records.
pub(super) const MOST_PENDING: usize = 512 << 10;

/// One of the command's output streams.
pub(super) struct Output {
    file: Option<Arc<AsyncFile>>,
    credit: u32,
    /// Keeps little under way, with a terminal.
    pace: Option<Pace>,
    sent: u64,
    /// Once the command has ended: the bytes that were on the way then.
    left: Option<u32>,
}

/// The bytes on their way into the command.
pub(super) struct Input {
    file: Option<Arc<AsyncFile>>,
    waiting: Vec<u8>,
    written: usize,
    received: u64,
    ended: bool,
    /// Whether the last byte that came was not the end of a line.
    half_line: bool,
    /// The credit that the dialer has left.
    credit: u32,
    /// Bytes written since credit was last granted.
    freed: u32,
    window: u32,
}

impl Output {
    pub(super) fn new(file: Option<Arc<AsyncFile>>, credit: u32, pace: Option<Pace>) -> Self {
        Output { file, credit, pace, sent: 0, left: None }
    }

    /// Takes no more of it: whoever writes to it finds that nobody reads.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Whether no more will come.
    pub(super) fn is_over(&self) -> bool {
        self.file.is_none()
    }

    /// Bytes that went to the dialer.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes that may be sent now.
    fn room(&self) -> u32 {
        self.pace.as_ref().map_or(self.credit, |pace| self.credit.min(pace.room()))
    }

    pub(super) fn can_send(&self) -> bool {
        self.file.is_some() && self.room() > 0
    }

    /// The command has ended. What it wrote is in its pipe; what it left running may write more, for ever, and that is
    /// nobody's. A terminal ends by itself.
    pub(super) fn end_with_the_command(&mut self, terminal: bool) {
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
    pub(super) fn is_held(&self) -> bool {
        self.file.is_some() && self.room() == 0
    }

    pub(super) async fn readable(&self) {
        match &self.file {
            Some(file) => {
                let _ = file.readable().await;
            }
            None => std::future::pending().await,
        }
    }

    /// More credit from the dialer.
    pub(super) fn grant(&mut self, more: u32) -> Result<()> {
        self.credit = self.credit.checked_add(more).ok_or_else(|| Error::protocol("a window beyond 4 GiB"))?;
        if let Some(pace) = &mut self.pace {
            pace.granted(more, Instant::now());
        }
        Ok(())
    }

    /// Seals what the command has written, as far as credit goes and until `most_pending` bytes wait for
    /// the network.
    pub(super) fn pump(&mut self, kind: u8, sender: &mut Sender, most_pending: usize) {
        while let Some(file) = self.file.as_ref().filter(|_| self.room() > 0 && sender.pending() < most_pending) {
            let most = self.room().min(self.left.unwrap_or(u32::MAX));
            let most = usize::try_from(most).unwrap_or(MAX_BODY_LEN);
            let sealed = file.try_read(most, |bytes| {
                let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                if !bytes.is_empty() && sender.push(kind, &[bytes]).is_ok() { count } else { 0 }
            });
            match sealed {
                Ok(0) => self.file = None,
                Ok(count) => {
                    self.credit -= count;
                    self.sent += u64::from(count);
                    if let Some(pace) = &mut self.pace {
                        pace.sent(count, Instant::now());
                    }
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
    pub(super) fn new(file: Option<Arc<AsyncFile>>, window: u32) -> Self {
        Input {
            file,
            waiting: Vec::new(),
            written: 0,
            received: 0,
            ended: false,
            half_line: false,
            credit: window,
            freed: 0,
            window,
        }
    }

    /// Bytes that came from the dialer.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.file.is_some() && self.written < self.waiting.len()
    }

    pub(super) async fn writable(&self) {
        match &self.file {
            Some(file) => {
                let _ = file.writable().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Bytes from the dialer, within its credit. What comes after the command closed its input is let go.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.credit = self.credit.checked_sub(count).ok_or_else(|| Error::protocol("more input than was granted"))?;
        if self.ended {
            return Err(Error::protocol("input after its end"));
        }
        self.received += u64::from(count);
        self.half_line = bytes.last().is_some_and(|last| !matches!(last, b'\n' | b'\r'));
        if self.file.is_some() {
            self.waiting.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// The dialer has no more. A pipe is closed when all is written; a terminal is given its character for the end.
    pub(super) fn end(&mut self, character: Option<u8>) -> Result<()> {
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
    pub(super) fn pump(&mut self, sender: &mut Sender) {
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
        if self.written > self.waiting.len() / 2 {
            // A command that always leaves something waiting must not let what was written pile up in front of it.
            self.waiting.drain(..self.written);
            self.written = 0;
        }
        if self.file.is_none() || self.waiting.is_empty() {
            self.waiting = Vec::new();
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
