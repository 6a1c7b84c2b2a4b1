//! What peers say to each other in the service chat, without a socket.

use super::decoders::attack;
use keywire::conn::Record;
use keywire::json::{self, Bytes, Value};
use keywire::proto::chat::{
    About, Assembly, Envelope, Hello, Idle, Invite, InviteId, MAX_ENVELOPE_LEN, MAX_ID_LEN, MAX_TEXT_LEN, Message,
    MessageId, NoPair, NotSaved, Open, OpenSaved, PairAck, PairConfirm, Saved, Why, kind,
};
use keywire::seal::TAG_LEN;

/// One of each type, with all its fields.
pub fn one_of_each() -> Vec<Envelope> {
    let about = About { id: InviteId([0xa5; 16]) };
    let id: MessageId = "a.b_c:d-9".parse().unwrap();
    let bytes = |length| Bytes(vec![0xfb; length]);
    let (invite, ep, n) = (about.id, 7 << 32 | 9, 3);
    let message = Message {
        id: id.clone(),
        ep,
        n,
        nonce: bytes(12),
        ct: bytes(20),
        ack: true,
        time: 1_790_000_000_000,
        ttl: Some(60),
        reply_to: Some(id.clone()),
    };
    let hello = Hello {
        pair: bytes(16),
        ep,
        proven: true,
        sent: 5,
        seen: 0,
        acked: 0,
        step: bytes(32),
        want: false,
        mac: bytes(32),
    };
    let open =
        Open { id: id.clone(), body: Bytes(b"a\x1b\"\n".to_vec()), ack: false, time: 1, reply_to: Some(id.clone()) };
    vec![
        Envelope::Invite(Invite { id: invite, expires: 1, noise: bytes(48) }),
        Envelope::Received(about.clone()),
        Envelope::Ack(PairAck { id: invite, noise: bytes(48) }),
        Envelope::Confirm(PairConfirm { id: invite, mac: bytes(32) }),
        Envelope::Decline(about),
        Envelope::NoPair(NoPair { pair: Some(bytes(16)), id: Some(InviteId([7; 16])) }),
        Envelope::Hello(hello),
        Envelope::Message(message),
        Envelope::Saved(Saved { id: id.clone(), ep, n, mac: bytes(32) }),
        Envelope::NotSaved(NotSaved { id: id.clone(), ep, n, why: Why::NoKey }),
        Envelope::Idle(Idle { heard: 4 }),
        Envelope::Open(open),
        Envelope::OpenSaved(OpenSaved { id }),
    ]
}

fn value(envelope: &Envelope) -> Value {
    let text = envelope.encode().unwrap();
    json::parse(&text, text.len()).unwrap()
}

fn decodes(value: &Value) -> bool {
    Envelope::decode(json::line(value).unwrap().as_bytes()).is_ok()
}

#[test]
fn an_envelope_is_what_it_says_or_nothing() {
    let good: Vec<Vec<u8>> = one_of_each().iter().map(|envelope| envelope.encode().unwrap()).collect();
    let good: Vec<&[u8]> = good.iter().map(Vec::as_slice).collect();
    for (text, envelope) in good.iter().zip(one_of_each()) {
        assert_eq!(Envelope::decode(text).unwrap(), envelope);
    }
    attack("Envelope", &good, |bytes| {
        if let Ok(envelope) = Envelope::decode(bytes) {
            assert_eq!(Envelope::decode(&envelope.encode().unwrap()).unwrap(), envelope);
        }
    });
}

#[test]
fn an_envelope_has_its_fields_each_once_and_no_others() {
    let optional = ["ttl", "reply_to"];
    for envelope in one_of_each() {
        let good = value(&envelope);
        assert!(decodes(&good));
        for field in good.as_object().unwrap().keys() {
            let mut less = good.clone();
            less.as_object_mut().unwrap().remove(field);
            let may_lack = optional.contains(&field.as_str()) || (field != "type" && good["type"] == "pair-none");
            assert_eq!(decodes(&less), may_lack, "{envelope:?} without {field}");
            for wrong in [json::json!(-1), json::json!(1.5), json::json!([]), json::json!({}), json::json!("\u{0}")] {
                let mut other = good.clone();
                other[field] = wrong;
                // A text may be any text.
                assert!(!decodes(&other) || field == "body", "{other}");
            }
            let twice = json::line(&good).unwrap();
            let twice = format!("{},\"{field}\":{}}}", &twice[..twice.len() - 1], good[field]);
            assert!(Envelope::decode(twice.as_bytes()).is_err(), "{twice}");
        }
        let mut more = good.clone();
        more["more"] = json::json!(1);
        assert!(!decodes(&more), "{more}");
        let mut other = good;
        other["type"] = json::json!("chat-other");
        assert!(!decodes(&other), "{other}");
    }
    for nonsense in
        ["", "null", "1", "\"pair-none\"", "[]", "{}", "{\"type\":\"pair-none\"}x", "{\"type\":\"pair-none\"} {}"]
    {
        assert!(Envelope::decode(nonsense.as_bytes()).is_err(), "{nonsense}");
    }
    for deep in [b"[".repeat(MAX_ENVELOPE_LEN), b"{\"type\":".repeat(10_000)] {
        assert!(Envelope::decode(&deep).is_err());
    }
}

#[test]
fn an_id_is_as_long_and_of_such_letters_as_it_may_be() {
    let saved = |id: &str| decodes(&json::json!({"type": "chat-open-ack", "id": id}));
    for (length, taken) in [(0, false), (1, true), (MAX_ID_LEN, true), (MAX_ID_LEN + 1, false)] {
        assert_eq!(saved(&"i".repeat(length)), taken, "{length}");
    }
    for wrong in ["a b", "a/b", "../x", "a\n", "\u{1b}[0m", "\u{e4}", "a\u{0}", "a\"b", "a*"] {
        assert!(!saved(wrong), "{wrong:?}");
    }
    let received = |id: &str| decodes(&json::json!({"type": "pair-received", "id": id}));
    assert!(received(&"0f".repeat(16)));
    for wrong in ["", &"0f".repeat(15), &"0f".repeat(17), &"0F".repeat(16), &"0g".repeat(16), &"0".repeat(31)] {
        assert!(!received(wrong), "{wrong:?}");
    }
}

#[test]
fn bytes_in_an_envelope_have_one_way_to_be_written() {
    let ack = |noise: &str| decodes(&json::json!({"type": "pair-ack", "id": "0f".repeat(16), "noise": noise}));
    assert!(ack("") && ack("AAECAw=="));
    for wrong in ["AAECAw", "AAECAw=", "AAECAx==", "AAECAw==\n", " AAECAw==", "AAECAw==AAEC", "AAEC_w==", "-"] {
        assert!(!ack(wrong), "{wrong:?}");
    }
}

#[test]
fn the_longest_message_fits_into_an_envelope_and_a_longer_envelope_is_refused() {
    let id: MessageId = "i".repeat(MAX_ID_LEN).parse().unwrap();
    let longest = Envelope::Message(Message {
        id: id.clone(),
        ep: u64::MAX,
        n: u64::MAX,
        nonce: Bytes(vec![0; 12]),
        ct: Bytes(vec![0; MAX_TEXT_LEN + TAG_LEN]),
        ack: false,
        time: u64::MAX,
        ttl: Some(u64::MAX),
        reply_to: Some(id.clone()),
    });
    assert_eq!(Envelope::decode(&longest.encode().unwrap()).unwrap(), longest);
    let open = |length| {
        let body = Bytes(vec![0x1b; length]);
        Envelope::Open(Open { id: id.clone(), body, ack: false, time: u64::MAX, reply_to: Some(id.clone()) }).encode()
    };
    assert!(open(MAX_TEXT_LEN).is_ok() && open(MAX_ENVELOPE_LEN).is_err());
    let idle = Envelope::Idle(Idle { heard: 4 }).encode().unwrap();
    for (length, taken) in [(MAX_ENVELOPE_LEN, true), (MAX_ENVELOPE_LEN + 1, false)] {
        let padded = [idle.clone(), vec![b' '; length - idle.len()]].concat();
        assert_eq!(Envelope::decode(&padded).is_ok(), taken);
    }
}

#[test]
fn an_envelope_comes_in_any_pieces_and_never_grows_beyond_its_limit() {
    for envelope in one_of_each() {
        let text = envelope.encode().unwrap();
        for size in [1, 2, 7, text.len()] {
            let mut assembly = Assembly::default();
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            let (last, parts) = pieces.split_last().unwrap();
            // Twice: nothing of one is left for the next.
            for _ in 0..2 {
                for body in parts {
                    assert_eq!(assembly.take(&Record { kind: kind::PART, body }).unwrap(), None);
                }
                let whole = assembly.take(&Record { kind: kind::ENVELOPE, body: last }).unwrap();
                assert_eq!(whole.as_ref(), Some(&envelope));
            }
        }
        let mut assembly = Assembly::default();
        let records = envelope.records().unwrap();
        let come = records.iter().map(|(kind, body)| assembly.take(&Record { kind: *kind, body }).unwrap());
        assert_eq!(come.last().unwrap(), Some(envelope));
    }
    for kind in (0..=u8::MAX).filter(|kind| !matches!(*kind, kind::PART | kind::ENVELOPE)) {
        assert!(Assembly::default().take(&Record { kind, body: b"{\"type\":\"pair-none\"}" }).is_err(), "{kind}");
    }
    for kind in [kind::PART, kind::ENVELOPE] {
        assert!(Assembly::default().take(&Record { kind, body: b"" }).is_err(), "{kind}");
        let mut assembly = Assembly::default();
        for _ in 0..3 {
            let body = vec![b' '; MAX_ENVELOPE_LEN / 3];
            assert_eq!(assembly.take(&Record { kind: kind::PART, body: &body }).unwrap(), None);
        }
        assert!(assembly.take(&Record { kind, body: b" " }).is_err(), "{kind}");
    }
}
