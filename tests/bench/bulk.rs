//! One gibibyte of random bytes, from a file in memory to another.

use crate::hosts::{Dir, Ssh, User};
use crate::table::{Table, median, pairs, ratio, shown};
use nix::sys::resource::{UsageWho, getrusage};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const GIB: usize = 1 << 30;
const RUNS: usize = 7;

/// The bytes, and where they go.
struct Files {
    from: PathBuf,
    to: PathBuf,
    _dir: Dir,
}

pub fn rows(table: &mut Table) {
    let files = Files::new();
    let pipe = Pipe::new();
    compare(table, &files, &pipe, "plain TCP: read, write 1 MiB", ">= 0.90 of its speed", || plain_tcp(&files));
    if Command::new("socat").arg("-V").output().is_ok() {
        compare(table, &files, &pipe, "socat -b 262144 TCP", "", || socat(&files));
    } else {
        eprintln!("left out: socat is not installed");
    }
    if let Some(ssh) = Ssh::start_or_say() {
        let name = "ssh aes256-gcm cat, its server's CPU not counted";
        compare(table, &files, &pipe, name, ">= 2 times its speed", || ssh_cat(&ssh, &files));
    }
}

fn compare(table: &mut Table, files: &Files, pipe: &Pipe, name: &str, bar: &str, mut theirs: impl FnMut()) {
    let (mut our_cpu, mut their_cpu) = (0.0, 0.0);
    let (ours, theirs) = pairs(RUNS, || our_cpu += cpu(|| pipe.carry(files)), || their_cpu += cpu(&mut theirs));
    let speed = ratio(&theirs, &ours);
    let runs = (RUNS + 1) as f64;
    table.row([
        "kw-pipe, 1 GiB".to_owned(),
        format!("{:.2} GiB/s, {:.2} CPU-s", 1.0 / median(&ours).as_secs_f64(), our_cpu / runs),
        format!("{name}: {:.2} GiB/s, {:.2} CPU-s", 1.0 / median(&theirs).as_secs_f64(), their_cpu / runs),
        shown(speed),
        bar.to_owned(),
    ]);
}

/// The processor time that `work` takes, in this process and in those it waits for.
fn cpu(work: impl FnOnce()) -> f64 {
    let used = || {
        [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(|who| {
            let usage = getrusage(who).unwrap();
            [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        })
    };
    let sum = |times: [[f64; 2]; 2]| times.iter().flatten().sum::<f64>();
    let before = sum(used());
    work();
    sum(used()) - before
}

impl Files {
    fn new() -> Self {
        let dir = Dir::new("bulk");
        let (from, to) = (dir.0.join("from"), dir.0.join("to"));
        let mut random = File::open("/dev/urandom").unwrap().take(GIB as u64);
        std::io::copy(&mut random, &mut File::create(&from).unwrap()).unwrap();
        Files { from, to, _dir: dir }
    }

    fn check(&self) {
        assert_eq!(std::fs::metadata(&self.to).unwrap().len(), GIB as u64, "not all of it came");
    }
}

/// Two users of kw-pipe.
struct Pipe {
    listener: User,
    dialer: User,
}

impl Pipe {
    fn new() -> Self {
        Pipe { listener: User::new("listener"), dialer: User::new("dialer") }
    }

    fn carry(&self, files: &Files) {
        let program = env!("CARGO_BIN_EXE_kw-pipe");
        let mut listen = self.listener.command(program);
        listen.args(["listen", "-n", "--allow", &self.dialer.key, "127.0.0.1:0"]);
        let mut listening = listen.stdout(File::create(&files.to).unwrap()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(listening.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening ").unwrap();
        let mut dial = self.dialer.command(program);
        let dialed =
            dial.args(["dial", address]).stdin(File::open(&files.from).unwrap()).stdout(Stdio::null()).status();
        assert!(dialed.unwrap().success() && listening.wait().unwrap().success());
        files.check();
    }
}

/// The least that any copy by TCP must do: one thread a side, large buffers.
fn plain_tcp(files: &Files) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| pour(&mut listener.accept().unwrap().0, &mut File::create(&files.to).unwrap()));
        pour(&mut File::open(&files.from).unwrap(), &mut TcpStream::connect(at).unwrap());
    });
    files.check();
}

fn pour(from: &mut impl Read, to: &mut impl Write) {
    let mut room = vec![0; 1 << 20];
    loop {
        match from.read(&mut room).unwrap() {
            0 => break,
            count => to.write_all(&room[..count]).unwrap(),
        }
    }
}

fn socat(files: &Files) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let end = |path: &Path, flags: &str| format!("OPEN:{}{flags}", path.display());
    let mut listening = Command::new("socat")
        .args([
            "-u",
            "-b",
            "262144",
            &format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr"),
            &end(&files.to, ",creat,trunc"),
        ])
        .spawn()
        .unwrap();
    let dialed = Command::new("socat")
        .args(["-u", "-b", "262144", &end(&files.from, ""), &format!("TCP:127.0.0.1:{port},retry=100,interval=0.01")])
        .status();
    assert!(dialed.unwrap().success() && listening.wait().unwrap().success());
    files.check();
}

fn ssh_cat(ssh: &Ssh, files: &Files) {
    let mut command = ssh.command(&["-c", "aes256-gcm@openssh.com"]);
    command.arg(format!("cat > {}", files.to.display())).stdin(File::open(&files.from).unwrap());
    assert!(command.status().unwrap().success());
    files.check();
}
