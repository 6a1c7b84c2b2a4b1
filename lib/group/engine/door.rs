//! The door: who dials, and holding all groups.

use super::group::Group;
use super::session::run;
use super::{House, Status, tend};
use crate::conn::{Incoming, Listener, Reason};
use crate::error::Result;
use crate::proto::group::Request;
use crate::threads::on_disk;
use crate::trust::Admission;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Connections of keys that are no members, at once.
const STRANGERS: usize = 64;

/// Connections of one member about one group at once.
const MOST_OF_ONE: usize = 8;

/// Whether there is such a group is nobody's business but its members'.
const UNKNOWN: &str = "you are no member of this group, or there is none";

/// How often it is looked whether there is somebody to dial, or something to tend.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl House {
    /// Holds all groups until `stop`: accepts connections if there is a listener, and makes some.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(&self, mut listener: Option<Listener>, stop: impl Future<Output = ()> + Send) -> Result<()> {
        if let Some(listener) = &listener {
            self.see_addresses(listener).await?;
        }
        self.0.is_serving.store(true, Ordering::Release);
        let strangers = Arc::new(Semaphore::new(STRANGERS));
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(stop);
        let served = loop {
            tokio::select! {
                incoming = accept(&mut listener) => match incoming {
                    Ok(incoming) => self.let_in(incoming, &strangers),
                    Err(error) => break Err(error),
                },
                _ = look.tick() => {
                    self.say_noticed();
                    for group in self.all() {
                        self.reach_out(&group);
                        tend::tend(self, &group);
                    }
                }
                () = &mut stop => break Ok(()),
                () = self.stopped() => break Ok(()),
            }
        };
        self.0.is_serving.store(false, Ordering::Release);
        self.end().await;
        served
    }

    /// Begins a conversation with a dialer, or turns it away.
    fn let_in(&self, incoming: Incoming, strangers: &Arc<Semaphore>) {
        let (house, strangers) = (self.clone(), strangers.clone());
        self.spawn(async move {
            let request = Request::decode(incoming.request());
            let Some(group) = request.ok().and_then(|request| house.loaded(&request.group)) else {
                let _ = incoming.refuse(Reason::Refused, UNKNOWN).await;
                return;
            };
            match house.standing(&group, &incoming).await {
                Ok(Standing::Member) if group.count(&incoming) < MOST_OF_ONE => {
                    let peer = incoming.peer();
                    if let Ok(connection) = incoming.admit(Admission::of(peer)) {
                        let (sender, receiver) = connection.split();
                        // How it ended stands with the member.
                        let _ = run(&house, &group, peer, sender, receiver, Vec::new()).await;
                    }
                }
                Ok(Standing::Stranger) => match strangers.try_acquire_owned() {
                    Ok(place) => drop(house.welcome_stranger(&group, incoming, place).await),
                    Err(_) => drop(incoming.refuse(Reason::Unavailable, "too many connections; try again later").await),
                },
                Ok(Standing::Member) => {
                    drop(incoming.refuse(Reason::Unavailable, "too many connections; try again later").await);
                }
                Ok(Standing::Closed(why)) => drop(incoming.refuse(Reason::Refused, why).await),
                Err(_) => drop(incoming.refuse(Reason::Unavailable, "the state here cannot be read").await),
            }
        });
    }

    /// What a dialer is in a group.
    async fn standing(&self, group: &Arc<Group>, incoming: &Incoming) -> Result<Standing> {
        let (group, peer, me) = (group.clone(), incoming.peer(), self.me().public());
        on_disk(move || {
            let state = group.state();
            Ok(match (state.role(&me), state.replica.roster().role(&peer)) {
                // A member may bring what makes us one, or one again.
                (_, Some(_)) if state.facts.status != Status::Left => Standing::Member,
                (Ok(_), None) => Standing::Stranger,
                (_, _) => Standing::Closed(UNKNOWN),
            })
        })
        .await
    }
}

/// What a dialer is.
enum Standing {
    Member,
    Stranger,
    Closed(&'static str),
}

impl Group {
    /// How many connections the dialer has.
    fn count(&self, incoming: &Incoming) -> usize {
        self.links().sessions.values().filter(|link| link.peer == incoming.peer()).count()
    }
}

/// The next dialer; none ever without a listener.
async fn accept(listener: &mut Option<Listener>) -> Result<Incoming> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
