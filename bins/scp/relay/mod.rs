//! From one host to another: what the one sends is checked, as a receiver that asked for it would, and goes on to the other,
//! whose reports go back.

mod items;
#[cfg(test)]
mod tests;
mod tree;

use crate::dialer::Link;
use items::{Items, is_told_as};
use keywire::conn::{Breaker, BulkReceiver, BulkSender, Reason};
use keywire::copy::Event;
use keywire::error::{Error, Result};
use keywire::proto::copy::{FromReceiver, FromSender, Request, Way};
use keywire::term::sanitize_line;
use keywire::threads::lock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tree::{Step, Tree};

/// Copies what was `asked` for from one host to another. Whoever failed is named by the way in which it was asked to copy.
pub(crate) fn relay(
    from: Link,
    to: Link,
    asked: &[Vec<u8>],
    wishes: &Request,
    watch: impl FnMut(Event<'_>) + Send,
) -> std::result::Result<(), (Way, Error)> {
    let relay =
        Relay { seen: Mutex::new(Seen::new(watch)), failure: Mutex::new(None), from: from.breaker, to: to.breaker };
    let (sent, reported) = std::thread::scope(|scope| {
        let reports = scope.spawn(|| relay.reports(to.incoming, from.out));
        let sent = relay.files(from.incoming, to.out, Tree::new(asked, wishes));
        (sent, reports.join())
    });
    relay.from.wait();
    relay.to.wait();
    let Relay { seen, failure, .. } = relay;
    let Seen { items, mut watch, hopeless, .. } = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(why) = hopeless {
        return Err((Way::ToHost, Error::no(why)));
    }
    if let Some(path) = items.inside() {
        watch(Event::Kept { path });
    }
    if let Some(failure) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(failure);
    }
    // Only where a connection takes no more, and nothing was heard of the reason.
    sent.map_err(|error| (Way::ToHost, error))?;
    let reported = reported.unwrap_or_else(|_| Err(Error::state("the copy came to a sudden end")));
    reported.map_err(|error| (Way::FromHost, error))
}

/// What both directions have in common.
struct Relay<W> {
    seen: Mutex<Seen<W>>,
    /// The first thing that went wrong.
    failure: Mutex<Option<(Way, Error)>>,
    from: Breaker,
    to: Breaker,
}

/// What is known of the copy.
struct Seen<W> {
    items: Items,
    watch: W,
    /// What the sender gave up last, if nobody has said why yet.
    given_up: Option<Vec<u8>>,
    /// END came.
    is_all_sent: bool,
    /// Why the receiver takes nothing.
    hopeless: Option<String>,
}

impl<W: FnMut(Event<'_>) + Send> Relay<W> {
    /// Passes on what the sender says.
    ///
    /// # Errors
    /// The receiver's connection takes no more; why will be heard from it.
    fn files(&self, mut incoming: BulkReceiver, mut out: BulkSender, mut tree: Tree<'_>) -> Result<()> {
        loop {
            let batch = match incoming.recv() {
                Ok(Some(batch)) => batch,
                Ok(None) if tree.is_over() || self.is_hopeless() => return out.close(),
                Ok(None) => return self.fail(Way::FromHost, Error::protocol("it closed before all was sent")),
                Err(error) => return self.fail(Way::FromHost, error),
            };
            if self.is_hopeless() {
                // What was on its way already means nothing any more.
                continue;
            }
            for record in batch.records() {
                let step = FromSender::decode(&record).and_then(|message| tree.take(&message));
                // What is seen is not held while the receiver is waited for: what it reports must be seen too.
                if let Err(error) = step.and_then(|step| self.seen().step(&step)) {
                    return self.fail(Way::FromHost, error);
                }
                out.push(record.kind, &[record.body])?;
            }
            out.flush()?;
        }
    }

    /// Passes on what the receiver says.
    ///
    /// # Errors
    /// The sender's connection takes no more; why will be heard from it.
    fn reports(&self, mut incoming: BulkReceiver, mut out: BulkSender) -> Result<()> {
        let mut is_over = false;
        loop {
            let batch = match incoming.recv() {
                Ok(Some(batch)) => batch,
                Ok(None) if is_over => return out.close(),
                Ok(None) => return self.fail(Way::ToHost, Error::protocol("it closed before the copy was over")),
                Err(error) => return self.fail(Way::ToHost, error),
            };
            for record in batch.records() {
                let message =
                    FromReceiver::decode(&record).and_then(|message| self.seen().report(&message, &mut is_over));
                if let Err(error) = message {
                    return self.fail(Way::ToHost, error);
                }
                out.push(record.kind, &[record.body])?;
            }
            out.flush()?;
        }
    }

    /// Ends both connections: each host is told whether it was its own fault.
    fn fail(&self, way: Way, error: Error) -> Result<()> {
        let (own, other) = match way {
            Way::FromHost => (&self.from, &self.to),
            Way::ToHost => (&self.to, &self.from),
        };
        let why = error.to_string();
        // Before the other direction hears of it, and takes it for the first thing that went wrong.
        lock(&self.failure).get_or_insert((way, error));
        own.cut(Reason::BadRequest, &why);
        other.cut(Reason::Unavailable, "the other host of the copy is gone");
        Ok(())
    }

    fn is_hopeless(&self) -> bool {
        self.seen().hopeless.is_some()
    }

    fn seen(&self) -> MutexGuard<'_, Seen<W>> {
        lock(&self.seen)
    }
}

impl<W: FnMut(Event<'_>)> Seen<W> {
    fn new(watch: W) -> Self {
        Seen { items: Items::default(), watch, given_up: None, is_all_sent: false, hopeless: None }
    }

    /// Takes note of what the sender said.
    fn step(&mut self, step: &Step<'_>) -> Result<()> {
        // Why comes next, if it comes.
        if !matches!(step, Step::Total(..))
            && let Some(path) = self.given_up.take()
            && !matches!(step, Step::Problem(told, _) if is_told_as(&path, told))
        {
            (self.watch)(Event::Failed { path: &path, why: "the host gave it up" });
        }
        match step {
            Step::Nothing => {}
            Step::Whole(size) => self.items.end_last(*size),
            Step::Abandoned => self.given_up = self.items.lose_last(),
            Step::End => self.is_all_sent = true,
            Step::Item { path, kind, depth, size, moved, goes_on } => {
                self.items.add(path, *kind, *depth, size.unwrap_or(0), *goes_on)?;
                (self.watch)(Event::Began { path, kind: *kind, size: *size });
                if *moved > 0 {
                    (self.watch)(Event::Moved(*moved));
                }
            }
            Step::Moved(bytes) => (self.watch)(Event::Moved(*bytes)),
            Step::Problem(path, why) => {
                self.items.excuse(path);
                (self.watch)(Event::Failed { path, why });
            }
            Step::Total(files, bytes) => (self.watch)(Event::Total { files: *files, bytes: *bytes }),
        }
        Ok(())
    }

    /// Takes note of what the receiver said.
    fn report(&mut self, message: &FromReceiver<'_>, is_over: &mut bool) -> Result<()> {
        if *is_over {
            return Err(Error::protocol("a message after the last"));
        }
        let watch = &mut self.watch;
        match message {
            FromReceiver::Have(..) => {}
            FromReceiver::Stored(count) => self.items.settle(*count, |path, kind, size| {
                watch(Event::Stored { path, kind, size });
            })?,
            FromReceiver::Failed(item, why) => {
                if let Some(path) = self.items.fail(*item)? {
                    watch(Event::Failed { path, why });
                }
            }
            FromReceiver::Hopeless(why) => {
                self.hopeless = Some(sanitize_line(why));
                *is_over = true;
            }
            FromReceiver::Problem(path, why) => watch(Event::Failed { path, why }),
            FromReceiver::Done if !self.is_all_sent => return Err(Error::protocol("DONE before the END")),
            FromReceiver::Done if !self.items.is_settled() => {
                return Err(Error::protocol("DONE before all items are settled"));
            }
            FromReceiver::Done => *is_over = true,
        }
        Ok(())
    }
}
