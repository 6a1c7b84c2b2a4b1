//! Our user's word.

use super::{Ourselves, Outcome, Pair, Pairs, Standing, agree};
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::proto::chat::{InviteId, PairAck};
use crate::ratchet::Ratchet;
use crate::trust::Time;
use std::time::SystemTime;

/// Most invites of ours that wait at a time: each is kept whole, and a script that invites without end must hear of it.
pub(super) const MAX_OURS: usize = 1000;

impl Pairs {
    /// Our user invites `key`. An invite that still waits is kept as it is, and said once more. If the peer has invited us,
    /// both agree, and the pair is there when the two next meet.
    ///
    /// # Errors
    /// It is blocked, our own, or paired already and `renew` does not ask for new keys; too many invites wait.
    pub fn invite(&mut self, us: Ourselves<'_>, key: PublicKey, renew: bool, now: SystemTime) -> Result<()> {
        if key == us.me.public() {
            return Err(Error::usage("that is your own key: a pair takes two"));
        }
        self.expire(now);
        let waiting = self.pairs.iter().filter(|pair| pair.ours.is_some()).count();
        self.change(key, now, |pair| {
            match pair.outcome {
                Outcome::Blocked => {
                    return Err(Error::refused(format!("{} is blocked", key.short()))
                        .hint(format!("to end that: kw-chat pair remove {key}")));
                }
                Outcome::Accepted if !renew => {
                    return Err(Error::no(format!("{} is paired with you already", key.short()))
                        .hint(format!("to agree on new keys: kw-chat pair invite --renew {key}")));
                }
                Outcome::Accepted => {}
                _ => pair.outcome = Outcome::None,
            }
            match &mut pair.ours {
                Some(ours) => ours.received = None,
                None if waiting >= MAX_OURS => {
                    return Err(Error::no(format!("{waiting} invites wait for an answer; more are not kept"))
                        .hint("'kw-chat pair list' shows them; take some back: kw-chat pair remove PEER"));
                }
                None => pair.ours = Some(agree::ask(us, &key, now)?),
            }
            // Which of two invites counts is for the two to settle, so the peer's is taken when it comes once more.
            (pair.theirs, pair.decline) = (None, None);
            Ok(())
        })
    }

    /// Our user agrees to the invite of `key`, also if the answer was no and the peer has not heard of it yet.
    ///
    /// # Errors
    /// There is none, or it has expired.
    pub fn accept(&mut self, us: Ourselves<'_>, key: &PublicKey, now: SystemTime) -> Result<Ratchet> {
        let Some(theirs) = self.get(key).and_then(|pair| pair.theirs.clone()) else { return Err(self.no_invite(key)) };
        if theirs.until() <= Time::of(now) {
            return Err(Error::no(format!("the invite of {} has expired, on {}", key.short(), theirs.until()))
                .hint(format!("to invite it yourself: kw-chat pair invite {key}")));
        }
        let (agreed, ack) = agree::answer(us, key, &theirs.invite(), now)?;
        self.agreed(key, agreed, ack, now)
    }

    /// Writes down that both agree: we by `ack`.
    pub(super) fn agreed(
        &mut self,
        key: &PublicKey,
        agreed: agree::Agreed,
        ack: PairAck,
        now: SystemTime,
    ) -> Result<Ratchet> {
        self.settle(key, ack.id);
        self.change(*key, now, |pair| {
            pair.end(Outcome::Accepted);
            (pair.addresses, pair.ack) = (agreed.addresses, Some(ack));
            Ok(())
        })?;
        Ok(agreed.ratchet)
    }

    /// Our user says no to `key`, now and later; to new keys for a pair, only this time.
    ///
    /// # Errors
    /// There is no invite.
    pub fn decline(&mut self, key: &PublicKey, now: SystemTime) -> Result<()> {
        self.expire(now);
        if self.standing(key) == Standing::Declined {
            return Ok(());
        }
        let Some(id) = self.waiting(key) else { return Err(self.no_invite(key)) };
        self.settle(key, id);
        self.change(*key, now, |pair| {
            match pair.outcome {
                Outcome::Accepted => pair.theirs = None,
                _ => {
                    let theirs = pair.theirs.take();
                    pair.end(Outcome::Declined);
                    pair.theirs = theirs;
                }
            }
            pair.decline = Some(id);
            Ok(())
        })
    }

    /// Our user forgets the invite of `key` without an answer; the same one does not come back.
    ///
    /// # Errors
    /// There is no invite.
    pub fn dismiss(&mut self, key: &PublicKey, now: SystemTime) -> Result<()> {
        self.expire(now);
        let Some(id) = self.waiting(key) else { return Err(self.no_invite(key)) };
        self.settle(key, id);
        self.change(*key, now, |pair| {
            pair.theirs = None;
            Ok(())
        })
    }

    /// Our user wants no connection with `key`. An end of the pair comes with it.
    pub fn block(&mut self, key: PublicKey, now: SystemTime) {
        // Nothing in it can fail.
        let _ = self.change(key, now, |pair| {
            pair.end(Outcome::Blocked);
            Ok(())
        });
    }

    /// Our user ends whatever there is with `key`: a pair, an invite of either side, a block, a no.
    ///
    /// # Errors
    /// There is nothing.
    pub fn remove(&mut self, key: &PublicKey, now: SystemTime) -> Result<()> {
        self.expire(now);
        if self.get(key).is_none() {
            return Err(Error::no(format!("there is nothing with {} that could be removed", key.short()))
                .hint("'kw-chat pair list' shows what there is"));
        }
        match self.waiting(key) {
            Some(id) => self.settle(key, id),
            // Who takes a no back may be asked the same once more.
            None if self.standing(key) == Standing::Declined => self.settled.retain(|settled| settled.key != *key),
            None => {}
        }
        self.change(*key, now, |pair| {
            let was_pair = pair.outcome == Outcome::Accepted;
            pair.end(if was_pair { Outcome::Removed } else { Outcome::None });
            Ok(())
        })
    }

    /// An open message went to `key` (`ours`), or came from it.
    pub fn opened(&mut self, key: PublicKey, ours: bool, now: SystemTime) {
        // Nothing in it can fail.
        let _ = self.change(key, now, |pair| {
            if !matches!(pair.outcome, Outcome::Accepted | Outcome::Declined | Outcome::Blocked) {
                pair.open_sent |= ours;
                pair.open_received |= !ours;
                if pair.is_open() {
                    pair.outcome = Outcome::None;
                }
            }
            Ok(())
        });
    }

    /// The invite of `key` that waits for our user.
    #[must_use]
    pub fn waiting(&self, key: &PublicKey) -> Option<InviteId> {
        self.get(key).filter(|pair| pair.pending().is_some()).and_then(|pair| Some(pair.theirs.as_ref()?.id))
    }

    /// Says why there is no invite of `key` to answer, and what the user may want instead.
    fn no_invite(&self, key: &PublicKey) -> Error {
        let short = key.short();
        let invite = format!("to invite it: kw-chat pair invite {key}");
        match self.standing(key) {
            Standing::Invited => Error::no(format!("no invite of {short} waits; yours waits for its answer")),
            Standing::Accepted { .. } => Error::no(format!("{short} is paired with you already")),
            Standing::Declined => Error::no(format!("the invite of {short} was declined")).hint(invite),
            Standing::Blocked => {
                Error::refused(format!("{short} is blocked")).hint(format!("to end that: kw-chat pair remove {key}"))
            }
            _ => Error::no(format!("there is no invite of {short}")).hint(invite),
        }
    }
}

impl Pair {
    /// Whether nothing of it needs to be kept.
    pub(super) fn is_empty(&self) -> bool {
        let says_nothing = self.outcome == Outcome::None && self.ours.is_none() && self.theirs.is_none();
        says_nothing && !self.open_sent && !self.open_received
    }
}
