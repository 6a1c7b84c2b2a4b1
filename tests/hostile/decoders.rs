//! Everything that makes sense of bytes from elsewhere, without a socket. A decoder may take only what an encoder makes:
//! whatever it takes must be written again as the same bytes, or read again as the same thing.

use super::{Dice, near};
use keywire::addr::{HostPort, PeerAddr};
use keywire::conn::Record;
use keywire::frame::{Fields, MAX_FRAME_LEN, frame, read_frame};
use keywire::key::{KeyPair, PublicKey, SecretKey};
use keywire::noise::{MAX_REQUEST_LEN, Preface};
use keywire::proto::copy::{Asked, File, Form, FromReceiver, FromSender, HASH_LEN, Meta};
use keywire::proto::pipe::{self, Message};
use keywire::proto::pty::{Exit, FromDialer, FromHost, Op, Request, Stream, Tty};
use keywire::record::{MAX_BODY_LEN, Opener, Sealer};
use keywire::seal::Suite;
use keywire::term::WindowSize;
use std::collections::BTreeMap;

const RANDOM: usize = 100_000;

/// Throws everything at `check`, which panics where it should.
pub(super) fn attack(name: &str, good: &[&[u8]], check: impl Fn(&[u8])) {
    for bytes in good.iter().flat_map(|good| near(good)) {
        check(&bytes);
    }
    let mut dice = Dice::new(name);
    for _ in 0..RANDOM {
        let at = dice.roll(good.len());
        check(&dice.spoil(good[at]));
    }
}

/// A record as it comes out of the seal: type and body.
fn record(bytes: &[u8]) -> Option<Record<'_>> {
    bytes.split_first().map(|(kind, body)| Record { kind: *kind, body })
}

fn wire((kind, body): (u8, impl AsRef<[u8]>)) -> Vec<u8> {
    [&[kind], body.as_ref()].concat()
}

#[test]
fn of_all_prefaces_two_are_taken() {
    let taken: Vec<[u8; 2]> =
        (0..=u16::MAX).map(u16::to_be_bytes).filter(|bytes| Preface::from_bytes(*bytes).is_ok()).collect();
    assert_eq!(taken, [[1, 1], [1, 2]]);
}

#[test]
fn a_message_of_the_dialer_is_what_it_says_or_nothing() {
    let size = WindowSize { rows: 24, cols: 80 };
    let good = [
        FromDialer::Stdin(b"input"),
        FromDialer::Eof,
        FromDialer::Resize(size),
        FromDialer::Signal("INT"),
        FromDialer::Window(Stream::Stdout, 7),
        FromDialer::Window(Stream::Stderr, u32::MAX),
        FromDialer::Command(b"echo \xff"),
        FromDialer::Pad(b"p"),
        FromDialer::Closed,
    ]
    .map(|message| wire(message.encode()));
    attack("FromDialer", &good.each_ref().map(Vec::as_slice), |bytes| {
        if let Some(Ok(message)) = record(bytes).map(|record| FromDialer::decode(&record)) {
            assert_eq!(wire(message.encode()), bytes);
        }
    });
    for (name, taken) in [("S".repeat(64), true), ("S".repeat(65), false)] {
        let record = Record { kind: 4, body: name.as_bytes() };
        assert_eq!(FromDialer::decode(&record).is_ok(), taken);
    }
    for kind in [0x00, 0x09, 0x10, 0x11, 0x7f, 0xef] {
        assert!(FromDialer::decode(&Record { kind, body: b"x" }).is_err());
    }
}

#[test]
fn a_message_of_the_host_is_what_it_says_or_nothing() {
    let good = [
        FromHost::Stdout(b"output"),
        FromHost::Stderr(b"error"),
        FromHost::Exit(Exit::Status(255)),
        FromHost::Exit(Exit::Signal("KILL".to_owned())),
        FromHost::Exit(Exit::NotStarted(127, "no such file".to_owned())),
        FromHost::Window(1 << 20),
        FromHost::Pad(&[0; 64]),
    ]
    .map(|message| wire(message.encode()));
    attack("FromHost", &good.each_ref().map(Vec::as_slice), |bytes| {
        if let Some(Ok(message)) = record(bytes).map(|record| FromHost::decode(&record)) {
            assert_eq!(wire(message.encode()), bytes);
        }
    });
    for (length, taken) in [(1000, true), (1001, false)] {
        let body = [vec![2, 126], vec![b'r'; length]].concat();
        assert_eq!(FromHost::decode(&Record { kind: 0x13, body: &body }).is_ok(), taken);
    }
    for (length, taken) in [(0, false), (1, true), (64, true), (65, false)] {
        let body = vec![b'p'; length];
        assert_eq!(FromHost::decode(&Record { kind: 0x15, body: &body }).is_ok(), taken);
        assert_eq!(FromDialer::decode(&Record { kind: 0x07, body: &body }).is_ok(), taken);
    }
    for kind in [0x00, 0x01, 0x10, 0x16, 0xef] {
        assert!(FromHost::decode(&Record { kind, body: b"x" }).is_err());
    }
}

#[test]
fn a_message_of_a_pipe_is_what_it_says_or_nothing() {
    attack("pipe", &[&wire((pipe::DATA, b"data")), &wire((pipe::EOF, b""))], |bytes| {
        match record(bytes).map(|record| Message::decode(&record)) {
            Some(Ok(Message::Data(data))) => assert_eq!(wire((pipe::DATA, data)), bytes),
            Some(Ok(Message::Eof)) => assert_eq!(bytes, [pipe::EOF]),
            _ => {}
        }
    });
    assert!(Message::decode(&Record { kind: pipe::DATA, body: b"" }).is_err());
    assert!(Message::decode(&Record { kind: pipe::EOF, body: b"x" }).is_err());
}

#[test]
fn a_wish_for_a_copy_is_what_it_says_or_nothing() {
    let good = [Asked::Source(b"a/*"), Asked::Source(b""), Asked::Exclude(b"*.o"), Asked::Target(b"/t"), Asked::Go]
        .map(|message| wire(message.encode()));
    attack("Asked", &good.each_ref().map(Vec::as_slice), |bytes| {
        if let Some(Ok(message)) = record(bytes).map(|record| Asked::decode(&record)) {
            assert_eq!(wire(message.encode()), bytes);
        }
    });
    for (length, taken) in [(1, true), (4095, true), (4096, false)] {
        let body = vec![b'p'; length];
        for kind in [1, 2, 3] {
            assert_eq!(Asked::decode(&Record { kind, body: &body }).is_ok(), taken);
        }
    }
    for (kind, body) in
        [(0, &b"x"[..]), (1, b"a\0b"), (2, b""), (4, b"x"), (5, b"x"), (0x11, b"\0\0\0\x01"), (0xef, b"")]
    {
        assert!(Asked::decode(&Record { kind, body }).is_err(), "{kind} {body:?}");
    }
}

/// A message of a sender, as it stands on the wire.
fn said(message: &FromSender<'_>) -> Vec<u8> {
    let (kind, front, rest) = message.encode();
    [&[kind], front.as_slice(), rest].concat()
}

#[test]
fn a_message_of_a_sender_is_what_it_says_or_nothing() {
    let meta = Meta { mode: 0o751, seconds: -7, nanos: 999_999_999 };
    let file = File { form: Form::Pieces, meta, size: 300, offset: 7, name: b"n\xff", data: b"data" };
    let good = [
        FromSender::Begin(3),
        FromSender::Top(2, b"a/path"),
        FromSender::Directory(meta, b"name"),
        FromSender::Directory(Meta::default(), b""),
        FromSender::Leave,
        FromSender::File(file),
        FromSender::File(File { form: Form::Complete, size: 11, ..file }),
        FromSender::File(File { form: Form::Stream, size: 0, offset: 0, ..file }),
        FromSender::Data(b"more"),
        FromSender::Hole(1 << 40),
        FromSender::Whole(None),
        FromSender::Whole(Some([7; HASH_LEN])),
        FromSender::Abandoned,
        FromSender::Link(b"link", b"../to"),
        FromSender::Problem(b"a/path", "why"),
        FromSender::Ask(1 << 33, b"name"),
        FromSender::Answered,
        FromSender::Total(9, 1 << 50),
        FromSender::End(12),
    ]
    .map(|message| said(&message));
    attack("FromSender", &good.each_ref().map(Vec::as_slice), |bytes| {
        if let Some(Ok(message)) = record(bytes).map(|record| FromSender::decode(&record)) {
            assert_eq!(said(&message), bytes);
        }
    });
    for name in [&b".."[..], b".", b"a/b", b"/", b"a\0"] {
        for message in [
            FromSender::Directory(meta, name),
            FromSender::File(File { name, ..file }),
            FromSender::Link(name, b"to"),
            FromSender::Ask(1, name),
        ] {
            let bytes = said(&message);
            assert!(FromSender::decode(&record(&bytes).unwrap()).is_err(), "{message:?}");
        }
    }
    // Where the name is the rest of the body, its length is not a byte's.
    for message in [FromSender::Directory(meta, &[b'n'; 256]), FromSender::Ask(1, &[b'n'; 256])] {
        assert!(FromSender::decode(&record(&said(&message)).unwrap()).is_err());
    }
    let most = i64::MAX.unsigned_abs();
    for (size, offset, data, taken) in [
        (most, 0, 1, true),
        (most + 1, 0, 0, false),
        (u64::MAX, 0, 0, false),
        (10, 11, 0, false),
        (10, u64::MAX, 1, false),
        (10, 5, 5, true),
        (10, 5, 6, false),
    ] {
        let bytes = said(&FromSender::File(File { size, offset, data: &vec![0; data], ..file }));
        assert_eq!(FromSender::decode(&record(&bytes).unwrap()).is_ok(), taken, "{size} {offset} {data}");
    }
    for mode in [0o1000, 0o4755, 0xffff] {
        let bytes = said(&FromSender::Directory(Meta { mode, ..meta }, b"d"));
        assert!(FromSender::decode(&record(&bytes).unwrap()).is_err(), "{mode:o}");
    }
    for kind in [0x00, 0x01, 0x10, 0x20, 0x21, 0xef] {
        assert!(FromSender::decode(&Record { kind, body: b"" }).is_err());
    }
}

#[test]
fn a_message_of_a_receiver_is_what_it_says_or_nothing() {
    let good = [
        FromReceiver::Have(0, [0; HASH_LEN]),
        FromReceiver::Have(77, [9; HASH_LEN]),
        FromReceiver::Stored(1 << 40),
        FromReceiver::Failed(3, "why"),
        FromReceiver::Hopeless("why"),
        FromReceiver::Done,
    ]
    .map(|message| wire(message.encode()));
    attack("FromReceiver", &good.each_ref().map(Vec::as_slice), |bytes| {
        if let Some(Ok(message)) = record(bytes).map(|record| FromReceiver::decode(&record)) {
            assert_eq!(wire(message.encode()), bytes);
        }
    });
    for (length, taken) in [(0, true), (1000, true), (1001, false)] {
        let text = vec![b't'; length];
        assert_eq!(FromReceiver::decode(&Record { kind: 0x24, body: &text }).is_ok(), taken);
        let body = [&[0; 8], text.as_slice()].concat();
        assert_eq!(FromReceiver::decode(&Record { kind: 0x23, body: &body }).is_ok(), taken);
    }
    for kind in [0x00, 0x11, 0x20, 0x26, 0xef] {
        assert!(FromReceiver::decode(&Record { kind, body: b"" }).is_err());
    }
}

#[test]
fn a_request_is_what_it_says_or_nothing() {
    let shell = Request::default();
    let tty =
        Some(Tty { term: "xterm".to_owned(), rows: 24, cols: 80, modes: BTreeMap::from([("erase".to_owned(), 8)]) });
    let env = BTreeMap::from([("LANG".to_owned(), "C".to_owned())]);
    let exec = Request { op: Op::Exec, command: Some("ls -l".to_owned()), env, tty, ..Request::default() };
    let mut long = Request::default();
    assert_eq!(long.set_command(vec![0xff; 100_000]).len(), 100_000);
    let good = [shell.encode().unwrap(), exec.encode().unwrap(), long.encode().unwrap()];
    attack("Request", &[&good[0], &good[1], &good[2]], |bytes| {
        if let Ok(request) = Request::decode(bytes) {
            assert_eq!(Request::decode(&request.encode().unwrap()).unwrap(), request);
        }
    });
    for nonsense in [
        r#"{"op":"exec"}"#,
        r#"{"op":"exec","command":"a","command_length":1}"#,
        r#"{"op":"exec","command_length":0}"#,
        r#"{"op":"exec","command_length":131072}"#,
        r#"{"op":"shell","command":"a"}"#,
        r#"{"op":"none","command_length":1}"#,
        r#"{"op":"subsystem"}"#,
        r#"{"op":"subsystem","command_length":4}"#,
    ] {
        assert!(Request::decode(nonsense.as_bytes()).is_err(), "{nonsense}");
    }
    assert!(Request::decode(br#"{"op":"none"}"#).is_ok());
    for deep in [b"[".repeat(MAX_REQUEST_LEN), b"{\"op\":".repeat(2000)] {
        assert!(Request::decode(&deep).is_err());
    }
    let padding = MAX_REQUEST_LEN - good[0].len();
    for (spaces, taken) in [(padding, true), (padding + 1, false)] {
        let padded = [good[0].clone(), vec![b' '; spaces]].concat();
        assert_eq!(Request::decode(&padded).is_ok(), taken);
    }
}

#[test]
fn fields_never_read_past_their_end() {
    let mut dice = Dice::new("Fields");
    for _ in 0..RANDOM {
        let length = dice.roll(24);
        let bytes = dice.bytes(length);
        let mut fields = Fields::new(&bytes);
        let mut read = 0;
        loop {
            let (size, taken) = match dice.roll(4) {
                0 => (1, fields.u8().is_ok()),
                1 => (2, fields.u16().is_ok()),
                2 => (4, fields.u32().is_ok()),
                _ => (8, fields.u64().is_ok()),
            };
            assert_eq!(taken, read + size <= bytes.len());
            if !taken {
                break;
            }
            read += size;
        }
        assert_eq!(fields.bytes(), &bytes[read..]);
    }
}

#[test]
fn a_frame_is_read_whole_and_within_its_limits_or_not_at_all() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let good = frame(&[9; 40]).unwrap();
    attack("frame", &[&good], |bytes| {
        let mut rest = bytes;
        if let Ok(body) = runtime.block_on(read_frame(&mut rest, 10, 50)) {
            assert!((10..=50).contains(&body.len()));
            assert_eq!([frame(&body).unwrap().as_slice(), rest].concat(), bytes);
        }
    });
    for length in [0, 9, 51, MAX_FRAME_LEN] {
        let bytes = frame(&vec![1; length]).unwrap();
        let mut rest = bytes.as_slice();
        assert!(runtime.block_on(read_frame(&mut rest, 10, 50)).is_err());
        assert_eq!(rest.len(), length, "a body was read for a length that is refused");
    }
}

#[test]
fn a_record_opens_as_it_was_sealed_or_not_at_all() {
    let key = [3; 32];
    for suite in [Suite::AesGcm, Suite::ChaChaPoly] {
        let mut sealed = Vec::new();
        Sealer::new(suite, &key).unwrap().seal(7, &[b"the body"], &mut sealed).unwrap();
        let opens = |bytes: &[u8]| Opener::new(suite, &key).unwrap().open(&mut bytes.to_vec()).is_ok();
        assert!(opens(&sealed[2..]));
        attack("record", &[&sealed[2..]], |bytes| assert_eq!(opens(bytes), bytes == &sealed[2..]));
    }
    let mut out = Vec::new();
    let mut sealer = Sealer::new(Suite::AesGcm, &key).unwrap();
    assert!(sealer.seal(1, &[&vec![0; MAX_BODY_LEN + 1]], &mut out).is_err());
    assert!(sealer.seal(1, &[&vec![0; MAX_BODY_LEN]], &mut out).is_ok());
}

#[test]
fn a_key_is_that_key_or_none() {
    let key = KeyPair::generate().unwrap().public();
    let text = key.to_string();
    attack("PublicKey", &[text.as_bytes(), text.to_uppercase().as_bytes()], |bytes| {
        if let Ok(found) = String::from_utf8_lossy(bytes).parse::<PublicKey>() {
            assert!(found == key && bytes.eq_ignore_ascii_case(text.as_bytes()));
        }
    });
    for length in [0, 31, 33, 64] {
        assert!(PublicKey::from_bytes(&vec![9; length]).is_err());
    }
    let secret = KeyPair::generate().unwrap().secret().expose_text().unwrap();
    attack("SecretKey", &[secret.as_bytes()], |bytes| {
        if let Ok(found) = SecretKey::from_text(&String::from_utf8_lossy(bytes)) {
            assert!(*found.expose_text().unwrap() == *secret);
        }
    });
}

#[test]
fn an_address_is_what_it_says_or_nothing() {
    let key = KeyPair::generate().unwrap().public();
    for good in ["host.example:2022", "127.0.0.1:0", "[::1]:65535", "[fe80::1%2]:22", "host"] {
        attack("HostPort", &[good.as_bytes()], |bytes| {
            if let Ok(found) = String::from_utf8_lossy(bytes).parse::<HostPort>() {
                assert_eq!(found.to_string().parse::<HostPort>().unwrap(), found);
                assert!(!found.to_string().chars().any(char::is_control));
            }
        });
    }
    attack("PeerAddr", &[format!("{key}@h:1").as_bytes()], |bytes| {
        if let Ok(found) = String::from_utf8_lossy(bytes).parse::<PeerAddr>() {
            assert_eq!(found.key, key);
            assert_eq!(found.to_string().parse::<PeerAddr>().unwrap(), found);
        }
    });
    for (length, taken) in [(253, true), (254, false)] {
        assert_eq!(format!("{}:1", "h".repeat(length)).parse::<HostPort>().is_ok(), taken);
    }
    for port in ["65536", "-1", "+1", "1 ", "", "0x1", "00000000000000000000001"] {
        let parsed = format!("h:{port}").parse::<HostPort>();
        assert!(parsed.is_err() || parsed.as_ref().unwrap().port() == Some(1), "{port:?} gave {parsed:?}");
    }
}
