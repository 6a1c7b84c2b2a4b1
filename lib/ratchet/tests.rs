//! Two ends of a pair. What a thief has of them is in [`theft`], what comes of chance in [`random`], fixed values in
//! [`vector`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

mod hellos;
mod random;
mod theft;
mod vector;

use super::*;
use crate::json;
use crate::key::{KeyPair, SecretKey};
use crate::proto::chat::InviteId;

const NOW: u64 = 1_790_000_000;
const BINDING: [u8; 64] = [7; 64];

fn key(byte: u8) -> PublicKey {
    KeyPair::from_secret(SecretKey::from_bytes(&[byte; 32])).public()
}

/// Both ends of the pair that the byte names, between the keys of 1 and 2.
fn pair(name: u8) -> [Ratchet; 2] {
    [(1, 2), (2, 1)].map(|(me, peer)| {
        let (from_initiator, from_responder) = (Zeroizing::new([name; 32]), Zeroizing::new([!name; 32]));
        let keys = Finished { peer: key(peer), hash: [name; 64], from_initiator, from_responder };
        Ratchet::begin(&keys, key(me), NOW)
    })
}

fn head(id: &str) -> Head {
    Head { id: id.parse().unwrap(), ack: true, time: 1, ttl: Some(2), reply_to: Some("it".parse().unwrap()) }
}

/// The next message of `from`, whose text is its id.
fn write(from: &mut Ratchet, id: &str) -> (Slot, Message) {
    let slot = from.next(&head(id), id.as_bytes()).unwrap();
    let message = from.seal(&slot, &head(id), id.as_bytes()).unwrap();
    (slot, message)
}

fn read(by: &mut Ratchet, message: &Message) -> std::result::Result<String, Why> {
    by.open(message).map(|opened| String::from_utf8(opened.text.to_vec()).unwrap())
}

fn meet(ends: &mut [Ratchet; 2], want: bool) -> [Meeting; 2] {
    let [one, other] = ends;
    let (a, b) = (one.hello(&BINDING, want).unwrap(), other.hello(&BINDING, false).unwrap());
    let (from_a, from_b) = (a.hello().clone(), b.hello().clone());
    [one.meet(a, &from_b, &BINDING, NOW).unwrap(), other.meet(b, &from_a, &BINDING, NOW).unwrap()]
}

fn stored(ratchet: &Ratchet) -> String {
    json::line(ratchet).unwrap()
}

fn restored(text: &str) -> Ratchet {
    json::parse(text.as_bytes(), text.len()).unwrap()
}

#[test]
fn messages_open_in_any_order_and_each_once() {
    let [mut a, mut b] = pair(1);
    let messages: Vec<Message> = (0..20).map(|at| write(&mut a, &format!("m{at}")).1).collect();
    for at in (0..20).map(|at| at * 7 % 20) {
        assert_eq!(read(&mut b, &messages[at]).unwrap(), format!("m{at}"));
        assert_eq!(read(&mut b, &messages[at]).unwrap_err(), Why::Used);
    }
    assert!(b.skipped.is_empty());
    assert_eq!(read(&mut a, &write(&mut b, "back").1).unwrap(), "back");
}

#[test]
fn a_message_that_is_changed_anywhere_does_not_open_and_changes_nothing() {
    let [mut a, mut b] = pair(1);
    let (before, message, late) = (write(&mut a, "zero").1, write(&mut a, "one").1, write(&mut a, "two").1);
    read(&mut b, &before).unwrap();
    read(&mut b, &late).unwrap();
    let state = stored(&b);
    let mut wrong: Vec<Message> = Vec::new();
    let mut change = |how: &dyn Fn(&mut Message)| {
        let mut changed = message.clone();
        how(&mut changed);
        assert_ne!(changed, message);
        wrong.push(changed);
    };
    for bit in 0..8 {
        for at in 0..12 {
            change(&|it| it.nonce.0[at] ^= 1 << bit);
        }
        for at in 0..message.ct.0.len() {
            change(&|it| it.ct.0[at] ^= 1 << bit);
        }
    }
    for length in 0..message.ct.0.len() {
        change(&|it| it.ct.0.truncate(length));
    }
    change(&|it| it.ct.0.push(0));
    change(&|it| it.ct.0.resize(MAX_TEXT_LEN + TAG_LEN + 1, 0));
    change(&|it| it.nonce.0.truncate(11));
    change(&|it| it.nonce.0.push(0));
    change(&|it| it.id = "onf".parse().unwrap());
    change(&|it| it.id = "on".parse().unwrap());
    change(&|it| it.ep = 1);
    for n in [0, 2, 3, 4, 1003, 1004, u64::MAX] {
        change(&|it| it.n = n);
    }
    change(&|it| it.ack = false);
    change(&|it| it.time += 1);
    change(&|it| it.ttl = None);
    change(&|it| it.ttl = Some(0));
    change(&|it| it.reply_to = None);
    change(&|it| it.reply_to = Some("its".parse().unwrap()));
    change(&|it| (it.id, it.reply_to) = ("oneit".parse().unwrap(), None));
    for message in &wrong {
        assert!(b.open(message).is_err(), "{message:?}");
    }
    assert_eq!(stored(&b), state);
    assert_eq!(read(&mut b, &message).unwrap(), "one");
}

#[test]
fn a_message_of_another_pair_or_of_ourselves_does_not_open() {
    let [mut a, mut b] = pair(1);
    let [mut other, _] = pair(2);
    assert_eq!(read(&mut b, &write(&mut other, "m").1).unwrap_err(), Why::Damaged);
    let own = write(&mut a, "m").1;
    assert_eq!(read(&mut a, &own).unwrap_err(), Why::Damaged);
    assert_eq!(read(&mut b, &own).unwrap(), "m");
}

#[test]
fn a_slot_seals_its_own_message_to_the_same_bytes_and_no_other() {
    let mut ends = pair(1);
    let (slot, message) = write(&mut ends[0], "m");
    let slot: Slot = json::parse(json::line(&slot).unwrap().as_bytes(), 1000).unwrap();
    // Also when its epoch is forgotten.
    for _ in 0..10 {
        assert_eq!(ends[0].seal(&slot, &head("m"), b"m").unwrap(), message);
        meet(&mut ends, true);
    }
    assert!(ends[0].epoch(slot.ep).is_none());
    let [a, _] = ends;
    assert!(a.seal(&slot, &head("m"), b"n").is_err());
    assert!(a.seal(&slot, &head("n"), b"m").is_err());
    assert!(a.seal(&slot, &Head { ttl: None, ..head("m") }, b"m").is_err());
    assert!(pair(2)[0].seal(&slot, &head("m"), b"m").is_err());
}

#[test]
fn only_the_peer_that_opened_a_message_can_acknowledge_it() {
    let [mut a, mut b] = pair(1);
    let (slot, message) = write(&mut a, "m");
    let (other_slot, other) = write(&mut a, "other");
    let saved = b.open(&message).unwrap().saved;
    assert_eq!(b.acknowledge(&message), Some(saved.clone()));
    let slot: Slot = json::parse(json::line(&slot).unwrap().as_bytes(), 1000).unwrap();
    assert!(slot.is_acknowledged_by(&saved));
    assert!(!other_slot.is_acknowledged_by(&saved));
    assert!(!other_slot.is_acknowledged_by(&Saved { id: other.id.clone(), n: other.n, ..saved.clone() }));
    for wrong in [
        Saved { id: "n".parse().unwrap(), ..saved.clone() },
        Saved { ep: 1, ..saved.clone() },
        Saved { n: 1, ..saved.clone() },
        Saved { mac: Bytes::default(), ..saved.clone() },
        Saved { mac: Bytes([&saved.mac.0[..], &[0]].concat()), ..saved.clone() },
        // Our own acknowledgement of it, and that of another ciphertext under the same numbers.
        a.acknowledge(&message).unwrap(),
        b.acknowledge(&Message { nonce: Bytes(vec![0; 12]), ..message.clone() }).unwrap(),
        b.acknowledge(&Message { ct: other.ct, ..message.clone() }).unwrap(),
        pair(2)[1].acknowledge(&message).unwrap(),
    ] {
        assert!(!slot.is_acknowledged_by(&wrong), "{wrong:?}");
    }
    for at in 0..32 {
        let mut wrong = saved.clone();
        wrong.mac.0[at] ^= 1;
        assert!(!slot.is_acknowledged_by(&wrong));
    }
}

#[test]
fn a_jump_goes_no_further_than_the_seeds_that_are_kept() {
    let [mut a, mut b] = pair(1);
    let messages: Vec<Message> = (0..2 + 2 * MAX_SKIPPED).map(|at| write(&mut a, &format!("m{at}")).1).collect();
    let state = stored(&b);
    assert_eq!(read(&mut b, &messages[MAX_SKIPPED + 1]).unwrap_err(), Why::NoKey);
    assert_eq!(stored(&b), state);
    assert!(read(&mut b, &messages[MAX_SKIPPED]).is_ok());
    assert_eq!(b.skipped.len(), MAX_SKIPPED);
    assert!(read(&mut b, &messages[0]).is_ok());
    assert!(read(&mut b, &messages[2 * MAX_SKIPPED + 1]).is_ok());
    assert_eq!(b.skipped.len(), MAX_SKIPPED);
    // The oldest have given way to the newest.
    assert_eq!(read(&mut b, &messages[1]).unwrap_err(), Why::Used);
    assert!(read(&mut b, &messages[MAX_SKIPPED + 1]).is_ok());
}

#[test]
fn what_is_kept_is_bounded_over_all_epochs() {
    let mut ends = pair(1);
    let mut firsts = Vec::new();
    for epoch in 0..20 {
        for at in 0..300 {
            let message = write(&mut ends[0], &format!("e{epoch}m{at}")).1;
            if at == 0 {
                firsts.push(message);
            } else if at == 299 {
                read(&mut ends[1], &message).unwrap();
            }
        }
        assert!(ends[1].skipped.len() <= MAX_SKIPPED && ends[1].old.len() <= MAX_OLD_EPOCHS);
        meet(&mut ends, true);
    }
    assert_eq!(ends[1].skipped.len(), MAX_SKIPPED);
    assert!(stored(&ends[1]).len() < 150_000);
    let why = |b: &mut Ratchet, at: usize| read(b, &firsts[at]).unwrap_err();
    assert_eq!(why(&mut ends[1], 19 - MAX_OLD_EPOCHS), Why::NoKey);
    assert_eq!(why(&mut ends[1], 20 - MAX_OLD_EPOCHS), Why::Used);
    assert!(read(&mut ends[1], &firsts[19]).is_ok());
    // Seeds of an epoch go with it.
    let mut ends = pair(1);
    write(&mut ends[0], "missing");
    read(&mut ends[1].copy(), &write(&mut ends[0], "there").1).unwrap();
    let last = write(&mut ends[0], "last").1;
    read(&mut ends[1], &last).unwrap();
    for _ in 0..MAX_OLD_EPOCHS {
        meet(&mut ends, true);
        assert_eq!(ends[1].skipped.len(), 2);
    }
    meet(&mut ends, true);
    assert!(ends[1].skipped.is_empty() && ends[1].acknowledge(&last).is_none());
}

#[test]
fn an_epoch_is_over_after_a_hundred_messages_or_a_day_or_at_a_late_reconnect() {
    let day = 24 * 60 * 60;
    let [mut a, mut b] = pair(1);
    assert!(!a.is_due(NOW + 10 * day, true), "nothing was said");
    let message = write(&mut a, "m").1;
    read(&mut b, &message).unwrap();
    for end in [&a, &b] {
        assert!(!end.is_due(NOW + day - 1, false) && end.is_due(NOW + day, false));
        assert!(!end.is_due(NOW + 599, true) && end.is_due(NOW + 600, true));
        assert!(!end.is_due(NOW - 1000, true));
    }
    for at in 0..98 {
        let (from, to) = if at % 2 == 0 { (&mut b, &mut a) } else { (&mut a, &mut b) };
        read(to, &write(from, "m").1).unwrap();
    }
    assert!(!a.is_due(NOW, true) && !b.is_due(NOW, true));
    write(&mut a, "m");
    assert!(a.is_due(NOW, false) && !b.is_due(NOW, false));
    let mut ends = [a, b];
    meet(&mut ends, true);
    assert!(ends.iter().all(|end| !end.is_due(NOW + day, false)));
}

#[test]
fn a_confirmation_is_of_the_other_end_for_this_invite_and_these_keys() {
    let [a, b] = pair(1);
    let invite = [5; 16];
    let confirm = |mac: [u8; 32]| PairConfirm { id: InviteId(invite), mac: Bytes(mac.to_vec()) };
    assert!(b.is_confirmed_by(&confirm(a.confirm(invite))));
    assert!(a.is_confirmed_by(&confirm(b.confirm(invite))));
    assert!(!b.is_confirmed_by(&confirm(b.confirm(invite))), "our own");
    assert!(!b.is_confirmed_by(&confirm(a.confirm([6; 16]))), "for another invite");
    assert!(!b.is_confirmed_by(&confirm(pair(2)[0].confirm(invite))), "of other keys");
    assert!(!b.is_confirmed_by(&PairConfirm { id: InviteId(invite), mac: Bytes::default() }));
    assert!(a.pair() == b.pair() && a.pair() != pair(2)[0].pair());
}

#[test]
fn what_is_stored_is_read_exactly_and_never_repeated_in_an_error() {
    let text = stored(&pair(1)[0]);
    assert_eq!(stored(&restored(&text)), text);
    let value: json::Value = json::parse(text.as_bytes(), text.len()).unwrap();
    let secret = value["recover"].as_str().unwrap();
    for wrong in [&secret[4..], &format!("{secret}AAAA"), &secret.replace('=', "."), "17"] {
        let text = text.replace(secret, wrong);
        let why = json::parse::<Ratchet>(text.as_bytes(), text.len()).err().unwrap();
        assert!(why.contains("not 32 bytes in base64") && !why.contains(&secret[4..20]), "{why}");
    }
    let number = text.replace(&format!("\"{secret}\""), "17");
    assert!(json::parse::<Ratchet>(number.as_bytes(), number.len()).is_err());
    let more = text.replacen('{', "{\"more\":1,", 1);
    assert!(json::parse::<Ratchet>(more.as_bytes(), more.len()).is_err());
}

impl Ratchet {
    /// What a backup is.
    fn copy(&self) -> Self {
        restored(&stored(self))
    }
}
