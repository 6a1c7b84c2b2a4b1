//! The receiver: writes what comes, and trusts nothing of it.

use super::{Outcome, Place, Watch};
use crate::conn::{BulkReceiver, BulkSender};
use crate::error::{Error, Result};
use crate::proto::copy::Request;

/// Where a receiver puts what comes.
#[derive(Debug)]
pub enum Target<'a> {
    /// At this path of the place, by the rules of scp.
    Path(&'a Place, &'a [u8]),
    /// The contents of all files go to standard output, one after the other.
    Stdout,
}

/// Receives, up to the sender's END. Both directions are closed then. `asked` are the sources that the sender was asked for:
/// nothing else is taken. Without it any name will do: it is the dialer's own choice.
///
/// # Errors
/// The connection, or the other side, does not let the copy come to its end. A file that cannot be stored is no error: it is
/// told to `watch` and to the sender, counted, and the rest goes on.
pub fn receive(
    target: &Target<'_>,
    asked: Option<&[Vec<u8>]>,
    wishes: &Request,
    out: BulkSender,
    incoming: BulkReceiver,
    watch: Watch<'_>,
) -> Result<Outcome> {
    let _ = (target, asked, wishes, out, incoming, watch);
    Err(Error::state("not yet"))
}
