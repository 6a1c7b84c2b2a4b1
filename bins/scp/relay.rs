//! From one host to another.
use crate::dialer::Link;
use keywire::copy::Watch;
use keywire::error::Error;
use keywire::proto::copy::{Request, Way};

pub(crate) fn relay(
    here: Link,
    there: Link,
    asked: &[Vec<u8>],
    wishes: &Request,
    watch: Watch<'_>,
) -> Result<(), (Way, Error)> {
    let _ = (here, there, asked, wishes, watch);
    Err((Way::FromHost, Error::state("not yet")))
}
