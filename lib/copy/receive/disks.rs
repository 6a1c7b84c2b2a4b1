//! The file systems that a copy has written to, to be waited for at its end.

use crate::root::{Folder, Status};
use std::io;

/// Most file systems that a handle is held of; of more, one that was written to before is waited for at once.
const MAX_DISKS: usize = 16;

/// The file systems written to, by their numbers, each with one of its directories.
#[derive(Debug, Default)]
pub(super) struct Disks {
    written: Vec<(u64, Folder)>,
}

impl Disks {
    /// Takes note that something is written in `folder`, whose status this is.
    ///
    /// # Errors
    /// There are no more descriptors; or another file system had to be waited for, and that failed.
    pub(super) fn note(&mut self, folder: &Folder, status: &Status) -> io::Result<()> {
        let number = status.file_system();
        if self.written.iter().any(|(known, _)| *known == number) {
            return Ok(());
        }
        if self.written.len() >= MAX_DISKS {
            self.written.remove(0).1.sync_file_system()?;
        }
        self.written.push((number, folder.try_clone()?));
        Ok(())
    }

    /// Waits until everything has reached its disk.
    ///
    /// # Errors
    /// Those of syncfs(2).
    pub(super) fn sync(&self) -> io::Result<()> {
        self.written.iter().try_for_each(|(_, folder)| folder.sync_file_system())
    }
}
