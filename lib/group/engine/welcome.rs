//! Letting others in: a stranger says its wish, and becomes a member, or waits, or is passed on to an admin.

use super::House;
use super::group::{Group, Links, Loaded};
use crate::conn::{Incoming, Reason, Receiver};
use crate::error::{Error, Result};
use crate::group::home::{Join, Joining};
use crate::group::keys::{EpochKey, wrap};
use crate::group::shelf::Shelf;
use crate::key::PublicKey;
use crate::proto::group::link::is_wish;
use crate::proto::group::roster::{Op, Role, Wraps};
use crate::proto::group::{Assembly, Class, Entry, History, KeyId, MAX_MEMBERS, Message, Mode};
use crate::sign::Signature;
use crate::threads::on_disk;
use crate::trust::{Admission, Time, millis};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// How long one who dials without being a member may take to say what it wants.
const WISH_WITHIN: Duration = Duration::from_secs(10);

/// How long one who was removed has to learn that.
const FAREWELL_WITHIN: Duration = Duration::from_secs(60);

/// Most keys that one act gives.
const MOST_GIVEN: usize = 400;

/// How long the same wish is not passed on again.
const PASSED_ON: Duration = Duration::from_secs(30);

/// Most wishes of which is known that they were passed on.
const MOST_WISHES: usize = 64;

/// How long its connection is kept while it waits for an admin.
const WAIT_WITHIN: Duration = Duration::from_secs(60);

/// What becomes of a wish.
pub(super) enum Answer {
    Member,
    /// In these words, and for how long its connection is kept meanwhile.
    Wait(&'static str, Duration),
    No(String),
}

impl House {
    /// Hears what a dialer wants who is no member, and lets it in if its wish is right; who was removed learns that. It has one of
    /// few places as long as it is a stranger.
    pub(super) async fn welcome_stranger(
        &self,
        group: &Arc<Group>,
        incoming: Incoming,
        place: OwnedSemaphorePermit,
    ) -> Result<()> {
        let peer = incoming.peer();
        let connection = incoming.admit(Admission::of(peer))?;
        let (mut sender, mut receiver) = connection.split();
        let wish = tokio::time::timeout(WISH_WITHIN, first_message(&mut receiver));
        let wish = sender.while_waiting(wish).await?;
        let wish = match wish {
            Ok(Ok(Some(Message::Join { capability, signature, joiner }))) if joiner == peer => (capability, signature),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(Some(hello @ Message::Hello { .. }))) if was_removed(group, peer).await? => {
                let farewell = super::session::run(self, group, peer, sender, receiver, vec![hello]);
                // Who takes longer has heard enough.
                return tokio::time::timeout(FAREWELL_WITHIN, farewell).await.unwrap_or(Ok(()));
            }
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
            Answer::Wait(why, within) => {
                for (kind, body) in Message::Wait(why.to_owned()).records() {
                    sender.send(kind, &[&body]).await?;
                }
                let until = Instant::now() + within;
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
        drop(place);
        super::session::run(self, group, peer, sender, receiver, Vec::new()).await
    }

    /// Lets `joiner` in if its wish is right and we may; else passes the wish on to admins that are connected, if it comes from the
    /// joiner itself and is new: one hop, or it would go round for ever.
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
            Answer::Wait(..) if from.is_none() && group.links().is_new(joiner, capability) => {
                let state = group.clone();
                let admins: Vec<PublicKey> = on_disk(move || {
                    let state = state.state();
                    let members = state.replica.roster().members();
                    Ok(members.iter().filter(|(_, member)| member.role >= Role::Admin).map(|(key, _)| *key).collect())
                })
                .await?;
                for link in group.links().sessions.values().filter(|link| admins.contains(&link.peer)) {
                    // The connection may be ending, or its other end not reading.
                    let _ = link.words.try_send(Message::Join { capability, signature, joiner });
                }
            }
            Answer::Wait(..) | Answer::No(_) => {}
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
        let at = SystemTime::now();
        let now = millis(at);
        let mut state = group.state();
        let roster = state.replica.roster();
        if roster.role(&joiner).is_some() {
            return Ok(Answer::Member);
        }
        let no = |why: &str| Ok(Answer::No(why.to_owned()));
        if !is_wish(&capability, &group.id, &joiner, &signature) {
            return no("the invite does not prove itself: the link is damaged");
        }
        let Some(invite) = roster.invites().get(&capability) else {
            return match roster.role(&self.me().public()) {
                Some(Role::Owner) => no("this invite was revoked"),
                // It may be newer than what we know, or invented: that must not keep others out.
                _ => Ok(Answer::Wait("this member does not know the invite yet", WISH_WITHIN)),
            };
        };
        if invite.expires <= now / 1000 {
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
            return Ok(Answer::Wait("the wish was passed on to the admins", WAIT_WITHIN));
        }
        // Who was removed does not come back by a link that somebody gave away.
        if invite.approve || roster.is_removed(&joiner) {
            let seconds = now / 1000;
            let counts = |join: &Join| {
                let invite = roster.invites().get(&join.capability);
                invite.is_some_and(|invite| invite.left > 0 && invite.expires > seconds)
            };
            state.kept.drop_joins(|join| !counts(join))?;
            let join = Join { member: joiner, capability, signature, since: Time::of(at) };
            return match state.kept.add_join(join)? {
                Joining::Full => no("as many as can wait for an admin do so already; try again later"),
                Joining::Waits => Ok(Answer::Wait("an admin must approve you", WAIT_WITHIN)),
                Joining::New => {
                    let text = format!("{joiner} wants to become a member; 'kw-group approve' lets it in");
                    self.say_once(group, joiner, &text);
                    Ok(Answer::Wait("an admin must approve you", WAIT_WITHIN))
                }
            };
        }
        state.add(self, joiner, Some(capability))?;
        Ok(Answer::Member)
    }
}

impl Links {
    /// Whether a wish was not passed on a moment ago.
    fn is_new(&mut self, joiner: PublicKey, capability: PublicKey) -> bool {
        self.wishes.retain(|_, at| at.elapsed() < PASSED_ON);
        self.wishes.len() < MOST_WISHES && self.wishes.insert((joiner, capability), Instant::now()).is_none()
    }
}

/// Whether `key` was a member.
async fn was_removed(group: &Arc<Group>, key: PublicKey) -> Result<bool> {
    let group = group.clone();
    on_disk(move || Ok(group.state().replica.roster().is_removed(&key))).await
}

/// Whether `key` is a member.
async fn is_member(group: &Arc<Group>, key: PublicKey) -> Result<bool> {
    let group = group.clone();
    on_disk(move || Ok(group.state().replica.roster().role(&key).is_some())).await
}

/// The first message of a connection.
pub(super) async fn first_message(receiver: &mut Receiver) -> Result<Option<Message>> {
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
            History::None => (Vec::new(), self.new_key(|_| true, Some(member))?),
            _ => (self.keys_for_newcomer()?, None),
        };
        // An act has room for so many. The newest are needed first.
        let mut given = given.chunks(MOST_GIVEN).map(|keys| wrap(&self.replica.group(), keys, &[member]));
        let (first, rest) = (given.next().transpose()?, given.collect::<Result<Vec<Wraps>>>()?);
        let log = self.own_log(Class::Roster)?;
        let now = millis(SystemTime::now());
        let entry = self.replica.act(house.me(), log, Op::Add { member, invite, given: first }, key, now)?;
        for given in rest {
            self.replica.act(house.me(), log, Op::Give { given }, None, now)?;
        }
        self.absorb(house, std::slice::from_ref(&entry))?;
        self.kept.drop_joins(|join| join.member == member)?;
        Ok(entry)
    }

    /// The keys of the present, and of as much of the past as the group's history policy says: the newest first.
    fn keys_for_newcomer(&self) -> Result<Vec<EpochKey>> {
        if self.replica.genesis().mode != Mode::Private {
            return Ok(Vec::new());
        }
        let roster = self.replica.roster();
        let mut wanted: BTreeSet<KeyId> = roster.keys().iter().copied().collect();
        match self.replica.genesis().history {
            History::None => {}
            History::All => wanted.extend(roster.epochs().iter().map(|epoch| epoch.key)),
            History::Last(count) => {
                let since = self.clock_of_last(count)?;
                // An epoch reaches up to the beginning of the next.
                let ends = roster.epochs().iter().skip(1).map(|next| next.clock).chain([u64::MAX]);
                let reaching = roster.epochs().iter().zip(ends).filter(|(_, end)| *end > since);
                wanted.extend(reaching.map(|(epoch, _)| epoch.key));
            }
        }
        let newest = roster.epochs().iter().rev().map(|epoch| epoch.key).filter(|key| wanted.contains(key));
        Ok(newest.filter_map(|key| self.keys.get(&key).cloned()).collect())
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
