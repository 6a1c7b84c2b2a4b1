//! Pairing, tried between two sides that talk over nothing but memory.

mod file;
mod hostile;
mod line;
mod story;
mod table;

use super::{Heard, Ourselves, PAIRS, Pairs, Standing};
use crate::addr::HostPort;
use crate::error::Result;
use crate::json;
use crate::key::{KeyPair, PublicKey, SecretKey};
use crate::proto::chat::{About, Envelope, NoPair};
use crate::ratchet::Ratchet;
use crate::seal::StorageKey;
use crate::store::State;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

/// 2026-11-21T00:00:00Z.
const START: Duration = Duration::from_secs(1_795_219_200);

/// One user: the pairs, and the keys of the pair as the conversation keeps them.
struct Side {
    me: KeyPair,
    storage: StorageKey,
    addresses: Vec<HostPort>,
    pairs: Pairs,
    keys: Option<Ratchet>,
    now: SystemTime,
    source: IpAddr,
}

/// What a user may say of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Invite,
    Renew,
    Accept,
    Decline,
    Dismiss,
    Block,
    Remove,
}

impl Side {
    fn new(seed: u8) -> Self {
        let me = KeyPair::from_secret(SecretKey::from_bytes(&[seed; 32]));
        let storage = StorageKey::of(&me);
        let (addresses, now) = (vec![format!("host{seed}:1").parse().unwrap()], SystemTime::UNIX_EPOCH + START);
        let source = IpAddr::from([192, 0, 2, seed]);
        Side { me, storage, addresses, pairs: Pairs::default(), keys: None, now, source }
    }

    /// Two sides; the key of the first is the lower one.
    fn two() -> [Side; 2] {
        let (one, other) = (Side::new(1), Side::new(2));
        if one.key() < other.key() { [one, other] } else { [other, one] }
    }

    fn key(&self) -> PublicKey {
        self.me.public()
    }

    fn standing(&self, peer: &Side) -> Standing {
        self.pairs.standing(&peer.key())
    }

    /// Stops and starts: nothing is left but the file.
    fn restart(&mut self) {
        self.pairs.check().unwrap_or_else(|why| panic!("{why}: {:#?}", self.pairs));
        let text = json::pretty(&self.pairs).unwrap();
        let found = json::parse(text.as_bytes(), text.len()).unwrap_or_else(|why| panic!("{PAIRS}: {why}\n{text}"));
        assert_eq!(self.pairs, found);
        self.pairs = found;
    }

    /// The user's word on `peer`, and a restart.
    fn say(&mut self, word: Word, peer: PublicKey) -> Result<()> {
        let (us, now) = (Ourselves { me: &self.me, storage: &self.storage, addresses: &self.addresses }, self.now);
        let before = self.pairs.clone();
        let done = match word {
            Word::Invite => self.pairs.invite(us, peer, false, now),
            Word::Renew => self.pairs.invite(us, peer, true, now),
            Word::Accept => self.pairs.accept(us, &peer, now).map(|keys| self.keys = Some(keys)),
            Word::Decline => self.pairs.decline(&peer, now),
            Word::Dismiss => self.pairs.dismiss(&peer, now),
            Word::Block => {
                self.pairs.block(peer, now);
                Ok(())
            }
            Word::Remove => self.pairs.remove(&peer, now),
        };
        if done.is_err() {
            // A failed change is not written; beside that it may only have forgotten what has expired.
            let mut expired = before;
            expired.expire(now);
            self.pairs.expire(now);
            assert_eq!(self.pairs, expired, "{word:?}");
        }
        self.restart();
        done
    }

    /// The peer's word, what it is answered with at once, and a restart.
    fn hear(&mut self, peer: &PublicKey, source: IpAddr, envelope: &Envelope) -> Result<(Heard, Option<Envelope>)> {
        let (us, now) = (Ourselves { me: &self.me, storage: &self.storage, addresses: &self.addresses }, self.now);
        let mut answer = None;
        let heard = match envelope {
            Envelope::Invite(invite) => {
                answer = Some(Envelope::Received(About { id: invite.id }));
                self.pairs.on_invite(us, *peer, Some(source), invite, now)?
            }
            Envelope::Received(about) => self.pairs.on_received(peer, about, now),
            Envelope::Ack(ack) => self.pairs.on_ack(us, peer, ack, now)?,
            Envelope::Confirm(confirm) => match &self.keys {
                Some(keys) => self.pairs.on_confirm(peer, confirm, keys),
                None => Heard::NoPair,
            },
            Envelope::Decline(about) => self.pairs.on_decline(peer, about, now),
            Envelope::NoPair(none) => self.pairs.on_none(peer, none, None, now),
            _ => panic!("not of a pairing"),
        };
        let heard = match heard {
            Heard::Paired(keys) => {
                // What says what it is below is not needed there.
                self.keys = Some(*keys);
                Heard::Owed
            }
            Heard::NoPair => {
                answer = Some(Envelope::NoPair(NoPair::default()));
                Heard::NoPair
            }
            heard => heard,
        };
        self.restart();
        Ok((heard, answer))
    }

    /// What is owed to `peer`, as it leaves.
    fn owes(&mut self, peer: &PublicKey) -> Vec<Envelope> {
        let owed = self.pairs.owed(peer, self.now);
        for envelope in &owed {
            self.pairs.said(peer, envelope);
        }
        self.restart();
        owed
    }

    /// What is owed to `peer`, which is one envelope.
    fn owes_one(&mut self, peer: &PublicKey) -> Envelope {
        let [envelope] = <[Envelope; 1]>::try_from(self.owes(peer)).unwrap();
        envelope
    }

    /// The id of the keys that this side has with whomever it is paired.
    fn pair(&self) -> [u8; 16] {
        self.keys.as_ref().unwrap().pair()
    }
}

/// Passes by for both.
fn later(sides: &mut [Side; 2], time: Duration) {
    sides.iter_mut().for_each(|side| side.now += time);
}

/// Both are paired, have shown it to each other, and have the same keys.
#[track_caller]
fn assert_paired([one, other]: &[Side; 2]) {
    assert_eq!(one.standing(other), Standing::Accepted { confirmed: true });
    assert_eq!(other.standing(one), Standing::Accepted { confirmed: true });
    assert_eq!(one.pair(), other.pair());
    assert_eq!(one.pairs.get(&other.key()).unwrap().addresses(), other.addresses);
    assert_eq!(other.pairs.get(&one.key()).unwrap().addresses(), one.addresses);
}
