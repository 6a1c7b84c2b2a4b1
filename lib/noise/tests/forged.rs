//! Keys that are nobody's: a party that shows a low-order point, or a second name of a key, and computes as it must to
//! get away with it.

use super::super::primitives::Primitives;
use super::*;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};

/// The secret whose public key is forged.
const FORGED: [u8; 32] = [0x46; 32];

/// What the forger shows in place of the public key of [`FORGED`].
#[derive(Clone, Copy)]
enum Claim {
    /// This point; every exchange with it gives zero.
    Point([u8; 32]),
    /// The key itself with bit 255 set, which X25519 ignores.
    Alias,
    /// The key itself: the control that shows that only the claim makes the difference.
    Honest,
}

/// Our primitives, but an X25519 that lies for one secret and takes zero for a result.
struct Forger(Claim);

struct Lying {
    real: Box<dyn Dh>,
    claim: Claim,
    shown: [u8; 32],
    forged: bool,
}

impl CryptoResolver for Forger {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Primitives.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        let real = Primitives.resolve_dh(choice)?;
        Some(Box::new(Lying { real, claim: self.0, shown: [0; 32], forged: false }))
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        Primitives.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Primitives.resolve_cipher(choice)
    }
}

impl Dh for Lying {
    fn name(&self) -> &'static str {
        self.real.name()
    }

    fn pub_len(&self) -> usize {
        self.real.pub_len()
    }

    fn priv_len(&self) -> usize {
        self.real.priv_len()
    }

    fn set(&mut self, secret: &[u8]) {
        self.real.set(secret);
        self.shown.copy_from_slice(self.real.pubkey());
        self.forged = secret == FORGED;
        match self.claim {
            Claim::Point(point) if self.forged => self.shown = point,
            Claim::Alias if self.forged => self.shown[31] |= 0x80,
            _ => {}
        }
    }

    fn generate(&mut self, random: &mut dyn Random) -> std::result::Result<(), snow::Error> {
        let mut secret = [0; 32];
        random.try_fill_bytes(&mut secret)?;
        self.set(&secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.shown
    }

    fn privkey(&self) -> &[u8] {
        self.real.privkey()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> std::result::Result<(), snow::Error> {
        out[..32].fill(0);
        match self.claim {
            Claim::Point(_) if self.forged => Ok(()),
            // What an implementation without the check would do: zero is as good as anything.
            _ => self.real.dh(public, out).or(Ok(())),
        }
    }
}

/// The seven low-order points (RFC 7748 and its errata; cr.yp.to/ecdh.html) and the same with bit 255 set.
fn low_order_points() -> Vec<[u8; 32]> {
    let mut points = vec![[0; 32], [0; 32]];
    points[1][0] = 1;
    for eight in [
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ] {
        points.push(HEXLOWER.decode(eight.as_bytes()).unwrap().try_into().unwrap());
    }
    for first in [0xec, 0xed, 0xee] {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (first, 0x7f);
        points.push(point);
    }
    let aliases: Vec<[u8; 32]> = points
        .iter()
        .copied()
        .map(|mut point| {
            point[31] |= 0x80;
            point
        })
        .collect();
    [points, aliases].concat()
}

/// A dialer or listener with a lie in its static or its ephemeral key.
fn forger(
    claim: Claim,
    preface: Preface,
    own: &[u8; 32],
    ephemeral: &[u8; 32],
    to: Option<&PublicKey>,
) -> HandshakeState {
    let prologue = preface.prologue("pty");
    let builder = Builder::with_resolver(preface.protocol_name().parse().unwrap(), Box::new(Forger(claim)));
    let builder = builder.local_private_key(own).unwrap().prologue(&prologue).unwrap();
    let builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
    match to {
        Some(to) => builder.remote_public_key(to.as_bytes()).unwrap().build_initiator().unwrap(),
        None => builder.build_responder().unwrap(),
    }
}

/// A forged dialer against our listener, up to the listener's verdict on I1 and on I3.
fn dial(claim: Claim, preface: Preface, own: &[u8; 32], ephemeral: &[u8; 32]) -> (bool, Option<Result<Accepted>>) {
    let fixed = Fixed::new();
    let mut noise = forger(claim, preface, own, ephemeral, Some(&fixed.listener.public()));
    let i1 = write(&mut noise, &hex(&fixed.keys, "mlkem_encapsulation_key")).unwrap();
    let Ok((responder, i2)) = fixed.answer(preface, "pty", &i1) else { return (false, None) };
    read(&mut noise, &i2).unwrap();
    noise.set_psk(PSK_LOCATION, &hex(&fixed.keys, "mlkem_shared_secret")).unwrap();
    (true, Some(responder.read_i3(&write(&mut noise, REQUEST).unwrap())))
}

/// A forged listener against our dialer: whether the dialer takes its I2.
fn listen(claim: Claim, preface: Preface) -> bool {
    let fixed = Fixed::new();
    let own = hex32(&fixed.keys, "listener_static_secret");
    let (initiator, i1) = fixed.dial(preface, "pty", &fixed.listener.public());
    let mut noise = forger(claim, preface, &own, &FORGED, None);
    read(&mut noise, &i1).unwrap();
    let i2 = write(&mut noise, &hex(&fixed.keys, "mlkem_ciphertext")).unwrap();
    initiator.read_i2(&i2).is_ok()
}

#[test]
fn a_low_order_ephemeral_key_is_refused_by_both_sides() {
    for preface in SUITES.map(Preface::new) {
        assert!(matches!(dial(Claim::Honest, preface, &[9; 32], &FORGED), (true, Some(Ok(_)))));
        assert!(listen(Claim::Honest, preface));
        for point in low_order_points() {
            assert!(!dial(Claim::Point(point), preface, &[9; 32], &FORGED).0, "the listener takes {point:?}");
            assert!(!listen(Claim::Point(point), preface), "the dialer takes {point:?}");
        }
    }
}

#[test]
fn a_low_order_static_key_in_i3_is_refused() {
    for preface in SUITES.map(Preface::new) {
        assert!(matches!(dial(Claim::Honest, preface, &FORGED, &[9; 32]), (true, Some(Ok(_)))));
        for point in low_order_points() {
            let (begun, verdict) = dial(Claim::Point(point), preface, &FORGED, &[9; 32]);
            assert!(begun && verdict.unwrap().is_err(), "{point:?}");
        }
    }
}

#[test]
fn a_forger_gets_away_with_a_low_order_key_where_zero_is_not_refused() {
    // Without this the tests above might pass because the forger is no good.
    let fixed = Fixed::new();
    let preface = Preface::new(Suite::AesGcm);
    for point in low_order_points() {
        let mut dialer = forger(Claim::Point(point), preface, &FORGED, &FORGED, Some(&fixed.listener.public()));
        let mut listener =
            forger(Claim::Honest, preface, &hex32(&fixed.keys, "listener_static_secret"), &[8; 32], None);
        read(&mut listener, &write(&mut dialer, b"").unwrap()).unwrap();
        read(&mut dialer, &write(&mut listener, b"").unwrap()).unwrap();
        for side in [&mut dialer, &mut listener] {
            side.set_psk(PSK_LOCATION, &[7; 32]).unwrap();
        }
        read(&mut listener, &write(&mut dialer, b"").unwrap()).unwrap();
        assert_eq!(listener.get_remote_static().unwrap(), point);
    }
}

#[test]
fn a_second_name_of_a_key_is_refused_after_i3() {
    for preface in SUITES.map(Preface::new) {
        let (begun, verdict) = dial(Claim::Alias, preface, &FORGED, &[9; 32]);
        let why = verdict.unwrap().err().unwrap().to_string();
        assert!(begun && why.contains("not a canonical key"), "{why}");
    }
}
