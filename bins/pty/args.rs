//! The command line of kw-pty, shaped like ssh's.

use argh::{ArgsInfo, FromArgs};
use std::path::PathBuf;

/// Open a shell, or run a command, on the host that has a key.
#[derive(FromArgs, ArgsInfo)]
#[argh(help_triggers("-h", "--help"))]
pub(crate) struct Args {
    /// the key that must be at the host; PEER is then HOST or HOST:PORT
    #[argh(option, short = 'l', arg_name = "key")]
    pub(crate) login: Option<String>,

    /// the port, where PEER names none (default 2022)
    #[argh(option, short = 'p', arg_name = "port")]
    pub(crate) port: Option<u16>,

    /// our key pair (default identity.json in the state directory)
    #[argh(option, short = 'i', arg_name = "file")]
    pub(crate) identity: Option<PathBuf>,

    /// read the identity's passphrase from a file
    #[argh(option, arg_name = "file")]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// give a command a terminal; twice: even if there is none here
    #[argh(switch, short = 't')]
    pub(crate) tty: u8,

    /// no terminal on the host
    #[argh(switch, short = 'T')]
    pub(crate) no_tty: bool,

    /// no standard input
    #[argh(switch, short = 'n')]
    pub(crate) no_stdin: bool,

    /// the character that starts an escape at the beginning of a line, or none (default ~)
    #[argh(option, short = 'e', arg_name = "char", default = "\"~\".to_owned()")]
    pub(crate) escape: String,

    /// say what is being done
    #[argh(switch, short = 'v')]
    pub(crate) verbose: u8,

    /// say nothing but errors
    #[argh(switch, short = 'q')]
    pub(crate) quiet: bool,

    /// seconds of silence after which the host is asked whether it is there; 0 never asks (default 15)
    #[argh(option, arg_name = "seconds", default = "15")]
    pub(crate) keepalive: u64,

    /// dial our own key too
    #[argh(switch)]
    pub(crate) allow_self: bool,

    /// try it out: start a host on this machine with throw-away keys and open a shell on it
    #[argh(switch)]
    pub(crate) r#try: bool,

    /// the host (a name, KEY@HOST or KEY@HOST:PORT), then the command
    #[argh(positional, greedy)]
    pub(crate) words: Vec<String>,
}
