//! Which acts are in force, and what they make of members, invites and the name.
//!
//! An act is *sound* if what its author had seen allows it: that never changes. A sound act of the owner is in force. One of
//! an admin is in force unless the owner cut it off, or acted on the same at the same time.

use super::fold::{Fold, Subject};
use super::{Invite, Member, rules};
use crate::key::PublicKey;
use crate::proto::group::roster::{Op, Role};
use crate::proto::group::{EntryId, Inc};
use std::collections::BTreeMap;

/// A set of acts that has, with each act, all that it has seen.
#[derive(Clone, Copy, Debug)]
pub(super) enum View {
    /// All that are stored.
    Whole,
    /// What this act has seen.
    Before(usize),
    /// That, and the act.
    With(usize),
}

/// What an act is about.
#[derive(Clone, Copy)]
enum Register {
    Standing(usize),
    Muting(usize),
    Invite(PublicKey),
    Name,
    Nothing,
}

impl<'a> Fold<'a> {
    pub(super) fn is_in(&self, act: usize, view: View) -> bool {
        match view {
            View::Whole => true,
            View::Before(last) => self.history.has_seen(last, act),
            View::With(last) => self.history.knows(last, act),
        }
    }

    /// Whether an act of those in `view` is in force as they stand; else why not.
    pub(super) fn force(&self, act: usize, view: View) -> Result<(), &'static str> {
        if !self.sound.get(act).is_some_and(|sound| *sound) {
            return Err("it is not sound");
        }
        if self.is_the_owners(act) {
            return Ok(());
        }
        if self.is_cut_off(act, view) {
            return Err("the owner ended its author's being an admin, and this is behind the cut");
        }
        let beaten = match self.register(act) {
            Register::Standing(subject) => self.subjects.get(subject).map(|subject| &subject.standing),
            Register::Muting(subject) => self.subjects.get(subject).map(|subject| &subject.muting),
            Register::Invite(capability) => self.invites.get(&capability),
            Register::Name => Some(&self.names),
            Register::Nothing => None,
        };
        let beats =
            |other: &usize| self.is_the_owners(*other) && self.is_in(*other, view) && self.are_concurrent(act, *other);
        match beaten.is_some_and(|list| list.iter().any(beats)) {
            true => Err("the owner acted on the same at the same time"),
            false => Ok(()),
        }
    }

    fn register(&self, act: usize) -> Register {
        let Some(op) = self.op(act) else { return Register::Nothing };
        let target = rules::target(op).and_then(|key| self.numbers.get(key)).copied();
        match (op, target) {
            (Op::Mute { .. } | Op::Unmute { .. }, Some(subject)) => Register::Muting(subject),
            (_, Some(subject)) => Register::Standing(subject),
            (Op::Invite { capability, .. } | Op::Revoke { capability }, _) => Register::Invite(*capability),
            (Op::Create { .. } | Op::Rename { .. }, _) => Register::Name,
            _ => Register::Nothing,
        }
    }

    pub(super) fn is_the_owners(&self, act: usize) -> bool {
        // The owner is the first subject.
        self.authors.get(act) == Some(&0)
    }

    fn are_concurrent(&self, one: usize, other: usize) -> bool {
        one != other && !self.history.has_seen(one, other) && !self.history.has_seen(other, one)
    }

    /// Whether the owner ended the author's being an admin, in an act that this one has not seen, before this one.
    fn is_cut_off(&self, act: usize, view: View) -> bool {
        let author = self.authors.get(act).and_then(|author| self.subjects.get(*author));
        author.is_some_and(|author| {
            let cuts_off = |(demotion, cut): &(usize, Vec<(Inc, u64)>)| {
                self.is_in(*demotion, view) && !self.history.has_seen(act, *demotion) && !self.is_within(act, cut)
            };
            author.demotions.iter().any(cuts_off)
        })
    }

    pub(super) fn is_within(&self, act: usize, cut: &[(Inc, u64)]) -> bool {
        let place = self.acts.get(act).map(|known| (known.place.inc, known.place.seq));
        place.is_some_and(|(inc, seq)| cut.iter().any(|(log, last)| *log == inc && seq <= *last))
    }

    /// Of the acts of `list` that are in `view` and in force there, the one that counts.
    pub(super) fn winner(&self, list: &[usize], view: View) -> Option<usize> {
        let mut latest: Vec<usize> = Vec::new();
        for act in list.iter().rev().copied() {
            // Nothing is seen but by what stands later.
            let is_seen = latest.iter().any(|later| self.history.has_seen(*later, act));
            if !is_seen && self.is_in(act, view) && self.force(act, view).is_ok() {
                latest.push(act);
            }
        }
        // Where the owner acts, no admin's concurrent act on the same is in force.
        let rank =
            |act: &usize| self.acts.get(*act).map(|known| (strictness(&known.act.op), known.clock, known.place.id));
        latest.into_iter().max_by_key(rank)
    }

    /// A subject's role, if it is a member.
    pub(super) fn role(&self, number: usize, view: View) -> Option<Role> {
        if number == 0 {
            return Some(Role::Owner);
        }
        let subject = self.subjects.get(number)?;
        let act = self.winner(&subject.standing, view)?;
        match self.op(act)? {
            Op::Promote { .. } => Some(Role::Admin),
            Op::Add { .. } | Op::Demote { .. } => Some(Role::Member),
            Op::Checkpoint { .. } => self.confirmed(act, subject).map(|(role, _)| role),
            _ => None,
        }
    }

    pub(super) fn is_muted(&self, number: usize, view: View) -> bool {
        let Some(subject) = self.subjects.get(number) else { return false };
        let Some(act) = self.winner(&subject.muting, view) else { return false };
        match self.op(act) {
            Some(Op::Mute { .. }) => true,
            Some(Op::Checkpoint { .. }) => self.confirmed(act, subject).is_some_and(|(_, muted)| muted),
            _ => false,
        }
    }

    /// What a checkpoint says of somebody.
    fn confirmed(&self, act: usize, subject: &Subject) -> Option<(Role, bool)> {
        self.checkpoints.get(&act)?.get(&subject.key).copied()
    }

    /// An invite as it stands: the act that made it, and how many may still come by it.
    pub(super) fn invite(&self, capability: &PublicKey, view: View) -> Option<(usize, u32)> {
        let act = self.winner(self.invites.get(capability)?, view)?;
        let Op::Invite { uses, .. } = self.op(act)? else { return None };
        let came = self.admissions.get(capability).map(Vec::as_slice).unwrap_or_default().iter();
        let mut came: Vec<&PublicKey> = came
            .filter(|act| self.is_in(**act, view) && self.force(**act, view).is_ok())
            .filter_map(|act| self.op(*act).and_then(rules::target))
            .collect();
        came.sort_unstable();
        came.dedup();
        Some((act, uses.saturating_sub(u32::try_from(came.len()).unwrap_or(u32::MAX))))
    }

    pub(super) fn name(&self) -> String {
        match self.winner(&self.names, View::Whole).and_then(|act| self.op(act)) {
            Some(Op::Create { name } | Op::Rename { name }) => name.clone(),
            _ => String::new(),
        }
    }
}

/// What all acts together make of it.
impl Fold<'_> {
    pub(super) fn members_by_key(&self) -> BTreeMap<PublicKey, Member> {
        let member = |(number, subject): (usize, &Subject)| {
            let role = self.role(number, View::Whole)?;
            let added = subject.standing.iter().rev().find_map(|act| match self.op(*act) {
                Some(Op::Add { invite, .. }) if self.force(*act, View::Whole).is_ok() => Some(*invite),
                _ => None,
            });
            let muted = self.is_muted(number, View::Whole);
            Some((subject.key, Member { role, muted, invite: added.flatten() }))
        };
        self.subjects.iter().enumerate().filter_map(member).collect()
    }

    pub(super) fn open_invites(&self) -> BTreeMap<PublicKey, Invite> {
        let invite = |capability: &PublicKey| {
            let (act, left) = self.invite(capability, View::Whole)?;
            let Some(Op::Invite { expires, approve, .. }) = self.op(act) else { return None };
            let by = self.acts.get(act)?.place.author;
            Some((*capability, Invite { by, expires: *expires, left, approve: *approve }))
        };
        self.invites.keys().filter_map(invite).collect()
    }

    /// All acts that do nothing, in order, and why.
    pub(super) fn void_acts(&self) -> Vec<(EntryId, String)> {
        let mut void = self.unsound.clone();
        for (act, known) in self.acts.iter().enumerate() {
            if self.sound.get(act).is_some_and(|sound| *sound) {
                void.extend(self.force(act, View::Whole).err().map(|why| (known.place.id, why.to_owned())));
            }
        }
        let order = |(id, _): &(EntryId, String)| (self.history.number(id), *id);
        void.sort_by_key(order);
        void
    }
}

/// Of acts that are concurrent, the strictest counts.
fn strictness(op: &Op) -> u8 {
    match op {
        Op::Remove { .. } => 3,
        Op::Demote { .. } | Op::Mute { .. } | Op::Revoke { .. } => 2,
        Op::Checkpoint { .. } => 0,
        _ => 1,
    }
}
