//! kw-chat, as processes that talk to each other, and its library where a test needs the clock or a hostile peer.

mod cli;
mod crash;
mod delivery;
mod hostile;
mod listen;
mod node;
mod pairing;
mod secrets;

use crate::sandbox::{Done, Running, User};
use std::ffi::OsStr;
use std::process::Stdio;

/// Somebody with a key pair, who may have a listener.
pub struct Party {
    pub user: User,
    listener: Option<Running>,
    /// Where the listener is, or was last: `KEY@HOST:PORT`.
    pub address: String,
}

impl Party {
    /// Somebody without a listener.
    pub fn new() -> Self {
        Party { user: User::with_key(), listener: None, address: String::new() }
    }

    /// Somebody who can be reached.
    pub fn listening() -> Self {
        let mut party = Party::new();
        party.listen(&[]);
        party
    }

    /// Starts the listener, at the address that it had before if there was one.
    pub fn listen(&mut self, args: &[&str]) {
        let at = self.address.split_once('@').map_or("127.0.0.1:0", |(_, at)| at).to_owned();
        let mut command = self.user.command("kw-chat");
        command.args(["listen", "--listen", &at]).args(args).stderr(Stdio::null());
        let mut listener = Running::start(&mut command);
        self.address = listener.address();
        self.listener = Some(listener);
    }

    /// The listener, to read what it prints.
    pub fn listener(&mut self) -> &mut Running {
        self.listener.as_mut().unwrap()
    }

    /// Ends the listener in good order.
    pub fn stop(&mut self) {
        let mut listener = self.listener.take().unwrap();
        listener.signal(nix::sys::signal::Signal::SIGTERM);
        listener.child.wait().unwrap();
    }

    /// Kills the listener.
    pub fn kill(&mut self) {
        drop(self.listener.take());
    }

    /// Gives `other` a name here, with its address if it ever had one.
    pub fn names(&self, other: &Party, name: &str) {
        let key = other.user.key();
        let to = if other.address.is_empty() { key } else { other.address.clone() };
        self.user.run("kw-peers", ["add", name, &to]).succeeds();
    }

    pub fn chat<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Done {
        self.user.run("kw-chat", args)
    }

    pub fn chat_with<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &str) -> Done {
        self.user.run_with("kw-chat", args, input.as_bytes())
    }

    /// What this side says of its standing with `other`.
    pub fn standing(&self, other: &Party) -> String {
        let key = other.user.key();
        let list = self.chat(["pair", "list", "--json"]).succeeds().stdout;
        let lines =
            list.lines().map(|line| keywire::json::parse::<keywire::json::Value>(line.as_bytes(), 1 << 20).unwrap());
        let mut found =
            lines.filter(|pair| pair["peer"] == key.as_str()).map(|pair| pair["standing"].as_str().unwrap().to_owned());
        found.next_back().unwrap_or_else(|| "none".to_owned())
    }

    /// The texts of the history with `other`, of both sides.
    pub fn texts(&self, other: &Party) -> Vec<String> {
        self.history(other).iter().map(|entry| entry["text"].as_str().unwrap().to_owned()).collect()
    }

    pub fn history(&self, other: &Party) -> Vec<keywire::json::Value> {
        let shown = self.chat(["export", &other.user.key()]).succeeds().stdout;
        shown.lines().map(|line| keywire::json::parse(line.as_bytes(), 1 << 20).unwrap()).collect()
    }
}

/// Two parties that are paired: the first can reach the second, which listens. Each knows the other by name.
pub fn paired() -> (Party, Party) {
    let (a, mut b) = (Party::new(), Party::listening());
    a.names(&b, "b");
    a.chat(["pair", "invite", "b"]).succeeds();
    b.chat(["pair", "accept", &a.user.key(), "--name", "a"]);
    a.chat(["send", "b", "first"]).succeeds();
    assert!(b.listener().line().ends_with(" a: first"));
    (a, b)
}
