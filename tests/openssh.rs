//! An OpenSSH server with throw-away keys on a free port of this machine, for the tests and the benches that hold ours beside
//! it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A process that ends with its owner.
pub struct Server(pub Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An OpenSSH server and what `ssh` needs to reach it. Server, keys and log go with it.
pub struct Ssh {
    pub server: Server,
    dir: PathBuf,
    port: u16,
}

impl Ssh {
    /// `None` where OpenSSH is not installed or does not start.
    pub fn start() -> Option<Self> {
        let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].into_iter().find(|path| Path::new(path).exists())?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = std::env::temp_dir().join(format!("keywire-sshd-{}-{port}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let made = ["host", "user"].iter().all(|name| {
            let key =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name)).status();
            key.is_ok_and(|status| status.success())
        });
        let ssh = if made { Ssh::start_in(sshd, &dir, port) } else { None };
        if ssh.is_none() {
            let _ = fs::remove_dir_all(&dir);
        }
        ssh.filter(Ssh::answers)
    }

    fn start_in(sshd: &str, dir: &Path, port: u16) -> Option<Self> {
        fs::copy(dir.join("user.pub"), dir.join("allowed")).unwrap();
        let shown = dir.display();
        // The level keeps bash from taking the command for one of rsh's, for which it would read the user's .bashrc: that takes
        // what time it takes, and has nothing to do with ssh.
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/allowed\n\
             StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
             MaxStartups 100\nSetEnv SHLVL=1\nSubsystem sftp internal-sftp\n"
        );
        fs::write(dir.join("config"), config).unwrap();
        // The place for its privilege separation, which the package's own service would make.
        let _ = fs::create_dir_all("/run/sshd");
        let log = fs::File::create(dir.join("log")).unwrap();
        let server =
            Command::new(sshd).arg("-D").arg("-e").arg("-f").arg(dir.join("config")).stderr(log).spawn().ok()?;
        Some(Ssh { server: Server(server), dir: dir.to_owned(), port })
    }

    /// Whether a command can be run there, as soon as that is so.
    fn answers(&self) -> bool {
        let runs = || {
            self.command(&[]).arg("true").stdin(Stdio::null()).status().is_ok_and(|status: ExitStatus| status.success())
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !runs() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// An `ssh` to it, without the user's own settings.
    pub fn command(&self, options: &[&str]) -> Command {
        self.command_at(self.at(), options)
    }

    /// The same by another way.
    pub fn command_at(&self, at: SocketAddr, options: &[&str]) -> Command {
        let mut command = self.program("ssh", options);
        command.args(["-p", &at.port().to_string(), &at.ip().to_string()]);
        command
    }

    /// A program of OpenSSH's that knows the key, without the user's own settings. scp and sftp are to be told the port by
    /// `-P`.
    pub fn program(&self, name: &str, options: &[&str]) -> Command {
        let mut command = Command::new(name);
        command.args(["-F", "none", "-q", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
        command
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-i"])
            .arg(self.dir.join("user"));
        command.args(options).stdin(Stdio::null());
        command
    }

    /// An scp that goes by an open connection of [`Ssh::master`]'s.
    pub fn scp(&self, shared: &[String; 2]) -> Command {
        let port = self.port.to_string();
        self.program("scp", &["-P", &port, "-o", &format!("ControlPath={}", shared[1])])
    }

    /// Where it listens.
    pub fn at(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Says so where there is none.
    pub fn start_or_say() -> Option<Self> {
        let ssh = Ssh::start();
        if ssh.is_none() {
            eprintln!("left out: no OpenSSH server could be started");
        }
        ssh
    }

    /// An `ssh` that holds a connection open for others to use (ControlMaster), and the options that make them do so.
    pub fn master(&self) -> (Server, [String; 2]) {
        let shared = ["-S".to_owned(), self.dir.join("master").display().to_string()];
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

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
