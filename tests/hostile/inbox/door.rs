//! Dialers at the door of a drop box, and of a recipient.

use super::{card, owner, sealed};
use crate::hostile::life::unhurried;
use crate::hostile::{listening_for, runtime};
use crate::peer::Peer;
use crate::sandbox::Dir;
use keywire::addr::PeerAddr;
use keywire::conn::{DialOptions, Limits, ListenOptions, dial, kind};
use keywire::error::Result;
use keywire::inbox::carry;
use keywire::inbox::door::{Door, Event, MOST_OF_ONE, MOST_RECORDS, Place, STRANGERS, STRANGERS_STAY, Taker};
use keywire::inbox::dropbox::DropBox;
use keywire::key::KeyPair;
use keywire::proto::inbox::{Address, Delivery, FromDialer, FromListener, INBOX, Refusal, SealedId, SealedMessage};
use keywire::store::Store;
use keywire::trust::{Allowlist, Right};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A drop box that serves its owners.
struct Machine {
    dir: Dir,
    address: PeerAddr,
    events: Arc<Mutex<Vec<Event>>>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<()>>,
}

impl Machine {
    async fn start(options: ListenOptions) -> Self {
        let dir = Dir::new();
        let store = Store::at(dir.path());
        Allowlist::update(&store, |list| {
            list.rule_mut(owner().public()).rights.insert(Right::Drop);
            list.rule_mut(other().public()).rights.insert(Right::Drop);
            Ok(())
        })
        .unwrap();
        let drop_box = Arc::new(DropBox::open(&store, SystemTime::now()).unwrap());
        let (listener, address) = listening_for(INBOX, options).await;
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = events.clone();
        let door = Door::new(Place::DropBox(drop_box, store), move |event| heard.lock().unwrap().push(event));
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move { door.serve(listener, async { drop(stopped.await) }).await });
        Machine { dir, address, events, stop, serving }
    }

    /// Where it takes messages.
    fn at(&self) -> Address {
        Address { key: Some(self.address.key), at: self.address.at.clone() }
    }

    /// What it holds for `who`, which takes it all.
    async fn fetch(&self, who: &KeyPair) -> Vec<SealedMessage> {
        let mut came = Vec::new();
        let fetched = carry::fetch(
            who,
            &self.address,
            |message| {
                came.push(message);
                std::future::ready(Ok(true))
            },
            pending(),
        );
        assert_eq!(fetched.await.unwrap().left, 0);
        came
    }

    /// A dialer that says whatever it likes.
    async fn peer(&self, me: KeyPair) -> Peer {
        let to = self.address.clone();
        tokio::task::spawn_blocking(move || Peer::dial(&me, &to, INBOX.name)).await.unwrap()
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
    }
}

fn other() -> KeyPair {
    KeyPair::from_secret(keywire::key::SecretKey::from_bytes(&[8; 32]))
}

fn nobody() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn say(peer: &mut Peer, message: &FromDialer) {
    let (kind, body) = message.encode();
    peer.send(kind, &body);
}

/// The next record that is no sign of life.
fn hear(peer: &mut Peer) -> (u8, Vec<u8>) {
    loop {
        match peer.recv().unwrap() {
            (kind::PING | kind::PONG, _) => {}
            record => return record,
        }
    }
}

fn hears(peer: &mut Peer, message: &FromListener) {
    assert_eq!(hear(peer), message.encode());
}

/// Does what a test does with peers, which wait for the network, beside the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[test]
fn a_message_waits_at_a_drop_box_for_its_owner_and_is_gone_when_it_was_taken() {
    runtime().block_on(async {
        let machine = Machine::start(ListenOptions::default()).await;
        let card = card(&owner(), 2, &[machine.at()]);
        let (one, two) = (sealed(1, b"one"), sealed(2, b"two"));
        for message in [&one, &two, &one] {
            let delivered = carry::deliver(&card, message).await.unwrap();
            assert_eq!((delivered.at, delivered.is_same), (machine.at(), false));
        }
        // One that cannot be taken stays.
        let (me, kept) = (owner(), one.id());
        let some = carry::fetch(
            &me,
            &machine.address,
            |message| {
                let is_other = message.id() != kept;
                async move { Ok(is_other) }
            },
            pending(),
        );
        let some = some.await.unwrap();
        assert_eq!((some.taken, some.left), (1, 1));
        assert!(machine.fetch(&other()).await.is_empty());
        assert_eq!(machine.fetch(&owner()).await, [one]);
        assert!(machine.fetch(&owner()).await.is_empty());
        let events = machine.events.lock().unwrap().clone();
        assert_eq!(events[0], Event::Delivered { recipient: owner().public(), id: kept });
        assert!(events.contains(&Event::Fetched { owner: owner().public(), messages: 2 }));
        machine.end().await;
    });
}

#[test]
fn a_stranger_who_breaks_the_rules_is_told_so_and_the_owner_is_served_all_the_same() {
    runtime().block_on(async {
        let machine = Machine::start(ListenOptions::default()).await;
        let card = card(&owner(), 2, &[machine.at()]);
        let message = sealed(1, b"text");
        carry::deliver(&card, &message).await.unwrap();
        let deliver = FromDialer::Deliver(message.clone()).encode();
        let ticket = FromDialer::Ticket(card.ticket()).encode();
        let broken: [Vec<(u8, Vec<u8>)>; 8] = [
            vec![deliver],
            vec![(0x01, b"garbage".to_vec())],
            vec![ticket.clone(), (0x02, b"garbage".to_vec())],
            vec![(0x03, b"x".to_vec())],
            vec![(0x04, vec![1; 15])],
            vec![(0x04, Vec::new())],
            vec![(0x05, Vec::new())],
            vec![ticket, (0x11, Vec::new())],
        ];
        for records in broken {
            let mut peer = machine.peer(nobody()).await;
            blocking(move || {
                for (kind, body) in &records {
                    peer.send(*kind, body);
                }
                let (kind, body) = hear(&mut peer);
                assert_eq!((kind, body[0]), (kind::ERROR, 2), "{records:?}");
            })
            .await;
        }
        // Without end.
        let mut peer = machine.peer(nobody()).await;
        blocking(move || {
            for _ in 0..MOST_RECORDS {
                say(&mut peer, &FromDialer::Fetch);
                hears(&mut peer, &FromListener::Refused(Refusal::Unknown));
            }
            say(&mut peer, &FromDialer::Fetch);
            assert_eq!(hear(&mut peer).0, kind::ERROR);
        })
        .await;
        assert_eq!(machine.fetch(&owner()).await, [message]);
        machine.end().await;
    });
}

#[test]
fn a_stranger_gets_nothing_and_removes_nothing_whatever_it_knows() {
    runtime().block_on(async {
        let machine = Machine::start(ListenOptions::default()).await;
        let card = card(&owner(), 2, &[machine.at()]);
        let message = sealed(1, b"text");
        carry::deliver(&card, &message).await.unwrap();
        let taken = FromDialer::Taken(vec![message.id(), SealedId([3; 16])]);
        for (who, answer) in [(nobody(), FromListener::Refused(Refusal::Unknown)), (other(), FromListener::Removed)] {
            let (mut peer, taken) = (machine.peer(who).await, taken.clone());
            blocking(move || {
                say(&mut peer, &taken);
                hears(&mut peer, &answer);
            })
            .await;
        }
        // A ticket of somebody for whom nothing is held, and one that a stranger has made for the owner.
        let theirs = super::card(&nobody(), 2, &[machine.at()]);
        let refused = carry::deliver(&theirs, &message).await.unwrap_err().to_string();
        assert!(refused.contains("does not hold messages for this key"), "{refused}");
        let mut forged = card.ticket().encode();
        *forged.last_mut().unwrap() ^= 1;
        let (mut peer, deliver) = (machine.peer(nobody()).await, FromDialer::Deliver(sealed(2, b"more")));
        blocking(move || {
            peer.send(0x01, &forged);
            say(&mut peer, &deliver);
            hears(&mut peer, &FromListener::Refused(Refusal::Wrong));
        })
        .await;
        assert_eq!(machine.fetch(&owner()).await, [message]);
        machine.end().await;
    });
}

#[test]
fn strangers_who_take_all_places_leave_one_for_the_owner() {
    runtime().block_on(async {
        let machine = Machine::start(ListenOptions::default()).await;
        let mut guests = Vec::new();
        for _ in 0..STRANGERS {
            let mut peer = machine.peer(nobody()).await;
            // What it hears shows that it has its place.
            guests.push(
                blocking(move || {
                    say(&mut peer, &FromDialer::Fetch);
                    hears(&mut peer, &FromListener::Refused(Refusal::Unknown));
                    peer
                })
                .await,
            );
        }
        let card = card(&owner(), 1, &[machine.at()]);
        let refused = carry::deliver(&card, &sealed(1, b"text")).await.unwrap_err().to_string();
        assert!(refused.contains("too many connections"), "{refused}");
        assert!(machine.fetch(&owner()).await.is_empty());
        // A place that is given up is free.
        blocking(move || {
            let mut first = guests.remove(0);
            first.close(0);
            assert_eq!(hear(&mut first).0, kind::CLOSE);
            crate::peer::rest(&mut first.socket);
            guests
        })
        .await;
        carry::deliver(&card, &sealed(1, b"text")).await.unwrap();
        machine.end().await;
    });
}

#[test]
fn one_source_has_few_places_and_one_owner_too() {
    runtime().block_on(async {
        let limits = Limits { limit_loopback: true, ..Limits::default() };
        let machine = Machine::start(ListenOptions { limits, ..ListenOptions::default() }).await;
        for is_owner in [false, true] {
            let who = || if is_owner { owner() } else { nobody() };
            let mut guests = Vec::new();
            for _ in 0..MOST_OF_ONE {
                let mut peer = machine.peer(who()).await;
                guests.push(
                    blocking(move || {
                        say(&mut peer, &FromDialer::Fetch);
                        hear(&mut peer);
                        peer
                    })
                    .await,
                );
            }
            let mut more = machine.peer(who()).await;
            let (kind, body) = blocking(move || hear(&mut more)).await;
            assert_eq!((kind, body[0]), (kind::ERROR, 3));
        }
        machine.end().await;
    });
}

#[test]
fn a_stranger_who_does_not_end_is_sent_away() {
    unhurried().block_on(async {
        let silent = ListenOptions { keepalive: Duration::ZERO, ..ListenOptions::default() };
        let machine = Machine::start(silent).await;
        let options = DialOptions { keepalive: Duration::ZERO, ..DialOptions::default() };
        let connection = dial(&nobody(), &machine.address, INBOX, b"{}", options).await.unwrap();
        let (_sender, mut receiver) = connection.split();
        let began = Instant::now();
        let told = receiver.recv().await.unwrap_err().to_string();
        assert!(told.contains("this has taken too long"), "{told}");
        assert!(began.elapsed() <= STRANGERS_STAY + Duration::from_secs(1), "{:?}", began.elapsed());
        machine.end().await;
    });
}

#[test]
fn a_door_that_closes_says_so() {
    runtime().block_on(async {
        let machine = Machine::start(ListenOptions::default()).await;
        let mut peer = machine.peer(nobody()).await;
        let mut peer = blocking(move || {
            say(&mut peer, &FromDialer::Fetch);
            hear(&mut peer);
            peer
        })
        .await;
        machine.end().await;
        let (kind, body) = blocking(move || hear(&mut peer)).await;
        assert_eq!((kind, body[0]), (kind::ERROR, 4));
    });
}

#[test]
fn a_disk_that_fails_is_told_once_and_the_dialer_may_try_again() {
    runtime().block_on(async {
        let machine = Machine::start(ListenOptions::default()).await;
        let card = card(&owner(), 1, &[machine.at()]);
        // Nobody can make a directory where there is a file.
        let blocked = machine.dir.join("drop").join(owner().public().to_string());
        std::fs::write(&blocked, "").unwrap();
        for _ in 0..2 {
            for _ in 0..2 {
                let refused = carry::deliver(&card, &sealed(1, b"text")).await.unwrap_err();
                assert!(refused.to_string().contains("cannot take it now"), "{refused}");
            }
            assert!(matches!(machine.events.lock().unwrap().as_slice(), [Event::Trouble(_)]));
            std::fs::remove_file(&blocked).unwrap();
            carry::deliver(&card, &sealed(1, b"text")).await.unwrap();
            assert_eq!(machine.fetch(&owner()).await.len(), 1);
            // When it was well again, it is told anew.
            machine.events.lock().unwrap().clear();
            std::fs::remove_dir(&blocked).unwrap();
            std::fs::write(&blocked, "").unwrap();
        }
        machine.end().await;
    });
}

/// Takes what is sealed to the key 1, once.
struct Once(Mutex<bool>);

impl Taker for Once {
    fn take(&self, _: &SealedMessage) -> Result<Delivery> {
        match std::mem::replace(&mut *self.0.lock().unwrap(), true) {
            false => Ok(Ok(())),
            true => Ok(Err(Refusal::Same)),
        }
    }
}

#[test]
fn a_recipient_takes_what_its_own_cards_admit_and_holds_nothing_for_anybody() {
    runtime().block_on(async {
        let (listener, address) = listening_for(INBOX, ListenOptions::default()).await;
        // The listener has a key of its own here; the card is of that key's.
        let me = nobody();
        let place = Place::Recipient(me.public(), Arc::new(Once(Mutex::new(false))));
        let door = Door::new(place, |_| {});
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move { door.serve(listener, async { drop(stopped.await) }).await });
        let at = Address { key: Some(address.key), at: address.at.clone() };
        let ours = card(&me, 1, std::slice::from_ref(&at));
        let theirs = card(&owner(), 1, std::slice::from_ref(&at));
        assert!(!carry::deliver(&ours, &sealed(1, b"text")).await.unwrap().is_same);
        assert!(carry::deliver(&ours, &sealed(1, b"text")).await.unwrap().is_same);
        assert!(carry::deliver(&theirs, &sealed(1, b"text")).await.is_err());
        let refused = carry::fetch(&me, &address, |_| std::future::ready(Ok(true)), pending()).await.unwrap_err();
        assert!(refused.to_string().contains("does not hold messages for this key"), "{refused}");
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
    });
}
