//! Logs that end before their last entry, for authors wrote two in one place, or at a cut: nothing else is lost by it.

use super::hostile::header;
use super::net::{BEGIN, Net, Node, key_pair};
use crate::proto::group::roster::{Act, Op};
use crate::proto::group::{Class, Entry, EntryId, Header, Inc, Mode};
use crate::sign::Signature;

/// A group of five in which 3 is an admin, and all know it.
fn with_admin(mode: Mode) -> Net {
    let mut net = Net::group(5, mode);
    let (now, member) = (net.now, net.nodes[3].key());
    net.nodes[0].act(Op::Promote { member }, None, now).unwrap();
    (1..5).for_each(|other| net.connect(0, other));
    net.settle();
    net.wires.clear();
    net
}

/// An act of `node` in the place of `header`, which has seen all but what came since.
fn act(net: &Net, node: usize, header: Header, op: Op) -> Entry {
    let seen = net.nodes[node].replica.roster().next(&header.log.author, &header.log.inc);
    Entry::sign(&net.nodes[node].me, header, Act { seen, op, key: None }.encode().unwrap()).unwrap()
}

fn are_equal(net: &Net, nodes: &[usize]) {
    for node in nodes {
        let (one, first) = (&net.nodes[*node], &net.nodes[nodes[0]]);
        assert_eq!(one.replica.roster(), first.replica.roster(), "{node}");
        assert_eq!(one.digests(), first.digests(), "{node}");
        let shown = |node: &Node| node.shown().into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(shown(one), shown(first), "{node}");
    }
}

#[test]
fn a_removed_admin_that_signs_another_act_in_the_place_of_an_old_one_stays_removed_and_gets_no_key() {
    let mut net = with_admin(Mode::Private);
    let (mallory, puppet) = (net.nodes[3].key(), key_pair(77).public());
    let place = header(&net, 3, Class::Roster);
    // Somebody whom the owner's new key is for, as long as this act counts.
    let now = net.now + 5;
    net.nodes[3].add(puppet, now).unwrap();
    let other = act(&net, 3, place, Op::Rename { name: "another".to_owned() });
    (0..4).for_each(|node| net.connect(node, 4));
    net.settle();
    let real = net.nodes[3].replica.read(&net.nodes[3].log(Class::Roster), 1, 1 << 20).unwrap().remove(0);
    net.wires.retain(|wire| !wire.ends.contains(&3));
    let old = net.nodes[0].replica.roster().keys().to_vec();
    let now = net.now + 5;
    net.nodes[0].remove(mallory, now).unwrap();
    net.settle();
    // What members say names the last act that they know.
    let now = net.now + 5;
    net.nodes[1].say("before", now).unwrap();
    net.settle();
    let pair = [Entry { body: None, ..real }, Entry { body: None, ..other }];
    assert!(net.nodes[1].replica.take_fork(pair).unwrap());
    net.connect(1, 2);
    net.settle();
    let now = net.now + 5;
    net.nodes[0].tend(now);
    net.settle();
    are_equal(&net, &[0, 1, 2, 4]);
    let roster = net.nodes[2].replica.roster();
    assert_eq!((roster.role(&mallory), roster.role(&puppet)), (None, None));
    assert_eq!(roster.void(), []);
    assert!(roster.keys().iter().all(|key| !old.contains(key)));
    let holders = &roster.epochs().iter().find(|epoch| roster.keys().contains(&epoch.key)).unwrap().holders;
    assert!(!holders.contains(&mallory) && !holders.contains(&puppet));
    assert_eq!(net.nodes[2].shown().len(), 1);
    let now = net.now + 5;
    net.nodes[0].act(Op::Rename { name: "the owner acts".to_owned() }, None, now).unwrap();
    net.settle();
    assert_eq!(net.nodes[2].replica.roster().name(), "the owner acts");
}

#[test]
fn who_has_the_other_of_two_acts_takes_what_the_owner_does_after_the_one() {
    let mut net = with_admin(Mode::Public);
    let mallory = net.nodes[3].key();
    let place = header(&net, 3, Class::Roster);
    let one = act(&net, 3, place.clone(), Op::Rename { name: "one".to_owned() });
    let other = act(&net, 3, place, Op::Rename { name: "other".to_owned() });
    let now = BEGIN + 200_000;
    for (node, act) in [(0, &one), (1, &one), (2, &other)] {
        assert_eq!(net.nodes[node].replica.take(vec![act.clone()], now).unwrap().stored.len(), 1);
    }
    net.now = now;
    net.nodes[0].remove(mallory, now + 1).unwrap();
    let said = net.nodes[0].say("she is gone", now + 2).unwrap();
    net.nodes[2].say("who?", now + 3).unwrap();
    // What was done comes where the proof has not come yet.
    let log = net.nodes[0].log(Class::Roster);
    let done = net.nodes[0].replica.read(&log, net.nodes[0].replica.end(&log), 1).unwrap();
    let taken = net.nodes[2].replica.take(vec![done[0].clone(), said], now + 3).unwrap();
    assert!(taken.is_early && taken.refused.is_empty(), "{taken:?}");
    net.connect(0, 2);
    net.connect(1, 2);
    net.settle();
    are_equal(&net, &[0, 1, 2]);
    assert_eq!(net.nodes[2].replica.roster().role(&mallory), None);
    assert_eq!(net.nodes[2].replica.roster().name(), "a group");
    assert_eq!(net.nodes[1].shown().len(), 2);
}

/// Entries of `node` in a row, from `first` on.
fn branch(net: &Net, node: usize, text: &str, first: &Header, count: u64) -> Vec<Entry> {
    let mut next = first.clone();
    let mut row = Vec::new();
    for number in 0..count {
        let body = format!("{text} {number}").into_bytes();
        let entry = Entry::sign(&net.nodes[node].me, next.clone(), body).unwrap();
        (next.seq, next.clock, next.prev) = (next.seq + 1, next.clock + 1, entry.id);
        row.push(entry);
    }
    row
}

fn after(entry: &Entry) -> Header {
    let header = entry.header.clone();
    Header { seq: header.seq + 1, clock: header.clock + 1, prev: entry.id, ..header }
}

/// Each meets each, once.
fn all_meet(net: &mut Net, nodes: &[usize]) {
    for (at, one) in nodes.iter().enumerate() {
        nodes[at + 1..].iter().for_each(|other| net.connect(*one, *other));
    }
    net.settle();
    net.wires.clear();
}

fn fork_places(net: &Net, node: usize) -> Vec<u64> {
    net.nodes[node].replica.forks().map(|fork| fork[0].header.seq).collect()
}

#[test]
fn however_long_two_branches_are_the_log_ends_for_all_where_they_part() {
    for (common, one, other) in [(0, 5, 5), (0, 1, 70), (3, 40, 40), (10, 40, 33), (50, 3, 200), (1, 200, 1)] {
        let mut net = Net::group(5, Mode::Public);
        let start = header(&net, 3, Class::Content);
        let both = branch(&net, 3, "both", &start, common);
        let parts = both.last().map_or(start, after);
        for (reader, text, count) in [(1, "one", one), (2, "other", other)] {
            let row: Vec<Entry> = both.iter().cloned().chain(branch(&net, 3, text, &parts, count)).collect();
            let taken = net.nodes[reader].replica.take(row, BEGIN + 200_000).unwrap();
            assert_eq!(taken.stored.len() as u64, common + count);
        }
        net.now = BEGIN + 300_000;
        all_meet(&mut net, &[0, 1, 2, 4]);
        all_meet(&mut net, &[0, 1, 2, 4]);
        are_equal(&net, &[0, 1, 2, 4]);
        for node in [0, 1, 2, 4] {
            assert_eq!(net.nodes[node].shown().len() as u64, common, "{common} {one} {other}: {node}");
        }
        assert_eq!(fork_places(&net, 1), [common + 1]);
    }
}

#[test]
fn three_branches_of_one_log_end_it_where_the_first_parts() {
    let mut net = Net::group(6, Mode::Public);
    let both = branch(&net, 5, "both", &header(&net, 5, Class::Content), 20);
    for (reader, parts_at, text) in [(1, 20, "one"), (2, 20, "other"), (3, 12, "third")] {
        let mut row = both[..parts_at].to_vec();
        let next = after(row.last().unwrap());
        row.extend(branch(&net, 5, text, &next, 30));
        assert_eq!(net.nodes[reader].replica.take(row.clone(), BEGIN + 200_000).unwrap().stored.len(), row.len());
    }
    net.now = BEGIN + 300_000;
    net.connect(1, 2);
    net.settle();
    assert_eq!(fork_places(&net, 1), [21]);
    all_meet(&mut net, &[0, 1, 2, 3, 4]);
    all_meet(&mut net, &[0, 1, 2, 3, 4]);
    are_equal(&net, &[0, 1, 2, 3, 4]);
    assert_eq!(fork_places(&net, 4), [13]);
}

#[test]
fn branches_that_are_not_signed_where_they_part_end_in_silence() {
    let mut net = Net::group(4, Mode::Public);
    let first = header(&net, 3, Class::Content);
    for (reader, text) in [(1, "one"), (2, "other")] {
        let mut row = branch(&net, 3, text, &first, 40);
        row[..39].iter_mut().for_each(|entry| entry.signature = Signature([7; 64]));
        assert_eq!(net.nodes[reader].replica.take(row, BEGIN + 200_000).unwrap().stored.len(), 40);
    }
    net.now = BEGIN + 300_000;
    all_meet(&mut net, &[0, 1, 2]);
    assert_eq!((fork_places(&net, 1), fork_places(&net, 2)), (vec![40], vec![40]));
}

#[test]
fn who_comes_late_takes_acts_that_have_seen_a_log_of_which_nothing_is_left() {
    let mut net = with_admin(Mode::Public);
    let mallory = net.nodes[3].key();
    let place = header(&net, 3, Class::Roster);
    let one = act(&net, 3, place.clone(), Op::Rename { name: "one".to_owned() });
    let other = act(&net, 3, place, Op::Rename { name: "other".to_owned() });
    net.now = BEGIN + 200_000;
    let now = net.now;
    net.nodes[0].replica.take(vec![one], now).unwrap();
    net.nodes[0].remove(mallory, now + 1).unwrap();
    net.nodes[2].replica.take(vec![other], now).unwrap();
    net.connect(0, 2);
    net.settle();
    net.wires.clear();
    // Nothing of the log is told of any more, and the removal has seen it.
    let genesis = net.nodes[0].replica.genesis().clone();
    net.nodes[1] = Node::new(1, &genesis);
    net.connect(0, 1);
    net.settle();
    are_equal(&net, &[0, 1, 2]);
    assert_eq!(net.nodes[1].replica.roster().role(&mallory), None);
}

#[test]
fn proofs_are_kept_of_logs_that_are_here_alone_and_in_places_that_are() {
    let mut net = Net::group(3, Mode::Public);
    let pair = |net: &Net, header: &Header| {
        let entry = |text: &[u8]| Entry::sign(&net.nodes[2].me, header.clone(), text.to_vec()).unwrap();
        [entry(b"a"), entry(b"b")].map(|entry| Entry { body: None, ..entry })
    };
    let next = header(&net, 2, Class::Content);
    let mut taken = 0;
    for inc in 1..=200_u64 {
        let mut header = next.clone();
        header.log.inc = Inc(inc.to_be_bytes());
        let fork = pair(&net, &header);
        taken += usize::from(net.nodes[1].replica.take_fork(fork).unwrap());
        (header.seq, header.prev) = (2, EntryId([1; 32]));
        let fork = pair(&net, &header);
        assert!(!net.nodes[1].replica.take_fork(fork).unwrap());
    }
    assert_eq!(taken, 64);
    // Of a log that is here: not beyond its end, and then only below what is known, with our entry.
    let row = branch(&net, 2, "here", &next, 100);
    let now = net.now + 1_000_000;
    assert_eq!(net.nodes[1].replica.take(row.clone(), now).unwrap().stored.len(), 100);
    let at = |place: usize| Header { body_len: 0, ..row[place - 1].header.clone() };
    let beyond = Header { seq: 102, prev: EntryId([1; 32]), ..at(100) };
    let fork = pair(&net, &beyond);
    assert!(!net.nodes[1].replica.take_fork(fork).unwrap());
    let fork = pair(&net, &at(100));
    assert!(net.nodes[1].replica.take_fork(fork).unwrap());
    for place in 1..100 {
        let fork = pair(&net, &at(place));
        assert!(!net.nodes[1].replica.take_fork(fork).unwrap(), "{place}");
    }
    let [other, _] = pair(&net, &at(50));
    let ours = Entry { body: None, ..row[49].clone() };
    assert!(net.nodes[1].replica.take_fork([ours, other]).unwrap());
    let log = next.log;
    assert_eq!(net.nodes[1].replica.end(&log), 49);
}

#[test]
fn what_was_got_up_to_a_cut_in_the_midst_of_a_long_row_can_be_passed_on() {
    let mut net = Net::group(5, Mode::Public);
    let row = branch(&net, 3, "row", &header(&net, 3, Class::Content), 60);
    net.now = BEGIN + 200_000;
    let now = net.now;
    let gone = net.nodes[3].key();
    net.nodes[0].replica.take(row[..50].to_vec(), now).unwrap();
    net.nodes[0].remove(gone, now + 1).unwrap();
    net.connect(0, 1);
    net.connect(0, 2);
    net.settle();
    net.wires.clear();
    // Who knows of the removal first gets all, and keeps what counts.
    net.nodes[4] = Node::new(4, net.nodes[0].replica.genesis());
    let acts = net.nodes[0].replica.read(&net.nodes[0].log(Class::Roster), 1, usize::MAX).unwrap();
    let taken = net.nodes[4].replica.take(acts.into_iter().chain(row).collect(), now + 2).unwrap();
    assert_eq!(net.nodes[4].replica.end(&net.nodes[3].log(Class::Content)), 50, "{taken:?}");
    net.nodes[1] = Node::new(1, net.nodes[0].replica.genesis());
    net.connect(4, 1);
    net.settle();
    assert_eq!(net.nodes[1].shown().len(), 50);
    are_equal(&net, &[4, 1, 0]);
}

#[test]
fn what_an_admin_did_that_had_seen_an_act_behind_the_owners_cut_comes_to_all() {
    let mut net = with_admin(Mode::Private);
    let (now, other_admin, gone) = (net.now, net.nodes[1].key(), net.nodes[3].key());
    net.nodes[0].act(Op::Promote { member: other_admin }, None, now + 1).unwrap();
    (1..5).for_each(|other| net.connect(0, other));
    net.settle();
    net.wires.clear();
    // The owner does not know what the one does whom it removes, and the other admin goes on from there.
    net.nodes[3].act(Op::Rename { name: "behind the cut".to_owned() }, None, now + 2).unwrap();
    net.connect(1, 3);
    net.settle();
    net.wires.clear();
    let key = net.nodes[1].new_key(None);
    net.nodes[1].act(Op::Rotate {}, key, now + 3).unwrap();
    net.nodes[1].say("a word that names what is behind the cut", now + 4).unwrap();
    net.nodes[0].remove(gone, now + 5).unwrap();
    all_meet(&mut net, &[0, 1, 2, 4]);
    let now = net.now + 10;
    net.nodes[0].tend(now);
    net.nodes[1].act(Op::Rename { name: "at last".to_owned() }, None, now + 1).unwrap();
    net.nodes[1].say("and another", now + 2).unwrap();
    all_meet(&mut net, &[0, 1, 2, 4]);
    are_equal(&net, &[0, 1, 2, 4]);
    assert_eq!(net.nodes[0].replica.roster().name(), "at last");
    assert_eq!(net.nodes[2].shown().into_iter().filter_map(|(_, text)| text).count(), 2);
}
