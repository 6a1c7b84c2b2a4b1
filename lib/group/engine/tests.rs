//! Houses over real sockets, in one process.

use super::group::Link;
use super::tend::Want;
use super::{Delivery, House, Joined, Options, Status, Terms, Text, millis};
use crate::conn::{ListenOptions, Listener};
use crate::group::home::Facts;
use crate::group::keys::EpochKey;
use crate::group::replica::Words;
use crate::key::KeyPair;
use crate::proto::group::{Class, EntryId, GROUP, Genesis, GroupId, History, KeyId, Kind, Message, Mode};
use crate::store::Store;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

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

/// Where the words for a connection go that is none.
fn words() -> (mpsc::UnboundedSender<Message>, mpsc::UnboundedReceiver<Message>) {
    mpsc::unbounded_channel()
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

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_is_passed_on_by_whom_the_joiner_asks_once_and_by_nobody_else() {
    let owner = Member::new();
    let id = owner.house.create("ops".to_owned(), Mode::Private, History::All).await.unwrap();
    let (link, _) = owner.house.invite(id, terms()).await.unwrap();
    let admin = Member::new();
    // As one sees it who has only the link: the owner is all that it knows.
    let group = admin.house.keep_link(&link, None).unwrap();
    let (words, mut heard) = words();
    let link = Link { peer: owner.house.me().public(), is_met: true, is_behind: false, is_level: false, words };
    group.links().sessions.insert(1, link);
    let joiner = KeyPair::generate().unwrap().public();
    let capability = KeyPair::generate().unwrap();
    let signature = crate::proto::group::link::wish(&capability, &id, &joiner).unwrap();
    let ask = |from| admin.house.ask(&group, capability.public(), signature, joiner, from);
    ask(Some(KeyPair::generate().unwrap().public())).await.unwrap();
    assert!(heard.try_recv().is_err(), "heard of from a member");
    ask(None).await.unwrap();
    ask(None).await.unwrap();
    assert!(heard.try_recv().is_ok());
    assert!(heard.try_recv().is_err(), "said twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_reads_all_though_there_were_more_keys_than_one_act_holds() {
    let (mut owner, newcomer) = (Member::new(), Member::new());
    owner.serve().await;
    let id = owner.house.create("ops".to_owned(), Mode::Private, History::All).await.unwrap();
    owner.house.say(id, "under the first key".to_owned(), None).await.unwrap();
    let group = owner.house.loaded(&id).unwrap();
    for _ in 0..450 {
        group.state().do_it(&owner.house, Want::Rotate).unwrap();
    }
    let (link, _) = owner.house.invite(id, terms()).await.unwrap();
    newcomer.house.join(link, None, PATIENCE).await.unwrap();
    newcomer.until(id, &["under the first key"]).await;
    owner.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_whose_clocks_are_far_ahead_are_no_reason_for_a_new_key() {
    let owner = Member::new();
    let id = owner.house.create("ops".to_owned(), Mode::Private, History::All).await.unwrap();
    let group = owner.house.loaded(&id).unwrap();
    let mut state = group.state();
    let (keys, log) = (state.present_keys().unwrap(), state.own_log(Class::Content).unwrap());
    let now = millis(SystemTime::now());
    for at in [now, now + 1, u64::MAX >> 2] {
        let words = Words { kind: Kind::Message, text: b"x", reply_to: EntryId::default() };
        state.replica.write(owner.house.me(), log, &words, &keys, at).unwrap();
    }
    assert_eq!(state.entries_between(0, now + 1000).unwrap(), 2);
    assert_eq!(state.entries_between(now, now + 1000).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_maker_died_before_its_first_act_begins_when_it_is_opened() {
    let owner = Member::new();
    let key = EpochKey::random().unwrap();
    let me = owner.house.me().public();
    let (mode, history) = (Mode::Private, History::All);
    let genesis = Genesis { owner: me, created: 1, mode, history, key: KeyId::default(), salt: [7; 16] };
    let facts = Facts::new("ops", genesis, Status::Active);
    owner.house.0.home.create(facts, std::slice::from_ref(&key)).unwrap();
    let house = House::open(Store::at(&owner.dir), owner.house.me().clone(), Options::default()).unwrap();
    let id = house.groups().await.unwrap()[0].id;
    house.say(id, "it lives".to_owned(), None).await.unwrap();
    assert_eq!(house.info(id).await.unwrap().title, "ops");
}
