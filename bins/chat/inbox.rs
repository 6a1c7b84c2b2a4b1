//! What peers have sent, in the order it was stored, from the log and from what happens, and nothing twice.

use crate::request::Begin;
use keywire::chat::{Chat, Conversation, Entry, Event, Side};
use keywire::error::Result;
use keywire::key::PublicKey;
use keywire::threads::on_disk;
use std::collections::{BTreeMap, VecDeque};

/// How many messages are read from a log at a time.
const PAGE: usize = 256;

/// The messages of peers, one after the other.
pub(crate) struct Inbox {
    chat: Chat,
    /// From whom; from everybody if it is empty.
    only: Vec<PublicKey>,
    readers: BTreeMap<PublicKey, Reader>,
    /// Somebody may be missing in `readers`.
    is_incomplete: bool,
}

/// One conversation.
struct Reader {
    conversation: Conversation,
    /// What was read, and not handed on yet; only what the peer has written.
    queue: VecDeque<Entry>,
    /// Up to which place everything was read.
    read: u64,
    /// There may be more in the log.
    is_behind: bool,
}

impl Inbox {
    /// Everything that `only` these, or all if nobody is named, have sent: behind what `place` says, or, where that is 0, from
    /// `begin` on. Who is not there yet begins with the first message.
    pub(crate) async fn open(
        chat: Chat,
        only: Vec<PublicKey>,
        begin: Begin,
        place: impl Fn(&PublicKey) -> Result<u64> + Send + 'static,
    ) -> Result<Self> {
        on_disk(move || {
            let peers = if only.is_empty() { chat.peers()? } else { only.clone() };
            let mut readers = BTreeMap::new();
            for peer in peers {
                let conversation = chat.with(peer);
                let read = match (place(&peer)?, begin) {
                    (0, Begin::Seq(seq)) => seq,
                    (0, Begin::Time(millis)) => conversation.seq_before(millis)?,
                    (0, Begin::Now) => conversation.last_seq()?,
                    (place, _) => place,
                };
                readers.insert(peer, Reader { conversation, queue: VecDeque::new(), read, is_behind: true });
            }
            Ok(Inbox { chat, only, readers, is_incomplete: false })
        })
        .await
    }

    /// Something has happened.
    pub(crate) fn take(&mut self, event: &Event) {
        let Event::Message(entry) = event else { return };
        if !self.only.is_empty() && !self.only.contains(&entry.peer) {
            return;
        }
        self.reader(entry.peer).take(entry);
    }

    /// Something has happened that was missed.
    pub(crate) fn look_again(&mut self) {
        self.is_incomplete = self.only.is_empty();
        for reader in self.readers.values_mut() {
            reader.is_behind = true;
        }
    }

    /// The next message; `None` if there is none now. Losing the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>> {
        if self.is_incomplete {
            let chat = self.chat.clone();
            for peer in on_disk(move || chat.peers()).await? {
                self.reader(peer);
            }
            self.is_incomplete = false;
        }
        for reader in self.readers.values_mut() {
            while reader.queue.is_empty() && reader.is_behind {
                reader.read_on().await?;
            }
        }
        let waiting = self.readers.values_mut().filter(|reader| !reader.queue.is_empty());
        let oldest = waiting.min_by_key(|reader| reader.queue.front().map(|entry| entry.stored));
        Ok(oldest.and_then(|reader| reader.queue.pop_front()))
    }

    fn reader(&mut self, peer: PublicKey) -> &mut Reader {
        let chat = &self.chat;
        self.readers.entry(peer).or_insert_with(|| Reader {
            conversation: chat.with(peer),
            queue: VecDeque::new(),
            read: 0,
            is_behind: true,
        })
    }
}

impl Reader {
    /// What is next in order is as good as what the log says; all else is read there.
    fn take(&mut self, entry: &Entry) {
        if entry.seq <= self.read {
            return;
        }
        if self.is_behind || entry.seq != self.read + 1 {
            self.is_behind = true;
            return;
        }
        self.read = entry.seq;
        if entry.side == Side::In {
            self.queue.push_back(entry.clone());
        }
    }

    async fn read_on(&mut self) -> Result<()> {
        let (conversation, read) = (self.conversation.clone(), self.read);
        let page = on_disk(move || conversation.after(read, PAGE)).await?;
        self.is_behind = page.len() == PAGE;
        for entry in page {
            self.read = entry.seq;
            if entry.side == Side::In {
                self.queue.push_back(entry);
            }
        }
        Ok(())
    }
}
