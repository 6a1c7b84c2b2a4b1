//! Sealing: the authenticated ciphers, each bound to one purpose by its type.
//!
//! [`Suite`] and [`CipherKey`] are the two ciphers of a connection (Noise specification, section 12). A secret at rest is
//! under a passphrase: [`Passphrase`].

use crate::error::{Error, Result};
use crate::json::Bytes;
use crate::kdf::{self, Secret};
use crate::key::KeyPair;
use crate::random;
use aes_gcm::Aes256Gcm;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// Bytes that sealing adds.
pub const TAG_LEN: usize = 16;

/// Bytes of a symmetric key.
pub const CIPHER_KEY_LEN: usize = 32;

/// The cipher of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES-256-GCM: the nonce is 4 zero bytes and the counter, big endian.
    AesGcm,
    /// ChaCha20-Poly1305 (RFC 8439): the nonce is 4 zero bytes and the counter, little endian.
    ChaChaPoly,
}

impl Suite {
    /// The faster one here: AES-256-GCM where the processor has instructions for AES, else ChaCha20-Poly1305.
    #[must_use]
    pub fn fastest() -> Self {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        let fast_aes = std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
        #[cfg(target_arch = "aarch64")]
        let fast_aes =
            std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
        let fast_aes = false;
        if fast_aes { Suite::AesGcm } else { Suite::ChaChaPoly }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Suite::AesGcm => &AES_256_GCM,
            Suite::ChaChaPoly => &CHACHA20_POLY1305,
        }
    }

    fn nonce(self, counter: u64) -> Nonce {
        let counter = match self {
            Suite::AesGcm => counter.to_be_bytes(),
            Suite::ChaChaPoly => counter.to_le_bytes(),
        };
        let mut nonce = [0; 12];
        for (to, from) in nonce.iter_mut().skip(4).zip(counter) {
            *to = from;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// One key of a connection's cipher. It counts nothing: the caller never uses a counter twice for sealing.
pub struct CipherKey {
    suite: Suite,
    key: LessSafeKey,
}

impl CipherKey {
    /// Prepares `key`.
    ///
    /// # Errors
    /// None for keys of this length.
    pub fn new(suite: Suite, key: &[u8; CIPHER_KEY_LEN]) -> Result<Self> {
        let key = UnboundKey::new(suite.algorithm(), key).map_err(|_| Error::state("the cipher takes no key"))?;
        Ok(CipherKey { suite, key: LessSafeKey::new(key) })
    }

    /// Seals `text` in place and returns the tag that must follow it.
    ///
    /// # Errors
    /// A text beyond the cipher's limit.
    pub fn seal(&self, counter: u64, aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG_LEN]> {
        self.key
            .seal_in_place_separate_tag(self.suite.nonce(counter), Aad::from(aad), text)
            .ok()
            .and_then(|tag| tag.as_ref().try_into().ok())
            .ok_or_else(|| Error::state("the cipher cannot seal"))
    }

    /// Seals `text` into `out`, which has its length, and returns the tag that must follow it.
    ///
    /// # Errors
    /// A text beyond the cipher's limit, and another length of `out`.
    pub fn seal_apart(&self, counter: u64, aad: &[u8], text: &[u8], out: &mut [u8]) -> Result<[u8; TAG_LEN]> {
        let mut tag = [0; TAG_LEN];
        self.key
            .seal_out_of_place_scatter(self.suite.nonce(counter), Aad::from(aad), text, out, &[], &mut tag)
            .map_err(|_| Error::state("the cipher cannot seal"))?;
        Ok(tag)
    }

    /// Opens `sealed`, a text and its tag, in place, and returns the text.
    ///
    /// # Errors
    /// Anything that was not sealed by this key under this counter and `aad`.
    pub fn open<'a>(&self, counter: u64, aad: &[u8], sealed: &'a mut [u8]) -> Result<&'a mut [u8]> {
        self.key
            .open_in_place(self.suite.nonce(counter), Aad::from(aad), sealed)
            .map_err(|_| Error::protocol("a sealed record does not open"))
    }

    /// The next key in the line (Noise specification, section 4.2, `REKEY`).
    ///
    /// # Errors
    /// None for keys of this length.
    pub fn rekey(&self) -> Result<Self> {
        let mut next = Zeroizing::new([0; CIPHER_KEY_LEN]);
        self.seal(u64::MAX, &[], next.as_mut())?;
        Self::new(self.suite, &next)
    }
}

/// Seals what is stored: a key that comes from the identity, so that state without the identity opens nothing.
///
/// XChaCha20-Poly1305 with a random nonce, which stands in front of the ciphertext.
pub struct StorageKey(XChaCha20Poly1305);

impl StorageKey {
    /// The storage key of an identity.
    #[must_use]
    pub fn of(me: &KeyPair) -> Self {
        let key = kdf::derive(b"keywire storage v1", me.secret().expose(), &[me.public().as_bytes()]);
        StorageKey(XChaCha20Poly1305::new(key.as_ref().into()))
    }

    /// Seals `text`; `context` says what it is and whose, and must be the same when it is opened.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn seal(&self, context: &[&[u8]], text: &[u8]) -> Result<Bytes> {
        let nonce: [u8; 24] = random::bytes()?;
        let payload = Payload { msg: text, aad: &kdf::join(context) };
        let sealed = self.0.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| Error::state("the cipher cannot seal"))?;
        Ok(Bytes([&nonce[..], &sealed].concat()))
    }

    /// Opens what was sealed under the same context.
    ///
    /// # Errors
    /// Anything else: another identity's, another place's, or changed.
    pub fn open(&self, context: &[&[u8]], sealed: &Bytes) -> Result<Zeroizing<Vec<u8>>> {
        let opened = sealed.0.split_at_checked(24).and_then(|(nonce, sealed)| {
            self.0.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: &kdf::join(context) }).ok()
        });
        opened.map(Zeroizing::new).ok_or_else(|| {
            Error::state("what is stored does not open under this identity: it is another one's, or damaged")
        })
    }
}

/// Bytes of the nonce of a message.
pub const MESSAGE_NONCE_LEN: usize = 12;

/// Seals a message under a key for it alone: ChaCha20-Poly1305 (RFC 8439), with the tag at the end.
///
/// # Errors
/// A text beyond the cipher's limit.
pub fn seal_message(key: &Secret, nonce: &[u8; MESSAGE_NONCE_LEN], aad: &[u8], text: &[u8]) -> Result<Vec<u8>> {
    ChaCha20Poly1305::new(key.as_ref().into())
        .encrypt(nonce.into(), Payload { msg: text, aad })
        .map_err(|_| Error::state("the cipher cannot seal"))
}

/// Opens a message; `None` if it was not sealed by this key under this nonce and `aad`.
#[must_use]
pub fn open_message(
    key: &Secret,
    nonce: &[u8; MESSAGE_NONCE_LEN],
    aad: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let opened = ChaCha20Poly1305::new(key.as_ref().into()).decrypt(nonce.into(), Payload { msg: sealed, aad });
    opened.ok().map(Zeroizing::new)
}

/// Seals the body of a group's entry under a key for it alone: AES-256-GCM (NIST SP 800-38D), with the tag at the end.
///
/// # Errors
/// A text beyond the cipher's limit.
pub fn seal_entry(key: &Secret, nonce: &[u8; MESSAGE_NONCE_LEN], aad: &[u8], text: &[u8]) -> Result<Vec<u8>> {
    Aes256Gcm::new(key.as_ref().into())
        .encrypt(nonce.into(), Payload { msg: text, aad })
        .map_err(|_| Error::state("the cipher cannot seal"))
}

/// Opens such a body; `None` if it was not sealed by this key under this nonce and `aad`.
#[must_use]
pub fn open_entry(key: &Secret, nonce: &[u8; MESSAGE_NONCE_LEN], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    Aes256Gcm::new(key.as_ref().into()).decrypt(nonce.into(), Payload { msg: sealed, aad }).ok()
}

/// Most memory that a sealed file may ask for, in KiB (1 GiB): a hostile file must not take the machine.
const MAX_MEMORY_KIB: u32 = 1 << 20;
/// Most passes that a sealed file may ask for.
const MAX_PASSES: u32 = 16;
/// Most lanes that a sealed file may ask for.
const MAX_LANES: u32 = 8;
/// Bytes of salt (RFC 9106 section 3.1 recommends 16).
const SALT_LEN: usize = 16;

/// A passphrase, wiped when dropped.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes what the user typed, without the line end.
    #[must_use]
    pub fn new(text: String) -> Self {
        Passphrase(Zeroizing::new(text))
    }

    /// Whether nothing was typed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the same.
    #[must_use]
    pub fn same(&self, other: &Passphrase) -> bool {
        *self.0 == *other.0
    }
}

/// A secret sealed under a passphrase: argon2id (RFC 9106) makes the key, XChaCha20-Poly1305 seals.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    kdf: Kdf,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    #[serde(with = "hex")]
    salt: Vec<u8>,
    #[serde(with = "hex")]
    nonce: Vec<u8>,
    #[serde(with = "hex")]
    ciphertext: Vec<u8>,
}

/// How the key comes from the passphrase.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Kdf {
    #[serde(rename = "argon2id")]
    Argon2id,
}

impl Sealed {
    /// Seals `secret` under `passphrase`; `context` must be the same when it is opened.
    ///
    /// # Errors
    /// When the system has no random numbers or not enough memory.
    pub fn seal(passphrase: &Passphrase, context: &[u8], secret: &[u8]) -> Result<Self> {
        let drawn: [u8; SALT_LEN + 24] = random::bytes()?;
        let (salt, nonce) = drawn.split_at(SALT_LEN);
        // RFC 9106 section 4, second recommended option: 64 MiB, 3 passes; one lane, since one thread works here.
        let mut sealed = Sealed {
            kdf: Kdf::Argon2id,
            memory_kib: 64 << 10,
            passes: 3,
            lanes: 1,
            salt: salt.to_vec(),
            nonce: nonce.to_vec(),
            ciphertext: Vec::new(),
        };
        sealed.ciphertext = sealed
            .cipher(passphrase)?
            .encrypt(XNonce::from_slice(nonce), Payload { msg: secret, aad: context })
            .map_err(|_| Error::state("cannot seal the secret"))?;
        Ok(sealed)
    }

    /// Opens what was sealed; `None` if the passphrase or the context is another one, or a byte was changed.
    ///
    /// # Errors
    /// Parameters beyond the limits, before any work is done for them.
    pub fn open(&self, passphrase: &Passphrase, context: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
        if self.nonce.len() != 24 || self.salt.len() != SALT_LEN {
            return Err(Error::state("the sealed secret is damaged: its salt or nonce has a wrong length"));
        }
        let payload = Payload { msg: &self.ciphertext, aad: context };
        let opened = self.cipher(passphrase)?.decrypt(XNonce::from_slice(&self.nonce), payload);
        Ok(opened.ok().map(Zeroizing::new))
    }

    fn cipher(&self, passphrase: &Passphrase) -> Result<XChaCha20Poly1305> {
        let Kdf::Argon2id = self.kdf;
        let within = self.memory_kib <= MAX_MEMORY_KIB && self.passes <= MAX_PASSES && self.lanes <= MAX_LANES;
        let params = argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(CIPHER_KEY_LEN))
            .ok()
            .filter(|_| within)
            .ok_or_else(|| Error::state("the sealed secret asks for parameters of argon2id beyond the limits"))?;
        let mut key = Zeroizing::new([0; CIPHER_KEY_LEN]);
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(passphrase.0.as_bytes(), &self.salt, key.as_mut())
            .map_err(|cause| Error::state(format!("cannot derive a key from the passphrase: {cause}")))?;
        let cipher = XChaCha20Poly1305::new(key.as_ref().into());
        key.zeroize();
        Ok(cipher)
    }
}

/// Bytes as lower-case hex in JSON.
mod hex {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        HEXLOWER.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
