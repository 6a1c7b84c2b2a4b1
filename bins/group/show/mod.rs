//! What is shown: lines for people, and objects for programs, of the same replies. kw-group(1), JSON.

mod stands;

use crate::NAME;
use crate::link::warn;
use crate::request::{Group, Link, Outcome, Reply, Sent};
use keywire::cli::{self, Output};
use keywire::error::{Error, Result};
use keywire::group::engine::{Brief, Gap, InviteInfo, Joined, Message, Status, Text};
use keywire::group::home::in_command;
use keywire::json::{Value, json};
use keywire::key::PublicKey;
use keywire::proto::group::Mode;
use keywire::qr;
use keywire::store::Store;
use keywire::term::sanitize_line;
use keywire::trust::{Names, timestamp};
use std::time::{Duration, SystemTime};

/// How replies are written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Form {
    /// As objects.
    pub(crate) is_json: bool,
    /// Whether a line says in which group something was said.
    pub(crate) names_groups: bool,
    /// Whether the members are shown of a group.
    pub(crate) shows_members: bool,
    /// Whether a link is drawn.
    pub(crate) draws: bool,
}

impl Form {
    pub(crate) fn of(is_json: bool) -> Self {
        Form { is_json, ..Form::default() }
    }
}

/// Writes replies.
pub(crate) struct Show {
    names: Names,
    form: Form,
    out: Output,
    alike: Alike,
}

/// Messages that fared alike, one after the other: why is said of the first.
#[derive(Default)]
struct Alike {
    /// How; empty before the first.
    word: &'static str,
    /// How many there were behind it.
    more: u64,
}

impl Show {
    pub(crate) fn new(store: &Store, is_json: bool) -> Result<Self> {
        Show::with(store, Form::of(is_json))
    }

    pub(crate) fn with(store: &Store, form: Form) -> Result<Self> {
        Ok(Show { names: Names::load(store)?, form, out: Output::default(), alike: Alike::default() })
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form.is_json
    }

    /// Writes what there is to standard output.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }

    pub(crate) fn line(&mut self, text: &str) {
        self.out.line(text);
    }

    pub(crate) fn object(&mut self, object: &Value) -> Result<()> {
        self.out.object(object)
    }

    /// The name of `key`, or its short form.
    fn called(&mut self, key: &PublicKey) -> String {
        self.names.of(key).map_or_else(|| key.short(), str::to_owned)
    }

    /// Writes a reply. What is for standard output is kept until it is flushed; the rest is said at once.
    pub(crate) fn reply(&mut self, reply: &Reply) -> Result<()> {
        match reply {
            Reply::Message { group, message, is_ours } => self.message(group, message, *is_ours),
            Reply::Sent(sent) => self.sent(sent),
            Reply::Created(brief) => self.created(brief),
            Reply::Joined { brief, how, instead_of } => self.joined(brief, how, instead_of.as_deref()),
            Reply::Listed(brief) => self.listed(brief),
            Reply::Invite { group, invite, link } => self.invite(group, invite, link.as_ref()),
            Reply::Info(info) if self.form.shows_members => self.members(info),
            Reply::Info(info) => self.info(info),
            Reply::Roster { group, text } => self.roster(group, text),
            Reply::Fault(fault) => {
                let error = Error::state(sanitize_line(fault));
                cli::report(
                    NAME,
                    &error.hint("what its files hold is in keywire-files(5); the other groups go on without it"),
                );
                Ok(())
            }
            Reply::Holder { .. } | Reply::Busy | Reply::Begun => Ok(()),
        }
    }

    fn gaps(&mut self, gaps: &[Gap]) -> Vec<Value> {
        let mut list = Vec::new();
        for gap in gaps {
            let name = gap.author.as_ref().and_then(|author| self.names.of(author));
            list.push(json!({ "author": gap.author, "name": name, "from": gap.from, "to": gap.to }));
        }
        list
    }

    /// What is missing, in words.
    fn gap(&mut self, gap: &Gap) -> String {
        let of = match &gap.author {
            Some(author) => format!(" of {}", self.called(author)),
            None => String::new(),
        };
        match gap.to.saturating_sub(gap.from) {
            0 => format!("entry {}{of} is missing", gap.from),
            _ => format!("entries {} to {}{of} are missing", gap.from, gap.to),
        }
    }

    fn message(&mut self, group: &Group, message: &Message, is_ours: bool) -> Result<()> {
        let (text, unreadable) = match &message.text {
            Text::Readable(text) => (Some(text), None),
            Text::Unreadable(why) => (None, Some(why)),
        };
        if self.form.is_json {
            let gaps = self.gaps(&message.gaps);
            let object = json!({
                "event": "message", "group": group.id, "group_name": group.name, "author": message.author,
                "name": self.names.of(&message.author), "side": if is_ours { "out" } else { "in" },
                "id": message.id, "inc": message.inc, "seq": message.seq, "time": message.time,
                "reply_to": message.reply_to, "late": message.late, "gaps": gaps, "text": text,
                "unreadable": unreadable,
            });
            return self.object(&object);
        }
        for gap in &message.gaps {
            let gap = self.gap(gap);
            self.line(&format!("-- {gap}"));
        }
        let who = if is_ours { "me".to_owned() } else { self.called(&message.author) };
        let place = if self.form.names_groups { format!("{}/", sanitize_line(&group.name)) } else { String::new() };
        let late = if message.late { " (late)" } else { "" };
        let (mark, text) = match (text, unreadable) {
            (Some(text), _) => ("", text.as_str()),
            (None, why) => (" (unreadable)", why.map_or("", String::as_str)),
        };
        self.line(&format!("{} {place}{who}{late}{mark}: {}", time(message.time), sanitize_line(text)));
        Ok(())
    }

    fn sent(&mut self, sent: &Sent) -> Result<()> {
        let group = sanitize_line(&sent.group.name);
        let (word, by, millis) = match &sent.outcome {
            Outcome::Held(by, millis) => ("held", Some(by), Some(*millis)),
            Outcome::Sent | Outcome::Late => ("sent", None, None),
            Outcome::Unreachable(_) => ("unreachable", None, None),
            Outcome::Alone => ("alone", None, None),
        };
        let error = match &sent.outcome {
            Outcome::Held(..) | Outcome::Sent => None,
            Outcome::Late => Some(Error::network(format!("no member of {group} has said in time that it holds it"))),
            Outcome::Unreachable(why) => {
                Some(Error::network(format!("no member of {group} can be reached: {}; kept", sanitize_line(why))))
            }
            Outcome::Alone if sent.deed.is_some() => None,
            Outcome::Alone => Some(
                Error::network(format!("{group} has no other member; kept")).hint("'kw-group invite' makes a link"),
            ),
        };
        if self.form.is_json {
            let name = by.and_then(|by| self.names.of(by)).map(str::to_owned);
            let whom = sent.member.as_ref().and_then(|member| self.names.of(member)).map(str::to_owned);
            let reason = error.as_ref().map(Error::to_string);
            self.object(&match &sent.deed {
                None => json!({
                    "event": "sent", "group": sent.group.id, "group_name": sent.group.name, "id": sent.id,
                    "outcome": word, "by": by, "name": name, "millis": millis, "reason": reason,
                }),
                Some(deed) => json!({
                    "event": "done", "group": sent.group.id, "group_name": sent.group.name, "deed": deed,
                    "member": sent.member, "name": whom,
                    "id": sent.id, "outcome": word, "reason": reason,
                }),
            })?;
        } else if let Some(deed) = &sent.deed {
            let whom = sent.member.as_ref().map(|member| self.called(member));
            self.line(&done(deed, whom.as_deref(), &group));
        } else if let (Some(by), Some(millis)) = (by, millis) {
            let by = self.called(by);
            self.line(&format!("held by {by} after {millis} ms"));
        } else if matches!(sent.outcome, Outcome::Sent) {
            self.line(&format!("sent to {group}"));
        }
        match error {
            Some(_) if sent.deed.is_none() && self.alike.word == word => self.alike.more += 1,
            error => {
                self.end();
                self.alike.word = if error.is_some() { word } else { "" };
                error.iter().for_each(|error| cli::report(NAME, error));
            }
        }
        Ok(())
    }

    /// Says of how many messages the same is true as was said last.
    pub(crate) fn end(&mut self) {
        let message = match std::mem::take(&mut self.alike).more {
            0 => return,
            1 => "message".to_owned(),
            more => format!("{more} messages"),
        };
        cli::say(&format!("{NAME}: the same is true of the next {message}"));
    }

    fn created(&mut self, brief: &Brief) -> Result<()> {
        if self.form.is_json {
            return self.group(brief, None);
        }
        cli::say(&format!("made {}, a {} group", sanitize_line(&brief.name), mode(brief.mode)));
        self.line(&brief.id.to_string());
        Ok(())
    }

    fn joined(&mut self, brief: &Brief, how: &Joined, instead_of: Option<&str>) -> Result<()> {
        let name = sanitize_line(&brief.name);
        if let Some(taken) = instead_of.map(sanitize_line) {
            cli::say(&format!("{NAME}: it is called {name} here: {taken} is another group"));
        }
        let error = match how {
            Joined::Active => None,
            Joined::Waiting(why) => Some(Error::refused(format!("not a member of {name} yet: {}", sanitize_line(why)))),
            Joined::Unreachable(why) => {
                Some(Error::network(format!("no member of {name} can be reached: {}; kept", sanitize_line(why))))
            }
        };
        match (&error, self.form.is_json) {
            (_, true) => self.group(brief, error.as_ref().map(Error::to_string))?,
            (None, false) => self.line(&format!("joined {name}")),
            (Some(_), false) => {}
        }
        if let Some(error) = error {
            cli::report(NAME, &error.hint("'kw-group serve' and later commands go on trying"));
        }
        Ok(())
    }

    fn listed(&mut self, brief: &Brief) -> Result<()> {
        if self.form.is_json {
            return self.group(brief, None);
        }
        let Brief { id, name, mode: who, status } = brief;
        self.line(&format!("{}  {id}  {}  {}", sanitize_line(name), mode(*who), standing(*status)));
        Ok(())
    }

    fn group(&mut self, brief: &Brief, reason: Option<String>) -> Result<()> {
        self.object(&json!({
            "event": "group", "group": brief.id, "group_name": brief.name, "mode": brief.mode,
            "status": brief.status, "reason": reason,
        }))
    }

    fn invite(&mut self, group: &Group, invite: &InviteInfo, link: Option<&Link>) -> Result<()> {
        let InviteInfo { capability, by, expires, left, approve } = invite;
        let until = time(expires.saturating_mul(1000));
        let approved = if *approve { ", when approved" } else { "" };
        if self.form.is_json {
            let object = json!({
                "event": "invite", "group": group.id, "group_name": group.name, "capability": capability, "by": by,
                "name": self.names.of(by), "expires": expires.saturating_mul(1000), "left": left,
                "approve": approve, "link": link.map(|link| &link.text),
            });
            self.object(&object)?;
        }
        let Some(link) = link else {
            if !self.form.is_json {
                let by = self.called(by);
                self.line(&format!("{capability}  by {by}  {left} left  until {until}{approved}"));
            }
            return Ok(());
        };
        if !self.form.is_json {
            self.line(&link.text);
        }
        let (name, word) = (sanitize_line(&group.name), in_command(&group.name, &group.id));
        let often = match left {
            1 => "once".to_owned(),
            left => format!("{left} times"),
        };
        cli::say(&format!(
            "{NAME}: whoever has this link can join {name}: {often}, until {until}{approved}; 'kw-group invite {word} \
             --revoke {}' ends that",
            capability.to_string().get(..12).unwrap_or_default()
        ));
        if link.peers == 0 {
            warn(
                "the link names no address: nobody who has it knows where to dial; put \"addresses\" into config.json, \
                 or serve at one that others can reach, and make another",
            );
        }
        if self.form.draws {
            let drawn = qr::of(&link.text, qr::coloured())?;
            self.line(drawn.trim_end_matches('\n'));
        }
        Ok(())
    }

    /// Something that has changed.
    pub(crate) fn roster(&mut self, group: &Group, text: &str) -> Result<()> {
        if self.form.is_json {
            let object = json!({ "event": "roster", "group": group.id, "group_name": group.name, "text": text });
            return self.object(&object);
        }
        cli::say(&format!("{NAME}: {}: {}", sanitize_line(&group.name), sanitize_line(text)));
        Ok(())
    }
}

/// What was done, in words.
fn done(deed: &str, whom: Option<&str>, group: &str) -> String {
    let whom = whom.unwrap_or_default();
    match deed {
        "promote" => format!("{whom} is an admin of {group}"),
        "demote" => format!("{whom} is no admin of {group} any more"),
        "mute" => format!("muted {whom}"),
        "unmute" => format!("{whom} is heard again"),
        "remove" => format!("removed {whom}"),
        "approve" => format!("approved {whom}"),
        "revoke" => "the invite lets nobody in any more".to_owned(),
        "rename" => format!("renamed {group}, for those who come from now on and in 'info'"),
        _ => format!("left {group}"),
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Private => "private",
        Mode::Public => "PUBLIC",
        Mode::Open => "OPEN",
    }
}

fn standing(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Waiting => "waiting",
        Status::Active => "active",
        Status::Left => "left",
        Status::Removed => "removed",
    }
}

/// A time of a message, for people.
pub(crate) fn time(millis: u64) -> String {
    timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}
