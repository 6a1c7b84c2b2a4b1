//! Signals to this process.

use keywire::error::{Error, Result, reason};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What this process was told.
pub(crate) enum Signalled {
    /// The terminal has another size.
    Resized,
    /// Ctrl-C, where the terminal is not ours.
    Interrupted,
    /// To end.
    Ended,
}

/// The signals that a session heeds.
pub(crate) struct Signals {
    resized: Signal,
    interrupted: Signal,
    ended: Signal,
    hung_up: Signal,
    /// Whether an interrupt is heeded: a shell lets its jobs in the background ignore it.
    heed_interrupt: bool,
    /// Whether a hangup is heeded: nohup lets it be ignored.
    heed_hangup: bool,
}

impl Signals {
    pub(crate) fn new() -> Result<Self> {
        let wait =
            |kind| signal(kind).map_err(|cause| Error::state(format!("cannot wait for signals: {}", reason(&cause))));
        let heed = |kind: SignalKind| !keywire::sys::is_ignored(kind.as_raw_value());
        let (heed_interrupt, heed_hangup) = (heed(SignalKind::interrupt()), heed(SignalKind::hangup()));
        Ok(Signals {
            heed_interrupt,
            heed_hangup,
            resized: wait(SignalKind::window_change())?,
            interrupted: wait(SignalKind::interrupt())?,
            ended: wait(SignalKind::terminate())?,
            hung_up: wait(SignalKind::hangup())?,
        })
    }

    /// The next one. Losing the future loses none.
    pub(crate) async fn next(&mut self) -> Signalled {
        tokio::select! {
            _ = self.resized.recv() => Signalled::Resized,
            _ = self.interrupted.recv(), if self.heed_interrupt => Signalled::Interrupted,
            _ = self.ended.recv() => Signalled::Ended,
            _ = self.hung_up.recv(), if self.heed_hangup => Signalled::Ended,
        }
    }
}
