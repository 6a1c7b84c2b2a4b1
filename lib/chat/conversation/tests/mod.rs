//! Conversations on disk. What needs no keys is tried with open messages.

mod crash;
mod history;
mod queue;
mod receive;

use super::{Conversation, Draft, Incoming, LOG};
use crate::chat::CHAT_DIR;
use crate::chat::tests::{BEGIN, Home};
use crate::key::{KeyPair, PublicKey};
use crate::proto::chat::{Envelope, MessageId, Open, OpenSaved};
use crate::ratchet::Head;
use std::path::PathBuf;

/// A user who talks with one peer.
struct Talk {
    home: Home,
    peer: PublicKey,
}

impl Talk {
    fn new() -> Self {
        Talk { home: Home::new(), peer: KeyPair::generate().unwrap().public() }
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
    Incoming::Open(Open { id: id(name), body: body.to_owned(), ack: true, time, reply_to: None })
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
