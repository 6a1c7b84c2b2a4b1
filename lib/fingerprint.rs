//! Digits that stand for a key, or for a pair of keys, in a voice call. kw-keygen(1) gives the computation.

use crate::kdf;
use crate::key::PublicKey;

/// Keeps this hash apart from every other use of BLAKE2b.
const LABEL: &[u8] = b"keywire fingerprint v1";

/// 60 digits are 199 bits: two pairs with the same digits cost an attacker some 2^99 tries.
const GROUPS: usize = 12;

/// Bytes of the hash that make a group: 40 bits leave no digit noticeably likelier than another.
const GROUP_BYTES: usize = 5;

/// As many as a voice says in one breath.
const GROUPS_IN_A_LINE: usize = 4;

/// The digits of `keys`, one key or a pair in any order: 12 groups of 5. A pair is the same whoever looks at it.
#[must_use]
pub fn digits(keys: &[PublicKey]) -> Vec<String> {
    let mut keys = keys.to_vec();
    keys.sort();
    let parts: Vec<&[u8]> = std::iter::once(LABEL).chain(keys.iter().map(|key| &key.as_bytes()[..])).collect();
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
    kdf::hash(&parts)
        .chunks_exact(GROUP_BYTES)
        .take(GROUPS)
        .map(|group| format!("{:05}", number(group) % 100_000))
        .collect()
}

/// The same as lines for people.
#[must_use]
pub fn lines(keys: &[PublicKey]) -> String {
    digits(keys).chunks(GROUPS_IN_A_LINE).map(|groups| groups.join(" ") + "\n").collect()
}
