//! What was done before what.

use super::Known;
use crate::key::PublicKey;
use crate::proto::group::roster::Place;
use crate::proto::group::{EntryId, Inc};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

/// How far each act has seen each log. Acts are named by their place in one order that all who have them agree on: none
/// stands before what it has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    /// The number of each act.
    numbers: HashMap<EntryId, usize>,
    /// Each act's log, and its place there.
    places: Vec<(usize, u64)>,
    clocks: Vec<u64>,
    /// The acts of each log, in a row from place 1.
    logs: Vec<Vec<usize>>,
    /// For each act a row with a mark for each log: the last place in it that the act has seen.
    marks: Vec<u64>,
    heads: Vec<Place>,
}

/// Acts in order, and what is behind that order.
pub(super) struct Ordered<'a> {
    pub(super) history: History,
    /// By their numbers.
    pub(super) acts: Vec<&'a Known>,
    /// Those whose past is not here as they name it; no honest store gives any.
    pub(super) loose: Vec<&'a Known>,
}

type Logs<'a> = BTreeMap<(PublicKey, Inc), BTreeMap<u64, Option<&'a Known>>>;

impl History {
    /// Puts `acts` in order: as their clocks stand, so far as that is after what they have seen.
    pub(super) fn of(acts: &[Known]) -> Ordered<'_> {
        let logs = sort_into_logs(acts);
        let mut waiting: HashMap<EntryId, usize> = HashMap::new();
        let mut followers: HashMap<EntryId, Vec<&Known>> = HashMap::new();
        let mut ready = BinaryHeap::new();
        let mut known: Vec<&Known> = logs.values().flat_map(BTreeMap::values).copied().flatten().collect();
        for act in &known {
            let Some(needed) = needs(&logs, act) else { continue };
            if needed.is_empty() {
                ready.push(Reverse((act.clock, act.place.id)));
            }
            waiting.insert(act.place.id, needed.len());
            needed.into_iter().for_each(|id| followers.entry(id).or_default().push(act));
        }
        let by_id: HashMap<EntryId, &Known> = known.iter().map(|act| (act.place.id, *act)).collect();
        let mut ordered = Vec::with_capacity(known.len());
        while let Some(Reverse((_, id))) = ready.pop() {
            ordered.extend(by_id.get(&id).copied());
            for act in followers.remove(&id).unwrap_or_default() {
                let Some(left) = waiting.get_mut(&act.place.id) else { continue };
                *left -= 1;
                if *left == 0 {
                    ready.push(Reverse((act.clock, act.place.id)));
                }
            }
        }
        let history = History::in_order(&ordered);
        known.retain(|act| !history.numbers.contains_key(&act.place.id));
        let twice =
            acts.iter().filter(|act| logs.get(&log_of(act)).is_some_and(|log| log.get(&act.place.seq) == Some(&None)));
        known.extend(twice);
        known.sort_unstable_by_key(|act| act.place.id);
        known.dedup_by_key(|act| act.place.id);
        Ordered { history, acts: ordered, loose: known }
    }

    fn in_order(acts: &[&Known]) -> Self {
        let mut names: Vec<(PublicKey, Inc)> = acts.iter().map(|act| log_of(act)).collect();
        names.sort_unstable();
        names.dedup();
        let of_name: HashMap<(PublicKey, Inc), usize> =
            names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
        let mut history = History { logs: vec![Vec::new(); names.len()], ..History::default() };
        let mut heads: Vec<Option<Place>> = vec![None; names.len()];
        for (number, act) in acts.iter().enumerate() {
            let Some(log) = of_name.get(&log_of(act)).copied() else { continue };
            let mut row = vec![0; names.len()];
            // The newest first: what it has seen need not be looked at.
            let mut seen: Vec<usize> =
                history.logs.get(log).and_then(|acts| acts.last()).copied().into_iter().collect();
            seen.extend(act.act.seen.iter().filter_map(|place| history.number(&place.id)));
            seen.sort_unstable_by_key(|number| Reverse(*number));
            for earlier in seen {
                history.look_back(&mut row, earlier);
            }
            history.marks.extend(row);
            history.places.push((log, act.place.seq));
            history.clocks.push(act.clock);
            history.numbers.insert(act.place.id, number);
            history.logs.get_mut(log).into_iter().for_each(|acts| acts.push(number));
            heads.get_mut(log).into_iter().for_each(|head| *head = Some(act.place));
        }
        history.heads = heads.into_iter().flatten().collect();
        history
    }

    /// Who has seen `earlier` has seen what that has seen.
    fn look_back(&self, row: &mut [u64], earlier: usize) {
        let Some((log, seq)) = self.places.get(earlier).copied() else { return };
        if row.get(log).is_some_and(|mark| *mark >= seq) {
            return;
        }
        for (mark, other) in row.iter_mut().zip(self.row(earlier)) {
            *mark = (*mark).max(*other);
        }
        row.get_mut(log).into_iter().for_each(|mark| *mark = seq);
    }

    fn row(&self, act: usize) -> &[u64] {
        let width = self.logs.len();
        self.marks.get(act * width..(act + 1) * width).unwrap_or_default()
    }

    /// The number of an act.
    pub(super) fn number(&self, id: &EntryId) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// An act's log, and its place there.
    pub(super) fn place(&self, act: usize) -> Option<(usize, u64)> {
        self.places.get(act).copied()
    }

    /// Whether `later` has seen `earlier`. No act has seen itself.
    pub(super) fn has_seen(&self, later: usize, earlier: usize) -> bool {
        let Some((log, seq)) = self.place(earlier) else { return false };
        self.mark(later, log) >= seq
    }

    /// Whether who knows `last` knows `act`.
    pub(super) fn knows(&self, last: usize, act: usize) -> bool {
        last == act || self.has_seen(last, act)
    }

    /// The last place in `log` that `act` has seen.
    pub(super) fn mark(&self, act: usize, log: usize) -> u64 {
        self.row(act).get(log).copied().unwrap_or_default()
    }

    /// The act that has seen all but itself of what `act` has seen, if there is one.
    pub(super) fn only_step_before(&self, act: usize) -> Option<usize> {
        let row = self.row(act);
        let last_in = |(log, mark): (usize, &u64)| {
            let at = usize::try_from(*mark).ok()?.checked_sub(1)?;
            self.logs.get(log)?.get(at).copied()
        };
        let last = row.iter().enumerate().filter_map(last_in).max()?;
        let (log, seq) = self.place(last)?;
        let same = |(at, (mine, other)): (usize, (&u64, &u64))| mine == if at == log { &seq } else { other };
        row.iter().zip(self.row(last)).enumerate().all(same).then_some(last)
    }

    /// Whether an act has seen none.
    pub(super) fn is_first(&self, act: usize) -> bool {
        self.row(act).iter().all(|mark| *mark == 0)
    }

    /// The last act of each log.
    pub(super) fn heads(&self) -> &[Place] {
        &self.heads
    }

    /// An act's clock.
    pub(super) fn clock(&self, act: usize) -> u64 {
        self.clocks.get(act).copied().unwrap_or_default()
    }

    /// Whether there is this act in this place.
    pub(super) fn has(&self, place: &Place) -> bool {
        let Some((log, seq)) = self.number(&place.id).and_then(|act| self.place(act)) else { return false };
        let head = self.heads.get(log).map(|head| (head.author, head.inc));
        seq == place.seq && head == Some((place.author, place.inc))
    }
}

fn log_of(act: &Known) -> (PublicKey, Inc) {
    (act.place.author, act.place.inc)
}

/// The acts of each log by place; `None` where there are two.
fn sort_into_logs(acts: &[Known]) -> Logs<'_> {
    let mut logs = Logs::new();
    for act in acts {
        let place = logs.entry(log_of(act)).or_default().entry(act.place.seq).or_insert(Some(act));
        if place.is_some_and(|other| other.place.id != act.place.id) {
            *place = None;
        }
    }
    logs
}

/// The acts that `act` names as its past; `None` if one of them is not there.
fn needs(logs: &Logs<'_>, act: &Known) -> Option<Vec<EntryId>> {
    let at = |log: &(PublicKey, Inc), seq: u64| logs.get(log)?.get(&seq).copied().flatten().map(|known| known.place.id);
    let mut needed = Vec::with_capacity(act.act.seen.len() + 1);
    match act.place.seq.checked_sub(1)? {
        0 => {}
        before => needed.push(at(&log_of(act), before)?),
    }
    for place in &act.act.seen {
        needed.push(at(&(place.author, place.inc), place.seq).filter(|id| *id == place.id)?);
    }
    needed.sort_unstable();
    needed.dedup();
    Some(needed)
}
