//! A session as its user sees it: keys go out, output comes in, and the terminal is as before when it is over.

use crate::escape::{Escapes, Typed};
use crate::left::{Left, number};
use crate::plan::Plan;
use crate::screen::Watch;
use crate::signals::{Signalled, Signals};
use crate::streams::{Outputs, Source, Written};
use crate::timing::{EvenTimes, TYPED};
use keywire::conn::{Connection, Receiver, Sender};
use keywire::error::{Error, Result, reason};
use keywire::proto::pty::{Exit, FromDialer, FromHost, Op, STDIN, Stream};
use keywire::record::MAX_BODY_LEN;
use keywire::term::{RawMode, WindowSize};
use std::io;
use std::time::Duration;

const ESCAPES: &str = "\r\n\
    ~.   leave: the host ends what runs there\r\n\
    ~^Z  stop here; 'fg' comes back\r\n\
    ~?   this help\r\n\
    ~~   send ~\r\n\
    (an escape counts only at the beginning of a line)\r\n";

/// Sealed bytes that wait for the network before more input is taken.
const MOST_PENDING: usize = 256 << 10;

/// How long the host may take to close after us.
const LISTEN_ON: Duration = Duration::from_secs(2);

/// How long the terminal may take to show what puts it back.
const SHOW_WITHIN: Duration = Duration::from_millis(500);

/// One session.
pub(crate) struct Client {
    sender: Sender,
    receiver: Receiver,
    outputs: Outputs,
    input: Input,
    raw: Option<RawMode>,
    stdout: Window,
    stderr: Window,
    window: u32,
    grant_after: u32,
    /// Whether there is a terminal at the host.
    has_tty: bool,
    /// Whether nobody reads standard output any more.
    is_unread: bool,
    interrupted: bool,
    /// Whether anything runs at the host.
    runs_something: bool,
    /// What the host has made of the terminal.
    watch: Watch,
    /// When keys leave, if that is to say nothing about when they were pressed.
    times: Option<EvenTimes>,
}

/// How far the host may go on with one stream before more of it was written here.
struct Window {
    left: u32,
    /// Bytes that were written and not granted again yet.
    freed: u32,
}

/// Standard input on its way to the host.
struct Input {
    source: Option<Source>,
    escapes: Escapes,
    waiting: Vec<u8>,
    ended: bool,
    credit: u32,
}

impl Client {
    /// Takes over a connection; from here on the terminal hands on every key.
    pub(crate) fn new(connection: Connection, plan: Plan) -> Result<Self> {
        let told = |cause: io::Error| Error::state(format!("cannot use standard input and output: {}", reason(&cause)));
        let (window, grant_after) = (plan.request.window(), plan.request.grant_after());
        let escape = plan.escape.filter(|_| plan.raw.is_some());
        let source = if plan.read_stdin { Some(Source::stdin().map_err(told)?) } else { None };
        let input = Input { source, escapes: Escapes::new(escape), waiting: Vec::new(), ended: false, credit: window };
        let outputs = Outputs::new().map_err(told)?;
        if let Some(raw) = &plan.raw {
            raw.enter().map_err(told)?;
        }
        let (mut sender, receiver) = connection.split();
        for piece in plan.rest_of_command.chunks(MAX_BODY_LEN) {
            push(&mut sender, &FromDialer::Command(piece))?;
        }
        let [stdout, stderr] = [0, 0].map(|freed| Window { left: window, freed });
        let times = (plan.hide_timing && plan.raw.is_some()).then(EvenTimes::new);
        Ok(Client {
            sender,
            receiver,
            outputs,
            input,
            raw: plan.raw,
            stdout,
            stderr,
            window,
            grant_after,
            has_tty: plan.request.tty.is_some(),
            is_unread: false,
            interrupted: false,
            runs_something: plan.request.op != Op::None,
            watch: Watch::default(),
            times,
        })
    }

    /// Serves the session until the command, the user or the connection ends it.
    pub(crate) async fn run(mut self) -> Result<Left> {
        let mut signals = Signals::new()?;
        if self.raw.is_some() {
            // It may have got another size while the host was dialed.
            self.signalled(Signalled::Resized)?;
        }
        if self.input.source.is_none() {
            self.end_of_input()?;
        }
        let left = self.serve(&mut signals).await;
        if self.raw.is_some() && !matches!(left, Ok(Left::Exit(Exit::Status(_)))) {
            self.restore_screen().await;
        }
        // The terminal first: what is said from here on is for a person.
        self.raw = None;
        let left = left?;
        // The host ends what still runs there when we close; a host that is gone already needs no telling.
        if self.sender.close().await.is_ok() {
            self.receiver.drain(LISTEN_ON).await;
        }
        Ok(left)
    }

    async fn serve(&mut self, signals: &mut Signals) -> Result<Left> {
        let mut exit = None;
        let mut can_send = true;
        loop {
            if self.outputs.is_done()
                && let Some(exit) = exit.take()
            {
                if self.is_unread && exit == Exit::Signal("PIPE".to_owned()) {
                    // As it should, and not worth a word.
                    return Ok(Left::Early(128 + number("PIPE")));
                }
                return Ok(Left::Exit(exit));
            }
            // Keys come first, and what goes out before what comes in: a person waits for them, and polling all the rest before
            // is felt. Neither can keep the rest waiting for long, since credit bounds them.
            tokio::select! {
                biased;
                piece = self.input.next(), if exit.is_none() && self.sender.pending() < MOST_PENDING => {
                    if let Some(left) = self.typed(piece)? {
                        return Ok(left);
                    }
                }
                // A host that is gone may have said how the command ended, and that is still to be read.
                driven = self.sender.drive(), if can_send && exit.is_none() => can_send = driven.is_ok(),
                signal = signals.next() => {
                    if let Some(left) = self.signalled(signal)? {
                        return Ok(left);
                    }
                }
                () = even_time(&mut self.times), if exit.is_none() => self.send_at_even_time()?,
                written = self.outputs.written() => match written {
                    Written::Bytes(stream, count) => self.grant(stream, count)?,
                    Written::Failed(stream, cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
                        if let Some(left) = self.closed(stream)? {
                            return Ok(left);
                        }
                    }
                    Written::Failed(stream, cause) => {
                        let stream = if stream == Stream::Stdout { "output" } else { "error" };
                        return Err(Error::state(format!("cannot write to standard {stream}: {}", reason(&cause))));
                    }
                },
                record = self.receiver.recv(), if exit.is_none() => {
                    let record = record?.ok_or_else(|| Error::network("the host closed without saying how the command ended"))?;
                    match FromHost::decode(&record)? {
                        FromHost::Stdout(bytes) => {
                            self.stdout.take(bytes)?;
                            if self.raw.is_some() {
                                self.watch.shown(bytes);
                            }
                            self.outputs.write(Stream::Stdout, bytes);
                        }
                        FromHost::Stderr(bytes) => {
                            self.stderr.take(bytes)?;
                            self.outputs.write(Stream::Stderr, bytes);
                        }
                        FromHost::Exit(how) => exit = Some(how),
                        FromHost::Window(more) => {
                            self.input.grant(more)?;
                            // What waited for it has waited long enough.
                            self.input.pump(&mut self.sender)?;
                        }
                        // It has served its purpose.
                        FromHost::Pad(_) => {}
                    }
                }
            }
            // What is typed waits for its time; the end and a whole text do not.
            if self.times.is_none() || self.input.ended || self.input.waiting.len() > TYPED {
                self.input.pump(&mut self.sender)?;
            }
        }
    }

    /// Sends what was typed, or something of that size.
    fn send_at_even_time(&mut self) -> Result<()> {
        if self.input.waiting.is_empty() {
            return push(&mut self.sender, &FromDialer::Pad(&[0]));
        }
        self.input.pump(&mut self.sender)
    }

    /// Switches off what a program on the host has switched on in the terminal and cannot switch off any more.
    async fn restore_screen(&mut self) {
        let undo = self.watch.undo();
        self.outputs.write(Stream::Stdout, &undo);
        let shown = async {
            while !self.outputs.is_done() {
                self.outputs.written().await;
            }
        };
        // A terminal that takes nothing cannot be helped.
        let _ = tokio::time::timeout(SHOW_WITHIN, shown).await;
    }

    /// Nobody reads `stream` any more. Without a terminal the command goes on, and hears of it when it writes there.
    fn closed(&mut self, stream: Stream) -> Result<Option<Left>> {
        if stream == Stream::Stdout {
            if self.has_tty {
                return Ok(Some(Left::OutputClosed));
            }
            self.is_unread = true;
            push(&mut self.sender, &FromDialer::Closed)?;
        }
        // What was lost is granted all the same: more may come.
        let lost = match stream {
            Stream::Stdout => self.stdout.lost(self.window),
            Stream::Stderr => self.stderr.lost(self.window),
        };
        self.grant(stream, lost)?;
        Ok(None)
    }

    /// Standard input goes on, or ends.
    fn typed(&mut self, piece: Option<io::Result<Vec<u8>>>) -> Result<Option<Left>> {
        let told = |cause: io::Error| Error::state(format!("cannot read standard input: {}", reason(&cause)));
        let Some(piece) = piece.transpose().map_err(told)? else {
            self.input.source = None;
            self.end_of_input()?;
            return Ok(None);
        };
        if let Some(times) = &mut self.times {
            times.typed()?;
        }
        for typed in self.input.escapes.typed(piece) {
            match typed {
                // The usual case, without a copy.
                Typed::Send(bytes) if self.input.waiting.is_empty() => self.input.waiting = bytes,
                Typed::Send(bytes) => self.input.waiting.extend(bytes),
                Typed::Leave => return Ok(Some(Left::Early(255))),
                Typed::Help => self.outputs.write(Stream::Stderr, ESCAPES.as_bytes()),
                Typed::Suspend => self.suspend()?,
            }
        }
        Ok(None)
    }

    fn end_of_input(&mut self) -> Result<()> {
        self.input.ended = true;
        self.input.pump(&mut self.sender)
    }

    /// A signal to this process.
    fn signalled(&mut self, signal: Signalled) -> Result<Option<Left>> {
        match signal {
            // There is nothing at the host that they could be for.
            Signalled::Resized if !self.runs_something => Ok(None),
            Signalled::Interrupted if !self.runs_something => Ok(Some(Left::Early(130))),
            Signalled::Resized => {
                if let Some(size) = WindowSize::of(&io::stdin()).or_else(|| WindowSize::of(&io::stdout())) {
                    push(&mut self.sender, &FromDialer::Resize(size.clamped()))?;
                }
                Ok(None)
            }
            // Ctrl-C where the terminal is not ours: for the command. Whoever insists leaves it behind.
            Signalled::Interrupted if !self.interrupted => {
                self.interrupted = true;
                push(&mut self.sender, &FromDialer::Signal("INT"))?;
                Ok(None)
            }
            Signalled::Interrupted => Ok(Some(Left::Early(130))),
            Signalled::Ended => Ok(Some(Left::Early(255))),
        }
    }

    /// `~^Z`: gives the terminal back, stops, and goes on when the user says so.
    fn suspend(&mut self) -> Result<()> {
        if let Some(raw) = &self.raw {
            let told = |cause: io::Error| Error::state(format!("cannot use the terminal: {}", reason(&cause)));
            raw.leave().map_err(told)?;
            let stopped = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTSTP);
            stopped.map_err(|cause| told(cause.into()))?;
            raw.enter().map_err(told)?;
        }
        self.signalled(Signalled::Resized).map(drop)
    }

    /// The host may send again what was written, as soon as that is worth a message.
    fn grant(&mut self, stream: Stream, count: u32) -> Result<()> {
        let window = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        window.freed = window.freed.saturating_add(count);
        if window.freed >= self.grant_after {
            let more = std::mem::take(&mut window.freed);
            window.left = window.left.saturating_add(more);
            push(&mut self.sender, &FromDialer::Window(stream, more))?;
        }
        Ok(())
    }
}

/// Waits for the next time at which something is to leave.
async fn even_time(times: &mut Option<EvenTimes>) {
    match times {
        Some(times) => times.next().await,
        None => std::future::pending().await,
    }
}

impl Window {
    /// Bytes that came and will never be written.
    fn lost(&self, window: u32) -> u32 {
        window.saturating_sub(self.left).saturating_sub(self.freed)
    }

    /// Bytes from the host, which must be within what was granted: they wait in memory until they are written.
    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let left = u32::try_from(bytes.len()).ok().and_then(|count| self.left.checked_sub(count));
        self.left = left.ok_or_else(|| Error::protocol("more output than was granted"))?;
        Ok(())
    }
}

fn push(sender: &mut Sender, message: &FromDialer<'_>) -> Result<()> {
    let (kind, body) = message.encode();
    sender.push(kind, &[&body])
}

impl Input {
    /// The next piece of standard input, once there is credit for it; `None` at its end.
    async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        match &mut self.source {
            Some(source) if self.waiting.is_empty() => source.next().await,
            _ => std::future::pending().await,
        }
    }

    fn grant(&mut self, more: u32) -> Result<()> {
        self.credit = self.credit.checked_add(more).ok_or_else(|| Error::protocol("a window beyond 4 GiB"))?;
        Ok(())
    }

    /// Seals what is waiting, as far as there is credit; and the end, behind the last byte.
    fn pump(&mut self, sender: &mut Sender) -> Result<()> {
        let credit = usize::try_from(self.credit).unwrap_or(usize::MAX);
        let now = self.waiting.len().min(credit);
        for piece in self.waiting.get(..now).unwrap_or_default().chunks(MAX_BODY_LEN) {
            sender.push(STDIN, &[piece])?;
        }
        self.waiting.drain(..now);
        self.credit -= u32::try_from(now).unwrap_or(self.credit);
        if self.ended && self.waiting.is_empty() {
            self.ended = false;
            push(sender, &FromDialer::Eof)?;
        }
        Ok(())
    }
}
