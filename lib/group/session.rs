//! A conversation of two members about one group: each says how far its logs go, sends what the other lacks, and goes on
//! with what is new. It has no clock and no network of its own.
//!
//! Of those who could send the same entry one does: whoever gets entries that it has already says PRUNE, and hears from
//! that member only of what there is (HAVE); if such an entry does not come from elsewhere within a while, it says WANT.

mod forks;
mod give;
mod lacking;
mod theirs;

use super::replica::{Compared, Digest, Replica, Taken};
use super::shelf::Shelf;
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::proto::group::message::Tip;
use crate::proto::group::{Class, Entry, LogId, Message};
use lacking::Lacking;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use theirs::Theirs;

/// How long an entry of which somebody has told us may take to come from elsewhere, in milliseconds.
const PATIENCE: u64 = 100;

/// How long it may take while other entries come.
const MOST_PATIENCE: u64 = 10_000;

/// Most logs in one HAVE.
const MOST_TIPS: usize = 4096;

/// Most bytes of entries that are sent and not yet heard to be stored.
const MOST_UNHEARD: u64 = 4 << 20;

/// Most messages that wait to be said before proofs of forks are left out: the next HAVE has them proven again.
const MOST_QUEUED: usize = 16;

/// One end of the conversation.
pub struct Session {
    /// How far the other's logs go, as far as it has said.
    theirs: Theirs,
    /// How far the other will have our logs once it has stored what we sent.
    sent: BTreeMap<LogId, u64>,
    /// How far the other knows that we have logs.
    told: HashMap<LogId, u64>,
    /// Bytes sent, by the last entry they went with, until it is heard to be stored.
    unheard: VecDeque<(LogId, u64, u64)>,
    /// What is to be said before all else.
    queue: VecDeque<Message>,
    /// Whether the other has said all that it has.
    is_met: bool,
    /// Whether the other wants only to know of entries.
    told_only: bool,
    /// Whether we have said that to the other.
    pruned: bool,
    /// When the other gets again what was sent and not stored, and when it got that last.
    wanted: Option<u64>,
    sent_again: u64,
    /// Since when we may have to say WANT, and when we look again whether what we lack has come.
    want: Option<(u64, u64)>,
    /// The version of the replica at which we said it last, and whether we wait for another to say it again: what came did not
    /// fit yet.
    asked: Option<u64>,
    is_waiting: bool,
    /// What the other has beyond what we have.
    lacking: Lacking,
    /// Whether it is our turn to say all that we have.
    tells_all: bool,
    /// What we had when we said HELLO: both compare what both have said, and so come to the same.
    began: Option<((Digest, Digest), Vec<Tip>)>,
    /// Forks that were told, or heard of from the other.
    forks: HashSet<(LogId, u64)>,
    /// The other is no member any more: up to which clock it hears of acts, and of nothing else.
    farewell: Option<u64>,
    /// The version of the replica at which nothing was left to say.
    quiet_at: Option<u64>,
}

/// What has come of a message.
#[derive(Debug)]
pub enum Came {
    /// Entries; what has become of them.
    Entries(Taken),
    /// A proof that an author has written two entries in one place; it is new.
    Fork(Box<[Entry; 2]>),
    /// The other has stored entries, or told how far its logs go.
    Tips,
    /// The other passes on that a key wants to become a member.
    Join {
        /// The public half of the invite's capability.
        capability: PublicKey,
        /// Its signature.
        signature: crate::sign::Signature,
        /// The key.
        joiner: PublicKey,
    },
    /// Nothing that concerns anybody else.
    Nothing,
}

impl Session {
    /// A conversation that begins with a HELLO. If another one is bringing us what we lack, this one only tells what there is.
    pub fn new<S: Shelf>(replica: &Replica<S>, is_behind: bool) -> Self {
        let digests = (replica.digest(Class::Roster), replica.digest(Class::Content));
        let hello = Message::Hello { group: replica.group(), roster: digests.0, content: digests.1 };
        Session {
            theirs: Theirs::default(),
            sent: BTreeMap::new(),
            told: HashMap::new(),
            unheard: VecDeque::new(),
            queue: if is_behind { VecDeque::from([hello, Message::Prune]) } else { VecDeque::from([hello]) },
            is_met: false,
            told_only: false,
            pruned: is_behind,
            wanted: None,
            sent_again: 0,
            want: None,
            asked: None,
            is_waiting: false,
            lacking: Lacking::default(),
            tells_all: false,
            farewell: None,
            quiet_at: None,
            forks: HashSet::new(),
            began: Some((digests, replica.tips().collect())),
        }
    }

    /// How far the other has stored `log`, as far as it has said.
    pub fn theirs(&self, log: &LogId) -> u64 {
        self.theirs.end(log)
    }

    /// Whether the other has said all that it has.
    pub fn is_met(&self) -> bool {
        self.is_met
    }

    /// Whether both have the same, as far as this end knows.
    pub fn is_level<S: Shelf>(&self, replica: &Replica<S>) -> bool {
        self.is_met && self.lacking.is_empty() && replica.tips().all(|tip| self.theirs.end(&tip.log) >= tip.seq)
    }

    /// From now on the other, who was removed, hears of the acts up to the clock `until` that it lacks, and of nothing else.
    pub fn say_farewell(&mut self, until: u64) {
        if self.farewell != Some(until) {
            (self.farewell, self.quiet_at) = (Some(until), None);
        }
    }

    /// Whether nothing is left to say to the other, who was removed.
    pub fn has_said_farewell(&self) -> bool {
        self.farewell.is_some() && self.is_met && self.quiet_at.is_some()
    }

    /// Says something that another part of the house has to say.
    pub fn say(&mut self, message: Message) {
        self.queue.push_back(message);
        self.quiet_at = None;
    }

    /// Hears what the other says.
    ///
    /// # Errors
    /// What nobody says who keeps to the protocol; and entries that cannot be stored.
    pub fn hear<S: Shelf>(&mut self, replica: &mut Replica<S>, message: Message, now: u64) -> Result<Came> {
        self.quiet_at = None;
        match message {
            Message::Hello { group, roster, content } => self.hear_hello(replica, group, roster, content),
            Message::Have { is_all, tips } => {
                for tip in &tips {
                    self.hear_tip(replica, tip, now)?;
                }
                self.is_met |= is_all;
                Ok(Came::Tips)
            }
            Message::Entries(entries) => self.hear_entries(replica, entries, now),
            Message::Want => {
                self.told_only = false;
                // Nobody has a use for it more often.
                self.wanted.get_or_insert(now.max(self.sent_again + PATIENCE));
                Ok(Came::Nothing)
            }
            Message::Prune => {
                self.told_only = true;
                Ok(Came::Nothing)
            }
            Message::Fork(fork) => {
                let is_new = replica.take_fork((*fork).clone())?;
                let [Entry { header, .. }, _] = &*fork;
                if replica.fork_at(&header.log) == header.seq {
                    self.forks.insert((header.log, header.seq));
                }
                Ok(if is_new { Came::Fork(fork) } else { Came::Nothing })
            }
            Message::Join { capability, signature, joiner } => Ok(Came::Join { capability, signature, joiner }),
            Message::Wait(_) => Ok(Came::Nothing),
        }
    }

    fn hear_hello<S: Shelf>(
        &mut self,
        replica: &Replica<S>,
        group: crate::proto::group::GroupId,
        roster: Digest,
        content: Digest,
    ) -> Result<Came> {
        if group != replica.group() {
            return Err(Error::protocol("a HELLO of another group"));
        }
        let (digests, tips) = self.began.take().ok_or_else(|| Error::protocol("a second HELLO"))?;
        if (roster, content) == digests {
            self.is_met = true;
            for tip in tips {
                self.theirs.reach(&tip.log, tip.seq);
                self.sent.insert(tip.log, tip.seq);
                self.told.insert(tip.log, tip.seq);
            }
        } else {
            self.tells_all = true;
        }
        Ok(Came::Tips)
    }

    fn hear_tip<S: Shelf>(&mut self, replica: &Replica<S>, tip: &Tip, now: u64) -> Result<()> {
        if !self.theirs.heeds(replica, &tip.log) {
            self.theirs.put_off(replica, tip);
            return Ok(());
        }
        let ours = replica.end(&tip.log);
        if tip.seq > ours {
            self.lacking.add(tip, now);
            if self.pruned {
                self.want.get_or_insert((now, now + PATIENCE));
            }
        } else if tip.seq > 0
            && tip.seq > self.theirs.end(&tip.log)
            && replica.id_at(&tip.log, tip.seq)? != Some(tip.id)
        {
            // It has another entry there: ours proves it.
            if self.queue.len() < MOST_QUEUED {
                self.prove(replica, &tip.log, &Compared { equal_to: 0, differ_from: tip.seq.saturating_add(1) })?;
            }
        }
        self.knows(&tip.log, tip.seq);
        Ok(())
    }

    /// Hears what was put off until those whom it is about are members.
    fn hear_put_off<S: Shelf>(&mut self, replica: &Replica<S>, now: u64) -> Result<()> {
        for tip in self.theirs.known_now(replica) {
            self.hear_tip(replica, &tip, now)?;
        }
        Ok(())
    }

    /// The other has `log` up to `seq`.
    fn knows(&mut self, log: &LogId, seq: u64) {
        self.theirs.reach(log, seq);
        let sent = self.sent.entry(*log).or_insert(0);
        *sent = seq.max(*sent);
        while let Some((log, seq, _)) = self.unheard.front() {
            if self.theirs.end(log) < *seq {
                break;
            }
            self.unheard.pop_front();
        }
    }

    fn hear_entries<S: Shelf>(&mut self, replica: &mut Replica<S>, entries: Vec<Entry>, now: u64) -> Result<Came> {
        let tips: Vec<Tip> = entries.iter().map(Tip::of).collect();
        let taken = replica.take(entries, now)?;
        for entry in &taken.stored {
            self.lacking.brought(&entry.header.log, now);
        }
        self.hear_put_off(replica, now)?;
        for tip in &tips {
            match self.theirs.heeds(replica, &tip.log) {
                true => self.knows(&tip.log, tip.seq),
                false => self.theirs.put_off(replica, tip),
            }
        }
        for (log, compared) in taken.differing.iter().take(MOST_QUEUED.saturating_sub(self.queue.len())) {
            self.prove(replica, log, compared)?;
        }
        let is_vain = taken.stored.is_empty()
            && !taken.is_early
            && taken.refused.is_empty()
            && taken.forks.is_empty()
            && taken.differing.is_empty();
        if is_vain && !self.pruned {
            self.pruned = true;
            self.queue.push_back(Message::Prune);
        }
        if taken.is_early || taken.again_at.is_some() {
            for tip in tips {
                if replica.end(&tip.log) < tip.seq && self.theirs.heeds(replica, &tip.log) {
                    self.lacking.add(&tip, now);
                }
            }
        }
        if taken.is_early && self.asked == Some(replica.version()) {
            // All that is here now was here when it was asked for.
            self.is_waiting = true;
        } else if taken.is_early {
            // What it builds on comes from somebody; then it is asked for again.
            self.want.get_or_insert((now, now + PATIENCE));
        } else if let Some(at) = taken.again_at {
            self.want.get_or_insert((now, at));
        }
        Ok(Came::Entries(taken))
    }

    /// How many names of logs are kept that the other has said.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.theirs.count() + self.sent.len() + self.lacking.count()
    }

    /// When [`Session::next`] has something to say though nothing has happened, in milliseconds since 1970.
    pub fn wake_at(&self) -> Option<u64> {
        self.want.map(|(_, at)| at).into_iter().chain(self.wanted).chain(self.lacking.until()).min()
    }

    /// Whether the other is bringing what we lack; not for long if it only says that it has it.
    pub fn is_behind(&self) -> bool {
        self.lacking.until().is_some()
    }

    /// What is to be said next, if anything.
    ///
    /// # Errors
    /// Entries cannot be read.
    pub fn next<S: Shelf>(&mut self, replica: &Replica<S>, now: u64) -> Result<Option<Message>> {
        if self.wanted.is_some_and(|at| at <= now) {
            (self.wanted, self.sent_again) = (None, now);
            // What it was only told of it has not been sent.
            self.sent.clone_from(self.theirs.ends());
            self.unheard.clear();
            self.forks.clear();
            self.quiet_at = None;
        }
        self.hear_put_off(replica, now)?;
        if let Some(message) = self.queue.pop_front() {
            return Ok(Some(message));
        }
        if self.farewell.is_none()
            && let Some(want) = self.want(replica, now)
        {
            return Ok(Some(want));
        }
        if std::mem::take(&mut self.tells_all) {
            return Ok(Some(self.all(replica)));
        }
        if !self.is_met || self.quiet_at == Some(replica.version()) {
            return Ok(None);
        }
        if self.farewell.is_some() {
            let acts = self.entries(replica)?;
            self.quiet_at = acts.is_none().then(|| replica.version());
            return Ok(acts.map(Message::Entries));
        }
        if !self.told_only
            && let Some(entries) = self.entries(replica)?
        {
            return Ok(Some(Message::Entries(entries)));
        }
        if let Some(fork) = self.untold_fork(replica) {
            return Ok(Some(Message::Fork(fork)));
        }
        let tips: Vec<Tip> =
            replica.tips().filter(|tip| self.told.get(&tip.log).is_none_or(|told| *told < tip.seq)).collect();
        if tips.is_empty() {
            self.quiet_at = Some(replica.version());
            return Ok(None);
        }
        for tip in &tips {
            self.told.insert(tip.log, tip.seq);
        }
        Ok(Some(Message::Have { is_all: false, tips }))
    }
}
