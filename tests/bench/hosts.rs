//! The hosts that the rows dial: ours, and an OpenSSH server.

pub use crate::openssh::{Server, Ssh};

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory that goes with its owner; in memory where the system has such a place.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let below = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
        let path = below.join(format!("keywire-bench-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A user of keywire with a key pair.
pub struct User {
    pub home: Dir,
    pub key: String,
}

impl User {
    pub fn new(name: &str) -> Self {
        let home = Dir::new(name);
        let made =
            Command::new(env!("CARGO_BIN_EXE_kw-keygen")).arg("new").env("KEYWIRE_HOME", home.0.join("state")).output();
        let key = String::from_utf8(made.unwrap().stdout).unwrap().trim().to_owned();
        User { home, key }
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("KEYWIRE_HOME", self.home.0.join("state"));
        command
    }
}

/// A `kw-ptyd` and a user whom it lets in.
pub struct Host {
    pub server: Server,
    pub guest: User,
    pub address: String,
    _host: User,
}

impl Host {
    pub fn start() -> Self {
        let (host, guest) = (User::new("host"), User::new("guest"));
        let mut command = host.command(env!("CARGO_BIN_EXE_kw-ptyd"));
        command.args(["--listen", "127.0.0.1:0", "--allow", &guest.key]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening ").unwrap().to_owned();
        Host { server: Server(server), guest, address, _host: host }
    }

    pub fn pty(&self) -> Command {
        self.pty_at(self.at(), &[])
    }

    /// The same by another way, and with options.
    pub fn pty_at(&self, at: SocketAddr, options: &[&str]) -> Command {
        let key = self.address.split('@').next().unwrap();
        let mut command = self.guest.command(env!("CARGO_BIN_EXE_kw-pty"));
        command.args(options).arg(format!("{key}@{at}")).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Where it listens.
    pub fn at(&self) -> SocketAddr {
        self.address.split('@').nth(1).unwrap().parse().unwrap()
    }
}

/// A figure in KiB that the system keeps of a process: `VmRSS` is resident now, `VmHWM` was at the most.
pub fn kib(pid: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
