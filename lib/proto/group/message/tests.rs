#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

use super::*;
use crate::key::{KeyPair, SecretKey};
use crate::proto::group::{EntryId, Header, KeyId, Kind};

fn me() -> KeyPair {
    KeyPair::from_secret(SecretKey::from_bytes(&[7; 32]))
}

fn log(class: Class) -> LogId {
    LogId { class, author: me().public(), inc: Inc([2; 8]) }
}

fn entry(seq: u64, text: &[u8]) -> Entry {
    let header = Header {
        group: GroupId([1; 32]),
        log: log(Class::Content),
        seq,
        prev: if seq == 1 { EntryId::default() } else { EntryId([4; 32]) },
        clock: 5,
        time: 6,
        kind: Kind::Message,
        roster: EntryId([7; 32]),
        key: KeyId::default(),
        reply_to: EntryId::default(),
        deps: Vec::new(),
        body_len: 0,
        body_hash: [0; 32],
    };
    Entry::sign(&me(), header, text.to_vec()).unwrap()
}

fn without_body(entry: Entry) -> Entry {
    Entry { body: None, ..entry }
}

fn one_of_each() -> Vec<Message> {
    let tips = [Class::Roster, Class::Content].map(|class| Tip { log: log(class), seq: 9, id: [5; 16] });
    vec![
        Message::Hello { group: GroupId([1; 32]), roster: [2; 32], content: [3; 32] },
        Message::Have { is_all: true, tips: tips.to_vec() },
        Message::Have { is_all: false, tips: Vec::new() },
        Message::Entries(vec![entry(1, b"one"), entry(2, b""), without_body(entry(3, b"dropped"))]),
        Message::Want,
        Message::Prune,
        Message::Join { capability: me().public(), signature: Signature([6; 64]), joiner: me().public() },
        Message::Wait("an admin must approve you".to_owned()),
        Message::Wait(String::new()),
        Message::Fork(Box::new([without_body(entry(2, b"one")), without_body(entry(2, b"other"))])),
    ]
}

/// What comes of these records.
fn assembled(records: &[(u8, Vec<u8>)]) -> Result<Vec<Message>> {
    let mut assembly = Assembly::default();
    let mut messages = Vec::new();
    for (kind, body) in records {
        messages.extend(assembly.take(&Record { kind: *kind, body })?);
    }
    Ok(messages)
}

#[test]
fn each_message_is_read_as_it_was_written() {
    for message in one_of_each() {
        let bytes = message.encode();
        assert_eq!(Message::decode(&bytes).unwrap(), message);
        assert_eq!(assembled(&message.records()).unwrap(), [message]);
    }
}

#[test]
fn a_long_message_goes_in_several_records() {
    let text = vec![7; 150_000];
    let message = Message::Entries(vec![entry(1, &text)]);
    let records = message.records();
    assert_eq!(records.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [kind::PART, kind::PART, kind::LAST]);
    assert!(records.iter().all(|(_, body)| (1..=MAX_BODY_LEN).contains(&body.len())));
    let both: Vec<_> = [records, Message::Want.records()].concat();
    assert_eq!(assembled(&both).unwrap(), [message, Message::Want]);
}

#[test]
fn a_record_that_carries_nothing_or_too_much_is_refused() {
    assert!(assembled(&[(kind::LAST, Vec::new())]).is_err());
    assert!(assembled(&[(kind::PART, Vec::new())]).is_err());
    for other in [0, 3, 0x10, 0xff] {
        assert!(assembled(&[(other, vec![4])]).is_err());
    }
    let part = (kind::PART, vec![7; MAX_BODY_LEN]);
    let most = MAX_MESSAGE_LEN / MAX_BODY_LEN;
    assert!(assembled(&vec![part.clone(); most]).is_ok());
    assert!(assembled(&vec![part; most + 1]).is_err());
}

#[test]
fn a_message_with_a_value_that_cannot_be_is_refused() {
    let tip = [&[0][..], me().public().as_bytes(), &[2; 8], &[0; 8], &[5; 16]].concat();
    assert!(Message::decode(&[&[2, 1], &tip[..]].concat()).is_ok());
    for wrong in [
        vec![],
        vec![0],
        vec![9],
        vec![1, 2],
        vec![2],
        vec![2, 2],
        vec![4, 0],
        vec![5, 0],
        vec![7, 0xff],
        [&[7][..], &[b'w'; 1001]].concat(),
        [&[2, 1, 2], &tip[1..]].concat(),
        [&[2, 1, 0], &[0; 32][..], &tip[33..]].concat(),
    ] {
        assert!(Message::decode(&wrong).is_err(), "{wrong:?}");
    }
    for message in one_of_each() {
        let bytes = message.encode();
        let more = [&bytes[..], &[0]].concat();
        assert!(Message::decode(&more).is_err() || matches!(message, Message::Wait(_)), "{message:?}");
    }
    let why = Message::Wait("\u{e9}".repeat(600)).encode();
    assert_eq!(why.len(), 1001);
    assert!(Message::decode(&why).is_ok());
}

#[test]
fn a_fork_is_two_entries_in_one_place() {
    let one = without_body(entry(2, b"one"));
    let mut elsewhere = one.clone();
    elsewhere.header.group = GroupId([9; 32]);
    let mut roster = one.clone();
    roster.header.log.inc = Inc([9; 8]);
    for (other, taken) in [
        (without_body(entry(2, b"other")), true),
        (entry(2, b"other"), false),
        (one.clone(), false),
        (without_body(entry(3, b"one")), false),
        (elsewhere, false),
        (roster, false),
    ] {
        let bytes = [&[8][..], &one.encode(), &other.encode()].concat();
        assert_eq!(Message::decode(&bytes).is_ok(), taken, "{other:?}");
    }
}
