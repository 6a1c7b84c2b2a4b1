//! The commands of the allowlist.

use crate::args::{Allow, Deny, Rules};
use crate::note;
use keywire::cli;
use keywire::error::{Error, Result};
use keywire::json::{self, json};
use keywire::key::PublicKey;
use keywire::store::Store;
use keywire::table;
use keywire::term::sanitize_line;
use keywire::trust::{Allowlist, Expiry, Peers, Right, Rule, check_command, check_root, looks_like_key};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What `allow` sets besides rights; `None` leaves what is there.
struct Limits {
    command: Option<String>,
    root: Option<PathBuf>,
    expires: Option<Option<Expiry>>,
}

impl Limits {
    fn parse(args: &Allow, now: SystemTime) -> Result<Self> {
        let command = args.command.clone();
        let root = args.root.as_ref().map(PathBuf::from);
        command.as_deref().map_or(Ok(()), check_command)?;
        root.as_deref().map_or(Ok(()), check_root)?;
        let expires = match args.expires.as_deref() {
            None => None,
            Some("never") => Some(None),
            Some(text) => Some(Some(Expiry::parse(text, now)?)),
        };
        if expires.flatten().is_some_and(|at| at.has_passed(now)) {
            return Err(Error::usage("the rule would have expired already").hint("to take rights away: kw-peers deny"));
        }
        Ok(Limits { command, root, expires })
    }

    fn is_empty(&self) -> bool {
        self.command.is_none() && self.root.is_none() && self.expires.is_none()
    }

    fn set(self, rule: &mut Rule) {
        if self.command.is_some() {
            rule.command = self.command;
        }
        if self.root.is_some() {
            rule.root = self.root;
        }
        if let Some(expires) = self.expires {
            rule.expires = expires;
        }
    }
}

pub(crate) fn allow(args: &Allow, now: SystemTime) -> Result<()> {
    let rights = parse_rights(&args.rights)?;
    let limits = Limits::parse(args, now)?;
    let store = Store::home()?;
    let peers = Peers::load(&store)?;
    let key = peers.resolve_key(&args.peer)?;
    let rule = Allowlist::update(&store, |list| {
        // Limits alone may be set on a rule that is there.
        if rights.is_empty() && (limits.is_empty() || list.rule(&key).is_none()) {
            return Err(Error::usage("no right is given").hint(all_rights()));
        }
        let rule = list.rule_mut(key);
        rule.rights.extend(rights);
        limits.set(rule);
        if let Some(name) = peers.name_of(&key) {
            rule.name = Some(name.to_owned());
        }
        Ok(rule.clone())
    })?;
    cli::say(&format!("{} may: {}", called(&rule, &peers), in_words(&rule, now)));
    if rule.expires.is_some_and(|at| at.has_passed(now)) {
        note("the rule has expired, so it allows nothing; '--expires never' or a later time revives it");
    }
    if rule.root.is_some() && rule.command.is_none() && rule.rights.iter().any(|right| runs_commands(*right)) {
        note("the root binds copies only: whoever may run commands reaches everything else too");
    }
    if args.root.as_ref().is_some_and(|root| !Path::new(root).is_dir()) {
        note("the root is not a directory yet");
    }
    Ok(())
}

pub(crate) fn deny(args: &Deny, now: SystemTime) -> Result<()> {
    let rights = parse_rights(&args.rights)?;
    let store = Store::home()?;
    let peers = Peers::load(&store)?;
    let left = Allowlist::update(&store, |list| {
        let key = whose(&args.peer, &peers, list)?;
        let Some(rule) = list.rule(&key) else {
            return Err(Error::no(format!("nothing is allowed to {} here", args.peer))
                .hint("'kw-peers rules' shows who may do what"));
        };
        let mut left = rule.clone();
        left.rights.retain(|right| !rights.is_empty() && !rights.contains(right));
        for right in rights {
            refuse_to_pretend(&args.peer, right, rule, &left)?;
        }
        if left.rights.is_empty() {
            list.remove(&key);
        } else {
            *list.rule_mut(key) = left.clone();
        }
        Ok(left)
    })?;
    let who = called(&left, &peers);
    cli::say(&match left.rights.is_empty() {
        true => format!("{who} may do nothing here"),
        false => format!("{who} may: {}", in_words(&left, now)),
    });
    Ok(())
}

/// A right that was not there, or that another one gives all the same, is not silently "taken away".
fn refuse_to_pretend(who: &str, right: Right, before: &Rule, after: &Rule) -> Result<()> {
    if after.gives(right) {
        return Err(Error::no(format!("{who} has '{right}' with the right 'shell', and would keep it"))
            .hint(format!("take the shell away: kw-peers deny {who} shell"))
            .hint("nothing was changed"));
    }
    if !before.gives(right) {
        return Err(Error::no(format!("{who} does not have the right '{right}'")).hint("nothing was changed"));
    }
    Ok(())
}

/// The key that is to be denied something. A rule outlives its name in the address book, so the name in the rule serves
/// where the address book no longer knows it: that can only take rights away.
fn whose(text: &str, peers: &Peers, list: &Allowlist) -> Result<PublicKey> {
    peers.resolve_key(text).or_else(|unknown| {
        let mut named =
            list.rules().iter().filter(|rule| rule.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(text)));
        match (named.next(), named.next()) {
            (Some(rule), None) if !looks_like_key(text) => Ok(rule.key),
            (Some(_), Some(_)) => {
                Err(Error::no(format!("several rules have the name '{text}'"))
                    .hint("'kw-peers rules' shows their keys"))
            }
            _ => Err(unknown),
        }
    })
}

pub(crate) fn rules(args: &Rules, now: SystemTime) -> Result<()> {
    let store = Store::home()?;
    let (peers, list) = (Peers::load(&store)?, Allowlist::load(&store)?);
    if args.json {
        return cli::print(&json::pretty(
            &list.rules().iter().map(|rule| fields(rule, &peers, now)).collect::<Vec<_>>(),
        )?);
    }
    if list.rules().is_empty() {
        cli::say("the allowlist is empty: nobody may do anything here; 'kw-peers allow NAME RIGHT' changes that");
    }
    let rows: Vec<_> = list
        .rules()
        .iter()
        .map(|rule| {
            [
                name_of(rule, &peers).unwrap_or("-").to_owned(),
                rule.key.to_string(),
                rights_of(rule, ","),
                limits_of(rule, now).join("  "),
            ]
        })
        .collect();
    cli::print(&table::align(&rows))
}

/// A rule as `--json` prints it: every field, whether it is set or not.
pub(crate) fn fields(rule: &Rule, peers: &Peers, now: SystemTime) -> json::Value {
    json!({
        "key": rule.key, "name": name_of(rule, peers), "rights": rule.rights, "command": rule.command, "root": rule.root,
        "expires": rule.expires, "expired": rule.expires.is_some_and(|at| at.has_passed(now)),
    })
}

/// What a rule gives, and its limits, as a sentence goes on after "may".
pub(crate) fn in_words(rule: &Rule, now: SystemTime) -> String {
    let mut words = vec![rights_of(rule, ", ")];
    words.extend(limits_of(rule, now));
    words.join("; ")
}

fn rights_of(rule: &Rule, between: &str) -> String {
    match rule.rights.is_empty() {
        true => "nothing".to_owned(),
        false => rule.rights.iter().map(Right::to_string).collect::<Vec<_>>().join(between),
    }
}

/// The limits of a rule, the command last: it may hold anything.
fn limits_of(rule: &Rule, now: SystemTime) -> Vec<String> {
    let expires = rule.expires.map(|at| match at.has_passed(now) {
        true => format!("expired {at}"),
        false => format!("until {at}"),
    });
    let root = rule.root.as_ref().map(|root| format!("root {}", sanitize_line(&root.to_string_lossy())));
    let command = rule.command.as_ref().map(|command| format!("command {}", sanitize_line(command)));
    [expires, root, command].into_iter().flatten().collect()
}

/// The name in the address book, which may have changed since the rule was made, else the one in the rule.
fn name_of<'a>(rule: &'a Rule, peers: &'a Peers) -> Option<&'a str> {
    peers.name_of(&rule.key).or(rule.name.as_deref())
}

fn called(rule: &Rule, peers: &Peers) -> String {
    match name_of(rule, peers) {
        Some(name) => format!("{name} ({})", rule.key.short()),
        None => rule.key.to_string(),
    }
}

fn runs_commands(right: Right) -> bool {
    matches!(right, Right::Shell | Right::Exec)
}

/// Rights as words of their own, or with commas as `rules` prints them.
fn parse_rights(words: &[String]) -> Result<Vec<Right>> {
    words.iter().flat_map(|word| word.split(',')).map(str::parse).collect()
}

fn all_rights() -> String {
    format!("the rights are: {}", Right::ALL.map(|right| right.to_string()).join(", "))
}
