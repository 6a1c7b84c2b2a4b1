//! What a client may do that has one of the two rights, request by request.

use super::{Ask, CREATE, Client, NONE, PERMISSION_DENIED, READ, Reply, TRUNCATE, WRITE, mode, string};
use crate::sandbox::{Dir, Done};
use std::os::unix::fs::MetadataExt;

fn prepared() -> Dir {
    let dir = Dir::new();
    std::fs::write(dir.join("file"), "contents").unwrap();
    std::fs::create_dir(dir.join("folder")).unwrap();
    std::os::unix::fs::symlink("file", dir.join("link")).unwrap();
    dir
}

/// What everybody may ask.
fn asks(client: &mut Client) {
    for ask in [Ask::Stat, Ask::Lstat] {
        client.about(ask, "file").attributes();
    }
    assert_eq!(client.about(Ask::Realpath, "link").name(), b"/file");
    let folder = client.about(Ask::Opendir, "folder").handle();
    client.ask(Ask::Fstat, &[&string(&folder)]).attributes();
    assert!(matches!(client.extended("statvfs@openssh.com", &[&string("file")]), Reply::Extended(_)));
    assert!(matches!(client.extended("fstatvfs@openssh.com", &[&string(&folder)]), Reply::Extended(_)));
    assert!(matches!(client.extended("limits@openssh.com", &[]), Reply::Extended(_)));
    assert_eq!(client.extended("home-directory", &[&string("")]).name(), b"/");
    assert_eq!(client.extended("expand-path@openssh.com", &[&string("~/x")]).name(), b"/x");
    client.close(&folder).ok();
}

#[test]
fn who_may_only_read_changes_nothing() {
    let dir = prepared();
    let mut client = Client::within(dir.path(), &["--read-only"]);
    asks(&mut client);
    assert_eq!(client.contents("link").unwrap(), b"contents");
    assert_eq!(client.about(Ask::Readlink, "link").name(), b"file");
    assert_eq!(client.list(".").len(), 5);
    let handle = client.open("file", READ).handle();
    let (file, new, link, folder) = (string("file"), string("new"), string("link"), string("folder"));
    let size = [1_u32.to_be_bytes(), [0; 4], [0; 4]].concat();
    let (mode, open) = (mode(0o600), string(&handle));
    let mut refused = Vec::new();
    for flags in [WRITE, READ | WRITE, CREATE, READ | TRUNCATE, WRITE | CREATE, 0x04] {
        refused.push(client.ask(Ask::Open, &[&file, &flags.to_be_bytes(), &NONE]));
        refused.push(client.ask(Ask::Open, &[&new, &flags.to_be_bytes(), &NONE]));
    }
    refused.push(client.write(&handle, 0, b"x"));
    refused.push(client.ask(Ask::Setstat, &[&file, &mode]));
    refused.push(client.ask(Ask::Setstat, &[&file, &size]));
    refused.push(client.ask(Ask::Fsetstat, &[&open, &mode]));
    refused.push(client.ask(Ask::Remove, &[&file]));
    refused.push(client.ask(Ask::Mkdir, &[&new, &NONE]));
    refused.push(client.ask(Ask::Rmdir, &[&folder]));
    refused.push(client.ask(Ask::Rename, &[&file, &new]));
    refused.push(client.ask(Ask::Symlink, &[&file, &new]));
    refused.push(client.extended("posix-rename@openssh.com", &[&file, &link]));
    refused.push(client.extended("hardlink@openssh.com", &[&file, &new]));
    refused.push(client.extended("lsetstat@openssh.com", &[&link, &mode]));
    refused.push(client.extended("copy-data", &[&open, &[0; 16], &open, &[0; 8]]));
    for (at, refusal) in refused.iter().enumerate() {
        assert_eq!(refusal.code(), PERMISSION_DENIED, "{at} {refusal:?}");
        refusal.fails(PERMISSION_DENIED, "copy-write");
    }
    assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"contents");
    assert_eq!(std::fs::metadata(dir.join("file")).unwrap().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn who_may_only_write_reads_nothing() {
    let dir = prepared();
    let mut client = Client::within(dir.path(), &["--write-only"]);
    asks(&mut client);
    for flags in [READ, 0, READ | WRITE, READ | WRITE | CREATE | TRUNCATE] {
        client.open("file", flags).fails(PERMISSION_DENIED, "copy-read");
    }
    client.about(Ask::Readlink, "link").fails(PERMISSION_DENIED, "copy-read");
    let folder = client.about(Ask::Opendir, ".").handle();
    client.ask(Ask::Readdir, &[&string(&folder)]).fails(PERMISSION_DENIED, "copy-read");
    assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"contents");
    let handle = client.open("file", WRITE).handle();
    assert_ne!(client.read(&handle, 0, 10).code(), 0);
    client.close(&handle).ok();
    client.make("new", b"new");
    client.ask(Ask::Setstat, &[&string("new"), &mode(0o600)]).ok();
    client.both(Ask::Rename, "new", "newer").ok();
    client.about(Ask::Remove, "file").ok();
    assert_eq!(std::fs::read(dir.join("newer")).unwrap(), b"new");
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let user = crate::sandbox::User::new();
    let run = |options: &[&str]| -> Done { user.run("kw-ptyd", options) };
    for lonely in [&["--root", "/"][..], &["--read-only"], &["--write-only"]] {
        run(lonely).fails(2, "--sftp-server");
    }
    run(&["--sftp-server", "--read-only", "--write-only"]).fails(2, "leave nothing");
    run(&["--sftp-server", "--root", "/no/such/directory"]).fails(5, "cannot serve /no/such/directory");
}
