//! The sender: reads what was named and streams it.

mod answers;
mod content;
mod heard;
mod ledger;
mod sources;
mod total;
mod walk;
#[cfg(test)]
mod tests;

use super::{Event, Outcome, Place, Watch};
use crate::conn::{Breaker, BulkReceiver, BulkSender, Reason};
use crate::error::{Error, Result};
use crate::patient::Patient;
use crate::proto::copy::{FromSender, Meta, Request, WINDOW};
use crate::root::{Kind, MAX_PATH_LEN, Status};
use answers::Answers;
use heard::Heard;
use sources::{Excludes, Sources};
use total::Total;
use walk::{Step, Walk};

/// What a sender is to send.
#[derive(Debug)]
pub struct Selection {
    /// Where it is found.
    pub place: Place,
    /// Paths, or patterns if [`Selection::globs`] is set.
    pub sources: Vec<Vec<u8>>,
    /// Whether `*`, `?` and `[` in a source stand for more than themselves.
    pub globs: bool,
    /// Patterns of what is left out below what was named. One without a slash is of any name, with one of the path below what was named; with a
    /// slash at its end it leaves out directories only.
    pub excludes: Vec<Vec<u8>>,
    /// In place of any file: standard input.
    pub stdin: bool,
}

/// Sends what is selected, and listens to what becomes of it, up to the receiver's DONE. Both directions are closed then.
///
/// # Errors
/// The connection, or the other side, does not let the copy come to its end. A file that cannot be copied is no error: it is
/// told to `watch`, counted, and the rest goes on.
pub fn send(
    selection: &Selection,
    wishes: &Request,
    out: BulkSender,
    reports: BulkReceiver,
    watch: Watch<'_>,
) -> Result<Outcome> {
    if !selection.stdin {
        return send_from(selection, wishes, None, out, reports, watch);
    }
    match Patient::of(&std::io::stdin()) {
        Ok(stdin) => send_from(selection, wishes, Some(stdin), out, reports, watch),
        Err(cause) => {
            out.fail(Reason::Unavailable, "the sender has no standard input");
            Err(Error::state(format!("cannot read standard input: {}", crate::error::reason(&cause))))
        }
    }
}

/// The same, with what is read in place of files.
fn send_from(
    selection: &Selection,
    wishes: &Request,
    stdin: Option<Patient>,
    out: BulkSender,
    reports: BulkReceiver,
    watch: Watch<'_>,
) -> Result<Outcome> {
    let over = out.breaker();
    let (found, excludes) = match stdin {
        Some(_) => (Sources::default(), Excludes::new(&[])),
        None => (Sources::find(selection, &over), Excludes::new(&selection.excludes)),
    };
    let total = Total::default();
    let walk = || Walk::new(&selection.place, &found.tops, &excludes, wishes, &over);
    std::thread::scope(|scope| {
        // Whatever happens, the count does not go on after it.
        let _stop = total.stop_when_dropped();
        if wishes.totals && stdin.is_none() {
            let (total, walk) = (&total, walk());
            total.set_counting(true);
            if std::thread::Builder::new().spawn_scoped(scope, move || total.count(walk)).is_err() {
                // Then nobody learns how much there is.
                total.set_counting(false);
            }
        }
        let answers = Answers::new(&selection.place, over.clone());
        let heard = Heard::new(watch, answers);
        let room = Vec::new();
        let over = over.clone();
        let mut sending = Sending { wishes, out, over, reports, heard, total: &total, inside: None, room };
        let sent = match stdin {
            Some(stdin) => sending.send_stdin(stdin),
            None => sending.send_all(&found, &walk),
        };
        sending.finish(sent)
    })
}

/// Why it does not go on.
enum Stop {
    /// The connection is over.
    Lost(Error),
    /// The receiver does what it must not.
    Wrong(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Lost(error)
    }
}

/// A copy under way.
struct Sending<'a> {
    wishes: &'a Request,
    out: BulkSender,
    over: Breaker,
    reports: BulkReceiver,
    heard: Heard<'a>,
    total: &'a Total,
    /// The path of the file that is being sent in pieces, and how many bytes of it have gone.
    inside: Option<(Vec<u8>, u64)>,
    /// Where small files are read.
    room: Vec<u8>,
}

impl<'a> Sending<'a> {
    /// Sends all that was found, twice if the receiver is asked first.
    fn send_all(&mut self, found: &'a Sources, walk: &dyn Fn() -> Walk<'a>) -> std::result::Result<(), Stop> {
        self.say(&FromSender::Begin(found.count()))?;
        for (path, why) in &found.missing {
            self.problem(path, why)?;
        }
        if self.wishes.resume {
            self.ask(walk())?;
        }
        if !self.heard.is_hopeless() {
            self.send_tree(walk())?;
        }
        if self.heard.is_hopeless() {
            return Ok(());
        }
        while !self.total.wait() {
            self.between(|_| true)?;
        }
        self.tell_total()
    }

    /// Asks what there is of each file.
    fn ask(&mut self, mut walk: Walk<'a>) -> std::result::Result<(), Stop> {
        let mut depth = 0_usize;
        loop {
            self.between(|heard| heard.answers.asked() < WINDOW)?;
            if self.heard.is_hopeless() {
                break;
            }
            match walk.step() {
                None => break,
                Some(Step::File) => {
                    // What cannot be read is told when it is to be sent.
                    let Ok(status) = walk.status() else { continue };
                    if status.kind() == Kind::File && status.size > 0 {
                        self.say_top(&walk)?;
                        self.say(&FromSender::Ask(status.size, walk.name()))?;
                        self.heard.answers.ask(&walk, status.size);
                    }
                }
                Some(Step::Enter(status)) => {
                    self.say_top(&walk)?;
                    self.say(&FromSender::Directory(meta(&status), walk.name()))?;
                    depth += 1;
                }
                Some(Step::Leave) => {
                    self.say(&FromSender::Leave)?;
                    depth -= 1;
                }
                Some(Step::Link(_) | Step::Problem(_)) => {}
            }
        }
        self.between(|heard| heard.answers.asked() == 0)?;
        if self.heard.is_hopeless() {
            for _ in 0..depth {
                self.say(&FromSender::Leave)?;
            }
            return Ok(());
        }
        self.say(&FromSender::Answered)
    }

    /// Sends it.
    fn send_tree(&mut self, mut walk: Walk<'a>) -> std::result::Result<(), Stop> {
        loop {
            self.between(|heard| heard.ledger.sent() - heard.ledger.settled() < WINDOW)?;
            if self.heard.is_hopeless() {
                break;
            }
            if let Some(depth) = self.heard.take_skipped() {
                walk.skip(depth);
            }
            match walk.step() {
                None => break,
                Some(Step::File) => self.send_file(&walk)?,
                Some(Step::Enter(status)) => {
                    self.say_item(&walk, Kind::Directory, 0)?;
                    self.say(&FromSender::Directory(meta(&status), walk.name()))?;
                    self.heard.enter();
                }
                Some(Step::Leave) => self.leave()?,
                Some(Step::Link(target)) => {
                    self.say_item(&walk, Kind::Link, 0)?;
                    self.say(&FromSender::Link(walk.name(), &target))?;
                }
                Some(Step::Problem(why)) => self.problem(walk.path(), &why)?,
            }
        }
        while self.heard.depth() > 0 {
            self.leave()?;
        }
        Ok(())
    }

    fn leave(&mut self) -> std::result::Result<(), Stop> {
        self.heard.leave();
        self.say(&FromSender::Leave)
    }

    /// Lays a message into the batch.
    fn say(&mut self, message: &FromSender<'_>) -> std::result::Result<(), Stop> {
        let (kind, front, rest) = message.encode();
        self.out.push(kind, &[&front, rest]).map_err(Stop::Lost)
    }

    fn say_top(&mut self, walk: &Walk<'_>) -> std::result::Result<(), Stop> {
        match walk.top() {
            Some(top) => self.say(&FromSender::Top(top.source, &top.path)),
            None => Ok(()),
        }
    }

    /// What stands in front of an item: where it comes from, if it was named; and somebody may be watching.
    fn say_item(&mut self, walk: &Walk<'_>, kind: Kind, size: u64) -> std::result::Result<(), Stop> {
        self.say_top(walk)?;
        self.heard.begin(walk.path(), kind, Some(size));
        Ok(())
    }

    /// Something is not copied as it should be.
    fn problem(&mut self, path: &[u8], why: &str) -> std::result::Result<(), Stop> {
        let told = path.get(..path.len().min(MAX_PATH_LEN)).unwrap_or_default();
        self.say(&FromSender::Problem(told, why))?;
        self.heard.fail(path, why);
        Ok(())
    }

    /// Hears what the receiver has to say, and waits for it until `enough` is true; it is told how much there is once that
    /// is known.
    fn between(&mut self, enough: impl Fn(&Heard<'_>) -> bool) -> std::result::Result<(), Stop> {
        self.tell_total()?;
        while let Some(batch) = self.reports.try_recv()? {
            self.heard.take(batch)?;
        }
        self.heard.still_open(self.reports.is_closed())?;
        while !enough(&self.heard) && !self.heard.is_hopeless() {
            self.out.flush()?;
            match self.reports.recv()? {
                Some(batch) => self.heard.take(batch)?,
                None => return self.heard.still_open(true),
            }
        }
        Ok(())
    }

    fn tell_total(&mut self) -> std::result::Result<(), Stop> {
        match self.total.take_news() {
            Some((files, bytes)) => {
                self.heard.tell(Event::Total { files, bytes });
                self.say(&FromSender::Total(files, bytes))
            }
            None => Ok(()),
        }
    }

    /// Ends the copy, well or not.
    fn finish(mut self, sent: std::result::Result<(), Stop>) -> Result<Outcome> {
        let items = self.heard.ledger.sent();
        let ended = sent.and_then(|()| self.say(&FromSender::End(items)));
        let Sending { out, mut reports, mut heard, inside, .. } = self;
        let stop = match (ended, heard.hopeless()) {
            (Ok(()), _) => return close(out, reports, heard),
            // The receiver waits for nothing any more.
            (Err(Stop::Lost(_)), Some(why)) => return Err(why),
            (Err(stop), _) => stop,
        };
        if let Some((path, bytes)) = inside
            && bytes >= LEAST_KEPT
        {
            heard.tell(Event::Kept { path: &path });
        }
        match stop {
            Stop::Lost(error) => Err(reports.reason_for(error)),
            Stop::Wrong(error) => {
                out.fail(Reason::BadRequest, &error.to_string());
                Err(error)
            }
        }
    }
}

/// Of less than that a receiver keeps nothing when the connection is lost.
const LEAST_KEPT: u64 = 64 << 10;

/// Closes, and hears the receiver out. Both at once: what it has to say may be more than fits on the way.
fn close(out: BulkSender, mut reports: BulkReceiver, mut heard: Heard<'_>) -> Result<Outcome> {
    heard.end();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| out.close());
        let rest = loop {
            match reports.recv() {
                Ok(Some(batch)) => {
                    if let Err(stop) = heard.take(batch) {
                        break Err(stop);
                    }
                }
                Ok(None) => break heard.still_open(true),
                Err(error) => break Err(Stop::Lost(error)),
            }
        };
        // That everything was written is shown by the DONE.
        let _ = closing.join();
        match rest {
            Ok(()) => heard.hopeless().map_or(Ok(heard.outcome), Err),
            Err(Stop::Lost(error)) => Err(heard.hopeless().unwrap_or(error)),
            Err(Stop::Wrong(error)) => Err(error),
        }
    })
}

/// What is kept of a file beside its contents.
fn meta(status: &Status) -> Meta {
    Meta {
        mode: u16::try_from(status.mode & 0o777).unwrap_or(0),
        seconds: status.modified,
        nanos: status.modified_nanos.min(999_999_999),
    }
}
