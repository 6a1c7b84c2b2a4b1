//! A way to a host on which something happens after so many bytes, and which counts them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What happens; whether the connection goes on after it.
type Turn = Box<dyn FnOnce() -> bool + Send>;

/// Carries every connection on to a host. It ends with its owner.
pub struct Way {
    /// `KEY@HOST:PORT` of this end.
    pub address: String,
    at: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    carried: AtomicU64,
    /// After how many bytes in both directions together, and what.
    turn: Mutex<Option<(u64, Turn)>>,
    sockets: Mutex<Vec<TcpStream>>,
    is_over: Mutex<bool>,
}

impl Way {
    /// A way to the host at `KEY@HOST:PORT` on which nothing happens.
    pub fn to(address: &str) -> Self {
        Way::with(address, None)
    }

    /// A way that is cut after `after` bytes.
    pub fn cut(address: &str, after: u64) -> Self {
        Way::turn(address, after, || false)
    }

    /// A way that stands still after `after` bytes while `turn` is at work, and is cut unless it returns true.
    pub fn turn(address: &str, after: u64, turn: impl FnOnce() -> bool + Send + 'static) -> Self {
        Way::with(address, Some((after, Box::new(turn))))
    }

    fn with(address: &str, turn: Option<(u64, Turn)>) -> Self {
        let (key, to) = address.split_once('@').unwrap();
        let to: SocketAddr = to.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            carried: AtomicU64::new(0),
            turn: Mutex::new(turn),
            sockets: Mutex::default(),
            is_over: Mutex::new(false),
        });
        let carrying = inner.clone();
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                if *carrying.is_over.lock().unwrap() {
                    break;
                }
                let Ok(far) = TcpStream::connect(to) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let [from, to] = [from, to].map(|socket| socket.try_clone().unwrap());
                    carrying.sockets.lock().unwrap().push(from.try_clone().unwrap());
                    let inner = carrying.clone();
                    std::thread::spawn(move || inner.carry(from, to));
                }
            }
        });
        Way { address: format!("{key}@{at}"), at, inner }
    }

    /// Bytes so far, in both directions.
    pub fn carried(&self) -> u64 {
        self.inner.carried.load(Ordering::Relaxed)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        *self.inner.is_over.lock().unwrap() = true;
        self.inner.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.at);
    }
}

impl Inner {
    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut room = vec![0; 64 << 10];
        loop {
            let mut room = &mut room[..];
            if let Some((after, _)) = &*self.turn.lock().unwrap() {
                let left = after.saturating_sub(self.carried.load(Ordering::Relaxed));
                let most = room.len().min(usize::try_from(left).unwrap_or(usize::MAX)).max(1);
                room = &mut room[..most];
            }
            let count = from.read(room).unwrap_or(0);
            let is_over = count == 0;
            // Nobody takes it any more: as on a real way, whoever sends it learns that.
            let is_gone = to.write_all(&room[..count]).is_err();
            let carried = self.carried.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
            // The lock holds the other direction up meanwhile.
            let mut turn = self.turn.lock().unwrap();
            if let Some((_, act)) = turn.take_if(|(after, _)| carried >= *after)
                && !act()
            {
                self.cut();
            }
            drop(turn);
            if is_over || is_gone {
                let _ = to.shutdown(Shutdown::Write);
                if is_gone {
                    self.cut();
                }
                break;
            }
        }
    }

    fn cut(&self) {
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
