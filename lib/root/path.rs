//! Paths below a root: checked once, and the only thing a root opens.

use rustix::io::Errno;
use std::fmt;
use std::io;

/// Longest path, in bytes: what the kernel takes (`PATH_MAX` without its NUL).
pub const MAX_PATH_LEN: usize = 4095;

/// Longest name in a directory, in bytes (`NAME_MAX`).
pub const MAX_NAME_LEN: usize = 255;

/// A path from a root on: any bytes but NUL, at most [`MAX_PATH_LEN`] of them, without a slash in front. It may hold `..`
/// and name links; that these stay below the root is seen to when it is looked up.
#[derive(Clone, PartialEq, Eq)]
pub struct RelPath(Vec<u8>);

/// One name in a directory: not empty, not `.` or `..`, without a slash or NUL, at most [`MAX_NAME_LEN`] bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'a>(&'a [u8]);

impl RelPath {
    /// The root itself.
    #[must_use]
    pub fn top() -> Self {
        RelPath(Vec::new())
    }

    /// What `given` names for somebody who is at this path; with a slash in front it starts at the root.
    ///
    /// # Errors
    /// A NUL in it, and a path that is too long.
    pub fn join(&self, given: &[u8]) -> io::Result<Self> {
        if given.contains(&0) {
            return Err(Errno::INVAL.into());
        }
        let below =
            given.iter().position(|byte| *byte != b'/').map_or(&[][..], |at| given.get(at..).unwrap_or_default());
        let joined = match self.0.as_slice() {
            from if from.is_empty() || given.starts_with(b"/") => below.to_vec(),
            from => [from, b"/", below].concat(),
        };
        if joined.len() > MAX_PATH_LEN {
            return Err(Errno::NAMETOOLONG.into());
        }
        Ok(RelPath(joined))
    }

    /// The bytes, without a slash in front; none for the root itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path without `.`, `..` and doubled slashes, as it reads where nothing on it is a link.
    #[must_use]
    pub fn folded(&self) -> Self {
        let mut names: Vec<&[u8]> = Vec::new();
        for part in self.0.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => drop(names.pop()),
                name => names.push(name),
            }
        }
        RelPath(names.join(&b'/'))
    }

    /// Whether it ends in a slash, and so can name only a directory.
    pub(super) fn wants_directory(&self) -> bool {
        self.0.ends_with(b"/")
    }

    /// The form for the kernel, which has no empty paths.
    pub(super) fn lookup(&self) -> &[u8] {
        if self.0.is_empty() { b"." } else { &self.0 }
    }

    /// The directory and the name in it; `None` if it ends in no name, as the root, `.` and `..` do.
    pub(super) fn split(&self) -> Option<(Self, Name<'_>)> {
        let end = self.0.iter().rposition(|byte| *byte != b'/')?;
        let path = self.0.get(..=end)?;
        let (parent, last) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => path.split_at_checked(slash + 1)?,
            None => (&[][..], path),
        };
        Some((RelPath(parent.to_vec()), Name::new(last).ok()?))
    }
}

impl<'a> Name<'a> {
    /// Checks a name.
    ///
    /// # Errors
    /// Anything but one name.
    pub fn new(bytes: &'a [u8]) -> io::Result<Self> {
        if matches!(bytes, b"" | b"." | b"..") || bytes.iter().any(|byte| matches!(byte, b'/' | 0)) {
            return Err(Errno::INVAL.into());
        }
        if bytes.len() > MAX_NAME_LEN {
            return Err(Errno::NAMETOOLONG.into());
        }
        Ok(Name(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelPath({})", self.0.escape_ascii())
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.0.escape_ascii())
    }
}
