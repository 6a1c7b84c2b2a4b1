//! The door: whoever dials the service `inbox`, at a drop box or at the recipient itself.
//!
//! Everybody is let in, for a sender dials with a key that nobody knows. So a stranger gets little: a place among few, for a
//! short time, and nothing that it says is kept unless a ticket admits it.

mod talk;

use super::dropbox::DropBox;
use crate::conn::{Incoming, Listener, Reason};
use crate::error::{Error, Result};
use crate::json;
use crate::key::PublicKey;
use crate::proto::inbox::{Delivery, Refusal, SealedId, SealedMessage, Ticket};
use crate::store::Store;
use crate::threads::{lock, on_disk};
use crate::trust::{Admission, Allowlist, Right, Time};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use talk::Talk;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections of strangers at once.
pub const STRANGERS: usize = 64;

/// Connections of one source at once, or of one owner.
pub const MOST_OF_ONE: usize = 8;

/// How long a stranger's connection may last: it takes longer than that to bring one message only on a path that is no use.
pub const STRANGERS_STAY: Duration = Duration::from_secs(60);

/// How long an owner's may: all that is held for it, on the slowest of paths.
pub const OWNERS_STAY: Duration = Duration::from_secs(600);

/// Records that a stranger may send: a message to each one-time key of a card, and some tickets.
pub const MOST_RECORDS: usize = 64;

/// Longest request: it is empty JSON.
const MAX_REQUEST_LEN: usize = 64;

/// How often what is over is looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);

/// The recipient of messages, which opens them at once.
pub trait Taker: Send + Sync {
    /// Takes a message that a ticket of ours has admitted. It is on the disk when this says yes. It is called where it holds up
    /// nobody.
    ///
    /// # Errors
    /// Those of the disk; whoever delivers may try again.
    fn take(&self, sealed: &SealedMessage) -> Result<Delivery>;
}

/// Where messages go that are delivered.
#[derive(Clone)]
pub enum Place {
    /// Into a drop box, for the owners on the allowlist of this store.
    DropBox(Arc<DropBox>, Store),
    /// To the recipient itself.
    Recipient(PublicKey, Arc<dyn Taker>),
}

/// What has happened, for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message is on the disk.
    Delivered {
        /// Whose it is.
        recipient: PublicKey,
        /// Which.
        id: SealedId,
    },
    /// An owner has been sent what was held for it.
    Fetched {
        /// Which owner.
        owner: PublicKey,
        /// How many messages.
        messages: usize,
    },
    /// Something is wrong here, which nobody outside can mend.
    Trouble(String),
}

/// Takes deliveries.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    place: Place,
    guests: Mutex<HashMap<Guest, usize>>,
    tell: Box<dyn Fn(Event) + Send + Sync>,
    /// The last trouble that was told, until something went well: the same is not told again and again.
    trouble: Mutex<String>,
}

/// Who has a place at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Guest {
    Owner(PublicKey),
    /// And its source, if there is a limit for it.
    Stranger(Option<IpAddr>),
}

/// A place at the door, given back when it is dropped.
struct Seat {
    door: Door,
    guest: Guest,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut guests = lock(&self.door.0.guests);
        if let Some(count) = guests.get_mut(&self.guest) {
            *count -= 1;
            if *count == 0 {
                guests.remove(&self.guest);
            }
        }
    }
}

impl Door {
    /// A door to `place`; `tell` hears what happens.
    pub fn new(place: Place, tell: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Door(Arc::new(Inner { place, guests: Mutex::default(), tell: Box::new(tell), trouble: Mutex::default() }))
    }

    /// Serves whoever dials `listener`, until `stop` ends.
    ///
    /// # Errors
    /// The listener is gone.
    pub async fn serve(&self, mut listener: Listener, stop: impl Future<Output = ()>) -> Result<()> {
        let (ending, stopped) = watch::channel(false);
        let mut sessions = JoinSet::new();
        let mut look = tokio::time::interval(EXPIRE_EVERY);
        let mut stop = std::pin::pin!(stop);
        let served = loop {
            tokio::select! {
                incoming = listener.accept() => match incoming {
                    Ok(incoming) => drop(sessions.spawn(self.clone().let_in(incoming, stopped.clone()))),
                    Err(error) => break Err(error),
                },
                Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
                _ = look.tick() => self.tidy().await,
                () = &mut stop => break Ok(()),
            }
        };
        ending.send_replace(true);
        while sessions.join_next().await.is_some() {}
        served
    }

    /// Removes what is over, and says what was noticed.
    async fn tidy(&self) {
        let Place::DropBox(drop_box, _) = &self.0.place else { return };
        let drop_box = drop_box.clone();
        let tidied = on_disk(move || drop_box.expire(SystemTime::now()).map(|()| drop_box.notices())).await;
        match tidied {
            Ok(notices) => notices.into_iter().for_each(|notice| (self.0.tell)(Event::Trouble(notice))),
            Err(error) => self.trouble(&error),
        }
    }

    fn trouble(&self, error: &Error) {
        let text = error.to_string();
        let mut last = lock(&self.0.trouble);
        if *last != text {
            last.clone_from(&text);
            drop(last);
            (self.0.tell)(Event::Trouble(text));
        }
    }

    /// Carries one connection to its end, or turns the dialer away.
    async fn let_in(self, incoming: Incoming, mut stopped: watch::Receiver<bool>) {
        if !is_request(incoming.request()) {
            let _ = incoming.refuse(Reason::BadRequest, "a request that is none").await;
            return;
        }
        let peer = incoming.peer();
        let is_owner = match self.is_owner(peer).await {
            Ok(is_owner) => is_owner,
            Err(error) => {
                self.trouble(&error);
                let _ = incoming.refuse(Reason::Unavailable, "the state here cannot be read").await;
                return;
            }
        };
        let guest = if is_owner { Guest::Owner(peer) } else { Guest::Stranger(incoming.source()) };
        let Some(_seat) = self.seat(guest) else {
            let _ = incoming.refuse(Reason::Unavailable, "too many connections; try again later").await;
            return;
        };
        let Ok(connection) = incoming.admit(Admission::of(peer)) else { return };
        let stay = if is_owner { OWNERS_STAY } else { STRANGERS_STAY };
        let over = async {
            tokio::select! {
                () = tokio::time::sleep(stay) => (Reason::Unavailable, "this has taken too long"),
                _ = stopped.wait_for(|stopped| *stopped) => (Reason::ShuttingDown, "the service ends"),
            }
        };
        Talk::new(&self, connection, is_owner).carry(over).await;
    }

    /// Whether messages are held for `peer`.
    async fn is_owner(&self, peer: PublicKey) -> Result<bool> {
        let Place::DropBox(_, store) = &self.0.place else { return Ok(false) };
        let store = store.clone();
        on_disk(move || Ok(Allowlist::load(&store)?.grant(&peer, Right::Drop, SystemTime::now()).is_ok())).await
    }

    /// A place for `guest`, if there is one.
    fn seat(&self, guest: Guest) -> Option<Seat> {
        let mut guests = lock(&self.0.guests);
        let of_one = guests.get(&guest).copied().unwrap_or_default();
        let is_full = match guest {
            Guest::Owner(_) => of_one >= MOST_OF_ONE,
            Guest::Stranger(source) => {
                let strangers = guests.iter().filter(|(guest, _)| matches!(guest, Guest::Stranger(_)));
                strangers.map(|(_, count)| count).sum::<usize>() >= STRANGERS
                    || (source.is_some() && of_one >= MOST_OF_ONE)
            }
        };
        if is_full {
            return None;
        }
        guests.insert(guest, of_one + 1);
        Some(Seat { door: self.clone(), guest })
    }

    /// What becomes of a message.
    async fn deliver(&self, ticket: Ticket, sealed: SealedMessage) -> Delivery {
        let (place, recipient, id) = (self.0.place.clone(), ticket.recipient(), sealed.id());
        let now = SystemTime::now();
        let delivery = on_disk(move || match place {
            Place::DropBox(drop_box, store) => drop_box.hold(&ticket, &sealed, &Allowlist::load(&store)?, now),
            Place::Recipient(me, _) if me != recipient => Ok(Err(Refusal::Unknown)),
            Place::Recipient(_, taker) => match ticket.admits(&sealed, Time::of(now)) {
                Ok(_) => taker.take(&sealed),
                Err(why) => Ok(Err(why)),
            },
        });
        match delivery.await {
            Ok(Ok(())) => {
                // What goes wrong from now on goes wrong anew.
                lock(&self.0.trouble).clear();
                (self.0.tell)(Event::Delivered { recipient, id });
                Ok(())
            }
            Ok(refused) => refused,
            Err(error) => {
                self.trouble(&error);
                Err(Refusal::Unavailable)
            }
        }
    }
}

/// Whether this is the request of the service: an object without fields.
fn is_request(request: &[u8]) -> bool {
    json::parse::<json::Value>(request, MAX_REQUEST_LEN).is_ok_and(|request| request == json::json!({}))
}
