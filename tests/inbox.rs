//! kw-inbox: first contact with someone who is offline, as its user sees it.

mod cards;
mod cli;
mod crash;
mod delivery;
mod letters;
mod story;

use crate::sandbox::{Done, User};
use keywire::key::KeyPair;
use std::path::PathBuf;

fn inbox(user: &User, args: &[&str]) -> Done {
    user.run("kw-inbox", args)
}

/// A card of `user`, its text as it is printed.
fn card(user: &User, args: &[&str]) -> String {
    let made = inbox(user, &[&["card"], args].concat()).succeeds();
    assert_eq!(made.stdout.lines().count(), 1, "{made:?}");
    made.stdout
}

/// The same in a file of `holder`'s.
fn card_for(holder: &User, owner: &User, args: &[&str]) -> PathBuf {
    put(holder, "card", &card(owner, args))
}

/// A file of `user`'s.
fn put(user: &User, name: &str, text: &str) -> PathBuf {
    let path = user.file(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// What `sender` seals to `card`.
fn seal(sender: &User, card: &str, args: &[&str]) -> String {
    let sealed = sender.run_with("kw-inbox", [&["seal", "--card", "-"], args].concat(), card.as_bytes()).succeeds();
    assert!(sealed.stdout.starts_with("-----BEGIN KEYWIRE SEALED MESSAGE-----\n"), "{sealed:?}");
    sealed.stdout
}

/// `user` opens `sealed`.
fn open(user: &User, sealed: &str, args: &[&str]) -> Done {
    user.run_with("kw-inbox", [&["open", "-"], args].concat(), sealed.as_bytes())
}

/// The identifiers of the one-time keys in `card`.
fn rkis(user: &User, card: &str) -> Vec<String> {
    let shown = user.run_with("kw-inbox", ["show", "--json", "-"], card.as_bytes()).succeeds().objects().remove(0);
    shown["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// A key that nobody here has.
fn new_key() -> String {
    KeyPair::generate().unwrap().public().to_string()
}
