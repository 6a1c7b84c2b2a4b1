//! The command line of kw-keygen.

use argh::{ArgsInfo, FromArgs};
use std::path::PathBuf;

/// Make, show, check and protect a key pair.
#[derive(FromArgs, ArgsInfo)]
#[argh(help_triggers("-h", "--help"))]
pub(crate) struct Keygen {
    #[argh(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum Command {
    New(New),
    Show(Show),
    Check(Check),
    Passphrase(Passphrase),
    Fingerprint(Fingerprint),
}

/// Make a key pair and print its public key. A file that is there already is never overwritten.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "new", help_triggers("-h", "--help"))]
pub(crate) struct New {
    /// the file to make instead of identity.json in the state directory
    #[argh(option, short = 'i', arg_name = "file")]
    pub(crate) identity: Option<PathBuf>,

    /// seal the secret key under a passphrase, asked for twice on the terminal
    #[argh(switch)]
    pub(crate) passphrase: bool,

    /// seal it under the first line of this file instead
    #[argh(option, arg_name = "file")]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// print the result as JSON
    #[argh(switch)]
    pub(crate) json: bool,
}

/// Print a public key: the own one, or a peer's.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "show", help_triggers("-h", "--help"))]
pub(crate) struct Show {
    /// a key, or a name of the address book, instead of the own key
    #[argh(positional)]
    pub(crate) peer: Option<String>,

    /// the identity to read instead of identity.json in the state directory
    #[argh(option, short = 'i', arg_name = "file")]
    pub(crate) identity: Option<PathBuf>,

    /// draw a picture of the key below it
    #[argh(switch)]
    pub(crate) picture: bool,

    /// draw a QR code of the key below it
    #[argh(switch)]
    pub(crate) qr: bool,

    /// print the result as JSON
    #[argh(switch)]
    pub(crate) json: bool,
}

/// Say whether a public key is well formed, and if not, what is wrong with it.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "check", help_triggers("-h", "--help"))]
pub(crate) struct Check {
    /// the key as it was typed or received
    #[argh(positional)]
    pub(crate) key: String,

    /// print the result as JSON
    #[argh(switch)]
    pub(crate) json: bool,
}

/// Set, change or remove the passphrase that the secret key is sealed under.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "passphrase", help_triggers("-h", "--help"))]
pub(crate) struct Passphrase {
    /// the identity to change instead of identity.json in the state directory
    #[argh(option, short = 'i', arg_name = "file")]
    pub(crate) identity: Option<PathBuf>,

    /// take the old passphrase from the first line of this file
    #[argh(option, arg_name = "file")]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// take the new passphrase from the first line of this file
    #[argh(option, arg_name = "file")]
    pub(crate) new_passphrase_file: Option<PathBuf>,

    /// leave the secret key without a passphrase
    #[argh(switch)]
    pub(crate) remove: bool,

    /// print the result as JSON
    #[argh(switch)]
    pub(crate) json: bool,
}

/// Print digits to compare by voice, for one key or for a pair of keys.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "fingerprint", help_triggers("-h", "--help"))]
pub(crate) struct Fingerprint {
    /// a key, or a name of the address book
    #[argh(positional)]
    pub(crate) a: String,

    /// the other key of the pair; their order does not matter
    #[argh(positional)]
    pub(crate) b: Option<String>,

    /// print the result as JSON
    #[argh(switch)]
    pub(crate) json: bool,
}
