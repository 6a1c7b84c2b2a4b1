//! State files that somebody has damaged or made up: no panic, no other key than the one that was written, and never "no
//! file".

use super::{Dice, near};
use crate::sandbox::Dir;
use keywire::identity::IdentityFile;
use keywire::key::{KeyPair, PublicKey};
use keywire::store::Store;
use keywire::trust::{Allowlist, Expiry, Peers, Right};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

const RANDOM: usize = 20_000;

/// Writes damaged versions of `file`, and calls `check` after each.
fn attack(file: &Path, check: impl Fn(&[u8])) {
    let good = std::fs::read(file).unwrap();
    let mut dice = Dice::new(&file.display().to_string());
    let random: Vec<Vec<u8>> = (0..RANDOM).map(|_| dice.spoil(&good)).collect();
    // Of the changes of one byte, every 13th: there are many, and 13 divides no power of 2.
    for bytes in near(&good).step_by(13).chain(random) {
        write(file, &bytes);
        check(&bytes);
    }
}

/// Puts a new file in the place of an old one: to write over it would wait for the disk.
fn write(file: &Path, bytes: &[u8]) {
    let _ = std::fs::remove_file(file);
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).unwrap();
    opened.write_all(bytes).unwrap();
}

fn a_key() -> PublicKey {
    KeyPair::generate().unwrap().public()
}

#[test]
fn a_damaged_allowlist_allows_no_other_key() {
    let dir = Dir::new();
    let store = Store::at(dir.path());
    let keys = BTreeSet::from([a_key(), a_key()]);
    Allowlist::update(&store, |list| {
        for key in &keys {
            let rule = list.rule_mut(*key);
            rule.rights = BTreeSet::from([Right::Exec, Right::Pipe]);
            rule.command = Some("date -u".to_owned());
            rule.expires = Some(Expiry::parse("7d", SystemTime::now())?);
        }
        Ok(())
    })
    .unwrap();
    attack(&dir.join("allow.json"), |bytes| {
        if let Ok(list) = Allowlist::load(&store) {
            assert!(!bytes.is_empty());
            assert!(list.rules().iter().all(|rule| keys.contains(&rule.key)));
        }
    });
}

#[test]
fn a_damaged_address_book_names_no_other_key() {
    let dir = Dir::new();
    let store = Store::at(dir.path());
    let key = a_key();
    let addresses = ["host.example:7000".parse().unwrap(), "[::1]:7".parse().unwrap()];
    Peers::update(&store, |peers| peers.add("alice", key, &addresses, "a note", SystemTime::now()).map(drop)).unwrap();
    attack(&dir.join("peers.json"), |bytes| {
        if let Ok(peers) = Peers::load(&store) {
            assert!(!bytes.is_empty());
            assert!(peers.list().iter().all(|peer| peer.key == key));
        }
    });
}

#[test]
fn a_damaged_identity_is_the_same_key_or_none() {
    let dir = Dir::new();
    let file = IdentityFile::locate(Some(&dir.join("identity.json"))).unwrap();
    let keys = KeyPair::generate().unwrap();
    file.create(&keys, None).unwrap();
    attack(&dir.join("identity.json"), |_| {
        if let Ok((key, _)) = file.public() {
            assert_eq!(key, keys.public());
        }
        if let Ok(found) = file.load(|| panic!("there is no passphrase to ask for")) {
            assert_eq!(found.public(), keys.public());
        }
    });
}

#[test]
fn a_key_that_is_nobodys_is_refused_in_every_file() {
    // The points of low order and a second name for a key, as well-formed text: only the checksum is right.
    let dir = Dir::new();
    let store = Store::at(dir.path());
    for bytes in super::handshake::nobodys_keys() {
        let text = bech32::encode::<bech32::Bech32m>(bech32::Hrp::parse("kw").unwrap(), &bytes).unwrap();
        assert!(text.parse::<PublicKey>().is_err());
        write(
            &dir.join("allow.json"),
            format!(r#"{{"version": 1, "rules": [{{"key": "{text}", "rights": ["pipe"]}}]}}"#).as_bytes(),
        );
        assert!(Allowlist::load(&store).is_err());
        write(
            &dir.join("peers.json"),
            format!(
                r#"{{"version": 1, "peers": [{{"name": "n", "key": "{text}", "addresses": [], "added": "2026-11-21T00:00:00Z"}}]}}"#
            )
            .as_bytes(),
        );
        assert!(Peers::load(&store).is_err());
        let secret = KeyPair::generate().unwrap().secret().expose_text().unwrap();
        let path = dir.join("identity.json");
        write(&path, format!(r#"{{"version": 1, "public": "{text}", "secret": "{}"}}"#, *secret).as_bytes());
        assert!(IdentityFile::locate(Some(&path)).unwrap().public().is_err());
    }
}
