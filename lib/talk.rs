//! A command's talk with whoever does its work: the service that runs already, over a [`Call`], or the command's own process.
//!
//! The command says inputs of one type and hears replies of another; both ends are channels, so neither knows where the
//! other is.

use crate::control::{Call, Receiver, Sender};
use crate::error::{Error, Kind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How many inputs and replies may wait for each other.
const ROOM: usize = 64;

/// How often a service says that it is there while it has nothing to answer.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a service may say nothing at all.
const SILENCE: Duration = Duration::from_secs(5);

/// Exit statuses of the programs that say what became of a message, which scripts branch on.
pub mod exit {
    use crate::error::Kind;

    /// Nobody can be reached.
    pub const UNREACHABLE: u8 = 3;
    /// It was sent, and not acknowledged in time.
    pub const NOT_ACKED: u8 = 4;
    /// Somebody has yet to agree.
    pub const PENDING: u8 = 5;
    /// It is refused.
    pub const REFUSED: u8 = 6;
    /// Something here failed.
    pub const STATE: u8 = 7;
    /// A key is not proven.
    pub const UNPROVEN: u8 = 8;
    /// The time is over, as timeout(1) says it.
    pub const TIMEOUT: u8 = 124;

    /// That of a failure.
    #[must_use]
    pub fn of(kind: Kind) -> u8 {
        match kind {
            Kind::ClosedOutput => 0,
            Kind::No => 1,
            Kind::Usage => 2,
            Kind::Network => UNREACHABLE,
            Kind::Refused => REFUSED,
            Kind::State => STATE,
            Kind::Unproven => UNPROVEN,
        }
    }

    /// The worse of two statuses: to be late is better than not to be reached, and the others are worse the higher they are.
    #[must_use]
    pub fn worse(one: u8, other: u8) -> u8 {
        let badness = |status| match status {
            NOT_ACKED => UNREACHABLE,
            UNREACHABLE => NOT_ACKED,
            other => other,
        };
        if badness(other) > badness(one) { other } else { one }
    }
}

/// What is heard.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said<R> {
    /// An answer.
    Reply(R),
    /// Nothing new, but somebody is there.
    Alive,
    /// The last one.
    End(End),
}

/// How it ended: the exit status, and what to say.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct End {
    /// The exit status.
    pub status: u8,
    /// What went wrong.
    pub error: Option<Problem>,
}

/// An error that has come a way.
#[derive(Debug, Serialize, Deserialize)]
pub struct Problem {
    what: String,
    hints: Vec<String>,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Problem { what: error.to_string(), hints: error.hints().to_vec() }
    }
}

impl From<Problem> for Error {
    /// The kind is lost, as the status of the end says more.
    fn from(problem: Problem) -> Self {
        problem.hints.into_iter().fold(Error::state(problem.what), Error::hint)
    }
}

impl From<Result<u8>> for End {
    fn from(ended: Result<u8>) -> Self {
        match ended {
            Ok(status) => End { status, error: None },
            Err(error) => End { status: exit::of(error.kind()), error: Some((&error).into()) },
        }
    }
}

/// A talk, as the command sees it.
pub struct Line<I, R> {
    /// What it says.
    pub inputs: mpsc::Sender<I>,
    /// What it hears.
    pub replies: mpsc::Receiver<Said<R>>,
}

/// Who asked, as whoever does the work sees it.
pub struct Caller<I, R> {
    /// What the command says.
    pub inputs: mpsc::Receiver<I>,
    /// What it hears.
    pub replies: mpsc::Sender<Said<R>>,
}

/// Both ends of a talk in this process.
#[must_use]
pub fn line<I, R>() -> (Line<I, R>, Caller<I, R>) {
    let (inputs, theirs) = mpsc::channel(ROOM);
    let (ours, replies) = mpsc::channel(ROOM);
    (Line { inputs, replies }, Caller { inputs: theirs, replies: ours })
}

impl<I, R> Caller<I, R> {
    /// Says `reply`.
    ///
    /// # Errors
    /// The caller is gone.
    pub async fn say(&self, reply: R) -> Result<()> {
        self.replies.send(Said::Reply(reply)).await.map_err(|_| left())
    }

    /// Says how it ended. Whoever is gone does not hear it.
    pub async fn end(&self, end: End) {
        let _ = self.replies.send(Said::End(end)).await;
    }

    /// Ends when the caller is gone.
    pub async fn gone(&self) {
        self.replies.closed().await;
    }
}

/// The caller is gone: nobody is left to tell.
#[must_use]
pub fn left() -> Error {
    Error::new(Kind::ClosedOutput, "the caller is gone")
}

/// Ends when everything shall end.
pub async fn gone(mut stopped: watch::Receiver<bool>) {
    // Without a sender there is nothing left to wait for.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The command's end of a talk over `call`, on which it has said what it asks for. `hint` says where to look if it is cut.
pub async fn carry<I, R>(call: Call, caller: Caller<I, R>, hint: &str)
where
    I: Serialize + Sync,
    R: DeserializeOwned,
{
    let (mut to, mut from): (Sender, Receiver) = call.split();
    let Caller { mut inputs, replies } = caller;
    let speak = async {
        while let Some(input) = inputs.recv().await {
            if to.send(&input).await.is_err() {
                break;
            }
        }
        // An end here would say that nobody waits for the replies.
        std::future::pending::<()>().await;
    };
    let cut = |why: &str| Said::End(Err(Error::state(why).hint(hint)).into());
    let hear = async {
        loop {
            let said = match tokio::time::timeout(SILENCE, from.recv::<Said<R>>()).await {
                Ok(Ok(Some(said))) => said,
                Ok(Ok(None)) => cut("whoever did the work has ended"),
                Ok(Err(error)) => cut(&error.to_string()),
                Err(_) => cut("whoever does the work does not answer"),
            };
            let is_last = matches!(said, Said::End(_));
            if replies.send(said).await.is_err() || is_last {
                break;
            }
        }
    };
    tokio::select! {
        () = speak => {}
        () = hear => {}
    }
}

/// The service's end of a call: hears what is asked for, and has it answered.
pub async fn take<Q, I, R, F>(call: Call, answer: impl FnOnce(Q, Caller<I, R>) -> F)
where
    Q: DeserializeOwned,
    I: DeserializeOwned,
    R: Serialize + Sync,
    F: Future<Output = ()> + Send + 'static,
{
    let (mut to, mut from) = call.split();
    let asked = match from.recv::<Q>().await {
        Ok(Some(asked)) => asked,
        Ok(None) => return,
        Err(error) => {
            let end: End = Err(error.hint("it may be of another version of keywire")).into();
            let _ = to.send(&Said::<R>::End(end)).await;
            return;
        }
    };
    let (Line { inputs, mut replies }, caller) = line();
    let answering = tokio::spawn(answer(asked, caller));
    let hear = async {
        while let Ok(Some(input)) = from.recv::<I>().await {
            // What is not wanted any more is read all the same: its end says that the caller is gone.
            let _ = inputs.send(input).await;
        }
    };
    let speak = async {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            let said = tokio::select! {
                reply = replies.recv() => match reply {
                    Some(reply) => to.send(&reply).await,
                    None => break,
                },
                _ = heartbeat.tick() => to.send(&Said::<R>::Alive).await,
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
    drop((inputs, replies));
    // It hears that nobody listens any more; what it has begun, such as to deliver, it ends.
    let _ = answering.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_several_messages_is_the_worst_of_theirs() {
        for (statuses, worst) in [(&[0, 0][..], 0), (&[0, 4, 0], 4), (&[3, 4], 3), (&[4, 3], 3), (&[3, 6, 5], 6)] {
            assert_eq!(statuses.iter().copied().fold(0, exit::worse), worst, "{statuses:?}");
        }
    }
}
