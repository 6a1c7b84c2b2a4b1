//! A line: what the connections with one peer know together, and who waits for something on them.

use super::Delivery;
use crate::proto::chat::MessageId;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// What the connections with one peer know together.
pub(super) struct Line {
    /// Counts changes on disk that a connection must look at.
    changes: watch::Sender<u64>,
    status: watch::Sender<Status>,
    inside: Mutex<Inside>,
}

/// How the line is.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    /// Connections that are there.
    pub(super) sessions: usize,
    /// Counts the connections that have been there.
    pub(super) ended: u64,
    /// How the last one that ended did so, if not in good order.
    pub(super) failure: Option<Delivery>,
    /// Whether both sides have said on a connection that is there that they have nothing more to say.
    pub(super) is_idle: bool,
}

/// How far a message of ours has come.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// It has left.
    Sent,
    /// The peer has saved it.
    Acked,
    /// It will not be delivered as things are.
    Failed(Delivery),
}

/// Who is told about a message.
pub(super) type Teller = mpsc::UnboundedSender<(MessageId, Progress)>;

/// The place of a connection on its line.
pub(super) struct Place {
    line: Arc<Line>,
    pub(super) id: u64,
    /// How the connection ended, if not in good order.
    pub(super) failure: Option<Delivery>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.session_ended(self.id, self.failure.take());
    }
}

#[derive(Default)]
struct Inside {
    /// The connection that messages go over: one at a time, or their order would be lost.
    carrier: Option<u64>,
    /// What it has sent and is not answered.
    in_flight: HashSet<MessageId>,
    told: HashMap<MessageId, Vec<Teller>>,
    /// Whether somebody sees to it that the peer is dialed.
    has_courier: bool,
}

impl Line {
    pub(super) fn new() -> Self {
        Line { changes: watch::Sender::new(0), status: watch::Sender::default(), inside: Mutex::default() }
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Counts a connection, until what is returned is dropped.
    pub(super) fn session_began(self: &Arc<Self>, id: u64) -> Place {
        self.status.send_modify(|status| {
            status.sessions += 1;
            status.is_idle = false;
        });
        Place { line: self.clone(), id, failure: None }
    }

    fn session_ended(&self, session: u64, failure: Option<Delivery>) {
        let mut inside = self.inside();
        if inside.carrier == Some(session) {
            inside.carrier = None;
            inside.in_flight.clear();
        }
        drop(inside);
        self.status.send_modify(|status| {
            status.sessions -= 1;
            status.ended += 1;
            status.failure = failure;
            status.is_idle = false;
        });
        // Another connection takes over what this one has left.
        self.changed();
    }

    /// Whether there is one connection only.
    pub(super) fn is_single(&self) -> bool {
        self.status.borrow().sessions == 1
    }

    pub(super) fn is_idle(&self, idle: bool) {
        self.status.send_if_modified(|status| std::mem::replace(&mut status.is_idle, idle) != idle);
    }

    /// Makes `session` the one that messages go over: the newest is the one that is sure to be alive.
    pub(super) fn take_over(&self, session: u64) {
        let mut inside = self.inside();
        if inside.carrier.replace(session) != Some(session) {
            inside.in_flight.clear();
        }
    }

    /// What is in flight, if messages go over `session`, or over none, which makes it the one.
    pub(super) fn in_flight(&self, session: u64) -> Option<HashSet<MessageId>> {
        let mut inside = self.inside();
        (*inside.carrier.get_or_insert(session) == session).then(|| inside.in_flight.clone())
    }

    pub(super) fn fly(&self, session: u64, ids: impl IntoIterator<Item = MessageId>) {
        let mut inside = self.inside();
        if inside.carrier == Some(session) {
            inside.in_flight.extend(ids);
        }
    }

    /// Whether anything is in flight over `session`.
    pub(super) fn has_flights(&self, session: u64) -> bool {
        let inside = self.inside();
        inside.carrier == Some(session) && !inside.in_flight.is_empty()
    }

    /// Whether `id` is in flight over `session`.
    pub(super) fn flies(&self, session: u64, id: &MessageId) -> bool {
        let inside = self.inside();
        inside.carrier == Some(session) && inside.in_flight.contains(id)
    }

    pub(super) fn land<'a>(&self, ids: impl IntoIterator<Item = &'a MessageId>) {
        let mut inside = self.inside();
        for id in ids {
            inside.in_flight.remove(id);
        }
    }

    /// Tells `teller` what becomes of the message `id`.
    pub(super) fn tell(&self, id: &MessageId, teller: &Teller) {
        self.inside().told.entry(id.clone()).or_default().push(teller.clone());
    }

    pub(super) fn forget(&self, id: &MessageId, teller: &Teller) {
        let mut inside = self.inside();
        if let Some(told) = inside.told.get_mut(id) {
            told.retain(|one| !one.same_channel(teller));
            if told.is_empty() {
                inside.told.remove(id);
            }
        }
    }

    pub(super) fn progress(&self, id: &MessageId, progress: &Progress) {
        for teller in self.inside().told.get(id).into_iter().flatten() {
            // Whoever does not listen any more has no need of it.
            let _ = teller.send((id.clone(), progress.clone()));
        }
    }

    /// All messages that somebody waits for will not be delivered as things are.
    pub(super) fn fail_all(&self, why: &Delivery) {
        let inside = self.inside();
        for (id, tellers) in &inside.told {
            for teller in tellers {
                let _ = teller.send((id.clone(), Progress::Failed(why.clone())));
            }
        }
    }

    /// Whether nobody saw to the dialing until now; whoever asks does from now on, until [`Line::courier_ended`].
    pub(super) fn wants_courier(&self) -> bool {
        !std::mem::replace(&mut self.inside().has_courier, true)
    }

    pub(super) fn courier_ended(&self) {
        self.inside().has_courier = false;
    }

    /// What is held stays right even if a thread died while it held it: every change is a single step.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
