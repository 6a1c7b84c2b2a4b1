//! State: flat JSON files in one directory, changed in one way only.
//!
//! A change takes the directory's lock, reads, changes, writes a temporary file, syncs it, renames it over the old one
//! and syncs the directory; only then has it happened. Whatever fails before the rename leaves the old file as it was.
//! The lock is a file of its own that is never renamed or deleted: a lock on the JSON file itself would be lost with the
//! first rename over it. See keywire-files(5).

use crate::error::{Error, Result};
use crate::json;
use crate::term::sanitize_line;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The version of every state file's format.
pub const STATE_VERSION: u32 = 1;

/// Largest state file that is read: an address book of some 40,000 peers. Anything larger is not ours.
pub const MAX_STATE_LEN: usize = 16 << 20;

/// The lock of a directory.
const LOCK: &str = ".lock";

/// Who may read a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Holds a secret: refused when anyone but its owner may read it.
    Secret,
    /// Holds no secret, but decides who may do what: refused when anyone but its owner may write it.
    Plain,
}

/// The contents of one state file; its first field is `version`, a [`Version`].
pub trait State: Serialize + DeserializeOwned {
    /// What may be found in the file.
    const PRIVACY: Privacy;
    /// Refuses contents that JSON can express but that make no sense, such as a name that stands twice.
    ///
    /// # Errors
    /// The reason, for the person who edited the file.
    fn check(&self) -> std::result::Result<(), String> {
        Ok(())
    }
}

/// The field `version` that every state file starts with: [`STATE_VERSION`], and nothing else can be read into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
        out.serialize_u32(STATE_VERSION)
    }
}

impl<'de> serde::Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        match u32::deserialize(from)? {
            STATE_VERSION => Ok(Version),
            other => Err(serde::de::Error::custom(format!("version {other} is not known"))),
        }
    }
}

/// A directory of state files.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The state of this user: `$KEYWIRE_HOME`, else `~/.keywire`; made with mode 0700 if it is not there.
    ///
    /// # Errors
    /// No home directory; or a directory that is a symbolic link, belongs to somebody else, or is writable by others.
    pub fn home() -> Result<Self> {
        let dir = match std::env::var_os("KEYWIRE_HOME") {
            Some(dir) if !dir.is_empty() => PathBuf::from(dir),
            _ => std::env::home_dir()
                .filter(|home| !home.as_os_str().is_empty())
                .ok_or_else(|| Error::state("no home directory").hint("set KEYWIRE_HOME to a directory of yours"))?
                .join(".keywire"),
        };
        let store = Store { dir };
        store.make()?;
        Ok(store)
    }

    /// The directory `name` in this one; made with mode 0700 if it is not there.
    ///
    /// # Errors
    /// As [`Store::home`].
    pub fn below(&self, name: &str) -> Result<Self> {
        let store = Store { dir: self.path(name) };
        store.make()?;
        Ok(store)
    }

    /// The directory `name` in this one, if it is there.
    ///
    /// # Errors
    /// As [`Store::home`].
    pub fn look_below(&self, name: &str) -> Result<Option<Self>> {
        let store = Store { dir: self.path(name) };
        match std::fs::symlink_metadata(&store.dir) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => store.inspect().map(|()| Some(store)),
        }
    }

    pub(crate) fn make(&self) -> Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Ok(()) => sync_parent(&self.dir)?,
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(Error::file("create", &self.dir, &cause)),
        }
        self.inspect()
    }

    /// Refuses a directory that is not ours alone.
    fn inspect(&self) -> Result<()> {
        let found = std::fs::symlink_metadata(&self.dir).map_err(|cause| Error::file("look at", &self.dir, &cause))?;
        if !found.is_dir() {
            return Err(Error::state(format!("{} is not a directory of its own", self.dir.display()))
                .hint("a symbolic link is not followed there: put the directory itself in its place"));
        }
        owned(&self.dir, &found, 0o022)
    }

    /// The directory `dir` as it is, for a state file that the user keeps elsewhere.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Store { dir: if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir.to_owned() } }
    }

    /// Where the file `name` lies.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads the file `name`; `None` if there is none.
    ///
    /// # Errors
    /// A file that is empty, too large, not JSON of the right shape, of a newer version, a symbolic link, somebody
    /// else's, or open to others. None of these is ever taken for "no file".
    pub fn read<T: State>(&self, name: &str) -> Result<Option<T>> {
        let path = self.path(name);
        let file = match OpenOptions::new().read(true).custom_flags(nofollow()).open(&path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cannot_open(&path, &cause)),
        };
        let found = file.metadata().map_err(|cause| Error::file("look at", &path, &cause))?;
        if !found.is_file() {
            return Err(Error::state(format!("{} is not a regular file", path.display())));
        }
        owned(&path, &found, if T::PRIVACY == Privacy::Secret { 0o077 } else { 0o022 })?;
        let mut bytes = Vec::new();
        file.take(u64::try_from(MAX_STATE_LEN).unwrap_or(u64::MAX) + 1)
            .read_to_end(&mut bytes)
            .map_err(|cause| Error::file("read", &path, &cause))?;
        decode(&path, &bytes).map(Some)
    }

    /// Changes the file `name`, or makes it: `change` gets what is there, and what it leaves is written if it says yes.
    ///
    /// # Errors
    /// Those of [`Store::read`], whatever `change` returns, and those of writing. After any of them the file is as it was.
    pub fn update<T: State, R>(&self, name: &str, change: impl FnOnce(&mut Option<T>) -> Result<R>) -> Result<R> {
        let unchanged = |error: Error| error.hint("nothing was changed");
        let _lock = self.lock().map_err(unchanged)?;
        let mut state = self.read(name).map_err(unchanged)?;
        let answer = change(&mut state)?;
        if let Some(contents) = state {
            self.write(name, &contents).map_err(unchanged)?;
            self.settle(name)?;
        }
        Ok(answer)
    }

    /// Takes the lock file `name` for as long as the file lives, and writes into it whose it is; `None` if another process
    /// has it.
    pub(crate) fn hold(&self, name: &str) -> Result<Option<File>> {
        let path = self.path(name);
        let mut file = open_lock(&path)?;
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => {}
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(cause) => return Err(Error::file("lock", &path, &cause)),
        }
        let written = file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        written.map_err(|cause| Error::file("write", &path, &cause))?;
        Ok(Some(file))
    }

    /// Whether a process has the lock file `name`.
    pub(crate) fn is_held(&self, name: &str) -> Result<bool> {
        let path = self.path(name);
        match File::open(&path) {
            Ok(file) => match fs2::FileExt::try_lock_shared(&file) {
                Ok(()) => Ok(false),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => Ok(true),
                Err(cause) => Err(Error::file("lock", &path, &cause)),
            },
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(cannot_open(&path, &cause)),
        }
    }

    /// The number of the process that has, or had, the lock file `name`.
    pub(crate) fn holder(&self, name: &str) -> Option<u32> {
        let mut text = String::new();
        File::open(self.path(name)).ok()?.take(32).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }

    /// Waits for the lock of this directory; it is held until the file is dropped.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.path(LOCK);
        loop {
            let file = open_lock(&path)?;
            let ours = file.metadata().map_err(|cause| Error::file("look at", &path, &cause))?;
            // Fully qualified: the standard library's methods of similar names would shadow fs2's.
            fs2::FileExt::lock_exclusive(&file).map_err(|cause| Error::file("lock", &path, &cause))?;
            // Somebody who tidied up while we waited has left us the lock of a file that others no longer see.
            match std::fs::symlink_metadata(&path) {
                Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => return Ok(file),
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("look at", &path, &cause));
                }
                _ => {}
            }
        }
    }

    /// Writes the file `name` under the lock that the caller holds. [`Store::settle`] must follow; after an error here, the
    /// file is as it was.
    pub(crate) fn write<T: State>(&self, name: &str, contents: &T) -> Result<()> {
        let text = encode(&self.path(name), contents)?;
        self.replace(name, |file| file.write_all(text.as_bytes()))
    }

    /// Puts what `fill` writes in the place of the file `name`, wholly or not at all. The lock must be held: it makes the temporary
    /// file ours alone, and one that is already there the remains of a process that died.
    pub(crate) fn replace(&self, name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
        let path = self.path(name);
        let temporary = self.path(&format!(".{name}.tmp"));
        match std::fs::remove_file(&temporary) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &temporary, &cause));
            }
            _ => {}
        }
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(nofollow())
            .open(&temporary)
            .and_then(|mut file| {
                fill(&mut file)?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&temporary, &path));
        if let Err(cause) = written {
            // The old state stands. What cannot be removed now is removed by the next change.
            let _ = std::fs::remove_file(&temporary);
            return Err(Error::file("write", &path, &cause));
        }
        Ok(())
    }

    /// Makes the new entry of the file `name` survive a loss of power. If that fails it is too late to say that nothing was
    /// changed: everybody reads the new file already.
    pub(crate) fn settle(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        sync_parent(&path).map_err(|error| {
            Error::state(format!("{} was changed, but a loss of power may undo it: {error}", path.display()))
        })
    }
}

fn open_lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nofollow())
        .open(path)
        .map_err(|cause| cannot_open(path, &cause))?;
    match file.metadata() {
        Ok(found) if found.is_file() => Ok(file),
        Ok(_) => Err(Error::state(format!("{} is not a regular file", path.display()))),
        Err(cause) => Err(Error::file("look at", path, &cause)),
    }
}

/// Writes the contents of a state file, and nothing that [`decode`] would refuse.
fn encode<T: State>(path: &Path, contents: &T) -> Result<String> {
    contents.check().map_err(|why| Error::state(format!("{} cannot be written: {why}", path.display())))?;
    let text = json::pretty(contents)?;
    if text.len() > MAX_STATE_LEN {
        return Err(Error::state(format!("{} would grow beyond {} MiB", path.display(), MAX_STATE_LEN >> 20)));
    }
    Ok(text)
}

/// Parses the bytes of a state file.
fn decode<T: State>(path: &Path, bytes: &[u8]) -> Result<T> {
    /// Only the version: a newer format may hold anything else.
    #[derive(serde::Deserialize)]
    struct Head {
        version: u32,
    }
    let broken = |why: String| {
        Error::state(format!("{} cannot be used: {why}", path.display()))
            .hint("mend it, put back a copy, or move it away to start anew")
    };
    // The parser repeats what it stumbles over, which may be a secret that was put in the wrong place.
    let misread = |why: String| match (T::PRIVACY, why.rfind(" at line ")) {
        (Privacy::Plain, _) => broken(sanitize_line(&why)),
        (Privacy::Secret, Some(at)) => broken(format!("it is damaged{}", why.split_at(at).1)),
        (Privacy::Secret, None) => broken("it is damaged".to_owned()),
    };
    if bytes.is_empty() {
        return Err(broken("it is empty".to_owned()));
    }
    if bytes.len() > MAX_STATE_LEN {
        return Err(broken(format!("it is larger than {} MiB", MAX_STATE_LEN >> 20)));
    }
    let Head { version } = json::parse(bytes, MAX_STATE_LEN).map_err(misread)?;
    if version > STATE_VERSION {
        return Err(Error::state(format!(
            "{} has version {version} of its format; this program knows version {STATE_VERSION}",
            path.display()
        ))
        .hint("use the newer keywire that wrote it"));
    }
    let contents: T = json::parse(bytes, MAX_STATE_LEN).map_err(misread)?;
    contents.check().map_err(broken)?;
    Ok(contents)
}

/// Refuses what is not ours alone: another owner, or any of the permission bits `forbidden`.
pub(crate) fn owned(path: &Path, found: &std::fs::Metadata, forbidden: u32) -> Result<()> {
    let shown = path.display();
    if found.uid() != nix::unistd::geteuid().as_raw() {
        return Err(Error::state(format!("{shown} belongs to another user"))
            .hint(format!("make it yours: chown \"$USER\" {shown}")));
    }
    let mode = found.mode() & 0o7777;
    if mode & forbidden != 0 {
        let may = if mode & forbidden & 0o022 != 0 { "write" } else { "read" };
        return Err(Error::state(format!("others may {may} {shown} (its mode is {mode:04o})"))
            .hint(format!("take that away: chmod go= {shown}")));
    }
    Ok(())
}

pub(crate) fn cannot_open(path: &Path, cause: &io::Error) -> Error {
    if cause.raw_os_error() == Some(nix::libc::ELOOP) {
        return Error::state(format!("{} is a symbolic link, which is not followed for state", path.display()));
    }
    Error::file("open", path, cause)
}

/// Syncs the directory that holds `path`, so that its entry survives a loss of power.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(|cause| Error::file("sync", parent, &cause))
}

/// Neither follow a symbolic link nor wait for a FIFO's other end.
pub(crate) fn nofollow() -> i32 {
    nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK
}
