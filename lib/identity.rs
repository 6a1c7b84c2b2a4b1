//! The identity file: this user's key pair, in clear or sealed under a passphrase. See keywire-files(5).

use crate::error::{Error, Result};
use crate::key::{KeyPair, PublicKey, SecretKey};
use crate::seal::{Passphrase, Sealed};
use crate::store::{Privacy, State, Store, Version};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the identity in the state directory.
pub const IDENTITY: &str = "identity.json";

/// Where an identity is kept.
#[derive(Clone, Debug)]
pub struct IdentityFile {
    store: Store,
    name: String,
}

/// The file's contents: exactly one of `secret` and `sealed`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    version: Version,
    public: PublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Sealed>,
}

impl State for Identity {
    const PRIVACY: Privacy = Privacy::Secret;

    fn check(&self) -> std::result::Result<(), String> {
        match (&self.secret, &self.sealed) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => Err("it needs either \"secret\" or \"sealed\"".to_owned()),
        }
    }
}

impl Identity {
    fn new(keys: &KeyPair, passphrase: Option<&Passphrase>) -> Result<Self> {
        let (secret, sealed) = match passphrase {
            Some(passphrase) => {
                (None, Some(Sealed::seal(passphrase, &context(&keys.public()), keys.secret().expose())?))
            }
            None => (Some(keys.secret().expose_text()?), None),
        };
        Ok(Identity { version: Version, public: keys.public(), secret, sealed })
    }

    /// The key pair, after a check that the public half is the secret's own.
    fn open(&self, path: &Path, ask: impl FnOnce() -> Result<Passphrase>) -> Result<KeyPair> {
        let secret = match (&self.secret, &self.sealed) {
            (_, Some(sealed)) => {
                let opened = sealed.open(&ask()?, &context(&self.public))?;
                let bytes = opened.ok_or_else(|| {
                    Error::state(format!("wrong passphrase for {}", path.display()))
                        .hint("try again; there is no way in without it")
                })?;
                let bytes = bytes.as_slice().try_into().map_err(|_| Error::state("the sealed secret is damaged"))?;
                SecretKey::from_bytes(bytes)
            }
            (Some(text), None) => SecretKey::from_text(text)
                .map_err(|why| Error::state(format!("{} cannot be used: {why}", path.display())))?,
            (None, None) => return Err(Error::state(format!("{} holds no secret", path.display()))),
        };
        let keys = KeyPair::from_secret(secret);
        if keys.public() != self.public {
            return Err(Error::state(format!("{} holds a public key and the secret of another", path.display())));
        }
        Ok(keys)
    }
}

/// What a sealed secret is bound to: it opens in no other identity's file.
fn context(public: &PublicKey) -> Vec<u8> {
    [b"keywire identity v1 ", &public.as_bytes()[..]].concat()
}

impl IdentityFile {
    /// The file at `path`, or the one in the state directory.
    ///
    /// # Errors
    /// Those of [`Store::home`], and a path without a file name.
    pub fn locate(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(IdentityFile { store: Store::home()?, name: IDENTITY.to_owned() });
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::usage(format!("no file name in '{}'", path.display())))?;
        let dir = path.parent().unwrap_or_else(|| Path::new("."));
        Ok(IdentityFile { store: Store::at(dir), name: name.to_owned() })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.store.path(&self.name)
    }

    /// Writes a new key pair, sealed if there is a passphrase.
    ///
    /// # Errors
    /// There is a file already, whatever it holds; and those of [`Store::update`].
    pub fn create(&self, keys: &KeyPair, passphrase: Option<&Passphrase>) -> Result<()> {
        let fresh = Identity::new(keys, passphrase)?;
        self.refuse_if_taken()?;
        self.store.update(&self.name, |identity| match identity {
            Some(_) => Err(self.taken()),
            None => {
                *identity = Some(fresh);
                Ok(())
            }
        })
    }

    /// Says before a passphrase is chosen for nothing what [`IdentityFile::create`] would say after it.
    ///
    /// # Errors
    /// There is a file already, whatever it holds.
    pub fn refuse_if_taken(&self) -> Result<()> {
        match std::fs::symlink_metadata(self.path()) {
            Ok(_) => Err(self.taken()),
            Err(_) => Ok(()),
        }
    }

    fn taken(&self) -> Error {
        Error::state(format!("there is an identity in {} already", self.path().display()))
            .hint("it was left as it is; 'kw-keygen show' shows its key")
            .hint("to keep another one beside it: kw-keygen new --identity FILE")
    }

    /// The public half, for which no passphrase is needed; and whether the secret half is sealed.
    ///
    /// # Errors
    /// Those of [`Store::read`], no file, and a secret in clear that belongs to another public half.
    pub fn public(&self) -> Result<(PublicKey, bool)> {
        let identity = self.read()?;
        let sealed = identity.sealed.is_some();
        if !sealed {
            // Costs nothing here: nobody should hand out a key that is not theirs.
            identity.open(&self.path(), || Err(Error::state("the secret is not sealed")))?;
        }
        Ok((identity.public, sealed))
    }

    /// The key pair. `ask` is called if the secret is sealed.
    ///
    /// # Errors
    /// No file, a file that [`Store::read`] refuses, a wrong passphrase, halves that do not belong together.
    pub fn load(&self, ask: impl FnOnce() -> Result<Passphrase>) -> Result<KeyPair> {
        self.read()?.open(&self.path(), ask)
    }

    /// Seals the secret anew: `old` is asked if it is sealed now, and `new` says what it will be; `None` is in clear.
    ///
    /// # Errors
    /// Those of [`IdentityFile::load`] and of [`Store::update`]. The file is then as it was.
    pub fn reseal(
        &self,
        old: impl FnOnce() -> Result<Passphrase>,
        new: impl FnOnce() -> Result<Option<Passphrase>>,
    ) -> Result<()> {
        let keys = self.load(old)?;
        let fresh = Identity::new(&keys, new()?.as_ref())?;
        self.store.update(&self.name, |identity: &mut Option<Identity>| match identity {
            Some(found) if found.public == fresh.public => {
                *found = fresh;
                Ok(())
            }
            _ => Err(Error::state(format!("{} was changed by somebody else meanwhile", self.path().display()))),
        })
    }

    fn read(&self) -> Result<Identity> {
        let read = self.store.read(&self.name).map_err(|error| match is_of_ssh(&self.path()) {
            true => Error::state(format!("{} is a key of ssh, which keywire cannot use", self.path().display()))
                .hint("make a key pair for keywire: kw-keygen new"),
            false => error,
        });
        read?.ok_or_else(|| {
            Error::state(format!("no identity in {}", self.path().display())).hint("make a key pair: kw-keygen new")
        })
    }
}

/// Whether the file begins as the keys of ssh do, secret and public ones: people have many of them, and try.
fn is_of_ssh(path: &Path) -> bool {
    let mut start = [0; 12];
    // Only a regular file gives its bytes without waiting for somebody.
    let read = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
        && std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok();
    let begins = [&b"-----BEGIN "[..], b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-"];
    read && begins.iter().any(|begin| start.starts_with(begin))
}
