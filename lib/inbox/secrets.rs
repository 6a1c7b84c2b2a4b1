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
use std::ffi::OsStr;
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

impl Keys {
    /// Wipes the secrets of keys that are not live, whoever left them there.
    pub(super) fn wipe(&self, dir: &Store) -> Result<()> {
        let Some(secrets) = dir.look_below(SECRETS)? else { return Ok(()) };
        let live: BTreeSet<String> = self.live().map(|row| file_of(&row.key)).collect();
        let path = secrets.path("");
        let failed = |cause| Error::file("read", &path, &cause);
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if !name.to_str().is_some_and(|name| live.contains(name)) {
                wipe(&secrets, &name)?;
            }
        }
        Ok(())
    }
}

impl Inbox {
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
