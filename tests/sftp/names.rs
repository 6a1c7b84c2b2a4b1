//! Names: any bytes, what they lead to, and how they change.

use super::{Ask, BAD_MESSAGE, Client, FAILURE, NO_SUCH_FILE, NONE, Reply, path, string};
use crate::sandbox::Dir;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

/// What people and programs call files.
const NAMES: [&[u8]; 9] = [
    b"plain",
    b"with space",
    b" ",
    b"-rf",
    b"line\nend",
    b"not \xff\xfe UTF-8",
    b"\x1b]0;title\x07",
    b"`touch x`$(touch y);*?[a]",
    b"...",
];

#[test]
fn a_name_is_bytes_and_comes_back_as_it_is() {
    let dir = Dir::new();
    let here = std::fs::canonicalize(dir.path()).unwrap();
    let mut client = Client::at(&dir);
    let long = [b'\xe4'; 255];
    for name in NAMES.into_iter().chain([&long[..]]) {
        client.make(name, name);
        let found = here.join(OsStr::from_bytes(name));
        assert_eq!(std::fs::read(&found).unwrap(), name);
        assert_eq!(client.contents(name).unwrap(), name);
        assert_eq!(string(client.about(Ask::Realpath, name).name()), path(&found));
        let (_, shown, attributes) = client.list(".").into_iter().find(|entry| entry.0 == name).unwrap();
        assert!(!shown.chars().any(char::is_control) && shown.starts_with("-rw"), "{shown:?}");
        assert_eq!(attributes.size, name.len() as u64);
        client.both(Ask::Rename, name, [name.get(..100).unwrap_or(name), b"\xff2"].concat()).ok();
        client.about(Ask::Remove, [name.get(..100).unwrap_or(name), b"\xff2"].concat()).ok();
        client.both(Ask::Symlink, name, "link").ok();
        assert_eq!(client.about(Ask::Readlink, "link").name(), name);
        client.about(Ask::Remove, "link").ok();
        client.ask(Ask::Mkdir, &[&string(name), &NONE]).ok();
        client.about(Ask::Rmdir, name).ok();
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_path_that_cannot_be_is_refused_and_the_next_one_is_answered() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    client.open("a\0b", 1).fails(BAD_MESSAGE, "invalid argument");
    client.open([b'a'; 256], 0x1a).fails(BAD_MESSAGE, "too long");
    client.about(Ask::Stat, [b'a'; 4096]).fails(BAD_MESSAGE, "too long");
    client.about(Ask::Stat, vec![b'/'; 200_000]).attributes();
    client.make("file", b"");
    client.about(Ask::Stat, "file/below").fails(NO_SUCH_FILE, "not a directory");
    client.about(Ask::Remove, "file/").fails(NO_SUCH_FILE, "not a directory");
    client.about(Ask::Remove, "..").fails(FAILURE, "is a directory");
    client.about(Ask::Rmdir, "/").fails(BAD_MESSAGE, "");
    client.both(Ask::Symlink, "x", "new/").fails(NO_SUCH_FILE, "");
    client.about(Ask::Stat, "file").attributes();
}

#[test]
fn a_large_directory_is_listed_whole() {
    let dir = Dir::new();
    for number in 0..3000 {
        std::fs::write(dir.join(format!("file-{number}-{}", "x".repeat(number % 200))), "").unwrap();
    }
    let mut client = Client::at(&dir);
    let listed = client.list(".");
    let names: Vec<&[u8]> = listed.iter().map(|entry| entry.0.as_slice()).collect();
    assert_eq!(names.len(), 3002);
    assert!(names.contains(&&b"."[..]) && names.contains(&&b".."[..]));
    // The longest reply that every client takes.
    let handle = client.about(Ask::Opendir, ".").handle();
    let id = client.send_request(Ask::Readdir as u8, &[&string(&handle)]);
    let (_, body) = client.packet();
    assert!(body[..4] == id.to_be_bytes() && body.len() > 20_000 && body.len() < 34_000, "{}", body.len());
}

#[test]
fn a_new_name_replaces_nothing_but_by_the_posix_rename() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    client.make("one", b"one");
    client.make("two", b"two");
    client.ask(Ask::Mkdir, &[&string("folder"), &NONE]).ok();
    for (from, to) in [("one", "two"), ("one", "folder"), ("folder", "one"), ("one", "one")] {
        client.both(Ask::Rename, from, to).fails(FAILURE, "exists");
    }
    client.both(Ask::Rename, "none", "new").fails(NO_SUCH_FILE, "no such file");
    client.both(Ask::Rename, "folder", "folder/below").fails(BAD_MESSAGE, "");
    client.both(Ask::Rename, "one", "three").ok();
    client.both(Ask::Rename, "folder", "moved").ok();
    client.extended("posix-rename@openssh.com", &[&string("three"), &string("two")]).ok();
    assert_eq!(client.contents("two").unwrap(), b"one");
    client.extended("posix-rename@openssh.com", &[&string("two"), &string("moved")]).fails(FAILURE, "directory");
    let names: Vec<Vec<u8>> = client.list(".").into_iter().map(|entry| entry.0).collect();
    assert_eq!(names, [&b"."[..], b"..", b"moved", b"two"]);
}

#[test]
fn a_link_is_made_read_and_followed() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    client.make("file", b"contents");
    client.both(Ask::Symlink, "file", "link").ok();
    client.both(Ask::Symlink, "file", "link").fails(FAILURE, "exists");
    assert_eq!(std::fs::read_link(dir.join("link")).unwrap().as_os_str(), "file");
    assert_eq!(client.contents("link").unwrap(), b"contents");
    assert_eq!(client.about(Ask::Readlink, "link").name(), b"file");
    client.about(Ask::Readlink, "file").fails(BAD_MESSAGE, "");
    client.extended("hardlink@openssh.com", &[&string("file"), &string("second")]).ok();
    assert_eq!(std::fs::metadata(dir.join("second")).unwrap().nlink(), 2);
    client.extended("hardlink@openssh.com", &[&string("file"), &string("second")]).fails(FAILURE, "exists");
    client.both(Ask::Symlink, "loop", "loop").ok();
    client.about(Ask::Stat, "loop").fails(NO_SUCH_FILE, "");
    client.about(Ask::Remove, "link").ok();
    assert!(dir.join("file").exists());
}

#[test]
fn a_directory_is_removed_when_it_is_empty() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    client.ask(Ask::Mkdir, &[&string("a/"), &NONE]).ok();
    client.ask(Ask::Mkdir, &[&string("a/b"), &NONE]).ok();
    client.ask(Ask::Mkdir, &[&string("a"), &NONE]).fails(FAILURE, "exists");
    client.ask(Ask::Mkdir, &[&string("x/y"), &NONE]).fails(NO_SUCH_FILE, "");
    client.about(Ask::Rmdir, "a").fails(FAILURE, "not empty");
    client.about(Ask::Remove, "a").fails(FAILURE, "directory");
    client.about(Ask::Rmdir, "a/b").ok();
    client.about(Ask::Rmdir, "a/").ok();
    client.about(Ask::Rmdir, "a").fails(NO_SUCH_FILE, "");
}

#[test]
fn a_path_comes_to_what_it_leads_to() {
    let dir = Dir::new();
    let here = std::fs::canonicalize(dir.path()).unwrap();
    std::fs::create_dir_all(dir.join("a/b")).unwrap();
    std::os::unix::fs::symlink("a/b", dir.join("link")).unwrap();
    let mut client = Client::at(&dir);
    for (asked, comes_to) in [
        (".", ""),
        ("", ""),
        ("./a//b/../", "a"),
        ("link", "a/b"),
        ("link/..", "a"),
        ("link/new", "a/b/new"),
        ("new", "new"),
    ] {
        let expected = if comes_to.is_empty() { here.clone() } else { here.join(comes_to) };
        assert_eq!(string(client.about(Ask::Realpath, asked).name()), path(expected), "{asked}");
    }
    assert_eq!(client.about(Ask::Realpath, "/..").name(), b"/");
    client.about(Ask::Realpath, "none/new").fails(NO_SUCH_FILE, "");
    assert!(matches!(client.about(Ask::Stat, "link/."), Reply::Attributes(is) if is.mode & 0o170_000 == 0o040_000));
}
