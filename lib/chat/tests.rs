//! A state directory for each test, and what several tests look at.

use super::{CHAT_DIR, Chat, Clock};
use crate::key::KeyPair;
use crate::store::Store;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// When the tests begin, in milliseconds since 1970.
pub(super) const BEGIN: u64 = 1_800_000_000_000;

/// A user's state directory, with a clock of its own.
pub(super) struct Home {
    dir: PathBuf,
    me: Arc<KeyPair>,
    millis: Arc<AtomicU64>,
}

impl Home {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("keywire-chat-{}-{count}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Home { dir, me: Arc::new(KeyPair::generate().unwrap()), millis: Arc::new(AtomicU64::new(BEGIN)) }
    }

    /// The same directory under another identity.
    pub(super) fn taken_over(&self) -> Chat {
        self.open(Arc::new(KeyPair::generate().unwrap()))
    }

    pub(super) fn chat(&self) -> Chat {
        self.open(self.me.clone())
    }

    fn open(&self, me: Arc<KeyPair>) -> Chat {
        let millis = self.millis.clone();
        let clock: Clock =
            Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_millis(millis.load(Ordering::Relaxed)));
        Chat::open(self.store(), me, clock).unwrap()
    }

    pub(super) fn store(&self) -> Store {
        Store::at(&self.dir)
    }

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// Lets time pass.
    pub(super) fn wait(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn the_conversations_on_disk_are_those_with_a_directory_of_a_key() {
    let home = Home::new();
    assert!(home.chat().peers().unwrap().is_empty());
    let mut keys: Vec<_> = (0..5).map(|_| KeyPair::generate().unwrap().public()).collect();
    let chat = home.store().below(CHAT_DIR).unwrap();
    for name in keys.iter().map(ToString::to_string).chain(["kw1x".to_owned(), "tmp".to_owned()]) {
        chat.below(&name).unwrap();
    }
    keys.sort_by_key(ToString::to_string);
    assert_eq!(home.chat().peers().unwrap(), keys);
}

#[test]
fn a_directory_of_conversations_that_is_a_link_is_refused() {
    let home = Home::new();
    let elsewhere = Home::new();
    std::os::unix::fs::symlink(elsewhere.path(), home.path().join(CHAT_DIR)).unwrap();
    assert!(home.chat().peers().unwrap_err().to_string().ends_with("is not a directory of its own"));
}
