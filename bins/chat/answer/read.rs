//! What was said before, and how things stand.

use super::{Caller, House};
use crate::request::{Begin, Part, Reply, Status};
use crate::whom::word;
use keywire::chat::{Conversation, Entry, Pairing};
use keywire::error::{Error, Result};
use keywire::key::PublicKey;
use keywire::pair::Pair;
use keywire::talk::{Said, left};
use keywire::threads::on_disk;
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::mpsc::Sender;

/// How many messages are read at a time.
const PAGE: usize = 256;

/// The messages of both sides.
pub(super) async fn read(house: &House, peer: PublicKey, part: Part, caller: &mut Caller) -> Result<u8> {
    let conversation = house.engine.chat().with(peer);
    let replies = caller.replies.clone();
    on_disk(move || {
        match (part.begin, part.most) {
            (None, Some(most)) => say_all(&replies, conversation.last(most)?),
            // Memory for one message at a time, however long it has become.
            (None, None) => conversation.each(|entry| say(&replies, entry)),
            (Some(begin), most) => read_from(&conversation, begin, most, &replies),
        }
    })
    .await?;
    Ok(0)
}

fn read_from(
    conversation: &Conversation,
    begin: Begin,
    most: Option<usize>,
    replies: &Sender<Said<Reply>>,
) -> Result<()> {
    let mut read = match begin {
        Begin::Seq(seq) => seq,
        Begin::Time(millis) => conversation.seq_before(millis)?,
        Begin::Now => conversation.last_seq()?,
    };
    let mut last = VecDeque::new();
    loop {
        let page = conversation.after(read, PAGE)?;
        let is_end = page.len() < PAGE;
        for entry in page {
            read = entry.seq;
            match most {
                None => say(replies, entry)?,
                Some(most) => {
                    last.push_back(entry);
                    if last.len() > most {
                        last.pop_front();
                    }
                }
            }
        }
        if is_end {
            return say_all(replies, last);
        }
    }
}

/// The messages of both sides that have `text` in them.
pub(super) async fn search(house: &House, peer: PublicKey, text: String, caller: &mut Caller) -> Result<u8> {
    let conversation = house.engine.chat().with(peer);
    let replies = caller.replies.clone();
    let text = text.to_lowercase();
    let has_found = on_disk(move || {
        let mut has_found = false;
        conversation.each(|entry| {
            if !entry.text.to_lowercase().contains(&text) {
                return Ok(());
            }
            has_found = true;
            say(&replies, entry)
        })?;
        Ok(has_found)
    })
    .await?;
    match has_found {
        true => Ok(0),
        false => Err(Error::no("no message has that in it")),
    }
}

fn say_all(replies: &Sender<Said<Reply>>, entries: impl IntoIterator<Item = Entry>) -> Result<()> {
    entries.into_iter().try_for_each(|entry| say(replies, entry))
}

fn say(replies: &Sender<Said<Reply>>, entry: Entry) -> Result<()> {
    replies.blocking_send(Said::Reply(Reply::Message(entry))).map_err(|_| left())
}

pub(super) async fn status(house: &House, caller: &mut Caller) -> Result<u8> {
    let chat = house.engine.chat().clone();
    let listening = house.listening.clone();
    let status = on_disk(move || {
        let all = chat.pairs()?;
        let mut pairs = BTreeMap::new();
        for pair in all.list() {
            *pairs.entry(word(Pair::standing(pair)).to_owned()).or_default() += 1;
        }
        let mut waiting = Vec::new();
        for peer in chat.peers()? {
            match chat.with(peer).count_waiting()? {
                0 => {}
                count => waiting.push((peer, count)),
            }
        }
        let is_open = chat.config().pairing == Pairing::Open;
        Ok(Status { key: chat.me().public(), listening, is_open, pairs, waiting })
    })
    .await?;
    caller.say(Reply::Status(status)).await?;
    Ok(0)
}
