//! `-G`: the settings as they are in effect, in the form of `ssh -G`. git asks so whether a program is like ssh.

use crate::line::args::{Args, Level, Session, TtyWish};
use crate::line::place;
use keywire::conn::{CONNECT_WITHIN, Family, KEEPALIVE};
use keywire::identity::IdentityFile;
use keywire::proto::pty::PTY;
use keywire::store::Store;
use keywire::term::sanitize_line;
use keywire::trust::Peers;
use std::fmt::Write;

/// One `name value` a line. A peer that nobody knows is shown as it was written: nothing is dialed.
pub(crate) fn settings(args: &Args) -> String {
    let host = args.host.as_deref().unwrap_or_default();
    let peers = Store::home().and_then(|store| Peers::load(&store)).unwrap_or_default();
    let found = place::resolve(args, &peers).ok();
    let written = place::written(args).ok();
    let at = found.as_ref().map(|found| &found.at).or(written.as_ref());
    let port = at.and_then(|at| at.port()).or(args.port).or(PTY.port).unwrap_or(0);
    let yes = |wanted: Option<bool>| if wanted == Some(true) { "yes" } else { "no" }.to_owned();

    let mut out = String::new();
    let mut show = |name: &str, value: String| {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{name} {}", sanitize_line(&value));
    };
    show("host", host.to_owned());
    if let Some(user) = found.as_ref().map(|found| found.key.to_string()).or(args.user.clone()) {
        show("user", user);
    }
    show("hostname", at.map_or(host, |at| at.host()).to_owned());
    show("port", port.to_string());
    show("addressfamily", family(args.family).to_owned());
    show("batchmode", yes(args.batch));
    show("requesttty", tty(args.tty).to_owned());
    show("sessiontype", session(args.session).to_owned());
    show("stdinnull", yes(Some(args.stdin_null == Some(true) || args.is_background())));
    show("forkafterauthentication", yes(args.background));
    show("obscurekeystroketiming", yes(args.hide_timing));
    let timeout = args.connect_timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(CONNECT_WITHIN);
    show("connecttimeout", timeout.as_secs().to_string());
    show("serveraliveinterval", args.keepalive.unwrap_or(KEEPALIVE).as_secs().to_string());
    show("loglevel", level(args.log).to_owned());
    show("escapechar", escape(args.escape.unwrap_or(Some(b'~'))));
    if let Ok(identity) = IdentityFile::locate(args.identity.as_deref()) {
        show("identityfile", identity.path().display().to_string());
    }
    if let Some(command) = args.remote_command.as_ref().filter(|command| !command.is_empty()) {
        show("remotecommand", command.clone());
    }
    for (name, value) in args.env.iter().flatten() {
        show("setenv", format!("{name}={value}"));
    }
    out
}

fn family(family: Option<Family>) -> &'static str {
    match family.unwrap_or_default() {
        Family::Any => "any",
        Family::V4 => "inet",
        Family::V6 => "inet6",
    }
}

fn tty(tty: Option<TtyWish>) -> &'static str {
    match tty {
        None | Some(TtyWish::Auto) => "auto",
        Some(TtyWish::No) => "false",
        Some(TtyWish::Yes) => "true",
        Some(TtyWish::Force) => "force",
    }
}

fn session(session: Option<Session>) -> &'static str {
    match session {
        None | Some(Session::Default) => "default",
        Some(Session::Subsystem) => "subsystem",
        Some(Session::None) => "none",
    }
}

fn level(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::Quiet) => "QUIET",
        None | Some(Level::Info) => "INFO",
        Some(Level::Verbose) => "DEBUG",
    }
}

fn escape(character: Option<u8>) -> String {
    match character {
        None => "none".to_owned(),
        Some(byte @ 0..=0x1f) => format!("^{}", char::from(byte | 0x40)),
        Some(byte) => char::from(byte).to_string(),
    }
}
