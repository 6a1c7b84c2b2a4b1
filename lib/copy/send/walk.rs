//! A walk through all that was named: the files of a directory first and then the directories in it, so that one handle of a
//! directory is open at a time.

use super::sources::{Excludes, Top};
use crate::conn::Breaker;
use crate::copy::Place;
use crate::error::reason;
use crate::proto::copy::{MAX_DEPTH, Request};
use crate::root::{Access, Folder, Kind, MAX_PATH_LEN, Name, Names, RelPath, Seen, Status};
use std::fs::File;
use std::io;

/// What comes next. Its path is [`Walk::path`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A regular file, which can be opened now.
    File,
    /// A directory, which is entered.
    Enter(Status),
    /// It is left.
    Leave,
    /// A symbolic link, and what it leads to.
    Link(Vec<u8>),
    /// Something that cannot be copied, and why.
    Problem(String),
}

/// How far it is.
pub(super) struct Walk<'a> {
    place: &'a Place,
    wishes: &'a Request,
    excludes: &'a Excludes,
    over: &'a Breaker,
    tops: &'a [Top],
    /// How many of them were begun.
    begun: usize,
    /// Where the one that was begun last is looked up.
    base: RelPath,
    /// The path that is told, as it was named and below that.
    path: Vec<u8>,
    /// Where in it the path below what was named begins.
    below: usize,
    /// Where in it the name in the directory begins.
    name: usize,
    /// The file has to be looked up by its path: it was named, or found behind a link.
    by_path: bool,
    /// What is in the directory that was entered last, and how much of it was looked at.
    names: Names,
    looked: usize,
    /// A directory's handle, and how many are above it.
    folder: Option<(Folder, usize)>,
    levels: Vec<Level>,
    /// What went wrong on the way into a directory.
    problem: Option<String>,
}

/// A directory that is entered.
struct Level {
    status: Status,
    /// Bytes of its path.
    length: usize,
    /// The directories in it, and how many bytes of that are done.
    folders: Names,
    done: usize,
}

const READ: Access = Access { read: true, write: false, append: false, truncate: false, create: None, new: false };

impl<'a> Walk<'a> {
    /// It ends early if nobody waits for it any more, as `over` says.
    pub(super) fn new(
        place: &'a Place,
        tops: &'a [Top],
        excludes: &'a Excludes,
        wishes: &'a Request,
        over: &'a Breaker,
    ) -> Self {
        Walk {
            place,
            over,
            wishes,
            excludes,
            tops,
            begun: 0,
            base: RelPath::top(),
            path: Vec::new(),
            below: 0,
            name: 0,
            by_path: true,
            names: Names::default(),
            looked: 0,
            folder: None,
            levels: Vec::new(),
            problem: None,
        }
    }

    /// The path of what came last, as it is told: as it was named, and below that.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Its name in the directory it is in; empty for what was named itself.
    pub(super) fn name(&self) -> &[u8] {
        self.path.get(self.name..).unwrap_or_default()
    }

    /// What was named, if that is what came last.
    pub(super) fn top(&self) -> Option<&'a Top> {
        let is_top = self.name == self.path.len();
        if is_top { self.tops.get(self.begun.checked_sub(1)?) } else { None }
    }

    /// How many things that were named were begun.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    /// Where to look up what came last.
    ///
    /// # Errors
    /// The path is too long.
    pub(super) fn place_of(&self) -> io::Result<RelPath> {
        match self.path.get(self.below..) {
            Some(below) if !below.is_empty() => self.base.join(below),
            _ => Ok(self.base.clone()),
        }
    }

    /// Leaves out what is left in the directory that is so many below what was named.
    pub(super) fn skip(&mut self, depth: usize) {
        self.names.clear();
        for level in self.levels.iter_mut().skip(depth) {
            level.folders.clear();
        }
    }

    /// What comes next; nothing when all is done.
    pub(super) fn step(&mut self) -> Option<Step> {
        loop {
            if self.over.is_over() {
                return None;
            }
            if let Some(problem) = self.problem.take() {
                return Some(Step::Problem(problem));
            }
            let Some(level) = self.levels.last_mut() else {
                let top = self.tops.get(self.begun)?;
                self.begun += 1;
                match self.begin(top).unwrap_or_else(|cause| Some(Step::Problem(reason(&cause)))) {
                    Some(step) => return Some(step),
                    None => continue,
                }
            };
            self.path.truncate(level.length);
            if let Some((seen, name)) = self.names.next(&mut self.looked) {
                self.name = add_name(&mut self.path, name);
                match self.look(seen).unwrap_or_else(|cause| Some(Step::Problem(reason(&cause)))) {
                    Some(step) => return Some(step),
                    None => continue,
                }
            }
            if let Some((seen, name)) = level.folders.next(&mut level.done) {
                self.name = add_name(&mut self.path, name);
                let entered = self.enter(seen == Seen::Kind(Kind::Link));
                return Some(entered.unwrap_or_else(|cause| Step::Problem(reason(&cause))));
            }
            self.levels.pop();
            return Some(Step::Leave);
        }
    }

    /// Begins with the next that was named.
    fn begin(&mut self, top: &Top) -> io::Result<Option<Step>> {
        self.path.clone_from(&top.path);
        self.name = self.path.len();
        self.below = self.path.len();
        self.by_path = true;
        self.base = self.place.path(&top.path)?;
        let root = self.place.root();
        let itself = root.link_itself(&self.base)?.status()?;
        let status = match itself.kind() {
            Kind::Link if !self.wishes.links => root.node(&self.base)?.status()?,
            _ => itself,
        };
        Ok(Some(match status.kind() {
            Kind::File => Step::File,
            Kind::Link => Step::Link(root.read_link(&self.base)?),
            Kind::Special => not_regular(),
            Kind::Directory if !self.wishes.recursive => Step::Problem("is a directory (-r copies it)".to_owned()),
            Kind::Directory => {
                let folder = root.folder(&self.base)?;
                let step = self.entered(folder)?;
                // Where the names that follow begin: behind a slash.
                self.below = self.path.len() + usize::from(wants_slash(&self.path));
                step
            }
        }))
    }

    /// Looks at a name in the directory that was entered last. Directories are remembered for later.
    fn look(&mut self, seen: Seen) -> io::Result<Option<Step>> {
        let name = self.path.get(self.name..).unwrap_or_default();
        let below = self.path.get(self.below..).unwrap_or_default();
        if self.excludes.cover(name, below, false) {
            return Ok(None);
        }
        if self.path.len() > MAX_PATH_LEN {
            return Ok(Some(too_long()));
        }
        let (folder, _) = self.folder.as_ref().ok_or_else(gone)?;
        let name = Name::new(name)?;
        let kind = match seen {
            Seen::Kind(kind) => kind,
            Seen::Unknown => folder.status(name)?.kind(),
        };
        self.by_path = kind == Kind::Link;
        let kind = match kind {
            Kind::Link if self.wishes.links => return Ok(Some(Step::Link(folder.read_link(name)?))),
            Kind::Link => self.place.root().node(&self.place_of()?)?.status()?.kind(),
            kind => kind,
        };
        match kind {
            Kind::File => Ok(Some(Step::File)),
            Kind::Directory => {
                if !self.excludes.cover(name.as_bytes(), below, true) {
                    let kind = if self.by_path { Kind::Link } else { Kind::Directory };
                    if let Some(level) = self.levels.last_mut() {
                        level.folders.push(Seen::Kind(kind), name.as_bytes());
                    }
                }
                Ok(None)
            }
            _ => Ok(Some(not_regular())),
        }
    }

    /// Enters the directory whose name was read last.
    fn enter(&mut self, behind_link: bool) -> io::Result<Step> {
        let folder = if behind_link {
            self.place.root().folder(&self.place_of()?)?
        } else {
            self.reach()?;
            let (above, _) = self.folder.as_ref().ok_or_else(gone)?;
            above.folder(Name::new(self.name())?)?
        };
        self.entered(folder)
    }

    /// Goes into `folder`, which the path leads to, and reads what is in it.
    fn entered(&mut self, folder: Folder) -> io::Result<Step> {
        let status = Status::of(&folder)?;
        if self.levels.iter().any(|level| level.status.is_same(&status)) {
            return Ok(Step::Problem("it leads back to a directory above it".to_owned()));
        }
        if self.levels.len() >= MAX_DEPTH {
            return Ok(Step::Problem("it is too deep".to_owned()));
        }
        self.names.clear();
        self.looked = 0;
        self.problem = folder.names(&mut self.names).err().map(|cause| reason(&cause));
        self.folder = Some((folder, self.levels.len()));
        self.levels.push(Level { status, length: self.path.len(), folders: Names::default(), done: 0 });
        Ok(Step::Enter(status))
    }

    /// Sees to it that the handle is that of the directory that was entered and not left last. From below it is the one
    /// above, unless a link led down, or somebody moves directories about.
    fn reach(&mut self) -> io::Result<()> {
        let wanted = self.levels.len().saturating_sub(1);
        let level = self.levels.last().ok_or_else(gone)?;
        let is_it = |folder: &Folder| Status::of(folder).is_ok_and(|status| status.is_same(&level.status));
        let near = match self.folder.take() {
            Some((folder, depth)) if depth == wanted => Some(folder),
            Some((folder, depth)) => climb(folder, depth.saturating_sub(wanted)).ok().filter(is_it),
            None => None,
        };
        let folder = match near {
            Some(folder) => folder,
            None => {
                let below = self.path.get(self.below..level.length).unwrap_or_default();
                let path = if below.is_empty() { self.base.clone() } else { self.base.join(below)? };
                Some(self.place.root().folder(&path)?).filter(is_it).ok_or_else(gone)?
            }
        };
        self.folder = Some((folder, wanted));
        Ok(())
    }

    /// The status of the file that came last.
    ///
    /// # Errors
    /// It is gone.
    pub(super) fn status(&self) -> io::Result<Status> {
        if self.by_path {
            return self.place.root().node(&self.place_of()?)?.status();
        }
        let (folder, _) = self.folder.as_ref().ok_or_else(gone)?;
        folder.status(Name::new(self.name())?)
    }

    /// Opens the file that came last.
    ///
    /// # Errors
    /// Those of open(2), and that it is no regular file any more.
    pub(super) fn open(&self) -> io::Result<(File, Status)> {
        let file = if self.by_path {
            self.place.root().file(&self.place_of()?, READ)?
        } else {
            let (folder, _) = self.folder.as_ref().ok_or_else(gone)?;
            folder.file(Name::new(self.name())?)?
        };
        let status = Status::of(&file)?;
        match status.kind() {
            Kind::File => Ok((file, status)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, NOT_REGULAR)),
        }
    }
}

const NOT_REGULAR: &str = "not a regular file";

fn not_regular() -> Step {
    Step::Problem(NOT_REGULAR.to_owned())
}

fn too_long() -> Step {
    Step::Problem("the path is too long".to_owned())
}

/// A directory is no longer where it was.
fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the directory was moved meanwhile")
}

/// The directory so many above.
fn climb(mut folder: Folder, levels: usize) -> io::Result<Folder> {
    for _ in 0..levels {
        folder = folder.above()?;
    }
    Ok(folder)
}

fn wants_slash(path: &[u8]) -> bool {
    !path.is_empty() && !path.ends_with(b"/")
}

/// Adds a name to the path of its directory; says where it begins.
fn add_name(path: &mut Vec<u8>, name: &[u8]) -> usize {
    if wants_slash(path) {
        path.push(b'/');
    }
    let at = path.len();
    path.extend_from_slice(name);
    at
}
