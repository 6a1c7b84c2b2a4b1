//! What members do by themselves: they say where they can be dialed. And the owner and the admins: keys for those who lack them, a new key when it is time, the removal of who
//! has left, and the owner's checkpoints.

use super::group::{Group, Loaded};
use super::{House, Status};
use crate::chat::Config;
use crate::error::{Error, Result};
use crate::group::home::forgotten_before;
use crate::group::keys::{EpochKey, wrap};
use crate::group::replica::MOST_AHEAD;
use crate::group::shelf::{Shelf, Stored};
use crate::key::PublicKey;
use crate::proto::group::roster::{Cut, Op, Place, Role, Standing, Wraps};
use crate::proto::group::{Class, Entry, Mode};
use crate::random::jittered;
use crate::threads::{lock, on_disk};
use crate::trust::millis;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How old a key grows, in milliseconds.
const KEY_AGE: u64 = 7 * 24 * 3600 * 1000;

/// How many entries are sealed under one key.
const KEY_ENTRIES: u64 = 10_000;

/// Most logs that one checkpoint settles.
const MOST_SETTLED: usize = 400;

/// How old a checkpoint grows before the owner makes another, in milliseconds.
const CHECKPOINT_AGE: u64 = 24 * 3600 * 1000;

/// How often what is too old is forgotten, in milliseconds.
const FORGET_EVERY: u64 = 24 * 3600 * 1000;

/// How often it is put on the disk who was seen, in milliseconds.
const SEEN_EVERY: u64 = 60 * 1000;

/// How long an admin leaves to the owner what the owner does as well, at most.
const LEAVE_TO_OWNER: Duration = Duration::from_secs(3);

/// Looks after a group, if that is for us.
pub(super) fn tend(house: &House, group: &Arc<Group>) {
    let (task, house, group) = (house.clone(), house.clone(), group.clone());
    task.spawn(async move {
        let (announcer, at) = (house.clone(), group.clone());
        let announced = on_disk(move || {
            let addresses = lock(&announcer.0.listening).clone();
            at.state().mend()?;
            at.state().absorb(&announcer, &[])?;
            at.state().forget(&Config::load(announcer.store())?, millis(SystemTime::now()))?;
            at.keep_seen(SEEN_EVERY)?;
            if addresses.is_empty() { Ok(()) } else { at.announce(&announcer, &addresses) }
        });
        if let Err(error) = announced.await {
            say_failure(&house, &group, &error);
        }
        let at = group.clone();
        let me = house.me().public();
        let wanted = on_disk(move || at.state().wants(&me, millis(SystemTime::now())));
        let Ok(Some((role, _))) = wanted.await else { return };
        if role == Role::Admin {
            tokio::select! {
                () = tokio::time::sleep(jittered(LEAVE_TO_OWNER / 2)) => {}
                () = house.stopped() => return,
            }
        }
        let (doer, at) = (house.clone(), group.clone());
        let done = on_disk(move || {
            let mut state = at.state();
            match state.wants(&me, millis(SystemTime::now()))? {
                Some((_, want)) => state.do_it(&doer, want).map(|_| true),
                None => Ok(false),
            }
        });
        match done.await {
            Ok(true) => group.change(),
            Ok(false) => {}
            Err(error) => say_failure(&house, &group, &error),
        }
    });
}

/// Says what failed, unless the group was given up meanwhile.
fn say_failure(house: &House, group: &Group, error: &Error) {
    if house.loaded(&group.id).is_some() {
        house.say_once(group, house.me().public(), &error.to_string());
    }
}

/// What is to be done.
pub(super) enum Want {
    Rotate,
    Give(Vec<PublicKey>),
    Remove(PublicKey),
    Checkpoint,
}

impl Group {
    /// Puts on the disk when members were seen, all together, if one was so more than `news` milliseconds after what is there.
    pub(super) fn keep_seen(&self, news: u64) -> Result<()> {
        let mut state = self.state();
        let links = self.links();
        let seen: Vec<(PublicKey, u64)> =
            links.reach.iter().filter_map(|(key, reach)| Some((*key, reach.seen?))).collect();
        let synced = links.synced;
        drop(links);
        let is_news = |kept: Option<u64>, at: u64| kept.is_none_or(|kept| kept + news < at);
        let has_news = seen.iter().any(|(key, at)| is_news(state.known.seen.get(key).copied(), *at))
            || synced.is_some_and(|at| is_news(state.known.synced, at));
        if !has_news {
            return Ok(());
        }
        let mut known = state.known.clone();
        known.seen.extend(seen);
        known.synced = synced.or(known.synced);
        state.kept.keep_known(&known)?;
        state.known = known;
        Ok(())
    }
}

impl Loaded {
    /// Drops, once a day, the texts that are older than our user keeps them.
    fn forget(&mut self, config: &Config, now: u64) -> Result<()> {
        if self.forgot + FORGET_EVERY > now {
            return Ok(());
        }
        self.forgot = now;
        match forgotten_before(config.group.keep_days, now) {
            Some(before) => self.replica.shelf_mut().forget_before(before).map(drop),
            None => Ok(()),
        }
    }

    /// What is to be done, and as what.
    fn wants(&self, me: &PublicKey, now: u64) -> Result<Option<(Role, Want)>> {
        let roster = self.replica.roster();
        let Some(role) = roster.role(me).filter(|role| *role >= Role::Admin && self.facts.status == Status::Active)
        else {
            return Ok(None);
        };
        let is_private = self.replica.genesis().mode == Mode::Private;
        let left = self.known.left.iter().copied().find(|left| roster.role(left).is_some_and(|other| other < role));
        let has_all = roster.keys().iter().all(|key| self.keys.contains_key(key));
        let lacking = roster.lacking();
        let newest = roster.epochs().iter().map(|epoch| epoch.clock).max().unwrap_or(0);
        let want = if let Some(left) = left {
            Want::Remove(left)
        } else if is_private && (roster.keys().len() > 1 || !roster.strangers().is_empty()) {
            Want::Rotate
        } else if is_private && !lacking.is_empty() {
            if has_all { Want::Give(lacking) } else { Want::Rotate }
        } else if is_private
            && (newest + KEY_AGE <= now || self.entries_between(newest, now + MOST_AHEAD)? > KEY_ENTRIES)
        {
            Want::Rotate
        } else if role == Role::Owner && self.is_checkpoint_due(now) {
            Want::Checkpoint
        } else {
            return Ok(None);
        };
        Ok(Some((role, want)))
    }

    /// How many entries of content that count have a clock after `from` and up to `to`. Whoever writes with one that is far ahead
    /// must not have all others make new keys for ever.
    pub(super) fn entries_between(&self, from: u64, to: u64) -> Result<u64> {
        let mut count = 0;
        for stored in self.replica.logs().filter(|stored| stored.log.class == Class::Content && stored.clock > from) {
            count += self.place_at(stored, to)?.saturating_sub(self.place_at(stored, from)?);
        }
        Ok(count)
    }

    /// The place of the last entry of a log that counts and whose clock is not after `clock`.
    fn place_at(&self, stored: &Stored, clock: u64) -> Result<u64> {
        let end = self.replica.end(&stored.log);
        if stored.clock <= clock {
            return Ok(end);
        }
        // The clocks of a log rise.
        let (mut low, mut high) = (0, end);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let entry = self.replica.shelf().read(&stored.log, middle, 1)?;
            match entry.first().is_some_and(|entry| entry.header.clock <= clock) {
                true => low = middle,
                false => high = middle - 1,
            }
        }
        Ok(low)
    }

    fn is_checkpoint_due(&self, now: u64) -> bool {
        let acts = self.replica.acts();
        let last = acts.iter().filter(|act| matches!(act.act.op, Op::Checkpoint { .. })).map(|act| act.clock).max();
        let began = self.replica.genesis().created.saturating_mul(1000);
        let since = last.unwrap_or(began);
        since + CHECKPOINT_AGE <= now && self.replica.logs().any(|stored| stored.clock > since)
    }

    /// Does it.
    pub(super) fn do_it(&mut self, house: &House, want: Want) -> Result<Entry> {
        let now = millis(SystemTime::now());
        let me = house.me().clone();
        let roster = self.replica.roster();
        let (op, key) = match want {
            Want::Rotate => (Op::Rotate {}, self.new_key(|_| true, None)?),
            Want::Give(to) => {
                let keys: Vec<EpochKey> = roster.keys().iter().filter_map(|key| self.keys.get(key).cloned()).collect();
                (Op::Give { given: wrap(&self.replica.group(), &keys, &to)? }, None)
            }
            Want::Remove(member) => {
                (Op::Remove { member, cut: self.cut(&member)? }, self.new_key(|one| *one != member, None)?)
            }
            Want::Checkpoint => {
                let standing = |(key, member): (&PublicKey, &crate::group::roster::Member)| Standing {
                    member: *key,
                    role: member.role,
                    muted: member.muted,
                };
                let members = roster.members().iter().filter(|(_, member)| member.role != Role::Owner).map(standing);
                let members = members.collect();
                (Op::Checkpoint { members, frontier: self.frontier() }, None)
            }
        };
        let log = self.own_log(Class::Roster)?;
        let entry = self.replica.act(&me, log, op, key, now)?;
        self.absorb(house, std::slice::from_ref(&entry))?;
        Ok(entry)
    }

    /// A new key for those members who stay, and one who comes; none where the group has no epoch keys.
    pub(super) fn new_key(
        &self,
        stays: impl Fn(&PublicKey) -> bool,
        comes: Option<PublicKey>,
    ) -> Result<Option<Wraps>> {
        if self.replica.genesis().mode != Mode::Private {
            return Ok(None);
        }
        let members = self.replica.roster().members().keys().filter(|key| stays(key)).copied();
        let members: Vec<PublicKey> = members.chain(comes).collect();
        wrap(&self.replica.group(), &[EpochKey::random()?], &members).map(Some)
    }

    /// The last entries of a member that we have.
    pub(super) fn cut(&self, member: &PublicKey) -> Result<Cut> {
        Ok(Cut { content: self.places(Class::Content, member)?, roster: self.places(Class::Roster, member)? })
    }

    /// The last entries that count of those logs of content that were written last: as many as an act holds beside all members.
    fn frontier(&self) -> Vec<Place> {
        let mut logs: Vec<&Stored> = self.replica.logs().filter(|stored| stored.log.class == Class::Content).collect();
        logs.retain(|stored| self.replica.end(&stored.log) == stored.seq);
        logs.sort_by_key(|stored| std::cmp::Reverse((stored.clock, stored.log)));
        logs.truncate(MOST_SETTLED);
        logs.iter().map(|stored| Place::of(&stored.log, stored.seq, stored.id)).collect()
    }

    /// The last entry that counts in each log of a class and an author.
    fn places(&self, class: Class, of: &PublicKey) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        for stored in self.replica.logs().filter(|stored| stored.log.class == class && stored.log.author == *of) {
            let end = self.replica.end(&stored.log);
            let id = match end == stored.seq {
                true => Some(stored.id),
                // An earlier cut went through it: what that left stays.
                false => self.replica.read(&stored.log, end, 1)?.first().map(|entry| entry.id),
            };
            places.extend(id.filter(|_| end > 0).map(|id| Place::of(&stored.log, end, id)));
        }
        Ok(places)
    }
}
