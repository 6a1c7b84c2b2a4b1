//! The receiver: writes what comes, and trusts nothing of it.

mod disks;
mod files;
mod items;
mod levels;
mod offers;
mod part;
mod target;
#[cfg(test)]
mod tests;

use super::{Event, Outcome, Place, Tops, Watch};
use crate::conn::{Batch, BulkReceiver, BulkSender, Reason};
use crate::error::{Error, Result, reason};
use crate::patient::Patient;
use crate::proto::copy::{FromReceiver, FromSender, Request, Sync};
use files::Arriving;
use items::Due;
use levels::{Ground, Levels};
use offers::Offers;
use std::io::{self, IoSlice};

/// Most items that are settled and not said to be.
const MAX_UNSAID: u64 = 1024;

/// Where a receiver puts what comes.
#[derive(Debug)]
pub enum Target<'a> {
    /// At this path of the place, by the rules of scp.
    Path(&'a Place, &'a [u8]),
    /// The contents of all files go to standard output, one after the other.
    Stdout,
}

/// Receives, up to the sender's END. Both directions are closed then. `asked` are the sources that the sender was asked for:
/// nothing else is taken. Without it any name will do: it is the dialer's own choice.
///
/// # Errors
/// The connection, or the other side, does not let the copy come to its end. A file that cannot be stored is no error: it is
/// told to `watch` and to the sender, counted, and the rest goes on.
pub fn receive(
    target: &Target<'_>,
    asked: Option<&[Vec<u8>]>,
    wishes: &Request,
    out: BulkSender,
    mut incoming: BulkReceiver,
    watch: Watch<'_>,
) -> Result<Outcome> {
    let mut receiving = Receiving::new(target, asked, wishes, out, watch);
    let ended = receiving.up_to_end(&mut incoming);
    let outcome = receiving.outcome;
    let out = receiving.close_file(matches!(ended, Err(Stop::Lost(_))));
    match ended {
        Ok(()) => {
            out.close()?;
            match incoming.recv()? {
                None => Ok(outcome),
                Some(_) => Err(Error::protocol("something after END")),
            }
        }
        Err(Stop::Lost(error)) => Err(incoming.reason_for(error)),
        Err(Stop::Broken(error)) => {
            out.fail(Reason::BadRequest, &error.to_string());
            Err(error)
        }
        Err(Stop::Hopeless(error)) => {
            // Why it is says more than that it could not be told.
            if tell(out, &FromReceiver::Hopeless(&error.to_string())).is_ok() {
                // What is on its way already means nothing any more.
                while let Ok(Some(_)) = incoming.recv() {}
            }
            Err(error)
        }
    }
}

/// Says one thing more, and closes this direction.
fn tell(mut out: BulkSender, message: &FromReceiver<'_>) -> Result<()> {
    let (kind, body) = message.encode();
    out.push(kind, &[&body])?;
    out.close()
}

/// Why a copy does not come to its end.
enum Stop {
    /// The connection is gone.
    Lost(Error),
    /// The sender broke the protocol.
    Broken(Error),
    /// Nothing can be stored.
    Hopeless(Error),
}

type Step<T = ()> = std::result::Result<T, Stop>;

fn broken<T>(what: &str) -> Step<T> {
    Err(Stop::Broken(Error::protocol(what)))
}

/// How far the sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// BEGIN comes.
    Start,
    /// It asks what is there.
    Asking,
    /// It copies.
    Copying,
    /// END came.
    Over,
}

/// A copy that comes in.
struct Receiving<'a> {
    target: &'a Target<'a>,
    asked: Option<&'a [Vec<u8>]>,
    wishes: &'a Request,
    out: BulkSender,
    watch: Watch<'a>,
    phase: Phase,
    count: u32,
    tops: Tops<'a>,
    /// What the only top is called, by the target.
    called: Option<Vec<u8>>,
    only_directory: bool,
    due: Due,
    /// None for standard output.
    levels: Option<Levels>,
    stdout: Option<(Patient, blake3::Hasher)>,
    offers: Offers,
    /// The name of the item that is under way, and the path that is shown for it.
    name: Vec<u8>,
    shown: Vec<u8>,
    arriving: Option<Arriving>,
    items: u64,
    said: u64,
    /// The file that the sender gave up just now, as long as it has not said why.
    abandoned: Option<Vec<u8>>,
    /// Things that it said were wrong.
    problems: u64,
    has_total: bool,
    outcome: Outcome,
}

impl<'a> Receiving<'a> {
    fn new(
        target: &'a Target<'a>,
        asked: Option<&'a [Vec<u8>]>,
        wishes: &'a Request,
        out: BulkSender,
        watch: Watch<'a>,
    ) -> Self {
        Receiving {
            target,
            asked,
            wishes,
            out,
            watch,
            phase: Phase::Start,
            count: 0,
            tops: Tops::new(asked, 0),
            called: None,
            only_directory: false,
            due: Due::Nothing,
            levels: None,
            stdout: None,
            offers: Offers::default(),
            name: Vec::new(),
            shown: Vec::new(),
            arriving: None,
            items: 0,
            said: 0,
            abandoned: None,
            problems: 0,
            has_total: false,
            outcome: Outcome::default(),
        }
    }

    fn up_to_end(&mut self, incoming: &mut BulkReceiver) -> Step {
        while self.phase != Phase::Over {
            let Some(batch) = incoming.recv().map_err(Stop::Lost)? else {
                return Err(Stop::Lost(Error::network("the other side stopped before the end of the copy")));
            };
            self.take(batch)?;
            self.say_stored()?;
            if self.phase == Phase::Over {
                self.say(&FromReceiver::Done)?;
            }
            self.out.flush().map_err(Stop::Lost)?;
        }
        Ok(())
    }

    /// Takes what came at once. Data that follows one another is written at once.
    fn take(&mut self, batch: &Batch) -> Step {
        let mut run: Vec<IoSlice<'_>> = Vec::new();
        for record in batch.records() {
            let message = FromSender::decode(&record).map_err(Stop::Broken)?;
            if let FromSender::Data(data) = message {
                self.check_open("DATA")?;
                run.push(IoSlice::new(data));
                continue;
            }
            self.write(&mut run)?;
            run.clear();
            if let Some(first) = self.message(message)? {
                run.push(IoSlice::new(first));
            }
            if self.items - self.said >= MAX_UNSAID {
                self.say_stored()?;
                self.out.flush().map_err(Stop::Lost)?;
            }
        }
        self.write(&mut run)
    }

    /// Does what a message says. What it returns is data that is still to be written.
    fn message<'b>(&mut self, message: FromSender<'b>) -> Step<Option<&'b [u8]>> {
        // These may come anywhere.
        match message {
            FromSender::Problem(path, why) => {
                self.problems += 1;
                self.outcome.failed += 1;
                (self.watch)(Event::Failed { path, why });
                self.explained(path);
                return Ok(None);
            }
            FromSender::Total(..) if self.has_total => return broken("a second TOTAL"),
            FromSender::Total(files, bytes) => {
                self.has_total = true;
                (self.watch)(Event::Total { files, bytes });
                return Ok(None);
            }
            _ => self.unexplained(),
        }
        match (self.phase, self.arriving.is_some(), message) {
            (Phase::Start, _, FromSender::Begin(tops)) => self.begin(tops)?,
            (Phase::Start, ..) => return broken("a copy that does not start with BEGIN"),
            (Phase::Over, ..) => return broken("something after END"),
            (_, true, FromSender::Hole(length)) => self.hole(length)?,
            (_, true, FromSender::Whole(hash)) => self.whole(hash)?,
            (_, true, FromSender::Abandoned) => self.give_up()?,
            (_, true, _) => return broken("a file that does not end"),
            (_, _, FromSender::Top(source, path)) => self.top(source, path)?,
            (_, _, FromSender::Leave) => self.leave()?,
            (Phase::Asking, _, FromSender::Directory(meta, name)) => self.ask_below(&meta, name)?,
            (Phase::Asking, _, FromSender::Ask(size, name)) => self.ask(size, name)?,
            (Phase::Asking, _, FromSender::Answered) => self.answered()?,
            (Phase::Copying, _, FromSender::Directory(meta, name)) => self.directory(&meta, name)?,
            (Phase::Copying, _, FromSender::Link(name, to)) => self.link(name, to)?,
            (Phase::Copying, _, FromSender::File(file)) => return self.file(&file),
            (Phase::Copying, _, FromSender::End(items)) => self.end(items)?,
            _ => return broken("a message where it means nothing"),
        }
        Ok(None)
    }

    fn begin(&mut self, tops: u32) -> Step {
        self.phase = if self.wishes.resume { Phase::Asking } else { Phase::Copying };
        self.count = tops;
        self.tops = Tops::new(self.asked, tops);
        match self.target {
            Target::Stdout => {
                let opened = Patient::of(&io::stdout()).map_err(|cause| Stop::Hopeless(Error::output(&cause)))?;
                self.stdout = Some((opened, blake3::Hasher::new()));
            }
            // Nothing that was named is there: that has been said, and where it would have been put is no matter.
            Target::Path(..) if tops == 0 => {}
            Target::Path(place, path) => {
                let hopeless = |text: String| Stop::Hopeless(Error::no(text));
                let spot = target::find(place, path, tops).map_err(hopeless)?;
                self.levels = Some(Levels::new(spot.root).map_err(|cause| hopeless(target::told(path, &cause)))?);
                (self.called, self.only_directory) = (spot.name, spot.only_directory);
            }
        }
        Ok(())
    }

    fn depth(&self) -> usize {
        self.levels.as_ref().map_or(0, Levels::depth)
    }

    fn ground(&self) -> Ground {
        self.levels.as_ref().map_or(Ground::Absent, Levels::ground)
    }

    /// The directories, where there are any.
    fn levels(&mut self) -> Step<&mut Levels> {
        match &mut self.levels {
            Some(levels) => Ok(levels),
            None if self.stdout.is_some() => {
                Err(Stop::Hopeless(Error::no("standard output takes files only, one after the other")))
            }
            None => broken("more than BEGIN announced"),
        }
    }

    fn end(&mut self, items: u64) -> Step {
        if self.depth() > 0 || items != self.items {
            return broken("an END that is not where the copy ends");
        }
        self.phase = Phase::Over;
        if let Some(path) = self.tops.missing(self.problems) {
            self.outcome.failed += 1;
            (self.watch)(Event::Failed { path, why: "the host sent nothing for it" });
        }
        let is_written = !self.wishes.dry_run && items > 0 && self.wishes.sync != Sync::None;
        if let Some(levels) = self.levels.as_ref().filter(|_| is_written) {
            levels.sync().map_err(|cause| {
                let why = format!("what was copied may be lost: it cannot be brought to the disk: {}", reason(&cause));
                Stop::Hopeless(Error::state(why))
            })?;
        }
        Ok(())
    }

    /// What was asked is answered: the copy itself starts, at the top again.
    fn answered(&mut self) -> Step {
        if self.depth() > 0 {
            return broken("an ANSWERED in a directory");
        }
        self.phase = Phase::Copying;
        self.due = Due::Nothing;
        self.tops = Tops::new(self.asked, self.count);
        Ok(())
    }

    /// Says that the item that is under way is not stored.
    fn fail(&mut self, why: &str) -> Step {
        self.outcome.failed += 1;
        (self.watch)(Event::Failed { path: &self.shown, why });
        self.say(&FromReceiver::Failed(self.items.saturating_sub(1), why))
    }

    /// Says how many items are settled, if that is more than was said.
    fn say_stored(&mut self) -> Step {
        let settled = self.items - u64::from(self.arriving.is_some());
        if settled > self.said {
            self.said = settled;
            self.say(&FromReceiver::Stored(settled))?;
        }
        Ok(())
    }

    fn say(&mut self, message: &FromReceiver<'_>) -> Step {
        let (kind, body) = message.encode();
        self.out.push(kind, &[&body]).map_err(Stop::Lost)
    }
}
