//! Digits that stand for a key, or for a pair of keys, in a voice call. kw-keygen(1) gives the computation.

use blake2::{Blake2b512, Digest};
use keywire::key::PublicKey;

/// Keeps this hash apart from every other use of BLAKE2b.
const LABEL: &[u8] = b"keywire fingerprint v1";

/// 60 digits are 199 bits: two pairs with the same digits cost an attacker some 2^99 tries.
const GROUPS: usize = 12;

/// Bytes of the hash that make a group: 40 bits leave no digit noticeably likelier than another.
const GROUP_BYTES: usize = 5;

/// As many as a voice says in one breath.
pub(crate) const GROUPS_IN_A_LINE: usize = 4;

/// The digits of `keys`, one key or a pair in ascending order: 12 groups of 5.
pub(crate) fn digits(keys: &[PublicKey]) -> Vec<String> {
    let mut hash = Blake2b512::new_with_prefix(LABEL);
    for key in keys {
        hash.update(key.as_bytes());
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
    hash.finalize()
        .chunks_exact(GROUP_BYTES)
        .take(GROUPS)
        .map(|group| format!("{:05}", number(group) % 100_000))
        .collect()
}
