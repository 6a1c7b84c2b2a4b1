//! What is shown: lines for people, and objects for programs. kw-inbox(1), JSON.

use crate::NAME;
use crate::said::{About, Said, Say};
use keywire::cli::{self, Output};
use keywire::error::{Error, Result};
use keywire::inbox::carry::Delivered;
use keywire::inbox::{CardRow, Handed, Inbox, KeyRow, NotOpened, Opened, Outcome};
use keywire::json::json;
use keywire::key::PublicKey;
use keywire::pair::Standing;
use keywire::proto::inbox::{Card, Content, Rki, SealedId};
use keywire::store::Store;
use keywire::table;
use keywire::term::sanitize_line;
use keywire::trust::{Names, Time, timestamp};
use std::time::{Duration, SystemTime};

/// Writes what there is to show.
pub(crate) struct Show {
    names: Names,
    is_json: bool,
    out: Output,
    said: Said,
}

impl Show {
    pub(crate) fn new(store: &Store, is_json: bool) -> Result<Self> {
        Ok(Show { names: Names::load(store)?, is_json, out: Output::default(), said: Said::default() })
    }

    /// Writes what there is to standard output.
    ///
    /// # Errors
    /// Those of [`cli::print`].
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }

    /// Adds lines as they are.
    pub(crate) fn lines(&mut self, text: &str) {
        text.lines().for_each(|line| self.out.line(line));
    }

    /// The name of `key`, if it has one.
    pub(crate) fn name(&mut self, key: &PublicKey) -> Option<&str> {
        self.names.of(key)
    }

    /// What we call `key`: its name, else its short form.
    pub(crate) fn called(&mut self, key: &PublicKey) -> String {
        self.names.of(key).map_or_else(|| key.short(), str::to_owned)
    }

    /// A card as an object, with the digits of the safety number if there are any.
    pub(crate) fn card(&mut self, card: &Card, number: Option<&str>) -> Result<()> {
        let keys: Vec<Rki> = card.keys().iter().map(Rki::of).collect();
        let recipient = card.recipient();
        self.out.object(&json!({
            "event": "card", "card": card.to_string(), "recipient": recipient, "name": self.names.of(&recipient),
            "expires": millis(card.expires()), "keys": keys, "addresses": card.addresses(), "number": number,
        }))
    }

    /// The one-time keys of all cards.
    pub(crate) fn keys(&mut self, cards: &[CardRow]) -> Result<()> {
        let mut rows = Vec::new();
        for (card, key) in cards.iter().flat_map(|card| card.keys.iter().map(move |key| (card, key))) {
            if self.is_json {
                self.key(card, key)?;
                continue;
            }
            let label = if card.label.is_empty() { "-".to_owned() } else { sanitize_line(&card.label) };
            let by = key.by.map_or_else(String::new, |by| format!("by {}", self.called(&by)));
            // Of a live one it is of interest when it will end, of others when they did.
            let at = key.at.unwrap_or(card.expires);
            rows.push([key.rki().to_string(), key.state.to_string(), at.to_string(), label, by]);
        }
        self.lines(&table::align(&rows));
        Ok(())
    }

    fn key(&mut self, card: &CardRow, key: &KeyRow) -> Result<()> {
        let name = key.by.as_ref().and_then(|by| self.names.of(by));
        let object = json!({
            "event": "key", "rki": key.rki(), "state": key.state, "made": millis(card.made),
            "expires": millis(card.expires), "at": key.at.map(millis), "label": card.label, "by": key.by,
            "name": name, "id": key.message, "card": card.card,
        });
        self.out.object(&object)
    }

    /// A message.
    pub(crate) fn message(&mut self, opened: &Opened) -> Result<()> {
        let frame = &opened.frame;
        if self.is_json {
            let name = self.names.of(&opened.from);
            let object = json!({
                "event": "message", "id": opened.id, "from": opened.from, "name": name, "time": frame.time,
                "received": opened.stored, "rki": opened.rki(), "label": opened.label, "text": opened.text(),
                "invite": matches!(frame.content, Content::Invite { .. }),
                "accepts": matches!(frame.content, Content::Ack(_)), "card": frame.card.as_ref().map(Card::to_string),
            });
            return self.out.object(&object);
        }
        let from = self.called(&opened.from);
        let carries = match &frame.content {
            Content::Text(_) => "",
            Content::Invite { .. } => " (invites)",
            Content::Ack(_) => " (accepts)",
        };
        let text = sanitize_line(opened.text().unwrap_or_default());
        self.out.line(format!("{} {from}{carries}: {text}", time(frame.time)).trim_end());
        Ok(())
    }

    /// What can be done about a message that was opened just now.
    pub(crate) fn next_step(&mut self, opened: &Opened) {
        let (key, called) = (opened.from, self.called(&opened.from));
        let asks = |what: &str| {
            let steps = format!("compare with 'kw-chat verify {key}', then 'kw-chat pair accept {key}'");
            hint(&format!("{called} asks {what}: {steps}"));
        };
        match &opened.handed {
            Handed::Nothing => {}
            Handed::Asks(Standing::Accepted { .. }) => asks("for new keys, though you are paired"),
            Handed::Asks(_) => asks("to chat"),
            Handed::Standing(Standing::Accepted { .. }) => notice(&format!("paired with {called}")),
            Handed::Standing(_) => notice(&format!("'kw-chat pair list' shows how it stands with {called}")),
            Handed::Nonsense(why) => notice(&format!("what {called} says to kw-chat makes no sense: {why}")),
        }
    }

    /// How it went with our answer to an invite of `peer`.
    pub(crate) fn answered(&mut self, peer: &PublicKey, went: Result<Delivered>) -> Result<String> {
        let called = self.called(peer);
        match went {
            Ok(Delivered { at, .. }) => Ok(format!("our answer to {called} was delivered at {}", at.at)),
            Err(error) => {
                let told = format!("our answer to {called} could not be delivered: {error}");
                Err(Error::new(error.kind(), told).hints_of(&error))
            }
        }
    }

    /// The first line of what listens.
    pub(crate) fn listening(&mut self, address: &str) -> Result<()> {
        match self.is_json {
            true => self.out.object(&json!({ "event": "listening", "address": address }))?,
            false => self.out.line(&format!("listening {address}")),
        }
        self.flush()
    }

    /// What happens where it listens: messages on standard output, the rest on standard error or as objects.
    pub(crate) fn news(&mut self, news: News) -> Result<()> {
        match news {
            News::Opened(opened) => {
                self.message(&opened)?;
                self.flush()?;
                self.next_step(&opened);
            }
            News::Held(owner, id) if self.is_json => {
                let name = self.names.of(&owner);
                self.out.object(&json!({ "event": "held", "owner": owner, "name": name, "id": id }))?;
                return self.flush();
            }
            News::Fetched(owner, count) if self.is_json => {
                let name = self.names.of(&owner);
                self.out.object(&json!({ "event": "fetched", "owner": owner, "name": name, "count": count }))?;
                return self.flush();
            }
            News::Held(owner, id) => {
                notice(&format!("holds {id} for {}", self.called(&owner)));
            }
            News::Fetched(owner, count) => {
                let messages = if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
                notice(&format!("{} has been sent {messages}", self.called(&owner)));
            }
            News::Answered(peer, went) => match self.answered(&peer, went) {
                Ok(text) => {
                    self.said.well(&About::Answer(peer));
                    notice(&text);
                }
                Err(error) => return self.news(News::Trouble(About::Answer(peer), error)),
            },
            News::Notice(text) => notice(&text),
            News::Well(about) => self.said.well(&about),
            News::Trouble(about, error) => {
                let say = self.said.trouble(about, error.to_string());
                report(say, &error);
            }
            News::NotOpened(why) => {
                let error = Error::from(why);
                let say = self.said.of_others(error.to_string());
                report(say, &error);
            }
        }
        Ok(())
    }
}

/// What happens where it listens.
pub(crate) enum News {
    /// A message to us was opened.
    Opened(Box<Opened>),
    /// A message is held for its owner.
    Held(PublicKey, SealedId),
    /// An owner has been sent so many messages.
    Fetched(PublicKey, usize),
    /// Our answer to an invite of this key was delivered, or not.
    Answered(PublicKey, Result<Delivered>),
    /// Something that the user should know.
    Notice(String),
    /// This goes as it should.
    Well(About),
    /// This does not, and may not do so again.
    Trouble(About, Error),
    /// A message was not opened; its sender may have made it for that.
    NotOpened(NotOpened),
}

impl From<Outcome> for News {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(opened) => News::Opened(Box::new(opened)),
            Err(why @ NotOpened::Lost(rki, _)) => News::Trouble(About::Secret(rki), why.into()),
            Err(why @ NotOpened::Unfinished(from, _)) => News::Trouble(About::Word(from), why.into()),
            Err(why) => News::NotOpened(why),
        }
    }
}

/// Says an error, if it is to be said.
fn report(say: Say, error: &Error) {
    if say != Say::No {
        cli::report(NAME, error);
    }
    if say == Say::Last {
        notice("this many messages that cannot be opened are somebody's doing: no others of them are told from now on");
    }
}

/// A time, for programs.
fn millis(time: Time) -> u64 {
    time.unix().saturating_mul(1000)
}

/// A time of a message, for people.
pub(crate) fn time(millis: u64) -> String {
    timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}

/// Something that the user should know, on standard error.
pub(crate) fn notice(text: &str) {
    cli::say(&format!("{NAME}: {}", sanitize_line(text)));
}

/// A next step, on standard error.
pub(crate) fn hint(text: &str) {
    notice(&format!("hint: {text}"));
}

/// What was found on the disk.
pub(crate) fn notices(inbox: &Inbox) {
    inbox.notices().iter().for_each(|text| notice(text));
}
