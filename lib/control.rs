//! Control: how a one-shot call reaches the service that runs already, so that the two never fight over the same state.
//!
//! A Unix socket in a directory of state, one JSON object a line in each direction. Who runs holds a lock beside the socket;
//! the socket of one that died is replaced. See keywire-files(5).

use crate::error::{Error, Result, reason};
use crate::json;
use crate::store::{Store, nofollow};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout_at};

/// Longest line, in bytes: the longest text of a message, each of its bytes as an escape, and room for the rest.
const MAX_LINE_LEN: usize = 1 << 20;

/// How long a service may take to answer a call: one that is stopped answers never.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before something is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// How often the lock is tried: a caller that looks whether it is held holds it itself for a moment.
const TRIES: u32 = 25;

/// What the service says first, so that a caller knows that it is neither stopped nor on its way out.
const GREETING: &str = "\"ready\"\n";

/// The running service's end.
pub struct Server {
    listener: UnixListener,
    socket: PathBuf,
    /// Held until the socket is gone.
    _lock: File,
}

/// One call, at either end.
pub struct Call {
    sender: Sender,
    receiver: Receiver,
}

/// The half of a call that says.
pub struct Sender(OwnedWriteHalf);

/// The half of a call that hears.
pub struct Receiver {
    from: OwnedReadHalf,
    /// What came of lines that were not asked for yet.
    came: Vec<u8>,
    /// How many bytes of it hold no line end.
    searched: usize,
}

impl Server {
    /// Becomes the service of the directory `store`, which is made if it is not there: takes the lock `.NAME.lock` and listens
    /// at `NAME.sock`, which only its owner may open; `None` if another process is it already. It must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn bind(store: &Store, name: &str) -> Result<Option<Self>> {
        store.make()?;
        let Some(lock) = take_lock(store, name)? else { return Ok(None) };
        let socket = store.path(&socket_name(name));
        let dir = open_dir(store).map_err(|cause| Error::file("open", &store.path(""), &cause))?;
        // Made under another name, so that nobody finds it before its mode is right; what is there is of one that died.
        let staging_name = format!(".{}.new", socket_name(name));
        let staging = store.path(&staging_name);
        let bound = match std::fs::remove_file(&staging) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => UnixListener::bind(through(&dir, &staging_name)),
        };
        let listener = bound
            .and_then(|listener| {
                std::fs::set_permissions(&staging, Permissions::from_mode(0o600))?;
                std::fs::rename(&staging, &socket)?;
                Ok(listener)
            })
            .map_err(|cause| Error::file("listen at", &socket, &cause))?;
        Ok(Some(Server { listener, socket, _lock: lock }))
    }

    /// The next call of a process of our own user; calls of others are dropped. Losing the future loses no call.
    ///
    /// # Errors
    /// The socket is gone.
    pub async fn accept(&self) -> Result<Call> {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if let Some(call) = greeted(stream) {
                        return Ok(call);
                    }
                }
                // There is no descriptor for it now: others will end.
                Err(cause) if matches!(cause.raw_os_error(), Some(nix::libc::EMFILE | nix::libc::ENFILE)) => {
                    sleep(PAUSE).await;
                }
                Err(cause) if cause.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(cause) => return Err(Error::file("listen at", &self.socket, &cause)),
            }
        }
    }
}

impl Drop for Server {
    /// The lock is held still, so the socket is ours.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Call {
    /// Calls the service of the directory `store`; `None` if none runs.
    ///
    /// # Errors
    /// One runs and does not take the call within a few seconds.
    pub async fn dial(store: &Store, name: &str) -> Result<Option<Self>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let socket = store.path(&socket_name(name));
            match connect(store, name).await {
                Ok(stream) if !is_ours(&stream) => {
                    return Err(Error::state(format!("another user listens at {}", socket.display())));
                }
                Ok(stream) => {
                    let mut call = Call::of(stream);
                    // One that ends just now closes, and another may come.
                    if let Ok(Ok(Some::<String>(_))) = timeout_at(until, call.recv()).await {
                        return Ok(Some(call));
                    }
                }
                Err(cause) => match cause.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                        if !store.is_held(&lock_name(name))? {
                            return Ok(None);
                        }
                    }
                    // So many calls wait already; or the one that ended just now did not take this one.
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionReset => {}
                    _ => return Err(Error::file("reach", &socket, &cause)),
                },
            }
            if Instant::now() >= until {
                return Err(Error::state(format!("'{name}' does not answer{}", who(store, name)))
                    .hint("it may be stopped or overloaded; nothing was done"));
            }
            sleep(PAUSE).await;
        }
    }

    fn of(stream: UnixStream) -> Self {
        let (from, to) = stream.into_split();
        Call { sender: Sender(to), receiver: Receiver { from, came: Vec::new(), searched: 0 } }
    }

    /// Its two halves, so that neither direction waits for the other.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Says one thing.
    ///
    /// # Errors
    /// The other end is gone.
    pub async fn send<T: Serialize + Sync + ?Sized>(&mut self, what: &T) -> Result<()> {
        self.sender.send(what).await
    }

    /// What the other end says next; `None` when it has said everything. Losing the future loses nothing.
    ///
    /// # Errors
    /// A line too long, or that is not what was expected.
    pub async fn recv<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        self.receiver.recv().await
    }
}

impl Sender {
    /// Says one thing. Losing the future may leave the half of it said.
    ///
    /// # Errors
    /// The other end is gone, or it is longer than a line may be.
    pub async fn send<T: Serialize + Sync + ?Sized>(&mut self, what: &T) -> Result<()> {
        let mut line = json::line(what)?;
        line.push('\n');
        if line.len() > MAX_LINE_LEN {
            return Err(Error::state(format!("a line of {} bytes for a call; the most is {MAX_LINE_LEN}", line.len())));
        }
        self.0.write_all(line.as_bytes()).await.map_err(|cause| cut(&cause))
    }
}

impl Receiver {
    /// What the other end says next; `None` when it has said everything. Losing the future loses nothing.
    ///
    /// # Errors
    /// A line too long, without its end, or that is not what was expected.
    pub async fn recv<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(at) = self.came.iter().skip(self.searched).position(|byte| *byte == b'\n') {
                let rest = self.came.split_off(self.searched + at + 1);
                let line = std::mem::replace(&mut self.came, rest);
                self.searched = 0;
                return json::parse(&line, MAX_LINE_LEN)
                    .map(Some)
                    .map_err(|why| Error::state(format!("a call said what is not understood: {why}")));
            }
            self.searched = self.came.len();
            if self.searched >= MAX_LINE_LEN {
                return Err(Error::state(format!("a line of a call is longer than {MAX_LINE_LEN} bytes")));
            }
            match self.from.read_buf(&mut self.came).await {
                Ok(0) if self.came.is_empty() => return Ok(None),
                Ok(0) => return Err(Error::state("a call ended in the middle of a line")),
                Ok(_) => {}
                Err(cause) => return Err(cut(&cause)),
            }
        }
    }
}

/// A call that was answered; none if it is another user's, or gone.
fn greeted(stream: UnixStream) -> Option<Call> {
    if !is_ours(&stream) {
        return None;
    }
    // Nothing was written yet, so there is room, and nobody waits.
    let mut plain = stream.into_std().ok()?;
    plain.write_all(GREETING.as_bytes()).ok()?;
    UnixStream::from_std(plain).ok().map(Call::of)
}

fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == nix::unistd::geteuid().as_raw())
}

fn take_lock(store: &Store, name: &str) -> Result<Option<File>> {
    for _ in 0..TRIES {
        if let Some(lock) = store.hold(&lock_name(name))? {
            return Ok(Some(lock));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(None)
}

/// Another process is the service `name` of the directory `store`.
#[must_use]
pub fn runs_already(store: &Store, name: &str) -> Error {
    Error::state(format!("'{name}' runs already{}", who(store, name)))
}

/// The process that holds the lock, in words.
fn who(store: &Store, name: &str) -> String {
    store.holder(&lock_name(name)).map_or_else(String::new, |id| format!(", as process {id}"))
}

fn socket_name(name: &str) -> String {
    format!("{name}.sock")
}

fn lock_name(name: &str) -> String {
    format!(".{name}.lock")
}

async fn connect(store: &Store, name: &str) -> io::Result<UnixStream> {
    let dir = open_dir(store)?;
    UnixStream::connect(through(&dir, &socket_name(name))).await
}

fn open_dir(store: &Store) -> io::Result<File> {
    let flags = nofollow() | nix::libc::O_DIRECTORY;
    OpenOptions::new().read(true).custom_flags(flags).open(store.path(""))
}

/// The way to `name` in `dir` by its descriptor: the address of a socket has 107 bytes, and a state directory any number.
fn through(dir: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}

fn cut(cause: &io::Error) -> Error {
    Error::state(format!("a call was cut: {}", reason(cause)))
}

#[cfg(test)]
mod tests;
