//! The passphrase of a secret key: choosing a new one, and putting it in the place of the old.

use crate::args;
use keywire::cli;
use keywire::error::{Error, Kind, Result};
use keywire::identity::IdentityFile;
use keywire::seal::Passphrase;
use std::path::Path;

/// Asks for a new passphrase: `file`, or twice on the terminal, since a slip could never be found out again.
/// `option` is what names a file on this command line.
pub(crate) fn choose(file: Option<&Path>, option: &str) -> Result<Passphrase> {
    if file.is_some() {
        return cli::passphrase(file, "");
    }
    let typed = cli::passphrase(None, "new passphrase: ").map_err(|wrong| match wrong.kind() {
        // No terminal. The hint must name the option of the new passphrase, which is not always --passphrase-file.
        Kind::State if !wrong.hints().is_empty() => Error::state(wrong.to_string())
            .hint(format!("put it into a file that only you may read, and name it: {option} FILE")),
        _ => wrong,
    })?;
    if !typed.same(&cli::passphrase(None, "the same again: ")?) {
        return Err(Error::usage("the two passphrases are not the same").hint("nothing was changed; try again"));
    }
    Ok(typed)
}

/// Seals the secret key of `file` anew, or leaves it in clear with `--remove`.
pub(crate) fn change(file: &IdentityFile, options: &args::Passphrase) -> Result<()> {
    if options.remove && options.new_passphrase_file.is_some() {
        return Err(Error::usage("--remove goes without --new-passphrase-file"));
    }
    let shown = file.path();
    let (_, sealed) = file.public()?;
    if options.remove && !sealed {
        return Err(Error::no(format!("{} has no passphrase", shown.display())));
    }
    let old = || cli::passphrase(options.passphrase_file.as_deref(), &format!("passphrase for {}: ", shown.display()));
    let new = || match options.remove {
        true => Ok(None),
        false => choose(options.new_passphrase_file.as_deref(), "--new-passphrase-file").map(Some),
    };
    file.reseal(old, new)?;
    let done = match (sealed, options.remove) {
        (_, true) => "removed the passphrase of",
        (true, false) => "changed the passphrase of",
        (false, false) => "set a passphrase for",
    };
    keywire::cli::say(&format!("{done} {}", shown.display()));
    Ok(())
}
