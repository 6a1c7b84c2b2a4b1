//! The sender: reads what was named and streams it.

use super::{Outcome, Place, Watch};
use crate::conn::{BulkReceiver, BulkSender};
use crate::error::{Error, Result};
use crate::proto::copy::Request;

/// What a sender is to send.
#[derive(Debug)]
pub struct Selection {
    /// Where it is found.
    pub place: Place,
    /// Paths, or patterns if [`Selection::globs`] is set.
    pub sources: Vec<Vec<u8>>,
    /// Whether `*`, `?` and `[` in a source stand for more than themselves.
    pub globs: bool,
    /// Patterns of what is left out.
    pub excludes: Vec<Vec<u8>>,
    /// In place of any file: standard input.
    pub stdin: bool,
}

/// Sends what is selected, and listens to what becomes of it, up to the receiver's DONE. Both directions are closed then.
///
/// # Errors
/// The connection, or the other side, does not let the copy come to its end. A file that cannot be copied is no error: it is
/// told to `watch`, counted, and the rest goes on.
pub fn send(
    selection: &Selection,
    wishes: &Request,
    out: BulkSender,
    reports: BulkReceiver,
    watch: Watch<'_>,
) -> Result<Outcome> {
    let _ = (selection, wishes, out, reports, watch);
    Err(Error::state("not yet"))
}
