//! `--exec`: a command for each message. A cursor says which were handed to it, so that none is lost over a restart.

use crate::NAME;
use crate::call::chat_dir;
use crate::show::time;
use keywire::chat::{Chat, Cursors, Engine, Entry, Event, Side};
use keywire::cli;
use keywire::error::{Error, Result};
use keywire::hook::{Handed, Hook, TRIES};
use keywire::key::PublicKey;
use keywire::log::Log;
use keywire::talk::gone;
use keywire::threads::on_disk;
use keywire::trust::{Peers, timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The cursor of the hook.
const CURSOR: &str = "exec";

/// The cursor that says, at our own key, that there has been a hook before.
const BEGAN: &str = "exec.began";

/// How many messages are read from a log at a time.
const PAGE: usize = 64;

/// What was set aside.
const ASIDE: &str = "aside.jsonl";

/// How large it grows before it is moved away.
const ASIDE_LEN: u64 = 8 << 20;

/// A line of `aside.jsonl`. keywire-files(5).
#[derive(Serialize)]
struct Aside<'a> {
    at: String,
    peer: PublicKey,
    seq: u64,
    id: &'a str,
    reason: &'a str,
}

/// All that handles the messages of one peer.
#[derive(Clone)]
struct Worker {
    hook: Arc<Hook>,
    chat: Chat,
    stopped: watch::Receiver<bool>,
}

/// Hands `hook` the messages of `only` these peers, or of all, until `stopped`. What is there when this returns is where it
/// begins; the rest is for a task.
///
/// # Errors
/// The cursor cannot be read or written.
pub(crate) async fn run(
    hook: Hook,
    engine: Engine,
    only: Vec<PublicKey>,
    stopped: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()> + Send> {
    let events = engine.events();
    let chat = engine.chat().clone();
    let peers = on_disk({
        let chat = chat.clone();
        move || begin(&chat)
    })
    .await?;
    let worker = Worker { hook: Arc::new(hook), chat, stopped };
    let wanted = move |peer: &PublicKey| only.is_empty() || only.contains(peer);
    Ok(worker.run(peers, events, wanted))
}

/// Where the hook stands with everybody who is there. The first time that there is one it begins with what comes.
fn begin(chat: &Chat) -> Result<Vec<PublicKey>> {
    let peers = chat.peers()?;
    let me = chat.me().public();
    if Cursors::load(chat)?.get(BEGAN, &me)? == 0 {
        let mut places = Vec::new();
        for peer in &peers {
            places.push((*peer, chat.with(*peer).last_seq()?));
        }
        Cursors::set(chat, CURSOR, &places)?;
        Cursors::set(chat, BEGAN, &[(me, 1)])?;
    }
    Ok(peers)
}

impl Worker {
    /// One task for each peer that has written something, and never two for one.
    async fn run(self, peers: Vec<PublicKey>, mut events: Receiver<Event>, wanted: impl Fn(&PublicKey) -> bool + Send) {
        let mut stop = std::pin::pin!(gone(self.stopped.clone()));
        let mut tasks: JoinSet<PublicKey> = JoinSet::new();
        // Whose messages are handed over, and whether more have come since.
        let mut active: BTreeMap<PublicKey, bool> = BTreeMap::new();
        let mut calling: BTreeSet<PublicKey> = peers.into_iter().collect();
        loop {
            for peer in std::mem::take(&mut calling).into_iter().filter(&wanted) {
                match active.get_mut(&peer) {
                    Some(more) => *more = true,
                    None => {
                        active.insert(peer, false);
                        let worker = self.clone();
                        tasks.spawn(async move {
                            if let Err(error) = worker.drain(peer).await {
                                cli::report(NAME, &error);
                            }
                            peer
                        });
                    }
                }
            }
            tokio::select! {
                event = events.recv() => match event {
                    Ok(Event::Message(entry)) if entry.side == Side::In => {
                        calling.insert(entry.peer);
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => {
                        let chat = self.chat.clone();
                        match on_disk(move || chat.peers()).await {
                            Ok(peers) => calling.extend(peers),
                            Err(error) => cli::report(NAME, &error),
                        }
                    }
                    Err(RecvError::Closed) => break,
                },
                Some(done) = tasks.join_next() => {
                    if let Ok(peer) = done && active.remove(&peer) == Some(true) {
                        calling.insert(peer);
                    }
                }
                () = &mut stop => break,
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Hands over everything that `peer` has written and the hook has not had.
    async fn drain(&self, peer: PublicKey) -> Result<()> {
        let conversation = self.chat.with(peer);
        let chat = self.chat.clone();
        let mut place = on_disk(move || Cursors::load(&chat)?.get(CURSOR, &peer)).await?;
        loop {
            let page = on_disk({
                let conversation = conversation.clone();
                move || conversation.after(place, PAGE)
            })
            .await?;
            if page.is_empty() {
                return Ok(());
            }
            for entry in page {
                if entry.side == Side::In {
                    if !self.hand_over(&entry).await? {
                        return Ok(());
                    }
                    let (chat, seq) = (self.chat.clone(), entry.seq);
                    on_disk(move || Cursors::set(&chat, CURSOR, &[(peer, seq)])).await?;
                }
                place = entry.seq;
            }
        }
    }

    /// Runs the hook for `entry` until it has worked, or it is set aside; `false` if everything ends before that.
    async fn hand_over(&self, entry: &Entry) -> Result<bool> {
        let store = self.chat.store().clone();
        let peers = on_disk(move || Peers::load(&store)).await?;
        let about = [
            ("KEYWIRE_PEER", Some(entry.peer.to_string())),
            ("KEYWIRE_PEER_NAME", peers.name_of(&entry.peer).map(str::to_owned)),
            ("KEYWIRE_ID", Some(entry.id.to_string())),
            ("KEYWIRE_TIME", Some(time(entry.time))),
            ("KEYWIRE_REPLY_TO", entry.reply_to.as_ref().map(ToString::to_string)),
        ];
        match self.hook.hand_over(&entry.text, &about, &self.stopped).await {
            Handed::Done => Ok(true),
            Handed::Stopped => Ok(false),
            Handed::Failed(why) => self.set_aside(entry, &why).await.map(|()| true),
        }
    }

    async fn set_aside(&self, entry: &Entry, why: &str) -> Result<()> {
        let (chat, entry, why) = (self.chat.clone(), entry.clone(), why.to_owned());
        let seen = format!("message {} of {}", entry.id, entry.peer);
        let shown = why.clone();
        on_disk(move || {
            let at = timestamp(chat.now());
            let aside = Aside { at, peer: entry.peer, seq: entry.seq, id: entry.id.as_str(), reason: &why };
            Log::new(chat_dir(chat.store()), ASIDE, ASIDE_LEN).append(&[aside])
        })
        .await?;
        let error = Error::state(format!("{seen} was set aside: the hook failed {TRIES} times: {shown}"));
        cli::report(NAME, &error.hint("'kw-chat history' has its text, chat/aside.jsonl its id"));
        Ok(())
    }
}
