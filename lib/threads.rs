//! What threads hold in common, and work that must not hold up others.

use crate::error::{Error, Result};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is held stays right even if a thread died while it held it, where every change is a single step.
pub fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does `work`, which reads and writes files, where it holds up nobody. It must be called inside a tokio runtime.
///
/// # Errors
/// Those of the work.
pub async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::state("a thread has died"))?
}
