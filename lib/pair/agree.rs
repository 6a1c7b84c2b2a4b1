//! The two messages of a pairing: Noise KK, and what the two say of themselves in it.

use super::{Confirm, INVITE_LIFE, Ours, Ourselves};
use crate::addr::HostPort;
use crate::error::{Error, Result};
use crate::handshake::{Handshake, Known, Pattern, Role};
use crate::json::{self, Bytes};
use crate::kdf;
use crate::key::{KEY_LEN, PublicKey, SecretKey};
use crate::proto::chat::{CHAT, Introduction, Invite, InviteId, PairAck};
use crate::random;
use crate::ratchet::Ratchet;
use crate::trust::{MAX_ADDRESSES, Time};
use std::time::SystemTime;
use zeroize::Zeroizing;

/// Longest introduction, as JSON: sixteen names of hosts, each as long as DNS allows, and as much again.
const MAX_INTRODUCTION_LEN: usize = 8 << 10;

/// What message 1 and message 2 have beside the introduction: an ephemeral key and a tag.
const MESSAGE_OVERHEAD: usize = 48;

/// What an agreement leaves at either end.
pub(super) struct Agreed {
    pub(super) ratchet: Ratchet,
    pub(super) addresses: Vec<HostPort>,
}

/// A new invite of ours to `to`.
pub(super) fn ask(us: Ourselves<'_>, to: &PublicKey, now: SystemTime) -> Result<Ours> {
    let (mut id, expires) = (InviteId([0; 16]), Time::of(now).after(INVITE_LIFE));
    random::fill(&mut id.0)?;
    let ephemeral = ephemeral()?;
    let payload = introduction(us)?;
    let prologue = prologue(&us.me.public(), to, id, expires.unix());
    let mut handshake = Handshake::new(Pattern::KK, Role::Initiator, &prologue, us.me, Known::fixed(*to), &ephemeral)?;
    let noise = Bytes(handshake.write(&payload)?);
    let secret = Zeroizing::new([ephemeral.expose().as_slice(), &payload].concat());
    let sealed = us.storage.seal(&[&context(us, to, id)], &secret)?;
    Ok(Ours { id, expires, noise, sealed, received: None })
}

/// Whether `invite` was made by `from` for us.
///
/// # Errors
/// It was not, or introduces its sender in a way that makes no sense.
pub(super) fn verify(us: Ourselves<'_>, from: &PublicKey, invite: &Invite) -> Result<()> {
    open(us, from, invite).map(|_| ())
}

/// Consent to `invite`, which came from `from`.
pub(super) fn answer(
    us: Ourselves<'_>,
    from: &PublicKey,
    invite: &Invite,
    now: SystemTime,
) -> Result<(Agreed, PairAck)> {
    let (mut handshake, addresses) = open(us, from, invite)?;
    let noise = Bytes(handshake.write(&introduction(us)?)?);
    let ratchet = Ratchet::begin(&handshake.finish()?, us.me.public(), Time::of(now).unix());
    Ok((Agreed { ratchet, addresses }, PairAck { id: invite.id, noise }))
}

/// Takes up the invite `ours` again, which was for `from`, and reads its consent.
pub(super) fn conclude(
    us: Ourselves<'_>,
    from: &PublicKey,
    ours: &Ours,
    ack: &PairAck,
    now: SystemTime,
) -> Result<(Agreed, Confirm)> {
    check_length(&ack.noise)?;
    let damaged = || {
        Error::state(format!("the invite for {} in pairs.json is damaged", from.short()))
            .hint(format!("make a new one: kw-chat pair remove {from}, then kw-chat pair invite {from}"))
    };
    let secret = us.storage.open(&[&context(us, from, ours.id)], &ours.sealed)?;
    let (ephemeral, payload) = secret.split_first_chunk::<KEY_LEN>().ok_or_else(damaged)?;
    let ephemeral = SecretKey::from_bytes(ephemeral);
    let prologue = prologue(&us.me.public(), from, ours.id, ours.expires.unix());
    let mut handshake =
        Handshake::new(Pattern::KK, Role::Initiator, &prologue, us.me, Known::fixed(*from), &ephemeral)?;
    if handshake.write(payload)? != ours.noise.0 {
        return Err(damaged());
    }
    let addresses = introduced(&handshake.read(&ack.noise.0)?)?;
    let ratchet = Ratchet::begin(&handshake.finish()?, us.me.public(), Time::of(now).unix());
    let mac = Bytes(ratchet.confirm(ack.id.0).to_vec());
    let confirm = Confirm { id: ack.id, mac, consent: fingerprint(ack), said: false };
    Ok((Agreed { ratchet, addresses }, confirm))
}

/// The hash by which a consent is known again.
pub(super) fn fingerprint(ack: &PairAck) -> Bytes {
    Bytes(kdf::hash(&[&ack.noise.0]).to_vec())
}

/// Refuses a message of a pairing that is longer than one can be, before anything is done for it.
///
/// # Errors
/// It is.
pub(super) fn check_length(noise: &Bytes) -> Result<()> {
    let most = MAX_INTRODUCTION_LEN + MESSAGE_OVERHEAD;
    match noise.0.len() {
        len if len < MESSAGE_OVERHEAD => Err(Error::protocol(format!("a message of a pairing of only {len} bytes"))),
        len if len > most => Err(Error::protocol(format!("a message of a pairing of {len} bytes; the most is {most}"))),
        _ => Ok(()),
    }
}

fn open<'a>(us: Ourselves<'a>, from: &PublicKey, invite: &Invite) -> Result<(Handshake<'a>, Vec<HostPort>)> {
    check_length(&invite.noise)?;
    let prologue = prologue(from, &us.me.public(), invite.id, invite.expires);
    let mut handshake =
        Handshake::new(Pattern::KK, Role::Responder, &prologue, us.me, Known::fixed(*from), &ephemeral()?)?;
    let payload = handshake.read(&invite.noise.0)?;
    Ok((handshake, introduced(&payload)?))
}

/// What both ends must agree on before the first message: who asks whom, by which invite, until when.
fn prologue(initiator: &PublicKey, responder: &PublicKey, id: InviteId, expires: u64) -> Vec<u8> {
    let keys = [initiator.as_bytes().as_slice(), responder.as_bytes()].concat();
    [b"keywire pair v1", keys.as_slice(), &id.0, &expires.to_be_bytes()].concat()
}

/// What a sealed invite is bound to: it opens for no other peer and no other invite.
fn context(us: Ourselves<'_>, to: &PublicKey, id: InviteId) -> Vec<u8> {
    [b"keywire invite", us.me.public().as_bytes().as_slice(), to.as_bytes(), &id.0].concat()
}

/// What we say of ourselves.
fn introduction(us: Ourselves<'_>) -> Result<Vec<u8>> {
    let port = |at: &HostPort| at.port().or(CHAT.port).unwrap_or_default();
    let addresses = us.addresses.iter().map(|at| at.clone().with_port(port(at)).to_string()).collect();
    let payload = json::line(&Introduction { addresses })?.into_bytes();
    match payload.len() <= MAX_INTRODUCTION_LEN {
        true => Ok(payload),
        false => Err(Error::state(format!("the addresses take {} bytes of an invite", payload.len()))
            .hint(format!("the most is {MAX_INTRODUCTION_LEN}: take some out of \"addresses\" in config.json"))),
    }
}

/// What a peer says of itself.
fn introduced(payload: &[u8]) -> Result<Vec<HostPort>> {
    let wrong = |why: &str| Error::protocol(format!("an introduction that makes no sense: {why}"));
    let Introduction { addresses } = json::parse(payload, MAX_INTRODUCTION_LEN).map_err(|_| wrong("it is none"))?;
    if addresses.len() > MAX_ADDRESSES {
        return Err(wrong(&format!("{} addresses, where the most is {MAX_ADDRESSES}", addresses.len())));
    }
    let parse = |text: &String| text.parse().ok().filter(|at: &HostPort| at.port().is_some());
    addresses.iter().map(|text| parse(text).ok_or_else(|| wrong("an address that is none"))).collect()
}

fn ephemeral() -> Result<SecretKey> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    random::fill(bytes.as_mut())?;
    Ok(SecretKey::from_bytes(&bytes))
}
