//! The copy engine: [`send()`] reads files and streams them, [`receive()`] writes what comes. kw-scp has one of them and the host
//! the other, whichever way the files go. keywire-protocol(7), COPY.
//!
//! Both block: each runs on a thread of its own and moves large pieces between files and a bulk connection.

mod glob;
mod place;
mod receive;
mod send;
mod tops;

pub use glob::{is_pattern, matches};
pub use place::Place;
pub use receive::{Target, receive};
pub use send::{Selection, send};
pub use tops::Tops;

use crate::root::Kind;

/// What happens in a copy, for whoever watches it. A path is the sender's: as it was named there, and below that.
#[derive(Debug)]
pub enum Event<'a> {
    /// An item is under way, of so many bytes if that is known.
    Began {
        /// Which.
        path: &'a [u8],
        /// A file, directory or link.
        kind: Kind,
        /// Bytes of a file.
        size: Option<u64>,
    },
    /// So many more bytes of the file that is under way were read or written. Those that were there already count.
    Moved(u64),
    /// An item is where it belongs.
    Stored {
        /// Which.
        path: &'a [u8],
        /// A file, directory or link.
        kind: Kind,
        /// Bytes of a file.
        size: u64,
    },
    /// Something is not copied as it should be.
    Failed {
        /// What.
        path: &'a [u8],
        /// Why, in words that may be the other side's: not for a terminal as they are.
        why: &'a str,
    },
    /// The transfer ended inside a file: what of it has come is kept, and `resume` goes on from there.
    Kept {
        /// Which.
        path: &'a [u8],
    },
    /// How much there is in all.
    Total {
        /// Files.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
}

/// How a copy ended that came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Items that are where they belong.
    pub stored: u64,
    /// Things that were said to have failed.
    pub failed: u64,
}

/// Takes note of what happens.
pub type Watch<'a> = &'a mut dyn FnMut(Event<'_>);
