//! Pair-invites that come sealed, and their answers.

use super::{Greeting, Side, at};
use crate::inbox::{Handed, MAX_LIVE, NotOpened};
use crate::pair::{Pairs, Standing};
use crate::proto::inbox::{Card, Content};

fn asks(side: &Side, card: &Card, text: Option<&str>, answer: &str) -> crate::proto::inbox::SealedMessage {
    let answer_at = if answer.is_empty() { Vec::new() } else { at(answer) };
    let greeting = Greeting { text: text.map(str::to_owned), pair: true, answer_at };
    side.inbox.seal(&side.me, card, &greeting).unwrap().message
}

/// `side` has lost what there was with `other`.
fn removes(side: &Side, other: &Side) {
    let chat = side.chat();
    Pairs::update(chat.store(), |pairs| pairs.remove(&other.me.public(), chat.now())).unwrap();
}

/// `side` cannot ask whose `card` it is for a pair: nothing of it is in the pairs, the cards, or what was sealed.
fn refuses(side: &Side, card: &Card, words: &str) {
    let state = || {
        let sent = std::fs::read_to_string(side.state("sent.json")).ok();
        (side.chat().pairs().unwrap(), side.inbox.cards().unwrap(), sent)
    };
    let before = state();
    let greeting = Greeting { text: None, pair: true, answer_at: at("127.0.0.1:1") };
    let error = side.inbox.seal(&side.me, card, &greeting).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    assert!(before == state(), "{words}: something is left behind");
}

/// All answers of `side` arrive at `other`.
fn answers(side: &Side, other: &Side) {
    for due in side.inbox.due(&side.me, Some(other.me.public())).unwrap() {
        other.opens(&due.message).unwrap();
        side.inbox.settle(&due).unwrap();
    }
}

fn accepts(side: &Side, other: &Side) {
    let chat = side.chat();
    let (key, now) = (other.me.public(), chat.now());
    Pairs::update(chat.store(), |pairs| {
        let ratchet = pairs.accept(chat.ourselves(), &key, now)?;
        chat.with(key).begin(ratchet)
    })
    .unwrap();
}

#[test]
fn two_who_are_never_there_at_the_same_time_are_paired() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let message = asks(&bob, &ada.card(1), Some("it is bob"), "127.0.0.1:1");
    assert_eq!(bob.standing(&ada), Standing::Invited);
    let opened = ada.opens(&message).unwrap();
    assert_eq!(opened.handed, Handed::Asks(Standing::Pending));
    assert_eq!(opened.text(), Some("it is bob"));
    assert!(ada.inbox.due(&ada.me, None).unwrap().is_empty(), "nobody has agreed to anything");
    accepts(&ada, &bob);
    let due = ada.inbox.due(&ada.me, Some(bob.me.public())).unwrap().remove(0);
    assert_eq!((due.peer, due.card.addresses()), (bob.me.public(), &at("127.0.0.1:1")[..]));
    // However often it is asked for, it is the same.
    assert_eq!(ada.inbox.due(&ada.me, None).unwrap()[0].message, due.message);
    assert!(ada.inbox.due(&ada.me, Some(ada.me.public())).unwrap().is_empty());
    let answered = bob.opens(&due.message).unwrap();
    assert_eq!(answered.handed, Handed::Standing(Standing::Accepted { confirmed: true }));
    assert!(matches!(answered.frame.content, Content::Ack(_)));
    assert_eq!(bob.standing(&ada), Standing::Accepted { confirmed: true });
    ada.inbox.settle(&due).unwrap();
    assert!(ada.inbox.due(&ada.me, None).unwrap().is_empty());
}

#[test]
fn an_invite_that_is_sealed_again_is_the_same_with_the_same_card_for_the_answer() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(2);
    let (first, second) = (asks(&bob, &card, None, "127.0.0.1:1"), asks(&bob, &card, None, "127.0.0.1:1"));
    assert_eq!(bob.inbox.cards().unwrap().len(), 1);
    let (first, second) = (ada.opens(&first).unwrap(), ada.opens(&second).unwrap());
    assert_eq!((&first.frame.content, &first.frame.card), (&second.frame.content, &second.frame.card));
    assert_eq!(ada.chat().pairs().unwrap().list().len(), 1);
    let other = asks(&bob, &ada.card(1), None, "127.0.0.1:2");
    assert_eq!(bob.inbox.cards().unwrap().len(), 2, "a card with another address is another card");
    ada.opens(&other).unwrap();
    accepts(&ada, &bob);
    assert_eq!(ada.inbox.due(&ada.me, None).unwrap()[0].card.addresses(), at("127.0.0.1:2"));
}

#[test]
fn an_invite_without_an_address_for_the_answer_is_answered_by_dialing_alone() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let opened = ada.opens(&asks(&bob, &ada.card(1), None, "")).unwrap();
    assert_eq!((opened.frame.card, bob.inbox.cards().unwrap().len()), (None, 0));
    accepts(&ada, &bob);
    assert!(ada.inbox.due(&ada.me, None).unwrap().is_empty());
}

#[test]
fn an_answer_is_not_sent_when_the_user_has_changed_his_mind_or_it_is_too_late() {
    for is_late in [false, true] {
        let (ada, bob) = (Side::new(1), Side::new(2));
        ada.opens(&asks(&bob, &ada.card(1), None, "127.0.0.1:1")).unwrap();
        accepts(&ada, &bob);
        assert_eq!(ada.inbox.due(&ada.me, None).unwrap().len(), 1);
        match is_late {
            true => ada.passes(31 * super::DAY),
            false => removes(&ada, &bob),
        }
        assert!(ada.inbox.due(&ada.me, None).unwrap().is_empty());
        assert!(!std::fs::read_to_string(ada.state("answers.json")).unwrap().contains("kw1"));
    }
}

#[test]
fn the_invite_of_a_declined_key_waits_for_nobody_and_its_text_is_still_read() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(2);
    ada.opens(&asks(&bob, &card, None, "127.0.0.1:1")).unwrap();
    let chat = ada.chat();
    Pairs::update(chat.store(), |pairs| pairs.decline(&bob.me.public(), chat.now())).unwrap();
    let again = ada.opens(&asks(&bob, &card, Some("please"), "127.0.0.1:1")).unwrap();
    assert_eq!(again.handed, Handed::Standing(Standing::Declined));
    assert_eq!(again.text(), Some("please"));
    assert_eq!(ada.standing(&bob), Standing::Declined);
}

#[test]
fn two_who_ask_each_other_by_sealed_messages_are_paired() {
    let (one, other) = (Side::new(1), Side::new(2));
    let (to_other, to_one) = (other.card(1), one.card(1));
    let (first, second) = (asks(&one, &to_other, None, "127.0.0.1:1"), asks(&other, &to_one, None, "127.0.0.1:2"));
    one.opens(&second).unwrap();
    other.opens(&first).unwrap();
    // One of the two invites counts, and it is its receiver who answers it.
    let answers: Vec<_> =
        [&one, &other].map(|side| side.inbox.due(&side.me, None).unwrap()).into_iter().flatten().collect();
    assert_eq!(answers.len(), 1);
    let inviter = if answers[0].peer == one.me.public() { &one } else { &other };
    inviter.opens(&answers[0].message).unwrap();
    for (side, peer) in [(&one, &other), (&other, &one)] {
        assert!(matches!(side.standing(peer), Standing::Accepted { .. }));
    }
}

#[test]
fn an_invite_that_cannot_be_sealed_leaves_nothing_behind() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(1);
    let long = Greeting { text: Some("x".repeat((48 << 10) + 1)), pair: true, answer_at: at("127.0.0.1:1") };
    let error = bob.inbox.seal(&bob.me, &card, &long).unwrap_err();
    assert!(error.to_string().contains("the most beside an invite is 48 KiB"), "{error}");
    assert_eq!(bob.standing(&ada), Standing::Stranger);
    assert!(bob.inbox.cards().unwrap().is_empty() && !bob.state("sent.json").exists());
    // The longest, with as many addresses as there may be, still goes.
    let addresses: Vec<_> = (0..8).map(|number| format!("{}{number}:1", "h".repeat(250)).parse().unwrap()).collect();
    let most = Greeting { text: Some("x".repeat(48 << 10)), pair: true, answer_at: addresses };
    let sealing = bob.inbox.seal(&bob.me, &card, &most).unwrap();
    assert_eq!(ada.opens(&sealing.message).unwrap().text().map(str::len), Some(48 << 10));
}

#[test]
fn a_card_for_the_answer_that_is_soon_over_is_not_sent_again() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    asks(&bob, &ada.card(1), None, "127.0.0.1:1");
    bob.passes(16 * super::DAY);
    ada.passes(16 * super::DAY);
    asks(&bob, &ada.card(1), None, "127.0.0.1:1");
    assert_eq!(bob.inbox.cards().unwrap().len(), 2);
}

#[test]
fn an_invite_of_a_key_that_is_paired_waits_for_the_user_and_its_card_is_kept() {
    for confirmed in [true, false] {
        let (ada, bob) = (Side::new(1), Side::new(2));
        let (inviting, invited) = if confirmed { (&bob, &ada) } else { (&ada, &bob) };
        invited.opens(&asks(inviting, &invited.card(1), None, "127.0.0.1:1")).unwrap();
        accepts(invited, inviting);
        answers(invited, inviting);
        assert_eq!(bob.standing(&ada), Standing::Accepted { confirmed });
        removes(&ada, &bob);
        let message = asks(&ada, &bob.card(1), None, "127.0.0.1:3");
        assert_eq!(bob.opens(&message).unwrap().handed, Handed::Asks(Standing::Accepted { confirmed }));
        accepts(&bob, &ada);
        let due = bob.inbox.due(&bob.me, None).unwrap();
        assert_eq!(due.len(), 1, "the pair was confirmed: {confirmed}");
        let answered = ada.opens(&due[0].message).unwrap();
        assert_eq!(answered.handed, Handed::Standing(Standing::Accepted { confirmed: true }));
    }
}

#[test]
fn an_invite_that_was_answered_before_does_not_take_the_place_of_the_one_that_waits() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = bob.card(3);
    let first: Vec<_> = (0..2).map(|_| asks(&ada, &card, None, "127.0.0.1:1")).collect();
    bob.opens(&first[0]).unwrap();
    accepts(&bob, &ada);
    removes(&ada, &bob);
    bob.opens(&asks(&ada, &card, None, "127.0.0.1:2")).unwrap();
    // The first invite once more, with a card for an answer that nobody waits for.
    let again = bob.opens(&first[1]).unwrap();
    assert_eq!(again.handed, Handed::Asks(Standing::Accepted { confirmed: false }));
    accepts(&bob, &ada);
    answers(&bob, &ada);
    assert_eq!(ada.standing(&bob), Standing::Accepted { confirmed: true });
}

#[test]
fn whoever_was_invited_accepts_and_does_not_invite() {
    for declined in [false, true] {
        let (ada, bob) = (Side::new(1), Side::new(2));
        let card = ada.card(1);
        bob.opens(&asks(&ada, &bob.card(1), None, "127.0.0.1:1")).unwrap();
        if declined {
            let chat = bob.chat();
            Pairs::update(chat.store(), |pairs| pairs.decline(&ada.me.public(), chat.now())).unwrap();
            bob.inbox.due(&bob.me, None).unwrap();
        }
        refuses(&bob, &card, "has invited you");
        // The way that it names is there, with the card that came along.
        accepts(&bob, &ada);
        answers(&bob, &ada);
        assert_eq!(ada.standing(&bob), Standing::Accepted { confirmed: true });
    }
}

#[test]
fn an_invite_that_has_expired_does_not_keep_the_user_from_inviting() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    bob.opens(&asks(&ada, &bob.card(1), None, "127.0.0.1:1")).unwrap();
    for side in [&ada, &bob] {
        side.passes(31 * super::DAY);
    }
    ada.opens(&asks(&bob, &ada.card(1), None, "127.0.0.1:1")).unwrap();
    assert_eq!(ada.standing(&bob), Standing::Pending);
}

#[test]
fn a_pair_that_cannot_be_asked_for_leaves_nothing_behind() {
    let (ada, bob) = (Side::new(1), Side::new(2));
    let card = ada.card(2);
    let (key, chat) = (ada.me.public(), bob.chat());
    Pairs::update(chat.store(), |pairs| {
        pairs.block(key, chat.now());
        Ok(())
    })
    .unwrap();
    refuses(&bob, &card, "is blocked");
    removes(&bob, &ada);
    bob.card(MAX_LIVE);
    refuses(&bob, &card, "50 one-time keys are live");
    bob.inbox.revoke_all().unwrap();
    ada.opens(&asks(&bob, &card, None, "127.0.0.1:1")).unwrap();
    accepts(&ada, &bob);
    answers(&ada, &bob);
    refuses(&bob, &card, "is paired with you already");
}

#[test]
fn the_answer_to_an_invite_that_is_gone_does_not_take_the_place_of_the_one_that_counts() {
    for answer_at in ["127.0.0.1:1", "127.0.0.1:2"] {
        let (ada, bob) = (Side::new(1), Side::new(2));
        let card = bob.card(2);
        ada.card(1);
        bob.opens(&asks(&ada, &card, None, "127.0.0.1:1")).unwrap();
        accepts(&bob, &ada);
        let first = bob.inbox.due(&bob.me, None).unwrap().remove(0);
        // That lies in a drop box when Ada forgets Bob, and invites him anew.
        removes(&ada, &bob);
        bob.opens(&asks(&ada, &card, None, answer_at)).unwrap();
        assert_eq!(ada.states(), ["live", "revoked", "live"], "the card for everybody stays");
        assert_eq!(ada.secrets(), 2);
        accepts(&bob, &ada);
        let second = bob.inbox.due(&bob.me, None).unwrap().remove(0);
        assert!(matches!(ada.opens(&first.message).unwrap_err(), NotOpened::Revoked(..)));
        ada.opens(&second.message).unwrap();
        assert_eq!(ada.standing(&bob), Standing::Accepted { confirmed: true });
    }
}

#[test]
fn an_invite_that_is_not_to_be_answered_by_a_card_takes_the_card_of_the_last_one_back_too() {
    let (ada, bob, eve) = (Side::new(1), Side::new(2), Side::new(3));
    asks(&ada, &bob.card(1), None, "127.0.0.1:1");
    asks(&ada, &eve.card(1), None, "127.0.0.1:1");
    removes(&ada, &bob);
    asks(&ada, &bob.card(1), None, "");
    assert_eq!(ada.states(), ["revoked", "live"], "that for the answer of somebody else stays");
}
