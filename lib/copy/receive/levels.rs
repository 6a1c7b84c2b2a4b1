//! The directories that a receiver is in, one in the other. Only the innermost is open; one that is come back to is opened
//! again by its path, in which no link is followed, and must be the one that it was.

use super::disks::Disks;
use super::part::Time;
use crate::proto::copy::Meta;
use crate::root::{Folder, Kind, MAX_PATH_LEN, MODE_BITS, Name, RelPath, Root, Status};
use std::io;

/// What the owner of a directory needs to fill it.
const TO_FILL: u32 = 0o700;

/// What there is to write in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// A directory.
    Entered,
    /// None yet, and none is to be made.
    Absent,
    /// None: it could not be made or entered, which was said.
    Failed,
}

/// How a directory is entered.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// It is made if it is not there.
    pub(super) make: bool,
    /// It gets the permissions and the time of its source.
    pub(super) preserve: bool,
}

#[derive(Debug)]
struct Level {
    ground: Ground,
    /// What was entered, to know it again.
    status: Option<Status>,
    /// It was made for this copy, so that nothing was in it before.
    is_new: bool,
    /// Lengths of the path below the root and of the one that is shown.
    path: usize,
    shown: usize,
    /// What it gets when it is left.
    mode: Option<u32>,
    time: Option<Time>,
}

/// The directories that a receiver is in, from the one that was found for it on.
#[derive(Debug)]
pub(super) struct Levels {
    root: Root,
    bottom: Status,
    here: Option<Folder>,
    path: Vec<u8>,
    levels: Vec<Level>,
    disks: Disks,
}

impl Levels {
    /// Begins in the root itself.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn new(root: Root) -> io::Result<Self> {
        let folder = root.folder_to_fill(&RelPath::top())?;
        let bottom = Status::of(&folder)?;
        let mut disks = Disks::default();
        disks.note(&folder, &bottom)?;
        Ok(Levels { root, bottom, here: Some(folder), path: Vec::new(), levels: Vec::new(), disks })
    }

    /// How many directories were entered and not left.
    pub(super) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// What there is to write in.
    pub(super) fn ground(&self) -> Ground {
        self.levels.last().map_or(Ground::Entered, |level| level.ground)
    }

    /// Length of the path that is shown for the innermost.
    pub(super) fn shown(&self) -> usize {
        self.levels.last().map_or(0, |level| level.shown)
    }

    /// The innermost directory, which was entered.
    ///
    /// # Errors
    /// It is not where it was.
    pub(super) fn folder(&mut self) -> io::Result<&Folder> {
        let folder = match self.here.take() {
            Some(folder) => folder,
            None => {
                let folder = self.root.folder_to_fill(&RelPath::top().join(&self.path)?)?;
                let was = self.levels.last().and_then(|level| level.status).unwrap_or(self.bottom);
                if !Status::of(&folder)?.is_same(&was) {
                    return Err(io::Error::other("another directory has its name now"));
                }
                folder
            }
        };
        Ok(self.here.insert(folder))
    }

    /// Whether the innermost directory was made for this copy, so that nothing was in it before.
    pub(super) fn is_new(&self) -> bool {
        self.levels.last().is_some_and(|level| level.is_new)
    }

    /// The path below the root of what is called `name` in the innermost directory.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        [&self.path, &b"/"[..], name].concat()
    }

    /// Enters what the innermost directory itself stands for.
    pub(super) fn stay(&mut self, shown: usize) {
        let (ground, status) = (self.ground(), self.levels.last().and_then(|level| level.status));
        let path = self.path.len();
        self.levels.push(Level { ground, status, is_new: false, path, shown, mode: None, time: None });
    }

    /// Enters a directory that is none.
    pub(super) fn pass(&mut self, ground: Ground, shown: usize) {
        let path = self.path.len();
        self.levels.push(Level { ground, status: None, is_new: false, path, shown, mode: None, time: None });
    }

    /// Enters the directory called `name`. The error inside says that it was entered but cannot get its permissions.
    ///
    /// # Errors
    /// It cannot be made or entered; nothing was entered.
    pub(super) fn enter(
        &mut self,
        name: Name<'_>,
        meta: &Meta,
        how: How,
        shown: usize,
    ) -> io::Result<std::result::Result<(), io::Error>> {
        if self.path.len() + 1 + name.as_bytes().len() > MAX_PATH_LEN {
            return Err(io::Error::other("its path is too long"));
        }
        let wanted = u32::from(meta.mode) & MODE_BITS;
        let folder = self.folder()?;
        let mut made = false;
        if how.make {
            made = match folder.make_folder(name, wanted | TO_FILL) {
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => false,
                done => done.map(|()| true)?,
            };
        } else if folder.status(name).is_err_and(|cause| cause.kind() == io::ErrorKind::NotFound) {
            folder.may_be_filled()?;
            self.pass(Ground::Absent, shown);
            return Ok(Ok(()));
        }
        let inner = folder.folder_to_fill(name).map_err(|cause| match folder.status(name).map(|is| is.kind()) {
            Ok(Kind::Link) => io::Error::other("a link is in its place, and is not followed"),
            Ok(Kind::File | Kind::Special) => io::ErrorKind::NotADirectory.into(),
            _ => cause,
        })?;
        let status = Status::of(&inner)?;
        let (mut mode, mut time, mut kept) = (None, None, Ok(()));
        if how.make {
            self.disks.note(&inner, &status)?;
            if how.preserve {
                // Tried at once: when it is left, what is said of it may be out of date.
                kept = inner.set_mode(wanted | TO_FILL);
                if kept.is_ok() {
                    (mode, time) = (Some(wanted), Some((meta.seconds, meta.nanos)));
                }
            } else if made {
                mode = Some(wanted & status.mode);
            }
            mode = mode.filter(|mode| mode & TO_FILL != TO_FILL);
        }
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name.as_bytes());
        self.here = Some(inner);
        self.levels.push(Level {
            ground: Ground::Entered,
            status: Some(status),
            is_new: made,
            path: self.path.len(),
            shown,
            mode,
            time,
        });
        Ok(kept)
    }

    /// Leaves the innermost directory, and gives it what it is to have. `None` when there is none to leave.
    pub(super) fn leave(&mut self) -> Option<io::Result<()>> {
        let (mode, time) = self.levels.last().map(|level| (level.mode, level.time))?;
        let given = match (mode, time) {
            (None, None) => Ok(()),
            _ => self.folder().and_then(|folder| {
                let timed = time.map_or(Ok(()), |(seconds, nanos)| folder.set_modified(seconds, nanos));
                mode.map_or(Ok(()), |mode| folder.set_mode(mode)).and(timed)
            }),
        };
        self.levels.pop();
        let path = self.levels.last().map_or(0, |level| level.path);
        if path != self.path.len() {
            self.path.truncate(path);
            self.here = None;
        }
        Some(given)
    }

    /// Waits until everything has reached its disk.
    ///
    /// # Errors
    /// Those of syncfs(2).
    pub(super) fn sync(&self) -> io::Result<()> {
        self.disks.sync()
    }
}
