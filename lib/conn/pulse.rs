//! Signs of life: when the other end was last heard, when to ask, when to give up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Intervals without a sign of life after which the other end counts as gone.
pub const MISSED: u32 = 3;

/// What the two halves of a connection know together about the other end.
pub(super) struct Pulse {
    /// Time between questions; zero asks nothing and never gives up.
    interval: Duration,
    start: Instant,
    /// Milliseconds after `start` at which a record last came.
    heard: AtomicU64,
    /// Milliseconds after `start` at which a PING was last sent.
    asked: AtomicU64,
    owes_answer: AtomicBool,
    wake: Notify,
}

/// What the sending half should send next.
pub(super) enum Beat {
    Ping,
    Pong,
}

impl Pulse {
    pub(super) fn new(interval: Duration) -> Self {
        Pulse {
            // Beyond a year it makes no difference, but sums would overflow.
            interval: interval.min(Duration::from_secs(365 * 86_400)),
            start: Instant::now(),
            heard: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            owes_answer: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Time between questions; zero asks nothing.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn hear(&self) {
        self.heard.store(self.now(), Ordering::Relaxed);
    }

    /// The other end asked: the sending half answers when it next may.
    pub(super) fn owe_answer(&self) {
        self.owes_answer.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Waits until something must be sent. Losing the future loses nothing.
    pub(super) async fn beat(&self) -> Beat {
        loop {
            let woken = self.wake.notified();
            if self.owes_answer.swap(false, Ordering::AcqRel) {
                return Beat::Pong;
            }
            if self.interval.is_zero() {
                woken.await;
                continue;
            }
            let last = self.heard.load(Ordering::Relaxed).max(self.asked.load(Ordering::Relaxed));
            let due = self.start + Duration::from_millis(last) + self.interval;
            if due <= Instant::now() {
                self.asked.store(self.now(), Ordering::Relaxed);
                return Beat::Ping;
            }
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// What the receiving half needs to notice that nothing comes.
    pub(super) fn silence(&self) -> Silence {
        Silence { interval: self.interval, missed: 0, next: Instant::now() + self.interval }
    }
}

/// Counts the intervals in which the receiving half listened and nothing came. Time in which it did not listen, because
/// whoever reads from it was busy or this process was stopped, counts as one at the most.
pub(super) struct Silence {
    interval: Duration,
    missed: u32,
    next: Instant,
}

impl Silence {
    /// Something came.
    pub(super) fn broken(&mut self) {
        self.missed = 0;
        self.next = Instant::now() + self.interval;
    }

    /// Waits for the end of an interval; `true` if the other end has been silent for so long that it counts as gone. Losing
    /// the future loses nothing.
    pub(super) async fn lasts(&mut self) -> bool {
        if self.interval.is_zero() {
            return std::future::pending().await;
        }
        tokio::time::sleep_until(self.next).await;
        self.missed += 1;
        self.next = Instant::now() + self.interval;
        self.missed >= MISSED
    }
}
