//! What is in files: contents, attributes, handles, and what is no file.

use super::{
    APPEND, Ask, BAD_MESSAGE, CREATE, Client, EOF, EXCLUSIVE, FAILURE, NO_SUCH_FILE, NONE, READ, Reply, TRUNCATE,
    UNSUPPORTED, WRITE, mode, path, server, string,
};
use crate::pty::random;
use crate::sandbox::Dir;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

#[test]
fn a_file_of_any_length_comes_back_as_it_was_written() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    for length in [0, 1, 32_768, 261_120, 261_121, 3 << 20] {
        let contents = random(length);
        client.make("file", &contents);
        assert!(std::fs::read(dir.join("file")).unwrap() == contents, "{length}");
        assert!(client.contents("file").unwrap() == contents, "{length}");
    }
    assert!(client.finish().success());
}

#[test]
fn requests_are_answered_in_order_also_when_many_come_at_once() {
    let dir = Dir::new();
    let contents = random(4 << 20);
    std::fs::write(dir.join("file"), &contents).unwrap();
    let mut client = Client::at(&dir);
    let handle = client.open("file", READ).handle();
    let pieces: Vec<u64> = (0..4 << 20).step_by(8192).collect();
    let ids: Vec<u32> = pieces
        .iter()
        .map(|at| client.send_request(5, &[&string(&handle), &at.to_be_bytes(), &8192_u32.to_be_bytes()]))
        .collect();
    for (id, piece) in ids.into_iter().zip(contents.chunks(8192)) {
        assert!(client.reply(id) == Reply::Data(piece.to_vec()));
    }
}

#[test]
fn a_piece_may_be_anywhere_in_a_file() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    let handle = client.open("sparse", READ | WRITE | CREATE).handle();
    let far = 5_u64 << 30;
    client.write(&handle, far, b"far").ok();
    client.write(&handle, 3, b"near").ok();
    assert_eq!(client.read(&handle, far - 2, 100), Reply::Data(b"\0\0far".to_vec()));
    assert_eq!(client.read(&handle, 0, 8), Reply::Data(b"\0\0\0near\0".to_vec()));
    assert_eq!(client.read(&handle, far + 3, 1).code(), EOF);
    assert_eq!(client.read(&handle, u64::MAX, 1).code(), BAD_MESSAGE);
    assert_ne!(client.write(&handle, u64::MAX, b"x").code(), 0);
    let found = std::fs::metadata(dir.join("sparse")).unwrap();
    assert!(found.len() == far + 3 && found.blocks() < 1000, "{found:?}");
}

#[test]
fn a_longer_read_than_the_limit_brings_what_the_limit_allows() {
    let dir = Dir::new();
    std::fs::write(dir.join("file"), vec![7; 1 << 20]).unwrap();
    let mut client = Client::at(&dir);
    let handle = client.open("file", READ).handle();
    for length in [261_121, u32::MAX] {
        assert!(client.read(&handle, 0, length) == Reply::Data(vec![7; 261_120]), "{length}");
    }
    let Reply::Extended(limits) = client.extended("limits@openssh.com", &[]) else { panic!() };
    let numbers: Vec<u64> = limits.chunks(8).map(|number| u64::from_be_bytes(number.try_into().unwrap())).collect();
    assert_eq!(numbers, [262_144, 261_120, 261_120, 960]);
}

#[test]
fn a_file_is_opened_as_the_flags_say() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    client.open("none", READ).fails(NO_SUCH_FILE, "no such file");
    client.open("none", WRITE).fails(NO_SUCH_FILE, "no such file");
    client.open("", READ).fails(NO_SUCH_FILE, "empty");
    client.make("file", b"long contents");
    client.open("file", WRITE | CREATE | EXCLUSIVE).fails(FAILURE, "exists");
    let handle = client.open("file", WRITE | APPEND).handle();
    client.write(&handle, 0, b", longer").ok();
    assert_eq!(client.read(&handle, 0, 1).code(), NO_SUCH_FILE);
    assert_eq!(client.contents("file").unwrap(), b"long contents, longer");
    let handle = client.open("file", WRITE).handle();
    client.write(&handle, 0, b"LONG").ok();
    assert_eq!(client.contents("file").unwrap(), b"LONG contents, longer");
    client.open("file", WRITE | TRUNCATE).handle();
    assert_eq!(client.contents("file").unwrap(), b"");
}

#[test]
fn what_is_made_has_the_permissions_asked_for_less_the_umask() {
    let dir = Dir::new();
    let mut command = Command::new("sh");
    let start = format!("umask 027; exec {} --sftp-server", crate::sandbox::binary("kw-ptyd"));
    let mut client = Client::of(command.args(["-c", &start]).current_dir(dir.path()));
    let flags = (WRITE | CREATE).to_be_bytes();
    client.ask(Ask::Open, &[&string("plain"), &flags, &NONE]).handle();
    client.ask(Ask::Open, &[&string("script"), &flags, &mode(0o106_777)]).handle();
    client.ask(Ask::Mkdir, &[&string("folder"), &NONE]).ok();
    client.ask(Ask::Mkdir, &[&string("open"), &mode(0o7777)]).ok();
    let found = |name: &str| std::fs::metadata(dir.join(name)).unwrap().mode() & 0o7777;
    let all = ["plain", "script", "folder", "open"].map(found);
    assert_eq!(all, [0o640, 0o750, 0o750, 0o750]);
}

#[test]
fn attributes_are_told_and_set() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    client.make("file", b"0123456789");
    std::os::unix::fs::symlink("file", dir.join("link")).unwrap();
    let own = std::fs::metadata(dir.join("file")).unwrap();
    let (uid, gid) = (own.uid().to_be_bytes(), own.gid().to_be_bytes());
    let all = [&0x0f_u32.to_be_bytes()[..], &4_u64.to_be_bytes(), &uid, &gid, &0o6711_u32.to_be_bytes()].concat();
    let all = [&all[..], &1000_u32.to_be_bytes(), &4_000_000_000_u32.to_be_bytes()].concat();
    client.ask(Ask::Setstat, &[&string("link"), &all]).ok();
    for told in [client.about(Ask::Stat, "link").attributes(), client.about(Ask::Lstat, "file").attributes()] {
        assert_eq!((told.size, told.mode, told.owner), (4, 0o100_711, own.uid()));
        assert_eq!((told.accessed, told.modified), (1000, 4_000_000_000));
    }
    assert_eq!(client.about(Ask::Lstat, "link").attributes().mode & 0o170_000, 0o120_000);
    let handle = client.open("file", READ | WRITE).handle();
    let size = [&1_u32.to_be_bytes()[..], &7_u64.to_be_bytes()].concat();
    client.ask(Ask::Fsetstat, &[&string(&handle), &size]).ok();
    client.ask(Ask::Fsetstat, &[&string(&handle), &mode(0o600)]).ok();
    let told = client.ask(Ask::Fstat, &[&string(&handle)]).attributes();
    assert_eq!((told.size, told.mode), (7, 0o100_600));
    // With something extended that nobody knows, which is skipped.
    let extended = [&0x8000_0004_u32.to_be_bytes()[..], &0o640_u32.to_be_bytes(), &1_u32.to_be_bytes()].concat();
    client.ask(Ask::Setstat, &[&string("file"), &extended, &string("a"), &string("b")]).ok();
    assert_eq!(client.about(Ask::Stat, "file").attributes().mode, 0o100_640);
    client.ask(Ask::Setstat, &[&string("none"), &mode(0o640)]).fails(NO_SUCH_FILE, "no such file");
    let times = [8_u32.to_be_bytes(), 1_u32.to_be_bytes(), 2_u32.to_be_bytes()].concat();
    client.extended("lsetstat@openssh.com", &[&string("link"), &times]).ok();
    assert_eq!(client.about(Ask::Lstat, "link").attributes().modified, 2);
    assert_ne!(client.about(Ask::Stat, "link").attributes().modified, 2);
}

#[test]
fn too_many_open_files_are_refused_and_a_handle_means_one_file_only() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    client.make("file", b"file");
    let mut handles: Vec<Vec<u8>> = (0..960).map(|_| client.open("file", READ).handle()).collect();
    client.open("file", READ).fails(FAILURE, "too many open files");
    client.about(Ask::Opendir, ".").fails(FAILURE, "too many open files");
    let closed = handles.swap_remove(500);
    client.close(&closed).ok();
    let again = client.about(Ask::Opendir, ".").handle();
    assert_ne!(again, closed);
    for stale in [&closed[..], b"", b"handle", &[0xff; 8], &[0; 300]] {
        client.read(stale, 0, 1).fails(FAILURE, "no such handle");
        client.close(stale).fails(FAILURE, "no such handle");
    }
    client.read(&again, 0, 1).fails(FAILURE, "of a directory");
    client.ask(Ask::Readdir, &[&string(&handles[0])]).fails(FAILURE, "of a file");
    assert!(handles.iter().all(|handle| client.read(handle, 0, 9) == Reply::Data(b"file".to_vec())));
}

#[test]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let dir = Dir::new();
    nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.join("socket")).unwrap();
    std::fs::create_dir(dir.join("folder")).unwrap();
    let mut client = Client::at(&dir);
    for flags in [READ, WRITE, READ | WRITE, WRITE | CREATE | TRUNCATE] {
        for special in ["fifo", "socket", "/dev/null", "/dev/zero", "/dev/tty"] {
            let refused = client.open(special, flags);
            assert_eq!(refused.code(), FAILURE, "{special} {refused:?}");
        }
        client.open("folder", flags).fails(FAILURE, "directory");
    }
    client.about(Ask::Opendir, "fifo").fails(NO_SUCH_FILE, "not a directory");
    client.ask(Ask::Setstat, &[&string("fifo"), &1_u32.to_be_bytes(), &0_u64.to_be_bytes()]).fails(FAILURE, "regular");
}

#[test]
fn a_full_disk_is_reported() {
    let dir = Dir::new();
    let start = format!(
        "mount -t tmpfs -o size=1m tmpfs '{0}' && cd '{0}' && exec '{1}' --sftp-server",
        dir.path().display(),
        crate::sandbox::binary("kw-ptyd")
    );
    let probe = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs"]).arg(dir.path()).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    }
    let mut client = Client::of(Command::new("unshare").args(["-rm", "sh", "-c", &start]));
    let handle = client.open("file", WRITE | CREATE).handle();
    let data = vec![7; 255 << 10];
    let refused =
        (0..10).map(|at| client.write(&handle, at * data.len() as u64, &data)).find(|reply| reply.code() != 0);
    refused.unwrap().fails(FAILURE, "no space left");
    client.close(&handle).ok();
    client.about(Ask::Remove, "file").ok();
    client.make("file", b"again");
}

#[test]
fn a_file_larger_than_allowed_is_reported() {
    let dir = Dir::new();
    let start = format!("trap '' XFSZ; ulimit -f 8; exec {} --sftp-server", crate::sandbox::binary("kw-ptyd"));
    let mut client = Client::of(Command::new("sh").args(["-c", &start]).current_dir(dir.path()));
    let handle = client.open("file", WRITE | CREATE).handle();
    client.write(&handle, 0, &[7; 1000]).ok();
    client.write(&handle, 1000, &[7; 60_000]).fails(FAILURE, "too large");
}

#[test]
fn a_piece_of_one_file_is_copied_into_another_on_the_host() {
    let dir = Dir::new();
    let contents = random(1 << 20);
    std::fs::write(dir.join("from"), &contents).unwrap();
    let mut client = Client::at(&dir);
    let (from, to) = (client.open("from", READ).handle(), client.open("to", WRITE | CREATE).handle());
    let copy = |client: &mut Client, from: &[u8], at: u64, length: u64, to: &[u8], into: u64| {
        let numbers = [at, length, into].map(u64::to_be_bytes);
        client.extended("copy-data", &[&string(from), &numbers[0], &numbers[1], &string(to), &numbers[2]])
    };
    copy(&mut client, &from, 0, 0, &to, 0).ok();
    assert!(std::fs::read(dir.join("to")).unwrap() == contents);
    copy(&mut client, &from, 10, 5, &to, 1 << 20).ok();
    assert_eq!(std::fs::read(dir.join("to")).unwrap()[1 << 20..], contents[10..15]);
    let again = client.open("from", WRITE).handle();
    copy(&mut client, &from, 0, 0, &again, 1 << 20).fails(FAILURE, "into itself");
    assert_ne!(copy(&mut client, &from, u64::MAX, 0, &to, u64::MAX).code(), 0);
    copy(&mut client, &from, 0, 0, b"none", 0).fails(FAILURE, "no such handle");
}

#[test]
fn what_nobody_knows_is_refused_and_the_next_request_is_answered() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    client.extended("rm-rf@example.com", &[b"whatever"]).fails(UNSUPPORTED, "no such request");
    for kind in [2, 21, 101, 199, 201, 255] {
        let id = client.send_request(kind, &[b"whatever"]);
        client.reply(id).fails(UNSUPPORTED, "no such request");
    }
    // Fields of a later version behind those of this one.
    assert_eq!(client.ask(Ask::Realpath, &[&string("/"), &[1, 2, 3]]).name(), b"/");
}

#[test]
fn a_file_system_and_a_home_are_told_of() {
    let (dir, home) = (Dir::new(), Dir::new());
    let mut client = Client::of(server().current_dir(dir.path()).env("HOME", home.path()));
    let handle = client.about(Ask::Opendir, ".").handle();
    for told in [
        client.extended("statvfs@openssh.com", &[&string(".")]),
        client.extended("fstatvfs@openssh.com", &[&string(&handle)]),
    ] {
        let Reply::Extended(numbers) = told else { panic!("{told:?}") };
        let numbers: Vec<u64> =
            numbers.chunks(8).map(|number| u64::from_be_bytes(number.try_into().unwrap())).collect();
        let is = nix::sys::statvfs::statvfs(dir.path()).unwrap();
        assert_eq!((numbers.len(), numbers[0], numbers[1]), (11, is.block_size(), is.fragment_size()));
        assert_eq!((numbers[2], numbers[10]), (is.blocks(), is.name_max()));
    }
    let home = std::fs::canonicalize(home.path()).unwrap();
    assert_eq!(string(client.extended("home-directory", &[&string("")]).name()), path(&home));
    assert_eq!(string(client.extended("expand-path@openssh.com", &[&string("~")]).name()), path(&home));
    assert_eq!(string(client.extended("expand-path@openssh.com", &[&string("~/a")]).name()), path(home.join("a")));
    let here = std::fs::canonicalize(dir.path()).unwrap();
    assert_eq!(string(client.extended("expand-path@openssh.com", &[&string("a~")]).name()), path(here.join("a~")));
    client.extended("home-directory", &[&string("no such user")]).fails(NO_SUCH_FILE, "no other user");
    let file = client.open("file", WRITE | CREATE).handle();
    client.extended("fsync@openssh.com", &[&string(&file)]).ok();
}

#[test]
fn a_setuid_bit_is_never_set_and_a_sticky_directory_stays_one() {
    let dir = Dir::new();
    std::fs::create_dir(dir.join("shared")).unwrap();
    std::fs::set_permissions(dir.join("shared"), PermissionsExt::from_mode(0o1777)).unwrap();
    let mut client = Client::at(&dir);
    client.make("program", b"#!/bin/sh");
    client.ask(Ask::Setstat, &[&string("program"), &mode(0o6755)]).ok();
    client.ask(Ask::Setstat, &[&string("shared"), &mode(0o3775)]).ok();
    let found = |name: &str| std::fs::metadata(dir.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((found("program"), found("shared")), (0o755, 0o1775));
}

#[test]
fn owners_are_told_by_name_but_to_whoever_is_kept_below_a_root() {
    let dir = Dir::new();
    let own = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap();
    let ids = [own.uid.as_raw().to_be_bytes(), 4_000_000_000_u32.to_be_bytes()].concat();
    let ask = |client: &mut Client, ids: &[u8]| {
        client.extended("users-groups-by-id@openssh.com", &[&string(ids), &string(b"")])
    };
    let mut client = Client::at(&dir);
    client.make("file", b"");
    let named = [string([string(&own.name), string("")].concat()), string("")].concat();
    assert_eq!(ask(&mut client, &ids), Reply::Extended(named));
    assert!(client.list(".")[2].1.contains(&format!(" {:<8} ", own.name)));
    ask(&mut client, &[0; 257 * 4]).fails(BAD_MESSAGE, "at most 256");
    ask(&mut client, &[0; 5]).fails(BAD_MESSAGE, "four bytes");
    let mut client = Client::within(dir.path(), &[]);
    assert_eq!(ask(&mut client, &ids), Reply::Extended([string([0; 8]), string("")].concat()));
    assert!(client.list(".")[2].1.contains(&format!(" {:<8} ", own.uid)));
}
