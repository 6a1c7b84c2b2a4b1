//! One session on the host: bytes between the connection and the command, in one loop that waits for all of them at once.
//!
//! Nothing in the loop waits for one stream alone, so a resize or a signal gets through while the command does not read,
//! and a dialer that does not read holds up nobody. Credit bounds what is in memory.

use super::child::Command;
use super::pace::Pace;
use super::streams::{Input, MOST_PENDING, Output};
use crate::conn::{Reason, Receiver, Sender};
use crate::copy::Outcome;
use crate::error::{Error, Result};
use crate::proto::pty::{Exit, FromDialer, FromHost, STDERR, STDOUT, Stream};
use std::time::{Duration, Instant};

/// How long a terminal may be silent after its command has ended before that counts as its end. The kernel hangs it up then,
/// so this is for a terminal that something else still holds.
const LAST_OUTPUT: Duration = Duration::from_millis(100);

/// How long a dialer may take to close after it was told why its session is over.
const LISTEN_ON: Duration = Duration::from_secs(5);

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The command ended, and the dialer was told.
    Command(Exit),
    /// The copy came to its end.
    Copied(Outcome),
    /// The dialer went away first; the command was hung up.
    Disconnected(String),
    /// What let the dialer in does so no more; the command was hung up.
    Revoked(String),
    /// The host is going away; the command was hung up.
    Stopped,
}

/// Why the host ends a session itself.
pub(super) enum Cut {
    /// What let the dialer in does so no more.
    Revoked(String),
    /// The dialer says what makes no sense, or is gone before it has said everything.
    Nonsense(Error),
    /// The host is going away.
    Stopped,
}

impl Cut {
    /// What the dialer is told.
    pub(super) fn words(&self) -> (Reason, String) {
        match self {
            Cut::Revoked(why) => (Reason::Refused, why.clone()),
            Cut::Nonsense(error) => (Reason::BadRequest, error.to_string()),
            Cut::Stopped => (Reason::ShuttingDown, "the host's program is ending".to_owned()),
        }
    }

    /// Tells the dialer, and listens until it has closed.
    pub(super) async fn tell(self, sender: Sender, receiver: Receiver) -> Ended {
        let (reason, text) = self.words();
        // A dialer that is gone already needs no telling.
        if sender.fail(reason, &text).await.is_ok() {
            receiver.drain(LISTEN_ON).await;
        }
        self.ended()
    }

    /// How the session ended by it.
    pub(super) fn ended(self) -> Ended {
        match self {
            Cut::Revoked(why) => Ended::Revoked(why),
            Cut::Nonsense(error) => Ended::Disconnected(error.to_string()),
            Cut::Stopped => Ended::Stopped,
        }
    }
}

/// Bytes of a session's streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the dialer: standard input.
    pub received: u64,
    /// To the dialer: standard output and error.
    pub sent: u64,
}

/// Why the loop of a session is over.
enum Over {
    /// The command has ended, and all its output is sealed.
    Done(Exit),
    /// The dialer is gone.
    Gone(Error),
    /// The host ends it.
    Cut(Cut),
}

/// Serves `command` to a dialer that starts with a credit of `window` bytes a stream, until either is gone or `cut` says so.
pub(super) async fn serve(
    mut command: Command,
    mut sender: Sender,
    mut receiver: Receiver,
    window: u32,
    cut: impl Future<Output = Cut>,
) -> (Ended, Traffic) {
    let pace = command.has_terminal().then(|| Pace::new(Instant::now()));
    let mut stdout = Output::new(command.stdout.clone(), window, pace);
    let mut stderr = Output::new(command.stderr.clone(), window, None);
    let mut input = Input::new(command.stdin.take(), window);
    let mut cut = std::pin::pin!(cut);
    let mut exit: Option<Exit> = None;
    let mut errors_first = false;
    let over = loop {
        let room = sender.pending() < MOST_PENDING;
        if let Some(exit) = exit.take_if(|_| stdout.is_over() && stderr.is_over()) {
            break Over::Done(exit);
        }
        // What is polled first is felt: between two keys everything grows cold. Only that a session is cut off must not wait for
        // a dialer who talks on and on. Credit and room bound what comes before the rest.
        tokio::select! {
            biased;
            why = &mut cut => break Over::Cut(why),
            record = receiver.recv() => {
                let heard = match record {
                    Ok(Some(record)) => FromDialer::decode(&record).and_then(|message| match message {
                        FromDialer::Stdin(bytes) => input.take(bytes).map(|()| input.pump(&mut sender)),
                        FromDialer::Eof => input.end(command.end_of_input()),
                        FromDialer::Resize(size) => { command.resize(size); Ok(()) }
                        FromDialer::Signal(name) => { command.signal(name); Ok(()) }
                        FromDialer::Window(Stream::Stdout, more) => stdout.grant(more),
                        FromDialer::Window(Stream::Stderr, more) => stderr.grant(more),
                        FromDialer::Pad(bytes) => answer(&mut sender, bytes),
                        FromDialer::Closed => {
                            if !command.has_terminal() {
                                stdout.close();
                                command.stdout = None;
                            }
                            Ok(())
                        }
                        FromDialer::Command(_) => Err(Error::protocol("a command behind the command")),
                    }),
                    Ok(None) => break Over::Gone(Error::network("the dialer closed before the command ended")),
                    Err(error) => break Over::Gone(error),
                };
                if let Err(error) = heard {
                    break Over::Cut(Cut::Nonsense(error));
                }
            }
            driven = sender.drive() => {
                if let Err(error) = driven {
                    break Over::Gone(error);
                }
            }
            ended = command.wait(), if exit.is_none() => {
                exit = Some(ended);
                stdout.end_with_the_command(command.has_terminal());
                stderr.end_with_the_command(command.has_terminal());
            }
            () = input.writable(), if input.is_waiting() => input.pump(&mut sender),
            () = stdout.readable(), if room && stdout.can_send() => pump(&mut stdout, &mut stderr, &mut sender, &mut errors_first),
            () = stderr.readable(), if room && stderr.can_send() => pump(&mut stdout, &mut stderr, &mut sender, &mut errors_first),
            () = tokio::time::sleep(LAST_OUTPUT), if exit.is_some() && room && !stdout.is_held() && !stderr.is_held() => {
                // This process may have been stopped for so long: what is there is taken first.
                pump(&mut stdout, &mut stderr, &mut sender, &mut errors_first);
                if sender.pending() == 0 && !stdout.is_held() && !stderr.is_held()
                    && let Some(exit) = exit.take()
                {
                    break Over::Done(exit);
                }
            }
        }
    };
    let traffic = Traffic { received: input.received(), sent: stdout.sent() + stderr.sent() };
    drop((stdout, stderr, input));
    let ended = match over {
        Over::Done(exit) => conclude(sender, receiver, exit, cut).await,
        Over::Cut(why) if exit.is_some() => why.tell(sender, receiver).await,
        Over::Cut(why) => tokio::join!(command.hang_up(), why.tell(sender, receiver)).1,
        Over::Gone(error) => {
            if exit.is_none() {
                command.hang_up().await;
            }
            Ended::Disconnected(error.to_string())
        }
    };
    (ended, traffic)
}

/// Seals what the command has written. Each stream goes first in its turn, and has half of the room: a flood of one holds back
/// the other no longer than that. There must be room, or the loop would never rest.
fn pump(stdout: &mut Output, stderr: &mut Output, sender: &mut Sender, errors_first: &mut bool) {
    let half = (sender.pending() + MOST_PENDING).div_ceil(2);
    *errors_first = !*errors_first;
    if *errors_first {
        stderr.pump(STDERR, sender, half);
        stdout.pump(STDOUT, sender, MOST_PENDING);
    } else {
        stdout.pump(STDOUT, sender, half);
        stderr.pump(STDERR, sender, MOST_PENDING);
    }
}

/// Keeps the connection for a dialer that wants nothing else, until either is gone or `cut` says so.
pub(super) async fn hold(mut sender: Sender, mut receiver: Receiver, cut: impl Future<Output = Cut>) -> Ended {
    let mut cut = std::pin::pin!(cut);
    loop {
        tokio::select! {
            record = receiver.recv() => {
                let heard = match record {
                    Ok(Some(record)) => FromDialer::decode(&record).and_then(|message| match message {
                        FromDialer::Pad(bytes) => answer(&mut sender, bytes),
                        // There is no input, and so it has ended; and nothing that a size or a signal could be for.
                        FromDialer::Eof | FromDialer::Resize(_) | FromDialer::Signal(_) => Ok(()),
                        _ => Err(Error::protocol("a message for a command, where there is none")),
                    }),
                    Ok(None) => {
                        // It is going anyway.
                        let _ = sender.close().await;
                        return Ended::Disconnected("the dialer closed".to_owned());
                    }
                    Err(error) => return Ended::Disconnected(error.to_string()),
                };
                if let Err(error) = heard {
                    return Cut::Nonsense(error).tell(sender, receiver).await;
                }
            }
            driven = sender.drive() => {
                if let Err(error) = driven {
                    return Ended::Disconnected(error.to_string());
                }
            }
            why = &mut cut => return why.tell(sender, receiver).await,
        }
    }
}

/// Receives a command line of `length` bytes.
///
/// # Errors
/// The dialer is gone, or says something else.
pub(super) async fn command_line(sender: &mut Sender, receiver: &mut Receiver, length: u32) -> Result<Vec<u8>> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut line = Vec::with_capacity(length);
    while line.len() < length {
        tokio::select! {
            record = receiver.recv() => {
                let record = record?.ok_or_else(|| Error::network("the dialer closed before its command was complete"))?;
                match FromDialer::decode(&record)? {
                    FromDialer::Command(bytes) if bytes.len() <= length - line.len() => line.extend(bytes),
                    FromDialer::Command(_) => return Err(Error::protocol("a command longer than was said")),
                    _ => return Err(Error::protocol("something else before the command was complete")),
                }
            }
            driven = sender.drive() => driven?,
        }
    }
    if line.contains(&0) { Err(Error::protocol("a zero byte in a command")) } else { Ok(line) }
}

/// Sends a PAD back.
fn answer(sender: &mut Sender, bytes: &[u8]) -> Result<()> {
    // One that nobody takes is not worth the memory.
    if sender.pending() < MOST_PENDING {
        let (kind, body) = FromHost::Pad(bytes).encode();
        sender.push(kind, &[&body])?;
    }
    Ok(())
}

/// Tells the dialer how the command ended, after all its output, and waits until it has closed: on a slow path the last bytes
/// are still under way for long, and would be lost with the connection.
pub(super) async fn conclude(
    mut sender: Sender,
    mut receiver: Receiver,
    exit: Exit,
    cut: impl Future<Output = Cut>,
) -> Ended {
    let (kind, body) = FromHost::Exit(exit.clone()).encode();
    let Ok(mut closing) = sender.push(kind, &[&body]).and_then(|()| sender.closing()) else {
        return Ended::Command(exit);
    };
    let mut cut = std::pin::pin!(cut);
    let mut is_sent = false;
    loop {
        tokio::select! {
            record = receiver.recv() => match record {
                // Credit, and keys for what is no more.
                Ok(Some(_)) => {}
                // It has closed; or it is gone, and was told as well as that could be.
                Ok(None) | Err(_) => return Ended::Command(exit),
            },
            sent = closing.sent(), if !is_sent => {
                if sent.is_err() {
                    return Ended::Command(exit);
                }
                is_sent = true;
            }
            why = &mut cut => return match why {
                Cut::Revoked(why) => Ended::Revoked(why),
                Cut::Stopped | Cut::Nonsense(_) => Ended::Command(exit),
            },
        }
    }
}
