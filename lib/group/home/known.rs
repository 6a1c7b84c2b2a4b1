//! `members.json`: what members have said of themselves, which is found again in their logs and here at hand; and when they were
//! seen. See keywire-files(5).

use super::Group;
use crate::addr::HostPort;
use crate::error::Result;
use crate::key::PublicKey;
use crate::proto::group::MAX_MEMBERS;
use crate::store::{Privacy, State, Version};
use crate::trust::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

/// The name of the file in the group's directory.
const MEMBERS: &str = "members.json";

/// What it is called once it cannot be read.
const BAD: &str = "members.json.bad";

const ASIDE: &str = "it cannot be read: it was kept as a file of that name with '.bad' behind it, and is made anew from what members have said";

/// What is known of members beside the roster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Where they can be dialed.
    pub addresses: BTreeMap<PublicKey, Vec<HostPort>>,
    /// When they said so: the clock of the entry, in milliseconds since 1970.
    pub said: BTreeMap<PublicKey, u64>,
    /// Who has left.
    pub left: BTreeSet<PublicKey>,
    /// When there was a connection with them last, in milliseconds since 1970.
    pub seen: BTreeMap<PublicKey, u64>,
    /// When we last had the same as another member, in milliseconds since 1970.
    pub synced: Option<u64>,
}

/// The contents of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    version: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    synced: Option<Time>,
    members: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    member: PublicKey,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<HostPort>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said: Option<Time>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Time>,
}

impl State for Members {
    const PRIVACY: Privacy = Privacy::Plain;

    fn check(&self) -> std::result::Result<(), String> {
        // Those who were members once are among them.
        let most = 20 * MAX_MEMBERS;
        match self.members.len() {
            count if count > most => Err(format!("it names {count} members; the most is {most}")),
            _ => Ok(()),
        }
    }
}

impl Group {
    /// What is known of members beside the roster; `None` if there is no such file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn known(&self) -> Result<Option<Known>> {
        let Some(members): Option<Members> = self.dir.read(MEMBERS)? else { return Ok(None) };
        let mut known = Known { synced: members.synced.map(millis), ..Known::default() };
        for row in members.members {
            known.seen.extend(row.seen.map(|at| (row.member, millis(at))));
            known.said.extend(row.said.map(|at| (row.member, millis(at))));
            if row.left {
                known.left.insert(row.member);
            }
            if !row.addresses.is_empty() {
                known.addresses.insert(row.member, row.addresses);
            }
        }
        Ok(Some(known))
    }

    /// The same, for whoever can make it anew from the logs: a file that cannot be read is kept under another name.
    ///
    /// # Errors
    /// It can neither be read nor be moved.
    pub fn known_or_aside(&self) -> Result<Option<Known>> {
        self.known().or_else(|error| {
            let path = self.dir.path(MEMBERS);
            std::fs::rename(&path, self.dir.path(BAD)).map_err(|_| error)?;
            self.notices.add(&path, ASIDE);
            Ok(None)
        })
    }

    /// Keeps what is known of members. It is on disk when this returns.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::update`].
    pub fn keep_known(&self, known: &Known) -> Result<()> {
        let keys: BTreeSet<&PublicKey> = known.addresses.keys().chain(&known.left).chain(known.seen.keys()).collect();
        let row = |member: &PublicKey| Row {
            member: *member,
            addresses: known.addresses.get(member).cloned().unwrap_or_default(),
            left: known.left.contains(member),
            said: known.said.get(member).copied().map(time),
            seen: known.seen.get(member).copied().map(time),
        };
        let members = keys.into_iter().map(row).collect();
        self.dir.update(MEMBERS, |there: &mut Option<Members>| {
            *there = Some(Members { version: Version, synced: known.synced.map(time), members });
            Ok(())
        })
    }
}

fn millis(at: Time) -> u64 {
    at.unix().saturating_mul(1000)
}

fn time(millis: u64) -> Time {
    Time::of(UNIX_EPOCH + Duration::from_millis(millis))
}
