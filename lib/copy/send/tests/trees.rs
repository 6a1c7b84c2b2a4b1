//! Trees, and everything that can be in them.

use super::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

#[test]
fn names_of_every_kind_arrive_as_they_are() {
    let dir = Dir::new();
    let long = vec![b'n'; 255];
    let names: [&[u8]; 11] =
        [b" ", b"a b", b"a\nb", b"-rf", b"--", b"\xff\xfe", b"\x1b[31m", b"*", b"~", b"\\", long.as_slice()];
    std::fs::create_dir(dir.at("d")).unwrap();
    for name in names {
        std::fs::create_dir(dir.at("d").join(OsStr::from_bytes(name))).unwrap();
        std::fs::write(dir.at("d").join(OsStr::from_bytes(name)).join(OsStr::from_bytes(name)), name).unwrap();
    }
    let copied = copy(&dir.select(&["d"]), &wishes());
    assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 23, failed: 0 });
    for name in names {
        assert_eq!(copied.came.files[&format!("d/{0}/{0}", shown(name))].data, name);
    }
    // As what was named itself too.
    for name in names {
        let path = [b"d/", name, b"/", name].concat();
        let selection = Selection { globs: false, sources: vec![path.clone()], ..dir.select(&[]) };
        assert_eq!(copy(&selection, &wishes()).came.files[&shown(&path)].data, name, "{}", shown(name));
    }
}

#[test]
fn the_files_of_a_directory_come_before_the_directories_in_it() {
    let dir = Dir::new();
    for at in 0..30 {
        dir.file(&format!("d/{at}/{at}"), b"x");
        dir.file(&format!("d/file{at}"), b"x");
    }
    let log = copy(&dir.select(&["d"]), &wishes()).came.log;
    let first = log.iter().skip(3).position(|line| line.starts_with("DIRECTORY")).unwrap();
    assert_eq!(first, 30, "{log:?}");
}

#[test]
fn a_walk_comes_back_from_wherever_it_has_been() {
    let dir = Dir::new();
    let names = ["d/a/b/c/1", "d/a/b/d/2", "d/a/e/f/g/3", "d/h/i/4", "d/h/5", "d/6", "other/x/7"];
    for name in names {
        dir.file(name, name.as_bytes());
    }
    for (at, link) in ["d/z", "d/y", "d/a/z", "d/a/b/z"].iter().enumerate() {
        symlink(["../other", "../other", "../../other", "../../../other"][at], dir.at(link)).unwrap();
    }
    let copied = copy(&dir.select(&["d"]), &wishes());
    let mut expected = vec!["d/6", "d/a/b/c/1", "d/a/b/d/2", "d/a/e/f/g/3", "d/h/5", "d/h/i/4"];
    expected.extend(["d/z/x/7", "d/y/x/7", "d/a/z/x/7", "d/a/b/z/x/7"]);
    expected.sort_unstable();
    assert_eq!(copied.names(), expected);
    assert_eq!(copied.outcome.unwrap().failed, 0);
}

#[test]
fn directories_are_walked_as_deep_as_a_path_can_name_them() {
    let dir = Dir::new();
    let mut path = vec![b'd'];
    path.extend(b"/d".repeat(1500));
    std::fs::create_dir_all(dir.0.join(OsStr::from_bytes(&path))).unwrap();
    std::fs::write(dir.0.join(OsStr::from_bytes(&path)).join("file"), "deep").unwrap();
    let copied = copy(&dir.select(&["d"]), &Request { totals: true, ..wishes() });
    assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 1502, failed: 0 });
    assert_eq!(copied.came.files[&format!("{}/file", shown(&path))].data, b"deep");
    assert!(copied.came.has("TOTAL 1 4") && copied.events.contains(&"total 1 4".to_owned()));
}

#[test]
fn what_is_no_file_is_named_and_the_rest_goes_on() {
    let dir = Dir::new();
    dir.file("d/file", b"file");
    nix::unistd::mkfifo(&dir.at("d/fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let _socket = UnixListener::bind(dir.at("d/socket")).unwrap();
    symlink("fifo", dir.at("d/to-fifo")).unwrap();
    symlink("nowhere", dir.at("d/dangling")).unwrap();
    symlink("loop", dir.at("d/loop")).unwrap();
    let expected = [
        ("d/dangling", "no such file or directory"),
        ("d/fifo", "not a regular file"),
        ("d/loop", "too many levels of symbolic links"),
        ("d/socket", "not a regular file"),
        ("d/to-fifo", "not a regular file"),
    ];
    // In a directory, and as what was named itself.
    let named = ["d/file", "d/fifo", "d/socket", "d/to-fifo", "d/dangling", "d/loop"];
    for (sources, directories) in [(&["d"][..], 1), (&named, 0)] {
        let copied = copy(&dir.select(sources), &Request { totals: true, ..wishes() });
        let mut problems = copied.came.problems.clone();
        problems.sort();
        assert_eq!(problems, expected.map(|(path, why)| (path.to_owned(), why.to_owned())));
        assert_eq!(copied.failed().len(), expected.len(), "each is said once");
        assert_eq!(copied.names(), ["d/file"]);
        assert_eq!(copied.outcome.unwrap(), Outcome { stored: 1 + directories, failed: 5 });
    }
}

#[test]
fn a_device_is_not_opened() {
    let dir = Dir::new();
    let selection = Selection { place: Place::of_process().unwrap(), ..dir.select(&["/dev/zero"]) };
    let copied = copy(&selection, &wishes());
    assert_eq!(copied.came.problems, [("/dev/zero".to_owned(), "not a regular file".to_owned())]);
    assert!(!copied.came.log.iter().any(|line| line.starts_with("TOP")));
}

#[test]
fn links_are_followed_and_those_that_lead_back_are_not() {
    let dir = Dir::new();
    dir.file("d/real/file", b"file");
    dir.file("beside/other", b"other");
    symlink("real/file", dir.at("d/to-file")).unwrap();
    symlink("../beside", dir.at("d/to-directory")).unwrap();
    symlink(".", dir.at("d/real/self")).unwrap();
    symlink("..", dir.at("d/real/above")).unwrap();
    let copied = copy(&dir.select(&["d"]), &wishes());
    assert_eq!(copied.names(), ["d/real/file", "d/to-directory/other", "d/to-file"]);
    assert_eq!(copied.came.files["d/to-file"].data, b"file");
    let mut failed = copied.failed();
    failed.sort();
    let leads_back = "it leads back to a directory above it";
    assert_eq!(failed, [&format!("failed d/real/above: {leads_back}"), &format!("failed d/real/self: {leads_back}")]);
}

#[test]
fn links_are_kept_if_that_is_wanted_and_nothing_behind_them_is_looked_at() {
    let dir = Dir::new();
    dir.file("d/file", b"file");
    symlink("file", dir.at("d/a")).unwrap();
    symlink("/nowhere/\u{e4}", dir.at("d/b")).unwrap();
    symlink(".", dir.at("d/c")).unwrap();
    let links = Request { links: true, ..wishes() };
    let copied = copy(&dir.select(&["d", "d/a"]), &links);
    for line in ["LINK a file", "LINK b /nowhere/\\xc3\\xa4", "LINK c .", "LINK  file"] {
        assert!(copied.came.has(line), "{:?}", copied.came.log);
    }
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 6, failed: 0 });
    // With a slash behind it, it is what it leads to.
    assert!(copy(&dir.select(&["d/c/"]), &links).came.has("DIRECTORY "));
}

#[test]
fn nothing_outside_of_the_root_is_read() {
    let dir = Dir::new();
    dir.file("secret", b"secret");
    dir.file("root/own", b"own");
    symlink("../secret", dir.at("root/up")).unwrap();
    symlink(dir.at("secret"), dir.at("root/absolute")).unwrap();
    symlink("/own", dir.at("root/in")).unwrap();
    let place = Place::below(&dir.at("root")).unwrap();
    let names = [".", "../secret", "/../secret", "up", "absolute", "in", "/own", "~/own", "../*", ".."];
    let copied = copy(&Selection { place, ..dir.select(&names) }, &wishes());
    for (path, came) in &copied.came.files {
        assert_eq!(came.data, b"own", "{path}");
    }
    assert_eq!(copied.names(), ["../in", "../own", "./in", "./own", "/own", "in", "~/own"]);
    assert!(copied.came.problems.iter().any(|(path, _)| path == ".."));
}

#[test]
fn a_directory_is_not_copied_unless_that_is_wanted() {
    let dir = Dir::new();
    dir.file("d/file", b"file");
    let copied = copy(&dir.select(&["d", "d/file"]), &Request::new(Way::ToHost));
    assert_eq!(copied.failed(), ["failed d: is a directory (-r copies it)"]);
    assert_eq!(copied.names(), ["d/file"]);
    assert!(copied.came.has("BEGIN 2"));
}

#[test]
fn what_is_missing_is_named_once_and_the_rest_goes_on() {
    let dir = Dir::new();
    dir.file("a", b"a");
    let long = "x".repeat(4096);
    let copied = copy(&dir.select(&["no", "a", "no/*", "a/", &long]), &wishes());
    assert_eq!(copied.names(), ["a"]);
    assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 1, failed: 4 });
    assert_eq!(copied.failed()[0], "failed no: no such file or directory");
    assert_eq!(copied.failed()[2], "failed a/: not a directory");
    assert!(copied.came.has("BEGIN 5"), "one of several is not the only one");
    assert!(copy(&dir.select(&["no"]), &wishes()).came.has("BEGIN 0"));
}

#[test]
fn a_pattern_is_what_it_stands_for_unless_something_has_that_name() {
    let dir = Dir::new();
    for name in ["b.txt", "a.txt", ".c.txt", "d-/x.txt", "d/x.txt", "[ab].txt"] {
        dir.file(name, name.as_bytes());
    }
    for (source, names) in [
        ("*.txt", &["[ab].txt", "a.txt", "b.txt"][..]),
        ("[ab].txt", &["[ab].txt"]),
        ("*/x.txt", &["d-/x.txt", "d/x.txt"]),
        ("d*/*", &["d-/x.txt", "d/x.txt"]),
        (".*.txt", &[".c.txt"]),
        ("~/a.*", &["~/a.txt"]),
        ("/?.txt", &["/a.txt", "/b.txt"]),
        ("d/../a*", &["d/../a.txt"]),
        ("*/../a*", &["d-/../a.txt", "d/../a.txt"]),
        ("\\a*", &["a.txt"]),
    ] {
        let copied = copy(&dir.select(&[source]), &wishes());
        let tops = copied.came.log.iter().filter_map(|line| line.strip_prefix("TOP 0 ")).collect::<Vec<_>>();
        assert_eq!(tops, names, "{source}");
        let is_meant = |top: &str| source == top || crate::copy::matches(source.as_bytes(), top.as_bytes());
        assert!(tops.into_iter().all(is_meant), "a receiver that asked for {source} takes it");
    }
    let plain = Selection { globs: false, ..dir.select(&["*.txt"]) };
    assert_eq!(copy(&plain, &wishes()).outcome.unwrap(), Outcome { stored: 0, failed: 1 });
    assert_eq!(copy(&dir.select(&["*.none", "*/..", "no/*/x"]), &wishes()).outcome.unwrap().failed, 3);
}

#[test]
fn a_file_called_like_the_home_directory_is_not_taken_for_it() {
    let dir = Dir::new();
    dir.file("~", b"tilde");
    dir.file("a", b"a");
    assert_eq!(copy(&dir.select(&["*"]), &wishes()).names(), ["a"]);
    assert_eq!(copy(&dir.select(&["./*"]), &wishes()).names(), ["./a", "./~"]);
}

#[test]
fn what_is_left_out_is_not_walked() {
    let dir = Dir::new();
    for name in ["d/a.o", "d/a.c", "d/.b.o", "d/build/x", "d/sub/build/y", "d/sub/z", "d/cache", "d/sub/cache/w"] {
        dir.file(name, b"x");
    }
    for (patterns, left) in [
        (&["*.o"][..], &["d/a.c", "d/build/x", "d/cache", "d/sub/build/y", "d/sub/cache/w", "d/sub/z"][..]),
        (&["*.o", "build"], &["d/a.c", "d/cache", "d/sub/cache/w", "d/sub/z"]),
        (&["*.o", "/build"], &["d/a.c", "d/cache", "d/sub/build/y", "d/sub/cache/w", "d/sub/z"]),
        (&["*.o", "sub/*", "build"], &["d/a.c", "d/cache"]),
        (&["*.o", "cache/", "build"], &["d/a.c", "d/cache", "d/sub/z"]),
        // What was named itself is meant.
        (&["d", "*.o", "build", "cache", "sub"], &["d/a.c"]),
        (&["*"], &[]),
    ] {
        let excludes = patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
        let copied = copy(&Selection { excludes, ..dir.select(&["d"]) }, &Request { totals: true, ..wishes() });
        assert_eq!(copied.names(), left, "{patterns:?}");
        assert_eq!(copied.outcome.as_ref().unwrap().failed, 0);
        assert!(copied.came.has(&format!("TOTAL {0} {0}", left.len())));
    }
}
