//! What is refused, each with its own words, and before any secret is looked at.

use super::super::seal::sealed;
use super::{DAY, Greeting, NotOpened, Side};
use crate::error::Error;
use crate::json::Bytes;
use crate::key::KeyPair;
use crate::pair::{Pairs, Standing};
use crate::proto::chat::{Invite, InviteId};
use crate::proto::inbox::{Card, Content, Frame, Rki, SealedMessage};
use crate::store::Store;
use crate::trust::Time;

#[test]
fn an_unknown_expired_revoked_or_used_key_is_refused_in_its_own_words_before_a_secret_is_looked_at() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let (used, revoked, expired) = (ada.card(1), ada.card(1), ada.card(1));
    let sealed = |card: &Card| (bob.says(card, "first"), bob.says(card, "second"));
    let ((first, second), (late, _), (later, _)) = (sealed(&used), sealed(&revoked), sealed(&expired));
    ada.opens(&first).unwrap();
    ada.inbox.revoke(late.rki()).unwrap();
    ada.passes(31 * DAY);
    let other = Side::new(3).card(1);
    let unknown = bob.inbox.seal(&bob.me, &other, &Greeting { text: Some("x".into()), pair: false, answer_at: vec![] });
    let unknown = unknown.unwrap().message;
    // Without any secret, and under a key that is nobody's here.
    let _ = std::fs::remove_dir_all(ada.state("keys"));
    let nobody = std::sync::Arc::new(KeyPair::generate().unwrap());
    for (message, words) in [
        (&unknown, "is none that is known here"),
        (&later, "has expired, on"),
        (&late, "was revoked, on"),
        (&second, "was used, on"),
        (&first, "was opened already, on"),
    ] {
        let refused = Error::from(ada.inbox.unseal(&nobody, message).unwrap().unwrap_err());
        assert!(refused.to_string().contains(words), "{refused}");
        assert_eq!(ada.inbox.check(message).unwrap_err().to_string(), refused.to_string());
    }
    assert_eq!(ada.texts(), ["first"]);
}

#[test]
fn a_bit_that_is_flipped_anywhere_in_a_message_is_refused_and_uses_nothing_up() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let message = bob.says(&ada.card(1), "hello");
    let mut reached = 0;
    for at in 0..message.bytes().len() {
        for bit in 0..8 {
            let mut bytes = message.bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let Ok(changed) = SealedMessage::decode(&bytes) else { continue };
            reached += 1;
            let refused = ada.opens(&changed).unwrap_err();
            assert!(matches!(refused, NotOpened::Damaged(_) | NotOpened::Unknown(_)), "{at}.{bit}: {refused:?}");
        }
    }
    assert!(reached > 2500, "{reached}");
    assert_eq!(ada.opens(&message).unwrap().text(), Some("hello"));
}

#[test]
fn a_message_is_bound_to_the_card_it_was_sealed_to() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(1);
    // The same keys on a card with another time: whoever changes a card needs its owner's signature, and that alone would do.
    let longer = Card::make(&ada.me, card.keys().to_vec(), Time::of(ada.inbox.now()), Vec::new()).unwrap();
    ada.clock.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    bob.clock.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(ada.opens(&bob.says(&longer, "hello")).unwrap_err(), NotOpened::Damaged(_)));
    ada.opens(&bob.says(&card, "hello")).unwrap();
}

#[test]
fn nothing_is_sealed_to_a_card_that_is_over_or_our_own_and_nothing_to_say_is_said() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(1);
    let says = |side: &Side, text: Option<String>| {
        let greeting = Greeting { text, pair: false, answer_at: Vec::new() };
        side.inbox.seal(&side.me, &card, &greeting).unwrap_err().to_string()
    };
    assert!(says(&ada, Some("x".into())).contains("our own card"));
    assert!(says(&bob, None).contains("nothing to say"));
    assert!(says(&bob, Some("x".repeat((60 << 10) + 1))).contains("the most is 60 KiB"));
    bob.passes(30 * DAY);
    assert!(says(&bob, Some("x".into())).contains("has expired, on"));
    assert!(!bob.state("sent.json").exists(), "no key was taken");
}

#[test]
fn the_message_of_a_blocked_key_is_not_kept_and_its_one_time_key_is_over() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let message = bob.says(&ada.card(1), "hello");
    let store = Store::at(ada.dir.path());
    Pairs::update(&store, |pairs| {
        pairs.block(bob.me.public(), ada.inbox.now());
        Ok(())
    })
    .unwrap();
    assert_eq!(ada.opens(&message).unwrap_err(), NotOpened::Blocked(bob.me.public()));
    assert_eq!((ada.texts().len(), ada.states(), ada.secrets()), (0, vec!["used".to_owned()], 0));
    // To whoever brings it again it is a key that is used, and nothing is said of having opened it.
    let again = ada.opens(&message).unwrap_err();
    assert!(matches!(again, NotOpened::Used(..)));
    // It is no other message.
    let told = Error::from(again).to_string();
    assert!(told.contains("was used, on") && !told.contains("another") && !told.contains("block"), "{told}");
}

#[test]
fn a_key_without_its_secret_is_said_and_keeps_no_other_message_from_being_opened() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let (lost, kept) = (bob.says(&ada.card(1), "lost"), bob.says(&ada.card(1), "kept"));
    let file = format!("{}.json", ada.inbox.cards().unwrap()[0].keys[0].key);
    let why = || match ada.opens(&lost).unwrap_err() {
        NotOpened::Lost(rki, why) if rki == lost.rki() => why,
        other => panic!("{other:?}"),
    };
    for damage in ["", "{}", "not JSON"] {
        std::fs::write(ada.state("keys").join(&file), damage).unwrap();
        let why = why();
        assert!(why.contains(&file) && !why.contains("is not there"), "{why}");
    }
    std::fs::remove_file(ada.state("keys").join(&file)).unwrap();
    let why = why();
    assert!(why.contains(&file) && why.contains("is not there"), "{why}");
    assert_eq!(ada.opens(&kept).unwrap().text(), Some("kept"));
}

#[test]
fn two_identities_with_one_state_open_what_is_theirs() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let eve = std::sync::Arc::new(KeyPair::generate().unwrap());
    let theirs = ada.inbox.make_card(&eve, super::wish(1)).unwrap();
    let (one, two) = (bob.says(&ada.card(1), "to ada"), bob.says(&theirs, "to eve"));
    assert_eq!(ada.opens(&two).unwrap_err(), NotOpened::Unknown(two.rki()));
    ada.opens(&one).unwrap();
    ada.inbox.unseal(&eve, &two).unwrap().unwrap();
    assert_eq!(ada.texts(), ["to ada"]);
    assert_eq!(ada.inbox.messages(&eve, 9).unwrap()[0].text(), Some("to eve"));
    assert!(ada.inbox.notices()[0].contains("another identity's"));
}

#[test]
fn keys_that_share_an_identifier_are_all_tried() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let (one, other) = (ada.card(1), ada.card(1));
    let message = bob.says(&other, "hello");
    // Four bytes meet by chance once in billions: the row of the first key is given the identifier of the second.
    let (from, to) = (Rki::of(&one.keys()[0]).to_string(), message.rki().to_string());
    let path = ada.state("keys.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches(&format!("\"key\": \"{from}")).count(), 1);
    std::fs::write(&path, text.replace(&format!("\"key\": \"{from}"), &format!("\"key\": \"{to}"))).unwrap();
    let hash = |card: &Card| crate::proto::inbox::KeyHash::of(&card.keys()[0]).to_string();
    let (was, is) = (hash(&one), hash(&one).replacen(&from, &to, 1));
    let storage = crate::seal::StorageKey::of(&ada.me);
    // Its secret is another one, sealed for the name that it has now.
    let key: crate::proto::inbox::KeyHash = is.parse().unwrap();
    let sealed = storage.seal(&[b"keywire one-time key", &key.0], &[9; 32]).unwrap();
    let file = std::fs::read_to_string(ada.state("keys").join(format!("{was}.json"))).unwrap();
    let (head, _) = file.split_once("\"secret\": \"").unwrap();
    let sealed = crate::json::line(&sealed).unwrap();
    std::fs::rename(ada.state("keys").join(format!("{was}.json")), ada.state("keys").join(format!("{is}.json")))
        .unwrap();
    std::fs::write(ada.state("keys").join(format!("{is}.json")), format!("{head}\"secret\": {sealed}\n}}\n")).unwrap();
    assert_eq!(ada.opens(&message).unwrap().text(), Some("hello"));
    assert_eq!(ada.states(), ["live", "used"]);
}

#[test]
fn what_is_not_understood_or_makes_no_sense_uses_nothing_up_and_reaches_nobody() {
    let (ada, bob, eve) = (Side::new(1), Side::new(2), Side::new(3));
    let card = ada.card(1);
    let says = |side: &Side, payload: &[u8]| {
        let message = sealed(&side.me, &card, card.keys()[0], payload).unwrap();
        (ada.opens(&message).unwrap_err(), message.rki())
    };
    let frame = |card: Option<Card>| {
        let invite = Invite { id: InviteId([7; 16]), expires: 1_900_000_000, noise: Bytes(vec![1; 100]) };
        Frame { time: 1, card, content: Content::Invite { invite, text: None } }.encode().unwrap()
    };
    // A field of a kind that is not known yet; half of a frame; none at all.
    for payload in [&[&[0x6a, 1, 0][..], &frame(None)].concat()[..], &frame(None)[..80], b""] {
        let (told, rki) = says(&bob, payload);
        assert!(matches!(&told, NotOpened::Unread(of, from, _) if (*of, *from) == (rki, bob.me.public())), "{told:?}");
        assert!(!told.is_final());
        assert!(crate::error::Error::from(told).hints()[0].contains(&format!("'kw-inbox revoke {rki}'")));
    }
    // An answer would go where the sender does not get it.
    let (told, _) = says(&bob, &frame(Some(eve.card(1))));
    assert_eq!(told, NotOpened::Nonsense(bob.me.public(), "the card in it is somebody else's".to_owned()));
    assert!(told.is_final());
    let (told, _) = says(&ada, &frame(None));
    assert_eq!(told, NotOpened::Nonsense(ada.me.public(), "it says that it is from ourselves".to_owned()));
    assert_eq!((ada.texts().len(), ada.states(), ada.secrets()), (0, vec!["live".to_owned()], 1));
    assert!([&bob, &eve].iter().all(|other| ada.standing(other) == Standing::Stranger));
    assert_eq!(ada.opens(&bob.says(&card, "hello")).unwrap().text(), Some("hello"));
}
