//! Disks that are full, files that may not be written, system calls that fail, and files that change while they are read.

use super::cut::Way;
use super::trees::names_once;
use super::{Ends, at, names, parts, tree, write};
use crate::pty::random;
use crate::sandbox::{Done, Running, binary, strace_works};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What runs a program with a small disk of its own in the folder `$0`.
const WITH_DISK: &str = "mount -t tmpfs -o size=512k,mode=755 none \"$0\" && exec \"$@\"";

/// Whether a program may have a disk of its own here; if not, the reason why the test is left out is said.
fn may_mount() -> bool {
    let works = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    let works = works.is_ok_and(|done| done.status.success());
    if !works {
        eprintln!("skipped: no name space with a disk of its own to be had here");
    }
    works
}

/// Ends whose host has a disk of 512 KiB, and the place where that is seen from here.
fn with_small_disk() -> (Ends, PathBuf) {
    let mut ends = Ends::new();
    fs::create_dir(ends.there("disk")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", WITH_DISK]).arg(ends.there("disk")).arg(binary("kw-ptyd"));
    command.args(["--listen", "127.0.0.1:0"]).env("KEYWIRE_HOME", ends.host.home()).stderr(std::process::Stdio::null());
    let mut daemon = Running::start(&mut command);
    let address = daemon.address();
    ends.daemon = daemon;
    ends.move_to(&address);
    let seen = PathBuf::from(format!("/proc/{}/root{}", ends.daemon.pid(), ends.there("disk").display()));
    (ends, seen)
}

#[test]
fn a_full_disk_of_the_host_leaves_the_old_file_and_no_litter_and_is_said() {
    if !may_mount() {
        return;
    }
    let (ends, disk) = with_small_disk();
    fs::write(ends.here("large"), random(3_000_000)).unwrap();
    fs::write(ends.here("small"), "fits").unwrap();
    fs::write(disk.join("large"), "old").unwrap();
    for options in [&[][..], &["--resume"], &["--verify"], &["--fsync"]] {
        let mut scp = ends.patient();
        scp.args(options).arg(ends.here("large")).arg(ends.here("small")).arg(ends.at("disk"));
        names_once(&Done::of(&mut scp), &[("large", "no space left on device")]);
        assert_eq!(names(&tree(&disk)), ["large", "small"], "{options:?}");
        assert_eq!(fs::read(disk.join("large")).unwrap(), b"old");
        assert_eq!(fs::read(disk.join("small")).unwrap(), b"fits");
        fs::remove_file(disk.join("small")).unwrap();
    }
    // A pipe, and no room for a single name.
    let done = Done::with(ends.patient().arg("-").arg(ends.at("disk/large")), &random(2_000_000));
    assert!(done.code() == 1 && done.stderr.contains("no space left on device"), "{done:?}");
    assert_eq!(fs::read(disk.join("large")).unwrap(), b"old");
    assert_eq!(names(&tree(&disk)), ["large"]);
}

#[test]
fn a_full_disk_here_leaves_the_old_file_and_no_litter_and_is_said() {
    if !may_mount() {
        return;
    }
    let ends = Ends::new();
    fs::write(ends.there("large"), random(3_000_000)).unwrap();
    fs::write(ends.there("small"), "fits").unwrap();
    fs::create_dir(ends.here("disk")).unwrap();
    let script = "mount -t tmpfs -o size=512k,mode=755 none disk && cd disk && echo old >large && shift && \
                  \"$0\" \"$@\" .; echo \"status $?\"; cat large small; ls -A";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, binary("kw-scp"), "-"]).args([ends.at("large"), ends.at("small")]);
    let done = Done::of(command.current_dir(ends.here("")).env("KEYWIRE_HOME", ends.guest.home()));
    assert_eq!(done.stdout, "status 1\nold\nfitslarge\nsmall\n", "{done:?}");
    assert!(done.stderr.contains("large: no space left on device"), "{done:?}");
}

#[test]
fn a_disk_that_may_only_be_read_is_said_once_for_each() {
    if !may_mount() {
        return;
    }
    let (ends, disk) = with_small_disk();
    fs::create_dir(disk.join("sub")).unwrap();
    fs::write(disk.join("sub/one"), "old").unwrap();
    let pid = ends.daemon.pid().to_string();
    let again = ["-t", &pid, "-U", "-m", "mount", "-o", "remount,ro"];
    let remounted = Done::of(Command::new("nsenter").args(again).arg(ends.there("disk")));
    if !remounted.status.success() {
        eprintln!("skipped: {}", remounted.stderr);
        return;
    }
    for name in ["one", "two"] {
        fs::write(ends.here(name), "new").unwrap();
    }
    let mut scp = ends.patient();
    let done = Done::of(scp.arg(ends.here("one")).arg(ends.here("two")).arg(ends.at("disk/sub")));
    names_once(&done, &[("one", "read-only file system"), ("two", "read-only file system")]);
    assert_eq!(fs::read(disk.join("sub/one")).unwrap(), b"old");
    assert_eq!(names(&tree(&disk)), ["sub", "sub/one"]);
}

#[test]
fn what_may_not_be_written_stays_as_it_is() {
    let ends = Ends::unprivileged();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        for folder in ["tree/shut", "tree/there"] {
            fs::create_dir_all(from.join(folder)).unwrap();
        }
        for file in ["tree/kept", "tree/shut/new", "tree/there/file", "tree/plain", "tree/queue"] {
            write(&from.join(file), b"new", 0o600);
        }
        for folder in ["copy/shut", "copy/plain"] {
            fs::create_dir_all(to.join(folder)).unwrap();
        }
        write(&to.join("copy/kept"), b"old", 0o400);
        write(&to.join("copy/there"), b"old", 0o600);
        nix::unistd::mkfifo(&to.join("copy/queue"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        ends.give_away();
        fs::set_permissions(to.join("copy/shut"), Permissions::from_mode(0o500)).unwrap();
        let before = tree(&to);
        let done = ends.across(up, &["-r"], "tree/.", "copy");
        let failed = [
            ("/./kept", "permission denied"),
            ("/./shut/new", "permission denied"),
            ("/./there", "not a directory"),
            ("/./plain", "is a directory"),
            ("/./queue", "not a regular file"),
        ];
        names_once(&done, &failed);
        assert_eq!(tree(&to), before);
        fs::set_permissions(to.join("copy/shut"), Permissions::from_mode(0o700)).unwrap();
        for side in [&from, &to] {
            fs::remove_dir_all(side).unwrap();
            fs::create_dir(side).unwrap();
        }
        ends.give_away();
    }
}

#[test]
fn a_target_that_is_no_file_is_refused_before_anything_is_sent() {
    let ends = Ends::new();
    write(&ends.here("file"), b"new", 0o600);
    write(&ends.there("file"), b"new", 0o600);
    for up in [true, false] {
        let to = if up { std::ffi::OsString::from("box:/dev/null") } else { "/dev/null".into() };
        let from = if up { ends.here("file").into_os_string() } else { ends.at("file") };
        Done::of(ends.patient().arg(from).arg(to)).fails(1, "not a regular file");
    }
    assert!(fs::metadata("/dev/null").is_ok_and(|null| !null.is_file()));
}

/// What changes files. Plain write(2) is left out: what a copy writes by it is no file, but what wakes a thread of tokio's.
const CHANGES: &str = "pwrite64,writev,pwritev,pwritev2,ftruncate,fallocate,rename,renameat,renameat2,linkat,fchmod,\
                       fchmodat,?fchmodat2,utimensat,fsync,fdatasync,syncfs,mkdirat,copy_file_range";

/// Fetches a small tree under strace.
fn fetched(ends: &Ends, options: &[&str], log: &Path) -> Done {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "30", "strace", "-f", "-qq", "-o"]).arg(log).args(options);
    command.args([binary("kw-scp"), "-rp"]).arg(ends.at("tree/.")).arg(ends.here("copy"));
    Done::of(command.env("KEYWIRE_HOME", ends.guest.home()))
}

/// How often each call was made, at the most by one thread: strace counts for each.
fn most(log: &str) -> BTreeMap<String, usize> {
    let mut by_thread: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in log.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        *by_thread.entry((name, pid)).or_default() += 1;
    }
    let mut most = BTreeMap::new();
    for ((name, _), count) in by_thread {
        let entry = most.entry(name.to_owned()).or_insert(0);
        *entry = count.max(*entry);
    }
    most
}

#[test]
fn whatever_system_call_fails_the_old_is_there_or_the_new_and_it_is_said() {
    if !strace_works() {
        return;
    }
    let ends = Ends::new();
    fs::create_dir_all(ends.there("tree/sub")).unwrap();
    write(&ends.there("tree/large"), &random(300_000), 0o640);
    write(&ends.there("tree/small"), b"new", 0o640);
    write(&ends.there("tree/sub/inner"), b"new", 0o640);
    let old = || {
        let _ = fs::remove_dir_all(ends.here("copy"));
        fs::create_dir(ends.here("copy")).unwrap();
        for name in ["large", "small"] {
            write(&ends.here("copy").join(name), b"old", 0o600);
        }
        tree(&ends.here("copy"))
    };
    let before = old();
    let log = ends.aside("strace.log");
    fetched(&ends, &["-e", &format!("trace={CHANGES}")], &log).succeeds();
    let after = tree(&ends.here("copy"));
    assert_eq!(after, tree(&ends.there("tree")));
    let counts = most(&fs::read_to_string(&log).unwrap());
    assert!(counts.keys().any(|name| name.contains("writ")), "{counts:?}");
    assert!(counts.keys().any(|name| name.starts_with("rename")) && counts.contains_key("syncfs"), "{counts:?}");
    let mut failed: BTreeMap<&str, usize> = BTreeMap::new();
    for (call, count) in &counts {
        for when in 1..=*count {
            for error in ["ENOSPC", "EIO"] {
                old();
                let options =
                    ["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}:when={when}")];
                let done = fetched(&ends, &options, &log);
                let what = format!("{error} from {call} {when}");
                let traced = fs::read_to_string(&log).unwrap();
                let injected = traced.lines().filter(|line| line.contains("(INJECTED)")).count();
                let there = tree(&ends.here("copy"));
                for (name, node) in &there {
                    let is_part = name.to_string_lossy().rsplit('/').next().unwrap().starts_with(".kw-");
                    let whole =
                        [&before, &after].iter().any(|tree| tree.get(name).is_some_and(|whole| whole.sum == node.sum));
                    assert!(whole || is_part && !done.status.success(), "{what}: {} {done:?}", name.display());
                }
                if done.status.success() {
                    let same =
                        there.iter().all(|(name, node)| after.get(name).is_some_and(|whole| whole.sum == node.sum));
                    assert!(same && there.len() == after.len(), "{what}: it says that all is well: {there:?}");
                } else {
                    assert!(injected > 0 && done.stderr.starts_with("kw-scp: "), "{what}: {done:?}");
                    *failed.entry(call.as_str()).or_default() += 1;
                }
            }
        }
    }
    println!("said: {failed:?} of {counts:?}");
    for must in ["rename", "syncfs", "writ"] {
        assert!(failed.keys().any(|call| call.contains(must)), "no {must} that fails was said: {failed:?}");
    }
}

#[test]
fn a_sync_that_fails_is_no_success() {
    if !strace_works() {
        return;
    }
    let ends = Ends::new();
    fs::create_dir_all(ends.there("tree")).unwrap();
    write(&ends.there("tree/file"), b"new", 0o640);
    fs::create_dir(ends.here("copy")).unwrap();
    let done = fetched(&ends, &["-e", "inject=syncfs,fsync,fdatasync:error=EIO"], &ends.aside("log"));
    assert!(matches!(done.code(), 1 | 5), "{done:?}");
    assert!(done.stderr.contains("input/output error"), "{done:?}");
}

/// Copies 24 MB and lets `change` happen to the source when the first of them are on the way.
fn while_read(ends: &Ends, up: bool, change: impl FnOnce(&Path) + Send + 'static) -> (Done, Vec<u8>) {
    let [from, _] = ends.sides(up);
    let _ = fs::remove_dir_all(from.join("tree"));
    fs::create_dir_all(from.join("tree/z")).unwrap();
    let bytes = random(24_000_000);
    File::create(from.join("tree/large")).unwrap().write_all(&bytes).unwrap();
    write(&from.join("tree/z/last"), b"last", 0o600);
    let at_source = from.join("tree");
    let way = Way::turn(&ends.address, 300_000, move || {
        change(&at_source);
        true
    });
    let mut scp = ends.patient();
    scp.arg("-r");
    let done = if up {
        Done::of(scp.arg(ends.here("tree")).arg(at(&way.address, &ends.there("copy"))))
    } else {
        Done::of(scp.arg(at(&way.address, &ends.there("tree"))).arg(ends.here("copy")))
    };
    (done, bytes)
}

#[test]
fn a_file_that_changes_while_it_is_read_is_said() {
    let ends = Ends::new();
    for up in [true, false] {
        let [_, to] = ends.sides(up);
        let copied = |name: &str| fs::read(to.join("copy").join(name)).ok();
        let clean = || {
            assert_eq!(copied("z/last").as_deref(), Some(&b"last"[..]));
            assert!(parts(&to.join("copy")).is_empty());
            fs::remove_dir_all(to.join("copy")).unwrap();
        };

        let (done, bytes) = while_read(&ends, up, |tree| {
            OpenOptions::new().append(true).open(tree.join("large")).unwrap().write_all(b"more").unwrap();
        });
        names_once(&done, &[("tree/large", "it changed while it was read")]);
        assert!(copied("large").is_some_and(|there| there == bytes), "as long as it was at the beginning");
        clean();

        let (done, _) = while_read(&ends, up, |tree| {
            OpenOptions::new().write(true).open(tree.join("large")).unwrap().set_len(23_000_000).unwrap();
        });
        names_once(&done, &[("tree/large", "it became shorter while it was read")]);
        assert!(copied("large").is_none());
        clean();

        let (done, bytes) = while_read(&ends, up, |tree| {
            use std::os::unix::fs::FileExt;
            let file = OpenOptions::new().write(true).open(tree.join("large")).unwrap();
            file.write_all_at(b"changed", 23_999_000).unwrap();
        });
        names_once(&done, &[("tree/large", "it changed while it was read")]);
        assert_eq!(copied("large").map(|there| there.len()), Some(bytes.len()));
        clean();

        // A name that goes away under whoever reads the file takes nothing from it.
        let (done, bytes) = while_read(&ends, up, |tree| fs::remove_file(tree.join("large")).unwrap());
        assert!(copied("large").is_some_and(|there| there == bytes), "{done:?}");
        clean();

        let (done, _) = while_read(&ends, up, |tree| fs::remove_dir_all(tree.join("z")).unwrap());
        if done.code() == 1 {
            names_once(&done, &[("tree/z", "no such file or directory")]);
        }
        assert!(copied("large").is_some());
        fs::remove_dir_all(to.join("copy")).unwrap();
    }
}

#[test]
fn a_target_that_changes_meanwhile_is_replaced_whole() {
    let ends = Ends::new();
    let bytes = random(3_000_000);
    write(&ends.here("large"), &bytes, 0o600);
    write(&ends.there("copy"), b"old", 0o600);
    let target = ends.there("copy");
    let way = Way::turn(&ends.address, 1_000_000, move || {
        fs::remove_file(&target).unwrap();
        fs::write(&target, "other").unwrap();
        true
    });
    Done::of(ends.patient().arg("large").arg(at(&way.address, &ends.there("copy")))).succeeds();
    assert!(fs::read(ends.there("copy")).unwrap() == bytes);
}
