//! The command line of kw-peers; kw-peers(1) says the same at length.

use argh::{ArgsInfo, FromArgs};

/// Keep the address book (who a key is, and where it listens) and the allowlist (what a key may do here).
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(help_triggers("-h", "--help"))]
pub(crate) struct Args {
    #[argh(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum Command {
    Add(Add),
    List(List),
    Show(Show),
    Rename(Rename),
    Remove(Remove),
    Allow(Allow),
    Deny(Deny),
    Rules(Rules),
}

/// Give a key a name, or a known name further addresses.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "add", help_triggers("-h", "--help"))]
pub(crate) struct Add {
    /// what to call it
    #[argh(positional)]
    pub(crate) name: String,
    /// its key, and where it listens: KEY or KEY@HOST:PORT, the same key each time
    #[argh(positional, arg_name = "key")]
    pub(crate) keys: Vec<String>,
    /// a word of yours about it
    #[argh(option, arg_name = "text")]
    pub(crate) note: Option<String>,
}

/// Print the address book.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help"))]
pub(crate) struct List {
    /// print it as JSON
    #[argh(switch)]
    pub(crate) json: bool,
}

/// Print what is known about one peer.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "show", help_triggers("-h", "--help"))]
pub(crate) struct Show {
    /// its name or its key
    #[argh(positional)]
    pub(crate) peer: String,
    /// print it as JSON
    #[argh(switch)]
    pub(crate) json: bool,
}

/// Change a name.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "rename", help_triggers("-h", "--help"))]
pub(crate) struct Rename {
    /// the name now
    #[argh(positional)]
    pub(crate) old: String,
    /// the name from now on
    #[argh(positional)]
    pub(crate) new: String,
}

/// Take a peer out of the address book; its rule on the allowlist stands.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "remove", help_triggers("-h", "--help"))]
pub(crate) struct Remove {
    /// its name
    #[argh(positional)]
    pub(crate) name: String,
}

/// Allow a key something on this machine, beside what it is allowed already.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "allow", help_triggers("-h", "--help"))]
pub(crate) struct Allow {
    /// whom: a key, or a name from the address book
    #[argh(positional)]
    pub(crate) peer: String,
    /// what: shell, exec, copy-read, copy-write, forward, pipe, drop
    #[argh(positional, arg_name = "right")]
    pub(crate) rights: Vec<String>,
    /// run this command, whatever is asked for
    #[argh(option, arg_name = "cmd")]
    pub(crate) command: Option<String>,
    /// let copies reach this directory only
    #[argh(option, arg_name = "dir")]
    pub(crate) root: Option<String>,
    /// end the rule then: 7d, 12h, 2026-12-31, or never
    #[argh(option, arg_name = "when")]
    pub(crate) expires: Option<String>,
}

/// Take rights away from a key, or all of them.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "deny", help_triggers("-h", "--help"))]
pub(crate) struct Deny {
    /// from whom: a key, or a name
    #[argh(positional)]
    pub(crate) peer: String,
    /// which; all if none is given
    #[argh(positional, arg_name = "right")]
    pub(crate) rights: Vec<String>,
}

/// Print the allowlist.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "rules", help_triggers("-h", "--help"))]
pub(crate) struct Rules {
    /// print it as JSON
    #[argh(switch)]
    pub(crate) json: bool,
}
