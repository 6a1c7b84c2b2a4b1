//! Signatures by the identity: XEdDSA (signal.org/docs/specifications/xeddsa) with sign bit 0, checked as Ed25519 (RFC 8032), strictly.

use crate::error::{Error, Result};
use crate::key::{KeyPair, PublicKey};

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

/// Signs `text` for one purpose only: what is signed is `keywire/PURPOSE/v1`, a zero byte, and the text.
///
/// # Errors
/// The system has no random numbers.
pub fn sign(_me: &KeyPair, _purpose: &str, _text: &[u8]) -> Result<Signature> {
    Err(Error::state("not there yet"))
}

/// Whether `signature` is by `who` over `text` for this purpose.
#[must_use]
pub fn verify(_who: &PublicKey, _purpose: &str, _text: &[u8], _signature: &Signature) -> bool {
    false
}
