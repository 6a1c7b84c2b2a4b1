//! A server of the SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02), with the extensions of OpenSSH
//! that clients use: what scp, sftp, sshfs and others talk to.
//!
//! Names are bytes and stay what they are. The client gets nothing but what is below the [`Root`] it is given, and nothing
//! that its [`Rights`] do not give. It answers requests in the order they come, one process and one thread a client.

mod attributes;
mod handles;
mod listing;
mod packet;
mod reply;
mod server;
mod stream;

pub use attributes::Attributes;
pub use handles::MAX_HANDLES;
pub use packet::{INIT, OpenFlags, Request};
pub use reply::{Code, Replies};
pub use stream::{Input, MAX_PACKET_LEN, Patient};

use crate::error::{Error, Result, reason};
use crate::root::{Links, RelPath, Root};
use server::Server;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The version of the protocol.
pub const VERSION: u32 = 3;

/// Longest piece of a file in one request or reply: a packet with room for what stands around it.
pub const MAX_DATA_LEN: usize = MAX_PACKET_LEN - 1024;

/// What a client is given.
#[derive(Debug)]
pub struct Service {
    root: Root,
    /// Where its relative paths begin.
    start: RelPath,
    home: RelPath,
    rights: Rights,
}

impl Service {
    /// Everything that this process can reach, from its working directory on; or only what is below `jail`, which then looks
    /// like all there is.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn new(jail: Option<&Path>, rights: Rights) -> Result<Self> {
        let top = jail.unwrap_or(Path::new("/"));
        let failed = |cause| Error::file("serve", top, &cause);
        let root = Root::open(top, Links::Followed).map_err(failed)?;
        if jail.is_some() {
            return Ok(Service { root, start: RelPath::top(), home: RelPath::top(), rights });
        }
        let start = std::env::current_dir().unwrap_or_else(|_| top.to_owned());
        let home = std::env::home_dir().unwrap_or_else(|| start.clone());
        let [start, home] = [start, home].map(|path| RelPath::top().join(path.as_os_str().as_bytes()));
        Ok(Service { root, start: start.map_err(failed)?, home: home.map_err(failed)?, rights })
    }

    /// Serves the client on standard input and output until it ends its requests.
    ///
    /// # Errors
    /// Those of [`Service::serve`], and no such streams.
    pub fn serve_standard_streams(self) -> Result<()> {
        let own = |stream: BorrowedFd<'_>| stream.try_clone_to_owned().map(|stream| Patient(File::from(stream)));
        let failed = |cause| Error::state(format!("sftp: no standard input and output: {}", reason(&cause)));
        let input = own(std::io::stdin().as_fd()).map_err(failed)?;
        let output = own(std::io::stdout().as_fd()).map_err(failed)?;
        self.serve(input, output)
    }

    /// Serves the client whose requests come from `input` until it ends them.
    ///
    /// # Errors
    /// A client that breaks the protocol, and a stream that fails.
    pub fn serve(self, input: impl Read, output: impl Write) -> Result<()> {
        let mut input = Input::new(input);
        let mut replies = Replies::new(output);
        let mut server = Server::new(self);
        loop {
            while let Some(packet) = input.packet()? {
                server.answer(packet, &mut replies)?;
            }
            // The client waits for these before it says more.
            replies.flush()?;
            if !input.fill()? {
                return Ok(());
            }
        }
    }
}

/// What a client may do, beside asking what there is and what it is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Read files, links and the names in a directory.
    pub read: bool,
    /// Change anything.
    pub write: bool,
}

/// A client that does what the protocol forbids; there is no going on with it.
fn broken(what: impl std::fmt::Display) -> Error {
    Error::no(format!("sftp: the client broke the protocol: {what}"))
}
