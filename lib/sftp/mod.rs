//! A server of the SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02), with the extensions of OpenSSH
//! that clients use: what scp, sftp, sshfs and others talk to.
//!
//! Names are bytes and stay what they are. A client gets nothing but what is below its root, and does nothing that its
//! [`Rights`] do not give. Its requests are answered in the order they come, by one thread.

mod attributes;
mod handles;
mod listing;
mod owners;
mod packet;
mod reply;
mod server;
mod stream;

pub use attributes::Attributes;
pub use handles::MAX_HANDLES;
pub use packet::{OpenFlags, Request};
pub use server::Server;
pub use stream::{Input, MAX_PACKET_LEN};

use crate::error::Error;

/// The version of the protocol.
pub const VERSION: u32 = 3;

/// Longest piece of a file in one request or reply: a packet with room for what stands around it.
pub const MAX_DATA_LEN: usize = MAX_PACKET_LEN - 1024;

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
