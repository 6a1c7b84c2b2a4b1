//! Whatever happens on the way, all who meet in the end have the same.

use super::net::{BEGIN, Net};
use crate::dice::Dice;
use crate::proto::group::roster::{Op, Role};
use crate::proto::group::{EntryId, Mode};
use std::collections::BTreeSet;

/// One run: what was said and stored is in `said`.
fn run(seed: u64, mode: Mode) {
    let mut dice = Dice::new(seed + 1);
    let count = 3 + dice.roll(4);
    let mut net = Net::group(count as u8, mode);
    let mut said: Vec<(usize, EntryId)> = Vec::new();
    // Two of them may be admins.
    for admin in 1..=dice.roll(3) {
        let (now, member) = (net.now, net.nodes[admin].key());
        net.nodes[0].act(Op::Promote { member }, None, now).unwrap();
    }
    for step in 0..150 {
        net.now += dice.roll(100) as u64;
        let now = net.now;
        let node = dice.roll(count);
        match dice.roll(40) {
            0..=5 => {
                if let Ok(entry) = net.nodes[node].say(&format!("{node} {step}"), now) {
                    said.push((node, entry.id));
                }
            }
            6 if !net.wires.is_empty() => net.cut(dice.roll(net.wires.len())),
            7..=10 => net.connect(node, dice.roll(count)),
            11 => {
                net.cut_all_of(node);
                net.nodes[node].restart();
            }
            12 => act(&mut net, &mut dice, node),
            13 => {
                net.cut_all_of(node);
                net.nodes[node].restored();
            }
            _ => net.go_on(&mut dice),
        }
    }
    for one in 0..count {
        // A ring, or everybody with everybody.
        for other in one + 1..if seed.is_multiple_of(2) { count } else { count.min(one + 2) } {
            net.connect(one, other);
        }
    }
    net.settle();
    for node in 0..count {
        let now = net.now + 1;
        net.nodes[node].tend(now);
        net.settle();
    }
    check(&net, &said, seed);
}

/// An act, if `node` may.
fn act(net: &mut Net, dice: &mut Dice, node: usize) {
    let (now, member) = (net.now, net.nodes[dice.roll(net.nodes.len())].key());
    let actor = &mut net.nodes[node];
    if actor.replica.roster().role(&actor.key()).is_none_or(|role| role < Role::Admin) {
        return;
    }
    // What may not be is refused by the roster, which is another test's business.
    let _ = match dice.roll(6) {
        0 => actor.remove(member, now),
        1 if actor.replica.roster().role(&member).is_none() => actor.add(member, now),
        2 => actor.act(Op::Promote { member }, None, now),
        3 => {
            let cut = actor.cut(&member);
            actor.act(Op::Mute { member, cut }, None, now)
        }
        4 => actor.act(Op::Unmute { member }, None, now),
        _ => {
            let key = actor.new_key(None);
            actor.act(Op::Rotate {}, key, now)
        }
    };
}

fn check(net: &Net, said: &[(usize, EntryId)], seed: u64) {
    let whole = &net.nodes[0];
    let roster = whole.replica.roster();
    let shown = whole.shown();
    let ids: BTreeSet<EntryId> = shown.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), shown.len(), "seed {seed}: something is shown twice");
    for node in &net.nodes {
        if roster.role(&node.key()).is_none() {
            continue;
        }
        assert_eq!(node.replica.roster(), roster, "seed {seed}: {:?}", node.refused);
        assert_eq!(node.digests(), whole.digests(), "seed {seed}: {:?}", node.refused);
        let theirs: Vec<EntryId> = node.shown().into_iter().map(|(id, _)| id).collect();
        assert_eq!(theirs, shown.iter().map(|(id, _)| *id).collect::<Vec<_>>(), "seed {seed}");
    }
    // Who was always a member, and heard, has lost nothing of what it said.
    for (author, id) in said {
        let key = net.nodes[*author].key();
        let touched = whole.replica.acts().iter().any(|act| match &act.act.op {
            Op::Remove { member, .. } | Op::Mute { member, .. } => *member == key,
            _ => false,
        });
        assert!(touched || ids.contains(id), "seed {seed}: what {author} said is gone: {:?}", whole.refused);
    }
}

/// One run in which states are copied and used twice: logs of content and of acts have branches of several entries.
fn run_with_copies(seed: u64, mode: Mode) {
    let mut dice = Dice::new(seed + 1);
    let honest = 3 + dice.roll(2);
    let count = honest + 2;
    let mut net = Net::group(count as u8, mode);
    // Those that are copied are the last two, and one of them may be an admin.
    for admin in [1, honest] {
        if dice.roll(3) > 0 {
            let (now, member) = (net.now, net.nodes[admin].key());
            net.nodes[0].act(Op::Promote { member }, None, now).unwrap();
        }
    }
    (1..count).for_each(|other| net.connect(0, other));
    net.settle();
    net.wires.clear();
    for twin in [honest, honest + 1] {
        let copy = net.nodes[twin].copied();
        net.nodes.push(copy);
    }
    let is_copied = |node: usize| node >= honest;
    for step in 0..200 {
        net.now += dice.roll(100) as u64;
        let (now, node) = (net.now, dice.roll(net.nodes.len()));
        match dice.roll(30) {
            0..=5 => drop(net.nodes[node].say(&format!("{node} {step}"), now)),
            6 if !net.wires.is_empty() => net.cut(dice.roll(net.wires.len())),
            7..=9 => {
                let other = dice.roll(net.nodes.len());
                // Who is told of its own fork writes no more.
                if net.nodes[node].key() != net.nodes[other].key() {
                    net.connect(node, other);
                }
            }
            10 => act(&mut net, &mut dice, node),
            11 if is_copied(node) => {
                let _ = net.nodes[node].act(Op::Rename { name: format!("{node} {step}") }, None, now);
            }
            12 => {
                net.cut_all_of(node);
                net.nodes[node].restart();
            }
            _ => net.go_on(&mut dice),
        }
    }
    for _ in 0..2 {
        for one in 0..net.nodes.len() {
            (one + 1..net.nodes.len()).for_each(|other| net.connect(one, other));
        }
        net.settle();
        net.wires.clear();
    }
    let whole = &net.nodes[0];
    let forks = |node: &super::net::Node| -> Vec<_> {
        node.replica.forks().map(|fork| (fork[0].header.log, fork[0].header.seq)).collect()
    };
    for (at, node) in net.nodes.iter().enumerate() {
        if whole.replica.roster().role(&node.key()).is_none() {
            continue;
        }
        assert_eq!(forks(node), forks(whole), "seed {seed}: {at}: {:?}", node.refused);
        assert_eq!(node.replica.roster(), whole.replica.roster(), "seed {seed}: {at}: {:?}", node.refused);
        assert_eq!(node.digests(), whole.digests(), "seed {seed}: {at}: {:?}", node.refused);
    }
}

#[test]
fn four_hundred_schedules_with_states_that_are_copied_and_used_twice_end_with_the_same_everywhere() {
    for seed in 0..200 {
        run_with_copies(seed, Mode::Public);
        run_with_copies(seed, Mode::Private);
    }
}

#[test]
fn a_thousand_schedules_of_partitions_loss_and_restarts_end_with_the_same_everywhere() {
    for seed in 0..1000 {
        run(seed, Mode::Public);
    }
}

#[test]
fn a_thousand_schedules_with_keys_end_with_the_same_everywhere() {
    for seed in 0..1000 {
        run(seed, Mode::Private);
    }
}

#[test]
fn while_the_owner_is_away_the_others_talk_and_it_gets_what_it_missed() {
    let mut net = Net::group(3, Mode::Private);
    net.connect(1, 2);
    net.now += 1000;
    let now = net.now;
    net.nodes[1].say("without the owner", now).unwrap();
    net.settle();
    net.nodes[2].say("so it is", now + 1).unwrap();
    net.settle();
    let texts = |net: &Net, node: usize| -> Vec<String> {
        net.nodes[node].shown().into_iter().map(|(_, text)| text.unwrap()).collect()
    };
    assert_eq!(texts(&net, 1), ["without the owner", "so it is"]);
    assert_eq!(texts(&net, 2), texts(&net, 1));
    assert!(texts(&net, 0).is_empty());
    net.connect(0, 2);
    net.settle();
    assert_eq!(texts(&net, 0), texts(&net, 1));
}

#[test]
fn sixty_four_members_have_the_same_after_a_partition_of_random_halves() {
    let mut dice = Dice::new(64);
    let mut net = Net::group(64, Mode::Private);
    let mut half: Vec<usize> = (0..64).collect();
    for at in (1..64).rev() {
        half.swap(at, dice.roll(at + 1));
    }
    for side in half.chunks(32) {
        for (at, node) in side.iter().enumerate() {
            for _ in 0..3 {
                net.connect(*node, side[dice.roll(32)]);
            }
            net.connect(*node, side[(at + 1) % 32]);
        }
    }
    for (at, node) in half.iter().enumerate() {
        net.now = BEGIN + 10_000 + at as u64;
        let now = net.now;
        net.nodes[*node].say(&format!("from {node}"), now).unwrap();
    }
    net.settle();
    assert_ne!(net.nodes[half[0]].digests(), net.nodes[half[32]].digests());
    assert_eq!(net.nodes[half[0]].shown().len(), 32);
    net.connect(half[3], half[40]);
    net.connect(half[5], half[50]);
    net.settle();
    for node in &net.nodes {
        assert_eq!(node.shown().len(), 64);
        assert_eq!(node.digests(), net.nodes[0].digests());
    }
}

#[test]
fn equal_copies_find_that_out_in_a_hundred_bytes() {
    let mut net = Net::group(3, Mode::Public);
    for number in 0..200 {
        let now = net.now + number;
        net.nodes[0].say("something", now).unwrap();
    }
    net.connect(0, 1);
    net.settle();
    net.wires.clear();
    net.carried.clear();
    net.connect(0, 1);
    net.settle();
    assert_eq!(net.carried.keys().copied().collect::<Vec<_>>(), [1]);
    assert!(net.carried[&1] <= 2 * 100);
}
