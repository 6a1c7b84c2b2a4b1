//! Which file a file is, whatever it is called.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// Tells a file from a copy of it that was put in its place: by its inode, and by when that was made, since numbers of inodes
/// are given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileId {
    inode: u64,
    /// In microseconds since 1970; some file systems do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    born: Option<u64>,
}

impl FileId {
    /// That of the file of which this was found.
    #[must_use]
    pub fn of(found: &Metadata) -> Self {
        let born = found.created().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        FileId { inode: found.ino(), born: born.and_then(|since| u64::try_from(since.as_micros()).ok()) }
    }

    /// Whether both are the same file. What is not known of one of them does not count.
    #[must_use]
    pub fn is(&self, other: &FileId) -> bool {
        self.inode == other.inode && (self.born.is_none() || other.born.is_none() || self.born == other.born)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_itself_and_no_other_that_got_its_number() {
        let file = FileId { inode: 7, born: Some(1) };
        assert!(
            file.is(&file) && file.is(&FileId { inode: 7, born: None }) && FileId { inode: 7, born: None }.is(&file)
        );
        assert!(!file.is(&FileId { inode: 8, born: Some(1) }) && !file.is(&FileId { inode: 7, born: Some(2) }));
    }
}
