//! What comes from drop boxes, and what is brought to those of others: our answers.

use crate::show::notice;
use keywire::addr::PeerAddr;
use keywire::chat::Config;
use keywire::error::{Error, Result};
use keywire::inbox::{Due, Inbox, NotOpened, Opened, carry};
use keywire::key::KeyPair;
use keywire::proto::inbox::Address;
use keywire::store::Store;
use keywire::threads::on_disk;
use keywire::trust::Time;
use std::sync::Arc;

/// What became of a message that came.
pub(crate) type Outcome = std::result::Result<Opened, NotOpened>;

/// The drop boxes that may hold messages for us: those of the cards that are not over, and those of the settings.
pub(crate) fn drop_boxes(inbox: &Inbox, store: &Store) -> Result<Vec<PeerAddr>> {
    let mut addresses = Config::load(store)?.inbox.addresses;
    let now = Time::of(inbox.now());
    for row in inbox.cards()?.iter().filter(|row| row.expires > now) {
        addresses.extend_from_slice(row.card()?.addresses());
    }
    let mut found: Vec<PeerAddr> = Vec::new();
    for Address { key, at } in addresses {
        let drop_box = key.map(|key| PeerAddr { key, at });
        found.extend(drop_box.filter(|drop_box| !found.contains(drop_box)));
    }
    Ok(found)
}

/// Takes what the drop box at `from` holds for us, opens it, and says to `tell` what became of each. What cannot be opened is
/// removed there too, unless it may be for another of our machines.
pub(crate) async fn fetch(
    inbox: &Inbox,
    me: &Arc<KeyPair>,
    from: &PeerAddr,
    tell: &dyn Fn(Outcome) -> Result<()>,
) -> Result<()> {
    let take = async |sealed| {
        let (inbox, me) = (inbox.clone(), me.clone());
        let outcome = on_disk(move || inbox.unseal(&me, &sealed)).await?;
        let is_done = !matches!(outcome, Err(NotOpened::Unknown(_)));
        match outcome {
            // It came twice, by two addresses of a card, or because a connection was cut.
            Err(NotOpened::Same(_)) => {}
            outcome => tell(outcome)?,
        }
        Ok(is_done)
    };
    carry::fetch(me, from, take).await.map(drop)
}

/// Delivers our answers to invites that came sealed; says to `tell` which could not be.
pub(crate) async fn answer(inbox: &Inbox, me: &Arc<KeyPair>, tell: &dyn Fn(&Due, Error)) -> Result<()> {
    let (ours, own) = (inbox.clone(), me.clone());
    for due in on_disk(move || ours.due(&own, None)).await? {
        match carry::deliver(&due.card, &due.message).await {
            Ok(_) => {
                notice(&format!("our answer to {} was delivered", due.peer.short()));
                let inbox = inbox.clone();
                on_disk(move || inbox.settle(&due)).await?;
            }
            Err(error) => tell(&due, error),
        }
    }
    Ok(())
}
