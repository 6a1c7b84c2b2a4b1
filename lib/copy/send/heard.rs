//! What the receiver has said, and what that means for what was sent.

use super::Stop;
use super::answers::Answers;
use super::ledger::Ledger;
use crate::conn::Batch;
use crate::copy::{Event, Outcome, Watch};
use crate::error::Error;
use crate::proto::copy::FromReceiver;
use crate::root::Kind;
use crate::term::sanitize_line;

/// The receiver's words, checked.
pub(super) struct Heard<'a> {
    pub(super) ledger: Ledger,
    pub(super) answers: Answers<'a>,
    pub(super) outcome: Outcome,
    watch: Watch<'a>,
    /// The items of the directories that are entered.
    entered: Vec<u64>,
    /// The outermost of them that is not stored, so that nothing more of it need be sent.
    skipped: Option<usize>,
    /// The last item is not complete.
    is_inside: bool,
    /// Why the receiver stores nothing.
    hopeless: Option<String>,
    state: State,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// All was sent.
    Ended,
    /// All is settled.
    Done,
}

impl<'a> Heard<'a> {
    pub(super) fn new(watch: Watch<'a>, answers: Answers<'a>) -> Self {
        Heard {
            ledger: Ledger::default(),
            answers,
            outcome: Outcome::default(),
            watch,
            entered: Vec::new(),
            skipped: None,
            is_inside: false,
            hopeless: None,
            state: State::Open,
        }
    }

    /// An item is about to be sent.
    pub(super) fn begin(&mut self, path: &[u8], kind: Kind, size: Option<u64>) {
        self.ledger.add(path, kind, size.unwrap_or(0), self.entered.len());
        (self.watch)(Event::Began { path, kind, size });
    }

    /// The last item goes on in pieces, or does no longer.
    pub(super) fn set_inside(&mut self, is_inside: bool) {
        self.is_inside = is_inside;
    }

    /// The last item is a directory, and what follows is in it.
    pub(super) fn enter(&mut self) {
        self.entered.push(self.ledger.sent().saturating_sub(1));
    }

    /// What follows is in the directory above.
    pub(super) fn leave(&mut self) {
        self.entered.pop();
        // What was left needs no skipping.
        self.skipped = self.skipped.filter(|depth| *depth < self.entered.len());
    }

    /// How many directories are entered.
    pub(super) fn depth(&self) -> usize {
        self.entered.len()
    }

    /// How many directories are above the one of which nothing more need be sent, if there is one; told once.
    pub(super) fn take_skipped(&mut self) -> Option<usize> {
        self.skipped.take()
    }

    /// Whether there is any sense in going on.
    pub(super) fn is_hopeless(&self) -> bool {
        self.hopeless.is_some()
    }

    /// Why there is none.
    pub(super) fn hopeless(&self) -> Option<Error> {
        self.hopeless.as_ref().map(Error::no)
    }

    /// Whether there is any sense in going on with the last item.
    pub(super) fn wants_last(&self) -> bool {
        !self.is_hopeless() && self.ledger.wants_last()
    }

    /// All was sent.
    pub(super) fn end(&mut self) {
        self.state = State::Ended;
    }

    /// Tells whoever watches.
    pub(super) fn tell(&mut self, event: Event<'_>) {
        (self.watch)(event);
    }

    /// Something is not copied as it should be.
    pub(super) fn fail(&mut self, path: &[u8], why: &str) {
        self.outcome.failed += 1;
        (self.watch)(Event::Failed { path, why });
    }

    /// The receiver may close only when all is done, or nothing can be.
    pub(super) fn still_open(&self, is_closed: bool) -> Result<(), Stop> {
        let may_close = self.state == State::Done || self.is_hopeless();
        if is_closed && !may_close { Err(wrong("a close before the DONE")) } else { Ok(()) }
    }

    /// Takes what has come.
    pub(super) fn take(&mut self, batch: &Batch) -> Result<(), Stop> {
        for record in batch.records() {
            let message = FromReceiver::decode(&record).map_err(Stop::Wrong)?;
            if self.state == State::Done || self.is_hopeless() {
                return Err(wrong("something follows the last word"));
            }
            match message {
                FromReceiver::Have(length, hash) => self.answers.answer(length, &hash).map_err(wrong)?,
                FromReceiver::Stored(items) => self.stored(items)?,
                FromReceiver::Failed(item, why) => self.failed(item, why)?,
                FromReceiver::Hopeless(why) => self.hopeless = Some(sanitize_line(why)),
                FromReceiver::Done => self.done()?,
                FromReceiver::Problem(path, why) => self.fail(path, why),
            }
        }
        Ok(())
    }

    fn stored(&mut self, items: u64) -> Result<(), Stop> {
        let unfinished = u64::from(self.is_inside && self.ledger.wants_last());
        if items < self.ledger.settled() || items > self.ledger.sent() - unfinished {
            return Err(wrong("STORED for items that were not sent, or are settled"));
        }
        while self.ledger.settled() < items {
            if let Some((path, kind, size)) = self.ledger.settle() {
                self.outcome.stored += 1;
                (self.watch)(Event::Stored { path, kind, size });
            }
        }
        Ok(())
    }

    fn failed(&mut self, item: u64, why: &str) -> Result<(), Stop> {
        let news = self.ledger.fail(item).map_err(wrong)?;
        if let Some(path) = news {
            self.outcome.failed += 1;
            (self.watch)(Event::Failed { path, why });
        }
        if let Ok(depth) = self.entered.binary_search(&item) {
            self.skipped = Some(self.skipped.map_or(depth, |outer| outer.min(depth)));
        }
        Ok(())
    }

    fn done(&mut self) -> Result<(), Stop> {
        if self.state != State::Ended {
            return Err(wrong("DONE before the END"));
        }
        if self.ledger.settled() != self.ledger.sent() {
            return Err(wrong("DONE before all items are settled"));
        }
        self.state = State::Done;
        Ok(())
    }
}

fn wrong(what: &str) -> Stop {
    Stop::Wrong(Error::protocol(what))
}
