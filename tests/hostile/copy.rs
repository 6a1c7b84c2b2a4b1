//! Copies with an end that lies: kw-scp against a made-up host, and kw-ptyd against a made-up client. Whatever is said,
//! nothing is written or read outside, and no memory is taken for it.

mod client;
mod host;
mod receiver;
mod swapped;

use crate::peer::Peer;
use crate::sandbox::{Done, User};
use crate::scp::{Ends, Tree, tree};
use keywire::key::KeyPair;
use keywire::proto::copy::{File, Form, FromReceiver, FromSender, Meta};
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// Permissions and a time that nobody objects to.
pub const META: Meta = Meta { mode: 0o644, seconds: 1_234_567_890, nanos: 0 };

/// Most memory that either end may take, in KiB, in a build for tests.
pub const MOST_MEMORY: usize = 48 << 10;

/// A small file in one message.
pub fn file<'a>(name: &'a [u8], data: &'a [u8]) -> FromSender<'a> {
    FromSender::File(File { form: Form::Complete, meta: META, size: data.len() as u64, offset: 0, name, data })
}

/// The beginning of one in pieces.
pub fn pieces(name: &[u8], size: u64) -> FromSender<'_> {
    FromSender::File(File { form: Form::Pieces, meta: META, size, offset: 0, name, data: b"" })
}

pub fn directory(name: &[u8]) -> FromSender<'_> {
    FromSender::Directory(META, name)
}

/// A message as type and body.
pub fn record(message: &FromSender<'_>) -> (u8, Vec<u8>) {
    let (kind, front, rest) = message.encode();
    (kind, [front.as_slice(), rest].concat())
}

/// Says this; the other side may have gone away already.
pub fn say(peer: &mut Peer, messages: &[FromSender<'_>]) {
    let mut sealed = Vec::new();
    for message in messages {
        let (kind, front, rest) = message.encode();
        peer.sealer.seal(kind, &[&front, rest], &mut sealed).unwrap();
    }
    peer.write(&sealed);
}

/// Says all of this and closes in good order.
pub fn say_all(peer: &mut Peer, messages: &[FromSender<'_>]) {
    say(peer, messages);
    peer.close(carried(messages));
}

/// Bytes that stand in the bodies of these.
pub fn carried(messages: &[FromSender<'_>]) -> u64 {
    messages.iter().map(|message| record(message).1.len() as u64).sum()
}

/// Says this as a receiver.
pub fn answer(peer: &mut Peer, messages: &[FromReceiver<'_>]) {
    for message in messages {
        let (kind, body) = message.encode();
        peer.send(kind, &body);
    }
}

/// Says the same so many times, in large pieces.
pub fn say_often(peer: &mut Peer, messages: &[FromSender<'_>], times: usize) {
    let mut sealed = Vec::new();
    for _ in 0..times {
        for message in messages {
            let (kind, front, rest) = message.encode();
            peer.sealer.seal(kind, &[&front, rest], &mut sealed).unwrap();
        }
        if sealed.len() > 1 << 20 {
            if peer.socket.write_all(&sealed).is_err() {
                return;
            }
            sealed.clear();
        }
    }
    peer.write(&sealed);
}

/// Listens to what is asked for, up to GO.
pub fn listen_to_asked(peer: &mut Peer) {
    while peer.recv().is_ok_and(|(kind, _)| kind != 0x04) {}
}

/// Hears the other side out, and closes in good order if it did.
pub fn hear_out(peer: &mut Peer) -> Vec<(u8, Vec<u8>)> {
    let mut heard = Vec::new();
    while let Ok((kind, body)) = peer.recv() {
        let is_over = kind >= 0xfe;
        heard.push((kind, body));
        if is_over {
            break;
        }
    }
    heard
}

/// A user of kw-scp and a place: `in` is where copies go to, and nothing beside it may change.
pub struct Victim {
    pub user: User,
    listener: TcpListener,
    me: KeyPair,
}

impl Victim {
    pub fn new() -> Self {
        let user = User::with_key();
        std::fs::create_dir_all(user.file("place/in")).unwrap();
        std::fs::create_dir_all(user.file("place/outside")).unwrap();
        std::fs::write(user.file("place/outside/precious"), "precious").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Victim { user, listener, me: KeyPair::generate().unwrap() }
    }

    /// Where copies go to.
    pub fn inside(&self) -> PathBuf {
        self.user.file("place/in")
    }

    /// A path at the made-up host.
    pub fn at(&self, path: &str) -> String {
        format!("{}@{}:{path}", self.me.public(), self.listener.local_addr().unwrap())
    }

    /// Runs kw-scp in `in` with these words, against a host that does `act` once it has heard what is asked for. `act` is
    /// told its process.
    pub fn scp(&self, words: &[&str], act: impl FnOnce(&mut Peer, u32)) -> Done {
        let mut scp = Command::new("timeout");
        scp.args(["--foreground", "-k", "1", "60", crate::sandbox::binary("kw-scp")]).args(words);
        scp.env("KEYWIRE_HOME", self.user.home()).current_dir(self.inside()).stdin(Stdio::null());
        let child = scp.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (pid, is_accepted) = (child.id(), AtomicBool::new(false));
        let output = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let output = child.wait_with_output().unwrap();
                if !is_accepted.load(Ordering::Relaxed) {
                    eprintln!("it did not even dial: {output:?}");
                    drop(TcpStream::connect(self.listener.local_addr().unwrap()));
                }
                output
            });
            let mut peer = Peer::accept(&self.listener, &self.me, "pty");
            is_accepted.store(true, Ordering::Relaxed);
            listen_to_asked(&mut peer);
            act(&mut peer, pid);
            hear_out(&mut peer);
            // Whoever only waits for more learns that there is none.
            let _ = peer.socket.shutdown(Shutdown::Both);
            waiting.join().unwrap()
        });
        Done {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            bytes: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// All that is there, and what is beside it.
    pub fn everything(&self) -> Tree {
        tree(&self.user.file("place"))
    }
}

/// The most memory that the process, or its only child, has taken, in KiB.
pub fn most_memory(pid: u32) -> usize {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pid = children.split_whitespace().next().map_or(pid, |child| child.parse().unwrap());
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or(0, |line| line.split_whitespace().next().unwrap().parse().unwrap())
}

/// A path of a place on the host's side, as bytes.
pub fn there(ends: &Ends, name: &str) -> Vec<u8> {
    ends.there(name).as_os_str().as_encoded_bytes().to_vec()
}
