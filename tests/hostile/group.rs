//! What members of a group say to each other and write down, and links, without a socket.

use super::decoders::attack;
use keywire::addr::PeerAddr;
use keywire::conn::Record;
use keywire::frame::Fields;
use keywire::json::Bytes;
use keywire::kdf::Secret;
use keywire::key::{KeyPair, PublicKey, SecretKey};
use keywire::proto::group::entry::MAX_DEPS;
use keywire::proto::group::link::SECRET_LEN;
use keywire::proto::group::message::{MAX_MESSAGE_LEN, Tip, kind};
use keywire::proto::group::roster::{Act, Cut, Op, Place, Role, Standing, Wrap, Wraps};
use keywire::proto::group::{
    Addresses, Assembly, Class, Dep, Entry, EntryId, Genesis, GroupId, Header, History, Inc, KeyId, Kind, Link, LogId,
    Message, Mode, Request,
};
use keywire::record::MAX_BODY_LEN;
use keywire::sign::Signature;
use zeroize::Zeroizing;

fn me() -> KeyPair {
    KeyPair::from_secret(SecretKey::from_bytes(&[7; 32]))
}

fn who() -> PublicKey {
    me().public()
}

fn header(kind: Kind, deps: usize) -> Header {
    let class = if kind == Kind::Act { Class::Roster } else { Class::Content };
    let bare = Header {
        group: GroupId([1; 32]),
        log: LogId { class, author: who(), inc: Inc([2; 8]) },
        seq: 3,
        prev: EntryId([4; 32]),
        clock: 5,
        time: 6,
        kind,
        roster: EntryId::default(),
        key: KeyId::default(),
        reply_to: EntryId::default(),
        deps: vec![Dep { log: [1; 8], seq: 1, id: [2; 16] }; deps],
        body_len: 0,
        body_hash: [0; 32],
    };
    match kind {
        Kind::Message => Header { roster: EntryId([7; 32]), key: KeyId([8; 32]), reply_to: EntryId([9; 32]), ..bare },
        _ => bare,
    }
}

fn entry(kind: Kind, deps: usize, body: &[u8]) -> Entry {
    Entry::sign(&me(), header(kind, deps), body.to_vec()).unwrap()
}

/// One of each, and some in other forms.
pub fn one_of_each() -> Vec<Message> {
    let tips = [Class::Roster, Class::Content].map(|class| Tip {
        log: LogId { class, author: who(), inc: Inc([2; 8]) },
        seq: 9,
        id: [5; 16],
    });
    let dropped = |body: &[u8]| Entry { body: None, ..entry(Kind::Message, 0, body) };
    vec![
        Message::Hello { group: GroupId([1; 32]), roster: [2; 32], content: [3; 32] },
        Message::Have { is_all: true, tips: tips.to_vec() },
        Message::Entries(vec![entry(Kind::Act, 0, b"{}"), dropped(b"gone")]),
        Message::Want,
        Message::Prune,
        Message::Join { capability: who(), signature: Signature([6; 64]), joiner: who() },
        Message::Wait("why".to_owned()),
        Message::Fork(Box::new([dropped(b"one"), dropped(b"other")])),
    ]
}

#[test]
fn a_header_is_what_it_says_or_nothing() {
    let good = [
        header(Kind::Act, 0),
        header(Kind::Message, MAX_DEPS),
        header(Kind::Addresses, 1),
        Header { seq: 1, prev: EntryId::default(), ..header(Kind::Leave, 0) },
    ]
    .map(|header| header.encode());
    attack("Header", &good.each_ref().map(Vec::as_slice), |bytes| {
        if let Ok(header) = Header::decode(bytes) {
            assert_eq!(header.encode(), bytes);
        }
    });
}

#[test]
fn an_entry_is_what_it_says_or_nothing() {
    let good = [
        entry(Kind::Message, 1, b"body"),
        entry(Kind::Leave, 0, b""),
        Entry { body: None, ..entry(Kind::Act, 0, b"{}") },
    ]
    .map(|entry| entry.encode());
    attack("Entry", &good.each_ref().map(Vec::as_slice), |bytes| {
        let mut fields = Fields::new(bytes);
        if let Ok(entry) = Entry::decode(&mut fields) {
            assert_eq!([entry.encode().as_slice(), fields.bytes()].concat(), bytes);
        }
    });
}

#[test]
fn a_changed_entry_is_refused_or_not_signed() {
    let good = entry(Kind::Message, 1, b"body");
    let wire = good.encode();
    for bit in 0..wire.len() * 8 {
        let mut changed = wire.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut fields = Fields::new(&changed);
        if let Ok(entry) = Entry::decode(&mut fields) {
            // Only whether the body follows is not signed: it may be dropped.
            assert!(!entry.is_signed() || (entry.header == good.header && entry.body.is_none()), "bit {bit}");
        }
    }
}

#[test]
fn a_message_of_a_member_is_what_it_says_or_nothing() {
    let all = one_of_each();
    let good: Vec<Vec<u8>> = all.iter().map(Message::encode).collect();
    let good: Vec<&[u8]> = good.iter().map(Vec::as_slice).collect();
    for (bytes, message) in good.iter().zip(&all) {
        assert_eq!(Message::decode(bytes).unwrap(), *message);
    }
    attack("Message", &good, |bytes| {
        if let Ok(message) = Message::decode(bytes) {
            assert_eq!(message.encode(), bytes);
        }
    });
}

#[test]
fn records_of_a_member_make_messages_within_their_limit_or_none() {
    for other in (0..=u8::MAX).filter(|other| ![kind::PART, kind::LAST].contains(other)) {
        assert!(Assembly::default().take(&Record { kind: other, body: &[4] }).is_err(), "{other}");
    }
    assert!(Assembly::default().take(&Record { kind: kind::PART, body: b"" }).is_err());
    let body = vec![3; MAX_BODY_LEN];
    let mut assembly = Assembly::default();
    let mut taken = 0;
    while assembly.take(&Record { kind: kind::PART, body: &body }).is_ok() {
        taken += body.len();
    }
    assert!(taken <= MAX_MESSAGE_LEN && taken + body.len() > MAX_MESSAGE_LEN, "{taken}");
}

#[test]
fn a_genesis_is_what_it_says_or_nothing() {
    let good =
        [(Mode::Public, History::All, 0), (Mode::Private, History::Last(100), 0), (Mode::Open, History::None, 9)].map(
            |(mode, history, key)| {
                Genesis { owner: who(), created: 1_900_000_000, mode, history, key: KeyId([key; 32]), salt: [5; 16] }
                    .encode()
            },
        );
    attack("Genesis", &good.each_ref().map(Vec::as_slice), |bytes| {
        if let Ok(genesis) = Genesis::decode(bytes) {
            assert_eq!(genesis.encode(), bytes);
        }
    });
}

#[test]
fn a_link_is_what_it_says_or_nothing() {
    let key = Secret::new([3; 32]);
    let genesis = Genesis {
        owner: who(),
        created: 1,
        mode: Mode::Open,
        history: History::None,
        key: KeyId::of(&key),
        salt: [5; 16],
    };
    let peers = vec![PeerAddr { key: who(), at: "host:1".parse().unwrap() }];
    let secret = Zeroizing::new([9; SECRET_LEN]);
    let link = Link { genesis, name: "n".to_owned(), peers, secret, key: Some(key) }.to_string();
    attack("Link", &[link.as_bytes()], |bytes| {
        if let Ok(link) = String::from_utf8_lossy(bytes).parse::<Link>() {
            let text = link.to_string();
            assert_eq!(text.parse::<Link>().unwrap().to_string(), text);
        }
    });
    // Deep JSON takes no stack.
    let deep = data_encoding::BASE64URL_NOPAD.encode("[".repeat(6000).as_bytes());
    assert!(format!("keywire:invite:{deep}").parse::<Link>().is_err());
}

#[test]
fn an_act_is_what_it_says_or_nothing() {
    let place = Place { author: who(), inc: Inc([2; 8]), seq: 3, id: EntryId([4; 32]) };
    let wraps = || Wraps {
        ephemeral: who(),
        boxes: vec![Wrap { member: who(), key: KeyId([5; 32]), sealed: Bytes(vec![6; 48]) }],
    };
    let act = |op| Act { seen: Vec::new(), op, key: None };
    let good = [
        Act { seen: vec![place], op: Op::Rotate {}, key: Some(wraps()) },
        act(Op::Create { name: "n".to_owned() }),
        act(Op::Add { member: who(), invite: Some(who()), given: None }),
        act(Op::Remove { member: who(), cut: Cut { content: vec![place], roster: Vec::new() } }),
        act(Op::Invite { capability: who(), expires: 1, uses: 2, approve: true }),
        act(Op::Checkpoint {
            members: vec![Standing { member: who(), role: Role::Admin, muted: true }],
            frontier: vec![place],
        }),
    ]
    .map(|act| act.encode().unwrap());
    attack("Act", &good.each_ref().map(Vec::as_slice), |bytes| {
        if let Ok(act) = Act::decode(bytes) {
            assert_eq!(Act::decode(&act.encode().unwrap()).unwrap(), act);
        }
    });
    for deep in [b"[".repeat(100_000), b"{\"op\":".repeat(20_000)] {
        assert!(Act::decode(&deep).is_err());
    }
}

#[test]
fn a_request_for_a_group_is_what_it_says_or_nothing() {
    let good = Request { group: GroupId([0xab; 32]) }.encode().unwrap();
    attack("group::Request", &[&good], |bytes| {
        if let Ok(request) = Request::decode(bytes) {
            assert_eq!(Request::decode(&request.encode().unwrap()).unwrap(), request);
        }
    });
}

#[test]
fn addresses_of_a_member_are_what_they_say_or_nothing() {
    let some = Addresses { addresses: vec!["[::1]:8802".to_owned(), "host.example:1".to_owned()] };
    let good = [some, Addresses::default()].map(|said| said.encode().unwrap());
    attack("Addresses", &good.each_ref().map(Vec::as_slice), |bytes| {
        if let Ok(said) = Addresses::decode(bytes) {
            assert_eq!(Addresses::decode(&said.encode().unwrap()).unwrap(), said);
            assert!(said.addresses.iter().all(|address| !address.chars().any(char::is_control)));
        }
    });
}
