//! The options of the command line: one table, from which they are read and `--help` is written.

use crate::line::args::{Args, Session, TtyWish};
use crate::line::names::{MASTER_INSTEAD, MASTER_SOCKET, NO_MASTER, Only, STDIO_FORWARD, TUNNEL};
use crate::line::values::{self, Wins};
use keywire::error::{Error, Result};

/// One option.
pub(crate) struct Row {
    /// Its letter: the one that ssh has for it, or none. No letter of ssh's means something else here.
    pub(crate) letter: Option<char>,
    /// Its long name, which is ours.
    pub(crate) long: Option<&'static str>,
    /// What its value is called, if it has one.
    pub(crate) value: Option<&'static str>,
    /// What `--help` says; nothing about what is only taken, or refused, because ssh has it.
    pub(crate) help: Option<&'static str>,
    pub(crate) does: Does,
}

/// What an option does.
pub(crate) enum Does {
    /// Its value is that of a setting; the first counts.
    Name(&'static str),
    /// The same, but the last counts.
    NameAlways(&'static str),
    /// It stands for a setting with this value, whatever that was before.
    Stands(&'static str, &'static str),
    /// Its value is a line of settings.
    Line,
    /// It sets what has no name.
    Own(fn(&mut Args, &str) -> Result<()>),
    /// It is ssh's, and cannot matter here.
    Nothing,
    /// It is ssh's, and asks for what keywire does not have.
    Only(Only),
    /// It asks for something to read.
    Tell(Answer),
}

/// Something to read, in place of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The options.
    Help,
    /// The version, as a result.
    Version,
    /// The version on standard error, where `ssh -V` has it.
    VersionAsTalk,
}

impl Answer {
    /// ssh's letter and our long name have their answers in different places.
    pub(crate) fn written_as(self, shown: &str) -> Self {
        if self == Answer::Version && shown == "-V" { Answer::VersionAsTalk } else { self }
    }
}

/// The option with that letter.
pub(crate) fn row_of_letter(letter: char) -> Option<&'static Row> {
    OPTIONS.iter().find(|row| row.letter == Some(letter))
}

/// The option with that long name.
pub(crate) fn row_of_long(long: &str) -> Option<&'static Row> {
    OPTIONS.iter().find(|row| row.long == Some(long))
}

/// Splits `[KEY@]HOST[:PORT]`, the middle of a URI, in which an IPv6 address has brackets.
pub(crate) fn host_and_port(text: &str) -> Result<(&str, Option<u16>)> {
    let wrong = || {
        Error::usage(format!("not the address of a host: 'ssh://{}'", text.escape_debug()))
            .hint("write ssh://KEY@HOST:PORT")
    };
    if text.contains('/') {
        return Err(wrong());
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => Ok((host, Some(values::port(port)?))),
        _ => Ok((text, None)),
    }
}

/// A letter of ssh's and a long name of ours.
const fn row(letter: char, long: &'static str, does: Does, help: &'static str) -> Row {
    Row { letter: Some(letter), long: Some(long), value: None, help: Some(help), does }
}

/// A long name of ours.
const fn long(long: &'static str, does: Does, help: &'static str) -> Row {
    Row { letter: None, long: Some(long), value: None, help: Some(help), does }
}

/// A letter that is only there because ssh has it.
const fn letter(letter: char, does: Does) -> Row {
    Row { letter: Some(letter), long: None, value: None, help: None, does }
}

impl Row {
    const fn with(mut self, value: &'static str) -> Self {
        self.value = Some(value);
        self
    }
}

const fn refused(why: &'static str, instead: &'static str) -> Does {
    Does::Only(Only { values: &[], why, instead })
}

/// All options, in the order of `--help`.
pub(crate) const OPTIONS: &[Row] = &[
    row(
        'l',
        "login",
        Does::Name("User"),
        "the key that must be at the host, or its name; PEER is then HOST or HOST:PORT",
    )
    .with("key"),
    row('p', "port", Does::Name("Port"), "the port, where PEER names none (default 2022)").with("port"),
    row('4', "ipv4", Does::Stands("AddressFamily", "inet"), "dial IPv4 addresses only"),
    row('6', "ipv6", Does::Stands("AddressFamily", "inet6"), "dial IPv6 addresses only"),
    row('i', "identity", Does::Name("IdentityFile"), "our key pair (default identity.json in the state directory)")
        .with("file"),
    long("passphrase-file", Does::Own(passphrase_file), "read the identity's passphrase from a file").with("file"),
    row('t', "tty", Does::Own(tty), "give a command a terminal; twice: even if there is none here"),
    row('T', "no-tty", Does::Stands("RequestTTY", "no"), "no terminal on the host"),
    row('n', "no-stdin", Does::Stands("StdinNull", "yes"), "no standard input"),
    row(
        'f',
        "background",
        Does::Stands("ForkAfterAuthentication", "yes"),
        "go to the background once connected; no standard input",
    ),
    row('N', "no-command", Does::Own(no_command), "run nothing on the host"),
    row('s', "subsystem", Does::Own(subsystem), "the command is the name of a subsystem, such as sftp"),
    row(
        'e',
        "escape",
        Does::NameAlways("EscapeChar"),
        "the character that starts an escape at the beginning of a line, or none (default ~)",
    )
    .with("char"),
    row('o', "option", Does::Line, "set an option by its name in ssh_config(5), as in NAME=VALUE").with("line"),
    row(
        'F',
        "config",
        Does::Only(Only {
            values: &["none", "/dev/null"],
            why: "kw-pty reads no configuration file of ssh's",
            instead: "give hosts names in the address book: kw-peers(1)",
        }),
        "none: there is no configuration file",
    )
    .with("none"),
    row('E', "log-file", Does::Own(log_file), "append what kw-pty itself says to a file").with("file"),
    row('G', "show", Does::Own(show), "show the settings, and do nothing"),
    row('v', "verbose", Does::Stands("LogLevel", "DEBUG"), "say what is being done"),
    row('q', "quiet", Does::Stands("LogLevel", "QUIET"), "say nothing but errors"),
    long(
        "keepalive",
        Does::Name("ServerAliveInterval"),
        "seconds of silence after which the host is asked whether it is there; 0 never asks (default 15)",
    )
    .with("seconds"),
    long("hide-timing", Does::Stands("ObscureKeystrokeTiming", "yes"), "hide from the network when keys are pressed"),
    long("allow-self", Does::Own(allow_self), "dial our own key too"),
    long(
        "try",
        Does::Own(try_out),
        "try it out: start a host on this machine with throw-away keys and open a shell on it",
    ),
    row('h', "help", Does::Tell(Answer::Help), "display usage information"),
    row('V', "version", Does::Tell(Answer::Version), "display the version"),
    letter('2', Does::Nothing),
    letter('C', Does::Stands("Compression", "yes")),
    letter('a', Does::Stands("ForwardAgent", "no")),
    letter('c', Does::Name("Ciphers")).with("ciphers"),
    letter('k', Does::Stands("GSSAPIDelegateCredentials", "no")),
    letter('m', Does::Name("MACs")).with("macs"),
    letter('x', Does::Stands("ForwardX11", "no")),
    letter('1', refused("keywire does not speak ssh's protocol", "leave it out")),
    letter('A', Does::Stands("ForwardAgent", "yes")),
    letter('B', Does::Name("BindInterface")).with("interface"),
    letter('D', Does::Name("DynamicForward")).with("port"),
    letter('I', Does::Name("PKCS11Provider")).with("library"),
    letter('J', Does::Name("ProxyJump")).with("hosts"),
    letter('K', Does::Stands("GSSAPIDelegateCredentials", "yes")),
    letter('L', Does::Name("LocalForward")).with("address"),
    letter('M', Does::Stands("ControlMaster", "yes")),
    letter('O', refused(NO_MASTER, MASTER_INSTEAD)).with("command"),
    letter('P', Does::Name("Tag")).with("tag"),
    letter(
        'Q',
        refused("keywire has one suite of algorithms and nothing to choose", "keywire-protocol(7) describes it"),
    )
    .with("query"),
    letter('R', Does::Name("RemoteForward")).with("address"),
    letter('S', Does::Only(MASTER_SOCKET)).with("path"),
    letter('W', Does::Only(STDIO_FORWARD)).with("address"),
    letter('X', Does::Stands("ForwardX11", "yes")),
    letter('Y', Does::Stands("ForwardX11", "yes")),
    letter('b', Does::Name("BindAddress")).with("address"),
    letter('g', Does::Stands("GatewayPorts", "yes")),
    letter('w', Does::Only(TUNNEL)).with("device"),
    letter('y', refused("kw-pty does not write to the system's log", "write to a file: -E FILE")),
];

fn passphrase_file(args: &mut Args, file: &str) -> Result<()> {
    Wins::First.put(&mut args.passphrase_file, Ok(values::path(file)))
}

/// As in ssh, the last file counts.
fn log_file(args: &mut Args, file: &str) -> Result<()> {
    Wins::Last.put(&mut args.log_file, Ok(values::path(file)))
}

/// Once is a terminal if there is one here, twice is one in any case.
fn tty(args: &mut Args, _: &str) -> Result<()> {
    let wish = if args.tty == Some(TtyWish::Yes) { TtyWish::Force } else { TtyWish::Yes };
    Wins::Last.put(&mut args.tty, Ok(wish))
}

fn no_command(args: &mut Args, _: &str) -> Result<()> {
    session(args, Session::None)?;
    Wins::Last.put(&mut args.tty, Ok(TtyWish::No))
}

fn subsystem(args: &mut Args, _: &str) -> Result<()> {
    session(args, Session::Subsystem)
}

/// `-N` and `-s` go together neither with each other nor with another SessionType before them.
fn session(args: &mut Args, session: Session) -> Result<()> {
    if args.session.is_some_and(|other| other != session) {
        return Err(Error::usage("only one of -N, -s and -o SessionType can be given"));
    }
    Wins::Last.put(&mut args.session, Ok(session))
}

fn show(args: &mut Args, _: &str) -> Result<()> {
    args.show = true;
    Ok(())
}

fn allow_self(args: &mut Args, _: &str) -> Result<()> {
    args.allow_self = true;
    Ok(())
}

fn try_out(args: &mut Args, _: &str) -> Result<()> {
    args.r#try = true;
    Ok(())
}
