//! Files: from their first bytes to their name.

use super::items::replaceable;
use super::levels::Ground;
use super::part::{self, Finish, Part, Rights, Time};
use super::{Receiving, Step, Stop, broken};
use crate::conn::BulkSender;
use crate::copy::Event;
use crate::error::{Error, reason};
use crate::proto::copy::{File, Form, HASH_LEN, Sync};
use crate::root::{Access, Kind, MAX_PATH_LEN, MODE_BITS, Name, Node};
use std::fs::Permissions;
use std::io::{self, IoSlice};
use std::os::unix::fs::PermissionsExt;

/// Bytes from which on it is worth to keep what has come of a file.
const WORTH_KEEPING: u64 = 64 << 10;

/// Zeros that are written at once where there are no holes.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A file that is under way.
pub(super) struct Arriving {
    sink: Sink,
    /// Bytes that have come, those that were there already among them.
    seen: u64,
    /// Bytes that there can be.
    most: u64,
    /// So many there must be.
    exactly: bool,
    finish: Finish,
    /// The sender has said what is wrong with it.
    is_explained: bool,
}

/// Where the bytes of a file go.
enum Sink {
    /// Into a part.
    Part(Part),
    /// Nowhere: the file is there, and whole.
    There(std::fs::File),
    /// To standard output.
    Out,
    /// Nowhere: nothing is written in a dry run.
    Dry,
    /// Nowhere: it has failed, and that was said.
    Failed,
}

impl Receiving<'_> {
    /// A file begins, and with some forms ends. What it returns is data that is still to be written.
    pub(super) fn file<'b>(&mut self, file: &File<'b>) -> Step<Option<&'b [u8]>> {
        self.check_form(file)?;
        self.no_contents(file.name)?;
        self.items += 1;
        let has_end = file.form != Form::Stream;
        let time: Option<Time> = self.wishes.preserve.then_some((file.meta.seconds, file.meta.nanos));
        let rights = Rights::New(u32::from(file.meta.mode) & MODE_BITS);
        let sync = self.wishes.sync == Sync::Each;
        self.arriving = Some(Arriving {
            sink: Sink::Failed,
            seen: file.offset,
            most: if has_end { file.size } else { i64::MAX.unsigned_abs() },
            exactly: has_end,
            finish: Finish { rights, time, sync },
            is_explained: false,
        });
        if self.ground() != Ground::Failed {
            let size = has_end.then_some(file.size);
            (self.watch)(Event::Began { path: &self.shown, kind: Kind::File, size });
            match self.open_sink(file) {
                Ok(()) if file.offset > 0 => (self.watch)(Event::Moved(file.offset)),
                Ok(()) => {}
                Err(cause) => self.fail(&reason(&cause))?,
            }
        }
        if file.form == Form::Complete {
            self.write(&mut [IoSlice::new(file.data)])?;
            self.store()?;
            return Ok(None);
        }
        Ok(Some(file.data).filter(|data| !data.is_empty()))
    }

    /// What a file can be depends on what was asked for.
    fn check_form(&self, file: &File<'_>) -> Step {
        let has = u64::try_from(file.data.len()).unwrap_or(u64::MAX).saturating_add(file.offset);
        let is_there = file.offset == 0 || self.wishes.resume && self.stdout.is_none() && file.form != Form::Stream;
        match file.form {
            _ if !is_there => broken("a file that starts where nobody said it would"),
            Form::Complete if self.wishes.dry_run => match file.data {
                [] => Ok(()),
                _ => broken("data in a dry run"),
            },
            _ if self.wishes.dry_run => broken("data in a dry run"),
            Form::Complete if has != file.size => broken("a file of another size than it says"),
            Form::Complete if self.wishes.verify && !file.data.is_empty() => broken("data without its hash"),
            _ => Ok(()),
        }
    }

    /// Finds out whether the file can be stored, and opens what its bytes go to.
    fn open_sink(&mut self, file: &File<'_>) -> io::Result<()> {
        let Some(arriving) = &mut self.arriving else { return Ok(()) };
        if let Some((_, hasher)) = &mut self.stdout {
            hasher.reset();
            arriving.sink = if self.wishes.dry_run { Sink::Dry } else { Sink::Out };
            return Ok(());
        }
        let (sink, rights) = match self.place_file(file) {
            Ok(found) => found,
            Err(cause) => {
                self.set_sink(Sink::Failed);
                return Err(cause);
            }
        };
        if let Some(arriving) = &mut self.arriving {
            (arriving.sink, arriving.finish.rights) = (sink, rights);
        }
        Ok(())
    }

    fn place_file(&mut self, file: &File<'_>) -> io::Result<(Sink, Rights)> {
        self.check_spot()?;
        let name = part::name_of(&self.name)?;
        let mode = u32::from(file.meta.mode) & MODE_BITS;
        let Some(levels) = &mut self.levels else { return Err(io::ErrorKind::NotFound.into()) };
        if levels.ground() == Ground::Absent {
            return Ok((Sink::Dry, Rights::New(mode)));
        }
        // A rename replaces no directory, and there is nothing else to be careful with where nothing was.
        let there = if levels.is_new() { None } else { replaceable(levels.folder()?, name)? };
        let rights = match there {
            _ if self.wishes.preserve => Rights::Exactly(mode),
            Some(status) => Rights::Exactly(status.mode & MODE_BITS),
            None => Rights::New(mode),
        };
        if self.wishes.dry_run {
            levels.folder()?.may_be_filled()?;
            return Ok((Sink::Dry, rights));
        }
        if file.offset == 0 {
            return Ok((Sink::Part(Part::begin(levels.folder()?, name, rights)?), rights));
        }
        let path = levels.path_of(&self.name);
        let folder = levels.folder()?;
        if let Some(part) = Part::left_over(folder, name)
            && part.at() == file.offset
            && self.offers.made(&path, part.file())?
        {
            return Ok((Sink::Part(part), rights));
        }
        // A part that did not fit, or was another's then, may lie beside the whole file that was offered.
        if file.offset == file.size {
            let (there, _) = folder.existing_file(name, Access { read: true, ..Access::default() })?;
            if self.offers.made(&path, &there)? {
                return Ok((Sink::There(there), rights));
            }
        }
        Err(io::Error::other("what there was of it changed meanwhile"))
    }

    fn set_sink(&mut self, sink: Sink) -> Option<Sink> {
        self.arriving.as_mut().map(|arriving| std::mem::replace(&mut arriving.sink, sink))
    }

    /// What follows only a file that is under way.
    pub(super) fn check_open(&self, what: &str) -> Step {
        if self.arriving.is_some() { Ok(()) } else { broken(&format!("{what} outside of a file")) }
    }

    /// Counts bytes that came.
    fn see(&mut self, length: u64) -> Step {
        let Some(arriving) = &mut self.arriving else { return Ok(()) };
        arriving.seen = match arriving.seen.checked_add(length) {
            Some(seen) if seen <= arriving.most => seen,
            _ => return broken("a file that is longer than it says"),
        };
        Ok(())
    }

    /// Writes data that came in a row.
    pub(super) fn write(&mut self, run: &mut [IoSlice<'_>]) -> Step {
        let length = run.iter().map(|piece| u64::try_from(piece.len()).unwrap_or(0)).sum();
        if length == 0 {
            return Ok(());
        }
        self.see(length)?;
        let written = match (self.arriving.as_mut().map(|arriving| &mut arriving.sink), &mut self.stdout) {
            (Some(Sink::Part(part)), _) => part.write(run),
            (Some(Sink::Out), Some((out, hasher))) => {
                if self.wishes.verify {
                    for piece in run.iter() {
                        hasher.update(piece);
                    }
                }
                part::write_all(out, run).map(drop).map_err(closed)?;
                Ok(())
            }
            _ => return Ok(()),
        };
        self.went(length, written)
    }

    /// Leaves a hole.
    pub(super) fn hole(&mut self, length: u64) -> Step {
        self.see(length)?;
        let left = match (self.arriving.as_mut().map(|arriving| &mut arriving.sink), &mut self.stdout) {
            (Some(Sink::Part(part)), _) => part.skip(length),
            (Some(Sink::Out), Some((out, hasher))) => {
                let mut rest = length;
                while rest > 0 {
                    // A hole can be longer than the connection lasts.
                    self.out.flush().map_err(Stop::Lost)?;
                    let most = usize::try_from(rest).unwrap_or(usize::MAX);
                    let zeros = ZEROS.get(..most).unwrap_or(&ZEROS);
                    if self.wishes.verify {
                        hasher.update(zeros);
                    }
                    rest -= part::write_all(out, &mut [IoSlice::new(zeros)]).map_err(closed)?;
                }
                Ok(())
            }
            _ => return Ok(()),
        };
        self.went(length, left)
    }

    /// Tells of bytes that went where they belong, or ends the file that takes no more.
    fn went(&mut self, length: u64, how: io::Result<()>) -> Step {
        match how {
            Ok(()) => {
                (self.watch)(Event::Moved(length));
                Ok(())
            }
            Err(cause) => {
                self.drop_part();
                self.fail(&reason(&cause))
            }
        }
    }

    /// The file has all its bytes.
    pub(super) fn whole(&mut self, hash: Option<[u8; HASH_LEN]>) -> Step {
        if hash.is_some() != self.wishes.verify {
            return broken("a hash that was not asked for, or none that was");
        }
        if self.arriving.as_ref().is_some_and(|arriving| arriving.exactly && arriving.seen != arriving.most) {
            return broken("a file that is shorter than it says");
        }
        if let Some(sent) = hash {
            let out = &mut self.out;
            let found = match (self.arriving.as_mut().map(|arriving| &mut arriving.sink), &self.stdout) {
                (Some(Sink::Part(part)), _) => part.hash(|| out.flush().is_ok()),
                (Some(Sink::Out), Some((_, hasher))) => Ok(*hasher.finalize().as_bytes()),
                _ => Ok(sent),
            };
            let why = match found {
                Ok(found) if found == sent => None,
                Ok(_) => Some("hash differs".to_owned()),
                Err(cause) => {
                    self.out.flush().map_err(Stop::Lost)?;
                    Some(format!("it cannot be read again: {}", reason(&cause)))
                }
            };
            if let Some(why) = why {
                self.drop_part();
                self.fail(&why)?;
            }
        }
        self.store()
    }

    /// Gives the file that is under way its name.
    fn store(&mut self) -> Step {
        let Some(Arriving { sink, seen, finish, most, .. }) = self.arriving.take() else { return Ok(()) };
        let mut size = seen;
        let kept = match sink {
            Sink::Part(part) => self.folder_and_name().and_then(|(folder, name)| part.finish(folder, name, finish)),
            Sink::There(file) => Ok(settle(&file, finish)),
            Sink::Out => Ok(Ok(())),
            Sink::Dry => {
                size = most;
                Ok(Ok(()))
            }
            Sink::Failed => return Ok(()),
        };
        match kept {
            Ok(kept) => {
                self.outcome.stored += 1;
                (self.watch)(Event::Stored { path: &self.shown, kind: Kind::File, size });
                kept.or_else(|cause| self.not_kept(&cause))
            }
            Err(cause) => self.fail(&reason(&cause)),
        }
    }

    /// The sender has not all of the file.
    pub(super) fn give_up(&mut self) -> Step {
        let is_told = self.arriving.as_ref().is_none_or(|is| is.is_explained || matches!(is.sink, Sink::Failed));
        self.drop_part();
        self.arriving = None;
        self.abandoned = (!is_told).then(|| self.shown.clone());
        Ok(())
    }

    /// The sender says what is wrong with something: just before or after it gives up a file, why it does.
    pub(super) fn explained(&mut self, path: &[u8]) {
        // Of a longer path it says only the beginning.
        let is_of = |shown: &[u8]| shown.get(..shown.len().min(MAX_PATH_LEN)) == Some(path);
        self.abandoned = self.abandoned.take().filter(|given_up| !is_of(given_up));
        if let Some(arriving) = &mut self.arriving {
            arriving.is_explained |= is_of(&self.shown);
        }
    }

    /// The sender goes on: of a file that it gave up it will not say why.
    pub(super) fn unexplained(&mut self) {
        if let Some(path) = self.abandoned.take() {
            self.outcome.failed += 1;
            (self.watch)(Event::Failed { path: &path, why: "the other side gave it up" });
        }
    }

    /// Removes what has come of the file that is under way; what comes goes nowhere.
    fn drop_part(&mut self) {
        if let Some(Sink::Part(part)) = self.set_sink(Sink::Failed)
            && let Ok((folder, _)) = self.folder_and_name()
        {
            part.remove(folder);
        }
    }

    fn folder_and_name(&mut self) -> io::Result<(&crate::root::Folder, Name<'_>)> {
        let Some(levels) = &mut self.levels else { return Err(io::ErrorKind::NotFound.into()) };
        Ok((levels.folder()?, Name::new(&self.name)?))
    }

    /// Ends the copy where it is, and gives back the connection. What has come of a file is kept if the connection is lost
    /// and another copy can go on from there.
    pub(super) fn close_file(mut self, is_lost: bool) -> BulkSender {
        // A stream cannot be read once more.
        if let Some(Arriving { sink: Sink::Part(part), exactly: true, .. }) = &self.arriving
            && let Ok(name) = Name::new(&self.name)
            && is_lost
            && part.can_be_found(name)
            && part.length() >= WORTH_KEEPING
        {
            (self.watch)(Event::Kept { path: &self.shown });
        } else {
            self.drop_part();
        }
        self.out
    }
}

/// Gives a file that is there already its permissions and time, if they are to be kept.
fn settle(file: &std::fs::File, how: Finish) -> io::Result<()> {
    let Some((seconds, nanos)) = how.time else { return Ok(()) };
    let timed = Node::new(file).set_modified(seconds, nanos);
    match how.rights {
        Rights::Exactly(mode) => file.set_permissions(Permissions::from_mode(mode)).and(timed),
        Rights::New(_) => timed,
    }
}

/// Nothing more can be written to standard output.
fn closed(cause: io::Error) -> Stop {
    Stop::Hopeless(Error::output(&cause))
}
