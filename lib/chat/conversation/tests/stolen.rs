//! What whoever has the files sees.

use super::{Talk, acks, draft, give, sent};
use std::path::Path;

/// Whether any file below `dir` has `bytes` in it.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds(&path, bytes),
            false => std::fs::read(&path).unwrap().windows(bytes.len()).any(|piece| piece == bytes),
        }
    })
}

#[test]
fn no_file_and_no_message_has_a_text_or_a_key_in_clear() {
    let [alice, bob] = Talk::pair();
    let text = "this must never be read by a thief";
    for step in 0..4 {
        alice.start().queue(&[draft(&format!("m{step}"), &format!("{step} {text}"))], false).unwrap();
        let messages = sent(&alice);
        let (answers, _) = give(&bob, &messages);
        if step % 2 == 0 {
            alice.start().saved(&acks(&answers)).unwrap();
        }
        let line = crate::json::line(&messages).unwrap();
        let base64: Vec<_> = (0..3).map(|skip| data_encoding::BASE64.encode(&text.as_bytes()[skip..])).collect();
        let keys = ["\"ratchet\"", "\"slots\"", "\"chain\""].map(str::to_owned);
        for clear in [text.to_owned()].iter().chain(&base64).chain(&keys) {
            let piece = &clear.as_bytes()[..clear.len().min(12)];
            assert!(!line.as_bytes().windows(piece.len()).any(|there| there == piece), "{clear} in a message");
            assert!(!holds(alice.home.path(), piece) && !holds(bob.home.path(), piece), "{clear}");
        }
    }
}

#[test]
fn files_without_the_identity_open_nothing() {
    let [alice, bob] = Talk::pair();
    alice.start().queue(&[draft("a", "text")], false).unwrap();
    give(&bob, &sent(&alice));
    for talk in [&alice, &bob] {
        let thief = talk.home.taken_over().with(talk.peer);
        let errors = [
            thief.last(10).unwrap_err(),
            thief.keys(|_| ()).unwrap_err(),
            thief.hello(&[0; 64], false).err().unwrap(),
            thief.queue(&[draft("b", "text")], false).unwrap_err(),
            thief.receive(&[]).err().unwrap(),
        ];
        for error in errors {
            assert!(error.to_string().contains("does not open under this identity"), "{error}");
        }
    }
}

#[test]
fn a_line_opens_in_its_own_place_and_conversation_alone() {
    let [alice, bob] = Talk::pair();
    alice.start().queue(&[draft("a", "one"), draft("b", "two")], false).unwrap();
    let text = String::from_utf8(alice.log()).unwrap();
    let sealed = |line: &str| line.split("\"text\":\"").nth(1).unwrap().to_owned();
    let lines: Vec<_> = text.lines().collect();
    let swapped = text.replace(&sealed(lines[0]), "?").replace(&sealed(lines[1]), &sealed(lines[0]));
    alice.put(swapped.replace('?', &sealed(lines[1])).as_bytes(), Some(&alice.state()));
    assert!(alice.start().last(2).is_err());
    assert!(sent(&alice).is_empty());
    // The log of one conversation in the place of another.
    let chat = alice.home.chat();
    let other = chat.with(crate::key::KeyPair::generate().unwrap().public());
    other.queue(&[draft("z", "three")], true).unwrap();
    let path = alice.path("..").join(other.peer().to_string()).join("log.jsonl");
    std::fs::write(path, &text).unwrap();
    assert!(other.last(2).is_err());
    drop(bob);
}
