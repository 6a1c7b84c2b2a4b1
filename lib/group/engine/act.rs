//! What changes the roster: making a group, inviting, and what the owner and admins do.

use super::group::{Group, Loaded};
use super::report::{Deed, Terms};
use super::tend::Want;
use super::{House, Status};
use crate::addr::PeerAddr;
use crate::error::{Error, Result};
use crate::group::home::{Facts, Wish};
use crate::group::keys::{EpochKey, wrap};
use crate::kdf::Secret;
use crate::key::{KeyPair, PublicKey};
use crate::proto::group::link::{SECRET_LEN, capability, wish};
use crate::proto::group::roster::{Cut, Op};
use crate::proto::group::{Class, Entry, EntryId, Genesis, GroupId, History, KeyId, Kind, Link, MAX_NAME_LEN, Mode};
use crate::random;
use crate::term;
use crate::threads::{lock, on_disk};
use crate::trust::{MAX_ADDRESSES, millis};
use std::sync::Arc;
use std::time::SystemTime;
use zeroize::Zeroizing;

impl House {
    /// Makes a group, of which we are the owner.
    ///
    /// # Errors
    /// A name that cannot be one, or that another group here has; state that cannot be written.
    pub async fn create(&self, name: String, mode: Mode, history: History) -> Result<GroupId> {
        check_name(&name)?;
        let house = self.clone();
        on_disk(move || {
            let now = millis(SystemTime::now());
            let me = house.me().clone();
            let key = EpochKey::random()?;
            let salt = random::bytes()?;
            let mut genesis =
                Genesis { owner: me.public(), created: now / 1000, mode, history, key: KeyId::default(), salt };
            if mode == Mode::Open {
                genesis.key = key.id();
            }
            let keys = if mode == Mode::Public { Vec::new() } else { vec![key.clone()] };
            Ok(house.keep(Facts::new(&name, genesis, Status::Active), &keys)?.id)
        })
        .await
    }

    /// Makes an invite; and the entry that says so to the others.
    ///
    /// # Errors
    /// We may not ([`crate::error::Kind::Refused`]).
    pub async fn invite(&self, group: GroupId, terms: Terms) -> Result<(Link, EntryId)> {
        self.with_news(group, || self.try_to_invite(group, terms)).await
    }

    async fn try_to_invite(&self, group: GroupId, terms: Terms) -> Result<(Link, EntryId)> {
        let group = self.group(&group)?;
        let (house, at) = (self.clone(), group.clone());
        let made = on_disk(move || {
            let mut state = at.state();
            state.role(&house.me().public())?;
            let mut secret = Zeroizing::new([0; SECRET_LEN]);
            random::fill(secret.as_mut())?;
            let capability = capability(&at.id, &secret).public();
            let expires = millis(SystemTime::now()) / 1000 + terms.expires;
            let op = Op::Invite { capability, expires, uses: terms.uses, approve: terms.approve };
            let entry = state.do_op(&house, op)?;
            let me = house.me().public();
            let ours =
                lock(&house.0.listening).iter().map(|at| PeerAddr { key: me, at: at.clone() }).collect::<Vec<_>>();
            let roster = state.replica.roster();
            let others = state.known.addresses.iter().filter(|(key, _)| roster.role(key).is_some() && **key != me);
            let others = others.flat_map(|(key, at)| at.iter().map(|at| PeerAddr { key: *key, at: at.clone() }));
            let mut peers: Vec<PeerAddr> = ours.into_iter().chain(others).collect();
            peers.truncate(MAX_ADDRESSES);
            let key = (at.genesis.mode == Mode::Open).then(|| state.keys.get(&at.genesis.key).map(|key| key.0.clone()));
            let name = roster.name().to_owned();
            Ok((Link { genesis: at.genesis.clone(), name, peers, secret, key: key.flatten() }, entry.id))
        });
        let made = made.await?;
        group.change();
        Ok(made)
    }

    /// Acts on the roster; the entry, if there is one, can be followed as a message can.
    ///
    /// # Errors
    /// We may not ([`crate::error::Kind::Refused`]); there is no such member, wish or invite ([`crate::error::Kind::No`]).
    pub async fn act(&self, group: GroupId, deed: Deed) -> Result<Option<EntryId>> {
        self.with_news(group, || self.try_to_act(group, deed.clone())).await
    }

    async fn try_to_act(&self, group: GroupId, deed: Deed) -> Result<Option<EntryId>> {
        let group = self.group(&group)?;
        let (house, at) = (self.clone(), group.clone());
        let id = on_disk(move || {
            let mut state = at.state();
            state.role(&house.me().public())?;
            state.do_deed(&house, deed)
        })
        .await?;
        group.change();
        Ok(id)
    }

    /// Leaves; the entry that says so to the others, if we were a member. What was said stays here. Of a group in which we never
    /// were a member nothing stays.
    ///
    /// # Errors
    /// The owner cannot leave ([`crate::error::Kind::Refused`]).
    pub async fn leave(&self, group: GroupId) -> Result<Option<EntryId>> {
        let group = self.group(&group)?;
        let (house, at) = (self.clone(), group.clone());
        let left = on_disk(move || {
            let me = house.me().public();
            if at.genesis.owner == me {
                return Err(Error::refused("the owner cannot leave: without it nobody could make admins any more")
                    .hint("the others go on without you all the same, if you only stop"));
            }
            if house.withdraw(&at)? {
                return Ok(None);
            }
            let is_member = at.state().role(&me).is_ok();
            let id = if is_member { Some(at.write(&house, Kind::Leave, &[], EntryId::default())?) } else { None };
            at.state().set_status(&house, Status::Left)?;
            Ok(id)
        })
        .await?;
        group.change();
        Ok(left)
    }

    /// Keeps the group of a link.
    pub(super) fn keep_link(&self, link: &Link, name: Option<String>) -> Result<Arc<Group>> {
        let id = link.genesis.id();
        let me = self.me().public();
        let capability = capability(&id, &link.secret);
        let asked = Wish { capability: capability.public(), signature: wish(&capability, &id, &me)? };
        if let Some(group) = self.loaded(&id) {
            let mut state = group.state();
            if state.facts.status == Status::Active {
                return Err(Error::no("you are a member of this group already"));
            }
            let peers = link.peers.clone();
            state.change_facts(|facts| {
                (facts.wish, facts.peers, facts.status) = (Some(asked), peers, Status::Pending)
            })?;
            drop(state);
            // Who refused us may let us in by this one.
            group.links().reach.clear();
            return Ok(group);
        }
        let name = match name {
            Some(name) => {
                check_name(&name)?;
                name
            }
            None => match check_name(&link.name) {
                Ok(()) => self.0.home.free_name(&link.name)?,
                Err(_) => super::short_id(&id),
            },
        };
        let mut facts = Facts::new(&name, link.genesis.clone(), Status::Pending);
        facts.peers.clone_from(&link.peers);
        facts.wish = Some(asked);
        let keys: Vec<EpochKey> = link.key.iter().map(|key: &Secret| EpochKey(key.clone())).collect();
        self.keep(facts, &keys)
    }
}

impl Loaded {
    /// Writes the first act of a group of ours that has none: it is new, or whoever made it died on the way.
    pub(super) fn begin(&mut self, me: &KeyPair) -> Result<()> {
        let genesis = self.replica.genesis();
        if genesis.owner != me.public() || !self.kept.is_unwritten(Class::Roster)? {
            return Ok(());
        }
        let keys: Vec<EpochKey> = self.keys.values().cloned().collect();
        let wraps = match genesis.mode {
            Mode::Private => Some(wrap(&self.replica.group(), &keys, &[me.public()])?),
            Mode::Public | Mode::Open => None,
        };
        let log = self.own_log(Class::Roster)?;
        let name = self.facts.name.clone();
        self.replica.act(me, log, Op::Create { name }, wraps, millis(SystemTime::now()))?;
        Ok(())
    }

    /// Writes an act that needs no key.
    fn do_op(&mut self, house: &House, op: Op) -> Result<Entry> {
        let me = house.me().clone();
        let roster = self.replica.roster();
        roster.may(&me.public(), &op).map_err(Error::refused)?;
        let log = self.own_log(Class::Roster)?;
        let entry = self.replica.act(&me, log, op, None, millis(SystemTime::now()))?;
        self.absorb(house, std::slice::from_ref(&entry))?;
        Ok(entry)
    }

    /// The entry that says so to the others; none where it is nothing to them.
    fn do_deed(&mut self, house: &House, deed: Deed) -> Result<Option<EntryId>> {
        let roster = self.replica.roster();
        let is_member = |key: &PublicKey| match roster.role(key) {
            Some(_) => Ok(()),
            None => Err(Error::no(format!("{} is no member", key.short())).hint("'kw-group members' shows who is one")),
        };
        let is_asking = |key: &PublicKey| Ok::<_, Error>(self.kept.joins()?.iter().any(|join| join.member == *key));
        let entry = match deed {
            Deed::Revoke(capability) => match roster.invites().contains_key(&capability) {
                true => {
                    self.kept.drop_joins(|join| join.capability == capability)?;
                    self.do_op(house, Op::Revoke { capability })
                }
                false => Err(Error::no("there is no such invite").hint("'kw-group invite --list' shows them")),
            },
            Deed::Rename(name) => {
                check_name(&name)?;
                self.do_op(house, Op::Rename { name })
            }
            Deed::Promote(member) => is_member(&member).and_then(|()| self.do_op(house, Op::Promote { member })),
            Deed::Demote(member) => {
                is_member(&member)?;
                let cut = self.cut(&member)?;
                self.do_op(house, Op::Demote { member, cut: Cut { content: Vec::new(), ..cut } })
            }
            Deed::Mute(member) => {
                is_member(&member)?;
                let cut = self.cut(&member)?;
                self.do_op(house, Op::Mute { member, cut: Cut { roster: Vec::new(), ..cut } })
            }
            Deed::Unmute(member) => is_member(&member).and_then(|()| self.do_op(house, Op::Unmute { member })),
            Deed::Remove(member) if roster.role(&member).is_none() && is_asking(&member)? => {
                self.kept.drop_joins(|join| join.member == member)?;
                return Ok(None);
            }
            Deed::Remove(member) => {
                is_member(&member)?;
                let me = house.me().public();
                let op = Op::Remove { member, cut: Cut::default() };
                roster.may(&me, &op).map_err(Error::refused)?;
                self.do_it(house, Want::Remove(member))
            }
            Deed::Approve(member) => {
                let joins = self.kept.joins()?;
                let Some(join) = joins.iter().find(|join| join.member == member) else {
                    return Err(Error::no(format!("{} has not asked to become a member", member.short()))
                        .hint("'kw-group members' shows who has"));
                };
                self.add(house, member, Some(join.capability))
            }
        };
        Ok(Some(entry?.id))
    }
}

fn check_name(name: &str) -> Result<()> {
    let length = name.chars().count();
    match (1..=MAX_NAME_LEN).contains(&length) && !name.contains(term::is_unsafe) {
        true => Ok(()),
        false => Err(Error::usage(format!("the name of a group has 1 to {MAX_NAME_LEN} characters that can be shown"))),
    }
}
