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
    tells: bool,
}

impl Place {
    /// All that this process can reach, from its working directory on.
    ///
    /// # Errors
    /// There is no working directory.
    pub fn of_process() -> io::Result<Self> {
        let start = RelPath::top().join(std::env::current_dir()?.as_os_str().as_bytes())?;
        Ok(Place { root: Root::open(Path::new("/"), Links::Followed)?, start, home: None, tells: true })
    }

    /// All that this process can reach, from `home` on, which `~` stands for.
    ///
    /// # Errors
    /// The path of `home` is too long.
    pub fn of_home(home: &Path) -> io::Result<Self> {
        let home = RelPath::top().join(home.as_os_str().as_bytes())?;
        Ok(Place {
            root: Root::open(Path::new("/"), Links::Followed)?,
            start: home.clone(),
            home: Some(home),
            tells: true,
        })
    }

    /// What is below `root` alone, which then looks like all there is.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn below(root: &Path) -> io::Result<Self> {
        Ok(Place {
            root: Root::open(root, Links::Followed)?,
            start: RelPath::top(),
            home: Some(RelPath::top()),
            tells: true,
        })
    }

    /// Whether the other side may learn what the files here hold, as a place does if nothing else is said. Otherwise a receiver
    /// tells only of what its own copies left behind.
    #[must_use]
    pub fn telling(self, tells: bool) -> Self {
        Place { tells, ..self }
    }

    /// Whether the other side may learn what the files here hold.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.tells
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
            (Some(home), [b'~', b'/', ..]) => {
                let below = given.iter().skip(1).position(|byte| *byte != b'/').map_or(given.len(), |at| at + 1);
                home.join(given.get(below..).unwrap_or_default())
            }
            (_, given) => self.start.join(given),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_at_the_top_in_the_home_directory_or_where_we_are() {
        let place = Place::of_home(Path::new("/home/ada")).unwrap();
        for (given, found) in [
            ("", "home/ada"),
            ("x", "home/ada/x"),
            ("~", "home/ada"),
            ("~/", "home/ada"),
            ("~/x", "home/ada/x"),
            ("~///x", "home/ada/x"),
            ("~/ /x", "home/ada/ /x"),
            ("~x", "home/ada/~x"),
            ("./~", "home/ada/./~"),
            ("/etc", "etc"),
        ] {
            let path = place.path(given.as_bytes()).unwrap().as_bytes().to_vec();
            assert_eq!(String::from_utf8_lossy(&path).trim_end_matches('/'), found, "{given}");
        }
        assert!(place.path(b"a\0").is_err());
    }
}
