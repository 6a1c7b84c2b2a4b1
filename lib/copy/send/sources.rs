//! What was named to be sent, and what is left out of it.

use super::Selection;
use crate::conn::Breaker;
use crate::copy::{Place, glob};
use crate::error::reason;
use crate::root::MAX_PATH_LEN;
use std::io;

/// One thing that was named.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Top {
    /// Which source named it.
    pub(super) source: u32,
    /// Its path, as it was named or as it was found for a pattern.
    pub(super) path: Vec<u8>,
}

/// All that was named.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// What is there, in the order of the sources; what a pattern stands for ascends.
    pub(super) tops: Vec<Top>,
    /// What is not, and why.
    pub(super) missing: Vec<(Vec<u8>, String)>,
}

impl Sources {
    /// Finds what `selection` names. What has the very name of a source goes before what that is a pattern of.
    pub(super) fn find(selection: &Selection, over: &Breaker) -> Self {
        let mut found = Sources::default();
        let mut room = glob::MAX_ROOM;
        for (source, path) in (0..).zip(&selection.sources) {
            match paths(&selection.place, path, selection.globs, &mut room, over) {
                Ok(paths) => found.tops.extend(paths.into_iter().map(|path| Top { source, path })),
                Err(why) => found.missing.push((path.clone(), why)),
            }
        }
        found
    }

    /// How many things were named: also what is missing decides whether there is one or several. If nothing is there, it does
    /// not matter.
    pub(super) fn count(&self) -> u32 {
        let missing = if self.tops.is_empty() { 0 } else { self.missing.len() };
        u32::try_from(self.tops.len() + missing).unwrap_or(u32::MAX)
    }
}

/// What is wrong with a source that ends in `..`.
const NAMELESS: &str = "it has no name of its own: give the path of the directory itself, or add /. for what is in it";

/// The paths that one source names.
fn paths(place: &Place, path: &[u8], globs: bool, room: &mut usize, over: &Breaker) -> Result<Vec<Vec<u8>>, String> {
    if last_name(path) == b".." {
        return Err(NAMELESS.into());
    }
    if path.len() > MAX_PATH_LEN {
        return Err("the path is too long".into());
    }
    let words = |cause: io::Error| reason(&cause);
    let itself = place.path(path).and_then(|at| place.root().link_itself(&at));
    let missing = match itself {
        Ok(_) => return Ok(vec![path.to_vec()]),
        Err(missing) => missing,
    };
    if !globs || !glob::is_pattern(path) {
        return Err(words(missing));
    }
    let found = glob::expand(place, path, room, || over.is_over()).map_err(words)?;
    match found.as_slice() {
        [] => Err(words(missing)),
        found if found.iter().any(|path| last_name(path) == b"..") => Err(NAMELESS.into()),
        _ => Ok(found),
    }
}

/// The last name of a path, whatever it is; none for the root.
fn last_name(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'/').rfind(|name| !name.is_empty()).unwrap_or_default()
}

/// What is left out.
#[derive(Debug)]
pub(super) struct Excludes(Vec<Exclude>);

#[derive(Debug)]
struct Exclude {
    pattern: Vec<u8>,
    /// It is of a path below what was named, and not of a name anywhere.
    is_path: bool,
    /// It leaves out directories only.
    is_directory: bool,
}

impl Excludes {
    /// A pattern without a slash is of any name; with one, of the path below what was named. A slash at its end is for
    /// directories only, and does not count.
    pub(super) fn new(patterns: &[Vec<u8>]) -> Self {
        let exclude = |pattern: &Vec<u8>| {
            let (pattern, is_directory) = match pattern.strip_suffix(b"/") {
                Some(pattern) => (pattern, true),
                None => (pattern.as_slice(), false),
            };
            let is_path = pattern.contains(&b'/');
            let pattern = pattern.strip_prefix(b"/").unwrap_or(pattern).to_vec();
            Exclude { pattern, is_path, is_directory }
        };
        Excludes(patterns.iter().map(exclude).collect())
    }

    /// Whether what has this name, and this path below what was named, is left out.
    pub(super) fn cover(&self, name: &[u8], below: &[u8], is_directory: bool) -> bool {
        self.0.iter().any(|exclude| {
            (is_directory || !exclude.is_directory)
                && glob::covers(&exclude.pattern, if exclude.is_path { below } else { name })
        })
    }
}
