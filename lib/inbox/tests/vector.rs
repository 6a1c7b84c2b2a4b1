//! A card, its ticket and a message that another program made.

use super::{Side, prologue_of};
use crate::handshake::{Handshake, Known, Pattern, Role};
use crate::json::{self, Value};
use crate::key::{KeyPair, SecretKey};
use crate::proto::inbox::{Card, Content, Frame, KeyHash, Rki, SealedMessage, Ticket};
use crate::sign::{Signature, sign_with};
use data_encoding::HEXLOWER;

const VECTOR: &[u8] = include_bytes!("../../../tests/vectors/inbox.json");

fn hex(of: &Value) -> Vec<u8> {
    HEXLOWER.decode(of.as_str().unwrap().as_bytes()).unwrap()
}

fn pair(of: &Value) -> KeyPair {
    KeyPair::from_secret(SecretKey::from_bytes(&hex(of).try_into().unwrap()))
}

#[test]
fn a_card_a_ticket_and_a_message_that_another_program_made_are_read_and_made_the_same() {
    let vector: Value = json::parse(VECTOR, VECTOR.len()).unwrap();
    let of = |name: &str| &vector[name];
    let (recipient, sender, ephemeral) =
        (pair(of("recipient_secret")), pair(of("sender_secret")), pair(of("ephemeral_secret")));
    let one_time = [0, 1].map(|at| pair(&vector["one_time_secrets"][at]));

    let card = Card::decode(&hex(of("card"))).unwrap();
    assert_eq!(card.to_string(), of("card_text").as_str().unwrap());
    assert_eq!((card.recipient(), card.expires().unix()), (recipient.public(), of("expires").as_u64().unwrap()));
    assert_eq!(card.keys(), one_time.each_ref().map(KeyPair::public));
    let addresses: Vec<String> = card.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(json::json!(addresses), *of("addresses"));
    let made = Card::make(&recipient, card.keys().to_vec(), card.expires(), card.addresses().to_vec()).unwrap();
    let but_its_signature = card.bytes().len() - 64;
    assert_eq!(made.bytes()[..but_its_signature], card.bytes()[..but_its_signature]);

    let ticket = Ticket::decode(&hex(of("ticket"))).unwrap();
    assert!(ticket == card.ticket() && ticket.encode() == hex(of("ticket")) && ticket.is_signed());
    let random = hex(of("signature_random")).try_into().unwrap();
    let text = [b"keywire/inbox-card/v1\0", &hex(of("signed"))[..]].concat();
    let signature = sign_with(recipient.secret().expose(), &text, &random);
    assert!(signature == Signature(hex(of("signature")).try_into().unwrap()));
    assert!(hex(of("ticket")).ends_with(&signature.0));
    for (at, key) in card.keys().iter().enumerate() {
        assert_eq!(KeyHash::of(key).0[..], hex(&vector["key_hashes"][at]));
    }

    let message = SealedMessage::decode(&hex(of("message"))).unwrap();
    assert_eq!(message.rki(), Rki::of(&card.keys()[1]));
    assert_eq!(message.rki().0[..], hex(of("rki")));
    assert_eq!(message.id().0[..], hex(of("id")));
    let known = Known { fixed: Some(recipient.public()), ephemeral: Some(card.keys()[1]) };
    let before = prologue_of(&card);
    let mut sealing =
        Handshake::new(Pattern::KXfallback, Role::Initiator, &before, &sender, known, ephemeral.secret()).unwrap();
    assert_eq!(sealing.write(&hex(of("frame"))).unwrap(), message.noise());
    assert_eq!(sealing.finish().unwrap().hash[..], hex(of("handshake_hash")));
    let secret = one_time[1].secret();
    let mut opening =
        Handshake::new(Pattern::KXfallback, Role::Responder, &before, &recipient, Known::default(), secret).unwrap();
    let frame = opening.read(message.noise()).unwrap();
    assert_eq!((&frame[..], opening.finish().unwrap().peer), (&hex(of("frame"))[..], sender.public()));
    let frame = Frame::decode(&frame).unwrap();
    assert_eq!(frame.content, Content::Text(of("frame_text").as_str().unwrap().to_owned()));
    assert_eq!((frame.time, frame.card.is_none()), (of("frame_time").as_u64().unwrap(), true));
    assert_eq!(frame.encode().unwrap(), hex(of("frame")));

    // Only whoever made the card opens it: to others the key is unknown.
    assert!(Side::new(1).opens(&message).is_err());
}
