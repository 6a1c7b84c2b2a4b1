//! What entries bring beside themselves: keys, addresses, who has left, who is what, and how we stand.

use super::group::Loaded;
use super::report::Event;
use super::{House, Status};
use crate::addr::HostPort;
use crate::error::Result;
use crate::group::keys::{EpochKey, Opened, unwrap};
use crate::group::shelf::{Shelf, Stored};
use crate::key::{KeyPair, PublicKey};
use crate::proto::group::roster::{Act, Op, Role, Wraps};
use crate::proto::group::{Addresses, Class, Entry, Kind};
use crate::trust::MAX_ADDRESSES;
use std::collections::BTreeMap;

/// How many entries at the end of each log are looked at again: what a process that died had stored and not looked at.
const LOOKED_AT_AGAIN: u64 = 32;

/// Who is who, as the user was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    name: String,
    members: BTreeMap<PublicKey, (Role, bool)>,
}

/// The keys that an act brings.
fn wraps<'a>(op: &'a Op, key: Option<&'a Wraps>) -> Vec<&'a Wraps> {
    let given = match op {
        Op::Add { given, .. } => given.as_ref(),
        Op::Give { given } => Some(given),
        _ => None,
    };
    given.into_iter().chain(key).collect()
}

impl Loaded {
    /// Looks again at what a process that died had stored and not looked at; at everything if what was known is gone.
    pub(super) fn catch_up(&mut self, me: &KeyPair, is_gone: bool) -> Result<()> {
        let given: Vec<Wraps> =
            self.replica.acts().iter().flat_map(|act| wraps(&act.act.op, act.act.key.as_ref())).cloned().collect();
        self.gather(me, &given)?;
        let content = self.replica.logs().filter(|stored| stored.log.class == Class::Content);
        let logs: Vec<Stored> = content.copied().collect();
        let before = self.known.clone();
        for stored in logs {
            let mut at = if is_gone { 1 } else { stored.seq.saturating_sub(LOOKED_AT_AGAIN) + 1 };
            while at <= stored.seq {
                let entries = self.replica.shelf().read(&stored.log, at, 1 << 20)?;
                let Some(last) = entries.last() else { break };
                at = last.header.seq + 1;
                entries.iter().for_each(|entry| self.learn(entry));
            }
        }
        self.forget_who_left();
        match self.known == before {
            true => Ok(()),
            false => self.kept.keep_known(&self.known),
        }
    }

    /// Sees what new entries bring beside themselves. What cannot be kept now, with a full disk for one, is tried again the next
    /// time.
    pub(super) fn absorb(&mut self, house: &House, entries: &[Entry]) -> Result<()> {
        let mut earlier = std::mem::take(&mut self.unabsorbed);
        let kept = self.absorb_all(house, &earlier).and_then(|()| self.absorb_all(house, entries));
        if kept.is_err() {
            earlier.extend_from_slice(entries);
            self.unabsorbed = earlier;
        }
        kept
    }

    fn absorb_all(&mut self, house: &House, entries: &[Entry]) -> Result<()> {
        let mut given = Vec::new();
        let mut has_acts = false;
        for entry in entries.iter().filter(|entry| entry.header.kind == Kind::Act) {
            has_acts = true;
            let act = entry.body.as_deref().map(Act::decode).transpose()?;
            given.extend(act.iter().flat_map(|act| wraps(&act.op, act.key.as_ref())).cloned());
        }
        self.gather(house.me(), &given)?;
        let before = self.known.clone();
        for entry in entries {
            self.learn(entry);
            if entry.header.kind == Kind::Message {
                house.tell(Event::Message { group: self.replica.group() });
            }
        }
        if has_acts {
            self.see_standing(house)?;
            self.tell_changes(house);
            self.forget_who_left();
        }
        match self.known == before {
            true => Ok(()),
            false => self.kept.keep_known(&self.known),
        }
    }

    /// Keeps the keys among `given` that are for us.
    fn gather(&mut self, me: &KeyPair, given: &[Wraps]) -> Result<()> {
        let group = self.replica.group();
        let mut new: Vec<EpochKey> = Vec::new();
        for wraps in given {
            let lacks = |key| !self.keys.contains_key(key);
            for wrap in wraps.boxes.iter().filter(|wrap| wrap.member == me.public() && lacks(&wrap.key)) {
                new.extend(unwrap(&group, me, &wraps.ephemeral, wrap));
            }
        }
        if !new.is_empty() {
            self.kept.add_keys(&new)?;
            self.keys.extend(new.into_iter().map(|key| (key.id(), key)));
        }
        Ok(())
    }

    /// Sees what a member says of itself.
    fn learn(&mut self, entry: &Entry) {
        let header = &entry.header;
        let author = header.log.author;
        match header.kind {
            Kind::Addresses if self.known.said.get(&author).is_none_or(|said| *said <= header.clock) => {
                if let Opened::Text(text) = self.open(entry)
                    && let Ok(said) = Addresses::decode(&text)
                {
                    let addresses: Vec<HostPort> =
                        said.addresses.iter().take(MAX_ADDRESSES).filter_map(|at| at.parse().ok()).collect();
                    if self.known.addresses.get(&author) != Some(&addresses) {
                        self.known.addresses.insert(author, addresses);
                        self.known.said.insert(author, header.clock);
                    }
                }
            }
            // A log that was cut is one from before the author came again.
            Kind::Leave if !self.replica.is_closed(&header.log) => {
                self.known.left.insert(author);
            }
            _ => {}
        }
    }

    /// Of those who are no members any more it is not kept that they have left: they may come again.
    fn forget_who_left(&mut self) {
        let roster = self.replica.roster();
        self.known.left.retain(|key| roster.role(key).is_some());
    }

    /// Sees whether we are a member: the roster says so, and nobody else.
    fn see_standing(&mut self, house: &House) -> Result<()> {
        let me = house.me().public();
        let roster = self.replica.roster();
        let status = match (self.facts.status, roster.role(&me).is_some()) {
            (Status::Pending | Status::Waiting | Status::Removed, true) => Status::Active,
            (Status::Active, false) if roster.is_removed(&me) => Status::Removed,
            _ => return Ok(()),
        };
        self.set_status(house, status)
    }

    pub(super) fn set_status(&mut self, house: &House, status: Status) -> Result<()> {
        if self.facts.status == status {
            return Ok(());
        }
        self.change_facts(|facts| facts.status = status)?;
        let text = match status {
            Status::Active => "you are a member now",
            Status::Removed => "you were removed",
            Status::Left => "you have left",
            Status::Waiting => "an admin must approve you",
            Status::Pending => "no member was reached yet",
        };
        let id = self.replica.group();
        house.tell(Event::Roster { group: id, text: text.to_owned() });
        if let Some(group) = house.loaded(&id).filter(|_| status == Status::Active) {
            // The others may need to know at once where a new member can be dialed.
            super::tend::tend(house, &group);
        }
        Ok(())
    }

    /// Who is who, now.
    pub(super) fn who_is_who(&self) -> Told {
        let roster = self.replica.roster();
        let members = roster.members().iter().map(|(key, member)| (*key, (member.role, member.muted)));
        Told { name: roster.name().to_owned(), members: members.collect() }
    }

    /// Tells what has changed among the others; to whoever has just come, nothing.
    fn tell_changes(&mut self, house: &House) {
        let now = self.who_is_who();
        let before = std::mem::replace(&mut self.told, now.clone());
        let me = house.me().public();
        if !before.members.contains_key(&me) || !now.members.contains_key(&me) {
            return;
        }
        let mut changes = Vec::new();
        if now.name != before.name && !before.name.is_empty() {
            changes.push(format!("it is called {} now", crate::term::sanitize_line(&now.name)));
        }
        for (key, (role, is_muted)) in &now.members {
            let (who, is) = if *key == me { ("you".to_owned(), "are") } else { (key.short(), "is") };
            match before.members.get(key) {
                None => changes.push(format!("{who} {is} a member now")),
                Some((was, _)) if was < role => changes.push(format!("{who} {is} an admin now")),
                Some((was, _)) if was > role => changes.push(format!("{who} {is} no admin any more")),
                Some(_) => {}
            }
            match before.members.get(key) {
                Some((_, false)) if *is_muted => changes.push(format!("{who} {is} muted now")),
                Some((_, true)) if !is_muted => changes.push(format!("{who} {is} muted no more")),
                _ => {}
            }
        }
        for key in before.members.keys().filter(|key| !now.members.contains_key(key)) {
            let how = if self.known.left.contains(key) { "has left" } else { "was removed" };
            changes.push(format!("{} {how}", key.short()));
        }
        for text in changes {
            house.tell(Event::Roster { group: self.replica.group(), text });
        }
    }
}
