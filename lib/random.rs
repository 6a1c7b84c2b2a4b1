//! Random numbers from the system, for keys, nonces and names.

use crate::error::{Error, Result};
use std::time::Duration;

/// Fills `bytes`.
///
/// # Errors
/// The system has none.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|cause| Error::state(format!("the system gives no random numbers: {cause}")))
}

/// Some bytes that stand for nothing secret.
///
/// # Errors
/// As [`fill`].
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// A fifth more or less, so that those who were cut off together do not all come back together.
#[must_use]
pub fn jittered(pause: Duration) -> Duration {
    // Without random numbers it is the same for all, and no worse.
    let chance = u16::from_be_bytes(bytes().unwrap_or_default());
    pause.mul_f64(0.8 + 0.4 * f64::from(chance) / f64::from(u16::MAX))
}
