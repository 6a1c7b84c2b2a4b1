//! What a thief gets of a state directory.

use super::{NotOpened, Side, open};
use crate::handshake::{Handshake, Known, Pattern, Role};
use crate::inbox::prologue;
use crate::seal::StorageKey;

/// All files below a directory, with what is in them.
fn files(below: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

#[test]
fn what_is_left_after_opening_does_not_open_a_message_that_was_recorded() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(1);
    let name = std::fs::read_dir(ada.state("keys")).unwrap().next().unwrap().unwrap().file_name();
    let key = ada.inbox.cards().unwrap()[0].keys[0].key;
    let storage = StorageKey::of(&ada.me);
    let secret = ada.inbox.secret(&storage, &key).unwrap();
    // Whoever holds the file open sees what becomes of it on the disk.
    let mut held = std::fs::File::open(ada.state("keys").join(&name)).unwrap();
    let recorded = bob.says(&card, "hello");
    // With the secret and the identity it opens, so that is what must be gone.
    let opens = |secret: &crate::key::SecretKey| {
        let mut handshake =
            Handshake::new(Pattern::KXfallback, Role::Responder, &prologue(&card), &ada.me, Known::default(), secret);
        handshake.as_mut().unwrap().read(recorded.noise()).is_ok()
    };
    assert!(opens(&secret));
    ada.opens(&recorded).unwrap();
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut held, &mut left).unwrap();
    assert!(!left.is_empty() && left.iter().all(|byte| *byte == 0), "the secret lies on the disk as it did");
    let files = files(ada.dir.path());
    assert!(!files.iter().any(|(path, _)| path.contains("/keys/")), "{files:?}");
    for (path, bytes) in &files {
        let text = String::from_utf8_lossy(bytes);
        for form in [data_encoding::HEXLOWER.encode(secret.expose()), data_encoding::BASE64.encode(secret.expose())] {
            assert!(!text.contains(&form), "{path}");
        }
        // What is sealed under the storage key, the thief of the identity opens.
        for word in text.split('"').filter_map(|word| data_encoding::BASE64.decode(word.as_bytes()).ok()) {
            for context in [[&b"keywire one-time key"[..], &key.0], [b"keywire inbox message", &recorded.id().0]] {
                let sealed = crate::json::Bytes(word.clone());
                let opened = storage.open(&context, &sealed).map(|text| text.to_vec()).unwrap_or_default();
                assert!(!opened.windows(32).any(|bytes| bytes == secret.expose()), "{path}");
            }
        }
    }
    assert!(!opens(&crate::key::SecretKey::from_bytes(ada.me.secret().expose())));
}

#[test]
fn a_state_without_its_identity_opens_nothing() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let message = bob.says(&ada.card(1), "hello");
    let thief = std::sync::Arc::new(crate::key::KeyPair::generate().unwrap());
    assert_eq!(ada.inbox.unseal(&thief, &message).unwrap().unwrap_err(), NotOpened::Unknown(message.rki()));
    ada.opens(&message).unwrap();
    assert!(ada.inbox.messages(&thief, 10).unwrap().is_empty());
    for (path, bytes) in files(ada.dir.path()) {
        assert!(!String::from_utf8_lossy(&bytes).contains("hello"), "{path}");
    }
}

#[test]
fn a_copy_of_the_state_knows_no_more_than_the_state_did() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(2);
    let (first, second) = (bob.says(&card, "first"), bob.says(&card, "second"));
    ada.opens(&first).unwrap();
    // A second process on the same state: what one has used up, the other has not.
    let other = open(ada.dir.path(), &ada.clock);
    assert!(matches!(other.unseal(&ada.me, &first).unwrap().unwrap_err(), NotOpened::Same(_)));
    assert_eq!(other.unseal(&ada.me, &second).unwrap().unwrap().text(), Some("second"));
    assert!(matches!(ada.opens(&second).unwrap_err(), NotOpened::Same(_)));
}
