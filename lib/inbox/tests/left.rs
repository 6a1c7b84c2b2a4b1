//! What a fetch leaves at a drop box.

use super::super::door::{Door, Place};
use super::super::dropbox::DropBox;
use super::super::seal::sealed;
use super::{NotOpened, Side};
use crate::conn::{ListenOptions, Listener};
use crate::proto::inbox::INBOX;
use crate::store::Store;
use crate::trust::{Allowlist, Right};
use std::cell::RefCell;
use std::future::pending;
use std::sync::Arc;
use std::time::SystemTime;

#[tokio::test]
async fn of_what_a_newer_keywire_may_understand_a_few_are_left_so_that_there_is_room_for_others() {
    let (ada, bob, machine) = (Side::new(1), Side::new(2), Side::new(3));
    let (store, now) = (Store::at(machine.dir.path()), SystemTime::now());
    Allowlist::update(&store, |list| {
        list.rule_mut(ada.me.public()).rights.insert(Right::Drop);
        Ok(())
    })
    .unwrap();
    let (drop_box, allowed) = (DropBox::open(&store, now).unwrap(), Allowlist::load(&store).unwrap());
    let card = ada.card(3);
    let unknown = card.keys().iter().flat_map(|key| [*key, *key]);
    let unknown = unknown.map(|key| sealed(&bob.me, &card, key, b"of a kind that is not known").unwrap());
    for message in unknown.chain([bob.says(&card, "hello")]) {
        drop_box.hold(&card.ticket(), &message, &allowed, now).unwrap().unwrap();
    }
    let at = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(machine.me.clone(), &at, INBOX, ListenOptions::default()).await.unwrap();
    let at = listener.address().unwrap();
    let door = Door::new(Place::DropBox(Arc::new(drop_box), store), |_| {});
    let serving = tokio::spawn(async move { door.serve(listener, pending()).await });
    let told = RefCell::new(Vec::new());
    let tell = |outcome| {
        told.borrow_mut().push(outcome);
        Ok(())
    };
    let fetched = ada.inbox.fetch(&ada.me, &at, tell, std::future::pending()).await.unwrap();
    assert_eq!((fetched.taken, fetched.left), (3, 4));
    let told = told.into_inner();
    assert_eq!(told.iter().filter(|one| matches!(one, Err(NotOpened::Unread(..)))).count(), 6);
    assert_eq!(told.iter().filter_map(|one| one.as_ref().ok()?.text()).collect::<Vec<_>>(), ["hello"]);
    serving.abort();
}
