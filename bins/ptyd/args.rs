//! The command line of kw-ptyd.

use argh::{ArgsInfo, FromArgs};
use keywire::trust::Right;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Give the keys on the allowlist a shell on this machine, as the user this runs as.
#[derive(FromArgs, ArgsInfo)]
#[argh(help_triggers("-h", "--help"))]
pub(crate) struct Args {
    /// where to listen: HOST:PORT; port 0 takes a free one (default 0.0.0.0:2022)
    #[argh(option, arg_name = "address", default = "\"0.0.0.0:2022\".to_owned()")]
    pub(crate) listen: String,

    /// allow a key or name, beside the allowlist: KEY, or KEY:RIGHT,RIGHT (default right shell); may be repeated
    #[argh(option, arg_name = "key")]
    pub(crate) allow: Vec<Allowed>,

    /// our own key may dial too
    #[argh(switch)]
    pub(crate) allow_self: bool,

    /// this host's key pair (default identity.json in the state directory)
    #[argh(option, short = 'i', arg_name = "file")]
    pub(crate) identity: Option<PathBuf>,

    /// read the identity's passphrase from a file
    #[argh(option, arg_name = "file")]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// seconds of silence after which a peer is asked whether it is there; 0 never asks (default 15)
    #[argh(option, arg_name = "seconds", default = "15")]
    pub(crate) keepalive: u64,

    /// connections that may be in the handshake at once (default 128)
    #[argh(option, arg_name = "count", default = "128")]
    pub(crate) max_startups: usize,

    /// print a systemd user unit that starts this program with the other options
    #[argh(switch)]
    pub(crate) print_unit: bool,

    /// hold this machine's own addresses to the limits for one source too
    #[argh(switch)]
    pub(crate) limit_loopback: bool,
}

/// `KEY` or `KEY:RIGHT,...`.
pub(crate) struct Allowed {
    pub(crate) who: String,
    pub(crate) rights: BTreeSet<Right>,
}

impl argh::FromArgValue for Allowed {
    fn from_arg_value(text: &str) -> Result<Self, String> {
        let (who, rights) = text.split_once(':').unwrap_or((text, "shell"));
        let rights: Result<_, _> = rights.split(',').map(str::parse).collect();
        Ok(Allowed { who: who.to_owned(), rights: rights.map_err(|why: keywire::error::Error| why.to_string())? })
    }
}
