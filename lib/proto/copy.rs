//! Copies: files between the two ends of a connection of the service `pty`. keywire-protocol(7), COPY.
//!
//! One end is the sender, which reads files, and the other the receiver, which writes them, whichever of them dialed. The
//! sender streams and waits for nobody; the receiver answers with what it has stored and what it could not.

use crate::conn::Record;
use crate::error::{Error, Result};
use crate::frame::{self, Fields};
use crate::root::{MAX_NAME_LEN, MAX_PATH_LEN};
use std::borrow::Cow;

pub use super::wishes::{Request, Sync, Way};

/// Bytes of the hash of a file (BLAKE3).
pub const HASH_LEN: usize = 32;

/// Longest reason for a failure.
pub const MAX_TEXT_LEN: usize = 1000;

/// Most paths that one copy can ask for, and most patterns that it can leave out.
pub const MAX_ASKED: usize = 65_536;

/// Items that a sender may be ahead of what the receiver has settled. The sender remembers their names meanwhile.
pub const WINDOW: u64 = 8192;

/// Deepest directory below what was named: as deep as a path can be.
pub const MAX_DEPTH: usize = MAX_PATH_LEN / 2;

/// The type of [`FromSender::Data`].
pub const DATA: u8 = 0x16;

/// What the dialer says before anything is copied.
///
/// | type | message   | body |
/// |------|-----------|------|
/// | 0x01 | `SOURCE`  | a path or pattern that the host is to send, 0 to 4,095 bytes |
/// | 0x02 | `EXCLUDE` | a pattern of what is left out, 1 to 4,095 bytes |
/// | 0x03 | `TARGET`  | the path that the host is to receive at, 0 to 4,095 bytes |
/// | 0x04 | `GO`      | empty: that is all |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// What the host is to send.
    Source(&'a [u8]),
    /// What is left out.
    Exclude(&'a [u8]),
    /// Where the host is to receive.
    Target(&'a [u8]),
    /// That is all.
    Go,
}

impl<'a> Asked<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// Anything that is not in the table.
    pub fn decode(record: &Record<'a>) -> Result<Self> {
        match record.kind {
            0x01 => path(record.body).map(Asked::Source),
            0x02 if record.body.is_empty() => Err(Error::protocol("an empty pattern")),
            0x02 => path(record.body).map(Asked::Exclude),
            0x03 => path(record.body).map(Asked::Target),
            0x04 => Fields::new(record.body).end().map(|()| Asked::Go),
            other => Err(unknown(other)),
        }
    }

    /// The type and body for the wire.
    #[must_use]
    pub fn encode(&self) -> (u8, &'a [u8]) {
        match self {
            Asked::Source(path) => (0x01, path),
            Asked::Exclude(pattern) => (0x02, pattern),
            Asked::Target(path) => (0x03, path),
            Asked::Go => (0x04, &[]),
        }
    }
}

/// What is kept of a file beside its contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permissions: the 0777 part of its mode.
    pub mode: u16,
    /// When it was written last: seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds, below 1,000,000,000.
    pub nanos: u32,
}

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// What is known of how it goes on.
    pub form: Form,
    /// Permissions and time.
    pub meta: Meta,
    /// Bytes that it has in all; of no meaning for a stream.
    pub size: u64,
    /// Bytes in front that are there already, as a HAVE said, and are not sent.
    pub offset: u64,
    /// Its name in the directory that was entered last; empty for what a TOP named.
    pub name: &'a [u8],
    /// The first bytes after `offset`.
    pub data: &'a [u8],
}

/// How a file goes on after its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// With DATA and HOLE up to its size, and a WHOLE or ABANDONED.
    Pieces,
    /// Not at all: it is all there.
    Complete,
    /// As with pieces, but nobody knows how long.
    Stream,
}

/// What the sender says.
///
/// | type | message     | body |
/// |------|-------------|------|
/// | 0x11 | `BEGIN`     | tops u32: how many things that were named follow |
/// | 0x12 | `TOP`       | source u32, path: the next item is the one at this path, which that SOURCE (0 is the first) named |
/// | 0x13 | `DIRECTORY` | mode u16, seconds i64, nanoseconds u32, name: a directory, which is entered |
/// | 0x14 | `LEAVE`     | empty: what follows is in the directory above |
/// | 0x15 | `FILE`      | form u8 (0 pieces, 1 complete, 2 stream), mode u16, seconds i64, nanoseconds u32, size u64, offset u64, length of the name u8, name, the first data |
/// | 0x16 | `DATA`      | the next bytes of the file, 1 to 65,518 |
/// | 0x17 | `HOLE`      | bytes u64: so many zeros follow, that take no room |
/// | 0x18 | `WHOLE`     | empty, or the hash of the whole file if hashes are to be compared: the file ends here |
/// | 0x19 | `ABANDONED` | empty: the file ends before its end and must not get its name |
/// | 0x1A | `LINK`      | length of the name u8, name, what it leads to: a symbolic link |
/// | 0x1B | `PROBLEM`   | length of the path u16, path, reason of at most 1,000 bytes: what could not be read, or changed meanwhile |
/// | 0x1C | `ASK`       | size u64, name: what of this file is there? |
/// | 0x1D | `ANSWERED`  | empty: the sender has its answers, and what is copied follows |
/// | 0x1E | `TOTAL`     | files u64, bytes u64: how much there is in all |
/// | 0x1F | `END`       | items u64: how many DIRECTORY, FILE and LINK there were; that was all |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromSender<'a> {
    /// How many things that were named follow.
    Begin(u32),
    /// The next item is the one at this path, which this source named.
    Top(u32, &'a [u8]),
    /// A directory, which is entered.
    Directory(Meta, &'a [u8]),
    /// What follows is in the directory above.
    Leave,
    /// A file.
    File(File<'a>),
    /// Its next bytes.
    Data(&'a [u8]),
    /// Its next bytes are so many zeros.
    Hole(u64),
    /// It ends here, and has this hash if hashes are compared.
    Whole(Option<[u8; HASH_LEN]>),
    /// It ends before its end.
    Abandoned,
    /// A symbolic link: its name, and what it leads to.
    Link(&'a [u8], &'a [u8]),
    /// What could not be read, and why.
    Problem(&'a [u8], &'a str),
    /// What of the file of this size and name is there?
    Ask(u64, &'a [u8]),
    /// What is copied follows.
    Answered,
    /// Files and bytes in all.
    Total(u64, u64),
    /// That was all: so many items.
    End(u64),
}

impl<'a> FromSender<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// Anything that is not in the table.
    pub fn decode(record: &Record<'a>) -> Result<Self> {
        let mut fields = Fields::new(record.body);
        match record.kind {
            0x11 => {
                let tops = fields.u32()?;
                fields.end().map(|()| FromSender::Begin(tops))
            }
            0x12 => Ok(FromSender::Top(fields.u32()?, path(fields.bytes())?)),
            0x13 => Ok(FromSender::Directory(Meta::decode(&mut fields)?, name(fields.bytes())?)),
            0x14 => fields.end().map(|()| FromSender::Leave),
            0x15 => File::decode(fields).map(FromSender::File),
            DATA if record.body.is_empty() => Err(Error::protocol("DATA without data")),
            DATA => Ok(FromSender::Data(record.body)),
            0x17 => {
                let length = fields.u64()?;
                match length {
                    0 => Err(Error::protocol("a HOLE of no length")),
                    length => fields.end().map(|()| FromSender::Hole(length)),
                }
            }
            0x18 if record.body.is_empty() => Ok(FromSender::Whole(None)),
            0x18 => {
                let hash = fields.array()?;
                fields.end().map(|()| FromSender::Whole(Some(hash)))
            }
            0x19 => fields.end().map(|()| FromSender::Abandoned),
            0x1a => {
                let length = usize::from(fields.u8()?);
                Ok(FromSender::Link(name(fields.slice(length)?)?, path(fields.bytes())?))
            }
            0x1b => problem(fields).map(|(path, why)| FromSender::Problem(path, why)),
            0x1c => Ok(FromSender::Ask(fields.u64()?, name(fields.bytes())?)),
            0x1d => fields.end().map(|()| FromSender::Answered),
            0x1e => {
                let (files, bytes) = (fields.u64()?, fields.u64()?);
                fields.end().map(|()| FromSender::Total(files, bytes))
            }
            0x1f => {
                let items = fields.u64()?;
                fields.end().map(|()| FromSender::End(items))
            }
            other => Err(unknown(other)),
        }
    }

    /// The type for the wire, what stands in front of the body, and the rest of the body.
    #[must_use]
    pub fn encode(&self) -> (u8, Vec<u8>, &'a [u8]) {
        match *self {
            FromSender::Begin(tops) => (0x11, tops.to_be_bytes().to_vec(), &[]),
            FromSender::Top(source, path) => (0x12, source.to_be_bytes().to_vec(), path),
            FromSender::Directory(meta, name) => (0x13, meta.encode(), name),
            FromSender::Leave => (0x14, Vec::new(), &[]),
            FromSender::File(file) => (0x15, file.front(), file.data),
            FromSender::Data(data) => (DATA, Vec::new(), data),
            FromSender::Hole(length) => (0x17, length.to_be_bytes().to_vec(), &[]),
            FromSender::Whole(hash) => (0x18, hash.map(|hash| hash.to_vec()).unwrap_or_default(), &[]),
            FromSender::Abandoned => (0x19, Vec::new(), &[]),
            FromSender::Link(name, target) => (0x1a, with_length(name), target),
            FromSender::Problem(path, text) => (0x1b, long(path), cut(text).as_bytes()),
            FromSender::Ask(size, name) => (0x1c, size.to_be_bytes().to_vec(), name),
            FromSender::Answered => (0x1d, Vec::new(), &[]),
            FromSender::Total(files, bytes) => (0x1e, [files.to_be_bytes(), bytes.to_be_bytes()].concat(), &[]),
            FromSender::End(items) => (0x1f, items.to_be_bytes().to_vec(), &[]),
        }
    }
}

impl Meta {
    fn decode(fields: &mut Fields<'_>) -> Result<Self> {
        let mode = fields.u16()?;
        let seconds = i64::from_be_bytes(fields.array()?);
        let nanos = fields.u32()?;
        if mode > 0o777 || nanos >= 1_000_000_000 {
            return Err(Error::protocol("permissions or a time that cannot be"));
        }
        Ok(Meta { mode, seconds, nanos })
    }

    fn encode(&self) -> Vec<u8> {
        [&self.mode.to_be_bytes()[..], &self.seconds.to_be_bytes(), &self.nanos.to_be_bytes()].concat()
    }
}

impl<'a> File<'a> {
    fn decode(mut fields: Fields<'a>) -> Result<Self> {
        let form = match fields.u8()? {
            0 => Form::Pieces,
            1 => Form::Complete,
            2 => Form::Stream,
            other => return Err(Error::protocol(format!("a file of the unknown form {other}"))),
        };
        let meta = Meta::decode(&mut fields)?;
        let (size, offset) = (fields.u64()?, fields.u64()?);
        let length = usize::from(fields.u8()?);
        let name = name(fields.slice(length)?)?;
        let data = fields.bytes();
        let most = match form {
            Form::Stream => u64::MAX,
            // A file longer than that is on no file system.
            Form::Pieces | Form::Complete => size.min(i64::MAX.unsigned_abs()),
        };
        let fits =
            u64::try_from(data.len()).is_ok_and(|length| offset.checked_add(length).is_some_and(|at| at <= most));
        if !fits || size > i64::MAX.unsigned_abs() {
            return Err(Error::protocol("a file whose size cannot be"));
        }
        Ok(File { form, meta, size, offset, name, data })
    }

    /// All of the body but the data.
    fn front(&self) -> Vec<u8> {
        let form = match self.form {
            Form::Pieces => 0,
            Form::Complete => 1,
            Form::Stream => 2,
        };
        let mut front = vec![form];
        front.extend(self.meta.encode());
        front.extend(self.size.to_be_bytes());
        front.extend(self.offset.to_be_bytes());
        front.extend(with_length(self.name));
        front
    }
}

/// What the receiver says.
///
/// | type | message    | body |
/// |------|------------|------|
/// | 0x21 | `HAVE`     | length u64, hash if that is not 0: the answer to the next ASK; so many first bytes are there, with this hash |
/// | 0x22 | `STORED`   | items u64: so many of the items, from the first on, are stored or were said to have failed |
/// | 0x23 | `FAILED`   | item u64 (0 is the first), reason of at most 1,000 bytes: this one is not stored |
/// | 0x24 | `HOPELESS` | reason of at most 1,000 bytes: nothing can be stored here |
/// | 0x25 | `DONE`     | empty: the answer to END; what was stored has reached the disk, if that was asked for |
/// | 0x26 | `PROBLEM`  | length of the path u16, path, reason of at most 1,000 bytes: what is stored, but not as it should be |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromReceiver<'a> {
    /// So many first bytes are there, with this hash; none if there is no length.
    Have(u64, [u8; HASH_LEN]),
    /// So many items are settled.
    Stored(u64),
    /// This item is not stored, and why.
    Failed(u64, &'a str),
    /// Nothing can be stored, and why.
    Hopeless(&'a str),
    /// All is over.
    Done,
    /// What is stored, but not as it should be, and why.
    Problem(&'a [u8], &'a str),
}

impl<'a> FromReceiver<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// Anything that is not in the table.
    pub fn decode(record: &Record<'a>) -> Result<Self> {
        let mut fields = Fields::new(record.body);
        match record.kind {
            0x21 => {
                let length = fields.u64()?;
                let hash = if length == 0 { [0; HASH_LEN] } else { fields.array()? };
                fields.end().map(|()| FromReceiver::Have(length, hash))
            }
            0x22 => {
                let items = fields.u64()?;
                fields.end().map(|()| FromReceiver::Stored(items))
            }
            0x23 => Ok(FromReceiver::Failed(fields.u64()?, fields.text(MAX_TEXT_LEN)?)),
            0x24 => fields.text(MAX_TEXT_LEN).map(FromReceiver::Hopeless),
            0x25 => fields.end().map(|()| FromReceiver::Done),
            0x26 => problem(fields).map(|(path, why)| FromReceiver::Problem(path, why)),
            other => Err(unknown(other)),
        }
    }

    /// The type and body for the wire.
    #[must_use]
    pub fn encode(&self) -> (u8, Cow<'a, [u8]>) {
        match self {
            FromReceiver::Have(0, _) => (0x21, Cow::Owned(0_u64.to_be_bytes().to_vec())),
            FromReceiver::Have(length, hash) => (0x21, Cow::Owned([&length.to_be_bytes()[..], hash].concat())),
            FromReceiver::Stored(items) => (0x22, Cow::Owned(items.to_be_bytes().to_vec())),
            FromReceiver::Failed(item, text) => {
                (0x23, Cow::Owned([&item.to_be_bytes()[..], cut(text).as_bytes()].concat()))
            }
            FromReceiver::Hopeless(text) => (0x24, Cow::Borrowed(cut(text).as_bytes())),
            FromReceiver::Done => (0x25, Cow::Borrowed(&[])),
            FromReceiver::Problem(path, text) => (0x26, Cow::Owned([&long(path), cut(text).as_bytes()].concat())),
        }
    }
}

/// A name with its length in front.
fn with_length(name: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[length], name].concat()
}

/// A path with its length in front.
fn long(path: &[u8]) -> Vec<u8> {
    let length = u16::try_from(path.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), path].concat()
}

/// A path with its length in front, and a reason.
fn problem(mut fields: Fields<'_>) -> Result<(&[u8], &str)> {
    let length = usize::from(fields.u16()?);
    Ok((path(fields.slice(length)?)?, fields.text(MAX_TEXT_LEN)?))
}

/// As much of a reason as there is room for.
fn cut(text: &str) -> &str {
    frame::cut(text, MAX_TEXT_LEN)
}

/// A path as it was written: it is looked at where it is looked up.
fn path(bytes: &[u8]) -> Result<&[u8]> {
    if bytes.len() > MAX_PATH_LEN || bytes.contains(&0) {
        return Err(Error::protocol("a path that cannot be"));
    }
    Ok(bytes)
}

/// A name in a directory, or none.
fn name(bytes: &[u8]) -> Result<&[u8]> {
    let is_name = bytes.len() <= MAX_NAME_LEN && !matches!(bytes, b"." | b"..");
    if !is_name || bytes.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(Error::protocol(format!("a name that cannot be: '{}'", bytes.escape_ascii())));
    }
    Ok(bytes)
}

fn unknown(kind: u8) -> Error {
    Error::protocol(format!("a record of the unknown type {kind:#04x}"))
}
