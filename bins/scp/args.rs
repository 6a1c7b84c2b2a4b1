//! The command line of kw-scp.

use argh::{ArgsInfo, FromArgs};
use keywire::cli::PathArg;

/// Copy files to, from and between hosts that have a key.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq)]
#[argh(help_triggers("-h", "--help"))]
pub(crate) struct Args {
    /// taken because scp has it: between two hosts, files always go through here
    #[argh(switch, short = '3')]
    #[allow(dead_code, reason = "there is no other way")]
    pub(crate) through: bool,

    /// dial IPv4 addresses only
    #[argh(switch, short = '4')]
    pub(crate) ipv4: bool,

    /// dial IPv6 addresses only
    #[argh(switch, short = '6')]
    pub(crate) ipv6: bool,

    /// our key pair (default identity.json in the state directory)
    #[argh(option, short = 'i', arg_name = "file")]
    pub(crate) identity: Option<PathArg>,

    /// at most so many Kbit a second
    #[argh(option, short = 'l', arg_name = "kbit")]
    pub(crate) limit: Option<u64>,

    /// the port where a source or target names none (default 2022)
    #[argh(option, short = 'P', arg_name = "port")]
    pub(crate) port: Option<u16>,

    /// keep permissions and times
    #[argh(switch, short = 'p')]
    pub(crate) preserve: bool,

    /// show no progress
    #[argh(switch, short = 'q')]
    pub(crate) quiet: bool,

    /// copy directories, with all that is in them
    #[argh(switch, short = 'r')]
    pub(crate) recursive: bool,

    /// say where each connection goes, and each item that is stored
    #[argh(switch, short = 'v')]
    pub(crate) verbose: bool,

    /// dial our own key too
    #[argh(switch)]
    pub(crate) allow_self: bool,

    /// copy nothing, and say what would be copied
    #[argh(switch)]
    pub(crate) dry_run: bool,

    /// leave out what matches, and all below it; may be repeated
    #[argh(option, arg_name = "glob")]
    pub(crate) exclude: Vec<PathArg>,

    /// have each file on the disk before it gets its name
    #[argh(switch)]
    pub(crate) fsync: bool,

    /// say what becomes of each item in JSON, an object a line
    #[argh(switch)]
    pub(crate) json: bool,

    /// seconds of silence after which the host is asked whether it is there; 0 never asks (default 15)
    #[argh(option, arg_name = "seconds", default = "15")]
    pub(crate) keepalive: u64,

    /// copy symbolic links as such
    #[argh(switch)]
    pub(crate) links: bool,

    /// do not wait until what was copied is on the disk
    #[argh(switch)]
    pub(crate) no_sync: bool,

    /// read the identity's passphrase from a file
    #[argh(option, arg_name = "file")]
    pub(crate) passphrase_file: Option<PathArg>,

    /// go on from what an interrupted copy has left
    #[argh(switch)]
    pub(crate) resume: bool,

    /// compare the hash of every file at both ends
    #[argh(switch)]
    pub(crate) verify: bool,

    /// what to copy, and last the place to copy it to: PATH, NAME:PATH, KEY@HOST:PATH, KEY@HOST:PORT:PATH, or -
    #[argh(positional, arg_name = "path")]
    pub(crate) paths: Vec<PathArg>,
}

#[cfg(test)]
impl Args {
    /// What these words mean; a lone `-` is as the command line reader hands it on.
    pub(crate) fn of(words: &[&str]) -> Self {
        let words: Vec<_> = words.iter().map(|word| if *word == "-" { "\u{f8ff}-" } else { word }).collect();
        Args::from_args(&[crate::NAME], &words).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::FlagInfoKind;

    /// The letters of scp, with a value and without (OpenSSH 9.2).
    const OF_SCP: (&str, &str) = ("cDFiJloPSX", "346ABCOpqRrsTv");

    #[test]
    fn no_letter_of_scp_is_something_else_here() {
        let ours = Args::get_args_info();
        let same = "346pqrv".chars().map(|letter| (letter, false)).chain("ilP".chars().map(|letter| (letter, true)));
        let same: Vec<_> = same.collect();
        for flag in ours.flags {
            let Some(letter) = flag.short else { continue };
            let takes_value = matches!(flag.kind, FlagInfoKind::Option { .. });
            assert!(letter == 'h' || same.contains(&(letter, takes_value)), "-{letter}");
            assert!(letter == 'h' || [OF_SCP.0, OF_SCP.1][usize::from(!takes_value)].contains(letter), "-{letter}");
        }
        assert_eq!(ours.flags.iter().filter(|flag| flag.short.is_some_and(|letter| letter != 'h')).count(), same.len());
    }
}
