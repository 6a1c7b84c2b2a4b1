//! The peer's word, over a connection that has proven its key.

use super::{Heard, Ourselves, Outcome, Pair, Pairs, Theirs, agree};
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::proto::chat::{About, Invite, NoPair, PairAck, PairConfirm};
use crate::ratchet::{PAIR_LEN, Ratchet};
use crate::trust::Time;
use std::net::IpAddr;
use std::time::SystemTime;

impl Pairs {
    /// `pair-invite` from `from`, who dials or is dialed at `source`. It is to be answered by `pair-received`, whatever
    /// becomes of it. One without a source came sealed, to a card that our user has given away.
    ///
    /// # Errors
    /// It does not open, so it is not an invite of that key to us.
    pub fn on_invite(
        &mut self,
        us: Ourselves<'_>,
        from: PublicKey,
        source: Option<IpAddr>,
        invite: &Invite,
        now: SystemTime,
    ) -> Result<Heard> {
        if from == us.me.public() {
            return Err(Error::protocol("an invite from our own key"));
        }
        agree::check_length(&invite.noise)?;
        let expires = Time::from_unix(invite.expires);
        let expires = expires.ok_or_else(|| Error::protocol("an invite that expires after the year 9999"))?;
        self.expire(now);
        let (came, settled) = (Time::of(now), self.is_settled(&from, invite.id));
        if expires <= came {
            return Ok(Heard::Nothing);
        }
        // Before anything is looked at: what does not open gets the same answer whatever there is with its sender.
        agree::verify(us, &from, invite)?;
        if let Some(pair) = self.get(&from) {
            if matches!(pair.outcome, Outcome::Blocked | Outcome::Declined) {
                return Ok(Heard::Nothing);
            }
            // An old invite of a pair's may still be on its way when our user asks for new keys.
            if pair.ours.is_some() && !(settled && pair.outcome == Outcome::Accepted) {
                return self.on_invite_of_both(us, from, invite, now);
            }
        }
        let waits = self.get(&from).and_then(|pair| pair.theirs.as_ref());
        let is_known = settled || waits.is_some_and(|theirs| theirs.id == invite.id);
        if is_known || source.is_some_and(|source| self.is_too_soon(&from, source, came)) {
            return Ok(Heard::Nothing);
        }
        self.change(from, now, |pair| {
            let theirs = Theirs { id: invite.id, expires, noise: invite.noise.clone(), source, came };
            // A user who was told of the key need not be told again.
            Ok(if pair.theirs.replace(theirs).is_none() { Heard::Pending } else { Heard::Nothing })
        })
    }

    /// Both have invited the other, so both agree. The invite of the lower key counts, and the other side answers it.
    fn on_invite_of_both(
        &mut self,
        us: Ourselves<'_>,
        from: PublicKey,
        invite: &Invite,
        now: SystemTime,
    ) -> Result<Heard> {
        if us.me.public() > from {
            let (agreed, ack) = agree::answer(us, &from, invite, now)?;
            return self.agreed(&from, agreed, ack, now).map(|ratchet| Heard::Paired(Box::new(ratchet)));
        }
        self.change(from, now, |pair| {
            // The peer may have had our invite before it made its own, and not have kept it.
            let was_said = pair.ours.as_mut().is_some_and(|ours| ours.received.take().is_some());
            Ok(if was_said { Heard::Owed } else { Heard::Nothing })
        })
    }

    /// `pair-received` from `from`.
    pub fn on_received(&mut self, from: &PublicKey, about: &About, now: SystemTime) -> Heard {
        let ours = self.ours_of(from).and_then(|pair| pair.ours.as_mut()).filter(|ours| ours.id == about.id);
        match ours.map(|ours| ours.received.replace(Time::of(now))) {
            Some(None) => Heard::Delivered,
            _ => Heard::Nothing,
        }
    }

    /// `pair-ack` from `from`.
    ///
    /// # Errors
    /// It does not open, so it is no consent.
    pub fn on_ack(&mut self, us: Ourselves<'_>, from: &PublicKey, ack: &PairAck, now: SystemTime) -> Result<Heard> {
        self.expire(now);
        let Some(pair) = self.ours_of(from) else { return Ok(Heard::NoPair) };
        if let Some(ours) = pair.ours.as_ref().filter(|ours| ours.id == ack.id) {
            let (agreed, confirm) = agree::conclude(us, from, ours, ack, now)?;
            self.change(*from, now, |pair| {
                pair.end(Outcome::Accepted);
                (pair.addresses, pair.confirm) = (agreed.addresses, Some(confirm));
                Ok(())
            })?;
            return Ok(Heard::Paired(Box::new(agreed.ratchet)));
        }
        match pair.confirm.as_mut().filter(|confirm| confirm.id == ack.id && confirm.consent == agree::fingerprint(ack))
        {
            Some(confirm) => {
                confirm.said = false;
                Ok(Heard::Owed)
            }
            None => Ok(Heard::NoPair),
        }
    }

    /// `pair-confirm` from `from`; `ratchet` has the keys of the pair.
    pub fn on_confirm(&mut self, from: &PublicKey, confirm: &PairConfirm, ratchet: &Ratchet) -> Heard {
        let Some(pair) = self.ours_of(from).filter(|pair| pair.outcome == Outcome::Accepted) else {
            return Heard::NoPair;
        };
        match &pair.ack {
            Some(ack) if ack.id != confirm.id => Heard::Nothing,
            Some(_) if ratchet.is_confirmed_by(confirm) => {
                pair.ack = None;
                Heard::Confirmed
            }
            // Whoever died between the keys and the pairs may have saved the keys of another consent: there is no way on.
            Some(_) => Heard::NoPair,
            None => Heard::Nothing,
        }
    }

    /// `pair-decline` from `from`. A pair that was asked for new keys goes on with the old ones.
    pub fn on_decline(&mut self, from: &PublicKey, about: &About, now: SystemTime) -> Heard {
        let asked = |pair: &Pair| pair.ours.as_ref().is_some_and(|ours| ours.id == about.id);
        if !self.get(from).is_some_and(asked) {
            return Heard::Nothing;
        }
        // Nothing in it can fail.
        let _ = self.change(*from, now, |pair| {
            pair.ours = None;
            if pair.outcome != Outcome::Accepted {
                pair.outcome = Outcome::DeclinedByPeer;
            }
            Ok(())
        });
        Heard::Declined
    }

    /// `pair-none` from `from`; `keys` is the pair that there are keys of. It ends that pair only if it speaks of that. An
    /// invite that waits goes on waiting: it says nothing about that.
    pub fn on_none(&mut self, from: &PublicKey, none: &NoPair, keys: Option<[u8; PAIR_LEN]>, now: SystemTime) -> Heard {
        let is_any = none.pair.is_none() && none.id.is_none();
        let is_it = |pair: &Pair| match (&none.pair, none.id) {
            (Some(named), _) => keys.is_some_and(|keys| named.0 == keys),
            (None, Some(id)) => {
                pair.ack.as_ref().is_some_and(|ack| ack.id == id)
                    || pair.confirm.as_ref().is_some_and(|confirm| confirm.id == id)
            }
            (None, None) => true,
        };
        let ends = |pair: &Pair| match pair.outcome {
            Outcome::Accepted => is_it(pair),
            _ => is_any && pair.open_sent,
        };
        if !self.get(from).is_some_and(ends) {
            return Heard::Nothing;
        }
        // Nothing in it can fail.
        let _ = self.change(*from, now, |pair| {
            if pair.outcome == Outcome::Accepted {
                let (ours, theirs) = (pair.ours.take(), pair.theirs.take());
                let addresses = std::mem::take(&mut pair.addresses);
                pair.end(Outcome::RemovedByPeer);
                (pair.ours, pair.theirs, pair.addresses) = (ours, theirs, addresses);
            }
            (pair.open_sent, pair.open_received) = (false, false);
            Ok(())
        });
        Heard::Ended
    }

    fn ours_of(&mut self, key: &PublicKey) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|pair| pair.key == *key)
    }
}
