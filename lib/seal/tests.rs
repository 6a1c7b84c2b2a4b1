#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

use super::*;
use crate::json;
use crate::key::SecretKey;
use data_encoding::HEXLOWER;

const CONTEXT: &[&[u8]] = &[b"what", b"whose"];

fn storage(byte: u8) -> StorageKey {
    StorageKey::of(&KeyPair::from_secret(SecretKey::from_bytes(&[byte; 32])))
}

/// Every byte changed, every length below, and one byte more.
fn damaged(good: &[u8]) -> Vec<Vec<u8>> {
    let changed = (0..good.len()).map(|at| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1 << (at % 8);
        bytes
    });
    let short = (0..good.len()).map(|length| good[..length].to_vec());
    changed.chain(short).chain([[good, &[0]].concat()]).collect()
}

#[test]
fn what_is_stored_opens_for_its_identity_in_its_place_and_nowhere_else() {
    let mine = storage(1);
    let sealed = mine.seal(CONTEXT, b"text").unwrap();
    assert_eq!(*mine.open(CONTEXT, &sealed).unwrap(), b"text");
    assert!(storage(2).open(CONTEXT, &sealed).is_err(), "another identity");
    let elsewhere: [&[&[u8]]; 5] =
        [&[b"what"], &[b"whatwhose"], &[b"wha", b"twhose"], &[b"whose", b"what"], &[b"what", b"whose", b""]];
    for context in elsewhere {
        assert!(mine.open(context, &sealed).is_err(), "{context:?}");
    }
    for wrong in damaged(&sealed.0) {
        assert!(mine.open(CONTEXT, &Bytes(wrong)).is_err());
    }
    assert_eq!(*mine.open(CONTEXT, &mine.seal(CONTEXT, b"").unwrap()).unwrap(), b"");
}

#[test]
fn the_same_text_is_never_stored_as_the_same_bytes() {
    let mine = storage(1);
    let all: Vec<Bytes> = (0..100).map(|_| mine.seal(CONTEXT, b"text").unwrap()).collect();
    for (at, one) in all.iter().enumerate() {
        assert!(all[..at].iter().all(|other| other.0[..24] != one.0[..24] && other.0[24..] != one.0[24..]));
    }
}

#[test]
fn what_was_stored_once_opens_for_ever() {
    // Made with another implementation of XChaCha20-Poly1305 and HKDF, under the nonce 00 01 .. 17.
    let sealed = "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGiFI7XXUzQFyt1DjXdk3RxNXE7dEWA==\"";
    let sealed: Bytes = json::parse(sealed.as_bytes(), 100).unwrap();
    assert_eq!(*storage(1).open(CONTEXT, &sealed).unwrap(), b"stored");
}

#[test]
fn a_message_is_sealed_as_rfc_8439_says() {
    // RFC 8439 section 2.8.2.
    let key = Secret::new(std::array::from_fn(|at| 0x80 + at as u8));
    let nonce = [7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47];
    let aad = HEXLOWER.decode(b"50515253c0c1c2c3c4c5c6c7").unwrap();
    let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                 sunscreen would be it.";
    let sealed = seal_message(&key, &nonce, &aad, text).unwrap();
    let expected = "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b\
                    1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
                    3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691";
    assert_eq!(HEXLOWER.encode(&sealed), expected);
    assert_eq!(*open_message(&key, &nonce, &aad, &sealed).unwrap(), text);
}

#[test]
fn a_message_that_is_changed_anywhere_does_not_open() {
    let (key, nonce) = (Secret::new([7; 32]), [9; MESSAGE_NONCE_LEN]);
    let sealed = seal_message(&key, &nonce, b"aad", b"text").unwrap();
    for wrong in damaged(&sealed) {
        assert!(open_message(&key, &nonce, b"aad", &wrong).is_none());
    }
    for wrong in damaged(b"aad") {
        assert!(open_message(&key, &nonce, &wrong, &sealed).is_none());
    }
    assert!(open_message(&key, &[8; MESSAGE_NONCE_LEN], b"aad", &sealed).is_none());
    assert!(open_message(&Secret::new([8; 32]), &nonce, b"aad", &sealed).is_none());
}

#[test]
fn an_entry_is_sealed_as_the_mode_was_published() {
    // Test case 16 of the submission to NIST (McGrew and Viega, "The Galois/Counter Mode of Operation").
    let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
    let key: [u8; 32] = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").try_into().unwrap();
    let nonce = hex("cafebabefacedbaddecaf888").try_into().unwrap();
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let text = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    let expected = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                    8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b";
    let sealed = seal_entry(&Secret::new(key), &nonce, &aad, &text).unwrap();
    assert_eq!(HEXLOWER.encode(&sealed), expected);
    assert_eq!(open_entry(&Secret::new(key), &nonce, &aad, &sealed).unwrap(), text);
}

#[test]
fn an_entry_that_is_changed_anywhere_does_not_open() {
    let (key, nonce) = (Secret::new([7; 32]), [9; MESSAGE_NONCE_LEN]);
    let sealed = seal_entry(&key, &nonce, b"aad", b"text").unwrap();
    for wrong in damaged(&sealed) {
        assert!(open_entry(&key, &nonce, b"aad", &wrong).is_none());
    }
    for wrong in damaged(b"aad") {
        assert!(open_entry(&key, &nonce, &wrong, &sealed).is_none());
    }
    assert!(open_entry(&key, &[8; MESSAGE_NONCE_LEN], b"aad", &sealed).is_none());
    assert!(open_entry(&Secret::new([8; 32]), &nonce, b"aad", &sealed).is_none());
}
