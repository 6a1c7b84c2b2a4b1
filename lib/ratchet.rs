//! The keys of a pair's messages: a hash chain for each direction, and a new Diffie-Hellman step now and then.
//!
//! Pure state: no clock, no file, no socket. What is kept is secret, and stored only sealed. keywire-protocol(7), CHAT.

use crate::error::{Error, Result};
use crate::handshake::{Finished, Role};
use crate::key::{PublicKey, SecretKey};
use crate::proto::chat::{Hello, Message, MessageId, PairConfirm, Saved, Why};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Messages after which an epoch ends.
pub const EPOCH_MESSAGES: u64 = 100;

/// Bytes of the name of a pair.
pub const PAIR_LEN: usize = 16;

/// All keys of one pair at one end.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratchet {
    me: PublicKey,
    peer: PublicKey,
}

/// What a message says besides its text. It travels in clear inside the connection, bound to the ciphertext.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its id.
    pub id: MessageId,
    /// Whether an acknowledgement is wanted.
    pub ack: bool,
    /// When it was written, in milliseconds since 1970.
    pub time: u64,
    /// How many seconds after that it means nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Which message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
}

/// The place of a message of ours in its chain, and the keys for it alone: enough to seal it again, to the same bytes, until
/// it is acknowledged.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Its epoch.
    pub ep: u64,
    /// Its number in that epoch.
    pub n: u64,
}

/// An opened message.
pub struct Opened {
    /// The text.
    pub text: Zeroizing<Vec<u8>>,
    /// What to answer once it is on the disk.
    pub saved: Saved,
}

/// Our half of a hello, until the other's has come.
pub struct Step {
    hello: Hello,
    secret: SecretKey,
}

/// What two hellos came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meeting {
    /// There is a new epoch.
    pub stepped: bool,
    /// Our state is older than the peer has seen it: a backup was restored, or it is in use on two machines.
    pub we_went_back: bool,
    /// The same of the peer's state.
    pub peer_went_back: bool,
}

impl Ratchet {
    /// The first epoch, from a finished pairing; `now` in seconds since 1970.
    #[must_use]
    pub fn begin(keys: &Finished, role: Role, me: PublicKey, now: u64) -> Self {
        let _ = (role, now);
        Ratchet { me, peer: keys.peer }
    }

    /// The name of the pair: both ends have the same, and no other pair has it.
    #[must_use]
    pub fn pair(&self) -> [u8; PAIR_LEN] {
        [0; PAIR_LEN]
    }

    /// The proof for `pair-confirm` that this end has the keys.
    #[must_use]
    pub fn confirm(&self, invite: [u8; 16]) -> [u8; 32] {
        let _ = invite;
        [0; 32]
    }

    /// Whether `confirm` proves that the other end has the keys.
    #[must_use]
    pub fn is_confirmed_by(&self, confirm: &PairConfirm) -> bool {
        let _ = confirm;
        false
    }

    /// Takes the next number for a message and moves the chain on. The keys must be saved before the message leaves.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn next(&mut self, head: &Head, text: &[u8]) -> Result<Slot> {
        let _ = (head, text);
        Err(Error::state("not built"))
    }

    /// Seals a message in its slot: the same bytes each time.
    ///
    /// # Errors
    /// A text beyond the cipher's limit.
    pub fn seal(&self, slot: &Slot, head: &Head, text: &[u8]) -> Result<Message> {
        let _ = (slot, head, text, self.me, self.peer);
        Err(Error::state("not built"))
    }

    /// Opens a message from the peer, each number once. Nothing has changed when it does not open.
    ///
    /// # Errors
    /// Why not, as the peer is told.
    pub fn open(&mut self, message: &Message) -> std::result::Result<Opened, Why> {
        let _ = message;
        Err(Why::NoKey)
    }

    /// The acknowledgement of a message that was opened before; `None` if its epoch is forgotten.
    #[must_use]
    pub fn acknowledge(&self, message: &Message) -> Option<Saved> {
        let _ = message;
        None
    }

    /// Something of the peer's came that proves that it has the epoch `ep` too.
    pub fn prove(&mut self, ep: u64) {
        let _ = ep;
    }

    /// Whether the newest epoch has lasted long enough; `reconnected` if this is asked at the beginning of a connection.
    #[must_use]
    pub fn is_due(&self, now: u64, reconnected: bool) -> bool {
        let _ = (now, reconnected);
        false
    }

    /// A hello for the connection named `binding`.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn hello(&self, binding: &[u8; 64], want: bool) -> Result<Step> {
        let _ = (binding, want);
        Err(Error::state("not built"))
    }

    /// Compares the two hellos of a connection, and begins a new epoch if either side wants one or must. Both sides come to
    /// the same.
    ///
    /// # Errors
    /// The peer's hello is for another pair or another connection, or forged.
    pub fn meet(&mut self, step: Step, theirs: &Hello, binding: &[u8; 64], now: u64) -> Result<Meeting> {
        let _ = (step.secret, theirs, binding, now);
        Err(Error::state("not built"))
    }
}

impl Slot {
    /// Whether `saved` acknowledges the message in this slot.
    #[must_use]
    pub fn is_acknowledged_by(&self, saved: &Saved) -> bool {
        let _ = saved;
        false
    }
}

impl Step {
    /// What to send.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }
}
