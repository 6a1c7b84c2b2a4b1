use super::*;
use crate::dice::Dice;
use crate::error::Error;
use crate::json::Bytes;
use crate::key::KeyPair;
use crate::proto::chat::{Invite, InviteId, PairAck};
use crate::trust::Time;

const EXPIRES: u64 = 1_800_000_000;

fn key(seed: u64) -> KeyPair {
    Dice::new(seed).key()
}

fn card(keys: u64, addresses: &[&str]) -> Card {
    let keys = (0..keys).map(|number| key(100 + number).public()).collect();
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Card::make(&key(1), keys, Time::from_unix(EXPIRES).unwrap(), addresses).unwrap()
}

fn sealed(payload: &[u8]) -> SealedMessage {
    let noise: Vec<u8> = (0..80).map(|byte: u8| byte | 1).chain(payload.iter().copied()).collect();
    SealedMessage::new(Rki([1, 2, 3, 4]), noise).unwrap()
}

fn frame(content: Content) -> Frame {
    Frame { time: 1_800_000_000_123, card: None, content }
}

#[test]
fn the_identifier_of_a_key_is_the_beginning_of_its_hash_with_64_bytes_of_output() {
    // Made with hashlib.blake2b of Python, of the responder's ephemeral key in the Noise vectors.
    let bytes = data_encoding::HEXLOWER.decode(b"95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843");
    let key = PublicKey::from_bytes(&bytes.unwrap()).unwrap();
    assert_eq!(Rki::of(&key).to_string(), "5bbc431b");
    assert!(KeyHash::of(&key).to_string().starts_with("5bbc431b"));
    assert_eq!("5bbc431b".parse::<Rki>().unwrap(), Rki::of(&key));
    for wrong in ["", "5bbc431", "5bbc431b0", "5BBC431B", "5bbc431g"] {
        assert!(wrong.parse::<Rki>().is_err(), "{wrong}");
    }
}

#[test]
fn a_card_survives_its_text_in_either_case_and_broken_over_lines() {
    let box_key = key(7).public();
    let addresses = ["host:1", "[2001:db8::1]:8803", &format!("{box_key}@drop.example")];
    for card in [card(1, &[]), card(3, &addresses), card(50, &addresses)] {
        let text = card.to_string();
        assert!(text.starts_with("keywire:card:") && text.is_ascii());
        let broken: String = text.as_bytes().chunks(30).map(|line| String::from_utf8_lossy(line) + "\r\n  ").collect();
        for text in [text.clone(), text.to_uppercase(), format!("\n {text}\n"), broken] {
            assert_eq!(text.parse::<Card>().unwrap(), card);
        }
        assert_eq!(Card::decode(card.bytes()).unwrap(), card);
    }
    let with_box = card(1, &addresses);
    let answering: Vec<_> =
        with_box.addresses().iter().map(|address| address.answering(with_box.recipient())).collect();
    assert_eq!(answering, [with_box.recipient(), with_box.recipient(), box_key]);
    assert_eq!(with_box.addresses()[2].to_string(), format!("{box_key}@drop.example:8803"));
}

#[test]
fn a_card_with_a_bit_flipped_anywhere_is_refused_with_a_reason() {
    let card = card(2, &["host:1", &format!("{}@drop.example:2", key(7).public())]);
    for at in 0..card.bytes().len() {
        for bit in 0..8 {
            let mut bytes = card.bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let why = Card::decode(&bytes).unwrap_err().to_string();
            assert!(why.len() > 10, "{at}.{bit}: {why}");
        }
    }
    let text = card.to_string();
    for at in 0..text.len() {
        for other in ['a', '2', '1', ':', '=', 'Z'] {
            let changed: String = text.chars().enumerate().map(|(i, c)| if i == at { other } else { c }).collect();
            assert!(changed == text || changed.parse::<Card>().is_err(), "{changed}");
        }
        assert!(text[..at].parse::<Card>().is_err(), "cut after {at}");
    }
}

#[test]
fn a_one_time_key_that_somebody_else_has_put_into_a_card_is_refused() {
    let card = card(2, &["host:1"]);
    let mallory = key(66).public();
    let at = card.bytes().windows(32).position(|bytes| bytes == card.keys()[1].as_bytes()).unwrap();
    let mut bytes = card.bytes().to_vec();
    bytes[at..at + 32].copy_from_slice(mallory.as_bytes());
    let error = Card::decode(&bytes).unwrap_err();
    assert!(error.to_string().contains("signature is not that of"), "{error}");
    // With a signature of her own, it is her card.
    let own = Card::make(&key(66), vec![mallory, key(67).public()], card.expires(), Vec::new());
    assert!(own.is_err(), "the long-term key is no one-time key");
}

#[test]
fn what_makes_no_sense_on_a_card_is_not_signed() {
    let expires = Time::from_unix(EXPIRES).unwrap();
    let make = |keys: Vec<PublicKey>, addresses: Vec<Address>| Card::make(&key(1), keys, expires, addresses);
    let fifty_one = (0..51).map(|number| key(100 + number).public()).collect();
    let (one, address) = (key(2).public(), "host:1".parse::<Address>().unwrap());
    let far = format!("{one}@{}:1", "h".repeat(253)).parse::<Address>().unwrap();
    for (keys, addresses) in [
        (vec![], vec![]),
        (fifty_one, vec![]),
        (vec![one, one], vec![]),
        (vec![key(1).public()], vec![]),
        (vec![one], vec![address.clone(); 9]),
        (vec![one], vec![Address { key: None, at: "host".parse().unwrap() }]),
    ] {
        assert!(make(keys, addresses).is_err());
    }
    assert!(make(vec![one], vec![address; 8]).is_ok());
    assert!(make((0..50).map(|number| key(100 + number).public()).collect(), vec![far; 8]).is_err());
    for wrong in ["", "kw1x@host", "@host:1", "host:", "kwsecret1qqq@host:1"] {
        assert!(wrong.parse::<Address>().is_err(), "{wrong}");
    }
}

#[test]
fn an_address_that_could_fool_a_terminal_makes_no_card() {
    let mut bytes = card(1, &["evil___moc.knab:22"]).bytes().to_vec();
    let at = bytes.windows(3).position(|bytes| bytes == b"___").unwrap();
    bytes[at..at + 3].copy_from_slice("\u{202e}".as_bytes());
    // Whoever makes the card can sign it; it is not a matter of the signature.
    assert_eq!(Card::decode(&bytes).unwrap_err().to_string(), "a card with an address that is none");
}

#[test]
fn a_ticket_has_the_signature_of_its_card_and_nothing_that_can_be_sealed_to() {
    let card = card(3, &["host:1"]);
    let ticket = Ticket::decode(&card.ticket().encode()).unwrap();
    assert!(ticket.is_signed() && ticket == card.ticket());
    assert_eq!((ticket.recipient(), ticket.expires()), (card.recipient(), card.expires()));
    for key in card.keys() {
        assert!(!ticket.encode().windows(32).any(|bytes| bytes == key.as_bytes()));
        assert_eq!(ticket.key(&Rki::of(key)), Some(KeyHash::of(key)));
    }
    assert!(!String::from_utf8_lossy(&ticket.encode()).contains("host"));
    assert_eq!(ticket.key(&Rki([0; 4])), None);
    assert!(Card::decode(&ticket.encode()).is_err() && Ticket::decode(card.bytes()).is_err());
    let bytes = ticket.encode();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(!Ticket::decode(&changed).is_ok_and(|ticket| ticket.is_signed()), "{at}.{bit}");
        }
    }
}

#[test]
fn a_sealed_message_is_found_in_a_letter_however_its_lines_end() {
    for length in [16, 17, 18, 5000] {
        let message = sealed(&vec![7; length]);
        let armour = message.armour();
        assert!(armour.lines().all(|line| line.len() <= 64) && armour.is_ascii());
        let letter = format!("Dear Ada,\n\n{armour}\n-- \nBob\n");
        let indented: String = armour.lines().map(|line| format!("   {line}  \n")).collect();
        for text in [armour.clone(), armour.replace('\n', "\r\n"), letter, indented] {
            assert_eq!(SealedMessage::from_armour(&text).unwrap(), message);
        }
        assert_eq!(SealedMessage::decode(message.bytes()).unwrap(), message);
        assert_eq!(message.noise().len(), 80 + length);
    }
}

#[test]
fn what_is_wrong_with_an_armour_is_said() {
    let armour = sealed(&[7; 300]).armour();
    let lines: Vec<&str> = armour.lines().collect();
    let without =
        |at: usize| lines.iter().enumerate().filter(move |(i, _)| *i != at).map(|(_, line)| format!("{line}\n"));
    for (text, words) in [
        (String::new(), "there is no line -----BEGIN"),
        (without(0).collect(), "there is no line -----BEGIN"),
        (without(lines.len() - 1).collect(), "it breaks off"),
        (without(2).collect(), "damaged or cut short"),
        (armour.replacen("\n", "\n*", 1), "not base64"),
        (armour.replacen("\n", "\nAA==", 1), "not base64"),
        (format!("{BEGIN}\n{END}\n"), "the ephemeral key of a sealed message has 0 bytes"),
        ("x".repeat(MAX_ARMOUR_LEN + 1), "more than 256 KiB"),
    ] {
        let error = SealedMessage::from_armour(&text).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_read_is_just_what_writing_it_gives() {
    let good = sealed(&[7; 20]).bytes().to_vec();
    let (first, rest) = good.split_at(34);
    let more = |tail: &[u8]| [&good[..], tail].concat();
    for (bytes, words) in [
        (more(&[0x28, 1]), "something in it that does not belong there"),
        (more(&[0x12, 4, 1, 2, 3, 4]), "something in it that does not belong there"),
        ([rest, first].concat(), "something in it that does not belong there"),
        ([&[0x0a, 0xa0, 0x00], &good[2..]].concat(), "something in it that does not belong there"),
        (good[..good.len() - 1].to_vec(), "damaged or cut short"),
        (vec![0xff; 40], "damaged or cut short"),
        (vec![0; MAX_SEALED_LEN + 1], "the most is 65000"),
    ] {
        let error = SealedMessage::decode(&bytes).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(SealedMessage::new(Rki([0; 4]), vec![7; MAX_SEALED_LEN]).is_err());
    assert!(SealedMessage::new(Rki([0; 4]), vec![7; 79]).is_err());
    assert!(SealedMessage::decode(sealed(&[7; 15]).bytes()).is_err(), "shorter than a tag");
}

#[test]
fn frames_survive_their_bytes_and_their_length_says_little() {
    let invite = Invite { id: InviteId([3; 16]), expires: EXPIRES, noise: Bytes(vec![5; 200]) };
    let mut all = vec![
        frame(Content::Text(String::new())),
        frame(Content::Text("x".repeat(MAX_GREETING_LEN))),
        frame(Content::Invite { invite: invite.clone(), text: None }),
        frame(Content::Invite { invite, text: Some("it is bob".to_owned()) }),
        frame(Content::Ack(PairAck { id: InviteId([3; 16]), noise: Bytes(vec![5; 200]) })),
    ];
    all.push(Frame { card: Some(card(1, &["host:1"])), ..all[2].clone() });
    all.extend((0..600).map(|length| frame(Content::Text("y".repeat(length)))));
    for frame in all {
        let bytes = frame.encode().unwrap();
        assert_eq!(bytes.len() % 256, 0, "{frame:?}");
        assert!(bytes.len() + 200 < MAX_SEALED_LEN);
        assert_eq!(Frame::decode(&bytes).unwrap(), frame);
    }
    assert!(frame(Content::Text("x".repeat(MAX_GREETING_LEN + 1))).encode().is_err());
}

#[test]
fn a_frame_with_anything_wrong_in_it_is_refused() {
    let good = frame(Content::Text("hello".to_owned())).encode().unwrap();
    let told = |bytes: &[u8]| Frame::decode(bytes).unwrap_err().to_string();
    let filling = good.windows(8).position(|bytes| bytes == [0; 8]).unwrap();
    let mut marked = good.clone();
    marked[filling] = 1;
    assert!(told(&marked).contains("not filled as it should be"));
    // The same with less filling, or more, would be another message, and more than may be with ours.
    for filling in [0, 1, 256] {
        let with: Vec<u8> =
            [&good[..filling_at(&good)], &[0x12, 0x80 | (filling & 0x7f) as u8, (filling >> 7) as u8]].concat();
        let rest = [0x5a, 5, b'h', b'e', b'l', b'l', b'o'];
        let changed = [&with[..], &vec![0; filling][..], &rest].concat();
        assert!(Frame::decode(&changed).is_err(), "{filling}");
    }
    let newer = frame(Content::Ack(PairAck { id: InviteId([3; 16]), noise: Bytes(Vec::new()) })).encode().unwrap();
    // The same field under a number that is not known yet.
    let newer: Vec<u8> = {
        let at = newer.windows(2).rposition(|bytes| bytes == [0x62, 18]).unwrap();
        newer.iter().enumerate().map(|(i, byte)| if i == at { 0x6a } else { *byte }).collect()
    };
    assert!(told(&newer).contains("does not belong there"));
    assert!(told(&[0x08, 1]).contains("a kind that is not known here"));
    let mut dice = Dice::new(9);
    for _ in 0..2000 {
        let mut bytes = good.clone();
        let (at, bit) = (dice.roll(bytes.len()), dice.roll(8));
        bytes[at] ^= 1 << bit;
        // Whatever it is now, it is not the same.
        assert!(!Frame::decode(&bytes).is_ok_and(|other| other == frame(Content::Text("hello".to_owned()))));
    }
}

#[test]
fn errors_of_a_card_say_what_to_do_next() {
    for wrong in ["", "keywire:invite:abc", "keywire:card:", "keywire:card:ab1", "keywire:card:AB", "keywire:card:aaaa"]
    {
        let error: Error = wrong.parse::<Card>().unwrap_err();
        assert!(error.to_string().contains("card"), "{error}");
    }
    assert!("x".repeat(MAX_CARD_TEXT_LEN + 1).parse::<Card>().unwrap_err().to_string().contains("more than the 8192"));
}

/// Where the field of the filling begins.
fn filling_at(frame: &[u8]) -> usize {
    frame.windows(1).position(|byte| byte == [0x12]).unwrap()
}
