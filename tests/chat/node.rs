//! The library itself, with a clock of the test's own.

use crate::sandbox::Dir;
use keywire::chat::{Chat, Delivery, Draft, Engine, Event, Options, Target};
use keywire::conn::{ListenOptions, Listener};
use keywire::key::{KeyPair, PublicKey};
use keywire::pair::{Pairs, Standing};
use keywire::proto::chat::{CHAT, MessageId};
use keywire::ratchet::Head;
use keywire::store::Store;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

const DAY: u64 = 86_400;
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody in this process.
struct Node {
    dir: Dir,
    me: Arc<KeyPair>,
    /// Seconds that the clock is ahead.
    ahead: Arc<AtomicU64>,
}

/// A node that runs.
struct Running {
    engine: Engine,
    at: keywire::addr::HostPort,
    stop: tokio::sync::oneshot::Sender<()>,
    served: tokio::task::JoinHandle<keywire::error::Result<()>>,
}

impl Node {
    fn new() -> Self {
        Node { dir: Dir::new(), me: Arc::new(KeyPair::generate().unwrap()), ahead: Arc::default() }
    }

    fn key(&self) -> PublicKey {
        self.me.public()
    }

    fn chat(&self) -> Chat {
        let ahead = self.ahead.clone();
        let clock = move || SystemTime::now() + Duration::from_secs(ahead.load(Ordering::Relaxed));
        Chat::open(Store::at(self.dir.path()), self.me.clone(), Arc::new(clock)).unwrap()
    }

    fn pass(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    /// An engine that serves nobody.
    fn calling(&self) -> Engine {
        Engine::new(self.chat(), Options::default())
    }

    async fn run(&self) -> Running {
        let engine = self.calling();
        let at = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(self.me.clone(), &at, CHAT, ListenOptions::default()).await.unwrap();
        let at = listener.address().unwrap().at;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let serving = engine.clone();
        let served = tokio::spawn(async move {
            serving
                .serve(listener, async {
                    let _ = stopped.await;
                })
                .await
        });
        Running { engine, at, stop, served }
    }

    fn standing(&self, other: &Node) -> Standing {
        self.chat().pairs().unwrap().standing(&other.key())
    }

    fn invite(&self, other: &Node, renew: bool) {
        let chat = self.chat();
        Pairs::update(chat.store(), |pairs| pairs.invite(chat.ourselves(), other.key(), renew, chat.now())).unwrap();
    }

    fn accept(&self, other: &Node) {
        let chat = self.chat();
        let accepted = Pairs::update(chat.store(), |pairs| {
            let ratchet = pairs.accept(chat.ourselves(), &other.key(), chat.now())?;
            chat.with(other.key()).begin(ratchet)
        });
        accepted.unwrap();
    }

    fn texts(&self, other: &Node) -> Vec<String> {
        self.chat().with(other.key()).last(1000).unwrap().into_iter().map(|entry| entry.text).collect()
    }
}

impl Running {
    fn target(&self) -> Target {
        Target { key: self.engine.chat().me().public(), addresses: vec![self.at.clone()], only: false }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }
}

fn draft(engine: &Engine, text: &str) -> Draft {
    let since = engine.chat().now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let time = u64::try_from(since.as_millis()).unwrap();
    let head = Head { id: MessageId::random().unwrap(), ack: true, time, ttl: None, reply_to: None };
    Draft { head, text: text.to_owned() }
}

async fn send(from: &Engine, to: &Target, text: &str) -> Delivery {
    let sent = from.send(to, vec![draft(from, text)], PATIENCE, true).await.unwrap();
    sent.into_iter().next().unwrap().1
}

async fn call(from: &Node, to: &Target, text: &str) -> Delivery {
    let engine = from.calling();
    let delivery = send(&engine, to, text).await;
    engine.end().await;
    delivery
}

fn is_saved(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Saved { .. })
}

async fn paired(a: &Node, b: &Node) -> Running {
    let running = b.run().await;
    a.invite(b, false);
    let visitor = a.calling();
    visitor.visit(&running.target(), PATIENCE).await.unwrap();
    visitor.end().await;
    b.accept(a);
    running.engine.changed(&a.key());
    assert!(is_saved(&call(a, &running.target(), "first").await));
    running
}

fn on_tokio(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

#[test]
fn an_invite_is_accepted_days_later_with_both_sides_restarted_in_between() {
    on_tokio(async {
        let (a, b) = (Node::new(), Node::new());
        let running = b.run().await;
        a.invite(&b, false);
        let visitor = a.calling();
        visitor.visit(&running.target(), PATIENCE).await.unwrap();
        visitor.end().await;
        running.stop().await;
        assert_eq!((a.standing(&b), b.standing(&a)), (Standing::Invited, Standing::Pending));
        for node in [&a, &b] {
            node.pass(12 * DAY);
        }
        b.accept(&a);
        let running = b.run().await;
        assert!(is_saved(&call(&a, &running.target(), "at last").await));
        assert_eq!(b.texts(&a), ["at last"]);
        assert_eq!(b.standing(&a), Standing::Accepted { confirmed: true });
        running.stop().await;
    });
}

#[test]
fn an_invite_that_nobody_answers_is_over_after_thirty_days() {
    on_tokio(async {
        let (a, b) = (Node::new(), Node::new());
        let running = b.run().await;
        a.invite(&b, false);
        let visitor = a.calling();
        visitor.visit(&running.target(), PATIENCE).await.unwrap();
        visitor.end().await;
        b.pass(31 * DAY);
        let chat = b.chat();
        let accepted =
            Pairs::update(chat.store(), |pairs| pairs.accept(chat.ourselves(), &a.key(), chat.now()).map(drop));
        assert!(accepted.is_err());
        running.stop().await;
    });
}

#[test]
fn a_reader_of_the_wire_or_the_disk_sees_new_epochs_as_time_goes_on_and_nothing_is_lost() {
    on_tokio(async {
        let (a, b) = (Node::new(), Node::new());
        let running = paired(&a, &b).await;
        let epoch = |node: &Node, other: &Node| {
            node.chat().with(other.key()).hello(&[0; 64], false).unwrap().unwrap().hello().ep
        };
        let first = epoch(&a, &b);
        for round in 0..5 {
            for node in [&a, &b] {
                node.pass(3600);
            }
            assert!(is_saved(&call(&a, &running.target(), &format!("round {round}")).await));
        }
        assert_eq!(epoch(&a, &b), epoch(&b, &a));
        assert!(epoch(&a, &b) >> 32 >= (first >> 32) + 4);
        assert_eq!(b.texts(&a).len(), 6);
        // Within one connection too: a hundred messages are enough.
        let before = epoch(&a, &b);
        let engine = a.calling();
        let drafts = (0..500).map(|number| draft(&engine, &number.to_string())).collect();
        let sent = engine.send(&running.target(), drafts, PATIENCE, true).await.unwrap();
        assert!(sent.iter().all(|(_, delivery)| is_saved(delivery)));
        engine.end().await;
        assert!(epoch(&a, &b) >> 32 > before >> 32);
        assert!(b.texts(&a)[6..].iter().map(|text| text.parse::<u32>().unwrap()).eq(0..500));
        running.stop().await;
    });
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Puts the state of a node back to what it was.
fn restore(node: &Node, backup: &Dir) {
    std::fs::remove_dir_all(node.dir.join("chat")).unwrap();
    copy(backup.path(), node.dir.path());
}

#[test]
fn a_restored_backup_of_either_side_is_noticed_said_and_mended() {
    on_tokio(async {
        for of_sender in [true, false] {
            for minutes in [0, 60] {
                let (a, b) = (Node::new(), Node::new());
                let mut running = paired(&a, &b).await;
                let backup = Dir::new();
                copy(if of_sender { a.dir.path() } else { b.dir.path() }, backup.path());
                for number in 0..10 {
                    for node in [&a, &b] {
                        node.pass(60 * minutes);
                    }
                    assert!(is_saved(&call(&a, &running.target(), &format!("lost {number}")).await));
                }
                if of_sender {
                    restore(&a, &backup);
                } else {
                    running.stop().await;
                    restore(&b, &backup);
                    running = b.run().await;
                }
                let mut events = running.engine.events();
                assert!(is_saved(&call(&a, &running.target(), "after it").await), "{of_sender} {minutes}");
                assert!(is_saved(&call(&a, &running.target(), "and more").await));
                let texts = b.texts(&a);
                assert_eq!(texts[texts.len() - 2..], ["after it", "and more"]);
                let mut notices = Vec::new();
                while let Ok(event) = events.try_recv() {
                    if let Event::Notice(text) = event {
                        notices.push(text);
                    }
                }
                let said = if of_sender { "uses older keys than before" } else { "older than it has seen them" };
                assert!(notices.iter().any(|text| text.contains(said)), "{of_sender} {minutes}: {notices:?}");
                running.stop().await;
            }
        }
    });
}

#[test]
fn one_state_on_two_machines_is_noticed_and_loses_no_message() {
    on_tokio(async {
        let (a, b) = (Node::new(), Node::new());
        let running = paired(&a, &b).await;
        let twin = Node { dir: Dir::new(), me: a.me.clone(), ahead: Arc::default() };
        copy(a.dir.path(), twin.dir.path());
        let mut events = running.engine.events();
        for round in 0..3 {
            assert!(is_saved(&call(&a, &running.target(), &format!("one {round}")).await));
            assert!(is_saved(&call(&twin, &running.target(), &format!("two {round}")).await));
        }
        assert_eq!(b.texts(&a), ["first", "one 0", "two 0", "one 1", "two 1", "one 2", "two 2"]);
        let mut noticed = false;
        while let Ok(event) = events.try_recv() {
            noticed |= matches!(event, Event::Notice(text) if text.contains("two machines"));
        }
        assert!(noticed);
        running.stop().await;
    });
}

#[test]
fn both_sides_call_at_once_and_every_message_arrives_once_and_in_order() {
    on_tokio(async {
        let (a, b) = (Node::new(), Node::new());
        let there = paired(&a, &b).await;
        let here = a.run().await;
        for _ in 0..5 {
            for node in [&a, &b] {
                node.pass(3600);
            }
            let (to, from) = (there.target(), here.target());
            let drafts = |engine: &Engine| (0..50).map(|number| draft(engine, &number.to_string())).collect::<Vec<_>>();
            let sent = tokio::join!(
                here.engine.send(&to, drafts(&here.engine), PATIENCE, true),
                there.engine.send(&from, drafts(&there.engine), PATIENCE, true)
            );
            for (_, delivery) in sent.0.unwrap().into_iter().chain(sent.1.unwrap()) {
                assert!(is_saved(&delivery), "{delivery:?}");
            }
        }
        let from = |node: &Node, other: &Node, side| {
            let entries = node.chat().with(other.key()).last(1000).unwrap();
            entries.into_iter().filter(|entry| entry.side == side).map(|entry| entry.text).collect::<Vec<_>>()
        };
        use keywire::chat::Side;
        assert_eq!(from(&b, &a, Side::In), from(&a, &b, Side::Out));
        assert_eq!(from(&a, &b, Side::In), from(&b, &a, Side::Out));
        assert_eq!(from(&b, &a, Side::In).len(), 251);
        here.stop().await;
        there.stop().await;
    });
}

#[test]
fn a_flood_of_invites_from_fresh_keys_leaves_little_behind_and_pairs_go_on() {
    on_tokio(async {
        let (a, b) = (Node::new(), Node::new());
        let running = paired(&a, &b).await;
        for _ in 0..200 {
            let stranger = Node::new();
            stranger.invite(&b, false);
            let engine = stranger.calling();
            // Whether it is served or turned away is the host's affair.
            let _ = engine.visit(&running.target(), PATIENCE).await;
            engine.end().await;
        }
        let pairs = b.chat().pairs().unwrap();
        let pending = pairs.list().iter().filter(|pair| pair.standing() == Standing::Pending).count();
        assert!((1..=64).contains(&pending), "{pending}");
        assert!(std::fs::metadata(b.dir.join("pairs.json")).unwrap().len() < 128 << 10);
        assert!(is_saved(&call(&a, &running.target(), "still here").await));
        running.stop().await;
    });
}
