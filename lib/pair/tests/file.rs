//! `pairs.json`.

use super::story::paired;
use super::*;
use crate::json::Value;
use crate::store::Store;

/// A side with one of everything in its file.
fn with_everything() -> Side {
    let [mut side, peer] = paired(1);
    side.say(Word::Renew, peer.key()).unwrap();
    side.say(Word::Invite, Side::new(3).key()).unwrap();
    side.say(Word::Block, Side::new(4).key()).unwrap();
    for (seed, word) in [(5, None), (6, Some(Word::Accept)), (7, Some(Word::Decline)), (8, Some(Word::Dismiss))] {
        let (mut other, key) = (Side::new(seed), side.key());
        other.say(Word::Invite, key).unwrap();
        let invite = other.owes_one(&key);
        side.hear(&other.key(), other.source, &invite).unwrap();
        if let Some(word) = word {
            side.say(word, other.key()).unwrap();
        }
    }
    side.pairs.opened(Side::new(9).key(), true, side.now);
    side.restart();
    side
}

fn read(text: &str) -> std::result::Result<Pairs, String> {
    let pairs: Pairs = json::parse(text.as_bytes(), text.len())?;
    pairs.check().map(|()| pairs)
}

#[test]
fn no_secret_stands_in_the_file_in_clear() {
    let mut side = Side::new(1);
    let peer = Side::new(2).key();
    side.say(Word::Invite, peer).unwrap();
    let ours = side.pairs.get(&peer).unwrap().ours.clone().unwrap();
    let context = [b"keywire invite".as_slice(), side.key().as_bytes(), peer.as_bytes(), &ours.id.0].concat();
    let secret = side.storage.open(&[&context], &ours.sealed).unwrap();
    let text = json::pretty(&side.pairs).unwrap();
    for encoded in [data_encoding::BASE64.encode(&secret[..30]), data_encoding::HEXLOWER.encode(&secret[..32])] {
        assert!(!text.contains(&encoded));
    }
    // Nobody else opens it, and it opens in no other place.
    assert!(StorageKey::of(&Side::new(2).me).open(&[&context], &ours.sealed).is_err());
    side.say(Word::Invite, Side::new(3).key()).unwrap();
    let key = Side::new(3).key();
    let other = side.pairs.get(&key).unwrap().ours.clone().unwrap();
    assert!(side.storage.open(&[&context], &other.sealed).is_err());
}

#[test]
fn an_invite_that_was_changed_in_the_file_is_named_when_its_answer_comes() {
    let mut sides = Side::two();
    let keys = [sides[0].key(), sides[1].key()];
    sides[0].say(Word::Invite, keys[1]).unwrap();
    let (invite, source) = (sides[0].owes_one(&keys[1]), sides[0].source);
    sides[1].hear(&keys[0], source, &invite).unwrap();
    sides[1].say(Word::Accept, keys[0]).unwrap();
    let ack = sides[1].owes_one(&keys[0]);
    sides[0].pairs.pairs[0].ours.as_mut().unwrap().noise.0[0] ^= 1;
    let error = sides[0].hear(&keys[1], source, &ack).err().unwrap();
    assert_eq!(error.kind().exit_status(), 5);
    assert!(error.to_string().contains("pairs.json") && error.hints().concat().contains("kw-chat pair invite"));
    sides[0].pairs.pairs[0].ours.as_mut().unwrap().sealed.0[30] ^= 1;
    assert_eq!(sides[0].hear(&keys[1], source, &ack).err().unwrap().kind().exit_status(), 5);
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let side = with_everything();
    let whole = json::json!(side.pairs);
    assert_eq!(read(&whole.to_string()).unwrap(), side.pairs);
    let row = |standing: Standing| side.pairs.list().iter().position(|pair| pair.standing() == standing).unwrap();
    let (paired, unconfirmed) =
        (row(Standing::Accepted { confirmed: true }), row(Standing::Accepted { confirmed: false }));
    let (pending, invited, blocked) = (row(Standing::Pending), row(Standing::Invited), row(Standing::Blocked));
    let (declined, half) = (row(Standing::Declined), row(Standing::Stranger));
    let field = |row: usize, name: &str| whole["pairs"][row][name].clone();
    let long = data_encoding::BASE64.encode(&[7; 9 << 10]);
    let changes: Vec<(usize, &str, Value, &str)> = vec![
        (pending, "key", field(paired, "key"), "stands in it twice"),
        (pending, "ours", field(invited, "ours"), "an invite of each side waits"),
        (declined, "ours", field(invited, "ours"), "an invite waits for a key that was declined"),
        (declined, "decline", Value::Null, "a declined invite waits"),
        (blocked, "ours", field(invited, "ours"), "though it is blocked"),
        (blocked, "theirs", field(pending, "theirs"), "though it is blocked"),
        (blocked, "open_sent", true.into(), "though it is blocked"),
        (invited, "ack", field(unconfirmed, "ack"), "an \"ack\" without a pair"),
        (unconfirmed, "outcome", "removed".into(), "an \"ack\" without a pair"),
        (
            invited,
            "confirm",
            json::json!({"id": "0".repeat(32), "mac": "", "consent": "", "said": true}),
            "a \"confirm\"",
        ),
        (invited, "decline", field(declined, "decline"), "a \"decline\" of nothing"),
        (paired, "open_received", true.into(), "both open and not"),
        (half, "open_sent", false.into(), "there is nothing"),
        (paired, "addresses", vec!["host:1"; 17].into(), "more than 16"),
        (paired, "addresses", vec!["host"; 1].into(), "has no port"),
        (paired, "addresses", vec!["ho st:1"; 1].into(), "not an address"),
        (paired, "outcome", "friends".into(), "unknown variant"),
        (paired, "since", "yesterday".into(), "yesterday"),
        (paired, "since", Value::Null, "invalid type"),
        (paired, "more", 1.into(), "unknown field"),
    ];
    for (row, name, value, why) in changes {
        let mut changed = whole.clone();
        changed["pairs"][row][name] = value;
        let error = read(&changed.to_string()).unwrap_err();
        assert!(error.contains(why), "{name}: {error}");
    }
    for (row, part, name) in [(invited, "ours", "noise"), (pending, "theirs", "noise"), (unconfirmed, "ack", "noise")] {
        for wrong in [long.as_str(), "", "AAAA"] {
            let mut changed = whole.clone();
            changed["pairs"][row][part][name] = wrong.into();
            assert!(read(&changed.to_string()).unwrap_err().contains("wrong length"), "{part} {name}");
        }
    }
    let mut changed = whole.clone();
    let twice = changed["settled"][0].clone();
    changed["settled"].as_array_mut().unwrap().push(twice);
    assert!(read(&changed.to_string()).unwrap_err().contains("settled twice"));
}

#[test]
fn the_file_is_written_when_something_changes_and_only_then() {
    let dir = std::env::temp_dir().join(format!("keywire-pairs-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).unwrap();
    let (store, path, key) = (Store::at(&dir), dir.join(PAIRS), Side::new(2).key());
    let side = Side::new(1);
    let now = side.now;
    Pairs::update(&store, |pairs| Ok(pairs.on_none(&key, &NoPair::default(), None, now))).unwrap();
    assert!(!path.exists());
    Pairs::update(&store, |pairs| {
        pairs.block(key, now);
        Ok(())
    })
    .unwrap();
    let written = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
    assert_eq!(Pairs::load(&store).unwrap().standing(&key), Standing::Blocked);
    Pairs::update(&store, |pairs| {
        pairs.block(key, now);
        Ok(pairs.on_none(&key, &NoPair::default(), None, now))
    })
    .unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap()), written);
    let failed = Pairs::update(&store, |pairs| {
        pairs.remove(&key, now)?;
        Err::<(), _>(crate::error::Error::state("the keys cannot be saved"))
    });
    assert!(failed.is_err());
    assert_eq!(Pairs::load(&store).unwrap().standing(&key), Standing::Blocked);
    std::fs::remove_dir_all(&dir).unwrap();
}
