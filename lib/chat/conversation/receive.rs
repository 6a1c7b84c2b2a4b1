//! Messages of the peer: each is opened, sealed under the storage key, and on disk before anybody hears of it; each once.

use super::record::Line;
use super::work::{Found, Work};
use super::{Conversation, Entry, Incoming, LOOK_BACK, Side};
use crate::error::Result;
use crate::proto::chat::{Envelope, MAX_TEXT_LEN, Message, MessageId, NotSaved, OpenSaved, Why};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use zeroize::Zeroizing;

/// Conversations at which nobody new begins one without a pair, where `"pairing": "open"` lets everybody: keys cost nothing.
const MAX_CONVERSATIONS: usize = 1000;

/// What a look into the log counts as, in bytes of the day's share.
const LOOK_UP_PRICE: u64 = 1 << 20;

/// What came of a message before the log was looked at.
enum Opening {
    /// This text; and what to answer when it is on disk.
    Text(Zeroizing<Vec<u8>>, Envelope),
    /// Its number was used: by itself, if it is in the log.
    Used,
    /// It is not taken.
    No(Why),
}

/// The numbers of the messages that are known.
type Numbers = HashMap<MessageId, (Option<u64>, Option<u64>)>;

impl Conversation {
    /// Takes messages of the peer: each is on disk when this returns, or the answer says that it is not. The answers stand
    /// in the order of `messages`: `chat-ack`, `chat-nak` or `chat-open-ack`, also for those that want none; the entries
    /// are those that are new.
    ///
    /// # Errors
    /// Nothing was stored, and nothing must be answered but that it cannot be now.
    pub fn receive(&self, messages: &[Incoming]) -> Result<(Vec<Envelope>, Vec<Entry>)> {
        if self.look_dir()?.is_none() && self.chat.peers()?.len() >= MAX_CONVERSATIONS {
            return Ok((messages.iter().map(|message| not_saved(message, Why::Full)).collect(), Vec::new()));
        }
        let mut work = Work::begin(self)?;
        let openings = work.open_all(messages);
        // The keys move on even where nothing new was opened.
        let moved = openings.iter().any(|opening| matches!(opening, Opening::Text(_, Envelope::Saved(_))));
        let (mut known, has_looked) = work.look_up(messages, &openings)?;
        let mut answers = Vec::with_capacity(messages.len());
        let mut entries = Vec::new();
        for (message, opening) in messages.iter().zip(openings) {
            answers.push(match opening {
                Opening::No(why) => not_saved(message, why),
                Opening::Used => work.answer_used(message, &known),
                Opening::Text(_, answer)
                    if work.kept.recent.holds(message.id()) || known.contains_key(message.id()) =>
                {
                    answer
                }
                Opening::Text(text, answer) => match String::from_utf8(text.to_vec()) {
                    Ok(text) if text.len() <= MAX_TEXT_LEN => {
                        entries.push(work.take(message, text)?);
                        known.insert(message.id().clone(), message.numbers());
                        answer
                    }
                    _ => not_saved(message, Why::Damaged),
                },
            });
        }
        if moved || has_looked || !entries.is_empty() {
            work.save(!entries.is_empty())?;
        }
        Ok((answers, entries))
    }
}

impl Work<'_> {
    /// Opens them, as far as there is room for them today.
    fn open_all(&mut self, messages: &[Incoming]) -> Vec<Opening> {
        let mut room = self.kept.room(self.now);
        let keys = &mut self.keys;
        let open = |message: &Incoming| {
            let length = match message {
                Incoming::Sealed(message) => message.ct.0.len(),
                Incoming::Open(message) => message.body.0.len(),
            };
            if room == 0 {
                return Opening::No(Why::Full);
            }
            room = room.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
            match message {
                Incoming::Open(message) => {
                    let answer = Envelope::OpenSaved(OpenSaved { id: message.id.clone() });
                    Opening::Text(Zeroizing::new(message.body.0.clone()), answer)
                }
                Incoming::Sealed(message) => match keys.as_mut().map(|keys| keys.ratchet.open(message)) {
                    Some(Ok(opened)) => Opening::Text(opened.text, Envelope::Saved(opened.saved)),
                    Some(Err(Why::Used)) => Opening::Used,
                    Some(Err(why)) => Opening::No(why),
                    None => Opening::No(Why::NoKey),
                },
            }
        };
        messages.iter().map(open).collect()
    }

    /// Looks up in the log which of them are there already, where that can be.
    fn look_up(&mut self, messages: &[Incoming], openings: &[Opening]) -> Result<(Numbers, bool)> {
        let (recent, forgotten) = (&self.kept.recent, self.kept.forgotten);
        let may_be_there = |(message, opening): &(&Incoming, &Opening)| match opening {
            Opening::Used => true,
            Opening::No(_) => false,
            Opening::Text(..) => {
                !recent.holds(message.id()) && recent.may_have_forgotten(message.time(), self.now, forgotten)
            }
        };
        let ids: HashSet<&MessageId> =
            messages.iter().zip(openings).filter(may_be_there).map(|(message, _)| message.id()).collect();
        let has_looked = !ids.is_empty();
        let found = self.find(Side::In, &ids, LOOK_BACK)?;
        let numbers = found.into_iter().map(|(id, Found { numbers, .. })| (id, numbers)).collect();
        if has_looked {
            // The peer can make us look as often as it likes: that has its price too.
            self.kept.charge(LOOK_UP_PRICE, self.now);
        }
        Ok((numbers, has_looked))
    }

    /// A message whose number was used: if it is the one that used it, our answer was lost, and is given again.
    fn answer_used(&self, message: &Incoming, known: &Numbers) -> Envelope {
        let Incoming::Sealed(sealed) = message else { return not_saved(message, Why::Used) };
        if known.get(&sealed.id) != Some(&message.numbers()) {
            return not_saved(message, Why::Used);
        }
        let again = self.keys.as_ref().and_then(|keys| keys.ratchet.acknowledge(sealed));
        again.map_or_else(|| not_saved(message, Why::NoKey), Envelope::Saved)
    }

    /// Adds a new message to the log.
    fn take(&mut self, message: &Incoming, text: String) -> Result<Entry> {
        let (ep, n) = message.numbers();
        let (time, reply_to, ttl) = match message {
            Incoming::Sealed(message) => (message.time, &message.reply_to, message.ttl),
            Incoming::Open(message) => (message.time, &message.reply_to, None),
        };
        let sealed = matches!(message, Incoming::Sealed(_));
        let id = message.id().clone();
        let line = Line {
            seq: 0,
            side: Side::In,
            id: id.clone(),
            time,
            stored: 0,
            reply_to: reply_to.clone(),
            ttl,
            ep,
            n,
            sealed,
            text: Cow::Borrowed(""),
        };
        let (seq, _, bytes) = self.add_message(line, text.as_bytes())?;
        self.kept.took(&id, time, bytes, self.now);
        let (peer, side, stored) = (self.texts().peer, Side::In, self.now);
        Ok(Entry { seq, peer, side, id, time, stored, reply_to: reply_to.clone(), stage: None, sealed, text })
    }
}

impl Incoming {
    fn id(&self) -> &MessageId {
        match self {
            Incoming::Sealed(message) => &message.id,
            Incoming::Open(message) => &message.id,
        }
    }

    fn time(&self) -> u64 {
        match self {
            Incoming::Sealed(message) => message.time,
            Incoming::Open(message) => message.time,
        }
    }

    /// Its epoch and its number there, if it was sealed.
    fn numbers(&self) -> (Option<u64>, Option<u64>) {
        match self {
            Incoming::Sealed(Message { ep, n, .. }) => (Some(*ep), Some(*n)),
            Incoming::Open(_) => (None, None),
        }
    }
}

fn not_saved(message: &Incoming, why: Why) -> Envelope {
    let (ep, n) = message.numbers();
    Envelope::NotSaved(NotSaved { id: message.id().clone(), ep: ep.unwrap_or(0), n: n.unwrap_or(0), why })
}
