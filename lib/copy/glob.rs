//! Patterns of paths: `*`, `?`, `[...]` and `\` as a shell knows them, matched here. No shell ever sees a path.

use super::Place;
use crate::root::{MAX_NAME_LEN, MAX_PATH_LEN, Names};
use std::borrow::Cow;
use std::io;

/// Memory for all that the patterns of a copy stand for, in bytes: about a million paths.
pub(super) const MAX_ROOM: usize = 64 << 20;

/// Memory that a path takes beside its bytes.
const OF_EACH: usize = 32;

/// Whether there is anything in `pattern` that does not stand for itself.
#[must_use]
pub fn is_pattern(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// Whether `path` is one of those that `pattern` stands for: name by name, so that nothing but a slash stands for a slash.
/// `*`, `?` and `[...]` never stand for a dot in front, and so neither for `.` nor for `..`; `\` takes its meaning from what
/// follows it. A character is one of UTF-8, or else a byte.
#[must_use]
pub fn matches(pattern: &[u8], path: &[u8]) -> bool {
    by_name(pattern, path, |pattern, name| match literal(pattern) {
        Some(own) => *own == *name,
        None => !matches!(name, b"." | b"..") && dot_fits(pattern, name) && covers_name(pattern, name),
    })
}

/// The same for what is left out, where a dot in front is a character like any other.
pub(super) fn covers(pattern: &[u8], path: &[u8]) -> bool {
    by_name(pattern, path, covers_name)
}

/// All that `pattern` stands for, in ascending order. What cannot be looked at is not there. The memory that it takes is taken off
/// `room`.
///
/// # Errors
/// It stands for too much, or `is_over` says that nobody waits for it any more.
pub(super) fn expand(
    place: &Place,
    pattern: &[u8],
    room: &mut usize,
    is_over: impl Fn() -> bool,
) -> io::Result<Vec<Vec<u8>>> {
    let most = *room;
    let mut found = vec![Vec::new()];
    let mut names = Names::default();
    for (at, part) in pattern.split(|byte| *byte == b'/').enumerate() {
        let mut next: Vec<Vec<u8>> = Vec::new();
        let mut taken = 0;
        for mut path in found {
            if is_over() {
                return Err(io::Error::other("the connection is over"));
            }
            if at > 0 {
                path.push(b'/');
            }
            if let Some(name) = literal(part) {
                path.extend_from_slice(&name);
                next.push(path);
                continue;
            }
            names.clear();
            let listed =
                place.path(&path).and_then(|at| place.root().folder(&at)).map(|folder| folder.names(&mut names));
            // A directory that ends early still has what it had by then.
            if listed.is_err() {
                continue;
            }
            let mut place_in = 0;
            while let Some((_, name)) = names.next(&mut place_in) {
                // What stands for the home directory cannot name a file.
                let is_home = path.is_empty() && name == b"~";
                if matches(part, name) && !is_home && path.len() + name.len() <= MAX_PATH_LEN {
                    next.push([&path, name].concat());
                    taken += path.len() + name.len() + OF_EACH;
                }
            }
            if taken > most {
                return Err(io::Error::other("patterns stand for more paths than can be remembered"));
            }
        }
        found = next;
    }
    found.retain(|path| place.path(path).and_then(|at| place.root().link_itself(&at)).is_ok());
    found.sort_unstable();
    found.dedup();
    let taken: usize = found.iter().map(|path| path.len() + OF_EACH).sum();
    *room = room.saturating_sub(taken);
    Ok(found)
}

/// Compares name by name.
fn by_name(pattern: &[u8], path: &[u8], fits: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let is_slash = |byte: &u8| *byte == b'/';
    let (mut patterns, mut names) = (pattern.split(is_slash), path.split(is_slash));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) if name.len() <= MAX_NAME_LEN && fits(pattern, name) => {}
            _ => return false,
        }
    }
}

/// The one name that `pattern` stands for, if it is no more than one.
fn literal(pattern: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')) {
        return Some(Cow::Borrowed(pattern));
    }
    let mut name = Vec::new();
    let mut rest = pattern;
    while let Some((part, behind)) = Part::first(rest) {
        let Part::Character(character) = part else { return None };
        name.extend_from_slice(character);
        rest = behind;
    }
    Some(Cow::Owned(name))
}

/// Whether a dot in front of `name` is meant.
fn dot_fits(pattern: &[u8], name: &[u8]) -> bool {
    !name.starts_with(b".") || matches!(Part::first(pattern), Some((Part::Character(b"."), _)))
}

/// Whether `pattern` stands for `name`. Where it does not fit, the last `*` takes one character more: what the ones before
/// it took is as good as anything, so that there is one place to go back to, and the time is bounded.
fn covers_name(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Behind the last `*`, and where the name went on there.
    let mut again: Option<(&[u8], &[u8])> = None;
    if name.is_empty() {
        return literal(pattern).is_some_and(|name| name.is_empty());
    }
    loop {
        match Part::first(pattern) {
            None if name.is_empty() => return true,
            Some((Part::Many, behind)) => {
                again = Some((behind, name));
                pattern = behind;
                continue;
            }
            Some((part, behind)) => {
                if let Some((character, rest)) = character(name)
                    && part.is(character)
                {
                    (pattern, name) = (behind, rest);
                    continue;
                }
            }
            None => {}
        }
        let Some((behind, (_, rest))) = again.and_then(|(behind, from)| Some((behind, character(from)?))) else {
            return false;
        };
        again = Some((behind, rest));
        (pattern, name) = (behind, rest);
    }
}

/// What stands in a pattern.
enum Part<'a> {
    /// Itself.
    Character(&'a [u8]),
    /// One character.
    Any,
    /// As many as you like.
    Many,
    /// One of these, or one that is not: what stands between the brackets.
    OneOf(&'a [u8]),
}

impl<'a> Part<'a> {
    /// The first part, and the rest.
    fn first(pattern: &'a [u8]) -> Option<(Self, &'a [u8])> {
        match pattern {
            [] => None,
            [b'*', rest @ ..] => Some((Part::Many, rest)),
            [b'?', rest @ ..] => Some((Part::Any, rest)),
            [b'\\', rest @ ..] if !rest.is_empty() => {
                character(rest).map(|(first, rest)| (Part::Character(first), rest))
            }
            [b'[', rest @ ..] if let Some((set, rest)) = bracketed(rest) => Some((Part::OneOf(set), rest)),
            pattern => character(pattern).map(|(first, rest)| (Part::Character(first), rest)),
        }
    }

    fn is(&self, character: &[u8]) -> bool {
        match self {
            Part::Character(own) => *own == character,
            Part::Any => true,
            Part::Many => false,
            Part::OneOf(set) => has(set, character),
        }
    }
}

/// What stands up to the closing bracket, and what stands behind it; `None` if there is no closing bracket: then the opening
/// one stands for itself.
fn bracketed(from: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = usize::from(matches!(from.first(), Some(b'!' | b'^')));
    // One in front is no end.
    at += usize::from(from.get(at) == Some(&b']'));
    loop {
        match from.get(at)? {
            b']' => return Some((from.get(..at)?, from.get(at + 1..)?)),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Whether the text between two brackets names `wanted`.
fn has(set: &[u8], wanted: &[u8]) -> bool {
    let (is_not, mut rest) = match set {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let next = |from: &mut &[u8]| {
        let (first, behind) = match *from {
            [b'\\', behind @ ..] if !behind.is_empty() => character(behind)?,
            all => character(all)?,
        };
        *from = behind;
        Some(order(first))
    };
    let wanted = order(wanted);
    while let Some(low) = next(&mut rest) {
        let mut high = low;
        if let [b'-', behind @ ..] = rest
            && !behind.is_empty()
        {
            rest = behind;
            high = next(&mut rest).unwrap_or(low);
        }
        if (low..=high).contains(&wanted) {
            return !is_not;
        }
    }
    is_not
}

/// Where a character stands among all; a byte that is none stands behind them.
fn order(character: &[u8]) -> u32 {
    match std::str::from_utf8(character).ok().and_then(|text| text.chars().next()) {
        Some(known) => u32::from(known),
        None => u32::from(char::MAX) + 1 + u32::from(character.first().copied().unwrap_or(0)),
    }
}

/// The first character, and the rest.
fn character(from: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match from.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let is_one = |first: &&[u8]| std::str::from_utf8(first).is_ok();
    let length = from.get(..length).filter(is_one).map_or(1, <[u8]>::len);
    from.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_pattern_stands_for_what_it_does_in_a_shell() {
        for (pattern, path) in [
            ("*", "a"),
            ("*.txt", "b.txt"),
            ("a*b*c", "aXbXbXc"),
            ("a*", "a"),
            ("**", "a"),
            ("?", "ä"),
            ("??", "aä"),
            ("[abc]", "b"),
            ("[a-c]x", "bx"),
            ("[!a]", "b"),
            ("[^a]", "b"),
            ("[]a]", "]"),
            ("[!]a]", "b"),
            ("[a-]", "-"),
            ("[\\]]", "]"),
            ("[ä-ü]", "ö"),
            ("[", "["),
            ("a[b", "a[b"),
            ("\\*", "*"),
            ("a\\", "a\\"),
            (".*", ".a"),
            ("\\.*", ".a"),
            ("a/*/c", "a/b/c"),
            ("/a*", "/ab"),
            ("d*/", "dir/"),
            ("*/.", "a/."),
            ("", ""),
            ("*~", "a~"),
        ] {
            assert!(matches(pattern.as_bytes(), path.as_bytes()), "{pattern} stands for {path}");
        }
    }

    #[test]
    fn and_for_nothing_else() {
        for (pattern, path) in [
            ("*", ".a"),
            ("?a", ".a"),
            ("[.]a", ".a"),
            ("[!x]a", ".a"),
            ("*", ".."),
            ("*", "."),
            ("*", ""),
            ("*", "a/b"),
            ("a?b", "a/b"),
            ("a[/]b", "a/b"),
            ("a*b", "a/b"),
            ("*/b", "a/c"),
            ("*/*", "a"),
            ("*/*", "a/"),
            ("a", "b"),
            ("a", "A"),
            ("a*", "b"),
            ("?", ""),
            ("?", "ab"),
            ("[a]", "ab"),
            ("[!a]", "a"),
            ("[!a]", ""),
            ("[a-c]", "d"),
            ("[c-a]", "b"),
            ("\\*", "a"),
            ("*.txt", ".txt"),
            ("a/", "a"),
        ] {
            assert!(!matches(pattern.as_bytes(), path.as_bytes()), "{pattern} does not stand for {path}");
        }
        // Neither does anything but `..` itself stand for the directory above.
        for pattern in [".*", ".?", "\\.*", ".[.]", ".[!a]"] {
            assert!(!matches(pattern.as_bytes(), b".."), "{pattern}");
        }
        assert!(matches(b"..", b"..") && matches(b"\\.\\.", b".."));
    }

    #[test]
    fn bytes_that_are_no_text_are_characters_too() {
        assert!(matches(b"?\xff*", b"\xfe\xff\n"));
        assert!(matches(b"[\xf0-\xff]", b"\xfe"));
        assert!(!matches(b"[a-z]", b"\xfe"));
        assert!(matches(b"*\xbc", "ü".as_bytes()) || !matches("ü".as_bytes(), b"u"));
    }

    #[test]
    fn what_is_left_out_may_begin_with_a_dot() {
        assert!(covers(b"*~", b".a~") && covers(b"*", b".git") && covers(b"build/*.o", b"build/.x.o"));
        assert!(!covers(b"*.o", b"a/b.o") && !covers(b"*", b""));
    }

    #[test]
    fn a_pattern_made_to_take_for_ever_does_not() {
        let pattern = b"a*".repeat(127);
        let start = Instant::now();
        assert!(!matches(&[&pattern[..], b"b"].concat(), &[b'a'; MAX_NAME_LEN]));
        assert!(!matches(&[&b"*".repeat(4000)[..], b"b"].concat(), &[b'a'; MAX_NAME_LEN]));
        assert!(!matches(&b"[a-".repeat(1300), &[b'a'; MAX_NAME_LEN]));
        assert!(!matches(&b"*[".repeat(2000), &[b'['; MAX_NAME_LEN]));
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    #[test]
    fn only_three_characters_make_a_pattern() {
        assert!(is_pattern(b"a*") && is_pattern(b"?") && is_pattern(b"[") && is_pattern(b"a\\ b"));
        assert!(!is_pattern(b"a") && !is_pattern(b"ab]") && !is_pattern(b""));
    }
}
