//! A call: to the listener that runs here, over its control socket, or to ourselves, with an engine of our own.

use crate::NAME;
use crate::answer::{Caller, House, answer};
use crate::args::Own;
use crate::exit;
use crate::request::{Asked, End, Input, Reply, Request};
use keywire::chat::{CHAT_DIR, Chat, Engine, Options};
use keywire::cli;
use keywire::control::{Call, Receiver, Sender};
use keywire::error::{Error, Result};
use keywire::identity::IdentityFile;
use keywire::store::Store;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// What the control socket and its lock are called.
pub(crate) const LISTEN: &str = "listen";

/// How many inputs and replies may wait for each other.
const ROOM: usize = 64;

/// How often a listener says that it is there while it has nothing to answer.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a listener may say nothing at all.
const SILENCE: Duration = Duration::from_secs(5);

/// A call, as the command that makes it sees it.
pub(crate) struct Line {
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) replies: mpsc::Receiver<Reply>,
}

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
    let (inputs, theirs) = mpsc::channel(ROOM);
    let (replies, ours) = mpsc::channel(ROOM);
    match Call::dial(&chat_dir(store), LISTEN).await? {
        Some(mut call) => {
            let named = own.identity.as_deref();
            let me = named.map(|file| IdentityFile::locate(Some(file))?.public()).transpose()?.map(|(key, _)| key);
            call.send(&Asked { me, request }).await?;
            let (sender, receiver) = call.split();
            tokio::spawn(carry(sender, receiver, theirs, replies));
        }
        None => {
            let chat = open(store, own)?;
            let engine = Engine::new(chat, Options { allow_self: own.allow_self, ..Options::default() });
            tokio::spawn(async move {
                let house = House { engine, listening: None };
                let mut caller = Caller { inputs: theirs, replies };
                let end = answer(&house, Asked { me: None, request }, &mut caller).await;
                house.engine.end().await;
                for notice in house.engine.chat().notices() {
                    cli::say(&format!("{NAME}: {notice}"));
                }
                // Whoever asked has the last word.
                let _ = caller.say(Reply::End(end)).await;
            });
        }
    }
    Ok(Line { inputs, replies: ours })
}

/// The command's end of a call to a listener.
async fn carry(mut to: Sender, mut from: Receiver, mut inputs: mpsc::Receiver<Input>, replies: mpsc::Sender<Reply>) {
    let speak = async {
        while let Some(input) = inputs.recv().await {
            if to.send(&input).await.is_err() {
                break;
            }
        }
        // An end here would say that nobody waits for the replies.
        std::future::pending::<()>().await;
    };
    let hear = async {
        loop {
            let reply = match tokio::time::timeout(SILENCE, from.recv::<Reply>()).await {
                Ok(Ok(Some(reply))) => reply,
                Ok(Ok(None)) => ended("the listener has ended"),
                Ok(Err(error)) => ended(&error.to_string()),
                Err(_) => ended("the listener does not answer"),
            };
            let is_last = matches!(reply, Reply::End(_));
            if replies.send(reply).await.is_err() || is_last {
                break;
            }
        }
    };
    tokio::select! {
        () = speak => {}
        () = hear => {}
    }
}

fn ended(why: &str) -> Reply {
    let error =
        Error::state(why).hint("what became of it is not known; 'kw-chat status' and 'kw-chat history' show what is");
    Reply::End(End { status: exit::STATE, error: Some((&error).into()) })
}

/// The listener's end of a call.
pub(crate) async fn take(house: House, call: Call) {
    let (mut to, mut from) = call.split();
    let asked = match from.recv::<Asked>().await {
        Ok(Some(asked)) => asked,
        Ok(None) => return,
        Err(error) => {
            let error = error.hint("it may be of another version of keywire");
            let _ = to.send(&Reply::End(End { status: exit::STATE, error: Some((&error).into()) })).await;
            return;
        }
    };
    let (inputs, theirs) = mpsc::channel(ROOM);
    let (replies, mut ours) = mpsc::channel(ROOM);
    let answering = tokio::spawn(async move {
        let mut caller = Caller { inputs: theirs, replies };
        let end = answer(&house, asked, &mut caller).await;
        house.engine.tell_notices();
        let _ = caller.say(Reply::End(end)).await;
    });
    let hear = async {
        while let Ok(Some(input)) = from.recv::<Input>().await {
            // What is not wanted any more is read all the same: its end says that the caller is gone.
            let _ = inputs.send(input).await;
        }
    };
    let speak = async {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            let said = tokio::select! {
                reply = ours.recv() => match reply {
                    Some(reply) => to.send(&reply).await,
                    None => break,
                },
                _ = heartbeat.tick() => to.send(&Reply::Alive).await,
            };
            if said.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = hear => {}
        () = speak => {}
    }
    drop((inputs, ours));
    // It hears that nobody listens any more; what it has begun, such as to deliver, it ends.
    let _ = answering.await;
}
