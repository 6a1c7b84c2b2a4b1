//! Files that change, vanish or cannot be read while they are copied. What watches the copy does it, so that it happens at the
//! same place each time.

use super::*;
use std::fs::OpenOptions;
use std::os::unix::fs::{PermissionsExt, symlink};

const LARGE: usize = 9_000_000;

/// Copies `d` from `dir`, and does `deed` when the first event comes that reads like `when`.
fn copy_when(dir: &Dir, wishes: &Request, when: &str, deed: impl Fn()) -> Copy {
    let mut is_done = false;
    let copied = copy_with(&dir.select(&["d"]), wishes, None, polite(), |event| {
        if !is_done && line(event).starts_with(when) {
            deed();
            is_done = true;
        }
    });
    assert!(is_done, "{when} came: {:?}", copied.events);
    copied
}

#[test]
fn a_file_that_becomes_shorter_does_not_get_its_name() {
    let dir = Dir::new();
    for verify in [false, true] {
        let path = dir.file("d/file", &bytes(LARGE));
        let shorten = || OpenOptions::new().write(true).open(&path).unwrap().set_len(100_000).unwrap();
        let copied = copy_when(&dir, &Request { verify, ..wishes() }, "moved", shorten);
        assert!(!copied.came.files["d/file"].is_whole && copied.came.has("ABANDONED"));
        let why = "it became shorter while it was read";
        assert_eq!(copied.came.problems, [("d/file".to_owned(), why.to_owned())]);
        assert_eq!(copied.failed(), [&format!("failed d/file: {why}")]);
        assert_eq!(copied.outcome.unwrap(), Outcome { stored: 1, failed: 1 });
        assert!(!copied.events.iter().any(|event| event.starts_with("stored d/file")));
    }
}

#[test]
fn a_hole_that_is_cut_off_is_not_taken_for_one() {
    let dir = Dir::new();
    let data = 8 << 20;
    let path = dir.file("d/file", &bytes(data));
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    // Its data ends where a block does: nothing but the length tells that it has become shorter.
    let copied = copy_when(&dir, &wishes(), "moved", || file.set_len(data as u64).unwrap());
    let came = &copied.came.files["d/file"];
    assert!(came.holes > 0 && !came.is_whole && copied.came.has("ABANDONED"));
    assert_eq!(copied.came.problems[0].1, "it became shorter while it was read");
}

#[test]
fn a_file_that_grows_arrives_as_long_as_it_was_and_is_said_to_have_changed() {
    let dir = Dir::new();
    let path = dir.file("d/file", &bytes(LARGE));
    let grow = || OpenOptions::new().write(true).open(&path).unwrap().set_len(2 * LARGE as u64).unwrap();
    let copied = copy_when(&dir, &wishes(), "moved", grow);
    let came = &copied.came.files["d/file"];
    assert!(came.is_whole && came.data == bytes(LARGE));
    assert_eq!(copied.failed(), ["failed d/file: it changed while it was read"]);
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 2, failed: 1 });
}

#[test]
fn a_file_that_is_written_to_is_said_to_have_changed_also_if_its_time_is_set_back() {
    let dir = Dir::new();
    let path = dir.file("d/file", &bytes(LARGE));
    let write = || {
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        std::os::unix::fs::FileExt::write_at(&file, b"new", 0).unwrap();
        file.set_modified(before).unwrap();
    };
    let copied = copy_when(&dir, &wishes(), "moved", write);
    assert!(copied.came.files["d/file"].is_whole);
    assert_eq!(copied.failed(), ["failed d/file: it changed while it was read"]);
}

#[test]
fn a_file_that_is_removed_while_it_is_read_arrives_and_one_that_is_removed_before_does_not() {
    let dir = Dir::new();
    let path = dir.file("d/file", &bytes(LARGE));
    dir.file("d/sub/other", b"other");
    let copied = copy_when(&dir, &wishes(), "moved", || std::fs::remove_file(&path).unwrap());
    assert!(copied.came.files["d/file"].data == bytes(LARGE));

    dir.file("d/file", b"again");
    let copied = copy_when(&dir, &wishes(), "began d/sub ", || std::fs::remove_file(dir.at("d/sub/other")).unwrap());
    assert_eq!(copied.names(), ["d/file"]);
    assert_eq!(copied.failed(), ["failed d/sub/other: no such file or directory"]);
}

#[test]
fn a_directory_that_is_removed_or_moved_before_it_is_entered_is_named() {
    let dir = Dir::new();
    dir.file("d/file", b"file");
    dir.file("d/sub/other", b"other");
    let copied = copy_when(&dir, &wishes(), "began d/file", || {
        std::fs::rename(dir.at("d/sub"), dir.at("moved")).unwrap();
    });
    assert_eq!(copied.failed(), ["failed d/sub: no such file or directory"]);
    assert_eq!(copied.names(), ["d/file"]);
}

#[test]
fn a_name_that_becomes_a_link_meanwhile_is_not_followed() {
    let dir = Dir::new();
    dir.file("secret/file", b"secret");
    dir.file("d/sub/file", b"own");
    dir.file("d/sub/below/own", b"own");
    let copied = copy_when(&dir, &Request { links: true, ..wishes() }, "began d/sub ", || {
        std::fs::remove_file(dir.at("d/sub/file")).unwrap();
        symlink("../../secret/file", dir.at("d/sub/file")).unwrap();
        std::fs::rename(dir.at("d/sub/below"), dir.at("away")).unwrap();
        symlink("../../secret", dir.at("d/sub/below")).unwrap();
    });
    let mut failed = copied.failed();
    failed.sort();
    assert_eq!(failed, ["failed d/sub/below: not a directory", "failed d/sub/file: not a regular file"]);
    assert!(copied.came.files.is_empty());
}

#[test]
fn a_walk_does_not_come_back_to_another_directory_than_it_left() {
    let dir = Dir::new();
    dir.file("d/x/inner/file", b"own");
    dir.file("d/y/inner/file", b"own");
    dir.file("other/x/file", b"other");
    dir.file("other/y/file", b"other");
    // From the directory that is moved away, the way up leads elsewhere; by its path it is found again.
    let copied = copy_when(&dir, &wishes(), "began d/x/inner ", || {
        std::fs::rename(dir.at("d/x"), dir.at("other/z")).unwrap();
    });
    let copied = if copied.names() == ["d/x/inner/file"] {
        std::fs::rename(dir.at("other/z"), dir.at("d/x")).unwrap();
        copy_when(&dir, &wishes(), "began d/y/inner ", || {
            std::fs::rename(dir.at("d/y"), dir.at("other/z")).unwrap();
        })
    } else {
        copied
    };
    assert_eq!(copied.names(), ["d/x/inner/file", "d/y/inner/file"]);
    assert!(copied.came.files.values().all(|came| came.data == b"own"));

    // And if something else has its path by now, that is not taken for it.
    let dir = Dir::new();
    for name in ["d/a/b/x/file", "d/a/b/y/file", "other/x/file", "other/y/file"] {
        dir.file(name, name.as_bytes());
    }
    let swap = || {
        std::fs::rename(dir.at("d/a/b"), dir.at("away")).unwrap();
        std::fs::rename(dir.at("other"), dir.at("d/a/b")).unwrap();
        for name in ["x", "y"] {
            let _ = std::fs::rename(dir.at("away").join(name), dir.at(name));
        }
    };
    let copied = copy_when(&dir, &wishes(), "began d/a/b/x/file", swap);
    assert!(copied.came.files.iter().all(|(path, came)| came.data == path.as_bytes()), "{:?}", copied.came.files);
    assert_eq!(copied.outcome.unwrap().failed, u64::from(copied.came.files.len() == 1));
}

#[test]
fn what_may_not_be_read_is_named_and_the_rest_goes_on() {
    let dir = Dir::new();
    dir.file("d/file", b"file");
    let secret = dir.file("d/secret", b"secret");
    dir.file("d/closed/inside", b"inside");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::set_permissions(dir.at("d/closed"), PermissionsExt::from_mode(0o000)).unwrap();
    if std::fs::read(&secret).is_ok() {
        return; // root reads everything
    }
    let copied = copy(&dir.select(&["d"]), &wishes());
    let mut failed = copied.failed();
    failed.sort();
    assert_eq!(failed, ["failed d/closed: permission denied", "failed d/secret: permission denied"]);
    assert_eq!(copied.names(), ["d/file"]);
    std::fs::set_permissions(dir.at("d/closed"), PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn what_nobody_can_read_is_named_and_the_rest_goes_on() {
    let dir = Dir::new();
    let own = dir.file("file", b"file");
    let sources = ["/proc/self/mem", own.to_str().unwrap()];
    let selection = Selection { place: Place::of_process().unwrap(), ..dir.select(&sources) };
    let copied = copy(&selection, &wishes());
    assert_eq!(copied.failed(), ["failed /proc/self/mem: input/output error"]);
    assert_eq!(copied.names(), [sources[1]]);
}
