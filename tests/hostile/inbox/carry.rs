//! Listeners that lie to whoever delivers or fetches.

use super::{card, owner, sealed};
use crate::hostile::life::unhurried;
use crate::hostile::{let_in, listening_for, runtime};
use keywire::addr::PeerAddr;
use keywire::conn::{ListenOptions, Listener};
use keywire::error::{Error, Kind};
use keywire::inbox::carry::{self, Fetched};
use keywire::inbox::dropbox::MOST_BYTES;
use keywire::proto::inbox::{Address, Card, FromListener, INBOX, MAX_HELD, MAX_SEALED_LEN, Refusal, SealedMessage};
use keywire::trust::Time;
use std::cell::Cell;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::time::sleep;

/// A record for the wire.
type Said = (u8, Vec<u8>);

fn held(message: &SealedMessage) -> Said {
    FromListener::Held(message.clone()).encode()
}

fn end() -> Said {
    FromListener::End.encode()
}

/// Lets a dialer in and says `all`, whatever it hears, then ends.
async fn lie(mut listener: Listener, all: Vec<Said>) {
    let (mut sender, receiver) = let_in(&mut listener).await.unwrap().split();
    for (kind, body) in &all {
        // The dialer may have had enough.
        if sender.send(*kind, &[body]).await.is_err() {
            return;
        }
    }
    let _ = sender.close().await;
    receiver.drain(Duration::from_secs(30)).await;
}

/// What fetching from a drop box comes to that says `all`, and how many messages came.
async fn fetch(all: Vec<Said>) -> (Result<Fetched, Error>, usize) {
    let (listener, address) = listening_for(INBOX, ListenOptions::default()).await;
    let mut came = 0;
    let me = owner();
    let fetching = carry::fetch(
        &me,
        &address,
        |_| {
            came += 1;
            std::future::ready(Ok(true))
        },
        pending(),
    );
    let (fetched, ()) = tokio::join!(fetching, lie(listener, all));
    (fetched, came)
}

#[test]
fn a_drop_box_that_breaks_the_rules_is_believed_no_further() {
    let (one, two) = (sealed(1, b"one"), sealed(2, b"two"));
    let removed = FromListener::Removed.encode();
    let wrong_id = (0x13, [&two.id().0, one.bytes()].concat());
    let cases: [(&str, Vec<Said>, usize); 10] = [
        ("garbage", vec![(0x13, b"garbage".to_vec())], 0),
        ("the id of another", vec![held(&two), wrong_id], 1),
        ("no message in it", vec![(0x13, one.id().0.to_vec())], 0),
        ("twice the same", vec![held(&one), held(&one)], 1),
        ("removed unasked", vec![removed.clone(), end()], 0),
        ("removed too often", vec![held(&one), removed.clone(), removed, end()], 1),
        ("more after the end", vec![held(&one), end(), held(&two)], 1),
        ("an answer to something else", vec![FromListener::Delivered.encode()], 0),
        ("an unknown record", vec![(0x20, Vec::new())], 0),
        ("an unknown reason", vec![(0x12, vec![9])], 0),
    ];
    for (what, all, count) in cases {
        runtime().block_on(async {
            let (fetched, came) = fetch(all).await;
            let error = fetched.unwrap_err();
            assert!(error.to_string().starts_with("protocol error"), "{what}: {error}");
            assert_eq!((error.kind(), came), (Kind::Network, count), "{what}");
        });
    }
}

#[test]
fn a_drop_box_that_breaks_off_has_not_ended() {
    for all in [vec![], vec![held(&sealed(1, b"one"))], vec![held(&sealed(1, b"one")), end()]] {
        runtime().block_on(async {
            assert!(fetch(all).await.0.unwrap_err().to_string().contains("without an answer"));
        });
    }
}

#[test]
fn a_drop_box_without_end_is_left_after_as_much_as_one_may_hold() {
    let small = (0..=u32::MAX).map(|number| sealed(1, &number.to_be_bytes()));
    let large = (0..=u32::MAX).map(|number| {
        let mut content = vec![0; MAX_SEALED_LEN - 110];
        content[..4].copy_from_slice(&number.to_be_bytes());
        sealed(1, &content)
    });
    runtime().block_on(async {
        let (fetched, came) = fetch(small.take(MAX_HELD + 5).map(|one| held(&one)).collect()).await;
        assert!(fetched.unwrap_err().to_string().contains("more than one holds"));
        assert_eq!(came, MAX_HELD);
        let (fetched, came) = fetch(large.take(30).map(|one| held(&one)).collect()).await;
        assert!(fetched.unwrap_err().to_string().contains("more than one holds"));
        assert_eq!(came, MOST_BYTES / MAX_SEALED_LEN);
    });
}

#[test]
fn what_cannot_be_taken_ends_the_fetching_with_its_own_words() {
    runtime().block_on(async {
        let (listener, address) = listening_for(INBOX, ListenOptions::default()).await;
        let me = owner();
        let fetching =
            carry::fetch(&me, &address, |_| std::future::ready(Err(Error::state("the disk is full"))), pending());
        let all = vec![held(&sealed(1, b"one")), end()];
        let (fetched, ()) = tokio::join!(fetching, lie(listener, all));
        assert_eq!(fetched.unwrap_err().to_string(), "the disk is full");
    });
}

/// Whether a message is taken to its end that takes longer than all the rest may, and how the fetching of it went: it is broken
/// off meanwhile, or else goes on as long as it can.
async fn takes_long(is_broken_off: bool) -> (bool, Error) {
    let (listener, address) = listening_for(INBOX, ListenOptions::default()).await;
    let (me, has_begun, is_taken) = (owner(), Notify::new(), Cell::new(false));
    let take = |_| async {
        has_begun.notify_one();
        sleep(2 * carry::FETCH_WITHIN).await;
        is_taken.set(true);
        Ok(true)
    };
    let over = async {
        has_begun.notified().await;
        if !is_broken_off {
            pending().await
        }
    };
    let lying = lie(listener, vec![held(&sealed(1, b"one"))]);
    let (fetched, ()) = tokio::join!(carry::fetch(&me, &address, take, over), lying);
    (is_taken.get(), fetched.unwrap_err())
}

#[test]
fn what_is_being_taken_is_taken_to_its_end_though_the_fetching_is_over() {
    unhurried().block_on(async {
        let (is_taken, error) = takes_long(true).await;
        assert!(is_taken && error.to_string().contains("was broken off"), "{error}");
        // The time is over, or the connection is gone, whichever is noticed first.
        let (is_taken, error) = takes_long(false).await;
        assert!(is_taken && error.kind() == Kind::Network, "{error}");
    });
}

fn drop_box(at: &PeerAddr) -> Address {
    Address { key: Some(at.key), at: at.at.clone() }
}

/// A listener that says only this to whoever comes, and where it is.
async fn liar(answer: FromListener) -> Address {
    let (listener, address) = listening_for(INBOX, ListenOptions::default()).await;
    tokio::spawn(lie(listener, vec![answer.encode()]));
    drop_box(&address)
}

/// The same under the key of the owner: the recipient itself refuses.
async fn own_word(why: Refusal) -> Address {
    let at = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(Arc::new(owner()), &at, INBOX, ListenOptions::default()).await.unwrap();
    let own = Address { key: None, at: listener.address().unwrap().at };
    tokio::spawn(lie(listener, vec![FromListener::Refused(why).encode()]));
    own
}

/// Where nobody listens.
async fn gone() -> Address {
    drop_box(&listening_for(INBOX, ListenOptions::default()).await.1)
}

#[test]
fn of_several_addresses_the_first_that_takes_the_message_is_enough() {
    runtime().block_on(async {
        let full = liar(FromListener::Refused(Refusal::Full)).await;
        let garbage = liar(FromListener::End).await;
        // A drop box cannot know that.
        let used = liar(FromListener::Refused(Refusal::Used)).await;
        let good = liar(FromListener::Delivered).await;
        let never = gone().await;
        let card = card(&owner(), 1, &[gone().await, full, garbage, used, good.clone(), never]);
        assert_eq!(carry::deliver(&card, &sealed(1, b"text")).await.unwrap().at, good);
    });
}

#[test]
fn what_each_address_says_is_told_when_none_takes_the_message() {
    runtime().block_on(async {
        let full = liar(FromListener::Refused(Refusal::Full)).await;
        let card = card(&owner(), 1, &[gone().await, full]);
        let error = carry::deliver(&card, &sealed(1, b"text")).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Refused, "none of 2 addresses takes it"));
        let hints = error.hints().join("\n");
        for words in ["connection refused", "has no room for more", "has fetched what is there"] {
            assert!(hints.contains(words), "{words}: {hints}");
        }
    });
}

#[test]
fn a_message_goes_to_no_address_where_it_cannot_belong() {
    runtime().block_on(async {
        let nowhere = card(&owner(), 1, &[]);
        let error = carry::deliver(&nowhere, &sealed(1, b"text")).await.unwrap_err();
        assert!(error.to_string().contains("names no address"), "{error}");
        let here = card(&owner(), 1, &[gone().await]);
        let error = carry::deliver(&here, &sealed(2, b"text")).await.unwrap_err();
        assert!(error.to_string().contains("sealed to another card"), "{error}");
        let over = Time::of(SystemTime::now() - Duration::from_secs(60));
        let card = Card::make(&owner(), here.keys().to_vec(), over, here.addresses().to_vec()).unwrap();
        let error = carry::deliver(&card, &sealed(1, b"text")).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (Kind::No, format!("the card has expired, on {over}")));
    });
}

#[test]
fn each_refusal_has_its_own_words_and_a_next_step() {
    runtime().block_on(async {
        let mut words = std::collections::BTreeSet::new();
        for why in Refusal::ALL.into_iter().filter(|why| *why != Refusal::Same) {
            let card = card(&owner(), 1, &[liar(FromListener::Refused(why)).await]);
            let error = carry::deliver(&card, &sealed(1, b"text")).await.unwrap_err();
            assert_eq!(error.hints().len(), 1, "{error}");
            let text = error.to_string();
            words.insert(text.split_once(&card.addresses()[0].at.to_string()).unwrap().1.to_owned());
        }
        assert_eq!(words.len(), Refusal::ALL.len() - 1, "{words:?}");
        // To a recipient that is older than the sender the message is wrong as well, though it goes with the card.
        let card = card(&owner(), 1, &[own_word(Refusal::Wrong).await]);
        let error = carry::deliver(&card, &sealed(1, b"text")).await.unwrap_err();
        assert!(error.to_string().contains("or is from a newer keywire") && error.hints().len() == 1, "{error}");
    });
}

#[test]
fn the_recipients_own_word_on_a_one_time_key_is_the_last() {
    runtime().block_on(async {
        for (why, is_last) in [
            (Refusal::Used, true),
            (Refusal::Revoked, true),
            (Refusal::Expired, true),
            (Refusal::Unknown, false),
            (Refusal::Unavailable, false),
        ] {
            let own = own_word(why).await;
            let card = card(&owner(), 1, &[own, liar(FromListener::Delivered).await]);
            let delivered = carry::deliver(&card, &sealed(1, b"text")).await;
            assert_eq!(delivered.is_err(), is_last, "{why:?}");
        }
    });
}

#[test]
fn an_address_that_never_answers_holds_up_the_next_only_for_a_while() {
    unhurried().block_on(async {
        // The system takes connections, and nobody says anything.
        let listeners = [0; 2].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let [silent, other] = listeners.each_ref().map(silent_address);
        let good = liar(FromListener::Delivered).await;
        let all = card(&owner(), 1, &[silent.clone(), other, good.clone()]);
        assert_eq!(carry::deliver(&all, &sealed(1, b"text")).await.unwrap().at, good);
        let alone = card(&owner(), 1, &[silent]);
        let error = carry::deliver(&alone, &sealed(1, b"text")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Network, "{error}");
    });
}

fn silent_address(listener: &std::net::TcpListener) -> Address {
    Address { key: Some(owner().public()), at: listener.local_addr().unwrap().to_string().parse().unwrap() }
}
