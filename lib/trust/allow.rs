//! The allowlist: which key may do what on this machine. An empty one allows nobody.

use super::{LAST_SECOND, check_name, timestamp};
use crate::error::{Error, Result};
use crate::key::PublicKey;
use crate::store::{Privacy, State, Store, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// The name of the allowlist in the state directory.
pub const ALLOW: &str = "allow.json";

/// Longest forced command, in bytes: a path and its arguments. What is longer belongs into a script.
const MAX_COMMAND_LEN: usize = 4096;

/// One thing that a key may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// An interactive shell, and with it everything that its user can do: every right but `pipe` and `drop`.
    Shell,
    /// Commands, with a terminal or without.
    Exec,
    /// Files may be copied from here.
    CopyRead,
    /// Files may be copied to here.
    CopyWrite,
    /// Ports may be forwarded.
    Forward,
    /// kw-pipe listen accepts it.
    Pipe,
    /// kw-inbox drop holds messages for it.
    Drop,
}

impl Right {
    /// All rights, in the order they are shown.
    pub const ALL: [Right; 7] =
        [Right::Shell, Right::Exec, Right::CopyRead, Right::CopyWrite, Right::Forward, Right::Pipe, Right::Drop];
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Shell => "shell",
            Right::Exec => "exec",
            Right::CopyRead => "copy-read",
            Right::CopyWrite => "copy-write",
            Right::Forward => "forward",
            Right::Pipe => "pipe",
            Right::Drop => "drop",
        })
    }
}

impl FromStr for Right {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|right| right.to_string() == text).ok_or_else(|| {
            let all = Self::ALL.map(|right| right.to_string()).join(", ");
            Error::usage(format!("'{}' is not a right", text.escape_debug())).hint(format!("the rights are: {all}"))
        })
    }
}

/// What one key may do here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whose rule this is; one rule a key.
    pub key: PublicKey,
    /// What it may do.
    pub rights: BTreeSet<Right>,
    /// The command that runs whatever was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The only directory that copies may reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// From when on the rule allows nothing (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
    /// What we called the key when the rule was made; for people only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Rule {
    /// A rule that gives `rights` to `key` and sets no limits.
    #[must_use]
    pub fn new(key: PublicKey, rights: impl IntoIterator<Item = Right>) -> Self {
        let rights = rights.into_iter().collect();
        Rule { key, rights, command: None, root: None, expires: None, name: None }
    }

    /// Whether it gives `right`. A shell can do whatever the other rights of the host give.
    #[must_use]
    pub fn gives(&self, right: Right) -> bool {
        let is_of_a_shell = !matches!(right, Right::Pipe | Right::Drop);
        self.rights.contains(&right) || (is_of_a_shell && self.rights.contains(&Right::Shell))
    }
}

/// A point in time in a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry(SystemTime);

impl Expiry {
    /// Whether it has come.
    #[must_use]
    pub fn has_passed(self, now: SystemTime) -> bool {
        now >= self.0
    }

    /// How long it is until then; nothing once it has come.
    #[must_use]
    pub fn left(self, now: SystemTime) -> Duration {
        self.0.duration_since(now).unwrap_or_default()
    }

    /// Reads a time (RFC 3339, or `2026-12-31`), or how long from `now` (`7d`, `12h`).
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str, now: SystemTime) -> Result<Self> {
        let day = format!("{text}T00:00:00Z");
        let last = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_SECOND);
        humantime::parse_rfc3339_weak(text)
            .or_else(|_| humantime::parse_rfc3339(&day))
            .ok()
            .or_else(|| now.checked_add(humantime::parse_duration(text).ok()?))
            .filter(|at| *at <= last)
            .map(Expiry)
            .ok_or_else(|| {
                Error::usage(format!("'{}' is not a time", text.escape_debug()))
                    .hint("write how long from now (7d, 12h) or when (2026-12-31, 2026-12-31T18:00:00Z)")
            })
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&timestamp(self.0))
    }
}

impl Serialize for Expiry {
    fn serialize<S: serde::Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_rfc3339(&text).map(Expiry).map_err(|why| serde::de::Error::custom(format!("{text}: {why}")))
    }
}

/// The rules of this machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowlist {
    version: Version,
    rules: Vec<Rule>,
}

impl State for Allowlist {
    const PRIVACY: Privacy = Privacy::Plain;

    fn check(&self) -> std::result::Result<(), String> {
        let mut keys = BTreeSet::new();
        for rule in &self.rules {
            if !keys.insert(rule.key) {
                return Err(format!("there are two rules for {}", rule.key));
            }
            if let Some(name) = &rule.name {
                check_name(name).map_err(|why| why.to_string())?;
            }
            if let Some(root) = &rule.root {
                check_root(root).map_err(|why| why.to_string())?;
            }
            if let Some(command) = &rule.command {
                check_command(command).map_err(|why| why.to_string())?;
            }
        }
        Ok(())
    }
}

/// Refuses a directory that would be another one from elsewhere, or that only looks like a bound.
///
/// # Errors
/// The reason.
pub fn check_root(root: &Path) -> Result<()> {
    if root.is_absolute() && !root.components().any(|part| part == Component::ParentDir) {
        return Ok(());
    }
    let shown = root.to_string_lossy();
    Err(Error::usage(format!("'{}' cannot be the root of a rule", shown.escape_debug()))
        .hint("write the whole path, from '/' on and without '..'"))
}

/// Refuses what no shell could be given as a command.
///
/// # Errors
/// The reason.
pub fn check_command(command: &str) -> Result<()> {
    if command.trim().is_empty() || command.contains('\0') || command.len() > MAX_COMMAND_LEN {
        return Err(Error::usage(format!("the command of a rule has 1 to {MAX_COMMAND_LEN} bytes, none of them zero")));
    }
    Ok(())
}

/// The proof that a key was allowed a right at some moment. Only [`Allowlist::grant`] makes one, and only with one does a
/// listener hand out a session.
#[derive(Clone, Debug)]
pub struct Grant {
    rule: Rule,
    right: Right,
}

impl Grant {
    /// Whose right it is.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.rule.key
    }

    /// The right that was asked for.
    #[must_use]
    pub fn right(&self) -> Right {
        self.right
    }

    /// The rule that gave it, with its limits.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }
}

impl Allowlist {
    /// The allowlist of `store`; empty if there is none.
    ///
    /// # Errors
    /// Those of [`Store::read`]. Nobody must be let in then.
    pub fn load(store: &Store) -> Result<Self> {
        Ok(store.read(ALLOW)?.unwrap_or_default())
    }

    /// Changes the allowlist of `store`.
    ///
    /// # Errors
    /// Those of `change` and of [`Store::update`].
    pub fn update<R>(store: &Store, change: impl FnOnce(&mut Allowlist) -> Result<R>) -> Result<R> {
        store.update(ALLOW, |list: &mut Option<Allowlist>| change(list.get_or_insert_default()))
    }

    /// All rules, in the order they were made.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule for `key`.
    #[must_use]
    pub fn rule(&self, key: &PublicKey) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.key == *key)
    }

    /// The rule for `key`, made if there is none.
    pub fn rule_mut(&mut self, key: PublicKey) -> &mut Rule {
        let at = self.rules.iter().position(|rule| rule.key == key).unwrap_or_else(|| {
            self.rules.push(Rule::new(key, []));
            self.rules.len() - 1
        });
        #[allow(clippy::indexing_slicing, reason = "the position was found or made in the line above")]
        &mut self.rules[at]
    }

    /// Takes the rule for `key` out; `false` if there was none.
    pub fn remove(&mut self, key: &PublicKey) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.key != *key);
        self.rules.len() != before
    }

    /// Asks whether `key` may use `right` now.
    ///
    /// # Errors
    /// It may not: there is no rule for it, the rule does not give the right, or has expired. What the peer is told.
    pub fn grant(&self, key: &PublicKey, right: Right, now: SystemTime) -> Result<Grant> {
        let rule = self.rule(key).ok_or_else(|| Error::refused("it is not on the allowlist"))?;
        if rule.expires.is_some_and(|expires| expires.has_passed(now)) {
            return Err(Error::refused("its rule on the allowlist has expired"));
        }
        if !rule.gives(right) {
            return Err(Error::refused(format!("it is on the allowlist, but without the right '{right}'")));
        }
        Ok(Grant { rule: rule.clone(), right })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyPair;
    use std::time::Duration;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn an_empty_allowlist_allows_nobody() {
        let key = KeyPair::generate().unwrap().public();
        for right in Right::ALL {
            assert!(Allowlist::default().grant(&key, right, NOW).is_err());
        }
    }

    #[test]
    fn a_shell_gives_what_a_shell_can_do_and_nothing_gives_a_shell() {
        let key = KeyPair::generate().unwrap().public();
        let shell = Rule::new(key, [Right::Shell]);
        for right in Right::ALL {
            assert_eq!(shell.gives(right), ![Right::Pipe, Right::Drop].contains(&right), "{right}");
        }
        for right in Right::ALL.into_iter().skip(1) {
            assert!(!Rule::new(key, [right]).gives(Right::Shell));
        }
    }

    #[test]
    fn a_rule_ends_at_its_time_to_the_second() {
        let key = KeyPair::generate().unwrap().public();
        let mut list = Allowlist::default();
        list.rule_mut(key).rights.insert(Right::Exec);
        list.rule_mut(key).expires = Some(Expiry::parse("10s", NOW).unwrap());
        assert!(list.grant(&key, Right::Exec, NOW + Duration::from_secs(9)).is_ok());
        assert!(list.grant(&key, Right::Exec, NOW + Duration::from_secs(10)).is_err());
    }

    #[test]
    fn a_limit_that_limits_nothing_is_refused_wherever_it_comes_from() {
        let key = KeyPair::generate().unwrap().public();
        for (root, command) in
            [(Some("srv"), None), (Some("/srv/../etc"), None), (None, Some(" ")), (None, Some("a\0b"))]
        {
            let mut list = Allowlist::default();
            let rule = list.rule_mut(key);
            rule.root = root.map(PathBuf::from);
            rule.command = command.map(str::to_owned);
            assert!(list.check().is_err(), "{root:?} {command:?}");
        }
    }

    #[test]
    fn a_time_is_read_in_every_form_the_page_names() {
        for (text, at) in [("1d", 86_400), ("1970-01-02", 86_400), ("1970-01-01T00:01:00Z", 60)] {
            assert_eq!(Expiry::parse(text, NOW).unwrap(), Expiry(NOW + Duration::from_secs(at)), "{text}");
        }
        for text in ["soon", "", "7", "-1d", "10000-01-01", "9000y", "99999999999999999999y"] {
            assert!(Expiry::parse(text, NOW).is_err(), "{text}");
        }
    }
}
