#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

use super::*;
use crate::key::SecretKey;
use curve25519_dalek::constants::EIGHT_TORSION;
use ed25519_dalek::Verifier;
use xeddsa::xed25519;
use xeddsa::{CalculateKeyPair, Sign, Verify};

const PURPOSE: &str = "test";

/// The order of the base point: 2^252 + 27742317777372353535851937790883648493, little endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The key as Ed25519 has it, by the formula: y = (u - 1) / (u + 1), sign bit 0.
fn as_ed25519(key: &PublicKey) -> VerifyingKey {
    VerifyingKey::from_bytes(&MontgomeryPoint(*key.as_bytes()).to_edwards(0).unwrap().compress().to_bytes()).unwrap()
}

/// Keys of which some have the sign bit 1 before it is turned.
fn both_signs() -> Vec<KeyPair> {
    let mut seen = [0; 2];
    let mut pairs = Vec::new();
    while seen != [2, 2] {
        let pair = KeyPair::generate().unwrap();
        let scalar = Scalar::from_bytes_mod_order(clamp_integer(*pair.secret().expose()));
        let sign = usize::from(EdwardsPoint::mul_base(&scalar).compress().to_bytes()[31] >> 7);
        if seen[sign] < 2 {
            seen[sign] += 1;
            pairs.push(pair);
        }
    }
    pairs
}

/// A signature with other bytes from `at` on.
fn with(signature: &Signature, at: usize, bytes: &[u8]) -> Signature {
    let mut changed = *signature;
    changed.0[at..at + bytes.len()].copy_from_slice(bytes);
    changed
}

#[test]
fn what_two_hundred_keys_sign_is_an_ed25519_signature_in_the_strict_sense() {
    for round in 0..200_u8 {
        let pair = KeyPair::generate().unwrap();
        let text = vec![round; usize::from(round)];
        let signature = sign(&pair, PURPOSE, &text).unwrap();
        assert!(verify(&pair.public(), PURPOSE, &text, &signature));
        let plain = ed25519_dalek::Signature::from_bytes(&signature.0);
        as_ed25519(&pair.public()).verify_strict(&[b"keywire/test/v1\0", &text[..]].concat(), &plain).unwrap();
    }
}

#[test]
fn another_implementation_of_xeddsa_takes_our_signatures_and_we_take_its() {
    for pair in both_signs() {
        let signature = sign(&pair, PURPOSE, b"text").unwrap();
        let theirs = xed25519::PublicKey(*pair.public().as_bytes());
        Verify::<[u8; 64], [u8; 32]>::verify(&theirs, b"keywire/test/v1\0text", &signature.0).unwrap();

        let theirs = xed25519::PrivateKey(*pair.secret().expose());
        let made: [u8; 64] = theirs.sign(b"keywire/test/v1\0text", rand::rng());
        assert!(verify(&pair.public(), PURPOSE, b"text", &Signature(made)));
        assert_eq!(theirs.calculate_key_pair(0).1, as_ed25519(&pair.public()).to_bytes());
    }
}

#[test]
fn two_signatures_over_the_same_text_differ() {
    let pair = KeyPair::generate().unwrap();
    assert_ne!(sign(&pair, PURPOSE, b"text").unwrap().0[..32], sign(&pair, PURPOSE, b"text").unwrap().0[..32]);
}

#[test]
fn without_random_numbers_the_nonce_still_comes_from_secret_and_text() {
    let (one, other) = ([1; 32], [2; 32]);
    let r = |secret: &[u8; 32], text: &[u8]| sign_with(secret, text, &[0; 64]).0[..32].to_vec();
    assert_eq!(r(&one, b"text"), r(&one, b"text"));
    assert_ne!(r(&one, b"text"), r(&one, b"texu"));
    assert_ne!(r(&one, b"text"), r(&other, b"text"));
}

#[test]
fn a_signature_is_for_one_purpose_one_text_and_one_key() {
    let pair = KeyPair::generate().unwrap();
    let signature = sign(&pair, PURPOSE, b"text").unwrap();
    for (purpose, text) in
        [("tes", &b"text"[..]), ("other", b"text"), (PURPOSE, b"texs"), (PURPOSE, b""), (PURPOSE, b"text\0")]
    {
        assert!(!verify(&pair.public(), purpose, text, &signature), "{purpose}");
    }
    assert!(!verify(&KeyPair::generate().unwrap().public(), PURPOSE, b"text", &signature));
}

#[test]
fn every_flipped_bit_of_a_signature_is_noticed() {
    let pair = KeyPair::generate().unwrap();
    let signature = sign(&pair, PURPOSE, b"text").unwrap();
    for bit in 0..SIGNATURE_LEN * 8 {
        let mut changed = signature;
        changed.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!verify(&pair.public(), PURPOSE, b"text", &changed), "bit {bit}");
    }
}

#[test]
fn an_s_that_is_not_below_the_order_is_refused_though_it_is_the_same_number() {
    let pair = KeyPair::generate().unwrap();
    let signature = sign(&pair, PURPOSE, b"text").unwrap();
    let mut s: [u8; 32] = signature.0[32..].try_into().unwrap();
    for times in 1..=15 {
        let mut carry = 0_u16;
        for (byte, more) in s.iter_mut().zip(ORDER) {
            carry += u16::from(*byte) + u16::from(more);
            *byte = carry as u8;
            carry >>= 8;
        }
        assert_eq!(Scalar::from_bytes_mod_order(s).as_bytes(), &signature.0[32..], "the same number");
        assert!(!verify(&pair.public(), PURPOSE, b"text", &with(&signature, 32, &s)), "s + {times} L");
    }
    for bit in 4..8 {
        let high = with(&signature, 63, &[signature.0[63] | 1 << bit]);
        assert!(high == signature || !verify(&pair.public(), PURPOSE, b"text", &high), "bit {bit}");
    }
    // The order itself is another name of zero.
    let zero = Signature([EdwardsPoint::default().compress().to_bytes(), ORDER].concat().try_into().unwrap());
    assert!(!verify(&pair.public(), PURPOSE, b"text", &zero));
}

#[test]
fn an_r_of_low_order_is_refused_though_the_plain_check_would_take_it() {
    // Whoever has the secret can take the nonce 0, with any point of low order that the challenge cancels.
    let pair = both_signs().remove(0);
    let scalar = Scalar::from_bytes_mod_order(xed25519::PrivateKey(*pair.secret().expose()).calculate_key_pair(0).0);
    let key = as_ed25519(&pair.public());
    let text = message(PURPOSE, b"text");
    let mut plain_takes = 0;
    for small in EIGHT_TORSION {
        let r = small.compress().to_bytes();
        let s = *hash(&[&r, key.as_bytes(), &text]) * scalar;
        let made = Signature([r, s.to_bytes()].concat().try_into().unwrap());
        plain_takes += usize::from(key.verify(&text, &ed25519_dalek::Signature::from_bytes(&made.0)).is_ok());
        assert!(!verify(&pair.public(), PURPOSE, b"text", &made));
    }
    assert_eq!(plain_takes, 1, "the neutral point, which the strict check alone refuses");
}

#[test]
fn a_key_of_low_order_signs_nothing() {
    // With such a key the challenge vanishes: R = s B is a signature over every text for the neutral point.
    let s = Scalar::from(7_u8);
    let r = EdwardsPoint::mul_base(&s).compress().to_bytes();
    let made = ed25519_dalek::Signature::from_bytes(&[r, s.to_bytes()].concat().try_into().unwrap());
    let neutral = VerifyingKey::from(EIGHT_TORSION[0]);
    assert!(neutral.verify(b"anything", &made).is_ok(), "the plain check");
    assert!(neutral.verify_strict(b"anything", &made).is_err());
    for small in EIGHT_TORSION {
        assert!(PublicKey::from_bytes(&small.to_montgomery().to_bytes()).is_err(), "not even a key");
    }
}

#[test]
fn an_r_in_a_second_form_is_refused() {
    // y = 1 has a second form, y = p + 1, and so has the neutral point as an R.
    let pair = KeyPair::generate().unwrap();
    let mut second = [0xff; 32];
    (second[0], second[31]) = (0xee, 0x7f);
    let scalar = Scalar::from_bytes_mod_order(xed25519::PrivateKey(*pair.secret().expose()).calculate_key_pair(0).0);
    let s = *hash(&[&second, as_ed25519(&pair.public()).as_bytes(), &message(PURPOSE, b"text")]) * scalar;
    let made = Signature([second, s.to_bytes()].concat().try_into().unwrap());
    assert!(!verify(&pair.public(), PURPOSE, b"text", &made));
    // The sign bit of x = 0 is a second form too.
    let mut second = [0; 32];
    (second[0], second[31]) = (1, 0x80);
    let s = *hash(&[&second, as_ed25519(&pair.public()).as_bytes(), &message(PURPOSE, b"text")]) * scalar;
    let made = Signature([second, s.to_bytes()].concat().try_into().unwrap());
    assert!(!verify(&pair.public(), PURPOSE, b"text", &made));
}

#[test]
fn a_key_on_the_twist_verifies_nothing_and_breaks_nothing() {
    let signature = sign(&KeyPair::generate().unwrap(), PURPOSE, b"text").unwrap();
    let mut twisted = 0;
    for first in 2..50 {
        let key = PublicKey::from_bytes(&[vec![first], vec![0; 31]].concat()).unwrap();
        twisted += usize::from(MontgomeryPoint(*key.as_bytes()).to_edwards(0).is_none());
        assert!(!verify(&key, PURPOSE, b"text", &signature));
    }
    assert!(twisted > 10, "{twisted}");
}

#[test]
fn a_signature_says_nothing_of_itself() {
    let pair = KeyPair::from_secret(SecretKey::from_bytes(&[7; 32]));
    assert_eq!(format!("{:?}", sign(&pair, PURPOSE, b"text").unwrap()), "Signature(..)");
}
