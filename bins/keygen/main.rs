//! kw-keygen: makes, shows, checks and protects a key pair. See kw-keygen(1).

mod args;
mod protect;
mod show;

use args::{Check, Command, Fingerprint, Keygen, New, Passphrase};
use keywire::cli;
use keywire::error::{Error, Result};
use keywire::fingerprint;
use keywire::identity::IdentityFile;
use keywire::json::{self, json};
use keywire::key::{KeyPair, PublicKey};
use keywire::store::Store;
use keywire::trust::Peers;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main("kw-keygen", run)
}

fn run(args: Keygen) -> Result<ExitCode> {
    match args.command {
        Command::New(options) => new(&options),
        Command::Show(options) => show::run(&options),
        Command::Check(options) => return check(&options),
        Command::Passphrase(options) => passphrase(&options),
        Command::Fingerprint(options) => fingerprint(&options),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn new(options: &New) -> Result<()> {
    let file = IdentityFile::locate(options.identity.as_deref())?;
    // Before anybody chooses a passphrase for nothing.
    file.refuse_if_taken()?;
    let sealed = options.passphrase || options.passphrase_file.is_some();
    let passphrase =
        if sealed { Some(protect::choose(options.passphrase_file.as_deref(), "--passphrase-file")?) } else { None };
    let keys = KeyPair::generate()?;
    file.create(&keys, passphrase.as_ref())?;
    cli::say(&format!("made {}", file.path().display()));
    if options.json { print_identity(&file) } else { cli::print(&format!("{}\n", keys.public())) }
}

fn check(options: &Check) -> Result<ExitCode> {
    let checked = options.key.parse::<PublicKey>().map_err(|wrong| match options.key.contains('@') {
        true => wrong.hint("of an address KEY@HOST:PORT, the key is what stands before the '@'"),
        false => wrong,
    });
    match (checked, options.json) {
        (Ok(key), false) => cli::print(&format!("{key}\n"))?,
        (Ok(key), true) => print_json(&json!({ "valid": true, "key": key }))?,
        (Err(wrong), false) => return Err(wrong),
        // A key that does not check is a result like another; the exit status says it too.
        (Err(wrong), true) => {
            print_json(&json!({ "valid": false, "problem": wrong.to_string(), "hints": wrong.hints() }))?;
            return Ok(ExitCode::from(wrong.kind().exit_status()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn passphrase(options: &Passphrase) -> Result<()> {
    let file = IdentityFile::locate(options.identity.as_deref())?;
    protect::change(&file, options)?;
    if options.json { print_identity(&file) } else { Ok(()) }
}

fn fingerprint(options: &Fingerprint) -> Result<()> {
    let peers = Peers::load(&Store::home()?)?;
    let mut keys = vec![peers.resolve_key(&options.a)?];
    if let Some(b) = &options.b {
        keys.push(peers.resolve_key(b)?);
        keys.sort();
        keys.dedup();
        if keys.len() == 1 {
            return Err(Error::usage("both are the same key").hint("a pair is your own key and the peer's"));
        }
    }
    if options.json {
        return print_json(&json!({ "keys": keys, "fingerprint": fingerprint::digits(&keys).join(" ") }));
    }
    cli::print(&fingerprint::lines(&keys))
}

/// What is in an identity file, as JSON.
fn print_identity(file: &IdentityFile) -> Result<()> {
    let (key, sealed) = file.public()?;
    print_json(&json!({ "key": key, "file": file.path().display().to_string(), "sealed": sealed }))
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    cli::print(&(json::line(value)? + "\n"))
}
