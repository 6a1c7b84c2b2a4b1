//! Messages under a pair's keys, between two ends that both are on disk.

use super::super::{Incoming, Queued, Stage};
use super::crash::cuts;
use super::{BEGIN, Talk, acks, agree, draft, give, id, meet, names, sealed, sent};
use crate::proto::chat::{Envelope, NotSaved, Why};
use crate::ratchet::{Head, Ratchet};

fn queue(from: &Talk, messages: &[&str]) {
    let drafts: Vec<_> = messages.iter().map(|name| draft(name, &format!("text {name}"))).collect();
    assert_eq!(from.start().queue(&drafts, false).unwrap(), vec![Queued::Waiting; drafts.len()]);
}

fn why(answer: &Envelope) -> NotSaved {
    match answer {
        Envelope::NotSaved(nak) => nak.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_is_acknowledged_by_whoever_has_it_and_nobody_else() {
    let [alice, bob] = Talk::pair();
    queue(&alice, &["a", "b"]);
    let messages = sent(&alice);
    let (answers, texts) = give(&bob, &messages);
    assert_eq!((names(&answers), texts), (vec!["a", "b"], vec!["text a".to_owned(), "text b".to_owned()]));
    let mut forged = acks(&answers);
    forged[0].mac.0[7] ^= 1;
    let other = forged[0].mac.clone();
    forged[1].mac = other;
    assert!(alice.start().saved(&forged).unwrap().is_empty());
    assert_eq!(sent(&alice), messages, "other bytes after a restart");
    assert_eq!(alice.start().saved(&acks(&answers)).unwrap(), [id("a"), id("b")]);
    assert!(sent(&alice).is_empty() && alice.start().saved(&acks(&answers)).unwrap().is_empty());
    let history = [alice.start().last(5).unwrap(), bob.start().last(5).unwrap()];
    assert!(history.iter().flatten().all(|entry| entry.sealed));
    assert!(history[0].iter().all(|entry| entry.stage == Some(Stage::Acked)));
}

#[test]
fn a_message_that_comes_again_is_acknowledged_again_and_stored_once() {
    let [alice, bob] = Talk::pair();
    queue(&alice, &["a", "b", "c"]);
    let messages = sent(&alice);
    let twice = [&messages[..2], &messages[..1]].concat();
    let (answers, texts) = give(&bob, &twice);
    assert_eq!((names(&answers), texts.len()), (vec!["a", "b", "a"], 2));
    let (answers, texts) = give(&bob, &messages);
    assert_eq!((names(&answers), texts), (vec!["a", "b", "c"], vec!["text c".to_owned()]));
    assert_eq!(alice.start().saved(&acks(&answers)).unwrap().len(), 3);
    assert_eq!(bob.texts().len(), 3);
}

#[test]
fn a_receiver_that_dies_anywhere_acknowledges_and_has_each_message_once() {
    let [alice, bob] = Talk::pair();
    queue(&alice, &["a"]);
    give(&bob, &sent(&alice));
    let (log, state) = (bob.log(), bob.state());
    queue(&alice, &["b", "c"]);
    let messages = sent(&alice);
    give(&bob, &messages);
    let written = bob.log();
    for cut in cuts(log.len(), &written) {
        bob.put(&written[..cut], Some(&state));
        let (answers, _) = give(&bob, &messages);
        // It dies again, before the answers leave.
        let (again, texts) = give(&bob, &messages);
        assert!(texts.is_empty());
        assert_eq!(answers, again, "cut at {cut}");
        assert_eq!(bob.texts(), ["text a", "text b", "text c"], "cut at {cut}");
    }
    assert_eq!(alice.start().saved(&acks(&give(&bob, &messages).0)).unwrap().len(), 3);
}

#[test]
fn a_message_that_is_sealed_anew_is_the_same_message() {
    let [alice, bob] = Talk::pair();
    queue(&alice, &["a", "b"]);
    let first = sent(&alice);
    give(&bob, &first);
    let nak = |message: &crate::proto::chat::Message| {
        let (id, ep, n) = (message.id.clone(), message.ep, message.n);
        NotSaved { id, ep, n, why: Why::NoKey }
    };
    assert!(alice.start().seal_anew(&nak(&first[0])).unwrap());
    let second = sent(&alice);
    assert_eq!((second[0].n, &second[1]), (2, &first[1]));
    assert_eq!(second, sent(&alice));
    // What is said of the first one is old.
    assert!(alice.start().seal_anew(&nak(&first[0])).unwrap());
    assert_eq!(second, sent(&alice));
    let (answers, texts) = give(&bob, &second);
    assert!(texts.is_empty());
    assert_eq!(alice.start().saved(&acks(&answers)).unwrap(), [id("a"), id("b")]);
    assert!(!alice.start().seal_anew(&nak(&second[0])).unwrap());
    queue(&alice, &["c"]);
    for _ in 0..5 {
        assert!(alice.start().seal_anew(&nak(&sent(&alice)[0])).unwrap());
    }
    assert!(!alice.start().seal_anew(&nak(&sent(&alice)[0])).unwrap());
    // It is not sent again and again.
    assert!(alice.start().waiting(|_| false, 5).unwrap().is_empty());
    assert_eq!(alice.start().count_waiting().unwrap(), 1);
}

#[test]
fn a_number_that_another_message_used_is_refused_and_another_pairs_message_too() {
    let [alice, bob] = Talk::pair();
    let (log, state) = (std::fs::read(alice.path("log.jsonl")).unwrap(), alice.state());
    queue(&alice, &["a1", "a2"]);
    give(&bob, &sent(&alice));
    // A copy of the state, from before, is used on another machine.
    alice.put(&log, Some(&state));
    queue(&alice, &["b"]);
    let (answers, texts) = give(&bob, &sent(&alice));
    assert!(texts.is_empty());
    assert_eq!(why(&answers[0]).why, Why::Used);
    // On the next connection both see it.
    let [ours, theirs] = meet(&[alice, bob], false);
    assert!(ours.stepped && ours.we_went_back && theirs.peer_went_back && !theirs.we_went_back);

    let others = Talk::pair();
    queue(&others[0], &["x"]);
    let messages = sent(&others[0]);
    agree(&others, 2);
    assert_eq!(why(&give(&others[1], &messages).0[0]).why, Why::Damaged);
}

#[test]
fn a_state_that_went_back_is_mended_by_new_keys_and_nothing_is_lost_or_doubled() {
    let talks = Talk::pair();
    let [alice, bob] = &talks;
    queue(alice, &["a"]);
    let state = alice.state();
    queue(alice, &["b"]);
    let (answers, _) = give(bob, &sent(alice));
    alice.start().saved(&acks(&answers)).unwrap();
    queue(alice, &["c"]);
    // Only the state is put back: the log knows better what waits.
    alice.put(&alice.log(), Some(&state));
    assert!(meet(&talks, false)[0].we_went_back);
    let messages = sent(alice);
    assert_eq!(messages.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), ["c"]);
    let (answers, texts) = give(bob, &messages);
    assert_eq!(texts, ["text c"]);
    assert_eq!(alice.start().saved(&acks(&answers)).unwrap(), [id("c")]);
    // The same with the receiver.
    let state = bob.state();
    queue(alice, &["d", "e"]);
    let messages = sent(alice);
    give(bob, &messages[..1]);
    bob.put(&bob.log(), Some(&state));
    meet(&talks, false);
    let (answers, texts) = give(bob, &sent(alice));
    assert_eq!((names(&answers), texts), (vec!["d", "e"], vec!["text e".to_owned()]));
    assert_eq!(bob.texts(), ["text a", "text b", "text c", "text d", "text e"]);
}

#[test]
fn what_waits_is_sealed_under_new_keys_and_what_had_come_is_not_doubled() {
    let talks = Talk::pair();
    let [alice, bob] = &talks;
    queue(alice, &["a", "b"]);
    let before = sent(alice);
    give(bob, &before[..1]);
    alice.start().queue(&[draft("open", "text open")], true).unwrap();
    agree(&talks, 2);
    let after = sent(alice);
    assert_eq!(after.len(), 3, "an open message stayed open although there are keys");
    assert!(after[0].ct != before[0].ct && after[1].ct != before[1].ct);
    let (answers, texts) = give(bob, &before);
    assert!(texts.is_empty() && answers.iter().all(|answer| why(answer).why != Why::Full));
    let (answers, texts) = give(bob, &after);
    assert_eq!(texts, ["text b", "text open"]);
    assert_eq!(alice.start().saved(&acks(&answers)).unwrap().len(), 3);
}

#[test]
fn without_a_pair_nothing_waits_and_the_history_stays() {
    let [alice, bob] = Talk::pair();
    queue(&alice, &["a", "b"]);
    let messages = sent(&alice);
    give(&bob, &messages);
    alice.start().end().unwrap();
    bob.start().end().unwrap();
    assert_eq!(alice.start().count_waiting().unwrap(), 0);
    assert!(!alice.start().keys(|keys| keys.is_some()).unwrap());
    assert!(alice.start().queue(&[draft("c", "text")], false).is_err());
    assert_eq!(why(&give(&bob, &messages).0[0]).why, Why::NoKey);
    assert_eq!(alice.texts(), bob.texts());
}

#[test]
fn a_long_queue_keeps_the_state_short_and_goes_out_in_order() {
    let [alice, bob] = Talk::pair();
    let many: Vec<_> = (0..1000).map(|number| draft(&format!("m{number}"), &"x".repeat(1000))).collect();
    alice.start().queue(&many, false).unwrap();
    assert!(alice.state().len() < 300 << 10, "{} bytes", alice.state().len());
    let mut got = 0;
    while got < 1000 {
        let waiting = alice.start().waiting(|_| false, 128).unwrap();
        let (answers, texts) = give(&bob, &sealed(waiting));
        got += texts.len();
        assert_eq!(alice.start().saved(&acks(&answers)).unwrap().len(), texts.len());
    }
    let ids: Vec<_> = bob.start().last(1000).unwrap().into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids, many.into_iter().map(|draft| draft.head.id).collect::<Vec<_>>());
}

#[test]
fn a_new_epoch_is_on_disk_when_they_have_met() {
    let talks = Talk::pair();
    let [alice, bob] = &talks;
    queue(alice, &["a"]);
    give(bob, &sent(alice));
    assert!(!meet(&talks, false)[0].stepped);
    assert!(!alice.start().wants_step().unwrap());
    alice.home.wait(11 * 60 * 1000);
    assert!(meet(&talks, false)[0].stepped, "nothing new after ten minutes and a reconnect");
    queue(alice, &["b"]);
    let messages = sent(alice);
    assert!(messages[1].ep > messages[0].ep);
    assert_eq!(give(bob, &messages).1, ["text b"]);
    alice.home.wait(25 * 60 * 60 * 1000);
    assert!(alice.start().wants_step().unwrap());
    assert!(meet(&talks, true)[1].stepped);
}

#[test]
fn a_text_that_is_none_is_not_stored() {
    let [alice, bob] = Talk::pair();
    let head = Head { id: id("a"), ack: true, time: BEGIN, ttl: None, reply_to: None };
    let state = alice.start().kept().unwrap().unwrap();
    let chat = alice.home.chat();
    let keys = state.1.open_keys(&state.0, &chat.0.storage, &chat.me().public()).unwrap().unwrap();
    let mut ratchet: Ratchet = keys.ratchet;
    let slot = ratchet.next(&head, b"\xff\xfe").unwrap();
    let message = ratchet.seal(&slot, &head, b"\xff\xfe").unwrap();
    let (answers, entries) = bob.start().receive(&[Incoming::Sealed(message)]).unwrap();
    assert_eq!((why(&answers[0]).why, entries.len()), (Why::Damaged, 0));
    assert!(bob.log().is_empty());
}
