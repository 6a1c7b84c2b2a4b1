//! This user's side on the network: what is delivered to it, what it fetches, and the answers that it owes.

use super::carry::{self, Delivered, Fetched};
use super::door::Taker;
use super::{CardRow, Inbox, KeyState, NotOpened, Opened};
use crate::addr::PeerAddr;
use crate::error::{Error, Kind, Result};
use crate::key::{KeyPair, PublicKey};
use crate::proto::inbox::{Address, Delivery, SealedMessage};
use crate::threads::on_disk;
use std::cell::Cell;
use std::sync::Arc;

/// Most messages that are left at a drop box because a newer keywire may understand them: whoever has one card could fill the
/// room of all with them.
const MOST_UNREAD: usize = 4;

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
        // What somebody left half opened is told too, and not with the next message only.
        self.inbox.recover(&self.me)?.into_iter().for_each(|(_, outcome)| (self.tell)(outcome));
        let outcome = self.inbox.unseal(&self.me, sealed)?;
        let delivery = outcome.as_ref().map(|_| ()).map_err(NotOpened::refusal);
        if !matches!(outcome, Err(NotOpened::Same(_))) {
            (self.tell)(outcome);
        }
        Ok(delivery)
    }
}

impl Inbox {
    /// The drop boxes that may hold messages for us: those of the cards that are neither over nor taken back whole, and `also`.
    ///
    /// # Errors
    /// The cards cannot be read.
    pub fn drop_boxes(&self, me: PublicKey, also: Vec<Address>) -> Result<Vec<PeerAddr>> {
        let (mut addresses, now) = (also, self.time());
        let is_taken_back = |row: &CardRow| row.keys.iter().all(|key| key.state == KeyState::Revoked);
        for row in self.cards()?.iter().filter(|row| row.expires > now && !is_taken_back(row)) {
            let card = row.card()?;
            if card.recipient() == me {
                addresses.extend_from_slice(card.addresses());
            }
        }
        let mut found: Vec<PeerAddr> = Vec::new();
        for Address { key, at } in addresses {
            let drop_box = key.filter(|key| *key != me).map(|key| PeerAddr { key, at });
            found.extend(drop_box.filter(|drop_box| !found.contains(drop_box)));
        }
        Ok(found)
    }

    /// Fetches what a drop box holds for `me`, and opens it; `tell` hears what comes of each message. What cannot be opened
    /// is not held any longer either, unless another machine with the same identity may have the key, or a newer keywire may
    /// understand it. It breaks off when `over` ends, but not before what is being opened is told.
    ///
    /// # Errors
    /// Those of [`carry::fetch`] and of `tell`; what is opened cannot be stored, and stays where it is then.
    pub async fn fetch(
        &self,
        me: &Arc<KeyPair>,
        from: &PeerAddr,
        tell: impl Fn(Outcome) -> Result<()>,
        over: impl Future<Output = ()>,
    ) -> Result<Fetched> {
        let unread = Cell::new(0);
        let take = |sealed: SealedMessage| {
            let (inbox, me, tell, unread) = (self.clone(), me.clone(), &tell, &unread);
            async move {
                let outcome = on_disk(move || inbox.unseal(&me, &sealed)).await?;
                let is_done = match &outcome {
                    Ok(_) => true,
                    Err(NotOpened::Unread(..)) => unread.replace(unread.get() + 1) >= MOST_UNREAD,
                    Err(why) => why.is_final(),
                };
                tell(outcome)?;
                Ok(is_done)
            }
        };
        carry::fetch(me, from, take, over).await.map_err(|error| placed(from, error))
    }

    /// Delivers the answers that are due, to `only` if that is given; to whom, and how each went. One that could not be
    /// delivered is due again, unless its recipient will never take it.
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
            let delivered = carry::deliver_or_why(&due.card, &due.message).await;
            let peer = due.peer;
            if delivered.as_ref().map_or_else(|failed| failed.is_final, |_| true) {
                let inbox = self.clone();
                on_disk(move || inbox.settle(&due)).await?;
            }
            answered.push((peer, delivered.map_err(|failed| failed.error)));
        }
        Ok(answered)
    }
}

/// The error, with the drop box in front if it does not say where, and is not of something here.
fn placed(from: &PeerAddr, error: Error) -> Error {
    let is_here = matches!(error.kind(), Kind::State | Kind::ClosedOutput);
    let text = error.to_string();
    if is_here || text.contains(&from.at.to_string()) {
        return error;
    }
    Error::new(error.kind(), format!("the drop box at {}: {text}", from.at)).hints_of(&error)
}
