//! `show`: a public key as text, as a picture, as a QR code.

use crate::args::Show;
use crate::{print_identity, print_json};
use keywire::cli;
use keywire::error::{Error, Result};
use keywire::identity::IdentityFile;
use keywire::json::json;
use keywire::picture;
use keywire::qr;
use keywire::store::Store;
use keywire::trust::Peers;

pub(crate) fn run(options: &Show) -> Result<()> {
    if options.json && (options.picture || options.qr) {
        return Err(Error::usage("--json goes with neither --picture nor --qr").hint("they are drawings for people"));
    }
    let key = match (&options.peer, &options.identity) {
        (Some(_), Some(_)) => {
            return Err(Error::usage("a peer's key is not in an identity file").hint("give the peer or --identity"));
        }
        (Some(peer), None) => {
            let peers = Peers::load(&Store::home()?)?;
            let key = peers.resolve_key(peer)?;
            if options.json {
                return print_json(&json!({ "key": key, "name": peers.name_of(&key) }));
            }
            key
        }
        (None, file) => {
            let file = IdentityFile::locate(file.as_deref())?;
            if options.json {
                return print_identity(&file);
            }
            file.public()?.0
        }
    };
    let mut shown = format!("{key}\n");
    if options.picture {
        shown += &picture::of(&key);
    }
    if options.qr {
        // Upper case takes 5.5 bits a character instead of 8 (alphanumeric mode), so that 29 modules hold it.
        shown += &qr::of(&key.to_string().to_uppercase(), qr::coloured())?;
    }
    cli::print(&shown)
}
