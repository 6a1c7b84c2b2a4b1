//! Groups: conversations of many, replicated between their members, without a server.
//!
//! Pure: [`roster`] folds signed acts into who is who; [`keys`] seals; [`replica`] takes entries in and says what another lacks;
//! [`session`] is a conversation of two replicas. With files: [`shelf`], [`home`]. With the network: [`engine`].

pub mod engine;
pub mod history;
pub mod home;
pub mod keys;
pub mod replica;
pub mod roster;
pub mod session;
pub mod shelf;

#[cfg(test)]
mod tests;
