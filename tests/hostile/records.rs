//! After the handshake: a peer that proved a key and then breaks the rules. Truncation is told apart from an end, and
//! nothing is delivered that was not sent.

use super::{runtime, with_hostile_peer};
use crate::peer::Peer;
use crate::pipe::Pipe;
use crate::sandbox::{Done, User};
use keywire::conn::{ListenOptions, kind};
use keywire::error::{Kind, Result};
use keywire::frame::frame;
use keywire::key::KeyPair;
use keywire::proto::pipe::{DATA, EOF};
use std::net::{Shutdown, TcpListener};

/// What a receiver makes of what `say` sends before it ends its direction: the records, and how it ended.
fn heard(say: impl FnOnce(&mut Peer)) -> (Vec<(u8, Vec<u8>)>, Result<()>) {
    runtime().block_on(async {
        let (connection, mut peer) = with_hostile_peer(ListenOptions::default()).await;
        let (_sender, mut receiver) = connection.split();
        say(&mut peer);
        peer.socket.shutdown(Shutdown::Write).unwrap();
        let mut records = Vec::new();
        let end = loop {
            match receiver.recv().await {
                Ok(Some(record)) => records.push((record.kind, record.body.to_vec())),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // However it ended, it stays ended.
        match receiver.recv().await {
            Ok(None) => assert!(end.is_ok()),
            Ok(Some(record)) => panic!("{record:?} follows the end {end:?}"),
            Err(_) => assert!(end.is_err()),
        }
        (records, end)
    })
}

/// Like [`heard`], of what must be an error: how it reads.
#[track_caller]
fn fault(say: impl FnOnce(&mut Peer)) -> String {
    let (_, end) = heard(say);
    let error = end.expect_err("that is no end in good order");
    assert_eq!(error.kind().exit_status(), Kind::Network.exit_status(), "{error}");
    error.to_string()
}

#[test]
fn an_end_without_a_close_is_a_cut_wherever_it_falls() {
    assert_eq!(heard(|peer| peer.close(0)).1.map_err(|error| error.to_string()), Ok(()));
    assert!(fault(|_| {}).contains("was cut"));
    assert!(fault(|peer| peer.send(DATA, b"all but the close")).contains("was cut"));
    for kept in [1, 2, 3, 20] {
        let said = fault(|peer| {
            peer.send(DATA, b"whole");
            let sealed = peer.seal(DATA, b"not whole");
            peer.write(&sealed[..kept]);
        });
        assert!(said.contains("was cut"), "{kept} bytes: {said}");
    }
}

#[test]
fn a_close_that_counts_other_bytes_than_came_is_an_error() {
    for (sent, count) in [(5, 4), (5, 6), (0, 1), (0, u64::MAX)] {
        let said = fault(|peer| {
            if sent > 0 {
                peer.send(DATA, &vec![1; sent]);
            }
            peer.close(count);
        });
        assert!(said.contains(&format!("sent {count} bytes, and {sent} came")), "{said}");
    }
}

#[test]
fn nothing_may_follow_a_close() {
    let more = |peer: &mut Peer, more: &[u8]| {
        let close = peer.seal(kind::CLOSE, &0_u64.to_be_bytes());
        peer.write(&[close.as_slice(), more].concat());
    };
    assert!(fault(|peer| more(peer, &[0])).contains("something follows the close"));
    assert!(
        fault(|peer| {
            let close = peer.seal(kind::CLOSE, &0_u64.to_be_bytes());
            let data = peer.seal(DATA, b"late");
            peer.write(&[close, data].concat());
        })
        .contains("something follows the close")
    );
}

#[test]
fn a_frame_too_short_for_a_record_is_an_error_before_more_of_it_comes() {
    for length in [0_usize, 1, 15, 16] {
        let said = fault(|peer| peer.write(&frame(&vec![0; length]).unwrap()));
        assert!(said.contains(&format!("a record of {length} bytes")), "{said}");
    }
}

#[test]
fn a_type_that_nobody_knows_is_an_error() {
    for unknown in 0xf2..=0xfd {
        assert!(fault(|peer| peer.send(unknown, b"")).contains("unknown type"), "{unknown:#x}");
    }
}

#[test]
fn a_shared_record_of_another_shape_is_an_error() {
    for (kind, body) in [
        (kind::PING, &b"x"[..]),
        (kind::PONG, b"x"),
        (kind::CLOSE, b""),
        (kind::CLOSE, &[0; 7]),
        (kind::CLOSE, &[0; 9]),
        (kind::ERROR, b""),
        (kind::ERROR, &[3, 0xff, 0xfe]),
        (kind::ERROR, &[b'x'; 1002]),
    ] {
        let said = fault(|peer| peer.send(kind, body));
        assert!(said.contains("protocol error"), "{kind:#x} {body:?}: {said}");
    }
    assert!(fault(|peer| peer.send(kind::ERROR, &[b'x'; 1001])).contains(&"x".repeat(1000)));
}

#[test]
fn a_record_that_is_changed_repeated_left_out_or_swapped_ends_the_connection() {
    let three = |peer: &mut Peer| [b"one".as_slice(), b"two", b"three"].map(|body| peer.seal(DATA, body));
    for order in [&[0, 0][..], &[1], &[0, 2], &[1, 0], &[0, 1, 1], &[0, 1, 0]] {
        let (records, end) = heard(|peer| {
            let sealed = three(peer);
            let words: Vec<u8> = order.iter().flat_map(|at| sealed[*at].clone()).collect();
            peer.write(&words);
        });
        let good = order.iter().enumerate().take_while(|(at, which)| at == *which).count();
        assert_eq!(records.len(), good, "{order:?}");
        assert!(end.unwrap_err().to_string().contains("does not open"), "{order:?}");
    }
    // Every bit of a record, type, body and tag. The record after it is good, and is not delivered either.
    for at in 2..2 + 1 + 3 + 16 {
        for bit in [0, 3, 7] {
            let (records, end) = heard(|peer| {
                let [mut first, second, _] = three(peer);
                first[at] ^= 1 << bit;
                peer.write(&[first, second].concat());
            });
            assert_eq!(records, [], "byte {at}");
            assert!(end.is_err());
        }
    }
}

#[test]
fn what_came_from_us_is_not_taken_back_from_the_peer() {
    runtime().block_on(async {
        let (connection, mut peer) = with_hostile_peer(ListenOptions::default()).await;
        let (mut sender, mut receiver) = connection.split();
        sender.send(DATA, &[b"hello"]).await.unwrap();
        let ours = crate::peer::read_frame(&mut peer.socket).unwrap();
        peer.write(&frame(&ours).unwrap());
        assert!(receiver.recv().await.unwrap_err().to_string().contains("does not open"));
    });
}

#[test]
fn noise_in_place_of_records_ends_the_connection() {
    let mut dice = super::Dice::new("noise in place of records");
    for _ in 0..50 {
        let length = 1 + dice.roll(2000);
        let noise = dice.bytes(length);
        let (records, end) = heard(|peer| peer.write(&noise));
        assert!(records.is_empty() && end.is_err());
    }
}

#[test]
fn the_text_of_an_error_cannot_touch_the_terminal() {
    let evil = "\x1b]0;owned\x07\x1b[2Jsorry\r\nkw-pipe: fine\u{202e}\u{9b}31m";
    let said = fault(|peer| peer.send(kind::ERROR, &[&[3], evil.as_bytes()].concat()));
    assert!(said.contains("sorry") && !said.chars().any(char::is_control), "{said:?}");

    let dialed = dial_to(|peer| {
        peer.send(kind::ERROR, &[&[1], evil.as_bytes()].concat());
        peer.close(0);
    });
    assert_eq!(dialed.code(), 3);
    assert!(dialed.stderr.contains("host refused this key"), "{dialed:?}");
    assert!(!dialed.stderr.contains(['\x1b', '\r', '\x07', '\u{202e}', '\u{9b}']), "{:?}", dialed.stderr);
    assert_eq!(dialed.stderr.lines().filter(|line| !line.contains("hint")).count(), 1, "{:?}", dialed.stderr);
}

/// What `kw-pipe dial` makes of a host that says what `say` says and closes.
fn dial_to(say: impl FnOnce(&mut Peer) + Send) -> Done {
    let (user, host) = (User::with_key(), KeyPair::generate().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("{}@{}", host.public(), listener.local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = Peer::accept(&listener, &host, "pipe");
            say(&mut peer);
            peer.socket.shutdown(Shutdown::Write).unwrap();
            crate::peer::rest(&mut peer.socket);
        });
        user.run("kw-pipe", ["dial", &to])
    })
}

#[test]
fn a_host_that_ends_early_is_an_error_of_the_dialer_and_what_came_is_delivered() {
    let cut = dial_to(|peer| peer.send(DATA, b"half"));
    assert_eq!((cut.code(), cut.stdout.as_str()), (4, "half"));
    assert!(cut.stderr.contains("the connection was cut"), "{cut:?}");

    let closed = dial_to(|peer| {
        peer.send(DATA, b"half");
        peer.close(4);
    });
    assert_eq!((closed.code(), closed.stdout.as_str()), (4, "half"));
    assert!(closed.stderr.contains("closed before the end of its stream"), "{closed:?}");

    let unclosed = dial_to(|peer| {
        peer.send(DATA, b"all");
        peer.send(EOF, b"");
    });
    assert_eq!((unclosed.code(), unclosed.stdout.as_str()), (4, "all"));
    assert!(unclosed.stderr.contains("the connection was cut"), "{unclosed:?}");

    let whole = dial_to(|peer| {
        peer.send(DATA, b"all");
        peer.send(EOF, b"");
        peer.close(3);
    });
    assert_eq!((whole.code(), whole.stdout.as_str(), whole.stderr.as_str()), (0, "all", ""));
}

#[test]
fn a_pipe_takes_no_message_that_is_none() {
    for (kind, body) in [(DATA, &b""[..]), (EOF, b"x"), (0x00, b"x"), (0x03, b"x"), (0xef, b"")] {
        let dialed = dial_to(|peer| peer.send(kind, body));
        assert_eq!(dialed.code(), 4);
        assert!(dialed.stderr.contains("protocol error"), "{kind:#x}: {dialed:?}");
    }
    let after = dial_to(|peer| {
        peer.send(EOF, b"");
        peer.send(DATA, b"after the end");
    });
    assert_eq!((after.code(), after.stdout.as_str()), (4, ""));
}

#[test]
fn a_listener_outlives_whatever_allowed_peers_send_it() {
    let user = User::with_key();
    let me = KeyPair::generate().unwrap();
    let key = me.public().to_string();
    let mut listen = Pipe::start(&user, ["listen", "--allow", &key, "--exec", "exec cat", "127.0.0.1:0"]);
    let to = listen.served().parse().unwrap();
    let mut dice = super::Dice::new("allowed but hostile");
    for _ in 0..100 {
        let mut peer = Peer::dial(&me, &to, "pipe");
        for _ in 0..dice.roll(4) {
            let length = dice.roll(100);
            let body = dice.bytes(length);
            let kind = [DATA, EOF, 0x03, kind::PING, kind::PONG, kind::ERROR, kind::CLOSE][dice.roll(7)];
            peer.send(kind, &body);
        }
        if dice.roll(2) == 0 {
            let length = dice.roll(100);
            let noise = dice.bytes(length);
            peer.write(&noise);
        }
        let _ = peer.socket.shutdown(Shutdown::Write);
        crate::peer::rest(&mut peer.socket);
    }
    let mut peer = Peer::dial(&me, &to, "pipe");
    peer.send(DATA, b"fine");
    assert_eq!(peer.recv().unwrap(), (DATA, b"fine".to_vec()));
}
