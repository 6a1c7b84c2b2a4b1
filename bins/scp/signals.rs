//! Signals that end a copy. The first lets it end in good order, so that it can be said what is kept; a second one does not
//! wait for that.

use keywire::conn::Breaker;
use keywire::error::{Error, Result, reason};
use keywire::sys;
use nix::sys::signal::{SigSet, Signal, raise};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::signal::unix::SignalKind;

/// Takes the signals that end this process.
pub(crate) struct Signals(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    caught: Option<Signal>,
    /// Connections that are to end. Without any there is nothing to wait for.
    under_way: Vec<Breaker>,
}

impl Signals {
    /// Takes signals from now on. Call it before any thread starts, and when nobody is asked for anything any more.
    ///
    /// # Errors
    /// There can be no thread for it.
    pub(crate) fn catch() -> Result<Self> {
        let all = [
            (Signal::SIGINT, SignalKind::interrupt()),
            (Signal::SIGTERM, SignalKind::terminate()),
            (Signal::SIGHUP, SignalKind::hangup()),
        ];
        let mut signals = SigSet::empty();
        for (signal, kind) in all {
            // What nohup and shells have told us to ignore stays ignored.
            if !sys::is_ignored(kind.as_raw_value()) {
                signals.add(signal);
            }
        }
        let told = |cause: std::io::Error| Error::state(format!("cannot wait for signals: {}", reason(&cause)));
        // Threads that start later inherit it, so the signals find only the thread that waits for them.
        signals.thread_block().map_err(|cause| told(cause.into()))?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::Builder::new().spawn(move || wait(signals, &shared)).map_err(told)?;
        Ok(Signals(state))
    }

    /// From now on a signal cuts these connections.
    pub(crate) fn arm(&self, breakers: impl IntoIterator<Item = Breaker>) {
        let mut state = lock(&self.0);
        state.under_way.extend(breakers);
        if state.caught.is_some() {
            state.cut();
        }
    }

    /// From now on there is nothing to cut.
    pub(crate) fn disarm(&self) {
        lock(&self.0).under_way.clear();
    }

    /// The signal that came, if one did.
    pub(crate) fn caught(&self) -> Option<Signal> {
        lock(&self.0).caught
    }
}

impl State {
    fn cut(&self) {
        for breaker in &self.under_way {
            breaker.abandon("interrupted");
        }
    }
}

fn wait(signals: SigSet, state: &Mutex<State>) {
    while let Ok(signal) = signals.wait() {
        let mut state = lock(state);
        if state.under_way.is_empty() || state.caught.is_some() {
            end_by(signal);
        }
        state.caught = Some(signal);
        state.cut();
    }
}

/// Ends this process by `signal`, so that whoever waits for it sees why it ended; if that cannot be, with a failure.
pub(crate) fn end_by(signal: Signal) -> ExitCode {
    // Its action is the system's: nothing here ever had another.
    if SigSet::from(signal).thread_unblock().is_ok() {
        let _ = raise(signal);
    }
    ExitCode::FAILURE
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
