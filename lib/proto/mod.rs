//! What is said on a connection: one file a service, one enum a direction, no input or output.

mod ids;
pub mod pipe;
pub mod chat;
pub mod copy;
pub mod group;
pub mod inbox;
pub mod pty;
mod wishes;
