//! With the programs that people use: OpenSSH's sftp and scp, where they are installed.

use super::server;
use crate::pty::random;
use crate::sandbox::{Dir, Done, binary};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

/// Whether `program` is installed; says so if it is not.
fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Runs OpenSSH's sftp in `here` with a server in `there`, and each line of `batch`.
fn sftp(here: &Dir, there: &Dir, options: &str, batch: &[u8]) -> Done {
    let command = format!("{} --sftp-server {options}", binary("kw-ptyd"));
    let start = there.join(".start");
    std::fs::write(&start, format!("#!/bin/sh\ncd '{}'\nexec {command}\n", there.path().display())).unwrap();
    std::fs::set_permissions(&start, PermissionsExt::from_mode(0o755)).unwrap();
    let mut sftp = Command::new("sftp");
    sftp.current_dir(here.path()).args(["-q", "-b", "-", "-D"]).arg(&start);
    Done::with(&mut sftp, batch)
}

#[test]
fn sftp_does_what_its_users_do() {
    if !is_installed("sftp") {
        return;
    }
    let (here, there) = (Dir::new(), Dir::new());
    let contents = random(5 << 20);
    std::fs::write(here.join("large"), &contents).unwrap();
    std::fs::write(here.join("empty"), "").unwrap();
    std::fs::set_permissions(here.join("large"), PermissionsExt::from_mode(0o640)).unwrap();
    let batch = b"mkdir folder\nput -p large folder/large\nput empty\nget folder/large back\nls -l folder\nln -s large folder/link
        ln folder/large second\nrename second third\nchmod 600 third\ndf\ndf -h\nls -la\nget -p third\nrm folder/link\nrm third
        pwd\ncd folder\npwd\ncd ..\nget -r folder copy\nmkdir new\nrmdir new\nrm folder/*\nrmdir folder\nget empty nothing\nversion\n";
    let done = sftp(&here, &there, "", batch).succeeds();
    assert!(
        std::fs::read(here.join("back")).unwrap() == contents && std::fs::read(here.join("third")).unwrap() == contents
    );
    assert_eq!(std::fs::metadata(here.join("third")).unwrap().mode() & 0o777, 0o600);
    assert!(std::fs::read(here.join("copy/large")).unwrap() == contents);
    assert_eq!(std::fs::read(here.join("nothing")).unwrap(), b"");
    assert!(done.stdout.contains(&format!("working directory: {}\n", there.path().display())), "{done:?}");
    assert!(done.stdout.contains("-rw-r-----") && done.stdout.contains("5242880"), "{done:?}");
    assert!(done.stdout.contains("SFTP protocol version 3"), "{done:?}");
    let mut left: Vec<_> = std::fs::read_dir(there.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".start", "empty"]);
}

#[test]
fn sftp_goes_on_with_a_transfer_that_was_cut() {
    if !is_installed("sftp") {
        return;
    }
    let (here, there) = (Dir::new(), Dir::new());
    let contents = random(3 << 20);
    for (whole, part) in [(here.join("up"), there.join("up")), (there.join("down"), here.join("down"))] {
        std::fs::write(whole, &contents).unwrap();
        std::fs::write(part, &contents[..1_234_567]).unwrap();
    }
    sftp(&here, &there, "", b"reput up\nreget down\n").succeeds();
    assert!(std::fs::read(there.join("up")).unwrap() == contents);
    assert!(std::fs::read(here.join("down")).unwrap() == contents);
}

#[test]
fn sftp_shows_why_something_cannot_be_done() {
    if !is_installed("sftp") {
        return;
    }
    let (here, there) = (Dir::new(), Dir::new());
    std::fs::write(there.join("file"), "contents").unwrap();
    std::fs::create_dir(there.join("full")).unwrap();
    std::fs::write(there.join("full/file"), "").unwrap();
    for (options, line, why) in [
        ("", "get none", "not found"),
        ("", "cd none", "No such file"),
        ("", "rm none", "No such file"),
        ("", "rmdir full", "Failure"),
        ("", "mkdir full", "Failure"),
        ("--read-only", "mkdir new", "ermission denied"),
        ("--read-only", "rm file", "ermission denied"),
        ("--read-only", "put .start new", "ermission denied"),
        ("--write-only", "get file", "ermission denied"),
    ] {
        std::fs::write(here.join(".start"), "").unwrap();
        let done = sftp(&here, &there, options, format!("{line}\n").as_bytes());
        assert!(done.code() != 0 && done.stderr.contains(why), "{line}: {why:?} is not in {done:?}");
    }
}

#[test]
fn sftp_carries_names_of_any_bytes() {
    if !is_installed("sftp") {
        return;
    }
    let (here, there) = (Dir::new(), Dir::new());
    let names: [&[u8]; 4] = [b"with space", b"-dash", b"not \xff UTF-8", &[b'n'; 255]];
    std::fs::create_dir(here.join("all")).unwrap();
    for name in names {
        std::fs::write(here.join("all").join(OsStr::from_bytes(name)), name).unwrap();
    }
    sftp(&here, &there, "", b"put -r all\nget -r all back\n").succeeds();
    for name in names {
        for dir in [there.join("all"), here.join("back")] {
            assert_eq!(std::fs::read(dir.join(OsStr::from_bytes(name))).unwrap(), name);
        }
    }
}

#[test]
fn scp_copies_both_ways() {
    if !is_installed("scp") {
        return;
    }
    let (here, there) = (Dir::new(), Dir::new());
    let contents = random(2 << 20);
    std::fs::create_dir_all(here.join("tree/sub")).unwrap();
    std::fs::write(here.join("tree/sub/file"), &contents).unwrap();
    std::fs::write(here.join("tree/note"), "note").unwrap();
    // In the place of ssh: no connection, and the server at once.
    let connect = here.join("connect");
    let start = format!("#!/bin/sh\ncd '{}' && exec {} --sftp-server\n", there.path().display(), binary("kw-ptyd"));
    std::fs::write(&connect, start).unwrap();
    std::fs::set_permissions(&connect, PermissionsExt::from_mode(0o755)).unwrap();
    let scp = |arguments: &[&str]| {
        let mut command = Command::new("scp");
        command.current_dir(here.path()).args(["-q", "-s", "-S"]).arg(&connect).args(arguments);
        Done::of(&mut command)
    };
    scp(&["-rp", "tree", "host:"]).succeeds();
    assert!(std::fs::read(there.join("tree/sub/file")).unwrap() == contents);
    scp(&["-r", "host:tree", "back"]).succeeds();
    assert!(std::fs::read(here.join("back/sub/file")).unwrap() == contents);
    scp(&["host:tree/no*", "note"]).succeeds();
    assert_eq!(std::fs::read(here.join("note")).unwrap(), b"note");
    let failed = scp(&["host:none", "x"]);
    assert!(failed.code() == 1 && failed.stderr.contains("No such file"), "{failed:?}");
}

#[test]
fn help_names_the_server() {
    assert!(Done::of(server().arg("--help")).succeeds().stdout.contains("--sftp-server"));
}
