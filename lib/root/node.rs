//! What is found below a root: its status, and what can be done to it whatever it is.

use super::MODE_BITS;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, Stat, StatVfsMountFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Bytes of a block, as `st_blocks` counts them.
const BLOCK: u64 = 512;

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, FIFO or socket.
    Special,
}

/// What stat(2) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// The number of its owner.
    pub owner: u32,
    /// The number of its group.
    pub group: u32,
    /// How many names it has.
    pub links: u64,
    /// When it was read last, in seconds since 1970.
    pub accessed: i64,
    /// When it was written last, in seconds since 1970.
    pub modified: i64,
    /// And nanoseconds.
    pub modified_nanos: u32,
    /// When its contents or anything said here changed last, in seconds since 1970, and nanoseconds. Nobody can set it.
    pub changed: (i64, u32),
    /// Bytes that it takes up; fewer than it has if there are holes in it.
    pub allocated: u64,
    /// Its file system and its number in it: no two files have the same.
    pub(super) identity: (u64, u64),
}

impl Status {
    /// The status of what is open.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn of(open: impl AsFd) -> io::Result<Self> {
        Ok(Self::new(&rustix::fs::fstat(open)?))
    }

    // The types of the fields differ between processors.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    pub(super) fn new(stat: &Stat) -> Self {
        Status {
            mode: stat.st_mode,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            owner: stat.st_uid,
            group: stat.st_gid,
            links: u64::from(stat.st_nlink),
            accessed: i64::try_from(stat.st_atime).unwrap_or(0),
            modified: i64::try_from(stat.st_mtime).unwrap_or(0),
            modified_nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            changed: (i64::try_from(stat.st_ctime).unwrap_or(0), u32::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            allocated: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK),
            identity: (u64::from(stat.st_dev), u64::from(stat.st_ino)),
        }
    }

    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match FileType::from_raw_mode(self.mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            _ => Kind::Special,
        }
    }

    /// Whether nothing was written to the file, and nothing of it set, since it had the status `before`.
    #[must_use]
    pub fn is_unchanged(&self, before: &Self) -> bool {
        let of = |status: &Self| (status.size, status.modified, status.modified_nanos, status.changed);
        of(self) == of(before)
    }

    /// Whether both are the status of one file.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

/// What statvfs(3) says of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Bytes that are best read or written at once.
    pub block_size: u64,
    /// Bytes in one of its blocks.
    pub fragment_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Blocks that are free for whoever is not root.
    pub blocks_available: u64,
    /// Files that it has room for.
    pub files: u64,
    /// Files that can still be made.
    pub files_free: u64,
    /// Files that whoever is not root can still make.
    pub files_available: u64,
    /// Its number.
    pub id: u64,
    /// Nothing can be written.
    pub read_only: bool,
    /// No program runs as its owner.
    pub no_setuid: bool,
    /// Most bytes in a name.
    pub longest_name: u64,
}

/// A handle of a thing: of an open file, or one that [`super::Root::node`] found without opening what it leads to.
#[derive(Debug)]
pub struct Node<F>(F);

impl<F: AsFd> Node<F> {
    /// The thing that `handle` is of.
    pub fn new(handle: F) -> Self {
        Node(handle)
    }

    /// Its status.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn status(&self) -> io::Result<Status> {
        Status::of(&self.0)
    }

    /// Sets its permissions. A bit that changes who a program runs as, or who may delete, stays if it is there and in
    /// `mode`, but is not set anew.
    ///
    /// # Errors
    /// Those of chmod(2).
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        let now = self.status()?;
        if now.kind() == Kind::Link {
            return Err(Errno::OPNOTSUPP.into());
        }
        let mode = Mode::from_raw_mode(mode & (MODE_BITS | now.mode & 0o7000));
        match rustix::fs::fchmod(&self.0, mode) {
            Err(Errno::BADF) => Ok(rustix::fs::chmod(self.through_proc(), mode)?),
            done => Ok(done?),
        }
    }

    /// Sets when it was read and written last, in seconds since 1970.
    ///
    /// # Errors
    /// Those of utimensat(2).
    pub fn set_times(&self, accessed: u32, modified: u32) -> io::Result<()> {
        let at = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
        let times = Timestamps { last_access: at(accessed), last_modification: at(modified) };
        match rustix::fs::futimens(&self.0, &times) {
            Err(Errno::BADF) => {
                Ok(rustix::fs::utimensat(rustix::fs::CWD, self.through_proc(), &times, AtFlags::empty())?)
            }
            done => Ok(done?),
        }
    }

    /// Sets its owner and group.
    ///
    /// # Errors
    /// Those of chown(2).
    pub fn set_owner(&self, owner: u32, group: u32) -> io::Result<()> {
        // All ones means to leave it as it is.
        let known = |id: u32| (id != u32::MAX).then_some(id);
        let (owner, group) = (known(owner).map(Uid::from_raw), known(group).map(Gid::from_raw));
        Ok(rustix::fs::chownat(&self.0, "", owner, group, AtFlags::EMPTY_PATH)?)
    }

    /// The file system it is on.
    ///
    /// # Errors
    /// Those of fstatvfs(3).
    pub fn file_system(&self) -> io::Result<FileSystem> {
        let is = rustix::fs::fstatvfs(&self.0)?;
        Ok(FileSystem {
            block_size: is.f_bsize,
            fragment_size: is.f_frsize,
            blocks: is.f_blocks,
            blocks_free: is.f_bfree,
            blocks_available: is.f_bavail,
            files: is.f_files,
            files_free: is.f_ffree,
            files_available: is.f_favail,
            id: is.f_fsid,
            read_only: is.f_flag.contains(StatVfsMountFlags::RDONLY),
            no_setuid: is.f_flag.contains(StatVfsMountFlags::NOSUID),
            longest_name: is.f_namemax,
        })
    }

    /// The path by which the kernel knows it; `None` without a /proc to ask.
    pub(super) fn real_path(&self) -> Option<Vec<u8>> {
        Some(rustix::fs::readlink(self.through_proc(), Vec::new()).ok()?.into_bytes())
    }

    /// A name for what the handle is of, for calls that take no handle made by path alone. It leads to that very thing,
    /// whatever has its path by now.
    pub(super) fn through_proc(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_fd().as_raw_fd())
    }
}

impl<F: AsFd> AsFd for Node<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The names in a directory, one after the other.
#[derive(Debug)]
pub struct Listing {
    dir: Dir,
    /// Above the root there is nothing to be told of.
    is_top: bool,
}

impl Listing {
    pub(super) fn new(dir: OwnedFd, is_top: bool) -> io::Result<Self> {
        Ok(Listing { dir: Dir::new(dir)?, is_top })
    }
}

impl AsFd for Listing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // That cannot fail on Linux; the current directory is never asked for.
        self.dir.fd().unwrap_or(rustix::fs::CWD)
    }
}

impl Iterator for Listing {
    type Item = io::Result<(Vec<u8>, Option<Status>)>;

    /// The next name, `.` and `..` among them, and its status, if that can be had; a link is not followed. What vanished
    /// meanwhile is left out.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.dir.read()? {
                Ok(entry) => entry,
                Err(cause) => return Some(Err(cause.into())),
            };
            let name = entry.file_name().to_bytes();
            let shown = if self.is_top && name == b".." { b"." } else { name };
            match rustix::fs::statat(self.as_fd(), shown, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {}
                stat => return Some(Ok((name.to_vec(), stat.ok().as_ref().map(Status::new)))),
            }
        }
    }
}
