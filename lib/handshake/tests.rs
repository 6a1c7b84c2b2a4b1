#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

use super::*;
use crate::error::Kind;
use crate::json::{self, Value};
use data_encoding::HEXLOWER;

const PATTERNS: &[u8] = include_bytes!("../../tests/vectors/patterns.json");
const FALLBACK: &[u8] = include_bytes!("../../tests/vectors/fallback.json");
const OF_CACOPHONY: [Pattern; 3] = [Pattern::KK, Pattern::KX, Pattern::XK];
const ALL: [Pattern; 4] = [Pattern::KK, Pattern::KX, Pattern::XK, Pattern::KXfallback];

/// The fixed secrets of one party.
struct Party {
    fixed: KeyPair,
    ephemeral: SecretKey,
}

impl Party {
    fn new(fixed: u8, ephemeral: u8) -> Self {
        let secret = |byte| SecretKey::from_bytes(&[byte; KEY_LEN]);
        Party { fixed: KeyPair::from_secret(secret(fixed)), ephemeral: secret(ephemeral) }
    }

    /// Both public keys.
    fn known(&self) -> Known {
        let ephemeral = KeyPair::from_secret(SecretKey::from_bytes(self.ephemeral.expose()));
        Known { fixed: Some(self.fixed.public()), ephemeral: Some(ephemeral.public()) }
    }

    fn begin(&self, pattern: Pattern, role: Role, prologue: &[u8], peer: &Party) -> Handshake<'_> {
        let (all, none) = (peer.known(), Known::default());
        let known = match (pattern, role) {
            (Pattern::KX, Role::Initiator) | (Pattern::XK | Pattern::KXfallback, Role::Responder) => none,
            (Pattern::KXfallback, Role::Initiator) => all,
            _ => Known { ephemeral: None, ..all },
        };
        Handshake::new(pattern, role, prologue, &self.fixed, known, &self.ephemeral).unwrap()
    }
}

/// Two parties, and both ends of a handshake between them.
struct Two {
    initiator: Party,
    responder: Party,
}

impl Two {
    fn new() -> Self {
        Two { initiator: Party::new(1, 2), responder: Party::new(3, 4) }
    }

    fn ends(&self, pattern: Pattern) -> [Handshake<'_>; 2] {
        [
            self.initiator.begin(pattern, Role::Initiator, b"prologue", &self.responder),
            self.responder.begin(pattern, Role::Responder, b"prologue", &self.initiator),
        ]
    }

    /// A whole handshake, in which `meddle` may change a message on its way: both ends' results, or why there are none.
    fn run(&self, pattern: Pattern, meddle: impl Fn(usize, &mut Vec<u8>)) -> Result<[Finished; 2]> {
        let [mut initiator, mut responder] = self.ends(pattern);
        for at in 0..pattern.steps().messages.len() {
            let (writer, reader) =
                if at % 2 == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
            let mut message = writer.write(b"payload")?;
            meddle(at, &mut message);
            reader.read(&message)?;
        }
        Ok([initiator.finish()?, responder.finish()?])
    }
}

#[test]
fn the_published_vectors_of_cacophony_hold() {
    let all: Value = json::parse(PATTERNS, PATTERNS.len()).unwrap();
    let vectors = all["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), OF_CACOPHONY.len());
    for (vector, pattern) in vectors.iter().zip(OF_CACOPHONY) {
        assert_eq!(vector["protocol_name"].as_str().unwrap().as_bytes(), pattern.steps().name);
        let hex = |of: &Value| HEXLOWER.decode(of.as_str().unwrap().as_bytes()).unwrap();
        let secret = |name: &str| SecretKey::from_bytes(&hex(&vector[name]).try_into().unwrap());
        let [fixed, ephemeral] = [["init_static", "resp_static"], ["init_ephemeral", "resp_ephemeral"]];
        let fixed = fixed.map(|name| KeyPair::from_secret(secret(name)));
        let begin = |role, me, ephemeral, prologue, known: &str| {
            let peer = vector.get(known).map(|key| PublicKey::from_bytes(&hex(key)).unwrap());
            let peer = Known { fixed: peer, ephemeral: None };
            Handshake::new(pattern, role, &hex(&vector[prologue]), me, peer, &secret(ephemeral)).unwrap()
        };
        let mut initiator = begin(Role::Initiator, &fixed[0], ephemeral[0], "init_prologue", "init_remote_static");
        let mut responder = begin(Role::Responder, &fixed[1], ephemeral[1], "resp_prologue", "resp_remote_static");

        let messages = vector["messages"].as_array().unwrap();
        let (shaking, after) = messages.split_at(pattern.steps().messages.len());
        for (at, message) in shaking.iter().enumerate() {
            let (writer, reader) =
                if at % 2 == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
            let written = writer.write(&hex(&message["payload"])).unwrap();
            assert_eq!(written, hex(&message["ciphertext"]), "{pattern:?}, message {at}");
            assert_eq!(*reader.read(&written).unwrap(), hex(&message["payload"]));
        }
        let [initiator, responder] = [initiator, responder].map(|end| end.finish().unwrap());
        assert_eq!((initiator.peer, responder.peer), (fixed[1].public(), fixed[0].public()));
        for end in [&initiator, &responder] {
            assert_eq!(end.hash[..], hex(&vector["handshake_hash"]));
            let mut counters = [0, 0];
            for (at, message) in after.iter().enumerate().map(|(at, message)| (at + shaking.len(), message)) {
                let key = if at % 2 == 0 { &end.from_initiator } else { &end.from_responder };
                let mut sealed = hex(&message["payload"]);
                let cipher = CipherKey::new(Suite::ChaChaPoly, key).unwrap();
                let tag = cipher.seal(counters[at % 2], &[], &mut sealed).unwrap();
                sealed.extend(tag);
                assert_eq!(sealed, hex(&message["ciphertext"]), "{pattern:?}, message {at}");
                counters[at % 2] += 1;
            }
            assert!(counters[0] > 0 && counters[1] > 0);
        }
    }
}

#[test]
fn the_vector_of_a_handshake_with_one_message_holds_at_both_ends() {
    let vector: Value = json::parse(FALLBACK, FALLBACK.len()).unwrap();
    let hex = |name: &str| HEXLOWER.decode(vector[name].as_str().unwrap().as_bytes()).unwrap();
    let party = |fixed: &str, ephemeral: &str| {
        let [fixed, ephemeral] = [fixed, ephemeral].map(|of| SecretKey::from_bytes(&hex(of).try_into().unwrap()));
        Party { fixed: KeyPair::from_secret(fixed), ephemeral }
    };
    let pattern = Pattern::KXfallback;
    assert_eq!(vector["protocol_name"].as_str().unwrap().as_bytes(), pattern.steps().name);
    let (from, to) = (party("init_static", "init_ephemeral"), party("resp_static", "resp_ephemeral"));
    let mut initiator = from.begin(pattern, Role::Initiator, &hex("prologue"), &to);
    let mut responder = to.begin(pattern, Role::Responder, &hex("prologue"), &from);
    let message = initiator.write(&hex("payload")).unwrap();
    assert_eq!(message, hex("message"));
    assert_eq!(*responder.read(&message).unwrap(), hex("payload"));
    for (end, peer) in [(initiator, &to), (responder, &from)] {
        let end = end.finish().unwrap();
        assert_eq!(end.peer, peer.fixed.public());
        assert_eq!(end.hash[..], hex("handshake_hash"));
        assert_eq!(end.from_initiator[..], hex("from_initiator"));
        assert_eq!(end.from_responder[..], hex("from_responder"));
    }
}

#[test]
fn what_is_sealed_to_one_ephemeral_key_opens_with_no_other() {
    let two = Two::new();
    let [mut initiator, mut responder] = two.ends(Pattern::KXfallback);
    let message = initiator.write(b"payload").unwrap();
    let others = Party::new(3, 5);
    let mut other = others.begin(Pattern::KXfallback, Role::Responder, b"prologue", &two.initiator);
    assert!(other.read(&message).is_err());
    assert_eq!(*responder.read(&message).unwrap(), b"payload");
}

#[test]
fn a_message_that_is_changed_anywhere_ends_the_handshake() {
    let two = Two::new();
    for pattern in ALL {
        let [one, other] = two.run(pattern, |_, _| {}).unwrap();
        assert!(one.hash == other.hash && one.from_initiator == other.from_initiator);
        for which in 0..pattern.steps().messages.len() {
            let mut length = 0;
            let lengths = std::cell::Cell::new(0);
            while length <= lengths.get() {
                // The last round makes the message one byte longer.
                let outcome = two.run(pattern, |at, message| {
                    if at == which {
                        lengths.set(message.len());
                        match message.get_mut(length) {
                            Some(byte) => *byte ^= 1 << (length % 8),
                            None => message.push(0),
                        }
                    }
                });
                let error = outcome.err().unwrap_or_else(|| panic!("{pattern:?}, message {which}, byte {length}"));
                assert_eq!(error.kind(), Kind::Network, "{error}");
                length += 1;
            }
            for short in 0..lengths.get() {
                let outcome = two.run(pattern, |at, message| message.truncate(if at == which { short } else { 1000 }));
                assert!(outcome.is_err(), "{pattern:?}, message {which}, {short} bytes");
            }
        }
    }
}

#[test]
fn an_unfinished_handshake_is_taken_up_again_from_its_ephemeral_key() {
    let two = Two::new();
    for pattern in [Pattern::KK, Pattern::KX] {
        let [mut before, mut responder] = two.ends(pattern);
        let first = before.write(b"invite").unwrap();
        drop(before);
        assert_eq!(*responder.read(&first).unwrap(), b"invite");
        let second = responder.write(b"ack").unwrap();
        let [mut after, _] = two.ends(pattern);
        assert_eq!(after.write(b"invite").unwrap(), first);
        assert_eq!(*after.read(&second).unwrap(), b"ack");
        assert_eq!(after.finish().unwrap().hash, responder.finish().unwrap().hash);
    }
}

#[test]
fn another_prologue_or_another_key_is_another_handshake() {
    let two = Two::new();
    let stranger = Party::new(5, 6);
    let (from, to) = (&two.initiator, &two.responder);
    let refuses = |mut initiator: Handshake<'_>, mut responder: Handshake<'_>| {
        let message = initiator.write(b"").unwrap();
        assert!(responder.read(&message).is_err());
        assert!(responder.write(b"").is_err(), "it goes on after a failure");
        assert!(responder.finish().is_err());
    };
    let good = || two.responder.begin(Pattern::KK, Role::Responder, b"prologue", from);
    refuses(two.initiator.begin(Pattern::KK, Role::Initiator, b"other", to), good());
    refuses(two.initiator.begin(Pattern::KK, Role::Initiator, b"prologue", &stranger), good());
    refuses(stranger.begin(Pattern::KK, Role::Initiator, b"prologue", to), good());
    refuses(two.initiator.begin(Pattern::XK, Role::Initiator, b"prologue", to), good());
}

#[test]
fn a_key_of_low_order_or_with_a_second_name_is_refused() {
    let two = Two::new();
    let mut two_pow_255 = two.initiator.fixed.public().as_bytes().to_vec();
    two_pow_255[31] |= 0x80;
    for key in [vec![0; 32], [vec![1], vec![0; 31]].concat(), two_pow_255] {
        for pattern in ALL {
            let [_, mut responder] = two.ends(pattern);
            let error = responder.read(&[key.clone(), vec![7; 40]].concat()).unwrap_err();
            assert!(error.to_string().contains("a key in a handshake message"), "{error}");
        }
    }
}

#[test]
fn messages_come_in_their_turn_and_only_the_last_one_finishes() {
    let two = Two::new();
    for pattern in OF_CACOPHONY {
        let [mut initiator, mut responder] = two.ends(pattern);
        assert!(responder.write(b"").is_err() && initiator.read(&[0; 64]).is_err());
        let first = initiator.write(b"").unwrap();
        assert!(initiator.write(b"").is_err());
        responder.read(&first).unwrap();
        assert!(responder.read(&first).is_err());
        assert!(responder.finish().is_err() && initiator.finish().is_err());
    }
    let [mut initiator, _] = two.ends(Pattern::KK);
    assert!(initiator.write(&vec![0; MAX_MESSAGE_LEN]).is_err());
}

#[test]
fn a_handshake_with_one_message_has_no_second() {
    let two = Two::new();
    let [mut initiator, mut responder] = two.ends(Pattern::KXfallback);
    assert!(responder.write(b"").is_err() && initiator.read(&[0; 112]).is_err());
    let message = initiator.write(b"").unwrap();
    responder.read(&message).unwrap();
    assert!(initiator.write(b"").is_err() && responder.write(b"").is_err());
    assert!(initiator.read(&message).is_err() && responder.read(&message).is_err());
}

#[test]
fn a_pattern_is_given_the_keys_that_it_knows_and_no_others() {
    let two = Two::new();
    let peer = two.responder.known();
    for pattern in ALL {
        for role in [Role::Initiator, Role::Responder] {
            let needs = match (pattern, role) {
                (Pattern::KX, Role::Initiator) | (Pattern::XK | Pattern::KXfallback, Role::Responder) => [false, false],
                (Pattern::KXfallback, Role::Initiator) => [true, true],
                _ => [true, false],
            };
            for given in [[false, false], [true, false], [false, true], [true, true]] {
                let [fixed, ephemeral] = given;
                let known =
                    Known { fixed: peer.fixed.filter(|_| fixed), ephemeral: peer.ephemeral.filter(|_| ephemeral) };
                let me = &two.initiator;
                let begun = Handshake::new(pattern, role, b"", &me.fixed, known, &me.ephemeral);
                assert_eq!(begun.is_ok(), given == needs, "{pattern:?}, {role:?}, {given:?}");
            }
        }
    }
}
