//! Who is who: a fold over the signed acts of the owner and the admins.
//!
//! What comes of it depends on the set of acts alone, not on the order in which they came; so all who have the same acts agree.

mod causality;
mod ends;
mod fold;
mod force;
mod keys;
mod members;
mod rules;
mod verdict;

#[cfg(test)]
mod tests;

use crate::key::PublicKey;
use crate::proto::group::roster::{Act, Op, Place, Role};
use crate::proto::group::{EntryId, Genesis, Inc, KeyId, Mode};
use causality::History;
pub use ends::Ends;
use ends::Left;
use fold::Fold;
use rules::Past;
use std::collections::{BTreeMap, HashMap};
pub use verdict::MOST_ACTS;
use verdict::Person;

/// An act that is stored: signed, in its place in its log, and with all there that it has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whose, and where.
    pub place: Place,
    /// Its entry's clock.
    pub clock: u64,
    /// What it says.
    pub act: Act,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it may do.
    pub role: Role,
    /// Whether it is not heard.
    pub muted: bool,
    /// By which invite it came.
    pub invite: Option<PublicKey>,
}

/// An invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Who made it.
    pub by: PublicKey,
    /// Until when, in seconds since 1970.
    pub expires: u64,
    /// How many may still come by it.
    pub left: u32,
    /// Whether an admin must approve each.
    pub approve: bool,
}

/// What becomes of an entry, as the roster is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Counts,
    /// It is stored and passed on, for the sake of what follows in its log, but not shown; and why.
    Hidden(String),
    /// It is neither stored nor passed on; and why.
    Refused(String),
    /// It names an act that is not here yet.
    Later,
}

/// The members, by their keys.
type Members = BTreeMap<PublicKey, Member>;

/// Who is who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    owner: PublicKey,
    mode: Mode,
    name: String,
    members: Members,
    invites: BTreeMap<PublicKey, Invite>,
    keys: Vec<KeyId>,
    epochs: Vec<Epoch>,
    strangers: Vec<PublicKey>,
    void: Vec<(EntryId, String)>,
    /// For the verdicts: what was done before what, what was done to whom, and which removals replaced which keys.
    history: History,
    people: HashMap<PublicKey, Person>,
    retired: HashMap<KeyId, Vec<Vec<usize>>>,
    /// Whether acts may have been known to somebody that count for nobody.
    is_forked: bool,
}

impl Roster {
    /// Folds `acts`, which are all that are stored, in any order.
    #[must_use]
    pub fn fold(genesis: &Genesis, acts: &[Known]) -> Self {
        Self::fold_before(genesis, acts, &Ends::new(), false)
    }

    /// The same, where logs end before acts that count for nobody: for their authors wrote two in one place (`is_forked`), or
    /// behind cuts.
    #[must_use]
    pub fn fold_before(genesis: &Genesis, acts: &[Known], ends: &Ends, is_forked: bool) -> Self {
        let Left { acts, unsure } = Left::of(acts, ends);
        let fold = Fold::of(genesis, &acts, unsure);
        let members = fold.members_by_key();
        let keys = fold.keys(&members);
        let (name, invites, people) = (fold.name(), fold.open_invites(), fold.people());
        Roster {
            owner: genesis.owner,
            mode: genesis.mode,
            name,
            members,
            invites,
            keys: keys.present,
            epochs: keys.epochs,
            strangers: keys.strangers,
            void: fold.void_acts(),
            people,
            retired: keys.retired,
            is_forked,
            history: fold.history,
        }
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The members, the owner among them.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<PublicKey, Member> {
        &self.members
    }

    /// What `key` may do; none if it is no member.
    #[must_use]
    pub fn role(&self, key: &PublicKey) -> Option<Role> {
        self.members.get(key).map(|member| member.role)
    }

    /// Whether `key` is or was a member: only then is anything of it stored.
    #[must_use]
    pub fn was_ever(&self, key: &PublicKey) -> bool {
        *key == self.owner || self.people.get(key).is_some_and(Person::was_member)
    }

    /// Whether `key` was removed, and not added again: no invite alone lets it in.
    #[must_use]
    pub fn is_removed(&self, key: &PublicKey) -> bool {
        !self.members.contains_key(key) && self.people.get(key).is_some_and(Person::was_removed)
    }

    /// The invites that were not revoked, used up or not, expired or not.
    #[must_use]
    pub fn invites(&self) -> &BTreeMap<PublicKey, Invite> {
        &self.invites
    }

    /// The last act in each roster log, void or not.
    #[must_use]
    pub fn heads(&self) -> &[Place] {
        self.history.heads()
    }

    /// What a new act in the log `inc` of `author` has seen: the last act in each roster log but that.
    #[must_use]
    pub fn next(&self, author: &PublicKey, inc: &Inc) -> Vec<Place> {
        let is_other = |place: &&Place| (&place.author, &place.inc) != (author, inc);
        self.heads().iter().filter(is_other).copied().collect()
    }

    /// Why an act by `author` with everything seen that is here would be void, in words for who wants it; its key is another
    /// question.
    ///
    /// # Errors
    /// It would be void.
    pub fn may(&self, author: &PublicKey, op: &Op) -> Result<(), String> {
        rules::check(self, author, op)
    }

    /// The act that content of `author` names as the last it knew: of the heads by which the author is a member, and heard,
    /// the one with the highest clock, then id; zero without acts.
    #[must_use]
    pub fn head(&self, author: &PublicKey) -> EntryId {
        let rank = |place: &&Place| {
            let number = self.history.number(&place.id);
            let person = self.people.get(author);
            let standing = number.zip(person).map(|(head, person)| person.standing_after(&self.history, head));
            (standing, number.map(|number| self.history.clock(number)), place.id)
        };
        self.heads().iter().max_by_key(rank).map(|place| place.id).unwrap_or_default()
    }

    /// The keys under which is sealed what is written now, sorted: those that no later one, by an act that had seen it,
    /// replaced. Concurrent removals leave several, and whoever was removed by any lacks one.
    #[must_use]
    pub fn keys(&self) -> &[KeyId] {
        &self.keys
    }

    /// All valid epoch keys with those they were given to, oldest first by clock.
    #[must_use]
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// Members who lack a present key; the owner or an admin gives it to them, or makes a new one.
    #[must_use]
    pub fn lacking(&self) -> Vec<PublicKey> {
        let present: Vec<&Epoch> = self.epochs.iter().filter(|epoch| self.keys.contains(&epoch.key)).collect();
        let lacks = |key: &&PublicKey| !present.iter().all(|epoch| epoch.holders.contains(key));
        self.members.keys().filter(lacks).copied().collect()
    }

    /// Those who are no members and may have all present keys, for an act gave them that is void now, or beaten: the owner or
    /// an admin makes a new key.
    #[must_use]
    pub fn strangers(&self) -> &[PublicKey] {
        &self.strangers
    }

    /// Acts that are stored and do nothing, and why: named to the user, for an honest program makes none but by chance.
    #[must_use]
    pub fn void(&self) -> &[(EntryId, String)] {
        &self.void
    }
}

impl Past for Roster {
    fn owner(&self) -> PublicKey {
        self.owner
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn is_empty(&self) -> bool {
        self.heads().is_empty()
    }

    fn standing(&self, key: &PublicKey) -> Option<(Role, bool)> {
        self.members.get(key).map(|member| (member.role, member.muted))
    }

    fn count(&self) -> usize {
        self.members.len()
    }

    fn left(&self, capability: &PublicKey) -> Option<u32> {
        self.invites.get(capability).map(|invite| invite.left)
    }

    fn has(&self, place: &Place) -> bool {
        self.history.has(place)
    }
}

/// An epoch key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Which.
    pub key: KeyId,
    /// The act that brought it.
    pub act: EntryId,
    /// That act's clock.
    pub clock: u64,
    /// Who has it.
    pub holders: std::collections::BTreeSet<PublicKey>,
}
