//! One directory below a root, by its handle: what is in it is reached by one name, and no link is followed.

use super::{Name, RelPath, Root, Status};
use rustix::fs::{AtFlags, OFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A directory that was found below a root, wherever its path leads by now.
#[derive(Debug)]
pub struct Folder {
    pub(super) dir: OwnedFd,
}

impl Root {
    /// Opens the directory at `path`, to reach what is in it by name.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn folder(&self, path: &RelPath) -> io::Result<Folder> {
        let dir = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        Ok(Folder { dir })
    }
}

impl Folder {
    /// The status of what has this name; a link is not followed.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn status(&self, name: Name<'_>) -> io::Result<Status> {
        Ok(Status::new(&rustix::fs::statat(&self.dir, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW)?))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}
