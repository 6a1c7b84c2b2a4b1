//! The primitives that snow works with: X25519 and the ciphers by aws-lc-rs, BLAKE2b by RustCrypto.
//!
//! snow itself accepts a Diffie-Hellman result of zero, which any low-order key gives and which lets a peer authenticate
//! with no secret at all. This X25519 refuses it.

use crate::key::KEY_LEN;
use crate::seal::{CIPHER_KEY_LEN, CipherKey, Suite, TAG_LEN};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use blake2::{Blake2b512, Digest};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroizing;

/// Gives snow X25519, BLAKE2b and the two ciphers, and nothing else.
pub(super) struct Primitives;

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(System))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::<DiffieHellman>::default()),
            _ => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::Blake2b => Some(Box::<Blake2b>::default()),
            _ => None,
        }
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        match choice {
            CipherChoice::AESGCM => Some(Box::new(Sealing { suite: Suite::AesGcm, key: None })),
            CipherChoice::ChaChaPoly => Some(Box::new(Sealing { suite: Suite::ChaChaPoly, key: None })),
        }
    }
}

/// Random numbers from the system.
struct System;

impl Random for System {
    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), snow::Error> {
        getrandom::fill(into).map_err(|_| snow::Error::Rng)
    }
}

/// X25519 (RFC 7748).
#[derive(Default)]
struct DiffieHellman {
    secret: Zeroizing<[u8; KEY_LEN]>,
    public: [u8; KEY_LEN],
    key: Option<PrivateKey>,
}

impl Dh for DiffieHellman {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_LEN
    }

    fn priv_len(&self) -> usize {
        KEY_LEN
    }

    fn set(&mut self, secret: &[u8]) {
        // No secret, no key: every exchange then fails, since there is no way to say so from here.
        let key = PrivateKey::from_private_key(&X25519, secret).ok();
        let public = key.as_ref().and_then(|key| key.compute_public_key().ok());
        if let (Ok(secret), Some(public)) = (secret.try_into(), public)
            && let Ok(public) = public.as_ref().try_into()
        {
            self.secret = Zeroizing::new(secret);
            self.public = public;
            self.key = key;
        }
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), snow::Error> {
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        random.try_fill_bytes(secret.as_mut())?;
        self.set(secret.as_ref());
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_ref()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let key = self.key.as_ref().ok_or(snow::Error::Dh)?;
        let public = public.get(..KEY_LEN).ok_or(snow::Error::Dh)?;
        agreement::agree(key, UnparsedPublicKey::new(&X25519, public), snow::Error::Dh, |shared| {
            let zero = shared.iter().fold(0, |all, byte| all | byte) == 0;
            match out.get_mut(..KEY_LEN) {
                Some(out) if !zero && shared.len() == KEY_LEN => {
                    out.copy_from_slice(shared);
                    Ok(())
                }
                _ => Err(snow::Error::Dh),
            }
        })
    }
}

/// BLAKE2b (RFC 7693) with 64 bytes of output.
#[derive(Default)]
struct Blake2b(Blake2b512);

impl Hash for Blake2b {
    fn name(&self) -> &'static str {
        "BLAKE2b"
    }

    fn block_len(&self) -> usize {
        128
    }

    fn hash_len(&self) -> usize {
        64
    }

    fn reset(&mut self) {
        self.0 = Blake2b512::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        for (to, from) in out.iter_mut().zip(self.0.finalize_reset()) {
            *to = from;
        }
    }
}

/// One of the ciphers of a connection, as snow calls it: from one buffer into another.
struct Sealing {
    suite: Suite,
    key: Option<CipherKey>,
}

impl Cipher for Sealing {
    fn name(&self) -> &'static str {
        match self.suite {
            Suite::AesGcm => "AESGCM",
            Suite::ChaChaPoly => "ChaChaPoly",
        }
    }

    fn set(&mut self, key: &[u8; CIPHER_KEY_LEN]) {
        self.key = CipherKey::new(self.suite, key).ok();
    }

    fn encrypt(&self, nonce: u64, aad: &[u8], text: &[u8], out: &mut [u8]) -> usize {
        let mut seal = || {
            let (body, rest) = out.split_at_mut_checked(text.len())?;
            body.copy_from_slice(text);
            let tag = self.key.as_ref()?.seal(nonce, aad, body).ok()?;
            rest.get_mut(..TAG_LEN)?.copy_from_slice(&tag);
            Some(text.len() + TAG_LEN)
        };
        // snow has no word for a failure here; 0 bytes make the handshake fail at the other end.
        seal().unwrap_or(0)
    }

    fn decrypt(&self, nonce: u64, aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        let mut copy = Zeroizing::new(sealed.to_vec());
        let key = self.key.as_ref().ok_or(snow::Error::Decrypt)?;
        let text = key.open(nonce, aad, copy.as_mut_slice()).map_err(|_| snow::Error::Decrypt)?;
        out.get_mut(..text.len()).ok_or(snow::Error::Decrypt)?.copy_from_slice(text);
        Ok(text.len())
    }
}
