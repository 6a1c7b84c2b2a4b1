//! Epoch keys: which are right, which are of the present, and who has them.

use super::causality::History;
use super::fold::{Fold, Seen};
use super::force::View;
use super::{Epoch, Known, rules};
use crate::key::PublicKey;
use crate::proto::group::roster::{Op, Wrap, Wraps};
use crate::proto::group::{EntryId, KeyId, Mode};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the acts in force make of keys.
#[derive(Default)]
pub(super) struct Keys {
    /// Those of the present, sorted.
    pub(super) present: Vec<KeyId>,
    /// All.
    pub(super) epochs: Vec<Epoch>,
    /// For each act that brought a key, the removals that replaced it.
    pub(super) retired: HashMap<KeyId, Vec<Vec<usize>>>,
    /// Who is no member and was given all keys of the present.
    pub(super) strangers: Vec<PublicKey>,
}

impl Fold<'_> {
    /// Whether a sound act has the key that it must have, for all who are members once it is done.
    pub(super) fn check_key(&mut self, act: usize, known: &Known) -> Result<(), String> {
        let must = matches!(known.act.op, Op::Create { .. } | Op::Remove { .. } | Op::Rotate {});
        let Some(wraps) = &known.act.key else {
            return match self.genesis.mode {
                Mode::Private if must => Err("it brings no new key".into()),
                _ => Ok(()),
            };
        };
        rules::is_private(&Seen { fold: self, view: View::Before(act) })?;
        let key = one_key(wraps)?;
        let before = self.brought.get(&key).map(Vec::as_slice).unwrap_or_default();
        if before.iter().any(|(other, _)| self.history.has_seen(act, *other)) {
            return Err("its key is an old one".into());
        }
        // Who is a member may be another question since a fork took acts away that its author had seen. Its key counts even so:
        // whoever has it and should not, or lacks it, leads to a new one.
        let is_unsure = self.is_unsure(act);
        let mut members = self.members(View::With(act));
        let mut left_out = members.clone();
        for one in &wraps.boxes {
            match self.subject(&one.member).map(|(number, _)| number).filter(|number| members.has(*number)) {
                None if is_unsure => {}
                None => return Err(format!("ghost member: a key for {}, who is no member", one.member.short())),
                Some(number) if !left_out.has(number) => {
                    return Err(format!("two boxes for {} with its key", one.member.short()));
                }
                Some(number) => left_out.put(number, false),
            }
        }
        if is_unsure {
            left_out.numbers().for_each(|number| members.put(number, false));
        } else if let Some(subject) = left_out.numbers().next().and_then(|number| self.subjects.get(number)) {
            return Err(format!("{} is left out: no key for this member", subject.key.short()));
        }
        self.brought.entry(key).or_default().push((act, members));
        Ok(())
    }

    /// What becomes of keys, by the acts in force.
    pub(super) fn keys(&self, members: &super::Members) -> Keys {
        match self.genesis.mode {
            Mode::Public => Keys::default(),
            Mode::Open => {
                let holders = members.keys().copied().collect();
                let epoch = Epoch { key: self.genesis.key, act: EntryId::default(), clock: 0, holders };
                Keys { present: vec![epoch.key], epochs: vec![epoch], ..Keys::default() }
            }
            Mode::Private => self.private_keys(members),
        }
    }

    fn private_keys(&self, members: &super::Members) -> Keys {
        let mut valid: Vec<usize> = self.brought.values().flatten().map(|(act, _)| *act).collect();
        valid.retain(|act| self.force(*act, View::Whole).is_ok());
        valid.sort_unstable();
        let mut present: Vec<usize> = Vec::new();
        for act in valid.iter().rev() {
            if !present.iter().any(|later| self.history.has_seen(*later, *act)) {
                present.push(*act);
            }
        }
        let key_of = |act: &usize| {
            self.acts.get(*act).and_then(|known| known.act.key.as_ref()).and_then(|key| one_key(key).ok())
        };
        let mut present: Vec<KeyId> = present.iter().filter_map(key_of).collect();
        present.sort_unstable();
        present.dedup();
        let removals = Removals::of(self, &valid);
        let mut retired: HashMap<KeyId, Vec<Vec<usize>>> = HashMap::new();
        for act in &valid {
            let key = key_of(act).unwrap_or_default();
            retired.entry(key).or_default().push(removals.first_after(&self.history, *act));
        }
        let strangers = self.strangers(&present, members);
        Keys { epochs: self.epochs(&valid), present, retired, strangers }
    }

    /// All keys with their holders, oldest first.
    fn epochs(&self, valid: &[usize]) -> Vec<Epoch> {
        let gifts = self.gifts();
        let mut epochs = Vec::new();
        for (key, acts) in &self.brought {
            let in_force = || acts.iter().filter(|(act, _)| valid.binary_search(act).is_ok());
            let Some(known) = in_force().next().and_then(|(act, _)| self.acts.get(*act)) else { continue };
            let mut holders: Vec<PublicKey> = in_force()
                .flat_map(|(_, members)| members.numbers())
                .filter_map(|number| self.subjects.get(number).map(|subject| subject.key))
                .collect();
            let mut given: Vec<(usize, PublicKey)> = Vec::new();
            for (act, gift) in gifts.get(key).map(Vec::as_slice).unwrap_or_default() {
                let Some(giver) = self.acts.get(*act).map(|known| known.place.author) else { continue };
                let giver_has = in_force().any(|(brought, members)| {
                    let has = self.subject(&giver).is_some_and(|(number, _)| members.has(number));
                    has && self.history.has_seen(*act, *brought)
                });
                if giver_has || given.iter().any(|(earlier, to)| *to == giver && self.history.has_seen(*act, *earlier))
                {
                    given.push((*act, gift.member));
                }
            }
            holders.extend(given.into_iter().map(|(_, to)| to));
            let holders = holders.into_iter().collect();
            epochs.push(Epoch { key: *key, act: known.place.id, clock: known.clock, holders });
        }
        epochs.sort_unstable_by_key(|epoch| (epoch.clock, epoch.act));
        epochs
    }

    /// The boxes of each key in acts in force that give keys of others, in order.
    fn gifts(&self) -> HashMap<KeyId, Vec<(usize, &Wrap)>> {
        let mut gifts: HashMap<KeyId, Vec<(usize, &Wrap)>> = HashMap::new();
        for (act, known) in self.acts.iter().enumerate() {
            let Some(given) = gift(&known.act.op) else { continue };
            if self.force(act, View::Whole).is_ok() {
                given.boxes.iter().for_each(|one| gifts.entry(one.key).or_default().push((act, one)));
            }
        }
        gifts
    }

    /// Who is no member, but may have all keys of the present: it was given them in acts that are in force or not.
    fn strangers(&self, present: &[KeyId], members: &super::Members) -> Vec<PublicKey> {
        let mut given: BTreeMap<PublicKey, BTreeSet<KeyId>> = BTreeMap::new();
        for known in &self.acts {
            for one in gift(&known.act.op).into_iter().chain(&known.act.key).flat_map(|wraps| &wraps.boxes) {
                if present.contains(&one.key) && !members.contains_key(&one.member) {
                    given.entry(one.member).or_default().insert(one.key);
                }
            }
        }
        given.into_iter().filter(|(_, keys)| keys.len() == present.len()).map(|(key, _)| key).collect()
    }
}

/// Removals that brought a key, those of each log in a row.
struct Removals(Vec<Vec<usize>>);

impl Removals {
    fn of(fold: &Fold<'_>, valid: &[usize]) -> Self {
        let mut logs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for act in valid.iter().filter(|act| matches!(fold.op(**act), Some(Op::Remove { .. }))) {
            fold.history.place(*act).into_iter().for_each(|(log, _)| logs.entry(log).or_default().push(*act));
        }
        Removals(logs.into_values().collect())
    }

    /// The first in each log that has seen `act`.
    fn first_after(&self, history: &History, act: usize) -> Vec<usize> {
        let first =
            |log: &Vec<usize>| log.get(log.partition_point(|removal| !history.has_seen(*removal, act))).copied();
        self.0.iter().filter_map(first).collect()
    }
}

/// The keys that an act gives besides the one it brings.
fn gift(op: &Op) -> Option<&Wraps> {
    match op {
        Op::Add { given, .. } => given.as_ref(),
        Op::Give { given } => Some(given),
        _ => None,
    }
}

/// The one key that all boxes hold.
fn one_key(wraps: &Wraps) -> Result<KeyId, String> {
    let first = wraps.boxes.first().map(|one| one.key).filter(|key| !key.is_zero());
    let key = first.ok_or("a new key in no box")?;
    match wraps.boxes.iter().all(|one| one.key == key) {
        true => Ok(key),
        false => Err("boxes with several keys where there is one new key".into()),
    }
}
