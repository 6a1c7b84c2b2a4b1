#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

use super::*;
use crate::key::SecretKey;

fn me() -> KeyPair {
    KeyPair::from_secret(SecretKey::from_bytes(&[7; 32]))
}

/// A header with as much in it as its kind may have.
fn header(kind: Kind) -> Header {
    let class = if kind == Kind::Act { Class::Roster } else { Class::Content };
    let deps = (1..=4).map(|at| Dep { log: [at; 8], seq: u64::from(at), id: [at; 16] }).collect();
    let bare = Header {
        group: GroupId([1; 32]),
        log: LogId { class, author: me().public(), inc: Inc([2; 8]) },
        seq: 3,
        prev: EntryId([4; 32]),
        clock: 5,
        time: 6,
        kind,
        roster: EntryId::default(),
        key: KeyId::default(),
        reply_to: EntryId::default(),
        deps: Vec::new(),
        body_len: 0,
        body_hash: kdf::hash_32(&[]),
    };
    let (roster, key, reply_to) = (EntryId([7; 32]), KeyId([8; 32]), EntryId([9; 32]));
    match kind {
        Kind::Act => bare,
        Kind::Message => Header { roster, key, reply_to, deps, ..bare },
        Kind::Addresses => Header { roster, key, deps, ..bare },
        Kind::Leave => Header { roster, deps, ..bare },
    }
}

const KINDS: [Kind; 4] = [Kind::Act, Kind::Message, Kind::Addresses, Kind::Leave];

#[test]
fn a_header_is_read_as_it_was_written() {
    for kind in KINDS {
        for count in 0..=header(kind).deps.len() {
            let mut header = header(kind);
            header.deps.truncate(count);
            let bytes = header.encode();
            assert_eq!(bytes.len(), HEADER_LEN + count * DEP_LEN);
            assert_eq!(Header::decode(&bytes).unwrap(), header);
            assert_eq!(bytes[..bytes.len() - 36], header.front());
        }
    }
}

#[test]
fn a_header_that_is_taken_is_written_again_as_the_same_bytes() {
    let bytes = header(Kind::Message).encode();
    let mut taken = 0;
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(header) = Header::decode(&changed) {
            taken += 1;
            assert_eq!(header.encode(), changed, "bit {bit}");
        }
    }
    assert!(taken > 1000, "{taken}");
    for length in 0..bytes.len() {
        assert!(Header::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(Header::decode(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn a_header_with_a_value_that_cannot_be_is_refused() {
    let refused = |header: Header, why: &str| {
        let told = Header::decode(&header.encode()).unwrap_err().to_string();
        assert!(told.contains(why), "{told}");
    };
    let good = || header(Kind::Message);
    let roster = LogId { class: Class::Roster, ..good().log };
    refused(Header { seq: 0, ..good() }, "does not fit");
    refused(Header { seq: 0, prev: EntryId::default(), ..good() }, "does not fit");
    refused(Header { seq: 1, ..good() }, "does not fit");
    refused(Header { prev: EntryId::default(), ..good() }, "does not fit");
    refused(Header { clock: 1 << 63, ..good() }, "never comes");
    refused(Header { time: u64::MAX, ..good() }, "never comes");
    refused(Header { log: roster, ..good() }, "that its log cannot hold");
    refused(Header { log: good().log, ..header(Kind::Act) }, "that its log cannot hold");
    refused(Header { body_len: MAX_BODY as u32 + 1, ..good() }, "more than 163840");
    refused(Header { deps: vec![Dep { log: [1; 8], seq: 0, id: [1; 16] }], ..good() }, "dep on nothing");
    refused(Header { deps: vec![good().deps[0]; 5], ..good() }, "too many deps");
    Header::decode(&Header { body_len: MAX_BODY as u32, clock: LATEST, time: LATEST, ..good() }.encode()).unwrap();
    for (at, byte, why) in [(0, 0, "version 0"), (0, 2, "version 2"), (33, 2, "class 2"), (130, 4, "a kind (4)")] {
        let mut bytes = good().encode();
        bytes[at] = byte;
        let told = Header::decode(&bytes).unwrap_err().to_string();
        assert!(told.contains(why), "{told}");
    }
    let mut low_order = good().encode();
    low_order[34..66].fill(0);
    assert!(Header::decode(&low_order).is_err());
}

#[test]
fn a_kind_has_only_what_it_has_a_use_for() {
    let (id, key) = (EntryId([1; 32]), KeyId([1; 32]));
    let dep = vec![Dep { log: [1; 8], seq: 1, id: [1; 16] }];
    for more in [
        Header { roster: id, ..header(Kind::Act) },
        Header { key, ..header(Kind::Act) },
        Header { reply_to: id, ..header(Kind::Act) },
        Header { deps: dep, ..header(Kind::Act) },
        Header { reply_to: id, ..header(Kind::Addresses) },
        Header { reply_to: id, ..header(Kind::Leave) },
        Header { key, ..header(Kind::Leave) },
        Header { body_len: 1, ..header(Kind::Leave) },
    ] {
        let told = Header::decode(&more.encode()).unwrap_err().to_string();
        assert!(told.contains("more than its kind has"), "{told}");
    }
}

#[test]
fn an_entry_is_signed_by_its_author_over_every_bit_of_its_header() {
    let entry = Entry::sign(&me(), header(Kind::Message), b"body".to_vec()).unwrap();
    assert!(entry.is_signed());
    assert_eq!((entry.header.body_len, entry.header.body_hash), (4, kdf::hash_32(&[b"body"])));
    let bytes = entry.header.encode();
    assert_eq!(entry.id, EntryId(kdf::hash_32(&[&bytes])));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = Entry::of(&changed, entry.signature, None) {
            assert!(!changed.is_signed(), "bit {bit}");
            assert_ne!(changed.id, entry.id);
        }
    }
    let stranger = KeyPair::generate().unwrap();
    assert!(!Entry::sign(&stranger, header(Kind::Message), Vec::new()).unwrap().is_signed());
}

#[test]
fn an_entry_of_another_purpose_is_not_signed() {
    let mut entry = Entry::sign(&me(), header(Kind::Message), b"body".to_vec()).unwrap();
    entry.signature = sign::sign(&me(), "group-join", &entry.header.encode()).unwrap();
    assert!(!entry.is_signed());
}

#[test]
fn a_header_that_nobody_would_take_is_not_signed() {
    assert!(Entry::sign(&me(), Header { seq: 0, ..header(Kind::Message) }, Vec::new()).is_err());
    assert!(Entry::sign(&me(), header(Kind::Leave), b"last words".to_vec()).is_err());
    assert!(Entry::sign(&me(), header(Kind::Message), vec![0; MAX_BODY]).is_ok());
    let told = Entry::sign(&me(), header(Kind::Message), vec![0; MAX_BODY + 1]).unwrap_err().to_string();
    assert!(told.contains("163841 bytes"), "{told}");
}

#[test]
fn entries_in_a_row_are_read_as_they_were_written() {
    let mut entries: Vec<Entry> = Vec::new();
    for (kind, body) in [(Kind::Act, &b"{}"[..]), (Kind::Message, b"text"), (Kind::Addresses, b""), (Kind::Leave, b"")]
    {
        entries.push(Entry::sign(&me(), header(kind), body.to_vec()).unwrap());
    }
    entries.push(Entry { body: None, ..entries[1].clone() });
    let bytes: Vec<u8> = entries.iter().flat_map(Entry::encode).collect();
    let mut fields = Fields::new(&bytes);
    for entry in &entries {
        assert_eq!(Entry::decode(&mut fields).unwrap(), *entry);
    }
    fields.end().unwrap();
}

#[test]
fn an_entry_with_the_body_of_another_is_refused() {
    let entry = Entry::sign(&me(), header(Kind::Message), b"body".to_vec()).unwrap();
    let header = entry.header.encode();
    for body in [&b"bodies"[..], b"bodz", b"bod", b""] {
        assert!(Entry::of(&header, entry.signature, Some(body.to_vec())).is_err(), "{body:?}");
    }
    assert_eq!(Entry::of(&header, entry.signature, None).unwrap().body, None);
    let wire = entry.encode();
    let says = 2 + header.len() + SIGNATURE_LEN;
    for byte in 2..=255 {
        let mut changed = wire.clone();
        changed[says] = byte;
        assert!(Entry::decode(&mut Fields::new(&changed)).is_err());
    }
    for length in 0..wire.len() {
        assert!(Entry::decode(&mut Fields::new(&wire[..length])).is_err(), "{length} bytes");
    }
}

#[test]
fn a_header_of_any_length_is_refused_without_reading_past_it() {
    for length in 0..400_u16 {
        let wire = [&length.to_be_bytes()[..], &vec![1; length.into()], &[0; 64], &[1], &[1; 9]].concat();
        assert!(Entry::decode(&mut Fields::new(&wire)).is_err(), "{length}");
    }
}

#[test]
fn a_dep_names_a_log_by_its_author_and_incarnation() {
    let log = header(Kind::Message).log;
    let hash = kdf::hash(&[me().public().as_bytes(), &[2; 8]]);
    assert_eq!(log.tag(), hash[..8]);
    assert_ne!(LogId { inc: Inc([3; 8]), ..log }.tag(), log.tag());
}
