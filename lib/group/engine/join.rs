//! Becoming a member: a wish goes to the members of a link until one lets us in.

use super::group::Group;
use super::report::Joined;
use super::welcome::first_message;
use super::{House, Status};
use crate::conn::{Receiver, Sender};
use crate::error::{Error, Result};
use crate::group::home::Wish;
use crate::key::PublicKey;
use crate::proto::group::{GroupId, Link, Message};
use crate::threads::on_disk;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl House {
    /// Keeps the group of a link, and asks its members for `patience` to be let in: the greater part of [`House::join`].
    pub(super) async fn ask_members(
        &self,
        link: Link,
        name: Option<String>,
        patience: Duration,
    ) -> Result<(GroupId, Joined)> {
        let house = self.clone();
        let group = on_disk(move || house.keep_link(&link, name)).await?;
        let joined = self.be_let_in(&group, Instant::now() + patience).await?;
        Ok((group.id, joined))
    }

    /// Sees that we are a member before we act as one: who is none yet asks again, for at most `patience`, and whose roster was
    /// lost meets a member first.
    ///
    /// # Errors
    /// They refuse us ([`crate::error::Kind::Refused`]).
    pub async fn stand(&self, group: GroupId, patience: Duration) -> Result<Joined> {
        let group = self.group(&group)?;
        let (status, is_member) = self.standing_in(&group).await?;
        match status {
            Status::Pending | Status::Waiting => self.be_let_in(&group, Instant::now() + patience).await,
            Status::Active if !is_member => self.visit(group.id, patience).await.map(|()| Joined::Active),
            Status::Active | Status::Left | Status::Removed => Ok(Joined::Active),
        }
    }

    /// How we stand, and whether the roster has us.
    async fn standing_in(&self, group: &Arc<Group>) -> Result<(Status, bool)> {
        let (group, me) = (group.clone(), self.me().public());
        on_disk(move || {
            let state = group.state();
            Ok((state.facts.status, state.replica.roster().role(&me).is_some()))
        })
        .await
    }

    /// Asks the members of a group to be let in.
    async fn be_let_in(&self, group: &Arc<Group>, until: Instant) -> Result<Joined> {
        let mut changes = group.changes();
        self.reach(group).await?;
        loop {
            changes.mark_unchanged();
            let (status, is_member) = self.standing_in(group).await?;
            match status {
                Status::Active if is_member && group.links().sessions.values().any(|link| link.is_level) => {
                    return Ok(Joined::Active);
                }
                Status::Left => return Err(Error::refused("you have left this group")),
                _ => {}
            }
            if let Some(why) = group.links().refusal() {
                return Err(Error::refused(why));
            }
            let is_over = tokio::time::timeout_at(until, changes.changed()).await.is_err();
            if is_over || group.links().has_tried_all() {
                let joined = match status {
                    Status::Active => Joined::Active,
                    Status::Waiting => {
                        Joined::Waiting(group.links().words().unwrap_or_else(|| "an admin must let you in".to_owned()))
                    }
                    _ if !is_over => continue,
                    _ => Joined::Unreachable(group.links().failures()),
                };
                if is_over || status == Status::Waiting {
                    return Ok(joined);
                }
            }
        }
    }
}

/// The dialer's side: says the wish, and hears until it is let in.
pub(super) async fn ask_to_join(
    house: &House,
    group: &Arc<Group>,
    peer: PublicKey,
    mut sender: Sender,
    mut receiver: Receiver,
) -> Result<()> {
    let at = group.clone();
    let wish = on_disk(move || Ok(at.state().facts.wish.clone())).await?;
    let Some(Wish { capability, signature }) = wish else {
        return Err(Error::refused("there is no invite to join by"));
    };
    let joiner = house.me().public();
    for (kind, body) in (Message::Join { capability, signature, joiner }).records() {
        sender.send(kind, &[&body]).await?;
    }
    loop {
        let said = tokio::select! {
            said = first_message(&mut receiver) => said?,
            driven = sender.drive() => {
                driven?;
                continue;
            }
            () = house.stopped() => return sender.close().await,
        };
        let at = group.clone();
        let has_left = on_disk(move || Ok(at.state().facts.wish.is_none())).await?;
        match said {
            None => return Ok(()),
            Some(_) if has_left => return sender.close().await,
            Some(Message::Wait(why)) => {
                let (house, at) = (house.clone(), group.clone());
                on_disk(move || at.state().set_status(&house, Status::Waiting)).await?;
                group.links().reach.entry(peer).or_default().failure = Some(why);
                group.change_links();
            }
            Some(hello) => return super::session::run(house, group, peer, sender, receiver, vec![hello]).await,
        }
    }
}
