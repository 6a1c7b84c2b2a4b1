//! The handshake: Noise XKpsk3, whose psk is an ML-KEM-768 secret made on the way.
//!
//! keywire-protocol(7), HANDSHAKE, uses the same labels: I1, I2 and I3. Every step consumes the state, so nothing can be
//! tried twice after an error. Nothing here knows a socket.

mod primitives;
#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::key::{KeyPair, PublicKey};
use crate::record::{Opener, Sealer};
use crate::seal::{Suite, TAG_LEN};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use primitives::Primitives;
use snow::{Builder, HandshakeState};
use zeroize::{Zeroize, Zeroizing};

/// The version of everything on the wire.
pub const WIRE_VERSION: u8 = 1;

/// Bytes of the preface: version and suite.
pub const PREFACE_LEN: usize = 2;

/// Bytes of I1: an ephemeral key, and the sealed ML-KEM-768 encapsulation key (FIPS 203, table 3).
pub const I1_LEN: usize = 32 + 1184 + TAG_LEN;

/// Bytes of I2: an ephemeral key, and the sealed ML-KEM-768 ciphertext.
pub const I2_LEN: usize = 32 + 1088 + TAG_LEN;

/// Bytes of I3 around the request: the dialer's sealed static key, and the request's tag.
pub const I3_OVERHEAD: usize = 32 + TAG_LEN + TAG_LEN;

/// Largest request in I3. It is JSON: an operation, a command, a few names.
pub const MAX_REQUEST_LEN: usize = 16 << 10;

/// Where the psk stands in the pattern.
pub const PSK_LOCATION: usize = 3;

/// What each side knows before a byte is sent: who dials which service with which cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preface {
    suite: Suite,
}

impl Preface {
    /// The preface of a dialer that wants `suite`.
    #[must_use]
    pub fn new(suite: Suite) -> Self {
        Preface { suite }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; PREFACE_LEN] {
        let suite = match self.suite {
            Suite::AesGcm => 1,
            Suite::ChaChaPoly => 2,
        };
        [WIRE_VERSION, suite]
    }

    /// Reads the bytes from the wire.
    ///
    /// # Errors
    /// Another version, or a suite that is not known.
    pub fn from_bytes(bytes: [u8; PREFACE_LEN]) -> Result<Self> {
        match bytes {
            [WIRE_VERSION, 1] => Ok(Preface { suite: Suite::AesGcm }),
            [WIRE_VERSION, 2] => Ok(Preface { suite: Suite::ChaChaPoly }),
            [WIRE_VERSION, suite] => Err(Error::protocol(format!("suite {suite} is not known"))),
            [version, _] => Err(Error::protocol(format!("wire version {version} is not known"))),
        }
    }

    /// Bound into the handshake by both sides, so that a changed preface or another service makes I1 fail.
    #[must_use]
    pub fn prologue(self, service: &str) -> Vec<u8> {
        [b"keywire", &self.to_bytes()[..], service.as_bytes()].concat()
    }

    /// The handshake's full name (Noise specification, section 8).
    #[must_use]
    pub fn protocol_name(self) -> &'static str {
        match self.suite {
            Suite::AesGcm => "Noise_XKpsk3_25519_AESGCM_BLAKE2b",
            Suite::ChaChaPoly => "Noise_XKpsk3_25519_ChaChaPoly_BLAKE2b",
        }
    }
}

/// What a finished handshake leaves: one key for each direction, and a name for the connection that both ends know.
pub struct Transport {
    /// Seals what this side sends.
    pub sealer: Sealer,
    /// Opens what the other side sends.
    pub opener: Opener,
    /// The handshake hash: the same at both ends, and different for every connection (Noise specification, 11.2).
    pub channel_binding: [u8; 64],
}

/// The dialer between I1 and I2.
pub struct Initiator {
    noise: HandshakeState,
    kem: DecapsulationKey,
    suite: Suite,
}

/// The dialer that has read I2 and may send I3.
pub struct Confirmed {
    noise: HandshakeState,
    suite: Suite,
}

impl Initiator {
    /// Begins to dial `service` of `peer`: the state, and I1.
    ///
    /// # Errors
    /// No random numbers.
    pub fn start(me: &KeyPair, peer: &PublicKey, preface: Preface, service: &str) -> Result<(Self, Vec<u8>)> {
        let kem = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| kem_failed())?;
        let encapsulation = kem.encapsulation_key().and_then(|key| key.key_bytes()).map_err(|_| kem_failed())?;
        Self::with(me, peer, preface, service, None, kem, encapsulation.as_ref())
    }

    /// I1  -> e, es  {encapsulation key}
    fn with(
        me: &KeyPair,
        peer: &PublicKey,
        preface: Preface,
        service: &str,
        ephemeral: Option<&[u8; 32]>,
        kem: DecapsulationKey,
        encapsulation: &[u8],
    ) -> Result<(Self, Vec<u8>)> {
        let mut noise = builder(me, preface, &preface.prologue(service), ephemeral)?
            .remote_public_key(peer.as_bytes())
            .and_then(Builder::build_initiator)
            .map_err(failed)?;
        let i1 = write(&mut noise, encapsulation)?;
        Ok((Initiator { noise, kem, suite: preface.suite }, i1))
    }

    /// I2  <- e, ee  {ciphertext}
    ///
    /// # Errors
    /// Anything that the holder of the dialed key did not send in answer to this I1.
    pub fn read_i2(mut self, i2: &[u8]) -> Result<Confirmed> {
        let ciphertext = read(&mut self.noise, i2)?;
        let secret = self.kem.decapsulate(Ciphertext::from(ciphertext.as_slice())).map_err(|_| kem_failed())?;
        self.noise.set_psk(PSK_LOCATION, secret.as_ref()).map_err(failed)?;
        Ok(Confirmed { noise: self.noise, suite: self.suite })
    }
}

impl Confirmed {
    /// I3  -> s, se, psk  {request}
    ///
    /// # Errors
    /// A request over [`MAX_REQUEST_LEN`].
    pub fn finish(mut self, request: &[u8]) -> Result<(Vec<u8>, Transport)> {
        if request.len() > MAX_REQUEST_LEN {
            return Err(Error::usage(format!(
                "a request of {} bytes; at most {MAX_REQUEST_LEN} may be sent",
                request.len()
            )));
        }
        let i3 = write(&mut self.noise, request)?;
        Ok((i3, transport(self.noise, self.suite, Side::Dialer)?))
    }
}

/// The listener between I2 and I3.
pub struct Responder {
    noise: HandshakeState,
    suite: Suite,
}

/// The listener's end of a finished handshake.
pub struct Accepted {
    /// The key at the other end, proven.
    pub peer: PublicKey,
    /// What it asks for; not yet checked in any way.
    pub request: Vec<u8>,
    /// The keys.
    pub transport: Transport,
}

impl Responder {
    /// Answers I1: the state, and I2.
    ///
    /// # Errors
    /// An I1 that was not made for this key, this service and this preface. Nothing must be answered then.
    pub fn start(me: &KeyPair, preface: Preface, service: &str, i1: &[u8]) -> Result<(Self, Vec<u8>)> {
        Self::with(me, preface, service, i1, None, |encapsulation| {
            let key = EncapsulationKey::new(&ML_KEM_768, encapsulation).map_err(|_| kem_failed())?;
            let (ciphertext, secret) = key.encapsulate().map_err(|_| kem_failed())?;
            Ok((ciphertext.as_ref().to_vec(), Zeroizing::new(secret.as_ref().to_vec())))
        })
    }

    fn with(
        me: &KeyPair,
        preface: Preface,
        service: &str,
        i1: &[u8],
        ephemeral: Option<&[u8; 32]>,
        encapsulate: impl FnOnce(&[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>)>,
    ) -> Result<(Self, Vec<u8>)> {
        let mut noise =
            builder(me, preface, &preface.prologue(service), ephemeral)?.build_responder().map_err(failed)?;
        // I1  -> e, es  {encapsulation key}
        let encapsulation = read(&mut noise, i1)?;
        let (ciphertext, secret) = encapsulate(&encapsulation)?;
        // I2  <- e, ee  {ciphertext}
        let i2 = write(&mut noise, &ciphertext)?;
        noise.set_psk(PSK_LOCATION, &secret).map_err(failed)?;
        Ok((Responder { noise, suite: preface.suite }, i2))
    }

    /// I3  -> s, se, psk  {request}
    ///
    /// # Errors
    /// Anything but the I3 of the dialer that sent I1, and a static key that is no party's one name.
    pub fn read_i3(mut self, i3: &[u8]) -> Result<Accepted> {
        let request = read(&mut self.noise, i3)?;
        let peer = self.noise.get_remote_static().ok_or_else(|| Error::protocol("no static key in I3"))?;
        let peer = PublicKey::from_bytes(peer).map_err(|why| Error::protocol(format!("the dialer's key: {why}")))?;
        Ok(Accepted { peer, request, transport: transport(self.noise, self.suite, Side::Listener)? })
    }
}

fn builder<'a>(
    me: &'a KeyPair,
    preface: Preface,
    prologue: &'a [u8],
    ephemeral: Option<&'a [u8; 32]>,
) -> Result<Builder<'a>> {
    let builder = Builder::with_resolver(preface.protocol_name().parse().map_err(failed)?, Box::new(Primitives))
        .local_private_key(me.secret().expose())
        .and_then(|builder| builder.prologue(prologue))
        .map_err(failed)?;
    Ok(match ephemeral {
        Some(ephemeral) => builder.fixed_ephemeral_key_for_testing_only(ephemeral),
        None => builder,
    })
}

fn write(noise: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>> {
    let mut message = vec![0; payload.len() + 32 + 2 * TAG_LEN + 32];
    let length = noise.write_message(payload, &mut message).map_err(failed)?;
    message.truncate(length);
    Ok(message)
}

fn read(noise: &mut HandshakeState, message: &[u8]) -> Result<Vec<u8>> {
    let mut payload = vec![0; message.len()];
    let length = noise.read_message(message, &mut payload).map_err(failed)?;
    payload.truncate(length);
    Ok(payload)
}

/// Which end of the handshake this is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Dialer,
    Listener,
}

/// Turns the finished handshake into the keys of both directions (Noise specification, section 5.2, `Split`).
fn transport(mut noise: HandshakeState, suite: Suite, side: Side) -> Result<Transport> {
    let hash = noise.get_handshake_hash().try_into();
    let channel_binding = hash.map_err(|_| Error::protocol("a handshake hash of a wrong length"))?;
    let (mut from_dialer, mut from_listener) = noise.dangerously_get_raw_split();
    let (sending, receiving) = match side {
        Side::Dialer => (&from_dialer, &from_listener),
        Side::Listener => (&from_listener, &from_dialer),
    };
    let (sealer, opener) = (Sealer::new(suite, sending), Opener::new(suite, receiving));
    from_dialer.zeroize();
    from_listener.zeroize();
    Ok(Transport { sealer: sealer?, opener: opener?, channel_binding })
}

fn failed(why: snow::Error) -> Error {
    Error::protocol(format!("the handshake failed: {why}"))
}

fn kem_failed() -> Error {
    Error::protocol("the handshake failed: ML-KEM-768")
}
