//! The host: serves shells and commands to the keys that may have them. kw-ptyd runs it, and so does `kw-pty --try`.

mod child;
mod environment;
mod session;

pub use environment::Account;
pub use session::Ended;

use crate::conn::{Incoming, Listener, Reason};
use crate::error::{Kind, Result};
use crate::key::PublicKey;
use crate::proto::pty::{Op, Request};
use crate::trust::{Grant, Right};
use child::Command;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the host asks of the program that runs it.
pub trait Keeper: Send + Sync + 'static {
    /// Whether `key` may use `right` now. Asked anew for every session.
    ///
    /// # Errors
    /// It may not ([`Kind::Refused`], and why), or that cannot be told now.
    fn grant(&self, key: &PublicKey, right: Right) -> Result<Grant>;

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
    /// What.
    pub what: What<'a>,
}

/// What happened.
#[derive(Debug)]
pub enum What<'a> {
    /// It was turned away.
    Refused(&'a str),
    /// A session began.
    Began(&'a Request),
    /// A session ended.
    Ended(&'a Ended),
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
    let account = Arc::new(account);
    let mut sessions = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    let ended = loop {
        tokio::select! {
            incoming = listener.accept() => match incoming {
                Ok(incoming) => {
                    sessions.spawn(attend(incoming, account.clone(), keeper.clone(), stopped.clone()));
                }
                Err(error) => break Err(error),
            },
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
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

/// One dialer, from its request to its end.
async fn attend(
    incoming: Incoming,
    account: Arc<Account>,
    keeper: Arc<dyn Keeper>,
    mut stopped: watch::Receiver<bool>,
) {
    let (peer, from) = (incoming.peer(), incoming.from());
    let note = |what: What<'_>| keeper.note(&Event { peer, from, what });
    let asked = Request::decode(incoming.request()).map_err(|error| match keeper.grant(&peer, Right::Exec) {
        // Whoever has no business here is told that, whatever it says.
        Err(refused) if refused.kind() == Kind::Refused => (Reason::Refused, refused.to_string()),
        _ => (Reason::BadRequest, error.to_string()),
    });
    let granted = asked.and_then(|request| {
        let right = match request.op {
            Op::Shell => Right::Shell,
            Op::Exec => Right::Exec,
            Op::Subsystem => return Err((Reason::BadRequest, "there is no such subsystem".to_owned())),
        };
        // A forced command is what a rule for commands gives to whoever asks for a shell.
        let granted = keeper.grant(&peer, right).or_else(|refused| match keeper.grant(&peer, Right::Exec) {
            Ok(grant) if grant.rule().command.is_some() => Ok(grant),
            _ => Err(refused),
        });
        match granted {
            Ok(grant) => Ok((request, grant)),
            Err(error) if error.kind() == Kind::Refused => Err((Reason::Refused, error.to_string())),
            // What is wrong here is told to whoever reads the log here, not to a stranger.
            Err(error) => {
                note(What::Refused(&error.to_string()));
                Err((Reason::Unavailable, "the host cannot read its allowlist".to_owned()))
            }
        }
    });
    let (mut request, grant) = match granted {
        Ok(granted) => granted,
        Err((why, text)) => {
            note(What::Refused(&text));
            // It may be gone before it knows why.
            let _ = incoming.refuse(why, &text).await;
            return;
        }
    };
    let Ok(connection) = incoming.authorize(&grant) else { return };
    let mut about = vec![("KEYWIRE_PEER", peer.to_string()), ("KEYWIRE_CONNECTION", connection.description())];
    if let Some(forced) = &grant.rule().command {
        let original = request.command.replace(forced.clone());
        about.extend(original.map(|original| ("KEYWIRE_ORIGINAL_COMMAND", original)));
        request.op = Op::Exec;
    }
    note(What::Began(&request));
    let term = request.tty.as_ref().map(|tty| tty.term.as_str());
    let env = environment::environment(&account, &request.env, term, &about);
    let (sender, receiver) = connection.split();
    let ended = match Command::start(&account, &request, &env) {
        Ok(command) => {
            let stop = async {
                // An error means that whoever could say stop is gone: that is one.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            session::serve(command, sender, receiver, request.window(), stop).await
        }
        Err(exit) => {
            session::conclude(sender, receiver, &exit).await;
            Ended::Command(exit)
        }
    };
    note(What::Ended(&ended));
}
