//! Signatures by the identity: XEdDSA (signal.org/docs/specifications/xeddsa) with sign bit 0, checked as Ed25519
//! (RFC 8032), strictly.
//!
//! The identity is an X25519 key. The same scalar is an Ed25519 key too, up to its sign; XEdDSA takes of the two points
//! with that u the one with sign bit 0, and so everybody who has the X25519 key has the Ed25519 key.

use crate::error::Result;
use crate::key::{KEY_LEN, KeyPair, PublicKey};
use crate::random;
use curve25519_dalek::scalar::clamp_integer;
use curve25519_dalek::{EdwardsPoint, MontgomeryPoint, Scalar};
use ed25519_dalek::{Digest, Sha512, VerifyingKey};
use zeroize::Zeroizing;

/// Bytes of a [`Signature`].
pub const SIGNATURE_LEN: usize = 64;

/// A signature: R and s of RFC 8032.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; SIGNATURE_LEN]);

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// Signs `text` for one purpose only: what is signed is `keywire/PURPOSE/v1`, a zero byte, and the text. No
/// purpose has a zero byte in it.
///
/// # Errors
/// The system has no random numbers.
pub fn sign(me: &KeyPair, purpose: &str, text: &[u8]) -> Result<Signature> {
    let mut drawn = Zeroizing::new([0; 64]);
    random::fill(drawn.as_mut())?;
    Ok(sign_with(me.secret().expose(), &message(purpose, text), &drawn))
}

/// Whether `signature` is by `who` over `text` for this purpose.
#[must_use]
pub fn verify(who: &PublicKey, purpose: &str, text: &[u8], signature: &Signature) -> bool {
    // A key on the twist has no point on the curve, and cannot sign.
    let Some(point) = MontgomeryPoint(*who.as_bytes()).to_edwards(0) else { return false };
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    // Strict: s below the order, so that nobody makes a second signature from a first; R in its one form; and neither R
    // nor the key of low order.
    VerifyingKey::from(point).verify_strict(&message(purpose, text), &signature).is_ok()
}

/// What is signed.
fn message(purpose: &str, text: &[u8]) -> Vec<u8> {
    [b"keywire/", purpose.as_bytes(), b"/v1\0", text].concat()
}

/// `xeddsa_sign` of the specification.
pub(crate) fn sign_with(secret: &[u8; KEY_LEN], message: &[u8], random: &[u8; 64]) -> Signature {
    let scalar = Zeroizing::new(Scalar::from_bytes_mod_order(clamp_integer(*secret)));
    let mut point = EdwardsPoint::mul_base(&scalar).compress().to_bytes();
    // The sign bit is the last bit; if it is 1, the key that is meant is the negated one. No branch: it depends on the secret.
    let [.., last] = &mut point;
    let sign = *last >> 7;
    *last &= 0x7f;
    let scalar = Zeroizing::new(*scalar * (Scalar::ONE - Scalar::from(2 * sign)));

    // hash_1 has 2^256 - 2 in front, little endian: bytes that begin no point, so no hash of another use.
    let mut prefix = [0xff; 32];
    let [first, ..] = &mut prefix;
    *first = 0xfe;
    let nonce = hash(&[&prefix, scalar.as_bytes(), message, random]);
    let big_r = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
    let s = *nonce + *hash(&[&big_r, &point, message]) * *scalar;

    let mut signature = [0; SIGNATURE_LEN];
    for (to, from) in signature.iter_mut().zip(big_r.iter().chain(s.as_bytes())) {
        *to = *from;
    }
    Signature(signature)
}

/// SHA-512 of the parts in a row, modulo the order of the base point.
fn hash(parts: &[&[u8]]) -> Zeroizing<Scalar> {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    let output = Zeroizing::new(<[u8; 64]>::from(hash.finalize()));
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&output))
}

#[cfg(test)]
mod tests;
