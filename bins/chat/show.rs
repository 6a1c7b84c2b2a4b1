//! What is shown: lines for people, and objects for programs, of the same replies. kw-chat(1), JSON.

use crate::NAME;
use crate::request::{Outcome, Relation, Reply, Sent, Status};
use keywire::chat::{Entry, Side, Stage};
use keywire::cli::{self, Output};
use keywire::error::{Error, Result};
use keywire::json::{Value, json};
use keywire::store::Store;
use keywire::term::{sanitize, sanitize_line};
use keywire::trust::{Names, timestamp};
use std::time::{Duration, SystemTime};

/// How a message is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line, with who wrote it and when.
    Line,
    /// Its text.
    Text,
    /// An object.
    Json,
}

/// Writes replies.
pub(crate) struct Show {
    names: Names,
    form: Form,
    out: Output,
}

impl Show {
    pub(crate) fn new(store: &Store, form: Form) -> Result<Self> {
        Ok(Show { names: Names::load(store)?, form, out: Output::default() })
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    pub(crate) fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Writes what there is to standard output.
    ///
    /// # Errors
    /// Those of [`cli::print`].
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, text: &str) {
        self.out.line(text);
    }

    /// Writes an object.
    pub(crate) fn object(&mut self, object: &Value) -> Result<()> {
        self.out.object(object)
    }

    /// Writes a reply. What is for standard output is kept until it is flushed; the rest is said at once.
    pub(crate) fn reply(&mut self, reply: &Reply) -> Result<()> {
        match reply {
            Reply::Message(entry) => self.message(entry),
            Reply::Sent(sent) => self.sent(sent),
            Reply::Pair(relation) => self.told(relation),
            Reply::Status(status) => self.status(status),
        }
    }

    pub(crate) fn message(&mut self, entry: &Entry) -> Result<()> {
        match self.form {
            Form::Json => {
                let name = self.names.of(&entry.peer);
                let object = json!({
                    "event": "message", "peer": entry.peer, "name": name, "seq": entry.seq, "side": entry.side,
                    "id": entry.id, "time": entry.time, "stored": entry.stored, "reply_to": entry.reply_to,
                    "stage": entry.stage, "sealed": entry.sealed, "text": entry.text,
                });
                self.object(&object)?;
            }
            Form::Text => self.line(&sanitize(&entry.text)),
            Form::Line => {
                let who = match (entry.side, entry.stage) {
                    (Side::In, _) => self.names.called(&entry.peer),
                    (Side::Out, Some(Stage::Queued)) => "me (queued)".to_owned(),
                    (Side::Out, Some(Stage::Expired)) => "me (expired)".to_owned(),
                    (Side::Out, _) => "me".to_owned(),
                };
                self.line(&format!("{} {who}: {}", time(entry.time), sanitize_line(&entry.text)));
            }
        }
        Ok(())
    }

    fn sent(&mut self, sent: &Sent) -> Result<()> {
        let name = self.names.called(&sent.peer);
        let error = failure(sent, &name);
        if self.form == Form::Json {
            let (word, millis) = match &sent.outcome {
                Outcome::Acked(millis) => ("acked", Some(*millis)),
                Outcome::Sent | Outcome::Late => ("sent", None),
                Outcome::Unreachable(_) => ("unreachable", None),
                Outcome::Unpaired(_) => ("unpaired", None),
                Outcome::Refused(_) => ("refused", None),
                Outcome::Unproven(_) => ("unproven", None),
            };
            let object = json!({
                "event": "sent", "peer": sent.peer, "name": self.names.of(&sent.peer), "id": sent.id,
                "outcome": word, "queued": sent.queued, "millis": millis,
                "reason": error.as_ref().map(Error::to_string),
            });
            self.object(&object)?;
        }
        match (&error, &sent.outcome) {
            (Some(error), _) => cli::report(NAME, error),
            // What ask prints on standard output is the answer, and nothing else.
            (None, Outcome::Acked(millis)) if self.form == Form::Line => {
                self.line(&format!("acked by {name} in {millis} ms"));
            }
            (None, _) if self.form == Form::Line => self.line(&format!("sent to {name}")),
            (None, _) => {}
        }
        Ok(())
    }

    /// What there is with a key, as an object.
    pub(crate) fn relation(&mut self, relation: &Relation) -> Result<()> {
        let (from, expires) = relation.pending.as_ref().map(|(from, expires)| (from, expires)).unzip();
        let object = json!({
            "event": "pair", "peer": relation.peer, "name": self.names.of(&relation.peer),
            "standing": relation.standing, "since": Some(&relation.since).filter(|since| !since.is_empty()),
            "from": from, "expires": expires, "renews": relation.renews,
            "reached": relation.told.as_ref().map(std::result::Result::is_ok),
            "left": relation.left.as_ref().and_then(|left| left.as_ref().ok()),
        });
        self.object(&object)
    }

    /// What a change has come to.
    fn told(&mut self, relation: &Relation) -> Result<()> {
        if self.form == Form::Json {
            self.relation(relation)?;
        }
        let name = self.names.called(&relation.peer);
        let text = match (relation.standing.as_str(), &relation.told, &relation.left) {
            ("invited", Some(Ok(())), _) => format!("invited {name}: it has the invite, and its user decides"),
            ("invited", _, _) => format!("invited {name}: the invite waits until it is reached"),
            ("accepted", _, _) => format!("paired with {name}"),
            ("unconfirmed", Some(Err(_)), Some(Ok(at))) => {
                format!("accepted {name}: the answer is left at {at}, sealed")
            }
            ("unconfirmed", Some(Err(_)), _) => format!("accepted {name}: it will know when it is reached"),
            ("unconfirmed", _, _) => format!("accepted {name}: it has yet to confirm"),
            ("declined", _, _) => format!("declined {name}"),
            ("declined-by-peer", _, _) => format!("{name} has declined"),
            ("blocked", _, _) => format!("blocked {name}: its connections are refused"),
            ("removed" | "none", _, _) => format!("there is nothing with {name} any more"),
            (standing, _, _) => format!("{name}: {standing}"),
        };
        if self.form != Form::Json {
            self.line(&text);
        }
        if let Some(Err(why)) = &relation.left {
            let problem = format!("the answer could not be left for {name}: {}", sanitize_line(why));
            cli::report(NAME, &Error::network(problem).hint("'kw-inbox fetch' and 'kw-inbox serve' try it again"));
        }
        // What our user has decided holds here; that an invite has not arrived is another thing, and has a status of its own.
        if let (Some(Err(why)), "invited") = (&relation.told, relation.standing.as_str()) {
            cli::report(NAME, &Error::network(format!("{name} cannot be reached: {}", sanitize_line(why))));
        }
        Ok(())
    }

    fn status(&mut self, status: &Status) -> Result<()> {
        if self.form == Form::Json {
            let mut waiting = Vec::new();
            for (peer, count) in &status.waiting {
                waiting.push(json!({ "peer": peer, "name": self.names.of(peer), "count": count }));
            }
            return self.object(&json!({
                "event": "status", "key": status.key, "listening": status.listening,
                "pairing": if status.is_open { "open" } else { "required" },
                "pairs": status.pairs, "waiting": waiting,
            }));
        }
        self.line(&format!("key        {}", status.key));
        self.line(&match &status.listening {
            Some(at) => format!("listening  {at}"),
            None => "listening  no: 'kw-chat listen' waits for peers".to_owned(),
        });
        self.line(match status.is_open {
            true => "pairing    OPEN: the messages of everybody are taken, see config.json",
            false => "pairing    required",
        });
        let pairs: Vec<String> = status.pairs.iter().map(|(standing, count)| format!("{count} {standing}")).collect();
        self.line(&format!("pairs      {}", if pairs.is_empty() { "none".to_owned() } else { pairs.join(", ") }));
        for (peer, count) in &status.waiting {
            let name = self.names.called(peer);
            self.line(&format!("waiting    {count} for {name}"));
        }
        Ok(())
    }
}

/// What went wrong with a message, for people.
fn failure(sent: &Sent, name: &str) -> Option<Error> {
    let queued = if sent.queued { "; queued" } else { "" };
    let invite = || format!("kw-chat pair invite {name}");
    let accept = || format!("kw-chat pair accept {name}");
    Some(match &sent.outcome {
        Outcome::Acked(_) | Outcome::Sent => return None,
        Outcome::Late => Error::network(format!("send to {name} via tcp not acked: timeout")),
        Outcome::Unreachable(why) => {
            Error::network(format!("{name} cannot be reached: {}{queued}", sanitize_line(why)))
        }
        Outcome::Refused(why) => Error::refused(format!("{name} refuses: {}", sanitize_line(why))),
        Outcome::Unproven(why) => Error::new(
            keywire::error::Kind::Unproven,
            format!("{name} does not prove its key: {}{queued}", sanitize_line(why)),
        ),
        Outcome::Unpaired(standing) => match standing.as_str() {
            "invited" => Error::no(format!("{name} has not accepted our invite yet")),
            "pending" => Error::no(format!("{name} has invited us, and nobody has accepted")).hint(accept()),
            "declined" => Error::no(format!("we have declined {name}")).hint(accept()),
            "declined-by-peer" => Error::refused(format!("{name} has declined")),
            "blocked" => Error::no(format!("{name} is blocked here")).hint(format!("kw-chat pair remove {name}")),
            "removed" => Error::no(format!("the pair with {name} was ended here")).hint(invite()),
            "removed-by-peer" => Error::no(format!("{name} has ended the pair")).hint(invite()),
            _ => Error::no(format!("there is no pair with {name}")).hint(invite()),
        },
    })
}

/// A time of a message, for people.
pub(crate) fn time(millis: u64) -> String {
    timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}
