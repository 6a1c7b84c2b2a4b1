//! `keys.json`: the epoch keys that we were given, sealed under the storage key. See keywire-files(5).

use super::Group;
use crate::error::{Error, Result};
use crate::group::keys::EpochKey;
use crate::json::Bytes;
use crate::kdf::Secret;
use crate::proto::group::KeyId;
use crate::store::{Privacy, State, Version};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the file in the group's directory.
const KEYS: &str = "keys.json";

/// The contents of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keyring {
    version: Version,
    keys: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: KeyId,
    sealed: Bytes,
}

impl State for Keyring {
    const PRIVACY: Privacy = Privacy::Secret;

    fn check(&self) -> std::result::Result<(), String> {
        let ids: BTreeSet<_> = self.keys.iter().map(|row| row.id).collect();
        match ids.len() == self.keys.len() {
            true => Ok(()),
            false => Err("a key stands in it twice".to_owned()),
        }
    }
}

impl Group {
    /// The epoch keys that we have.
    ///
    /// # Errors
    /// The file cannot be read, or does not open under this identity.
    pub fn keys(&self) -> Result<BTreeMap<KeyId, EpochKey>> {
        let keyring: Keyring = self.dir.read(KEYS)?.unwrap_or_default();
        let mut keys = BTreeMap::new();
        for row in keyring.keys {
            let cannot = |why: &str| Error::state(format!("{} cannot be used: {why}", self.dir.path(KEYS).display()));
            let text = self.storage.open(&self.context(&row.id), &row.sealed);
            let text = text.map_err(|why| cannot(&why.to_string()))?;
            let key = text.as_slice().try_into().map_err(|_| cannot("a key has a wrong length"))?;
            keys.insert(row.id, EpochKey(Secret::new(key)));
        }
        Ok(keys)
    }

    /// Keeps epoch keys; those that are there already stay. They are on disk when this returns.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::update`].
    pub fn add_keys(&self, keys: &[EpochKey]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.dir.update(KEYS, |keyring: &mut Option<Keyring>| {
            let rows = &mut keyring.get_or_insert_default().keys;
            for key in keys {
                let id = key.id();
                if rows.iter().all(|row| row.id != id) {
                    let sealed = self.storage.seal(&self.context(&id), key.0.as_slice())?;
                    rows.push(Row { id, sealed });
                }
            }
            Ok(())
        })
    }

    fn context<'a>(&'a self, key: &'a KeyId) -> [&'a [u8]; 3] {
        [b"group key", &self.id.0, &key.0]
    }
}
