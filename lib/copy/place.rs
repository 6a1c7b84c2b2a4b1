//! Where the paths of a copy begin at one end.

use crate::root::{Links, RelPath, Root};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The files that one end of a copy can reach, and where its relative paths begin.
#[derive(Debug)]
pub struct Place {
    root: Root,
    start: RelPath,
    home: Option<RelPath>,
}

impl Place {
    /// All that this process can reach, from its working directory on.
    ///
    /// # Errors
    /// There is no working directory.
    pub fn of_process() -> io::Result<Self> {
        let start = RelPath::top().join(std::env::current_dir()?.as_os_str().as_bytes())?;
        Ok(Place { root: Root::open(Path::new("/"), Links::Followed)?, start, home: None })
    }

    /// All that this process can reach, from `home` on, which `~` stands for.
    ///
    /// # Errors
    /// The path of `home` is too long.
    pub fn of_home(home: &Path) -> io::Result<Self> {
        let home = RelPath::top().join(home.as_os_str().as_bytes())?;
        Ok(Place { root: Root::open(Path::new("/"), Links::Followed)?, start: home.clone(), home: Some(home) })
    }

    /// What is below `root` alone, which then looks like all there is.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn below(root: &Path) -> io::Result<Self> {
        Ok(Place { root: Root::open(root, Links::Followed)?, start: RelPath::top(), home: Some(RelPath::top()) })
    }

    /// The directory below which all this is. Links on a path are followed, and stay below it.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// What `given` names here.
    ///
    /// # Errors
    /// A NUL in it, and a path that is too long.
    pub fn path(&self, given: &[u8]) -> io::Result<RelPath> {
        match (&self.home, given) {
            (Some(home), b"~") => Ok(home.clone()),
            (Some(home), [b'~', b'/', rest @ ..]) => {
                home.join(rest.trim_ascii_start().strip_prefix(b"/").unwrap_or(rest))
            }
            (_, given) => self.start.join(given),
        }
    }
}
