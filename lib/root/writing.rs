//! Filling a directory below a root: everything is made, renamed and removed by one name on its handle, and no link is
//! followed.

use super::{Access, Folder, Kind, Links, Lookup, MODE_BITS, Name, Node, RelPath, Root, Status};
use rustix::fs::{Access as Asked, AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

impl Root {
    /// The directory at `path` as a root of its own.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn below(&self, path: &RelPath, links: Links) -> io::Result<Root> {
        let dir = self.resolve(path, OFlags::PATH | OFlags::DIRECTORY, 0)?;
        Ok(self.new_root(dir, links))
    }

    /// The directory that holds what stands at `path` as a root of its own, and the name in it.
    ///
    /// # Errors
    /// Those of open(2), and `InvalidInput` where the path ends in no name.
    pub fn around<'a>(&self, path: &'a RelPath, links: Links) -> io::Result<(Root, Name<'a>)> {
        let (dir, name) = self.place(path, Errno::INVAL)?;
        Ok((self.new_root(dir, links), name))
    }

    fn new_root(&self, dir: OwnedFd, links: Links) -> Root {
        // Only `/` has nothing to stay below.
        let lookup = if self.lookup == Lookup::Kernel { Lookup::Kernel } else { Lookup::ByPart };
        Root { dir, links, lookup }
    }

    /// Opens the directory at `path` to fill it, also one that may not be listed.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn folder_to_fill(&self, path: &RelPath) -> io::Result<Folder> {
        to_fill(|flags| self.resolve(path, flags, 0))
    }
}

/// Opens a directory for reading, which syncing it needs, or else only to reach what is in it.
fn to_fill(open: impl Fn(OFlags) -> io::Result<OwnedFd>) -> io::Result<Folder> {
    let dir = match open(OFlags::RDONLY | OFlags::DIRECTORY) {
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => open(OFlags::PATH | OFlags::DIRECTORY),
        opened => opened,
    }?;
    Ok(Folder { dir })
}

impl Folder {
    /// Opens the directory of this name to fill it, also one that may not be listed.
    ///
    /// # Errors
    /// Those of open(2); `NotADirectory` for a link.
    pub fn folder_to_fill(&self, name: Name<'_>) -> io::Result<Folder> {
        to_fill(|flags| {
            let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(&self.dir, name.as_bytes(), flags, Mode::empty())?)
        })
    }

    /// One more handle of the same directory.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn try_clone(&self) -> io::Result<Folder> {
        Ok(Folder { dir: self.dir.try_clone()? })
    }

    /// Makes a file of this name, with `mode` less the umask, and opens it to read and write it.
    ///
    /// # Errors
    /// Those of open(2); `AlreadyExists` whatever has the name.
    pub fn make_file(&self, name: Name<'_>, mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & MODE_BITS);
        Ok(File::from(rustix::fs::openat(&self.dir, name.as_bytes(), flags, mode)?))
    }

    /// Opens the regular file of this name to read it, or to read and write it. Nothing is waited for.
    ///
    /// # Errors
    /// Those of open(2), and `InvalidInput` for what is no regular file.
    pub fn existing_file(&self, name: Name<'_>, access: Access) -> io::Result<(File, Status)> {
        let way = if access.write { OFlags::RDWR } else { OFlags::RDONLY };
        let flags = way | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // A device that is opened may do something: looked at before, and for certain after.
        if self.status(name)?.kind() != Kind::File {
            return Err(Errno::INVAL.into());
        }
        let file = File::from(rustix::fs::openat(&self.dir, name.as_bytes(), flags, Mode::empty())?);
        let status = Status::of(&file)?;
        if status.kind() != Kind::File {
            return Err(Errno::INVAL.into());
        }
        Ok((file, status))
    }

    /// Makes a directory of this name, with `mode` less the umask.
    ///
    /// # Errors
    /// Those of mkdir(2).
    pub fn make_folder(&self, name: Name<'_>, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.dir, name.as_bytes(), Mode::from_raw_mode(mode & MODE_BITS))?)
    }

    /// Makes a symbolic link of this name with the text `target`, which may be anything.
    ///
    /// # Errors
    /// Those of symlink(2).
    pub fn make_link(&self, target: &[u8], name: Name<'_>) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.dir, name.as_bytes())?)
    }

    /// Gives what is called `from` the name `to`, whatever had that name.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn rename(&self, from: Name<'_>, to: Name<'_>) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.dir, from.as_bytes(), &self.dir, to.as_bytes())?)
    }

    /// Removes a name that is no directory's.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub fn remove(&self, name: Name<'_>) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.dir, name.as_bytes(), AtFlags::empty())?)
    }

    /// Whether the file of this name may be written, by its permissions. Says nothing about a link.
    ///
    /// # Errors
    /// It may not.
    pub fn may_write(&self, name: Name<'_>) -> io::Result<()> {
        Ok(rustix::fs::accessat(&self.dir, name.as_bytes(), Asked::WRITE_OK, AtFlags::empty())?)
    }

    /// Whether something may be made in the directory itself.
    ///
    /// # Errors
    /// It may not.
    pub fn may_be_filled(&self) -> io::Result<()> {
        Ok(rustix::fs::accessat(&self.dir, ".", Asked::WRITE_OK | Asked::EXEC_OK, AtFlags::empty())?)
    }

    /// Sets the permissions of the directory itself. Bits that say who may delete in it, or which group gets what is made
    /// in it, stay as they are.
    ///
    /// # Errors
    /// Those of chmod(2).
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Node::new(&self.dir).set_mode(mode & MODE_BITS | !MODE_BITS)
    }

    /// Sets when the directory itself was written last: seconds since 1970, and nanoseconds.
    ///
    /// # Errors
    /// Those of utimensat(2).
    pub fn set_modified(&self, seconds: i64, nanos: u32) -> io::Result<()> {
        Node::new(&self.dir).set_modified(seconds, nanos)
    }

    /// Waits until all that was written to its file system has reached the disk.
    ///
    /// # Errors
    /// Those of syncfs(2): something of it has not, and never will.
    pub fn sync_file_system(&self) -> io::Result<()> {
        match rustix::fs::syncfs(&self.dir) {
            // A handle that is good for nothing but names: all disks are waited for then.
            Err(Errno::BADF) => {
                rustix::fs::sync();
                Ok(())
            }
            synced => Ok(synced?),
        }
    }
}

impl<F: AsFd> Node<F> {
    /// Sets when it was written last: seconds since 1970, and nanoseconds. What the file system cannot hold becomes the
    /// nearest that it can.
    ///
    /// # Errors
    /// Those of utimensat(2).
    pub fn set_modified(&self, seconds: i64, nanos: u32) -> io::Result<()> {
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        // A Timespec has narrower fields on some processors.
        #[allow(clippy::useless_conversion)]
        let seconds = seconds.try_into().map_err(|_| Errno::INVAL)?;
        let times = Timestamps { last_access, last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos.into() } };
        match rustix::fs::futimens(self.as_fd(), &times) {
            Err(Errno::BADF) => {
                Ok(rustix::fs::utimensat(rustix::fs::CWD, self.through_proc(), &times, AtFlags::empty())?)
            }
            done => Ok(done?),
        }
    }
}

impl Status {
    /// The number of its file system.
    #[must_use]
    pub fn file_system(&self) -> u64 {
        self.identity.0
    }
}
