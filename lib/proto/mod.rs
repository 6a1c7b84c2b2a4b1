//! What is said on a connection: one file a service, one enum a direction, no input or output.

pub mod pipe;
pub mod chat;
pub mod copy;
pub mod group;
pub mod pty;
mod wishes;
