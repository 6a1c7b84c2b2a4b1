//! One gibibyte from a file in the host's memory to whoever reads standard output here.

use crate::hosts::{Dir, Host, Ssh, kib};
use crate::table::{Table, median, pairs, ratio, shown};
use nix::unistd::{SysconfVar, sysconf};
use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

const GIB: usize = 1 << 30;
const RUNS: usize = 5;
const CIPHERS: [&str; 3] = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"];

pub fn rows(table: &mut Table) {
    let Some(ssh) = Ssh::start_or_say() else { return };
    let host = Host::start();
    let dir = Dir::new("cat");
    let file = dir.0.join("file");
    let mut random = File::open("/dev/urandom").unwrap().take(GIB as u64);
    std::io::copy(&mut random, &mut File::create(&file).unwrap()).unwrap();
    // It waits behind the last byte, so that both ends can be looked at when all is carried.
    let line = format!("cat {}; read end", file.display());
    let their_end = || family(ssh.server.0.id());
    let their_time = |cipher: &str, cost: &mut Cost| carry(ssh.command(&["-c", cipher]).arg(&line), &their_end, cost);
    let time = |cipher: &&str| {
        let start = Instant::now();
        their_time(cipher, &mut Cost::default());
        start.elapsed()
    };
    let fastest = CIPHERS.into_iter().min_by_key(time).unwrap();
    let (mut our_cost, mut their_cost) = (Cost::default(), Cost::default());
    let (ours, theirs) = pairs(
        RUNS,
        || carry(host.pty().arg(&line), &|| vec![host.server.0.id()], &mut our_cost),
        || their_time(fastest, &mut their_cost),
    );
    let speed = |times| format!("{:.2} GiB/s", 1.0 / median(times).as_secs_f64());
    table.row([
        "kw-pty host cat, 1 GiB".to_owned(),
        speed(&ours),
        format!("ssh, {fastest}: {}", speed(&theirs)),
        shown(ratio(&theirs, &ours)),
        ">= 2.00 times its speed".to_owned(),
    ]);
    let runs = (RUNS + 1) as f64;
    table.row([
        "the same, processor time here + on the host".to_owned(),
        format!("{:.2} + {:.2} s", our_cost.cpu[0] / runs, our_cost.cpu[1] / runs),
        format!("ssh: {:.2} + {:.2} s", their_cost.cpu[0] / runs, their_cost.cpu[1] / runs),
        format!("{:.2}", our_cost.cpu.iter().sum::<f64>() / their_cost.cpu.iter().sum::<f64>()),
        String::new(),
    ]);
    let mib = |peak: [usize; 2]| peak.map(|peak| format!("{:.1}", peak as f64 / 1024.0)).join(" + ");
    table.row([
        "the same, most memory here + on the host".to_owned(),
        format!("{} MiB", mib(our_cost.peak)),
        format!("ssh: {} MiB", mib(their_cost.peak)),
        String::new(),
        "<= 24 MiB each".to_owned(),
    ]);
}

/// What was spent here and on the host: seconds of processor time, and KiB of memory at the most.
#[derive(Default)]
struct Cost {
    cpu: [f64; 2],
    peak: [usize; 2],
}

/// Carries all of it once. `host` names the host's own processes.
fn carry(command: &mut Command, host: &dyn Fn() -> Vec<u32>, cost: &mut Cost) {
    let before = cpu(&host());
    let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = client.stdout.take().unwrap();
    let mut room = vec![0; 1 << 20];
    let mut count = 0;
    while count < GIB {
        let more = output.read(&mut room).unwrap();
        assert!(more > 0, "it ends after {count} bytes");
        count += more;
    }
    for (at, pids) in [vec![client.id()], host()].iter().enumerate() {
        cost.cpu[at] += cpu(pids);
        cost.peak[at] = pids.iter().map(|pid| kib(*pid, "VmHWM")).max().unwrap().max(cost.peak[at]);
    }
    cost.cpu[1] -= before;
    drop(client.stdin.take());
    assert_eq!(output.read(&mut room).unwrap(), 0);
    // The end of its input is what the waiting command fails by.
    client.wait().unwrap();
}

/// Processor time in seconds.
fn cpu(pids: &[u32]) -> f64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap() as f64;
    let spent = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2);
        fields.map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / ticks
    };
    pids.iter().map(spent).sum()
}

/// A server and the processes of the same name below it.
fn family(server: u32) -> Vec<u32> {
    let mut found = vec![server];
    let mut at = 0;
    while let Some(parent) = found.get(at) {
        let path = format!("/proc/{parent}/task/{parent}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        let is_server =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("sshd"));
        found.extend(children.split_whitespace().map(|pid| pid.parse().unwrap()).filter(is_server));
        at += 1;
    }
    found
}
