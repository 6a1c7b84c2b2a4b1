//! The host: serves shells, commands and copies to the keys that may have them. kw-ptyd runs it, and so does `kw-pty --try`.

mod attend;
mod child;
mod copy;
mod environment;
mod pace;
mod session;
mod streams;

pub use environment::Account;
pub use session::{Ended, Traffic};

use crate::conn::Listener;
use crate::error::Result;
use crate::key::PublicKey;
use crate::proto::pty::Request;
use crate::trust::{Grant, Right};
use attend::{Host, attend};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often it is looked whether rights were changed: half of the 2 s within which a right that was taken away ends what
/// depends on it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the host asks of the program that runs it.
pub trait Keeper: Send + Sync + 'static {
    /// Whether `key` may use `right` now. Asked anew for every session, and for those that run when rights have changed.
    ///
    /// # Errors
    /// It may not ([`crate::error::Kind::Refused`], and why), or that cannot be told now.
    fn grant(&self, key: &PublicKey, right: Right) -> Result<Grant>;

    /// Whether the answers of [`Keeper::grant`] may be others than at the last call of this. Asked every second.
    fn has_changed(&self) -> bool;

    /// The program, with its arguments, that serves the subsystem `name` to whoever has `grant`; `None` if there is no such
    /// subsystem.
    fn subsystem(&self, name: &str, grant: &Grant) -> Option<Vec<OsString>>;

    /// Takes note of what happened, for the log.
    fn note(&self, event: &Event<'_>);
}

/// What happened at the host's door.
#[derive(Debug)]
pub struct Event<'a> {
    /// Who.
    pub peer: PublicKey,
    /// From where.
    pub from: SocketAddr,
    /// What was asked for, if that made sense.
    pub request: Option<&'a Request>,
    /// What.
    pub what: What<'a>,
}

/// What happened.
#[derive(Debug)]
pub enum What<'a> {
    /// It was turned away.
    Refused(&'a str),
    /// A session began.
    Began,
    /// A session that began at some time ended.
    Ended(SystemTime, Traffic, &'a Ended),
}

/// Serves sessions until `stop` ends; then hangs up what still runs and waits for it.
///
/// # Errors
/// The listener is gone.
pub async fn serve(
    mut listener: Listener,
    account: Account,
    keeper: Arc<dyn Keeper>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let (stopping, stopped) = watch::channel(false);
    let (changing, changed) = watch::channel(());
    let host = Arc::new(Host { account, keeper, stopped, changed });
    let mut sessions = JoinSet::new();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(stop);
    let ended = loop {
        tokio::select! {
            incoming = listener.accept() => match incoming {
                Ok(incoming) => {
                    sessions.spawn(attend(incoming, host.clone()));
                }
                Err(error) => break Err(error),
            },
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            _ = look.tick(), if !sessions.is_empty() => {
                if host.keeper.has_changed() {
                    // Nobody listens when the last session is just over.
                    let _ = changing.send(());
                }
            }
            () = &mut stop => break Ok(()),
        }
    };
    // Whoever dials now must not wait for the last session.
    drop(listener);
    // Nobody waits for it any more when all sessions are over.
    let _ = stopping.send(true);
    while sessions.join_next().await.is_some() {}
    ended
}
