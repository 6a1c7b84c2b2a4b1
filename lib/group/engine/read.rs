//! Reading: what was said, and how a group stands.

use super::House;
use super::group::{Group, Loaded};
use super::report::{Begin, Brief, Info, InviteInfo, JoinInfo, MemberInfo};
use crate::error::Result;
use crate::group::history::{History as Said, Lens, Message, Position};
use crate::group::keys::Opened;
use crate::group::roster::Verdict;
use crate::key::PublicKey;
use crate::proto::group::{Class, Entry, EntryId, GroupId, Header, History, LogId};
use crate::threads::on_disk;
use crate::trust::millis;
use std::time::SystemTime;

impl House {
    /// All groups that are here, those that were left among them, by name.
    ///
    /// # Errors
    /// State that cannot be read.
    pub async fn groups(&self) -> Result<Vec<Brief>> {
        let house = self.clone();
        on_disk(move || {
            let mut briefs: Vec<Brief> = house.all().iter().map(|group| group.brief()).collect();
            briefs.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
            Ok(briefs)
        })
        .await
    }

    /// The group that `word` names: by its name here, its id, or the beginning of that, 8 digits or more.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub async fn find(&self, word: &str) -> Result<Brief> {
        let (house, word) = (self.clone(), word.to_owned());
        on_disk(move || Ok(house.group(&house.0.home.find(&word)?.id())?.brief())).await
    }

    /// How a group stands.
    ///
    /// # Errors
    /// State that cannot be read.
    pub async fn info(&self, group: GroupId) -> Result<Info> {
        let group = self.group(&group)?;
        let me = self.me().public();
        on_disk(move || group.info(me)).await
    }

    /// The last `most` messages, oldest first. Waits for the disk.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn last(&self, group: GroupId, most: usize) -> Result<Vec<Message>> {
        let group = self.group(&group)?;
        let state = group.state();
        state.look(|history, lens| history.last(most, lens))
    }

    /// Where a reader stands who begins at `begin`. Waits for the disk.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn position(&self, group: GroupId, begin: Begin) -> Result<Position> {
        let group = self.group(&group)?;
        let state = group.state();
        state.look(|history, _| match begin {
            Begin::Start => Ok(Position::new()),
            Begin::Now => Ok(history.end()),
            Begin::Time(time) => history.at(time),
        })
    }

    /// The next messages behind `position`, which is moved behind them: at most `most`, in order; none if there are no more.
    /// Waits for the disk.
    ///
    /// # Errors
    /// State that cannot be read.
    pub fn after(&self, group: GroupId, position: &mut Position, most: usize) -> Result<Vec<Message>> {
        let group = self.group(&group)?;
        let state = group.state();
        state.look(|history, lens| history.after(position, most, lens))
    }

    /// Where the cursor `name` stands; `None` if it is new. Waits for the disk.
    ///
    /// # Errors
    /// A name that cannot be one; state that cannot be read.
    pub fn cursor(&self, group: GroupId, name: &str) -> Result<Option<Position>> {
        self.group(&group)?.state().kept.cursor(name)
    }

    /// Moves the cursor `name`. Waits for the disk.
    ///
    /// # Errors
    /// As [`House::cursor`]; too many names.
    pub fn set_cursor(&self, group: GroupId, name: &str, position: &Position) -> Result<()> {
        self.group(&group)?.state().kept.set_cursor(name, position)
    }
}

impl Loaded {
    /// Looks at what was said, as the roster and the keys are now.
    fn look<R>(&self, look: impl FnOnce(&Said, Lens<'_>) -> Result<R>) -> Result<R> {
        let open = |entry: &Entry| -> Opened { self.open(entry) };
        let verdict = |header: &Header, first: &EntryId| -> Verdict { self.replica.roster().verdict(header, first) };
        let end = |log: &LogId, _: &EntryId| Some(self.replica.end(log));
        look(&Said::open(&self.kept)?, Lens { open: &open, verdict: &verdict, end: &end })
    }
}

impl Group {
    fn brief(&self) -> Brief {
        let state = self.state();
        Brief { id: self.id, name: state.facts.name.clone(), mode: self.genesis.mode, status: state.facts.status }
    }

    fn info(&self, me: PublicKey) -> Result<Info> {
        let brief = self.brief();
        let state = self.state();
        let roster = state.replica.roster();
        let links = self.links();
        let member = |(key, member): (&PublicKey, &crate::group::roster::Member)| {
            let reach = links.reach.get(key);
            let addresses = state.known.addresses.get(key).map(|at| at.iter().map(ToString::to_string).collect());
            MemberInfo {
                member: *key,
                role: member.role,
                muted: member.muted,
                addresses: addresses.unwrap_or_default(),
                connected: links.sessions.values().any(|link| link.peer == *key),
                seen: reach.and_then(|reach| reach.seen).or_else(|| state.known.seen.get(key).copied()),
                failure: reach.and_then(|reach| reach.failure.clone()),
            }
        };
        let invite = |(key, invite): (&PublicKey, &crate::group::roster::Invite)| InviteInfo {
            capability: *key,
            by: invite.by,
            expires: invite.expires,
            left: invite.left,
            approve: invite.approve,
        };
        let now = millis(SystemTime::now()) / 1000;
        let counts =
            |(_, invite): &(&PublicKey, &crate::group::roster::Invite)| invite.expires > now && invite.left > 0;
        let joins = state.kept.joins()?.into_iter().map(|join| JoinInfo {
            member: join.member,
            capability: join.capability,
            since: join.since.unix().saturating_mul(1000),
        });
        let gaps = state.look(|history, lens| Ok(history.missing(lens)))?;
        let content = state.replica.logs().filter(|stored| stored.log.class == Class::Content);
        let entries = content.map(|stored| stored.seq).sum();
        Ok(Info {
            brief,
            title: roster.name().to_owned(),
            owner: self.genesis.owner,
            me,
            created: self.genesis.created,
            history: match self.genesis.history {
                History::None => "none".to_owned(),
                History::All => "all".to_owned(),
                History::Last(count) => count.to_string(),
            },
            members: roster.members().iter().map(member).collect(),
            invites: roster.invites().iter().filter(counts).map(invite).collect(),
            joins: joins.collect(),
            gaps,
            forks: state.replica.forks().map(|fork| fork[0].header.log.author).collect(),
            void: roster.void().iter().map(|(id, why)| format!("{}: {why}", super::short_entry(id))).collect(),
            entries,
            synced: links.synced.or(state.known.synced),
        })
    }
}
