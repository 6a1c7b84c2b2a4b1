//! `members.json`: what members have said of themselves. It is found again in their logs; here it is at hand. See keywire-files(5).

use super::Group;
use crate::addr::HostPort;
use crate::error::Result;
use crate::key::PublicKey;
use crate::proto::group::MAX_MEMBERS;
use crate::store::{Privacy, State, Version};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the file in the group's directory.
const MEMBERS: &str = "members.json";

/// What members have said of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Where they can be dialed.
    pub addresses: BTreeMap<PublicKey, Vec<HostPort>>,
    /// Who has left.
    pub left: BTreeSet<PublicKey>,
}

/// The contents of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    version: Version,
    members: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    member: PublicKey,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<HostPort>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left: bool,
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
    /// What members have said of themselves.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn known(&self) -> Result<Known> {
        let members: Option<Members> = self.dir.read(MEMBERS)?;
        let mut known = Known::default();
        for row in members.unwrap_or_default().members {
            if row.left {
                known.left.insert(row.member);
            }
            if !row.addresses.is_empty() {
                known.addresses.insert(row.member, row.addresses);
            }
        }
        Ok(known)
    }

    /// Keeps what members have said of themselves. It is on disk when this returns.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::update`].
    pub fn keep_known(&self, known: &Known) -> Result<()> {
        let keys: BTreeSet<&PublicKey> = known.addresses.keys().chain(&known.left).collect();
        let row = |member: &PublicKey| Row {
            member: *member,
            addresses: known.addresses.get(member).cloned().unwrap_or_default(),
            left: known.left.contains(member),
        };
        let members = keys.into_iter().map(row).collect();
        self.dir.update(MEMBERS, |there: &mut Option<Members>| {
            *there = Some(Members { version: Version, members });
            Ok(())
        })
    }
}
