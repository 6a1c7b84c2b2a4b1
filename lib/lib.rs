//! An encrypted TCP connection between two public keys, and what the keywire programs share on top of it.
//!
//! The modules stand bottom up: **a module uses only modules listed above it**, the programs under `bins/` use the
//! library, and nothing uses the programs. `tests/layers.rs` holds that, and that each outside crate has one door.
//!
//! # An echo service
//!
//! Both ends of a connection: a listener that lets one key in and sends a record back, and the dialer.
//!
//! ```
//! use keywire::conn::{DialOptions, ListenOptions, Listener, dial};
//! use keywire::key::KeyPair;
//! use keywire::proto::pipe::{DATA, PIPE};
//! use keywire::trust::{Allowlist, Right};
//! use std::time::SystemTime;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> keywire::error::Result<()> {
//! let (host, guest) = (KeyPair::generate()?, KeyPair::generate()?);
//! let mut allowlist = Allowlist::default();
//! allowlist.rule_mut(guest.public()).rights.insert(Right::Pipe);
//!
//! let mut listener = Listener::bind(host.into(), &"127.0.0.1:0".parse()?, PIPE, ListenOptions::default()).await?;
//! let address = listener.address()?; // KEY@127.0.0.1:PORT
//! let echo = async {
//!     let incoming = listener.accept().await?; // its key is proven, and it has no right to anything yet
//!     let grant = allowlist.grant(&incoming.peer(), Right::Pipe, SystemTime::now())?;
//!     let (mut sender, mut receiver) = incoming.authorize(&grant)?.split();
//!     while let Some(record) = receiver.recv().await? {
//!         sender.send(record.kind, &[record.body]).await?;
//!     }
//!     sender.close().await
//! };
//! let ask = async {
//!     let connection = dial(&guest, &address, PIPE, b"{}", DialOptions::default()).await?;
//!     assert_eq!(connection.peer(), address.key);
//!     let (mut sender, mut receiver) = connection.split();
//!     sender.send(DATA, &[b"hello"]).await?;
//!     assert_eq!(receiver.recv().await?.map(|record| record.body), Some(&b"hello"[..]));
//!     sender.close().await?;
//!     assert!(receiver.recv().await?.is_none()); // closed in good order: nothing is missing
//!     Ok(())
//! };
//! tokio::try_join!(echo, ask)?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions,)
)]

pub mod error;
pub mod random;
pub mod sys;
pub mod threads;
pub mod patient;
pub mod term;
pub mod qr;
pub mod table;
pub mod unit;
pub mod modes;
pub mod root;
pub mod kdf;
pub mod key;
#[cfg(test)]
pub mod dice;
#[cfg(test)]
pub mod scratch;
pub mod sign;
pub mod fingerprint;
pub mod picture;
pub mod addr;
pub mod frame;
pub mod sftp;
pub mod json;
pub mod store;
pub mod log;
pub mod seal;
pub mod record;
pub mod noise;
pub mod handshake;
pub mod identity;
pub mod trust;
pub mod conn;
pub mod proto;
pub mod copy;
pub mod control;
pub mod talk;
pub mod hook;
pub mod ratchet;
pub mod pair;
pub mod chat;
pub mod group;
pub mod inbox;
pub mod host;
pub mod cli;
pub mod text;
