//! Epoch keys: made by the owner and admins, wrapped to members, and what bodies are sealed under.

use crate::error::{Error, Result};
use crate::frame::Fields;
use crate::json::Bytes;
use crate::kdf::{self, Secret};
use crate::key::{KEY_LEN, KeyPair, PublicKey};
use crate::proto::group::roster::{Wrap, Wraps};
use crate::proto::group::{GroupId, Header, KeyId};
use crate::random;
use crate::seal::{self, MESSAGE_NONCE_LEN};

/// Most epoch keys that seal one body together.
pub const MAX_JOINT: usize = 8;

/// The nonce of a box, whose key seals nothing else.
const BOX_NONCE: [u8; MESSAGE_NONCE_LEN] = [0; MESSAGE_NONCE_LEN];

/// An epoch key.
#[derive(Clone)]
pub struct EpochKey(pub Secret);

impl EpochKey {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> Result<Self> {
        let mut key = Secret::default();
        random::fill(key.as_mut())?;
        Ok(EpochKey(key))
    }

    /// Its id, which commits to it: nobody can find another key with the same.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.0)
    }

    /// The key that several make together, which only those have who have them all; of one it is that itself. Neither their
    /// order nor a key that is named twice matters.
    #[must_use]
    pub fn join(keys: &[EpochKey]) -> EpochKey {
        if let [only] = keys {
            return only.clone();
        }
        let mut keys: Vec<(KeyId, &EpochKey)> = keys.iter().map(|key| (key.id(), key)).collect();
        keys.sort_unstable_by_key(|(id, _)| *id);
        keys.dedup_by_key(|(id, _)| *id);
        if let [(_, only)] = keys.as_slice() {
            return (*only).clone();
        }
        let mut all = zeroize::Zeroizing::new(Vec::with_capacity(keys.len() * kdf::SECRET_LEN));
        keys.iter().for_each(|(_, key)| all.extend_from_slice(key.0.as_ref()));
        EpochKey(kdf::derive(&[], &all, &[b"keywire group joint key v1"]))
    }
}

impl std::fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EpochKey(..)")
    }
}

/// What a header calls the key that several make together: known to those too who lack them. Of one key it is that key's id, of
/// none it is zero.
#[must_use]
pub fn joint_id(ids: &[KeyId]) -> KeyId {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [] => KeyId::default(),
        [only] => *only,
        several => {
            let mut parts: Vec<&[u8]> = vec![b"keywire group joint v1"];
            parts.extend(several.iter().map(|id| id.0.as_slice()));
            KeyId(kdf::hash_32(&parts))
        }
    }
}

/// Seals `keys` to `members`: every key to every member.
///
/// # Errors
/// The system has no random numbers.
pub fn wrap(group: &GroupId, keys: &[EpochKey], members: &[PublicKey]) -> Result<Wraps> {
    wrap_with(&KeyPair::generate()?, group, keys, members)
}

/// [`wrap`] with a key pair that was made for it, and is forgotten afterwards.
fn wrap_with(ephemeral: &KeyPair, group: &GroupId, keys: &[EpochKey], members: &[PublicKey]) -> Result<Wraps> {
    let mut boxes = Vec::with_capacity(keys.len() * members.len());
    for member in members {
        let agreed = ephemeral.secret().agree(member)?;
        for key in keys {
            let id = key.id();
            let box_key = box_key(group, &agreed, &ephemeral.public(), member, &id);
            let sealed = seal::seal_message(&box_key, &BOX_NONCE, &[], key.0.as_ref())?;
            boxes.push(Wrap { member: *member, key: id, sealed: Bytes(sealed) });
        }
    }
    Ok(Wraps { ephemeral: ephemeral.public(), boxes })
}

/// Opens a box that is for us; `None` if it is not what it says.
#[must_use]
pub fn unwrap(group: &GroupId, me: &KeyPair, ephemeral: &PublicKey, wrap: &Wrap) -> Option<EpochKey> {
    if wrap.member != me.public() {
        return None;
    }
    let agreed = me.secret().agree(ephemeral).ok()?;
    let box_key = box_key(group, &agreed, ephemeral, &wrap.member, &wrap.key);
    let opened = seal::open_message(&box_key, &BOX_NONCE, &[], &wrap.sealed.0)?;
    let mut key = Secret::default();
    if opened.len() != key.len() {
        return None;
    }
    key.copy_from_slice(&opened);
    let key = EpochKey(key);
    // The box says which key is in it to everybody; who made it must not give one member another key than the others.
    (key.id() == wrap.key).then_some(key)
}

/// What a box is sealed under: a key for this member and this epoch key in this act.
fn box_key(group: &GroupId, agreed: &[u8; KEY_LEN], ephemeral: &PublicKey, member: &PublicKey, key: &KeyId) -> Secret {
    let info: [&[u8]; 4] = [b"keywire group box v1", ephemeral.as_bytes(), member.as_bytes(), &key.0];
    kdf::derive(&group.0, agreed, &info)
}

/// What comes of opening a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// What was sealed.
    Text(Vec<u8>),
    /// It is under this key too, which is not here.
    NoKey(KeyId),
    /// It was not sealed so: its author has sealed something else, or in another way.
    Broken,
}

/// Seals a body under `keys` together: AES-256-GCM under a key for this entry alone. `header` names group, author, inc, seq and,
/// as its key, the [`joint_id`] of the keys; all of it but length and hash of the body is authenticated.
///
/// The body is the number of keys (1 byte), their ids in ascending order, the nonce (12 bytes), the ciphertext and its tag.
///
/// # Errors
/// No keys, more than [`MAX_JOINT`], or others than the header says; the system has no random numbers.
pub fn seal_body(keys: &[EpochKey], header: &Header, text: &[u8]) -> Result<Vec<u8>> {
    // Random, though no key seals two bodies: a state that was restored by hand must not break what it said before.
    let mut nonce = [0; MESSAGE_NONCE_LEN];
    random::fill(&mut nonce)?;
    seal_body_with(&nonce, keys, header, text)
}

fn seal_body_with(nonce: &[u8; MESSAGE_NONCE_LEN], keys: &[EpochKey], header: &Header, text: &[u8]) -> Result<Vec<u8>> {
    let mut ids: Vec<KeyId> = keys.iter().map(|key| key.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    let count = u8::try_from(ids.len()).ok().filter(|_| (1..=MAX_JOINT).contains(&ids.len()));
    let count = count.ok_or_else(|| {
        Error::state(format!("{} keys to seal an entry under, where 1 to {MAX_JOINT} may be", ids.len()))
            .hint("the owner or an admin must make a new key")
    })?;
    if joint_id(&ids) != header.key {
        return Err(Error::state("an entry cannot be sealed: its header names another key"));
    }
    let sealed = seal::seal_entry(&entry_key(keys, header), nonce, &header.front(), text)?;
    let mut body = vec![count];
    ids.iter().for_each(|id| body.extend_from_slice(&id.0));
    body.extend_from_slice(nonce);
    body.extend_from_slice(&sealed);
    Ok(body)
}

/// Opens a body; `find` gives the epoch keys that are here, by their ids.
#[must_use]
pub fn open_body(find: impl Fn(&KeyId) -> Option<EpochKey>, header: &Header, body: &[u8]) -> Opened {
    let Some((ids, nonce, sealed)) = parts(header, body) else { return Opened::Broken };
    let mut keys = Vec::with_capacity(ids.len());
    for id in &ids {
        match find(id) {
            Some(key) => keys.push(key),
            None => return Opened::NoKey(*id),
        }
    }
    let opened = seal::open_entry(&entry_key(&keys, header), &nonce, &header.front(), sealed);
    opened.map_or(Opened::Broken, Opened::Text)
}

/// A body's key ids, which must be the header's; its nonce, and what is sealed.
fn parts<'a>(header: &Header, body: &'a [u8]) -> Option<(Vec<KeyId>, [u8; MESSAGE_NONCE_LEN], &'a [u8])> {
    let mut fields = Fields::new(body);
    let count = usize::from(fields.u8().ok()?);
    if !(1..=MAX_JOINT).contains(&count) {
        return None;
    }
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(KeyId(fields.array().ok()?));
    }
    let ascending = ids.iter().zip(ids.iter().skip(1)).all(|(one, next)| one < next);
    if !ascending || joint_id(&ids) != header.key {
        return None;
    }
    Some((ids, fields.array().ok()?, fields.bytes()))
}

/// The key of one entry alone.
fn entry_key(keys: &[EpochKey], header: &Header) -> Secret {
    let joint = EpochKey::join(keys);
    let log = &header.log;
    let info: [&[u8]; 4] = [b"keywire group entry v1", log.author.as_bytes(), &log.inc.0, &header.seq.to_be_bytes()];
    kdf::derive(&header.group.0, joint.0.as_ref(), &info)
}

#[cfg(test)]
mod tests;
