//! A client with every right that lies to a real kw-ptyd.

use super::{META, MOST_MEMORY, answer, directory, file, hear_out, most_memory, pieces, say, say_often, there};
use crate::peer::Peer;
use crate::pty::eventually;
use crate::scp::{Ends, names, tree, write};
use keywire::addr::PeerAddr;
use keywire::conn::kind;
use keywire::key::KeyPair;
use keywire::proto::copy::FromReceiver::{Done, Failed, Have, Stored};
use keywire::proto::copy::FromSender::{Abandoned, Answered, Ask, Begin, Data, End, Hole, Leave, Link, Top, Whole};
use keywire::proto::copy::{Asked, File, Form, FromSender, HASH_LEN, MAX_ASKED, Request, Way};
use keywire::proto::pty;
use std::os::unix::fs::symlink;

/// A host that lets in a key of the test's own.
struct Site {
    ends: Ends,
    me: KeyPair,
    to: PeerAddr,
}

impl Site {
    fn new() -> Self {
        let me = KeyPair::generate().unwrap();
        let ends = Ends::with(&["copy-write"], &["--allow", &me.public().to_string()]);
        let to = ends.address.parse().unwrap();
        Site { ends, me, to }
    }

    fn ask(&self, wishes: Request, asked: &[Asked<'_>]) -> Peer {
        let request = pty::Request::from(wishes).encode().unwrap();
        let mut peer = Peer::dial_with(&self.me, &self.to, "pty", &request);
        for word in asked {
            let (kind, body) = word.encode();
            peer.send(kind, body);
        }
        peer
    }

    /// Sends to `target` there.
    fn up(&self, target: &str) -> Peer {
        let target = there(&self.ends, target);
        let wishes = Request { recursive: true, ..Request::new(Way::ToHost) };
        self.ask(wishes, &[Asked::Target(&target), Asked::Go])
    }

    /// The host is as good as before, and has taken little.
    #[track_caller]
    fn serves(&self, what: &str) {
        let done = self.ends.up(&[], "good", "good");
        assert!(done.status.success(), "{what}: {done:?}");
        let memory = most_memory(self.ends.daemon.pid());
        assert!(memory < MOST_MEMORY, "{what}: {memory} KiB");
    }
}

/// Whether the host ended it with an error of this code.
#[track_caller]
fn is_refused(heard: &[(u8, Vec<u8>)], code: u8, what: &str) {
    let error = heard.iter().find(|(kind, _)| *kind == kind::ERROR);
    assert!(error.is_some_and(|(_, body)| body[0] == code), "{what}: {heard:?}");
}

#[test]
fn nothing_that_a_client_sends_leaves_the_target() {
    let site = Site::new();
    write(&site.ends.here("good"), b"good", 0o600);
    std::fs::create_dir_all(site.ends.there("outside")).unwrap();
    write(&site.ends.there("outside/precious"), b"precious", 0o600);
    let one = |item: FromSender<'static>| vec![Begin(1), Top(0, b"a"), item, End(1)];
    let in_directory = |items: &[FromSender<'static>]| [&[Begin(1), Top(0, b"a"), directory(b"")], items].concat();
    let huge = FromSender::File(File { form: Form::Complete, meta: META, size: 9, offset: 9, name: b"", data: b"" });
    let rows: Vec<(&str, Vec<FromSender<'_>>)> = vec![
        ("two dots", vec![Begin(1), Top(0, b".."), directory(b""), file(b"f", b"evil"), Leave, End(2)]),
        ("two dots behind", vec![Begin(1), Top(0, b"x/.."), directory(b""), file(b"f", b"evil"), Leave, End(2)]),
        ("two dots for a file", vec![Begin(1), Top(0, b"../.."), file(b"", b"evil"), End(1)]),
        ("a file of its own name", one(file(b"b", b"evil"))),
        ("no top", vec![Begin(1), file(b"", b"evil"), End(1)]),
        ("a top and no item", vec![Begin(1), Top(0, b"a"), Top(0, b"b"), End(0)]),
        ("too much left", in_directory(&[Leave, Leave, End(1)])),
        ("no name", in_directory(&[file(b"", b"evil"), Leave, End(2)])),
        ("a link that nobody asked for", one(Link(b"", b"/etc"))),
        ("more than was said", vec![Begin(1), Top(0, b"a"), pieces(b"", 3), Data(b"four"), Whole(None), End(1)]),
        ("a hole without end", vec![Begin(1), Top(0, b"a"), pieces(b"", 3), Hole(u64::MAX), Whole(None), End(1)]),
        ("less than was said", vec![Begin(1), Top(0, b"a"), pieces(b"", 3), Whole(None), End(1)]),
        ("all there, they say", vec![Begin(1), Top(0, b"a"), huge, End(1)]),
        ("data of no file", one(Data(b"x"))),
        ("an end of no file", one(Abandoned)),
        ("a question out of place", one(Ask(9, b""))),
        ("answered out of place", one(Answered)),
        ("no begin", vec![Top(0, b"a"), file(b"", b"evil"), End(1)]),
        ("two begins", vec![Begin(1), Begin(1), End(0)]),
        ("a wrong sum", vec![Begin(1), Top(0, b"a"), file(b"", b"good"), End(7)]),
        (
            "more after the end",
            vec![Begin(1), Top(0, b"a"), file(b"", b"good"), End(1), Top(0, b"b"), file(b"", b"evil")],
        ),
    ];
    for (what, messages) in rows {
        std::fs::create_dir(site.ends.there("in")).unwrap();
        let mut peer = site.up("in");
        say(&mut peer, &messages);
        let heard = hear_out(&mut peer);
        assert!(heard.iter().all(|(kind, _)| *kind != 0x25) || what == "more after the end", "{what}: {heard:?}");
        let there = tree(&site.ends.there(""));
        let allowed = ["good", "in", "in/a", "outside", "outside/precious"];
        assert!(names(&there).iter().all(|name| allowed.contains(&name.as_str())), "{what}: {:?}", names(&there));
        site.serves(what);
        std::fs::remove_dir_all(site.ends.there("in")).unwrap();
    }
}

#[test]
fn what_is_asked_for_must_make_sense() {
    let site = Site::new();
    write(&site.ends.here("good"), b"good", 0o600);
    let (to, from) = (Request::new(Way::ToHost), Request::new(Way::FromHost));
    let rows: &[(&str, Request, &[Asked<'_>])] = &[
        ("nothing", from, &[Asked::Go]),
        ("no target", to, &[Asked::Go]),
        ("two targets", to, &[Asked::Target(b"a"), Asked::Target(b"b"), Asked::Go]),
        ("a source to write", to, &[Asked::Source(b"a"), Asked::Go]),
        ("a target to read", from, &[Asked::Source(b"a"), Asked::Target(b"b"), Asked::Go]),
    ];
    for (what, wishes, asked) in rows {
        let heard = hear_out(&mut site.ask(*wishes, asked));
        is_refused(&heard, 2, what);
    }
    // More than anybody asks for.
    let mut peer = site.ask(from, &[]);
    for _ in 0..=MAX_ASKED {
        peer.send(0x01, b"a");
    }
    is_refused(&hear_out(&mut peer), 2, "too many sources");
    let mut peer = site.ask(from, &[]);
    let long = vec![b'a'; 4095];
    for _ in 0..4200 {
        peer.send(0x01, &long);
    }
    is_refused(&hear_out(&mut peer), 2, "too long sources");
    for (kind, body) in [(0x05, &b""[..]), (0x15, b"x"), (0x22, &[0; 8]), (0x04, b"x"), (0x01, b"a\0")] {
        let mut peer = site.ask(from, &[]);
        peer.send(kind, body);
        is_refused(&hear_out(&mut peer), 2, "no wish");
    }
    for request in [
        r#"{"op":"copy"}"#,
        r#"{"op":"copy","copy":{"way":"sideways"}}"#,
        r#"{"op":"copy","copy":{"way":"to-host","more":true}}"#,
        r#"{"op":"copy","command":"x","copy":{"way":"to-host"}}"#,
        r#"{"op":"exec","command":"x","copy":{"way":"to-host"}}"#,
    ] {
        let mut peer = Peer::dial_with(&site.me, &site.to, "pty", request.as_bytes());
        is_refused(&hear_out(&mut peer), 2, request);
    }
    site.serves("nonsense");
}

#[test]
fn a_receiver_that_lies_is_found_out() {
    let site = Site::new();
    write(&site.ends.here("good"), b"good", 0o600);
    write(&site.ends.there("file"), &vec![7; 9_000_000], 0o600);
    let path = there(&site.ends, "file");
    for (what, answers) in [
        ("stored what was never sent", vec![Stored(1_000_000_000)]),
        ("failed what was never sent", vec![Failed(u64::MAX, "why")]),
        ("done at once", vec![Done]),
        ("an offer that nobody asked for", vec![Have(7, [0; HASH_LEN])]),
    ] {
        let mut peer = site.ask(Request::new(Way::FromHost), &[Asked::Source(&path), Asked::Go]);
        answer(&mut peer, &answers);
        is_refused(&hear_out(&mut peer), 2, what);
    }
    // Nobody waits for ever for one who does not read, nor takes the file into memory for it.
    let mut idle = site.ask(Request::new(Way::FromHost), &[Asked::Source(&path), Asked::Go]);
    idle.recv().unwrap();
    site.serves("lies");
}

#[test]
fn whoever_asks_and_neither_reads_nor_goes_away_holds_no_session_for_ever() {
    let site = Site::new();
    write(&site.ends.there("file"), &vec![7; 40_000_000], 0o600);
    let path = there(&site.ends, "file");
    let mut peer = site.ask(Request::new(Way::FromHost), &[Asked::Source(&path), Asked::Go]);
    peer.recv().unwrap();
    // An end without a close, and a full way back.
    peer.socket.shutdown(std::net::Shutdown::Write).unwrap();
    eventually("the session is over", || site.ends.sessions() > 0);
}

#[test]
fn neither_a_million_items_nor_a_hundred_thousand_levels_take_memory() {
    let site = Site::new();
    write(&site.ends.here("good"), b"good", 0o600);
    std::fs::create_dir(site.ends.there("in")).unwrap();
    std::fs::write(site.ends.there("in/a"), "a file").unwrap();
    let mut peer = site.up("in");
    say(&mut peer, &[Begin(u32::MAX), Top(0, b"a"), directory(b"")]);
    let mut reading = peer.socket.try_clone().unwrap();
    std::thread::scope(|scope| {
        // The answers must be taken, or the other side waits.
        scope.spawn(move || drop(crate::peer::rest(&mut reading)));
        say_often(&mut peer, &[file(b"f", b"x"), directory(b"d"), Leave], 350_000);
        let _ = peer.socket.shutdown(std::net::Shutdown::Both);
    });
    site.serves("a million items");
    std::fs::remove_file(site.ends.there("in/a")).unwrap();
    let mut peer = site.up("in");
    say(&mut peer, &[Begin(1), Top(0, b"a"), directory(b"")]);
    say_often(&mut peer, &[directory(b"d")], 100_000);
    is_refused(&hear_out(&mut peer), 2, "depth");
    site.serves("a hundred thousand levels");
    // Frames of nothing.
    let mut peer = site.up("in");
    say(&mut peer, &[Begin(1), Top(0, b"b"), pieces(b"", 1 << 40)]);
    peer.send(0x16, b"");
    is_refused(&hear_out(&mut peer), 2, "no data");
    // Questions without end.
    let target = there(&site.ends, "in");
    let wishes = Request { recursive: true, resume: true, ..Request::new(Way::ToHost) };
    let mut peer = site.ask(wishes, &[Asked::Target(&target), Asked::Go]);
    say(&mut peer, &[Begin(1), Top(0, b"c"), directory(b"")]);
    let mut reading = peer.socket.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(crate::peer::rest(&mut reading)));
        say_often(&mut peer, &[Ask(1 << 40, b"name")], 300_000);
        let _ = peer.socket.shutdown(std::net::Shutdown::Both);
    });
    site.serves("questions without end");
}

#[test]
fn a_link_of_the_clients_own_is_no_way_out_of_a_root() {
    let me = KeyPair::generate().unwrap();
    let ends = Ends::with(&["copy-write", "--root", "$THERE/root"], &[]);
    std::fs::create_dir_all(ends.there("root")).unwrap();
    std::fs::create_dir_all(ends.there("outside")).unwrap();
    write(&ends.there("outside/precious"), b"top secret", 0o600);
    ends.host
        .run(
            "kw-peers",
            [
                "allow",
                &me.public().to_string(),
                "copy-write",
                "copy-read",
                "--root",
                ends.there("root").to_str().unwrap(),
            ],
        )
        .succeeds();
    let to: PeerAddr = ends.address.parse().unwrap();
    let before = tree(&ends.there("outside"));
    let outside = there(&ends, "outside");
    let ask = |wishes: Request, asked: &[Asked<'_>]| {
        let mut peer = Peer::dial_with(&me, &to, "pty", &pty::Request::from(wishes).encode().unwrap());
        for word in asked {
            let (kind, body) = word.encode();
            peer.send(kind, body);
        }
        peer
    };
    let write = Request { recursive: true, links: true, ..Request::new(Way::ToHost) };
    for leads in [outside.as_slice(), b"../outside", b"../../../../../../../..", b"/"] {
        let mut peer = ask(write, &[Asked::Target(b"/"), Asked::Go]);
        say(&mut peer, &[Begin(1), Top(0, b"out"), Link(b"", leads), End(1)]);
        hear_out(&mut peer);
        // Now through it: as the target, and as an item.
        for target in [&b"/out"[..], b"out/", b"out/outside", b"out/../outside", b"/out/precious"] {
            let mut peer = ask(write, &[Asked::Target(target), Asked::Go]);
            say(&mut peer, &[Begin(1), Top(0, b"precious"), file(b"", b"evil"), End(1)]);
            hear_out(&mut peer);
            assert_eq!(tree(&ends.there("outside")), before);
        }
        let read = Request { recursive: true, ..Request::new(Way::FromHost) };
        for source in [&b"out"[..], b"out/outside/precious", b"out/precious", b"*/precious", b"out/*"] {
            let mut peer = ask(read, &[Asked::Source(source), Asked::Go]);
            let heard = hear_out(&mut peer);
            let tells = heard.iter().any(|(_, body)| body.windows(10).any(|bytes| bytes == b"top secret"));
            assert!(!tells, "{source:?}: {heard:?}");
        }
        let _ = std::fs::remove_file(ends.there("root/out"));
        let _ = std::fs::remove_dir_all(ends.there("root/out"));
    }
    symlink(ends.there("outside"), ends.there("root/planted")).unwrap();
    let mut peer = ask(write, &[Asked::Target(b"/"), Asked::Go]);
    say(&mut peer, &[Begin(1), Top(0, b"planted"), directory(b""), file(b"precious", b"evil"), Leave, End(2)]);
    hear_out(&mut peer);
    assert_eq!(tree(&ends.there("outside")), before);
}
