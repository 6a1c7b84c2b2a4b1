//! Addresses: where a party listens, and which key must answer there.

use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::term;
use std::fmt;
use std::str::FromStr;

/// Longest host name that DNS can carry (RFC 1035 section 2.3.4, as text).
pub const MAX_HOST_LEN: usize = 253;

/// `HOST:PORT`, `[V6]:PORT`, or either without a port where the service has a default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: String,
    port: Option<u16>,
}

impl HostPort {
    /// The host: a name, an IPv4 address, or an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same host with `port`.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }
}

impl FromStr for HostPort {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) =
                    rest.split_once(']').ok_or_else(|| bad_address(text, "the bracket is not closed"))?;
                let address = host.split_once('%').map_or(host, |(address, _zone)| address);
                if address.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(bad_address(text, "brackets are for IPv6 addresses"));
                }
                match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if after.is_empty() => (host, None),
                    None => return Err(bad_address(text, "a colon and a port must follow the bracket")),
                }
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(bad_address(text, "an IPv6 address is written in brackets, as in [::1]:2022"));
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.len() > MAX_HOST_LEN {
            return Err(bad_address(text, "there is no host in it"));
        }
        // It may come from a stranger, on a card or in a link, and is shown as it is.
        if host.chars().any(|c| c.is_whitespace() || term::is_unsafe(c) || "/@,".contains(c)) {
            return Err(bad_address(text, "that is no host name"));
        }
        let port = match port {
            Some(digits) => Some(digits.parse().map_err(|_| bad_address(text, "a port is a number from 0 to 65535"))?),
            None => None,
        };
        Ok(HostPort { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl serde::Serialize for HostPort {
    fn serialize<S: serde::Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for HostPort {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// `KEY@HOST:PORT`: the key that must answer, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddr {
    /// The key that must be at the other end.
    pub key: PublicKey,
    /// Where it listens.
    pub at: HostPort,
}

impl FromStr for PeerAddr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, at) = text
            .split_once('@')
            .ok_or_else(|| Error::usage(format!("not an address: '{text}' has no '@'")).hint("write KEY@HOST:PORT"))?;
        // The text is not repeated: it may hold a secret key by mistake.
        let key = key
            .parse()
            .map_err(|wrong: Error| Error::usage(format!("in an address KEY@HOST:PORT: {wrong}")).hints_of(&wrong))?;
        Ok(PeerAddr { key, at: at.parse()? })
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key, self.at)
    }
}

impl serde::Serialize for PeerAddr {
    fn serialize<S: serde::Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PeerAddr {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn bad_address(text: &str, why: &str) -> Error {
    Error::usage(format!("not an address: '{}': {why}", term::sanitize_line(text)))
        .hint("write HOST:PORT or [IPV6]:PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_survives_a_round_trip() {
        for text in ["host:1", "host", "10.0.0.7:65535", "[::1]:2022", "[fe80::1%eth0]:7", "[::1]", "a-b.example:0"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        for text in [
            "",
            ":1",
            "::1",
            "::1:22",
            "[::1",
            "[::1]22",
            "[host]:1",
            "[x%y]:1",
            "host:",
            "host:x",
            "host:65536",
            "a b:1",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
        let why = "::1:22".parse::<HostPort>().unwrap_err().to_string();
        assert!(why.contains("brackets"), "{why}");
    }

    #[test]
    fn a_host_name_that_could_fool_a_terminal_is_refused_and_not_repeated_as_it_is() {
        for c in
            ['\u{1b}', '\u{ad}', '\u{200b}', '\u{202e}', '\u{2066}', '\u{3164}', '\u{fe0f}', '\u{feff}', '\u{e0041}']
        {
            for text in [format!("evil{c}moc.knab:22"), format!("evil{c}"), format!("[fe80::1%{c}]:22")] {
                let told = text.parse::<HostPort>().unwrap_err().to_string();
                assert!(told.contains("no host name") && !told.contains(term::is_unsafe), "{told:?}");
            }
        }
        assert_eq!("bücher.example:1".parse::<HostPort>().unwrap().host(), "bücher.example");
    }

    #[test]
    fn a_peer_address_needs_a_key_and_a_host() {
        let key = crate::key::KeyPair::generate().unwrap().public();
        let text = format!("{key}@[::1]:2022");
        let addr: PeerAddr = text.parse().unwrap();
        assert_eq!((addr.key, addr.at.port(), addr.to_string()), (key, Some(2022), text));
        assert!("host:22".parse::<PeerAddr>().is_err());
        assert!(format!("{key}@").parse::<PeerAddr>().is_err());
    }
}
