//! tests/vectors/group.json, made by a program in another language from the formulas of keywire-protocol(7), GROUP.

use super::*;
use crate::json::{self, Value};
use crate::key::SecretKey;
use crate::proto::group::link::{capability, is_wish};
use crate::proto::group::roster::{Act, Op};
use crate::proto::group::{Entry, Genesis, History, Link, Mode};
use crate::sign::{Signature, sign_with};
use data_encoding::HEXLOWER;

const GROUPS: &[u8] = include_bytes!("../../../../tests/vectors/group.json");

fn all() -> Value {
    json::parse(GROUPS, GROUPS.len()).unwrap()
}

fn hex(of: &Value) -> Vec<u8> {
    HEXLOWER.decode(of.as_str().unwrap().as_bytes()).unwrap()
}

fn fixed<const N: usize>(of: &Value) -> [u8; N] {
    hex(of).try_into().unwrap()
}

fn pair(of: &Value) -> KeyPair {
    KeyPair::from_secret(SecretKey::from_bytes(&fixed(of)))
}

fn public(of: &Value) -> PublicKey {
    PublicKey::from_bytes(&hex(of)).unwrap()
}

/// The two epoch keys of the vector.
fn epoch_keys(all: &Value) -> [EpochKey; 2] {
    [0, 1].map(|at| EpochKey(Secret::new(fixed(&all["keys"]["boxes_for_member"][at]["key"]))))
}

/// An entry of the vector, taken from its bytes.
fn entry(of: &Value) -> Entry {
    let entry = Entry::of(&hex(&of["header"]), Signature(fixed(&of["signature"])), Some(hex(&of["body"]))).unwrap();
    assert_eq!(entry.id, EntryId(fixed(&of["id"])));
    assert!(entry.is_signed());
    entry
}

/// What the vector says of an entry.
fn told(all: &Value, of: &Value, class: Class, kind: Kind) -> Header {
    let id = |name: &str| of.get(name).map_or(EntryId::default(), |id| EntryId(fixed(id)));
    let dep = of.get("dep").map(|dep| {
        let log = LogId { class, author: public(&dep["author"]), inc: Inc(fixed(&dep["inc"])) };
        assert_eq!(log.tag()[..], hex(&dep["log"]));
        Dep { log: log.tag(), seq: dep["seq"].as_u64().unwrap(), id: fixed(&dep["id"]) }
    });
    Header {
        group: GroupId(fixed(&all["private"]["group"])),
        log: LogId { class, author: public(&of["author"]), inc: Inc(fixed(&of["inc"])) },
        seq: of["seq"].as_u64().unwrap(),
        prev: id("prev"),
        clock: of["clock"].as_u64().unwrap(),
        time: of["time"].as_u64().unwrap(),
        kind,
        roster: id("roster"),
        key: KeyId(id("key").0),
        reply_to: id("reply_to"),
        deps: dep.into_iter().collect(),
        body_len: hex(&of["body"]).len() as u32,
        body_hash: kdf::hash_32(&[&hex(&of["body"])]),
    }
}

#[test]
fn groups_and_links_are_those_of_the_vector() {
    let all = all();
    let owner = pair(&all["owner_secret"]).public();
    assert_eq!(owner, public(&all["owner"]));
    let salt = fixed(&all["private"]["salt"]);
    let private = Genesis {
        owner,
        created: all["private"]["created"].as_u64().unwrap(),
        mode: Mode::Private,
        history: History::Last(100),
        key: KeyId::default(),
        salt,
    };
    let key = Secret::new(fixed(&all["open"]["key"]));
    let open = Genesis { mode: Mode::Open, history: History::None, key: KeyId::of(&key), ..private.clone() };
    let public = Genesis { mode: Mode::Public, history: History::All, ..private.clone() };
    for (name, genesis) in [("private", &private), ("open", &open), ("public", &public)] {
        assert_eq!(genesis.encode(), hex(&all[name]["genesis"]), "{name}");
        assert_eq!(genesis.id(), GroupId(fixed(&all[name]["group"])), "{name}");
        assert_eq!(Genesis::decode(&hex(&all[name]["genesis"])).unwrap(), *genesis, "{name}");
    }
    for (name, genesis, key) in [("private", private, None), ("open", open, Some(key))] {
        let text = all[name]["link"].as_str().unwrap();
        let link: Link = text.parse().unwrap();
        assert_eq!(link.to_string(), text);
        assert_eq!((link.genesis, link.key), (genesis, key));
        assert_eq!(link.name, "the group");
        assert_eq!(link.secret[..], hex(&all["wish"]["secret"]));
        assert_eq!(link.peers[0].to_string(), format!("{owner}@203.0.113.7:8802"));
    }
}

#[test]
fn a_capability_and_its_wish_are_those_of_the_vector() {
    let all = all();
    let (group, wish) = (GroupId(fixed(&all["private"]["group"])), &all["wish"]);
    let able = capability(&group, &fixed(&wish["secret"]));
    assert_eq!(
        (able.secret().expose(), able.public()),
        (&fixed(&wish["capability_secret"]), public(&wish["capability"]))
    );
    let signature = Signature(fixed(&wish["signature"]));
    assert!(is_wish(&able.public(), &group, &public(&wish["joiner"]), &signature));
    assert!(!is_wish(&able.public(), &group, &public(&all["owner"]), &signature));
}

#[test]
fn boxes_and_joint_keys_are_those_of_the_vector() {
    let all = all();
    let (group, told) = (GroupId(fixed(&all["private"]["group"])), &all["keys"]);
    let (ephemeral, member) = (pair(&told["ephemeral_secret"]), pair(&all["member_secret"]));
    let keys = epoch_keys(&all);
    let wraps = wrap_with(&ephemeral, &group, &keys, &[member.public()]).unwrap();
    assert_eq!(wraps.ephemeral, public(&told["ephemeral"]));
    for ((found, told), key) in wraps.boxes.iter().zip(told["boxes_for_member"].as_array().unwrap()).zip(&keys) {
        assert_eq!((found.key, &found.sealed.0), (KeyId(fixed(&told["id"])), &hex(&told["sealed"])));
        assert_eq!(unwrap(&group, &member, &wraps.ephemeral, found).unwrap().0, key.0);
    }
    assert_eq!(*EpochKey::join(&keys).0, fixed(&told["joint_key"]));
    assert_eq!(joint_id(&keys.map(|key| key.id())), KeyId(fixed(&told["joint_id"])));
}

#[test]
fn an_act_is_that_of_the_vector() {
    let all = all();
    let found = entry(&all["act"]);
    assert_eq!(found.header, told(&all, &all["act"], Class::Roster, Kind::Act));
    let body = found.body.unwrap();
    assert_eq!(body, all["act"]["act"].as_str().unwrap().as_bytes());
    let act = Act::decode(&body).unwrap();
    assert_eq!(act.encode().unwrap(), body);
    assert_eq!(act.op, Op::Create { name: "the group".to_owned() });
    let wraps = act.key.unwrap();
    let opened = unwrap(&found.header.group, &pair(&all["member_secret"]), &wraps.ephemeral, &wraps.boxes[0]);
    assert_eq!(opened.unwrap().0, epoch_keys(&all)[0].0);
}

#[test]
fn sealed_messages_are_those_of_the_vector() {
    let all = all();
    let keys = epoch_keys(&all);
    for (name, under) in [("message", &keys[..1]), ("joint_message", &keys)] {
        let said = &all[name];
        let found = entry(said);
        assert_eq!(found.header, told(&all, said, Class::Content, Kind::Message), "{name}");
        assert_eq!(*entry_key(under, &found.header), fixed(&said["entry_key"]), "{name}");
        let text = said["text"].as_str().unwrap().as_bytes();
        let body = found.body.unwrap();
        assert_eq!(seal_body_with(&fixed(&said["nonce"]), under, &found.header, text).unwrap(), body, "{name}");
        assert_eq!(open_body(having(&keys), &found.header, &body), Opened::Text(text.to_vec()), "{name}");
    }
}

#[test]
fn the_signatures_of_the_vector_come_out_the_same() {
    let all = all();
    let random = fixed(&all["random_of_signatures"]);
    let entry = |name: &'static str| (hex(&all[name]["header"]), "group-entry", name);
    let wish = [hex(&all["private"]["group"]), hex(&all["wish"]["joiner"])].concat();
    for (secret, (text, purpose, name)) in [
        (&all["owner_secret"], entry("act")),
        (&all["member_secret"], entry("message")),
        (&all["member_secret"], entry("joint_message")),
        (&all["wish"]["capability_secret"], (wish, "group-join", "wish")),
    ] {
        let message = [format!("keywire/{purpose}/v1\0").as_bytes(), &text].concat();
        assert_eq!(sign_with(&fixed(secret), &message, &random), Signature(fixed(&all[name]["signature"])), "{name}");
    }
}
