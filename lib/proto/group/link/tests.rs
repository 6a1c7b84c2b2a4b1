#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

use super::*;
use crate::json::{Value, json};
use crate::proto::group::History;

fn link(mode: Mode) -> Link {
    let owner = KeyPair::from_secret(SecretKey::from_bytes(&[7; 32])).public();
    let key = (mode == Mode::Open).then(|| Secret::new([3; 32]));
    let named = key.as_ref().map(KeyId::of).unwrap_or_default();
    let genesis = Genesis { owner, created: 1_900_000_000, mode, history: History::None, key: named, salt: [5; 16] };
    let peers = ["203.0.113.7:8802", "[2001:db8::1]:8802", "host"]
        .map(|at| PeerAddr { key: owner, at: at.parse().unwrap() })
        .to_vec();
    Link { genesis, name: "the group".to_owned(), peers, secret: Zeroizing::new([9; SECRET_LEN]), key }
}

/// The JSON in a link.
fn inside(link: &str) -> Value {
    json::parse(&BASE64URL_NOPAD.decode(&link.as_bytes()[PREFIX.len()..]).unwrap(), MAX_LINK_LEN).unwrap()
}

/// A link with this JSON in it.
fn around(json: &str) -> String {
    format!("{PREFIX}{}", BASE64URL_NOPAD.encode(json.as_bytes()))
}

fn refusal(text: &str) -> String {
    text.parse::<Link>().unwrap_err().to_string()
}

#[test]
fn a_link_is_read_as_it_was_written_with_white_space_around_it_or_without() {
    for mode in [Mode::Public, Mode::Private, Mode::Open] {
        let link = link(mode);
        let text = link.to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        for text in [text.clone(), format!(" \t{text}\r\n")] {
            let read: Link = text.parse().unwrap();
            assert_eq!((&read.genesis, &read.name, &read.peers), (&link.genesis, &link.name, &link.peers));
            assert_eq!((&read.secret, &read.key), (&link.secret, &link.key));
        }
    }
}

#[test]
fn the_longest_link_can_be_read() {
    let mut long = link(Mode::Open);
    long.name = "\u{1f511}".repeat(MAX_NAME_LEN);
    let at = format!("{}:65535", "h".repeat(crate::addr::MAX_HOST_LEN));
    long.peers = vec![PeerAddr { key: long.genesis.owner, at: at.parse().unwrap() }; MAX_PEERS];
    let text = long.to_string();
    assert!(text.len() > MAX_LINK_LEN / 2);
    assert_eq!(text.parse::<Link>().unwrap().to_string(), text);
}

#[test]
fn what_is_wrong_with_a_link_is_said() {
    let good = link(Mode::Private).to_string();
    assert!(refusal("").contains("does not begin with keywire:invite:"));
    assert!(refusal(&good[1..]).contains("does not begin with"));
    assert!(refusal(&good.to_uppercase()).contains("does not begin with"));
    let long = format!("{PREFIX}{}", "A".repeat(MAX_LINK_LEN));
    assert!(refusal(&long).contains("more than the 8192"));
    let damaged = good.replacen("invite:eyJ", "invite:ey!", 1);
    assert!(refusal(&damaged).contains("damaged at character 18"), "{}", refusal(&damaged));
    assert!(refusal(&format!("{good}=")).contains("damaged"));
    assert!(refusal(&around("no JSON")).contains("not what belongs there"));
    assert!(refusal(&around("{}")).contains("missing field"));

    let with = |mode: Mode, field: &str, value: Value| {
        let mut json = inside(&link(mode).to_string());
        json[field] = value;
        refusal(&around(&json::line(&json).unwrap()))
    };
    let peer = inside(&good)["peers"][0].clone();
    for (mode, field, value, why) in [
        (Mode::Private, "more", json!(1), "unknown field"),
        (Mode::Private, "genesis", json!("AAAA"), "version 0"),
        (Mode::Private, "genesis", json!("?"), "not what belongs there"),
        (Mode::Private, "name", json!("n".repeat(65)), "more than 64 characters"),
        (Mode::Private, "peers", json!(vec![peer; 17]), "17 addresses, more than 16"),
        (Mode::Private, "peers", json!(["host:1"]), "has no '@'"),
        (Mode::Private, "secret", json!("AAAA"), "secret has not 16 bytes"),
        (Mode::Private, "key", json!("AAAA"), "its group is not open"),
        (Mode::Public, "key", json!("AAAA"), "its group is not open"),
        (Mode::Open, "key", Value::Null, "the group's key is not in it"),
        (Mode::Open, "key", json!("AAAA"), "not its group's"),
        (Mode::Open, "key", json!(data_encoding::BASE64.encode(&[4; 32])), "not its group's"),
    ] {
        let told = with(mode, field, value);
        assert!(told.contains(why), "{field}: {told}");
    }
}

#[test]
fn a_link_that_breaks_off_anywhere_is_refused() {
    let good = link(Mode::Open).to_string();
    for length in 0..good.len() {
        assert!(good[..length].parse::<Link>().is_err(), "{length} characters");
    }
}

#[test]
fn a_link_does_not_show_its_secrets_by_chance() {
    let link = link(Mode::Open);
    let shown = format!("{link:?} {link:#?}");
    assert!(shown.contains("the group"));
    for secret in ["09", "9, 9", "3, 3", "CQkJ", "AwMD"] {
        assert!(!shown.replace(&link.genesis.id().to_string(), "").contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn a_wish_is_for_one_group_and_one_key_by_one_capability() {
    let [one, other] = [GroupId([1; 32]), GroupId([2; 32])];
    let [joiner, thief] = [(); 2].map(|()| KeyPair::generate().unwrap().public());
    let able = capability(&one, &[9; SECRET_LEN]);
    assert_eq!(able.public(), capability(&one, &[9; SECRET_LEN]).public());
    assert_ne!(able.public(), capability(&other, &[9; SECRET_LEN]).public());
    assert_ne!(able.public(), capability(&one, &[8; SECRET_LEN]).public());
    let signature = wish(&able, &one, &joiner).unwrap();
    assert!(is_wish(&able.public(), &one, &joiner, &signature));
    assert!(!is_wish(&able.public(), &one, &thief, &signature));
    assert!(!is_wish(&able.public(), &other, &joiner, &signature));
    assert!(!is_wish(&joiner, &one, &joiner, &signature));
    let elsewhere = sign::sign(&able, "group-entry", &[one.0, *joiner.as_bytes()].concat()).unwrap();
    assert!(!is_wish(&able.public(), &one, &joiner, &elsewhere));
}
