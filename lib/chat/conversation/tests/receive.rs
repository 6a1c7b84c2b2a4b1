//! Messages of the peer.

use super::super::{Incoming, Side};
use super::{BEGIN, Talk, names, open, open_at};
use crate::proto::chat::{Envelope, Why};

fn batch(range: std::ops::Range<usize>) -> Vec<Incoming> {
    range.map(|n| open_at(&format!("m{n}"), &format!("text {n}"), BEGIN + u64::try_from(n).unwrap())).collect()
}

#[test]
fn each_message_is_stored_once_and_acknowledged_every_time_in_order() {
    let talk = Talk::new();
    let (answers, entries) =
        talk.start().receive(&[open("a", "one"), open("b", "two"), open("a", "one"), open("c", "three")]).unwrap();
    assert_eq!(names(&answers), ["a", "b", "a", "c"]);
    assert_eq!(entries.iter().map(|entry| entry.text.as_str()).collect::<Vec<_>>(), ["one", "two", "three"]);
    let before = (talk.log(), talk.state());
    let (answers, entries) = talk.start().receive(&[open("c", "three"), open("a", "one")]).unwrap();
    assert_eq!((names(&answers), entries.len()), (vec!["c", "a"], 0));
    assert!((talk.log(), talk.state()) == before, "a message that was there was written again");
    let history = talk.start().last(10).unwrap();
    assert!(history.iter().all(|entry| entry.side == Side::In && entry.stage.is_none() && entry.peer == talk.peer));
    assert_eq!(talk.texts(), ["one", "two", "three"]);
}

#[test]
fn ten_thousand_messages_are_each_there_once_however_old_one_is_that_comes_again() {
    let talk = Talk::new();
    for from in (0..10_000).step_by(250) {
        let (_, entries) = talk.start().receive(&batch(from..from + 250)).unwrap();
        assert_eq!(entries.len(), 250);
    }
    for again in [0..256, 5_000..5_256, 9_744..10_000] {
        let (answers, entries) = talk.start().receive(&batch(again)).unwrap();
        assert_eq!((answers.len(), entries.len()), (256, 0));
    }
    // A clock that was ahead does not make a message new, nor everything after it old.
    let ahead = open_at("ahead", "text", BEGIN * 2);
    assert_eq!(talk.start().receive(std::slice::from_ref(&ahead)).unwrap().1.len(), 1);
    assert_eq!(talk.start().receive(&batch(10_000..11_500)).unwrap().1.len(), 1500);
    assert_eq!(talk.start().receive(&[ahead]).unwrap().1.len(), 0);
    let all = talk.texts();
    assert_eq!(all.len(), 11_501);
    assert_eq!((all[0].as_str(), all[9_999].as_str(), all[11_500].as_str()), ("text 0", "text 9999", "text 11499"));
    assert!(talk.state().len() < 64 << 10, "the state has {} bytes", talk.state().len());
}

#[test]
fn a_peer_has_so_much_room_in_a_day_and_more_on_the_next() {
    let talk = Talk::new();
    talk.start().receive(&[open("a", "one")]).unwrap();
    let state = String::from_utf8(talk.state()).unwrap();
    let bytes = talk.log().len();
    assert!(state.contains(&format!("\"received\": {bytes},")), "{state}");
    let full = state.replace(&format!("\"received\": {bytes},"), "\"received\": 268400000,");
    talk.put(&talk.log(), Some(full.as_bytes()));
    let long = "x".repeat(30_000);
    let (answers, entries) = talk.start().receive(&[open("b", &long), open("c", &long), open("d", "text")]).unwrap();
    assert_eq!(entries.len(), 2);
    assert!(matches!(&answers[2], Envelope::NotSaved(nak) if nak.why == Why::Full), "{answers:?}");
    assert_eq!(talk.start().receive(&[open("more", "text")]).unwrap().1.len(), 0);
    talk.home.wait(24 * 60 * 60 * 1000);
    assert_eq!(talk.start().receive(&[open("more", "text")]).unwrap().1.len(), 1);
}

#[test]
fn a_sealed_message_without_keys_is_not_taken() {
    use crate::json::Bytes;
    use crate::proto::chat::Message;
    let talk = Talk::new();
    let (nonce, ct) = (Bytes(vec![0; 12]), Bytes(vec![0; 20]));
    let (ep, n, ack, time) = (7, 3, true, BEGIN);
    let message = Message { id: super::id("a"), ep, n, nonce, ct, ack, time, ttl: None, reply_to: None };
    let (answers, entries) = talk.start().receive(&[Incoming::Sealed(message)]).unwrap();
    assert!(entries.is_empty());
    assert!(matches!(&answers[..], [Envelope::NotSaved(nak)] if (nak.ep, nak.n, nak.why) == (7, 3, Why::NoKey)));
}
