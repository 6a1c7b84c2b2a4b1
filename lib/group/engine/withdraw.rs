//! Groups into which we never came: what was kept of them, to ask for that, is taken off the disk again.

use super::group::Group;
use super::report::{Event, Joined};
use super::{House, Status};
use crate::error::{Kind, Result};
use crate::group::home::Facts;
use crate::proto::group::{GroupId, Link};
use crate::threads::{lock, on_disk};
use std::time::Duration;

impl House {
    /// Keeps the group of a link, under `name` or its own, and asks its members for `patience` to be let in. If they refuse us,
    /// what is kept is what was before.
    ///
    /// # Errors
    /// They refuse us ([`Kind::Refused`]); we are a member already, or another group has the `name` ([`Kind::No`]).
    pub async fn join(&self, link: Link, name: Option<String>, patience: Duration) -> Result<(GroupId, Joined)> {
        let (house, id) = (self.clone(), link.genesis.id());
        let before = on_disk(move || Ok(house.loaded(&id).map(|group| group.state().facts.clone()))).await?;
        let asked = self.ask_members(link, name, patience).await;
        if asked.as_ref().is_err_and(|error| error.kind() == Kind::Refused) {
            let house = self.clone();
            if let Err(error) = on_disk(move || house.take_back_join(&id, before)).await {
                self.tell(Event::Notice(error.to_string()));
            }
        }
        asked
    }

    fn take_back_join(&self, id: &GroupId, before: Option<Facts>) -> Result<()> {
        let Some(group) = self.loaded(id) else { return Ok(()) };
        let Some(before) = before else { return self.withdraw(&group).map(drop) };
        let mut state = group.state();
        match state.facts.status {
            Status::Pending | Status::Waiting => state.change_facts(|facts| {
                (facts.wish, facts.peers, facts.status) = (before.wish, before.peers, before.status);
            }),
            // Another member has let us in meanwhile.
            Status::Active | Status::Left | Status::Removed => Ok(()),
        }
    }

    /// Takes a group off the disk if we never were a member: there is nothing of it that anybody has said. Whether it was so.
    pub(super) fn withdraw(&self, group: &Group) -> Result<bool> {
        let mut state = group.state();
        let is_asking = matches!(state.facts.status, Status::Pending | Status::Waiting);
        if !is_asking || state.replica.logs().next().is_some() {
            return Ok(false);
        }
        self.0.home.remove(&state.kept)?;
        // A dial that is under way asks for nothing any more, and who is let in all the same keeps nothing.
        (state.facts.wish, state.facts.status) = (None, Status::Left);
        state.replica.shelf_mut().close();
        lock(&self.0.groups).remove(&group.id);
        Ok(true)
    }
}
