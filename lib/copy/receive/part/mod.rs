//! The file that contents go to before they get their name: hidden, in the same directory, and its own name the same each
//! time, so that an interrupted copy finds it again.
//!
//! Whoever writes a part holds a lock on it. A part whose writer is gone is taken over, or else removed: by nobody else at the
//! same time, and only if it is ours, has no other name, and is still what its name leads to.

#[cfg(test)]
mod tests;

use crate::proto::copy::HASH_LEN;
use crate::random;
use crate::root::{Access, Folder, Kind, Name, Node, Status};
use std::fs::{File, Permissions, TryLockError};
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;

/// What the names of parts begin and end with.
const BEFORE: &[u8] = b".kw-";
const AFTER: &[u8] = b".part";

/// Bytes of the name of a part: it fits beside the longest name of a file.
const NAME_LEN: usize = BEFORE.len() + 16 + AFTER.len();

/// Bytes that are read at once to be hashed.
const HASH_PIECE: usize = 256 << 10;

/// After so many pieces it is asked whether anybody still waits: a hole can be longer than anybody lives.
const ASK_EVERY: u64 = 256;

/// The permissions of a part that is to get others when it is whole.
const HIDDEN: u32 = 0o600;

/// What is looked at only.
const ONLY_READ: Access = Access { read: true, write: false, append: false, truncate: false, create: None, new: false };

/// What the permissions of a file are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// These, less the umask.
    New(u32),
    /// Exactly these.
    Exactly(u32),
}

/// When a file was written last: seconds since 1970, and nanoseconds.
pub(super) type Time = (i64, u32);

/// What a file gets with its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    pub(super) rights: Rights,
    pub(super) time: Option<Time>,
    /// The contents are to reach the disk before.
    pub(super) sync: bool,
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    name: PartName,
    /// The kernel gave it its permissions just now, for this file.
    is_new: bool,
    /// Where the next byte goes.
    at: u64,
    /// Bytes that it has: fewer when it ends in a hole.
    end: u64,
}

/// The name of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PartName([u8; NAME_LEN]);

impl PartName {
    /// The one for the file that will be called `name`.
    fn of(name: Name<'_>) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(name.as_bytes()).as_bytes();
        Self::new([a, b, c, d, e, f, g, h])
    }

    /// One that nobody else has.
    fn random() -> io::Result<Self> {
        Ok(Self::new(random::bytes().map_err(io::Error::other)?))
    }

    fn new(number: [u8; 8]) -> Self {
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
        let digits = number.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        let mut name = [0; NAME_LEN];
        let whole = BEFORE.iter().copied().chain(digits).chain(AFTER.iter().copied());
        for (to, from) in name.iter_mut().zip(whole) {
            *to = from;
        }
        PartName(name)
    }

    fn name(&self) -> io::Result<Name<'_>> {
        Name::new(&self.0)
    }
}

/// The name of something that is to be put where parts are. What an interrupted copy left behind may lie beside the very file
/// that it was to become: the one would be taken for the part of the other.
///
/// # Errors
/// It is no name, or could be that of a part.
pub(super) fn name_of(bytes: &[u8]) -> io::Result<Name<'_>> {
    let digits = bytes.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(AFTER));
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.is_some_and(|digits| bytes.len() == NAME_LEN && digits.iter().all(is_digit)) {
        return Err(io::Error::other("the name is that of a part of an interrupted copy"));
    }
    Name::new(bytes)
}

impl Part {
    /// An empty part for the file that will be called `name` and have these `rights`.
    pub(super) fn begin(folder: &Folder, name: Name<'_>, rights: Rights) -> io::Result<Part> {
        let mode = match rights {
            // What may not be written or read by its owner could not be taken over.
            Rights::New(mode) => mode | HIDDEN,
            Rights::Exactly(_) => HIDDEN,
        };
        let own = PartName::of(name);
        let mut made = folder.make_file(own.name()?, mode);
        if made.as_ref().is_err_and(|cause| cause.kind() == io::ErrorKind::AlreadyExists)
            && let Some(old) = take_over(folder, own)
        {
            // Emptied and written again it would keep its permissions, and whoever has it open, until it is whole.
            folder.remove(own.name()?)?;
            drop(old);
            made = folder.make_file(own.name()?, mode);
        }
        match made {
            // Before it had its lock somebody may have found it, and removed it as left over.
            Ok(file) if lock(&file) != Lock::Taken && Status::of(&file)?.links > 0 => {
                return Ok(Part { file, name: own, is_new: true, at: 0, end: 0 });
            }
            Ok(_) => {}
            // It is somebody's, or was made anew at once.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(cause),
        }
        let name = PartName::random()?;
        let file = folder.make_file(name.name()?, mode)?;
        let _ = lock(&file);
        Ok(Part { file, name, is_new: true, at: 0, end: 0 })
    }

    /// The part for the file that will be called `name` as an earlier copy left it, if there is one to be had. Writing goes
    /// on at its end.
    pub(super) fn left_over(folder: &Folder, name: Name<'_>) -> Option<Part> {
        let mut part = take_over(folder, PartName::of(name))?;
        // It gets its own when it is whole. Where files have no permissions of their own there is nothing to hide.
        let _ = part.file.set_permissions(Permissions::from_mode(HIDDEN));
        part.file.seek(SeekFrom::Start(part.end)).ok()?;
        Some(part)
    }

    /// The file itself.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Where the next byte goes.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that the file has by now.
    pub(super) fn length(&self) -> u64 {
        self.end
    }

    /// Whether the next copy would look for it by this name.
    pub(super) fn can_be_found(&self, name: Name<'_>) -> bool {
        self.name == PartName::of(name)
    }

    /// Writes the pieces in a row.
    pub(super) fn write(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let length = write_all(&mut self.file, pieces)?;
        self.at += length;
        self.end = self.at;
        Ok(())
    }

    /// Leaves out bytes, which read as zeros.
    pub(super) fn skip(&mut self, length: u64) -> io::Result<()> {
        let at = self.at.checked_add(length).ok_or(io::ErrorKind::FileTooLarge)?;
        self.file.seek(SeekFrom::Start(at))?;
        self.at = at;
        Ok(())
    }

    /// The hash of all of it, read anew, for as long as it is `wanted`.
    pub(super) fn hash(&mut self, wanted: impl FnMut() -> bool) -> io::Result<[u8; HASH_LEN]> {
        self.lengthen()?;
        self.file.seek(SeekFrom::Start(0))?;
        hash_of(&mut self.file, self.at, wanted)
    }

    /// Gives it its name. The error inside says that it is there, but not with the permissions or the time it should have.
    pub(super) fn finish(mut self, folder: &Folder, name: Name<'_>, how: Finish) -> io::Result<io::Result<()>> {
        let done = self.make_ready(how).and_then(|kept| {
            folder.rename(self.name.name()?, name)?;
            Ok(kept)
        });
        if done.is_err() {
            self.remove(folder);
        }
        done
    }

    fn make_ready(&mut self, how: Finish) -> io::Result<io::Result<()>> {
        self.lengthen()?;
        let mut kept = self.set_rights(how.rights);
        if let Some((seconds, nanos)) = how.time {
            kept = kept.and(Node::new(&self.file).set_modified(seconds, nanos));
        }
        if how.sync {
            self.file.sync_data()?;
        }
        Ok(kept)
    }

    /// Gives a hole at the end its length.
    fn lengthen(&mut self) -> io::Result<()> {
        if self.end < self.at {
            self.file.set_len(self.at)?;
            self.end = self.at;
        }
        Ok(())
    }

    fn set_rights(&self, rights: Rights) -> io::Result<()> {
        let mode = match rights {
            Rights::New(mode) if self.is_new && mode & HIDDEN == HIDDEN => return Ok(()),
            Rights::New(mode) if self.is_new => mode & self.file.metadata()?.permissions().mode(),
            Rights::New(mode) => mode & !umask(),
            Rights::Exactly(mode) => mode,
        };
        self.file.set_permissions(Permissions::from_mode(mode & 0o777))
    }

    /// Removes it.
    pub(super) fn remove(self, folder: &Folder) {
        if let Ok(name) = self.name.name() {
            let _ = folder.remove(name);
        }
    }
}

/// The part that an earlier copy left of the file `name` of `size` bytes, open, and its length.
pub(super) fn had_before(folder: &Folder, name: Name<'_>, size: u64) -> Option<(File, u64)> {
    let own = PartName::of(name);
    let (file, status) = folder.existing_file(own.name().ok()?, ONLY_READ).ok()?;
    let is_it = is_ours(&status) && (1..=size).contains(&status.size) && file.try_lock_shared().is_ok();
    is_it.then_some((file, status.size))
}

/// The file `name` if it has `size` bytes, open, and its length.
pub(super) fn whole(folder: &Folder, name: Name<'_>, size: u64) -> Option<(File, u64)> {
    let (file, status) = folder.existing_file(name, ONLY_READ).ok()?;
    (status.size == size && size > 0).then_some((file, size))
}

/// A symbolic link called `name`, in place of whatever file or link had the name.
pub(super) fn place_link(folder: &Folder, name: Name<'_>, target: &[u8]) -> io::Result<()> {
    match folder.make_link(target, name) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let beside = PartName::random()?;
    folder.make_link(target, beside.name()?)?;
    let renamed = folder.rename(beside.name()?, name);
    if renamed.is_err() {
        let _ = folder.remove(beside.name()?);
    }
    renamed
}

/// The hash of the next `length` bytes of a file, for as long as it is `wanted`.
pub(super) fn hash_of(file: &mut File, length: u64, mut wanted: impl FnMut() -> bool) -> io::Result<[u8; HASH_LEN]> {
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; HASH_PIECE];
    let (mut rest, mut pieces) = (length, 0_u64);
    while rest > 0 {
        pieces += 1;
        if pieces.is_multiple_of(ASK_EVERY) && !wanted() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let most = usize::try_from(rest).unwrap_or(HASH_PIECE).min(HASH_PIECE);
        let read = match file.read(piece.get_mut(..most).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause),
        };
        hasher.update(piece.get(..read).unwrap_or_default());
        rest -= u64::try_from(read).unwrap_or(rest).min(rest);
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Writes the pieces in a row, and says how many bytes they were.
pub(super) fn write_all(to: &mut impl Write, mut pieces: &mut [IoSlice<'_>]) -> io::Result<u64> {
    let mut length = 0;
    // Empty pieces in front would look like a file that takes no more.
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        match to.write_vectored(pieces) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                length += u64::try_from(written).unwrap_or(0);
                IoSlice::advance_slices(&mut pieces, written);
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(length)
}

/// Opens the part of this name if it can be taken over.
fn take_over(folder: &Folder, name: PartName) -> Option<Part> {
    let both = Access { read: true, write: true, ..Access::default() };
    let (file, _) = folder.existing_file(name.name().ok()?, both).ok()?;
    if lock(&file) != Lock::Ours {
        return None;
    }
    let status = Status::of(&file).ok()?;
    // Who had the lock before us may have given it its name meanwhile.
    (is_ours(&status) && is_still(folder, name, &file)).then_some(Part {
        file,
        name,
        is_new: false,
        at: status.size,
        end: status.size,
    })
}

/// Whether the name of a part leads to this file.
fn is_still(folder: &Folder, name: PartName, file: &File) -> bool {
    let there = name.name().and_then(|name| folder.status(name));
    there.is_ok_and(|there| Status::of(file).is_ok_and(|status| there.is_same(&status)))
}

/// Whether it is a file that we made, and that has no other name.
fn is_ours(status: &Status) -> bool {
    status.kind() == Kind::File && status.owner == nix::unistd::geteuid().as_raw() && status.links == 1
}

/// Who has the lock of a file.
#[derive(PartialEq, Eq)]
enum Lock {
    Ours,
    Taken,
    /// The file system has none: nobody can take over anything.
    Unknown,
}

fn lock(file: &File) -> Lock {
    match file.try_lock() {
        Ok(()) => Lock::Ours,
        Err(TryLockError::WouldBlock) => Lock::Taken,
        Err(TryLockError::Error(_)) => Lock::Unknown,
    }
}

/// The permissions that new files do not get. Asked where the kernel could not see to it itself: a part from another time
/// has the permissions of that time.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o077)
}
