//! Becoming a member: a wish goes to a member, which lets its maker in, or passes the wish on to an admin.

use super::group::{Group, Loaded};
use super::report::{Event, Joined};
use super::{House, Status, millis};
use crate::conn::{Incoming, Reason, Receiver, Sender};
use crate::error::{Error, Result};
use crate::group::home::{Join, Wish};
use crate::group::keys::{EpochKey, wrap};
use crate::group::shelf::Shelf;
use crate::key::PublicKey;
use crate::proto::group::link::is_wish;
use crate::proto::group::roster::{Op, Role, Wraps};
use crate::proto::group::{Assembly, Class, Entry, History, KeyId, Link, MAX_MEMBERS, Message, Mode};
use crate::sign::Signature;
use crate::threads::on_disk;
use crate::trust::{Admission, Time};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long one who dials without being a member may take to say what it wants.
const WISH_WITHIN: Duration = Duration::from_secs(10);

/// How long its connection is kept while it waits for an admin.
const WAIT_WITHIN: Duration = Duration::from_secs(60);

/// What becomes of a wish.
pub(super) enum Answer {
    Member,
    Wait(&'static str),
    No(String),
}

impl House {
    /// Hears what a dialer wants who is no member, and lets it in if its wish is right.
    pub(super) async fn welcome_stranger(&self, group: &Arc<Group>, incoming: Incoming) -> Result<()> {
        let peer = incoming.peer();
        let connection = incoming.admit(Admission::of(peer))?;
        let (mut sender, mut receiver) = connection.split();
        let wish = tokio::time::timeout(WISH_WITHIN, first_message(&mut receiver));
        let wish = sender.while_waiting(wish).await?;
        let wish = match wish {
            Ok(Ok(Some(Message::Join { capability, signature, joiner }))) if joiner == peer => (capability, signature),
            Ok(Err(error)) => return Err(error),
            _ => {
                sender.fail(Reason::Refused, "you are no member of this group").await?;
                receiver.drain(Duration::from_secs(1)).await;
                return Ok(());
            }
        };
        let mut changes = group.changes();
        match self.ask(group, wish.0, wish.1, peer, None).await? {
            Answer::Member => {}
            Answer::No(why) => {
                sender.fail(Reason::Refused, &why).await?;
                receiver.drain(Duration::from_secs(1)).await;
                return Ok(());
            }
            Answer::Wait(why) => {
                for (kind, body) in Message::Wait(why.to_owned()).records() {
                    sender.send(kind, &[&body]).await?;
                }
                let until = tokio::time::Instant::now() + WAIT_WITHIN;
                while !is_member(group, peer).await? {
                    let changed = tokio::time::timeout_at(until, changes.changed());
                    tokio::select! {
                        changed = sender.while_waiting(changed) => if changed?.is_err() {
                            return sender.close().await;
                        },
                        more = receiver.recv() => match more? {
                            None => return sender.close().await,
                            Some(_) => return Err(Error::protocol("more than a wish from one who is no member")),
                        },
                        () = self.stopped() => return sender.close().await,
                    }
                }
            }
        }
        super::session::run(self, group, peer, sender, receiver, Vec::new()).await
    }

    /// Lets `joiner` in if its wish is right and we may; else passes the wish on to admins that are connected.
    pub(super) async fn ask(
        &self,
        group: &Arc<Group>,
        capability: PublicKey,
        signature: Signature,
        joiner: PublicKey,
        from: Option<PublicKey>,
    ) -> Result<Answer> {
        let (house, at) = (self.clone(), group.clone());
        let answer = on_disk(move || house.consider(&at, capability, signature, joiner)).await?;
        match &answer {
            Answer::Member => group.change(),
            Answer::Wait(_) => {
                let state = group.clone();
                let admins: Vec<PublicKey> = on_disk(move || {
                    let state = state.state();
                    let members = state.replica.roster().members();
                    Ok(members.iter().filter(|(_, member)| member.role >= Role::Admin).map(|(key, _)| *key).collect())
                })
                .await?;
                let mut links = group.links();
                if links.wishes.len() < 64 {
                    links.wishes.insert(joiner, (capability, signature));
                }
                for link in
                    links.sessions.values().filter(|link| admins.contains(&link.peer) && Some(link.peer) != from)
                {
                    // The connection may be ending.
                    let _ = link.words.send(Message::Join { capability, signature, joiner });
                }
            }
            Answer::No(_) => {}
        }
        Ok(answer)
    }

    fn consider(
        &self,
        group: &Group,
        capability: PublicKey,
        signature: Signature,
        joiner: PublicKey,
    ) -> Result<Answer> {
        let now = SystemTime::now();
        let mut state = group.state();
        let roster = state.replica.roster();
        if roster.role(&joiner).is_some() {
            return Ok(Answer::Member);
        }
        let no = |why: &str| Ok(Answer::No(why.to_owned()));
        if !is_wish(&capability, &group.id, &joiner, &signature) {
            return no("the invite does not prove itself: the link is damaged");
        }
        if roster.is_removed(&joiner) {
            return no("you were removed from this group; an admin can let you in again");
        }
        let Some(invite) = roster.invites().get(&capability) else {
            return match roster.role(&self.me().public()) {
                Some(Role::Owner) => no("this invite was revoked"),
                // It may be newer than what we know.
                _ => Ok(Answer::Wait("this member does not know the invite yet")),
            };
        };
        if invite.expires <= millis(now) / 1000 {
            return no("this invite has expired");
        }
        if invite.left == 0 {
            return no("this invite was used up");
        }
        if roster.members().len() >= MAX_MEMBERS {
            return no("the group is full");
        }
        let may = roster.role(&self.me().public()).is_some_and(|role| role >= Role::Admin);
        if !may {
            return Ok(Answer::Wait("the wish was passed on to the admins"));
        }
        if invite.approve {
            state.kept.add_join(Join { member: joiner, capability, signature, since: Time::of(now) })?;
            self.tell(Event::Notice(format!(
                "{0}: {1} wants to become a member; 'kw-group approve {0} {1}' lets it in",
                group.name, joiner
            )));
            return Ok(Answer::Wait("an admin must approve you"));
        }
        state.add(self, joiner, Some(capability))?;
        Ok(Answer::Member)
    }
}

/// Whether `key` is a member.
async fn is_member(group: &Arc<Group>, key: PublicKey) -> Result<bool> {
    let group = group.clone();
    on_disk(move || Ok(group.state().replica.roster().role(&key).is_some())).await
}

/// The first message of a connection.
async fn first_message(receiver: &mut Receiver) -> Result<Option<Message>> {
    let mut assembly = Assembly::default();
    while let Some(record) = receiver.recv().await? {
        if let Some(message) = assembly.take(&record)? {
            return Ok(Some(message));
        }
    }
    Ok(None)
}

impl Loaded {
    /// Adds a member, with the keys that it may have.
    pub(super) fn add(&mut self, house: &House, member: PublicKey, invite: Option<PublicKey>) -> Result<Entry> {
        // Where nothing of the past is for newcomers, those who were there say nothing more under a key of the past either.
        let (given, key) = match self.replica.genesis().history {
            History::None => (None, self.new_key(|_| true, Some(member))?),
            _ => (self.keys_for_newcomer(&member)?, None),
        };
        let log = self.own_log(Class::Roster)?;
        let now = millis(SystemTime::now());
        let entry = self.replica.act(house.me(), log, Op::Add { member, invite, given }, key, now)?;
        self.absorb(house, std::slice::from_ref(&entry))?;
        self.kept.drop_joins(|join| join.member == member)?;
        house.tell(Event::Roster { group: self.replica.group(), text: format!("{} is a member now", member.short()) });
        Ok(entry)
    }

    /// The keys of the present, and of as much of the past as the group's history policy says.
    fn keys_for_newcomer(&self, member: &PublicKey) -> Result<Option<Wraps>> {
        if self.replica.genesis().mode != Mode::Private {
            return Ok(None);
        }
        let roster = self.replica.roster();
        let mut wanted: BTreeSet<KeyId> = roster.keys().iter().copied().collect();
        match self.replica.genesis().history {
            History::None => return Ok(None),
            History::All => wanted.extend(roster.epochs().iter().map(|epoch| epoch.key)),
            History::Last(count) => {
                let since = self.clock_of_last(count)?;
                // An epoch reaches up to the beginning of the next.
                let ends = roster.epochs().iter().skip(1).map(|next| next.clock).chain([u64::MAX]);
                let reaching = roster.epochs().iter().zip(ends).filter(|(_, end)| *end > since);
                wanted.extend(reaching.map(|(epoch, _)| epoch.key));
            }
        }
        let keys: Vec<EpochKey> = wanted.iter().filter_map(|key| self.keys.get(key).cloned()).collect();
        wrap(&self.replica.group(), &keys, &[*member]).map(Some)
    }

    /// The clock of the message that is `count` from the end.
    fn clock_of_last(&self, count: u32) -> Result<u64> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut clocks = Vec::new();
        for stored in self.replica.logs().filter(|stored| stored.log.class == Class::Content) {
            let from = stored.seq.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX)) + 1;
            let mut at = from.max(1);
            while at <= stored.seq {
                let entries = self.replica.shelf().read(&stored.log, at, 1 << 20)?;
                let Some(last) = entries.last() else { break };
                at = last.header.seq + 1;
                clocks.extend(entries.iter().map(|entry| entry.header.clock));
            }
        }
        clocks.sort_unstable();
        let at = clocks.len().saturating_sub(count);
        Ok(clocks.get(at).copied().unwrap_or(u64::MAX))
    }
}

impl House {
    /// Keeps the group of a link, under `name` or its own, and asks its members for `patience` to be let in.
    ///
    /// # Errors
    /// They refuse us ([`crate::error::Kind::Refused`]); nobody proves its key ([`crate::error::Kind::Unproven`]).
    pub async fn join(
        &self,
        link: Link,
        name: Option<String>,
        patience: Duration,
    ) -> Result<(crate::proto::group::GroupId, Joined)> {
        let house = self.clone();
        let group = on_disk(move || house.keep_link(&link, name)).await?;
        let until = tokio::time::Instant::now() + patience;
        let mut changes = group.changes();
        self.reach(&group).await?;
        loop {
            changes.mark_unchanged();
            let (at, me) = (group.clone(), self.me().public());
            let (status, is_member) = on_disk(move || {
                let state = at.state();
                Ok((state.facts.status, state.replica.roster().role(&me).is_some()))
            })
            .await?;
            match status {
                Status::Active if is_member && group.links().sessions.values().any(|link| link.is_level) => {
                    return Ok((group.id, Joined::Active));
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
                    return Ok((group.id, joined));
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
        match said {
            None => return Ok(()),
            Some(Message::Wait(why)) => {
                let (house, at) = (house.clone(), group.clone());
                on_disk(move || at.state().set_status(&house, Status::Waiting)).await?;
                group.links().reach.entry(peer).or_default().failure = Some(why);
                group.change();
            }
            Some(hello) => return super::session::run(house, group, peer, sender, receiver, vec![hello]).await,
        }
    }
}
