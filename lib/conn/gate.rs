//! The gate: how many connections may wait to prove a key, and how long a source that fails must stay away.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// What a listener allows before it knows a key.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections in the handshake. One more ends the oldest of them: an honest dialer needs three messages, so the
    /// oldest is the one most likely to be holding a place for nothing.
    pub startups: usize,
    /// Connections in the handshake from one source. One more is closed at once.
    pub startups_per_source: usize,
    /// Whether this machine's own addresses are held to the limits for one source too.
    pub limit_loopback: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { startups: 128, startups_per_source: 16, limit_loopback: false }
    }
}

/// What the gate has kept out so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handshakes that failed or took too long.
    pub failed: u64,
    /// Connections closed because too many others were waiting.
    pub crowded_out: u64,
    /// Connections closed because their source had too many, or must stay away.
    pub turned_away: u64,
}

/// Penalty for a handshake that fails: a mistake, or a scan.
pub const FAILED: Duration = Duration::from_secs(2);
/// Penalty for a handshake that is not finished in time.
pub const STALLED: Duration = Duration::from_secs(5);
/// Penalty for a key that is not allowed what it asks for.
pub const REFUSED: Duration = Duration::from_secs(5);

/// Penalties below this are only remembered: a person may mistype a few times.
pub const ENFORCED_FROM: Duration = Duration::from_secs(15);
/// Penalties grow up to this.
pub const LONGEST: Duration = Duration::from_secs(600);
/// Sources that are remembered; beyond that the one whose penalty ends first is forgotten.
const MOST_SOURCES: usize = 4096;

/// Where a connection comes from, as far as limits go: an IPv4 address, or the IPv6 network that a customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

impl Source {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => Source(IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into())),
            other => Source(other),
        }
    }

    /// The address that stands for all of the source.
    pub(super) fn address(self) -> IpAddr {
        self.0
    }

    fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

/// Sources that failed, and until when each one's penalty lasts.
#[derive(Debug, Default)]
pub(super) struct Penalties {
    until: HashMap<Source, Instant>,
    limit_loopback: bool,
}

impl Penalties {
    pub(super) fn new(limits: &Limits) -> Self {
        Penalties { until: HashMap::new(), limit_loopback: limits.limit_loopback }
    }

    /// Adds to the penalty of `source`.
    pub(super) fn add(&mut self, source: Source, penalty: Duration, now: Instant) {
        if !self.limits(source) {
            return;
        }
        if self.until.len() >= MOST_SOURCES && !self.until.contains_key(&source) {
            self.until.retain(|_, until| *until > now);
            if self.until.len() >= MOST_SOURCES
                && let Some(first) = self.until.iter().min_by_key(|(_, until)| **until).map(|(source, _)| *source)
            {
                self.until.remove(&first);
            }
        }
        let until = self.until.entry(source).or_insert(now);
        *until = ((*until).max(now) + penalty).min(now + LONGEST);
    }

    /// Whether `source` is held to limits at all.
    pub(super) fn limits(&self, source: Source) -> bool {
        self.limit_loopback || !source.is_loopback()
    }

    /// Whether `source` must stay away now.
    pub(super) fn keep_out(&self, source: Source, now: Instant) -> bool {
        self.until.get(&source).is_some_and(|until| *until >= now + ENFORCED_FROM)
    }
}

/// The connections in the handshake, oldest first.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    places: VecDeque<(Source, AbortHandle)>,
}

impl Waiting {
    /// Whether one more from `source` is too many.
    pub(super) fn is_full_for(&self, source: Source, limits: &Limits) -> bool {
        if source.is_loopback() && !limits.limit_loopback {
            return false;
        }
        self.places.iter().filter(|(other, _)| *other == source).count() >= limits.startups_per_source
    }

    /// Takes in one more, and ends the oldest if that makes too many; `true` if it did.
    pub(super) fn take_in(&mut self, source: Source, handle: AbortHandle, limits: &Limits) -> bool {
        self.places.push_back((source, handle));
        if self.places.len() <= limits.startups {
            return false;
        }
        if let Some((_, oldest)) = self.places.pop_front() {
            oldest.abort();
        }
        true
    }

    /// Gives back the place of a handshake that is over.
    pub(super) fn give_back(&mut self, id: tokio::task::Id) {
        self.places.retain(|(_, handle)| handle.id() != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_source_that_fails_again_and_again_is_kept_out_for_a_while() {
        let mut penalties = Penalties::new(&Limits::default());
        let now = Instant::now();
        for _ in 0..7 {
            penalties.add(source(1), FAILED, now);
            assert!(!penalties.keep_out(source(1), now));
        }
        penalties.add(source(1), FAILED, now);
        assert!(penalties.keep_out(source(1), now));
        assert!(!penalties.keep_out(source(2), now));
        assert!(!penalties.keep_out(source(1), now + Duration::from_secs(2)));
    }

    #[test]
    fn a_penalty_ends_after_ten_minutes_however_often_it_was_earned() {
        let mut penalties = Penalties::new(&Limits::default());
        let now = Instant::now();
        for _ in 0..10_000 {
            penalties.add(source(1), REFUSED, now);
        }
        assert!(penalties.keep_out(source(1), now + LONGEST - ENFORCED_FROM));
        assert!(!penalties.keep_out(source(1), now + LONGEST));
    }

    #[test]
    fn the_table_of_penalties_stays_bounded() {
        let mut penalties = Penalties::new(&Limits::default());
        let now = Instant::now();
        for at in 0..20_000_u32 {
            penalties.add(Source::of(IpAddr::from(at.to_be_bytes())), STALLED, now);
        }
        assert_eq!(penalties.until.len(), MOST_SOURCES);
    }

    #[test]
    fn this_machine_is_spared_unless_asked_for() {
        let now = Instant::now();
        for limit_loopback in [false, true] {
            let mut penalties = Penalties::new(&Limits { limit_loopback, ..Limits::default() });
            let here = Source::of(IpAddr::from([127, 0, 0, 1]));
            for _ in 0..100 {
                penalties.add(here, FAILED, now);
            }
            assert_eq!(penalties.keep_out(here, now), limit_loopback);
        }
    }

    #[test]
    fn one_customer_of_an_ipv6_provider_is_one_source() {
        let [one, two, other] =
            ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"].map(|a| Source::of(a.parse().unwrap()));
        assert!(one == two && one != other);
        assert_eq!(Source::of("::ffff:192.0.2.1".parse().unwrap()), source(1));
    }
}
