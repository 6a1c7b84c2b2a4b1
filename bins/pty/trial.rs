//! `kw-pty --try`: a host on this machine under a key made for the moment, and a real connection to it. Nothing is read
//! from the state directory, and nothing is left behind.

use crate::client::Client;
use crate::left::Left;
use crate::plan::Plan;
use keywire::conn::{DialOptions, ListenOptions, Listener, dial};
use keywire::error::Result;
use keywire::host::{self, Account, Event, Keeper};
use keywire::key::{KeyPair, PublicKey};
use keywire::proto::pty::PTY;
use keywire::trust::{Allowlist, Grant, Right};
use std::ffi::OsString;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::oneshot;

/// Opens the door to the one key, and keeps no log.
struct Door(Allowlist);

impl Keeper for Door {
    fn grant(&self, key: &PublicKey, right: Right) -> Result<Grant> {
        self.0.grant(key, right, SystemTime::now())
    }

    fn has_changed(&self) -> bool {
        false
    }

    fn subsystem(&self, _: &str, _: &Grant) -> Option<Vec<OsString>> {
        None
    }

    fn note(&self, _: &Event<'_>) {}
}

/// Runs both ends in this process.
pub(crate) fn run(plan: Plan) -> Result<Left> {
    let (me, them) = (KeyPair::generate()?, Arc::new(KeyPair::generate()?));
    let mut allowed = Allowlist::default();
    allowed.rule_mut(me.public()).rights.insert(Right::Shell);
    let account = Account::own()?;
    keywire::cli::block_on_all(async {
        let listener = Listener::bind(them, &"127.0.0.1:0".parse()?, PTY, ListenOptions::default()).await?;
        let address = listener.address()?;
        let (stop, stopped) = oneshot::channel();
        let host = tokio::spawn(host::serve(listener, account, Arc::new(Door(allowed)), async {
            let _ = stopped.await;
        }));
        let connection = dial(&me, &address, PTY, &plan.request.encode()?, DialOptions::default()).await?;
        let left = Client::new(connection, plan)?.run().await;
        let _ = stop.send(());
        // What the host says at its end was said by the session before.
        let _ = host.await;
        left
    })
}
