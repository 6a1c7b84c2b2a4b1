//! An encrypted TCP connection between two public keys, and what the keywire programs share on top of it.
//!
//! The modules stand bottom up: **a module uses only modules listed above it**, the programs under `bins/` use the
//! library, and nothing uses the programs. `tests/layers.rs` holds that, and that each outside crate has one door.

pub mod addr;
pub mod cli;
pub mod conn;
pub mod error;
pub mod frame;
pub mod host;
pub mod identity;
pub mod json;
pub mod key;
pub mod noise;
pub mod proto;
pub mod record;
pub mod seal;
pub mod store;
pub mod sys;
pub mod term;
pub mod trust;
