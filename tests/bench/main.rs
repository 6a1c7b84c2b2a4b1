//! The benches: every row runs against its rival in turn, in one run, and the rows make one Markdown table.
//!
//! Only the ratios travel to other machines. A rival that is not installed is left out and named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(missing_docs, unreachable_pub)]

mod bulk;
mod handshake;
mod hosts;
mod idle;
mod one_command;
mod table;

fn main() {
    let mut table = table::Table::default();
    handshake::rows(&mut table);
    bulk::rows(&mut table);
    one_command::rows(&mut table);
    idle::rows(&mut table);
    print!("{table}");
}
