//! Death and failing system calls at every step of a change, by strace(1), and a disk that is really full.

use super::new_key;
use crate::sandbox::{Done, User, binary, strace_works};
use keywire::trust::PEERS;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// A user whose address book has these bytes.
fn user_with(book: &[u8]) -> User {
    let user = User::new();
    fs::create_dir(user.home()).unwrap();
    fs::set_permissions(user.home(), Permissions::from_mode(0o700)).unwrap();
    fs::write(user.home().join(PEERS), book).unwrap();
    user
}

/// An address book with one peer in it.
fn old_book() -> Vec<u8> {
    let user = User::new();
    user.run("kw-peers", ["add", "alice", &format!("{}@host:2022", new_key())]).succeeds();
    fs::read(user.home().join(PEERS)).unwrap()
}

/// Adds `bob` under strace; what strace writes goes to a file beside the state directory.
fn add_bob_under_strace(user: &User, options: &[&str]) -> (Done, String) {
    let log = user.file("strace.log");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).args(options).arg(binary("kw-peers"));
    let done = Done::of(command.args(["add", "bob", &new_key()]).env("KEYWIRE_HOME", user.home()));
    (done, fs::read_to_string(&log).unwrap_or_default())
}

/// The system calls in strace's log, in order, each with its line.
fn calls(log: &str) -> Vec<(&str, &str)> {
    let lines = log.lines().filter_map(|line| line.split_once(' ').map(|(_pid, call)| call.trim_start()));
    lines.filter_map(|call| call.split_once('(').map(|(name, _)| (name, call))).collect()
}

/// How often a change makes each system call, from start to end of the program.
fn counted_calls(book: &[u8]) -> BTreeMap<String, usize> {
    let (done, log) = add_bob_under_strace(&user_with(book), &[]);
    done.succeeds();
    let mut counts = BTreeMap::new();
    for (name, _) in calls(&log) {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    assert!(counts["openat"] > 2 && counts["fsync"] == 2, "{counts:?}");
    counts
}

/// The names in the address book, in order.
fn names(user: &User) -> Vec<String> {
    let listed = user.run("kw-peers", ["list"]).succeeds().stdout;
    listed.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Checks that the address book is the old one byte by byte, or the whole new one, and that it can be changed further.
fn is_old_or_new_and_goes_on(user: &User, old: &[u8], what: &str) -> bool {
    let changed = fs::read(user.home().join(PEERS)).unwrap() != old;
    let mut expected = if changed { vec!["alice", "bob"] } else { vec!["alice"] };
    assert_eq!(names(user), expected, "{what}");
    user.run("kw-peers", ["add", "carol", &new_key()]).succeeds();
    expected.push("carol");
    assert_eq!(names(user), expected, "after {what}");
    let mut left: Vec<_> = fs::read_dir(user.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", PEERS], "after {what}");
    changed
}

#[test]
fn death_at_any_system_call_leaves_the_old_state_or_the_new_one() {
    if !strace_works() {
        return;
    }
    let old = old_book();
    let (mut kills, mut new) = (0, 0);
    for (call, count) in counted_calls(&old) {
        // The first execve is strace's own way into the program.
        for when in 1 + usize::from(call == "execve")..=count {
            let user = user_with(&old);
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={when}"));
            let (done, _) = add_bob_under_strace(&user, &["-e", &trace, "-e", &inject]);
            assert_eq!(done.status.signal(), Some(9), "{call} {when}: {done:?}");
            let changed = is_old_or_new_and_goes_on(&user, &old, &format!("death at {call} {when}"));
            assert!(changed || !done.stderr.contains("bob is"), "{call} {when}: said, but not done");
            (kills, new) = (kills + 1, new + usize::from(changed));
        }
    }
    println!("killed at {kills} system calls; {new} times after the change");
    assert!(new > 0 && new < kills);
}

#[test]
fn a_failing_system_call_leaves_the_old_state_and_is_said() {
    if !strace_works() {
        return;
    }
    let old = old_book();
    let counts = counted_calls(&old);
    let mut failed = BTreeMap::new();
    for call in [
        "openat",
        "read",
        "write",
        "fsync",
        "rename",
        "renameat2",
        "flock",
        "fstat",
        "newfstatat",
        "statx",
        "unlink",
        "unlinkat",
        "mkdir",
        "close",
    ] {
        for when in 1..=counts.get(call).copied().unwrap_or(0) {
            for error in ["ENOSPC", "EIO"] {
                let user = user_with(&old);
                let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}:when={when}"));
                let (done, log) = add_bob_under_strace(&user, &["-e", &trace, "-e", &inject]);
                let what = format!("{error} from {call} {when}");
                assert!(log.contains("(INJECTED)"), "{what} did not happen");
                let changed = fs::read(user.home().join(PEERS)).unwrap() != old;
                match done.status.code() {
                    Some(0) => assert!(changed, "{what}: {done:?}"),
                    Some(5) if changed => {
                        assert!(done.stderr.contains("was changed, but a loss of power"), "{what}: {done:?}")
                    }
                    Some(5) => {
                        let reason = if error == "EIO" { "input/output error" } else { "no space left on device" };
                        assert!(done.stderr.contains(&format!(": {reason}\n")), "{what}: {done:?}");
                        // Before there is a directory to change anything in, that goes without saying.
                        let early = done.stderr.contains(&format!("{}: {reason}", user.home().display()));
                        assert!(early || done.stderr.contains("hint: nothing was changed"), "{what}: {done:?}");
                        *failed.entry(call).or_insert(0) += 1;
                    }
                    // The loader's own files: the program was never started.
                    Some(127) => {
                        assert!(!changed && done.stderr.contains("while loading shared libraries"), "{what}: {done:?}")
                    }
                    _ => panic!("{what}: {done:?}"),
                }
                is_old_or_new_and_goes_on(&user, &old, &what);
            }
        }
    }
    println!("refused, with the old state kept: {failed:?}");
    let renames = failed.get("rename").or(failed.get("renameat2"));
    assert_eq!(
        (failed.get("write"), failed.get("fsync"), renames, failed.get("flock")),
        (Some(&2), Some(&2), Some(&2), Some(&2))
    );
    assert!(
        failed.get("openat").is_some_and(|times| *times >= 6),
        "the lock, the file and the temporary file: {failed:?}"
    );
}

#[test]
fn a_change_is_synced_before_it_is_renamed_and_said_after_its_directory_is_synced() {
    if !strace_works() {
        return;
    }
    let (done, log) = add_bob_under_strace(&user_with(&old_book()), &[]);
    done.succeeds();
    // By flags and descriptors only: whoever is not root cannot read paths from a process that guards its memory.
    let mut seen = calls(&log).into_iter();
    let mut next = |name: &str, part: &str| {
        let found = seen.find(|(call, line)| call.starts_with(name) && line.contains(part));
        let (_, line) = found.unwrap_or_else(|| panic!("no {name} with {part:?} in its turn:\n{log}"));
        line.rsplit_once("= ").unwrap().1.to_owned()
    };
    next("openat", "O_WRONLY|O_CREAT|O_NO");
    next("flock", "LOCK_EX");
    next("openat", "O_RDONLY|");
    let temporary = next("openat", "O_WRONLY|O_CREAT|O_EXCL");
    next("write", &format!("({temporary}, "));
    next("fsync", &format!("({temporary})"));
    next("rename", "");
    let directory = next("openat", "O_RDONLY|");
    next("fsync", &format!("({directory})"));
    next("write", "(2, ");
}

#[test]
fn a_disk_that_is_really_full_keeps_the_old_state_and_works_again_with_room() {
    let user = user_with(&old_book());
    // A directory of its own in a name space of its own: nobody else sees the 64 KiB disk.
    let script = r#"
        mount -t tmpfs -o size=64k,mode=700 none "$1" || exit 99
        cp -p "$2/peers.json" "$1/" && export KEYWIRE_HOME="$1" && "$0" list >/dev/null || exit 98
        cat /dev/zero >"$1/filler" 2>/dev/null
        for try in 1 2; do "$0" add bob "$3"; echo "full: $?"; done
        cmp "$1/peers.json" "$2/peers.json" && echo unchanged
        rm "$1/filler"
        "$0" add bob "$3"; echo "with room: $?"
        "$0" list | wc -l
    "#;
    let disk = user.file("disk");
    fs::create_dir(&disk).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, binary("kw-peers")]).args([&disk, &user.home()]).arg(new_key());
    let Ok(output) = command.output() else {
        eprintln!("skipped: unshare is not installed");
        return;
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if out.is_empty() && output.status.code() != Some(98) {
        eprintln!("skipped: no name space with a disk of its own to be had here: {err}");
        return;
    }
    assert_eq!(out, "full: 5\nfull: 5\nunchanged\nwith room: 0\n2\n", "{err}");
    assert_eq!(err.matches("hint: nothing was changed").count(), 2, "{err}");
    assert_eq!(err.matches(": no space left on device").count(), 2, "{err}");
}
