//! `--exec`: a command for each message. A cursor says which were handed to it, so that none is lost over a restart.

use crate::NAME;
use crate::answer::on_disk;
use crate::call::chat_dir;
use crate::listen::gone;
use crate::show::time;
use crate::words;
use keywire::chat::{Chat, Cursors, Engine, Entry, Event, Side};
use keywire::cli;
use keywire::error::{Error, Result, reason};
use keywire::key::PublicKey;
use keywire::log::Log;
use keywire::trust::{Peers, timestamp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The cursor of the hook.
const CURSOR: &str = "exec";

/// The cursor that says, at our own key, that there has been a hook before.
const BEGAN: &str = "exec.began";

/// How long to wait before a message is tried again.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// How many messages are read from a log at a time.
const PAGE: usize = 64;

/// How many commands run at once: the messages of as many peers.
const AT_ONCE: usize = 16;

/// How long a command may go on when the listener ends.
const GRACE: Duration = Duration::from_secs(5);

/// What was set aside.
const ASIDE: &str = "aside.jsonl";

/// How large it grows before it is moved away.
const ASIDE_LEN: u64 = 8 << 20;

/// A command for each message.
pub(crate) struct Hook {
    program: PathBuf,
    args: Vec<String>,
}

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
    running: Arc<Semaphore>,
}

impl Hook {
    /// The hook that `line` describes.
    ///
    /// # Errors
    /// It cannot be split into words, or there is no such program.
    pub(crate) fn new(line: &str) -> Result<Self> {
        let mut words = words::split(line)?.into_iter();
        let program = words::program(&words.next().unwrap_or_default())?;
        Ok(Hook { program, args: words.collect() })
    }

    /// Hands it the messages of `only` these peers, or of all, until `stopped`. What is there when this returns is where it
    /// begins; the rest is for a task.
    ///
    /// # Errors
    /// The cursor cannot be read or written.
    pub(crate) async fn run(
        self,
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
        let running = Arc::new(Semaphore::new(AT_ONCE));
        let worker = Worker { hook: Arc::new(self), chat, stopped, running };
        let wanted = move |peer: &PublicKey| only.is_empty() || only.contains(peer);
        Ok(worker.run(peers, events, wanted))
    }

    fn command(&self, entry: &Entry, name: Option<&str>) -> Result<tokio::process::Command> {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args);
        let about = [
            ("KEYWIRE_PEER", Some(entry.peer.to_string())),
            ("KEYWIRE_PEER_NAME", name.map(str::to_owned)),
            ("KEYWIRE_ID", Some(entry.id.to_string())),
            ("KEYWIRE_TIME", Some(time(entry.time))),
            ("KEYWIRE_REPLY_TO", entry.reply_to.as_ref().map(ToString::to_string)),
        ];
        for (variable, value) in about {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        let output = std::io::stderr().as_fd().try_clone_to_owned();
        let output = output.map_err(|cause| Error::state(format!("no standard error: {}", reason(&cause))))?;
        keywire::sys::lead_session(&mut command, false);
        command.stdin(Stdio::piped()).stdout(output);
        Ok(command.into())
    }
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
        let mut why = String::new();
        for pause in std::iter::once(Duration::ZERO).chain(PAUSES) {
            if self.stops_within(pause).await {
                return Ok(false);
            }
            match self.run_once(entry).await {
                Ok(true) => return Ok(true),
                Ok(false) => return Ok(false),
                Err(error) => why = error.to_string(),
            }
        }
        self.set_aside(entry, &why).await?;
        Ok(true)
    }

    /// Whether everything ends before `pause` is over.
    async fn stops_within(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, gone(self.stopped.clone())).await.is_ok()
    }

    /// Runs the command; `false` if it was ended because everything ends.
    async fn run_once(&self, entry: &Entry) -> Result<bool> {
        let told = |cause: &std::io::Error| {
            Error::state(format!("cannot run {}: {}", self.hook.program.display(), reason(cause)))
        };
        let _turn = self.running.acquire().await;
        let store = self.chat.store().clone();
        let peers = on_disk(move || Peers::load(&store)).await?;
        let mut command = self.hook.command(entry, peers.name_of(&entry.peer))?;
        let mut child = command.spawn().map_err(|cause| told(&cause))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let stdin = child.stdin.take();
        let text = entry.text.clone();
        // It need not read any of it.
        let feeding = tokio::spawn(async move {
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(text.as_bytes()).await;
            }
        });
        let ends = async {
            gone(self.stopped.clone()).await;
            tokio::time::sleep(GRACE).await;
        };
        let status = tokio::select! {
            status = child.wait() => Some(status),
            () = ends => None,
        };
        feeding.abort();
        match status {
            Some(Ok(status)) if status.success() => Ok(true),
            Some(Ok(status)) => Err(Error::state(match (status.code(), status.signal()) {
                (Some(code), _) => format!("it ended with status {code}"),
                (None, signal) => format!("it was ended by signal {}", signal.unwrap_or_default()),
            })),
            Some(Err(cause)) => Err(told(&cause)),
            None => {
                // With whatever it started.
                if let Some(group) = group {
                    let _ = kill(Pid::from_raw(-group.as_raw()), Signal::SIGKILL);
                }
                let _ = child.wait().await;
                Ok(false)
            }
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
        let error = Error::state(format!("{seen} was set aside: the hook failed {} times: {shown}", PAUSES.len() + 1));
        cli::report(NAME, &error.hint("'kw-chat history' has its text, chat/aside.jsonl its id"));
        Ok(())
    }
}
