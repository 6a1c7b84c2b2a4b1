//! Messages out of order, and counts and sizes that lie.

use super::*;

fn data(bytes: &str) -> FromSender<'_> {
    FromSender::Data(bytes.as_bytes())
}

#[test]
fn a_tree_is_stored_and_said_to_be() {
    let yard = Yard::new();
    let copied = yard.receive(
        &Request { sync: Sync::End, ..wishes() },
        &[
            BEGIN,
            FromSender::Total(3, 11),
            top("src"),
            directory(""),
            small("one", "1"),
            large("two", 10),
            data("01234"),
            data("56789"),
            WHOLE,
            directory("sub"),
            small("three", ""),
            FromSender::Link(b"link", b"../one"),
            LEAVE,
            directory("empty"),
            LEAVE,
            LEAVE,
            FromSender::End(7),
        ],
    );
    assert!(copied.is_whole(7), "{copied:?}");
    assert_eq!(copied.said.last().unwrap(), "Done");
    assert_eq!(copied.said[copied.said.len() - 2], "Stored(7)");
    assert_eq!((yard.read("to/src/one"), yard.read("to/src/two")), ("1".to_owned(), "0123456789".to_owned()));
    assert_eq!(yard.read("to/src/sub/link"), "1");
    assert_eq!(yard.names("to/src"), ["empty", "one", "sub", "two"]);
    assert_eq!(yard.names("to/src/sub"), ["link", "three"]);
    let expected = ["total 3 11", "began src Directory None", "stored src Directory 0", "began src/one File Some(1)"];
    assert_eq!(copied.events[..4], expected);
    assert!(copied.events.contains(&"stored src/sub/three File 0".to_owned()));
    assert!(copied.events.contains(&"stored src/two File 10".to_owned()));
}

#[test]
fn a_message_where_it_means_nothing_ends_the_copy() {
    let tops = |messages: &[FromSender<'static>]| [&[BEGIN, top("a")], messages].concat();
    let below = |messages: &[FromSender<'static>]| [&[BEGIN, top("a"), directory("")], messages].concat();
    let ask = FromSender::Ask(1, b"");
    for wrong in [
        vec![top("a")],
        vec![FromSender::End(0)],
        vec![BEGIN, BEGIN],
        vec![BEGIN, data("x")],
        vec![BEGIN, LEAVE],
        vec![BEGIN, WHOLE],
        vec![BEGIN, FromSender::Hole(1)],
        vec![BEGIN, FromSender::Abandoned],
        vec![BEGIN, FromSender::Answered],
        vec![BEGIN, small("", "x")],
        vec![BEGIN, small("a", "x")],
        vec![BEGIN, directory("")],
        vec![BEGIN, directory("a")],
        vec![BEGIN, FromSender::Link(b"", b"x")],
        vec![BEGIN, ask],
        tops(&[ask]),
        tops(&[small("a", "x")]),
        tops(&[small("", "x"), small("", "x")]),
        tops(&[small("", "x"), directory("")]),
        tops(&[small("", "x"), top("b")]),
        tops(&[large("", 1), FromSender::End(1)]),
        tops(&[large("", 1), small("", "x")]),
        tops(&[large("", 1), top("b")]),
        tops(&[large("", 1), LEAVE]),
        below(&[small("", "x")]),
        below(&[directory("")]),
        below(&[top("b")]),
        below(&[data("x")]),
        below(&[FromSender::End(1)]),
        below(&[LEAVE, LEAVE]),
        below(&[LEAVE, small("b", "x")]),
        below(&[LEAVE, directory("b")]),
        below(&[LEAVE, FromSender::End(1), small("b", "x")]),
    ] {
        let yard = Yard::new();
        let copied = yard.receive(&wishes(), &wrong);
        assert!(copied.broke("protocol error"), "{wrong:?} {copied:?}");
    }
}

#[test]
fn an_end_with_another_count_is_no_end() {
    for count in [0, 1, 3, u64::MAX] {
        let yard = Yard::new();
        let messages = [BEGIN, top("a"), directory(""), small("b", "x"), LEAVE, FromSender::End(count)];
        assert!(yard.receive(&wishes(), &messages).broke("END"), "{count}");
    }
}

#[test]
fn a_close_before_the_end_is_no_end() {
    let yard = Yard::new();
    let copied = yard.receive(&wishes(), &[BEGIN, top("a"), directory("")]);
    assert!(copied.outcome.is_err() && copied.end.is_err(), "{copied:?}");
}

#[test]
fn a_size_that_lies_ends_the_copy_and_leaves_nothing() {
    let hole = FromSender::Hole;
    for (size, pieces) in [
        (3, vec![data("abcd")]),
        (3, vec![data("ab"), data("cd")]),
        (3, vec![data("ab"), WHOLE]),
        (3, vec![WHOLE]),
        (0, vec![data("a")]),
        (3, vec![hole(4)]),
        (3, vec![hole(u64::MAX)]),
        (3, vec![data("a"), hole(u64::MAX)]),
        (3, vec![hole(2), WHOLE]),
    ] {
        let yard = Yard::new();
        std::fs::write(yard.at("to/a"), "old").unwrap();
        let copied = yard.receive(&wishes(), &[&[BEGIN, top("a"), large("", size)], &pieces[..]].concat());
        assert!(copied.broke("than it says"), "{size} {pieces:?} {copied:?}");
        assert_eq!((yard.names("to"), yard.read("to/a")), (vec!["a".to_owned()], "old".to_owned()));
    }
}

#[test]
fn a_file_whose_first_message_cannot_be_ends_the_copy() {
    let plain = File { form: Form::Complete, meta: META, size: 2, offset: 0, name: b"", data: b"ab" };
    let verified = Request { verify: true, ..wishes() };
    let dry = Request { dry_run: true, ..wishes() };
    for (wishes, file) in [
        (wishes(), File { size: 3, ..plain }),
        (wishes(), File { offset: 1, data: b"b", ..plain }),
        (wishes(), File { offset: 2, data: b"", ..plain }),
        (wishes(), File { form: Form::Pieces, offset: 1, data: b"b", ..plain }),
        (wishes(), File { form: Form::Stream, size: 0, offset: 1, data: b"b", ..plain }),
        (verified, plain),
        (dry, plain),
        (dry, File { form: Form::Pieces, data: b"", ..plain }),
        (dry, File { form: Form::Stream, data: b"", ..plain }),
    ] {
        let yard = Yard::new();
        let copied = yard.receive(&wishes, &[BEGIN, top("a"), FromSender::File(file), FromSender::End(1)]);
        assert!(copied.broke("protocol error"), "{file:?} {copied:?}");
        assert!(yard.names("to").is_empty());
    }
}

#[test]
fn a_hash_comes_exactly_when_it_was_asked_for() {
    for verify in [false, true] {
        let hash = (!verify).then_some([0; 32]);
        let yard = Yard::new();
        let wishes = Request { verify, ..wishes() };
        let copied = yard.receive(&wishes, &[BEGIN, top("a"), large("", 1), data("x"), FromSender::Whole(hash)]);
        assert!(copied.broke("hash"), "{verify} {copied:?}");
        assert!(yard.names("to").is_empty());
    }
}

#[test]
fn a_file_with_another_hash_does_not_get_its_name() {
    let yard = Yard::new();
    let wishes = Request { verify: true, ..wishes() };
    let hash = |bytes: &[u8]| FromSender::Whole(Some(*blake3::hash(bytes).as_bytes()));
    let copied = yard.receive(
        &wishes,
        &[
            BEGIN,
            top("src"),
            directory(""),
            large("bad", 3),
            data("abc"),
            hash(b"abd"),
            large("good", 5),
            data("a"),
            FromSender::Hole(3),
            data("b"),
            hash(b"a\0\0\0b"),
            large("hollow", 4),
            FromSender::Hole(4),
            hash(&[0; 4]),
            small("empty", ""),
            LEAVE,
            FromSender::End(5),
        ],
    );
    assert!(copied.failed("hash differs"), "{copied:?}");
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 4, failed: 1 });
    assert_eq!(yard.names("to/src"), ["empty", "good", "hollow"]);
    assert_eq!(yard.read("to/src/good"), "a\0\0\0b");
}

#[test]
fn a_file_that_the_sender_gives_up_does_not_get_its_name() {
    let yard = Yard::new();
    std::fs::create_dir(yard.at("to/src")).unwrap();
    std::fs::write(yard.at("to/src/a"), "old").unwrap();
    let short = FromSender::Problem(b"src/a", "it became shorter");
    let begin = [BEGIN, top("src"), directory(""), large("a", 5), data("new"), FromSender::Abandoned];
    let rest = [small("b", "x"), LEAVE, FromSender::End(3)];
    let copied = yard.receive(&wishes(), &[&begin[..], &[short], &rest[..]].concat());
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 2, failed: 1 });
    assert!(copied.events.contains(&"failed src/a it became shorter".to_owned()));
    assert_eq!((yard.names("to/src"), yard.read("to/src/a")), (vec!["a".into(), "b".into()], "old".to_owned()));
    // A reason that comes before it is one too.
    let before = [BEGIN, top("src"), directory(""), large("a", 5), short, FromSender::Abandoned];
    let copied = yard.receive(&wishes(), &[&before[..], &rest[..]].concat());
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 2, failed: 1 });
}

#[test]
fn a_file_that_the_sender_gives_up_without_its_reason_has_failed() {
    let begin = [BEGIN, top("src"), directory(""), large("a", 5), data("new"), FromSender::Abandoned];
    let total = FromSender::Total(1, 5);
    let end = [LEAVE, FromSender::End(2)];
    let other = [FromSender::Problem(b"src/b", "permission denied")];
    let late = [LEAVE, FromSender::Problem(b"src/a", "too late"), FromSender::End(2)];
    let first = [&[FromSender::Problem(b"src/a", "too early")], &begin[..]].concat();
    for (messages, failed) in [
        ([&begin[..], &end[..]].concat(), 1),
        ([&begin[..], &[total], &end[..]].concat(), 1),
        ([&begin[..], &other, &end[..]].concat(), 2),
        ([&begin[..], &late[..]].concat(), 2),
        ([&first[..], &end[..]].concat(), 2),
    ] {
        for asked in [None, Some(&["src"][..])] {
            let yard = Yard::new();
            let copied = copy(&yard.at("to"), asked, &wishes(), &messages);
            assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 1, failed }, "{copied:?}");
            assert!(copied.events.contains(&"failed src/a the other side gave it up".to_owned()), "{copied:?}");
        }
    }
}

#[test]
fn a_path_without_a_name_at_its_top_is_told_as_the_sender_tells_it() {
    for top_path in ["", "/", ".", "x/.", "x/"] {
        let yard = Yard::new();
        let slash = if top_path.is_empty() || top_path.ends_with('/') { "" } else { "/" };
        let path = format!("{top_path}{slash}a");
        let messages = [
            BEGIN,
            top(top_path),
            directory(""),
            large("a", 5),
            FromSender::Abandoned,
            FromSender::Problem(path.as_bytes(), "it became shorter"),
            LEAVE,
            FromSender::End(2),
        ];
        let copied = yard.receive(&wishes(), &messages);
        assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 1, failed: 1 }, "{copied:?}");
    }
}

#[test]
fn a_source_that_nothing_comes_from_has_failed() {
    let yard = Yard::new();
    let nothing = |path: &str| format!("failed {path} the host sent nothing for it");
    let none = [FromSender::Begin(0), FromSender::End(0)];
    let copied = copy(&yard.at("to"), Some(&["a", "b"]), &wishes(), &none);
    assert_eq!((copied.outcome.unwrap().failed, copied.events), (1, vec![nothing("a")]));
    let one = [FromSender::Begin(2), top("a"), small("", "x"), FromSender::End(1)];
    let copied = copy(&yard.at("to"), Some(&["a", "b"]), &wishes(), &one);
    assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 1, failed: 1 });
    assert_eq!(copied.events.last(), Some(&nothing("b")));
    // What has its reason has failed once.
    let told = [&[FromSender::Problem(b"b", "no such file or directory")], &one[..]].concat();
    let copied = copy(&yard.at("to"), Some(&["a", "b"]), &wishes(), &told);
    assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 1, failed: 1 });
    assert!(!copied.events.contains(&nothing("b")), "{copied:?}");
}

#[test]
fn there_is_one_total() {
    let yard = Yard::new();
    let total = FromSender::Total(1, 1);
    let copied = yard.receive(&wishes(), &[BEGIN, total, top("a"), small("", "x"), total, FromSender::End(1)]);
    assert!(copied.broke("a second TOTAL"), "{copied:?}");
}

#[test]
fn a_stream_is_as_long_as_it_is() {
    let yard = Yard::new();
    let stream = File { form: Form::Stream, meta: META, size: 0, offset: 0, name: b"", data: b"ab" };
    let copied = yard.receive(
        &wishes(),
        &[BEGIN, top("a"), FromSender::File(stream), data("cd"), data("ef"), WHOLE, FromSender::End(1)],
    );
    assert!(copied.is_whole(1), "{copied:?}");
    assert_eq!(yard.read("to/a"), "abcdef");
    let moved = copied.events.iter().filter_map(|event| event.strip_prefix("moved ")?.parse::<u64>().ok());
    assert_eq!(moved.sum::<u64>(), 6);
    assert_eq!((&*copied.events[0], copied.events.last().unwrap().as_str()), ("began a File None", "stored a File 6"));
}

#[test]
fn many_items_are_said_to_be_stored_before_the_end() {
    let yard = Yard::new();
    let names: Vec<String> = (0..3000).map(|at| format!("f{at}")).collect();
    let mut messages = vec![BEGIN, top("src"), directory("")];
    messages.extend(names.iter().map(|name| small(name, "x")));
    messages.extend([LEAVE, FromSender::End(3001)]);
    let copied = yard.receive(&wishes(), &messages);
    assert!(copied.is_whole(3001), "{copied:?}");
    let stored: Vec<u64> =
        copied.said.iter().filter_map(|said| said.strip_prefix("Stored(")?.strip_suffix(')')?.parse().ok()).collect();
    assert!(stored.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= 1024), "{stored:?}");
    assert_eq!((stored.first().is_some_and(|first| *first <= 1024), stored.last()), (true, Some(&3001)));
}

#[test]
fn nothing_that_was_named_is_there_and_that_is_all() {
    let yard = Yard::new();
    let problem = FromSender::Problem(b"a", "no such file or directory");
    let copied = copy(&yard.at("none/such"), None, &wishes(), &[problem, FromSender::Begin(0), FromSender::End(0)]);
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 0, failed: 1 });
    assert_eq!(copied.events, ["failed a no such file or directory"]);
}
