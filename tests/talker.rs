//! A peer of kw-chat that says whatever a test wants, word by word, and keeps its state in memory.

use crate::peer::Peer;
use keywire::addr::PeerAddr;
use keywire::key::{KeyPair, PublicKey};
use keywire::pair::{Heard, Ourselves, Pairs};
use keywire::proto::chat::{CHAT, Envelope, Hello, Message, MessageId, kind};
use keywire::ratchet::{Head, Ratchet, Slot, Step};
use keywire::seal::StorageKey;
use std::time::{SystemTime, UNIX_EPOCH};

/// Somebody who talks to one listener.
pub struct Talker {
    pub me: KeyPair,
    pub to: PeerAddr,
    storage: StorageKey,
    pairs: Pairs,
    pub ratchet: Option<Ratchet>,
}

/// One connection of a talker's.
pub struct Talk {
    pub peer: Peer,
    carried: u64,
}

impl Talker {
    pub fn new(to: &str) -> Self {
        let me = KeyPair::generate().unwrap();
        let storage = StorageKey::of(&me);
        Talker { me, to: to.parse().unwrap(), storage, pairs: Pairs::default(), ratchet: None }
    }

    pub fn key(&self) -> PublicKey {
        self.me.public()
    }

    pub fn call(&self) -> Talk {
        Talk { peer: Peer::dial(&self.me, &self.to, CHAT.name), carried: 0 }
    }

    /// Invites the listener.
    pub fn invite(&mut self) -> Envelope {
        let us = Ourselves { me: &self.me, storage: &self.storage, addresses: &[] };
        self.pairs.invite(us, self.to.key, false, SystemTime::now()).unwrap();
        let invite = self.pairs.owed(&self.to.key, SystemTime::now()).remove(0);
        let mut talk = self.call();
        talk.say(&invite);
        talk.hear_until(|heard| matches!(heard, Envelope::Received(_)));
        talk.end();
        invite
    }

    /// Takes the consent that was given to the invite, and shows that it has the keys. The connection goes on.
    pub fn confirm(&mut self) -> Talk {
        let mut talk = self.call();
        let Envelope::Ack(ack) = talk.hear_until(|heard| matches!(heard, Envelope::Ack(_))) else { unreachable!() };
        let us = Ourselves { me: &self.me, storage: &self.storage, addresses: &[] };
        let Heard::Paired(ratchet) = self.pairs.on_ack(us, &self.to.key, &ack, SystemTime::now()).unwrap() else {
            panic!("no pair");
        };
        self.ratchet = Some(*ratchet);
        for word in self.pairs.owed(&self.to.key, SystemTime::now()) {
            talk.say(&word);
        }
        talk
    }

    pub fn ratchet(&mut self) -> &mut Ratchet {
        self.ratchet.as_mut().unwrap()
    }

    /// Both hellos of a connection. What came before the listener's is passed over.
    pub fn meet(&mut self, talk: &mut Talk) -> Hello {
        let step: Step = self.ratchet().hello(&talk.peer.binding, false).unwrap();
        talk.say(&Envelope::Hello(step.hello().clone()));
        let Envelope::Hello(hello) = talk.hear_until(|heard| matches!(heard, Envelope::Hello(_))) else {
            unreachable!()
        };
        let binding = talk.peer.binding;
        self.ratchet().meet(step, &hello, &binding, now()).unwrap();
        hello
    }

    /// A new message.
    pub fn message(&mut self, text: &str) -> (Message, Slot) {
        let time = now() * 1000;
        let head = Head { id: MessageId::random().unwrap(), ack: true, time, ttl: None, reply_to: None };
        let ratchet = self.ratchet();
        let slot = ratchet.next(&head, text.as_bytes()).unwrap();
        (ratchet.seal(&slot, &head, text.as_bytes()).unwrap(), slot)
    }
}

impl Talk {
    pub fn say(&mut self, envelope: &Envelope) {
        for (kind, body) in envelope.records().unwrap() {
            self.raw(kind, &body);
        }
    }

    pub fn raw(&mut self, kind: u8, body: &[u8]) {
        self.carried += body.len() as u64;
        self.peer.send(kind, body);
    }

    /// The next thing that is said; an error when the connection has ended.
    pub fn hear(&mut self) -> Result<Envelope, String> {
        let mut text = Vec::new();
        loop {
            let (is, body) = self.peer.recv().map_err(|cause| cause.to_string())?;
            match is {
                keywire::conn::kind::PING => self.peer.send(keywire::conn::kind::PONG, &[]),
                kind::PART => text.extend(body),
                kind::ENVELOPE => {
                    text.extend(body);
                    return Ok(Envelope::decode(&text).unwrap());
                }
                _ => return Err(String::from_utf8_lossy(body.get(1..).unwrap_or_default()).into_owned()),
            }
        }
    }

    /// The next thing that is said and is `wanted`; the others are passed over.
    pub fn hear_until(&mut self, wanted: impl Fn(&Envelope) -> bool) -> Envelope {
        loop {
            let heard = self.hear().unwrap();
            if wanted(&heard) {
                return heard;
            }
        }
    }

    /// What is said until the connection ends, and how it ends.
    pub fn rest(mut self) -> (Vec<Envelope>, String) {
        let mut heard = Vec::new();
        loop {
            match self.hear() {
                Ok(envelope) => heard.push(envelope),
                Err(end) => return (heard, end),
            }
        }
    }

    pub fn end(mut self) {
        self.peer.close(self.carried);
        while self.hear().is_ok() {}
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
