mod left;
mod once;
mod pairing;
mod refused;
mod stolen;
mod vector;

use super::{Greeting, Inbox, NotOpened, Opened, Wish, prologue as prologue_of};
use crate::chat::Chat;
use crate::key::{KeyPair, SecretKey};
use crate::pair::Standing;
use crate::proto::inbox::{Address, Card, SealedMessage};
use crate::scratch::Scratch;
use crate::store::Store;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

const DAY: u64 = 86_400;

/// Somebody with a state directory and a clock.
pub(super) struct Side {
    dir: Scratch,
    pub(super) me: Arc<KeyPair>,
    clock: Arc<AtomicU64>,
    pub(super) inbox: Inbox,
}

impl Side {
    pub(super) fn new(seed: u8) -> Self {
        let (dir, clock) = (Scratch::new("inbox"), Arc::new(AtomicU64::new(1_800_000_000)));
        let me = Arc::new(KeyPair::from_secret(SecretKey::from_bytes(&[seed; 32])));
        let inbox = open(dir.path(), &clock);
        Side { dir, me, clock, inbox }
    }

    fn passes(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    fn chat(&self) -> Chat {
        let clock = self.clock.clone();
        Chat::open(Store::at(self.dir.path()), self.me.clone(), Arc::new(move || now(&clock))).unwrap()
    }

    fn standing(&self, other: &Side) -> Standing {
        self.chat().pairs().unwrap().standing(&other.me.public())
    }

    fn card(&self, uses: usize) -> Card {
        self.inbox.make_card(&self.me, wish(uses)).unwrap()
    }

    fn says(&self, card: &Card, text: &str) -> SealedMessage {
        let greeting = Greeting { text: Some(text.to_owned()), pair: false, answer_at: Vec::new() };
        self.inbox.seal(&self.me, card, &greeting).unwrap().message
    }

    fn opens(&self, message: &SealedMessage) -> Result<Opened, NotOpened> {
        self.inbox.unseal(&self.me, message).unwrap()
    }

    fn state(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("inbox").join(name)
    }

    fn states(&self) -> Vec<String> {
        let cards = self.inbox.cards().unwrap();
        cards.iter().flat_map(|card| &card.keys).map(|row| row.state.to_string()).collect()
    }

    /// The files of secrets that there are.
    fn secrets(&self) -> usize {
        std::fs::read_dir(self.state("keys")).map_or(0, Iterator::count)
    }

    fn texts(&self) -> Vec<String> {
        let messages = self.inbox.messages(&self.me, usize::MAX).unwrap();
        messages.iter().filter_map(|opened| opened.text().map(str::to_owned)).collect()
    }
}

fn now(clock: &AtomicU64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed))
}

fn open(dir: &Path, clock: &Arc<AtomicU64>) -> Inbox {
    let clock = clock.clone();
    Inbox::open(Store::at(dir), Arc::new(move || now(&clock))).unwrap()
}

fn wish(uses: usize) -> Wish {
    Wish { label: "for bob".to_owned(), life: Duration::from_secs(30 * DAY), uses, addresses: Vec::new() }
}

fn at(text: &str) -> Vec<Address> {
    vec![text.parse().unwrap()]
}

#[test]
fn a_message_to_a_card_is_opened_by_its_recipient_who_knows_for_certain_whose_it_is() {
    let (ada, bob, eve) = (Side::new(1), Side::new(2), Side::new(3));
    let card = ada.card(1);
    let message = bob.says(&card, "hello");
    assert!(!String::from_utf8_lossy(message.bytes()).contains("hello"));
    assert!(!message.bytes().windows(32).any(|bytes| bytes == bob.me.public().as_bytes()));
    let carried = SealedMessage::from_armour(&message.armour()).unwrap();
    assert_eq!(eve.opens(&carried).unwrap_err(), NotOpened::Unknown(message.rki()));
    let opened = ada.opens(&carried).unwrap();
    assert_eq!((opened.from, opened.text(), opened.label.as_str()), (bob.me.public(), Some("hello"), "for bob"));
    assert_eq!((ada.texts(), ada.states()), (vec!["hello".to_owned()], vec!["used".to_owned()]));
    let row = ada.inbox.cards().unwrap()[0].keys[0].clone();
    assert_eq!((row.by, row.message), (Some(bob.me.public()), Some(message.id())));
}

#[test]
fn messages_to_a_card_of_many_keys_take_a_key_each_and_the_first_again_only_after_the_last() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(5);
    let greeting = |text: String| Greeting { text: Some(text), pair: false, answer_at: Vec::new() };
    for number in 0..5 {
        let sealing = bob.inbox.seal(&bob.me, &card, &greeting(number.to_string())).unwrap();
        assert_eq!(sealing.before, None);
        bob.passes(1);
        ada.opens(&sealing.message).unwrap();
    }
    assert_eq!(ada.states(), ["used"; 5]);
    let again = bob.inbox.seal(&bob.me, &card, &greeting("6".to_owned())).unwrap();
    assert!(again.before.is_some());
    // However many in one second: each key gets as many as the others.
    let mut taken: Vec<_> = (0..19).map(|_| bob.says(&card, "more").rki()).chain([again.message.rki()]).collect();
    taken.sort();
    assert!(taken.chunks(4).all(|same| same.iter().all(|rki| *rki == same[0])), "{taken:?}");
    assert!(matches!(ada.opens(&again.message).unwrap_err(), NotOpened::Used(..)));
}

#[test]
fn at_most_fifty_keys_are_live_and_a_card_lives_thirty_days_at_most() {
    let ada = Side::new(1);
    ada.card(30);
    ada.card(20);
    let error = ada.inbox.make_card(&ada.me, wish(1)).unwrap_err();
    assert!(error.to_string().contains("50 one-time keys are live; with 1 more they would be over 50"), "{error}");
    assert_eq!(ada.secrets(), 50);
    let rki = ada.inbox.cards().unwrap()[0].keys[0].rki();
    assert_eq!(ada.inbox.revoke(rki).unwrap(), 1);
    assert!(ada.inbox.revoke(rki).unwrap_err().to_string().contains("not live: it is revoked"));
    assert_eq!(ada.secrets(), 49);
    ada.card(1);
    assert_eq!((ada.inbox.revoke_all().unwrap(), ada.secrets()), (50, 0));
    for life in [0, 30 * DAY + 1] {
        let wish = Wish { life: Duration::from_secs(life), ..wish(1) };
        assert!(ada.inbox.make_card(&ada.me, wish).is_err());
    }
    assert!(ada.inbox.make_card(&ada.me, Wish { label: "a\nb".to_owned(), ..wish(1) }).is_err());
    assert_eq!(ada.secrets(), 0);
}

#[test]
fn cards_that_are_over_are_forgotten_oldest_first_and_live_ones_never() {
    let ada = Side::new(1);
    let first = ada.card(1);
    for _ in 0..250 {
        ada.card(1);
        let last = ada.inbox.cards().unwrap().last().unwrap().keys[0].rki();
        ada.inbox.revoke(last).unwrap();
    }
    let cards = ada.inbox.cards().unwrap();
    assert_eq!(cards.len(), 200);
    assert_eq!(cards[0].card, first.to_string());
}
