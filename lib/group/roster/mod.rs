//! Who is who: a fold over the signed acts of the owner and the admins.
//!
//! What comes of it depends on the set of acts alone, not on the order in which they came; so all who have the same acts agree.

use crate::key::PublicKey;
use crate::proto::group::roster::{Act, Place, Role};
use crate::proto::group::{EntryId, Genesis, Header, KeyId};
use std::collections::BTreeMap;

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

/// Who is who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    name: String,
    members: BTreeMap<PublicKey, Member>,
    invites: BTreeMap<PublicKey, Invite>,
    keys: Vec<KeyId>,
    void: Vec<(EntryId, String)>,
}

impl Roster {
    /// Folds `acts`, which are all that are stored, in any order.
    #[must_use]
    pub fn fold(_genesis: &Genesis, _acts: &[Known]) -> Self {
        Roster {
            name: String::new(),
            members: BTreeMap::new(),
            invites: BTreeMap::new(),
            keys: Vec::new(),
            void: Vec::new(),
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
    pub fn was_ever(&self, _key: &PublicKey) -> bool {
        false
    }

    /// Whether `key` was removed, and not added again: no invite lets it in.
    #[must_use]
    pub fn is_removed(&self, _key: &PublicKey) -> bool {
        false
    }

    /// The invites that were not revoked, used up or not, expired or not.
    #[must_use]
    pub fn invites(&self) -> &BTreeMap<PublicKey, Invite> {
        &self.invites
    }

    /// The last act in each roster log: what a new act has seen.
    #[must_use]
    pub fn heads(&self) -> &[Place] {
        &[]
    }

    /// The act that content names as the last its author knew: of the heads, the one with the highest clock, then id; zero
    /// without acts.
    #[must_use]
    pub fn head(&self) -> EntryId {
        EntryId::default()
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
        &[]
    }

    /// Members who lack a present key; the owner or an admin gives it to them, or makes a new one.
    #[must_use]
    pub fn lacking(&self) -> Vec<PublicKey> {
        Vec::new()
    }

    /// What becomes of an entry of content with this header, or of an act; `first` is what the first entry of its log names as
    /// the last act known ([`Header::roster`]), which for the first is its own.
    #[must_use]
    pub fn verdict(&self, _header: &Header, _first: &EntryId) -> Verdict {
        Verdict::Later
    }

    /// The last place that counts in a log, if a removal or demotion cut it; behind it nothing is stored.
    #[must_use]
    pub fn cut(&self, _log: &crate::proto::group::LogId, _first: &EntryId) -> Option<u64> {
        None
    }

    /// Acts that are stored and do nothing, and why: named to the user, for an honest program makes none but by chance.
    #[must_use]
    pub fn void(&self) -> &[(EntryId, String)] {
        &self.void
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
