//! Answers to requests: the only place that asks the engine.

mod receive;

use crate::request::{Asked, Group, Input, Link, Outcome, Past, Reply, Request, Sending, Sent};
use keywire::error::{Error, Result};
use keywire::group::engine;
use keywire::group::engine::{Begin, Deed, Delivery, Info, InviteInfo, Joined, Message, Position, Terms};
use keywire::group::home::in_command;
use keywire::key::PublicKey;
use keywire::proto::group::link::capability;
use keywire::proto::group::{EntryId, GroupId, History};
use keywire::talk::{End, Said, exit, left};
use keywire::threads::on_disk;
use keywire::trust::{Peers, key_beginning};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How long members may take that are told of an act.
const VISIT: Duration = Duration::from_secs(5);

/// How many messages are read at a time.
const PAGE: usize = 256;

/// How many messages are under way at a time.
const WINDOW: usize = 64;

/// Fewest digits that stand for a capability.
const LEAST_OF_CAPABILITY: usize = 8;

/// Who answers.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) engine: engine::House,
    /// Where members dial us, if they can.
    pub(crate) listening: Option<String>,
    /// Whether it holds the groups for long.
    pub(crate) stays: bool,
    /// Whether everything ends.
    pub(crate) stopped: watch::Receiver<bool>,
}

/// Who asked.
pub(crate) type Caller = keywire::talk::Caller<Input, Reply>;

/// Answers what was asked, all but the end.
pub(crate) async fn answer(house: &House, asked: Asked, caller: &mut Caller) -> End {
    run(house, asked, caller).await.into()
}

async fn run(house: &House, asked: Asked, caller: &mut Caller) -> Result<u8> {
    let me = house.engine.me().public();
    if asked.me.is_some_and(|meant| meant != me) {
        return Err(Error::state(format!(
            "the groups are held by {me} here, and that is not the identity that was named"
        )));
    }
    match asked.request {
        Request::Who => caller.say(Reply::Holder { stays: house.stays }).await.map(|()| 0),
        Request::Create { name, mode, history } => {
            let group = house.engine.create(name, mode, history.into()).await?;
            caller.say(Reply::Created(house.engine.info(group).await?.brief)).await.map(|()| 0)
        }
        Request::Invite { group, terms } => invite(house, &group, terms, caller).await,
        Request::Invites { group } => {
            let info = info(house, &group).await?;
            for invite in &info.invites {
                let invite = invite.clone();
                caller.say(Reply::Invite { group: (&info.brief).into(), invite, link: None }).await?;
            }
            Ok(0)
        }
        Request::Revoke { group, capability } => {
            let info = info(house, &group).await?;
            let meant = meant_invite(&info.invites, &capability)?;
            act(house, &info, "revoke", None, Deed::Revoke(meant), caller).await
        }
        Request::Join { link, name, wait } => {
            let link: keywire::proto::group::Link = link.parse()?;
            let (wanted, is_named, before) = (link.name.clone(), name.is_some(), house.engine.groups().await?);
            let (group, how) = house.engine.join(link, name, Duration::from_millis(wait)).await?;
            let status = match how {
                Joined::Active => 0,
                Joined::Waiting(_) => exit::PENDING,
                Joined::Unreachable(_) => exit::UNREACHABLE,
            };
            let brief = house.engine.info(group).await?.brief;
            let is_new = before.iter().all(|other| other.id != group);
            let is_taken = before.iter().any(|other| other.name == wanted);
            let instead_of = Some(wanted).filter(|wanted| is_new && is_taken && brief.name != *wanted && !is_named);
            caller.say(Reply::Joined { brief, how, instead_of }).await.map(|()| status)
        }
        Request::Send(sending) => send(house, sending, caller).await,
        Request::Receive(_) if asked_too_much(house, &asked.request) => caller.say(Reply::Busy).await.map(|()| 0),
        Request::Receive(receiving) => receive::receive(house, receiving, caller).await,
        Request::Read { group, since, most } => read(house, &group, since, most, caller).await,
        Request::Search { group, text } => search(house, &group, &text, caller).await,
        Request::Act { group, what, member } => {
            let info = info(house, &group).await?;
            let member = meant_member(house, &info, member).await?;
            act(house, &info, what.word(), Some(member), what.deed(member), caller).await
        }
        Request::Rename { group, name } => {
            let info = info(house, &group).await?;
            act(house, &info, "rename", None, Deed::Rename(name), caller).await
        }
        Request::Leave { group } => {
            let info = info(house, &group).await?;
            let id = house.engine.leave(info.brief.id).await?;
            told(house, &info, ("leave", None), id, caller).await
        }
        Request::List => {
            for brief in house.engine.groups().await? {
                caller.say(Reply::Listed(brief)).await?;
            }
            faults(house, caller).await
        }
        Request::Info { group } => {
            let info = info(house, &group).await?;
            caller.say(Reply::Info(Box::new(info))).await.map(|()| 0)
        }
    }
}

/// Says which groups cannot be read, to one who asks for all; the exit status for that.
async fn faults(house: &House, caller: &Caller) -> Result<u8> {
    let faults = house.engine.faults();
    for fault in faults {
        caller.say(Reply::Fault(fault.clone())).await?;
    }
    Ok(if faults.is_empty() { 0 } else { exit::STATE })
}

/// Whether `request` would keep those from ending who hold the groups for a moment.
fn asked_too_much(house: &House, request: &Request) -> bool {
    request.stays() && !house.stays
}

async fn info(house: &House, group: &str) -> Result<Info> {
    house.engine.info(house.engine.find(group).await?.id).await
}

impl From<Past> for History {
    fn from(past: Past) -> Self {
        match past {
            Past::None => History::None,
            Past::All => History::All,
            Past::Last(count) => History::Last(count),
        }
    }
}

async fn invite(house: &House, group: &str, terms: Terms, caller: &mut Caller) -> Result<u8> {
    let before = info(house, group).await?;
    let (link, id) = house.engine.invite(before.brief.id, terms).await?;
    let capability = capability(&before.brief.id, &link.secret).public();
    let after = house.engine.info(before.brief.id).await?;
    let made = after.invites.iter().find(|invite| invite.capability == capability);
    let invite = made.ok_or_else(|| Error::no("the invite has expired already"))?.clone();
    let text = Link { text: link.to_string(), peers: link.peers.len() };
    caller.say(Reply::Invite { group: (&after.brief).into(), invite, link: Some(text) }).await?;
    // Whoever comes by it may meet another member first, who must know of it. It holds all the same if nobody is there now.
    if !house.stays {
        house.engine.delivered(before.brief.id, id, VISIT).await?;
    }
    Ok(0)
}

/// The invite whose capability is `text`, or begins with it.
fn meant_invite(invites: &[InviteInfo], text: &str) -> Result<PublicKey> {
    let lower = text.to_ascii_lowercase();
    let mut meant = invites.iter().map(|invite| invite.capability).filter(|key| key.to_string().starts_with(&lower));
    match (meant.next(), meant.next()) {
        (Some(key), None) if lower.len() >= LEAST_OF_CAPABILITY => Ok(key),
        (Some(_), _) => Err(Error::usage(format!("'{}' is too little of a capability", text.escape_debug()))),
        (None, _) => Err(Error::no(format!("there is no invite '{}'", text.escape_debug()))
            .hint("'kw-group invite --list GROUP' shows them")),
    }
}

/// The member, or whoever else, that the user has written.
async fn meant_member(house: &House, info: &Info, text: String) -> Result<PublicKey> {
    let store = house.engine.store().clone();
    let joining = info.joins.iter().map(|join| join.member);
    let keys: Vec<PublicKey> = info.members.iter().map(|member| member.member).chain(joining).collect();
    let word = in_command(&info.brief.name, &info.brief.id);
    on_disk(move || match key_beginning(&text, keys.into_iter())? {
        Some(key) => Ok(key),
        None => Peers::load(&store)?
            .resolve_key(&text)
            .map_err(|unknown| unknown.hint(format!("'kw-group members {word}' shows the keys"))),
    })
    .await
}

async fn act(
    house: &House,
    info: &Info,
    word: &str,
    member: Option<PublicKey>,
    deed: Deed,
    caller: &mut Caller,
) -> Result<u8> {
    let id = house.engine.act(info.brief.id, deed).await?;
    told(house, info, (word, member), id, caller).await
}

/// Says what became of an act.
async fn told(
    house: &House,
    info: &Info,
    (deed, member): (&str, Option<PublicKey>),
    id: Option<EntryId>,
    caller: &mut Caller,
) -> Result<u8> {
    let outcome = match id {
        Some(id) => Outcome::of(house.engine.delivered(info.brief.id, id, VISIT).await?, false),
        None => Outcome::Alone,
    };
    let status = match outcome {
        Outcome::Alone => 0,
        ref other => other.status(),
    };
    let group = Group::from(&info.brief);
    caller.say(Reply::Sent(Sent { group, deed: Some(deed.to_owned()), member, id, outcome })).await?;
    Ok(status)
}

impl Outcome {
    fn of(delivery: Delivery, is_patient: bool) -> Self {
        match delivery {
            Delivery::Held { by, after } => Outcome::Held(by, u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            Delivery::Sent if is_patient => Outcome::Sent,
            Delivery::Sent => Outcome::Late,
            Delivery::Nobody(why) => Outcome::Unreachable(why),
            Delivery::Alone => Outcome::Alone,
        }
    }

    /// The exit status of a message that fared so.
    fn status(&self) -> u8 {
        match self {
            Outcome::Held(..) | Outcome::Sent => 0,
            Outcome::Late => exit::NOT_ACKED,
            Outcome::Unreachable(_) | Outcome::Alone => exit::UNREACHABLE,
        }
    }
}

/// Says each text that the caller says, as many at a time as are there.
async fn send(house: &House, sending: Sending, caller: &mut Caller) -> Result<u8> {
    let brief = house.engine.find(&sending.group).await?;
    let wait = Duration::from_millis(sending.wait);
    let patience = if wait.is_zero() { VISIT } else { wait };
    if let Joined::Waiting(why) | Joined::Unreachable(why) = house.engine.stand(brief.id, patience).await? {
        let brief = house.engine.info(brief.id).await?.brief;
        caller.say(Reply::Joined { brief, how: Joined::Waiting(why), instead_of: None }).await?;
        return Ok(exit::PENDING);
    }
    let mut worst = 0;
    loop {
        let (texts, is_end) = texts(caller).await;
        let until = Instant::now() + wait;
        let mut ids = Vec::new();
        for text in texts {
            ids.push(house.engine.say(brief.id, text, sending.reply_to).await?);
        }
        for id in ids {
            // What is left of the time, but never none: to wait for nothing means another thing.
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let patience = if wait.is_zero() { wait } else { left };
            let outcome = Outcome::of(house.engine.delivered(brief.id, id, patience).await?, wait.is_zero());
            worst = exit::worse(worst, outcome.status());
            let sent = Sent { group: (&brief).into(), deed: None, member: None, id: Some(id), outcome };
            caller.say(Reply::Sent(sent)).await?;
        }
        if is_end {
            return Ok(worst);
        }
    }
}

/// The texts that are there, at least one unless it was the last, and whether there will be no more.
async fn texts(caller: &mut Caller) -> (Vec<String>, bool) {
    let mut texts = Vec::new();
    let mut input = caller.inputs.recv().await;
    loop {
        match input {
            Some(Input::Text(text)) => texts.push(text),
            Some(Input::Printed(_)) => {}
            Some(Input::End) | None => return (texts, true),
        }
        if texts.len() == WINDOW {
            return (texts, false);
        }
        match caller.inputs.try_recv() {
            Ok(next) => input = Some(next),
            Err(_) => return (texts, false),
        }
    }
}

async fn read(house: &House, group: &str, since: Option<u64>, most: Option<usize>, caller: &mut Caller) -> Result<u8> {
    let teller = Teller::of(house, group, caller).await?;
    on_disk(move || {
        let group = teller.group.id;
        match (since, most) {
            (None, Some(most)) => teller.engine.last(group, most)?.into_iter().try_for_each(|one| teller.say(one)),
            (since, None) => teller.each(since, |message| teller.say(message)),
            (since, Some(most)) => {
                let mut last = VecDeque::new();
                teller.each(since, |message| {
                    last.push_back(message);
                    if last.len() > most {
                        last.pop_front();
                    }
                    Ok(())
                })?;
                last.into_iter().try_for_each(|one| teller.say(one))
            }
        }
    })
    .await?;
    Ok(0)
}

async fn search(house: &House, group: &str, text: &str, caller: &mut Caller) -> Result<u8> {
    let teller = Teller::of(house, group, caller).await?;
    let text = text.to_lowercase();
    let has_found = on_disk(move || {
        let mut has_found = false;
        teller.each(None, |message| match &message.text {
            engine::Text::Readable(said) if said.to_lowercase().contains(&text) => {
                has_found = true;
                teller.say(message)
            }
            _ => Ok(()),
        })?;
        Ok(has_found)
    })
    .await?;
    match has_found {
        true => Ok(0),
        false => Err(Error::no("no message has that in it")),
    }
}

/// Reads a group's messages, and says them.
struct Teller {
    engine: engine::House,
    group: Group,
    replies: mpsc::Sender<Said<Reply>>,
}

impl Teller {
    async fn of(house: &House, group: &str, caller: &Caller) -> Result<Self> {
        let group = Group::from(&house.engine.find(group).await?);
        Ok(Teller { engine: house.engine.clone(), group, replies: caller.replies.clone() })
    }

    fn say(&self, message: Message) -> Result<()> {
        let reply = message_of(&self.group, message, &self.engine.me().public());
        self.replies.blocking_send(Said::Reply(reply)).map_err(|_| left())
    }

    /// Every message, in memory for a few at a time, however long the history is.
    fn each(&self, since: Option<u64>, mut take: impl FnMut(Message) -> Result<()>) -> Result<()> {
        let group: GroupId = self.group.id;
        let mut position: Position = self.engine.position(group, since.map_or(Begin::Start, Begin::Time))?;
        loop {
            let page = self.engine.after(group, &mut position, PAGE)?;
            if page.is_empty() {
                return Ok(());
            }
            page.into_iter().try_for_each(&mut take)?;
        }
    }
}

fn message_of(group: &Group, message: Message, me: &PublicKey) -> Reply {
    let is_ours = message.author == *me;
    Reply::Message { group: group.clone(), message: Box::new(message), is_ours }
}
