//! What a hostile sender, or somebody at the target, tries.

use super::*;
use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicBool;

/// A sender that says one record of its own making after the others.
fn raw(yard: &Yard, first: &[FromSender<'_>], kind: u8, body: &[u8]) -> Copied {
    let ((mut out, mut back, breaker), (answers, incoming, _breaker)) = bulk_pair();
    let place = Place::of_process().unwrap();
    let to = yard.at("to");
    let target = Target::Path(&place, to.as_os_str().as_bytes());
    let mut events = Vec::new();
    let (outcome, end) = std::thread::scope(|scope| {
        let receiving = scope
            .spawn(|| receive(&target, None, &wishes(), answers, incoming, &mut |event| events.push(note(&event))));
        for message in first {
            let (kind, front, rest) = message.encode();
            out.push(kind, &[&front, rest]).unwrap();
        }
        out.push(kind, &[body]).and_then(|()| out.flush()).unwrap();
        let end = loop {
            match back.recv() {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop((out, back, breaker));
        (receiving.join().unwrap(), end)
    });
    Copied { outcome, events, said: Vec::new(), end }
}

#[test]
fn a_name_that_is_no_name_ends_the_copy() {
    for name in [&b"."[..], b"..", b"a/b", b"../a", b"/etc/a", b"a/", b"a\0b"] {
        let yard = Yard::new();
        std::fs::create_dir(yard.at("to/src")).unwrap();
        let mode = yard.mode("to/src");
        let meta = [&0o777_u16.to_be_bytes()[..], &[0; 12]].concat();
        let length = u8::try_from(name.len()).unwrap();
        let file = [&[1][..], &meta, &[0; 16], &[length], name].concat();
        let bodies = [(0x13, [&meta[..], name].concat()), (0x15, file), (0x1a, [&[length][..], name, b"x"].concat())];
        for (kind, body) in bodies {
            let copied = raw(&yard, &[BEGIN, top("src"), directory("")], kind, &body);
            assert!(copied.broke("a name that cannot be"), "{name:?} {kind:#x} {copied:?}");
        }
        assert_eq!((yard.mode("to/src"), yard.names("to/src").len(), yard.names(".")), (mode, 0, vec!["to".into()]));
    }
}

#[test]
fn records_without_data_end_the_copy_at_once() {
    let yard = Yard::new();
    for (kind, body) in [(0x16, &b""[..]), (0x17, &[0; 8]), (0x20, b""), (0x21, &[0; 8])] {
        let copied = raw(&yard, &[BEGIN, top("a"), large("", 9)], kind, body);
        assert!(copied.broke("protocol error"), "{kind:#x} {copied:?}");
    }
    assert!(yard.names("to").is_empty());
}

#[test]
fn nothing_is_taken_that_was_not_asked_for() {
    for (asked, tops) in [
        (&["a"][..], &[(0, "b")][..]),
        (&["a"], &[(0, "a/../b")]),
        (&["a"], &[(0, "a"), (0, "a")]),
        (&["a"], &[(0, "a"), (1, "b")]),
        (&["a"], &[(0, "")]),
        (&["*"], &[(0, ".ssh")]),
        (&["*"], &[(0, "b"), (0, "a")]),
        (&["*.c"], &[(0, "a.c"), (0, "b.h")]),
    ] {
        let yard = Yard::new();
        let mut messages = vec![FromSender::Begin(9)];
        for (source, path) in tops {
            messages.extend([FromSender::Top(*source, path.as_bytes()), small("", "x")]);
        }
        let copied = copy(&yard.at("to"), Some(asked), &wishes(), &messages);
        assert!(copied.broke("was not asked for"), "{asked:?} {tops:?} {copied:?}");
        let stray = |name: &String| !matches!(name.as_str(), "a" | "a.c" | "b") || asked == ["a"] && name == "b";
        assert!(!yard.names("to").iter().any(stray), "{asked:?} {:?}", yard.names("to"));
    }
}

#[test]
fn more_than_was_announced_is_not_taken() {
    let yard = Yard::new();
    let copied = yard.receive(&wishes(), &[BEGIN, top("a"), small("", "x"), top("b"), small("", "y")]);
    assert!(copied.broke("more than BEGIN announced"), "{copied:?}");
    let copied = yard.receive(&wishes(), &[FromSender::Begin(0), top("b"), small("", "y")]);
    assert!(copied.broke("more than BEGIN announced"), "{copied:?}");
    assert_eq!(yard.names("to"), ["a"]);
}

#[test]
fn a_directory_or_link_comes_only_where_it_was_asked_for() {
    let yard = Yard::new();
    let plain = Request { recursive: false, links: false, ..wishes() };
    let copied = copy(&yard.at("to"), Some(&["a"]), &plain, &[BEGIN, top("a"), directory(""), small("b", "x")]);
    assert!(copied.broke("only files were asked for"), "{copied:?}");
    let link = FromSender::Link(b"", b"/etc");
    assert!(copy(&yard.at("to"), Some(&["a"]), &plain, &[BEGIN, top("a"), link]).broke("symbolic link"));
    assert!(yard.names("to").is_empty());
}

#[test]
fn a_link_in_place_of_a_directory_is_not_entered() {
    let yard = Yard::new();
    std::fs::create_dir(yard.at("outside")).unwrap();
    std::fs::create_dir(yard.at("to/src")).unwrap();
    symlink("../../outside", yard.at("to/src/sub")).unwrap();
    symlink(yard.at("outside"), yard.at("to/top")).unwrap();
    let inside = [small("f", "x"), directory("deep"), small("f", "x"), LEAVE, LEAVE];
    let begin = [FromSender::Begin(2), top("src"), directory(""), directory("sub")];
    let second = [small("after", "x"), LEAVE, top("top"), directory("")];
    let messages = [&begin[..], &inside, &second, &[small("f", "x"), LEAVE, FromSender::End(8)]].concat();
    for wishes in [wishes(), preserving()] {
        let copied = yard.receive(&wishes, &messages);
        assert!(copied.failed("a link is in its place"), "{copied:?}");
        // Each is named once, and not what is in it.
        assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 2, failed: 2 }, "{copied:?}");
        assert_eq!(copied.said.iter().filter(|said| said.starts_with("Failed(")).count(), 2);
        assert!(yard.names("outside").is_empty());
        assert!(yard.at("to/src/sub").is_symlink() && yard.at("to/top").is_symlink());
    }
    assert_eq!(yard.read("to/src/after"), "x");
}

#[test]
fn a_link_that_was_sent_is_not_written_through() {
    let yard = Yard::new();
    std::fs::write(yard.at("secret"), "secret").unwrap();
    std::fs::create_dir(yard.at("outside")).unwrap();
    let copied = yard.receive(
        &wishes(),
        &[
            BEGIN,
            top("src"),
            directory(""),
            FromSender::Link(b"a", b"../../secret"),
            small("a", "mine"),
            FromSender::Link(b"b", b"../../outside"),
            directory("b"),
            small("f", "x"),
            LEAVE,
            FromSender::Link(b"a", b"elsewhere"),
            LEAVE,
            FromSender::End(7),
        ],
    );
    assert!(copied.failed("a link is in its place"), "{copied:?}");
    assert_eq!((yard.read("secret"), yard.names("outside").len()), ("secret".into(), 0));
    assert_eq!(std::fs::read_link(yard.at("to/src/a")).unwrap().to_str(), Some("elsewhere"));
    assert_eq!(yard.names("to/src"), ["a", "b"]);
}

#[test]
fn a_link_at_the_place_of_a_file_is_replaced() {
    let yard = Yard::new();
    std::fs::write(yard.at("secret"), "secret").unwrap();
    symlink(yard.at("secret"), yard.at("to/a")).unwrap();
    assert!(yard.receive(&wishes(), &[BEGIN, top("a"), small("", "mine"), FromSender::End(1)]).is_whole(1));
    assert_eq!((yard.read("secret"), yard.read("to/a")), ("secret".into(), "mine".into()));
    assert!(!yard.at("to/a").is_symlink());
}

#[test]
fn a_link_replaces_a_file_or_link_and_no_directory() {
    let yard = Yard::new();
    std::fs::write(yard.at("to/file"), "old").unwrap();
    symlink("old", yard.at("to/link")).unwrap();
    std::fs::create_dir(yard.at("to/sub")).unwrap();
    let link = FromSender::Link;
    let messages = [
        FromSender::Begin(4),
        top("file"),
        link(b"", b"new"),
        top("link"),
        link(b"", b"new"),
        top("sub"),
        link(b"", b"new"),
        top("none"),
        link(b"", b""),
        FromSender::End(4),
    ];
    let copied = yard.receive(&wishes(), &messages);
    assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 2, failed: 2 }, "{copied:?}");
    assert!(copied.failed("is a directory"));
    assert_eq!(yard.names("to"), ["file", "link", "sub"]);
    for name in ["to/file", "to/link"] {
        assert_eq!(std::fs::read_link(yard.at(name)).unwrap().to_str(), Some("new"));
    }
}

#[test]
fn a_directory_that_is_exchanged_for_a_link_leads_nowhere() {
    let yard = Yard::new();
    std::fs::create_dir(yard.at("outside")).unwrap();
    std::fs::set_permissions(yard.at("outside"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::create_dir_all(yard.at("to/src/sub")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            symlink(yard.at("outside"), yard.at("link")).unwrap();
            let exchange = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
            while !over.load(Ordering::Relaxed) {
                let (from, to) = (yard.at("link"), yard.at("to/src/sub"));
                nix::fcntl::renameat2(None, &from, None, &to, exchange).unwrap();
            }
        });
        let mut messages = vec![BEGIN, top("src"), directory("")];
        let open = FromSender::Directory(Meta { mode: 0o777, ..META }, b"sub");
        for _ in 0..2000 {
            messages.extend([open, small("f", "x"), directory("deep"), small("f", "x"), LEAVE, LEAVE]);
        }
        messages.extend([LEAVE, FromSender::End(8001)]);
        let copied = yard.receive(&preserving(), &messages);
        over.store(true, Ordering::Relaxed);
        assert!(copied.outcome.is_ok(), "{copied:?}");
    });
    assert_eq!((yard.names("outside").len(), yard.mode("outside")), (0, 0o700));
}

#[test]
fn directories_deeper_than_a_path_are_refused_in_flat_memory() {
    let yard = Yard::new();
    let mut messages = vec![BEGIN, top("src"), directory("")];
    let names = "d".repeat(200);
    for _ in 0..30 {
        messages.push(directory(&names));
    }
    messages.push(small("f", "x"));
    messages.extend([LEAVE; 31]);
    messages.push(FromSender::End(32));
    let copied = yard.receive(&wishes(), &messages);
    assert!(copied.failed("too long"), "{copied:?}");
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 21, failed: 1 });
    // However short the names are: there is an end to it.
    let mut messages = vec![BEGIN, top("src")];
    messages.push(directory(""));
    messages.extend(vec![directory("d"); 100_000]);
    assert!(yard.receive(&wishes(), &messages).broke("too deep"));
}

#[test]
fn a_directory_that_is_left_is_found_again_by_its_path() {
    let yard = Yard::new();
    let messages = [
        BEGIN,
        top("src"),
        directory(""),
        directory("a"),
        directory("b"),
        small("1", "1"),
        LEAVE,
        small("2", "2"),
        directory("c"),
        small("3", "3"),
        LEAVE,
        LEAVE,
        small("4", "4"),
        LEAVE,
        FromSender::End(8),
    ];
    assert!(yard.receive(&wishes(), &messages).is_whole(8));
    assert_eq!(yard.read("to/src/a/b/1") + &yard.read("to/src/a/2") + &yard.read("to/src/a/c/3"), "123");
    assert_eq!(yard.read("to/src/4"), "4");
}

#[test]
fn two_copies_to_one_target_leave_one_of_them_whole() {
    let yard = Yard::new();
    let bodies = ["a".repeat(300_000), "b".repeat(300_000)];
    for _ in 0..20 {
        std::thread::scope(|scope| {
            for body in &bodies {
                scope.spawn(|| {
                    let size = body.len() as u64;
                    let mut messages = vec![BEGIN, top("f"), large("", size)];
                    messages.extend(body.as_bytes().chunks(1000).map(FromSender::Data));
                    messages.extend([WHOLE, FromSender::End(1)]);
                    let copied = yard.receive(&wishes(), &messages);
                    assert!(copied.is_whole(1), "{copied:?}");
                });
            }
        });
        assert!(bodies.contains(&yard.read("to/f")));
        assert_eq!(yard.names("to"), ["f"]);
    }
}

#[test]
fn standard_output_takes_files_only() {
    let link = FromSender::Link(b"", b"x");
    for item in [directory(""), link] {
        let copied = run(&Target::Stdout, None, &wishes(), |_, mouth| {
            [BEGIN, top("a"), item].iter().for_each(|message| mouth.say(message));
            Goodbye::Close
        });
        assert!(copied.hopeless("standard output takes files only"), "{copied:?}");
    }
}

/// What a program of its own, which runs this test alone, writes to its standard output.
fn standard_output(test: &str) -> Vec<u8> {
    let test = format!("copy::receive::tests::safety::{test}");
    let program = std::env::current_exe().unwrap();
    let ran = std::process::Command::new(program)
        .args(["--exact", &test, "--nocapture"])
        .env("KEYWIRE_TEST_ALONE", "1")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    ran.stdout
}

#[test]
fn standard_output_gets_the_contents_and_holes_as_zeros() {
    if std::env::var_os("KEYWIRE_TEST_ALONE").is_none() {
        let out = standard_output("standard_output_gets_the_contents_and_holes_as_zeros");
        let expected = [b"<one>".to_vec(), b"two".to_vec(), vec![0; 100_000], b"</two>".to_vec()].concat();
        assert!(out.windows(expected.len()).any(|window| window == expected));
        return;
    }
    let verified = Request { verify: true, ..wishes() };
    let hash = |bytes: &[u8]| FromSender::Whole(Some(*blake3::hash(bytes).as_bytes()));
    let two = [&b"two"[..], &[0; 100_000], b"</two>"].concat();
    let messages = [
        FromSender::Begin(2),
        top("one"),
        large("", 5),
        FromSender::Data(b"<one>"),
        hash(b"<one>"),
        top("two"),
        large("", two.len() as u64),
        FromSender::Data(b"two"),
        FromSender::Hole(100_000),
        FromSender::Data(b"</two>"),
        hash(&two),
        FromSender::End(2),
    ];
    let copied = run(&Target::Stdout, Some(&["one", "two"]), &verified, |_, mouth| {
        let mut sources = 0..;
        for message in &messages {
            match message {
                FromSender::Top(_, path) => mouth.say(&FromSender::Top(sources.next().unwrap(), path)),
                other => mouth.say(other),
            }
        }
        Goodbye::Close
    });
    assert!(copied.is_whole(2), "{copied:?}");
}

#[test]
fn a_directory_that_was_exchanged_meanwhile_is_not_gone_on_in() {
    let yard = Yard::new();
    let place = Place::of_process().unwrap();
    let to = yard.at("to");
    let copied = run(&Target::Path(&place, to.as_os_str().as_bytes()), None, &preserving(), |back, mouth| {
        [BEGIN, top("src"), directory(""), directory("a"), directory("b")].iter().for_each(|one| mouth.say(one));
        mouth.flush();
        // All of it is there when that is said.
        while !back
            .recv()
            .unwrap()
            .unwrap()
            .records()
            .any(|record| FromReceiver::decode(&record).unwrap() == FromReceiver::Stored(3))
        {}
        std::fs::rename(yard.at("to/src/a"), yard.at("to/src/moved")).unwrap();
        std::fs::create_dir(yard.at("to/src/a")).unwrap();
        [LEAVE, small("f", "x"), LEAVE, LEAVE, FromSender::End(4)].iter().for_each(|one| mouth.say(one));
        Goodbye::Close
    });
    assert!(copied.failed("another directory has its name"), "{copied:?}");
    assert!(yard.names("to/src/a").is_empty() && yard.names("to/src/moved") == ["b"]);
    // It does not get what was meant for the other one, which is said too.
    assert_ne!(std::os::unix::fs::MetadataExt::mtime(&std::fs::metadata(yard.at("to/src/a")).unwrap()), META.seconds);
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 3, failed: 2 });
}
