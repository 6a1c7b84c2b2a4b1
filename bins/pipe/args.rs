//! The command line of kw-pipe.

use argh::{ArgsInfo, FromArgs};
use std::path::PathBuf;

/// Standard input and output, a program, or a TCP port, over one encrypted connection between two keys.
#[derive(FromArgs, ArgsInfo)]
#[argh(help_triggers("-h", "--help"))]
pub(crate) struct Args {
    #[argh(subcommand)]
    pub(crate) command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum Command {
    Listen(Listen),
    Dial(Dial),
}

/// Wait for a key that is allowed to dial.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "listen", help_triggers("-h", "--help"))]
pub(crate) struct Listen {
    /// allow a key or name, beside those with the right 'pipe'; may be repeated
    #[argh(option, arg_name = "key")]
    pub(crate) allow: Vec<String>,

    /// run a command for each connection, by /bin/sh, and connect its input and output
    #[argh(option, arg_name = "command")]
    pub(crate) exec: Option<String>,

    /// open a TCP connection to HOST:PORT for each connection
    #[argh(option, arg_name = "address")]
    pub(crate) tcp: Option<String>,

    /// our key pair (default identity.json in the state directory)
    #[argh(option, short = 'i', arg_name = "file")]
    pub(crate) identity: Option<PathBuf>,

    /// read the identity's passphrase from a file
    #[argh(option, arg_name = "file")]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// no standard input
    #[argh(switch, short = 'n')]
    pub(crate) no_stdin: bool,

    /// seconds of silence after which a peer is asked whether it is there; 0 never asks (default 15)
    #[argh(option, arg_name = "seconds", default = "15")]
    pub(crate) keepalive: u64,

    /// connections that may be in the handshake at once (default 128)
    #[argh(option, arg_name = "count", default = "128")]
    pub(crate) max_startups: usize,

    /// hold this machine's own addresses to the limits for one source too
    #[argh(switch)]
    pub(crate) limit_loopback: bool,

    /// our own key may dial too
    #[argh(switch)]
    pub(crate) allow_self: bool,

    /// where to listen: HOST:PORT; port 0 takes a free one
    #[argh(positional)]
    pub(crate) address: String,
}

/// Dial a listener.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "dial", help_triggers("-h", "--help"))]
pub(crate) struct Dial {
    /// listen for TCP connections on HOST:PORT, and dial once for each of them
    #[argh(option, arg_name = "address")]
    pub(crate) tcp: Option<String>,

    /// our key pair (default identity.json in the state directory)
    #[argh(option, short = 'i', arg_name = "file")]
    pub(crate) identity: Option<PathBuf>,

    /// read the identity's passphrase from a file
    #[argh(option, arg_name = "file")]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// no standard input
    #[argh(switch, short = 'n')]
    pub(crate) no_stdin: bool,

    /// seconds of silence after which the peer is asked whether it is there; 0 never asks (default 15)
    #[argh(option, arg_name = "seconds", default = "15")]
    pub(crate) keepalive: u64,

    /// dial our own key too
    #[argh(switch)]
    pub(crate) allow_self: bool,

    /// the listener: a name, or KEY@HOST:PORT
    #[argh(positional)]
    pub(crate) peer: String,
}
