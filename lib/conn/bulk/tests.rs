//! Two connected ends, and what must hold between them.

use super::*;
use crate::conn::Batch;
use crate::key::KeyPair;
use crate::noise::Transport;
use crate::record::Opener;
use crate::seal::Suite;
use std::io::{Read, Write};
use tokio::net::{TcpListener, TcpStream as Socket};

/// One end of a connection.
pub(crate) type End = (BulkSender, BulkReceiver, Breaker);

/// Two ends of one connection over the loopback.
pub(crate) fn pair() -> (End, End) {
    pair_of(BulkOptions::default(), Duration::from_secs(15))
}

fn pair_of(options: BulkOptions, keepalive: Duration) -> (End, End) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (ours, theirs) = tokio::join!(Socket::connect(listener.local_addr().unwrap()), listener.accept());
        let end = |socket, out, back| end(socket, out, back, options, keepalive);
        (end(ours.unwrap(), [1; 32], [2; 32]), end(theirs.unwrap().0, [2; 32], [1; 32]))
    })
}

/// An end, and a socket in place of the other one.
fn end_and_stranger(keepalive: Duration) -> (End, TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stranger = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let accepted = listener.accept().unwrap().0;
    accepted.set_nonblocking(true).unwrap();
    let end = runtime.block_on(async {
        end(Socket::from_std(accepted).unwrap(), [1; 32], [2; 32], BulkOptions::default(), keepalive)
    });
    (end, stranger)
}

fn end(socket: Socket, out: [u8; 32], back: [u8; 32], options: BulkOptions, keepalive: Duration) -> End {
    let keys = Transport {
        sealer: Sealer::new(Suite::AesGcm, &out).unwrap(),
        opener: Opener::new(Suite::AesGcm, &back).unwrap(),
        channel_binding: [0; 64],
    };
    let key = KeyPair::generate().unwrap().public();
    Connection::new(socket, key, key, keys, keepalive).unwrap().into_bulk(options).unwrap()
}

/// All records up to the close.
fn all(receiver: &mut BulkReceiver) -> Result<Vec<(u8, Vec<u8>)>> {
    let mut came = Vec::new();
    while let Some(batch) = receiver.recv()? {
        came.extend(batch.records().map(|record| (record.kind, record.body.to_vec())));
    }
    Ok(came)
}

#[test]
fn records_of_every_size_arrive_in_order_over_many_batches() {
    let ((mut sender, _back, _), (_, mut receiver, _)) = pair();
    let lengths: Vec<usize> = (0..2000).map(|at| [0, 1, 500, 4096, MAX_BODY_LEN][at % 5]).collect();
    let sent: Vec<_> =
        lengths.iter().enumerate().map(|(at, length)| (at as u8 & 0x7f, vec![at as u8; *length])).collect();
    let expected = sent.clone();
    let sending = std::thread::spawn(move || {
        for (kind, body) in &sent {
            let (front, back) = body.split_at(body.len() / 2);
            sender.push(*kind, &[front, back]).unwrap();
        }
        assert!(sender.push(1, &[&[0; MAX_BODY_LEN], &[0]]).is_err());
        sender.close()
    });
    assert!(all(&mut receiver).unwrap() == expected);
    sending.join().unwrap().unwrap();
    assert!(receiver.is_closed() && receiver.recv().unwrap().is_none());
}

#[test]
fn a_record_without_a_body_finds_no_room_in_a_batch_that_is_full_to_the_byte() {
    // So many bytes are left when it comes.
    for left in 0..=OVERHEAD {
        let ((mut sender, _back, _), (_, mut receiver, _)) = pair();
        for _ in 0..31 {
            sender.push(1, &[&[1; MAX_BODY_LEN]]).unwrap();
        }
        sender.push(1, &[&vec![1; MAX_BODY_LEN - left]]).unwrap();
        sender.push(2, &[]).unwrap();
        let closing = std::thread::spawn(move || sender.close());
        assert_eq!(all(&mut receiver).unwrap().last().unwrap(), &(2, vec![]), "{left}");
        closing.join().unwrap().unwrap();
    }
}

#[test]
fn what_is_read_straight_into_records_arrives_byte_for_byte() {
    let ((mut sender, _back, _), (_, mut receiver, _)) = pair();
    let bytes: Vec<u8> = (0..5_000_000_u32).flat_map(|at| [(at % 251) as u8]).collect();
    let expected = bytes.clone();
    let sending = std::thread::spawn(move || {
        let mut rest = bytes.as_slice();
        sender.push(9, &[b"first"]).unwrap();
        while !rest.is_empty() {
            // Odd amounts, now and then less than there is room for.
            let most = 1 + rest.len() as u64 / 3;
            let count = sender.fill(7, most, |bodies| rest.read_vectored(bodies)).unwrap().unwrap();
            assert!(count > 0 && count as u64 <= most);
        }
        assert_eq!(sender.fill(7, 10, |_| Ok(0)).unwrap().unwrap(), 0);
        assert!(sender.fill(7, 10, |_| Err(io_error())).unwrap().is_err());
        sender.close()
    });
    let mut came = all(&mut receiver).unwrap().into_iter();
    assert_eq!(came.next().unwrap(), (9, b"first".to_vec()));
    let mut whole = Vec::new();
    for (kind, body) in came {
        assert!(kind == 7 && !body.is_empty());
        whole.extend(body);
    }
    assert!(whole == expected);
    sending.join().unwrap().unwrap();
}

fn io_error() -> std::io::Error {
    std::io::Error::from_raw_os_error(5)
}

#[test]
fn both_directions_go_at_once_and_end_by_themselves() {
    let ((one, mut to_one, _), (other, mut to_other, _)) = pair();
    let pour = |mut sender: BulkSender| {
        std::thread::spawn(move || {
            for _ in 0..200 {
                sender.push(3, &[&[5; MAX_BODY_LEN]]).unwrap();
            }
            sender.close().unwrap();
        })
    };
    let pouring = [pour(one), pour(other)];
    let taking = std::thread::spawn(move || all(&mut to_one).unwrap().len());
    assert_eq!(all(&mut to_other).unwrap().len(), 200);
    assert_eq!(taking.join().unwrap(), 200);
    for one in pouring {
        one.join().unwrap();
    }
}

#[test]
fn records_behind_the_one_that_was_looked_for_come_again() {
    let ((mut sender, _back, _), (_, mut receiver, _)) = pair();
    for kind in 1..=3 {
        sender.push(kind, &[]).unwrap();
    }
    sender.flush().unwrap();
    let kinds = |batch: &Batch| batch.records().map(|record| record.kind).collect::<Vec<_>>();
    assert_eq!(kinds(receiver.recv().unwrap().unwrap()), [1, 2, 3]);
    receiver.take_only(1);
    assert_eq!(kinds(receiver.try_recv().unwrap().unwrap()), [2, 3]);
    receiver.take_only(2);
    assert!(receiver.try_recv().unwrap().is_none());
}

#[test]
fn an_error_from_the_other_side_comes_after_what_it_sent_before() {
    let ((mut sender, back, _), (theirs, mut receiver, _)) = pair();
    sender.push(1, &[b"before"]).unwrap();
    sender.flush().unwrap();
    let failing = std::thread::spawn(move || {
        sender.fail(Reason::Unavailable, "the disk is gone");
        drop(back);
    });
    let mut seen = 0;
    let error = loop {
        match receiver.recv() {
            Ok(batch) => seen += batch.expect("it is no end in good order").records().count(),
            Err(error) => break error,
        }
    };
    assert!(seen == 1 && error.to_string().contains("the disk is gone"), "{error}");
    drop((theirs, receiver));
    failing.join().unwrap();
}

#[test]
fn whoever_cannot_send_learns_what_the_other_side_said_last() {
    let ((mut sender, mut back, _), (theirs, _receiver, _)) = pair();
    let failing = std::thread::spawn(move || {
        theirs.fail(Reason::BadRequest, "that is no copy");
        drop(_receiver);
    });
    let failure = loop {
        if let Err(failure) = sender.push(1, &[&[0; MAX_BODY_LEN]]).and_then(|()| sender.flush()) {
            break failure;
        }
    };
    let told = back.reason_for(failure);
    assert!(told.to_string().contains("that is no copy"), "{told}");
    drop((sender, back));
    failing.join().unwrap();
}

#[test]
fn a_direction_that_ends_without_a_close_is_an_error() {
    let ((mut sender, _back, _), (_, mut receiver, _)) = pair();
    sender.push(1, &[b"x"]).unwrap();
    sender.flush().unwrap();
    drop(sender);
    assert!(all(&mut receiver).unwrap_err().to_string().contains("without a close"));
    assert!(receiver.recv().is_err(), "and stays one");
}

#[test]
fn a_cut_ends_every_wait_and_tells_the_other_side_why() {
    let ((mut sender, mut back, breaker), (theirs, mut receiver, _)) = pair();
    let waiting = std::thread::spawn(move || back.recv().map(drop).unwrap_err().to_string());
    let stuck = std::thread::spawn(move || {
        loop {
            // The other side does not read.
            if let Err(error) = sender.push(1, &[&[0; MAX_BODY_LEN]]).and_then(|()| sender.flush()) {
                return error.to_string();
            }
        }
    });
    breaker.cut(Reason::Refused, "no longer allowed");
    assert!(waiting.join().unwrap().contains("no longer allowed"));
    let told = loop {
        match receiver.recv() {
            Ok(batch) => drop(batch.expect("it is no end in good order").records().count()),
            Err(error) => break error,
        }
    };
    assert!(told.to_string().contains("no longer allowed"), "{told}");
    assert!(stuck.join().unwrap().contains("no longer allowed"));
    drop((theirs, receiver));
    breaker.wait();
}

#[test]
fn what_is_abandoned_ends_at_once_and_looks_cut_to_the_other_side() {
    let ((mut sender, mut back, breaker), (theirs, mut receiver, _)) = pair();
    let stuck = std::thread::spawn(move || {
        while sender.push(1, &[&[0; MAX_BODY_LEN]]).is_ok() {}
        back.recv().map(drop).unwrap_err().to_string()
    });
    assert!(receiver.recv().unwrap().is_some());
    breaker.abandon("interrupted");
    assert!(stuck.join().unwrap().contains("interrupted"));
    breaker.wait();
    assert!(all(&mut receiver).unwrap_err().to_string().contains("the connection was cut"));
    drop(theirs);
}

#[test]
fn nobody_who_sees_a_cut_can_let_go_of_the_line_before_the_last_words_are_on_it() {
    let ((sender, _back, breaker), (_theirs, mut receiver, _)) = pair();
    let shared = breaker.0.clone();
    // In the midst of it the cut has to wait for this.
    let over = lock(&shared.over);
    let cutting = std::thread::spawn(move || breaker.cut(Reason::ShuttingDown, "going"));
    while !shared.is_cut.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    assert!(shared.line.try_lock().is_err());
    drop(over);
    drop(sender);
    let told = all(&mut receiver).unwrap_err();
    assert!(told.to_string().contains("going"), "{told}");
    cutting.join().unwrap();
}

#[test]
fn what_still_comes_after_a_cut_is_taken_though_nobody_wants_it() {
    let ((sender, back, breaker), mut stranger) = end_and_stranger(Duration::ZERO);
    let frame = [&[0, crate::seal::TAG_LEN as u8 + 1][..], &[7; crate::seal::TAG_LEN + 1]].concat();
    stranger.write_all(&frame[..1]).unwrap();
    while breaker.carried().1 == 0 {
        std::thread::yield_now();
    }
    breaker.cut(Reason::ShuttingDown, "going");
    drop((sender, back, breaker));
    stranger.write_all(&frame[1..]).unwrap();
    assert!(stranger.read_to_end(&mut Vec::new()).unwrap() > 0);
    for _ in 0..50 {
        // A reset would have made the last words' way uncertain.
        stranger.write_all(&frame).unwrap();
    }
}

#[test]
fn a_cut_does_not_wait_for_ever_for_a_peer_that_has_stopped() {
    let ((mut sender, back, breaker), (theirs, receiver, _)) = pair();
    let stuck = std::thread::spawn(move || while sender.push(1, &[&[0; MAX_BODY_LEN]]).is_ok() {});
    // More than all buffers on the way hold: the thread at the socket is stuck.
    let mut last = 0;
    while breaker.carried().0 > last || last == 0 {
        last = breaker.carried().0;
        std::thread::sleep(Duration::from_millis(300));
    }
    let start = Instant::now();
    breaker.cut(Reason::ShuttingDown, "going");
    breaker.wait();
    assert!(start.elapsed() < 4 * LAST_WORDS_WITHIN);
    stuck.join().unwrap();
    drop((back, theirs, receiver));
}

#[test]
fn whoever_waits_for_room_is_freed_when_the_peer_has_ended_and_reads_no_more() {
    let ((mut sender, _back, _), stranger) = end_and_stranger(Duration::ZERO);
    stranger.shutdown(Shutdown::Write).unwrap();
    while sender.push(1, &[&[0; MAX_BODY_LEN]]).is_ok() {}
    drop(stranger);
}

#[test]
fn silence_is_filled_with_signs_of_life_and_a_peer_without_any_is_given_up() {
    let ((mut sender, _back, _), (theirs, mut receiver, _)) =
        pair_of(BulkOptions::default(), Duration::from_millis(50));
    let waiting = std::thread::spawn(move || all(&mut receiver).map(|records| records.len()));
    // Far longer than a silence may last.
    std::thread::sleep(Duration::from_millis(600));
    sender.push(1, &[]).unwrap();
    sender.close().unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), 1);
    drop(theirs);

    let (mut end, silent) = end_and_stranger(Duration::from_millis(50));
    let error = end.1.recv().map(drop).unwrap_err().to_string();
    assert!(error.contains("no sign of life"), "{error}");
    drop(silent);
}

#[test]
fn a_question_for_a_sign_of_life_after_our_close_needs_no_answer() {
    let ((ours, mut incoming, _), (mut theirs, mut heard, breaker)) =
        pair_of(BulkOptions::default(), Duration::from_millis(20));
    ours.close().unwrap();
    assert!(heard.recv().unwrap().is_none());
    // It has nothing to say for some time, and asks instead.
    while breaker.carried().0 < 5 * 19 {
        std::thread::yield_now();
    }
    theirs.push(1, &[b"late"]).unwrap();
    theirs.close().unwrap();
    assert_eq!(all(&mut incoming).unwrap(), [(1, b"late".to_vec())]);
}

#[test]
fn a_rate_is_kept() {
    let options = BulkOptions { rate: Some(1 << 20) };
    let ((mut sender, _back, breaker), (_theirs, mut receiver, _)) = pair_of(options, Duration::from_secs(15));
    let start = Instant::now();
    let sending = std::thread::spawn(move || {
        sender.push(1, &[&[0; 50_000]]).and_then(|()| sender.push(1, &[&[0; 50_000]])).unwrap();
        sender.close().unwrap();
    });
    all(&mut receiver).unwrap();
    sending.join().unwrap();
    // 100,000 bytes at 1 MiB a second; it cannot have been faster, however slow this machine is.
    assert!(start.elapsed() >= Duration::from_millis(80), "{:?}", start.elapsed());
    assert!(breaker.carried().0 > 100_000);
}

#[test]
fn a_frame_that_cannot_be_is_an_error() {
    let (mut end, mut stranger) = end_and_stranger(Duration::ZERO);
    stranger.write_all(&[0, 3, 1, 2, 3]).unwrap();
    assert!(end.1.recv().map(drop).unwrap_err().to_string().contains("too short"));
}
