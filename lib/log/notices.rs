//! What is found on the disk that the user should know, said once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What was found.
#[derive(Debug, Default)]
pub struct Notices(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    said: BTreeSet<(PathBuf, &'static str)>,
    unsaid: Vec<String>,
}

impl Notices {
    /// Has the user told that `what` is so with `path`: once.
    pub fn add(&self, path: &Path, what: &'static str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.said.insert((path.to_owned(), what)) {
            inner.unsaid.push(format!("{}: {what}", path.display()));
        }
    }

    /// What was found since this was last asked, as lines without line ends. Nothing is said twice.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noticed_is_said_once() {
        let notices = Notices::default();
        notices.add(Path::new("/a"), "is odd");
        notices.add(Path::new("/a"), "is odd");
        notices.add(Path::new("/b"), "is odd");
        assert_eq!(notices.take(), ["/a: is odd", "/b: is odd"]);
        notices.add(Path::new("/a"), "is odd");
        assert!(notices.take().is_empty());
    }
}
