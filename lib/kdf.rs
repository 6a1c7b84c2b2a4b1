//! Keys from keys: HKDF (RFC 5869), HMAC (RFC 2104) and plain hashes, all over BLAKE2b (RFC 7693) with 64 bytes of output.
//!
//! One hash for every use of the identity, as the Noise specification asks for one static key (section 14).

use blake2::digest::{Digest, FixedOutput, Mac};
use blake2::{Blake2b512, Blake2bMac, digest::consts::U32};
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

/// A MAC over `parts`, each with its length in front (u64, big endian), so that no two lists of parts have the same.
#[must_use]
pub fn mac(key: &Secret, parts: &[&[u8]]) -> [u8; SECRET_LEN] {
    keyed(key, parts).finalize_fixed().into()
}

/// Whether `mac` is that of `parts`, in a time that does not depend on it.
#[must_use]
pub fn is_mac(key: &Secret, parts: &[&[u8]], mac: &[u8; SECRET_LEN]) -> bool {
    keyed(key, parts).verify(mac.into()).is_ok()
}

fn keyed(key: &Secret, parts: &[&[u8]]) -> Blake2bMac<U32> {
    let mut keyed = Blake2bMac::<U32>::new(key.as_ref().into());
    for part in parts {
        keyed.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        keyed.update(part);
    }
    keyed
}
