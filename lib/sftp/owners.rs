//! The names of users and groups, for people to read.

use nix::unistd::{Gid, Group, Uid, User};
use std::collections::HashMap;

/// Most numbers whose names are kept; a directory rarely has more, and a client cannot make it take more memory.
const MAX_KNOWN: usize = 1024;

/// Names that were asked for once: who knows them may be at the other end of a network.
#[derive(Debug)]
pub(super) struct Owners {
    /// Whoever is kept below a root sees numbers: who else lives here is no concern of theirs.
    are_shown: bool,
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Owners {
    pub(super) fn new(are_shown: bool) -> Self {
        Owners { are_shown, users: HashMap::new(), groups: HashMap::new() }
    }

    /// The name of the user `id`; empty if there is none.
    pub(super) fn user(&mut self, id: u32) -> &str {
        let find = || User::from_uid(Uid::from_raw(id)).ok().flatten().map(|user| user.name);
        known(&mut self.users, id, || if self.are_shown { find() } else { None })
    }

    /// The name of the group `id`; empty if there is none.
    pub(super) fn group(&mut self, id: u32) -> &str {
        let find = || Group::from_gid(Gid::from_raw(id)).ok().flatten().map(|group| group.name);
        known(&mut self.groups, id, || if self.are_shown { find() } else { None })
    }
}

fn known(names: &mut HashMap<u32, String>, id: u32, find: impl FnOnce() -> Option<String>) -> &str {
    if names.len() >= MAX_KNOWN {
        names.clear();
    }
    names.entry(id).or_insert_with(|| find().unwrap_or_default())
}
