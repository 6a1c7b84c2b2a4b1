//! Trees: names, kinds, modes and times, and what cannot be copied of them.

use super::{Ends, LONG_AGO, age, is_harmless, names, odd_names, sample, to_seconds, tree, write};
use crate::openssh::Ssh;
use crate::sandbox::{Dir, Done};
use nix::sys::stat::Mode;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// Checks that each of `paths` is named once on standard error, with its reason, that nothing else is, and that the copy
/// ended with 1.
#[track_caller]
pub fn names_once(done: &Done, failed: &[(&str, &str)]) {
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    for (path, why) in failed {
        let lines: Vec<&str> = done.stderr.lines().filter(|line| line.contains(path)).collect();
        assert!(lines.len() == 1 && lines[0].contains(why), "{path}: {why} is not said once: {}", done.stderr);
    }
    let reasons = done.stderr.lines().filter(|line| line.starts_with("kw-scp: ")).count();
    assert!(reasons <= failed.len() + 1, "more than {} and a sum: {}", failed.len(), done.stderr);
}

#[test]
fn a_tree_with_names_of_every_kind_comes_as_it_was() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        sample(&from.join("tree"));
        let done = ends.across(up, &["-rp"], "tree", "copy").succeeds();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
        assert!(names(&tree(&from.join("tree"))) == names(&tree(&to.join("copy"))));
        assert!(tree(&from.join("tree")) == tree(&to.join("copy")), "{up}");
        // Once more, over what is there now.
        ends.across(up, &["-rp"], "tree/.", "copy").succeeds();
        assert!(tree(&from.join("tree")) == tree(&to.join("copy")), "{up}");
        for folder in [&from, &to] {
            assert!(!folder.join("ran").exists());
            fs::remove_dir_all(folder).unwrap();
            fs::create_dir(folder).unwrap();
        }
    }
}

#[test]
fn every_odd_name_can_be_said_on_the_command_line() {
    let ends = Ends::new();
    for name in odd_names() {
        let name = OsStr::from_bytes(&name);
        write(&ends.here(name), name.as_bytes(), 0o600);
        let mut up = ends.patient();
        // A name with a colon is a file here only behind a slash.
        Done::of(up.arg("--").arg(ends.here(name)).arg(ends.at(name))).succeeds();
        assert_eq!(fs::read(ends.there(name)).unwrap(), name.as_bytes());
        fs::remove_file(ends.here(name)).unwrap();
        Done::of(ends.patient().arg("--").arg(ends.at(name)).arg(ends.here(""))).succeeds();
        assert_eq!(fs::read(ends.here(name)).unwrap(), name.as_bytes());
        fs::remove_file(ends.there(name)).unwrap();
    }
    assert!(!ends.here("ran").exists() && !ends.there("ran").exists());
}

#[test]
fn what_lands_is_what_scp_and_rsync_make_of_the_same_tree() {
    let Some(ssh) = Ssh::start_or_say() else { return };
    let (_master, shared) = ssh.master();
    let ends = Ends::new();
    for side in [ends.here("tree"), ends.there("tree")] {
        sample(&side);
        std::os::unix::fs::symlink("plain", side.join("link")).unwrap();
        // scp has no words for such a time.
        fs::remove_file(side.join("before 1970")).unwrap();
    }
    [ends.here("tree"), ends.there("tree")].iter().for_each(|folder| age(folder, LONG_AGO));
    for up in [true, false] {
        let [_, to] = ends.sides(up);
        ends.across(up, &["-rp"], "tree", "ours").succeeds();
        let mut scp = ssh.scp(&shared);
        let words = |from: &Path, to: &Path| {
            let far = |path: &Path| format!("127.0.0.1:{}", path.display());
            if up { [from.display().to_string(), far(to)] } else { [far(from), to.display().to_string()] }
        };
        let [from, _] = ends.sides(up);
        Done::of(scp.arg("-rp").args(words(&from.join("tree"), &to.join("theirs")))).succeeds();
        let ours = tree(&to.join("ours"));
        assert_eq!(to_seconds(ours.clone()), to_seconds(tree(&to.join("theirs"))), "ours beside scp's");
        if crate::dropin::find("rsync").is_some() {
            let [from, to] = [from.join("tree/"), to.join("rsync")];
            Done::of(Command::new("rsync").args(["-a", "--copy-links"]).args([from, to])).succeeds();
            assert_eq!(ours, tree(&ends.sides(up)[1].join("rsync")), "ours beside rsync's");
        }
    }
}

#[test]
fn a_tree_deeper_than_any_path_may_be_long_is_copied() {
    let ends = Ends::new();
    let make = "cd \"$0\" && mkdir tree && cd tree && for n in $(seq 24); do d=$(printf %0200d $n); mkdir $d; cd -P $d; \
                done; echo deep >file";
    Done::of(Command::new("bash").args(["-c", make]).arg(ends.here(""))).succeeds();
    let done = ends.up(&["-r"], "tree", "tree");
    let look = "cd \"$0\"/tree && for n in $(seq 24); do cd -P $(printf %0200d $n) || exit 1; done; cat file";
    let seen = Done::of(Command::new("bash").args(["-c", look]).arg(ends.there("")));
    match done.code() {
        0 => assert_eq!(seen.stdout, "deep\n"),
        1 => assert!(done.stderr.contains("too long"), "{done:?}"),
        _ => panic!("{done:?}"),
    }
    ends.down(&["-r"], "tree", "back").succeeds();
}

#[test]
fn a_tree_of_a_thousand_and_nine_hundred_levels_takes_no_more_than_a_flat_one() {
    let ends = Ends::new();
    let deep = "d/".repeat(1900);
    fs::create_dir_all(ends.here("tree").join(&deep)).unwrap();
    fs::write(ends.here("tree").join(&deep).join("f"), "deep").unwrap();
    for (up, from, to) in [(true, "tree", "tree"), (false, "tree", "back")] {
        let line = "ulimit -n 256; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", line, "sh", crate::sandbox::binary("kw-scp"), "-r"]);
        command.env("KEYWIRE_HOME", ends.guest.home());
        if up {
            command.arg(ends.here(from)).arg(ends.at(to));
        } else {
            command.arg(ends.at(from)).arg(ends.here(to));
        }
        Done::of(&mut command).succeeds();
        assert_eq!(fs::read(ends.sides(up)[1].join(to).join(&deep).join("f")).unwrap(), b"deep");
    }
}

#[test]
fn more_files_than_any_window_come_in_one_go() {
    const FILES: usize = 8500;
    let (ends, dir) = (Ends::new(), Dir::in_memory());
    let [from, to] = ["from", "to"].map(|name| dir.join(name));
    fs::create_dir(&from).unwrap();
    for number in 0..FILES {
        fs::write(from.join(number.to_string()), number.to_string()).unwrap();
    }
    Done::of(ends.patient().args(["-r", "--no-sync"]).arg(&from).arg(super::at("box", &to))).succeeds();
    let entries = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().path());
    let right = entries.filter(|path| path.file_name().unwrap().as_bytes() == fs::read(path).unwrap());
    assert_eq!(right.count(), FILES);
}

#[test]
fn pipes_sockets_and_devices_are_named_and_not_waited_for() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        fs::create_dir(from.join("tree")).unwrap();
        nix::unistd::mkfifo(&from.join("tree/fifo"), Mode::from_bits_truncate(0o600)).unwrap();
        let _socket = UnixListener::bind(from.join("tree/socket")).unwrap();
        write(&from.join("tree/file"), b"the rest", 0o600);
        let done = ends.across(up, &["-r"], "tree", "copy");
        names_once(&done, &[("tree/fifo", "not a regular file"), ("tree/socket", "not a regular file")]);
        assert_eq!(names(&tree(&to.join("copy"))), ["file"]);
        names_once(&ends.across(up, &[], "tree/fifo", "one"), &[("tree/fifo", "not a regular file")]);
        for side in [&from, &to] {
            fs::remove_dir_all(side).unwrap();
            fs::create_dir(side).unwrap();
        }
    }
    names_once(&ends.down(&[], "/dev/null", "null"), &[("/dev/null", "not a regular file")]);
}

#[test]
fn what_may_not_be_read_is_named_once_and_the_rest_is_copied() {
    let ends = Ends::unprivileged();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        for folder in ["tree/closed/inner", "tree/locked", "tree/open"] {
            fs::create_dir_all(from.join(folder)).unwrap();
        }
        for file in ["tree/secret", "tree/file", "tree/closed/a", "tree/closed/b", "tree/locked/c", "tree/open/d"] {
            write(&from.join(file), b"contents", 0o600);
        }
        ends.give_away();
        set_mode(&from.join("tree/secret"), 0);
        set_mode(&from.join("tree/closed"), 0);
        // Its names can be seen, and no more.
        set_mode(&from.join("tree/locked"), 0o400);
        let done = ends.across(up, &["-r"], "tree", "copy");
        let denied = ["tree/secret", "tree/closed", "tree/locked"].map(|path| (path, "permission denied"));
        names_once(&done, &denied);
        for folder in ["copy/closed", "copy/locked"].map(|folder| to.join(folder)) {
            if folder.exists() {
                set_mode(&folder, 0o700);
            }
        }
        let copied = names(&tree(&to.join("copy")));
        assert!(["file", "open", "open/d"].iter().all(|name| copied.contains(&(*name).to_owned())), "{copied:?}");
        assert!(!copied.contains(&"secret".to_owned()) && !copied.contains(&"locked/c".to_owned()), "{copied:?}");
        for folder in ["tree/closed", "tree/locked"] {
            set_mode(&from.join(folder), 0o700);
        }
        for side in [&from, &to] {
            fs::remove_dir_all(side).unwrap();
            fs::create_dir(side).unwrap();
        }
        ends.give_away();
    }
}

#[test]
fn a_folder_that_nobody_may_write_gets_its_mode_when_all_is_in_it() {
    let ends = Ends::unprivileged();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        fs::create_dir_all(from.join("tree/shut/inner")).unwrap();
        write(&from.join("tree/shut/file"), b"contents", 0o400);
        write(&from.join("tree/shut/inner/file"), b"contents", 0o444);
        ends.give_away();
        for folder in ["tree/shut/inner", "tree/shut"] {
            set_mode(&from.join(folder), 0o555);
            age(&from.join(folder), LONG_AGO);
        }
        for options in [&["-r"][..], &["-rp"]] {
            ends.across(up, options, "tree", "copy").succeeds();
            assert_eq!(fs::read(to.join("copy/shut/inner/file")).unwrap(), b"contents");
            assert_eq!([mode(&to.join("copy/shut")), mode(&to.join("copy/shut/file"))], [0o555, 0o400]);
            if options == ["-rp"] {
                assert_eq!(tree(&to.join("copy/shut")), tree(&from.join("tree/shut")));
            }
            for folder in ["copy/shut", "copy/shut/inner"] {
                set_mode(&to.join(folder), 0o700);
            }
            fs::remove_dir_all(to.join("copy")).unwrap();
        }
        for folder in ["tree/shut", "tree/shut/inner"] {
            set_mode(&from.join(folder), 0o700);
        }
    }
}

#[test]
fn no_set_id_and_no_sticky_bit_is_ever_carried() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        fs::create_dir(from.join("tree")).unwrap();
        write(&from.join("tree/file"), b"#!/bin/sh\n", 0o600);
        for (number, bits) in [0o6755, 0o4755, 0o2755, 0o1777, 0o7777].into_iter().enumerate() {
            for options in [&["-r"][..], &["-rp"], &["-r", "--links"]] {
                set_mode(&from.join("tree/file"), bits);
                set_mode(&from.join("tree"), bits);
                let copy = format!("copy {number}{}", options.concat());
                ends.across(up, options, "tree", &copy).succeeds();
                for made in [to.join(&copy), to.join(&copy).join("file")] {
                    let preserved = (options == ["-rp"]).then_some(bits & 0o777);
                    let made = mode(&made);
                    assert!(made & 0o7000 == 0 && preserved.is_none_or(|bits| bits == made), "{bits:o} gave {made:o}");
                }
            }
        }
    }
}

#[test]
fn without_p_the_umask_holds_and_what_is_there_keeps_its_mode() {
    let line = "umask 077; exec \"$@\"";
    let ends = Ends::behind(&["sh", "-c", line, "sh"]);
    fs::create_dir(ends.here("tree")).unwrap();
    write(&ends.here("tree/file"), b"contents", 0o666);
    write(&ends.here("tree/program"), b"contents", 0o755);
    set_mode(&ends.here("tree"), 0o777);
    ends.up(&["-r"], "tree", "copy").succeeds();
    let modes = || ["copy", "copy/file", "copy/program"].map(|name| mode(&ends.there(name)));
    assert_eq!(modes(), [0o700, 0o600, 0o700]);
    for (name, bits) in [("copy", 0o750), ("copy/file", 0o640), ("copy/program", 0o604)] {
        set_mode(&ends.there(name), bits);
    }
    ends.up(&["-r"], "tree/.", "copy").succeeds();
    assert_eq!(modes(), [0o750, 0o640, 0o604]);
    // What nobody asked to keep is of now.
    assert!(fs::metadata(ends.there("copy/file")).unwrap().modified().unwrap().elapsed().unwrap().as_secs() < 3600);
    ends.up(&["-rp"], "tree/.", "copy").succeeds();
    assert_eq!(modes(), [0o750, 0o666, 0o755], "the folder that was named is the user's own");
}

#[test]
fn times_are_kept_to_the_nanosecond_however_far_they_are() {
    let ends = Ends::new();
    fs::create_dir(ends.here("tree")).unwrap();
    let epoch = SystemTime::UNIX_EPOCH;
    let times = [
        epoch,
        epoch + Duration::new(0, 1),
        epoch + Duration::new(1, 999_999_999),
        epoch - Duration::new(0, 1),
        epoch - Duration::from_secs(1 << 31),
        epoch + Duration::new((1 << 31) + 7, 5),
        epoch + Duration::new(1 << 33, 3),
    ];
    for (number, time) in times.iter().enumerate() {
        let path = ends.here("tree").join(number.to_string());
        fs::write(&path, "").unwrap();
        File::open(&path).unwrap().set_times(FileTimes::new().set_modified(*time)).unwrap();
    }
    ends.up(&["-rp"], "tree", "copy").succeeds();
    for number in 0..times.len() {
        let [was, is] =
            [ends.here("tree"), ends.there("copy")].map(|side| fs::metadata(side.join(number.to_string())).unwrap());
        assert_eq!((was.mtime(), was.mtime_nsec()), (is.mtime(), is.mtime_nsec()));
    }
}

#[test]
fn what_is_excluded_is_neither_copied_nor_said() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        fs::create_dir_all(from.join("tree/target/deep")).unwrap();
        fs::create_dir_all(from.join("tree/src")).unwrap();
        for file in ["tree/a.o", "tree/src/b.o", "tree/src/c.rs", "tree/target/d", "tree/target/deep/e", "tree/.git"] {
            write(&from.join(file), b"contents", 0o600);
        }
        nix::unistd::mkfifo(&from.join("tree/target/fifo"), Mode::from_bits_truncate(0o600)).unwrap();
        let options = ["-r", "--exclude", "*.o", "--exclude", "target", "--exclude", ".git"];
        let done = ends.across(up, &options, "tree", "copy").succeeds();
        assert_eq!(done.stderr, "");
        assert_eq!(names(&tree(&to.join("copy"))), ["src", "src/c.rs"]);
        fs::remove_dir_all(to.join("copy")).unwrap();
        fs::remove_dir_all(from.join("tree")).unwrap();
    }
}

#[test]
fn names_that_would_speak_to_a_terminal_never_reach_one() {
    let bad: [&[u8]; 6] = [b"\x1b]0;x\x07", b"a\rb", b"\x9b31m", b"\xc2\x9b31m", "r\u{202e}l".as_bytes(), b"b\x08\x7f"];
    for up in [true, false] {
        let ends = Ends::new();
        let [from, to] = ends.sides(up);
        fs::create_dir(from.join("tree")).unwrap();
        for name in bad {
            let good = from.join("tree").join(OsStr::from_bytes(&[name, b".good"].concat()));
            write(&good, b"contents", 0o600);
            let fifo = from.join("tree").join(OsStr::from_bytes(name));
            nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();
        }
        for (number, options) in
            [&["-r"][..], &["-rv"], &["-rq"], &["-r", "--json"], &["-rv", "--dry-run"], &["-r", "--links"]]
                .into_iter()
                .enumerate()
        {
            let copy = format!("copy {number}");
            let done = ends.across(up, options, "tree", &copy).fails_with(1);
            assert!(done.stderr.lines().count() >= bad.len(), "{done:?}");
            is_harmless(&done.bytes);
            is_harmless(done.stderr.as_bytes());
            let expected = if options.contains(&"--dry-run") { 0 } else { bad.len() };
            assert_eq!(tree_or_none(&to.join(copy)).len(), expected);
        }
        // And names that are not there, which only the command line knows.
        for name in bad {
            let done = Done::of(ends.patient().arg("--").arg(ends.at(OsStr::from_bytes(name))).arg("nowhere"));
            is_harmless(done.fails_with(1).stderr.as_bytes());
        }
    }
}

fn tree_or_none(root: &Path) -> BTreeSet<String> {
    if root.exists() { names(&tree(root)).into_iter().collect() } else { BTreeSet::new() }
}
