//! Receivers that cannot store everything, and those that do what they must not.

use super::*;
use std::io::Write;

/// Gives `answers` once, to the first message that begins like `when`, and is polite otherwise.
pub(super) fn at(when: &'static str, answers: Vec<FromReceiver<'static>>) -> Answers {
    let mut polite = polite();
    let mut log = Received::default();
    let mut answers = Some(answers);
    Box::new(move |message, items| {
        log.hear(message);
        let is_it = log.log.last().is_some_and(|line| line.starts_with(when));
        match answers.take_if(|_| is_it) {
            Some(answers) => answers,
            None => polite(message, items),
        }
    })
}

/// Settles nothing but what is failed, until the end.
fn fails(which: &'static [(&'static str, &'static str)]) -> Answers {
    let mut seen = Received::default();
    Box::new(move |message, items| {
        let before = seen.items;
        seen.hear(message);
        if let FromSender::End(_) = message {
            return vec![FromReceiver::Stored(items), FromReceiver::Done];
        }
        let path = match message {
            FromSender::Directory(..) => seen.at.join("/"),
            _ => seen.current.clone(),
        };
        let failed = which.iter().find(|(name, _)| items > before && path == *name);
        failed.map(|(_, why)| FromReceiver::Failed(items - 1, why)).into_iter().collect()
    })
}

#[test]
fn what_is_not_stored_is_named_and_the_rest_is_stored() {
    let dir = Dir::new();
    for name in ["d/a", "d/b", "d/c", "d/sub/a"] {
        dir.file(name, name.as_bytes());
    }
    let answers = fails(&[("d/b", "is a directory"), ("d/sub/a", "permission denied")]);
    let copied = copy_with(&dir.select(&["d"]), &wishes(), None, answers, |_| {});
    assert_eq!(copied.failed(), ["failed d/b: is a directory", "failed d/sub/a: permission denied"]);
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 4, failed: 2 });
    let mut stored: Vec<_> = copied.events.iter().filter(|event| event.starts_with("stored")).collect();
    stored.sort();
    assert_eq!(stored, ["stored d Directory 0", "stored d/a File 3", "stored d/c File 3", "stored d/sub Directory 0"]);
}

#[test]
fn nothing_more_is_sent_of_a_directory_that_is_not_stored() {
    let dir = Dir::new();
    for at in 0..200 {
        dir.file(&format!("d/sub/{at}/file"), &bytes(200_000));
    }
    dir.file("d/z/file", b"file");
    let copied = copy_with(&dir.select(&["d"]), &wishes(), None, fails(&[("d/sub", "not a directory")]), |_| {});
    assert_eq!(copied.failed(), ["failed d/sub: not a directory"]);
    assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 3, failed: 1 });
    assert!(!copied.events.iter().any(|event| event.starts_with("stored d/sub")));
    assert!(copied.names().contains(&&"d/z/file".to_owned()));
    assert!(copied.came.items < 200, "it stopped: {}", copied.came.items);
}

#[test]
fn a_file_that_fails_under_way_is_abandoned() {
    let (reading, mut writing) = std::io::pipe().unwrap();
    let dir = Dir::new();
    let selection = Selection { stdin: true, ..dir.select(&[]) };
    // More than is ever taken: it ends when nobody reads any more.
    let writer = std::thread::spawn(move || (0..20_000).try_for_each(|_| writing.write_all(&[7; 50_000])));
    let answers = at("DATA", vec![FromReceiver::Failed(0, "no space left on device")]);
    let copied = copy_with(&selection, &wishes(), Some(Patient::new(reading.into())), answers, |_| {});
    assert!(writer.join().unwrap().is_err());
    assert!(copied.came.has("ABANDONED") && !copied.came.files[""].is_whole);
    assert_eq!(copied.failed(), ["failed -: no space left on device"]);
    assert!(copied.came.problems.is_empty(), "the receiver knows");
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 0, failed: 1 });
}

#[test]
fn after_a_hopeless_all_ends_in_good_order() {
    let dir = Dir::new();
    for at in 0..100 {
        dir.file(&format!("d/{at}/deep/file"), &bytes(1_000_000));
    }
    for (when, resume) in [("BEGIN", false), ("BEGIN", true), ("ASK", true), ("DATA", false), ("LEAVE", false)] {
        // As the receiver does it: nothing follows, and it closes.
        let mut at = at(when, vec![FromReceiver::Hopeless("t\x1b: no space left on device")]);
        let mut is_over = false;
        let answers: Answers = Box::new(move |message, items| {
            let answers = if is_over { Vec::new() } else { at(message, items) };
            is_over |= matches!(answers.first(), Some(FromReceiver::Hopeless(_)));
            answers
        });
        let copied = copy_with(&dir.select(&["d"]), &Request { resume, ..wishes() }, None, answers, |_| {});
        let error = copied.outcome.as_ref().unwrap_err();
        assert_eq!(error.to_string(), "t\\u{1b}: no space left on device");
        assert_eq!(error.kind().exit_status(), 1);
        assert!(copied.came.log.last().unwrap().starts_with("END"), "{when} {:?}", copied.came.log.last());
        assert!(copied.came.items < 300, "it stopped: {}", copied.came.items);
        assert!(copied.failed().is_empty());
    }
}

#[test]
fn a_hopeless_says_more_than_the_end_of_the_connection_after_it() {
    let dir = Dir::new();
    dir.file("file", b"file");
    let ((out, reports, _), (mut back, mut incoming, _)) = bulk_pair();
    let receiving = std::thread::spawn(move || {
        let (kind, body) = FromReceiver::Hopeless("no such directory").encode();
        back.push(kind, &[&body]).and_then(|()| back.flush()).unwrap();
        while let Ok(Some(_)) = incoming.recv() {}
        drop(back);
    });
    let error = send(&dir.select(&["file"]), &wishes(), out, reports, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "no such directory");
    receiving.join().unwrap();
}

#[test]
fn the_sender_is_never_further_ahead_than_it_may() {
    let dir = Dir::new();
    let count = WINDOW + 500;
    for at in 0..count {
        dir.file(&format!("d/{at}"), b"");
    }
    let ((out, reports, _), (mut back, mut incoming, _)) = bulk_pair();
    let receiving = std::thread::spawn(move || {
        let (mut items, mut settled) = (0, 0);
        while let Some(batch) = incoming.recv().unwrap() {
            let mut is_over = false;
            for record in batch.records() {
                let message = FromSender::decode(&record).unwrap();
                items += u64::from(matches!(message, FromSender::File(_) | FromSender::Directory(..)));
                is_over |= matches!(message, FromSender::End(_));
            }
            assert!(items - settled <= WINDOW, "{items} came, {settled} are settled");
            // As late as can be.
            let mut answers = Vec::new();
            if is_over || items - settled == WINDOW {
                settled = items;
                answers.push(FromReceiver::Stored(items));
            }
            answers.extend(is_over.then_some(FromReceiver::Done));
            for answer in answers {
                let (kind, body) = answer.encode();
                back.push(kind, &[&body]).unwrap();
            }
            back.flush().unwrap();
        }
        back.close().unwrap();
    });
    let sent = send(&dir.select(&["d"]), &wishes(), out, reports, &mut |_| {});
    receiving.join().unwrap();
    assert_eq!(sent.unwrap(), Outcome { stored: count + 1, failed: 0 });
}

#[test]
fn whatever_a_receiver_must_not_say_ends_the_copy() {
    use FromReceiver::{Done, Failed, Hopeless, Stored};
    let dir = Dir::new();
    for at in 0..20 {
        dir.file(&format!("d/{at}"), &bytes(1_000_000));
    }
    for (when, answers, why) in [
        ("BEGIN", vec![Stored(1000)], "STORED for items"),
        ("DIRECTORY", vec![Stored(u64::MAX)], "STORED for items"),
        ("DIRECTORY", vec![Stored(1), Stored(0)], "STORED for items"),
        ("BEGIN", vec![Failed(u64::MAX, "x")], "never sent"),
        ("DIRECTORY", vec![Failed(1000, "x")], "never sent"),
        ("DIRECTORY", vec![Stored(1), Failed(0, "x")], "settled"),
        ("FILE", vec![Failed(1, "x"), Failed(1, "x")], "twice"),
        ("BEGIN", vec![FromReceiver::Have(0, [0; 32])], "HAVE without ASK"),
        ("DIRECTORY", vec![Stored(1), Done], "DONE before"),
        ("END", vec![Done], "DONE before"),
        ("END", vec![Stored(21), Done, Stored(21)], "follows the last word"),
        ("END", vec![Stored(21), Done, Done], "follows the last word"),
        ("END", vec![Stored(22), Done], "STORED for items"),
        ("BEGIN", vec![Hopeless("a"), Hopeless("b")], "follows the last word"),
        ("DIRECTORY", vec![Hopeless("a"), Stored(1)], "follows the last word"),
    ] {
        let copied = copy_with(&dir.select(&["d"]), &wishes(), None, at(when, answers), |_| {});
        let error = copied.outcome.expect_err(why).to_string();
        assert!(error.contains("protocol error") && error.contains(why), "{when}: {error}");
    }
}

#[test]
fn what_was_not_sent_to_its_end_cannot_be_stored() {
    let (reading, mut writing) = std::io::pipe().unwrap();
    let dir = Dir::new();
    let selection = Selection { stdin: true, ..dir.select(&[]) };
    let writer = std::thread::spawn(move || (0..20_000).try_for_each(|_| writing.write_all(&[7; 50_000])));
    let answers = at("DATA", vec![FromReceiver::Stored(1)]);
    let copied = copy_with(&selection, &wishes(), Some(Patient::new(reading.into())), answers, |_| {});
    assert!(writer.join().unwrap().is_err());
    assert!(copied.outcome.unwrap_err().to_string().contains("STORED for items"));
}

#[test]
fn messages_that_cannot_be_and_a_close_too_early_end_the_copy() {
    let dir = Dir::new();
    for at in 0..20 {
        dir.file(&format!("d/{at}"), &bytes(1_000_000));
    }
    for (kind, body, why) in
        [(0x21, &b"short"[..], "ends in the middle"), (0x7f, b"", "unknown"), (0x16, b"x", "unknown")]
    {
        let ((out, reports, _), (mut back, mut incoming, _)) = bulk_pair();
        let receiving = std::thread::spawn(move || {
            back.push(kind, &[body]).and_then(|()| back.flush()).unwrap();
            while let Ok(Some(_)) = incoming.recv() {}
        });
        let error = send(&dir.select(&["d"]), &wishes(), out, reports, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("protocol error") && error.contains(why), "{error}");
        receiving.join().unwrap();
    }
    let ((out, reports, _), (back, mut incoming, _)) = bulk_pair();
    let receiving = std::thread::spawn(move || {
        back.close().unwrap();
        while let Ok(Some(_)) = incoming.recv() {}
    });
    let error = send(&dir.select(&["d"]), &wishes(), out, reports, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("a close before the DONE"), "{error}");
    receiving.join().unwrap();
}

#[test]
fn a_connection_that_is_lost_inside_a_file_is_said_to_leave_a_part() {
    let dir = Dir::new();
    dir.file("file", &bytes(90_000_000));
    let ((out, reports, _), (back, mut incoming, _)) = bulk_pair();
    let receiving = std::thread::spawn(move || {
        let _ = incoming.recv();
        drop((incoming, back));
    });
    let mut events = Vec::new();
    let sent = send(&dir.select(&["file"]), &wishes(), out, reports, &mut |event| events.push(line(&event)));
    receiving.join().unwrap();
    assert!(sent.is_err());
    assert_eq!(events.last().unwrap(), "kept file");
}

#[test]
fn a_receiver_that_gives_up_is_heard() {
    let dir = Dir::new();
    dir.file("file", &bytes(90_000_000));
    let ((out, reports, _), (back, incoming, _)) = bulk_pair();
    let receiving = std::thread::spawn(move || {
        back.fail(Reason::Refused, "no longer allowed");
        drop(incoming);
    });
    let error = send(&dir.select(&["file"]), &wishes(), out, reports, &mut |_| {}).unwrap_err().to_string();
    receiving.join().unwrap();
    assert!(error.contains("no longer allowed"), "{error}");
}

#[test]
fn nobody_hashes_terabytes_for_a_receiver_that_is_gone() {
    let dir = Dir::new();
    let file = std::fs::File::create(dir.at("sparse")).unwrap();
    file.set_len(1 << 43).unwrap();
    for wishes in [Request { verify: true, ..wishes() }, Request { resume: true, ..wishes() }] {
        let ((out, reports, _), (mut theirs, mut incoming, _)) = bulk_pair();
        let gone = std::thread::spawn(move || {
            if wishes.resume {
                assert!(incoming.recv().unwrap().is_some());
                let (kind, body) = FromReceiver::Have(1 << 43, [7; 32]).encode();
                theirs.push(kind, &[&body]).unwrap();
                theirs.flush().unwrap();
            }
        });
        // Without looking whether anybody waits it would take an hour.
        assert!(send(&dir.select(&["sparse"]), &wishes, out, reports, &mut |_| {}).is_err());
        gone.join().unwrap();
    }
}
