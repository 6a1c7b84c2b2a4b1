//! Messages that have come, and those that come.

use super::{Caller, House, PAGE, VISIT, message_of};
use crate::house::next;
use crate::request::{Group, Input, Receiving, Reply};
use keywire::error::{Error, Result};
use keywire::group::engine::{Begin, Brief, Event, Message, Position, Status};
use keywire::key::PublicKey;
use keywire::proto::group::{GroupId, Inc};
use keywire::talk::{Said, exit, gone, left};
use keywire::threads::on_disk;
use keywire::trust::millis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep_until};

/// One group that is read.
struct Reader {
    group: Group,
    /// Whose messages are wanted; everybody's but ours if it is empty.
    from: BTreeSet<PublicKey>,
    /// Up to where everything was read.
    read: Position,
    /// Up to where everything was printed.
    printed: Position,
    /// What was read and not said yet.
    queue: VecDeque<Message>,
    /// There may be more.
    is_behind: bool,
}

/// Where a message stands: the group, the log in it, and the place there.
type Place = (GroupId, (PublicKey, Inc), u64);

pub(super) async fn receive(house: &House, receiving: Receiving, caller: &mut Caller) -> Result<u8> {
    let until = receiving.wait.map(|wait| Instant::now() + Duration::from_millis(wait));
    // From before anything is read, so that nothing falls between.
    let mut events = house.engine.events();
    let groups = match &receiving.group {
        Some(group) => vec![house.engine.find(group).await?],
        None => house.engine.groups().await?,
    };
    let mut readers = BTreeMap::new();
    for brief in &groups {
        readers.insert(brief.id, Reader::open(house, brief, &receiving, receiving.begin).await?);
    }
    caller.say(Reply::Begun).await?;
    let status = if receiving.group.is_none() { super::faults(house, caller).await? } else { 0 };
    if house.listening.is_none() {
        let patience = receiving.wait.map_or(VISIT, |wait| VISIT.min(Duration::from_millis(wait)));
        visit(house, &groups, patience).await;
    }
    let began = millis(SystemTime::now());
    let mut told = Told { house, name: receiving.cursor.clone(), sent: VecDeque::new() };
    let mut more = receiving.max.unwrap_or(u64::MAX);
    let mut has_come = false;
    let me = house.engine.me().public();
    while more > 0 {
        if let Some((group, message)) = next_message(house, &mut readers, &me).await? {
            has_come = true;
            more -= 1;
            told.sent.push_back((group.id, (message.author, message.inc), message.seq));
            told.say(caller, &mut readers, message_of(&group, message, &me)).await?;
            continue;
        }
        if !(receiving.follow || (!has_come && until.is_some())) {
            break;
        }
        tokio::select! {
            event = next(&mut events) => match event {
                Some(Event::Message { group, .. }) if readers.contains_key(&group) => {
                    if let Some(reader) = readers.get_mut(&group) {
                        reader.is_behind = true;
                    }
                }
                Some(Event::Message { group, .. }) if receiving.group.is_none() => {
                    // A group that is new here: what is said from now on.
                    let brief = house.engine.info(group).await?.brief;
                    let begin = match receiving.begin {
                        Begin::Now => Begin::Time(began),
                        begin => begin,
                    };
                    readers.insert(group, Reader::open(house, &brief, &receiving, begin).await?);
                }
                Some(Event::Roster { group, text }) if receiving.follow => {
                    let named = readers.get(&group).map(|reader| reader.group.clone());
                    if let Some(group) = named {
                        told.say(caller, &mut readers, Reply::Roster { group, text }).await?;
                    }
                }
                Some(_) => {}
                None => {
                    let there = house.engine.groups().await?;
                    // One into which we never came may be gone meanwhile.
                    readers.retain(|id, _| there.iter().any(|brief| brief.id == *id));
                    readers.values_mut().for_each(|reader| reader.is_behind = true);
                }
            },
            input = caller.inputs.recv(), if told.is_waiting() => told.hear(input, &mut readers).await?,
            () = sleep_until(until.unwrap_or_else(Instant::now)), if !has_come && until.is_some() => {
                return Ok(if status == 0 { exit::TIMEOUT } else { status });
            }
            () = caller.replies.closed() => return Err(left()),
            () = gone(house.stopped.clone()) => {
                return Err(Error::state("whoever held the groups has ended").hint("start it again"));
            }
        }
    }
    while told.is_waiting() {
        let input = caller.inputs.recv().await;
        told.hear(input, &mut readers).await?;
    }
    Ok(status)
}

/// Meets members of all these groups at once. Who cannot be reached has nothing for us now.
async fn visit(house: &House, groups: &[Brief], patience: Duration) {
    let mut visits = tokio::task::JoinSet::new();
    for brief in groups.iter().filter(|brief| !matches!(brief.status, Status::Left | Status::Removed)) {
        let (engine, group) = (house.engine.clone(), brief.id);
        visits.spawn(async move { engine.visit(group, patience).await });
    }
    while visits.join_next().await.is_some() {}
}

impl Reader {
    async fn open(house: &House, brief: &Brief, receiving: &Receiving, begin: Begin) -> Result<Self> {
        let mut from = BTreeSet::new();
        if !receiving.from.is_empty() {
            let info = house.engine.info(brief.id).await?;
            for member in &receiving.from {
                from.insert(super::meant_member(house, &info, member.clone()).await?);
            }
        }
        let (engine, group, cursor) = (house.engine.clone(), brief.id, receiving.cursor.clone());
        let read = on_disk(move || {
            let Some(name) = cursor else { return engine.position(group, begin) };
            match engine.cursor(group, &name)? {
                Some(position) => Ok(position),
                None => {
                    let position = engine.position(group, begin)?;
                    // So that what comes is not left out if nobody reads until then.
                    engine.set_cursor(group, &name, &position)?;
                    Ok(position)
                }
            }
        })
        .await?;
        Ok(Reader { group: brief.into(), from, printed: read.clone(), read, queue: VecDeque::new(), is_behind: true })
    }

    /// Reads on until something is there that is wanted.
    async fn read_on(&mut self, house: &House, me: &PublicKey) -> Result<()> {
        while self.queue.is_empty() && self.is_behind {
            let (engine, group, mut read) = (house.engine.clone(), self.group.id, self.read.clone());
            let (page, read) = on_disk(move || {
                let page = engine.after(group, &mut read, PAGE)?;
                Ok((page, read))
            })
            .await?;
            self.read = read;
            self.is_behind = !page.is_empty();
            let wanted = |message: &Message| match self.from.is_empty() {
                true => message.author != *me,
                false => self.from.contains(&message.author),
            };
            self.queue = page.into_iter().filter(wanted).collect();
        }
        Ok(())
    }
}

/// The next message of any group; `None` if there is none now.
async fn next_message(
    house: &House,
    readers: &mut BTreeMap<GroupId, Reader>,
    me: &PublicKey,
) -> Result<Option<(Group, Message)>> {
    for reader in readers.values_mut() {
        reader.read_on(house, me).await?;
    }
    let waiting = readers.values_mut().filter(|reader| !reader.queue.is_empty());
    let oldest = waiting.min_by_key(|reader| reader.queue.front().map(|message| message.clock));
    Ok(oldest.and_then(|reader| Some((reader.group.clone(), reader.queue.pop_front()?))))
}

/// What was said to the caller, and must be printed before the cursor moves.
struct Told<'a> {
    house: &'a House,
    name: Option<String>,
    sent: VecDeque<Place>,
}

impl Told<'_> {
    /// Whether the caller has not said yet that everything is printed, and it matters.
    fn is_waiting(&self) -> bool {
        self.name.is_some() && !self.sent.is_empty()
    }

    /// Says `reply`, and hears meanwhile what was printed: neither side waits for the other to listen first.
    async fn say(&mut self, caller: &mut Caller, readers: &mut BTreeMap<GroupId, Reader>, reply: Reply) -> Result<()> {
        loop {
            tokio::select! {
                room = caller.replies.reserve() => {
                    room.map_err(|_| left())?.send(Said::Reply(reply));
                    return Ok(());
                }
                input = caller.inputs.recv(), if self.is_waiting() => self.hear(input, readers).await?,
            }
        }
    }

    /// The caller has printed more, or is gone. The cursor is moved.
    async fn hear(&mut self, input: Option<Input>, readers: &mut BTreeMap<GroupId, Reader>) -> Result<()> {
        let count = match input {
            Some(Input::Printed(count)) => count,
            Some(_) => return Ok(()),
            None => return Err(left()),
        };
        let mut moved = BTreeSet::new();
        for (group, log, seq) in self.sent.drain(..count.min(self.sent.len())) {
            if let Some(reader) = readers.get_mut(&group) {
                reader.printed.insert(log, seq);
                moved.insert(group);
            }
        }
        let Some(name) = self.name.clone() else { return Ok(()) };
        for group in moved {
            let Some(position) = readers.get(&group).map(|reader| reader.printed.clone()) else { continue };
            let (engine, name) = (self.house.engine.clone(), name.clone());
            on_disk(move || engine.set_cursor(group, &name, &position)).await?;
        }
        Ok(())
    }
}
