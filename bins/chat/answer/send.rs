//! Messages that leave.

use super::{Caller, House, VISIT};
use crate::exit;
use crate::request::{Asking, Input, Outcome, Reply, Sending, Sent};
use crate::whom::word;
use keywire::chat::{Delivery, Draft, Engine, Entry, Event, Side, Target};
use keywire::error::Result;
use keywire::key::PublicKey;
use keywire::proto::chat::MessageId;
use keywire::ratchet::Head;
use keywire::threads::on_disk;
use keywire::trust::millis;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How many messages may be under way at a time.
const WINDOW: usize = 64;

/// How often a peer is visited that was asked and cannot dial us.
const KNOCK: Duration = Duration::from_secs(2);

/// How far back an answer is looked for that may be there already.
const LOOK_BACK: usize = 1000;

/// Sends each text that the caller says, as many at a time as are there.
pub(super) async fn send(house: &House, sending: Sending, caller: &mut Caller) -> Result<u8> {
    let Sending { to, id, reply_to, ttl, wait, keep } = sending;
    let (to, wait) = (Target::from(to), Duration::from_millis(wait));
    let mut id = id;
    let mut worst = 0;
    loop {
        let (texts, is_end) = texts(caller).await;
        let mut drafts = Vec::new();
        for text in texts {
            drafts.push(draft(&house.engine, id.take(), reply_to.clone(), ttl, text)?);
        }
        let mut is_final = false;
        if !drafts.is_empty() {
            for (id, delivery) in house.engine.send(&to, drafts, wait, keep).await? {
                let sent = Sent::new(to.key, id, delivery, wait, keep);
                worst = exit::worse(worst, sent.status());
                is_final |= sent.is_final();
                caller.say(Reply::Sent(sent)).await?;
            }
        }
        if is_end || is_final {
            return Ok(worst);
        }
    }
}

/// The texts that are there, at least one unless it was the last, and whether there will be no more.
async fn texts(caller: &mut Caller) -> (Vec<String>, bool) {
    let mut texts = Vec::new();
    let mut input = caller.inputs.recv().await;
    loop {
        match input {
            Some(Input::Text(text)) => texts.push(text),
            Some(Input::Printed(_)) => {}
            Some(Input::End) | None => return (texts, true),
        }
        if texts.len() == WINDOW {
            return (texts, false);
        }
        match caller.inputs.try_recv() {
            Ok(next) => input = Some(next),
            Err(_) => return (texts, false),
        }
    }
}

fn draft(
    engine: &Engine,
    id: Option<MessageId>,
    reply_to: Option<MessageId>,
    ttl: Option<u64>,
    text: String,
) -> Result<Draft> {
    let id = id.map_or_else(MessageId::random, Ok)?;
    Ok(Draft { head: Head { id, ack: true, time: millis(engine.chat().now()), ttl, reply_to }, text })
}

/// Sends a message and waits for the first that answers it.
pub(super) async fn ask(house: &House, asking: Asking, caller: &mut Caller) -> Result<u8> {
    let Asking { to, text, id, reply_to, wait } = asking;
    let (to, wait) = (Target::from(to), Duration::from_millis(wait));
    let until = Instant::now() + wait;
    // What may have been asked before may have been answered before.
    let is_new = id.is_none();
    let draft = draft(&house.engine, id, reply_to, None, text)?;
    let asked = draft.head.id.clone();
    let mut events = house.engine.events();
    if !is_new && let Some(answer) = find_answer(&house.engine, to.key, &asked).await? {
        caller.say(Reply::Message(answer)).await?;
        return Ok(0);
    }
    let mut sending = std::pin::pin!(house.engine.send(&to, vec![draft], wait, true));
    let mut sent: Option<Sent> = None;
    let mut knock = Instant::now() + KNOCK;
    loop {
        tokio::select! {
            done = &mut sending, if sent.is_none() => {
                let Some((id, delivery)) = done?.pop() else { return Ok(exit::STATE) };
                let outcome = Sent::new(to.key, id, delivery, wait, true);
                if outcome.is_final() {
                    let status = outcome.status();
                    caller.say(Reply::Sent(outcome)).await?;
                    return Ok(status);
                }
                sent = Some(outcome);
            }
            answer = next_answer(&house.engine, &mut events, to.key, &asked) => {
                caller.say(Reply::Message(answer?)).await?;
                return Ok(0);
            }
            // Nobody can dial us: what the peer has for us is fetched.
            () = sleep_until(knock), if sent.is_some() && house.listening.is_none() => {
                let patience = VISIT.min(until.saturating_duration_since(Instant::now()));
                // It answers when it can.
                let _ = house.engine.visit(&to, patience).await;
                knock = Instant::now() + KNOCK;
            }
            () = sleep_until(until) => break,
            () = caller.gone() => return Ok(exit::TIMEOUT),
        }
    }
    // The end of the time and of the delivery may come together.
    let sent = match sent {
        Some(sent) => Some(sent),
        None => match timeout_at(Instant::now() + VISIT, &mut sending).await {
            Ok(done) => done?.pop().map(|(id, delivery)| Sent::new(to.key, id, delivery, wait, true)),
            Err(_) => None,
        },
    };
    let status = match sent.as_ref().map(Sent::status) {
        Some(exit::UNREACHABLE) => exit::UNREACHABLE,
        _ => exit::TIMEOUT,
    };
    if let Some(sent) = sent {
        caller.say(Reply::Sent(sent)).await?;
    }
    Ok(status)
}

/// The next message that answers `asked`.
async fn next_answer(
    engine: &Engine,
    events: &mut Receiver<Event>,
    peer: PublicKey,
    asked: &MessageId,
) -> Result<Entry> {
    loop {
        match events.recv().await {
            Ok(Event::Message(entry)) if entry.peer == peer && answers(&entry, asked) => return Ok((*entry).clone()),
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => {
                if let Some(answer) = find_answer(engine, peer, asked).await? {
                    return Ok(answer);
                }
            }
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn find_answer(engine: &Engine, peer: PublicKey, asked: &MessageId) -> Result<Option<Entry>> {
    let (conversation, asked) = (engine.chat().with(peer), asked.clone());
    on_disk(move || Ok(conversation.last(LOOK_BACK)?.into_iter().find(|entry| answers(entry, &asked)))).await
}

fn answers(entry: &Entry, asked: &MessageId) -> bool {
    entry.side == Side::In && entry.reply_to.as_ref() == Some(asked)
}

impl Sent {
    fn new(peer: PublicKey, id: MessageId, delivery: Delivery, wait: Duration, keep: bool) -> Self {
        let is_kept = !matches!(delivery, Delivery::Saved { .. } | Delivery::Unpaired(_) | Delivery::Refused(_));
        let outcome = match delivery {
            Delivery::Saved { after } => Outcome::Acked(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            Delivery::Sent if wait.is_zero() => Outcome::Sent,
            Delivery::Sent => Outcome::Late,
            Delivery::Unreachable(why) => Outcome::Unreachable(why),
            Delivery::Unpaired(standing) => Outcome::Unpaired(word(standing).to_owned()),
            Delivery::Refused(why) => Outcome::Refused(why),
            Delivery::Unproven(why) => Outcome::Unproven(why),
        };
        Sent { peer, id, outcome, queued: keep && is_kept }
    }
}
