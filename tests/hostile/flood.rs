//! Very many hostile handshakes, half-open connections, and sources that fail again and again.

use super::{Dice, let_in, listening, runtime};
use crate::peer::{Peer, connect, first_words, rest};
use crate::pipe::{Pipe, exec::holds};
use crate::sandbox::User;
use keywire::addr::PeerAddr;
use keywire::conn::{DialOptions, Limits, ListenOptions, dial};
use keywire::key::KeyPair;
use keywire::noise::{I1_LEN, Preface, Responder};
use keywire::proto::pipe::{DATA, EOF, PIPE};
use keywire::seal::Suite;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Handshakes that never reach a socket, and those that do: 200,000 together.
const IN_PROCESS: usize = 197_000;
const OVER_TCP: usize = 3_000;

/// Connections that are opened and then say no more.
const HALF_OPEN: u64 = 10_000;

/// An I1 with one bit flipped, or nothing but noise.
fn hostile_i1(dice: &mut Dice, good: &[u8]) -> Vec<u8> {
    if dice.roll(8) == 0 {
        return dice.bytes(I1_LEN);
    }
    let mut i1 = good.to_vec();
    let at = dice.roll(i1.len());
    i1[at] ^= 1 << dice.roll(8);
    i1
}

#[test]
fn two_hundred_thousand_hostile_handshakes_get_no_answer() {
    let (host, me) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let to = PeerAddr { key: host.public(), at: "h:1".parse().unwrap() };
    let started = Instant::now();
    std::thread::scope(|scope| {
        for part in 0..2 {
            let (host, me, to) = (&host, &me, &to);
            scope.spawn(move || {
                let mut dice = Dice::new(&format!("hostile I1, part {part}"));
                let (_, good) = first_words(me, to, "pipe");
                for _ in 0..IN_PROCESS / 2 {
                    let suite = if dice.roll(2) == 0 { Suite::AesGcm } else { Suite::ChaChaPoly };
                    let i1 = hostile_i1(&mut dice, &good[4..]);
                    assert!(Responder::start(host, Preface::new(suite), "pipe", &i1).is_err());
                }
            });
        }
    });
    eprintln!("{IN_PROCESS} hostile first messages were refused in {:?}", started.elapsed());
}

/// A listener that runs cat for `me`, in a process of its own.
fn cat_for(me: &KeyPair, options: &[&str]) -> (User, Pipe, PeerAddr) {
    let user = User::with_key();
    let key = me.public().to_string();
    let args = [&["listen", "--allow", &key, "--exec", "exec cat"], options, &["127.0.0.1:0"]].concat();
    let mut listen = Pipe::start(&user, args);
    let to = listen.served().parse().unwrap();
    (user, listen, to)
}

fn echoes(me: &KeyPair, to: &PeerAddr) {
    let mut peer = Peer::dial(me, to, "pipe");
    peer.send(DATA, b"still there?");
    assert_eq!(peer.recv().unwrap(), (DATA, b"still there?".to_vec()));
    peer.send(EOF, &[]);
    assert_eq!(peer.recv().unwrap(), (EOF, Vec::new()));
    peer.recv().unwrap();
    peer.close(12);
    rest(&mut peer.socket);
}

#[test]
fn thousands_of_hostile_dialers_get_no_byte_and_leave_the_listener_as_it_was() {
    let me = KeyPair::generate().unwrap();
    let (_user, listen, to) = cat_for(&me, &[]);
    let flood = |count: usize| {
        std::thread::scope(|scope| {
            for part in 0..4 {
                let (me, to) = (&me, &to);
                scope.spawn(move || {
                    let mut dice = Dice::new(&format!("hostile dialers, part {part}"));
                    let (_, good) = first_words(me, to, "pipe");
                    for _ in 0..count / 4 {
                        let words = match dice.roll(3) {
                            0 => dice.spoil(&good),
                            1 => [&good[..4], &hostile_i1(&mut dice, &good[4..])].concat(),
                            _ => {
                                let length = dice.roll(3 * I1_LEN);
                                dice.bytes(length)
                            }
                        };
                        if words.starts_with(&good) {
                            continue;
                        }
                        let mut socket = connect(to);
                        // It may have heard enough before it has heard all.
                        let _ = socket.write_all(&words);
                        let _ = socket.shutdown(Shutdown::Write);
                        assert_eq!(rest(&mut socket), b"");
                    }
                });
            }
        });
    };
    flood(400);
    echoes(&me, &to);
    let before = holds(listen.pid());
    let started = Instant::now();
    flood(OVER_TCP);
    eprintln!("{OVER_TCP} hostile dialers were turned away in {:?}", started.elapsed());
    echoes(&me, &to);
    let after = holds(listen.pid());
    eprintln!("the listener's descriptors and KiB: {before:?} before, {after:?} after");
    assert!(after.0 <= before.0 + 3, "descriptors: {before:?} before, {after:?} after");
    assert!(after.1 <= before.1 + 4096, "KiB: {before:?} before, {after:?} after");
}

#[test]
fn ten_thousand_half_open_connections_do_not_keep_an_allowed_key_out() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = HALF_OPEN + 2_000;
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted).min(hard), hard).unwrap();
    let count = HALF_OPEN.min(hard.saturating_sub(2_000));
    let me = KeyPair::generate().unwrap();
    let user = User::with_key();
    // The listener itself has no more descriptors than most systems give.
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 1024; exec \"$0\" \"$@\"", crate::sandbox::binary("kw-pipe"), "listen", "--allow"]);
    command.arg(me.public().to_string()).args(["--exec", "exec cat", "127.0.0.1:0"]).stderr(Stdio::null());
    let mut listen = crate::sandbox::Running::start(command.env("KEYWIRE_HOME", user.home()));
    let to: PeerAddr = listen.address().parse().unwrap();
    echoes(&me, &to);
    let before = holds(listen.pid());
    let (_, words) = first_words(&me, &to, "pipe");
    let started = Instant::now();
    let half_open: Vec<TcpStream> = (0..count)
        .map(|at| {
            let mut socket = connect(&to);
            // Every other one begins.
            if at % 2 == 0 {
                socket.write_all(&words[..words.len() / 2]).unwrap();
            }
            socket
        })
        .collect();
    let opened = started.elapsed();
    let started = Instant::now();
    echoes(&me, &to);
    let held = holds(listen.pid());
    eprintln!("{count} connections in {opened:?}, then a session in {:?}; {before:?} {held:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(held.0 <= before.0 + 140, "descriptors: {before:?} before, {held:?} after");
    assert!(held.1 <= before.1 + 16_384, "KiB: {before:?} before, {held:?} after");
    drop(half_open);
    echoes(&me, &to);
}

#[test]
fn the_oldest_of_too_many_handshakes_is_ended_for_the_newest() {
    let limits = Limits { startups: 8, ..Limits::default() };
    let runtime = runtime();
    let (mut listener, to) = runtime.block_on(listening(ListenOptions { limits, ..ListenOptions::default() }));
    let dialing = std::thread::spawn(move || {
        let silent: Vec<TcpStream> = (0..20).map(|_| connect(&to)).collect();
        let peer = Peer::dial(&KeyPair::generate().unwrap(), &to, "pipe");
        (silent, peer)
    });
    let _connection = runtime.block_on(let_in(&mut listener)).unwrap();
    let (mut silent, _peer) = dialing.join().unwrap();
    assert_eq!(listener.counts().crowded_out, 13);
    for ended in &mut silent[..13] {
        assert_eq!(rest(ended), b"");
    }
    for waiting in &silent[13..] {
        waiting.set_nonblocking(true).unwrap();
        assert_eq!(waiting.peek(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn one_source_gets_sixteen_places_and_not_one_more() {
    let limits = Limits { limit_loopback: true, ..Limits::default() };
    let runtime = runtime();
    let (mut listener, to) = runtime.block_on(listening(ListenOptions { limits, ..ListenOptions::default() }));
    let (done, mut is_done) = tokio::sync::oneshot::channel();
    let started = Instant::now();
    let dialing = std::thread::spawn(move || {
        let mut sockets: Vec<TcpStream> = (0..20).map(|_| connect(&to)).collect();
        let ended: Vec<Vec<u8>> = sockets[16..].iter_mut().map(rest).collect();
        let _ = done.send(ended);
        sockets
    });
    runtime.block_on(async {
        tokio::select! {
            _ = listener.accept() => panic!("nobody has proven anything"),
            ended = &mut is_done => assert_eq!(ended.unwrap(), vec![Vec::<u8>::new(); 4]),
        }
    });
    assert_eq!((listener.counts().turned_away, listener.counts().crowded_out), (4, 0));
    assert!(started.elapsed() < Duration::from_secs(8), "they were left to wait for {:?}", started.elapsed());
    drop(dialing.join().unwrap());
}

#[test]
fn a_source_that_fails_again_and_again_must_stay_away_for_a_while() {
    let me = KeyPair::generate().unwrap();
    for (options, kept_out) in [(&["--limit-loopback"][..], true), (&[], false)] {
        let (_user, _listen, to) = cat_for(&me, options);
        echoes(&me, &to);
        for _ in 0..12 {
            let mut socket = connect(&to);
            let _ = socket.write_all(&[0; 64]);
            assert_eq!(rest(&mut socket), b"");
        }
        let dialed = runtime().block_on(dial(&me, &to, PIPE, b"{}", DialOptions::default()));
        assert_eq!(dialed.is_err(), kept_out);
    }
}

#[test]
fn a_listener_without_descriptors_waits_and_then_goes_on() {
    let me = KeyPair::generate().unwrap();
    let user = User::with_key();
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\"", crate::sandbox::binary("kw-pipe"), "listen", "--allow"]);
    command.arg(me.public().to_string()).args(["--exec", "exec cat", "127.0.0.1:0"]).stderr(Stdio::null());
    let mut listen = crate::sandbox::Running::start(command.env("KEYWIRE_HOME", user.home()));
    let to: PeerAddr = listen.address().parse().unwrap();
    let crowd: Vec<TcpStream> = (0..100).map(|_| connect(&to)).collect();
    drop(crowd);
    echoes(&me, &to);
}
