//! What must be said to a peer when there is a connection.

use super::{Ours, Pairs};
use crate::key::PublicKey;
use crate::proto::chat::{About, Envelope, PairConfirm};
use crate::trust::Time;
use std::time::{Duration, SystemTime};

/// When an invite that has arrived is said once more: that it has arrived does not tell that it was kept.
const REMINDER: Duration = Duration::from_secs(3600);

impl Pairs {
    /// What must be said to `key` on the next connection, in this order, until [`Pairs::said`] or an answer changes it.
    #[must_use]
    pub fn owed(&self, key: &PublicKey, now: SystemTime) -> Vec<Envelope> {
        let Some(pair) = self.get(key) else { return Vec::new() };
        let now = Time::of(now);
        let ack = pair.ack.clone().map(Envelope::Ack);
        let confirm = pair.confirm.iter().filter(|confirm| !confirm.said);
        let confirm = confirm.map(|confirm| PairConfirm { id: confirm.id, mac: confirm.mac.clone() });
        let decline = pair.decline.map(|id| Envelope::Decline(About { id }));
        let invite = pair.ours.iter().filter(|ours| ours.is_due(now)).map(Ours::invite);
        let first = ack.into_iter().chain(confirm.map(Envelope::Confirm));
        first.chain(decline).chain(invite.map(Envelope::Invite)).collect()
    }

    /// `envelope`, which was owed to `key`, has left; whether anything changed by that.
    pub fn said(&mut self, key: &PublicKey, envelope: &Envelope) -> bool {
        let Some(pair) = self.pairs.iter_mut().find(|pair| pair.key == *key) else { return false };
        match (envelope, &mut pair.confirm) {
            (Envelope::Confirm(said), Some(confirm)) if confirm.id == said.id && !confirm.said => confirm.said = true,
            (Envelope::Decline(said), _) if pair.decline == Some(said.id) => {
                pair.decline = None;
                // The peer forgets its invite when it hears this, so there is nothing left that our user could agree to.
                pair.theirs.take_if(|theirs| theirs.id == said.id);
            }
            _ => return false,
        }
        true
    }
}

impl Ours {
    /// Whether it must be said: it has not arrived yet, or that was long ago.
    fn is_due(&self, now: Time) -> bool {
        now < self.expires && self.received.is_none_or(|received| now.apart(received) >= REMINDER)
    }
}
