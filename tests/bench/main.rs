//! The benches: every row runs against its rival in turn, in one run, and the rows make one Markdown table. A word on the
//! command line runs the topics that it is part of the name of: `cargo bench -- echo`.
//!
//! Only the ratios travel to other machines. A rival that is not installed is left out and named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(missing_docs, unreachable_pub)]

mod bulk;
mod cat;
mod chat;
mod commands;
mod copy;
mod echo;
mod flood;
mod group;
mod handshake;
mod hosts;
mod idle;
mod inbox;
#[allow(dead_code, reason = "the tests need more of it than the benches")]
#[path = "../link.rs"]
mod link;
#[allow(dead_code, reason = "the tests need more of it than the benches")]
#[path = "../openssh.rs"]
mod openssh;
#[allow(dead_code, reason = "the tests need more of it than the benches")]
#[path = "../peer.rs"]
mod peer;
#[allow(dead_code, reason = "the tests need more of it than the benches")]
#[path = "../sandbox.rs"]
mod sandbox;
mod screen;
mod table;
#[allow(dead_code, reason = "the tests need more of it than the benches")]
#[path = "../talker.rs"]
mod talker;

/// A topic and what measures it.
type Topic = (&'static str, fn(&mut table::Table));

const TOPICS: [Topic; 11] = [
    ("handshake", handshake::rows),
    ("bulk", bulk::rows),
    ("cat", cat::rows),
    ("copy", copy::rows),
    ("chat", chat::rows),
    ("group", group::rows),
    ("inbox", inbox::rows),
    ("commands", commands::rows),
    ("echo", echo::rows),
    ("flood", flood::rows),
    ("idle", idle::rows),
];

fn main() {
    // Cargo adds an option of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [word, dir, group] = &words[..]
        && word == group::FILL
    {
        return group::fill_as_told(dir.as_ref(), group);
    }
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let topics: Vec<&Topic> = TOPICS.iter().filter(|(name, _)| wanted(name)).collect();
    assert!(!topics.is_empty(), "no such topic; there are {:?}", TOPICS.map(|(name, _)| name));
    let mut table = table::Table::default();
    for (_, rows) in topics {
        rows(&mut table);
    }
    print!("{table}");
}
