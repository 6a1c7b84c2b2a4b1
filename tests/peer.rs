//! A peer that says whatever a test wants: the handshake and the records of the library over a plain blocking socket.

use keywire::addr::PeerAddr;
use keywire::conn::kind;
use keywire::frame::frame;
use keywire::key::KeyPair;
use keywire::noise::{Initiator, PREFACE_LEN, Preface, Responder, Transport};
use keywire::record::{Opener, Sealer};
use keywire::seal::Suite;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Longer than anything that is waited for here: a test that would hang fails instead.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One end of a finished handshake.
pub struct Peer {
    pub socket: TcpStream,
    pub sealer: Sealer,
    pub opener: Opener,
    /// The name of the connection, which both ends know.
    pub binding: [u8; 64],
}

/// A connection to `to` that has said nothing.
pub fn connect(to: &PeerAddr) -> TcpStream {
    let socket = TcpStream::connect((to.at.host(), to.at.port().unwrap())).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// The preface and I1 of a dial, as they stand on the wire.
pub fn first_words(me: &KeyPair, to: &PeerAddr, service: &str) -> (Initiator, Vec<u8>) {
    let preface = Preface::new(Suite::fastest());
    let (initiator, i1) = Initiator::start(me, &to.key, preface, service).unwrap();
    (initiator, [&preface.to_bytes()[..], &frame(&i1).unwrap()].concat())
}

/// One frame's body.
pub fn read_frame(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    socket.read_exact(&mut length)?;
    let mut body = vec![0; usize::from(u16::from_be_bytes(length))];
    socket.read_exact(&mut body)?;
    Ok(body)
}

/// All that comes until the other side closes or resets the connection.
pub fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut came = Vec::new();
    let mut room = [0; 4096];
    loop {
        match socket.read(&mut room) {
            Ok(0) => return came,
            Ok(count) => came.extend_from_slice(&room[..count]),
            Err(cause) if cause.kind() == std::io::ErrorKind::ConnectionReset => return came,
            Err(cause) => panic!("the other side does not close: {cause}"),
        }
    }
}

impl Peer {
    /// Dials, with a request that is empty JSON.
    pub fn dial(me: &KeyPair, to: &PeerAddr, service: &str) -> Self {
        Self::dial_with(me, to, service, b"{}")
    }

    /// Dials with this request.
    pub fn dial_with(me: &KeyPair, to: &PeerAddr, service: &str, request: &[u8]) -> Self {
        let mut socket = connect(to);
        let (initiator, first) = first_words(me, to, service);
        socket.write_all(&first).unwrap();
        let i2 = read_frame(&mut socket).unwrap();
        let (i3, keys) = initiator.read_i2(&i2).unwrap().finish(request).unwrap();
        socket.write_all(&frame(&i3).unwrap()).unwrap();
        Self::new(socket, keys)
    }

    /// Answers one dialer.
    pub fn accept(listener: &TcpListener, me: &KeyPair, service: &str) -> Self {
        let mut socket = listener.accept().unwrap().0;
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut preface = [0; PREFACE_LEN];
        socket.read_exact(&mut preface).unwrap();
        let i1 = read_frame(&mut socket).unwrap();
        let (responder, i2) = Responder::start(me, Preface::from_bytes(preface).unwrap(), service, &i1).unwrap();
        socket.write_all(&frame(&i2).unwrap()).unwrap();
        let i3 = read_frame(&mut socket).unwrap();
        Self::new(socket, responder.read_i3(&i3).unwrap().transport)
    }

    fn new(socket: TcpStream, keys: Transport) -> Self {
        Peer { socket, sealer: keys.sealer, opener: keys.opener, binding: keys.channel_binding }
    }

    /// The next record for the wire.
    pub fn seal(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        self.sealer.seal(kind, &[body], &mut sealed).unwrap();
        sealed
    }

    pub fn send(&mut self, kind: u8, body: &[u8]) {
        let sealed = self.seal(kind, body);
        self.write(&sealed);
    }

    /// Bytes as they are. The other side may have closed already.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// The next record that comes.
    pub fn recv(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut sealed = read_frame(&mut self.socket)?;
        let (kind, body) = self.opener.open(&mut sealed).unwrap();
        Ok((kind, body.to_vec()))
    }

    /// Closes in good order after `carried` bytes.
    pub fn close(&mut self, carried: u64) {
        self.send(kind::CLOSE, &carried.to_be_bytes());
    }
}
