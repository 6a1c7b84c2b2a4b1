//! Carrying: sealed messages to where a card says, and from a drop box to their recipient.

use super::dropbox::MOST_BYTES;
use crate::addr::PeerAddr;
use crate::conn::{Connection, DialOptions, Receiver, Sender, dial};
use crate::error::{Error, Kind, Result};
use crate::key::KeyPair;
use crate::proto::inbox::{
    Address, Card, Delivery, FromDialer, FromListener, INBOX, MAX_HELD, Refusal, SealedId, SealedMessage,
};
use crate::trust::Time;
use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a delivery may take in all: a person waits for it.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How long fetching may take in all: as much as is ever held, on a slow path.
pub const FETCH_WITHIN: Duration = Duration::from_secs(600);

/// A delivery that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Which address of the card took it.
    pub at: Address,
    /// The recipient had opened this very message before.
    pub is_same: bool,
}

/// What a drop box had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Messages that were taken from it.
    pub taken: usize,
    /// Messages that it still holds, since they could not be taken.
    pub left: usize,
}

/// Delivers `sealed` at the first of the card's addresses that takes it. Nobody there learns who we are: the connection has a
/// key pair of its own.
///
/// # Errors
/// The message is for another card, the card is over or has no address, no address takes the message, or the recipient says that it
/// never will.
pub async fn deliver(card: &Card, sealed: &SealedMessage) -> Result<Delivered> {
    deliver_or_why(card, sealed).await.map_err(|failed| failed.error)
}

/// A delivery that failed.
pub(super) struct Failed {
    pub(super) error: Error,
    /// The recipient itself says that it will never take the message.
    pub(super) is_final: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed { error, is_final: false }
    }
}

/// The same, and whether there is any sense in trying again.
pub(super) async fn deliver_or_why(card: &Card, sealed: &SealedMessage) -> std::result::Result<Delivered, Failed> {
    if card.ticket().key(&sealed.rki()).is_none() {
        let error = Error::no("the message is sealed to another card").hint("give the card that it was sealed to");
        return Err(error.into());
    }
    check(card)?;
    let end = Instant::now() + PATIENCE;
    let mut failures: Vec<(&Address, Error)> = Vec::new();
    for (at, address) in card.addresses().iter().enumerate() {
        // Each has its share of the time that is left, so that none is kept from being tried by those before it.
        let left = u32::try_from(card.addresses().len() - at).unwrap_or(u32::MAX);
        let within = Instant::now() + end.duration_since(Instant::now()) / left;
        let answer = match timeout_at(within, offer(card, address, sealed)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::network(format!("no answer from {address} in time"))),
        };
        match answer {
            Ok(Ok(())) => return Ok(Delivered { at: address.clone(), is_same: false }),
            Ok(Err(Refusal::Same)) => return Ok(Delivered { at: address.clone(), is_same: true }),
            // A drop box cannot know what has become of a one-time key.
            Ok(Err(why @ (Refusal::Used | Refusal::Revoked | Refusal::Expired))) if address.key.is_none() => {
                return Err(Failed { error: refused(card, address, why), is_final: true });
            }
            Ok(Err(why)) => failures.push((address, refused(card, address, why))),
            Err(error) => failures.push((address, error)),
        }
    }
    Err(all_failed(failures).into())
}

/// Refuses a card that nothing can be delivered to.
///
/// # Errors
/// It is over, or names no address.
pub fn check(card: &Card) -> Result<()> {
    card.check_time(Time::of(SystemTime::now()))?;
    match card.addresses().is_empty() {
        true => Err(Error::no("the card names no address to deliver at")
            .hint("bring the message to its recipient by hand or by mail, as 'kw-inbox seal' prints it")),
        false => Ok(()),
    }
}

/// Offers the message at one address.
async fn offer(card: &Card, address: &Address, sealed: &SealedMessage) -> Result<Delivery> {
    let nobody = KeyPair::generate()?;
    let to = PeerAddr { key: address.answering(card.recipient()), at: address.at.clone() };
    let (mut sender, mut receiver) = call(&nobody, &to).await?.split();
    say(&mut sender, &FromDialer::Ticket(card.ticket()))?;
    say(&mut sender, &FromDialer::Deliver(sealed.clone()))?;
    sender.flush().await?;
    let delivery = match next(&mut sender, &mut receiver).await? {
        FromListener::Delivered => Ok(()),
        FromListener::Refused(why) => Err(why),
        other => return Err(out_of_place(&other)),
    };
    // What counts has been said.
    let _ = sender.close().await;
    Ok(delivery)
}

/// Why an address does not take a message, and what to do about it.
fn refused(card: &Card, address: &Address, why: Refusal) -> Error {
    let who = match address.key {
        Some(_) => format!("the drop box {}", address.at),
        None => format!("the recipient at {}", address.at),
    };
    let short = card.recipient().short();
    let another = format!("ask {short} for a new card");
    let (what, hint) = match (why, address.key) {
        (Refusal::Unknown, Some(_)) => (
            "does not hold messages for this key",
            format!("tell {short}, who is to have the right there: kw-peers allow KEY drop"),
        ),
        (Refusal::Unknown, None) => ("does not know this card", another),
        (Refusal::Expired, _) => ("says that the card has expired", another),
        (Refusal::Revoked, _) => ("has revoked the one-time key that it is sealed to", another),
        (Refusal::Used, _) => ("has had a message to this one-time key already, and each is good for one", another),
        (Refusal::Same, _) => ("has opened this very message before", "there is nothing left to do".to_owned()),
        (Refusal::Full, _) => ("has no room for more", format!("try again once {short} has fetched what is there")),
        (Refusal::Wrong, Some(_)) => ("finds that the message does not go with this card", "seal it again".to_owned()),
        (Refusal::Wrong, None) => (
            "cannot make out the message, which was changed on the way, or is from a newer keywire",
            format!("seal it again; if that does not help, tell {short} to take a newer keywire"),
        ),
        (Refusal::Unavailable, _) => ("cannot take it now", "try again later".to_owned()),
    };
    let kind = if why == Refusal::Unavailable { Kind::Network } else { Kind::Refused };
    Error::new(kind, format!("{who} {what}")).hint(hint)
}

/// The errors of all addresses in one.
fn all_failed(mut failures: Vec<(&Address, Error)>) -> Error {
    if failures.len() == 1
        && let Some((_, error)) = failures.pop()
    {
        return error;
    }
    // A refusal says more than an address that does not answer.
    let kind = failures.iter().map(|(_, error)| error.kind()).find(|kind| *kind == Kind::Refused);
    let mut all = Error::new(kind.unwrap_or(Kind::Network), format!("none of {} addresses takes it", failures.len()));
    for (address, error) in failures {
        all = all.hint(format!("{}: {error}", address.at));
        if let Some(hint) = error.hints().first().filter(|_| error.kind() == Kind::Refused) {
            all = all.hint(hint);
        }
    }
    all
}

/// Fetches what the drop box at `from` holds for `me`, and gives each message to `take`. Those of which it says that they are
/// done are removed there at once, so what was taken stays taken when the connection is cut.
///
/// It breaks off when `over` ends. A `take` that has begun is waited for whatever happens, for nobody else knows of it then.
///
/// # Errors
/// The drop box cannot be reached, holds nothing for this key, or breaks the rules; and those of `take`, after which nothing
/// more is fetched.
pub async fn fetch<T>(
    me: &KeyPair,
    from: &PeerAddr,
    take: impl FnMut(SealedMessage) -> T,
    over: impl Future<Output = ()>,
) -> Result<Fetched>
where
    T: Future<Output = Result<bool>>,
{
    let over = pin!(async {
        tokio::select! {
            () = over => Error::network(format!("fetching from the drop box at {} was broken off", from.at)),
            () = sleep(FETCH_WITHIN) => {
                Error::network(format!("the drop box at {} takes too long", from.at)).hint("try again later")
            }
        }
    });
    fetch_all(me, from, take, over).await
}

async fn fetch_all<T>(
    me: &KeyPair,
    from: &PeerAddr,
    mut take: impl FnMut(SealedMessage) -> T,
    mut over: Pin<&mut impl Future<Output = Error>>,
) -> Result<Fetched>
where
    T: Future<Output = Result<bool>>,
{
    let (mut sender, mut receiver) = unless(over.as_mut(), call(me, from)).await?.split();
    say(&mut sender, &FromDialer::Fetch)?;
    let mut fetched = Fetched::default();
    let (mut seen, mut bytes): (BTreeSet<SealedId>, usize) = (BTreeSet::new(), 0);
    let (mut unanswered, mut is_all) = (0_usize, false);
    while !is_all || unanswered > 0 {
        unless(over.as_mut(), sender.flush()).await?;
        match unless(over.as_mut(), next(&mut sender, &mut receiver)).await? {
            FromListener::Held(message) if !is_all => {
                let id = message.id();
                bytes += message.bytes().len();
                if !seen.insert(id) || seen.len() > MAX_HELD || bytes > MOST_BYTES {
                    return Err(Error::protocol("a drop box that sends more than one holds, or the same twice"));
                }
                let mut taking = pin!(take(message));
                let is_done = match unless(over.as_mut(), sender.while_waiting(taking.as_mut())).await {
                    Ok(is_done) => is_done?,
                    Err(why) => {
                        taking.await?;
                        return Err(why);
                    }
                };
                if is_done {
                    say(&mut sender, &FromDialer::Taken(vec![id]))?;
                    unanswered += 1;
                    fetched.taken += 1;
                } else {
                    fetched.left += 1;
                }
            }
            FromListener::End if !is_all => is_all = true,
            FromListener::Removed if unanswered > 0 => unanswered -= 1,
            FromListener::Refused(Refusal::Unavailable) if unanswered > 0 => {
                // It is sent again next time, and known then.
                unanswered -= 1;
                fetched.taken -= 1;
                fetched.left += 1;
            }
            FromListener::Refused(Refusal::Unknown) => {
                return Err(Error::refused(format!(
                    "the drop box at {} does not hold messages for this key ({})",
                    from.at,
                    me.public()
                ))
                .hint("its owner gives the right with: kw-peers allow KEY drop"));
            }
            other => return Err(out_of_place(&other)),
        }
    }
    let _ = sender.close().await;
    Ok(fetched)
}

/// Does `work`, unless it is `over` before that: then it says why.
async fn unless<T>(over: Pin<&mut impl Future<Output = Error>>, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        why = over => Err(why),
        done = work => done,
    }
}

async fn call(me: &KeyPair, to: &PeerAddr) -> Result<Connection> {
    dial(me, to, INBOX, b"{}", DialOptions::default()).await
}

fn say(sender: &mut Sender, message: &FromDialer) -> Result<()> {
    let (kind, body) = message.encode();
    sender.push(kind, &[&body])
}

/// The next that the listener says.
async fn next(sender: &mut Sender, receiver: &mut Receiver) -> Result<FromListener> {
    match sender.while_waiting(receiver.recv()).await?? {
        Some(record) => FromListener::decode(&record),
        None => Err(Error::network("the other side has ended the connection without an answer")),
    }
}

fn out_of_place(message: &FromListener) -> Error {
    let name = format!("{message:?}");
    let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_uppercase();
    Error::protocol(format!("a {name} where none may stand"))
}
