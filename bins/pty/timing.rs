//! `--hide-timing`: while somebody types, something of the same size leaves at even times, whether a key was pressed or not.
//!
//! Whoever watches the network then sees that somebody types, but not the times between the keys, which say much about
//! what is typed (Song, Wagner and Tian, USENIX Security 2001).

use keywire::error::Result;
use keywire::random;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Time between two records: shorter than between two keys, and hardly felt.
const INTERVAL: Duration = Duration::from_millis(20);

/// How long it goes on after the last key at least, and by how much longer it may be.
const LINGER: (Duration, u8) = (Duration::from_millis(1000), 100);

/// More bytes than this at once were not typed, and need not wait.
pub(crate) const TYPED: usize = 64;

/// Even times, while somebody types.
pub(crate) struct EvenTimes {
    ticks: tokio::time::Interval,
    until: Instant,
}

impl EvenTimes {
    /// Nobody types yet. Needs a running tokio runtime.
    pub(crate) fn new() -> Self {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        EvenTimes { ticks, until: Instant::now() }
    }

    /// A key was pressed.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub(crate) fn typed(&mut self) -> Result<()> {
        let now = Instant::now();
        if self.until <= now {
            self.ticks.reset_immediately();
        }
        // How long it lingers must not tell when the last key was pressed.
        let [more] = random::bytes()?;
        let (least, steps) = LINGER;
        self.until = now + least + INTERVAL * u32::from(more % steps);
        Ok(())
    }

    /// Waits for the next time at which something is to leave; for ever while nobody types. Losing the future loses nothing.
    pub(crate) async fn next(&mut self) {
        if self.until <= Instant::now() {
            return std::future::pending().await;
        }
        self.ticks.tick().await;
    }
}
