//! Keys from keys: HKDF (RFC 5869), HMAC (RFC 2104) and plain hashes, all over BLAKE2b (RFC 7693) with 64 bytes of output.
//!
//! One hash for every use of the identity, as the Noise specification asks for one static key (section 14).

use blake2::digest::{Digest, FixedOutput, Mac};
use blake2::{Blake2b, Blake2b512, Blake2bMac, digest::consts::U32};
use hkdf::SimpleHkdf;
use zeroize::Zeroizing;

/// Bytes of a [`Secret`] and of a MAC.
pub const SECRET_LEN: usize = 32;

/// A symmetric key, wiped when dropped.
pub type Secret = Zeroizing<[u8; SECRET_LEN]>;

/// The hash of the parts in a row.
#[must_use]
pub fn hash(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Blake2b512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// The hash of the parts in a row with 32 bytes of output: BLAKE2b-256.
#[must_use]
pub fn hash_32(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Blake2b::<U32>::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// HKDF: a key from `secret` and `salt`, for what `info` says, its parts in a row. Parts of varying length must not stand
/// side by side in it.
#[must_use]
pub fn derive(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Secret {
    let mut key = Secret::default();
    // Fails only for more than 255 blocks.
    let _ = SimpleHkdf::<Blake2b512>::new(Some(salt), secret).expand_multi_info(info, key.as_mut());
    key
}

/// HKDF as Noise uses it (section 4.3): two outputs of 64 bytes.
#[must_use]
pub fn noise_hkdf(chaining_key: &[u8; 64], input: &[u8]) -> (Zeroizing<[u8; 64]>, Zeroizing<[u8; 64]>) {
    let mut both = Zeroizing::new([0; 128]);
    let _ = SimpleHkdf::<Blake2b512>::new(Some(chaining_key), input).expand(&[], both.as_mut());
    let (mut first, mut second) = (Zeroizing::new([0; 64]), Zeroizing::new([0; 64]));
    let (head, tail) = both.split_at(64);
    first.copy_from_slice(head);
    second.copy_from_slice(tail);
    (first, second)
}

/// A MAC over `parts` as [`join`] writes them: BLAKE2b with a key and 32 bytes of output (RFC 7693 section 2.9).
#[must_use]
pub fn mac(key: &Secret, parts: &[&[u8]]) -> [u8; SECRET_LEN] {
    keyed(key, parts).map_or([0; SECRET_LEN], |keyed| keyed.finalize_fixed().into())
}

/// Whether `mac` is that of `parts`, in a time that does not depend on it.
#[must_use]
pub fn is_mac(key: &Secret, parts: &[&[u8]], mac: &[u8; SECRET_LEN]) -> bool {
    keyed(key, parts).is_some_and(|keyed| keyed.verify(mac.into()).is_ok())
}

/// The parts in a row, each with its length in front (u64, big endian), so that no two lists of parts give the same bytes.
#[must_use]
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

/// None only for a key of more than 64 bytes.
fn keyed(key: &Secret, parts: &[&[u8]]) -> Option<Blake2bMac<U32>> {
    let mut keyed = Blake2bMac::<U32>::new_from_slice(key.as_ref()).ok()?;
    keyed.update(&join(parts));
    Some(keyed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn hex(bytes: &[u8]) -> String {
        HEXLOWER.encode(bytes)
    }

    #[test]
    fn the_hash_is_blake2b_of_all_parts_in_a_row() {
        // RFC 7693 appendix A.
        let abc = "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
                   7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923";
        assert_eq!(hex(&hash(&[b"abc"])), abc);
        assert_eq!(hex(&hash(&[b"a", b"", b"bc"])), abc);
    }

    #[test]
    fn derived_keys_and_macs_are_those_of_another_implementation() {
        // Made with hashlib.blake2b and hmac of Python.
        let key = derive(b"salt", b"secret", &[b"in", b"fo"]);
        assert_eq!(hex(key.as_ref()), "548c37ec8de038a5c0180a9a93a28996c1ef294b8dc74a85198d95338e8d0b0f");
        assert_eq!(key, derive(b"salt", b"secret", &[b"info"]));
        let (first, second) = noise_hkdf(&[1; 64], b"input");
        assert_eq!(
            hex(first.as_ref()),
            "dbb491f86077c278777000978a3b68303801aac2a7bf9b805d39ec40a64e9306\
             34c91665a4de723c9dfaed422873d20b5673280a97d756e0502d7c7396dbe1c8"
        );
        assert_eq!(
            hex(second.as_ref()),
            "c1d6e6abc91536275c0cb2bc985d7a5caadad3c4dd0d8c03e3e520a939950806\
             709d0835fcfdbd03fdca7deb120b26986dd26209303e123c6c8bf04d02dda0cb"
        );
        let mac = mac(&Secret::new([7; SECRET_LEN]), &[b"one", b"", b"two"]);
        assert_eq!(hex(&mac), "cbeb26edbe16c4cbd20947a50dcef07839ec0f249aeac4f0460e5323108f4ef7");
    }

    #[test]
    fn a_mac_is_of_these_parts_under_this_key_and_no_other() {
        let key = Secret::new([7; SECRET_LEN]);
        let good = mac(&key, &[b"one", b"two"]);
        assert!(is_mac(&key, &[b"one", b"two"], &good));
        for parts in [&[&b"onet"[..], b"wo"][..], &[b"onetwo"], &[b"one", b"two", b""], &[b"two", b"one"], &[]] {
            assert!(!is_mac(&key, parts, &good), "{parts:?}");
        }
        assert!(!is_mac(&Secret::new([8; SECRET_LEN]), &[b"one", b"two"], &good));
        for at in 0..SECRET_LEN {
            let mut wrong = good;
            wrong[at] ^= 0x80;
            assert!(!is_mac(&key, &[b"one", b"two"], &wrong));
        }
        assert_eq!(join(&[b"ab", b""]), [&2_u64.to_be_bytes()[..], b"ab", &[0; 8]].concat());
    }
}
