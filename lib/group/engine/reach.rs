//! Whom to dial: the owner and some others, until enough are connected; who cannot be reached is tried again, more and more seldom.

use super::group::{Group, Links};
use super::join::ask_to_join;
use super::session::{halves, run};
use super::{House, Status, of_group};
use crate::addr::{HostPort, PeerAddr};
use crate::conn::{Connection, DialOptions, dial};
use crate::error::{Error, Kind, Result};
use crate::group::shelf::Stored;
use crate::json;
use crate::kdf;
use crate::key::PublicKey;
use crate::proto::group::{GROUP, Request};
use crate::random::jittered;
use crate::threads::on_disk;
use crate::trust::Peers;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a member is left alone after the first dial that failed; twice as long after each one more.
const FIRST_REST: Duration = Duration::from_millis(500);

/// The longest that it is.
const LONGEST_REST: Duration = Duration::from_secs(120);

/// How many members, beside the owner, are dialed at least, if there are so many.
const LEAST: usize = 3;

impl House {
    /// Dials members of `group` until enough are connected. It does not wait for them.
    pub(super) fn reach_out(&self, group: &Arc<Group>) {
        let (house, group) = (self.clone(), group.clone());
        self.spawn(async move {
            if let Err(error) = house.reach(&group).await {
                house.say_once(&group, house.me().public(), &error.to_string());
            }
        });
    }

    /// The same; all who are to be dialed are being dialed when it returns, so that who then is not was tried.
    pub(super) async fn reach(&self, group: &Arc<Group>) -> Result<()> {
        let (house, at) = (self.clone(), group.clone());
        let (mut known, owner, is_over, count) = on_disk(move || {
            let state = at.state();
            let me = house.me().public();
            let is_active = state.facts.status == Status::Active;
            let roster = state.replica.roster();
            let mut known: BTreeMap<PublicKey, Vec<HostPort>> = BTreeMap::new();
            let book = Peers::load(house.store())?;
            let listed = |key: &PublicKey| book.with_key(key).map(|peer| peer.addresses.clone()).unwrap_or_default();
            for (key, addresses) in &state.known.addresses {
                known.entry(*key).or_default().extend(addresses.iter().cloned());
            }
            for peer in &state.facts.peers {
                known.entry(peer.key).or_default().push(peer.at.clone());
            }
            for key in roster.members().keys() {
                known.entry(*key).or_default().extend(listed(key).into_iter().map(of_group));
            }
            known.retain(|key, addresses| {
                *key != me && !addresses.is_empty() && (!is_active || roster.role(key).is_some())
            });
            // Who has left has still to say so.
            let owes = |stored: &Stored| {
                let held = at.links().held.get(&stored.log).map_or(0, |(seq, _)| *seq);
                stored.log.author == me && state.replica.end(&stored.log) > held
            };
            let is_over = match state.facts.status {
                Status::Left => !state.replica.logs().any(owes),
                _ => false,
            };
            Ok((known, state.replica.genesis().owner, is_over, roster.members().len()))
        })
        .await?;
        if is_over {
            return Ok(());
        }
        let enough = 1 + LEAST.max(usize::try_from(count.max(1).ilog2()).unwrap_or(0));
        let mut order: Vec<PublicKey> = known.keys().copied().collect();
        // The owner first; the others each in an order of its own, so that the links spread.
        let me = self.me().public();
        order.sort_by_key(|key| (*key != owner, kdf::hash_32(&[me.as_bytes(), key.as_bytes(), &group.id.0])));
        let mut links = group.links();
        let now = Instant::now();
        let mut there: Vec<PublicKey> = links.sessions.values().map(|link| link.peer).collect();
        there.extend(links.reach.iter().filter(|(_, reach)| reach.is_dialed).map(|(key, _)| *key));
        there.sort_unstable();
        there.dedup();
        let mut missing = enough.saturating_sub(there.len());
        for key in order {
            if missing == 0 && key != owner {
                break;
            }
            let reach = links.reach.entry(key).or_default();
            if there.contains(&key) || reach.rests_until.is_some_and(|until| until > now) {
                continue;
            }
            reach.is_dialed = true;
            missing = missing.saturating_sub(1);
            let addresses = known.remove(&key).unwrap_or_default();
            self.spawn(self.clone().visit_member(group.clone(), key, addresses));
        }
        Ok(())
    }

    /// Dials a member, and carries the conversation.
    async fn visit_member(self, group: Arc<Group>, key: PublicKey, addresses: Vec<HostPort>) {
        let began = Instant::now();
        let ended = match self.dial_member(&group, key, &addresses).await {
            // It counts as dialed until the conversation is over: else, for a moment, everybody would seem to have been tried.
            Ok(connection) => self.hold(&group, connection).await,
            Err(error) => Err(error),
        };
        let failed = ended
            .err()
            .or_else(|| Some(Error::network("it ended the connection")).filter(|_| began.elapsed() < FIRST_REST));
        let mut links = group.links();
        let reach = links.reach.entry(key).or_default();
        reach.is_dialed = false;
        reach.failures = if failed.is_some() { reach.failures.saturating_add(1) } else { 0 };
        let is_refused = failed.as_ref().is_some_and(|error| error.kind() == Kind::Refused);
        // Who has refused us does not change its mind soon.
        let failures = if is_refused { 10 } else { reach.failures.min(10) };
        let rest = FIRST_REST.saturating_mul(1 << failures).min(LONGEST_REST);
        reach.rests_until = failed.is_some().then(|| Instant::now() + jittered(rest));
        if let Some(error) = failed {
            reach.is_refused = is_refused;
            reach.failure = Some(error.to_string());
        } else {
            (reach.is_refused, reach.failure) = (false, None);
        }
        drop(links);
        group.change_links();
    }

    async fn dial_member(&self, group: &Group, key: PublicKey, addresses: &[HostPort]) -> Result<Connection> {
        let request = json::line(&Request { group: group.id })?;
        let options = DialOptions { allow_self: self.allows_self(), ..DialOptions::default() };
        let mut failure = None;
        let mut tried: Vec<&HostPort> = Vec::new();
        for at in addresses {
            if tried.contains(&at) {
                continue;
            }
            tried.push(at);
            let address = PeerAddr { key, at: at.clone() };
            match dial(self.me(), &address, GROUP, request.as_bytes(), options).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| Error::network("no address is known for it")))
    }

    /// Carries a conversation that we have dialed.
    async fn hold(&self, group: &Arc<Group>, connection: Connection) -> Result<()> {
        let at = group.clone();
        // What our roster says of us may be from before we left.
        let asks = on_disk(move || Ok(matches!(at.state().facts.status, Status::Pending | Status::Waiting))).await?;
        let (peer, sender, receiver) = halves(connection);
        match asks {
            true => ask_to_join(self, group, peer, sender, receiver).await,
            false => run(self, group, peer, sender, receiver, Vec::new()).await,
        }
    }
}

impl Links {
    /// Why those who were dialed could not be reached.
    pub(super) fn failures(&self) -> String {
        let words: Vec<String> = self
            .reach
            .iter()
            .filter_map(|(key, reach)| Some(format!("{}: {}", key.short(), reach.failure.as_ref()?)))
            .collect();
        let silent = self.reach.iter().filter(|(_, reach)| reach.is_dialed && reach.failure.is_none());
        let silent = silent.map(|(key, _)| format!("{} has not answered yet", key.short()));
        let words: Vec<String> = words.into_iter().chain(silent).collect();
        match words.is_empty() {
            true => "no member's address is known".to_owned(),
            false => words.join("; "),
        }
    }

    /// The word of a member that does not let us in, if one has said so and none is connected.
    pub(super) fn refusal(&self) -> Option<String> {
        let refused = self.reach.values().find(|reach| reach.is_refused)?;
        refused.failure.clone().filter(|_| self.sessions.is_empty())
    }

    /// What a member has said that has us wait.
    pub(super) fn words(&self) -> Option<String> {
        self.reach.values().find_map(|reach| reach.failure.clone())
    }

    /// Whether nobody is connected or being dialed: asked once [`House::reach`] has begun to dial.
    pub(super) fn has_tried_all(&self) -> bool {
        self.sessions.is_empty() && !self.reach.values().any(|reach| reach.is_dialed)
    }
}
