//! How much there is to send, counted by a thread while the first of it goes already.

use super::walk::{Step, Walk};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the count is waited for before it is looked what else there is.
const MOMENT: Duration = Duration::from_millis(50);

/// What the thread that counts hands over.
#[derive(Debug, Default)]
pub(super) struct Total {
    state: Mutex<State>,
    counted: Condvar,
    has_news: AtomicBool,
    stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    is_counting: bool,
    /// Files and their bytes.
    sum: Option<(u64, u64)>,
}

impl Total {
    /// Whether a thread counts, or is about to.
    pub(super) fn set_counting(&self, is_counting: bool) {
        self.state().is_counting = is_counting;
        self.counted.notify_all();
    }

    /// Counts what `walk` comes to.
    pub(super) fn count(&self, mut walk: Walk<'_>) {
        let _over = Over(self);
        let (mut files, mut bytes) = (0_u64, 0_u64);
        while let Some(step) = walk.step() {
            if self.stopped.load(Ordering::Relaxed) {
                break;
            }
            if step == Step::File
                && let Ok(status) = walk.status()
            {
                files += 1;
                bytes = bytes.saturating_add(status.size);
            }
        }
        self.state().sum = Some((files, bytes));
        self.has_news.store(true, Ordering::Release);
    }

    /// The sum, once, when it is known.
    pub(super) fn take_news(&self) -> Option<(u64, u64)> {
        if self.has_news.swap(false, Ordering::Acquire) { self.state().sum } else { None }
    }

    /// Waits for the sum, for a moment; whether it is known, or never will be.
    pub(super) fn wait(&self) -> bool {
        let waited = self.counted.wait_timeout_while(self.state(), MOMENT, |state| state.is_counting);
        !waited.map_or_else(|died| died.into_inner().0.is_counting, |(state, _)| state.is_counting)
    }

    /// Lets the thread end when the value is dropped.
    pub(super) fn stop_when_dropped(&self) -> impl Drop {
        StopWhenDropped(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step, so it stays right even if the thread died.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody waits for a thread that has ended, however it has.
struct Over<'a>(&'a Total);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.set_counting(false);
    }
}

struct StopWhenDropped<'a>(&'a Total);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}
