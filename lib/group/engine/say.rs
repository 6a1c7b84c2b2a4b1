//! Saying something, and what becomes of it.

use super::group::Group;
use super::report::Delivery;
use super::{House, Status};
use crate::addr::HostPort;
use crate::chat::Config;
use crate::conn::Listener;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::group::keys::joint_id;
use crate::group::replica::Words;
use crate::json;
use crate::key::PublicKey;
use crate::proto::group::{Addresses, Class, EntryId, GROUP, GroupId, Kind, MAX_TEXT_LEN};
use crate::sys;
use crate::threads::{lock, on_disk};
use crate::trust::{MAX_ADDRESSES, millis};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};

/// How long it is waited for an entry to leave where nobody waits for an answer.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);

/// How long it is waited for news that may allow what was refused.
const NEWS_WITHIN: Duration = Duration::from_secs(3);

/// How soon those are dialed anew who could not be reached.
const DIAL_AGAIN: Duration = Duration::from_millis(250);

impl House {
    /// Says `text`. It is on disk when this returns, and on its way if there are connections.
    ///
    /// # Errors
    /// We may not: removed, muted, not a member yet ([`crate::error::Kind::Refused`]).
    pub async fn say(&self, group: GroupId, text: String, reply_to: Option<EntryId>) -> Result<EntryId> {
        if text.len() > MAX_TEXT_LEN {
            return Err(Error::usage(format!("the text has {} bytes; the most is {MAX_TEXT_LEN}", text.len())));
        }
        self.with_news(group, || self.try_to_say(group, text.clone(), reply_to)).await
    }

    async fn try_to_say(&self, group: GroupId, text: String, reply_to: Option<EntryId>) -> Result<EntryId> {
        let group = self.group(&group)?;
        let (house, at) = (self.clone(), group.clone());
        let id =
            on_disk(move || at.write(&house, Kind::Message, text.as_bytes(), reply_to.unwrap_or_default())).await?;
        group.change();
        Ok(id)
    }

    /// What becomes of an entry of ours within `patience`; members are dialed as need be. Without patience it is waited, for a
    /// while, until it has left.
    ///
    /// # Errors
    /// There is no such entry.
    pub async fn delivered(&self, group: GroupId, id: EntryId, patience: Duration) -> Result<Delivery> {
        let began = Instant::now();
        let group = self.group(&group)?;
        let (at, me) = (group.clone(), self.me().public());
        let found = on_disk(move || {
            let state = at.state();
            let others = state.replica.roster().members().keys().filter(|key| **key != me).count();
            Ok(state.replica.find_own(&me, &id)?.map(|place| (place, others)))
        });
        let ((log, seq), others) = found.await?.ok_or_else(|| Error::no("there is no such entry of ours"))?;
        if others == 0 {
            return Ok(Delivery::Alone);
        }
        let until = began + if patience.is_zero() { LEAVES_WITHIN } else { patience };
        let mut changes = group.changes();
        loop {
            changes.mark_unchanged();
            if let Some((_, by)) = group.links().held.get(&log).filter(|(held, _)| *held >= seq) {
                return Ok(Delivery::Held { by: *by, after: began.elapsed() });
            }
            self.reach(&group).await?;
            let late = Instant::now() >= until;
            let ended = {
                let links = group.links();
                (late || links.has_tried_all()).then(|| match links.sessions.is_empty() {
                    true => Delivery::Nobody(links.failures()),
                    false => Delivery::Sent,
                })
            };
            if let Some(ended) = ended {
                return self.judged(&group, ended).await;
            }
            let soon = until.min(Instant::now() + DIAL_AGAIN);
            // Late, or something has changed: it is looked at anew in either case.
            let _ = timeout_at(soon, changes.changed()).await;
        }
    }

    /// Tries to do something. What is refused may be allowed by news that have not come yet, or concern somebody of whom nothing
    /// has come yet: then members are met, and it is tried once more.
    pub(super) async fn with_news<R, F>(&self, group: GroupId, attempt: impl Fn() -> F) -> Result<R>
    where
        F: Future<Output = Result<R>>,
    {
        let error = match attempt().await {
            Err(error) if matches!(error.kind(), ErrorKind::Refused | ErrorKind::No) => error,
            done => return done,
        };
        let at = self.group(&group)?;
        let is_active = on_disk(move || Ok(at.state().facts.status == Status::Active)).await?;
        match is_active && self.visit(group, NEWS_WITHIN).await.is_ok() {
            true => attempt().await,
            false => Err(error),
        }
    }

    /// What an ending means: where nobody was reached, that may be because of ourselves.
    async fn judged(&self, group: &Arc<Group>, ended: Delivery) -> Result<Delivery> {
        if !matches!(ended, Delivery::Nobody(_)) {
            return Ok(ended);
        }
        if let Some(trouble) = group.links().trouble.clone() {
            return Err(Error::state(trouble));
        }
        let (at, me) = (group.clone(), self.me().public());
        on_disk(move || {
            let state = at.state();
            match state.facts.status {
                // Who was removed while it was away has only now been told.
                Status::Removed => state.role(&me).map(|_| ended),
                // Who has left has that passed on later, as anything else.
                _ => Ok(ended),
            }
        })
        .await
    }

    /// Meets members for at most `patience`, until we have what one of them has.
    ///
    /// # Errors
    /// Nobody can be reached.
    pub async fn visit(&self, group: GroupId, patience: Duration) -> Result<()> {
        let group = self.group(&group)?;
        let until = Instant::now() + patience;
        let mut changes = group.changes();
        loop {
            changes.mark_unchanged();
            self.reach(&group).await?;
            let ended = {
                let links = group.links();
                let is_met = links.sessions.values().any(|link| link.is_met && !link.is_behind);
                (is_met || links.has_tried_all() || Instant::now() >= until).then(|| match links.sessions.is_empty() {
                    true => Err(Error::network(format!("nobody can be reached: {}", links.failures()))),
                    false => Ok(()),
                })
            };
            if let Some(ended) = ended {
                return ended;
            }
            let _ = timeout_at(until.min(Instant::now() + DIAL_AGAIN), changes.changed()).await;
        }
    }

    /// Sees where we can be dialed; each group is told as it is tended.
    pub(super) async fn see_addresses(&self, listener: &Listener) -> Result<()> {
        let house = self.clone();
        let at = listener.address()?.at;
        on_disk(move || {
            let port = at.port().or(GROUP.port).unwrap_or_default();
            let config = Config::load(house.store())?;
            let mut addresses: Vec<HostPort> = config.addresses.into_iter().map(|at| at.with_port(port)).collect();
            if addresses.is_empty() {
                match at.host() {
                    "0.0.0.0" | "::" => {
                        let own = sys::own_addresses().into_iter().map(|address| SocketAddr::new(address, port));
                        addresses
                            .extend(own.take(MAX_ADDRESSES).filter_map(|address| address.to_string().parse().ok()));
                    }
                    _ => addresses.push(at),
                }
            }
            lock(&house.0.listening).clone_from(&addresses);
            Ok(())
        })
        .await
    }
}

impl Group {
    /// Writes content of ours.
    pub(super) fn write(&self, house: &House, kind: Kind, text: &[u8], reply_to: EntryId) -> Result<EntryId> {
        let mut state = self.state();
        let me: PublicKey = house.me().public();
        state.role(&me)?;
        if kind == Kind::Message && state.replica.roster().members().get(&me).is_some_and(|member| member.muted) {
            return Err(Error::refused("you are muted in this group: nobody would be shown it"));
        }
        let keys = if kind == Kind::Leave { Vec::new() } else { state.present_keys()? };
        let log = state.own_log(Class::Content)?;
        let now = millis(SystemTime::now());
        let entry = state.replica.write(house.me(), log, &Words { kind, text, reply_to }, &keys, now)?;
        state.absorb(house, std::slice::from_ref(&entry))?;
        Ok(entry.id)
    }

    /// Says where we can be dialed, if that is new.
    pub(super) fn announce(self: &Arc<Self>, house: &House, addresses: &[HostPort]) -> Result<()> {
        let state = self.state();
        // Said again under each new key, so that those can read it who have no other.
        let key = joint_id(state.replica.roster().keys());
        let is_known = state.facts.announced == addresses && state.facts.announced_under == key;
        let is_member =
            state.facts.status == Status::Active && state.replica.roster().role(&house.me().public()).is_some();
        let may = state.present_keys().is_ok();
        drop(state);
        if is_known || !is_member || !may {
            return Ok(());
        }
        let said = Addresses { addresses: addresses.iter().map(ToString::to_string).collect() };
        self.write(house, Kind::Addresses, json::line(&said)?.as_bytes(), EntryId::default())?;
        let announced = addresses.to_vec();
        self.state().change_facts(|facts| (facts.announced, facts.announced_under) = (announced, key))?;
        self.change();
        Ok(())
    }
}
