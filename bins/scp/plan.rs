//! What is to be copied from where to where, settled before anything is dialed.

use crate::args::Args;
use crate::operand::{Host, Operand, shown};
use keywire::error::{Error, Result};
use keywire::proto::copy::{MAX_ASKED, Request, Sync, Way};
use keywire::root::MAX_PATH_LEN;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes a second of one Kbit a second, as scp counts them.
const KBIT: u64 = 1024 / 8;

/// All that is to be copied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// One after the other.
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) to: To,
}

/// Sources that are on one machine, in the order in which they were written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) from: From,
    pub(crate) sources: Vec<Vec<u8>>,
}

/// Where sources are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Standard input.
    Stdin,
    /// This machine.
    Here,
    /// A host.
    Host(Host),
}

/// Where they go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// Standard output.
    Stdout,
    /// A path on this machine.
    Here(Vec<u8>),
    /// A path on a host.
    Host(Host, Vec<u8>),
}

impl Plan {
    /// Settles what `args` ask for.
    ///
    /// # Errors
    /// Arguments that make no sense together, and several sources for a local target that is no directory.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let mut operands =
            args.paths.iter().map(|path| Operand::parse(path.as_bytes())).collect::<Result<Vec<Operand>>>()?;
        let to = match operands.pop() {
            Some(target) if !operands.is_empty() => target,
            _ => return Err(Error::usage("a source and a target are needed").hint("kw-scp SOURCE... TARGET")),
        };
        check(args, &operands, &to)?;
        let is_several = operands.len() > 1;
        let to = match to {
            Operand::Dash => To::Stdout,
            Operand::Here(path) if is_several => To::Here(directory(path)?),
            Operand::Here(path) => To::Here(path),
            Operand::There(host, path) if is_several => To::Host(host, as_directory(path)?),
            Operand::There(host, path) => To::Host(host, path),
        };
        let transfers = transfers(operands);
        if transfers.iter().any(|transfer| transfer.sources.len() + args.exclude.len() > MAX_ASKED) {
            return Err(Error::usage(format!("more than {MAX_ASKED} sources and patterns")));
        }
        Ok(Plan { transfers, to })
    }

    /// The hosts that will be dialed.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Host> {
        let from = self.transfers.iter().filter_map(|transfer| match &transfer.from {
            From::Host(host) => Some(host),
            From::Stdin | From::Here => None,
        });
        from.chain(match &self.to {
            To::Host(host, _) => Some(host),
            To::Stdout | To::Here(_) => None,
        })
    }
}

/// What the two ends of a transfer are asked for.
pub(crate) fn request(args: &Args, way: Way, totals: bool) -> Request {
    Request {
        recursive: args.recursive,
        preserve: args.preserve,
        links: args.links,
        resume: args.resume,
        verify: args.verify,
        dry_run: args.dry_run,
        totals,
        sync: match (args.fsync, args.no_sync) {
            (true, _) => Sync::Each,
            (_, true) => Sync::None,
            _ => Sync::End,
        },
        ..Request::new(way)
    }
}

/// Most bytes a second.
pub(crate) fn rate(args: &Args) -> Result<Option<u64>> {
    match args.limit {
        Some(0) => Err(Error::usage("-l 0 would copy nothing").hint("without -l there is no limit")),
        limit => Ok(limit.map(|kbit| kbit.saturating_mul(KBIT))),
    }
}

/// Refuses what makes no sense together.
fn check(args: &Args, sources: &[Operand], to: &Operand) -> Result<()> {
    if args.fsync && args.no_sync {
        return Err(Error::usage("--fsync and --no-sync exclude each other"));
    }
    if args.ipv4 && args.ipv6 {
        return Err(Error::usage("-4 and -6 exclude each other"));
    }
    if args.exclude.iter().any(|pattern| pattern.as_bytes().is_empty()) {
        return Err(Error::usage("--exclude has an empty pattern"));
    }
    if args.exclude.iter().any(|pattern| pattern.as_bytes().len() > MAX_PATH_LEN) {
        return Err(Error::usage(format!("--exclude has a pattern that is longer than {MAX_PATH_LEN} bytes")));
    }
    let is_stdin = sources.contains(&Operand::Dash);
    if is_stdin && sources.len() > 1 {
        return Err(Error::usage("standard input is copied alone: '-' is the only source")
            .hint("a file of that name is written './-'"));
    }
    let is_stream = is_stdin || *to == Operand::Dash;
    if is_stream && args.resume {
        return Err(Error::usage("--resume cannot go on in the middle of standard input or output"));
    }
    if is_stream && args.dry_run {
        return Err(Error::usage("--dry-run has nothing to look at in standard input or output"));
    }
    if *to == Operand::Dash && args.json {
        return Err(Error::usage("standard output is the target, and --json needs it too"));
    }
    let is_remote = |operand: &Operand| matches!(operand, Operand::There(..));
    match sources.iter().find(|source| !is_remote(source)) {
        Some(source) if !is_remote(to) => Err(neither_is_remote(source, to)),
        _ => Ok(()),
    }
}

fn neither_is_remote(source: &Operand, to: &Operand) -> Error {
    let names = |operand: &Operand| match operand {
        Operand::Here(path) | Operand::There(_, path) => shown(path),
        Operand::Dash => "-".to_owned(),
    };
    let error = Error::usage(format!("neither '{}' nor '{}' is on a host", names(source), names(to)));
    match [source, to].into_iter().map(names).find(|name| name.contains('@') && !name.contains(['/', ':'])) {
        Some(name) => error.hint(format!("behind a host there is a colon: '{name}:'")),
        None => error.hint("a path on a host is written NAME:PATH; cp copies from here to here"),
    }
}

/// A local target that must be a directory.
fn directory(path: Vec<u8>) -> Result<Vec<u8>> {
    let why = match Path::new(OsStr::from_bytes(&path)).metadata() {
        Ok(found) if found.is_dir() => return Ok(path),
        Ok(_) => "not a directory",
        Err(_) => "no such directory",
    };
    Err(Error::no(format!("{}: {why}", shown(&path))).hint("several sources need a target that is a directory"))
}

/// The path of a remote target as it only exists if it is a directory.
fn as_directory(mut path: Vec<u8>) -> Result<Vec<u8>> {
    path.extend_from_slice(match path.last() {
        None | Some(b'/') => b".",
        Some(_) => b"/.",
    });
    if path.len() > MAX_PATH_LEN {
        return Err(Error::usage(format!("a path is longer than {MAX_PATH_LEN} bytes")));
    }
    Ok(path)
}

/// Sources of one machine that follow each other are one transfer.
fn transfers(sources: Vec<Operand>) -> Vec<Transfer> {
    let mut transfers: Vec<Transfer> = Vec::new();
    for source in sources {
        let (from, source) = match source {
            Operand::Dash => (From::Stdin, None),
            Operand::Here(path) => (From::Here, Some(path)),
            Operand::There(host, path) => (From::Host(host), Some(path)),
        };
        match transfers.last_mut() {
            Some(last) if last.from.is_same_machine(&from) => last.sources.extend(source),
            _ => transfers.push(Transfer { from, sources: source.into_iter().collect() }),
        }
    }
    transfers
}

impl From {
    fn is_same_machine(&self, other: &From) -> bool {
        match (self, other) {
            (From::Host(one), From::Host(other)) => one.written == other.written,
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &[&str]) -> Result<Plan> {
        Plan::new(&Args::of(words))
    }

    fn refused(words: &[&str]) -> String {
        let error = plan(words).unwrap_err();
        assert_eq!(error.kind(), keywire::error::Kind::Usage, "{words:?}: {error}");
        format!("{error} {}", error.hints().concat())
    }

    /// The transfers of a plan: the host, and the sources.
    fn groups(words: &[&str]) -> Vec<(Option<String>, Vec<String>)> {
        let text = |path: &Vec<u8>| String::from_utf8(path.clone()).unwrap();
        let host = |from: &From| match from {
            From::Host(host) => Some(host.written.clone()),
            From::Stdin | From::Here => None,
        };
        let group = |one: &Transfer| (host(&one.from), one.sources.iter().map(text).collect::<Vec<_>>());
        plan(words).unwrap().transfers.iter().map(group).collect()
    }

    #[test]
    fn sources_of_one_machine_that_follow_each_other_are_one_transfer() {
        let words = ["a", "b", "box:c", "box:d", "k@h:e", "k@h:1:f", "box:g", "h", "box:"];
        let [a, b, box_, at, port] =
            [None, None, Some("box"), Some("k@h"), Some("k@h:1")].map(|h| h.map(str::to_owned));
        assert_eq!(
            groups(&words),
            [
                (a, vec!["a".to_owned(), "b".to_owned()]),
                (box_.clone(), vec!["c".to_owned(), "d".to_owned()]),
                (at, vec!["e".to_owned()]),
                (port, vec!["f".to_owned()]),
                (box_, vec!["g".to_owned()]),
                (b, vec!["h".to_owned()]),
            ]
        );
    }

    #[test]
    fn a_target_for_several_sources_is_named_so_that_only_a_directory_will_do() {
        for (target, path) in [("box:", "."), ("box:d", "d/."), ("box:d/", "d/."), ("box:/", "/."), ("box:~", "~/.")] {
            let To::Host(_, named) = plan(&["a", "b", target]).unwrap().to else { panic!("{target}") };
            assert_eq!(named, path.as_bytes(), "{target}");
            let To::Host(_, named) = plan(&["a", target]).unwrap().to else { panic!("{target}") };
            assert_eq!(named, &target.as_bytes()[4..], "{target}");
        }
        assert!(plan(&["box:a", "box:b", "."]).is_ok());
        for (target, why) in [("./no-such", "no such directory"), ("Cargo.toml", "not a directory")] {
            let error = plan(&["box:a", "box:b", target]).unwrap_err();
            assert_eq!(error.kind(), keywire::error::Kind::No);
            assert_eq!(error.to_string(), format!("{target}: {why}"));
        }
    }

    #[test]
    fn standard_input_and_output_stand_alone() {
        assert_eq!(plan(&["-", "box:f"]).unwrap().transfers[0], Transfer { from: From::Stdin, sources: vec![] });
        assert_eq!(plan(&["box:f", "box:g", "-"]).unwrap().to, To::Stdout);
        assert!(refused(&["-", "a", "box:d"]).contains("alone"));
        assert!(refused(&["--resume", "-", "box:d"]).contains("--resume"));
        assert!(refused(&["--dry-run", "box:d", "-"]).contains("--dry-run"));
        assert!(refused(&["--json", "box:d", "-"]).contains("--json"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_dialed() {
        assert!(refused(&[]).contains("needed"));
        assert!(refused(&["box:a"]).contains("needed"));
        assert!(refused(&["a", "b"]).contains("cp copies"));
        assert!(refused(&["a", "-"]).contains("cp copies"));
        assert!(refused(&["-", "-"]).contains("cp copies"));
        assert!(refused(&["box:a", "b", "c"]).contains("'b' nor 'c'"));
        assert!(refused(&["a", "key@host"]).contains("'key@host:'"));
        assert!(refused(&["--fsync", "--no-sync", "a", "box:"]).contains("exclude each other"));
        assert!(refused(&["-4", "-6", "a", "box:"]).contains("exclude each other"));
        assert!(refused(&["--exclude", "", "a", "box:"]).contains("empty"));
        assert!(refused(&["", "box:"]).contains("empty"));
        assert_eq!(rate(&Args::of(&["-l", "0", "a", "box:"])).unwrap_err().kind(), keywire::error::Kind::Usage);
    }

    #[test]
    fn the_limit_counts_bits_as_scp_does() {
        assert_eq!(rate(&Args::of(&["-l", "8", "a", "box:"])).unwrap(), Some(1024));
        assert_eq!(rate(&Args::of(&["-l", "18446744073709551615", "a", "box:"])).unwrap(), Some(u64::MAX));
        assert_eq!(rate(&Args::of(&["a", "box:"])).unwrap(), None);
    }

    #[test]
    fn each_option_is_a_wish_of_the_same_name() {
        let plain = Request::new(Way::ToHost);
        for (option, wished) in [
            ("-r", Request { recursive: true, ..plain }),
            ("-p", Request { preserve: true, ..plain }),
            ("--links", Request { links: true, ..plain }),
            ("--resume", Request { resume: true, ..plain }),
            ("--verify", Request { verify: true, ..plain }),
            ("--dry-run", Request { dry_run: true, ..plain }),
            ("--fsync", Request { sync: Sync::Each, ..plain }),
            ("--no-sync", Request { sync: Sync::None, ..plain }),
            ("-q", plain),
        ] {
            assert_eq!(request(&Args::of(&[option, "a", "box:"]), Way::ToHost, false), wished, "{option}");
        }
    }
}
