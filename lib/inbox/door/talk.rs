//! One connection at the door.

use super::{Door, Event, MOST_RECORDS, Place};
use crate::conn::{Connection, Reason, Receiver, Sender};
use crate::error::{Error, Result};
use crate::inbox::dropbox::DropBox;
use crate::key::PublicKey;
use crate::proto::inbox::{FromDialer, FromListener, Refusal, SealedId, Ticket};
use crate::threads::on_disk;
use std::collections::VecDeque;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

/// Records that an owner may send: each message that is held may be taken by itself.
const MOST_OF_AN_OWNER: usize = 1024;

/// Bytes that may wait to leave before the next message is read from the disk.
const MOST_PENDING: usize = 128 << 10;

/// How long the other side has to end its direction after we have ended ours.
const END_WITHIN: Duration = Duration::from_secs(2);

/// One connection.
pub(super) struct Talk<'a> {
    door: &'a Door,
    peer: PublicKey,
    is_owner: bool,
    sender: Sender,
    receiver: Receiver,
    ticket: Option<Ticket>,
    records: usize,
    /// What is still to be sent of a FETCH, and how much was.
    fetching: Option<(VecDeque<SealedId>, usize)>,
}

impl<'a> Talk<'a> {
    pub(super) fn new(door: &'a Door, connection: Connection, is_owner: bool) -> Self {
        let peer = connection.peer();
        let (sender, receiver) = connection.split();
        Talk { door, peer, is_owner, sender, receiver, ticket: None, records: 0, fetching: None }
    }

    /// Talks until the dialer is done, or `over` says why no longer: not before the answer to what was taken is on its way.
    pub(super) async fn carry(mut self, over: impl Future<Output = (Reason, &'static str)>) {
        let ended = self.converse(std::pin::pin!(over)).await;
        // It may have gone away already.
        let _ = match ended {
            Ok(()) => self.sender.close().await,
            Err(Ended(Some((why, text)))) => self.sender.fail(why, &text).await,
            Err(Ended(None)) => return,
        };
        self.receiver.drain(END_WITHIN).await;
    }

    async fn converse(
        &mut self,
        mut over: Pin<&mut impl Future<Output = (Reason, &'static str)>>,
    ) -> std::result::Result<(), Ended> {
        loop {
            self.send_held().await?;
            let message = tokio::select! {
                (why, text) = &mut over => return Err(Ended(Some((why, text.to_owned())))),
                record = self.receiver.recv() => match record? {
                    Some(record) => FromDialer::decode(&record)?,
                    None => break,
                },
                driven = self.sender.drive() => {
                    driven?;
                    continue;
                }
            };
            self.records += 1;
            if self.records > if self.is_owner { MOST_OF_AN_OWNER } else { MOST_RECORDS } {
                return Err(Error::protocol("more records than a connection may bring").into());
            }
            self.hear(message).await?;
        }
        tokio::select! {
            (why, text) = &mut over => Err(Ended(Some((why, text.to_owned())))),
            flushed = self.sender.flush() => Ok(flushed?),
        }
    }

    async fn hear(&mut self, message: FromDialer) -> Result<()> {
        match message {
            FromDialer::Ticket(ticket) => self.ticket = Some(ticket),
            FromDialer::Deliver(sealed) => {
                let ticket = self.ticket.clone().ok_or_else(|| Error::protocol("a DELIVER without a TICKET"))?;
                let delivery = self.door.deliver(ticket, sealed).await;
                self.say(&delivery.into())?;
            }
            FromDialer::Fetch | FromDialer::Taken(_) if !self.still_owner().await => {
                self.say(&FromListener::Refused(Refusal::Unknown))?;
            }
            FromDialer::Fetch if self.fetching.is_some() => {
                return Err(Error::protocol("a FETCH before the END of the last one"));
            }
            FromDialer::Fetch => {
                let held = self.at_box(|drop_box, peer| Ok(drop_box.list(&peer, SystemTime::now()))).await?;
                self.fetching = held.map(|held| (held.into(), 0));
            }
            FromDialer::Taken(ids) => {
                let answer = match self.at_box(move |drop_box, peer| drop_box.remove(&peer, &ids)).await {
                    Ok(_) => FromListener::Removed,
                    Err(error) => {
                        self.door.trouble(&error);
                        FromListener::Refused(Refusal::Unavailable)
                    }
                };
                self.say(&answer)?;
            }
        }
        Ok(())
    }

    /// Whether the dialer has the right now, which it may have lost.
    async fn still_owner(&self) -> bool {
        self.is_owner && self.door.is_owner(self.peer).await.unwrap_or(false)
    }

    /// Has the next of what is held sent, as long as there is room.
    async fn send_held(&mut self) -> Result<()> {
        while self.sender.pending() < MOST_PENDING {
            let Some((left, sent)) = &mut self.fetching else { return Ok(()) };
            let Some(id) = left.pop_front() else {
                (self.door.0.tell)(Event::Fetched { owner: self.peer, messages: *sent });
                self.fetching = None;
                return self.say(&FromListener::End);
            };
            // Another connection may have taken it, or the disk lost it.
            if let Some(message) = self.at_box(move |drop_box, peer| Ok(drop_box.read(&peer, &id))).await?.flatten() {
                self.say(&FromListener::Held(message))?;
                if let Some((_, sent)) = &mut self.fetching {
                    *sent += 1;
                }
            }
        }
        Ok(())
    }

    /// Does `work` at the drop box, if this is one.
    async fn at_box<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DropBox, PublicKey) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let Place::DropBox(drop_box, _) = &self.door.0.place else { return Ok(None) };
        let (drop_box, peer) = (drop_box.clone(), self.peer);
        on_disk(move || work(&drop_box, peer).map(Some)).await
    }

    fn say(&mut self, message: &FromListener) -> Result<()> {
        let (kind, body) = message.encode();
        self.sender.push(kind, &[&body])
    }
}

/// Why a connection has ended, as its dialer is told; nothing if it is gone.
struct Ended(Option<(Reason, String)>);

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Ended(Reason::of(&error))
    }
}
