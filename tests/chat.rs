//! kw-chat, one scenario a test.

mod cli;
mod listen;
