//! Symbolic links: in what is copied, in the place it goes to, and in the way.

use super::trees::names_once;
use super::{Ends, names, tree, write};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A tree with a link of every kind.
fn linked(root: &Path) {
    fs::create_dir_all(root.join("folder/inner")).unwrap();
    write(&root.join("file"), b"contents", 0o600);
    write(&root.join("folder/other"), b"other", 0o600);
    let links = [
        ("to a file", "file"),
        ("to a folder", "folder"),
        ("to nothing", "/nonexistent/file"),
        ("to itself", "to itself"),
        ("folder/inner/loop", "../.."),
        ("here", "."),
    ];
    for (link, target) in links {
        symlink(target, root.join(link)).unwrap();
    }
}

#[test]
fn links_are_followed_and_those_that_lead_nowhere_or_round_are_named_once() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        linked(&from.join("tree"));
        let done = ends.across(up, &["-r"], "tree", "copy").fails_with(1);
        let lines = |name: &str| done.stderr.lines().filter(|line| line.contains(name)).collect::<Vec<_>>();
        let above = "leads back to a directory above it";
        // The loop is met twice: in the folder, and in the copy of it that a link makes.
        for (name, times, why) in [
            ("tree/to nothing", 1, "no such file or directory"),
            ("tree/to itself", 1, "too many levels of symbolic links"),
            ("tree/here", 1, above),
            ("inner/loop", 2, above),
        ] {
            let said = lines(name);
            assert!(said.len() == times && said.iter().all(|line| line.contains(why)), "{name}: {}", done.stderr);
        }
        let copied = tree(&to.join("copy"));
        let expected = ["file", "folder", "folder/inner", "folder/other", "to a file", "to a folder"];
        let more = ["to a folder/inner", "to a folder/other"];
        assert_eq!(names(&copied), [&expected[..], &more].concat());
        assert!(copied.values().all(|node| node.kind != 'l'));
        fs::remove_dir_all(to.join("copy")).unwrap();
        fs::remove_dir_all(from.join("tree")).unwrap();
    }
}

#[test]
fn links_are_kept_as_they_are_if_that_is_asked_for() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        linked(&from.join("tree"));
        ends.across(up, &["-rp", "--links"], "tree", "copy").succeeds();
        assert_eq!(tree(&from.join("tree")), tree(&to.join("copy")));
        // A link in the place of a link is another link, and one that was named itself is copied too.
        ends.across(up, &["-rp", "--links"], "tree/.", "copy").succeeds();
        assert_eq!(tree(&from.join("tree")), tree(&to.join("copy")));
        ends.across(up, &["--links"], "tree/to nothing", "named").succeeds();
        assert_eq!(fs::read_link(to.join("named")).unwrap(), Path::new("/nonexistent/file"));
        for folder in [to.join("copy"), from.join("tree")] {
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

#[test]
fn a_link_at_an_items_place_is_replaced_and_never_written_through() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        fs::create_dir_all(from.join("tree/sub")).unwrap();
        write(&from.join("tree/file"), b"new", 0o600);
        write(&from.join("tree/sub/inner"), b"new", 0o600);
        let outside = ends.aside(format!("outside {up}"));
        fs::create_dir(&outside).unwrap();
        write(&outside.join("file"), b"old", 0o640);
        fs::create_dir(to.join("copy")).unwrap();
        symlink(outside.join("file"), to.join("copy/file")).unwrap();
        symlink(&outside, to.join("copy/sub")).unwrap();
        let before = tree(&outside);
        let done = ends.across(up, &["-r"], "tree/.", "copy");
        names_once(&done, &[("/sub", "a link is in its place")]);
        assert_eq!(tree(&outside), before);
        assert!(fs::symlink_metadata(to.join("copy/file")).unwrap().is_file());
        assert!(fs::symlink_metadata(to.join("copy/sub")).unwrap().is_symlink());
        assert_eq!(fs::read(to.join("copy/file")).unwrap(), b"new");
    }
}

#[test]
fn a_link_that_the_user_names_as_the_target_is_followed() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        write(&from.join("file"), b"new", 0o600);
        fs::create_dir(to.join("elsewhere")).unwrap();
        write(&to.join("real"), b"old", 0o640);
        for (target, link) in [("elsewhere", "to a folder"), ("real", "to a file"), ("nowhere", "dangling")] {
            symlink(target, to.join(link)).unwrap();
        }
        for link in ["to a folder", "to a file", "dangling"] {
            ends.across(up, &[], "file", link).succeeds();
        }
        for path in ["elsewhere/file", "real", "dangling"] {
            assert_eq!(fs::read(to.join(path)).unwrap(), b"new", "{path}");
        }
        let is_link = |name: &str| fs::symlink_metadata(to.join(name)).unwrap().is_symlink();
        assert_eq!(["to a folder", "to a file", "dangling"].map(is_link), [true, true, false]);
        assert!(!to.join("nowhere").exists());
        for side in [&from, &to] {
            fs::remove_dir_all(side).unwrap();
            fs::create_dir(side).unwrap();
        }
    }
}

#[test]
fn a_second_name_of_a_file_keeps_the_old_contents() {
    let ends = Ends::new();
    write(&ends.here("file"), b"new", 0o600);
    write(&ends.there("file"), b"old", 0o600);
    fs::hard_link(ends.there("file"), ends.there("other")).unwrap();
    ends.up(&[], "file", "file").succeeds();
    assert_eq!(["file", "other"].map(|name| fs::read(ends.there(name)).unwrap()), [b"new", b"old"]);
}
