//! Where the things that were named are put: by the rules of scp.

use crate::copy::Place;
use crate::error::{Error, Result, reason};
use crate::root::{Kind, Links, Name, Root};
use crate::term::sanitize_line;
use std::io;

/// Where the things that were named are put.
#[derive(Debug)]
pub(super) struct Spot {
    /// The directory that they go into, in which no link is followed.
    pub(super) root: Root,
    /// What the only one of them is called there; without it each keeps its name.
    pub(super) name: Option<Vec<u8>>,
    /// Only a directory can be meant.
    pub(super) only_directory: bool,
}

/// What a path that was named is called where it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Called<'a> {
    /// As this.
    Name(Name<'a>),
    /// Not at all: what is in the directory is meant.
    Contents,
}

/// Finds the spot that `given` names for so many things, and makes nothing.
///
/// # Errors
/// Why nothing can be put there, in words for both sides.
pub(super) fn find(place: &Place, given: &[u8], tops: u32) -> std::result::Result<Spot, String> {
    look(place, given, tops).map_err(|cause| told(given, &cause))
}

/// Why nothing can be put at `given`.
pub(super) fn told(given: &[u8], cause: &io::Error) -> String {
    let why = match cause.kind() {
        io::ErrorKind::NotFound => "no such directory".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => reason(cause),
    };
    // That only a directory will do was meant, and is what the reason says.
    let shown = given.strip_suffix(b"/.").filter(|shown| !shown.is_empty()).unwrap_or(given);
    format!("{}: {why}", sanitize_line(&String::from_utf8_lossy(shown)))
}

fn look(place: &Place, given: &[u8], tops: u32) -> io::Result<Spot> {
    let path = place.path(given)?;
    let root = place.root();
    let there = match root.node(&path).and_then(|node| node.status()) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        status => Some(status?),
    };
    let only_directory = given.ends_with(b"/");
    match there.map(|status| status.kind()) {
        Some(Kind::Directory) => {
            Ok(Spot { root: root.below(&path, Links::Refused)?, name: None, only_directory: false })
        }
        Some(_) if tops > 1 => Err(io::ErrorKind::NotADirectory.into()),
        None if tops > 1 => Err(io::ErrorKind::NotFound.into()),
        found => {
            // What a link leads to is written, not the link; one that leads nowhere is as good as nothing.
            // Of all else the path itself is the place: where the file leads that stands there now is no matter.
            let is_link = match root.link_itself(&path).and_then(|itself| itself.status()) {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => false,
                itself => itself?.kind() == Kind::Link,
            };
            let real = if found.is_some() && is_link { root.real_path(&path)? } else { path };
            let (root, name) = root.around(&real, Links::Refused).map_err(|cause| match cause.kind() {
                // It ends in `.` or `..` of something that is not there.
                io::ErrorKind::InvalidInput => io::ErrorKind::NotFound.into(),
                _ => cause,
            })?;
            Ok(Spot { root, name: Some(name.as_bytes().to_vec()), only_directory })
        }
    }
}

/// What the thing at the path of a TOP is called. `of_home` says that `~` stands for a directory there.
///
/// # Errors
/// It ends in `..` or in what is no name.
pub(super) fn called(path: &[u8], of_home: bool) -> Result<Called<'_>> {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let path = path.get(..end).unwrap_or_default();
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if matches!(last, b"" | b".") || of_home && path == b"~" {
        return Ok(Called::Contents);
    }
    Name::new(last).map(Called::Name).map_err(|_| Error::protocol("a source that ends in no name"))
}
