//! Couriers: while the engine serves, one dials each peer for which something waits, until nothing does.

use super::{Engine, Target};
use crate::chat::Pairing;
use crate::error::Result;
use crate::key::PublicKey;
use crate::pair::{Pair, Standing};
use crate::random::jittered;
use crate::threads::on_disk;
use std::time::Duration;

/// How long a courier waits after the first dial that failed; twice as long after each one more.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest that it waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

impl Engine {
    /// Sends couriers to all for whom something waits.
    pub(super) async fn send_couriers(&self) -> Result<()> {
        let chat = self.chat().clone();
        let known = on_disk(move || {
            let mut known = chat.peers()?;
            known.extend(chat.pairs()?.list().iter().map(|pair| pair.key));
            Ok(known)
        });
        for peer in known.await? {
            self.send_courier(peer);
        }
        Ok(())
    }

    /// Sends a courier to `peer`, if none is on the way.
    pub(super) fn send_courier(&self, peer: PublicKey) {
        let line = self.line(peer);
        if !line.wants_courier() {
            return;
        }
        let engine = self.clone();
        self.spawn(async move {
            let mut changes = line.changes();
            let carried = async {
                let mut pause = FIRST_PAUSE;
                // What cannot be read now is looked at again when something changes.
                loop {
                    changes.mark_unchanged();
                    if !engine.waits_for(peer).await.unwrap_or(false) {
                        break;
                    }
                    let mut status = line.status();
                    let is_there = status.borrow_and_update().sessions > 0;
                    let reached = is_there
                        || engine.reach(&Target { key: peer, addresses: Vec::new(), only: false }).await.is_ok();
                    if reached {
                        // A connection carries what waits; what is left when it ends is carried by the next one.
                        let _ = status.wait_for(|status| status.sessions == 0 || status.is_idle).await;
                        if line.status().borrow().failure.is_none() {
                            pause = FIRST_PAUSE;
                        }
                    }
                    tokio::select! {
                        () = tokio::time::sleep(jittered(pause)) => pause = (pause * 2).min(LONGEST_PAUSE),
                        // Our user has done something: that is worth a try at once.
                        _ = changes.changed(), if !reached => pause = FIRST_PAUSE,
                    }
                }
            };
            tokio::select! {
                () = carried => {}
                () = engine.stopped() => {}
            }
            line.courier_ended();
            // What was changed after the last look found a courier on the way, and sent none.
            let is_late = changes.has_changed().unwrap_or(false) && !*engine.0.stopping.borrow();
            drop((line, changes));
            match is_late {
                true => engine.send_courier(peer),
                false => engine.forget_line(&peer),
            }
        });
    }

    /// Whether there is anything to say to `peer`.
    async fn waits_for(&self, peer: PublicKey) -> Result<bool> {
        let chat = self.chat().clone();
        on_disk(move || {
            let pairs = chat.pairs()?;
            if !pairs.owed(&peer, chat.now()).is_empty() {
                return Ok(true);
            }
            let may = match pairs.standing(&peer) {
                Standing::Accepted { .. } => true,
                Standing::Blocked | Standing::DeclinedByPeer => false,
                _ => pairs.get(&peer).is_some_and(Pair::is_open) || chat.config().pairing == Pairing::Open,
            };
            Ok(may && chat.with(peer).count_waiting()? > 0)
        })
        .await
    }
}
