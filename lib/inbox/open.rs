//! Opening: once for each one-time key, whatever dies meanwhile.
//!
//! A message is on the disk, and handed on, before its key is over; and a key is over before its secret is gone. Whoever
//! comes after a death goes on where it stopped.

use super::answers::consent;
use super::keys::{CardRow, KeyState, Keys};
use super::opened::{Handed, Line, Opened};
use super::{Inbox, Outcome, prologue};
use crate::error::{Error, Kind, Result};
use crate::handshake::{Handshake, Known, Pattern, Role};
use crate::key::{KeyPair, PublicKey};
use crate::pair::{Pairs, Standing};
use crate::proto::chat::Envelope;
use crate::proto::inbox::{Content, Frame, KeyHash, Refusal, Rki, SealedId, SealedMessage};
use crate::seal::StorageKey;
use crate::trust::Time;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Most keys of one identifier that are tried.
const MOST_TRIED: usize = 4;

/// How many of the last messages are looked at whether somebody died while he opened them: as many identities may share a state.
const LOOK_BACK: usize = 8;

/// Why a message is not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// No one-time key of ours has that identifier.
    Unknown(Rki),
    /// The key's time was over.
    Expired(Rki, Time),
    /// Our user has taken the key back.
    Revoked(Rki, Time),
    /// Another message was opened with the key.
    Used(Rki, Time),
    /// This very message was opened before.
    Same(Time),
    /// It was not sealed to the card of that key, or was changed on the way.
    Damaged(Rki),
    /// The secret of the key cannot be read: why.
    Lost(Rki, String),
    /// It opens, and what stands in it is not understood here.
    Unread(Rki, PublicKey, String),
    /// It opens, and its sender has put something into it that makes no sense.
    Nonsense(PublicKey, String),
    /// It is opened and stored, and what it says to kw-chat could not be handed on: why. That is tried again.
    Unfinished(PublicKey, String),
    /// It is from a key that our user has blocked; the one-time key is over.
    Blocked(PublicKey),
}

impl From<NotOpened> for Error {
    fn from(why: NotOpened) -> Self {
        let anew = "give whoever sent it a new card, if you want to hear of them: kw-inbox card";
        match why {
            NotOpened::Unknown(rki) => Error::no(format!("the one-time key {rki} is none that is known here"))
                .hint("the message is for somebody else, or for an identity that was here before"),
            NotOpened::Expired(rki, at) => {
                Error::no(format!("the one-time key {rki} has expired, on {at}; the message cannot be opened any more"))
                    .hint(anew)
            }
            NotOpened::Revoked(rki, at) => {
                Error::no(format!("the one-time key {rki} was revoked, on {at}; the message cannot be opened any more"))
                    .hint(anew)
            }
            NotOpened::Used(rki, at) => {
                Error::no(format!("the one-time key {rki} was used, on {at}; the message cannot be opened any more"))
                    .hint(anew)
            }
            NotOpened::Same(at) => Error::no(format!("this message was opened already, on {at}; its one-time key is used"))
                .hint("'kw-inbox messages' shows what it says"),
            NotOpened::Damaged(rki) => Error::no(format!(
                "the message does not open with the one-time key {rki}: it was changed on the way, or sealed to another card"
            ))
            .hint("nothing is used up; ask its sender for it once more"),
            NotOpened::Lost(rki, why) => Error::state(format!("the secret of the one-time key {rki} cannot be read: {why}"))
                .hint("put a copy back that has it; or revoke the key, and give a new card away"),
            NotOpened::Unread(rki, from, why) => {
                Error::no(format!("the message of {} is not understood: {why}", from.short()))
                    .hint(format!("a newer keywire may know what it is; nothing is used up until 'kw-inbox revoke {rki}'"))
            }
            NotOpened::Nonsense(from, why) => {
                Error::no(format!("the message of {} makes no sense: {why}", from.short())).hint("nothing is used up")
            }
            NotOpened::Unfinished(from, why) => {
                let told = format!("the message of {} is stored, and kw-chat could not be told of it: {why}", from.short());
                Error::state(told).hint("'kw-inbox messages' shows it; it is tried again with each 'kw-inbox fetch'")
            }
            NotOpened::Blocked(from) => Error::refused(format!("the message is from {}, which is blocked", from.short()))
                .hint("it was not kept, and its one-time key is used up"),
        }
    }
}

impl NotOpened {
    /// Whether nobody will ever open the message: neither another machine with the same identity, nor a newer keywire.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self, NotOpened::Unknown(_) | NotOpened::Lost(..) | NotOpened::Unread(..))
    }

    /// What whoever delivers the message is told.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            NotOpened::Unknown(_) => Refusal::Unknown,
            NotOpened::Expired(..) => Refusal::Expired,
            NotOpened::Revoked(..) => Refusal::Revoked,
            NotOpened::Used(..) | NotOpened::Blocked(_) => Refusal::Used,
            NotOpened::Same(_) | NotOpened::Unfinished(..) => Refusal::Same,
            NotOpened::Damaged(_) | NotOpened::Unread(..) | NotOpened::Nonsense(..) => Refusal::Wrong,
            NotOpened::Lost(..) => Refusal::Unavailable,
        }
    }
}

/// A one-time key that has the identifier of a message.
struct Candidate {
    row: CardRow,
    key: KeyHash,
}

/// A message that a key has opened.
struct Found {
    candidate: Candidate,
    from: PublicKey,
    frame: Frame,
}

impl Inbox {
    /// Says no to a message that cannot be opened, as far as that is known without a secret.
    ///
    /// # Errors
    /// The [`NotOpened`], or what is on the disk cannot be read.
    pub fn check(&self, message: &SealedMessage) -> Result<()> {
        let _lock = self.lock()?;
        let mut keys = Keys::load(&self.0.dir)?;
        if self.unfinished(&keys)?.iter().any(|line| line.id == message.id()) {
            return Ok(());
        }
        self.sweep(&mut keys)?;
        Ok(candidates(&keys, message).map(|_| ())?)
    }

    /// Opens a message, stores it, hands it on and uses up its one-time key; or says why not.
    ///
    /// # Errors
    /// It cannot be stored. It can be opened again then.
    pub fn unseal(&self, me: &Arc<KeyPair>, message: &SealedMessage) -> Result<Outcome> {
        let _lock = self.lock()?;
        let storage = StorageKey::of(me);
        let mut keys = Keys::load(&self.0.dir)?;
        let unfinished = self.unfinished(&keys)?.into_iter().filter(|line| line.id == message.id());
        if let Some(opened) = unfinished.filter_map(|line| line.open(&storage).ok()).next() {
            return self.finish(me, &mut keys, opened);
        }
        self.sweep(&mut keys)?;
        self.finish_restored(me, &storage, &mut keys, message)?;
        let candidates = match candidates(&keys, message) {
            Ok(candidates) => candidates,
            Err(why) => return Ok(Err(why)),
        };
        let found = match self.find(me, &storage, candidates, message)? {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let Found { candidate, from, frame } = found;
        if Pairs::load(&self.0.store)?.standing(&from) == Standing::Blocked {
            // It was not opened, as far as anybody needs to know who brings it again.
            self.use_up(&mut keys, &candidate.key, from, None)?;
            return Ok(Err(NotOpened::Blocked(from)));
        }
        let opened = Opened::new(message.id(), candidate.key, &candidate.row.label, from, self.millis(), frame);
        self.keep(&storage, &opened)?;
        self.finish(me, &mut keys, opened)
    }

    /// Goes on where somebody stopped while he opened messages to `me`; which they are, and what came of each.
    ///
    /// # Errors
    /// What is on the disk cannot be read or written.
    pub fn recover(&self, me: &Arc<KeyPair>) -> Result<Vec<(SealedId, Outcome)>> {
        let _lock = self.lock()?;
        let storage = StorageKey::of(me);
        let mut keys = Keys::load(&self.0.dir)?;
        let mut finished = Vec::new();
        for line in self.unfinished(&keys)? {
            // One of another identity is for that to finish.
            let Ok(opened) = line.open(&storage) else { continue };
            let id = opened.id;
            match self.finish(me, &mut keys, opened) {
                Ok(outcome) => finished.push((id, outcome)),
                Err(error) if finished.is_empty() => return Err(error),
                // Those before it are told now or never; it is tried again.
                Err(_) => return Ok(finished),
            }
        }
        self.sweep(&mut keys)?;
        Ok(finished)
    }

    /// The last messages that are stored, and whose key does not know of it: they were not handed on for sure. Whatever else has
    /// become of the key meanwhile, it was opened before that.
    fn unfinished(&self, keys: &Keys) -> Result<Vec<Line>> {
        let mut lines = self.last_lines(LOOK_BACK)?;
        lines.retain(|line| keys.rows().any(|row| row.key == line.key && row.message.is_none()));
        Ok(lines)
    }

    /// Ends live keys that have opened a message already: a copy of the keys was put back that is older than the messages.
    fn finish_restored(
        &self,
        me: &Arc<KeyPair>,
        storage: &StorageKey,
        keys: &mut Keys,
        message: &SealedMessage,
    ) -> Result<()> {
        for Candidate { key, .. } in candidates(keys, message).unwrap_or_default() {
            if let Some(opened) = self.line_of(&key)?.and_then(|line| line.open(storage).ok()) {
                let _ = self.finish(me, keys, opened)?;
            }
        }
        Ok(())
    }

    /// Hands on what is stored, and ends its key. One that could not be handed on ends it too, without its id beside it:
    /// [`Self::unfinished`] finds it by that, and it is tried again.
    fn finish(&self, me: &Arc<KeyPair>, keys: &mut Keys, mut opened: Opened) -> Result<Outcome> {
        match self.hand_on(me, &opened) {
            Ok(handed) => opened.handed = handed,
            Err(error) => {
                self.use_up(keys, &opened.key, opened.from, None)?;
                return Ok(Err(NotOpened::Unfinished(opened.from, error.to_string())));
            }
        }
        self.use_up(keys, &opened.key, opened.from, Some(opened.id))?;
        Ok(Ok(opened))
    }

    fn use_up(&self, keys: &mut Keys, key: &KeyHash, by: PublicKey, message: Option<SealedId>) -> Result<()> {
        let at = self.time();
        for row in keys.rows_mut().filter(|row| row.key == *key) {
            (row.state, row.at, row.by, row.message) = (KeyState::Used, Some(at), Some(by), message);
        }
        self.save(keys)
    }

    /// Opens a message with one of the keys, or says why none does.
    fn find(
        &self,
        me: &KeyPair,
        storage: &StorageKey,
        candidates: Vec<Candidate>,
        message: &SealedMessage,
    ) -> Result<std::result::Result<Found, NotOpened>> {
        let mut why = NotOpened::Unknown(message.rki());
        for candidate in candidates {
            let card = candidate.row.card()?;
            if card.recipient() != me.public() {
                continue;
            }
            let secret = match self.secret(storage, &candidate.key) {
                Ok(secret) => secret,
                // A file that cannot be used stops one message, and not all that come behind it.
                Err(error) => {
                    why = NotOpened::Lost(message.rki(), error.to_string());
                    continue;
                }
            };
            let Some((from, payload)) = opens(me, &prologue(&card), &secret, message)? else {
                why = NotOpened::Damaged(message.rki());
                continue;
            };
            let wrong = |why: &str| Ok(Err(NotOpened::Nonsense(from, why.to_owned())));
            let frame = match Frame::decode(&payload) {
                Ok(frame) => frame,
                Err(error) => return Ok(Err(NotOpened::Unread(message.rki(), from, error.to_string()))),
            };
            if from == me.public() {
                return wrong("it says that it is from ourselves");
            }
            if frame.card.as_ref().is_some_and(|card| card.recipient() != from) {
                return wrong("the card in it is somebody else's");
            }
            return Ok(Ok(Found { candidate, from, frame }));
        }
        Ok(Err(why))
    }

    /// Tells kw-chat what concerns it.
    fn hand_on(&self, me: &Arc<KeyPair>, opened: &Opened) -> Result<Handed> {
        let word = match &opened.frame.content {
            Content::Text(_) => return Ok(Handed::Nothing),
            Content::Invite { invite, .. } => Envelope::Invite(invite.clone()),
            Content::Ack(ack) => Envelope::Ack(ack.clone()),
        };
        let standing = match self.chat(me)?.hear(opened.from, None, &word) {
            Ok((_, standing)) => standing,
            // What the sender says makes no sense; the rest of its message may.
            Err(error) if error.kind() != Kind::State => return Ok(Handed::Nonsense(error.to_string())),
            Err(error) => return Err(error),
        };
        // Not told by how it stands: whoever is paired may be asked for new keys.
        let pairs = Pairs::load(&self.0.store)?;
        let waiting = pairs.waiting(&opened.from);
        if let (Content::Invite { invite, .. }, Some(card)) = (&opened.frame.content, &opened.frame.card) {
            // The card is for this invite alone. If none waits, our user may have consented to it by inviting the other.
            let counts = match waiting {
                Some(waiting) => waiting == invite.id,
                None => consent(&pairs, &opened.from, invite.id, self.now()).is_some(),
            };
            if counts {
                self.keep_for_answer(opened.from, invite.id, card)?;
            }
        }
        Ok(if waiting.is_some() { Handed::Asks(standing) } else { Handed::Standing(standing) })
    }
}

/// The live keys that a message may be for, or why there is none. No secret is looked at for it.
fn candidates(keys: &Keys, message: &SealedMessage) -> std::result::Result<Vec<Candidate>, NotOpened> {
    let rki = message.rki();
    let named = || keys.cards.iter().flat_map(|card| card.keys.iter().map(move |row| (card, row)));
    let named = || named().filter(|(_, row)| row.rki() == rki);
    if let Some(at) = named().find(|(_, row)| row.message == Some(message.id())).and_then(|(_, row)| row.at) {
        return Err(NotOpened::Same(at));
    }
    let live: Vec<_> = named()
        .filter(|(_, row)| row.state == KeyState::Live)
        .take(MOST_TRIED)
        .map(|(card, row)| Candidate { row: card.clone(), key: row.key })
        .collect();
    if !live.is_empty() {
        return Ok(live);
    }
    Err(match named().next_back().and_then(|(_, row)| Some((row.state, row.at?))) {
        Some((KeyState::Expired, at)) => NotOpened::Expired(rki, at),
        Some((KeyState::Revoked, at)) => NotOpened::Revoked(rki, at),
        Some((KeyState::Used, at)) => NotOpened::Used(rki, at),
        _ => NotOpened::Unknown(rki),
    })
}

/// Who sealed a message to this key, and what stands in it; `None` if it does not open.
fn opens(
    me: &KeyPair,
    prologue: &[u8],
    secret: &crate::key::SecretKey,
    message: &SealedMessage,
) -> Result<Option<(PublicKey, Zeroizing<Vec<u8>>)>> {
    let mut handshake = Handshake::new(Pattern::KXfallback, Role::Responder, prologue, me, Known::default(), secret)?;
    let Ok(payload) = handshake.read(message.noise()) else { return Ok(None) };
    Ok(Some((handshake.finish()?.peer, payload)))
}
