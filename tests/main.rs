//! All tests that need a process, a socket or a file: one module a program, and one for what crosses them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    unreachable_pub
)]

mod camera;
mod chat;
mod dropin;
mod group;
mod hostile;
mod inbox;
mod keygen;
mod layers;
mod link;
mod manpages;
#[allow(dead_code, reason = "the benches need more of it than the tests")]
mod openssh;
mod peer;
mod peers;
mod pipe;
mod protocol;
mod pty;
mod sandbox;
mod scp;
mod screen;
mod sftp;
mod state;
mod talker;
mod terminal;
