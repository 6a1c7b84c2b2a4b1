//! Death at each system call of `open`: the message is opened once, and the key is gone after.

use super::{card, open, seal};
use crate::sandbox::{Done, User, binary, strace_works};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

/// Calls that change nothing outside of the process, and that a death at is like a death at the next one that does.
const HARMLESS: [&str; 24] = [
    "access",
    "arch_prctl",
    "brk",
    "clock_gettime",
    "close",
    "fstat",
    "futex",
    "getrandom",
    "geteuid",
    "getuid",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "poll",
    "pread64",
    "prlimit64",
    "read",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "set_robust_list",
    "sigaltstack",
];

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

/// Opens the message in `home` under strace.
fn open_under_strace(home: &Path, sealed: &Path, options: &[&str]) -> (Done, String) {
    let log = home.with_extension("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).args(options).arg(binary("kw-inbox"));
    let done = Done::of(command.arg("open").arg(sealed).env("KEYWIRE_HOME", home));
    let said = fs::read_to_string(&log).unwrap_or_default();
    (done, said)
}

/// The messages that were opened, the states of the keys, how many secrets there are, and what kw-chat knows.
fn stands(home: &Path) -> (Vec<String>, Vec<String>, usize, usize) {
    let run = |program: &str, args: &[&str]| {
        Done::of(Command::new(binary(program)).args(args).env("KEYWIRE_HOME", home)).succeeds().objects()
    };
    let text = |objects: &[keywire::json::Value], name: &str| {
        objects.iter().map(|object| object[name].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let messages = text(&run("kw-inbox", &["messages", "--json"]), "text");
    let keys = text(&run("kw-inbox", &["cards", "--json"]), "state");
    let secrets = fs::read_dir(home.join("inbox/keys")).map_or(0, Iterator::count);
    let pending =
        run("kw-chat", &["pair", "list", "--json"]).iter().filter(|pair| pair["standing"] == "pending").count();
    (messages, keys, secrets, pending)
}

#[test]
fn a_message_is_opened_once_whichever_system_call_its_opening_dies_at() {
    if !strace_works() {
        return;
    }
    let (ada, bob) = (User::with_key(), User::with_key());
    let sealed = ada.file("sealed");
    fs::write(&sealed, seal(&bob, &card(&ada, &[]), &["--pair", "--text", "hello"])).unwrap();
    let home = |name: &str| {
        let home = ada.file(name);
        copy(&ada.home(), &home);
        home
    };
    let (done, log) = open_under_strace(&home("whole"), &sealed, &[]);
    done.succeeds();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.lines().filter_map(|line| line.split_once(' ')) {
        if let Some((name, _)) = line.1.trim_start().split_once('(') {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts.retain(|name, _| !HARMLESS.contains(name) && *name != "execve");
    assert!(["fsync", "fdatasync", "write", "rename", "unlink", "openat"].iter().all(|name| counts.contains_key(name)));
    let (mut deaths, mut before, mut after) = (0, 0, 0);
    for (call, count) in counts {
        for when in 1..=count {
            let (what, home) = (format!("death at {call} {when}"), home(&format!("{call}{when}")));
            let inject = format!("inject={call}:signal=SIGKILL:when={when}");
            let (done, _) = open_under_strace(&home, &sealed, &["-e", &format!("trace={call}"), "-e", &inject]);
            // A call that only sometimes is made does not come.
            if done.status.signal() != Some(9) {
                continue;
            }
            deaths += 1;
            let is_stored = fs::read(home.join("inbox/opened.jsonl")).is_ok_and(|log| log.ends_with(b"\n"));
            let again = Done::of(Command::new(binary("kw-inbox")).arg("open").arg(&sealed).env("KEYWIRE_HOME", &home));
            match again.status.code() {
                Some(0) => {}
                Some(1) if is_stored && again.stderr.contains("was opened already") => {}
                _ => panic!("{what}: {again:?}"),
            }
            (before, after) = (before + usize::from(!is_stored), after + usize::from(is_stored));
            let expected = (vec!["hello".to_owned()], vec!["used".to_owned()], 0, 1);
            assert_eq!(stands(&home), expected, "{what}: {again:?}");
            fs::remove_dir_all(&home).unwrap();
        }
    }
    println!("killed at {deaths} system calls: {before} times before the message was stored, {after} times after");
    assert!(before > 10 && after > 10, "{before} {after}");
    let third = open(&ada, &fs::read_to_string(&sealed).unwrap(), &[]);
    third.succeeds();
}
