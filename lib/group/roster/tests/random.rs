use super::*;
use crate::dice::Dice;
use std::collections::{BTreeSet, HashSet};

/// The owner and three admins, who act on others and on each other, and hear of each other's acts now and then.
struct Story {
    dice: Dice,
    world: World,
    /// Which acts each of the four knows.
    known: [BTreeSet<usize>; 4],
    /// Whether they do only what their programs let them do.
    is_honest: bool,
    checkpoints: bool,
    next_key: u16,
}

impl Story {
    fn new(seed: u64, mode: Mode, is_honest: bool, checkpoints: bool) -> Self {
        let world = World::new(mode);
        let all: BTreeSet<usize> = (0..world.acts.len()).collect();
        let known = [all.clone(), all.clone(), all.clone(), all];
        Story { dice: Dice::new(seed), world, known, is_honest, checkpoints, next_key: 1 }
    }

    /// The roster as `who` knows it.
    fn roster(&self, who: usize) -> Roster {
        let known: Vec<Known> = self.known[who].iter().map(|at| self.world.acts[*at].clone()).collect();
        Roster::fold(&self.world.genesis, &known)
    }

    fn op(&mut self, who: usize, roster: &Roster) -> Op {
        let number = 1 + self.dice.roll(8) as u16;
        let heads = roster.heads().iter().filter(|place| place.author == key(number)).copied().collect();
        let content = vec![at(number, 1, self.dice.roll(9) as u64)];
        let cuts_less = self.is_honest || self.dice.roll(3) > 0;
        let cut = Cut { content, roster: if cuts_less { heads } else { Vec::new() } };
        let holds = |epoch: &&Epoch| roster.keys().contains(&epoch.key) && epoch.holders.contains(&key(who as u16));
        let mut given = wraps(0, &[]);
        for epoch in roster.epochs().iter().filter(holds) {
            let one = Wrap { member: key(number), key: epoch.key, sealed: Bytes(vec![0; 48]) };
            given.boxes.push(one);
        }
        let private = self.world.genesis.mode == Mode::Private;
        let member = key(number);
        match self.dice.roll(if self.checkpoints { 13 } else { 12 }) {
            0 | 1 => Op::Add { member, invite: None, given: private.then_some(given) },
            2 | 3 => Op::Remove { member, cut },
            4 => promote(number),
            5 => Op::Demote { member, cut },
            6 => Op::Mute { member, cut: Cut { roster: Vec::new(), ..cut } },
            7 => unmute(number),
            8 => rename(&format!("name {number}")),
            9 => Op::Give { given },
            10 => Op::Invite { capability: key(100 + number), expires: 1, uses: 2, approve: false },
            11 => Op::Rotate {},
            _ => Op::Checkpoint {
                members: roster
                    .members()
                    .iter()
                    .filter(|(member, _)| **member != key(0))
                    .map(|(member, is)| Standing { member: *member, role: is.role, muted: is.muted })
                    .collect(),
                frontier: vec![at(number, 1, self.dice.roll(9) as u64)],
            },
        }
    }

    /// The key that an act brings: for all who are members after it.
    fn key(&mut self, op: &Op, roster: &Roster) -> Option<Wraps> {
        let brings = matches!(op, Op::Remove { .. } | Op::Rotate {} | Op::Demote { .. });
        if self.world.genesis.mode != Mode::Private || !brings {
            return None;
        }
        let removed = if let Op::Remove { member, .. } = op { Some(member) } else { None };
        self.next_key += 1;
        let to = roster.members().keys().filter(|member| Some(*member) != removed);
        let boxes = to.map(|member| Wrap { member: *member, key: epoch(self.next_key), sealed: Bytes(vec![0; 48]) });
        let mut wraps = Wraps { ephemeral: key(9999), boxes: boxes.collect() };
        if !self.is_honest && self.dice.roll(4) == 0 {
            wraps.boxes.pop();
        }
        Some(wraps)
    }

    fn turn(&mut self) {
        let who = self.dice.roll(4);
        if self.dice.roll(3) == 0 {
            let other = self.dice.roll(4);
            let news = self.known[other].clone();
            self.known[who].extend(news);
            return;
        }
        let roster = self.roster(who);
        let op = self.op(who, &roster);
        let may = roster.may(&key(who as u16), &op);
        if self.is_honest && may.is_err() {
            return;
        }
        let wraps = self.key(&op, &roster);
        // Who is not honest may hide what it has seen.
        let hides = !self.is_honest && self.dice.roll(4) == 0;
        let seen = if hides {
            self.world.acts[..10].last().map(|act| vec![act.place]).unwrap()
        } else {
            roster.heads().to_vec()
        };
        let inc = if !self.is_honest && self.dice.roll(8) == 0 { 2 } else { 1 };
        let place = self.world.put(who as u16, inc, &seen, op, wraps);
        self.known[who].insert(self.world.acts.len() - 1);
        // What a log has is known to its author, so that it is in a row.
        let own = |(at, act): (usize, &Known)| (act.place.author == place.author).then_some(at);
        self.known[who].extend(self.world.acts.iter().enumerate().filter_map(own));
        if self.is_honest {
            assert_eq!(self.roster(who).void().iter().find(|(id, _)| *id == place.id), None);
        }
    }

    fn play(mut self) -> Self {
        (0..30).for_each(|_| self.turn());
        self
    }

    /// Who was ever given `epoch`, by acts in force or not.
    fn given(&self, epoch: KeyId) -> BTreeSet<PublicKey> {
        let wraps = self.world.acts.iter().flat_map(|act| {
            let gift = match &act.act.op {
                Op::Add { given, .. } => given.as_ref(),
                Op::Give { given } => Some(given),
                _ => None,
            };
            gift.into_iter().chain(&act.act.key)
        });
        wraps.flat_map(|wraps| &wraps.boxes).filter(|one| one.key == epoch).map(|one| one.member).collect()
    }
}

const MODES: [Mode; 2] = [Mode::Public, Mode::Private];

#[test]
fn whatever_the_order_and_however_often_acts_come_all_who_have_them_agree() {
    let (mut void, mut in_force) = (0, 0);
    for seed in 1..=2000 {
        let mut story = Story::new(seed, MODES[seed as usize % 2], seed % 3 == 0, true).play();
        let whole = story.world.roster();
        void += whole.void().len();
        in_force += story.world.acts.len() - whole.void().len();
        let mut acts = story.world.acts.clone();
        for _ in 0..3 {
            let again = story.dice.pick(&[0, 1, 2, 3, 4, 5]);
            acts.push(acts[again].clone());
            story.dice.shuffle(&mut acts);
            assert_eq!(Roster::fold(&story.world.genesis, &acts), whole, "seed {seed}");
        }
    }
    assert!(void > 5000 && in_force > 20_000, "{void} {in_force}");
}

#[test]
fn what_one_of_them_knew_first_makes_no_difference_and_what_was_void_stays_so() {
    for seed in 1..=1000 {
        let story = Story::new(seed, MODES[seed as usize % 2], false, true).play();
        let whole = story.world.roster();
        let void: BTreeSet<EntryId> = whole.void().iter().map(|(id, _)| *id).collect();
        for who in 0..4 {
            let known = &story.known[who];
            let rest = (0..story.world.acts.len()).filter(|at| !known.contains(at));
            let acts = known.iter().copied().chain(rest).map(|at| story.world.acts[at].clone());
            assert_eq!(Roster::fold(&story.world.genesis, &acts.collect::<Vec<_>>()), whole, "seed {seed}");
            let before = story.roster(who);
            assert!(before.void().iter().all(|(id, _)| void.contains(id)), "seed {seed}");
        }
    }
}

#[test]
fn how_things_stood_before_an_act_is_what_the_acts_make_that_it_has_seen() {
    let mut compared = 0;
    for seed in 1..=400 {
        let story = Story::new(seed, MODES[seed as usize % 2], seed % 3 == 0, true).play();
        let fold = Fold::of(&story.world.genesis, &story.world.acts, HashSet::new());
        for act in 0..fold.acts.len() {
            let view = force::View::Before(act);
            let seen: Vec<Known> =
                (0..act).filter(|at| fold.is_in(*at, view)).map(|at| fold.acts[at].clone()).collect();
            let roster = Roster::fold(&story.world.genesis, &seen);
            let members = fold.members(view);
            for (number, subject) in fold.subjects.iter().enumerate() {
                assert_eq!(fold.role(number, view), roster.role(&subject.key), "seed {seed}");
                assert_eq!(members.has(number), roster.role(&subject.key).is_some(), "seed {seed}, act {act}");
                compared += 1;
            }
        }
    }
    assert!(compared > 50_000, "{compared}");
}

#[test]
fn nobody_who_is_no_member_holds_all_present_keys_where_programs_are_honest() {
    let (mut several, mut lacking) = (0, 0);
    for seed in 1..=2000 {
        let story = Story::new(seed, Mode::Private, true, false).play();
        let roster = story.world.roster();
        several += usize::from(roster.keys().len() > 1);
        lacking += usize::from(!roster.lacking().is_empty());
        assert!(!roster.keys().is_empty());
        let all =
            roster.keys().iter().map(|key| story.given(*key)).reduce(|a, b| a.intersection(&b).copied().collect());
        let strangers: Vec<PublicKey> = all.unwrap().into_iter().filter(|one| roster.role(one).is_none()).collect();
        assert_eq!(strangers, [], "seed {seed}");
    }
    assert!(several > 200 && lacking > 100, "{several} {lacking}");
}

#[test]
fn whoever_is_no_member_and_may_hold_all_present_keys_is_named() {
    let mut named = 0;
    for seed in 1..=1000 {
        let story = Story::new(seed, Mode::Private, false, true).play();
        let roster = story.world.roster();
        let all =
            roster.keys().iter().map(|key| story.given(*key)).reduce(|a, b| a.intersection(&b).copied().collect());
        let strangers: Vec<PublicKey> = all.unwrap().into_iter().filter(|one| roster.role(one).is_none()).collect();
        assert_eq!(strangers, roster.strangers(), "seed {seed}");
        named += strangers.len();
    }
    assert!(named > 20, "{named}");
}
