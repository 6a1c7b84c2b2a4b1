//! What comes besides the contents of files: tops, directories and links, and questions.

use super::levels::{Ground, How, Levels};
use super::target::{self, Called};
use super::{Receiving, Step, Stop, Target, broken, part};
use crate::copy::Event;
use crate::error::{Error, reason};
use crate::proto::copy::{FromReceiver, HASH_LEN, MAX_DEPTH, Meta};
use crate::root::{Folder, Kind, MAX_PATH_LEN, Name, Status};
use std::io;

/// What the next item without a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// None can come.
    Nothing,
    /// What a TOP announced, under this name.
    Named,
    /// What is in the directory goes to where we are.
    Contents,
}

impl Receiving<'_> {
    /// Announces something that was named: the next item.
    pub(super) fn top(&mut self, source: u32, path: &[u8]) -> Step {
        if self.depth() > 0 {
            return broken("a TOP in a directory");
        }
        self.tops.take(source, path).map_err(Stop::Broken)?;
        let called = target::called(path, self.asked.is_some()).map_err(Stop::Broken)?;
        let own = match called {
            Called::Name(name) => name.as_bytes(),
            Called::Contents => &[],
        };
        self.due = match &self.called {
            None if called == Called::Contents => Due::Contents,
            _ => Due::Named,
        };
        self.name.clear();
        self.name.extend_from_slice(self.called.as_deref().unwrap_or(own));
        self.shown.clear();
        self.shown.extend_from_slice(path);
        Ok(())
    }

    /// Takes the name of an item; without one it is what a TOP announced.
    fn named(&mut self, name: &[u8]) -> Step<Due> {
        if name.is_empty() {
            return match std::mem::replace(&mut self.due, Due::Nothing) {
                Due::Nothing => broken("an item without a name that no TOP announced"),
                due => Ok(due),
            };
        }
        if self.depth() == 0 {
            return broken("an item with a name outside of any directory");
        }
        self.name.clear();
        self.name.extend_from_slice(name);
        self.shown.truncate(self.levels.as_ref().map_or(0, Levels::shown));
        if !self.shown.is_empty() && !self.shown.ends_with(b"/") {
            self.shown.push(b'/');
        }
        self.shown.extend_from_slice(name);
        Ok(Due::Named)
    }

    /// Leaves a directory.
    pub(super) fn leave(&mut self) -> Step {
        if self.depth() == 0 {
            return broken("a LEAVE outside of any directory");
        }
        let levels = self.levels()?;
        let shown = levels.shown();
        let left = levels.leave();
        if let Some(Err(cause)) = left {
            self.shown.truncate(shown);
            self.not_kept(&cause)?;
        }
        Ok(())
    }

    /// A directory of the copy itself.
    pub(super) fn directory(&mut self, meta: &Meta, name: &[u8]) -> Step {
        let due = self.directory_due(name)?;
        self.items += 1;
        let shown = self.shown.len();
        let levels = self.levels()?;
        if levels.ground() == Ground::Failed {
            levels.pass(Ground::Failed, shown);
            return Ok(());
        }
        (self.watch)(Event::Began { path: &self.shown, kind: Kind::Directory, size: None });
        let how = How { make: !self.wishes.dry_run, preserve: self.wishes.preserve };
        match self.enter(due, meta, how)? {
            Ok(kept) => {
                self.outcome.stored += 1;
                (self.watch)(Event::Stored { path: &self.shown, kind: Kind::Directory, size: 0 });
                kept.or_else(|cause| self.not_kept(&cause))
            }
            Err(cause) => {
                let shown = self.shown.len();
                self.levels()?.pass(Ground::Failed, shown);
                self.fail(&reason(&cause))
            }
        }
    }

    /// What is stored has not the permissions or the time that it should. To the sender, FAILED would mean that it is not
    /// there, nor anything that is in it.
    pub(super) fn not_kept(&mut self, cause: &io::Error) -> Step {
        self.outcome.failed += 1;
        let why = format!("it keeps other permissions or another time: {}", reason(cause));
        (self.watch)(Event::Failed { path: &self.shown, why: &why });
        let path = self.shown.get(..self.shown.len().min(MAX_PATH_LEN)).unwrap_or_default();
        let (kind, body) = FromReceiver::Problem(path, &why).encode();
        self.out.push(kind, &[&body]).map_err(Stop::Lost)
    }

    /// A directory that is asked about: nothing is made, and what cannot be entered has nothing.
    pub(super) fn ask_below(&mut self, meta: &Meta, name: &[u8]) -> Step {
        let due = self.directory_due(name)?;
        if self.enter(due, meta, How { make: false, preserve: false })?.is_err() {
            let shown = self.shown.len();
            self.levels()?.pass(Ground::Absent, shown);
        }
        Ok(())
    }

    fn directory_due(&mut self, name: &[u8]) -> Step<Due> {
        if !self.wishes.recursive {
            return broken("a directory where only files were asked for");
        }
        if self.depth() >= MAX_DEPTH {
            return broken("directories that are too deep");
        }
        self.named(name)
    }

    fn enter(&mut self, due: Due, meta: &Meta, how: How) -> Step<io::Result<io::Result<()>>> {
        let shown = self.shown.len();
        let name = std::mem::take(&mut self.name);
        let levels = self.levels()?;
        let entered = if due == Due::Contents {
            levels.stay(shown);
            Ok(Ok(()))
        } else {
            part::name_of(&name).and_then(|name| {
                if levels.ground() == Ground::Absent {
                    levels.pass(Ground::Absent, shown);
                    return Ok(Ok(()));
                }
                levels.enter(name, meta, how, shown)
            })
        };
        self.name = name;
        Ok(entered)
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, name: &[u8], to: &[u8]) -> Step {
        if !self.wishes.links {
            return broken("a symbolic link where none was asked for");
        }
        self.no_contents(name)?;
        self.items += 1;
        if self.ground() == Ground::Failed {
            return Ok(());
        }
        (self.watch)(Event::Began { path: &self.shown, kind: Kind::Link, size: None });
        if self.stdout.is_some() {
            return Err(Stop::Hopeless(Error::no("standard output takes files only")));
        }
        match self.place_link(to)? {
            Ok(()) => {
                self.outcome.stored += 1;
                (self.watch)(Event::Stored { path: &self.shown, kind: Kind::Link, size: 0 });
                Ok(())
            }
            Err(cause) => self.fail(&reason(&cause)),
        }
    }

    fn place_link(&mut self, to: &[u8]) -> Step<io::Result<()>> {
        let place = |receiving: &mut Self| {
            receiving.check_spot()?;
            let name = part::name_of(&receiving.name)?;
            let is_written = !receiving.wishes.dry_run;
            let Some(levels) = &mut receiving.levels else { return Err(io::ErrorKind::NotFound.into()) };
            if levels.ground() == Ground::Absent {
                return Ok(());
            }
            let folder = levels.folder()?;
            replaceable(folder, name)?;
            if is_written { part::place_link(folder, name, to) } else { folder.may_be_filled() }
        };
        Ok(place(self))
    }

    /// Whether a file or link can be put where the target says.
    pub(super) fn check_spot(&self) -> io::Result<()> {
        if self.only_directory && self.depth() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no such directory"));
        }
        Ok(())
    }

    /// Takes the name of an item that is no directory.
    pub(super) fn no_contents(&mut self, name: &[u8]) -> Step {
        match (self.named(name)?, self.target) {
            (Due::Named, _) | (_, Target::Stdout) => Ok(()),
            // Standard input has no name of its own.
            (_, Target::Path(_, given)) => {
                let why = target::told(given, &io::ErrorKind::IsADirectory.into());
                Err(Stop::Hopeless(Error::no(why)))
            }
        }
    }

    /// Answers what is there of a file.
    pub(super) fn ask(&mut self, size: u64, name: &[u8]) -> Step {
        self.no_contents(name)?;
        let (length, hash) = self.have(size).unwrap_or((0, [0; HASH_LEN]));
        self.say(&FromReceiver::Have(length, hash))
    }

    /// What cannot be found or read is not there.
    fn have(&mut self, size: u64) -> Option<(u64, [u8; HASH_LEN])> {
        let levels = self.levels.as_mut().filter(|levels| levels.ground() == Ground::Entered)?;
        if !self.offers.has_room() {
            return None;
        }
        let is_part_only = matches!(self.target, Target::Path(place, _) if !place.tells());
        let (folder, name) = (levels.folder().ok()?, part::name_of(&self.name).ok()?);
        let (mut file, length) = match part::had_before(folder, name, size) {
            None if is_part_only => None,
            None => part::whole(folder, name, size),
            part => part,
        }?;
        self.offers.remember(&levels.path_of(&self.name), &file).ok()?;
        let out = &mut self.out;
        Some((length, part::hash_of(&mut file, length, || out.flush().is_ok()).ok()?))
    }
}

/// What has the name of a file or link that is to come; nothing but another file or link may have it.
pub(super) fn replaceable(folder: &Folder, name: Name<'_>) -> io::Result<Option<Status>> {
    let status = match folder.status(name) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        status => status?,
    };
    match status.kind() {
        Kind::Directory => Err(io::ErrorKind::IsADirectory.into()),
        Kind::Special => Err(io::Error::other("what has its name is not a regular file")),
        Kind::Link => Ok(None),
        Kind::File => folder.may_write(name).map(|()| Some(status)),
    }
}
