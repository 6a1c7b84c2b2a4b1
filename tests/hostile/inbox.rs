//! What is said in the service inbox.

mod carry;
mod door;

use super::decoders::attack;
use keywire::conn::Record;
use keywire::json::Bytes;
use keywire::key::{KeyPair, PublicKey, SecretKey};
use keywire::proto::chat::{InviteId, PairAck};
use keywire::proto::inbox::{
    Address, Card, Content, Frame, FromDialer, FromListener, MAX_HELD, MAX_SEALED_LEN, Refusal, Rki, SealedId,
    SealedMessage, Ticket,
};
use keywire::trust::Time;

/// A recipient.
pub fn owner() -> KeyPair {
    KeyPair::from_secret(SecretKey::from_bytes(&[7; 32]))
}

/// Nobody has its secret key.
pub fn one_time_key(number: u8) -> PublicKey {
    PublicKey::from_bytes(&[&[number], &[9; 31][..]].concat()).unwrap()
}

/// A card of `owner` with so many of the keys above.
pub fn card(owner: &KeyPair, keys: u8, addresses: &[Address]) -> Card {
    let until = Time::of(std::time::SystemTime::now()).after(std::time::Duration::from_secs(3600));
    Card::make(owner, (1..=keys).map(one_time_key).collect(), until, addresses.to_vec()).unwrap()
}

/// A message to the key of this number that opens nowhere.
pub fn sealed(key: u8, content: &[u8]) -> SealedMessage {
    let noise = [&[5; 96][..], content].concat();
    SealedMessage::new(Rki::of(&one_time_key(key)), noise).unwrap()
}

/// One of each.
pub fn from_dialer() -> Vec<FromDialer> {
    vec![
        FromDialer::Ticket(card(&owner(), 2, &[]).ticket()),
        FromDialer::Deliver(sealed(1, b"content")),
        FromDialer::Fetch,
        FromDialer::Taken(vec![SealedId([1; 16]), SealedId([2; 16])]),
    ]
}

/// One of each, and one for each reason.
pub fn from_listener() -> Vec<FromListener> {
    let refused = Refusal::ALL.into_iter().map(FromListener::Refused);
    let after = [FromListener::Held(sealed(1, b"content")), FromListener::End, FromListener::Removed];
    std::iter::once(FromListener::Delivered).chain(refused).chain(after).collect()
}

fn wire((kind, body): (u8, Vec<u8>)) -> Vec<u8> {
    [&[kind], body.as_slice()].concat()
}

fn record(bytes: &[u8]) -> Option<Record<'_>> {
    bytes.split_first().map(|(kind, body)| Record { kind: *kind, body })
}

#[test]
fn what_the_dialer_of_an_inbox_says_is_what_it_says_or_nothing() {
    let all = from_dialer();
    let good: Vec<Vec<u8>> = all.iter().map(|message| wire(message.encode())).collect();
    for (bytes, message) in good.iter().zip(&all) {
        assert_eq!(FromDialer::decode(&record(bytes).unwrap()).unwrap(), *message);
    }
    let good: Vec<&[u8]> = good.iter().map(Vec::as_slice).collect();
    attack("inbox::FromDialer", &good, |bytes| {
        if let Some(Ok(message)) = record(bytes).map(|record| FromDialer::decode(&record)) {
            assert_eq!(wire(message.encode()), bytes);
        }
    });
    for (ids, taken) in [(0, false), (1, true), (MAX_HELD, true), (MAX_HELD + 1, false)] {
        let body = vec![3; ids * 16];
        assert_eq!(FromDialer::decode(&Record { kind: 0x04, body: &body }).is_ok(), taken, "{ids}");
    }
    let most = sealed(1, &vec![0; MAX_SEALED_LEN - 110]);
    assert_eq!(most.bytes().len(), MAX_SEALED_LEN);
    assert!(FromDialer::decode(&Record { kind: 0x02, body: most.bytes() }).is_ok());
    let more = [most.bytes(), &[0]].concat();
    assert!(FromDialer::decode(&Record { kind: 0x02, body: &more }).is_err());
}

#[test]
fn what_the_listener_of_an_inbox_says_is_what_it_says_or_nothing() {
    let good: Vec<Vec<u8>> = from_listener().iter().map(|message| wire(message.encode())).collect();
    for (bytes, message) in good.iter().zip(from_listener()) {
        assert_eq!(FromListener::decode(&record(bytes).unwrap()).unwrap(), message);
    }
    let good: Vec<&[u8]> = good.iter().map(Vec::as_slice).collect();
    attack("inbox::FromListener", &good, |bytes| {
        if let Some(Ok(message)) = record(bytes).map(|record| FromListener::decode(&record)) {
            assert_eq!(wire(message.encode()), bytes);
        }
    });
    // A message under the id of another.
    let other = [&sealed(1, b"one").id().0, sealed(1, b"two").bytes()].concat();
    let told = FromListener::decode(&Record { kind: 0x13, body: &other }).unwrap_err().to_string();
    assert!(told.ends_with("the id of another message"), "{told}");
}

#[test]
fn cards_tickets_messages_and_frames_are_what_they_say_or_nothing() {
    let owner = owner();
    let address = |text: &str| text.parse::<Address>().unwrap();
    let cards =
        [card(&owner, 1, &[]), card(&owner, 3, &[address("host:1"), address(&format!("{}@box", one_time_key(9)))])];
    let bytes = cards.each_ref().map(|card| card.bytes().to_vec());
    attack("inbox::Card", &bytes.each_ref().map(Vec::as_slice), |bytes| {
        if let Ok(card) = Card::decode(bytes) {
            // Nobody else can sign one.
            assert!(cards.contains(&card) && card.bytes() == bytes);
        }
    });
    let tickets = cards.each_ref().map(|card| card.ticket().encode());
    attack("inbox::Ticket", &tickets.each_ref().map(Vec::as_slice), |bytes| {
        if let Ok(ticket) = Ticket::decode(bytes) {
            assert_eq!(ticket.encode(), bytes);
        }
    });
    let messages = [sealed(1, b""), sealed(2, &[7; 300])];
    let bytes = messages.each_ref().map(|message| message.bytes().to_vec());
    attack("inbox::SealedMessage", &bytes.each_ref().map(Vec::as_slice), |bytes| {
        if let Ok(message) = SealedMessage::decode(bytes) {
            assert_eq!(message.bytes(), bytes);
        }
    });
    let content =
        [Content::Text("hello".to_owned()), Content::Ack(PairAck { id: InviteId([3; 16]), noise: Bytes(vec![5; 90]) })];
    let frames = content.map(|content| Frame { time: 1, card: None, content }.encode().unwrap());
    attack("inbox::Frame", &frames.each_ref().map(Vec::as_slice), |bytes| {
        if let Ok(frame) = Frame::decode(bytes) {
            assert_eq!(frame.encode().unwrap(), bytes);
        }
    });
}

#[test]
fn the_text_of_a_sealed_message_is_what_it_says_or_nothing() {
    let message = sealed(1, &[7; 300]);
    attack("armour", &[message.armour().as_bytes()], |bytes| {
        // What is changed may be another message, which then opens nowhere.
        if let Ok(found) = SealedMessage::from_armour(&String::from_utf8_lossy(bytes)) {
            assert_eq!(SealedMessage::from_armour(&found.armour()).unwrap(), found);
        }
    });
}
