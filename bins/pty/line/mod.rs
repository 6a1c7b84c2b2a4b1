//! The command line: read as ssh reads its own, and what it says about the host.

mod args;
pub(crate) mod help;
mod names;
mod options;
pub(crate) mod place;
pub(crate) mod shown;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use args::{Args, Line, Session, TtyWish, parse};
pub(crate) use options::Answer;
