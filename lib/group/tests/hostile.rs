//! What a member could try who does not keep to the rules: each is refused, and named.

use super::net::{BEGIN, Net, Node, key_pair};
use crate::group::keys::{EpochKey, wrap};
use crate::group::replica::{Replica, Taken};
use crate::group::session::Session;
use crate::group::shelf::MemoryShelf;
use crate::proto::group::message::Tip;
use crate::proto::group::roster::{Act, Cut, Op, Place, Role};
use crate::proto::group::{Class, Entry, EntryId, Genesis, Header, Inc, KeyId, Kind, LogId, Message, Mode};
use crate::sign::Signature;

/// A header as an honest member would write it next.
pub(super) fn header(net: &Net, node: usize, class: Class) -> Header {
    let node = &net.nodes[node];
    let log = node.log(class);
    let before = node.replica.logs().find(|stored| stored.log == log).copied();
    Header {
        group: node.replica.group(),
        log,
        seq: before.map_or(1, |before| before.seq + 1),
        prev: before.map(|before| before.id).unwrap_or_default(),
        clock: BEGIN + 100_000 + before.map_or(0, |before| before.seq),
        time: BEGIN + 100_000,
        kind: if class == Class::Roster { Kind::Act } else { Kind::Message },
        roster: if class == Class::Roster { EntryId::default() } else { node.replica.roster().head(&node.key()) },
        key: KeyId::default(),
        reply_to: EntryId::default(),
        deps: Vec::new(),
        body_len: 0,
        body_hash: [0; 32],
    }
}

/// An act as an honest admin would write it, whatever it says.
fn act(net: &Net, node: usize, op: Op) -> Entry {
    let header = header(net, node, Class::Roster);
    let seen = net.nodes[node].replica.roster().next(&header.log.author, &header.log.inc);
    Entry::sign(&net.nodes[node].me, header, Act { seen, op, key: None }.encode().unwrap()).unwrap()
}

fn take(net: &mut Net, node: usize, entries: Vec<Entry>) -> Taken {
    net.nodes[node].replica.take(entries, BEGIN + 200_000).unwrap()
}

/// Why the only entry was refused.
fn refusal(taken: &Taken) -> &str {
    assert!(taken.stored.is_empty(), "{taken:?}");
    &taken.refused.first().unwrap_or_else(|| panic!("{taken:?}")).1
}

#[test]
fn an_entry_in_anothers_name_is_refused_and_so_is_one_in_the_owners() {
    let mut net = Net::group(3, Mode::Public);
    for (victim, class) in [(1, Class::Content), (0, Class::Content), (0, Class::Roster)] {
        let mut header = header(&net, victim, class);
        header.body_len = 0;
        let body = match class {
            Class::Content => b"not me".to_vec(),
            Class::Roster => {
                Act { seen: Vec::new(), op: Op::Rename { name: "mine".to_owned() }, key: None }.encode().unwrap()
            }
        };
        let mallory = key_pair(2);
        let forged = Entry::sign(&mallory, header, body).unwrap();
        let taken = take(&mut net, 1, vec![forged]);
        assert!(refusal(&taken).contains("did not sign"), "{taken:?}");
        assert_eq!(taken.refused[0].0, net.nodes[victim].key());
    }
}

#[test]
fn what_was_signed_cannot_be_moved_in_time_to_another_place_or_to_another_group() {
    let mut net = Net::group(3, Mode::Public);
    let now = net.now;
    let said = net.nodes[2].say("yes", now).unwrap();
    let changes: [fn(&mut Header); 4] = [
        |header| header.time += 1,
        |header| header.clock += 1,
        |header| header.reply_to = EntryId([1; 32]),
        |header| header.log.inc = Inc([9; 8]),
    ];
    for change in changes {
        let mut header = said.header.clone();
        change(&mut header);
        let moved = Entry::of(&header.encode(), said.signature, said.body.clone()).unwrap();
        assert!(refusal(&take(&mut net, 1, vec![moved])).contains("did not sign"));
    }
    let other = Genesis { salt: [8; 16], ..net.nodes[0].replica.genesis().clone() };
    let mut elsewhere = Replica::open(other, MemoryShelf::default()).unwrap();
    let taken = elsewhere.take(vec![said], now).unwrap();
    assert!(refusal(&taken).contains("another group"), "{taken:?}");
}

#[test]
fn a_body_that_is_not_the_one_that_was_signed_is_none() {
    let mut net = Net::group(2, Mode::Public);
    let now = net.now;
    let said = net.nodes[1].say("yes", now).unwrap();
    let bytes = said.header.encode();
    assert!(Entry::of(&bytes, said.signature, Some(b"no!".to_vec())).is_err());
    let without = Entry { body: None, ..said };
    assert!(refusal(&take(&mut net, 0, vec![without])).contains("without its body"));
}

#[test]
fn an_act_that_comes_again_changes_nothing() {
    let mut net = Net::group(3, Mode::Public);
    let (now, member) = (net.now + 1, net.nodes[2].key());
    let added = net.nodes[0].replica.read(&net.nodes[0].log(Class::Roster), 3, usize::MAX).unwrap();
    net.nodes[0].remove(member, now).unwrap();
    net.connect(0, 1);
    net.settle();
    assert_eq!(net.nodes[1].replica.roster().role(&member), None);
    let taken = take(&mut net, 1, added);
    assert!(taken.stored.is_empty());
    assert_eq!(net.nodes[1].replica.roster().role(&member), None);
}

#[test]
fn an_act_of_a_clock_that_is_ahead_comes_again_once_it_is_time() {
    let mut net = Net::group(3, Mode::Public);
    let now = net.now;
    let name = |name: &str| Op::Rename { name: name.to_owned() };
    net.nodes[0].act(name("from the future"), None, now + 25 * 60_000).unwrap();
    net.nodes[0].act(name("and after it"), None, now + 25 * 60_000).unwrap();
    net.connect(0, 1);
    net.settle();
    assert_eq!(net.nodes[1].replica.roster().name(), "and after it");
    assert!(net.now >= now + 15 * 60_000 && net.now < now + 17 * 60_000, "{}", net.now - now);
    assert!(net.nodes[1].refused[0].1.contains("25 minutes ahead"), "{:?}", net.nodes[1].refused);
}

#[test]
fn what_builds_on_what_nobody_brings_is_asked_for_once() {
    let mut net = Net::group(3, Mode::Public);
    let mut act = act(&net, 0, Op::Rename { name: "late".to_owned() });
    let nowhere = Place { author: net.nodes[2].key(), inc: Inc([3; 8]), seq: 1, id: EntryId([1; 32]) };
    let body = Act { seen: vec![nowhere], op: Op::Rename { name: "late".to_owned() }, key: None };
    act = Entry::sign(&net.nodes[0].me, act.header, body.encode().unwrap()).unwrap();
    let replica = &mut net.nodes[1].replica;
    let mut session = Session::new(replica, false);
    let mut wants = 0;
    for now in (BEGIN + 100_000..).step_by(200).take(50) {
        session.hear(replica, Message::Entries(vec![act.clone()]), now).unwrap();
        while let Some(message) = session.next(replica, now).unwrap() {
            wants += usize::from(matches!(message, Message::Want));
        }
    }
    assert_eq!(wants, 1);
}

#[test]
fn places_that_no_log_has_are_none() {
    let mut net = Net::group(3, Mode::Public);
    let mut header = header(&net, 2, Class::Content);
    let log = header.log;
    header.prev = EntryId([1; 32]);
    for (seq, is_place) in [(0, false), (i64::MAX as u64, true), (i64::MAX as u64 + 1, false), (u64::MAX, false)] {
        header.seq = seq;
        let signed = Entry::sign(&net.nodes[2].me, header.clone(), b"far".to_vec());
        assert_eq!(signed.is_ok(), is_place, "{seq}");
        let tip = Tip { log, seq, id: [0; 16] };
        let have = Message::decode(&Message::Have { is_all: true, tips: vec![tip] }.encode());
        assert_eq!(have.is_ok(), is_place || seq == 0, "{seq}");
        let replica = &mut net.nodes[1].replica;
        let mut session = Session::new(replica, false);
        if let (Ok(entry), Ok(have)) = (signed, have) {
            session.hear(replica, have, BEGIN).unwrap();
            session.hear(replica, Message::Entries(vec![entry.clone(), entry]), BEGIN).unwrap();
            while session.next(replica, BEGIN + 1).unwrap().is_some() {}
        }
    }
}

#[test]
fn authors_of_clocks_far_ahead_do_not_hide_whom_an_entry_has_seen() {
    let mut net = Net::group(7, Mode::Public);
    let now = net.now + 1000;
    for node in 2..6 {
        let ahead = Header { clock: now + 1_000_000_000, ..header(&net, node, Class::Content) };
        let entry = Entry::sign(&net.nodes[node].me, ahead, b"ahead".to_vec()).unwrap();
        assert_eq!(take(&mut net, 1, vec![entry]).stored.len(), 1);
    }
    let said = net.nodes[6].say("seen", now).unwrap();
    assert_eq!(take(&mut net, 1, vec![said.clone()]).stored.len(), 1);
    let answer = net.nodes[1].say("so it is", now + 1).unwrap();
    let deps: Vec<_> = answer.header.deps.iter().map(|dep| dep.log).collect();
    assert_eq!(deps, [said.header.log.tag()]);
}

#[test]
fn a_member_that_is_no_admin_does_nothing_to_the_roster() {
    let mut net = Net::group(3, Mode::Public);
    let (me, victim) = (net.nodes[2].key(), net.nodes[1].key());
    for op in [
        Op::Promote { member: me },
        Op::Remove { member: victim, cut: Cut::default() },
        Op::Rename { name: "mine".to_owned() },
    ] {
        let entry = act(&net, 2, op);
        let taken = take(&mut net, 1, vec![entry]);
        assert!(!refusal(&taken).is_empty());
        assert_eq!(taken.refused[0].0, me);
    }
    assert_eq!(net.nodes[1].replica.roster().role(&victim), Some(Role::Member));
}

#[test]
fn who_writes_two_entries_in_one_place_is_proven_to_and_its_log_ends_before_them_everywhere() {
    let mut net = Net::group(4, Mode::Public);
    let now = net.now;
    net.nodes[3].say("to all", now).unwrap();
    net.connect(3, 1);
    net.connect(3, 2);
    net.settle();
    net.wires.clear();
    // What it says next it says twice, in different words.
    let next = header(&net, 3, Class::Content);
    for (reader, text) in [(1, "yes"), (2, "no")] {
        let entry = Entry::sign(&net.nodes[3].me, next.clone(), text.into()).unwrap();
        assert_eq!(take(&mut net, reader, vec![entry]).stored.len(), 1);
    }
    net.connect(1, 2);
    net.connect(2, 0);
    net.settle();
    for node in [0, 1, 2] {
        let forks: Vec<_> = net.nodes[node].replica.forks().map(|fork| fork[0].header.seq).collect();
        assert_eq!(forks, [2], "{node}");
        let texts: Vec<_> = net.nodes[node].shown().into_iter().filter_map(|(_, text)| text).collect();
        assert_eq!(texts, ["to all"], "{node}");
        assert_eq!(net.nodes[node].digests(), net.nodes[0].digests());
    }
}

#[test]
fn an_owner_that_says_different_things_to_different_members_is_found_out_and_the_roster_stands_still() {
    let mut net = Net::group(4, Mode::Public);
    let next = header(&net, 0, Class::Roster);
    for (reader, name) in [(1, "one"), (2, "other")] {
        let act = Act { seen: Vec::new(), op: Op::Rename { name: name.to_owned() }, key: None };
        let entry = Entry::sign(&net.nodes[0].me, next.clone(), act.encode().unwrap()).unwrap();
        assert_eq!(take(&mut net, reader, vec![entry]).stored.len(), 1);
        assert_eq!(net.nodes[reader].replica.roster().name(), name);
    }
    net.connect(1, 2);
    net.connect(2, 3);
    net.settle();
    for node in [1, 2, 3] {
        let replica = &net.nodes[node].replica;
        assert_eq!(replica.forks().count(), 1, "{node}");
        assert_eq!(replica.roster().name(), "a group", "{node}");
        assert_eq!(replica.roster().members().len(), 4);
    }
}

#[test]
fn an_admin_that_was_demoted_undoes_nothing_by_an_act_that_it_dates_back() {
    let mut net = Net::group(3, Mode::Public);
    let (now, mallory) = (net.now, net.nodes[2].key());
    net.nodes[0].act(Op::Promote { member: mallory }, None, now).unwrap();
    net.connect(0, 2);
    net.connect(0, 1);
    net.settle();
    net.wires.clear();
    // It has not seen its demotion, or says so.
    let victim = net.nodes[1].key();
    let mut back = act(&net, 2, Op::Remove { member: victim, cut: Cut::default() });
    back.header.time = now;
    let back = Entry::sign(&net.nodes[2].me, back.header.clone(), back.body.clone().unwrap()).unwrap();
    let cut = net.nodes[0].cut(&mallory);
    net.nodes[0].act(Op::Demote { member: mallory, cut }, None, now + 1).unwrap();
    net.connect(0, 1);
    net.settle();
    let taken = take(&mut net, 1, vec![back]);
    assert!(taken.stored.is_empty() && !taken.refused.is_empty(), "{taken:?}");
    assert_eq!(net.nodes[1].replica.roster().role(&victim), Some(Role::Member));
}

#[test]
fn a_removed_member_is_neither_heard_nor_reads_what_follows() {
    let mut net = Net::group(3, Mode::Private);
    let (now, gone) = (net.now, net.nodes[2].key());
    net.nodes[2].say("while I was here", now).unwrap();
    net.connect(0, 1);
    net.connect(0, 2);
    net.settle();
    net.nodes[0].remove(gone, now + 1).unwrap();
    net.settle();
    net.nodes[1].say("among ourselves", now + 2).unwrap();
    net.settle();
    // Even if somebody still sends it everything, it cannot read that.
    let texts = |node: &Node| node.shown().into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    let read = |text: &str| Some(text.to_owned());
    assert_eq!(texts(&net.nodes[1]), [read("while I was here"), read("among ourselves")]);
    assert_eq!(texts(&net.nodes[2]), [read("while I was here"), None]);
    let late = Entry::sign(&net.nodes[2].me, header(&net, 2, Class::Content), b"I am still here".to_vec()).unwrap();
    let taken = take(&mut net, 1, vec![late]);
    assert!(!refusal(&taken).is_empty());
    assert_eq!(taken.refused[0].0, gone);
    // Nor in a log that nobody has cut, for nobody knew of it.
    let mut new = header(&net, 2, Class::Content);
    (new.log.inc, new.seq, new.prev) = (Inc([5; 8]), 1, EntryId::default());
    let late = Entry::sign(&net.nodes[2].me, new, b"and here".to_vec()).unwrap();
    assert!(!refusal(&take(&mut net, 1, vec![late])).is_empty());
}

#[test]
fn a_key_that_somebody_else_gets_too_is_no_key() {
    let mut net = Net::group(3, Mode::Private);
    let before = net.nodes[1].replica.roster().keys().to_vec();
    let mut members: Vec<_> = net.nodes.iter().map(Node::key).collect();
    members.push(key_pair(77).public());
    let header = header(&net, 0, Class::Roster);
    let key = wrap(&header.group, &[EpochKey::random().unwrap()], &members).unwrap();
    let act = Act { seen: Vec::new(), op: Op::Rotate {}, key: Some(key) };
    let entry = Entry::sign(&net.nodes[0].me, header, act.encode().unwrap()).unwrap();
    let id = entry.id;
    take(&mut net, 1, vec![entry]);
    let roster = net.nodes[1].replica.roster();
    assert_eq!(roster.keys(), before);
    let (_, why) = roster.void().iter().find(|(void, _)| *void == id).unwrap();
    assert!(why.contains("ghost"), "{why}");
}

#[test]
fn nothing_is_stored_of_a_key_that_was_never_a_member() {
    let mut net = Net::group(2, Mode::Public);
    let stranger = key_pair(99);
    let mut header = header(&net, 1, Class::Content);
    header.log = LogId { class: Class::Content, author: stranger.public(), inc: Inc([1; 8]) };
    let entry = Entry::sign(&stranger, header, b"hello".to_vec()).unwrap();
    let taken = take(&mut net, 0, vec![entry]);
    assert!(refusal(&taken).contains("no member"), "{taken:?}");
}

#[test]
fn who_passes_on_a_row_with_signatures_that_are_none_makes_nobody_else_look_like_a_forger() {
    let mut net = Net::group(3, Mode::Public);
    let now = net.now;
    for number in 0..300 {
        net.nodes[0].say(&format!("{number}"), now + number).unwrap();
    }
    let log = net.nodes[0].log(Class::Content);
    let mut row = net.nodes[0].replica.read(&log, 1, usize::MAX).unwrap();
    for entry in row.iter_mut().take(299) {
        entry.signature = Signature([3; 64]);
    }
    assert_eq!(take(&mut net, 1, row).stored.len(), 300);
    for from in [1, 100, 299] {
        let some = net.nodes[1].replica.signed(&log, from, 1).unwrap();
        assert!(some.last().unwrap().is_signed());
    }
    net.connect(1, 2);
    net.settle();
    assert!(net.nodes[2].refused.is_empty(), "{:?}", net.nodes[2].refused);
    assert_eq!(net.nodes[2].digests(), net.nodes[0].digests());
}

#[test]
fn an_act_from_a_far_future_is_refused_for_every_later_one_would_have_to_be_later() {
    let mut net = Net::group(2, Mode::Public);
    let mut future = header(&net, 0, Class::Roster);
    future.clock = u64::MAX >> 1;
    let act = Act { seen: Vec::new(), op: Op::Rename { name: "late".to_owned() }, key: None };
    let entry = Entry::sign(&net.nodes[0].me, future, act.encode().unwrap()).unwrap();
    assert!(refusal(&take(&mut net, 1, vec![entry])).contains("ahead of ours"));
}

#[test]
fn an_act_that_names_what_nobody_has_waits() {
    let mut net = Net::group(2, Mode::Public);
    let header = header(&net, 0, Class::Roster);
    let unknown = Place { author: net.nodes[1].key(), inc: Inc([1; 8]), seq: 1, id: EntryId([1; 32]) };
    let act = Act { seen: vec![unknown], op: Op::Rename { name: "later".to_owned() }, key: None };
    let entry = Entry::sign(&net.nodes[0].me, header, act.encode().unwrap()).unwrap();
    let taken = take(&mut net, 1, vec![entry]);
    assert!(taken.is_early && taken.stored.is_empty() && taken.refused.is_empty());
}
