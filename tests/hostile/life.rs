//! Signs of life: who is silent is noticed, who is merely slow is not taken for dead.

use super::{let_in, listening, runtime, with_hostile_peer};
use keywire::conn::{DialOptions, ListenOptions, dial, kind};
use keywire::key::KeyPair;
use keywire::proto::pipe::{DATA, PIPE};
use std::time::Duration;
use tokio::time::Instant;

const KEEPALIVE: Duration = Duration::from_millis(150);

fn options() -> ListenOptions {
    ListenOptions { keepalive: KEEPALIVE, ..ListenOptions::default() }
}

/// A runtime whose clock goes on only when nothing else does, so that no load on the machine comes into what is measured.
pub(super) fn unhurried() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up_after_three_intervals() {
    unhurried().block_on(async {
        let (connection, mut peer) = with_hostile_peer(options()).await;
        let (mut sender, mut receiver) = connection.split();
        let started = Instant::now();
        let lost = sender.while_waiting(receiver.recv()).await.unwrap().unwrap_err();
        let lasted = started.elapsed();
        assert!(lost.to_string().contains("no sign of life"), "{lost}");
        assert!(lasted >= KEEPALIVE * 3 && lasted < KEEPALIVE * 4, "{lasted:?}");
        assert_eq!(peer.recv().unwrap(), (kind::PING, Vec::new()));
        assert_eq!(peer.recv().unwrap(), (kind::PING, Vec::new()));
    });
}

#[test]
fn a_silent_peer_is_noticed_though_this_side_is_busy() {
    unhurried().block_on(async {
        let (connection, _peer) = with_hostile_peer(options()).await;
        let (mut sender, mut receiver) = connection.split();
        let started = Instant::now();
        // Something of our own happens more often than the interval, and each time the receiving begins anew.
        let mut busy = tokio::time::interval(KEEPALIVE / 5);
        let lost = loop {
            tokio::select! {
                record = receiver.recv() => break record.unwrap_err(),
                _ = busy.tick() => sender.send(DATA, &[b"more"]).await.unwrap(),
            }
            assert!(started.elapsed() < KEEPALIVE * 5, "nobody noticed for {:?}", started.elapsed());
        };
        assert!(lost.to_string().contains("no sign of life"), "{lost}");
    });
}

#[test]
fn a_question_is_answered_while_nothing_else_is_sent() {
    runtime().block_on(async {
        let (connection, mut peer) =
            with_hostile_peer(ListenOptions { keepalive: Duration::ZERO, ..ListenOptions::default() }).await;
        let (mut sender, mut receiver) = connection.split();
        let asking = tokio::task::spawn_blocking(move || {
            for _ in 0..3 {
                peer.send(kind::PING, &[]);
                assert_eq!(peer.recv().unwrap(), (kind::PONG, Vec::new()));
            }
            peer.close(0);
        });
        assert!(sender.while_waiting(receiver.recv()).await.unwrap().unwrap().is_none());
        asking.await.unwrap();
    });
}

#[test]
fn an_idle_connection_lives_as_long_as_both_sides_do() {
    runtime().block_on(async {
        let (mut listener, to) = listening(options()).await;
        let me = KeyPair::generate().unwrap();
        let dial_options = DialOptions { keepalive: KEEPALIVE, ..DialOptions::default() };
        let (here, there) = tokio::join!(let_in(&mut listener), dial(&me, &to, PIPE, b"{}", dial_options));
        let ((mut sender, mut receiver), (mut other_sender, mut other_receiver)) =
            (here.unwrap().split(), there.unwrap().split());
        let idle = async {
            let (one, other) =
                tokio::join!(sender.while_waiting(receiver.recv()), other_sender.while_waiting(other_receiver.recv()));
            panic!("it ended: {:?} {:?}", one.map(drop), other.map(drop));
        };
        assert!(tokio::time::timeout(KEEPALIVE * 8, idle).await.is_err());
    });
}

#[test]
fn a_reader_that_is_stuck_for_long_does_not_end_a_healthy_connection() {
    const PIECES: usize = 400;
    runtime().block_on(async {
        let (mut listener, to) = listening(options()).await;
        let me = KeyPair::generate().unwrap();
        let dial_options = DialOptions { keepalive: KEEPALIVE, ..DialOptions::default() };
        let (here, there) = tokio::join!(let_in(&mut listener), dial(&me, &to, PIPE, b"{}", dial_options));
        let ((mut sender, mut receiver), (mut stuck_sender, mut stuck)) =
            (here.unwrap().split(), there.unwrap().split());
        // 24 MiB, far more than sockets hold: the sender has to wait for the reader.
        let sending = async {
            for _ in 0..PIECES {
                sender.send(DATA, &[&[7; 60_000]]).await?;
            }
            sender.close().await
        };
        let listening = async { receiver.recv().await.map(|end| assert!(end.is_none())) };
        let reading = async {
            // Eight intervals in which it gives signs of life, and takes none.
            stuck_sender.while_waiting(tokio::time::sleep(KEEPALIVE * 8)).await?;
            let mut came = 0;
            while let Some(record) = stuck.recv().await? {
                came += record.body.len();
            }
            assert_eq!(came, PIECES * 60_000);
            stuck_sender.close().await
        };
        tokio::try_join!(sending, listening, reading).unwrap();
    });
}
