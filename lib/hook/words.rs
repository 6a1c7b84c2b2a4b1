//! Command lines of hooks, split into words as a shell does, without one.

use crate::error::{Error, Result};
use nix::unistd::{AccessFlags, access};
use std::path::{Path, PathBuf};

/// Splits `line` at blanks. Single quotes keep all, double quotes all but a backslash in front of `"`, `\`, `$` and a
/// backquote; outside of quotes a backslash keeps the character behind it.
///
/// # Errors
/// A quote that is not closed, a backslash with nothing behind it, and no word at all.
pub(super) fn split(line: &str) -> Result<Vec<String>> {
    let wrong = |why: &str| Error::usage(format!("the command of --exec cannot be read: {why}"));
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(wrong("a quote ' is not closed")),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => match rest.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err(wrong("a quote \" is not closed")),
                        },
                        Some(c) => word.push(c),
                        None => return Err(wrong("a quote \" is not closed")),
                    }
                }
            }
            '\\' => match rest.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err(wrong("nothing stands behind the last \\")),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() {
        return Err(wrong("it is empty"));
    }
    Ok(words)
}

/// The program that `name` runs, looked up before any message is lost to a slip.
///
/// # Errors
/// There is none.
pub(super) fn program(name: &str) -> Result<PathBuf> {
    let runs = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    let found = match name.contains('/') {
        true => Some(PathBuf::from(name)).filter(|path| runs(path)),
        false => {
            let places = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&places).map(|place| place.join(name)).find(|path| runs(path))
        }
    };
    found.ok_or_else(|| {
        Error::usage(format!("--exec cannot run '{}': there is no such program", name.escape_debug()))
            .hint("no shell runs it; for the language of one: --exec \"sh -c '...'\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_a_shell_splits_it() {
        for (line, words) in [
            ("a  b\tc", &["a", "b", "c"][..]),
            ("a 'b c' \"d  e\"", &["a", "b c", "d  e"]),
            ("a''b \"\" c", &["ab", "", "c"]),
            (r#"a\ b "c\"d\x" 'e\'"#, &["a b", "c\"d\\x", "e\\"]),
            ("$HOME `id` ; | &", &["$HOME", "`id`", ";", "|", "&"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for line in ["", "  ", "'a", "\"a", "\"a\\", "a\\"] {
            assert!(split(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_noticed_at_once() {
        assert!(program("sh").unwrap().is_absolute());
        assert_eq!(program("/bin/sh").unwrap(), Path::new("/bin/sh"));
        assert!(
            program("no-such-program").is_err() && program("./no-such").is_err() && program("/etc/passwd").is_err()
        );
    }
}
