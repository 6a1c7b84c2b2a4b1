#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

mod vector;

use super::*;
use crate::proto::group::{Class, Dep, EntryId, Inc, Kind, LogId};

const GROUP: GroupId = GroupId([7; 32]);
const OTHER_GROUP: GroupId = GroupId([8; 32]);

fn key(byte: u8) -> EpochKey {
    EpochKey(Secret::new([byte; 32]))
}

fn header(keys: &[EpochKey]) -> Header {
    let author = KeyPair::generate().unwrap().public();
    let ids: Vec<KeyId> = keys.iter().map(|key| key.id()).collect();
    Header {
        group: GROUP,
        log: LogId { class: Class::Content, author, inc: Inc([1; 8]) },
        seq: 3,
        prev: EntryId([2; 32]),
        clock: 4,
        time: 5,
        kind: Kind::Message,
        roster: EntryId([6; 32]),
        key: joint_id(&ids),
        reply_to: EntryId([9; 32]),
        deps: vec![Dep { log: [1; 8], seq: 2, id: [3; 16] }],
        body_len: 0,
        body_hash: [0; 32],
    }
}

/// Those keys and no others.
fn having(keys: &[EpochKey]) -> impl Fn(&KeyId) -> Option<EpochKey> {
    |id: &KeyId| keys.iter().find(|key| key.id() == *id).cloned()
}

#[test]
fn a_box_opens_for_its_member_and_for_nobody_else() {
    let members = [(); 3].map(|()| KeyPair::generate().unwrap());
    let publics = members.each_ref().map(KeyPair::public);
    let keys = [EpochKey::random().unwrap(), EpochKey::random().unwrap()];
    let wraps = super::wrap(&GROUP, &keys, &publics).unwrap();
    assert_eq!(wraps.boxes.len(), 6);
    for found in &wraps.boxes {
        for member in &members {
            let opened = unwrap(&GROUP, member, &wraps.ephemeral, found);
            assert_eq!(opened.is_some(), member.public() == found.member);
            if let Some(opened) = opened {
                assert_eq!(opened.id(), found.key);
                assert!(keys.iter().any(|key| key.0 == opened.0));
            }
            // Nor if the name on the box is changed.
            let renamed = Wrap { member: member.public(), ..found.clone() };
            assert_eq!(unwrap(&GROUP, member, &wraps.ephemeral, &renamed).is_some(), renamed == *found);
        }
    }
}

#[test]
fn a_box_does_not_open_in_another_group_or_beside_another_ephemeral_key() {
    let me = KeyPair::generate().unwrap();
    let wraps = super::wrap(&GROUP, &[key(1)], &[me.public()]).unwrap();
    assert!(unwrap(&GROUP, &me, &wraps.ephemeral, &wraps.boxes[0]).is_some());
    assert!(unwrap(&OTHER_GROUP, &me, &wraps.ephemeral, &wraps.boxes[0]).is_none());
    assert!(unwrap(&GROUP, &me, &KeyPair::generate().unwrap().public(), &wraps.boxes[0]).is_none());
}

#[test]
fn every_flipped_bit_of_a_box_and_every_other_length_is_noticed() {
    let me = KeyPair::generate().unwrap();
    let wraps = super::wrap(&GROUP, &[key(1)], &[me.public()]).unwrap();
    let good = &wraps.boxes[0];
    assert_eq!(good.sealed.0.len(), 48);
    for bit in 0..48 * 8 {
        let mut changed = good.clone();
        changed.sealed.0[bit / 8] ^= 1 << (bit % 8);
        assert!(unwrap(&GROUP, &me, &wraps.ephemeral, &changed).is_none(), "bit {bit}");
    }
    for bit in 0..32 * 8 {
        let mut changed = good.clone();
        changed.key.0[bit / 8] ^= 1 << (bit % 8);
        assert!(unwrap(&GROUP, &me, &wraps.ephemeral, &changed).is_none(), "bit {bit} of the id");
    }
    for length in 0..48 {
        let changed = Wrap { sealed: Bytes(good.sealed.0[..length].to_vec()), ..good.clone() };
        assert!(unwrap(&GROUP, &me, &wraps.ephemeral, &changed).is_none(), "{length} bytes");
    }
}

#[test]
fn a_box_with_another_key_than_it_says_is_refused() {
    let (me, ephemeral) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let promised = key(1).id();
    let agreed = ephemeral.secret().agree(&me.public()).unwrap();
    let box_key = box_key(&GROUP, &agreed, &ephemeral.public(), &me.public(), &promised);
    let boxed = |text: &[u8]| {
        let sealed = Bytes(seal::seal_message(&box_key, &BOX_NONCE, &[], text).unwrap());
        unwrap(&GROUP, &me, &ephemeral.public(), &Wrap { member: me.public(), key: promised, sealed })
    };
    assert!(boxed(&[1; 32]).is_some());
    assert!(boxed(&[2; 32]).is_none(), "a key that only this member would have");
    for length in [0, 31, 33] {
        assert!(boxed(&vec![1; length]).is_none(), "{length} bytes");
    }
}

#[test]
fn a_key_has_an_id_that_no_other_has() {
    assert_eq!(key(1).id(), key(1).id());
    assert_ne!(key(1).id(), key(2).id());
    assert_ne!(key(1).id().0, *key(1).0);
}

#[test]
fn a_joint_key_needs_every_part_and_no_order() {
    let (one, two, three) = (key(1), key(2), key(3));
    let join = |keys: &[&EpochKey]| *EpochKey::join(&keys.iter().copied().cloned().collect::<Vec<_>>()).0;
    let all = join(&[&one, &two, &three]);
    for same in [[&three, &two, &one], [&two, &three, &one]] {
        assert_eq!(join(&same), all);
    }
    assert_eq!(join(&[&one, &one, &two, &three, &three]), all);
    for fewer in [&[&one, &two][..], &[&one, &three], &[&two, &three], &[&one], &[&one, &two, &key(4)]] {
        assert_ne!(join(fewer), all);
    }
    assert_eq!(join(&[&one]), *one.0);
    assert_eq!(join(&[&one, &one]), *one.0);
}

#[test]
fn a_joint_id_is_known_without_the_keys() {
    let ids = [1, 2, 3].map(|byte| key(byte).id());
    let all = joint_id(&ids);
    assert_eq!(joint_id(&[ids[2], ids[0], ids[1], ids[0]]), all);
    assert_ne!(joint_id(&ids[..2]), all);
    assert!(!ids.contains(&all));
    assert_eq!(joint_id(&ids[..1]), ids[0]);
    assert!(joint_id(&[]).is_zero());
}

#[test]
fn a_body_opens_for_those_who_have_all_its_keys() {
    for count in 1..=3_u8 {
        let keys: Vec<EpochKey> = (1..=count).map(key).collect();
        let header = header(&keys);
        for text in [&b""[..], b"hello", &[7; 60_000]] {
            let body = seal_body(&keys, &header, text).unwrap();
            assert_eq!(body.len(), 1 + 32 * keys.len() + 12 + text.len() + 16);
            assert_eq!(open_body(having(&keys), &header, &body), Opened::Text(text.to_vec()));
            for lacking in 0..keys.len() {
                let mut fewer = keys.clone();
                let id = fewer.remove(lacking).id();
                assert_eq!(open_body(having(&fewer), &header, &body), Opened::NoKey(id));
                // A key in place of that which lacks is of no use.
                let find = |id: &KeyId| having(&fewer)(id).or_else(|| Some(key(9)));
                assert_eq!(open_body(find, &header, &body), Opened::Broken);
            }
        }
    }
}

#[test]
fn every_changed_byte_of_a_body_and_every_other_length_is_noticed() {
    let keys = [key(1), key(2)];
    let header = header(&keys);
    let body = seal_body(&keys, &header, b"hello").unwrap();
    for bit in 0..body.len() * 8 {
        let mut changed = body.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open_body(having(&keys), &header, &changed), Opened::Broken, "bit {bit}");
    }
    for length in 0..body.len() {
        assert_eq!(open_body(having(&keys), &header, &body[..length]), Opened::Broken, "{length} bytes");
    }
    assert_eq!(open_body(having(&keys), &header, &[&body[..], &[0]].concat()), Opened::Broken);
}

#[test]
fn every_changed_bit_of_a_header_is_noticed_when_its_body_is_opened() {
    let keys = [key(1), key(2)];
    let header = header(&keys);
    let body = seal_body(&keys, &header, b"hello").unwrap();
    let bytes = header.encode();
    let mut read = 0;
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(changed) = Header::decode(&changed) else { continue };
        read += 1;
        let opened = open_body(having(&keys), &changed, &body);
        // What the body's length and hash are is the entry's to check.
        match bit / 8 < bytes.len() - 36 {
            true => assert_eq!(opened, Opened::Broken, "bit {bit}"),
            false => assert_eq!(opened, Opened::Text(b"hello".to_vec()), "bit {bit}"),
        }
    }
    assert!(read > 1500, "{read} headers");
}

#[test]
fn the_keys_of_a_body_are_written_in_one_way_only() {
    let keys = [key(1), key(2)];
    let header = header(&keys);
    let good = seal_body(&keys, &header, b"hello").unwrap();
    let [one, two] = [&good[1..33], &good[33..65]];
    let rest = &good[65..];
    let taken = |count: u8, ids: &[&[u8]]| {
        let body = [&[count][..], &ids.concat(), rest].concat();
        matches!(open_body(having(&keys), &header, &body), Opened::Text(_))
    };
    assert!(taken(2, &[one, two]));
    assert!(!taken(2, &[two, one]), "in another order");
    assert!(!taken(3, &[one, two, two]), "one twice");
    assert!(!taken(1, &[one]), "one of two");
    assert!(!taken(1, &[&header.key.0]), "the joint id");
    assert!(!taken(0, &[]), "none");
    assert!(!taken(9, &[one, two]), "more than there are");
}

#[test]
fn a_body_is_sealed_under_the_keys_of_its_header_and_not_too_many() {
    let header_of_one = header(&[key(1)]);
    assert!(seal_body(&[key(2)], &header_of_one, b"x").is_err());
    assert!(seal_body(&[key(1), key(2)], &header_of_one, b"x").is_err());
    assert!(seal_body(&[], &header(&[]), b"x").is_err());
    for (count, taken) in [(8, true), (9, false)] {
        let keys: Vec<EpochKey> = (1..=count).map(key).collect();
        assert_eq!(seal_body(&keys, &header(&keys), b"x").is_ok(), taken, "{count}");
    }
}

#[test]
fn two_entries_never_share_a_key_and_two_bodies_never_a_nonce() {
    let keys = [key(1)];
    let mut first = header(&keys);
    let nonce = |header: &Header| seal_body(&keys, header, b"x").unwrap()[33..45].to_vec();
    assert_ne!(nonce(&first), nonce(&first));
    let before = entry_key(&keys, &first);
    let mut others = vec![first.clone(); 4];
    others[0].seq += 1;
    others[1].log.inc = Inc([2; 8]);
    others[2].log.author = KeyPair::generate().unwrap().public();
    others[3].group = OTHER_GROUP;
    assert!(others.iter().all(|other| entry_key(&keys, other) != before));
    first.time += 1;
    assert_eq!(entry_key(&keys, &first), before);
}

#[test]
fn a_key_does_not_show_itself() {
    assert_eq!(format!("{:?}", key(1)), "EpochKey(..)");
}
