//! Control: how a one-shot call reaches the service that runs already, so that the two never fight over the same state.
//!
//! A Unix socket in a directory of state, one JSON object a line in each direction. Who runs holds a lock beside the socket;
//! the socket of one that died is replaced. See keywire-files(5).

use crate::error::{Error, Result};
use crate::store::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The running service's end.
pub struct Server {}

/// One call, at either end.
pub struct Call {}

impl Server {
    /// Becomes the service of the directory `store`: takes the lock `.NAME.lock` and listens at `NAME.sock`, which only its
    /// owner may open.
    ///
    /// # Errors
    /// Another process is it already; the directory cannot be written.
    pub fn bind(store: &Store, name: &str) -> Result<Self> {
        let _ = (store, name);
        Err(Error::state("not built"))
    }

    /// The next call of a process of our own user; calls of others are dropped. Losing the future loses no call.
    ///
    /// # Errors
    /// The socket is gone.
    pub async fn accept(&self) -> Result<Call> {
        Err(Error::state("not built"))
    }
}

impl Call {
    /// Calls the service of the directory `store`; `None` if none runs.
    ///
    /// # Errors
    /// One runs and does not take the call within a few seconds.
    pub async fn dial(store: &Store, name: &str) -> Result<Option<Self>> {
        let _ = (store, name);
        Ok(None)
    }

    /// Says one thing.
    ///
    /// # Errors
    /// The other end is gone.
    pub async fn send<T: Serialize + Sync>(&mut self, what: &T) -> Result<()> {
        let _ = what;
        Err(Error::state("not built"))
    }

    /// What the other end says next; `None` when it has said everything. Losing the future loses nothing.
    ///
    /// # Errors
    /// A line too long, or that is not what was expected.
    pub async fn recv<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        Err(Error::state("not built"))
    }
}
