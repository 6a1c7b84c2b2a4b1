//! `joins.json`: those who ask to become members, and wait for an admin. See keywire-files(5).

use super::Group;
use super::facts::signature;
use crate::error::Result;
use crate::key::PublicKey;
use crate::sign::Signature;
use crate::store::{Privacy, State, Version};
use crate::trust::Time;
use serde::{Deserialize, Serialize};

/// The name of the file in the group's directory.
const JOINS: &str = "joins.json";

/// Most who wait: whoever has a link that asks for approval can ask.
pub const MAX_JOINS: usize = 64;

/// Most by one invite.
const MAX_JOINS_OF_ONE: usize = 16;

/// Somebody who asks to become a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// Who.
    pub member: PublicKey,
    /// The public half of the invite's capability.
    pub capability: PublicKey,
    /// Its signature over the group and the member.
    #[serde(with = "signature")]
    pub signature: Signature,
    /// Since when.
    pub since: Time,
}

/// What becomes of one who comes to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// It waits from now on.
    New,
    /// It waited already.
    Waits,
    /// There is no room.
    Full,
}

/// The contents of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Joins {
    version: Version,
    joins: Vec<Join>,
}

impl State for Joins {
    const PRIVACY: Privacy = Privacy::Plain;

    fn check(&self) -> std::result::Result<(), String> {
        match self.joins.len() {
            count if count > MAX_JOINS => Err(format!("{count} wait in it; the most is {MAX_JOINS}")),
            _ => Ok(()),
        }
    }
}

impl Group {
    /// Those who wait, in the order in which they came.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn joins(&self) -> Result<Vec<Join>> {
        let joins: Option<Joins> = self.dir.read(JOINS)?;
        Ok(joins.unwrap_or_default().joins)
    }

    /// Has somebody wait; who does already goes on to do so since then. It is on disk when this returns. No more than 16 wait by one
    /// invite, so that an admin can end it and make room.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::update`].
    pub fn add_join(&self, join: Join) -> Result<Joining> {
        self.dir.update(JOINS, |joins: &mut Option<Joins>| {
            let joins = &mut joins.get_or_insert_default().joins;
            if let Some(other) = joins.iter_mut().find(|other| other.member == join.member) {
                *other = Join { since: other.since, ..join };
                return Ok(Joining::Waits);
            }
            let by_it = joins.iter().filter(|other| other.capability == join.capability).count();
            if joins.len() >= MAX_JOINS || by_it >= MAX_JOINS_OF_ONE {
                return Ok(Joining::Full);
            }
            joins.push(join);
            Ok(Joining::New)
        })
    }

    /// Has nobody wait any more for whom `is` says so; how many did.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::update`].
    pub fn drop_joins(&self, is: impl Fn(&Join) -> bool) -> Result<usize> {
        if !self.joins()?.iter().any(&is) {
            return Ok(0);
        }
        self.dir.update(JOINS, |joins: &mut Option<Joins>| {
            let joins = &mut joins.get_or_insert_default().joins;
            let before = joins.len();
            joins.retain(|join| !is(join));
            Ok(before - joins.len())
        })
    }
}
