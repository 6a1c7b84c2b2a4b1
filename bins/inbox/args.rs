//! The command line of kw-inbox; kw-inbox(1) says the same at length.

use argh::{ArgsInfo, FromArgs};
use keywire::addr::HostPort;
use keywire::cli::{self, in_words, undash};
use keywire::error::{Error, Result};
use keywire::key::KeyPair;
use keywire::proto::inbox::{INBOX, Rki};
use keywire::trust;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// First contact with someone who is offline.
#[derive(FromArgs, ArgsInfo)]
#[argh(help_triggers("-h", "--help"))]
pub(crate) struct Args {
    #[argh(subcommand)]
    pub(crate) command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(crate) enum Command {
    Card(Card),
    Show(Show),
    Cards(Cards),
    Revoke(Revoke),
    Seal(Seal),
    Send(Send),
    Open(Open),
    Fetch(Fetch),
    Messages(Messages),
    Serve(Serve),
    Drop(Drop),
}

/// Whose secret key a command needs.
pub(crate) struct Own {
    identity: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
}

impl Own {
    /// The key pair; asks for its passphrase if it has one.
    pub(crate) fn load(&self) -> Result<Arc<KeyPair>> {
        cli::identity(self.identity.as_deref(), self.passphrase_file.as_deref()).map(Arc::new)
    }
}

/// Where text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    File(PathBuf),
    Stdin,
}

impl FromStr for Input {
    type Err = Infallible;

    fn from_str(word: &str) -> std::result::Result<Self, Infallible> {
        Ok(match undash(word) {
            "-" => Input::Stdin,
            file => Input::File(file.into()),
        })
    }
}

impl Input {
    pub(crate) fn is_stdin(&self) -> bool {
        *self == Input::Stdin
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::File(file) => write!(f, "{}", file.display()),
            Input::Stdin => f.write_str("standard input"),
        }
    }
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
        }

        impl $name {
            pub(crate) fn own(&self) -> Own {
                Own { identity: self.identity.clone(), passphrase_file: self.passphrase_file.clone() }
            }
        }
    };
}

command! {
    /// Make one-time keys, and print a card with them.
    #[argh(subcommand, name = "card", help_triggers("-h", "--help"))]
    struct Card {
        /// what the card is for; it stays here
        #[argh(option, arg_name = "text", default = "String::new()")]
        pub(crate) label: String,
        /// how long it counts (default 30d, and at the most)
        #[argh(option, arg_name = "time", from_str_fn(span))]
        pub(crate) expires: Option<Duration>,
        /// how many one-time keys are in it (default 1)
        #[argh(option, arg_name = "count", default = "1")]
        pub(crate) uses: usize,
        /// where we listen with serve: HOST or HOST:PORT; may be repeated
        #[argh(option, arg_name = "address", from_str_fn(address))]
        pub(crate) at: Vec<HostPort>,
        /// a drop box that holds messages for us; may be repeated
        #[argh(option, arg_name = "peer")]
        pub(crate) drop: Vec<String>,
        /// draw the card as a QR code too
        #[argh(switch)]
        pub(crate) qr: bool,
        /// print an object
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

/// Print what a card says.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "show", help_triggers("-h", "--help"))]
pub(crate) struct Show {
    /// the card; - for standard input
    #[argh(positional)]
    pub(crate) file: Input,
    /// our key pair (default identity.json in the state directory)
    #[argh(option, short = 'i', arg_name = "file")]
    pub(crate) identity: Option<PathBuf>,
    /// draw a picture of the recipient's key too
    #[argh(switch)]
    pub(crate) picture: bool,
    /// draw the card as a QR code too
    #[argh(switch)]
    pub(crate) qr: bool,
    /// print an object
    #[argh(switch)]
    pub(crate) json: bool,
}

/// Print the one-time keys that we have made, and what became of each.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "cards", help_triggers("-h", "--help"))]
pub(crate) struct Cards {
    /// print objects, one a line
    #[argh(switch)]
    pub(crate) json: bool,
}

/// Take one-time keys back.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "revoke", help_triggers("-h", "--help"))]
pub(crate) struct Revoke {
    /// the identifier of one, 8 digits
    #[argh(positional, from_str_fn(rki))]
    pub(crate) rki: Option<Rki>,
    /// all that are live
    #[argh(switch)]
    pub(crate) all: bool,
}

command! {
    /// Seal a message to a card, and print it.
    #[argh(subcommand, name = "seal", help_triggers("-h", "--help"))]
    struct Seal {
        /// the card of the recipient; - for standard input
        #[argh(option, arg_name = "file")]
        pub(crate) card: Input,
        /// the text; - for standard input
        #[argh(option, arg_name = "text")]
        pub(crate) text: Option<String>,
        /// put an invite of kw-chat into it
        #[argh(switch)]
        pub(crate) pair: bool,
    }
}

command! {
    /// Seal a message to a card and deliver it, or deliver what was sealed.
    #[argh(subcommand, name = "send", help_triggers("-h", "--help"))]
    struct Send {
        /// the card of the recipient; - for standard input
        #[argh(option, arg_name = "file")]
        pub(crate) card: Input,
        /// the text; - for standard input
        #[argh(option, arg_name = "text")]
        pub(crate) text: Option<String>,
        /// put an invite of kw-chat into it
        #[argh(switch)]
        pub(crate) pair: bool,
        /// deliver this sealed message; - for standard input
        #[argh(option, arg_name = "file")]
        pub(crate) sealed: Option<Input>,
    }
}

command! {
    /// Open a sealed message, and print it.
    #[argh(subcommand, name = "open", help_triggers("-h", "--help"))]
    struct Open {
        /// the sealed message; - for standard input
        #[argh(positional)]
        pub(crate) file: Input,
        /// print an object
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Take what drop boxes hold for us, and open it.
    #[argh(subcommand, name = "fetch", help_triggers("-h", "--help"))]
    struct Fetch {
        /// only these drop boxes
        #[argh(positional, arg_name = "peer")]
        pub(crate) peers: Vec<String>,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Print the last messages that were opened.
    #[argh(subcommand, name = "messages", help_triggers("-h", "--help"))]
    struct Messages {
        /// how many at most (default 100)
        #[argh(option, short = 'n', arg_name = "count", default = "100")]
        pub(crate) count: usize,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
    }
}

command! {
    /// Take messages for ourselves, open each, and print it.
    #[argh(subcommand, name = "serve", help_triggers("-h", "--help"))]
    struct Serve {
        /// where to listen: HOST:PORT; port 0 takes a free one (default 0.0.0.0:8803)
        #[argh(option, arg_name = "address", default = "String::from(\"0.0.0.0:8803\")")]
        pub(crate) listen: String,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
        /// print a unit for the user's service manager, and end
        #[argh(switch)]
        pub(crate) print_unit: bool,
    }
}

command! {
    /// Hold sealed messages for the keys that have the right to it.
    #[argh(subcommand, name = "drop", help_triggers("-h", "--help"))]
    struct Drop {
        /// where to listen: HOST:PORT; port 0 takes a free one (default 0.0.0.0:8803)
        #[argh(option, arg_name = "address", default = "String::from(\"0.0.0.0:8803\")")]
        pub(crate) listen: String,
        /// print objects, one a line
        #[argh(switch)]
        pub(crate) json: bool,
        /// print a unit for the user's service manager, and end
        #[argh(switch)]
        pub(crate) print_unit: bool,
    }
}

fn span(text: &str) -> std::result::Result<Duration, String> {
    trust::parse_span(text).map_err(|error| in_words(&error))
}

fn rki(text: &str) -> std::result::Result<Rki, String> {
    text.to_ascii_lowercase().parse().map_err(|_| {
        format!("'{}' is no identifier of a one-time key: that has 8 digits of hexadecimal", text.escape_debug())
    })
}

/// Where we listen with `serve`; the port need not be said.
fn address(text: &str) -> std::result::Result<HostPort, String> {
    if text.contains('@') {
        return Err("there is a key in it: --drop names drop boxes, and --at where we listen ourselves".to_owned());
    }
    let at: HostPort = text.parse().map_err(|error: Error| in_words(&error))?;
    match (at.port(), INBOX.port) {
        (Some(0), _) => Err("nobody can dial port 0".to_owned()),
        (None, Some(port)) => Ok(at.with_port(port)),
        _ => Ok(at),
    }
}
