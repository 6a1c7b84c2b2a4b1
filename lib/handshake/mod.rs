//! A Noise handshake whose messages may be days apart: snow cannot put an unfinished one down and take it up again.
//!
//! `Noise_XX_25519_ChaChaPoly_BLAKE2b` (Noise specification, revision 34) for the patterns KK, KX, XK and KXfallback. What
//! an unfinished handshake needs to go on is its ephemeral key and the messages so far: whoever has both does the steps
//! once more. In KXfallback the responder's ephemeral key is out before the first message, which is then the only one:
//! whoever has that key seals to a responder that is not there. snow has no such pattern at all.

use crate::error::{Error, Result};
use crate::kdf::{self, Secret};
use crate::key::{KEY_LEN, KeyPair, PublicKey, SecretKey};
use crate::seal::{CipherKey, Suite, TAG_LEN};
use zeroize::Zeroizing;

/// Most bytes of a message (Noise specification, section 3).
pub const MAX_MESSAGE_LEN: usize = 65535;

/// Who knows whom before the first message (Noise specification, section 7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Both know the other's key: `-> e, es, ss`, `<- e, ee, se`.
    KK,
    /// The responder knows the initiator's key: `-> e`, `<- e, ee, se, s, es`.
    KX,
    /// The initiator knows the responder's key: `-> e, es`, `<- e, ee`, `-> s, se`.
    XK,
    /// The initiator knows the responder's key and an ephemeral key of it: `-> e, ee, es, s, se` (section 10.4).
    KXfallback,
}

/// Which end of a handshake this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes the first message.
    Initiator,
    /// Reads the first message.
    Responder,
}

/// One step of a message (Noise specification, section 7.1).
#[derive(Clone, Copy)]
enum Token {
    /// The writer's ephemeral key.
    E,
    /// The writer's static key.
    S,
    /// An agreement: the initiator's key first, then the responder's.
    Ee,
    Es,
    Se,
    Ss,
}

/// Which of the two keys that each end has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Fixed,
    Ephemeral,
}

/// What a pattern is made of.
struct Steps {
    name: &'static [u8],
    /// The keys that both know, and hash before the first message, in this order: whose, and which.
    before: &'static [(Role, Which)],
    /// The messages, the initiator's first.
    messages: &'static [&'static [Token]],
}

impl Pattern {
    const fn steps(self) -> Steps {
        use Role::{Initiator, Responder};
        use Token::{E, Ee, Es, S, Se, Ss};
        use Which::{Ephemeral, Fixed};
        match self {
            Pattern::KK => Steps {
                name: b"Noise_KK_25519_ChaChaPoly_BLAKE2b",
                before: &[(Initiator, Fixed), (Responder, Fixed)],
                messages: &[&[E, Es, Ss], &[E, Ee, Se]],
            },
            Pattern::KX => Steps {
                name: b"Noise_KX_25519_ChaChaPoly_BLAKE2b",
                before: &[(Initiator, Fixed)],
                messages: &[&[E], &[E, Ee, Se, S, Es]],
            },
            Pattern::XK => Steps {
                name: b"Noise_XK_25519_ChaChaPoly_BLAKE2b",
                before: &[(Responder, Fixed)],
                messages: &[&[E, Es], &[E, Ee], &[S, Se]],
            },
            Pattern::KXfallback => Steps {
                name: b"Noise_KXfallback_25519_ChaChaPoly_BLAKE2b",
                before: &[(Responder, Fixed), (Responder, Ephemeral)],
                messages: &[&[E, Ee, Es, S, Se]],
            },
        }
    }
}

impl Role {
    fn other(self) -> Self {
        match self {
            Role::Initiator => Role::Responder,
            Role::Responder => Role::Initiator,
        }
    }
}

/// A handshake in progress.
pub struct Handshake<'a> {
    role: Role,
    ours: Keys<'a>,
    theirs: Known,
    /// Whose turn it is, and the messages that are still to come.
    turn: Role,
    messages: &'static [&'static [Token]],
    /// Taken out while a message is worked on, and put back only when it went well.
    symmetric: Option<Symmetric>,
}

struct Keys<'a> {
    fixed: &'a KeyPair,
    ephemeral: KeyPair,
}

impl Keys<'_> {
    fn get(&self, which: Which) -> &KeyPair {
        match which {
            Which::Fixed => self.fixed,
            Which::Ephemeral => &self.ephemeral,
        }
    }
}

/// What is known of the other end's keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// Its static key, by which it is known to the world.
    pub fixed: Option<PublicKey>,
    /// Its ephemeral key, made for one handshake.
    pub ephemeral: Option<PublicKey>,
}

impl Known {
    /// The static key alone.
    #[must_use]
    pub fn fixed(key: PublicKey) -> Self {
        Known { fixed: Some(key), ephemeral: None }
    }

    fn get(&self, which: Which) -> Option<PublicKey> {
        match which {
            Which::Fixed => self.fixed,
            Which::Ephemeral => self.ephemeral,
        }
    }
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
    /// Begins. `peer` is what this side knows of the other end beforehand: just what the pattern says that it knows.
    /// `ephemeral` is this side's ephemeral key.
    ///
    /// # Errors
    /// A pattern that needs a key of the peer, without it; one that brings it later, with it.
    pub fn new(
        pattern: Pattern,
        role: Role,
        prologue: &[u8],
        me: &'a KeyPair,
        peer: Known,
        ephemeral: &SecretKey,
    ) -> Result<Self> {
        let steps = pattern.steps();
        for which in [Which::Fixed, Which::Ephemeral] {
            let is_known = steps.before.contains(&(role.other(), which));
            if is_known != peer.get(which).is_some() {
                let has = if is_known { "is given" } else { "is not given" };
                return Err(Error::state(format!("the {role:?} of {pattern:?} {has} the peer's {which:?} key")));
            }
        }
        let ephemeral = KeyPair::from_secret(SecretKey::from_bytes(ephemeral.expose()));
        let ours = Keys { fixed: me, ephemeral };
        let mut symmetric = Symmetric::new(steps.name);
        symmetric.mix_hash(prologue);
        for (whose, which) in steps.before {
            let key = if *whose == role { ours.get(*which).public() } else { known(peer.get(*which))? };
            symmetric.mix_hash(key.as_bytes());
        }
        let messages = steps.messages;
        Ok(Handshake { role, ours, theirs: peer, turn: Role::Initiator, messages, symmetric: Some(symmetric) })
    }

    /// Writes the next message.
    ///
    /// # Errors
    /// It is not this side's turn, the handshake is over, or the message would be too long.
    pub fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>> {
        let (tokens, mut symmetric) = self.next(self.role)?;
        let mut message = Vec::new();
        for token in tokens {
            match token {
                Token::E => {
                    let key = self.ours.ephemeral.public();
                    symmetric.mix_hash(key.as_bytes());
                    message.extend_from_slice(key.as_bytes());
                }
                Token::S => message.extend(symmetric.seal(self.ours.fixed.public().as_bytes())?),
                agreement => symmetric.mix_key(self.agree(*agreement)?.as_ref())?,
            }
        }
        message.extend(symmetric.seal(payload)?);
        if message.len() > MAX_MESSAGE_LEN {
            return Err(Error::state(format!("a handshake message of {} bytes", message.len())));
        }
        self.symmetric = Some(symmetric);
        Ok(message)
    }

    /// Reads the next message and gives its payload.
    ///
    /// # Errors
    /// Anything that the other side did not write in this very handshake, and an all-zero Diffie-Hellman result. The
    /// handshake is over then.
    pub fn read(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (tokens, mut symmetric) = self.next(self.role.other())?;
        if message.len() > MAX_MESSAGE_LEN {
            return Err(Error::protocol(format!("a handshake message of {} bytes", message.len())));
        }
        let mut rest = message;
        for token in tokens {
            match token {
                Token::E => {
                    let key = take(&mut rest, KEY_LEN)?;
                    symmetric.mix_hash(key);
                    self.theirs.ephemeral = Some(parse(key)?);
                }
                Token::S => {
                    let key = symmetric.open(take(&mut rest, KEY_LEN + symmetric.overhead())?)?;
                    self.theirs.fixed = Some(parse(&key)?);
                }
                agreement => symmetric.mix_key(self.agree(*agreement)?.as_ref())?,
            }
        }
        let payload = symmetric.open(rest)?;
        self.symmetric = Some(symmetric);
        Ok(payload)
    }

    /// What is left when the last message was written or read.
    ///
    /// # Errors
    /// It was not.
    pub fn finish(self) -> Result<Finished> {
        match (self.symmetric, self.theirs.fixed) {
            (Some(symmetric), Some(peer)) if self.messages.is_empty() => {
                let (from_initiator, from_responder) = symmetric.split();
                Ok(Finished { peer, hash: symmetric.hash, from_initiator, from_responder })
            }
            _ => Err(Error::state("a handshake without its last message")),
        }
    }

    /// The next message, if it is for `writer` to write.
    fn next(&mut self, writer: Role) -> Result<(&'static [Token], Symmetric)> {
        let Some((tokens, rest)) = self.messages.split_first().filter(|_| self.turn == writer) else {
            return Err(Error::state("a handshake message out of turn"));
        };
        let symmetric = self.symmetric.take().ok_or_else(|| Error::state("the handshake has failed before"))?;
        (self.messages, self.turn) = (rest, self.turn.other());
        Ok((tokens, symmetric))
    }

    fn agree(&self, agreement: Token) -> Result<Zeroizing<[u8; KEY_LEN]>> {
        let (initiators, responders) = match agreement {
            Token::Ss => (Which::Fixed, Which::Fixed),
            Token::Es => (Which::Ephemeral, Which::Fixed),
            Token::Se => (Which::Fixed, Which::Ephemeral),
            _ => (Which::Ephemeral, Which::Ephemeral),
        };
        let (ours, theirs) = match self.role {
            Role::Initiator => (initiators, responders),
            Role::Responder => (responders, initiators),
        };
        self.ours.get(ours).secret().agree(&known(self.theirs.get(theirs))?)
    }
}

fn known(key: Option<PublicKey>) -> Result<PublicKey> {
    key.ok_or_else(|| Error::state("a key that the handshake has not brought"))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, left) =
        rest.split_at_checked(length).ok_or_else(|| Error::protocol("a handshake message is cut short"))?;
    *rest = left;
    Ok(taken)
}

fn parse(key: &[u8]) -> Result<PublicKey> {
    PublicKey::from_bytes(key).map_err(|why| Error::protocol(format!("a key in a handshake message: {why}")))
}

/// The symmetric state and its cipher state (Noise specification, sections 5.1 and 5.2).
struct Symmetric {
    hash: [u8; 64],
    chaining_key: Zeroizing<[u8; 64]>,
    cipher: Option<CipherKey>,
    counter: u64,
}

impl Symmetric {
    /// `name` is shorter than the hash, so it stands for its own hash, with zeros behind it.
    fn new(name: &[u8]) -> Self {
        let mut hash = [0; 64];
        for (to, from) in hash.iter_mut().zip(name) {
            *to = *from;
        }
        Symmetric { hash, chaining_key: Zeroizing::new(hash), cipher: None, counter: 0 }
    }

    fn mix_hash(&mut self, data: &[u8]) {
        self.hash = kdf::hash(&[&self.hash, data]);
    }

    fn mix_key(&mut self, input: &[u8]) -> Result<()> {
        let (chaining_key, key) = kdf::noise_hkdf(&self.chaining_key, input);
        self.chaining_key = chaining_key;
        self.cipher = Some(CipherKey::new(Suite::ChaChaPoly, &head(&key))?);
        self.counter = 0;
        Ok(())
    }

    /// Bytes that [`Symmetric::seal`] adds.
    fn overhead(&self) -> usize {
        if self.cipher.is_some() { TAG_LEN } else { 0 }
    }

    /// `EncryptAndHash`.
    fn seal(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = text.to_vec();
        if let Some(cipher) = &self.cipher {
            let tag = cipher.seal(self.counter, &self.hash, &mut sealed)?;
            sealed.extend_from_slice(&tag);
            self.counter += 1;
        }
        self.mix_hash(&sealed);
        Ok(sealed)
    }

    /// `DecryptAndHash`.
    fn open(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(sealed.to_vec());
        if let Some(cipher) = &self.cipher {
            let length = cipher
                .open(self.counter, &self.hash, &mut text)
                .map_err(|_| Error::protocol("a handshake message does not open"))?
                .len();
            text.truncate(length);
            self.counter += 1;
        }
        self.mix_hash(sealed);
        Ok(text)
    }

    fn split(&self) -> (Secret, Secret) {
        let (first, second) = kdf::noise_hkdf(&self.chaining_key, &[]);
        (head(&first), head(&second))
    }
}

/// The first half of an output of the hash: what a cipher takes of it.
fn head(output: &[u8; 64]) -> Secret {
    let mut key = Secret::default();
    for (to, from) in key.iter_mut().zip(output) {
        *to = *from;
    }
    key
}

#[cfg(test)]
mod tests;
