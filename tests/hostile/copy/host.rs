//! A host that was asked for files and sends something else.

use super::{
    META, MOST_MEMORY, Victim, carried, directory, file, most_memory, pieces, record, say, say_all, say_often,
};
use crate::peer::Peer;
use crate::scp::{is_harmless, names};
use keywire::conn::kind;
use keywire::proto::copy::FromSender::{
    Abandoned, Answered, Ask, Begin, Data, End, Hole, Leave, Link, Problem, Top, Total, Whole,
};
use keywire::proto::copy::{File, Form, FromSender, HASH_LEN, MAX_DEPTH};
use std::os::unix::fs::symlink;
use std::process::Command;

/// What is asked for, what comes, and what may be in `in` after it.
type Row<'a> = (&'a str, &'a [&'a str], Vec<FromSender<'a>>, &'a [&'a str]);

/// A FILE with a name that no sender could say by our own types.
fn named(name: &[u8]) -> (u8, Vec<u8>) {
    let (kind, mut body) = record(&file(b"", b"evil"));
    let at = body.len() - 5;
    body.splice(at..=at, [&[u8::try_from(name.len()).unwrap()], name].concat());
    (kind, body)
}

#[test]
fn nothing_lands_but_what_was_asked_for() {
    let evil = || file(b"", b"evil");
    let one = |item: FromSender<'static>| vec![Begin(1), Top(0, b"a"), item, End(1)];
    let top = |path: &'static [u8]| vec![Begin(1), Top(0, path), file(b"", b"evil"), End(1)];
    let in_directory = |items: &[FromSender<'static>]| [&[Begin(1), Top(0, b"a"), directory(b"")], items].concat();
    let rows: Vec<Row<'_>> = vec![
        ("another file", &["a"], top(b"b"), &[]),
        ("above", &["a"], top(b"../a"), &[]),
        ("by another way", &["a"], top(b"./a"), &[]),
        ("by a long way", &["a"], top(b"a/../b"), &[]),
        ("an absolute one", &["a"], top(b"/a"), &[]),
        ("below it", &["a"], top(b"a/authorized_keys"), &[]),
        ("no name", &["a"], top(b""), &[]),
        ("two dots", &["-r", "a"], top(b"a/.."), &[]),
        ("a source that there is not", &["a"], vec![Begin(1), Top(1, b"a"), evil(), End(1)], &[]),
        ("a source far away", &["a"], vec![Begin(1), Top(u32::MAX, b"a"), evil(), End(1)], &[]),
        (
            "twice the same",
            &["a"],
            vec![Begin(2), Top(0, b"a"), file(b"", b"good"), Top(0, b"a"), evil(), End(2)],
            &["a"],
        ),
        ("a second item", &["a"], vec![Begin(1), Top(0, b"a"), file(b"", b"good"), evil(), End(2)], &["a"]),
        (
            "a second named item",
            &["a"],
            vec![Begin(1), Top(0, b"a"), file(b"", b"good"), file(b"b", b"evil"), End(2)],
            &["a"],
        ),
        ("its own name", &["a"], one(file(b"b", b"evil")), &[]),
        ("a directory of its own name", &["-r", "a"], one(directory(b"b")), &[]),
        ("an item before any top", &["a"], vec![Begin(1), file(b"b", b"evil"), End(1)], &[]),
        ("a top and nothing", &["a"], vec![Begin(1), Top(0, b"a"), End(0)], &[]),
        ("two tops and one item", &["a"], vec![Begin(2), Top(0, b"a"), Top(0, b"a"), evil(), End(1)], &[]),
        ("a directory for a file", &["a"], one(directory(b"")), &[]),
        ("a link for a file", &["a"], one(Link(b"", b"/etc/passwd")), &[]),
        ("a link in a directory", &["-r", "a"], in_directory(&[Link(b"l", b"../../outside"), Leave, End(2)]), &["a"]),
        ("no name in a directory", &["-r", "a"], in_directory(&[file(b"", b"evil"), Leave, End(2)]), &["a"]),
        (
            "a directory without a name",
            &["-r", "a"],
            in_directory(&[directory(b""), file(b"f", b"evil"), Leave, Leave, End(3)]),
            &["a"],
        ),
        (
            "more leaving than entering",
            &["-r", "a"],
            in_directory(&[Leave, Leave, file(b"f", b"evil"), End(2)]),
            &["a"],
        ),
        ("a file after the top was left", &["-r", "a"], in_directory(&[Leave, file(b"f", b"evil"), End(2)]), &["a"]),
        ("an end inside", &["-r", "a"], in_directory(&[End(1)]), &["a"]),
        ("what no pattern matches", &["*"], top(b"b/c"), &[]),
        ("what a pattern must not match", &["*"], top(b".bashrc"), &[]),
        ("above a pattern", &["*"], top(b".."), &[]),
        ("above a pattern by a slash", &["d/*"], top(b"d/../x"), &[]),
        ("two dots for a star", &["*/x"], top(b"../x"), &[]),
        (
            "twice by a pattern",
            &["*"],
            vec![Begin(2), Top(0, b"b"), file(b"", b"good"), Top(0, b"b"), evil(), End(2)],
            &["b"],
        ),
        (
            "the wrong order",
            &["*"],
            vec![Begin(2), Top(0, b"b"), file(b"", b"good"), Top(0, b"a"), evil(), End(2)],
            &["b"],
        ),
        (
            "sources backwards",
            &["a", "b"],
            vec![Begin(2), Top(1, b"b"), file(b"", b"good"), Top(0, b"a"), evil(), End(2)],
            &["b"],
        ),
        (
            "more tops than were said",
            &["a", "b"],
            vec![Begin(1), Top(0, b"a"), file(b"", b"good"), Top(1, b"b"), evil(), End(2)],
            &["a"],
        ),
    ];
    for (what, asked, messages, expected) in rows {
        let victim = Victim::new();
        let words: Vec<String> =
            asked.iter().map(|word| if *word == "-r" { "-r".to_owned() } else { victim.at(word) }).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["."]).collect();
        let done = victim.scp(&words, |peer, _| say(peer, &messages));
        assert_eq!(done.code(), 4, "{what}: {done:?}");
        let there = names(&victim.everything());
        let also = expected.iter().map(|name| format!("in/{name}"));
        let allowed: Vec<String> =
            ["in", "outside", "outside/precious"].into_iter().map(str::to_owned).chain(also).collect();
        assert!(there.iter().all(|name| allowed.contains(name)), "{what}: {there:?} {done:?}");
        assert!(!done.stderr.contains("panicked"), "{what}: {done:?}");
    }
}

#[test]
fn a_name_that_is_no_name_ends_the_copy() {
    let long = [b'n'; 255];
    for (name, taken) in [
        (&b".."[..], false),
        (b".", false),
        (b"/", false),
        (b"a/b", false),
        (b"../../outside/x", false),
        (b"/tmp/x", false),
        (b"nul\0", false),
        (b"..\0", false),
        (&long, true),
    ] {
        let victim = Victim::new();
        let done = victim.scp(&["-r", &victim.at("a"), "."], |peer, _| {
            say(peer, &[Begin(1), Top(0, b"a"), directory(b"")]);
            let (kind, body) = named(name);
            peer.send(kind, &body);
            say(peer, &[Leave, End(2)]);
        });
        let there = names(&victim.everything());
        if taken {
            assert!(there.len() == 5, "{there:?} {done:?}");
        } else {
            assert_eq!(done.code(), 4, "{name:?}: {done:?}");
            assert_eq!(there, ["in", "in/a", "outside", "outside/precious"]);
            is_harmless(done.stderr.as_bytes());
        }
    }
}

#[test]
fn sizes_that_lie_end_the_copy_and_take_nothing_for_it() {
    let most = i64::MAX.unsigned_abs();
    let whole = |offset: u64, form: Form, size: u64, data: &'static [u8]| {
        FromSender::File(File { form, meta: META, size, offset, name: b"", data })
    };
    let rows: Vec<(&str, Vec<FromSender<'_>>)> = vec![
        ("more than was said", vec![pieces(b"", 3), Data(b"four"), Whole(None)]),
        ("a hole behind the end", vec![pieces(b"", 3), Hole(4), Whole(None)]),
        ("the longest hole", vec![pieces(b"", 3), Hole(u64::MAX), Whole(None)]),
        ("two holes that wrap", vec![pieces(b"", most), Hole(most), Hole(u64::MAX), Whole(None)]),
        ("less than was said", vec![pieces(b"", 3), Data(b"ab"), Whole(None)]),
        ("nothing of what was said", vec![pieces(b"", most), Whole(None)]),
        ("a small part of a huge file", vec![pieces(b"", most), Data(b"x"), End(1)]),
        ("half a small file", vec![whole(0, Form::Complete, 9, b"half")]),
        ("an offset that nobody offered", vec![whole(5, Form::Pieces, 9, b"half"), Whole(None)]),
        ("all of it there, they say", vec![whole(9, Form::Complete, 9, b"")]),
        ("data of no file", vec![Data(b"x")]),
        ("an end of no file", vec![Whole(None)]),
        ("an end that was given up of no file", vec![Abandoned]),
        ("a file in a file", vec![pieces(b"", 9), file(b"x", b"y"), Data(b"123456789"), Whole(None)]),
        ("a leave in a file", vec![pieces(b"", 9), Leave]),
        ("a question nobody asked for", vec![Ask(3, b"")]),
        ("an answer to nothing", vec![Answered]),
        ("a begin again", vec![Begin(1)]),
    ];
    for (what, messages) in rows {
        let victim = Victim::new();
        std::fs::write(victim.inside().join("a"), "old").unwrap();
        let mut peak = 0;
        let done = victim.scp(&["-r", &victim.at("a"), "."], |peer, pid| {
            say(peer, &[&[Begin(1), Top(0, b"a")], messages.as_slice(), &[End(1)]].concat());
            super::hear_out(peer);
            peak = most_memory(pid);
        });
        assert!(matches!(done.code(), 1 | 4), "{what}: {done:?}");
        assert_eq!(std::fs::read(victim.inside().join("a")).unwrap(), b"old", "{what}");
        let there = victim.everything();
        let disk: u64 =
            names(&there).iter().map(|name| crate::scp::on_disk(&victim.user.file("place").join(name))).sum();
        assert!(disk < 1 << 20 && peak < MOST_MEMORY, "{what}: {disk} bytes on disk, {peak} KiB");
        assert_eq!(names(&there), ["in", "in/a", "outside", "outside/precious"], "{what}: {done:?}");
    }
}

#[test]
fn an_end_that_is_none_is_no_success() {
    type Act = fn(&mut Peer);
    let begin = [Begin(1), Top(0, b"a"), file(b"", b"good")];
    let rows: [(&str, Act); 7] = [
        ("no word at all", |_| {}),
        ("a close at once", |peer| peer.close(0)),
        ("an early close", |peer| {
            say_all(peer, &[Begin(1), Top(0, b"a"), file(b"", b"good")]);
        }),
        ("a wrong sum", |peer| say(peer, &[End(2)])),
        ("another sum", |peer| say(peer, &[End(0)])),
        ("half a record", |peer| {
            let sealed = peer.seal(0x15, &[0; 100]);
            peer.write(&sealed[..50]);
            let _ = peer.socket.shutdown(std::net::Shutdown::Both);
        }),
        ("an error", |peer| peer.send(kind::ERROR, b"\x03\x1b]0;x\x07because")),
    ];
    for (what, act) in rows {
        let victim = Victim::new();
        let done = victim.scp(&[&victim.at("a"), "."], |peer, _| {
            if what.contains("sum") {
                say(peer, &begin);
            }
            act(peer);
            let _ = peer.socket.shutdown(std::net::Shutdown::Write);
        });
        assert_eq!(done.code(), 4, "{what}: {done:?}");
        is_harmless(done.stderr.as_bytes());
    }
}

#[test]
fn a_file_that_is_given_up_without_a_word_is_no_success() {
    let victim = Victim::new();
    let done = victim.scp(&[&victim.at("a"), "."], |peer, _| {
        say_all(peer, &[Begin(1), Top(0, b"a"), pieces(b"", 9), Data(b"half"), Abandoned, End(1)]);
    });
    assert!(done.code() == 1 && !done.stderr.is_empty(), "{done:?}");
    assert!(!victim.inside().join("a").exists());
}

#[test]
fn records_of_no_meaning_end_the_copy() {
    for (kind, body) in [
        (0x00, &b""[..]),
        (0x01, b"a"),
        (0x10, b""),
        (0x16, b""),
        (0x17, &[0; 8]),
        (0x17, &[0; 7]),
        (0x18, b"short"),
        (0x20, b""),
        (0x21, &[0; 8]),
        (0x22, &[0; 8]),
        (0x25, b""),
        (0xef, b""),
        (0x13, &[0xff; 40]),
        (0x15, &[3; 60]),
    ] {
        let victim = Victim::new();
        let done = victim.scp(&["-r", &victim.at("a"), "."], |peer, _| {
            say(peer, &[Begin(1), Top(0, b"a"), directory(b"")]);
            peer.send(kind, body);
            say(peer, &[Leave, End(1)]);
        });
        assert_eq!(done.code(), 4, "{kind:#x}: {done:?}");
    }
}

#[test]
fn what_a_host_says_of_its_files_never_speaks_to_the_terminal() {
    let victim = Victim::new();
    let text = "\x1b]0;x\x07 \u{9b}31m \u{202e}evil\r\n\x08\x7f";
    let done = victim.scp(&["-rv", &victim.at("a"), "."], |peer, _| {
        say_all(
            peer,
            &[
                Begin(1),
                Problem(text.as_bytes(), text),
                Problem(b"\xff\xfe\x9b", text),
                Top(0, b"a"),
                directory(b""),
                file(b"\x1b]0;x\x07", b""),
                Problem(b"a/x", text),
                Leave,
                End(2),
            ],
        );
    });
    assert_eq!(done.code(), 1, "{done:?}");
    assert!(done.stderr.contains("evil"), "{done:?}");
    is_harmless(&done.bytes);
    is_harmless(done.stderr.as_bytes());
}

#[test]
fn no_count_and_no_depth_takes_memory() {
    // A million items in a folder that cannot be made, which are settled without a word.
    let victim = Victim::new();
    std::fs::write(victim.inside().join("a"), "a file").unwrap();
    let mut peak = 0;
    let done = victim.scp(&["-r", &victim.at("a"), "."], |peer, pid| {
        say(peer, &[Begin(1), Total(u64::MAX, u64::MAX), Top(0, b"a"), directory(b"")]);
        let mut reading = peer.socket.try_clone().unwrap();
        std::thread::scope(|scope| {
            // The answers must be taken, or the other side waits.
            scope.spawn(move || drop(crate::peer::rest(&mut reading)));
            say_often(peer, &[file(b"f", b"x"), directory(b"d"), Leave], 350_000);
            say_often(peer, &[Total(1, 1)], 100_000);
            peak = most_memory(pid);
            let _ = peer.socket.shutdown(std::net::Shutdown::Both);
        });
    });
    assert_eq!(done.code(), 4, "{done:?}");
    assert!(peak > 0 && peak < MOST_MEMORY, "{peak} KiB");
    assert!(done.stderr.matches("not a directory").count() == 1, "{done:?}");

    // Deeper than anything can be.
    let victim = Victim::new();
    let done = victim.scp(&["-r", &victim.at("a"), "."], |peer, pid| {
        say(peer, &[Begin(1), Top(0, b"a"), directory(b"")]);
        say_often(peer, &[directory(b"d")], 100_000);
        peak = most_memory(pid);
    });
    assert_eq!(done.code(), 4, "{done:?}");
    assert!(peak < MOST_MEMORY, "{peak} KiB");
    // Their path is longer than any that could be looked up.
    let made = Command::new("find").arg(victim.inside()).output().unwrap().stdout;
    let made = made.iter().filter(|byte| **byte == b'\n').count();
    assert!(made < MAX_DEPTH + 10, "{made} directories");

    // Problems without end are said without end, and not kept.
    let victim = Victim::new();
    let done = victim.scp(&["-r", &victim.at("a"), "."], |peer, pid| {
        let problem = [Problem(b"some/path/or/other", "no reason at all")];
        say(peer, &[Begin(0)]);
        say_often(peer, &problem, 50_000);
        peak = most_memory(pid);
        say(peer, &[End(0)]);
        peer.close(carried(&[Begin(0), End(0)]) + 50_000 * carried(&problem));
    });
    assert_eq!(done.code(), 1);
    assert!(peak < MOST_MEMORY, "{peak} KiB");
}

#[test]
fn a_link_that_the_host_sends_is_never_a_way_out() {
    let victim = Victim::new();
    let outside = victim.user.file("place/outside");
    let to = outside.to_str().unwrap().as_bytes().to_vec();
    let precious = outside.join("precious").to_str().unwrap().as_bytes().to_vec();
    let done = victim.scp(&["-r", "--links", &victim.at("a"), "."], |peer, _| {
        say(
            peer,
            &[
                Begin(1),
                Top(0, b"a"),
                directory(b""),
                Link(b"sub", &to),
                directory(b"sub"),
                file(b"planted", b"evil"),
                Link(b"deeper", b"/etc"),
                directory(b"deeper"),
                file(b"planted", b"evil"),
                Leave,
                Leave,
                Link(b"file", &precious),
                file(b"file", b"evil"),
                Link(b"part", &precious),
                Leave,
                End(9),
            ],
        );
    });
    assert!(matches!(done.code(), 1 | 4), "{done:?}");
    assert_eq!(std::fs::read(outside.join("precious")).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    // The same with a link that was there before.
    symlink(&outside, victim.inside().join("b")).unwrap();
    victim.scp(&["-r", &victim.at("b"), "."], |peer, _| {
        say(peer, &[Begin(1), Top(0, b"b"), directory(b""), file(b"planted", b"evil"), Leave, End(2)]);
    });
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_hash_that_does_not_fit_keeps_the_file_from_its_name() {
    for (what, whole) in [("another", Whole(Some([7; HASH_LEN]))), ("none", Whole(None))] {
        let victim = Victim::new();
        let done = victim.scp(&["--verify", &victim.at("a"), "."], |peer, _| {
            say(peer, &[Begin(1), Top(0, b"a"), pieces(b"", 4), Data(b"evil"), whole, End(1)]);
        });
        assert!(matches!(done.code(), 1 | 4), "{what}: {done:?}");
        assert_eq!(names(&victim.everything()), ["in", "outside", "outside/precious"], "{what}");
    }
    let victim = Victim::new();
    let done = victim.scp(&["--verify", &victim.at("a"), "."], |peer, _| {
        say(peer, &[Begin(1), Top(0, b"a"), file(b"", b"evil"), End(1)]);
    });
    assert_eq!(done.code(), 4, "{done:?}");
    assert!(!victim.inside().join("a").exists());
}
