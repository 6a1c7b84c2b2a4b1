//! Peers that break the rules.

use super::line::Dice;
use super::story::paired;
use super::*;
use crate::handshake::{Handshake, Known, Pattern, Role};
use crate::json::Bytes;
use crate::pair::INVITE_LIFE;
use crate::pair::bounds::{MAX_HALF_OPEN, MAX_PAST, MAX_PENDING, MAX_SETTLED, SOURCE_PAUSE};
use crate::proto::chat::{Invite, InviteId, PairAck};
use crate::store::MAX_STATE_LEN;

/// An invite of `from` for `to`, which says of itself whatever it likes.
fn invite(from: &Side, to: &PublicKey, id: InviteId, expires: u64, introduction: &[u8]) -> Invite {
    let keys = [*from.key().as_bytes(), *to.as_bytes()].concat();
    let prologue = [b"keywire pair v1", keys.as_slice(), &id.0, &expires.to_be_bytes()].concat();
    let ephemeral = SecretKey::from_bytes(&[id.0[0] | 9; 32]);
    let mut handshake =
        Handshake::new(Pattern::KK, Role::Initiator, &prologue, &from.me, Known::fixed(*to), &ephemeral).unwrap();
    Invite { id, expires, noise: Bytes(handshake.write(introduction).unwrap()) }
}

fn id(number: u64) -> InviteId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    InviteId(id)
}

fn in_a_week(side: &Side) -> u64 {
    crate::trust::Time::of(side.now + 7 * DAY).unix()
}

/// Whether `side` takes `invite` for one of `from`.
fn takes(side: &mut Side, from: &PublicKey, invite: Invite) -> Result<bool> {
    let source = IpAddr::from([198, 51, 100, 1]);
    side.hear(from, source, &Envelope::Invite(invite)).map(|(heard, _)| matches!(heard, Heard::Pending))
}

#[test]
fn an_invite_opens_only_for_whom_it_was_made_from_whom_it_came_and_as_it_was() {
    let [one, mut other] = Side::two();
    let mallory = Side::new(3);
    let (key, expires) = (other.key(), in_a_week(&other));
    let good = invite(&one, &key, id(1), expires, b"{}");
    // Somebody else's invite, wrapped anew by one who may talk to us.
    assert!(takes(&mut other, &mallory.key(), good.clone()).is_err());
    // An invite for somebody else.
    assert!(takes(&mut other, &one.key(), invite(&one, &mallory.key(), id(1), expires, b"{}")).is_err());
    // Our own, reflected.
    let reflected = invite(&other, &one.key(), id(1), expires, b"{}");
    assert!(takes(&mut other, &key, reflected).is_err());
    let from = one.key();
    assert!(takes(&mut other, &from, Invite { id: id(2), ..good.clone() }).is_err());
    assert!(takes(&mut other, &from, Invite { expires: expires + 1, ..good.clone() }).is_err());
    for at in 0..good.noise.0.len() {
        let mut noise = good.noise.clone();
        noise.0[at] ^= 1;
        assert!(takes(&mut other, &from, Invite { noise, ..good.clone() }).is_err(), "byte {at}");
        let noise = Bytes(good.noise.0[..at].to_vec());
        assert!(takes(&mut other, &from, Invite { noise, ..good.clone() }).is_err(), "cut to {at}");
    }
    assert_eq!(other.pairs, Pairs::default());
    assert!(takes(&mut other, &from, good).unwrap());
}

#[test]
fn an_introduction_that_makes_no_sense_is_no_invite() {
    let [one, mut other] = Side::two();
    let (key, expires) = (other.key(), in_a_week(&other));
    let addresses = |all: &[String]| json::line(&json::json!({ "addresses": all })).unwrap();
    let names = |count: usize| addresses(&vec!["a:1".to_owned(); count]);
    for (number, text) in [
        names(17),
        names(10_000),
        addresses(&["a".repeat(9 << 10) + ":1"]),
        addresses(&["a".repeat(300) + ":1"]),
        addresses(&["host".to_owned()]),
        addresses(&["host:65536".to_owned()]),
        addresses(&["host:1\n".to_owned()]),
        addresses(&["\u{1b}[31m:1".to_owned()]),
        addresses(&[String::new()]),
        "{\"addresses\": [1]}".to_owned(),
        "{\"addresses\": null}".to_owned(),
        "{\"text\": \"buy this\"}".to_owned(),
        "[".repeat(8000),
        String::new(),
        "\0".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let made = invite(&one, &key, id(number.try_into().unwrap()), expires, text.as_bytes());
        let error = takes(&mut other, &one.key(), made).unwrap_err().to_string();
        assert!(error.starts_with("protocol error: ") && error.len() < 200, "{text:.40}: {error}");
        assert_eq!(other.pairs, Pairs::default());
    }
    assert!(takes(&mut other, &one.key(), invite(&one, &key, id(99), expires, names(16).as_bytes())).unwrap());
}

#[test]
fn nothing_of_an_invite_is_shown_before_it_is_accepted() {
    let [one, mut other] = Side::two();
    let text = br#"{"addresses": ["free-money.example:1"]}"#;
    let made = invite(&one, &other.key(), id(1), in_a_week(&other), text);
    assert!(takes(&mut other, &one.key(), made).unwrap());
    assert!(other.pairs.get(&one.key()).unwrap().addresses().is_empty());
    assert!(!json::pretty(&other.pairs).unwrap().contains("free-money"));
    other.say(Word::Accept, one.key()).unwrap();
    assert_eq!(other.pairs.get(&one.key()).unwrap().addresses()[0].host(), "free-money.example");
}

#[test]
fn an_invite_that_says_it_lasts_for_ever_lasts_thirty_days() {
    let [one, mut other] = Side::two();
    let key = other.key();
    for wrong in [0, crate::trust::Time::of(other.now).unix()] {
        assert!(!takes(&mut other, &one.key(), invite(&one, &key, id(1), wrong, b"{}")).unwrap());
    }
    assert!(takes(&mut other, &one.key(), invite(&one, &key, id(1), u64::MAX, b"{}")).is_err());
    assert_eq!(other.pairs, Pairs::default());
    let last = "9999-12-31T23:59:59Z";
    let made = invite(&one, &key, id(2), 253_402_300_799, b"{}");
    assert!(takes(&mut other, &one.key(), made).unwrap());
    let (_, until) = other.pairs.get(&one.key()).unwrap().pending().unwrap();
    assert_eq!(until, crate::trust::Time::of(other.now + INVITE_LIFE));
    assert_ne!(until.to_string(), last);
    other.now += INVITE_LIFE;
    assert!(other.say(Word::Accept, one.key()).is_err());
    assert_eq!(other.pairs, Pairs::default());
}

#[test]
fn a_consent_opens_only_for_its_invite_from_its_peer_and_as_it_was() {
    let mut sides = Side::two();
    let keys = [sides[0].key(), sides[1].key()];
    let mut mallory = Side::new(3);
    sides[0].say(Word::Invite, keys[1]).unwrap();
    let Envelope::Invite(asked) = sides[0].owes_one(&keys[1]) else { panic!("an invite is owed") };
    let source = sides[0].source;
    sides[1].hear(&keys[0], source, &Envelope::Invite(asked.clone())).unwrap();
    sides[1].say(Word::Accept, keys[0]).unwrap();
    let Envelope::Ack(good) = sides[1].owes_one(&keys[0]) else { panic!("consent is owed") };
    let invited = sides[0].pairs.clone();
    let refuse = |sides: &mut [Side; 2], from: &PublicKey, ack: PairAck, as_error: bool| {
        let heard = sides[0].hear(from, source, &Envelope::Ack(ack));
        assert!(if as_error { heard.is_err() } else { matches!(heard, Ok((Heard::NoPair, _))) });
        assert_eq!(sides[0].pairs, invited);
    };
    for at in 0..good.noise.0.len() {
        let mut noise = good.noise.clone();
        noise.0[at] ^= 1;
        refuse(&mut sides, &keys[1], PairAck { noise, ..good.clone() }, true);
    }
    refuse(&mut sides, &keys[1], PairAck { noise: Bytes(vec![9; 90_000]), ..good.clone() }, true);
    refuse(&mut sides, &keys[1], PairAck { id: id(1), ..good.clone() }, false);
    refuse(&mut sides, &mallory.key(), good.clone(), false);
    // Somebody whom we have invited too gives us the consent of another as its own.
    sides[0].say(Word::Invite, mallory.key()).unwrap();
    let Envelope::Invite(other) = sides[0].owes_one(&mallory.key()) else { panic!("an invite is owed") };
    let error = sides[0].hear(&mallory.key(), source, &Envelope::Ack(PairAck { id: other.id, ..good.clone() }));
    assert!(error.is_err());
    // Nobody but the invited key can agree.
    assert!(mallory.hear(&keys[0], source, &Envelope::Invite(asked)).is_err());
    sides[0].hear(&keys[1], source, &Envelope::Ack(good)).unwrap();
    assert_eq!(sides[0].pair(), sides[1].pair());
}

#[test]
fn a_replayed_word_of_an_old_pairing_changes_nothing() {
    let mut sides = Side::two();
    let keys = [sides[0].key(), sides[1].key()];
    let source = sides[0].source;
    sides[0].say(Word::Invite, keys[1]).unwrap();
    let invite = sides[0].owes_one(&keys[1]);
    sides[1].hear(&keys[0], source, &invite).unwrap();
    sides[1].say(Word::Accept, keys[0]).unwrap();
    let ack = sides[1].owes_one(&keys[0]);
    sides[0].hear(&keys[1], source, &ack).unwrap();
    let confirm = sides[0].owes_one(&keys[1]);
    sides[1].hear(&keys[0], source, &confirm).unwrap();
    assert_paired(&sides);
    let (pair, before) = (sides[1].pair(), sides[1].pairs.clone());
    later(&mut sides, HOUR);
    for replayed in [&invite, &confirm] {
        sides[1].hear(&keys[0], source, replayed).unwrap();
        assert_eq!((sides[1].pair(), &sides[1].pairs), (pair, &before));
    }
    sides[0].hear(&keys[1], source, &ack).unwrap();
    assert_eq!(sides[0].pair(), pair);
    assert_eq!(sides[0].owes(&keys[1]), [confirm], "an answer that was lost is given again");
    // Another consent under the same invite is not taken for the first.
    let Envelope::Ack(PairAck { id, mut noise }) = ack else { panic!("it was one") };
    noise.0[0] ^= 1;
    let (heard, _) = sides[0].hear(&keys[1], source, &Envelope::Ack(PairAck { id, noise })).unwrap();
    assert!(matches!(heard, Heard::NoPair));
    sides[1].say(Word::Remove, keys[0]).unwrap();
    sides[1].hear(&keys[0], source, &invite).unwrap();
    assert_eq!(sides[1].standing(&sides[0]), Standing::Removed, "the invite of a pair that was does not come back");
}

#[test]
fn strangers_wait_in_a_room_of_their_own_and_one_a_source_comes_in_at_a_time() {
    let [pair, mut host] = paired(0);
    let (key, made) = (host.key(), 200_u64);
    let accepted = host.pairs.list().to_vec();
    let blocked = Side::new(250);
    host.say(Word::Block, blocked.key()).unwrap();
    // Invites that are good, so that only the bounds stand between them and the disk.
    let strangers: Vec<(PublicKey, Invite)> = (0..made)
        .map(|number| {
            let mut seed = [7; 32];
            seed[..8].copy_from_slice(&number.to_be_bytes());
            let me = KeyPair::from_secret(SecretKey::from_bytes(&seed));
            let side = Side { storage: StorageKey::of(&me), me, ..Side::new(4) };
            (side.key(), invite(&side, &key, id(number), in_a_week(&host), &[b"{}", &[b' '; 8000][..]].concat()))
        })
        .collect();
    let (mut dice, mut last) = (Dice::new(1), std::collections::BTreeMap::new());
    for number in 0..100_000_u64 {
        let stranger = dice.roll(made);
        let (from, invite) = &strangers[usize::try_from(stranger).unwrap()];
        // Four keys on each of 50 networks, of both kinds.
        let network = u8::try_from(stranger % 50).unwrap();
        let source = match network {
            0..25 => IpAddr::from([203, 0, 113, network]),
            _ => IpAddr::from([0x2001, 0xdb8, 0, network.into(), 0, 0, 0, u16::try_from(number % 65_536).unwrap()]),
        };
        let us = Ourselves { me: &host.me, storage: &host.storage, addresses: &[] };
        let heard = host.pairs.on_invite(us, *from, Some(source), invite, host.now).unwrap();
        if let Heard::Pending = heard {
            let before = last.insert(network, host.now);
            assert!(before.is_none_or(|before| host.now.duration_since(before).unwrap() >= SOURCE_PAUSE));
        }
        let waiting = host.pairs.list().iter().filter(|pair| pair.pending().is_some());
        assert!(waiting.count() <= MAX_PENDING);
        if number % 97 == 0 {
            host.now += Duration::from_secs(1);
        }
    }
    host.restart();
    assert_eq!(host.pairs.list()[0], accepted[0]);
    assert_eq!(host.standing(&pair), Standing::Accepted { confirmed: true });
    assert_eq!(host.standing(&blocked), Standing::Blocked);
    let length = json::pretty(&host.pairs).unwrap().len();
    assert!((500_000..MAX_STATE_LEN / 8).contains(&length), "{length} bytes");
}

#[test]
fn the_oldest_stranger_gives_way_and_what_there_was_with_it_stays() {
    let mut host = Side::new(1);
    let key = host.key();
    let sides: Vec<Side> = (2..=67).map(Side::new).collect();
    let come = |host: &mut Side, side: &Side| {
        let made = invite(side, &key, id(u64::from(side.me.public().as_bytes()[3])), in_a_week(host), b"{}");
        host.now += Duration::from_secs(1);
        host.hear(&side.key(), side.source, &Envelope::Invite(made)).unwrap();
    };
    // With the second there was a pair once.
    let (mut old, now) = (Side::new(3), host.now);
    old.say(Word::Invite, key).unwrap();
    let asked = old.owes_one(&key);
    host.hear(&old.key(), old.source, &asked).unwrap();
    host.say(Word::Accept, old.key()).unwrap();
    host.say(Word::Remove, old.key()).unwrap();
    host.now = now + SOURCE_PAUSE;
    for side in &sides {
        come(&mut host, side);
    }
    assert_eq!(host.standing(&sides[0]), Standing::Stranger);
    assert_eq!(host.standing(&sides[1]), Standing::Removed);
    assert_eq!(host.standing(&sides[2]), Standing::Pending);
    assert_eq!(host.standing(&sides[65]), Standing::Pending);
}

#[test]
fn strangers_at_the_door_do_not_crowd_out_an_invite_that_came_sealed() {
    let mut host = Side::new(1);
    let key = host.key();
    let sides: Vec<Side> = (2..=67).map(Side::new).collect();
    for (number, side) in sides.iter().enumerate() {
        let made = invite(side, &key, id(number as u64), in_a_week(&host), b"{}");
        let source = (number > 0).then_some(side.source);
        let us = Ourselves { me: &host.me, storage: &host.storage, addresses: &[] };
        host.pairs.on_invite(us, side.key(), source, &made, host.now).unwrap();
        host.now += Duration::from_secs(1);
    }
    host.restart();
    assert_eq!(host.pairs.get(&sides[0].key()).unwrap().pending().unwrap().0, None);
    assert_eq!(host.standing(&sides[0]), Standing::Pending);
    assert_eq!(host.standing(&sides[1]), Standing::Stranger, "the oldest at the door gives way");
}

#[test]
fn a_source_is_an_address_or_a_network_and_this_machine_is_none() {
    let mut host = Side::new(1);
    let (key, mut number) = (host.key(), 10);
    let mut comes = |host: &mut Side, source: &str| {
        number += 1;
        let side = Side::new(number);
        let made = invite(&side, &key, id(u64::from(number)), in_a_week(host), b"{}");
        let (heard, _) = host.hear(&side.key(), source.parse().unwrap(), &Envelope::Invite(made)).unwrap();
        matches!(heard, Heard::Pending)
    };
    for (source, is_taken) in [
        ("192.0.2.1", true),
        ("192.0.2.1", false),
        ("::ffff:192.0.2.1", false),
        ("192.0.2.2", true),
        ("2001:db8::1", true),
        ("2001:db8::ffff:1:2:3", false),
        ("2001:db8:0:1::1", true),
        ("127.0.0.1", true),
        ("127.0.0.1", true),
        ("::1", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
    ] {
        assert_eq!(comes(&mut host, source), is_taken, "{source}");
    }
    host.now += SOURCE_PAUSE - Duration::from_secs(1);
    assert!(!comes(&mut host, "192.0.2.1"));
    host.now += Duration::from_secs(1);
    assert!(comes(&mut host, "192.0.2.1"));
    // A clock that was set back does not keep a source out for longer.
    host.now -= HOUR;
    assert!(comes(&mut host, "192.0.2.1"));
}

#[test]
fn the_past_and_the_open_are_kept_within_bounds_and_a_pair_is_never_given_up() {
    let mut host = paired(1)[0].pairs.clone();
    let paired_with = host.list()[0].key;
    let now = SystemTime::UNIX_EPOCH + START;
    let key = |number: u64| {
        let mut seed = [5; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        KeyPair::from_secret(SecretKey::from_bytes(&seed)).public()
    };
    host.block(key(0), now);
    let declined = key(1);
    host.change(declined, now, |pair| {
        pair.end(crate::pair::Outcome::Declined);
        Ok(())
    })
    .unwrap();
    // Strangers alone cannot make our user's no be forgotten.
    for number in 2..200 {
        host.opened(key(number), false, now + Duration::from_secs(number));
    }
    assert_eq!(host.standing(&declined), Standing::Declined);
    assert_eq!(host.list().len(), 3 + MAX_HALF_OPEN);
    for number in 200..200 + u64::try_from(MAX_PAST).unwrap() + 10 {
        host.opened(key(number), true, now + Duration::from_secs(number));
        host.opened(key(number), false, now + Duration::from_secs(number));
        host.settle(&key(number), id(number));
        host.settle(&key(number), id(number + 5000));
    }
    assert_eq!(host.list().len(), 2 + MAX_PAST + MAX_HALF_OPEN - 1);
    assert_eq!(host.standing(&declined), Standing::Stranger, "the oldest goes first");
    assert_eq!(host.standing(&paired_with), Standing::Accepted { confirmed: true });
    assert_eq!(host.standing(&key(0)), Standing::Blocked);
    assert_eq!(host.settled.len(), MAX_SETTLED);
    host.check().unwrap();
}
