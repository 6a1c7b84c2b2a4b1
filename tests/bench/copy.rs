//! Files from here to a host on this machine, from memory to memory: one large, many small, and small ones over a distance.

use crate::hosts::{Dir, Host, Ssh, kib};
use crate::link::{Link, Quality};
use crate::table::{Table, median, pairs_after, ratio, shown};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const GIB: usize = 1 << 30;
const RUNS: usize = 5;
const MANY: usize = 10_000;
const SMALL: usize = 4096;
const FEW: usize = 300;
const ROUND_TRIP: Duration = Duration::from_millis(50);
const CIPHERS: [&str; 2] = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"];

pub fn rows(table: &mut Table) {
    let host = Host::start();
    let ssh = Ssh::start_or_say();
    large(table, &host, ssh.as_ref());
    many(table, &host, ssh.as_ref());
    if let Some(ssh) = &ssh {
        far(table, &host, ssh);
    }
}

/// A folder with what is copied and one where it goes to.
struct Place {
    from: PathBuf,
    to: PathBuf,
    _dir: Dir,
}

impl Place {
    fn new(name: &str) -> Self {
        let dir = Dir::new(name);
        let (from, to) = (dir.0.join("from"), dir.0.join("to"));
        fs::create_dir(&to).unwrap();
        Place { from, to, _dir: dir }
    }

    /// Takes away what came the last time, which no run is to pay for.
    fn clear(&self) {
        fs::remove_dir_all(&self.to).unwrap();
        fs::create_dir(&self.to).unwrap();
    }
}

/// What is compared.
struct Way<'a> {
    name: String,
    run: Box<dyn Fn() + 'a>,
    /// The process whose time, with that of all it has waited for, is the host's.
    host: Option<u32>,
    bar: &'static str,
}

/// Processor time here and on the host, in seconds, of all runs.
#[derive(Clone, Copy, Default)]
struct Cost {
    here: f64,
    there: f64,
}

impl Cost {
    /// Adds what `work` takes. Plain threads of this process are both ends.
    fn add(&mut self, host: Option<u32>, work: impl FnOnce()) {
        let (here, there) = (spent_here(), host.map_or(0.0, spent_there));
        work();
        if let Some(host) = host {
            is_idle(host);
        }
        self.here += spent_here() - here;
        self.there += host.map_or(0.0, spent_there) - there;
    }

    fn shown(&self, runs: usize) -> String {
        let runs = (runs + 1) as f64;
        format!("{:.2} + {:.2} CPU-s", self.here / runs, self.there / runs)
    }

    fn sum(&self) -> f64 {
        self.here + self.there
    }
}

fn spent_here() -> f64 {
    let used = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(|who| {
        let usage = getrusage(who).unwrap();
        [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
    });
    used.iter().flatten().sum()
}

/// The time of a process, and of those that it has waited for.
fn spent_there(pid: u32) -> f64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap() as f64;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(4);
    fields.map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / ticks
}

/// Waits until a server has waited for all of its children: their time counts then.
fn is_idle(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default().is_empty() {
        assert!(Instant::now() < deadline, "the server keeps its children");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Both ways in turn, and their row.
fn compare(
    table: &mut Table,
    runs: usize,
    what: &str,
    bytes: Option<usize>,
    place: &Place,
    ours: &Way<'_>,
    theirs: &Way<'_>,
) {
    let (mut our_cost, mut their_cost) = (Cost::default(), Cost::default());
    let (our_times, their_times) = pairs_after(
        runs,
        // What the run before left to be written is no cost of the next.
        || {
            place.clear();
            nix::unistd::sync();
        },
        || our_cost.add(ours.host, &ours.run),
        || their_cost.add(theirs.host, &theirs.run),
    );
    let pace = |times: &[Duration]| match bytes {
        Some(bytes) => format!("{:.2} GiB/s", bytes as f64 / GIB as f64 / median(times).as_secs_f64()),
        None => format!("{:.2} s", median(times).as_secs_f64()),
    };
    let cpu = our_cost.sum() / their_cost.sum();
    table.row([
        format!("{}, {what}", ours.name),
        format!("{}, {}", pace(&our_times), our_cost.shown(runs)),
        format!("{}: {}, {}", theirs.name, pace(&their_times), their_cost.shown(runs)),
        format!("{} times as fast, {:.0} % of its CPU", shown(ratio(&their_times, &our_times)), cpu * 100.0),
        theirs.bar.to_owned(),
    ]);
}

/// kw-scp to the host, from `from` to `to`.
fn kw_scp(host: &Host, at: SocketAddr, options: &[&str], from: &Path, to: &Path) -> Command {
    let mut command = host.guest.command(env!("CARGO_BIN_EXE_kw-scp"));
    let key = host.address.split('@').next().unwrap();
    command.args(options).arg(from).arg(format!("{key}@{at}:{}", to.display())).stdin(Stdio::null());
    command
}

fn ours<'a>(host: &'a Host, name: &str, options: &'a [&'a str], place: &'a Place) -> Way<'a> {
    let run = move || succeeds(&mut kw_scp(host, host.at(), options, &place.from, &place.to.join("copy")));
    Way { name: name.to_owned(), run: Box::new(run), host: Some(host.server.0.id()), bar: "" }
}

fn succeeds(command: &mut Command) {
    assert!(command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap().success(), "{command:?}");
}

/// The ssh of `ssh` as one word of a command line.
fn ssh_line(ssh: &Ssh, at: SocketAddr, options: &[&str]) -> String {
    let command = ssh.command_at(at, options);
    let words: Vec<OsString> = command.get_args().map(ToOwned::to_owned).collect();
    // The host comes last, and rsync names it itself.
    let words: Vec<_> = words[..words.len() - 1].iter().map(|word| word.to_string_lossy().into_owned()).collect();
    format!("ssh {}", words.join(" "))
}

/// The programs that copy by ssh, with what they are told here.
fn by_ssh<'a>(ssh: &'a Ssh, at: SocketAddr, place: &'a Place, bars: [&'static str; 4]) -> Vec<Way<'a>> {
    let host = Some(ssh.server.0.id());
    let port = at.port().to_string();
    let to = place.to.join("copy");
    let far = format!("127.0.0.1:{}", to.display());
    let [scp_bar, sftp_bar, rsync_bar, tar_bar] = bars;
    let (scp_port, scp_far) = (port.clone(), far.clone());
    let scp = move || succeeds(ssh.program("scp", &["-r", "-P", &scp_port]).arg(&place.from).arg(&scp_far));
    let sftp_to = to.clone();
    let sftp = move || {
        let batch = place.to.with_file_name("batch");
        let made = if place.from.is_dir() { format!("-mkdir {}\n", sftp_to.display()) } else { String::new() };
        fs::write(&batch, format!("{made}put -R {} {}\n", place.from.display(), sftp_to.display())).unwrap();
        succeeds(ssh.program("sftp", &["-P", &port, "-b"]).arg(batch).arg("127.0.0.1"));
    };
    let shell = ssh_line(ssh, at, &["-c", CIPHERS[0]]);
    let source = if place.from.is_dir() { place.from.join("") } else { place.from.clone() };
    let rsync = move || succeeds(Command::new("rsync").args(["-a", "-W", "-e", &shell]).arg(&source).arg(&far));
    let tar = move || {
        let mut pack = Command::new("tar");
        pack.args(["-c", "-C"]).arg(place.from.parent().unwrap()).arg(place.from.file_name().unwrap());
        let mut pack = pack.stdout(Stdio::piped()).spawn().unwrap();
        let mut unpack = ssh.command_at(at, &["-c", CIPHERS[0]]);
        unpack.arg(format!("tar -x -C {}", place.to.display())).stdin(pack.stdout.take().unwrap());
        assert!(unpack.status().unwrap().success() && pack.wait().unwrap().success());
    };
    let way = |name: &str, run: Box<dyn Fn() + 'a>, bar| Way { name: name.to_owned(), run, host, bar };
    let mut ways =
        vec![way("scp -r, default cipher", Box::new(scp), scp_bar), way("sftp put -R", Box::new(sftp), sftp_bar)];
    if Command::new("rsync").arg("--version").output().is_ok() {
        ways.push(way("rsync -a -W, aes128-gcm", Box::new(rsync), rsync_bar));
    } else {
        eprintln!("left out: rsync is not installed");
    }
    ways.push(way("tar over ssh, aes128-gcm", Box::new(tar), tar_bar));
    ways
}

fn large(table: &mut Table, host: &Host, ssh: Option<&Ssh>) {
    let place = Place::new("large");
    let mut random = File::open("/dev/urandom").unwrap().take(GIB as u64);
    std::io::copy(&mut random, &mut File::create(&place.from).unwrap()).unwrap();
    let ours = ours(host, "kw-scp", &[], &place);
    let plain = || plain_tcp(&place);
    let plain = Way {
        name: "plain TCP: sendfile, pwrite".to_owned(),
        run: Box::new(plain),
        host: None,
        bar: ">= 0.90 of its speed",
    };
    compare(table, RUNS, "1 GiB", Some(GIB), &place, &ours, &plain);
    if let Some(ssh) = ssh {
        for cipher in CIPHERS {
            let run = || {
                let port = ssh.at().port().to_string();
                let far = format!("127.0.0.1:{}", place.to.join("copy").display());
                succeeds(ssh.program("scp", &["-c", cipher, "-P", &port]).arg(&place.from).arg(far));
            };
            let bar = ">= 3.50 times as fast, <= 40 % of its CPU";
            let name = format!("scp, {cipher}");
            let theirs = Way { name, run: Box::new(run), host: Some(ssh.server.0.id()), bar };
            compare(table, RUNS, "1 GiB", Some(GIB), &place, &ours, &theirs);
        }
        for theirs in by_ssh(ssh, ssh.at(), &place, [""; 4]) {
            compare(table, 3, "1 GiB", Some(GIB), &place, &ours, &theirs);
        }
    }
    for (what, upload) in [("to the host", true), ("from the host", false)] {
        place.clear();
        memory(table, host, &place, what, upload);
    }
}

/// The most memory that either end takes, which the system keeps count of while it lives.
fn memory(table: &mut Table, host: &Host, place: &Place, what: &str, upload: bool) {
    let to = place.to.join("copy");
    let mut command = kw_scp(host, host.at(), &[], &place.from, &to);
    if !upload {
        command = host.guest.command(env!("CARGO_BIN_EXE_kw-scp"));
        command.arg(format!("{}:{}", host.address, place.from.display())).arg(&to).stdin(Stdio::null());
    }
    let mut client = command.spawn().unwrap();
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = client.try_wait().unwrap() {
            break ended;
        }
        // One that has ended and was not waited for has no memory any more.
        let status = fs::read_to_string(format!("/proc/{}/status", client.id())).unwrap_or_default();
        if status.contains("VmHWM") {
            peak = kib(client.id(), "VmHWM").max(peak);
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(ended.success());
    let mib = |kib: usize| format!("{:.1}", kib as f64 / 1024.0);
    table.row([
        format!("the same {what}, most memory here + on the host so far"),
        format!("{} + {} MiB", mib(peak), mib(kib(host.server.0.id(), "VmHWM"))),
        String::new(),
        String::new(),
        "<= 24 MiB each".to_owned(),
    ]);
}

/// The least that any copy by TCP must do: the kernel carries the file to the socket, and one copy goes from there to the other.
fn plain_tcp(place: &Place) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut socket, file) = (listener.accept().unwrap().0, File::create(place.to.join("copy")).unwrap());
            let mut room = vec![0; 1 << 20];
            let mut written = 0;
            loop {
                match socket.read(&mut room).unwrap() {
                    0 => break,
                    count => {
                        file.write_all_at(&room[..count], written).unwrap();
                        written += count as u64;
                    }
                }
            }
        });
        let (file, socket) = (File::open(&place.from).unwrap(), TcpStream::connect(at).unwrap());
        while rustix::fs::sendfile(&socket, &file, None, 1 << 21).unwrap() > 0 {}
    });
    assert_eq!(fs::metadata(place.to.join("copy")).unwrap().len(), GIB as u64, "not all of it came");
}

/// Fills a folder with small files of random bytes.
fn small_files(folder: &Path, count: usize) {
    fs::create_dir(folder).unwrap();
    let mut random = File::open("/dev/urandom").unwrap();
    let mut bytes = vec![0; SMALL];
    for number in 0..count {
        random.read_exact(&mut bytes).unwrap();
        fs::write(folder.join(format!("file {number:05}").replace(' ', "-")), &bytes).unwrap();
    }
}

fn many(table: &mut Table, host: &Host, ssh: Option<&Ssh>) {
    let place = Place::new("many");
    small_files(&place.from, MANY);
    let name = format!("{MANY} x 4 KiB");
    let without = ours(host, "kw-scp -r --no-sync", &["-r", "--no-sync"], &place);
    if let Some(ssh) = ssh {
        let bars = [">= 25 times as fast", "", ">= 3.50 times as fast", ">= 3.00 times as fast"];
        for theirs in by_ssh(ssh, ssh.at(), &place, bars) {
            let runs = if theirs.name.contains("-r") || theirs.name.contains("-R") { 3 } else { 7 };
            compare(table, runs, &name, None, &place, &without, &theirs);
        }
    }
    // What it costs that all of it is on a disk, on one.
    let dir = Dir(std::env::temp_dir().join(format!("keywire-bench-{}-disk", std::process::id())));
    fs::create_dir(&dir.0).unwrap();
    let on_disk = Place { from: place.from.clone(), to: dir.0.join("to"), _dir: dir };
    fs::create_dir(&on_disk.to).unwrap();
    let synced = ours(host, "kw-scp -r", &["-r"], &on_disk);
    let without = ours(host, "kw-scp -r --no-sync", &["-r", "--no-sync"], &on_disk);
    compare(table, 3, &format!("{name}, to a disk"), None, &on_disk, &synced, &without);
}

fn far(table: &mut Table, host: &Host, ssh: &Ssh) {
    let place = Place::new("far");
    small_files(&place.from, FEW);
    let links = [host.at(), ssh.at()].map(|at| Link::new(at, Quality::distant(ROUND_TRIP)));
    let [our_end, their_end] = links.each_ref().map(Link::address);
    let run = || succeeds(&mut kw_scp(host, our_end, &["-r"], &place.from, &place.to.join("copy")));
    let ours = Way { name: "kw-scp -r".to_owned(), run: Box::new(run), host: Some(host.server.0.id()), bar: "" };
    let what = format!("{FEW} x 4 KiB, {} ms a round trip", ROUND_TRIP.as_millis());
    let bars = [">= 100 times as fast", "", "", ">= 2.00 times as fast"];
    for theirs in by_ssh(ssh, their_end, &place, bars).into_iter().filter(|way| !way.bar.is_empty()) {
        let runs = if theirs.name.starts_with("scp") { 1 } else { 5 };
        compare(table, runs, &what, None, &place, &ours, &theirs);
    }
}
