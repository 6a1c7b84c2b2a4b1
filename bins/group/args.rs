//! The command line of kw-group; kw-group(1) says the same at length.

use crate::commands::OnMember;
use crate::request::{Past, What};
use argh::{ArgsInfo, FromArgs};
use keywire::cli::in_words;
use keywire::proto::group::{EntryId, Mode};
use keywire::trust;
use std::path::PathBuf;
use std::time::Duration;

/// Conversations of many keys that need no server and outlive their owner.
#[derive(FromArgs, ArgsInfo)]
#[argh(help_triggers("-h", "--help"))]
pub(crate) struct Args {
    #[argh(subcommand)]
    pub(crate) command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum Command {
    Create(Create),
    Invite(Invite),
    Join(Join),
    Send(Send),
    Recv(Recv),
    Listen(Listen),
    History(History),
    Export(Export),
    Search(Search),
    Serve(Serve),
    Members(Members),
    Promote(Promote),
    Demote(Demote),
    Mute(Mute),
    Unmute(Unmute),
    Remove(Remove),
    Approve(Approve),
    Rename(Rename),
    Leave(Leave),
    List(List),
    Info(Info),
}

/// Whose groups a command is about, if nobody serves.
#[derive(Clone, Default)]
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
    /// Make a group, whose owner we are.
    #[argh(subcommand, name = "create", help_triggers("-h", "--help"))]
    struct Create {
        /// what to call it
        #[argh(positional)]
        pub(crate) name: String,
        /// who can read and come: private (default), public, or open
        #[argh(option, arg_name = "mode", default = "Mode::Private", from_str_fn(mode))]
        pub(crate) mode: Mode,
        /// what of the past a newcomer can read: none, all (default), or so many messages
        #[argh(option, arg_name = "what", default = "Past::All", from_str_fn(past))]
        pub(crate) history: Past,
        /// go on as serve there: HOST:PORT
        #[argh(option, arg_name = "address")]
        pub(crate) listen: Option<String>,
        /// print an object
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Print a link with which others can join.
    #[argh(subcommand, name = "invite", help_triggers("-h", "--help"))]
    struct Invite {
        /// which group
        #[argh(positional)]
        pub(crate) group: String,
        /// how long it lets somebody in (default 7d)
        #[argh(option, arg_name = "time", from_str_fn(span))]
        pub(crate) expires: Option<Duration>,
        /// how many it lets in (default 1)
        #[argh(option, arg_name = "count")]
        pub(crate) uses: Option<u32>,
        /// each waits until the owner or an admin approves
        #[argh(switch)]
        pub(crate) approve: bool,
        /// draw the link as a QR code too
        #[argh(switch)]
        pub(crate) qr: bool,
        /// print the invites that still let somebody in
        #[argh(switch)]
        pub(crate) list: bool,
        /// end the invite with this capability
        #[argh(option, arg_name = "capability")]
        pub(crate) revoke: Option<String>,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Come by a link.
    #[argh(subcommand, name = "join", help_triggers("-h", "--help"))]
    struct Join {
        /// the link; - for standard input; asked for if it is not given
        #[argh(positional)]
        pub(crate) link: Option<String>,
        /// what to call the group here
        #[argh(option, arg_name = "name")]
        pub(crate) name: Option<String>,
        /// how long to wait to be let in (default 10s)
        #[argh(option, arg_name = "time", default = "Duration::from_secs(10)", from_str_fn(span))]
        pub(crate) wait: Duration,
        /// print an object
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Say something, or each line of standard input.
    #[argh(subcommand, name = "send", help_triggers("-h", "--help"))]
    struct Send {
        /// in which group
        #[argh(positional)]
        pub(crate) group: String,
        /// the message; - for standard input
        #[argh(positional)]
        pub(crate) text: Option<String>,
        /// how long to wait until another member holds it; 0 does not wait (default 5s)
        #[argh(option, arg_name = "time", default = "Duration::from_secs(5)", from_str_fn(span))]
        pub(crate) wait: Duration,
        /// which message it answers
        #[argh(option, arg_name = "id", from_str_fn(id))]
        pub(crate) reply_to: Option<EntryId>,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Print what others have said.
    #[argh(subcommand, name = "recv", help_triggers("-h", "--help"))]
    struct Recv {
        /// only in this group
        #[argh(positional)]
        pub(crate) group: Option<String>,
        /// begin behind a time, or a while ago: 2026-12-31, 12h
        #[argh(option, arg_name = "when")]
        pub(crate) since: Option<String>,
        /// begin where the last call with this name ended
        #[argh(option, arg_name = "name")]
        pub(crate) cursor: Option<String>,
        /// end after so many messages
        #[argh(option, arg_name = "count")]
        pub(crate) max: Option<u64>,
        /// how long to wait for the first message
        #[argh(option, arg_name = "time", from_str_fn(span))]
        pub(crate) timeout: Option<Duration>,
        /// do not end, and print what comes
        #[argh(switch)]
        pub(crate) follow: bool,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Print what others say, until it is ended.
    #[argh(subcommand, name = "listen", help_triggers("-h", "--help"))]
    struct Listen {
        /// only in this group
        #[argh(positional)]
        pub(crate) group: Option<String>,
        /// only what this member says; may be repeated
        #[argh(option, arg_name = "member")]
        pub(crate) from: Vec<String>,
        /// run a command for each message, the text on its standard input
        #[argh(option, arg_name = "command")]
        pub(crate) exec: Option<String>,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Print the last messages.
    #[argh(subcommand, name = "history", help_triggers("-h", "--help"))]
    struct History {
        /// of which group
        #[argh(positional)]
        pub(crate) group: String,
        /// how many at most (default 100, and all with --since)
        #[argh(option, short = 'n', arg_name = "count")]
        pub(crate) count: Option<usize>,
        /// begin behind a time, or a while ago: 2026-12-31, 12h
        #[argh(option, arg_name = "when")]
        pub(crate) since: Option<String>,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Print all messages as objects, one a line.
    #[argh(subcommand, name = "export", help_triggers("-h", "--help"))]
    struct Export {
        /// of which group
        #[argh(positional)]
        pub(crate) group: String,
    }
}

command! {
    /// Print the messages that have a text in them.
    #[argh(subcommand, name = "search", help_triggers("-h", "--help"))]
    struct Search {
        /// of which group
        #[argh(positional)]
        pub(crate) group: String,
        /// what to look for, in upper or lower case
        #[argh(positional)]
        pub(crate) text: String,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Hold all groups: take what members have, and pass it on.
    #[argh(subcommand, name = "serve", help_triggers("-h", "--help"))]
    struct Serve {
        /// where to listen: HOST:PORT; port 0 takes a free one (default 0.0.0.0:8802)
        #[argh(option, arg_name = "address", default = "\"0.0.0.0:8802\".to_owned()")]
        pub(crate) listen: String,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
        /// print a systemd user unit that starts this with the other options
        #[argh(switch)]
        pub(crate) print_unit: bool,
    }
}

/// A command about one group, with no options of its own.
macro_rules! of_group {
    ($($(#[$about:meta])* $name:ident,)*) => {
        $(command! {
            $(#[$about])*
            struct $name {
                /// which group
                #[argh(positional)]
                pub(crate) group: String,
                /// print objects, one a line
                #[argh(switch)]
                pub(crate) json: bool,
            }
        })*
    };
}

of_group! {
    /// Print who is a member, and how it can be reached.
    #[argh(subcommand, name = "members", help_triggers("-h", "--help"))]
    Members,
    /// Be a member no more.
    #[argh(subcommand, name = "leave", help_triggers("-h", "--help"))]
    Leave,
    /// Print how a group stands.
    #[argh(subcommand, name = "info", help_triggers("-h", "--help"))]
    Info,
}

/// A command about a member of a group.
macro_rules! on_member {
    ($($(#[$about:meta])* $name:ident,)*) => {
        $(command! {
            $(#[$about])*
            struct $name {
                /// in which group
                #[argh(positional)]
                pub(crate) group: String,
                /// whom: a name, a key, or the beginning of one
                #[argh(positional)]
                pub(crate) member: String,
                /// print an object
                #[argh(switch)]
                pub(crate) json: bool,
            }
        }

        impl From<$name> for OnMember {
            fn from(args: $name) -> Self {
                let own = args.own();
                OnMember { own, what: What::$name, group: args.group, member: args.member, is_json: args.json }
            }
        })*
    };
}

on_member! {
    /// Make a member an admin.
    #[argh(subcommand, name = "promote", help_triggers("-h", "--help"))]
    Promote,
    /// Make an admin a member again.
    #[argh(subcommand, name = "demote", help_triggers("-h", "--help"))]
    Demote,
    /// Show no more of what a member says.
    #[argh(subcommand, name = "mute", help_triggers("-h", "--help"))]
    Mute,
    /// Show again what a member says.
    #[argh(subcommand, name = "unmute", help_triggers("-h", "--help"))]
    Unmute,
    /// Make a member no member any more.
    #[argh(subcommand, name = "remove", help_triggers("-h", "--help"))]
    Remove,
    /// Let in who waits for that.
    #[argh(subcommand, name = "approve", help_triggers("-h", "--help"))]
    Approve,
}

command! {
    /// Give a group another name, for everybody.
    #[argh(subcommand, name = "rename", help_triggers("-h", "--help"))]
    struct Rename {
        /// which group
        #[argh(positional)]
        pub(crate) group: String,
        /// the new name
        #[argh(positional)]
        pub(crate) name: String,
        /// print an object
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Print the groups.
    #[argh(subcommand, name = "list", help_triggers("-h", "--help"))]
    struct List {
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

fn span(text: &str) -> Result<Duration, String> {
    trust::parse_span(text).map_err(|error| in_words(&error))
}

fn id(text: &str) -> Result<EntryId, String> {
    text.parse().map_err(|_| "not the id of a message: that has 64 digits, as --json shows them".to_owned())
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "private" => Ok(Mode::Private),
        "public" => Ok(Mode::Public),
        "open" => Ok(Mode::Open),
        _ => Err(format!("'{}' is no mode: private, public and open are", text.escape_debug())),
    }
}

fn past(text: &str) -> Result<Past, String> {
    match text {
        "none" => Ok(Past::None),
        "all" => Ok(Past::All),
        _ => text
            .parse()
            .ok()
            .filter(|count| *count > 0)
            .map(Past::Last)
            .ok_or_else(|| format!("'{}' is neither none nor all nor a number", text.escape_debug())),
    }
}
