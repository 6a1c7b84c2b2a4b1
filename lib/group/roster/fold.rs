//! Goes through the acts, each after what it has seen, and tells the sound ones.

use super::causality::{History, Ordered};
use super::force::View;
use super::rules::{self, Past};
use super::{Known, members};
use crate::key::PublicKey;
use crate::proto::group::roster::{Op, Place, Role};
use crate::proto::group::{EntryId, Genesis, Inc, KeyId, MAX_MEMBERS, Mode};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A key that is or was a member, or on which somebody acted.
pub(super) struct Subject {
    pub(super) key: PublicKey,
    /// Sound acts on whether it is a member, and its role.
    pub(super) standing: Vec<usize>,
    /// Sound acts on whether it is muted.
    pub(super) muting: Vec<usize>,
    /// The owner's sound acts that end its being an admin, with the places up to which its acts count.
    pub(super) demotions: Vec<(usize, Vec<(Inc, u64)>)>,
    /// Its own acts.
    acts: Vec<usize>,
}

pub(super) struct Fold<'a> {
    pub(super) genesis: &'a Genesis,
    pub(super) acts: Vec<&'a Known>,
    pub(super) history: History,
    pub(super) subjects: Vec<Subject>,
    pub(super) numbers: HashMap<PublicKey, usize>,
    /// Acts whose authors had seen what a fork took away, and may have built on it.
    pub(super) unsure: HashSet<EntryId>,
    /// The author of each act.
    pub(super) authors: Vec<usize>,
    pub(super) invites: HashMap<PublicKey, Vec<usize>>,
    /// Sound acts that add somebody by an invite.
    pub(super) admissions: HashMap<PublicKey, Vec<usize>>,
    pub(super) names: Vec<usize>,
    /// What each sound checkpoint says of each member.
    pub(super) checkpoints: BTreeMap<usize, HashMap<PublicKey, (Role, bool)>>,
    /// Which acts are sound.
    pub(super) sound: Vec<bool>,
    /// Acts that are not, and why.
    pub(super) unsound: Vec<(EntryId, String)>,
    /// Who was a member before each act, where that was asked for or is easily told.
    pub(super) known_members: Vec<Option<members::Set>>,
    /// The sound acts that bring each key, and to whom.
    pub(super) brought: HashMap<KeyId, Vec<(usize, members::Set)>>,
}

impl<'a> Fold<'a> {
    pub(super) fn of(genesis: &'a Genesis, acts: &'a [Known], unsure: HashSet<EntryId>) -> Self {
        let Ordered { history, acts, loose } = History::of(acts);
        let missing = |act: &&Known| (act.place.id, "what it has seen is not here as it names it".to_owned());
        let mut fold = Fold {
            genesis,
            history,
            unsure,
            subjects: Vec::new(),
            numbers: HashMap::new(),
            authors: Vec::new(),
            invites: HashMap::new(),
            admissions: HashMap::new(),
            names: Vec::new(),
            checkpoints: BTreeMap::new(),
            sound: vec![false; acts.len()],
            unsound: loose.iter().map(missing).collect(),
            known_members: vec![None; acts.len()],
            brought: HashMap::new(),
            acts,
        };
        fold.number(&genesis.owner);
        for act in fold.acts.clone() {
            let author = fold.number(&act.place.author);
            fold.authors.push(author);
            if let Some(target) = rules::target(&act.act.op) {
                fold.number(target);
            }
        }
        for (act, known) in fold.acts.clone().into_iter().enumerate() {
            fold.remember_members(act);
            let past = Seen { fold: &fold, view: View::Before(act) };
            let mut judged = rules::check(&past, &known.place.author, &known.act.op);
            if judged.is_ok() {
                fold.enter(act, known, true);
                judged = fold.check_key(act, known);
                if judged.is_err() {
                    fold.enter(act, known, false);
                }
            }
            match judged {
                Ok(()) => {}
                Err(why) => fold.unsound.push((known.place.id, why)),
            }
            let author = fold.authors.get(act).copied();
            author.and_then(|author| fold.subjects.get_mut(author)).into_iter().for_each(|one| one.acts.push(act));
        }
        fold
    }

    fn number(&mut self, key: &PublicKey) -> usize {
        let next = self.subjects.len();
        let number = *self.numbers.entry(*key).or_insert(next);
        if number == next {
            let (standing, muting, demotions, acts) = Default::default();
            self.subjects.push(Subject { key: *key, standing, muting, demotions, acts });
        }
        number
    }

    pub(super) fn subject(&self, key: &PublicKey) -> Option<(usize, &Subject)> {
        let number = self.numbers.get(key).copied()?;
        Some((number, self.subjects.get(number)?))
    }

    pub(super) fn is_unsure(&self, act: usize) -> bool {
        self.acts.get(act).is_some_and(|known| self.unsure.contains(&known.place.id))
    }

    pub(super) fn op(&self, act: usize) -> Option<&'a Op> {
        self.acts.get(act).map(|known| &known.act.op)
    }

    /// Puts a sound act where it belongs, or takes the last one out again.
    fn enter(&mut self, act: usize, known: &'a Known, is_sound: bool) {
        let put = |list: &mut Vec<usize>| match is_sound {
            true => list.push(act),
            false => drop(list.pop_if(|last| *last == act)),
        };
        self.sound.get_mut(act).into_iter().for_each(|sound| *sound = is_sound);
        let is_owner = known.place.author == self.genesis.owner;
        let op = &known.act.op;
        let target = rules::target(op).map(|key| self.number(key)).and_then(|number| self.subjects.get_mut(number));
        match (op, target) {
            (Op::Create { .. } | Op::Rename { .. }, _) => put(&mut self.names),
            (Op::Mute { .. } | Op::Unmute { .. }, Some(subject)) => put(&mut subject.muting),
            (Op::Invite { capability, .. } | Op::Revoke { capability }, _) => {
                put(self.invites.entry(*capability).or_default());
            }
            (Op::Checkpoint { members, .. }, _) => {
                let confirmed = members.iter().map(|one| (one.member, (one.role, one.muted))).collect();
                match is_sound {
                    true => drop(self.checkpoints.insert(act, confirmed)),
                    false => drop(self.checkpoints.remove(&act)),
                }
                // It settles all that was ever done to anybody before it.
                for subject in &mut self.subjects {
                    for list in [&mut subject.standing, &mut subject.muting] {
                        if list.iter().any(|earlier| *earlier == act || self.history.has_seen(act, *earlier)) {
                            put(list);
                        }
                    }
                }
            }
            (_, Some(subject)) => {
                put(&mut subject.standing);
                if let Op::Add { invite, .. } = op {
                    // Who is added anew is heard.
                    put(&mut subject.muting);
                    invite.iter().for_each(|invite| put(self.admissions.entry(*invite).or_default()));
                }
                if let (Op::Remove { cut, .. } | Op::Demote { cut, .. }, true) = (op, is_owner) {
                    match is_sound {
                        true => subject.demotions.push((act, places(&cut.roster))),
                        false => drop(subject.demotions.pop_if(|(last, _)| *last == act)),
                    }
                }
            }
            (_, None) => {}
        }
    }

    /// Notes who is a member before `act`, if that follows from what is known of one other act.
    fn remember_members(&mut self, act: usize) {
        let members = match self.history.only_step_before(act) {
            Some(last) => self.members_with(last),
            None if self.history.is_first(act) => Some((0..self.subjects.len()).map(|number| number == 0).collect()),
            None => None,
        };
        self.known_members.get_mut(act).into_iter().for_each(|known| *known = members.clone());
    }

    /// Who is a member once `act` is done: known if it is known for before it, and if it changes no other's acts.
    fn members_with(&self, act: usize) -> Option<members::Set> {
        let mut members = self.known_members.get(act)?.clone()?;
        if self.force(act, View::With(act)).is_err() {
            return Some(members);
        }
        let op = self.op(act)?;
        let Some((number, subject)) = rules::target(op).and_then(|key| self.subject(key)) else { return Some(members) };
        match op {
            Op::Add { .. } => members.put(number, true),
            Op::Remove { .. } => members.put(number, false),
            _ => {}
        }
        Some(members).filter(|_| !self.takes_acts_back(act, subject))
    }

    /// Whether a removal or demotion takes acts back that it has seen.
    fn takes_acts_back(&self, act: usize, subject: &Subject) -> bool {
        let Some((_, cut)) = subject.demotions.iter().find(|(demotion, _)| *demotion == act) else { return false };
        subject.acts.iter().any(|own| self.history.has_seen(act, *own) && !self.is_within(*own, cut))
    }

    /// Who is a member in `view`.
    pub(super) fn members(&self, view: View) -> members::Set {
        let known = match view {
            View::Whole => None,
            View::Before(act) => self.known_members.get(act).cloned().flatten(),
            View::With(act) => self.members_with(act),
        };
        known.unwrap_or_else(|| {
            let is_member = |number| self.role(number, view).is_some();
            (0..self.subjects.len()).map(is_member).collect()
        })
    }
}

/// How things stood in a view.
pub(super) struct Seen<'f, 'a> {
    pub(super) fold: &'f Fold<'a>,
    pub(super) view: View,
}

impl Past for Seen<'_, '_> {
    fn owner(&self) -> PublicKey {
        self.fold.genesis.owner
    }

    fn mode(&self) -> Mode {
        self.fold.genesis.mode
    }

    fn is_empty(&self) -> bool {
        (0..self.fold.acts.len()).all(|act| !self.fold.is_in(act, self.view))
    }

    fn standing(&self, key: &PublicKey) -> Option<(Role, bool)> {
        let (number, _) = self.fold.subject(key)?;
        self.fold.role(number, self.view).map(|role| (role, self.fold.is_muted(number, self.view)))
    }

    fn count(&self) -> usize {
        self.fold.members(self.view).count()
    }

    fn is_full(&self) -> bool {
        // Most groups never had so many keys.
        self.fold.subjects.len() > MAX_MEMBERS && self.count() >= MAX_MEMBERS
    }

    fn left(&self, capability: &PublicKey) -> Option<u32> {
        self.fold.invite(capability, self.view).map(|(_, left)| left)
    }

    fn is_unsure(&self) -> bool {
        matches!(self.view, View::Before(act) if self.fold.is_unsure(act))
    }

    fn has(&self, place: &Place) -> bool {
        let number = self.fold.history.number(&place.id);
        self.fold.history.has(place) && number.is_some_and(|act| self.fold.is_in(act, self.view))
    }
}

/// What a cut says of each log of one class.
pub(super) fn places(cut: &[Place]) -> Vec<(Inc, u64)> {
    cut.iter().map(|place| (place.inc, place.seq)).collect()
}
