//! This user's side on the network: what is delivered to it, what it fetches, and the answers that it owes.

use super::carry::{self, Delivered, Fetched};
use super::door::Taker;
use super::{Inbox, NotOpened, Opened};
use crate::addr::PeerAddr;
use crate::error::Result;
use crate::key::{KeyPair, PublicKey};
use crate::proto::inbox::{Address, Delivery, SealedMessage};
use crate::threads::on_disk;
use std::sync::Arc;

/// What came of a message that was delivered, or fetched.
pub type Outcome = std::result::Result<Opened, NotOpened>;

/// Opens what is delivered at our own door.
pub struct Recipient<F> {
    inbox: Inbox,
    me: Arc<KeyPair>,
    tell: F,
}

impl<F: Fn(Outcome) + Send + Sync> Recipient<F> {
    /// Opens messages to `me`; `tell` hears what comes of each.
    pub fn new(inbox: Inbox, me: Arc<KeyPair>, tell: F) -> Self {
        Recipient { inbox, me, tell }
    }
}

impl<F: Fn(Outcome) + Send + Sync> Taker for Recipient<F> {
    fn take(&self, sealed: &SealedMessage) -> Result<Delivery> {
        let outcome = self.inbox.unseal(&self.me, sealed)?;
        let delivery = outcome.as_ref().map(|_| ()).map_err(NotOpened::refusal);
        if !matches!(outcome, Err(NotOpened::Same(_))) {
            (self.tell)(outcome);
        }
        Ok(delivery)
    }
}

impl Inbox {
    /// The drop boxes that may hold messages for us: those of the cards that are not over, and `also`.
    ///
    /// # Errors
    /// The cards cannot be read.
    pub fn drop_boxes(&self, also: Vec<Address>) -> Result<Vec<PeerAddr>> {
        let (mut addresses, now) = (also, self.time());
        for row in self.cards()?.iter().filter(|row| row.expires > now) {
            addresses.extend_from_slice(row.card()?.addresses());
        }
        let mut found: Vec<PeerAddr> = Vec::new();
        for Address { key, at } in addresses {
            let drop_box = key.map(|key| PeerAddr { key, at });
            found.extend(drop_box.filter(|drop_box| !found.contains(drop_box)));
        }
        Ok(found)
    }

    /// Fetches what a drop box holds for `me`, and opens it; `tell` hears what comes of each message. What cannot be opened
    /// is not held any longer either, unless it may be for another machine with the same identity.
    ///
    /// # Errors
    /// Those of [`carry::fetch`] and of `tell`; what is opened cannot be stored, and stays where it is then.
    pub async fn fetch(
        &self,
        me: &Arc<KeyPair>,
        from: &PeerAddr,
        tell: impl Fn(Outcome) -> Result<()>,
    ) -> Result<Fetched> {
        carry::fetch(me, from, |sealed| {
            let (inbox, me, tell) = (self.clone(), me.clone(), &tell);
            async move {
                let outcome = on_disk(move || inbox.unseal(&me, &sealed)).await?;
                let is_done = !matches!(outcome, Err(NotOpened::Unknown(_)));
                match outcome {
                    // It came twice: by two addresses of a card, or because a connection was cut.
                    Err(NotOpened::Same(_)) => {}
                    outcome => tell(outcome)?,
                }
                Ok(is_done)
            }
        })
        .await
    }

    /// Delivers the answers that are due, to `only` if that is given; to whom, and how each went. One that could not be
    /// delivered is due again.
    ///
    /// # Errors
    /// What is on the disk cannot be read or written.
    pub async fn answer(
        &self,
        me: &Arc<KeyPair>,
        only: Option<PublicKey>,
    ) -> Result<Vec<(PublicKey, Result<Delivered>)>> {
        let (inbox, me) = (self.clone(), me.clone());
        let due = on_disk(move || inbox.due(&me, only)).await?;
        let mut answered = Vec::new();
        for due in due {
            let delivered = carry::deliver(&due.card, &due.message).await;
            let peer = due.peer;
            if delivered.is_ok() {
                let inbox = self.clone();
                on_disk(move || inbox.settle(&due)).await?;
            }
            answered.push((peer, delivered));
        }
        Ok(answered)
    }
}
