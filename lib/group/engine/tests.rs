//! Houses over real sockets, in one process.

mod standing;

use super::{Deed, Delivery, House, Joined, Options, Status, Terms, Text};
use crate::addr::PeerAddr;
use crate::conn::{DialOptions, ListenOptions, Listener, Receiver, Sender, dial};
use crate::json;
use crate::key::KeyPair;
use crate::proto::group::link::{capability, wish};
use crate::proto::group::{GROUP, GroupId, History, Message, Mode, Request};
use crate::store::Store;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static NEXT: AtomicU32 = AtomicU32::new(0);

const PATIENCE: Duration = Duration::from_secs(20);

struct Member {
    house: House,
    dir: PathBuf,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<crate::error::Result<()>>>,
}

impl Member {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("keywire-house-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let house = House::open(Store::at(&dir), Arc::new(KeyPair::generate().unwrap()), Options::default()).unwrap();
        Member { house, dir, stop: None, served: None }
    }

    async fn serve(&mut self) {
        let at = "127.0.0.1:0".parse().unwrap();
        let options = ListenOptions::default();
        let listener = Listener::bind(self.house.me().clone(), &at, GROUP, options).await.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        self.stop = Some(stop);
        let house = self.house.clone();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        self.served = Some(tokio::spawn(async move {
            let mut stopped = stopped;
            let _ = ready.send(());
            house.serve(Some(listener), async { drop((&mut stopped).await) }).await
        }));
        is_ready.await.unwrap();
        while self.house.0.listening.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    async fn stop(&mut self) {
        drop(self.stop.take());
        self.served.take().unwrap().await.unwrap().unwrap();
        let me = self.house.me().clone();
        self.house = House::open(Store::at(&self.dir), me, Options::default()).unwrap();
    }

    /// A connection with `other`, by this one's key, on which a test says what it likes.
    async fn dial(&self, other: &Member, group: GroupId) -> (Sender, Receiver) {
        let at = other.house.0.listening.lock().unwrap()[0].clone();
        let address = PeerAddr { key: other.house.me().public(), at };
        let request = json::line(&Request { group }).unwrap();
        dial(self.house.me(), &address, GROUP, request.as_bytes(), DialOptions::default()).await.unwrap().split()
    }

    fn texts(&self, group: GroupId) -> Vec<String> {
        let said = self.house.last(group, 1000).unwrap();
        said.into_iter()
            .map(|message| match message.text {
                Text::Readable(text) => text,
                Text::Unreadable(why) => format!("({why})"),
            })
            .collect()
    }

    /// Waits until it knows where `count` members can be dialed.
    async fn knows_addresses(&self, group: GroupId, count: usize) {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let members = self.house.info(group).await.unwrap().members;
            if members.iter().filter(|member| !member.addresses.is_empty()).count() == count {
                break;
            }
            assert!(tokio::time::Instant::now() < end, "{members:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until(&self, group: GroupId, expected: &[&str]) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.texts(group) != expected {
            assert!(tokio::time::Instant::now() < end, "{:?} and not {expected:?}", self.texts(group));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn terms() -> Terms {
    Terms { expires: 3600, uses: 10, approve: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_talk_and_go_on_without_the_owner() {
    let (mut owner, mut second, mut third) = (Member::new(), Member::new(), Member::new());
    for member in [&mut owner, &mut second, &mut third] {
        member.serve().await;
    }
    let group = owner.house.create("ops".to_owned(), Mode::Private, History::All).await.unwrap();
    owner.house.say(group, "first".to_owned(), None).await.unwrap();
    let (link, _) = owner.house.invite(group, terms()).await.unwrap();
    for member in [&second, &third] {
        let (joined, how) = member.house.join(link.clone(), None, PATIENCE).await.unwrap();
        assert_eq!((joined, how), (group, Joined::Active));
        member.until(group, &["first"]).await;
    }
    let id = second.house.say(group, "second".to_owned(), None).await.unwrap();
    let delivered = second.house.delivered(group, id, PATIENCE).await.unwrap();
    assert!(matches!(delivered, Delivery::Held { .. }), "{delivered:?}");
    for member in [&owner, &second, &third] {
        member.until(group, &["first", "second"]).await;
    }
    for member in [&second, &third] {
        member.knows_addresses(group, 3).await;
    }
    owner.stop().await;
    third.house.say(group, "third".to_owned(), None).await.unwrap();
    second.until(group, &["first", "second", "third"]).await;
    assert_eq!(owner.texts(group), ["first", "second"]);
    owner.serve().await;
    owner.until(group, &["first", "second", "third"]).await;
    let info = owner.house.info(group).await.unwrap();
    assert_eq!((info.brief.status, info.members.len()), (Status::Active, 3));
    for member in [&mut owner, &mut second, &mut third] {
        member.stop().await;
    }
}

async fn say(sender: &mut Sender, message: Message) {
    for (kind, body) in message.records() {
        sender.send(kind, &[&body]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn for_who_wants_everything_again_and_again_and_reads_nothing_no_more_than_a_little_is_kept() {
    let (mut owner, second) = (Member::new(), Member::new());
    owner.serve().await;
    let group = owner.house.create("ops".to_owned(), Mode::Public, History::All).await.unwrap();
    let texts: Vec<String> = (0..24).map(|number| format!("{number}{}", "x".repeat(60_000))).collect();
    for text in &texts {
        owner.house.say(group, text.clone(), None).await.unwrap();
    }
    let (link, _) = owner.house.invite(group, terms()).await.unwrap();
    second.house.join(link, None, PATIENCE).await.unwrap();
    second.house.end().await;
    let (mut sender, mut receiver) = second.dial(&owner, group).await;
    say(&mut sender, Message::Hello { group, roster: [0; 32], content: [0; 32] }).await;
    say(&mut sender, Message::Have { is_all: true, tips: Vec::new() }).await;
    for _ in 0..300 {
        say(&mut sender, Message::Want).await;
        // So that they are not all heard together.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The answer to this stands behind all that was kept.
    sender.send(0x77, &[b"no such record"]).await.unwrap();
    let mut bytes = 0;
    let error = loop {
        match receiver.recv().await {
            Ok(record) => bytes += record.unwrap().body.len(),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("unknown type 0x77"), "{error}");
    assert!(bytes < 24 << 20, "{bytes} bytes were kept");
    owner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_for_an_admin_that_reads_nothing_do_not_pile_up() {
    let (mut owner, second) = (Member::new(), Member::new());
    owner.serve().await;
    let group = owner.house.create("ops".to_owned(), Mode::Public, History::All).await.unwrap();
    let (link, _) = owner.house.invite(group, terms()).await.unwrap();
    second.house.join(link, None, PATIENCE).await.unwrap();
    let at = second.house.group(&group).unwrap();
    let (words, mut heard) = tokio::sync::mpsc::channel(super::session::MOST_WORDS);
    let peer = owner.house.me().public();
    let id = second.house.next_id();
    at.links().sessions.insert(id, super::group::Link { peer, is_met: true, is_behind: false, is_level: true, words });
    for secret in 0..100 {
        let joiner = KeyPair::generate().unwrap().public();
        let capability = capability(&group, &[secret; 16]);
        let signature = wish(&capability, &group, &joiner).unwrap();
        second.house.ask(&at, capability.public(), signature, joiner, None).await.unwrap();
    }
    let mut count = 0;
    while heard.try_recv().is_ok() {
        count += 1;
    }
    assert!((1..=super::session::MOST_WORDS).contains(&count), "{count}");
    second.house.end().await;
    owner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_and_is_removed_keeps_nobody_from_ending() {
    let (mut owner, second) = (Member::new(), Member::new());
    owner.serve().await;
    let group = owner.house.create("ops".to_owned(), Mode::Public, History::All).await.unwrap();
    for _ in 0..60 {
        owner.house.say(group, "x".repeat(60_000), None).await.unwrap();
    }
    let (link, _) = owner.house.invite(group, terms()).await.unwrap();
    second.house.join(link, None, PATIENCE).await.unwrap();
    second.house.end().await;
    let (mut sender, _receiver) = second.dial(&owner, group).await;
    say(&mut sender, Message::Hello { group, roster: [0; 32], content: [0; 32] }).await;
    say(&mut sender, Message::Have { is_all: true, tips: Vec::new() }).await;
    for _ in 0..10 {
        say(&mut sender, Message::Want).await;
        // Each is worth as much again as lies between the two.
        tokio::time::sleep(Duration::from_millis(110)).await;
    }
    owner.house.act(group, Deed::Remove(second.house.me().public())).await.unwrap();
    tokio::time::timeout(PATIENCE, owner.stop()).await.unwrap();
}
