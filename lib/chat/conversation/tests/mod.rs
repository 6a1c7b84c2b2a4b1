//! Conversations on disk. What needs no keys is tried with open messages.

mod crash;
mod full;
mod history;
mod queue;
mod receive;
mod sealed;
mod stolen;

use super::{Conversation, Draft, Incoming, LOG};
use crate::chat::CHAT_DIR;
use crate::chat::tests::{BEGIN, Home};
use crate::handshake::Finished;
use crate::json::Bytes;
use crate::key::{KeyPair, PublicKey};
use crate::proto::chat::{Envelope, Message, MessageId, Open, OpenSaved, Saved};
use crate::ratchet::{Head, Meeting, Ratchet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use zeroize::Zeroizing;

/// A user who talks with one peer.
struct Talk {
    home: Home,
    peer: PublicKey,
}

impl Talk {
    fn new() -> Self {
        Talk { home: Home::new(), peer: KeyPair::generate().unwrap().public() }
    }

    /// Two users who are paired: the first has invited the second.
    fn pair() -> [Self; 2] {
        let homes = [Home::new(), Home::new()];
        let keys = [1, 0].map(|other: usize| homes[other].chat().me().public());
        let mut talks = homes.into_iter().zip(keys).map(|(home, peer)| Talk { home, peer });
        let talks = [talks.next().unwrap(), talks.next().unwrap()];
        agree(&talks, 1);
        talks
    }

    /// As a program sees it that has just started.
    fn start(&self) -> Conversation {
        self.home.chat().with(self.peer)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(CHAT_DIR).join(self.peer.to_string()).join(name)
    }

    fn log(&self) -> Vec<u8> {
        std::fs::read(self.path(LOG)).unwrap_or_default()
    }

    fn state(&self) -> Vec<u8> {
        std::fs::read(self.path("state.json")).unwrap()
    }

    /// Puts files back as they were; without a state, there is none.
    fn put(&self, log: &[u8], state: Option<&[u8]>) {
        std::fs::write(self.path(LOG), log).unwrap();
        match state {
            Some(state) => std::fs::write(self.path("state.json"), state).unwrap(),
            None => std::fs::remove_file(self.path("state.json")).unwrap(),
        }
    }

    /// The texts of the whole history.
    fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let each = |entry: super::Entry| {
            texts.push(entry.text);
            Ok(())
        };
        self.start().each(each).unwrap();
        texts
    }
}

/// Agrees on the keys that `name` names, in place of those that were there.
fn agree(talks: &[Talk; 2], name: u8) {
    for talk in talks {
        let (from_initiator, from_responder) = (Zeroizing::new([name; 32]), Zeroizing::new([!name; 32]));
        let keys = Finished { peer: talk.peer, hash: [name; 64], from_initiator, from_responder };
        let me = talk.home.chat().me().public();
        talk.start().begin(Ratchet::begin(&keys, me, BEGIN / 1000)).unwrap();
    }
}

/// Has both say hello on a new connection.
fn meet([one, other]: &[Talk; 2], must: bool) -> [Meeting; 2] {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    let binding = [COUNT.fetch_add(1, Ordering::Relaxed); 64];
    let hello = |talk: &Talk| talk.start().hello(&binding, must).unwrap().unwrap();
    let (mine, theirs) = (hello(one), hello(other));
    let (from_one, from_other) = (mine.hello().clone(), theirs.hello().clone());
    [one.start().meet(mine, &from_other, &binding).unwrap(), other.start().meet(theirs, &from_one, &binding).unwrap()]
}

/// Everything of `from` that waits.
fn sent(from: &Talk) -> Vec<Message> {
    sealed(from.start().waiting(|_| false, 1000).unwrap())
}

fn sealed(envelopes: Vec<Envelope>) -> Vec<Message> {
    let message = |envelope| match envelope {
        Envelope::Message(message) => message,
        other => panic!("{other:?}"),
    };
    envelopes.into_iter().map(message).collect()
}

/// Gives messages to `to`: its answers, and the texts that are new.
fn give(to: &Talk, messages: &[Message]) -> (Vec<Envelope>, Vec<String>) {
    let messages: Vec<_> = messages.iter().cloned().map(Incoming::Sealed).collect();
    let (answers, entries) = to.start().receive(&messages).unwrap();
    (answers, entries.into_iter().map(|entry| entry.text).collect())
}

/// Those answers that say that a message is saved.
fn acks(answers: &[Envelope]) -> Vec<Saved> {
    let saved = |answer: &Envelope| match answer {
        Envelope::Saved(saved) => Some(saved.clone()),
        _ => None,
    };
    answers.iter().filter_map(saved).collect()
}

fn id(text: &str) -> MessageId {
    text.parse().unwrap()
}

fn draft(name: &str, text: &str) -> Draft {
    let head = Head { id: id(name), ack: true, time: BEGIN, ttl: None, reply_to: None };
    Draft { head, text: text.to_owned() }
}

/// An open message of the peer.
fn open(name: &str, body: &str) -> Incoming {
    open_at(name, body, BEGIN)
}

fn open_at(name: &str, body: &str, time: u64) -> Incoming {
    Incoming::Open(Open { id: id(name), body: Bytes(body.as_bytes().to_vec()), ack: true, time, reply_to: None })
}

fn acked(name: &str) -> OpenSaved {
    OpenSaved { id: id(name) }
}

/// The ids in envelopes.
fn names(envelopes: &[Envelope]) -> Vec<&str> {
    let mut names = Vec::new();
    for envelope in envelopes {
        names.push(match envelope {
            Envelope::Message(message) => message.id.as_str(),
            Envelope::Open(message) => message.id.as_str(),
            Envelope::OpenSaved(saved) => saved.id.as_str(),
            Envelope::Saved(saved) => saved.id.as_str(),
            other => panic!("{other:?}"),
        });
    }
    names
}
