//! Who does the work: whoever holds the groups already, over the control socket; else the command itself, which holds them as
//! long as it takes, for itself and for those who call meanwhile.

use crate::NAME;
use crate::answer::{Caller, House, answer};
use crate::args::Own;
use crate::request::{Asked, Input, Reply, Request};
use keywire::cli;
use keywire::control::{Call, Server, runs_already};
use keywire::error::{Error, Result};
use keywire::group::engine::{self, Event, GROUPS_DIR, Options, SERVE};
use keywire::identity::IdentityFile;
use keywire::key::{KeyPair, PublicKey};
use keywire::store::Store;
use keywire::talk::{self, Said, gone};
use keywire::term::sanitize_line;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Where to look if whoever does the work is lost.
const LOST: &str = "what became of it is not known; 'kw-group info' and 'kw-group history' show what is";

/// How long those who hold the groups for a moment are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before somebody is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// A talk, as the command that has it sees it.
pub(crate) type Line = talk::Line<Input, Reply>;

/// The directory of groups.
pub(crate) fn groups_dir(store: &Store) -> Store {
    Store::at(&store.path(GROUPS_DIR))
}

/// Asks whoever is there.
pub(crate) async fn ask(store: &Store, own: &Own, request: Request) -> Result<Line> {
    let until = Instant::now() + PATIENCE;
    let mut me = None;
    loop {
        if let Some(call) = Call::dial(&groups_dir(store), SERVE).await? {
            match over(call, own, request.clone()).await? {
                Some(line) => return Ok(line),
                None if Instant::now() < until => tokio::time::sleep(PAUSE).await,
                None => return Err(Error::state("whoever holds the groups does not come to an end").hint("try again")),
            }
            continue;
        }
        let Some(key) = &me else {
            // The passphrase is asked for while nobody else has to wait for it.
            me = Some(identity(own)?);
            continue;
        };
        if request.only_reads() {
            return Ok(read(engine(store, key, own, true)?, request));
        }
        match Server::bind(&groups_dir(store), SERVE)? {
            Some(server) => return Ok(hold(engine(store, key, own, false)?, server, request)),
            None if Instant::now() >= until => return Err(runs_already(&groups_dir(store), SERVE)),
            // Somebody was quicker, and can be called now.
            None => {}
        }
    }
}

/// The lock that keeps two from the same groups, for `serve`. Who holds it for a moment only is waited for.
pub(crate) async fn bind(store: &Store) -> Result<Server> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(server) = Server::bind(&groups_dir(store), SERVE)? {
            return Ok(server);
        }
        if Instant::now() >= until || is_held_for_long(store).await {
            return Err(runs_already(&groups_dir(store), SERVE));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether somebody holds the groups for long, or does not say.
async fn is_held_for_long(store: &Store) -> bool {
    let Ok(call) = Call::dial(&groups_dir(store), SERVE).await else { return true };
    // Whoever held them is gone meanwhile.
    let Some(mut call) = call else { return false };
    if call.send(&Asked { me: None, request: Request::Who }).await.is_err() {
        return false;
    }
    loop {
        match call.recv::<Said<Reply>>().await {
            Ok(Some(Said::Reply(Reply::Holder { stays }))) => return stays,
            Ok(Some(Said::Alive)) => {}
            Ok(Some(_)) => return true,
            Ok(None) | Err(_) => return false,
        }
    }
}

pub(crate) fn identity(own: &Own) -> Result<Arc<KeyPair>> {
    cli::identity(own.identity.as_deref(), own.passphrase_file.as_deref()).map(Arc::new)
}

/// The groups of `me`.
pub(crate) fn engine(store: &Store, me: &Arc<KeyPair>, own: &Own, reads_only: bool) -> Result<engine::House> {
    engine::House::open(store.clone(), me.clone(), Options { allow_self: own.allow_self, reads_only })
}

/// The key of an identity that was named.
fn named(own: &Own) -> Result<Option<PublicKey>> {
    let file = own.identity.as_deref();
    Ok(file.map(|file| IdentityFile::locate(Some(file))?.public()).transpose()?.map(|(key, _)| key))
}

/// A talk over a call; `None` if whoever answers ends too soon for it.
async fn over(mut call: Call, own: &Own, request: Request) -> Result<Option<Line>> {
    let stays = request.stays();
    call.send(&Asked { me: named(own)?, request }).await?;
    let (line, caller) = talk::line();
    if stays {
        let first = loop {
            match call.recv::<Said<Reply>>().await {
                Ok(Some(Said::Alive)) => {}
                Ok(None) | Err(_) | Ok(Some(Said::Reply(Reply::Busy))) => return Ok(None),
                Ok(Some(first)) => break first,
            }
        };
        let is_last = matches!(first, Said::End(_));
        // There is room for it.
        let _ = caller.replies.send(first).await;
        if is_last {
            return Ok(Some(line));
        }
    }
    tokio::spawn(talk::carry(call, caller, LOST));
    Ok(Some(line))
}

/// Reads files only, while nobody writes, or somebody does.
fn read(engine: engine::House, request: Request) -> Line {
    let (line, mut caller) = talk::line();
    tokio::spawn(async move {
        // Nobody ends before this does.
        let (_stopping, stopped) = watch::channel(false);
        let events = engine.events();
        let house = House { engine, listening: None, stays: false, stopped };
        let is_about_all = request.is_about_all();
        let end = answer(&house, Asked { me: None, request }, &mut caller).await;
        say_what_was_noticed(&house.engine, events, is_about_all);
        caller.end(end).await;
    });
    line
}

/// Holds the groups as long as `request` takes, and what others ask for meanwhile.
fn hold(engine: engine::House, server: Server, request: Request) -> Line {
    let (line, mut caller) = talk::line();
    tokio::spawn(async move {
        let (stopping, stopped) = watch::channel(false);
        let house = House { engine, listening: None, stays: request.stays(), stopped: stopped.clone() };
        let events = house.engine.events();
        let engine = house.engine.clone();
        let is_about_all = request.is_about_all();
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (house, stopped) = (house.clone(), stopped.clone());
            async move { answer_calls(server, house, stopped).await }
        });
        tasks.spawn({
            let engine = engine.clone();
            async move { engine.serve(None, gone(stopped)).await }
        });
        let end = answer(&house, Asked { me: None, request }, &mut caller).await;
        stopping.send_replace(true);
        while let Some(ended) = tasks.join_next().await {
            if let Ok(Err(error)) = ended {
                cli::report(NAME, &error);
            }
        }
        engine.end().await;
        say_what_was_noticed(&house.engine, events, is_about_all);
        // Whoever asked has the last word.
        caller.end(end).await;
    });
    line
}

/// Says on standard error what was noticed while a command was its own house. One that asks for all groups has been told already
/// which cannot be read.
fn say_what_was_noticed(engine: &engine::House, mut events: Receiver<Event>, is_about_all: bool) {
    if !is_about_all {
        engine.faults().iter().for_each(|text| notice(text));
    }
    engine.notices().iter().for_each(|text| notice(text));
    loop {
        match events.try_recv() {
            Ok(Event::Notice(text)) => notice(&text),
            Ok(_) | Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_)) => {}
            Err(_) => return,
        }
    }
}

/// Says something that the user should know.
pub(crate) fn notice(text: &str) {
    cli::report(NAME, &Error::no(sanitize_line(text)));
}

/// Takes the calls of commands until `stopped`, and ends those that it has taken.
pub(crate) async fn answer_calls(server: Server, house: House, stopped: watch::Receiver<bool>) -> Result<()> {
    let mut calls = JoinSet::new();
    let mut stop = std::pin::pin!(gone(stopped));
    let ended = loop {
        tokio::select! {
            call = server.accept() => match call {
                Ok(call) => {
                    calls.spawn(take(house.clone(), call));
                }
                Err(error) => break Err(error),
            },
            Some(_) = calls.join_next() => {}
            () = &mut stop => break Ok(()),
        }
    };
    while calls.join_next().await.is_some() {}
    ended
}

/// This end of a call.
async fn take(house: House, call: Call) {
    let answer = |asked: Asked, mut caller: Caller| async move {
        let end = answer(&house, asked, &mut caller).await;
        caller.end(end).await;
    };
    talk::take(call, answer).await;
}

/// The next event; `None` if some were missed.
pub(crate) async fn next(events: &mut Receiver<Event>) -> Option<Event> {
    match events.recv().await {
        Ok(event) => Some(event),
        Err(RecvError::Lagged(_)) => None,
        Err(RecvError::Closed) => std::future::pending().await,
    }
}
