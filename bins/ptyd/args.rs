//! The command line of kw-ptyd.

use argh::{ArgsInfo, FromArgs};
use keywire::error::{Error, Result};
use keywire::sftp;
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

    /// serve no dialer, but the SFTP client on standard input and output, and end with it
    #[argh(switch)]
    pub(crate) sftp_server: bool,

    /// with --sftp-server: the only directory that the client can reach
    #[argh(option, arg_name = "directory")]
    pub(crate) root: Option<PathBuf>,

    /// with --sftp-server: nothing can be changed
    #[argh(switch)]
    pub(crate) read_only: bool,

    /// with --sftp-server: nothing can be read
    #[argh(switch)]
    pub(crate) write_only: bool,
}

impl Args {
    /// The SFTP server that is asked for, if one is.
    ///
    /// # Errors
    /// Options that do not go together, and a root that cannot be opened.
    pub(crate) fn sftp(&self) -> Result<Option<sftp::Server>> {
        if !self.sftp_server {
            return match self.root.is_some() || self.read_only || self.write_only {
                true => Err(Error::usage("--root, --read-only and --write-only go with --sftp-server")),
                false => Ok(None),
            };
        }
        if self.read_only && self.write_only {
            return Err(Error::usage("--read-only and --write-only together leave nothing"));
        }
        let rights = sftp::Rights { read: !self.write_only, write: !self.read_only };
        sftp::Server::new(self.root.as_deref(), rights).map(Some)
    }
}

/// `KEY` or `KEY:RIGHT,...`.
pub(crate) struct Allowed {
    pub(crate) who: String,
    pub(crate) rights: BTreeSet<Right>,
}

impl argh::FromArgValue for Allowed {
    fn from_arg_value(text: &str) -> std::result::Result<Self, String> {
        let (who, rights) = text.split_once(':').unwrap_or((text, "shell"));
        let rights: std::result::Result<_, _> = rights.split(',').map(str::parse).collect();
        Ok(Allowed { who: who.to_owned(), rights: rights.map_err(|why: Error| why.to_string())? })
    }
}
