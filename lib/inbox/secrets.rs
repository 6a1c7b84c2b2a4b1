//! The secrets of live one-time keys: a file for each, which is written once, so that it can be overwritten where it lies.

use super::Inbox;
use super::keys::Keys;
use crate::error::{Error, Result};
use crate::json::Bytes;
use crate::key::{KeyPair, SecretKey};
use crate::proto::inbox::KeyHash;
use crate::seal::StorageKey;
use crate::store::{Privacy, State, Store, Version, nofollow, sync_parent};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

/// The directory of the secrets.
const SECRETS: &str = "keys";

/// The secret of a live key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    version: Version,
    /// Under the storage key.
    secret: Bytes,
}

impl State for Secret {
    const PRIVACY: Privacy = Privacy::Secret;
}

impl Inbox {
    /// Wipes the secrets of keys that are not live, whoever left them there. What cannot be wiped is noted, and tried again
    /// with the next look: what was done before it, such as to open a message, is done.
    pub(super) fn wipe(&self, keys: &Keys) {
        let live: BTreeSet<String> = keys.live().map(|row| file_of(&row.key)).collect();
        let mut left = Vec::new();
        match names(&self.0.dir) {
            Ok(None) => {}
            Ok(Some((secrets, names))) => {
                let over = names.iter().filter(|name| !name.to_str().is_some_and(|name| live.contains(name)));
                left.extend(over.filter(|name| wipe(&secrets, name).is_err()).map(|name| secrets.path("").join(name)));
            }
            Err(_) => left.push(self.0.dir.path(SECRETS)),
        }
        for path in left {
            self.0.notices.add(&path, "what is there of keys that are over could not be wiped: remove it");
        }
    }

    /// Puts the secrets of new keys on the disk.
    pub(super) fn keep_secrets(&self, me: &KeyPair, pairs: &[KeyPair]) -> Result<()> {
        let (secrets, storage) = (self.0.dir.below(SECRETS)?, StorageKey::of(me));
        for pair in pairs {
            let key = KeyHash::of(&pair.public());
            let secret = storage.seal(&context(&key), pair.secret().expose())?;
            secrets.write(&file_of(&key), &Secret { version: Version, secret })?;
        }
        // They lie in one directory.
        pairs.last().map_or(Ok(()), |pair| secrets.settle(&file_of(&KeyHash::of(&pair.public()))))
    }

    /// The secret of a live key.
    ///
    /// # Errors
    /// It is not there, cannot be read, or is damaged.
    pub(super) fn secret(&self, storage: &StorageKey, key: &KeyHash) -> Result<SecretKey> {
        let missing =
            || Error::state(format!("{} is not there", self.0.dir.path(SECRETS).join(file_of(key)).display()));
        let secrets = self.0.dir.look_below(SECRETS)?.ok_or_else(missing)?;
        let Secret { secret, .. } = secrets.read(&file_of(key))?.ok_or_else(missing)?;
        let bytes = storage.open(&context(key), &secret)?;
        let bytes = bytes.as_slice().try_into().map_err(|_| Error::state("what is sealed in it is no key"))?;
        Ok(SecretKey::from_bytes(bytes))
    }
}

/// Whether there are secrets, of whatever keys.
pub(super) fn has_secrets(dir: &Store) -> Result<bool> {
    Ok(names(dir)?.is_some_and(|(_, names)| !names.is_empty()))
}

/// The directory of the secrets, if it is there, and what lies in it.
fn names(dir: &Store) -> Result<Option<(Store, Vec<OsString>)>> {
    let Some(secrets) = dir.look_below(SECRETS)? else { return Ok(None) };
    let entries = std::fs::read_dir(secrets.path("")).and_then(|all| all.map(|one| Ok(one?.file_name())).collect());
    match entries {
        Ok(names) => Ok(Some((secrets, names))),
        Err(cause) => Err(Error::file("read", &secrets.path(""), &cause)),
    }
}

fn file_of(key: &KeyHash) -> String {
    format!("{key}.json")
}

/// What a sealed secret is bound to.
fn context(key: &KeyHash) -> [&[u8]; 2] {
    [b"keywire one-time key", &key.0]
}

/// Overwrites a file with zeros where it lies, as far as the file system does so, and removes it.
fn wipe(dir: &Store, name: &OsStr) -> Result<()> {
    let path = dir.path("").join(name);
    let zeros = |mut file: File| {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(1 << 16);
        file.write_all(&vec![0; length])?;
        file.sync_all()
    };
    let zeroed = OpenOptions::new().write(true).custom_flags(nofollow()).open(&path).and_then(zeros);
    // It goes in any case.
    match std::fs::remove_file(&path).and(zeroed) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Error::file("wipe", &path, &cause)),
        Ok(()) => sync_parent(&path),
    }
}
