//! kw-pty in the place of ssh: the command lines of real programs against a kw-ptyd, with what they come to compared to what
//! they come to over OpenSSH's own sshd. A program that is not installed is named, and its tests leave it out.

mod ansible;
mod backup;
mod git;
mod lftp;
mod mount;
mod names;
mod parallel;
mod pipes;
mod rights;
mod rsync;

mod scp;
mod sftp;

use crate::sandbox::{Dir, Done, Running, binary};
use nix::sys::signal::Signal;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::fs::{self, File, FileTimes, Permissions};
use std::hash::{Hash, Hasher};
use std::net::TcpListener;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// Seconds after which a program that still runs hangs, and is killed by timeout(1), so that its test fails.
const PATIENCE: &str = "100";

/// When everything in a [`sample`] was changed; a whole second, since not every program keeps the parts of one.
const LONG_AGO: Duration = Duration::from_secs(1_234_567_890);

/// A host, a guest whom it lets in, and the programs the guest runs: they find kw-pty, which finds the host by the name `box`,
/// and they find nothing of this machine's own settings.
pub struct Site {
    daemon: Running,
    /// The host's key.
    pub key: String,
    /// The host's port.
    pub port: String,
    openssh: OnceCell<Option<PathBuf>>,
    dir: Dir,
}

impl Site {
    /// A host that gives the guest a shell. `None`, and a word about it, if one of `programs` is not installed.
    pub fn with(programs: &[&str]) -> Option<Self> {
        Site::of(programs, "127.0.0.1", &["shell"])
    }

    /// The same, listening at `host`, with a rule as `kw-peers allow` makes it.
    pub fn of(programs: &[&str], host: &str, rule: &[&str]) -> Option<Self> {
        for program in programs {
            if find(program).is_none() {
                eprintln!("skipped: {program} is not installed");
                return None;
            }
        }
        if TcpListener::bind(format!("{host}:0")).is_err() {
            eprintln!("skipped: this machine has no {host}");
            return None;
        }
        let dir = Dir::new();
        for name in ["home", "host", "here", "there", "temporary", "own"] {
            fs::create_dir(dir.join(name)).unwrap();
        }
        let [guest, at_host] = ["home/.keywire", "host"].map(|home| dir.join(home));
        let ours = |home: &Path, program: &str, args: &[&str]| {
            let mut command = Command::new(binary(program));
            Done::of(command.args(args).env("KEYWIRE_HOME", home)).succeeds().stdout.trim().to_owned()
        };
        ours(&at_host, "kw-keygen", &["new"]);
        let key = ours(&guest, "kw-keygen", &["new"]);
        ours(&at_host, "kw-peers", &[&["allow", key.as_str()], rule].concat());
        let mut daemon = Command::new(binary("kw-ptyd"));
        daemon.args(["--listen", &format!("{host}:0")]).env("KEYWIRE_HOME", &at_host).stderr(Stdio::null());
        let mut daemon = Running::start(&mut daemon);
        let address = daemon.address();
        ours(&guest, "kw-peers", &["add", "box", &address]);
        let (key, _) = address.split_once('@').unwrap();
        let (_, port) = address.rsplit_once(':').unwrap();
        Some(Site { daemon, key: key.to_owned(), port: port.to_owned(), openssh: OnceCell::new(), dir })
    }

    /// A program that the guest runs, ready to be given arguments. It is in the folder `here`.
    pub fn program(&self, name: impl AsRef<OsStr>) -> Command {
        let ours = Path::new(binary("kw-pty")).parent().unwrap().to_owned();
        let theirs = std::env::var_os("PATH").unwrap();
        let path = [self.dir.join("own"), ours].into_iter().chain(std::env::split_paths(&theirs));
        let mut command = Command::new("timeout");
        command.args(["-k", "5", PATIENCE]).arg(name).current_dir(self.here("")).stdin(Stdio::null()).env_clear();
        command.env("PATH", std::env::join_paths(path).unwrap()).env("HOME", self.dir.join("home"));
        command.env("TMPDIR", self.dir.join("temporary")).env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a program of the guest's to its end.
    pub fn run<S: AsRef<OsStr>>(&self, name: &str, args: impl IntoIterator<Item = S>) -> Done {
        Done::of(self.program(name).args(args))
    }

    /// Runs a line of the guest's shell to its end; `$there`, `$key` and `$port` are the host's.
    pub fn shell(&self, line: &str) -> Done {
        let mut shell = self.program("bash");
        shell.args(["-o", "pipefail", "-c", line]).env("there", self.dir.join("there"));
        Done::of(shell.env("key", &self.key).env("port", &self.port))
    }

    /// A place on the guest's side.
    pub fn here(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join("here").join(name)
    }

    /// A place on the host's side.
    pub fn there(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join("there").join(name)
    }

    /// A place of the guest's own, where no program looks by itself.
    pub fn aside(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// `box:` and a place on the host's side, as most programs write it.
    pub fn at(&self, name: &str) -> String {
        format!("box:{}", self.there(name).display())
    }

    /// `KEY@127.0.0.1:` and a place on the host's side; the port has to be said elsewhere.
    pub fn at_key(&self, name: &str) -> String {
        format!("{}@127.0.0.1:{}", self.key, self.there(name).display())
    }

    /// `KEY@127.0.0.1:PORT`, and a place on the host's side, as in a URI.
    pub fn at_uri(&self, name: &str) -> String {
        format!("{}@127.0.0.1:{}{}", self.key, self.port, self.there(name).display())
    }

    /// What `run` comes to with kw-pty as its ssh. With OpenSSH, where there is one, it must come to the same. Both find on
    /// both sides what is there now.
    pub fn same_as_by_ssh<T: PartialEq + Debug>(&self, run: impl Fn(&str) -> T) -> T {
        let Some(ssh) = self.openssh.get_or_init(|| self.openssh()) else { return run("kw-pty") };
        let sides = ["here", "there"];
        for side in sides {
            let before = self.dir.join(format!("{side}.before"));
            let _ = fs::remove_dir_all(&before);
            copy(&self.dir.join(side), &before);
        }
        let ours = run("kw-pty");
        for side in sides {
            fs::remove_dir_all(self.dir.join(side)).unwrap();
            copy(&self.dir.join(format!("{side}.before")), &self.dir.join(side));
        }
        let theirs = run(ssh.to_str().unwrap());
        assert_eq!(ours, theirs, "by kw-pty on the left, by ssh on the right");
        ours
    }

    /// An `ssh` that starts an sshd for itself alone, with keys for the moment. `None`, and a word about it, if it cannot.
    fn openssh(&self) -> Option<PathBuf> {
        let [Some(ssh), Some(sshd)] = ["ssh", "sshd"].map(find) else {
            eprintln!("skipped: no OpenSSH to compare with");
            return None;
        };
        let dir = self.dir.join("openssh");
        fs::create_dir(&dir).unwrap();
        for name in ["host", "user"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name)).status();
            assert!(made.unwrap().success());
        }
        let (shown, own) = (dir.display(), dir.join("ssh"));
        // The level of the shell keeps bash from reading the user's .bashrc, as it would for rsh.
        let sshd_config = format!(
            "HostKey {shown}/host\nAuthorizedKeysFile {shown}/user.pub\nStrictModes no\nUsePAM no\nPidFile none\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nSubsystem sftp internal-sftp\nSetEnv SHLVL=1\n\
             AcceptEnv LC_* GIT_PROTOCOL\n"
        );
        let ssh_config = format!(
            "ProxyCommand {} -i -f {shown}/sshd_config\nIdentityFile {shown}/user\nIdentitiesOnly yes\nLogLevel ERROR\n\
             StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nSendEnv LC_*\n",
            sshd.display()
        );
        fs::write(dir.join("sshd_config"), sshd_config).unwrap();
        fs::write(dir.join("ssh_config"), ssh_config).unwrap();
        fs::write(&own, format!("#!/bin/sh\nexec {} -F {shown}/ssh_config \"$@\"\n", ssh.display())).unwrap();
        fs::set_permissions(&own, Permissions::from_mode(0o755)).unwrap();
        // The place for its privilege separation, which the package's own service would make.
        let _ = fs::create_dir_all("/run/sshd");
        let tried = Done::of(self.program(&own).args(["box", "true"]));
        if !tried.status.success() {
            eprintln!("skipped: OpenSSH does not work here, so nothing is compared with it: {}", tried.stderr.trim());
            return None;
        }
        Some(own)
    }
}

impl Drop for Site {
    /// Ends the host so that it ends what it runs.
    fn drop(&mut self) {
        self.daemon.signal(Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(self.daemon.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Where a program is, as the guest finds it; the servers are where only root looks.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Copies a tree as it is.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Something in a tree. A directory has no contents, and a symbolic link no more than its target.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    kind: char,
    mode: u32,
    changed: i64,
    sum: u64,
}

/// All that is below `root`, by its name: two trees are the same if they are equal.
#[track_caller]
pub fn tree(root: &Path) -> BTreeMap<OsString, Node> {
    let mut nodes = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
        for path in entries.map(|entry| entry.unwrap().path()) {
            let found = fs::symlink_metadata(&path).unwrap();
            let (kind, contents) = if found.is_dir() {
                ('d', Vec::new())
            } else if found.is_symlink() {
                ('l', fs::read_link(&path).unwrap().into_os_string().into_vec())
            } else {
                ('f', fs::read(&path).unwrap())
            };
            let (mode, changed) = if kind == 'l' { (0, 0) } else { (found.mode() & 0o7777, found.mtime()) };
            let mut sum = DefaultHasher::new();
            contents.hash(&mut sum);
            let name = path.strip_prefix(root).unwrap().as_os_str().to_owned();
            nodes.insert(name, Node { kind, mode, changed, sum: sum.finish() });
            if kind == 'd' {
                folders.push(path);
            }
        }
    }
    nodes
}

/// Forgets when things were changed, for programs that do not keep it.
pub fn timeless(mut nodes: BTreeMap<OsString, Node>) -> BTreeMap<OsString, Node> {
    nodes.values_mut().for_each(|node| node.changed = 0);
    nodes
}

/// Files with every kind of name and mode, in two folders, without symbolic links.
pub fn sample(root: &Path) {
    let names: [&[u8]; 9] = [
        b"plain",
        b"a space",
        b"new\nline",
        b"latin1 \xe9",
        b"-dash",
        b"*",
        b"$HOME",
        b"quotes '\"` `id`",
        b"back\\slash",
    ];
    let inner = root.join("in a folder");
    fs::create_dir_all(&inner).unwrap();
    for (number, name) in (0u32..).zip(names) {
        let name = OsStr::from_bytes(name);
        write(&root.join(name), name.as_bytes(), 0o600 | number);
        write(&inner.join(name), &vec![0; number as usize * 1000], 0o644);
    }
    write(&inner.join("large"), &crate::pty::random(300_000), 0o600);
    write(&root.join("program"), b"#!/bin/sh\necho done\n", 0o755);
    for (folder, mode) in [(inner.as_path(), 0o711), (root, 0o750)] {
        fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
        age(folder);
    }
}

/// The same with symbolic links: to a file, to a folder, and to nothing.
pub fn sample_with_links(root: &Path) {
    sample(root);
    for (name, target) in [("to a file", "plain"), ("to a folder", "in a folder"), ("to nothing", "/nonexistent/file")]
    {
        symlink(target, root.join(name)).unwrap();
    }
    age(root);
}

/// Writes a file of [`LONG_AGO`].
pub fn write(path: &Path, contents: &[u8], mode: u32) {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    age(path);
}

fn age(path: &Path) {
    let changed = SystemTime::UNIX_EPOCH + LONG_AGO;
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(changed)).unwrap();
}
