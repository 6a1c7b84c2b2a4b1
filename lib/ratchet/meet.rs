//! The meeting of two ends: what their hellos say of their states, and the step to a new epoch.

use super::epoch::{Epoch, Kept, Key};
use super::{MAX_OLD_EPOCHS, Ratchet};
use crate::error::{Error, Result};
use crate::json::Bytes;
use crate::kdf;
use crate::key::{KeyPair, PublicKey};
use crate::proto::chat::Hello;

/// Our half of a hello, until the other's has come.
pub struct Step {
    hello: Hello,
    key: KeyPair,
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

impl Step {
    /// What to send.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }
}

impl Ratchet {
    /// A hello for the connection named `binding`.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn hello(&self, binding: &[u8; 64], want: bool) -> Result<Step> {
        Ok(self.hello_with(binding, want, KeyPair::generate()?))
    }

    pub(super) fn hello_with(&self, binding: &[u8; 64], want: bool, key: KeyPair) -> Step {
        let mut hello = Hello {
            pair: Bytes(self.pair.0.to_vec()),
            ep: self.newest.ep,
            proven: self.newest.proven,
            sent: self.newest.sent,
            seen: self.newest.seen,
            acked: self.newest.acked,
            step: Bytes(key.public().as_bytes().to_vec()),
            want,
            mac: Bytes::default(),
        };
        let mac = said(&hello, binding, &self.me, |parts| kdf::mac(&self.hello.0, parts));
        hello.mac = Bytes(mac.to_vec());
        Step { hello, key }
    }

    /// Compares the two hellos of a connection, and begins a new epoch if either side wants one or must. Both sides come to
    /// the same.
    ///
    /// # Errors
    /// The peer's hello is for another pair or another connection, or forged; or so much went on since over other connections
    /// that the epoch in the hellos is forgotten.
    pub fn meet(&mut self, step: Step, theirs: &Hello, binding: &[u8; 64], now: u64) -> Result<Meeting> {
        let mine = &step.hello;
        let point = self.check(mine, theirs, binding)?;
        let together = mine.ep == theirs.ep;
        // Whether there is a step is decided by the two hellos alone, which both sides have. That we went back is said only
        // if what we sent since our hello does not explain it.
        let is_behind = |one: &Hello, other: &Hello| other.seen > one.sent || other.acked > one.seen;
        let meeting = Meeting {
            stepped: !together || mine.want || theirs.want || is_behind(mine, theirs) || is_behind(theirs, mine),
            we_went_back: match together {
                true => {
                    let (sent, seen) = self.epoch(mine.ep).map_or((mine.sent, mine.seen), |now| (now.sent, now.seen));
                    theirs.seen > sent || theirs.acked > seen
                }
                false => theirs.proven && theirs.ep > self.newest.ep,
            },
            peer_went_back: match together {
                true => is_behind(theirs, mine),
                false => mine.proven && mine.ep > theirs.ep,
            },
        };
        if meeting.stepped {
            self.step(&step, theirs.ep, point, now)?;
        }
        Ok(meeting)
    }

    /// The step key of a hello that is the peer's, for this connection.
    fn check(&self, mine: &Hello, theirs: &Hello, binding: &[u8; 64]) -> Result<PublicKey> {
        if theirs.pair != mine.pair {
            return Err(Error::protocol("a hello for another pair"));
        }
        let is_theirs = theirs
            .mac
            .0
            .as_slice()
            .try_into()
            .is_ok_and(|mac| said(theirs, binding, &self.peer, |parts| kdf::is_mac(&self.hello.0, parts, mac)));
        if !is_theirs || theirs.step == mine.step {
            return Err(Error::protocol("a hello that the peer did not write for this connection"));
        }
        PublicKey::from_bytes(&theirs.step.0).map_err(|why| Error::protocol(format!("a hello's key: {why}")))
    }

    /// Begins the epoch that comes from the two step keys.
    fn step(&mut self, step: &Step, their_ep: u64, theirs: PublicKey, now: u64) -> Result<()> {
        let ours = step.key.public();
        let (lower, higher) = if self.me < self.peer { (ours, theirs) } else { (theirs, ours) };
        let number = u32::try_from(step.hello.ep.max(their_ep) >> 32).ok().and_then(|number| number.checked_add(1));
        let number = number.ok_or_else(|| Error::protocol("a hello with the last number of all epochs"))?;
        let [a, b, c, d, ..] = kdf::hash(&[b"keywire epoch", lower.as_bytes(), higher.as_bytes()]);
        let ep = (u64::from(number) << 32) | u64::from(u32::from_be_bytes([a, b, c, d]));

        let moved_on = || Error::network("this connection's keys were overtaken by those of others: a new one goes on");
        let salt = match step.hello.ep == their_ep {
            true => &self.epoch(their_ep).ok_or_else(moved_on)?.step,
            false => &self.recover,
        };
        let agreed = step.key.secret().agree(&theirs)?;
        let info: [&[u8]; 4] = [b"keywire epoch v1", &number.to_be_bytes(), lower.as_bytes(), higher.as_bytes()];
        let root = Kept(kdf::derive(salt.0.as_ref(), agreed.as_ref(), &info));
        if self.epoch(ep).is_some() {
            return Err(moved_on());
        }
        let (epoch, sending) = Epoch::begin(&root, ep, self.me, self.peer, now);
        self.enter(epoch, sending);
        Ok(())
    }

    /// Takes an epoch in. Steps over two connections at once come in any order, and at both ends the greatest name seals.
    fn enter(&mut self, epoch: Epoch, sending: Key) {
        let older = if epoch.ep > self.newest.ep {
            self.sending = sending;
            std::mem::replace(&mut self.newest, epoch)
        } else {
            epoch
        };
        let at = self.old.partition_point(|kept| kept.ep < older.ep);
        self.old.insert(at, older);
        let surplus = self.old.len().saturating_sub(MAX_OLD_EPOCHS);
        for forgotten in self.old.drain(..surplus) {
            self.skipped.retain(|kept| kept.ep != forgotten.ep);
        }
    }
}

/// Gives what the MAC of a hello is over.
pub(super) fn said<R>(hello: &Hello, binding: &[u8; 64], sender: &PublicKey, over: impl FnOnce(&[&[u8]]) -> R) -> R {
    let [ep, sent, seen, acked] = [hello.ep, hello.sent, hello.seen, hello.acked].map(u64::to_be_bytes);
    over(&[
        b"keywire hello v1",
        binding,
        sender.as_bytes(),
        &hello.pair.0,
        &ep,
        &[u8::from(hello.proven)],
        &sent,
        &seen,
        &acked,
        &hello.step.0,
        &[u8::from(hello.want)],
    ])
}
