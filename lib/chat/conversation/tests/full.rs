//! A disk that takes no more: what is there stays whole, and goes on when there is room again.

use super::{Talk, acked, draft, id, names, open};
use crate::chat::CHAT_DIR;
use crate::key::KeyPair;
use crate::proto::chat::{Envelope, NotSaved, Why};
use std::process::Command;

/// What the writer of this process can no longer do: the temporary file of the state cannot be made.
fn block(talk: &Talk) {
    std::fs::create_dir(talk.path(".state.json.tmp")).unwrap();
}

fn unblock(talk: &Talk) {
    std::fs::remove_dir(talk.path(".state.json.tmp")).unwrap();
}

#[test]
fn what_cannot_be_saved_has_not_happened() {
    let talk = Talk::new();
    talk.start().queue(&[draft("a", "one")], true).unwrap();
    talk.start().receive(&[open("b", "two")]).unwrap();
    let before = (talk.log(), talk.state());
    block(&talk);
    let errors = [
        talk.start().queue(&[draft("c", "three")], true).unwrap_err(),
        talk.start().receive(&[open("d", "four")]).err().unwrap(),
        talk.start().open_saved(&[acked("a")]).unwrap_err(),
        talk.start().withdraw(&[id("a")]).unwrap_err(),
        talk.start().end().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.hints(), ["nothing was changed"], "{error}");
    }
    assert!((talk.log(), talk.state()) == before);
    unblock(&talk);
    let (answers, entries) = talk.start().receive(&[open("b", "two"), open("d", "four")]).unwrap();
    assert_eq!((names(&answers), entries.len()), (vec!["b", "d"], 1));
}

/// The name under which the test below runs itself, with files that cannot grow.
const CROWDED: &str = "KEYWIRE_TEST_CROWDED";

#[test]
fn a_log_that_cannot_grow_keeps_what_it_has_and_goes_on_later() {
    if let Ok(home) = std::env::var(CROWDED) {
        return crowded(home.as_ref());
    }
    let talk = Talk::new();
    talk.start().receive(&[open("a", &"x".repeat(2000))]).unwrap();
    let before = (talk.log(), talk.state());
    std::fs::write(talk.home.path().join("peer"), talk.peer.to_string()).unwrap();
    // In blocks of 512 bytes: room for the state, and not for another message.
    let name = "chat::conversation::tests::full::a_log_that_cannot_grow_keeps_what_it_has_and_goes_on_later";
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact \"$1\" --nocapture";
    let this = std::env::current_exe().unwrap();
    let child = Command::new("sh").arg("-c").arg(script).arg(this).arg(name).env(CROWDED, talk.home.path()).output();
    let child = child.unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!((talk.log(), talk.state()) == before);
    assert_eq!(talk.start().receive(&[open("b", &"x".repeat(2000))]).unwrap().1[0].seq, 2);
}

/// The test in a process whose files cannot grow.
fn crowded(home: &std::path::Path) {
    let peer = std::fs::read_to_string(home.join("peer")).unwrap().parse().unwrap();
    let me = std::sync::Arc::new(crate::key::KeyPair::generate().unwrap());
    let clock: crate::chat::Clock = std::sync::Arc::new(std::time::SystemTime::now);
    let chat = crate::chat::Chat::open(crate::store::Store::at(home), me, clock).unwrap();
    let error = chat.with(peer).receive(&[open("b", &"x".repeat(2000))]).err().unwrap();
    let text = error.to_string();
    assert!(text.starts_with("cannot write ") && text.ends_with("log.jsonl: file too large"), "{text}");
    assert_eq!(error.hints(), ["nothing was changed"]);
}

#[test]
fn keys_that_are_not_paired_begin_no_more_than_a_thousand_conversations() {
    let talk = Talk::new();
    let chat = talk.home.chat();
    let all = chat.store().below(CHAT_DIR).unwrap();
    for _ in 0..1000 {
        all.below(&KeyPair::generate().unwrap().public().to_string()).unwrap();
    }
    let (answers, stored) = talk.start().receive(&[open("a", "one too many")]).unwrap();
    assert!(matches!(&answers[..], [Envelope::NotSaved(NotSaved { why: Why::Full, .. })]) && stored.is_empty());
    assert_eq!(chat.peers().unwrap().len(), 1000);
}
