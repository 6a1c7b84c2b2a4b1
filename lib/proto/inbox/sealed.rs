//! Sealed messages: what only the recipient of a card opens.

use super::wire::{self, InboxHandshakeV1, array};
use super::{Rki, SealedId};
use crate::error::{Error, Result};
use crate::key::KEY_LEN;
use crate::seal::TAG_LEN;
use data_encoding::BASE64;
use prost::Message;
use std::fmt;

/// Most bytes of a sealed message: it travels in one record.
pub const MAX_SEALED_LEN: usize = 65_000;

/// Bytes of the sender's key, sealed.
const STATIC_LEN: usize = KEY_LEN + TAG_LEN;

/// The first line of a sealed message as text.
pub const BEGIN: &str = "-----BEGIN KEYWIRE SEALED MESSAGE-----";

/// The last line of it.
pub const END: &str = "-----END KEYWIRE SEALED MESSAGE-----";

/// Characters of base64 in a line, as in other armours (RFC 7468).
const LINE: usize = 64;

/// Most bytes of a text with a sealed message in it: the message, and a letter around it.
pub const MAX_ARMOUR_LEN: usize = 256 << 10;

/// A message to a card: `e`, then the sender's key and a payload that are sealed (Noise specification, section 7).
#[derive(Clone, PartialEq, Eq)]
pub struct SealedMessage {
    rki: Rki,
    noise: Vec<u8>,
    bytes: Vec<u8>,
}

impl SealedMessage {
    /// The message of a handshake, to the one-time key that `rki` names.
    ///
    /// # Errors
    /// It is too long.
    pub fn new(rki: Rki, noise: Vec<u8>) -> Result<Self> {
        let cut = |at| noise.split_at_checked(at).ok_or_else(|| Error::state("a handshake message that is too short"));
        let (fixed, payload) = cut(KEY_LEN + STATIC_LEN)?;
        let (ephemeral, sealed_key) = fixed.split_at_checked(KEY_LEN).unwrap_or((fixed, &[]));
        let wire = InboxHandshakeV1 {
            ephemeral: ephemeral.to_vec(),
            key_ref: rki.0.to_vec(),
            r#static: sealed_key.to_vec(),
            payload: payload.to_vec(),
        };
        let bytes = wire.encode_to_vec();
        match bytes.len() <= MAX_SEALED_LEN {
            true => Ok(SealedMessage { rki, noise, bytes }),
            false => Err(Error::no(format!("a sealed message of {} bytes; the most is {MAX_SEALED_LEN}", bytes.len()))),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// Anything that is none.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let wire: InboxHandshakeV1 = wire::decode(bytes, MAX_SEALED_LEN, "a sealed message")?;
        let ephemeral: [u8; KEY_LEN] = array(&wire.ephemeral, "the ephemeral key of a sealed message")?;
        let rki = Rki(array(&wire.key_ref, "the key identifier of a sealed message")?);
        let sealed_key: [u8; STATIC_LEN] = array(&wire.r#static, "the sender's key of a sealed message")?;
        if wire.payload.len() < TAG_LEN {
            return Err(Error::no("a sealed message without anything in it"));
        }
        let noise = [&ephemeral[..], &sealed_key, &wire.payload].concat();
        Ok(SealedMessage { rki, noise, bytes: bytes.to_vec() })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// By which the recipient finds the one-time key.
    #[must_use]
    pub fn rki(&self) -> Rki {
        self.rki
    }

    /// The message of the handshake.
    #[must_use]
    pub fn noise(&self) -> &[u8] {
        &self.noise
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> SealedId {
        SealedId::of(&self.bytes)
    }

    /// As text that goes through any letter.
    #[must_use]
    pub fn armour(&self) -> String {
        let code = BASE64.encode(&self.bytes);
        // ASCII alone, so each piece is text.
        let lines = code.as_bytes().chunks(LINE).map(|line| String::from_utf8_lossy(line) + "\n");
        format!("{BEGIN}\n{}{END}\n", lines.collect::<String>())
    }

    /// Finds one in a text; what stands before it and behind it is passed over.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn from_armour(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::no(format!("not a sealed message: {why}"));
        let again = format!("copy all of it again, from {BEGIN} to {END}");
        if text.len() > MAX_ARMOUR_LEN {
            return Err(wrong(&format!("a text of more than {} KiB", MAX_ARMOUR_LEN >> 10)));
        }
        let mut lines = text.lines().map(str::trim);
        lines.find(|line| *line == BEGIN).ok_or_else(|| wrong(&format!("there is no line {BEGIN}")))?;
        let mut code = String::new();
        loop {
            match lines.next() {
                Some(END) => break,
                Some(line) => code += line,
                None => return Err(wrong(&format!("it breaks off: there is no line {END}")).hint(again)),
            }
        }
        // The decoder takes pieces in a row, each with its padding.
        let bytes = Some(&code).filter(|code| !code.trim_end_matches('=').contains('='));
        let bytes = bytes.and_then(|code| BASE64.decode(code.as_bytes()).ok());
        let bytes = bytes.ok_or_else(|| wrong("what stands in it is not base64").hint(&again))?;
        Self::decode(&bytes).map_err(|error| error.hint(again))
    }
}

impl fmt::Debug for SealedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedMessage").field("rki", &self.rki).field("id", &self.id()).finish_non_exhaustive()
    }
}
