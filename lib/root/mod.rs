//! A directory below which everything is opened, and out of which nothing leads: no `..`, no absolute path, no link, also
//! none that somebody swaps for a file in the very moment it is opened.
//!
//! The kernel sees to it: openat2(2) resolves a path as if the root were `/`. What takes a name in a directory and not a
//! file (to make, remove or rename it) is done on a handle of the directory, found in that way, and one name. Where there is
//! no openat2 (before Linux 5.6, or forbidden by a sandbox), every part of a path is opened for itself, and no link is
//! followed.

mod folder;
mod node;
mod path;
mod reading;
#[cfg(test)]
mod tests;
mod writing;

pub use folder::Folder;
pub use node::{FileSystem, Kind, Listing, Node, Status};
pub use path::{MAX_NAME_LEN, MAX_PATH_LEN, Name, RelPath};
pub use reading::{Names, Seen, next_data, read_at};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// How often a lookup is begun anew when something on it was renamed meanwhile: the kernel then cannot tell whether a `..`
/// stayed below the root. Each one is some microseconds, and many in a row are somebody's intent.
const LOOKUP_TRIES: u32 = 256;

/// The bits of a mode that a peer may set: none that changes who a program runs as, or who may delete.
pub const MODE_BITS: u32 = 0o777;

/// What becomes of links below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// They are followed as if the root were `/`: an absolute one starts at the root.
    Followed,
    /// Nothing that a link is on the way to is found.
    Refused,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// To read it.
    pub read: bool,
    /// To write it.
    pub write: bool,
    /// To write at its end only.
    pub append: bool,
    /// It is emptied first.
    pub truncate: bool,
    /// It is made, with this mode less the umask, if it is not there.
    pub create: Option<u32>,
    /// It must not be there.
    pub new: bool,
}

/// Who resolves a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup {
    /// openat2(2).
    Kernel,
    /// We do, part by part, and follow no link.
    ByPart,
    /// openat(2): the root is `/`, so that there is nothing to stay below.
    Unbounded,
}

/// A directory, and everything below it.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    links: Links,
    lookup: Lookup,
}

impl Root {
    /// Opens the directory at `path`, a path of this machine's.
    ///
    /// # Errors
    /// There is no directory, or it may not be searched.
    pub fn open(path: &Path, links: Links) -> io::Result<Self> {
        let dir = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut root = Root { dir, links, lookup: Lookup::Kernel };
        match root.resolve(&RelPath::top(), OFlags::PATH, 0) {
            Err(without) if matches!(Errno::from_io_error(&without), Some(Errno::NOSYS | Errno::PERM)) => {
                let unbounded = links == Links::Followed && path == Path::new("/");
                root.lookup = if unbounded { Lookup::Unbounded } else { Lookup::ByPart };
            }
            probed => drop(probed?),
        }
        Ok(root)
    }

    /// Opens a regular file. Nothing else is opened this way, and nothing that would have to be waited for.
    ///
    /// # Errors
    /// Those of open(2), and `InvalidInput` for what is no regular file.
    pub fn file(&self, path: &RelPath, access: Access) -> io::Result<File> {
        let mut flags = match (access.read, access.write || access.append) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        flags.set(OFlags::APPEND, access.append);
        flags.set(OFlags::TRUNC, access.truncate);
        flags.set(OFlags::CREATE, access.create.is_some());
        flags.set(OFlags::EXCL, access.new);
        // Neither a FIFO without a writer nor a device that is not ready is waited for, and no terminal becomes ours.
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.resolve(path, flags, access.create.unwrap_or(0)) {
            // A FIFO that nobody reads, or a socket.
            Err(cause) if Errno::from_io_error(&cause) == Some(Errno::NXIO) => return Err(no_regular_file()),
            opened => File::from(opened?),
        };
        match Status::of(&file)?.kind() {
            Kind::File => Ok(file),
            Kind::Directory => Err(Errno::ISDIR.into()),
            _ => Err(no_regular_file()),
        }
    }

    /// Opens a directory to list it.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn directory(&self, path: &RelPath) -> io::Result<Listing> {
        let dir = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        let is_top = Status::of(&dir)?.is_same(&Status::of(&self.dir)?);
        Listing::new(dir, is_top)
    }

    /// Finds what `path` leads to, of whatever kind it is.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn node(&self, path: &RelPath) -> io::Result<Node<OwnedFd>> {
        self.resolve(path, OFlags::PATH, 0).map(Node::new)
    }

    /// Finds what stands at `path`: if that is a link, the link itself.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn link_itself(&self, path: &RelPath) -> io::Result<Node<OwnedFd>> {
        self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW, 0).map(Node::new)
    }

    /// The text of a symbolic link.
    ///
    /// # Errors
    /// It is none, or cannot be found.
    pub fn read_link(&self, path: &RelPath) -> io::Result<Vec<u8>> {
        let node = self.link_itself(path)?;
        if node.status()?.kind() != Kind::Link {
            return Err(Errno::INVAL.into());
        }
        Ok(rustix::fs::readlinkat(&node, "", Vec::new())?.into_bytes())
    }

    /// Where `path` leads to, without links, `.` and `..`, from the root on. The last name need not be there.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn real_path(&self, path: &RelPath) -> io::Result<RelPath> {
        // What is found is told by its path, and that may be another's by then.
        for _ in 0..LOOKUP_TRIES {
            let found = match self.node(path) {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                    let (parent, name) = path.split().ok_or(cause)?;
                    let parent = self.path_of(&self.node(&parent)?, &parent)?;
                    parent.map(|parent| parent.join(name.as_bytes())).transpose()?
                }
                found => self.path_of(&found?, path)?,
            };
            if let Some(real) = found {
                return Ok(real);
            }
        }
        Err(io::Error::other("what has its name is another each time"))
    }

    /// The path from the root on that the kernel knows for what was found at `path`; `None` if it stands there no longer:
    /// of what was removed the kernel tells a path that it never had.
    fn path_of(&self, node: &Node<OwnedFd>, path: &RelPath) -> io::Result<Option<RelPath>> {
        let (Some(top), Some(whole)) = (Node::new(&self.dir).real_path(), node.real_path()) else {
            return Ok(Some(path.folded()));
        };
        let real = match whole.strip_prefix(top.strip_suffix(b"/").unwrap_or(&top)) {
            Some(below) if below.is_empty() || below.starts_with(b"/") => RelPath::top().join(below)?,
            _ => return Ok(Some(path.folded())),
        };
        let is_there = match self.link_itself(&real).and_then(|there| there.status()) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => false,
            there => there?.is_same(&node.status()?),
        };
        Ok(is_there.then_some(real))
    }

    /// Makes a directory, with `mode` less the umask.
    ///
    /// # Errors
    /// Those of mkdir(2).
    pub fn make_directory(&self, path: &RelPath, mode: u32) -> io::Result<()> {
        let (parent, name) = self.place(path, Errno::EXIST)?;
        Ok(rustix::fs::mkdirat(parent, name.as_bytes(), Mode::from_raw_mode(mode & MODE_BITS))?)
    }

    /// Removes a name that is no directory's.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub fn remove_file(&self, path: &RelPath) -> io::Result<()> {
        let (parent, name) = self.place_of_file(path, Errno::ISDIR)?;
        Ok(rustix::fs::unlinkat(parent, name.as_bytes(), AtFlags::empty())?)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// Those of rmdir(2).
    pub fn remove_directory(&self, path: &RelPath) -> io::Result<()> {
        let (parent, name) = self.place(path, Errno::INVAL)?;
        Ok(rustix::fs::unlinkat(parent, name.as_bytes(), AtFlags::REMOVEDIR)?)
    }

    /// Gives what stands at `from` the name `to`, whatever had that name.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn replace(&self, from: &RelPath, to: &RelPath) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.place(from, Errno::BUSY)?, self.place(to, Errno::BUSY)?);
        Ok(rustix::fs::renameat(old, from.as_bytes(), new, to.as_bytes())?)
    }

    /// Gives what stands at `from` the name `to`, if nothing has that name.
    ///
    /// # Errors
    /// Those of rename(2), and `AlreadyExists`.
    pub fn rename(&self, from: &RelPath, to: &RelPath) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.place(from, Errno::BUSY)?, self.place(to, Errno::BUSY)?);
        let (from, to) = (from.as_bytes(), to.as_bytes());
        match rustix::fs::renameat_with(&old, from, &new, to, RenameFlags::NOREPLACE) {
            // Not every file system can promise it. A second name for a file cannot take one that is in use either;
            // a directory has one name only, and there looking first is the best that can be had.
            Err(Errno::INVAL | Errno::NOSYS) => match rustix::fs::linkat(&old, from, &new, to, AtFlags::empty()) {
                Ok(()) => Ok(rustix::fs::unlinkat(old, from, AtFlags::empty())?),
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                    match rustix::fs::statat(&new, to, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(_) => Err(Errno::EXIST.into()),
                        Err(Errno::NOENT) => Ok(rustix::fs::renameat(old, from, new, to)?),
                        Err(cause) => Err(cause.into()),
                    }
                }
                Err(cause) => Err(cause.into()),
            },
            renamed => Ok(renamed?),
        }
    }

    /// Gives the file at `from` a second name; a link is not followed.
    ///
    /// # Errors
    /// Those of link(2).
    pub fn hard_link(&self, from: &RelPath, to: &RelPath) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.place_of_file(from, Errno::PERM)?, self.place_of_file(to, Errno::EXIST)?);
        Ok(rustix::fs::linkat(old, from.as_bytes(), new, to.as_bytes(), AtFlags::empty())?)
    }

    /// Makes a symbolic link with the text `target`, which may be anything: where it leads is seen when it is followed.
    ///
    /// # Errors
    /// Those of symlink(2).
    pub fn symbolic_link(&self, target: &[u8], path: &RelPath) -> io::Result<()> {
        let (parent, name) = self.place_of_file(path, Errno::EXIST)?;
        Ok(rustix::fs::symlinkat(target, parent, name.as_bytes())?)
    }

    /// The directory that holds the name at the end of `path`; `nameless` is what it means that there is none.
    fn place<'a>(&self, path: &'a RelPath, nameless: Errno) -> io::Result<(OwnedFd, Name<'a>)> {
        let (parent, name) = path.split().ok_or(nameless)?;
        Ok((self.resolve(&parent, OFlags::PATH | OFlags::DIRECTORY, 0)?, name))
    }

    /// The same for a name that is no directory's.
    fn place_of_file<'a>(&self, path: &'a RelPath, nameless: Errno) -> io::Result<(OwnedFd, Name<'a>)> {
        let place = self.place(path, nameless)?;
        if path.wants_directory() { Err(Errno::NOTDIR.into()) } else { Ok(place) }
    }

    fn resolve(&self, path: &RelPath, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
        let (flags, mode) = (flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode & MODE_BITS));
        match self.lookup {
            Lookup::Kernel => {
                let resolve = ResolveFlags::NO_MAGICLINKS
                    | match self.links {
                        Links::Followed => ResolveFlags::IN_ROOT,
                        Links::Refused => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
                    };
                let mut tries = LOOKUP_TRIES;
                loop {
                    tries -= 1;
                    match rustix::fs::openat2(&self.dir, path.lookup(), flags, mode, resolve) {
                        Err(Errno::AGAIN | Errno::INTR) if tries > 0 => {}
                        opened => return Ok(opened?),
                    }
                }
            }
            Lookup::ByPart => by_part(self.dir.as_fd(), path, flags, mode),
            Lookup::Unbounded => Ok(rustix::fs::openat(&self.dir, path.lookup(), flags, mode)?),
        }
    }
}

/// Opens a path part by part. No link is followed, so that `..` can be folded away beforehand.
fn by_part(top: BorrowedFd<'_>, path: &RelPath, mut flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let itself = flags.contains(OFlags::PATH | OFlags::NOFOLLOW);
    flags.set(OFlags::DIRECTORY, flags.contains(OFlags::DIRECTORY) || path.wants_directory());
    let folded = path.folded();
    let (parents, last) = match folded.split() {
        Some((parents, last)) => (parents, last.as_bytes()),
        None if folded.as_bytes().is_empty() => (folded.clone(), &b"."[..]),
        None => return Err(Errno::NAMETOOLONG.into()),
    };
    let mut at: Option<OwnedFd> = None;
    for part in parents.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        let from = at.as_ref().map_or(top, AsFd::as_fd);
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        at = Some(rustix::fs::openat(from, part, step, Mode::empty())?);
    }
    let from = at.as_ref().map_or(top, AsFd::as_fd);
    let opened = rustix::fs::openat(from, last, flags | OFlags::NOFOLLOW, mode)?;
    // A handle of a path only opens the link itself.
    if flags.contains(OFlags::PATH) && !itself && Status::of(&opened)?.kind() == Kind::Link {
        return Err(Errno::LOOP.into());
    }
    Ok(opened)
}

fn no_regular_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}
