//! A Noise handshake whose messages may be days apart: snow cannot put an unfinished one down and take it up again.
//!
//! `Noise_XX_25519_ChaChaPoly_BLAKE2b` (Noise specification, revision 34) for the patterns KK, KX and XK. What an unfinished
//! handshake needs to go on is its ephemeral key and the messages so far: whoever has both does the steps once more.

use crate::error::{Error, Result};
use crate::kdf::Secret;
use crate::key::{KeyPair, PublicKey, SecretKey};
use zeroize::Zeroizing;

/// Who knows whom before the first message (Noise specification, section 7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Both know the other's key: `-> e, es, ss`, `<- e, ee, se`.
    KK,
    /// The responder knows the initiator's key: `-> e`, `<- e, ee, se, s, es`.
    KX,
    /// The initiator knows the responder's key: `-> e, es`, `<- e, ee`, `-> s, se`.
    XK,
}

/// Which end of a handshake this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes the first message.
    Initiator,
    /// Reads the first message.
    Responder,
}

/// A handshake in progress.
pub struct Handshake<'a> {
    me: &'a KeyPair,
}

/// What a finished handshake leaves.
pub struct Finished {
    /// The key at the other end.
    pub peer: PublicKey,
    /// The handshake hash, the same at both ends (section 11.2).
    pub hash: [u8; 64],
    /// The first key of Split (section 5.2): from the initiator to the responder.
    pub from_initiator: Secret,
    /// The second key of Split: from the responder to the initiator.
    pub from_responder: Secret,
}

impl<'a> Handshake<'a> {
    /// Begins. `peer` is the other end's static key where the pattern says that this side knows it; `ephemeral` is this
    /// side's ephemeral key.
    ///
    /// # Errors
    /// A pattern that needs the peer's key, without it.
    pub fn new(
        pattern: Pattern,
        role: Role,
        prologue: &[u8],
        me: &'a KeyPair,
        peer: Option<PublicKey>,
        ephemeral: &SecretKey,
    ) -> Result<Self> {
        let _ = (pattern, role, prologue, peer, ephemeral);
        Ok(Handshake { me })
    }

    /// Writes the next message.
    ///
    /// # Errors
    /// It is not this side's turn.
    pub fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>> {
        let _ = (payload, self.me);
        Err(Error::state("not built"))
    }

    /// Reads the next message and gives its payload.
    ///
    /// # Errors
    /// Anything that the other side did not write in this very handshake, and an all-zero Diffie-Hellman result. The
    /// handshake is over then.
    pub fn read(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let _ = message;
        Err(Error::state("not built"))
    }

    /// What is left when the last message was written or read.
    ///
    /// # Errors
    /// It was not.
    pub fn finish(self) -> Result<Finished> {
        Err(Error::state("not built"))
    }
}
