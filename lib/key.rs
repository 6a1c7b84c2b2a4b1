//! Key pairs: X25519 (RFC 7748), shown in one text form only.
//!
//! A public key is 32 bytes; its text is bech32m (BIP 350) with the prefix `kw`. Everything that takes a key from
//! outside goes through [`PublicKey::from_bytes`], which refuses every encoding that is not a party's one name.

use crate::error::{Error, Result};
use crate::random;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use std::fmt;
use std::str::FromStr;
use x25519_dalek::{PublicKey as Point, StaticSecret};
use zeroize::Zeroizing;

/// Length of a public and of a secret key in bytes.
pub const KEY_LEN: usize = 32;

/// Length of a public key's text: `kw1`, 52 characters of data, 6 of checksum.
pub const KEY_TEXT_LEN: usize = 61;

const PUBLIC_PREFIX: Hrp = Hrp::parse_unchecked("kw");
const SECRET_PREFIX: Hrp = Hrp::parse_unchecked("kwsecret");

/// A public key: the identity of a party. Always canonical and never of low order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; KEY_LEN]);

impl PublicKey {
    /// Takes the 32 bytes of a key as they come from the wire or from a file (RFC 7748 section 5, little endian).
    ///
    /// # Errors
    /// Refuses wrong lengths, the non-canonical encodings (bit 255 set, or a value of at least 2^255 - 19), which
    /// would give one key several names, and the low-order points, which anyone can authenticate as.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bytes: [u8; KEY_LEN] =
            bytes.try_into().map_err(|_| Error::no(format!("a key has {KEY_LEN} bytes, not {}", bytes.len())))?;
        if !is_canonical(&bytes) {
            return Err(Error::no("not a canonical key: one key would have two names"));
        }
        if LOW_ORDER.contains(&bytes) {
            return Err(Error::no("a low-order point: nobody's key, and anyone could pass for it"));
        }
        Ok(PublicKey(bytes))
    }

    /// The 32 bytes as they stand on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// The short form for people, `kw1qxy2p...8f3z`: 12 characters and the last 4. Never decide anything by it.
    #[must_use]
    pub fn short(&self) -> String {
        let text = self.to_string();
        let (head, rest) = text.split_at_checked(12).unwrap_or((&text, ""));
        let tail = rest.len().checked_sub(4).and_then(|at| rest.get(at..)).unwrap_or(rest);
        format!("{head}...{tail}")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_to_fmt::<Bech32m, _>(f, PUBLIC_PREFIX, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// Reads `kw1...`, all lower or all upper case (as QR codes carry it).
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("kwsecret1") {
            return Err(Error::no("that is a secret key: never show it to anyone")
                .hint("the public key of an identity is what 'kw-keygen show' prints"));
        }
        if !lower.starts_with("kw1") {
            return Err(Error::no("not a key: a key starts with kw1"));
        }
        if text.chars().any(char::is_uppercase) && text.chars().any(char::is_lowercase) {
            return Err(Error::no("not a key: mixed upper and lower case"));
        }
        if lower.len() != KEY_TEXT_LEN {
            return Err(Error::no(format!(
                "not a key: {} characters instead of {KEY_TEXT_LEN}",
                lower.chars().count()
            )));
        }
        if let Some((at, odd)) = lower.char_indices().skip(3).find(|(_, c)| !DATA_CHARS.contains(*c)) {
            return Err(Error::no(format!(
                "not a key: '{}' at position {} cannot stand in one",
                odd.escape_debug(),
                at + 1
            ))
            .hint("keys have no 'b', 'i' or 'o', and no '1' after the first: look for 6, l or 0 instead"));
        }
        let parsed = CheckedHrpstring::new::<Bech32m>(&lower)
            .map_err(|_| Error::no("not a key: the checksum does not match, so at least one character is wrong"))?;
        let key = PublicKey::from_bytes(&parsed.byte_iter().collect::<Vec<u8>>())?;
        // 52 characters carry four bits more than a key has; only zeros may stand there, or a key would have 16 names.
        if key.to_string() != lower {
            return Err(Error::no("not a key: bits beyond its end are set"));
        }
        Ok(key)
    }
}

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The points of order 1, 2, 4 and 8 in their canonical form, on the curve and on its twist: with them X25519 gives zero
/// whatever the secret is (RFC 7748 section 6.1).
const LOW_ORDER: [[u8; KEY_LEN]; 5] = [
    [0; KEY_LEN],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

/// The 32 characters that carry data in bech32 (BIP 173).
const DATA_CHARS: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Whether `bytes` is a field element below 2^255 - 19 with bit 255 clear: the only encoding we take for it.
fn is_canonical(bytes: &[u8; KEY_LEN]) -> bool {
    let [first, middle @ .., last] = bytes;
    *last < 0x7f || (*last == 0x7f && (*first < 0xed || middle.iter().any(|byte| *byte != 0xff)))
}

/// A secret key. It cannot be shown, copied or compared, and it is wiped when dropped.
pub struct SecretKey(StaticSecret);

impl SecretKey {
    /// Takes the 32 bytes of a secret key; they are clamped where they are used (RFC 7748 section 5).
    #[must_use]
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        SecretKey(StaticSecret::from(*bytes))
    }

    /// The 32 bytes, for the handshake and for sealing into a file.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.as_bytes()
    }

    /// X25519 with the key of another: a secret that only the two can know (RFC 7748 section 6.1).
    ///
    /// # Errors
    /// The result is all zero, which no key that [`PublicKey::from_bytes`] takes gives.
    pub fn agree(&self, with: &PublicKey) -> Result<Zeroizing<[u8; KEY_LEN]>> {
        let shared = self.0.diffie_hellman(&Point::from(with.0));
        match shared.was_contributory() {
            true => Ok(Zeroizing::new(shared.to_bytes())),
            false => Err(Error::protocol("a key whose secrets are all zero")),
        }
    }

    /// The text form `kwsecret1...`, as it stands in an identity file without a passphrase.
    ///
    /// # Errors
    /// None that can happen with a key of the right length.
    pub fn expose_text(&self) -> Result<Zeroizing<String>> {
        bech32::encode::<Bech32m>(SECRET_PREFIX, self.expose())
            .map(Zeroizing::new)
            .map_err(|_| Error::state("cannot write a secret key as text"))
    }

    /// Reads the text form `kwsecret1...`.
    ///
    /// # Errors
    /// Anything else, without repeating the text.
    pub fn from_text(text: &str) -> Result<Self> {
        let wrong = || Error::state("not a secret key: the text is damaged");
        let parsed = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| wrong())?;
        let bytes = Zeroizing::new(parsed.byte_iter().collect::<Vec<u8>>());
        match <&[u8; KEY_LEN]>::try_from(bytes.as_slice()) {
            Ok(bytes) if parsed.hrp() == SECRET_PREFIX => Ok(Self::from_bytes(bytes)),
            _ => Err(wrong()),
        }
    }
}

/// A key pair: who we are.
pub struct KeyPair {
    public: PublicKey,
    secret: SecretKey,
}

impl KeyPair {
    /// Makes a new key pair from the system's random numbers.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        random::fill(bytes.as_mut())?;
        Ok(Self::from_secret(SecretKey::from_bytes(&bytes)))
    }

    /// The key pair of a secret key (RFC 7748 section 6.1).
    #[must_use]
    pub fn from_secret(secret: SecretKey) -> Self {
        // A clamped scalar times the base point is canonical and of high order, so no check is needed.
        let public = PublicKey(Point::from(&secret.0).to_bytes());
        KeyPair { public, secret }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret half.
    #[must_use]
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7748 section 6.1: Alice's key pair.
    const ALICE_SECRET: [u8; 32] = [
        0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c,
        0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
    ];
    const ALICE_PUBLIC: [u8; 32] = [
        0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d, 0xbf,
        0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a,
    ];

    fn alice() -> KeyPair {
        KeyPair::from_secret(SecretKey::from_bytes(&ALICE_SECRET))
    }

    #[test]
    fn the_public_key_of_rfc_7748_comes_from_its_secret() {
        assert_eq!(alice().public().as_bytes(), &ALICE_PUBLIC);
    }

    #[test]
    fn a_key_is_the_same_after_a_round_trip_through_text_in_either_case() {
        let text = alice().public().to_string();
        assert_eq!(text.len(), KEY_TEXT_LEN);
        assert_eq!(text.parse::<PublicKey>().unwrap(), alice().public());
        assert_eq!(text.to_uppercase().parse::<PublicKey>().unwrap(), alice().public());
        assert!(text.replacen('k', "K", 1).parse::<PublicKey>().is_err());
    }

    #[test]
    fn every_single_wrong_character_is_noticed() {
        let text = alice().public().to_string();
        for at in 0..text.len() {
            for wrong in DATA_CHARS.chars() {
                let mut changed = text.clone();
                changed.replace_range(at..=at, &wrong.to_string());
                assert_eq!(changed.parse::<PublicKey>().is_ok(), changed == text, "{changed}");
            }
        }
    }

    #[test]
    fn bits_behind_the_key_do_not_give_it_another_name() {
        let text = alice().public().to_string();
        let data: String = text[3..54].chars().collect();
        let last = DATA_CHARS.find(&text[54..55]).unwrap();
        for padding in 1..16 {
            // The same key with other padding, and a checksum that fits.
            let changed = DATA_CHARS.as_bytes()[last | padding] as char;
            let fields = format!("{data}{changed}");
            let values = fields.chars().map(|c| bech32::Fe32::from_char(c).unwrap());
            let other: String = bech32::primitives::iter::Fe32IterExt::with_checksum::<Bech32m>(values, &PUBLIC_PREFIX)
                .chars()
                .collect();
            assert_ne!(other, text);
            assert!(other.parse::<PublicKey>().unwrap_err().to_string().contains("beyond its end"), "{other}");
        }
    }

    #[test]
    fn the_seven_low_order_points_and_their_aliases_are_refused() {
        let eight = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
        let other_eight = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let mut points = vec![vec![0; 32], [vec![1], vec![0; 31]].concat(), hex(eight), hex(other_eight)];
        for first in [0xec, 0xed, 0xee] {
            points.push([vec![first], vec![0xff; 30], vec![0x7f]].concat());
        }
        for point in points {
            assert!(PublicKey::from_bytes(&point).is_err(), "{point:?}");
            let alias: Vec<u8> = point.iter().enumerate().map(|(at, b)| if at == 31 { b | 0x80 } else { *b }).collect();
            assert!(PublicKey::from_bytes(&alias).is_err(), "{alias:?}");
        }
    }

    #[test]
    fn the_listed_low_order_points_give_zero_with_any_secret() {
        for point in LOW_ORDER {
            let secret = StaticSecret::from([0x55; KEY_LEN]);
            assert!(!secret.diffie_hellman(&Point::from(point)).was_contributory(), "{point:?}");
        }
    }

    #[test]
    fn a_second_name_for_a_key_is_refused() {
        let mut bytes = ALICE_PUBLIC;
        bytes[31] |= 0x80;
        assert!(PublicKey::from_bytes(&bytes).unwrap_err().to_string().contains("canonical"));
    }

    #[test]
    fn a_secret_key_survives_its_text_and_is_refused_as_a_public_key() {
        let text = alice().secret().expose_text().unwrap();
        assert!(text.starts_with("kwsecret1"));
        assert_eq!(SecretKey::from_text(&text).unwrap().expose(), &ALICE_SECRET);
        assert!(text.parse::<PublicKey>().unwrap_err().to_string().contains("secret key"));
        assert!(SecretKey::from_text(&alice().public().to_string()).is_err());
    }

    #[test]
    fn the_short_form_shows_both_ends() {
        let short = alice().public().short();
        let text = alice().public().to_string();
        assert_eq!(short, format!("{}...{}", &text[..12], &text[57..]));
    }
}
