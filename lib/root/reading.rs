//! What a reader of many files needs: what is in a directory, and each of its files by one name, with few calls and little
//! memory.

use super::{Folder, Kind, Name, no_regular_file};
use rustix::fs::{FileType, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::AsFd;

/// Room for names as the kernel hands them over.
const ROOM: usize = 32 << 10;

/// Names in a directory and what each is, one behind the other: a kind, a length, and the bytes.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<u8>);

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It stands for this.
    Kind(Kind),
    /// The file system does not say.
    Unknown,
}

impl Names {
    /// Forgets all, and keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one. A name of more than 255 bytes is cut, and so names nothing.
    pub fn push(&mut self, seen: Seen, name: &[u8]) {
        let name = name.get(..name.len().min(255)).unwrap_or_default();
        let kind = match seen {
            Seen::Unknown => 0,
            Seen::Kind(Kind::File) => 1,
            Seen::Kind(Kind::Directory) => 2,
            Seen::Kind(Kind::Link) => 3,
            Seen::Kind(Kind::Special) => 4,
        };
        self.0.extend([kind, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
        self.0.extend_from_slice(name);
    }

    /// The one that begins at `at`, which is moved behind it. The first begins at 0.
    pub fn next(&self, at: &mut usize) -> Option<(Seen, &[u8])> {
        let [kind, length, rest @ ..] = self.0.get(*at..)? else { return None };
        let seen = match kind {
            1 => Seen::Kind(Kind::File),
            2 => Seen::Kind(Kind::Directory),
            3 => Seen::Kind(Kind::Link),
            4 => Seen::Kind(Kind::Special),
            _ => Seen::Unknown,
        };
        *at += 2 + usize::from(*length);
        Some((seen, rest.get(..usize::from(*length))?))
    }
}

impl Folder {
    /// Adds all that is in this directory to `names`, without `.` and `..`. Only once: the next time nothing is left.
    ///
    /// # Errors
    /// Those of getdents(2); what came before stays in `names`.
    pub fn names(&self, names: &mut Names) -> io::Result<()> {
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut entries = RawDir::new(&self.dir, &mut room);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let seen = match entry.file_type() {
                FileType::RegularFile => Seen::Kind(Kind::File),
                FileType::Directory => Seen::Kind(Kind::Directory),
                FileType::Symlink => Seen::Kind(Kind::Link),
                FileType::Unknown => Seen::Unknown,
                _ => Seen::Kind(Kind::Special),
            };
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(seen, name),
            }
        }
        Ok(())
    }

    /// Opens the regular file of this name to read it. Neither a link is followed nor anything waited for; that it is a
    /// regular file is for the caller to see, who looks at its status anyway.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn file(&self, name: Name<'_>) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.dir, name.as_bytes(), flags, Mode::empty()) {
            // A link, or a socket.
            Err(Errno::LOOP | Errno::NXIO) => Err(no_regular_file()),
            opened => Ok(File::from(opened?)),
        }
    }

    /// Opens the directory of this name. No link is followed.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn folder(&self, name: Name<'_>) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Folder { dir: rustix::fs::openat(&self.dir, name.as_bytes(), flags, Mode::empty())? })
    }

    /// The directory above, wherever that is by now: it may lie above the root. The caller sees whether it is the one that
    /// it has been in before. What is in it can be reached, but not listed.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn above(&self) -> io::Result<Folder> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Folder { dir: rustix::fs::openat(&self.dir, "..", flags, Mode::empty())? })
    }

    /// The text of the symbolic link of this name.
    ///
    /// # Errors
    /// Those of readlink(2).
    pub fn read_link(&self, name: Name<'_>) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.dir, name.as_bytes(), Vec::new())?.into_bytes())
    }
}

/// Reads what `file` has from `at` on into `room`, from the first slice on.
///
/// # Errors
/// Those of preadv(2).
pub fn read_at(file: impl AsFd, room: &mut [IoSliceMut<'_>], at: u64) -> io::Result<usize> {
    loop {
        match rustix::io::preadv(&file, room, at) {
            Err(Errno::INTR) => {}
            read => return Ok(read?),
        }
    }
}

/// Where the first data at or behind `at` lies; `None` if nothing but a hole is left.
///
/// # Errors
/// Those of lseek(2), of a file system that knows no holes too.
pub fn next_data(file: impl AsFd, at: u64) -> io::Result<Option<Range<u64>>> {
    match rustix::fs::seek(&file, SeekFrom::Data(at)) {
        // A hole in the place of the data would bring nobody forward: somebody has just made it.
        Ok(start) => Ok(Some(start..rustix::fs::seek(&file, SeekFrom::Hole(start))?.max(start.saturating_add(1)))),
        Err(Errno::NXIO) => Ok(None),
        Err(cause) => Err(cause.into()),
    }
}
