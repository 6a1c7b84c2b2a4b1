//! What an act may do, as things stood for who made it.
//!
//! The same rules judge an act that has come and say to the user why one is not even signed.

use crate::key::PublicKey;
use crate::proto::group::roster::{Cut, Op, Place, Role, Standing, Wraps};
use crate::proto::group::{Inc, MAX_MEMBERS, MAX_NAME_LEN, Mode};
use std::collections::HashSet;

/// How things stand after a set of acts.
pub(super) trait Past {
    /// The owner.
    fn owner(&self) -> PublicKey;
    /// The group's mode.
    fn mode(&self) -> Mode;
    /// Whether nothing was done yet.
    fn is_empty(&self) -> bool;
    /// A member's role, and whether it is muted.
    fn standing(&self, key: &PublicKey) -> Option<(Role, bool)>;
    /// How many members there are, the owner among them.
    fn count(&self) -> usize;
    /// Whether no other member has room.
    fn is_full(&self) -> bool {
        self.count() >= MAX_MEMBERS
    }
    /// How many may still come by an invite that was not revoked.
    fn left(&self, capability: &PublicKey) -> Option<u32>;
    /// Whether who acts may have known of what counts for nobody, for a fork took it away since.
    fn is_unsure(&self) -> bool {
        false
    }
    /// Whether this act is among them.
    fn has(&self, place: &Place) -> bool;
}

/// Whether `author` may do `op` after `past`; else why not.
pub(super) fn check(past: &impl Past, author: &PublicKey, op: &Op) -> Result<(), String> {
    let is_owner = *author == past.owner();
    match past.standing(author).map(|(role, _)| role) {
        Some(Role::Owner) => {}
        Some(Role::Admin) => of_the_owner(op).map_or(Ok(()), |what| Err(format!("only the owner {what}")))?,
        Some(Role::Member) => return Err(format!("{} is no admin", author.short())),
        None => return Err(format!("{} is no member", author.short())),
    }
    if let Some(member) = target(op) {
        is_touched_rightly(past, author, is_owner, member)?;
    }
    match op {
        Op::Create { .. } if !past.is_empty() => Err("a group is created only once, before all else".into()),
        Op::Create { name } | Op::Rename { name } => is_name(name),
        Op::Add { member, invite, given } => is_added_rightly(past, member, invite.as_ref(), given.as_ref()),
        Op::Promote { member } => match past.standing(member) {
            Some((Role::Member, _)) => Ok(()),
            Some(_) => Err(format!("{} is an admin already", member.short())),
            None => Err(not_a_member(member)),
        },
        Op::Demote { member, cut } => match past.standing(member) {
            Some((Role::Admin, _)) => is_cut(past, member, cut),
            _ => Err(format!("{} is no admin", member.short())),
        },
        Op::Remove { member, cut } => is_cut(past, member, cut),
        Op::Mute { member, cut } => {
            past.standing(member).ok_or_else(|| not_a_member(member))?;
            is_cut(past, member, cut)
        }
        Op::Unmute { member } => past.standing(member).map(|_| ()).ok_or_else(|| not_a_member(member)),
        Op::Invite { uses: 0, .. } => Err("an invite for nobody".into()),
        Op::Invite { capability, .. } if past.left(capability).is_some() => {
            Err(format!("the invite {} is there already", capability.short()))
        }
        Op::Revoke { capability } if past.left(capability).is_none() => {
            Err(format!("no invite {}", capability.short()))
        }
        Op::Invite { .. } | Op::Revoke { .. } | Op::Rotate {} => Ok(()),
        Op::Give { given } => is_given_rightly(past, given),
        Op::Checkpoint { members, frontier } => is_how_things_stand(past, members, frontier),
    }
}

/// What an act does that is the owner's alone.
fn of_the_owner(op: &Op) -> Option<&'static str> {
    match op {
        Op::Create { .. } => Some("creates a group"),
        Op::Promote { .. } => Some("promotes"),
        Op::Demote { .. } => Some("demotes"),
        Op::Checkpoint { .. } => Some("makes checkpoints"),
        _ => None,
    }
}

/// On whose standing an act is.
pub(super) fn target(op: &Op) -> Option<&PublicKey> {
    match op {
        Op::Add { member, .. }
        | Op::Remove { member, .. }
        | Op::Promote { member }
        | Op::Demote { member, .. }
        | Op::Mute { member, .. }
        | Op::Unmute { member } => Some(member),
        _ => None,
    }
}

fn is_touched_rightly(past: &impl Past, author: &PublicKey, is_owner: bool, member: &PublicKey) -> Result<(), String> {
    if *member == past.owner() {
        return Err("nobody touches the owner".into());
    }
    if member == author {
        return Err("nobody acts on itself".into());
    }
    match past.standing(member) {
        Some((Role::Admin, _)) if !is_owner => {
            Err(format!("{} is an admin, and only the owner touches admins", member.short()))
        }
        _ => Ok(()),
    }
}

fn is_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err("a group's name has letters, and no control characters".into());
    }
    match name.chars().count() {
        0..=MAX_NAME_LEN => Ok(()),
        count => Err(format!("a name of {count} characters, more than {MAX_NAME_LEN}")),
    }
}

fn is_added_rightly(
    past: &impl Past,
    member: &PublicKey,
    invite: Option<&PublicKey>,
    given: Option<&Wraps>,
) -> Result<(), String> {
    if past.standing(member).is_some() {
        return Err(format!("{} is a member already", member.short()));
    }
    if past.is_full() {
        return Err(format!("the group is full: {MAX_MEMBERS} members"));
    }
    match invite.map(|invite| past.left(invite)) {
        Some(None) if past.is_unsure() => {}
        Some(None) => return Err(format!("{} comes by an invite that is not there", member.short())),
        Some(Some(0)) => return Err(format!("{} comes by an invite that is used up", member.short())),
        Some(Some(_)) | None => {}
    }
    let Some(given) = given else { return Ok(()) };
    is_private(past)?;
    match given.boxes.iter().find(|one| one.member != *member) {
        Some(other) => Err(format!("ghost member: keys for {}, who is not the one added", other.member.short())),
        None => Ok(()),
    }
}

fn is_given_rightly(past: &impl Past, given: &Wraps) -> Result<(), String> {
    is_private(past)?;
    match given.boxes.iter().find(|one| past.standing(&one.member).is_none()) {
        Some(ghost) => Err(format!("ghost member: keys for {}, who is no member", ghost.member.short())),
        None => Ok(()),
    }
}

/// Only a private group has keys that come and go.
pub(super) fn is_private(past: &impl Past) -> Result<(), String> {
    match past.mode() {
        Mode::Private => Ok(()),
        Mode::Open => Err("keys, in an open group".into()),
        Mode::Public => Err("keys, in a public group".into()),
    }
}

fn not_a_member(key: &PublicKey) -> String {
    format!("{} is no member", key.short())
}

/// Whether a cut names nothing but logs of `member`, each once, and of its acts only what its author knew.
fn is_cut(past: &impl Past, member: &PublicKey, cut: &Cut) -> Result<(), String> {
    for places in [&cut.content, &cut.roster] {
        if places.iter().any(|place| place.author != *member) {
            return Err("a cut through the logs of another".into());
        }
        is_once_each(places)?;
    }
    match cut.roster.iter().all(|place| past.has(place)) {
        true => Ok(()),
        false => Err("a cut behind acts that its author did not know".into()),
    }
}

fn is_once_each(places: &[Place]) -> Result<(), String> {
    let mut logs: HashSet<(PublicKey, Inc)> = HashSet::new();
    match places.iter().all(|place| logs.insert((place.author, place.inc))) {
        true => Ok(()),
        false => Err("two places in one log".into()),
    }
}

/// A checkpoint only confirms.
fn is_how_things_stand(past: &impl Past, members: &[Standing], frontier: &[Place]) -> Result<(), String> {
    is_once_each(frontier)?;
    let mut named: HashSet<PublicKey> = HashSet::from([past.owner()]);
    for one in members {
        if !named.insert(one.member) || past.standing(&one.member) != Some((one.role, one.muted)) {
            return Err(format!("a checkpoint that says of {} what is not so", one.member.short()));
        }
    }
    match named.len() == past.count() {
        true => Ok(()),
        false => Err("a checkpoint that leaves members out".into()),
    }
}
