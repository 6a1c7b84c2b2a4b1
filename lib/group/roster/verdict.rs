//! What becomes of an entry: cuts, mutes, and keys that were retired.

use super::causality::History;
use super::fold::{self, Fold};
use super::force::View;
use super::{Roster, Verdict};
use crate::key::PublicKey;
use crate::proto::group::roster::{Op, Place};
use crate::proto::group::{Class, EntryId, Header, Inc, KeyId, Kind, LogId, Mode};
use std::collections::HashMap;

/// Most acts in one log: all are in memory, and folded together.
pub const MOST_ACTS: u64 = 10_000;

/// What the acts in force say of one key's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Person {
    /// Acts that made it a member.
    added: Vec<usize>,
    /// Acts that made it an admin.
    promoted: Vec<usize>,
    /// What cuts its content; undone, for new logs, by additions.
    removed: Vec<Cutting>,
    /// What hides its content; undone by acts that let it be heard again.
    muted: Vec<Cutting>,
    /// What cuts its acts; undone by promotions.
    demoted: Vec<Cutting>,
}

/// A cut in force.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cutting {
    by: PublicKey,
    /// The last place that counts in each log.
    last: Vec<(Inc, u64)>,
    /// Later acts that have seen this one and undo it for those who know them.
    undone: Vec<usize>,
}

impl Cutting {
    fn last(&self, inc: &Inc) -> u64 {
        self.last.iter().find(|(log, _)| log == inc).map_or(0, |(_, seq)| *seq)
    }

    fn is_undone(&self, history: &History, known: Option<usize>) -> bool {
        known.is_some_and(|known| self.undone.iter().any(|act| history.knows(known, *act)))
    }
}

impl Person {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.promoted.is_empty()
    }

    pub(super) fn was_member(&self) -> bool {
        !self.added.is_empty()
    }

    pub(super) fn was_removed(&self) -> bool {
        !self.removed.is_empty()
    }

    /// How well an entry stands that names `head` as the last act known: whether it counts, and whether it is shown.
    pub(super) fn standing_after(&self, history: &History, head: usize) -> (bool, bool) {
        let is_undone = |cutting: &Cutting| cutting.is_undone(history, Some(head));
        let is_member = self.added.iter().any(|act| history.knows(head, *act));
        (is_member && self.removed.iter().all(is_undone), self.muted.iter().all(is_undone))
    }
}

/// The content frontiers of checkpoints, for each author.
type Frontiers = HashMap<PublicKey, Vec<(usize, Inc, u64)>>;

impl Fold<'_> {
    /// What is to be known of each key to judge what it writes.
    pub(super) fn people(&self) -> HashMap<PublicKey, Person> {
        let mut frontiers = Frontiers::new();
        for act in self.checkpoints.keys() {
            let Some(Op::Checkpoint { frontier, .. }) = self.op(*act) else { continue };
            for place in frontier {
                frontiers.entry(place.author).or_default().push((*act, place.inc, place.seq));
            }
        }
        let people = self.subjects.iter().map(|subject| {
            let settled = frontiers.get(&subject.key).map(Vec::as_slice).unwrap_or_default();
            (subject.key, self.person(&subject.standing, &subject.muting, settled))
        });
        people.filter(|(_, person)| !person.is_empty()).collect()
    }

    fn person(&self, standing: &[usize], muting: &[usize], settled: &[(usize, Inc, u64)]) -> Person {
        let in_force = |list: &[usize]| -> Vec<usize> {
            list.iter().copied().filter(|act| self.force(*act, View::Whole).is_ok()).collect()
        };
        let (standing, muting) = (in_force(standing), in_force(muting));
        let those = |list: &[usize], is: fn(&Op) -> bool| -> Vec<usize> {
            list.iter().copied().filter(|act| self.op(*act).is_some_and(is)).collect()
        };
        let added = those(&standing, |op| matches!(op, Op::Add { .. }));
        let promoted = those(&standing, |op| matches!(op, Op::Promote { .. }));
        let heard = those(&muting, |op| matches!(op, Op::Add { .. } | Op::Unmute { .. }));
        let mut person = Person::default();
        for act in standing.into_iter().chain(muting) {
            match self.op(act) {
                Some(Op::Remove { cut, .. }) => {
                    person.removed.push(self.cutting(act, self.unsettled(act, &cut.content, settled), &added));
                    if self.is_the_owners(act) {
                        person.demoted.push(self.cutting(act, fold::places(&cut.roster), &promoted));
                    }
                }
                Some(Op::Demote { cut, .. }) => {
                    person.demoted.push(self.cutting(act, fold::places(&cut.roster), &promoted));
                }
                Some(Op::Mute { cut, .. }) => {
                    person.muted.push(self.cutting(act, self.unsettled(act, &cut.content, settled), &heard));
                }
                _ => {}
            }
        }
        Person { added, promoted, ..person }
    }

    fn cutting(&self, act: usize, last: Vec<(Inc, u64)>, undo: &[usize]) -> Cutting {
        let by = self.acts.get(act).map_or(self.genesis.owner, |known| known.place.author);
        let undone = undo.iter().copied().filter(|later| self.history.has_seen(*later, act)).collect();
        Cutting { by, last, undone }
    }

    /// A cut through content: that of an admin spares what a checkpoint settled that does not know of it.
    fn unsettled(&self, act: usize, cut: &[Place], settled: &[(usize, Inc, u64)]) -> Vec<(Inc, u64)> {
        let mut last = fold::places(cut);
        if self.is_the_owners(act) {
            return last;
        }
        for (_, inc, seq) in settled.iter().filter(|(checkpoint, ..)| !self.history.has_seen(*checkpoint, act)) {
            match last.iter_mut().find(|(log, _)| log == inc) {
                Some((_, at)) => *at = (*at).max(*seq),
                None => last.push((*inc, *seq)),
            }
        }
        last
    }
}

impl Roster {
    /// What becomes of an entry of content with this header, or of an act; `first` is what the first entry of its log names as
    /// the last act known ([`Header::roster`]), which for the first is its own.
    #[must_use]
    pub fn verdict(&self, header: &Header, first: &EntryId) -> Verdict {
        match header.log.class {
            Class::Roster => self.verdict_on_act(header),
            Class::Content => self.verdict_on_content(header, first),
        }
    }

    /// The last place that counts in a log, if a removal or demotion cut it; behind it nothing is stored.
    #[must_use]
    pub fn cut(&self, log: &LogId, first: &EntryId) -> Option<u64> {
        self.cutting(log, first).map(|(cutting, _)| cutting.last(&log.inc))
    }

    /// The cut that leaves least of a log, and what its author was by it.
    fn cutting(&self, log: &LogId, first: &EntryId) -> Option<(&Cutting, &'static str)> {
        let person = self.people.get(&log.author)?;
        let known = self.history.number(first);
        match log.class {
            Class::Content => {
                let cuts = person.removed.iter().filter(|cutting| !cutting.is_undone(&self.history, known));
                cuts.min_by_key(|cutting| cutting.last(&log.inc)).map(|cutting| (cutting, "was removed"))
            }
            // What an act of a new admin has seen stands in it: the fold looks at that.
            Class::Roster => {
                let cuts = person.demoted.iter().filter(|cutting| cutting.undone.is_empty());
                cuts.min_by_key(|cutting| cutting.last(&log.inc)).map(|cutting| (cutting, "is no admin any more"))
            }
        }
    }

    fn refuse_behind_cut(&self, header: &Header, first: &EntryId) -> Option<Verdict> {
        let (cutting, what) = self.cutting(&header.log, first)?;
        let last = cutting.last(&header.log.inc);
        (header.seq > last).then(|| {
            let (author, by) = (header.log.author.short(), cutting.by.short());
            Verdict::Refused(format!("{author} {what}: by {by}, whose cut leaves {last} entries of this log"))
        })
    }

    fn verdict_on_act(&self, header: &Header) -> Verdict {
        let author = &header.log.author;
        let was_admin = self.people.get(author).is_some_and(|person| !person.promoted.is_empty());
        if *author != self.owner && !was_admin {
            return Verdict::Refused(format!("{} never was an admin", author.short()));
        }
        if header.seq > MOST_ACTS {
            return Verdict::Refused(format!("more than {MOST_ACTS} acts of {} in one log", author.short()));
        }
        self.refuse_behind_cut(header, &EntryId::default()).unwrap_or(Verdict::Counts)
    }

    fn verdict_on_content(&self, header: &Header, first: &EntryId) -> Verdict {
        let author = &header.log.author;
        let known = self.history.number(&header.roster);
        // What is named may stand behind a fork or a cut: then it never comes, and who named it did nothing wrong.
        let is_unsure = known.is_none() && !header.roster.is_zero();
        if is_unsure && !self.may_be_gone() {
            return Verdict::Later;
        }
        if let Some(why) = self.wrong_key(header) {
            return Verdict::Refused(format!("{}: {why}", author.short()));
        }
        if *author == self.owner {
            return Verdict::Counts;
        }
        let Some(person) = self.people.get(author).filter(|person| person.was_member()) else {
            return Verdict::Refused(format!("{} never was a member", author.short()));
        };
        if !is_unsure && !known.is_some_and(|known| person.added.iter().any(|act| self.history.knows(known, *act))) {
            return Verdict::Refused(format!("{} wrote this before it was a member", author.short()));
        }
        if let Some(refused) = self.refuse_behind_cut(header, first) {
            return if is_unsure { Verdict::Later } else { refused };
        }
        let hides =
            |cutting: &&Cutting| header.seq > cutting.last(&header.log.inc) && !cutting.is_undone(&self.history, known);
        match person.muted.iter().find(hides) {
            Some(cutting) => Verdict::Hidden(format!("{} is muted by {}", author.short(), cutting.by.short())),
            None => Verdict::Counts,
        }
    }

    /// Whether there may be acts that some have seen, and that will never come.
    fn may_be_gone(&self) -> bool {
        let was_admin = |person: &Person| !person.promoted.is_empty() && !person.demoted.is_empty();
        self.is_forked || self.people.values().any(was_admin)
    }

    /// What is wrong with what an entry's body is sealed under.
    fn wrong_key(&self, header: &Header) -> Option<&'static str> {
        let has_body = matches!(header.kind, Kind::Message | Kind::Addresses);
        match self.mode {
            Mode::Public => (!header.key.is_zero()).then_some("sealed, in a public group"),
            _ if has_body && header.key.is_zero() => Some("in clear, in a group that seals"),
            Mode::Open => {
                (has_body && !self.keys.contains(&header.key)).then_some("sealed under another key than the group's")
            }
            Mode::Private => self
                .retired(&header.key, &header.roster)
                .then_some("sealed under a key that its author knew to be retired"),
        }
    }

    /// Whether who names `last` as the last act known knows that a removal replaced the epoch key `key`: what that seals, the
    /// removed can read. An unknown key, which may be a joint one, is not.
    #[must_use]
    pub fn retired(&self, key: &KeyId, last: &EntryId) -> bool {
        let (Some(brought), Some(known)) = (self.retired.get(key), self.history.number(last)) else { return false };
        brought.iter().all(|removals| removals.iter().any(|act| self.history.knows(known, *act)))
    }
}
