//! Who is let in, and what the owner and admins do by themselves.

use super::{Member, PATIENCE, terms};
use crate::group::engine::group::Link;
use crate::group::engine::tend::Want;
use crate::group::engine::{House, Options, Status};
use crate::group::home::Facts;
use crate::group::keys::EpochKey;
use crate::group::replica::Words;
use crate::key::KeyPair;
use crate::proto::group::{Class, EntryId, Genesis, History, KeyId, Kind, Mode};
use crate::store::Store;
use crate::trust::millis;
use std::time::SystemTime;
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_is_passed_on_by_whom_the_joiner_asks_once_and_by_nobody_else() {
    let owner = Member::new();
    let id = owner.house.create("ops".to_owned(), Mode::Private, History::All).await.unwrap();
    let (link, _) = owner.house.invite(id, terms()).await.unwrap();
    let admin = Member::new();
    // As one sees it who has only the link: the owner is all that it knows.
    let group = admin.house.keep_link(&link, None).unwrap();
    let (words, mut heard) = mpsc::channel(4);
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
