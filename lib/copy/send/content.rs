//! The contents of one file, or of standard input.

use super::answers::{PIECE, hash_first};
use super::walk::Walk;
use super::{Sending, Stop, meta};
use crate::conn::Breaker;
use crate::copy::Event;
use crate::error::reason;
use crate::patient::Patient;
use crate::proto::copy::{self as messages, DATA, Form, FromSender, HASH_LEN, Meta};
use crate::record::MAX_BODY_LEN;
use crate::root::{Kind, MAX_NAME_LEN, Status, next_data, read_at};
use crate::sys::readable_now;
use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::os::unix::fs::FileExt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes in front of the data of a FILE, at most.
const FRONT: usize = 32 + MAX_NAME_LEN;

/// Most bytes of a file that go with its FILE.
pub(super) const SMALL: usize = MAX_BODY_LEN - FRONT;

/// What is hashed at once of a hole.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

const SHRUNK: &str = "it became shorter while it was read";
const CHANGED: &str = "it changed while it was read";

/// How the reading of a file ended.
enum End {
    /// All that was promised is there.
    Whole,
    /// It cannot be, for this reason.
    Failed(String),
    /// Nobody wants it any more.
    Unwanted,
}

impl Sending<'_> {
    /// Sends the file that `walk` came to last.
    pub(super) fn send_file(&mut self, walk: &Walk<'_>) -> Result<(), Stop> {
        let (file, status) = match walk.open() {
            Ok(opened) => opened,
            Err(cause) => return self.problem(walk.path(), &reason(&cause)),
        };
        if self.wishes.dry_run {
            return self.say_file(walk, &status, Form::Complete, status.size, &[]);
        }
        let offset = if self.wishes.resume { self.heard.answers.agreed(walk, &status) } else { 0 };
        let left = status.size.saturating_sub(offset);
        if left == 0 && offset > 0 {
            self.say_file(walk, &status, Form::Complete, offset, &[])?;
            self.heard.tell(Event::Moved(offset));
            return Ok(());
        }
        match usize::try_from(left) {
            // A file of no length may have contents all the same, as under /proc.
            Ok(0) => self.send_small(walk, &file, &status, 0, SMALL),
            Ok(length) if length <= SMALL => self.send_small(walk, &file, &status, offset, length),
            _ => self.send_large(walk, &file, &status, offset),
        }
    }

    /// Says what a file begins with.
    fn say_file(&mut self, walk: &Walk<'_>, status: &Status, form: Form, offset: u64, data: &[u8]) -> Result<(), Stop> {
        self.say_item(walk, Kind::File, status.size)?;
        let offset = if self.wishes.dry_run { 0 } else { offset };
        let (meta, size, name) = (meta(status), status.size, walk.name());
        self.say(&FromSender::File(messages::File { form, meta, size, offset, name, data }))
    }

    /// Sends a file whose last `length` bytes fit into one message, or one of no length.
    fn send_small(
        &mut self,
        walk: &Walk<'_>,
        file: &File,
        status: &Status,
        offset: u64,
        length: usize,
    ) -> Result<(), Stop> {
        let mut room = std::mem::take(&mut self.room);
        room.resize(SMALL, 0);
        let read = room.get_mut(..length).map_or(Ok(0), |room| read_whole(file, room, offset));
        let data = match &read {
            Ok(count) => room.get(..*count).unwrap_or_default(),
            Err(_) => &[],
        };
        let sent = match read {
            Err(cause) => self.problem(walk.path(), &reason(&cause)),
            Ok(count) if status.size > 0 && count < length => self.problem(walk.path(), SHRUNK),
            Ok(count) if status.size == 0 && count > 0 => self.send_unsized(walk, file, status, data),
            Ok(_) => self.send_read(walk, file, status, offset, data),
        };
        self.room = room;
        sent
    }

    /// Sends a file that was read.
    fn send_read(
        &mut self,
        walk: &Walk<'_>,
        file: &File,
        status: &Status,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Stop> {
        let is_changed = !Status::of(file).is_ok_and(|now| now.is_unchanged(status));
        if self.wishes.verify && !data.is_empty() {
            let mut hasher = blake3::Hasher::new();
            if let Err(cause) = hash_first(&mut hasher, file, offset, &self.over) {
                return self.problem(walk.path(), &reason(&cause));
            }
            hasher.update(data);
            self.say_file(walk, status, Form::Pieces, offset, data)?;
            self.say(&FromSender::Whole(Some(*hasher.finalize().as_bytes())))?;
        } else {
            self.say_file(walk, status, Form::Complete, offset, data)?;
        }
        self.heard.tell(Event::Moved(status.size));
        if is_changed { self.problem(walk.path(), CHANGED) } else { Ok(()) }
    }

    /// Sends a file that says it has no bytes, and has some.
    fn send_unsized(&mut self, walk: &Walk<'_>, file: &File, status: &Status, first: &[u8]) -> Result<(), Stop> {
        self.say_file(walk, status, Form::Stream, 0, first)?;
        self.go_inside(walk.path());
        let mut hasher = self.hasher();
        update(&mut hasher, first);
        self.moved(length(first));
        let mut at = length(first);
        let end = self.stream(&mut hasher, |room| {
            let count = read_at(file, room, at)?;
            at += u64::try_from(count).unwrap_or(0);
            Ok((count, true))
        })?;
        let is_changed = !Status::of(file).is_ok_and(|now| now.is_unchanged(status));
        self.end_file(walk.path(), end, hasher, is_changed)
    }

    /// Sends standard input, whatever it is, and nothing else.
    pub(super) fn send_stdin(&mut self, mut stdin: Patient) -> Result<(), Stop> {
        const PATH: &[u8] = b"-";
        self.say(&FromSender::Begin(1))?;
        if self.wishes.resume {
            self.say(&FromSender::Answered)?;
        }
        // It has no name of its own.
        self.say(&FromSender::Top(0, b""))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // What is kept exactly as it is should not be open to all.
        let mode = if self.wishes.preserve { 0o600 } else { 0o666 };
        let meta = Meta { mode, seconds: i64::try_from(now.as_secs()).unwrap_or(0), nanos: now.subsec_nanos() };
        let form = if self.wishes.dry_run { Form::Complete } else { Form::Stream };
        self.heard.begin(PATH, Kind::File, None);
        self.say(&FromSender::File(messages::File { form, meta, size: 0, offset: 0, name: b"", data: &[] }))?;
        if self.wishes.dry_run {
            return Ok(());
        }
        self.go_inside(PATH);
        let mut hasher = self.hasher();
        // Whoever writes slowly should not have to fill a batch before anything goes.
        let end = self.stream(&mut hasher, |room| {
            let count = stdin.read_vectored(room)?;
            Ok((count, readable_now(&stdin).is_ok_and(|left| left > 0)))
        })?;
        self.end_file(PATH, end, hasher, false)
    }

    /// Sends what `read` reads, up to the end. It says how much it was, and whether there is more at once.
    fn stream(
        &mut self,
        hasher: &mut Option<blake3::Hasher>,
        mut read: impl FnMut(&mut [IoSliceMut<'_>]) -> io::Result<(usize, bool)>,
    ) -> Result<End, Stop> {
        loop {
            self.between(|_| true)?;
            if !self.heard.wants_last() {
                return Ok(End::Unwanted);
            }
            let mut has_more = false;
            let filled = self.out.fill(DATA, u64::MAX, |room| {
                let (count, more) = read(room)?;
                has_more = more;
                update_from(hasher, room, count);
                Ok(count)
            })?;
            match filled {
                Ok(0) => return Ok(End::Whole),
                Ok(count) => self.moved(u64::try_from(count).unwrap_or(0)),
                Err(cause) => return Ok(End::Failed(reason(&cause))),
            }
            if !has_more {
                self.out.flush()?;
            }
        }
    }

    /// Sends a file in pieces.
    fn send_large(&mut self, walk: &Walk<'_>, file: &File, status: &Status, offset: u64) -> Result<(), Stop> {
        let mut hasher = self.hasher();
        if let Some(hasher) = &mut hasher
            && let Err(cause) = hash_first(hasher, file, offset, &self.over)
        {
            return self.problem(walk.path(), &reason(&cause));
        }
        self.say_file(walk, status, Form::Pieces, offset, &[])?;
        self.go_inside(walk.path());
        self.moved(offset);
        let end = self.send_pieces(file, status, offset, &mut hasher)?;
        let now = Status::of(file);
        let is_changed = !now.as_ref().is_ok_and(|now| now.is_unchanged(status));
        // Where it ends now, a hole was seen.
        let is_shorter = now.is_ok_and(|now| now.size < status.size);
        let end = if is_shorter && matches!(end, End::Whole) { End::Failed(SHRUNK.to_owned()) } else { end };
        self.end_file(walk.path(), end, hasher, is_changed)
    }

    /// Sends the contents from `at` on.
    fn send_pieces(
        &mut self,
        file: &File,
        status: &Status,
        mut at: u64,
        hasher: &mut Option<blake3::Hasher>,
    ) -> Result<End, Stop> {
        // Asking where the holes are costs a call for each, so a file without any is not asked.
        let mut data_end = if status.allocated < status.size { at } else { status.size };
        while at < status.size {
            self.between(|_| true)?;
            if !self.heard.wants_last() {
                return Ok(End::Unwanted);
            }
            if at >= data_end {
                let (start, end) = match next_data(file, at) {
                    Ok(Some(data)) => (data.start.min(status.size), data.end.min(status.size)),
                    Ok(None) => (status.size, status.size),
                    // The file system knows of no holes, or the file has just become shorter.
                    Err(_) => (at, status.size),
                };
                if start > at {
                    self.say(&FromSender::Hole(start - at))?;
                    update_zeros(hasher, start - at, &self.over);
                    self.moved(start - at);
                    at = start;
                }
                data_end = end;
                continue;
            }
            let filled = self.out.fill(DATA, data_end - at, |room| {
                let count = read_at(file, room, at)?;
                update_from(hasher, room, count);
                Ok(count)
            })?;
            match filled.map(|count| u64::try_from(count).unwrap_or(0)) {
                Ok(0) => return Ok(End::Failed(SHRUNK.to_owned())),
                Ok(count) => {
                    at += count;
                    self.moved(count);
                }
                Err(cause) => return Ok(End::Failed(reason(&cause))),
            }
        }
        Ok(End::Whole)
    }

    /// Ends a file that was sent in pieces.
    fn end_file(
        &mut self,
        path: &[u8],
        end: End,
        hasher: Option<blake3::Hasher>,
        is_changed: bool,
    ) -> Result<(), Stop> {
        match end {
            End::Whole => {
                let hash: Option<[u8; HASH_LEN]> = hasher.map(|hasher| hasher.finalize().into());
                self.say(&FromSender::Whole(hash))?;
                if is_changed {
                    self.problem(path, CHANGED)?;
                }
            }
            End::Failed(why) => {
                self.say(&FromSender::Abandoned)?;
                self.heard.ledger.lose_last();
                self.problem(path, &why)?;
            }
            End::Unwanted => self.say(&FromSender::Abandoned)?,
        }
        self.heard.set_inside(false);
        if let Some((_, size)) = self.inside.take() {
            self.heard.ledger.resize_last(size);
        }
        Ok(())
    }

    fn go_inside(&mut self, path: &[u8]) {
        self.heard.set_inside(true);
        self.inside = Some((path.to_vec(), 0));
    }

    /// So many more bytes went.
    fn moved(&mut self, count: u64) {
        if let Some((_, bytes)) = &mut self.inside {
            *bytes += count;
        }
        if count > 0 {
            self.heard.tell(Event::Moved(count));
        }
    }

    fn hasher(&self) -> Option<blake3::Hasher> {
        self.wishes.verify.then(blake3::Hasher::new)
    }
}

/// Reads until `room` is full, or the file ends.
fn read_whole(file: &File, room: &mut [u8], from: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + u64::try_from(filled).unwrap_or(0)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(filled)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn update(hasher: &mut Option<blake3::Hasher>, bytes: &[u8]) {
    if let Some(hasher) = hasher {
        hasher.update(bytes);
    }
}

/// Hashes the first `count` bytes of `room`.
fn update_from(hasher: &mut Option<blake3::Hasher>, room: &[IoSliceMut<'_>], mut count: usize) {
    for slice in room {
        let part = slice.get(..count.min(slice.len())).unwrap_or_default();
        update(hasher, part);
        count -= part.len();
    }
}

/// Hashes zeros, as long as somebody waits for it.
fn update_zeros(hasher: &mut Option<blake3::Hasher>, mut count: u64, over: &Breaker) {
    while count > 0 && hasher.is_some() && !(count.is_multiple_of(PIECE) && over.is_over()) {
        // Up to the next place to look.
        let part = (count - 1) % PIECE + 1;
        let part = usize::try_from(part).unwrap_or(usize::MAX).min(ZEROS.len());
        update(hasher, ZEROS.get(..part).unwrap_or_default());
        count -= u64::try_from(part).unwrap_or(count);
    }
}
