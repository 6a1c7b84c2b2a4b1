//! What a client may ask: a request and its fields, out of the bytes of a packet.
//!
//! A string is its length, a `u32`, and that many bytes; numbers are big endian. Bytes behind the last field are left
//! alone, as OpenSSH does: later versions of the protocol put more there.

use super::Attributes;
use crate::error::Result;
use crate::frame::Fields;

/// The type of the first packet, `INIT`: the client's version, a `u32`, and what it would like to extend.
pub(super) const INIT: u8 = 1;

/// How a file is to be opened (draft, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFlags(u32);

impl OpenFlags {
    /// To read it.
    pub const READ: u32 = 0x01;
    /// To write it.
    pub const WRITE: u32 = 0x02;
    /// To write at its end.
    pub const APPEND: u32 = 0x04;
    /// It is made if it is not there.
    pub const CREATE: u32 = 0x08;
    /// It is emptied.
    pub const TRUNCATE: u32 = 0x10;
    /// It must not be there.
    pub const EXCLUSIVE: u32 = 0x20;

    /// Whether any of `flags` is set.
    #[must_use]
    pub fn has(self, flags: u32) -> bool {
        self.0 & flags != 0
    }
}

/// One request.
///
/// | type | name | body, behind the request's number |
/// |---|---|---|
/// | 3 | `OPEN` | path, flags `u32`, attributes |
/// | 4 | `CLOSE` | handle |
/// | 5 | `READ` | handle, offset `u64`, length `u32` |
/// | 6 | `WRITE` | handle, offset `u64`, data |
/// | 7 | `LSTAT` | path |
/// | 8 | `FSTAT` | handle |
/// | 9 | `SETSTAT` | path, attributes |
/// | 10 | `FSETSTAT` | handle, attributes |
/// | 11 | `OPENDIR` | path |
/// | 12 | `READDIR` | handle |
/// | 13 | `REMOVE` | path |
/// | 14 | `MKDIR` | path, attributes |
/// | 15 | `RMDIR` | path |
/// | 16 | `REALPATH` | path |
/// | 17 | `STAT` | path |
/// | 18 | `RENAME` | path, new path |
/// | 19 | `READLINK` | path |
/// | 20 | `SYMLINK` | target, path: the other way round than the draft has it, as OpenSSH and all who talk to it do |
/// | 200 | `EXTENDED` | name, and what that one has |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Open a file.
    Open {
        /// Which.
        path: &'a [u8],
        /// How.
        flags: OpenFlags,
        /// Its permissions, if it is made.
        attributes: Attributes,
    },
    /// Give a handle back.
    Close(&'a [u8]),
    /// Read a piece of a file: handle, offset, length.
    Read(&'a [u8], u64, u32),
    /// Write a piece of a file: handle, offset, data.
    Write(&'a [u8], u64, &'a [u8]),
    /// The attributes of what stands at a path.
    Lstat(&'a [u8]),
    /// The attributes of what a handle is of.
    Fstat(&'a [u8]),
    /// Set the attributes of what a path leads to.
    Setstat(&'a [u8], Attributes),
    /// Set the attributes of what a handle is of.
    Fsetstat(&'a [u8], Attributes),
    /// Open a directory.
    Opendir(&'a [u8]),
    /// The next names in a directory.
    Readdir(&'a [u8]),
    /// Remove what is no directory.
    Remove(&'a [u8]),
    /// Make a directory.
    Mkdir(&'a [u8], Attributes),
    /// Remove an empty directory.
    Rmdir(&'a [u8]),
    /// What a path comes to.
    Realpath(&'a [u8]),
    /// The attributes of what a path leads to.
    Stat(&'a [u8]),
    /// Give a new name, if it is free.
    Rename(&'a [u8], &'a [u8]),
    /// The text of a symbolic link.
    Readlink(&'a [u8]),
    /// Make a symbolic link: its text, and where.
    Symlink(&'a [u8], &'a [u8]),
    /// `posix-rename@openssh.com`: give a new name, whatever had it.
    PosixRename(&'a [u8], &'a [u8]),
    /// `statvfs@openssh.com`: the file system at a path.
    Statvfs(&'a [u8]),
    /// `fstatvfs@openssh.com`: the file system of a handle.
    Fstatvfs(&'a [u8]),
    /// `hardlink@openssh.com`: a second name for a file.
    Hardlink(&'a [u8], &'a [u8]),
    /// `fsync@openssh.com`: write a file to its disk.
    Fsync(&'a [u8]),
    /// `lsetstat@openssh.com`: set the attributes of what stands at a path.
    Lsetstat(&'a [u8], Attributes),
    /// `limits@openssh.com`: how long and how many.
    Limits,
    /// `expand-path@openssh.com`: what a path comes to, with `~`.
    ExpandPath(&'a [u8]),
    /// `home-directory`: of a user, or of this one if it is empty.
    HomeDirectory(&'a [u8]),
    /// `copy-data`: copy a piece of one file into another.
    CopyData {
        /// The handle to read, and from where.
        from: (&'a [u8], u64),
        /// How many bytes; 0 is all to the end.
        length: u64,
        /// The handle to write, and from where.
        to: (&'a [u8], u64),
    },
    /// `users-groups-by-id@openssh.com`: the names of users, and those of groups; each a row of `u32`.
    Names(&'a [u8], &'a [u8]),
    /// Anything else.
    Unknown,
}

impl<'a> Request<'a> {
    /// Reads a packet: the request's number, which its reply will carry, and the request.
    ///
    /// # Errors
    /// A packet that ends too early.
    pub fn decode(packet: &'a [u8]) -> Result<(u32, Self)> {
        let mut fields = Fields::new(packet);
        let (kind, id) = (fields.u8()?, fields.u32()?);
        let it = &mut fields;
        let request = match kind {
            3 => Request::Open { path: string(it)?, flags: OpenFlags(it.u32()?), attributes: Attributes::decode(it)? },
            4 => Request::Close(string(it)?),
            5 => Request::Read(string(it)?, it.u64()?, it.u32()?),
            6 => Request::Write(string(it)?, it.u64()?, string(it)?),
            7 => Request::Lstat(string(it)?),
            8 => Request::Fstat(string(it)?),
            9 => Request::Setstat(string(it)?, Attributes::decode(it)?),
            10 => Request::Fsetstat(string(it)?, Attributes::decode(it)?),
            11 => Request::Opendir(string(it)?),
            12 => Request::Readdir(string(it)?),
            13 => Request::Remove(string(it)?),
            14 => Request::Mkdir(string(it)?, Attributes::decode(it)?),
            15 => Request::Rmdir(string(it)?),
            16 => Request::Realpath(string(it)?),
            17 => Request::Stat(string(it)?),
            18 => Request::Rename(string(it)?, string(it)?),
            19 => Request::Readlink(string(it)?),
            20 => Request::Symlink(string(it)?, string(it)?),
            200 => Self::extended(string(it)?, it)?,
            _ => Request::Unknown,
        };
        Ok((id, request))
    }

    fn extended(name: &[u8], it: &mut Fields<'a>) -> Result<Self> {
        Ok(match name {
            b"posix-rename@openssh.com" => Request::PosixRename(string(it)?, string(it)?),
            b"statvfs@openssh.com" => Request::Statvfs(string(it)?),
            b"fstatvfs@openssh.com" => Request::Fstatvfs(string(it)?),
            b"hardlink@openssh.com" => Request::Hardlink(string(it)?, string(it)?),
            b"fsync@openssh.com" => Request::Fsync(string(it)?),
            b"lsetstat@openssh.com" => Request::Lsetstat(string(it)?, Attributes::decode(it)?),
            b"limits@openssh.com" => Request::Limits,
            b"expand-path@openssh.com" => Request::ExpandPath(string(it)?),
            b"home-directory" => Request::HomeDirectory(string(it)?),
            b"copy-data" => {
                Request::CopyData { from: (string(it)?, it.u64()?), length: it.u64()?, to: (string(it)?, it.u64()?) }
            }
            b"users-groups-by-id@openssh.com" => Request::Names(string(it)?, string(it)?),
            _ => Request::Unknown,
        })
    }
}

/// What the server can do beyond the draft, and in which version: as told in its first packet.
pub(super) const EXTENSIONS: [(&str, &str); 11] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
    ("users-groups-by-id@openssh.com", "1"),
];

/// A string: its length, and its bytes.
pub(super) fn string<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8]> {
    let length = fields.u32()?;
    // What does not fit into the memory of a small processor does not fit into a packet either.
    fields.slice(usize::try_from(length).unwrap_or(usize::MAX))
}
