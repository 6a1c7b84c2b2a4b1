//! What the server says: replies, gathered until the client waits for them.

use super::handles::Handle;
use super::owners::Owners;
use super::packet::EXTENSIONS;
use super::{MAX_DATA_LEN, MAX_HANDLES, MAX_PACKET_LEN, VERSION, attributes, listing};
use crate::error::{Error, Result, reason};
use crate::root::{FileSystem, Listing, Status};
use nix::libc;
use std::io::{self, Write};
use std::time::SystemTime;

/// Types of replies (draft, section 3).
mod kind {
    pub(super) const VERSION: u8 = 2;
    pub(super) const STATUS: u8 = 101;
    pub(super) const HANDLE: u8 = 102;
    pub(super) const DATA: u8 = 103;
    pub(super) const NAME: u8 = 104;
    pub(super) const ATTRS: u8 = 105;
    pub(super) const EXTENDED_REPLY: u8 = 201;
}

/// Replies are sent once they are this long, even if more requests wait for theirs.
const ENOUGH: usize = MAX_PACKET_LEN;

/// Bytes of names in one reply after which none is added: the longest one, with its long form, still fits into the
/// 34,000 bytes that every client takes.
const ENOUGH_NAMES: usize = 28_000;

/// How a request went (draft, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Well.
    Ok = 0,
    /// There is no more.
    Eof = 1,
    /// There is no such thing.
    NoSuchFile = 2,
    /// It may not be done.
    PermissionDenied = 3,
    /// Not well; its text says why.
    Failure = 4,
    /// It makes no sense.
    BadMessage = 5,
    /// There is no such request.
    Unsupported = 8,
}

impl Code {
    /// The number on the wire.
    #[allow(clippy::as_conversions)]
    const fn number(self) -> u32 {
        self as u32
    }
}

/// Why a request failed: a code, and words for a person.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) text: String,
}

impl Failure {
    pub(super) fn new(code: Code, text: impl Into<String>) -> Self {
        Failure { code, text: text.into() }
    }

    pub(super) fn because(text: impl Into<String>) -> Self {
        Self::new(Code::Failure, text)
    }

    pub(super) fn no_handle() -> Self {
        Self::because("there is no such handle")
    }
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        let code = match cause.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR | libc::EBADF | libc::ELOOP) => Code::NoSuchFile,
            Some(libc::EPERM | libc::EACCES) => Code::PermissionDenied,
            Some(libc::ENAMETOOLONG | libc::EINVAL) => Code::BadMessage,
            Some(libc::ENOSYS | libc::EOPNOTSUPP) => Code::Unsupported,
            _ => Code::Failure,
        };
        Self::new(code, reason(&cause))
    }
}

/// Replies on their way to the client.
#[derive(Debug)]
pub(super) struct Replies<W> {
    to: W,
    /// Room for them; the first `used` bytes are.
    room: Vec<u8>,
    used: usize,
}

impl<W: Write> Replies<W> {
    /// Replies that are sent to `to`.
    pub(super) fn new(to: W) -> Self {
        Replies { to, room: vec![0; ENOUGH + 4 + MAX_PACKET_LEN], used: 0 }
    }

    /// Sends what there is.
    ///
    /// # Errors
    /// A client that is gone.
    pub(super) fn flush(&mut self) -> Result<()> {
        let ready = self.room.get(..self.used).unwrap_or_default();
        self.used = 0;
        self.to.write_all(ready).and_then(|()| self.to.flush()).map_err(|cause| Error::output(&cause))
    }

    pub(super) fn version(&mut self) -> Result<()> {
        let mut body = VERSION.to_be_bytes().to_vec();
        for (name, version) in EXTENSIONS {
            push_string(&mut body, name.as_bytes());
            push_string(&mut body, version.as_bytes());
        }
        self.packet(kind::VERSION, &[&body])
    }

    pub(super) fn status(&mut self, id: u32, code: Code, text: &str) -> Result<()> {
        let mut body = code.number().to_be_bytes().to_vec();
        push_string(&mut body, text.as_bytes());
        push_string(&mut body, b"en");
        self.packet(kind::STATUS, &[&id.to_be_bytes(), &body])
    }

    pub(super) fn failure(&mut self, id: u32, why: &Failure) -> Result<()> {
        self.status(id, why.code, &why.text)
    }

    pub(super) fn handle(&mut self, id: u32, handle: Handle) -> Result<()> {
        let mut body = Vec::new();
        push_string(&mut body, &handle);
        self.packet(kind::HANDLE, &[&id.to_be_bytes(), &body])
    }

    pub(super) fn attributes(&mut self, id: u32, status: &Status) -> Result<()> {
        self.packet(kind::ATTRS, &[&id.to_be_bytes(), &attributes::encode(Some(status))])
    }

    /// One path, without attributes.
    pub(super) fn name(&mut self, id: u32, path: &[u8]) -> Result<()> {
        let mut body = 1_u32.to_be_bytes().to_vec();
        push_string(&mut body, path);
        push_string(&mut body, crate::term::sanitize_line(&String::from_utf8_lossy(path)).as_bytes());
        body.extend(attributes::encode(None));
        self.packet(kind::NAME, &[&id.to_be_bytes(), &body])
    }

    /// The next names of a directory, or that there are no more.
    pub(super) fn names(&mut self, id: u32, listing: &mut Listing, owners: &mut Owners) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let (mut count, mut body) = (0_u32, Vec::new());
        while body.len() < ENOUGH_NAMES {
            let (name, status) = match listing.next() {
                Some(Ok(entry)) => entry,
                // What was found before is told first; the next request meets the same error or the end.
                Some(Err(_)) | None if count > 0 => break,
                Some(Err(cause)) => return self.failure(id, &cause.into()),
                None => return self.status(id, Code::Eof, "no more names"),
            };
            push_string(&mut body, &name);
            push_string(&mut body, listing::long_name(&name, status.as_ref(), owners, now).as_bytes());
            body.extend(attributes::encode(status.as_ref()));
            count += 1;
        }
        self.packet(kind::NAME, &[&id.to_be_bytes(), &count.to_be_bytes(), &body])
    }

    pub(super) fn file_system(&mut self, id: u32, is: &FileSystem) -> Result<()> {
        const READ_ONLY: u64 = 1;
        const NO_SETUID: u64 = 2;
        let flags = if is.read_only { READ_ONLY } else { 0 } | if is.no_setuid { NO_SETUID } else { 0 };
        let blocks = [is.block_size, is.fragment_size, is.blocks, is.blocks_free, is.blocks_available];
        let files = [is.files, is.files_free, is.files_available];
        let numbers = [&blocks[..], &files, &[is.id, flags, is.longest_name]].concat();
        let body: Vec<u8> = numbers.into_iter().flat_map(u64::to_be_bytes).collect();
        self.packet(kind::EXTENDED_REPLY, &[&id.to_be_bytes(), &body])
    }

    pub(super) fn limits(&mut self, id: u32) -> Result<()> {
        let numbers = [MAX_PACKET_LEN, MAX_DATA_LEN, MAX_DATA_LEN, MAX_HANDLES];
        let body: Vec<u8> =
            numbers.into_iter().flat_map(|number| u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes()).collect();
        self.packet(kind::EXTENDED_REPLY, &[&id.to_be_bytes(), &body])
    }

    /// The names of users, and those of groups.
    pub(super) fn owners(&mut self, id: u32, users: &[String], groups: &[String]) -> Result<()> {
        let mut body = Vec::new();
        for names in [users, groups] {
            let mut row = Vec::new();
            names.iter().for_each(|name| push_string(&mut row, name.as_bytes()));
            push_string(&mut body, &row);
        }
        self.packet(kind::EXTENDED_REPLY, &[&id.to_be_bytes(), &body])
    }

    /// At most `length` bytes, as `read` puts them into the room for them; none are the end.
    pub(super) fn data(
        &mut self,
        id: u32,
        length: u32,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> Result<()> {
        const HEAD_LEN: usize = 4 + 1 + 4 + 4;
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_DATA_LEN);
        let start = self.used + HEAD_LEN;
        let room = self.room.get_mut(start..start + length).unwrap_or_default();
        let count = match read(room) {
            Ok(0) => return self.status(id, Code::Eof, "end of file"),
            Ok(count) => count,
            Err(cause) => return self.failure(id, &cause.into()),
        };
        let data_len = u32::try_from(count).unwrap_or(0);
        let packet_len = data_len + 1 + 4 + 4;
        let head = [&packet_len.to_be_bytes()[..], &[kind::DATA], &id.to_be_bytes(), &data_len.to_be_bytes()].concat();
        self.put(&head)?;
        self.used += count;
        self.send_enough()
    }

    fn packet(&mut self, kind: u8, parts: &[&[u8]]) -> Result<()> {
        let length: usize = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.put(&length.to_be_bytes())?;
        self.put(&[kind])?;
        parts.iter().try_for_each(|part| self.put(part))?;
        self.send_enough()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let room = self.room.get_mut(self.used..self.used + bytes.len());
        // No reply is longer than the longest packet, and there is always room for one.
        room.ok_or_else(|| Error::state("sftp: a reply has become too long"))?.copy_from_slice(bytes);
        self.used += bytes.len();
        Ok(())
    }

    fn send_enough(&mut self) -> Result<()> {
        if self.used >= ENOUGH { self.flush() } else { Ok(()) }
    }
}

fn push_string(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend(bytes);
}
