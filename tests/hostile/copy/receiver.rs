//! A host that receives, and lies about it.

use super::{Victim, answer};
use crate::peer::Peer;
use crate::pty::{eventually, is_alive};
use crate::scp::is_harmless;
use keywire::conn::kind;
use keywire::proto::copy::FromReceiver::{Done, Failed, Have, Hopeless, Stored};
use keywire::proto::copy::HASH_LEN;
use std::net::Shutdown;
use std::time::Duration;

/// Takes all up to the END.
fn take_all(peer: &mut Peer) {
    while peer.recv().is_ok_and(|(kind, _)| kind != 0x1f) {}
}

#[test]
fn no_lie_about_what_was_stored_is_a_success() {
    type Act = fn(&mut Peer);
    let rows: [(&str, Act); 11] = [
        ("stored what was never sent", |peer| answer(peer, &[Stored(1_000_000_000_000), Done])),
        ("stored what comes only now", |peer| answer(peer, &[Stored(1), Done])),
        ("failed what was never sent", |peer| answer(peer, &[Failed(u64::MAX, "why"), Done])),
        ("done before the end", |peer| answer(peer, &[Done])),
        ("an offer that nobody asked for", |peer| answer(peer, &[Have(3, [0; HASH_LEN]), Done])),
        ("done and nothing stored", |peer| {
            take_all(peer);
            answer(peer, &[Done]);
            peer.close(0);
        }),
        ("less stored than before", |peer| {
            take_all(peer);
            answer(peer, &[Stored(1), Stored(0), Stored(1), Done]);
        }),
        ("failed after it was stored", |peer| {
            take_all(peer);
            answer(peer, &[Stored(1), Failed(0, "no"), Done]);
        }),
        ("a close in place of an answer", |peer| {
            take_all(peer);
            peer.close(0);
        }),
        ("a cut in place of an answer", take_all),
        ("a message of a sender", |peer| peer.send(0x14, b"")),
    ];
    for (what, act) in rows {
        let victim = Victim::new();
        std::fs::write(victim.inside().join("file"), vec![7; 9_000_000]).unwrap();
        let done = victim.scp(&["file", &victim.at("x")], |peer, _| act(peer));
        assert_eq!(done.code(), 4, "{what}: {done:?}");
    }
}

#[test]
fn an_end_without_a_close_frees_a_sender_that_is_stuck() {
    // In the middle, and when all that there is to say waits to be written.
    for size in [40_000_000, 7_000_000] {
        let victim = Victim::new();
        std::fs::write(victim.inside().join("file"), vec![7; size]).unwrap();
        let done = victim.scp(&["file", &victim.at("x")], |peer, pid| {
            // It has filled all that is between us, and waits.
            let (mut room, mut waiting) = (vec![0; 16 << 20], 0);
            eventually("it is stuck", || {
                std::thread::sleep(Duration::from_millis(50));
                let now = peer.socket.peek(&mut room).unwrap();
                std::mem::replace(&mut waiting, now) == now
            });
            peer.socket.shutdown(Shutdown::Write).unwrap();
            // Nothing more is read, and the socket stays open.
            eventually("kw-scp has ended", || !is_alive(pid as i32));
        });
        done.fails(4, "it ended without a close");
    }
}

#[test]
fn reasons_with_escapes_are_shown_without() {
    let text = "\x1b]0;x\x07 \u{9b}31m \u{202e}evil\r\n";
    for hopeless in [false, true] {
        let victim = Victim::new();
        std::fs::write(victim.inside().join("file"), "contents").unwrap();
        let done = victim.scp(&["file", &victim.at("x")], |peer, _| {
            if hopeless {
                answer(peer, &[Hopeless(text)]);
                peer.close(text.len() as u64);
            } else {
                take_all(peer);
                answer(peer, &[Failed(0, text), Stored(1), Done]);
                let carried = 8 + text.len() + 8;
                peer.close(carried as u64);
            }
        });
        assert_eq!(done.code(), 1, "{done:?}");
        assert!(done.stderr.contains("evil"), "{done:?}");
        is_harmless(done.stderr.as_bytes());
    }
    let victim = Victim::new();
    std::fs::write(victim.inside().join("file"), "contents").unwrap();
    let done = victim.scp(&["file", &victim.at("x")], |peer, _| {
        peer.send(kind::ERROR, &[b"\x01", text.as_bytes()].concat());
    });
    is_harmless(done.fails_with(3).stderr.as_bytes());
}

#[test]
fn an_offer_of_a_part_is_believed_only_if_it_is_ours() {
    for (length, hash, what) in [
        (4, [0; HASH_LEN], "another hash"),
        (u64::MAX, [0; HASH_LEN], "longer than all there is"),
        (9, [0; HASH_LEN], "longer than the file"),
    ] {
        let victim = Victim::new();
        std::fs::write(victim.inside().join("file"), "contents").unwrap();
        let mut offset = None;
        let done = victim.scp(&["--resume", "file", &victim.at("x")], |peer, _| {
            while let Ok((kind, body)) = peer.recv() {
                match kind {
                    0x1c => answer(peer, &[Have(length, hash)]),
                    0x15 => offset = Some(u64::from_be_bytes(body[23..31].try_into().unwrap())),
                    0x1f => break,
                    _ => {}
                }
            }
            answer(peer, &[Stored(1), Done]);
            peer.close(8 + 8 + HASH_LEN as u64);
        });
        assert!(offset.is_none_or(|offset| offset == 0), "{what}: it goes on at {offset:?}");
        assert!(done.status.success() || done.code() == 4, "{what}: {done:?}");
    }
}
