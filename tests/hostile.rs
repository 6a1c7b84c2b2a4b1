//! Hostile bytes: at every decoder of the library, in the handshake, in the records and in the time between them.

pub mod chat;
mod copy;
mod decoders;
mod files;
mod flood;
pub mod group;
mod handshake;
pub mod inbox;
mod life;
mod records;
mod sftp;

use crate::peer::Peer;
use keywire::addr::PeerAddr;
use keywire::conn::{Connection, ListenOptions, Listener, Service};
use keywire::error::Result;
use keywire::key::KeyPair;
use keywire::proto::pipe::PIPE;
use keywire::trust::{Allowlist, Right};
use std::sync::Arc;
use std::time::SystemTime;

/// Small random numbers for choices; the seed of a run is printed, and with it the run can be repeated.
pub struct Dice(u64);

impl Dice {
    pub fn new(test: &str) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let seed = std::env::var("KEYWIRE_SEED").map_or(now.as_nanos() as u64 | 1, |seed| seed.parse().unwrap());
        eprintln!("{test}: KEYWIRE_SEED={seed}");
        Dice(seed)
    }

    /// The numbers that belong to `seed`, which is not 0.
    pub fn seeded(seed: u64) -> Self {
        Dice(seed)
    }

    pub fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.roll(256) as u8).collect()
    }

    /// Nothing but noise, or `good` with some bytes changed, taken out or put in.
    pub fn spoil(&mut self, good: &[u8]) -> Vec<u8> {
        if self.roll(4) == 0 {
            let length = self.roll(good.len() * 2 + 2);
            return self.bytes(length);
        }
        let mut bytes = good.to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(bytes.len() + 1);
            match self.roll(4) {
                0 => bytes.insert(at, self.roll(256) as u8),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] ^= 1 << self.roll(8),
                _ => {}
            }
        }
        bytes
    }
}

/// Every truncation of `good`, and every change of a single byte.
pub fn near(good: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let truncated = (0..good.len()).map(|length| good[..length].to_vec());
    let changed = (0..good.len()).flat_map(move |at| {
        (1..=255).map(move |flip| {
            let mut bytes = good.to_vec();
            bytes[at] ^= flip;
            bytes
        })
    });
    truncated.chain(changed)
}

/// A runtime for the library's side of a test.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A listener of the library for the service pipe.
pub async fn listening(options: ListenOptions) -> (Listener, PeerAddr) {
    listening_for(PIPE, options).await
}

pub async fn listening_for(service: Service, options: ListenOptions) -> (Listener, PeerAddr) {
    let me = Arc::new(KeyPair::generate().unwrap());
    let listener = Listener::bind(me, &"127.0.0.1:0".parse().unwrap(), service, options).await.unwrap();
    let address = listener.address().unwrap();
    (listener, address)
}

/// Lets in whoever comes next.
pub async fn let_in(listener: &mut Listener) -> Result<Connection> {
    let incoming = listener.accept().await?;
    let mut allowlist = Allowlist::default();
    allowlist.rule_mut(incoming.peer()).rights.insert(Right::Pipe);
    let grant = allowlist.grant(&incoming.peer(), Right::Pipe, SystemTime::now())?;
    incoming.authorize(&grant)
}

/// A connection of the library whose other end says what the test wants.
pub async fn with_hostile_peer(options: ListenOptions) -> (Connection, Peer) {
    let (mut listener, to) = listening(options).await;
    let dialed = tokio::task::spawn_blocking(move || Peer::dial(&KeyPair::generate().unwrap(), &to, PIPE.name));
    let connection = let_in(&mut listener).await.unwrap();
    (connection, dialed.await.unwrap())
}
