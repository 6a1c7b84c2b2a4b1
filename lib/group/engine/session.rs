//! One connection with a member, about one group. The conversation itself is [`crate::group::session`]'s; here it meets the
//! network, the disk and the clock.

use super::House;
use super::group::{Group, Link, refusal};
use crate::conn::{Batch, Connection, Reason, Receiver, Sender};
use crate::error::{Error, Kind, Result};
use crate::group::session::{Came, Session};
use crate::key::PublicKey;
use crate::proto::group::{Assembly, Class, LogId, Message};
use crate::threads::on_disk;
use crate::trust::millis;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// Bytes that may wait to leave before more is read from the disk to be sent.
const MOST_PENDING: usize = 1 << 20;

/// Words of other parts of the house that may wait for a connection.
pub(super) const MOST_WORDS: usize = 16;

/// How long what waits for one who was removed may take to leave.
const LEAVES_WITHIN: Duration = Duration::from_secs(30);

/// How long the other side has to end its direction after we have ended ours.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Takes a connection from the list when it is over, however that is.
struct Place<'a> {
    group: &'a Group,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.group.links().sessions.remove(&self.id);
        self.group.change_links();
    }
}

/// What one look at the disk has come to.
struct Look {
    session: Session,
    /// Records that are to be sent.
    out: Vec<(u8, Vec<u8>)>,
    joins: Vec<(PublicKey, crate::sign::Signature, PublicKey)>,
    /// Whether entries have changed.
    has_news: bool,
    /// Whether something has changed about this connection.
    has_changed: bool,
    /// The other is no member, and knows why.
    is_over: bool,
}

/// Carries a conversation until one side ends it. `early` is what the other has said already.
pub(super) async fn run(
    house: &House,
    group: &Arc<Group>,
    peer: PublicKey,
    mut sender: Sender,
    mut receiver: Receiver,
    early: Vec<Message>,
) -> Result<()> {
    let (words, heard) = mpsc::channel(MOST_WORDS);
    let place = Place { group, id: house.next_id() };
    let link = Link { peer, is_met: false, is_behind: false, is_level: false, words };
    let mut news = group.news();
    let is_behind = group.is_behind();
    group.links().sessions.insert(place.id, link);
    let ended =
        carry(house, group, &place, peer, (&mut sender, &mut receiver), heard, &mut news, is_behind, early).await;
    drop(place);
    match ended {
        Ok(()) => {
            sender.close().await?;
            receiver.drain(END_WITHIN).await;
            Ok(())
        }
        Err(error) => {
            if error.kind() == Kind::State {
                house.say_once(group, house.me().public(), &error.to_string());
                group.links().trouble = Some(error.to_string());
            }
            let told = match error.kind() {
                Kind::Refused => Some((Reason::Refused, error.to_string())),
                _ => Reason::of(&error),
            };
            if let Some((why, text)) = told {
                // The error that led here is the one to report.
                let _ = sender.fail(why, &text).await;
                receiver.drain(END_WITHIN).await;
            }
            Err(error)
        }
    }
}

#[expect(clippy::too_many_arguments)]
async fn carry(
    house: &House,
    group: &Arc<Group>,
    place: &Place<'_>,
    peer: PublicKey,
    (sender, receiver): (&mut Sender, &mut Receiver),
    mut words: mpsc::Receiver<Message>,
    news: &mut tokio::sync::watch::Receiver<u64>,
    is_behind: bool,
    early: Vec<Message>,
) -> Result<()> {
    let opened = group.clone();
    let mut session = Some(on_disk(move || Ok(Session::new(&opened.state().replica, is_behind))).await?);
    let (mut batch, mut assembly) = (Batch::default(), Assembly::default());
    let mut incoming = early;
    let mut stopped = std::pin::pin!(house.stopped());
    loop {
        let Some(now_session) = session.take() else { return Ok(()) };
        let room = MOST_PENDING.saturating_sub(sender.pending());
        let look = look(house, group, place.id, peer, now_session, std::mem::take(&mut incoming), room).await?;
        for (kind, body) in &look.out {
            sender.push(*kind, &[body])?;
        }
        for (capability, signature, joiner) in look.joins {
            if let Err(error) = house.ask(group, capability, signature, joiner, Some(peer)).await {
                house.say_once(group, peer, &error.to_string());
            }
        }
        match (look.has_news, look.has_changed) {
            (true, _) => group.change(),
            (false, true) => group.change_links(),
            (false, false) => {}
        }
        if look.is_over {
            // It may not read what has us part.
            tokio::select! {
                flushed = sender.flush() => flushed?,
                () = tokio::time::sleep(LEAVES_WITHIN) => {}
                () = &mut stopped => {}
            }
            return Err(Error::refused("you are no member of this group"));
        }
        session = Some(look.session);
        // Without room nothing is said, whatever happens. What comes is heard all the same: two that both wait for the other to
        // read would wait for ever.
        let has_room = sender.pending() < MOST_PENDING;
        let wake = session.as_ref().and_then(Session::wake_at).filter(|_| has_room);
        tokio::select! {
            there = receiver.recv_batch(&mut batch) => {
                if !there? {
                    return Ok(());
                }
                for record in batch.records() {
                    incoming.extend(assembly.take(&record)?);
                }
            }
            driven = sender.drive() => driven?,
            changed = news.changed() => if changed.is_err() { return Ok(()) },
            Some(word) = words.recv(), if has_room => if let Some(session) = &mut session { session.say(word) },
            () = until(wake) => {}
            () = &mut stopped => return Ok(()),
        }
    }
}

/// Waits for a time in milliseconds since 1970; for ever for none.
async fn until(at: Option<u64>) {
    match at {
        Some(at) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(millis(SystemTime::now())) + 1)).await,
        None => std::future::pending().await,
    }
}

/// Hears what has come, and fetches what is to be said: until it has `room` bytes or more.
async fn look(
    house: &House,
    group: &Arc<Group>,
    id: u64,
    peer: PublicKey,
    mut session: Session,
    incoming: Vec<Message>,
    room: usize,
) -> Result<Look> {
    let (house, group) = (house.clone(), group.clone());
    on_disk(move || {
        let now = millis(SystemTime::now());
        let me = house.me().public();
        let mut state = group.state();
        let (mut joins, mut has_news, mut has_changed) = (Vec::new(), false, false);
        for message in incoming {
            match session.hear(&mut state.replica, message, now)? {
                Came::Entries(taken) => {
                    has_news |= !taken.stored.is_empty();
                    for (author, why) in taken.refused {
                        house.notice(&group, author, &why);
                    }
                    for fork in &taken.forks {
                        house.notice_fork(&group, fork);
                    }
                    state.see_own(&me, &taken.stored)?;
                    state.absorb(&house, &taken.stored)?;
                    if let Some(error) = taken.failure {
                        return Err(error);
                    }
                }
                Came::Fork(fork) => {
                    has_news = true;
                    house.notice_fork(&group, &fork);
                }
                Came::Join { capability, signature, joiner } => joins.push((capability, signature, joiner)),
                Came::Tips | Came::Nothing => {}
            }
        }
        // Whoever has just been asked to let us in is not in our roster yet.
        let is_ours = state.replica.roster().role(&me).is_some();
        if let Some(until) = state.replica.removed_at(&peer).filter(|_| is_ours) {
            session.say_farewell(until);
        }
        let mut out = Vec::new();
        let mut length = 0;
        while length < room {
            let Some(message) = session.next(&state.replica, now)? else { break };
            let records = message.records();
            length += records.iter().map(|(_, body)| body.len()).sum::<usize>();
            out.extend(records);
        }
        let is_level = session.is_level(&state.replica);
        let own: Vec<LogId> = state.replica.logs().map(|stored| stored.log).filter(|log| log.author == me).collect();
        let roster = state.replica.roster();
        // Whoever has just been asked to let us in is not in our roster yet.
        let is_member = roster.role(&peer).is_some();
        // Who was removed hears of that as the last; who reads nothing now, the next time.
        let may_end = !roster.is_removed(&peer) || session.has_said_farewell() || room == 0;
        let is_over = is_ours && !is_member && may_end;
        let mut links = group.links();
        for log in own {
            let theirs = session.theirs(&log).min(state.replica.end(&log));
            if theirs > links.held.get(&log).map_or(0, |(seq, _)| *seq) && peer != me && (is_member || !is_ours) {
                links.held.insert(log, (theirs, peer));
                has_changed = true;
            }
        }
        if is_level {
            (links.synced, links.trouble) = (Some(now), None);
        }
        links.reach.entry(peer).or_default().seen = Some(now);
        if let Some(link) = links.sessions.get_mut(&id) {
            has_changed |=
                (link.is_met, link.is_behind, link.is_level) != (session.is_met(), session.is_behind(), is_level);
            (link.is_met, link.is_behind, link.is_level) = (session.is_met(), session.is_behind(), is_level);
        }
        drop(links);
        drop(state);
        Ok(Look { session, out, joins, has_news, has_changed, is_over })
    })
    .await
}

impl House {
    /// Says to the user that an author has written two entries in one place.
    fn notice_fork(&self, group: &Group, fork: &[crate::proto::group::Entry; 2]) {
        let header = &fork[0].header;
        let what = match header.log.class {
            Class::Roster => "acts on the roster",
            Class::Content => "entries",
        };
        let why = format!("two different {what} in place {} of one log: nothing from there on counts", header.seq);
        let author = header.log.author;
        let mut text = refusal(&author, &why);
        if author == self.me().public() {
            text = format!(
                "our own log has two different {what} in place {}: it was written from a copy of this state as well; a new log \
                 goes on, and what was said from there on must be said again",
                header.seq
            );
        }
        self.say_once(group, author, &text);
    }
}

/// Both halves of a connection, and whose it is.
pub(super) fn halves(connection: Connection) -> (PublicKey, Sender, Receiver) {
    let peer = connection.peer();
    let (sender, receiver) = connection.split();
    (peer, sender, receiver)
}
