//! The hosts that the rows dial: ours, and an OpenSSH server with throw-away keys on a free port of this machine.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

/// A process that ends with its owner.
pub struct Server(pub Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
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

/// An OpenSSH server and what `ssh` needs to reach it.
pub struct Ssh {
    pub server: Server,
    dir: Dir,
    port: u16,
}

impl Ssh {
    /// `None` where OpenSSH is not installed or does not start.
    pub fn start() -> Option<Self> {
        let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].into_iter().find(|path| Path::new(path).exists())?;
        let dir = Dir::new("sshd");
        for name in ["host", "user"] {
            let key = dir.0.join(name);
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
            made.ok().filter(std::process::ExitStatus::success)?;
        }
        fs::copy(dir.0.join("user.pub"), dir.0.join("allowed")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = dir.0.display();
        // The level keeps bash from taking the command for one of rsh's, for which it would read the user's .bashrc: that takes
        // what time it takes, and has nothing to do with ssh.
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/allowed\n\
             StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
             MaxStartups 100\nSetEnv SHLVL=1\n"
        );
        fs::write(dir.0.join("config"), config).unwrap();
        // The place for its privilege separation, which the package's own service would make.
        let _ = fs::create_dir_all("/run/sshd");
        let log = fs::File::create(dir.0.join("log")).unwrap();
        let server =
            Command::new(sshd).arg("-D").arg("-e").arg("-f").arg(dir.0.join("config")).stderr(log).spawn().ok()?;
        let ssh = Ssh { server: Server(server), dir, port };
        (0..200).find(|_| {
            std::thread::sleep(Duration::from_millis(50));
            ssh.command(&[]).arg("true").output().is_ok_and(|output| output.status.success())
        })?;
        Some(ssh)
    }

    /// Says so where there is none.
    pub fn start_or_say() -> Option<Self> {
        let ssh = Ssh::start();
        if ssh.is_none() {
            eprintln!("left out: no OpenSSH server could be started");
        }
        ssh
    }

    /// An `ssh` to it, without the user's own settings.
    pub fn command(&self, options: &[&str]) -> Command {
        self.command_at(self.at(), options)
    }

    /// The same by another way.
    pub fn command_at(&self, at: SocketAddr, options: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-F", "none", "-q", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
        command
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-i"])
            .arg(self.dir.0.join("user"));
        command.args(options).args(["-p", &at.port().to_string(), &at.ip().to_string()]).stdin(Stdio::null());
        command
    }

    /// Where it listens.
    pub fn at(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// An `ssh` that holds a connection open for others to use (ControlMaster), and the options that make them do so.
    pub fn master(&self) -> (Server, [String; 2]) {
        let shared = ["-S".to_owned(), self.dir.0.join("master").display().to_string()];
        let options = shared.each_ref().map(String::as_str);
        let master = Server(self.command(&[options[0], options[1], "-M", "-N"]).spawn().unwrap());
        let is_open = || self.command(&[options[0], options[1], "-O", "check"]).output().unwrap().status.success();
        assert!((0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            is_open()
        }));
        (master, shared)
    }
}

/// A figure in KiB that the system keeps of a process: `VmRSS` is resident now, `VmHWM` was at the most.
pub fn kib(pid: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
