//! Messages of ours: they wait in the state until the peer has them; their texts are in the log.

use super::record::{Fate, Line};
use super::state::{Kept, Waiting};
use super::work::{Found, Work};
use super::{Conversation, Draft, LOOK_BACK, Queued, Side, Stage};
use crate::error::{Error, Result};
use crate::json::Bytes;
use crate::proto::chat::{Envelope, MAX_TEXT_LEN, MessageId, NotSaved, Open, OpenSaved, Saved};
use crate::ratchet::Head;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Most messages that wait for one peer.
const MAX_WAITING: usize = 1000;

/// How often a message is sealed anew.
const MAX_ANEW: u32 = 5;

/// How far back in the log an id is looked for that nobody chose.
const SHORT_LOOK_BACK: u64 = 1 << 20;

impl Conversation {
    /// Stores messages of ours that are to be delivered: all are on disk when this returns. `open` ones go without the
    /// pair's keys. One that was withdrawn is taken again.
    ///
    /// # Errors
    /// An id that was used for another text, too many that wait, no keys, a disk that takes no more. Then none is stored.
    pub fn queue(&self, drafts: &[Draft], open: bool) -> Result<Vec<Queued>> {
        if let Some(draft) = drafts.iter().find(|draft| draft.text.len() > MAX_TEXT_LEN) {
            let (long, most) = (draft.text.len(), MAX_TEXT_LEN);
            return Err(Error::usage(format!("a message of {long} bytes; the most is {most}")));
        }
        let mut work = Work::begin(self)?;
        if !open && work.keys.is_none() {
            return Err(Error::state(format!("there are no keys for messages with {}", self.peer))
                .hint(format!("pair with it first: kw-chat pair invite {}", self.peer)));
        }
        let before = work.find_drafts(drafts)?;
        let mut new: HashMap<&MessageId, &str> = HashMap::new();
        let mut answers = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let known = work.known(draft, &before, &new)?;
            if known.is_none() {
                work.store(draft, open)?;
                new.insert(&draft.head.id, &draft.text);
            }
            answers.push(known.map_or(Queued::Waiting, Queued::Known));
        }
        if work.kept.waiting.len() > MAX_WAITING && !new.is_empty() {
            return Err(Error::state(format!("{MAX_WAITING} messages wait for {} already", self.peer))
                .hint("they are sent when it can be reached; nothing was stored"));
        }
        if !new.is_empty() {
            work.save(true)?;
        }
        Ok(answers)
    }

    /// The messages that wait, as they are sent, oldest first: `Envelope::Message` and `Envelope::Open`, but those with an id
    /// for which `skip` says so, and no more than `most`. Those whose time is over are taken out.
    ///
    /// # Errors
    /// They cannot be read, or the numbers that they got cannot be written.
    pub fn waiting(&self, skip: impl Fn(&MessageId) -> bool, most: usize) -> Result<Vec<Envelope>> {
        if !self.may_have_waiting()? {
            return Ok(Vec::new());
        }
        let mut work = Work::begin(self)?;
        let mut over = false;
        while let Some(index) = work.kept.waiting.iter().position(|one| one.is_over(work.now) && !skip(&one.id)) {
            work.settle(index, Fate::Expired)?;
            over = true;
        }
        let mut numbered = false;
        let mut envelopes = Vec::new();
        let lines = work.log()?;
        let wanted: Vec<Waiting> =
            work.kept.waiting.iter().filter(|one| one.anew <= MAX_ANEW && !skip(&one.id)).cloned().collect();
        for waiting in wanted {
            if envelopes.len() >= most {
                break;
            }
            if !waiting.open && work.keys.is_none() {
                continue;
            }
            if let Some(text) = work.text(&lines, &waiting)? {
                envelopes.push(work.envelope(&waiting, &text, &mut numbered)?);
            }
        }
        if over || numbered {
            work.save(over)?;
        }
        Ok(envelopes)
    }

    /// How many wait.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn count_waiting(&self) -> Result<usize> {
        Ok(self.kept()?.map_or(0, |(_, kept)| kept.waiting.len()))
    }

    /// Whether there is anything that waits, or a log that goes on behind the state and may have such.
    fn may_have_waiting(&self) -> Result<bool> {
        let Some(dir) = self.look_dir()? else { return Ok(false) };
        let kept = Kept::load(&dir, &self.peer)?;
        let (waiting, accounted) = kept.map_or((0, 0), |kept| (kept.waiting.len(), kept.log_len));
        Ok(waiting > 0 || self.log(&dir).lines()?.is_some_and(|lines| lines.bytes() != accounted))
    }

    /// The peer has saved messages of ours: which of them waited until now. One that does not prove it is left waiting.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn saved(&self, acks: &[Saved]) -> Result<Vec<MessageId>> {
        self.settle(Fate::Acked, |work| {
            let Some(keys) = &mut work.keys else { return Vec::new() };
            let proven = acks.iter().filter(|ack| {
                let proves = keys.slots.get(&ack.id).is_some_and(|slot| slot.is_acknowledged_by(ack));
                if proves {
                    keys.ratchet.acknowledged(ack.ep, ack.n);
                }
                proves
            });
            proven.map(|ack| ack.id.clone()).collect()
        })
    }

    /// Whether `ack` is for a message that waits as it was sent last, and does not prove that the peer has it. One for a
    /// message that waits no more, or was sealed anew since, is merely late.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn is_forged(&self, ack: &Saved) -> Result<bool> {
        let work = Work::begin(self)?;
        let slot = work.keys.as_ref().and_then(|keys| keys.slots.get(&ack.id));
        Ok(slot.is_some_and(|slot| (slot.ep, slot.n) == (ack.ep, ack.n) && !slot.is_acknowledged_by(ack)))
    }

    /// Which of `ids` wait no more, and what became of them, whoever saw to that.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn settled(&self, ids: &[MessageId]) -> Result<Vec<(MessageId, Stage)>> {
        let Some((_, kept)) = self.kept()? else { return Ok(Vec::new()) };
        let is_waiting = |id: &&MessageId| kept.waiting.iter().any(|waiting| waiting.id == **id);
        let gone: HashSet<&MessageId> = ids.iter().filter(|id| !is_waiting(id)).collect();
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let found = Work::begin(self)?.find(Side::Out, &gone, LOOK_BACK)?;
        Ok(found.into_iter().map(|(id, found)| (id, found.fate.map_or(Stage::Acked, Fate::stage))).collect())
    }

    /// The peer has saved open messages of ours: which of them waited until now.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open_saved(&self, acks: &[OpenSaved]) -> Result<Vec<MessageId>> {
        self.settle(Fate::Acked, |work| {
            let open: HashSet<&MessageId> =
                work.kept.waiting.iter().filter(|waiting| waiting.open).map(|waiting| &waiting.id).collect();
            acks.iter().filter(|ack| open.contains(&ack.id)).map(|ack| ack.id.clone()).collect()
        })
    }

    /// A message of ours could not be opened by the peer (`no-key`, `used`, `damaged`): it is sealed anew in the newest
    /// epoch. `false` if it does not wait any more, or was sealed anew too often.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn seal_anew(&self, nak: &NotSaved) -> Result<bool> {
        if self.look_dir()?.is_none() {
            return Ok(false);
        }
        let mut work = Work::begin(self)?;
        let Some(keys) = &mut work.keys else { return Ok(false) };
        let waiting = work.kept.waiting.iter_mut().find(|waiting| waiting.id == nak.id && !waiting.open);
        let Some(waiting) = waiting else { return Ok(false) };
        match keys.slots.get(&nak.id) {
            Some(slot) if (slot.ep, slot.n) == (nak.ep, nak.n) => {}
            // What could not be opened was sealed anew since.
            _ => return Ok(true),
        }
        waiting.anew += 1;
        if waiting.anew > MAX_ANEW {
            return work.save(false).map(|()| false);
        }
        // It gets a new number, in the newest epoch, when it is sent.
        keys.slots.remove(&nak.id);
        work.save(false).map(|()| true)
    }

    /// Takes messages that wait out again.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn withdraw(&self, ids: &[MessageId]) -> Result<()> {
        self.settle(Fate::Withdrawn, |_| ids.to_vec()).map(drop)
    }

    /// Takes those that `choose` names out of those that wait; which of them did.
    fn settle(&self, fate: Fate, choose: impl FnOnce(&mut Work<'_>) -> Vec<MessageId>) -> Result<Vec<MessageId>> {
        if self.look_dir()?.is_none() {
            return Ok(Vec::new());
        }
        let mut work = Work::begin(self)?;
        let mut settled = Vec::new();
        for id in choose(&mut work) {
            if let Some(index) = work.kept.waiting.iter().position(|waiting| waiting.id == id) {
                settled.push(work.settle(index, fate)?);
            }
        }
        if !settled.is_empty() {
            // A mark that says the peer has it is not worth a sync: what has no mark and does not wait was acknowledged.
            work.save(fate != Fate::Acked)?;
        }
        Ok(settled)
    }
}

impl Work<'_> {
    /// Those of `drafts` that the log knows. A number at random is not used twice but by one who has just failed to send it.
    fn find_drafts(&self, drafts: &[Draft]) -> Result<HashMap<MessageId, Found>> {
        let drawn = |id: &MessageId| id.as_str().len() == 32 && id.as_str().bytes().all(|c| c.is_ascii_hexdigit());
        let (drawn, chosen): (HashSet<_>, HashSet<_>) =
            drafts.iter().map(|draft| &draft.head.id).partition(|id| drawn(id));
        let mut found = self.find(Side::Out, &chosen, LOOK_BACK)?;
        found.extend(self.find(Side::Out, &drawn, SHORT_LOOK_BACK)?);
        Ok(found)
    }

    /// How far the message with the draft's id is, if there is one.
    fn known(
        &self,
        draft: &Draft,
        before: &HashMap<MessageId, Found>,
        new: &HashMap<&MessageId, &str>,
    ) -> Result<Option<Stage>> {
        let id = &draft.head.id;
        let (same, stage) = if let Some(text) = new.get(id) {
            (*text == draft.text, Some(Stage::Queued))
        } else if let Some(waiting) = self.kept.waiting.iter().find(|waiting| waiting.id == *id) {
            let text = self.text(&self.log()?, waiting)?;
            (text.is_some_and(|text| *text == draft.text.as_bytes()), Some(Stage::Queued))
        } else if let Some(found) = before.get(id) {
            let stage = match found.fate {
                Some(Fate::Withdrawn) => None,
                fate => Some(fate.unwrap_or(Fate::Acked).stage()),
            };
            (found.text.as_ref().is_some_and(|text| **text == draft.text.as_bytes()), stage)
        } else {
            return Ok(None);
        };
        if same {
            return Ok(stage);
        }
        Err(Error::usage(format!("the id '{id}' was used for another message already"))
            .hint("an id names one message for ever: choose another, or none"))
    }

    /// Adds a message of ours to the log, and to those that wait.
    fn store(&mut self, draft: &Draft, open: bool) -> Result<()> {
        let head = &draft.head;
        let line = Line {
            seq: 0,
            side: Side::Out,
            id: head.id.clone(),
            time: head.time,
            stored: 0,
            reply_to: head.reply_to.clone(),
            ttl: head.ttl,
            ep: None,
            n: None,
            sealed: !open,
            text: Cow::Borrowed(""),
        };
        let (seq, at, _) = self.add_message(line, draft.text.as_bytes())?;
        self.kept.waiting.push(Waiting::new(head, seq, at, open));
        Ok(())
    }

    /// A message as it is sent. It gets its number now if it has none, and so the keys of the newest epoch.
    fn envelope(&mut self, waiting: &Waiting, text: &[u8], numbered: &mut bool) -> Result<Envelope> {
        let head = waiting.head();
        match &mut self.keys {
            Some(keys) => {
                if !keys.slots.contains_key(&head.id) {
                    keys.slots.insert(head.id.clone(), keys.ratchet.next(&head, text)?);
                    *numbered = true;
                }
                let slot = keys.slots.get(&head.id).ok_or_else(|| Error::state("a message has no number"))?;
                keys.ratchet.seal(slot, &head, text).map(Envelope::Message)
            }
            None => {
                let body = Bytes(text.to_vec());
                let Head { id, ack, time, reply_to, .. } = head;
                Ok(Envelope::Open(Open { id, body, ack, time, reply_to }))
            }
        }
    }
}
