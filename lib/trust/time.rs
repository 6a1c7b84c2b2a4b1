//! Points in time as state files have them.

use super::{LAST_SECOND, timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::{Duration, SystemTime};

/// A second between 1970 and 9999; in JSON and as text the form of RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// The second of `at`. A clock that is beyond what RFC 3339 can write is taken to its edge.
    #[must_use]
    pub fn of(at: SystemTime) -> Self {
        Time(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST_SECOND))
    }

    /// The second that is `seconds` after the beginning of 1970, if RFC 3339 can write it.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Option<Self> {
        (seconds <= LAST_SECOND).then_some(Time(seconds))
    }

    /// Seconds since the beginning of 1970.
    #[must_use]
    pub fn unix(self) -> u64 {
        self.0
    }

    /// The time `later` than this.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Time(self.0.saturating_add(later.as_secs()).min(LAST_SECOND))
    }

    /// How far the two are apart, whichever is the earlier: a clock may have been set back in between.
    #[must_use]
    pub fn apart(self, other: Time) -> Duration {
        Duration::from_secs(self.0.abs_diff(other.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(self.0)))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match humantime::parse_rfc3339(&text) {
            Ok(at) => Ok(Time::of(at)),
            Err(why) => Err(serde::de::Error::custom(format!("{text}: {why}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn a_time_survives_its_text_and_what_is_none_is_refused() {
        for seconds in [0, 1_795_242_570, LAST_SECOND] {
            let time = Time::from_unix(seconds).unwrap();
            let text = json::line(&time).unwrap();
            assert_eq!(json::parse::<Time>(text.as_bytes(), 100).unwrap(), time, "{text}");
            assert_eq!(text, format!("\"{time}\""));
        }
        assert_eq!(Time::from_unix(LAST_SECOND + 1), None);
        for wrong in ["\"\"", "\"yesterday\"", "1795242570", "\"2026-13-01T00:00:00Z\"", "\"10000-01-01T00:00:00Z\""] {
            assert!(json::parse::<Time>(wrong.as_bytes(), 100).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_clock_beyond_its_edges_and_one_set_back_still_give_times() {
        let (hour, ages) = (Duration::from_secs(3600), Duration::from_secs(u64::MAX));
        let noon = Time::of(SystemTime::UNIX_EPOCH + 12 * hour);
        assert_eq!(Time::of(SystemTime::UNIX_EPOCH - hour).unix(), 0);
        assert_eq!(noon.after(ages), Time(LAST_SECOND));
        assert_eq!((noon.apart(noon.after(hour)), noon.after(hour).apart(noon)), (hour, hour));
    }
}
