//! The handshake against fixed values, byte by byte. What a liar can do is in [`forged`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

mod forged;

use super::*;
use crate::json::{self, Value};
use crate::key::SecretKey;
use crate::seal::CipherKey;
use data_encoding::HEXLOWER;

const HANDSHAKE: &[u8] = include_bytes!("../../tests/vectors/handshake.json");
const CACOPHONY: &[u8] = include_bytes!("../../tests/vectors/cacophony.json");
const REQUEST: &[u8] = b"{}";
const SUITES: [Suite; 2] = [Suite::AesGcm, Suite::ChaChaPoly];

fn load(bytes: &[u8]) -> Value {
    json::parse(bytes, bytes.len()).unwrap()
}

fn hex(of: &Value, name: &str) -> Vec<u8> {
    HEXLOWER.decode(of[name].as_str().unwrap_or_else(|| panic!("no {name}")).as_bytes()).unwrap()
}

fn hex32(of: &Value, name: &str) -> [u8; 32] {
    hex(of, name).try_into().unwrap()
}

/// Both parties with the fixed secrets of the vector.
struct Fixed {
    keys: Value,
    dialer: KeyPair,
    listener: KeyPair,
    suites: Vec<Value>,
}

impl Fixed {
    fn new() -> Self {
        let all = load(HANDSHAKE);
        let keys = all["keys"].clone();
        let pair = |name: &str| KeyPair::from_secret(SecretKey::from_bytes(&hex32(&keys, name)));
        let (dialer, listener) = (pair("dialer_static_secret"), pair("listener_static_secret"));
        Fixed { dialer, listener, suites: all["suites"].as_array().unwrap().clone(), keys }
    }

    fn dial(&self, preface: Preface, service: &str, to: &PublicKey) -> (Initiator, Vec<u8>) {
        let kem = DecapsulationKey::new(&ML_KEM_768, &hex(&self.keys, "mlkem_decapsulation_key")).unwrap();
        let ephemeral = hex32(&self.keys, "dialer_ephemeral_secret");
        let encapsulation = hex(&self.keys, "mlkem_encapsulation_key");
        Initiator::with(&self.dialer, to, preface, service, Some(&ephemeral), kem, &encapsulation).unwrap()
    }

    fn answer(&self, preface: Preface, service: &str, i1: &[u8]) -> Result<(Responder, Vec<u8>)> {
        self.answer_with(preface, service, i1, hex(&self.keys, "mlkem_shared_secret"))
    }

    fn answer_with(&self, preface: Preface, service: &str, i1: &[u8], psk: Vec<u8>) -> Result<(Responder, Vec<u8>)> {
        let ephemeral = hex32(&self.keys, "listener_ephemeral_secret");
        Responder::with(&self.listener, preface, service, i1, Some(&ephemeral), |encapsulation| {
            assert_eq!(encapsulation, hex(&self.keys, "mlkem_encapsulation_key"));
            Ok((hex(&self.keys, "mlkem_ciphertext"), Zeroizing::new(psk)))
        })
    }

    /// A dialer that waits for I2, and the messages that would follow each other without an accident.
    fn messages(&self, preface: Preface) -> [Vec<u8>; 3] {
        let (initiator, i1) = self.dial(preface, "pty", &self.listener.public());
        let (_, i2) = self.answer(preface, "pty", &i1).unwrap();
        let (i3, _) = initiator.read_i2(&i2).unwrap().finish(REQUEST).unwrap();
        [i1, i2, i3]
    }
}

fn preface_of(vector: &Value) -> Preface {
    Preface::from_bytes(hex(vector, "preface").try_into().unwrap()).unwrap()
}

/// Each byte with one bit flipped, every bit of the ephemeral or static key in front, and one byte less and one more.
fn damaged(message: &[u8]) -> Vec<Vec<u8>> {
    let flips = (0..message.len()).flat_map(|at| {
        let bits = if at < 32 { 0..8 } else { at % 8..at % 8 + 1 };
        bits.map(move |bit| (at, bit))
    });
    let mut all: Vec<Vec<u8>> = flips
        .map(|(at, bit)| {
            let mut changed = message.to_vec();
            changed[at] ^= 1 << bit;
            changed
        })
        .collect();
    all.push(message[..message.len() - 1].to_vec());
    all.push([message, &[0]].concat());
    all
}

#[test]
fn the_messages_of_both_suites_are_those_of_the_vector() {
    let fixed = Fixed::new();
    for (party, name) in [(&fixed.dialer, "dialer"), (&fixed.listener, "listener")] {
        assert_eq!(party.public().as_bytes()[..], hex(&fixed.keys, &format!("{name}_static_public")));
        assert_eq!(party.public().to_string(), fixed.keys[format!("{name}_static_text")].as_str().unwrap());
    }
    for (vector, suite) in fixed.suites.iter().zip(SUITES) {
        let preface = preface_of(vector);
        assert_eq!(preface, Preface::new(suite));
        assert_eq!(preface.protocol_name(), vector["protocol_name"].as_str().unwrap());
        let service = vector["service"].as_str().unwrap();
        assert_eq!(preface.prologue(service), hex(vector, "prologue"));

        let (initiator, i1) = fixed.dial(preface, service, &fixed.listener.public());
        assert_eq!(i1, hex(vector, "i1"));
        assert_eq!(i1.len(), I1_LEN);
        let (responder, i2) = fixed.answer(preface, service, &i1).unwrap();
        assert_eq!(i2, hex(vector, "i2"));
        assert_eq!(i2.len(), I2_LEN);
        let request = vector["request"].as_str().unwrap().as_bytes();
        let (i3, dialer) = initiator.read_i2(&i2).unwrap().finish(request).unwrap();
        assert_eq!(i3, hex(vector, "i3"));
        assert_eq!(i3.len(), I3_OVERHEAD + request.len());
        let accepted = responder.read_i3(&i3).unwrap();
        assert_eq!((accepted.peer, accepted.request.as_slice()), (fixed.dialer.public(), request));
        assert_eq!(dialer.channel_binding[..], hex(vector, "handshake_hash"));
        assert_eq!(accepted.transport.channel_binding[..], hex(vector, "handshake_hash"));

        let records = vector["records"].as_array().unwrap();
        compare(records, "dialer", 0xf0, dialer.sealer, accepted.transport.opener);
        compare(records, "listener", 0xf1, accepted.transport.sealer, dialer.opener);
        for (from, filler) in [("dialer", 0xf0), ("listener", 0xf1)] {
            let key = hex32(vector, &format!("key_from_{from}"));
            let (sealer, opener) = (Sealer::new(suite, &key).unwrap(), Opener::new(suite, &key).unwrap());
            compare(records, from, filler, sealer, opener);
        }
    }
}

/// Seals one direction of the vector from record 0 on, over the change of keys, and opens it.
fn compare(records: &[Value], from: &str, filler: u8, mut sealer: Sealer, mut opener: Opener) {
    let listed: Vec<&Value> = records.iter().filter(|record| record["from"] == from).collect();
    let last = listed.iter().map(|record| record["number"].as_u64().unwrap()).max().unwrap();
    assert!(last > crate::record::REKEY_EVERY);
    for number in 0..=last {
        let record = listed.iter().find(|record| record["number"] == number);
        let (kind, body) = match record {
            Some(record) => (u8::try_from(record["type"].as_u64().unwrap()).unwrap(), hex(record, "body")),
            None => (filler, Vec::new()),
        };
        let mut wire = Vec::new();
        sealer.seal(kind, &[&body], &mut wire).unwrap();
        if let Some(record) = record {
            assert_eq!(wire, hex(record, "wire"), "record {number} from the {from}");
        }
        assert_eq!(opener.open(&mut wire[2..]).unwrap(), (kind, body.as_slice()));
    }
}

#[test]
fn the_published_vectors_of_cacophony_hold_for_our_primitives() {
    let all = load(CACOPHONY);
    let vectors = all["vectors"].as_array().unwrap();
    for (vector, suite) in vectors.iter().zip(SUITES) {
        assert_eq!(vector["protocol_name"], Preface::new(suite).protocol_name());
        let psk: [u8; 32] =
            HEXLOWER.decode(vector["init_psks"][0].as_str().unwrap().as_bytes()).unwrap().try_into().unwrap();
        let [prologue, init_s, init_e, resp_s, resp_e, remote] =
            ["init_prologue", "init_static", "init_ephemeral", "resp_static", "resp_ephemeral", "init_remote_static"]
                .map(|name| hex(vector, name));
        let party = |own: &[u8], ephemeral: &[u8], remote: Option<&[u8]>| {
            let name = vector["protocol_name"].as_str().unwrap();
            let builder = Builder::with_resolver(name.parse().unwrap(), Box::new(Primitives));
            let builder = builder.psk(3, &psk).unwrap().prologue(&prologue).unwrap().local_private_key(own).unwrap();
            let builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
            match remote {
                Some(remote) => builder.remote_public_key(remote).unwrap().build_initiator().unwrap(),
                None => builder.build_responder().unwrap(),
            }
        };
        let (mut dialer, mut listener) = (party(&init_s, &init_e, Some(&remote)), party(&resp_s, &resp_e, None));
        let messages = vector["messages"].as_array().unwrap();
        for (at, message) in messages.iter().take(3).enumerate() {
            let (payload, expected) = (hex(message, "payload"), hex(message, "ciphertext"));
            let (writer, reader) = if at == 1 { (&mut listener, &mut dialer) } else { (&mut dialer, &mut listener) };
            let written = write(writer, &payload).unwrap();
            assert_eq!(written, expected);
            assert_eq!(read(reader, &written).unwrap(), payload);
        }
        assert_eq!(dialer.get_handshake_hash(), hex(vector, "handshake_hash"));
        assert_eq!(listener.get_handshake_hash(), hex(vector, "handshake_hash"));
        let (from_dialer, from_listener) = dialer.dangerously_get_raw_split();
        for (at, message) in messages.iter().enumerate().skip(3) {
            // The two sides take turns, and the listener begins.
            let key = CipherKey::new(suite, if at % 2 == 1 { &from_listener } else { &from_dialer }).unwrap();
            let counter = (at as u64 - 3) / 2;
            let mut text = hex(message, "payload");
            let tag = key.seal(counter, &[], &mut text).unwrap();
            assert_eq!([text, tag.to_vec()].concat(), hex(message, "ciphertext"), "message {at}");
        }
    }
    assert_eq!(vectors.len(), 2);
}

#[test]
fn an_i1_that_is_changed_anywhere_is_refused() {
    let fixed = Fixed::new();
    for preface in SUITES.map(Preface::new) {
        let [i1, ..] = fixed.messages(preface);
        assert!(fixed.answer(preface, "pty", &i1).is_ok());
        for (at, wrong) in damaged(&i1).iter().enumerate() {
            assert!(fixed.answer(preface, "pty", wrong).is_err(), "damage {at}");
        }
    }
}

#[test]
fn an_i2_that_is_changed_anywhere_is_refused() {
    let fixed = Fixed::new();
    for preface in SUITES.map(Preface::new) {
        let [_, i2, _] = fixed.messages(preface);
        for (at, wrong) in damaged(&i2).iter().enumerate() {
            let (initiator, _) = fixed.dial(preface, "pty", &fixed.listener.public());
            assert!(initiator.read_i2(wrong).is_err(), "damage {at}");
        }
    }
}

#[test]
fn an_i3_that_is_changed_anywhere_is_refused() {
    let fixed = Fixed::new();
    for preface in SUITES.map(Preface::new) {
        let [i1, _, i3] = fixed.messages(preface);
        for (at, wrong) in damaged(&i3).iter().enumerate() {
            let (responder, _) = fixed.answer(preface, "pty", &i1).unwrap();
            assert!(responder.read_i3(wrong).is_err(), "damage {at}");
        }
    }
}

#[test]
fn a_preface_that_is_changed_anywhere_is_refused() {
    let fixed = Fixed::new();
    for suite in SUITES {
        let [i1, ..] = fixed.messages(Preface::new(suite));
        let sent = Preface::new(suite).to_bytes();
        for changed in (0..=u16::MAX).map(u16::to_be_bytes).filter(|changed| *changed != sent) {
            // Another suite that is known is a preface too: I1 does not open under it.
            let outcome = Preface::from_bytes(changed).and_then(|preface| fixed.answer(preface, "pty", &i1));
            assert!(outcome.is_err(), "{changed:?}");
        }
    }
}

#[test]
fn a_dial_for_another_service_or_another_key_is_refused() {
    let fixed = Fixed::new();
    for preface in SUITES.map(Preface::new) {
        let [i1, ..] = fixed.messages(preface);
        for service in ["pipe", "pt", "ptyy", "PTY", ""] {
            assert!(fixed.answer(preface, service, &i1).is_err(), "{service}");
        }
        let (_, for_another) = fixed.dial(preface, "pty", &fixed.dialer.public());
        assert!(fixed.answer(preface, "pty", &for_another).is_err());
    }
}

#[test]
fn two_sides_that_do_not_share_the_kem_secret_do_not_finish() {
    let fixed = Fixed::new();
    for preface in SUITES.map(Preface::new) {
        let (initiator, i1) = fixed.dial(preface, "pty", &fixed.listener.public());
        let (responder, i2) = fixed.answer_with(preface, "pty", &i1, vec![7; 32]).unwrap();
        let (i3, _) = initiator.read_i2(&i2).unwrap().finish(REQUEST).unwrap();
        assert!(responder.read_i3(&i3).is_err());
    }
}

#[test]
fn two_handshakes_between_the_same_keys_share_nothing() {
    let fixed = Fixed::new();
    let finish = || {
        let preface = Preface::new(Suite::AesGcm);
        let (initiator, i1) = Initiator::start(&fixed.dialer, &fixed.listener.public(), preface, "pty").unwrap();
        let (responder, i2) = Responder::start(&fixed.listener, preface, "pty", &i1).unwrap();
        let (i3, dialer) = initiator.read_i2(&i2).unwrap().finish(REQUEST).unwrap();
        let accepted = responder.read_i3(&i3).unwrap();
        assert_eq!(dialer.channel_binding, accepted.transport.channel_binding);
        (i1, i2, i3, dialer.channel_binding)
    };
    let (one, other) = (finish(), finish());
    assert!(one.0[..32] != other.0[..32] && one.1[..32] != other.1[..32] && one.2 != other.2 && one.3 != other.3);
}

#[test]
fn a_request_may_be_as_long_as_its_limit_and_no_longer() {
    let fixed = Fixed::new();
    let preface = Preface::new(Suite::ChaChaPoly);
    for (length, good) in [(0, true), (MAX_REQUEST_LEN, true), (MAX_REQUEST_LEN + 1, false)] {
        let (initiator, i1) = fixed.dial(preface, "pty", &fixed.listener.public());
        let (responder, i2) = fixed.answer(preface, "pty", &i1).unwrap();
        let finished = initiator.read_i2(&i2).unwrap().finish(&vec![b' '; length]);
        assert_eq!(finished.is_ok(), good);
        if let Ok((i3, _)) = finished {
            assert_eq!(responder.read_i3(&i3).unwrap().request.len(), length);
        }
    }
}
