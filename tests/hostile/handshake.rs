//! Before a key is known: whoever does not say exactly the right thing hears nothing, and only for so long.

use super::{listening, listening_for, runtime};
use crate::peer::{Peer, connect, first_words, read_frame, rest};
use crate::sandbox::User;
use keywire::addr::PeerAddr;
use keywire::conn::{DialOptions, ListenOptions, Listener, Service, dial};
use keywire::frame::frame;
use keywire::key::{KeyPair, PublicKey};
use keywire::noise::{I1_LEN, I2_LEN, Preface, Responder};
use keywire::proto::pipe::PIPE;
use keywire::proto::pty::PTY;
use keywire::seal::Suite;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// The points of low order, with their other names, and second names of good keys.
pub fn nobodys_keys() -> Vec<[u8; 32]> {
    let eight = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    let other_eight = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";
    let hex = |text: &str| -> [u8; 32] { data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap() };
    let mut keys = vec![[0; 32], hex(eight), hex(other_eight)];
    keys.push(std::array::from_fn(|at| u8::from(at == 0)));
    // p - 1, p, p + 1, and more second names: p + 9, which is the base point's, up to 2^255 - 1.
    for first in [0xec, 0xed, 0xee, 0xf6, 0xff] {
        let mut key = [0xff; 32];
        (key[0], key[31]) = (first, 0x7f);
        keys.push(key);
    }
    let mut with_the_last_bit = *KeyPair::generate().unwrap().public().as_bytes();
    with_the_last_bit[31] |= 0x80;
    keys.push(with_the_last_bit);
    keys
}

/// Lets a listener work until `clients` are done: what they say, the keys that were proven, and what was kept out.
fn serve<R: Send>(
    service: Service,
    options: ListenOptions,
    clients: impl FnOnce(PeerAddr) -> R + Send,
) -> (R, Vec<PublicKey>, keywire::conn::Counts) {
    let runtime = runtime();
    let (mut listener, to) = runtime.block_on(listening_for(service, options));
    // Whoever comes last is let in, and everybody before it is over then.
    let last = KeyPair::generate().unwrap();
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let answer = clients(to.clone());
            let _last = Peer::dial(&last, &to, service.name);
            answer
        });
        let mut proven = Vec::new();
        runtime.block_on(async {
            loop {
                match listener.accept().await.unwrap().peer() {
                    peer if peer == last.public() => break,
                    peer => proven.push(peer),
                }
            }
        });
        (clients.join().unwrap(), proven, listener.counts())
    })
}

/// Says `words` and nothing more; what the listener answers before it closes.
fn answer_to(to: &PeerAddr, words: &[u8]) -> Vec<u8> {
    let mut socket = connect(to);
    // A listener that has heard enough may close before it has heard all.
    let _ = socket.write_all(words);
    let _ = socket.shutdown(Shutdown::Write);
    rest(&mut socket)
}

#[test]
fn a_first_message_that_is_wrong_in_any_way_is_not_answered() {
    let ((), proven, _) = serve(PIPE, ListenOptions::default(), |to| {
        let me = KeyPair::generate().unwrap();
        let (_, good) = first_words(&me, &to, "pipe");
        assert_eq!(good.len(), 4 + I1_LEN);
        for preface in [[0, 1], [2, 1], [1, 0], [1, 3], [0xff, 0xff], *b"SS", *b"GE"] {
            let changed = [&preface[..], &good[2..]].concat();
            assert_eq!(answer_to(&to, &changed), b"", "{preface:?}");
        }
        // The other suite is known, but it is not the one that I1 was made for.
        let other = [good[0], if good[1] == 1 { 2 } else { 1 }];
        assert_eq!(answer_to(&to, &[&other[..], &good[2..]].concat()), b"");
        for length in [0, 1, I1_LEN - 1, I1_LEN + 1, 65_535] {
            let mut i1 = good[4..].to_vec();
            i1.resize(length, 0);
            assert_eq!(answer_to(&to, &[&good[..2], &frame(&i1).unwrap()].concat()), b"", "{length} bytes");
        }
        for at in (0..good.len()).step_by(97) {
            assert_eq!(answer_to(&to, &good[..at]), b"", "the first {at} bytes");
        }
        // For another service, and for another key.
        assert_eq!(answer_to(&to, &first_words(&me, &to, "pty").1), b"");
        let other = PeerAddr { key: me.public(), at: to.at.clone() };
        assert_eq!(answer_to(&to, &first_words(&me, &other, "pipe").1), b"");
        // A key that anybody could pass for, in the place of the ephemeral one.
        for nobody in nobodys_keys() {
            let forged = [&good[..4], &nobody, &good[36..]].concat();
            assert_eq!(answer_to(&to, &forged), b"", "{nobody:02x?}");
        }
        // The right words are answered: so much for whether this test would notice.
        assert_eq!(answer_to(&to, &good).len(), 2 + I2_LEN);
    });
    assert_eq!(proven, []);
}

#[test]
fn a_third_message_that_is_wrong_in_any_way_proves_nothing() {
    let ((), proven, counts) = serve(PIPE, ListenOptions::default(), |to| {
        let me = KeyPair::generate().unwrap();
        for wrong in 0..6 {
            let mut socket = connect(&to);
            let (initiator, first) = first_words(&me, &to, "pipe");
            socket.write_all(&first).unwrap();
            let i2 = read_frame(&mut socket).unwrap();
            let (mut i3, _) = initiator.read_i2(&i2).unwrap().finish(b"{}").unwrap();
            match wrong {
                0 => i3[0] ^= 1,
                1 => *i3.last_mut().unwrap() ^= 0x80,
                2 => drop(i3.pop()),
                3 => i3.push(0),
                4 => i3.truncate(63),
                _ => i3.resize(40_000, 0),
            }
            // It may have closed already.
            let _ = socket.write_all(&frame(&i3).unwrap());
            assert_eq!(rest(&mut socket), b"", "case {wrong}");
        }
    });
    assert_eq!((proven, counts.failed), (vec![], 6));
}

#[test]
fn a_dial_for_another_service_is_not_answered_and_says_what_may_be_wrong() {
    let (error, proven, _) = serve(PTY, ListenOptions::default(), |to| {
        let me = KeyPair::generate().unwrap();
        assert_eq!(answer_to(&to, &first_words(&me, &to, "pipe").1), b"");
        runtime().block_on(dial(&me, &to, PIPE, b"{}", DialOptions::default())).err().unwrap()
    });
    assert!(error.to_string().contains("it closed without an answer"), "{error}");
    assert!(error.hints().concat().contains("keywire's 'pipe' service"), "{:?}", error.hints());
    assert_eq!(proven, []);
}

#[test]
fn a_handshake_that_is_not_finished_in_time_is_ended() {
    let within = Duration::from_secs(1);
    let options = ListenOptions { handshake_within: within, ..ListenOptions::default() };
    let ((), proven, counts) = serve(PIPE, options, |to| {
        let me = KeyPair::generate().unwrap();
        let (_, words) = first_words(&me, &to, "pipe");
        // Nothing, a part of I1, and all but I3.
        for length in [0, 100, words.len()] {
            let started = Instant::now();
            let mut socket = connect(&to);
            socket.write_all(&words[..length]).unwrap();
            let answer = rest(&mut socket);
            assert_eq!(answer.len(), if length == words.len() { 2 + I2_LEN } else { 0 });
            let lasted = started.elapsed();
            assert!(lasted >= within && lasted < within * 9, "{length} bytes: {lasted:?}");
        }
    });
    assert_eq!((proven, counts.failed), (vec![], 3));
}

#[test]
fn a_host_that_does_not_answer_is_given_up_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string().parse().unwrap();
    let to = PeerAddr { key: KeyPair::generate().unwrap().public(), at };
    let me = KeyPair::generate().unwrap();
    let options = DialOptions { handshake_within: Duration::from_millis(200), ..DialOptions::default() };
    let error = runtime().block_on(dial(&me, &to, PIPE, b"{}", options)).err().unwrap();
    assert!(error.to_string().contains("no answer within 0 s"), "{error}");
}

#[test]
fn a_mirror_does_not_pass_for_anybody() {
    let mirror = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at: keywire::addr::HostPort = mirror.local_addr().unwrap().to_string().parse().unwrap();
    let me = KeyPair::generate().unwrap();
    let other = KeyPair::generate().unwrap().public();
    for (key, allow_self) in [(other, false), (me.public(), true)] {
        let to = PeerAddr { key, at: at.clone() };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut socket = mirror.accept().unwrap().0;
                let mut heard = vec![0; 4 + I1_LEN];
                socket.read_exact(&mut heard).unwrap();
                // What would pass for I2 by its length, and not by anything else.
                socket.write_all(&frame(&heard[4..4 + I2_LEN]).unwrap()).unwrap();
                rest(&mut socket);
            });
            let options = DialOptions { allow_self, ..DialOptions::default() };
            let error = runtime().block_on(dial(&me, &to, PIPE, b"{}", options)).err().unwrap();
            assert!(error.to_string().contains("its answer does not prove the key"), "{error}");
        });
    }
}

#[test]
fn our_own_key_is_let_in_only_when_it_is_meant() {
    let runtime = runtime();
    runtime.block_on(async {
        let me = std::sync::Arc::new(KeyPair::generate().unwrap());
        let at = "127.0.0.1:0".parse().unwrap();
        let mut listener = Listener::bind(me.clone(), &at, PIPE, ListenOptions::default()).await.unwrap();
        let to = listener.address().unwrap();
        let refused = dial(&me, &to, PIPE, b"{}", DialOptions::default()).await.err().unwrap();
        assert!(refused.hints().concat().contains("--allow-self"));
        let options = DialOptions { allow_self: true, ..DialOptions::default() };
        let dialed = async {
            let (_sender, mut receiver) = dial(&me, &to, PIPE, b"{}", options).await.unwrap().split();
            receiver.recv().await.map(drop)
        };
        tokio::select! {
            _ = listener.accept() => panic!("the listener took its own key"),
            ended = dialed => assert!(ended.is_err()),
        }
    });
}

#[test]
fn an_answer_for_one_handshake_is_none_for_another() {
    let (me, host) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let to = PeerAddr { key: host.public(), at: "h:1".parse().unwrap() };
    let preface = Preface::new(Suite::fastest());
    let answer = |words: &[u8]| Responder::start(&host, preface, "pipe", &words[4..]).unwrap();
    let ((first, words), (second, _)) = (first_words(&me, &to, "pipe"), first_words(&me, &to, "pipe"));
    let (_, i2) = answer(&words);
    assert!(second.read_i2(&i2).is_err());
    // The same I1 twice gets two answers, and an I3 fits its own only.
    let (replayed, _) = answer(&words);
    let (i3, _) = first.read_i2(&i2).unwrap().finish(b"{}").unwrap();
    assert!(replayed.read_i3(&i3).is_err());
}

#[test]
fn a_key_that_is_nobodys_is_refused_in_every_argument() {
    let user = User::with_key();
    for bytes in nobodys_keys() {
        let text = bech32::encode::<bech32::Bech32m>(bech32::Hrp::parse("kw").unwrap(), &bytes).unwrap();
        user.run("kw-pipe", ["dial", &format!("{text}@127.0.0.1:1")]).fails(2, "key");
        user.run("kw-pipe", ["listen", "--allow", &text, "127.0.0.1:0"]).fails(2, "key");
    }
}

#[test]
fn a_listener_prints_the_address_that_it_is_dialed_at() {
    let runtime = runtime();
    let (_, to) = runtime.block_on(listening(ListenOptions::default()));
    assert_eq!(to.to_string().parse::<PeerAddr>().unwrap(), to);
}
