//! Trust: what we call a key ([`Peers`]), and what a key may do here ([`Allowlist`]).

mod allow;
mod names;
mod peers;
mod time;

pub use allow::{ALLOW, Allowlist, Expiry, Grant, Right, Rule, check_command, check_root};
pub use names::{Names, key_beginning};
pub use peers::{MAX_ADDRESSES, PEERS, Peer, Peers};
pub use time::Time;

use crate::addr::HostPort;
use crate::error::{Error, Result};
use crate::key::PublicKey;
use std::time::{Duration, SystemTime};

/// The proof that a key may talk to a service that takes everybody but those it refuses. Only such a service makes one.
#[derive(Clone, Copy, Debug)]
pub struct Admission(PublicKey);

impl Admission {
    /// Lets `key` in.
    pub(crate) fn of(key: PublicKey) -> Self {
        Admission(key)
    }

    /// Who is let in.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.0
    }
}

/// Longest name of a peer: a host label (RFC 1035).
const MAX_NAME_LEN: usize = 63;

/// Refuses what would not work as a name in a command line, beside a key, before a colon or on a terminal.
///
/// # Errors
/// The reason.
pub fn check_name(name: &str) -> Result<()> {
    let wrong = |why: &str| Err(Error::usage(format!("{} cannot be a name: {why}", quoted(name))));
    if name.is_empty() || name.len() > MAX_NAME_LEN {
        return wrong("a name has 1 to 63 characters");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return wrong("letters, digits, '-', '_' and '.' may stand in one");
    }
    if name.starts_with(['-', '.']) {
        return wrong("it must not start with '-' or '.'");
    }
    if looks_like_key(name) {
        return wrong("it looks like a key");
    }
    Ok(())
}

/// Refuses what would not work as the name of a cursor, before anything is printed under it.
///
/// # Errors
/// The reason.
pub fn check_cursor(name: &str) -> Result<()> {
    match name {
        _ if name.starts_with("exec") => Err(Error::usage("the cursors whose names begin with 'exec' are the hook's")),
        _ => check_name(name).map_err(|_| {
            Error::usage(format!("'{}' cannot be the name of a cursor", name.escape_debug()))
                .hint("1 to 63 letters, digits, '-', '_' and '.' make one")
        }),
    }
}

/// Whether `text` was meant as a key, well formed or not.
#[must_use]
pub fn looks_like_key(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.starts_with("kwsecret1") || (lower.starts_with("kw1") && lower.len() >= 40)
}

/// Reads a key from a command line.
///
/// # Errors
/// A slip in it is a wrong command line (exit status 2), whatever is wrong with it.
pub fn parse_key(text: &str) -> Result<PublicKey> {
    text.parse().map_err(|wrong: Error| Error::usage(format!("{}: {wrong}", quoted(text))).hints_of(&wrong))
}

/// One key and its addresses, from arguments of the form `KEY` and `KEY@HOST:PORT`; `usage` is the hint if there
/// are none.
///
/// # Errors
/// No key, several keys, and what is neither.
pub fn key_and_addresses(words: &[String], usage: &str) -> Result<(PublicKey, Vec<HostPort>)> {
    let mut key = None;
    let mut addresses = Vec::new();
    for word in words {
        let (found, at) = match word.split_once('@') {
            Some((text, at)) => (parse_key(text)?, Some(at.parse()?)),
            None => (parse_key(word)?, None),
        };
        addresses.extend(at);
        if *key.get_or_insert(found) != found {
            return Err(
                Error::usage("the keys differ: one name stands for one key").hint("add each under its own name")
            );
        }
    }
    let key = key.ok_or_else(|| Error::usage("no key is given").hint(usage))?;
    Ok((key, addresses))
}

/// What the user wrote, for an error; a secret key is not repeated.
fn quoted(text: &str) -> String {
    match text.to_ascii_lowercase().contains("kwsecret1") {
        true => "'kwsecret1...'".to_owned(),
        false => format!("'{}'", text.escape_debug()),
    }
}

/// The last second that RFC 3339 can write, in seconds since 1970: 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

/// `now` in state files: RFC 3339, UTC, whole seconds. A clock that is beyond what that can write is taken to its edge.
#[must_use]
pub fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = since.min(Duration::from_secs(LAST_SECOND));
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since).to_string()
}

/// `at` as messages have it: milliseconds since 1970. A clock that is set before that says 0.
#[must_use]
pub fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads how long something may take: `5s`, `500ms`, `2m 30s`, `0`.
///
/// # Errors
/// Anything else.
pub fn parse_span(text: &str) -> Result<Duration> {
    humantime::parse_duration(text).map_err(|_| {
        Error::usage(format!("'{}' is not how long", text.escape_debug()))
            .hint("write a number and a unit, as 500ms, 5s, 2m or 7d")
    })
}

/// Reads a time that is past: RFC 3339, a day as `2026-12-31`, or how long before `now` as `12h`.
///
/// # Errors
/// Anything else.
pub fn parse_past(text: &str, now: SystemTime) -> Result<SystemTime> {
    let day = format!("{text}T00:00:00Z");
    humantime::parse_rfc3339_weak(text)
        .or_else(|_| humantime::parse_rfc3339(&day))
        .ok()
        .or_else(|| now.checked_sub(humantime::parse_duration(text).ok()?))
        .filter(|then| *then >= SystemTime::UNIX_EPOCH)
        .ok_or_else(|| {
            Error::usage(format!("'{}' is not a time", text.escape_debug()))
                .hint("write how long ago (12h, 7d) or when (2026-12-31, 2026-12-31T18:00:00Z)")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_work_as_a_name_is_refused() {
        let key = crate::key::KeyPair::generate().unwrap().public().to_string();
        let long = "a".repeat(64);
        for name in ["", "-a", ".a", "a b", "a@b", "a:b", "a/b", "\u{e4}", "a\n", &long, &key, &key.to_uppercase()] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["a", "A-b_c.d", "7", "kw1", &"a".repeat(63)] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_secret_key_in_the_wrong_place_is_not_repeated() {
        for wrong in [check_name("kwsecret1qqq").unwrap_err(), parse_key("KWSECRET1QQQ").unwrap_err()] {
            assert!(!wrong.to_string().to_lowercase().contains("qqq"), "{wrong}");
        }
    }

    #[test]
    fn a_clock_gone_wild_still_gives_a_timestamp() {
        let (day, ages) = (Duration::from_secs(86_400), Duration::from_secs(1 << 40));
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH - day), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH + ages), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn a_past_time_is_written_as_a_time_a_day_or_how_long_ago() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let now = at(1_000_000);
        for (text, seconds) in [("2h", 992_800), ("0", 1_000_000), ("1970-01-02", 86_400), ("1970-01-01T00:00:07Z", 7)]
        {
            assert_eq!(parse_past(text, now).unwrap(), at(seconds), "{text}");
        }
        assert!(parse_past("soon", now).is_err() && parse_past("99999y", now).is_err());
        assert_eq!(parse_span("1m 30s").unwrap(), Duration::from_secs(90));
        assert!(parse_span("5").is_err() && parse_span("-5s").is_err());
    }
}
