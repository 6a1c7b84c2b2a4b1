//! Sources and targets, as they are written.

use keywire::addr::{HostPort, PeerAddr};
use keywire::error::{Error, Kind, Result};
use keywire::proto::pty::PTY;
use keywire::root::MAX_PATH_LEN;
use keywire::term::sanitize_line;
use keywire::trust::Peers;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A source or a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// Standard input or output.
    Dash,
    /// A path on this machine.
    Here(Vec<u8>),
    /// A path on a host.
    There(Host, Vec<u8>),
}

/// A host, as it was written in front of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// What was written, for people.
    pub(crate) written: String,
    /// A local file that has the whole operand as its name, and may be what was meant.
    namesake: Option<String>,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A name or a key of the address book.
    Known(String),
    /// A key, or its name, at an address.
    At(String, HostPort),
}

impl Operand {
    /// Reads an operand by the rules of scp: remote is what has a colon that neither comes first nor has a slash before it.
    ///
    /// # Errors
    /// An empty local path, a path that is too long for any system, and a host that cannot be one.
    pub(crate) fn parse(word: &[u8]) -> Result<Self> {
        let operand = match split(word) {
            _ if word == b"-" => Operand::Dash,
            None if word.is_empty() => {
                return Err(Error::usage("a source or target is empty").hint("the directory we are in is '.'"));
            }
            None => Operand::Here(word.to_vec()),
            Some((host, path)) => {
                let (host, path) = Host::parse(word, host, path)?;
                Operand::There(host, path.to_vec())
            }
        };
        match &operand {
            Operand::Here(path) | Operand::There(_, path) if path.len() > MAX_PATH_LEN => {
                Err(Error::usage(format!("a path is longer than {MAX_PATH_LEN} bytes")))
            }
            _ => Ok(operand),
        }
    }
}

impl Host {
    /// Reads what stands before the first colon, `host`, and takes the port from the front of the path.
    fn parse<'a>(word: &[u8], host: &[u8], path: &'a [u8]) -> Result<(Self, &'a [u8])> {
        let Ok(text) = std::str::from_utf8(host) else {
            return Err(Error::usage(format!("no host is called '{}'", shown(host))).hint(local_hint(&shown(word))));
        };
        let is_there = Path::new(OsStr::from_bytes(word)).symlink_metadata().is_ok();
        let namesake = is_there.then(|| shown(word));
        let named = |error: Error| match &namesake {
            Some(file) => error.hint(local_hint(file)),
            None => error,
        };
        if text.starts_with('[') {
            return Err(named(Error::usage(format!("there is no key in front of '{text}'")))
                .hint(format!("write KEY@{text}:PATH, where KEY is the host's key or its name in the address book")));
        }
        let Some((key, address)) = text.split_once('@') else {
            let place = Place::Known(text.to_owned());
            return Ok((Host { written: text.to_owned(), namesake, place }, path));
        };
        let at: HostPort = address.parse().map_err(named)?;
        let (at, written, path) = match port(path) {
            Some((port, path)) => (at.with_port(port), format!("{text}:{port}"), path),
            None => (at, text.to_owned(), path),
        };
        Ok((Host { written, namesake, place: Place::At(key.to_owned(), at) }, path))
    }

    /// Whom to dial, and where: at the port that was written, else at `port`, else at that of the address book, else at the
    /// service's own.
    ///
    /// # Errors
    /// A name that nobody has, a key with a slip in it, and a peer without an address.
    pub(crate) fn resolve(&self, peers: &Peers, port: Option<u16>) -> Result<PeerAddr> {
        let found = match &self.place {
            Place::Known(text) => peers.resolve(text, PTY.port).map(|found| match port {
                Some(port) => PeerAddr { key: found.key, at: found.at.with_port(port) },
                None => found,
            }),
            Place::At(key, at) => peers.resolve_key(key).map(|key| {
                let port = at.port().or(port).or(PTY.port).unwrap_or(0);
                PeerAddr { key, at: at.clone().with_port(port) }
            }),
        };
        found.map_err(|error| self.hinted(error))
    }

    /// The same failure, with this host in front where it is about a path there.
    pub(crate) fn named(&self, error: Error) -> Error {
        match error.kind() {
            Kind::No => Error::no(format!("{}:{error}", shown(self.written.as_bytes()))),
            _ => error,
        }
    }

    /// The same failure to reach this host, with a hint if it may not be a host that was meant.
    pub(crate) fn hinted(&self, error: Error) -> Error {
        match &self.namesake {
            Some(file) => error.hint(local_hint(file)),
            None => error,
        }
    }
}

fn local_hint(file: &str) -> String {
    format!("a file of this machine that is called so is written './{file}'")
}

/// What stands before and behind the colon that makes an operand a remote one. A colon in brackets is part of an address.
fn split(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let bracketed = word.starts_with(b"[") || {
        let before = word.split(|byte| matches!(byte, b':' | b'/')).next()?;
        before.windows(2).any(|pair| pair == b"@[")
    };
    let from = if bracketed { word.windows(2).position(|pair| pair == b"]:")? + 1 } else { 0 };
    let (address, rest) = word.split_at_checked(from)?;
    let colon = from + rest.iter().position(|byte| *byte == b':')?;
    let (host, path) = word.split_at_checked(colon)?;
    (!host.is_empty() && !host.contains(&b'/') && !address.contains(&b'/')).then_some(())?;
    Some((host, path.get(1..)?))
}

/// The port in front of a path, if there is one, and the rest: digits up to 65535 and another colon.
fn port(path: &[u8]) -> Option<(u16, &[u8])> {
    let colon = path.iter().position(|byte| *byte == b':')?;
    let (digits, rest) = path.split_at_checked(colon)?;
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let port = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    Some((port, rest.get(1..)?))
}

/// Bytes of a path for people, on one line and without what could mislead a terminal.
pub(crate) fn shown(path: &[u8]) -> String {
    let mut text = String::new();
    for chunk in path.utf8_chunks() {
        text.push_str(&sanitize_line(chunk.valid()));
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywire::key::KeyPair;
    use std::time::SystemTime;

    fn here(word: &str) -> Operand {
        Operand::Here(word.as_bytes().to_vec())
    }

    /// Host and path as they were understood; none if the operand is local.
    fn remote(word: &str) -> Option<(String, String)> {
        match Operand::parse(word.as_bytes()).unwrap() {
            Operand::There(host, path) => Some((host.written, String::from_utf8(path).unwrap())),
            _ => None,
        }
    }

    #[test]
    fn a_path_is_local_without_a_colon_with_a_slash_before_it_and_with_a_colon_in_front() {
        for word in
            ["a", "./a:b", "/a:b", "a/b:c", ":a", ":", "./-", "..", "a@b", "x/[::1]:y", "[::1]", "k@[::1]", "a/@[b:c"]
        {
            assert_eq!(Operand::parse(word.as_bytes()).unwrap(), here(word), "{word}");
        }
        assert_eq!(Operand::parse(b"-").unwrap(), Operand::Dash);
        assert!(Operand::parse(b"").is_err());
    }

    #[test]
    fn what_stands_behind_the_first_colon_is_the_path() {
        for (word, host, path) in [
            ("box:a", "box", "a"),
            ("box:", "box", ""),
            ("box:-", "box", "-"),
            ("box:a:b", "box", "a:b"),
            ("box:22:a", "box", "22:a"),
            ("box:/a:b/c", "box", "/a:b/c"),
            ("box:[x]:y", "box", "[x]:y"),
            ("k@h:a", "k@h", "a"),
            ("k@h:", "k@h", ""),
            ("k@[::1]:a", "k@[::1]", "a"),
            ("k@[fe80::1%eth0]:a]:b", "k@[fe80::1%eth0]", "a]:b"),
        ] {
            assert_eq!(remote(word), Some((host.to_owned(), path.to_owned())), "{word}");
        }
    }

    #[test]
    fn a_number_between_two_colons_behind_an_address_is_the_port() {
        for (word, host, path) in [
            ("k@h:22:a", "k@h:22", "a"),
            ("k@h:22:", "k@h:22", ""),
            ("k@h:22", "k@h", "22"),
            ("k@h:65535:a:b", "k@h:65535", "a:b"),
            ("k@h:65536:a", "k@h", "65536:a"),
            ("k@h:+1:a", "k@h", "+1:a"),
            ("k@h::a", "k@h", ":a"),
            ("k@[::1]:7:a", "k@[::1]:7", "a"),
            ("k@h:./22:a", "k@h", "./22:a"),
        ] {
            assert_eq!(remote(word), Some((host.to_owned(), path.to_owned())), "{word}");
        }
    }

    #[test]
    fn what_cannot_be_a_host_is_refused_with_the_way_to_write_a_file_of_that_name() {
        let error = Operand::parse(b"\xff:a").unwrap_err();
        assert!(error.hints().concat().contains("'./\\xff:a'"), "{error:?}");
        let error = Operand::parse(b"[::1]:a").unwrap_err();
        assert!(error.hints().concat().contains("KEY@[::1]:PATH"), "{error:?}");
        assert!(Operand::parse(b"k@:a").is_err());
        assert!(Operand::parse(b"k@[host]:a").is_err());
    }

    #[test]
    fn a_path_may_be_any_bytes_and_no_longer_than_a_system_takes() {
        let Operand::There(_, path) = Operand::parse(b"box:\xff\n$(x) *").unwrap() else { panic!("local") };
        assert_eq!(path, b"\xff\n$(x) *");
        let long = vec![b'a'; MAX_PATH_LEN];
        assert!(Operand::parse(&long).is_ok());
        assert!(Operand::parse(&[&long[..], b"a"].concat()).is_err());
        assert!(Operand::parse(&[b"box:", &long[..], b"a"].concat()).is_err());
    }

    #[test]
    fn the_port_is_the_written_one_else_the_option_else_the_address_books_else_the_services() {
        let key = KeyPair::generate().unwrap().public();
        let mut peers = Peers::default();
        peers.add("box", key, &["h:7".parse().unwrap()], "", SystemTime::UNIX_EPOCH).unwrap();
        for (word, option, port) in [
            ("box:a".to_owned(), None, 7),
            ("box:a".to_owned(), Some(9), 9),
            (format!("{key}:a"), None, 7),
            ("box@i:a".to_owned(), None, 2022),
            ("box@i:a".to_owned(), Some(9), 9),
            ("box@i:8:a".to_owned(), Some(9), 8),
            (format!("{key}@[::1]:8:a"), None, 8),
        ] {
            let Operand::There(host, path) = Operand::parse(word.as_bytes()).unwrap() else { panic!("{word}") };
            let to = host.resolve(&peers, option).unwrap();
            assert_eq!((to.key, to.at.port(), &path[..]), (key, Some(port), &b"a"[..]), "{word}");
        }
        let Operand::There(host, _) = Operand::parse(b"nobody:a").unwrap() else { panic!("local") };
        assert!(host.resolve(&peers, None).is_err());
    }

    #[test]
    fn a_path_is_shown_on_one_line_without_control_characters() {
        assert_eq!(shown(b"a\nb\x1b\xffc"), "a\\nb\\u{1b}\\xffc");
    }
}
