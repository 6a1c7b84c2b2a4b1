//! Going on with what the receiver has already.

use super::*;
use crate::proto::copy::HASH_LEN;
use std::collections::HashMap;

const LARGE: usize = 3_000_000;

/// What the receiver has of the files of these names.
fn having(had: &[(&str, Vec<u8>)]) -> Answers {
    let had: HashMap<String, Vec<u8>> = had.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
    let mut polite = polite();
    Box::new(move |message, items| match message {
        FromSender::Ask(_, name) => vec![match had.get(&shown(name)) {
            Some(bytes) => FromReceiver::Have(bytes.len() as u64, *blake3::hash(bytes).as_bytes()),
            None => FromReceiver::Have(0, [0; HASH_LEN]),
        }],
        message => polite(message, items),
    })
}

fn resume() -> Request {
    Request { resume: true, ..wishes() }
}

#[test]
fn what_is_there_and_the_same_is_not_sent_again() {
    let dir = Dir::new();
    for name in ["none", "whole", "some", "other", "late"] {
        dir.file(&format!("d/{name}"), &bytes(LARGE));
    }
    dir.file("d/small", &bytes(1000));
    dir.file("d/empty", b"");
    let mut other = bytes(LARGE / 2);
    other[LARGE / 4] ^= 1;
    let had = [
        ("whole", bytes(LARGE)),
        ("some", bytes(LARGE / 2)),
        ("other", other),
        ("late", bytes(LARGE - 10)),
        ("small", bytes(400)),
    ];
    for verify in [false, true] {
        let wishes = Request { verify, ..resume() };
        let copied = copy_with(&dir.select(&["d"]), &wishes, None, having(&had), |_| {});
        assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 8, failed: 0 });
        for (name, size, offset) in [
            ("none", LARGE, 0),
            ("whole", LARGE, LARGE),
            ("some", LARGE, LARGE / 2),
            ("other", LARGE, 0),
            ("late", LARGE, LARGE - 10),
            ("small", 1000, 400),
            ("empty", 0, 0),
        ] {
            let came = &copied.came.files[&format!("d/{name}")];
            assert_eq!((came.offset, came.size), (offset as u64, size as u64), "{name}");
            assert!(came.is_whole && came.data == bytes(size)[offset..], "{name}");
            let hash = (verify && offset < size).then(|| *blake3::hash(&bytes(size)).as_bytes());
            assert_eq!(came.hash, hash, "{name}");
            assert_eq!(
                came.form == Some(Form::Complete),
                size == offset || (size - offset <= 1000 && !verify),
                "{name}"
            );
        }
        let moved = copied.events.iter().filter_map(|event| event.strip_prefix("moved ")?.parse::<usize>().ok());
        assert_eq!(moved.sum::<usize>(), 5 * LARGE + 1000, "what is there counts");
        let answered = copied.came.log.iter().position(|line| line == "ANSWERED").unwrap();
        let asked = &copied.came.log[..answered];
        assert!(asked.iter().all(|line| !line.starts_with("FILE")), "{asked:?}");
        assert_eq!(asked.iter().filter(|line| line.starts_with("ASK")).count(), 6);
    }
}

#[test]
fn the_tree_is_the_same_when_it_is_asked_about_and_when_it_is_sent() {
    let dir = Dir::new();
    for name in ["d/a", "d/b/c", "d/b/e/f", "g"] {
        dir.file(name, name.as_bytes());
    }
    let copied = copy_with(&dir.select(&["d", "g", "no"]), &resume(), None, having(&[("c", b"d/".to_vec())]), |_| {});
    let mut parts = copied.came.log.split(|line| line == "ANSWERED");
    let mut shape = || {
        let words = parts.next().unwrap().iter().map(|line| line.split(' ').next().unwrap().replace("ASK", "FILE"));
        words.filter(|word| !matches!(word.as_str(), "BEGIN" | "PROBLEM" | "END")).collect::<Vec<_>>()
    };
    let (asked, sent) = (shape(), shape());
    assert_eq!(asked, sent);
    assert_eq!(asked.iter().filter(|word| *word == "FILE").count(), 4);
    assert_eq!(copied.came.files["d/b/c"].offset, 2);
    assert_eq!(copied.failed(), ["failed no: no such file or directory"]);
}

#[test]
fn a_file_that_changed_after_it_was_compared_is_sent_whole() {
    let dir = Dir::new();
    let path = dir.file("d/sub/file", &bytes(LARGE));
    let had = [("file", bytes(LARGE / 2))];
    let change = |event: &Event<'_>| {
        if line(event).starts_with("began d ") {
            std::fs::write(&path, vec![7; LARGE]).unwrap();
        }
    };
    let copied = copy_with(&dir.select(&["d"]), &resume(), None, having(&had), change);
    let came = &copied.came.files["d/sub/file"];
    assert!(came.offset == 0 && came.data == vec![7; LARGE] && came.is_whole);
}

#[test]
fn thousands_of_questions_are_asked_in_a_row_and_not_too_many_at_once() {
    let dir = Dir::new();
    let count = 2 * WINDOW as usize + 100;
    for at in 0..count {
        dir.file(&format!("d/{at}"), b"x");
    }
    let (mut asked, mut answered) = (0_u64, 0);
    let mut polite = polite();
    let answers: Answers = Box::new(move |message, items| match message {
        FromSender::Ask(..) => {
            asked += 1;
            assert!(asked - answered <= WINDOW, "{asked} asked, {answered} answered");
            if asked % 1000 == 0 || asked == count as u64 || asked - answered == WINDOW {
                let owed = asked - answered;
                answered = asked;
                return (0..owed).map(|_| FromReceiver::Have(0, [0; HASH_LEN])).collect();
            }
            Vec::new()
        }
        message => polite(message, items),
    });
    let copied = copy_with(&dir.select(&["d"]), &resume(), None, answers, |_| {});
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: count as u64 + 1, failed: 0 });
}

#[test]
fn answers_that_cannot_be_end_the_copy() {
    let dir = Dir::new();
    dir.file("d/file", b"file");
    let have = |length| FromReceiver::Have(length, [0; HASH_LEN]);
    for (when, answers, why) in [
        ("ASK", vec![have(5)], "HAVE of more than there is"),
        ("ASK", vec![have(0), have(0)], "HAVE without ASK"),
        ("ANSWERED", vec![have(1)], "HAVE without ASK"),
        ("ASK", vec![FromReceiver::Stored(1)], "STORED"),
        ("ASK", vec![FromReceiver::Failed(0, "x")], "never sent"),
    ] {
        let copied = copy_with(&dir.select(&["d"]), &resume(), None, super::receivers::at(when, answers), |_| {});
        let error = copied.outcome.unwrap_err().to_string();
        assert!(error.contains("protocol error") && error.contains(why), "{error}");
    }
}
