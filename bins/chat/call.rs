//! A call: to the listener that runs here, over its control socket, or to ourselves, with an engine of our own.

use crate::NAME;
use crate::answer::{Caller, House, answer};
use crate::args::Own;
use crate::request::{Asked, Input, Reply, Request};
use keywire::chat::{CHAT_DIR, Chat, Engine, Options};
use keywire::cli;
use keywire::control::Call;
use keywire::error::Result;
use keywire::identity::IdentityFile;
use keywire::store::Store;
use keywire::talk;
use std::sync::Arc;
use std::time::SystemTime;

/// What the control socket and its lock are called.
pub(crate) const LISTEN: &str = "listen";

/// Where to look if the listener is lost.
const LOST: &str = "what became of it is not known; 'kw-chat status' and 'kw-chat history' show what is";

/// A call, as the command that makes it sees it.
type Line = talk::Line<Input, Reply>;

/// The directory of conversations.
pub(crate) fn chat_dir(store: &Store) -> Store {
    Store::at(&store.path(CHAT_DIR))
}

/// The conversations of the key that `own` names.
pub(crate) fn open(store: &Store, own: &Own) -> Result<Chat> {
    let me = cli::identity(own.identity.as_deref(), own.passphrase_file.as_deref())?;
    Chat::open(store.clone(), Arc::new(me), Arc::new(SystemTime::now))
}

/// Asks whoever is there.
pub(crate) async fn ask(store: &Store, own: &Own, request: Request) -> Result<Line> {
    let (line, mut caller) = talk::line();
    match Call::dial(&chat_dir(store), LISTEN).await? {
        Some(mut call) => {
            let named = own.identity.as_deref();
            let me = named.map(|file| IdentityFile::locate(Some(file))?.public()).transpose()?.map(|(key, _)| key);
            call.send(&Asked { me, request }).await?;
            tokio::spawn(talk::carry(call, caller, LOST));
        }
        None => {
            let chat = open(store, own)?;
            let engine = Engine::new(chat, Options { allow_self: own.allow_self, ..Options::default() });
            tokio::spawn(async move {
                let house = House { engine, listening: None };
                let end = answer(&house, Asked { me: None, request }, &mut caller).await;
                house.engine.end().await;
                for notice in house.engine.chat().notices() {
                    cli::say(&format!("{NAME}: {notice}"));
                }
                // Whoever asked has the last word.
                caller.end(end).await;
            });
        }
    }
    Ok(line)
}

/// The listener's end of a call.
pub(crate) async fn take(house: House, call: Call) {
    let answer = |asked: Asked, mut caller: Caller| async move {
        let end = answer(&house, asked, &mut caller).await;
        house.engine.tell_notices();
        caller.end(end).await;
    };
    talk::take(call, answer).await;
}
