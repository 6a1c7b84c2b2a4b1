use super::*;
use crate::handshake::{Handshake, Known, Pattern, Role};
use crate::json::Value;
use crate::proto::chat::Hello;
use data_encoding::HEXLOWER;

const CHAT: &[u8] = include_bytes!("../../../tests/vectors/chat.json");

fn hex(of: &Value) -> Vec<u8> {
    HEXLOWER.decode(of.as_str().unwrap().as_bytes()).unwrap()
}

fn fixed<const N: usize>(of: &Value) -> [u8; N] {
    hex(of).try_into().unwrap()
}

fn secret(of: &Value) -> SecretKey {
    SecretKey::from_bytes(&fixed(of))
}

fn text(of: &Value) -> &str {
    of.as_str().unwrap()
}

/// The pairing of the vector, whole.
fn paired(of: &Value) -> [Ratchet; 2] {
    let [initiator, responder] =
        ["initiator_static_secret", "responder_static_secret"].map(|name| KeyPair::from_secret(secret(&of[name])));
    let (from, to) = (initiator.public(), responder.public());
    assert_eq!(hex(&of["initiator_static_public"]), from.as_bytes());
    let expires = of["expires"].as_u64().unwrap().to_be_bytes();
    let prologue = [b"keywire pair v1", &from.as_bytes()[..], to.as_bytes(), &hex(&of["invite"]), &expires].concat();
    assert_eq!(hex(&of["prologue"]), prologue);
    let begin = |role, me, peer, ephemeral: &str| {
        Handshake::new(Pattern::KK, role, &prologue, me, Known::fixed(peer), &secret(&of[ephemeral])).unwrap()
    };
    let mut a = begin(Role::Initiator, &initiator, to, "initiator_ephemeral_secret");
    let mut b = begin(Role::Responder, &responder, from, "responder_ephemeral_secret");
    let invite = a.write(text(&of["introduction"]).as_bytes()).unwrap();
    assert_eq!(invite, hex(&of["pair_invite"]));
    assert_eq!(*b.read(&invite).unwrap(), text(&of["introduction"]).as_bytes());
    let ack = b.write(text(&of["answer"]).as_bytes()).unwrap();
    assert_eq!(ack, hex(&of["pair_ack"]));
    assert_eq!(*a.read(&ack).unwrap(), text(&of["answer"]).as_bytes());
    let (a, b) = (a.finish().unwrap(), b.finish().unwrap());
    assert_eq!(a.hash[..], hex(&of["handshake_hash"]));
    assert_eq!(a.from_initiator[..], hex(&of["from_initiator"]));
    assert_eq!(a.from_responder[..], hex(&of["from_responder"]));
    [Ratchet::begin(&a, from, NOW), Ratchet::begin(&b, to, NOW)]
}

/// Sends the messages of the vector.
fn send(from: &mut Ratchet, to: &mut Ratchet, messages: &Value) {
    for one in messages.as_array().unwrap() {
        let id = |name: &str| one.get(name).map(|id| text(id).parse().unwrap());
        let head = Head {
            id: id("id").unwrap(),
            ack: one["ack"].as_bool().unwrap(),
            time: one["time"].as_u64().unwrap(),
            ttl: one.get("ttl").and_then(Value::as_u64),
            reply_to: id("reply_to"),
        };
        assert_eq!(*advance(&mut from.sending.clone()).0, fixed(&one["seed"]));
        let slot = from.next_with(&head, text(&one["text"]).as_bytes(), fixed(&one["nonce"])).unwrap();
        assert_eq!(*slot.key.0, fixed(&one["key"]));
        assert_eq!(from.bound(slot.ep, slot.n, &from.me, &from.peer, &head), hex(&one["aad"]));
        let message = from.seal(&slot, &head, text(&one["text"]).as_bytes()).unwrap();
        assert_eq!((message.ep, message.n), (one["ep"].as_u64().unwrap(), one["n"].as_u64().unwrap()));
        assert_eq!(message.ct.0, hex(&one["ct"]));
        let opened = to.open(&message).unwrap();
        assert_eq!(opened.text.as_slice(), text(&one["text"]).as_bytes());
        assert_eq!(opened.saved.mac.0, hex(&one["ack_mac"]));
        assert!(slot.is_acknowledged_by(&opened.saved));
    }
}

fn check_hello(hello: &Hello, shown: &Value) {
    assert_eq!((hello.ep, hello.sent), (shown["ep"].as_u64().unwrap(), shown["sent"].as_u64().unwrap()));
    assert_eq!((hello.seen, hello.proven), (shown["seen"].as_u64().unwrap(), shown["proven"].as_bool().unwrap()));
    assert_eq!(hello.acked, shown["acked"].as_u64().unwrap());
    assert_eq!((&hello.step.0, hello.want), (&hex(&shown["step"]), shown["want"].as_bool().unwrap()));
    assert_eq!(hello.mac.0, hex(&shown["mac"]));
}

#[test]
fn a_pairing_its_messages_and_a_step_are_those_of_the_vector() {
    let all: Value = json::parse(CHAT, CHAT.len()).unwrap();
    let pairing = &all["pairing"];
    let [mut a, mut b] = paired(pairing);
    assert_eq!(a.pair()[..], hex(&pairing["pair"]));
    assert_eq!(*a.recover.0, fixed(&pairing["recover"]));
    assert_eq!(*a.hello.0, fixed(&pairing["hello"]));
    assert_eq!(*a.confirm.0, fixed(&pairing["confirm"]));
    assert_eq!(a.confirm(fixed(&pairing["invite"]))[..], hex(&pairing["confirm_mac"]));

    let first = &all["first_epoch"];
    assert_eq!(*a.newest.step.0, fixed(&first["step"]));
    assert_eq!(*a.sending.0, fixed(&first["chain_of_initiator"]));
    assert_eq!(*b.sending.0, fixed(&first["chain_of_responder"]));
    assert_eq!(*a.newest.our_acks.0, fixed(&first["acks_of_initiator"]));
    assert_eq!(*b.newest.our_acks.0, fixed(&first["acks_of_responder"]));
    send(&mut a, &mut b, &first["from_initiator"]);
    send(&mut b, &mut a, &first["from_responder"]);

    let meeting = &all["meeting"];
    let binding = fixed(&meeting["channel_binding"]);
    let step = |name: &str| KeyPair::from_secret(secret(&meeting[name]));
    let recover = a.recover.clone();
    let ours = a.hello_with(&binding, true, step("initiator_step_secret"));
    let theirs = b.hello_with(&binding, false, step("responder_step_secret"));
    check_hello(ours.hello(), &meeting["hello_of_initiator"]);
    check_hello(theirs.hello(), &meeting["hello_of_responder"]);
    let (from_a, from_b) = (ours.hello().clone(), theirs.hello().clone());
    let stepped = Meeting { stepped: true, ..Meeting::default() };
    assert_eq!(a.meet(ours, &from_b, &binding, NOW).unwrap(), stepped);
    assert_eq!(b.meet(theirs, &from_a, &binding, NOW).unwrap(), stepped);
    assert_eq!(a.newest.ep, meeting["ep"].as_u64().unwrap());
    for (salt, name) in [(&a.old[0].step, "root"), (&recover, "recovered_root")] {
        let (one, other) = (step("initiator_step_secret"), step("responder_step_secret"));
        let agreed = one.secret().agree(&other.public()).unwrap();
        let (lower, higher) = (one.public(), other.public());
        let info: [&[u8]; 4] = [b"keywire epoch v1", &[0, 0, 0, 1], lower.as_bytes(), higher.as_bytes()];
        assert_eq!(*kdf::derive(salt.0.as_ref(), agreed.as_ref(), &info), fixed(&meeting[name]));
    }
    send(&mut a, &mut b, &all["second_epoch"]["from_initiator"]);
}
