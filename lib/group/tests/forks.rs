//! Authors that write two entries in one place: their logs end there, and nothing else is lost by it.

use super::hostile::header;
use super::net::{BEGIN, Net, Node, key_pair};
use crate::proto::group::roster::{Act, Op};
use crate::proto::group::{Class, Entry, Header, Mode};

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
