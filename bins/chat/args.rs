//! The command line of kw-chat; kw-chat(1) says the same at length.

use argh::{ArgsInfo, FromArgs};
use keywire::cli::in_words;
use keywire::proto::chat::MessageId;
use keywire::trust;
use std::path::PathBuf;
use std::time::Duration;

/// Messages to a key, with its user's consent, saved before they are acknowledged.
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
    Send(Send),
    Ask(Ask),
    Recv(Recv),
    Pair(Pair),
    Verify(Verify),
    History(History),
    Export(Export),
    Search(Search),
    Alias(Alias),
    Status(Status),
}

/// Whose conversations a command is about, if no listener runs.
#[derive(Default)]
pub(crate) struct Own {
    pub(crate) identity: Option<PathBuf>,
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) allow_self: bool,
}

/// A command with the options of [`Own`] beside its own.
macro_rules! command {
    ($(#[$about:meta])* struct $name:ident { $($options:tt)* }) => {
        #[derive(FromArgs, ArgsInfo)]
        $(#[$about])*
        pub(crate) struct $name {
            $($options)*
            /// our key pair (default identity.json in the state directory)
            #[argh(option, short = 'i', arg_name = "file")]
            identity: Option<PathBuf>,
            /// read the identity's passphrase from a file
            #[argh(option, arg_name = "file")]
            passphrase_file: Option<PathBuf>,
            /// our own key may be dialed, and dial
            #[argh(switch)]
            allow_self: bool,
        }

        impl $name {
            pub(crate) fn own(&self) -> Own {
                Own {
                    identity: self.identity.clone(),
                    passphrase_file: self.passphrase_file.clone(),
                    allow_self: self.allow_self,
                }
            }
        }
    };
}

command! {
    /// Wait for peers, print what they send, and deliver what waits for them.
    #[argh(subcommand, name = "listen", help_triggers("-h", "--help"))]
    struct Listen {
        /// where to listen: HOST:PORT; port 0 takes a free one (default 0.0.0.0:8801)
        #[argh(option, arg_name = "address", default = "\"0.0.0.0:8801\".to_owned()")]
        pub(crate) listen: String,
        /// only the messages of this peer; may be repeated
        #[argh(option, arg_name = "peer")]
        pub(crate) from: Vec<String>,
        /// run a command for each message, the text on its standard input
        #[argh(option, arg_name = "command")]
        pub(crate) exec: Option<String>,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
        /// print a systemd user unit that starts this with the other options
        #[argh(switch)]
        pub(crate) print_unit: bool,
    }
}

command! {
    /// Send a message, or each line of standard input as one.
    #[argh(subcommand, name = "send", help_triggers("-h", "--help"))]
    struct Send {
        /// to whom: a name, a key, or KEY@HOST:PORT
        #[argh(positional)]
        pub(crate) peer: String,
        /// the message; - for standard input
        #[argh(positional)]
        pub(crate) text: Option<String>,
        /// how long to wait until it is saved there; 0 does not wait (default 5s)
        #[argh(option, arg_name = "time", default = "Span(Duration::from_secs(5))")]
        pub(crate) wait: Span,
        /// the message's name: the same text under it is delivered once
        #[argh(option, arg_name = "id")]
        pub(crate) id: Option<Id>,
        /// which message it answers
        #[argh(option, arg_name = "id")]
        pub(crate) reply_to: Option<Id>,
        /// after how long it means nothing any more
        #[argh(option, arg_name = "time")]
        pub(crate) ttl: Option<Span>,
        /// keep nothing that cannot be delivered now
        #[argh(switch)]
        pub(crate) no_queue: bool,
        /// dial there and nowhere else: tcp://KEY@HOST:PORT
        #[argh(option, arg_name = "url")]
        pub(crate) via: Option<String>,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Send a message, wait for the answer to it, and print that.
    #[argh(subcommand, name = "ask", help_triggers("-h", "--help"))]
    struct Ask {
        /// whom: a name, a key, or KEY@HOST:PORT
        #[argh(positional)]
        pub(crate) peer: String,
        /// the message; - for all of standard input
        #[argh(positional)]
        pub(crate) text: Option<String>,
        /// how long to wait for the answer (default 60s)
        #[argh(option, arg_name = "time", default = "Span(Duration::from_secs(60))")]
        pub(crate) timeout: Span,
        /// the message's name: the same text under it is delivered once
        #[argh(option, arg_name = "id")]
        pub(crate) id: Option<Id>,
        /// which message it answers itself
        #[argh(option, arg_name = "id")]
        pub(crate) reply_to: Option<Id>,
        /// dial there and nowhere else: tcp://KEY@HOST:PORT
        #[argh(option, arg_name = "url")]
        pub(crate) via: Option<String>,
        /// print the answer as an object
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Print what peers have sent.
    #[argh(subcommand, name = "recv", help_triggers("-h", "--help"))]
    struct Recv {
        /// only the messages of this peer
        #[argh(positional)]
        pub(crate) peer: Option<String>,
        /// begin behind a place (with a peer), a time, or a while ago: 7, 2026-12-31, 12h
        #[argh(option, arg_name = "when")]
        pub(crate) since: Option<String>,
        /// begin where the last call with this name ended
        #[argh(option, arg_name = "name")]
        pub(crate) cursor: Option<String>,
        /// end after so many messages
        #[argh(option, arg_name = "count")]
        pub(crate) max: Option<u64>,
        /// how long to wait for the first message
        #[argh(option, arg_name = "time")]
        pub(crate) timeout: Option<Span>,
        /// do not end, and print what comes
        #[argh(switch)]
        pub(crate) follow: bool,
        /// dial the peer there and nowhere else: tcp://KEY@HOST:PORT
        #[argh(option, arg_name = "url")]
        pub(crate) via: Option<String>,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

/// Agree with others on messages, or end that.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "pair", help_triggers("-h", "--help"))]
pub(crate) struct Pair {
    #[argh(subcommand)]
    pub(crate) command: PairCommand,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum PairCommand {
    Invite(Invite),
    List(PairList),
    Accept(Accept),
    Decline(Decline),
    Dismiss(Dismiss),
    Block(Block),
    Remove(Remove),
}

command! {
    /// Ask a peer for its consent.
    #[argh(subcommand, name = "invite", help_triggers("-h", "--help"))]
    struct Invite {
        /// whom: a name, a key, or KEY@HOST:PORT
        #[argh(positional)]
        pub(crate) peer: String,
        /// ask a peer with which there is a pair for new keys
        #[argh(switch)]
        pub(crate) renew: bool,
        /// dial there and nowhere else: tcp://KEY@HOST:PORT
        #[argh(option, arg_name = "url")]
        pub(crate) via: Option<String>,
        /// print an object
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

/// Print with whom there is, was or may be a pair.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help"))]
pub(crate) struct PairList {
    /// print objects, one a line
    #[argh(switch)]
    pub(crate) json: bool,
}

command! {
    /// Agree to an invite.
    #[argh(subcommand, name = "accept", help_triggers("-h", "--help"))]
    struct Accept {
        /// whose: a name, a key, or the beginning of one
        #[argh(positional)]
        pub(crate) peer: String,
        /// put the key into the address book under this name
        #[argh(option, arg_name = "name")]
        pub(crate) name: Option<String>,
        /// print an object
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

/// A command that changes what there is with a peer, and has no options of its own.
macro_rules! change {
    ($($(#[$about:meta])* $name:ident,)*) => {
        $(command! {
            $(#[$about])*
            struct $name {
                /// whom: a name, a key, or the beginning of one
                #[argh(positional)]
                pub(crate) peer: String,
                /// print an object
                #[argh(switch)]
                pub(crate) json: bool,
            }
        })*
    };
}

change! {
    /// Say no to an invite, and to later ones.
    #[argh(subcommand, name = "decline", help_triggers("-h", "--help"))]
    Decline,
    /// Forget an invite without an answer.
    #[argh(subcommand, name = "dismiss", help_triggers("-h", "--help"))]
    Dismiss,
    /// Refuse every connection with a peer.
    #[argh(subcommand, name = "block", help_triggers("-h", "--help"))]
    Block,
    /// End what there is with a peer: a pair, an invite of ours, a no, a block.
    #[argh(subcommand, name = "remove", help_triggers("-h", "--help"))]
    Remove,
}

/// Print digits that are the same at both ends, to compare by voice or camera.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "verify", help_triggers("-h", "--help"))]
pub(crate) struct Verify {
    /// whom: a name or a key
    #[argh(positional)]
    pub(crate) peer: String,
    /// draw the QR code also where standard output is no terminal
    #[argh(switch)]
    pub(crate) qr: bool,
    /// print an object
    #[argh(switch)]
    pub(crate) json: bool,
    /// our key pair (default identity.json in the state directory)
    #[argh(option, short = 'i', arg_name = "file")]
    pub(crate) identity: Option<PathBuf>,
}

command! {
    /// Print the last messages of both sides.
    #[argh(subcommand, name = "history", help_triggers("-h", "--help"))]
    struct History {
        /// with whom: a name or a key
        #[argh(positional)]
        pub(crate) peer: String,
        /// how many at most (default 100, and all with --since)
        #[argh(option, short = 'n', arg_name = "count")]
        pub(crate) count: Option<usize>,
        /// begin behind a place, a time, or a while ago: 7, 2026-12-31, 12h
        #[argh(option, arg_name = "when")]
        pub(crate) since: Option<String>,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Print all messages of both sides as objects, one a line.
    #[argh(subcommand, name = "export", help_triggers("-h", "--help"))]
    struct Export {
        /// with whom: a name or a key
        #[argh(positional)]
        pub(crate) peer: String,
    }
}

command! {
    /// Print the messages of both sides that have a text in them.
    #[argh(subcommand, name = "search", help_triggers("-h", "--help"))]
    struct Search {
        /// with whom: a name or a key
        #[argh(positional)]
        pub(crate) peer: String,
        /// what to look for, in upper or lower case
        #[argh(positional)]
        pub(crate) text: String,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

/// Keep the address book, as kw-peers does.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "alias", help_triggers("-h", "--help"))]
pub(crate) struct Alias {
    #[argh(subcommand)]
    pub(crate) command: AliasCommand,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum AliasCommand {
    Add(AliasAdd),
    Remove(AliasRemove),
    List(AliasList),
}

/// Give a key a name, or a known name further addresses.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "add", help_triggers("-h", "--help"))]
pub(crate) struct AliasAdd {
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

/// Take a name out of the address book.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "remove", help_triggers("-h", "--help"))]
pub(crate) struct AliasRemove {
    /// the name
    #[argh(positional)]
    pub(crate) name: String,
}

/// Print the address book.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help"))]
pub(crate) struct AliasList {
    /// print it as JSON
    #[argh(switch)]
    pub(crate) json: bool,
}

command! {
    /// Print who we are, whether a listener runs, and what waits.
    #[argh(subcommand, name = "status", help_triggers("-h", "--help"))]
    struct Status {
        /// print an object
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

/// How long: a number with a unit, or 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span(pub(crate) Duration);

impl argh::FromArgValue for Span {
    fn from_arg_value(text: &str) -> Result<Self, String> {
        trust::parse_span(text).map(Span).map_err(|error| in_words(&error))
    }
}

/// The id of a message.
#[derive(Clone)]
pub(crate) struct Id(pub(crate) MessageId);

impl argh::FromArgValue for Id {
    fn from_arg_value(text: &str) -> Result<Self, String> {
        text.parse().map(Id).map_err(|error| in_words(&error))
    }
}
