//! Whose shell it is, and what the shell's environment holds: a clean slate, and only what is meant to be there.

use crate::error::{Error, Result};
use crate::proto::pty::VARIABLES;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Where programs are found until the user's own start-up files say otherwise.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Longest value that a dialer may set.
const MAX_VALUE_LEN: usize = 1024;

/// The type of a terminal of which nothing is known.
const UNKNOWN_TERMINAL: &str = "dumb";

/// The user whose shell this host gives: the one that it runs as.
#[derive(Clone, Debug)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

impl Account {
    /// The account that this process runs as.
    ///
    /// # Errors
    /// The user has no entry in the password database.
    pub fn own() -> Result<Self> {
        let uid = nix::unistd::geteuid();
        let found = nix::unistd::User::from_uid(uid).ok().flatten();
        let user = found.ok_or_else(|| Error::state(format!("no user has the number {uid}")))?;
        let shell = if user.shell.as_os_str().is_empty() { PathBuf::from("/bin/sh") } else { user.shell };
        Ok(Account { name: user.name, home: user.dir, shell })
    }
}

/// The whole environment of a session.
#[must_use]
pub(super) fn environment(
    account: &Account,
    asked: &BTreeMap<String, String>,
    term: Option<&str>,
    connection: &[(&str, OsString)],
) -> BTreeMap<String, OsString> {
    let mut env: BTreeMap<String, OsString> = asked
        .iter()
        .filter(|(name, value)| may_set(name) && value.len() <= MAX_VALUE_LEN && is_harmless(value))
        .map(|(name, value)| (name.clone(), value.into()))
        .collect();
    let mut set = |name: &str, value: OsString| env.insert(name.to_owned(), value);
    set("HOME", account.home.clone().into());
    set("USER", account.name.clone().into());
    set("LOGNAME", account.name.clone().into());
    set("SHELL", account.shell.clone().into());
    set("PATH", PATH.into());
    if let Some(term) = term {
        set("TERM", if is_harmless(term) { term } else { UNKNOWN_TERMINAL }.into());
    }
    for (name, value) in connection {
        set(name, value.clone());
    }
    env
}

/// Whether a dialer may set the variable `name`.
fn may_set(name: &str) -> bool {
    let locale = name.strip_prefix("LC_");
    VARIABLES.contains(&name)
        || locale.is_some_and(|rest| {
            (1..=32).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        })
}

/// Whether `value` can be neither a path nor a format. Libraries look for files under the names of locales and terminals, and
/// a catalogue of messages that the dialer put there would speak through a program that the dialer may not choose.
fn is_harmless(value: &str) -> bool {
    !value.contains(['/', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialer_sets_how_text_is_shown_and_nothing_else() {
        let account = Account { name: "u".into(), home: "/h".into(), shell: "/bin/sh".into() };
        let hostile = [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "PATH",
            "HOME",
            "SHELL",
            "BASH_ENV",
            "ENV",
            "IFS",
            "BASH_FUNC_ls%%",
            "LC_",
            "LC_ALL=x",
            "LC_a\n",
            "PYTHONPATH",
            "GIT_SSH",
            "TERM",
            "KEYWIRE_PEER",
            "",
        ];
        let mut asked: BTreeMap<String, String> =
            hostile.iter().map(|name| ((*name).to_owned(), "evil".to_owned())).collect();
        asked.insert("LANG".into(), "C.UTF-8".into());
        asked.insert("LC_TIME".into(), "de_DE".into());
        asked.insert("LC_NAME".into(), "x".repeat(MAX_VALUE_LEN + 1));
        let env = environment(&account, &asked, Some("xterm"), &[("KEYWIRE_PEER", "kw1".into())]);
        let names: Vec<&str> = env.keys().map(String::as_str).collect();
        let expected = ["HOME", "KEYWIRE_PEER", "LANG", "LC_TIME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"];
        assert_eq!(names, expected);
        assert!(!env.values().any(|value| value == "evil"));
    }

    #[test]
    fn a_value_that_could_be_a_path_or_a_format_is_left_out() {
        let account = Account { name: "u".into(), home: "/h".into(), shell: "/bin/sh".into() };
        let made = |name: &str, value: &str, term: &str| {
            let asked = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let env = environment(&account, &asked, Some(term), &[]);
            (env.get(name).cloned(), env.get("TERM").cloned())
        };
        for name in VARIABLES.iter().copied().chain(["LC_ALL", "LC_MESSAGES"]) {
            for evil in ["../../tmp/x", "/tmp/x", "de:../x", "%n", "100%"] {
                assert_eq!(made(name, evil, evil), (None, Some("dumb".into())), "{name}={evil}");
            }
            for good in ["de_DE.UTF-8@euro", "de:en", "version=2", "truecolor", ""] {
                assert_eq!(made(name, good, "xterm-256color").0, Some(good.into()), "{name}={good}");
            }
        }
        assert_eq!(made("LANG", "C", "screen.xterm-256color").1, Some("screen.xterm-256color".into()));
    }
}
