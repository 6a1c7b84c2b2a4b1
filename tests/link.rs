//! A slow, distant link in user space: a TCP proxy on this machine that delays what it carries, carries only so many bytes a
//! second, and keeps what waits in a queue, as the slowest router on the way does. For the tests and the benches.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Most bytes that travel as one: a segment of TCP on an Ethernet.
const PACKET: usize = 1448;

/// What a link is like, in each direction.
#[derive(Clone, Copy)]
pub struct Quality {
    /// The way of a byte: half a round trip.
    pub delay: Duration,
    /// Bytes a second; `None` carries as many as come.
    pub rate: Option<u64>,
    /// Bytes that may be on the way before the sender is held back. Routers allow far too many, and that is the trouble:
    /// a key that is typed waits behind all of them.
    pub queue: usize,
}

impl Quality {
    /// As if it were not there.
    pub const NEAR: Self = Quality { delay: Duration::ZERO, rate: None, queue: 64 << 20 };

    /// A round trip of `round_trip`, and nothing else in the way.
    pub fn distant(round_trip: Duration) -> Self {
        Quality { delay: round_trip / 2, ..Quality::NEAR }
    }

    /// The same at `rate` bytes a second, with the long queue that such a link has in practice.
    pub fn slow(round_trip: Duration, rate: u64) -> Self {
        Quality { rate: Some(rate), queue: 1 << 20, ..Quality::distant(round_trip) }
    }
}

/// Carries every connection to its own address on to another. It ends with its owner, and all that it carries with it.
pub struct Link {
    at: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    phase: Mutex<Phase>,
    /// Both sides of all that was carried, to cut them.
    sockets: Mutex<Vec<TcpStream>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Alive,
    Dead,
    Over,
}

impl Link {
    /// A link to `to`.
    pub fn new(to: SocketAddr, quality: Quality) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let carrying = state.clone();
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                if carrying.phase() == Phase::Over {
                    break;
                }
                let state = carrying.clone();
                // Whoever is refused at the far end finds the near one closed.
                std::thread::spawn(move || state.carry(near, to, quality));
            }
        });
        Link { at, state }
    }

    /// A link to the host at `KEY@HOST:PORT`, and what to dial instead.
    pub fn to_peer(address: &str, quality: Quality) -> (Self, String) {
        let (key, at) = address.split_once('@').unwrap();
        let link = Link::new(at.parse().unwrap(), quality);
        let address = format!("{key}@{}", link.at);
        (link, address)
    }

    /// Where to dial instead.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// From now on nothing arrives, and nobody is told: every socket stays open, and what is sent is swallowed.
    pub fn die(&self) {
        *self.state.phase.lock().unwrap() = Phase::Dead;
    }

    /// Closes every connection there is, in the middle of whatever it says. New ones are carried.
    pub fn cut(&self) {
        for socket in self.state.sockets.lock().unwrap().drain(..) {
            // One of the ends may have closed it before.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        *self.state.phase.lock().unwrap() = Phase::Over;
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.at);
    }
}

impl State {
    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap()
    }

    fn keep(&self, socket: &TcpStream) -> std::io::Result<()> {
        socket.set_nodelay(true)?;
        self.sockets.lock().unwrap().push(socket.try_clone()?);
        Ok(())
    }

    /// Carries one connection. That it is accepted takes its time too: the kernel here has done so at once, so the first byte
    /// from the near side waits for the round trip of a connect, and the far side hears of it half a round trip later.
    fn carry(self: Arc<Self>, near: TcpStream, to: SocketAddr, quality: Quality) -> std::io::Result<()> {
        self.keep(&near)?;
        std::thread::sleep(quality.delay * 2);
        let up = Way::new(quality, near.try_clone()?);
        std::thread::sleep(quality.delay);
        let far = TcpStream::connect(to).inspect_err(|_| drop(near.shutdown(Shutdown::Both)))?;
        self.keep(&far)?;
        let down = Way::new(quality, far.try_clone()?);
        let state = self.clone();
        std::thread::spawn(move || state.deliver(up, far));
        self.deliver(down, near);
        Ok(())
    }

    /// Hands over what is due. The end of the bytes is one too, and takes as long.
    fn deliver(&self, way: Way, mut to: TcpStream) {
        for packet in way.0 {
            std::thread::sleep(packet.due.saturating_duration_since(Instant::now()));
            if self.phase() != Phase::Alive {
                continue;
            }
            let delivered =
                if packet.bytes.is_empty() { to.shutdown(Shutdown::Write) } else { to.write_all(&packet.bytes) };
            if delivered.is_err() {
                break;
            }
        }
    }
}

/// Bytes and when they arrive; none are the end.
struct Packet {
    due: Instant,
    bytes: Vec<u8>,
}

/// One direction: what is on the way, in order.
struct Way(Receiver<Packet>);

impl Way {
    /// Starts to take in what `from` says.
    fn new(quality: Quality, from: TcpStream) -> Self {
        let (send, packets) = sync_channel(quality.queue / PACKET);
        std::thread::spawn(move || take_in(from, quality, &send));
        Way(packets)
    }
}

fn take_in(mut from: TcpStream, quality: Quality, way: &SyncSender<Packet>) {
    // When the slowest part of the link has sent all that came before.
    let mut free = Instant::now();
    loop {
        let mut bytes = vec![0; PACKET];
        // A connection that is reset has no more to say.
        let count = from.read(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        free = free.max(Instant::now());
        if let Some(rate) = quality.rate {
            free += Duration::from_secs_f64(count as f64 / rate as f64);
        }
        if way.send(Packet { due: free + quality.delay, bytes }).is_err() || count == 0 {
            break;
        }
    }
}

/// Both ends of a connection over a link to a listener of this test.
#[cfg(test)]
fn ends(quality: Quality) -> (Link, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let link = Link::new(listener.local_addr().unwrap(), quality);
    let near = TcpStream::connect(link.address()).unwrap();
    let far = listener.accept().unwrap().0;
    for end in [&near, &far] {
        end.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        end.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    }
    (link, near, far)
}

#[test]
fn a_link_carries_every_byte_in_order_both_ways_and_the_end_behind_them() {
    let (_link, near, far) = ends(Quality::slow(Duration::from_millis(20), 10_000_000));
    let said: Vec<u8> = (0..1_000_000_u32).map(|at| (at / 7 % 251) as u8).collect();
    std::thread::scope(|scope| {
        for (mut from, mut to) in [(&near, &far), (&far, &near)] {
            let said = &said;
            scope.spawn(move || {
                from.write_all(said).unwrap();
                from.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || {
                let mut heard = Vec::new();
                to.read_to_end(&mut heard).unwrap();
                assert!(heard == *said, "{} bytes came of {}, or others", heard.len(), said.len());
            });
        }
    });
}

#[test]
fn a_link_that_is_full_holds_the_sender_back() {
    let (_link, mut near, _far) = ends(Quality { queue: 64 << 10, ..Quality::distant(Duration::ZERO) });
    // A sender that is not held back never waits for so long.
    near.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    while let Ok(count) = near.write(&[0; 64 << 10]) {
        sent += count;
        assert!(sent < 64 << 20, "it takes {sent} bytes that nobody reads");
    }
}

#[test]
fn a_dead_link_swallows_what_is_sent_and_tells_nobody() {
    let (link, mut near, mut far) = ends(Quality { queue: 64 << 10, ..Quality::distant(Duration::ZERO) });
    near.write_all(b"last words").unwrap();
    let mut heard = [0; 10];
    far.read_exact(&mut heard).unwrap();
    link.die();
    // More than any buffer on the way holds, and nobody reads it.
    near.write_all(&vec![0; 64 << 20]).unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    far.set_nonblocking(true).unwrap();
    assert_eq!(far.read(&mut heard).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_cut_link_ends_for_both_sides_and_carries_the_next_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let link = Link::new(listener.local_addr().unwrap(), Quality::distant(Duration::ZERO));
    for _ in 0..2 {
        let mut near = TcpStream::connect(link.address()).unwrap();
        let mut far = listener.accept().unwrap().0;
        near.write_all(b"x").unwrap();
        far.read_exact(&mut [0]).unwrap();
        link.cut();
        assert_eq!((near.read(&mut [0]).unwrap(), far.read(&mut [0]).unwrap()), (0, 0));
    }
}
