//! What lands where: the rules of scp.

use super::*;
use std::os::unix::fs::symlink;

/// A copy of one thing to `to`: a file or a directory with a file `in` in it.
fn one(yard: &Yard, to: &str, path: &str, is_directory: bool) -> Copied {
    many(yard, to, &[(path, is_directory)])
}

fn many(yard: &Yard, to: &str, tops: &[(&str, bool)]) -> Copied {
    let mut messages = vec![FromSender::Begin(tops.len() as u32)];
    let mut items = 0;
    for (path, is_directory) in tops {
        messages.push(top(path));
        if *is_directory {
            messages.extend([directory(""), small("in", path), LEAVE]);
            items += 1;
        } else {
            messages.push(small("", path));
        }
        items += 1;
    }
    messages.push(FromSender::End(items));
    copy(&yard.at(to), None, &wishes(), &messages)
}

#[test]
fn a_file_goes_into_a_directory_that_is_there_or_gets_the_name_that_is_said() {
    for (to, found) in [("to", "to/a"), ("to/", "to/a"), ("to/.", "to/a"), ("to/b", "to/b"), ("to/../b", "b")] {
        let yard = Yard::new();
        assert!(one(&yard, to, "x/a", false).is_whole(1), "{to}");
        assert_eq!(yard.read(found), "x/a", "{to}");
    }
}

#[test]
fn a_directory_goes_into_one_that_is_there_or_gets_the_name_that_is_said() {
    for (to, path, found) in [
        ("to", "x/src", "to/src/in"),
        ("to", "x/src/", "to/src/in"),
        ("to/new", "x/src", "to/new/in"),
        ("to/new/", "x/src", "to/new/in"),
        ("to", "x/src/.", "to/in"),
        ("to", ".", "to/in"),
        ("to", "./", "to/in"),
        ("to", "/", "to/in"),
        ("to", "", "to/in"),
        ("to/new", "x/src/.", "to/new/in"),
        ("to/new", "", "to/new/in"),
    ] {
        let yard = Yard::new();
        let copied = one(&yard, to, path, true);
        assert!(copied.is_whole(2), "{to} {path} {copied:?}");
        assert_eq!(yard.read(found), path, "{to} {path}");
    }
}

#[test]
fn several_things_need_a_directory() {
    let yard = Yard::new();
    std::fs::write(yard.at("file"), "old").unwrap();
    let tops = [("a", false), ("b", true)];
    assert!(many(&yard, "new", &tops).hopeless("new: no such directory"));
    assert!(many(&yard, "file", &tops).hopeless("file: not a directory"));
    assert!(many(&yard, "to", &tops).is_whole(3));
    assert_eq!((yard.names("."), yard.names("to")), (vec!["file".into(), "to".into()], vec!["a".into(), "b".into()]));
    assert_eq!(yard.read("file"), "old");
}

#[test]
fn a_target_whose_directory_is_not_there_is_hopeless() {
    let yard = Yard::new();
    std::fs::write(yard.at("file"), "old").unwrap();
    for to in ["none/a", "none/", "none/.", "none/..", "none/a/"] {
        let copied = one(&yard, to, "a", false);
        if to == "none/" {
            assert!(copied.failed("no such directory"), "{copied:?}");
        } else {
            assert!(copied.hopeless("no such directory"), "{to} {copied:?}");
        }
    }
    assert!(one(&yard, "file/a", "a", false).hopeless("not a directory"));
    assert!(one(&yard, "file/", "a", false).hopeless("not a directory"));
    assert_eq!(yard.names("."), ["file", "to"]);
}

#[test]
fn a_target_of_another_kind_is_not_replaced() {
    let yard = Yard::new();
    std::fs::write(yard.at("file"), "old").unwrap();
    std::fs::create_dir(yard.at("to/a")).unwrap();
    nix::unistd::mkfifo(&yard.at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(one(&yard, "file", "src", true).failed("not a directory"));
    assert!(one(&yard, "to", "a", false).failed("is a directory"));
    assert!(one(&yard, "fifo", "a", false).failed("is not a regular file"));
    assert!(one(&yard, "fifo", "src", true).failed("not a directory"));
    assert_eq!((yard.read("file"), yard.names("to/a").len()), ("old".into(), 0));
    assert_eq!(yard.names("."), ["fifo", "file", "to"]);
}

#[test]
fn a_target_that_is_a_link_is_followed_and_one_that_leads_nowhere_replaced() {
    let yard = Yard::new();
    std::fs::create_dir(yard.at("real")).unwrap();
    std::fs::write(yard.at("real/file"), "old").unwrap();
    symlink("real", yard.at("dir")).unwrap();
    symlink("../real/file", yard.at("to/link")).unwrap();
    symlink("nowhere", yard.at("to/dangling")).unwrap();
    assert!(one(&yard, "dir", "a", false).is_whole(1));
    assert!(one(&yard, "to/link", "b", false).is_whole(1));
    assert!(one(&yard, "to/dangling", "c", false).is_whole(1));
    assert_eq!(
        (yard.read("real/a"), yard.read("real/file"), yard.read("to/dangling")),
        ("a".into(), "b".into(), "c".into())
    );
    assert!(yard.at("to/link").is_symlink() && !yard.at("to/dangling").is_symlink());
    assert_eq!(yard.names("to"), ["dangling", "link"]);
}

#[test]
fn a_target_that_is_replaced_again_and_again_is_written_under_its_own_name() {
    use crate::copy::receive::target::find;
    use std::sync::atomic::AtomicBool;
    let yard = Yard::new();
    symlink("file", yard.at("link")).unwrap();
    std::fs::write(yard.at("file"), "").unwrap();
    let (place, is_over) = (Place::of_process().unwrap(), AtomicBool::new(false));
    let names = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                std::fs::write(yard.at("new"), "").unwrap();
                std::fs::rename(yard.at("new"), yard.at("file")).unwrap();
            }
        });
        let found = |to| find(&place, yard.at(to).as_os_str().as_bytes(), 1).map(|spot| spot.name.unwrap());
        let names: Vec<_> = (0..4000).flat_map(|_| [found("file"), found("link")]).collect();
        is_over.store(true, Ordering::Relaxed);
        names
    });
    assert!(names.iter().all(|name| name.as_deref() == Ok(&b"file"[..])), "{names:?}");
}

#[test]
fn a_source_that_ends_in_two_dots_is_refused() {
    for path in ["..", "a/..", "../", "../..", "/.."] {
        let yard = Yard::new();
        assert!(one(&yard, "to", path, true).broke("no name"), "{path}");
        assert!(yard.names("to").is_empty());
    }
}

#[test]
fn a_file_without_a_name_needs_a_target_that_gives_it_one() {
    let yard = Yard::new();
    assert!(one(&yard, "to", "", false).hopeless("is a directory"));
    assert!(yard.names("to").is_empty());
    assert!(one(&yard, "to/new", "", false).is_whole(1));
    assert_eq!(yard.names("to"), ["new"]);
}

#[test]
fn the_home_of_a_host_that_was_asked_is_not_called_like_its_sign() {
    let yard = Yard::new();
    let messages = [BEGIN, top("~"), directory(""), small("in", "x"), LEAVE, FromSender::End(2)];
    assert!(copy(&yard.at("to"), Some(&["~"]), &wishes(), &messages).is_whole(2));
    assert_eq!(yard.names("to"), ["in"]);
    // Here it is a name like any other.
    assert!(copy(&yard.at("to"), None, &wishes(), &messages).is_whole(2));
    assert_eq!(yard.names("to"), ["in", "~"]);
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let yard = Yard::new();
    std::fs::create_dir(yard.at("to/sub")).unwrap();
    std::fs::write(yard.at("to/file"), "old").unwrap();
    let dry = Request { dry_run: true, ..preserving() };
    let file = |name: &'static str| {
        FromSender::File(File {
            form: Form::Complete,
            meta: META,
            size: 1 << 40,
            offset: 0,
            name: name.as_bytes(),
            data: b"",
        })
    };
    let messages = [
        BEGIN,
        top("."),
        directory(""),
        file("file"),
        file("sub"),
        FromSender::Link(b"link", b"x"),
        directory("new"),
        file("in"),
        directory("deeper"),
        file("in"),
        LEAVE,
        LEAVE,
        directory("sub"),
        file("in"),
        LEAVE,
        directory("file"),
        file("in"),
        LEAVE,
        LEAVE,
        FromSender::End(12),
    ];
    let copied = yard.receive(&dry, &messages);
    assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 9, failed: 2 }, "{copied:?}");
    assert!(copied.failed("is a directory") && copied.failed("not a directory"));
    assert!(copied.events.contains(&format!("stored ./file File {}", 1_u64 << 40)), "{copied:?}");
    assert_eq!(
        (yard.names("to"), yard.read("to/file"), yard.names("to/sub").len()),
        (vec!["file".into(), "sub".into()], "old".into(), 0)
    );
    assert!(one(&yard, "none/such", "a", false).hopeless("no such directory"));
}

#[test]
fn every_name_that_a_file_system_takes_arrives() {
    let yard = Yard::new();
    let long = [b'x'; 255];
    let names: [&[u8]; 9] = [b" ", b"a b", b"-rf", b"\n", b"\xff\xfe", b"'`$(x)`\\\"", b"\x1b]0;x\x07", b"...", &long];
    let mut messages = vec![BEGIN, top("src"), directory("")];
    let file = |name| FromSender::File(File { form: Form::Complete, meta: META, size: 1, offset: 0, name, data: b"x" });
    messages.extend(names.iter().map(|name| file(name)));
    messages.extend([LEAVE, FromSender::End(10)]);
    let copied = yard.receive(&wishes(), &messages);
    assert!(copied.is_whole(10), "{copied:?}");
    for name in names {
        assert_eq!(std::fs::read(yard.at("to/src").join(std::ffi::OsStr::from_bytes(name))).unwrap(), b"x");
    }
    assert_eq!(yard.names("to/src").len(), names.len());
}

#[test]
fn what_is_called_like_a_part_is_not_taken_for_one() {
    // The part of `x`.
    let digits = blake3::hash(b"x").to_hex();
    let part = format!(".kw-{}.part", &digits[..16]);
    for item in [
        vec![small(&part, "left over")],
        vec![FromSender::Link(part.as_bytes(), b"to")],
        vec![directory(&part), small("below", "in it"), LEAVE],
    ] {
        let count = item.iter().filter(|message| !matches!(message, FromSender::Leave)).count() as u64;
        for is_dry in [true, false] {
            let yard = Yard::new();
            let x = if is_dry { small("x", "") } else { small("x", "data") };
            let item: Vec<_> = item
                .iter()
                .map(|message| match message {
                    FromSender::File(file) if is_dry => FromSender::File(File { data: b"", ..*file }),
                    other => *other,
                })
                .collect();
            let messages =
                [&[BEGIN, top("src"), directory("")], &item[..], &[x, LEAVE, FromSender::End(2 + count)]].concat();
            let copied = yard.receive(&Request { dry_run: is_dry, ..wishes() }, &messages);
            assert!(copied.failed("the name is that of a part"), "{copied:?}");
            assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 2, failed: 1 });
            if !is_dry {
                assert_eq!((yard.names("to/src"), yard.read("to/src/x")), (vec!["x".into()], "data".into()));
            }
        }
    }
    let yard = Yard::new();
    let copied =
        copy(&yard.at("to").join(&part), None, &wishes(), &[BEGIN, top("a"), small("", "x"), FromSender::End(1)]);
    assert!(copied.failed("the name is that of a part") && yard.names("to").is_empty(), "{copied:?}");
}
