//! Logs: files of one JSON object a line that only grow, in a directory of state.
//!
//! A record is written under the directory's lock with one write, and synced before it counts. What a process that died left
//! of a line is cut off by the next one that writes. See keywire-files(5).

mod file_id;
mod lines;
mod notices;

pub use file_id::FileId;
pub use lines::{Backwards, Forwards, Lines};
pub use notices::Notices;

use crate::error::{Error, Result};
use crate::json;
use crate::store::{Store, cannot_open, nofollow, owned, sync_parent};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How far back the beginning of an incomplete last line is looked for at a time.
const LOOK_BACK: u64 = 4096;

/// A log that is kept within bounds.
#[derive(Clone, Debug)]
pub struct Log {
    store: Store,
    name: String,
    most: u64,
}

impl Log {
    /// The log `name` of `store`. Beyond `most` bytes it is moved to `NAME.old`, in place of the one that was moved before.
    #[must_use]
    pub fn new(store: Store, name: &str, most: u64) -> Self {
        Log { store, name: name.to_owned(), most }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.store.path(&self.name)
    }

    /// Adds `records`, and returns how many bytes of an incomplete last line were cut off before them.
    ///
    /// # Errors
    /// A file that is a symbolic link, somebody else's or writable by others, and a full disk; the log is as it was then.
    pub fn append<T: Serialize>(&self, records: &[T]) -> Result<u64> {
        let mut text = String::new();
        for record in records {
            text += &json::line(record)?;
            text.push('\n');
        }
        let _lock = self.store.lock()?;
        let path = self.path();
        let failed = |cause: io::Error| Error::file("write", &path, &cause);
        let length = self.open(&path)?.metadata().map_err(failed)?.len();
        if length > self.most {
            std::fs::rename(&path, self.store.path(&format!("{}.old", self.name))).map_err(failed)?;
        }
        let mut writer = self.writer()?;
        writer.add(&text)?;
        writer.sync()?;
        Ok(writer.cut_off())
    }

    /// Takes the log for adding to it, and cuts off an incomplete last line. The lock of the directory must be held for as
    /// long as the writer is.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub(crate) fn writer(&self) -> Result<Writer> {
        let path = self.path();
        let file = self.open(&path)?;
        let failed = |cause: io::Error| Error::file("write", &path, &cause);
        let length = file.metadata().map_err(failed)?.len();
        let whole = end_of_last_line(&file, length).map_err(failed)?;
        if whole < length {
            file.set_len(whole).map_err(failed)?;
        }
        Ok(Writer { file, path, whole, synced: whole, cut_off: length - whole })
    }

    /// The complete lines that the log has now; `None` if there is no log. It needs no lock.
    ///
    /// # Errors
    /// A file that is a symbolic link, somebody else's or writable by others, or that cannot be read.
    pub fn lines(&self) -> Result<Option<Lines>> {
        let path = self.path();
        match OpenOptions::new().read(true).custom_flags(nofollow()).open(&path) {
            Ok(file) => Lines::new(checked(file, &path)?, path).map(Some),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cannot_open(&path, &cause)),
        }
    }

    fn open(&self, path: &Path) -> Result<File> {
        let file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(nofollow()).open(path);
        checked(file.map_err(|cause| cannot_open(path, &cause))?, path)
    }
}

/// Refuses what is no log of ours.
fn checked(file: File, path: &Path) -> Result<File> {
    let found = file.metadata().map_err(|cause| Error::file("look at", path, &cause))?;
    if !found.is_file() {
        return Err(Error::state(format!("{} is not a regular file", path.display())));
    }
    owned(path, &found, 0o022)?;
    Ok(file)
}

/// A log that is being added to, under the lock of its directory.
pub(crate) struct Writer {
    file: File,
    path: PathBuf,
    whole: u64,
    synced: u64,
    cut_off: u64,
}

impl Writer {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        self.whole
    }

    /// How many bytes of an incomplete last line were cut off when it was taken.
    pub(crate) fn cut_off(&self) -> u64 {
        self.cut_off
    }

    /// Adds `text`, which is whole lines, with one write.
    ///
    /// # Errors
    /// A full disk, among others; the log is as it was then.
    pub(crate) fn add(&mut self, text: &str) -> Result<()> {
        if let Err(cause) = self.file.write_all(text.as_bytes()) {
            self.take_back(self.whole);
            return Err(Error::file("write", &self.path, &cause));
        }
        self.whole += u64::try_from(text.len()).unwrap_or(0);
        Ok(())
    }

    /// Makes what was added survive a loss of power.
    ///
    /// # Errors
    /// It cannot be synced; the log is then as it was when it last was, or was taken.
    pub(crate) fn sync(&mut self) -> Result<()> {
        if let Err(cause) = self.file.sync_data() {
            self.take_back(self.synced);
            return Err(Error::file("write", &self.path, &cause));
        }
        if self.synced == 0 {
            sync_parent(&self.path)?;
        }
        self.synced = self.whole;
        Ok(())
    }

    /// Takes back what stands behind the first `length` bytes. What cannot be taken back now is cut off or read by the next
    /// writer.
    pub(crate) fn take_back(&mut self, length: u64) {
        let _ = self.file.set_len(length);
        self.whole = length;
        self.synced = self.synced.min(length);
    }

    /// What it has now, for reading.
    ///
    /// # Errors
    /// The system has no more file descriptors.
    pub(crate) fn lines(&self) -> Result<Lines> {
        let file = self.file.try_clone().map_err(|cause| Error::file("read", &self.path, &cause))?;
        Lines::new(file, self.path.clone())
    }
}

/// Where the last complete line of a file of `length` bytes ends.
fn end_of_last_line(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(LOOK_BACK);
        let piece = read(file, start, end - start)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + u64::try_from(at).unwrap_or(0) + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Reads `count` bytes at `place`.
fn read(file: &File, place: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; usize::try_from(count).unwrap_or(0)];
    file.read_exact_at(&mut piece, place)?;
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    pub(super) struct Dir(PathBuf);

    impl Dir {
        pub(super) fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let dir = std::env::temp_dir().join(format!("keywire-log-{}-{count}", std::process::id()));
            std::fs::create_dir(&dir).unwrap();
            Dir(dir)
        }

        pub(super) fn log(&self, most: u64) -> Log {
            Log::new(Store::at(&self.0), "a.jsonl", most)
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn records_stand_one_on_a_line_in_the_order_they_came() {
        let dir = Dir::new();
        dir.log(1000).append(&["one\ntwo"]).unwrap();
        dir.log(1000).append(&["three", "four"]).unwrap();
        assert_eq!(dir.read("a.jsonl"), "\"one\\ntwo\"\n\"three\"\n\"four\"\n");
    }

    #[test]
    fn half_a_line_is_cut_off_however_long_it_is() {
        for half in ["x".to_owned(), "y".repeat(3 * 4096 + 5)] {
            let dir = Dir::new();
            dir.log(1 << 20).append(&[1]).unwrap();
            let path = dir.log(0).path();
            OpenOptions::new().append(true).open(&path).unwrap().write_all(half.as_bytes()).unwrap();
            assert_eq!(dir.log(1 << 20).append(&[2]).unwrap(), half.len() as u64);
            assert_eq!(dir.read("a.jsonl"), "1\n2\n");
        }
    }

    #[test]
    fn a_log_that_has_grown_large_is_moved_aside_once() {
        let dir = Dir::new();
        for number in 0..7 {
            dir.log(3).append(&[number]).unwrap();
        }
        assert_eq!((dir.read("a.jsonl.old"), dir.read("a.jsonl")), ("4\n5\n".to_owned(), "6\n".to_owned()));
    }

    #[test]
    fn a_log_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = Dir::new();
        dir.log(1000).append(&[1]).unwrap();
        std::fs::set_permissions(dir.log(0).path(), std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(dir.log(1000).append(&[2]).is_err());
        assert_eq!(dir.read("a.jsonl"), "1\n");
    }
}
