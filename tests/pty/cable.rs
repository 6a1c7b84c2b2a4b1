//! A TCP path with a hand on it: it can be cut, and it can carry nothing for a while.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// A way to a host through a port of our own.
pub struct Cable {
    /// What to dial in place of the host.
    pub address: String,
    path: Arc<Path>,
}

#[derive(Default)]
struct Path {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ends: Vec<TcpStream>,
    held: bool,
    over: bool,
}

impl Cable {
    /// A cable to `KEY@HOST:PORT`.
    pub fn to(address: &str) -> Self {
        let (key, at) = address.split_once('@').unwrap();
        let (at, listener) = (at.to_owned(), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = format!("{key}@{}", listener.local_addr().unwrap());
        let path = Arc::new(Path::default());
        let accepting = path.clone();
        std::thread::spawn(move || {
            for here in listener.incoming() {
                let mut state = accepting.state.lock().unwrap();
                if state.over {
                    break;
                }
                let (here, there) = (here.unwrap(), TcpStream::connect(&at).unwrap());
                for (from, to) in [(&here, &there), (&there, &here)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let path = accepting.clone();
                    std::thread::spawn(move || path.carry(from, to));
                }
                state.ends.extend([here, there]);
            }
        });
        Cable { address, path }
    }

    /// Ends every connection, in both directions, as a router does that has lost its memory.
    pub fn cut(&self) {
        for end in self.path.state.lock().unwrap().ends.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Carries nothing from now on, or goes on with what has come since.
    pub fn hold(&self, held: bool) {
        self.path.state.lock().unwrap().held = held;
        self.path.changed.notify_all();
    }
}

impl Path {
    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = vec![0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            drop(self.changed.wait_while(self.state.lock().unwrap(), |state| state.held && !state.over).unwrap());
            if to.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.path.state.lock().unwrap().over = true;
        self.path.changed.notify_all();
        self.cut();
        // Whoever accepts wakes up and sees that it is over.
        let _ = TcpStream::connect(self.address.split_once('@').unwrap().1);
    }
}
