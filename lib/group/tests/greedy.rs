//! What a member could use up: each of it has its limit.

use super::net::Net;
use crate::group::session::Session;
use crate::proto::group::message::Tip;
use crate::proto::group::{Class, Message, Mode};

/// Bytes of entries that `session` has to say now.
fn said(session: &mut Session, net: &Net, now: u64) -> usize {
    let mut bytes = 0;
    while let Some(message) = session.next(&net.nodes[0].replica, now).unwrap() {
        if let Message::Entries(_) = message {
            bytes += message.encode().len();
        }
    }
    bytes
}

#[test]
fn who_wants_everything_again_before_it_can_have_come_gets_it_once() {
    let mut net = Net::group(2, Mode::Public);
    for number in 0..20 {
        let now = net.now + number;
        net.nodes[0].say(&"x".repeat(20_000), now).unwrap();
    }
    let group = net.nodes[0].replica.group();
    let mut session = Session::new(&net.nodes[0].replica, false);
    let mut now = net.now + 1000;
    let hear = |session: &mut Session, net: &mut Net, message, now| {
        session.hear(&mut net.nodes[0].replica, message, now).unwrap();
    };
    hear(&mut session, &mut net, Message::Hello { group, roster: [0; 32], content: [0; 32] }, now);
    hear(&mut session, &mut net, Message::Have { is_all: true, tips: Vec::new() }, now);
    let all = said(&mut session, &net, now);
    assert!(all > 400_000);
    let mut again = 0;
    for _ in 0..100 {
        hear(&mut session, &mut net, Message::Want, now);
        again += said(&mut session, &net, now);
    }
    assert_eq!(again, all);
    // The last of them is not forgotten: it may have been about something else.
    now = session.wake_at().unwrap();
    assert_eq!(said(&mut session, &net, now), all);
    assert_eq!(session.wake_at(), None);
}

#[test]
fn who_names_other_entries_in_all_places_is_proven_to_only_a_few_times() {
    let mut net = Net::group(2, Mode::Public);
    for number in 0..100 {
        let now = net.now + number;
        net.nodes[0].say("something", now).unwrap();
    }
    let log = net.nodes[0].log(Class::Content);
    let mut session = Session::new(&net.nodes[0].replica, false);
    for seq in 1..=100 {
        let other = Message::Have { is_all: false, tips: vec![Tip { log, seq, id: [9; 16] }] };
        session.hear(&mut net.nodes[0].replica, other, net.now).unwrap();
    }
    let mut proofs = 0;
    while let Some(message) = session.next(&net.nodes[0].replica, net.now).unwrap() {
        proofs += usize::from(matches!(message, Message::Entries(_)));
    }
    assert!((1..=16).contains(&proofs), "{proofs}");
}
