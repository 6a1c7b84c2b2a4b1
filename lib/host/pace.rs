//! How much of a terminal's output may be under way: as much as the path carries, and little more.
//!
//! What waits in front of a slow path is what Ctrl-C waits behind. The time from sending a byte to the dialer's credit for
//! it tells how long the path is and how much waits there: the shortest such time of late is the path, the rest is waiting.
//! The bound grows while little waits and shrinks when much does, as TCP Vegas does (Brakmo and Peterson, 1995).

use crate::proto::pty::{TERMINAL_GRANT, TERMINAL_WINDOW};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The longest that output may wait: what a person hardly feels.
const WAIT: Duration = Duration::from_millis(40);

/// Bytes under way at first: a few screens.
const FIRST: u32 = 32 << 10;

/// Fewest bytes that may be under way. The dialer grants credit for less than that.
const FEWEST: u32 = 4 * TERMINAL_GRANT;

/// How long the shortest time counts: paths change.
const EPOCH: Duration = Duration::from_secs(10);

/// What is known of the path.
pub(super) struct Pace {
    /// Bytes that may be under way.
    bound: u32,
    sent: u64,
    granted: u64,
    /// Up to which byte was sent when, for bytes without credit yet.
    marks: VecDeque<(u64, Instant)>,
    /// The shortest time of this epoch and of the one before.
    shortest: [Duration; 2],
    epoch: Instant,
    /// The bound shrinks once for all that was sent before it last did.
    shrunk_at: u64,
    /// The bound to go back to after a look at the bare path, which what is sent from then on has passed.
    look: Option<(u32, u64)>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Pace {
            bound: FIRST,
            sent: 0,
            granted: 0,
            marks: VecDeque::new(),
            shortest: [Duration::MAX; 2],
            epoch: now,
            shrunk_at: 0,
            look: None,
        }
    }

    /// Bytes that may be sent now: not all at once, so that what is under way is spread over the path, and no crumbs.
    pub(super) fn room(&self) -> u32 {
        let under_way = u32::try_from(self.sent - self.granted).unwrap_or(u32::MAX);
        let room = self.bound.saturating_sub(under_way);
        if room < TERMINAL_GRANT { 0 } else { room.min((self.bound / 8).max(TERMINAL_GRANT)) }
    }

    /// Takes note of bytes that are sent.
    pub(super) fn sent(&mut self, count: u32, now: Instant) {
        self.sent += u64::from(count);
        self.marks.push_back((self.sent, now));
    }

    /// Takes note of credit.
    pub(super) fn granted(&mut self, count: u32, now: Instant) {
        // A dialer may grant for what was never sent; that says nothing about the path.
        self.granted = (self.granted + u64::from(count)).min(self.sent);
        let passed = self.marks.iter().take_while(|(upto, _)| *upto <= self.granted).count();
        let last = self.marks.drain(..passed).next_back();
        if let Some((upto, at)) = last {
            self.learn(upto, count, now.saturating_duration_since(at), now);
        }
    }

    /// Bytes up to `upto` took `time`.
    fn learn(&mut self, upto: u64, count: u32, time: Duration, now: Instant) {
        let [current, before] = &mut self.shortest;
        *current = time.min(*current);
        let shortest = *current.min(before);
        let waited = time.saturating_sub(shortest);
        if let Some((bound, from)) = self.look {
            if upto > from {
                (self.bound, self.look) = (bound, None);
            }
        } else if waited <= WAIT {
            self.bound = self.bound.saturating_add(count / 4).min(TERMINAL_WINDOW);
        } else if upto > self.shrunk_at {
            // So many bytes as arrive in the path's own time and half the wait.
            let share = (shortest + WAIT / 2).as_secs_f32() / time.as_secs_f32();
            self.bound = scaled(self.bound, share.clamp(0.5, 1.0)).max(FEWEST);
            self.shrunk_at = self.sent;
        }
        if now.saturating_duration_since(self.epoch) > EPOCH {
            let had_to_shrink = self.shrunk_at > 0;
            (self.shortest, self.epoch) = ([Duration::MAX, self.shortest[0]], now);
            if had_to_shrink && self.look.is_none() {
                // Something may wait all the time, and would be taken for the path. An almost empty path shows it.
                self.look = Some((self.bound, self.sent));
                self.bound = FEWEST;
            }
        }
    }
}

#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of at most 1 of a number that fits"
)]
fn scaled(number: u32, share: f32) -> u32 {
    (f64::from(number) * f64::from(share)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path with a queue in front, and a dialer that grants as it must.
    struct Path {
        one_way: Duration,
        rate: u64,
    }

    impl Path {
        /// Floods the path for `seconds`, and says how long the last bytes waited in the queue and how many arrived.
        fn flood(&self, pace: &mut Pace, start: Instant, seconds: u64) -> (Duration, u64) {
            let mut now = start;
            let mut free_at = start;
            let mut grants: VecDeque<(Instant, u32)> = VecDeque::new();
            let mut arrived = 0;
            let end = start + Duration::from_secs(seconds);
            while now < end {
                while grants.front().is_some_and(|(at, _)| *at <= now) {
                    let count = grants.pop_front().unwrap().1;
                    pace.granted(count, now);
                    arrived += u64::from(count);
                }
                let room = pace.room();
                if room > 0 {
                    pace.sent(room, now);
                    free_at = free_at.max(now) + Duration::from_micros(u64::from(room) * 1_000_000 / self.rate);
                    grants.push_back((free_at + 2 * self.one_way, room));
                } else {
                    now = grants.front().map_or(end, |(at, _)| *at).max(now);
                }
            }
            for (at, count) in grants {
                pace.granted(count, at);
            }
            (free_at.saturating_duration_since(end), arrived)
        }
    }

    #[test]
    fn on_a_slow_distant_path_output_waits_little_and_the_path_is_used() {
        let path = Path { one_way: Duration::from_millis(100), rate: 200_000 };
        for seconds in [2, 5, 9, 30, 300] {
            let start = Instant::now();
            let mut pace = Pace::new(start);
            let (waits, arrived) = path.flood(&mut pace, start, seconds);
            assert!(waits < Duration::from_millis(100), "after {seconds} s {waits:?}");
            assert!(arrived > seconds * 200_000 * 6 / 10, "{arrived} bytes in {seconds} s");
        }
    }

    #[test]
    fn on_a_near_path_the_whole_window_is_used() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        Path { one_way: Duration::from_micros(50), rate: 100_000_000 }.flood(&mut pace, start, 1);
        assert_eq!(pace.bound, TERMINAL_WINDOW);
    }

    #[test]
    fn a_path_that_becomes_longer_is_soon_known_for_what_it_is() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        Path { one_way: Duration::from_millis(5), rate: 1_000_000 }.flood(&mut pace, start, 30);
        let later = start + Duration::from_secs(31);
        let far = Path { one_way: Duration::from_millis(150), rate: 1_000_000 };
        far.flood(&mut pace, later, 40);
        let (_, arrived) = far.flood(&mut pace, later + Duration::from_secs(41), 10);
        assert!(arrived > 4_000_000, "{arrived}");
    }

    #[test]
    fn the_dialer_grants_before_the_last_byte_that_may_be_under_way() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.bound = FEWEST;
        let mut sent = 0;
        while pace.room() > 0 {
            sent += pace.room();
            pace.sent(pace.room(), start);
        }
        assert!(sent >= TERMINAL_GRANT * 2);
    }

    #[test]
    fn credit_that_nobody_asked_for_changes_nothing() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.granted(u32::MAX, start);
        assert_eq!((pace.bound, pace.room()), (FIRST, FIRST / 8));
    }
}
