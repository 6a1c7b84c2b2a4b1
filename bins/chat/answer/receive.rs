//! Messages that have come, and those that come.

use super::{Caller, House, VISIT};
use crate::exit;
use crate::inbox::Inbox;
use crate::request::{Input, Receiving, Reply};
use keywire::chat::{Cursors, Target};
use keywire::error::Result;
use keywire::key::PublicKey;
use keywire::talk::{Said, left};
use keywire::threads::on_disk;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

/// How often peers are visited while messages are waited for and nobody can dial us.
const ROUND: Duration = Duration::from_secs(10);

pub(super) async fn receive(house: &House, receiving: Receiving, caller: &mut Caller) -> Result<u8> {
    let Receiving { peer, visit, cursor, begin, max, wait, follow } = receiving;
    let wait = wait.map(Duration::from_millis);
    let until = wait.map(|wait| Instant::now() + wait);
    let chat = house.engine.chat().clone();
    // From before the log is read, so that nothing falls between.
    let mut events = house.engine.events();
    let places = match &cursor {
        Some(_) => Some(
            on_disk({
                let chat = chat.clone();
                move || Cursors::load(&chat)
            })
            .await?,
        ),
        None => None,
    };
    let place = {
        let cursor = cursor.clone();
        move |key: &PublicKey| match (&places, &cursor) {
            (Some(places), Some(name)) => places.get(name, key),
            _ => Ok(0),
        }
    };
    let mut inbox = Inbox::open(chat, peer.into_iter().collect(), begin, place).await?;
    let visit: Vec<Target> =
        if house.listening.is_none() { visit.into_iter().map(Target::from).collect() } else { vec![] };
    visit_all(house, visit.clone(), wait.unwrap_or(VISIT).min(VISIT)).await;
    let mut told = Told { house, name: cursor, sent: VecDeque::new() };
    let mut more = max.unwrap_or(u64::MAX);
    let mut has_come = false;
    let mut round = Instant::now() + ROUND;
    while more > 0 {
        if let Some(entry) = inbox.next().await? {
            has_come = true;
            more -= 1;
            told.sent.push_back((entry.peer, entry.seq));
            told.say(caller, Reply::Message(entry)).await?;
            continue;
        }
        let is_waiting = follow || (!has_come && until.is_some());
        if !is_waiting {
            break;
        }
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => inbox.take(&event),
                Err(RecvError::Lagged(_)) => inbox.look_again(),
                Err(RecvError::Closed) => break,
            },
            input = caller.inputs.recv(), if told.is_waiting() => told.hear(input).await?,
            () = sleep_until(until.unwrap_or(round)), if !has_come && until.is_some() => {
                return Ok(exit::TIMEOUT);
            }
            () = sleep_until(round), if !visit.is_empty() => {
                visit_all(house, visit.clone(), VISIT).await;
                round = Instant::now() + ROUND;
            }
            () = caller.replies.closed() => return Err(left()),
        }
    }
    while told.is_waiting() {
        let input = caller.inputs.recv().await;
        told.hear(input).await?;
    }
    Ok(0)
}

/// Meets everybody in `all`. Who cannot be reached has nothing for us now.
async fn visit_all(house: &House, all: Vec<Target>, patience: Duration) {
    let mut visits = tokio::task::JoinSet::new();
    for to in all {
        let engine = house.engine.clone();
        visits.spawn(async move { engine.visit(&to, patience).await });
    }
    while visits.join_next().await.is_some() {}
}

/// What was said to the caller, and must be printed before the cursor moves.
struct Told<'a> {
    house: &'a House,
    name: Option<String>,
    sent: VecDeque<(PublicKey, u64)>,
}

impl Told<'_> {
    /// Whether the caller has not said yet that everything is printed, and it matters.
    fn is_waiting(&self) -> bool {
        self.name.is_some() && !self.sent.is_empty()
    }

    /// Says `reply`, and hears meanwhile what was printed: neither side waits for the other to listen first.
    async fn say(&mut self, caller: &mut Caller, reply: Reply) -> Result<()> {
        loop {
            tokio::select! {
                room = caller.replies.reserve() => {
                    room.map_err(|_| left())?.send(Said::Reply(reply));
                    return Ok(());
                }
                input = caller.inputs.recv(), if self.is_waiting() => self.hear(input).await?,
            }
        }
    }

    /// The caller has printed more, or is gone. The cursor is moved.
    async fn hear(&mut self, input: Option<Input>) -> Result<()> {
        let count = match input {
            Some(Input::Printed(count)) => count,
            Some(_) => return Ok(()),
            None => return Err(left()),
        };
        let places: BTreeMap<PublicKey, u64> = self.sent.drain(..count.min(self.sent.len())).collect();
        if let Some(name) = self.name.clone() {
            let chat = self.house.engine.chat().clone();
            let places: Vec<(PublicKey, u64)> = places.into_iter().collect();
            on_disk(move || Cursors::set(&chat, &name, &places)).await?;
        }
        Ok(())
    }
}
