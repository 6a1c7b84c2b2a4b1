//! Answers to requests, with an engine: the listener's, or one of the command itself.

mod pairs;
mod read;
mod receive;
mod send;

use crate::request::{Asked, Input, Reply, Request};
use keywire::chat::Engine;
use keywire::error::{Error, Result};
use keywire::talk::End;
use std::time::Duration;

/// How long a peer may take that is met to tell it something.
const VISIT: Duration = Duration::from_secs(5);

/// Who answers.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) engine: Engine,
    /// Where peers dial us, if they can.
    pub(crate) listening: Option<String>,
}

/// Who asked.
pub(crate) type Caller = keywire::talk::Caller<Input, Reply>;

/// Answers what was asked, all but the end.
pub(crate) async fn answer(house: &House, asked: Asked, caller: &mut Caller) -> End {
    run(house, asked, caller).await.into()
}

async fn run(house: &House, asked: Asked, caller: &mut Caller) -> Result<u8> {
    let me = house.engine.chat().me().public();
    if asked.me.is_some_and(|meant| meant != me) {
        return Err(Error::state(format!("the listener that runs here is {me}, and not the identity that was named")));
    }
    match asked.request {
        Request::Send(sending) => send::send(house, sending, caller).await,
        Request::Ask(asking) => send::ask(house, asking, caller).await,
        Request::Receive(receiving) => receive::receive(house, receiving, caller).await,
        Request::Invite { to, renew } => pairs::invite(house, to, renew, caller).await,
        Request::Change { to, change } => pairs::change(house, to, change, caller).await,
        Request::Read { peer, part } => read::read(house, peer, part, caller).await,
        Request::Search { peer, text } => read::search(house, peer, text, caller).await,
        Request::Status => read::status(house, caller).await,
    }
}
