//! What is given to the other: how far our logs go, and entries.

use super::{MOST_TIPS, MOST_UNHEARD, Session};
use crate::error::Result;
use crate::group::replica::{Replica, length};
use crate::group::shelf::Shelf;
use crate::proto::group::message::{CHUNK, Tip};
use crate::proto::group::{Class, Entry, Message};
use std::collections::VecDeque;

impl Session {
    /// All that we have. What does not fit into one message is told before it.
    pub(super) fn all<S: Shelf>(&mut self, replica: &Replica<S>) -> Message {
        let may_know = |tip: &Tip| self.farewell.is_none() || tip.log.class == Class::Roster;
        let mut tips: Vec<Tip> = replica.tips().filter(may_know).collect();
        for tip in &tips {
            self.told.insert(tip.log, tip.seq);
        }
        let rest = tips.split_off(tips.len().saturating_sub(MOST_TIPS));
        let mut messages: VecDeque<Message> =
            tips.chunks(MOST_TIPS).map(|tips| Message::Have { is_all: false, tips: tips.to_vec() }).collect();
        messages.push_back(Message::Have { is_all: true, tips: rest });
        let first = messages.pop_front();
        self.queue.extend(messages);
        first.unwrap_or(Message::Prune)
    }

    /// The next entries that the other lacks: acts first, then content, log by log.
    pub(super) fn entries<S: Shelf>(&mut self, replica: &Replica<S>) -> Result<Option<Vec<Entry>>> {
        if self.unheard.iter().map(|(_, _, bytes)| bytes).sum::<u64>() > MOST_UNHEARD {
            return Ok(None);
        }
        let mut chunk = replica.missing_acts(&self.sent, CHUNK)?;
        chunk.retain(|act| self.farewell.is_none_or(|until| act.header.clock <= until));
        let mut bytes = chunk.iter().map(length).sum::<usize>();
        if chunk.is_empty() && self.farewell.is_none() {
            for tip in replica.tips().filter(|tip| tip.log.class == Class::Content) {
                let from = self.sent.get(&tip.log).map_or(1, |sent| sent.saturating_add(1));
                if from > tip.seq {
                    continue;
                }
                let entries = replica.signed(&tip.log, from, CHUNK - bytes)?;
                bytes += entries.iter().map(length).sum::<usize>();
                chunk.extend(entries);
                if bytes >= CHUNK {
                    break;
                }
            }
        }
        for entry in &chunk {
            let header = &entry.header;
            self.sent.insert(header.log, header.seq);
            let told = self.told.entry(header.log).or_insert(0);
            *told = header.seq.max(*told);
        }
        if let Some(last) = chunk.last() {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            self.unheard.push_back((last.header.log, last.header.seq, bytes));
        }
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }
}
