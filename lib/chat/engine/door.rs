//! The door: who dials, and how many at once.

use super::Engine;
use crate::conn::{Incoming, Listener, Reason};
use crate::error::Result;
use crate::key::PublicKey;
use crate::pair::{Pairs, Standing};
use crate::threads::{lock, on_disk};
use crate::trust::Admission;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Semaphore;

/// Connections of keys that are not paired, at once.
const STRANGERS: usize = 64;

/// Connections of one key at once: a service of the peer's, and some of its one-shot calls.
const MOST_OF_ONE: usize = 16;

impl Engine {
    /// Serves whoever dials `listener`, and delivers what waits, until `stop` ends.
    ///
    /// # Errors
    /// The listener is gone.
    pub async fn serve(&self, mut listener: Listener, stop: impl Future<Output = ()> + Send) -> Result<()> {
        self.0.is_serving.store(true, Ordering::Release);
        self.send_couriers().await?;
        self.spawn(self.clone().do_daily());
        let strangers = Arc::new(Semaphore::new(STRANGERS));
        let mut stop = std::pin::pin!(stop);
        let served = loop {
            tokio::select! {
                incoming = listener.accept() => match incoming {
                    Ok(incoming) => self.let_in(incoming, &strangers),
                    Err(error) => break Err(error),
                },
                () = &mut stop => break Ok(()),
                () = self.stopped() => break Ok(()),
            }
        };
        self.0.is_serving.store(false, Ordering::Release);
        self.end().await;
        served
    }

    /// Begins a session with a dialer, or turns it away.
    fn let_in(&self, incoming: Incoming, strangers: &Arc<Semaphore>) {
        let (engine, strangers) = (self.clone(), strangers.clone());
        self.spawn(async move {
            let (peer, chat) = (incoming.peer(), engine.chat().clone());
            let known =
                on_disk(move || Pairs::load(chat.store()).map(|pairs| (pairs.admit(&peer), pairs.standing(&peer))));
            let turned_away = |why, text: &'static str| (why, text.to_owned());
            let (why, text) = match known.await {
                Ok((Ok(admission), standing)) => {
                    let is_known = matches!(standing, Standing::Accepted { .. } | Standing::Open | Standing::Invited);
                    let place = if is_known { None } else { strangers.try_acquire_owned().ok() };
                    if engine.count(&peer) >= MOST_OF_ONE || (!is_known && place.is_none()) {
                        turned_away(Reason::Unavailable, "too many connections; try again later")
                    } else {
                        engine.welcome(incoming, &admission).await;
                        drop(place);
                        return;
                    }
                }
                Ok((Err(refused), _)) => (Reason::Refused, refused.to_string()),
                Err(_) => turned_away(Reason::Unavailable, "the state here cannot be read"),
            };
            // It may have gone away already.
            let _ = incoming.refuse(why, &text).await;
        });
    }

    /// Carries a session to its end.
    async fn welcome(&self, incoming: Incoming, admission: &Admission) {
        if let Ok(connection) = incoming.admit(*admission) {
            self.hold(connection).await;
        }
    }

    fn count(&self, peer: &PublicKey) -> usize {
        lock(&self.0.lines).get(peer).map_or(0, |line| line.status().borrow().sessions)
    }
}
