//! A folder that becomes a link and back ten thousand times while files go through it.

use crate::scp::{Ends, tree};
use nix::fcntl::{RenameFlags, renameat2};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const FLIPS: usize = 10_000;

/// Lets `run` happen again and again while `one` and `other` change places, until they have done so often enough.
fn while_flipping(one: &Path, other: &Path, mut run: impl FnMut()) {
    let (stop, flips) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let flipping = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat2(None, one, None, other, RenameFlags::RENAME_EXCHANGE).unwrap();
                flips.fetch_add(1, Ordering::Relaxed);
                // Longer at rest than in between, so that each state is seen.
                std::thread::yield_now();
            }
        });
        let mut runs = 0;
        while runs < 12 || flips.load(Ordering::Relaxed) < FLIPS {
            run();
            runs += 1;
        }
        stop.store(true, Ordering::Relaxed);
        flipping.join().unwrap();
    });
}

/// A tree whose files have to go through a folder.
fn deep_tree(root: &Path, contents: &str) {
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    for number in 0..20 {
        fs::write(root.join(format!("sub/{number}")), contents).unwrap();
        fs::write(root.join(format!("sub/deep/{number}")), contents).unwrap();
    }
}

#[test]
fn nothing_is_written_through_a_link_that_comes_and_goes() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        deep_tree(&from.join("tree"), "evil");
        deep_tree(&to.join("copy"), "old");
        let outside = ends.aside(format!("outside {up}"));
        deep_tree(&outside, "precious");
        symlink(outside.join("sub"), to.join("link")).unwrap();
        let before = tree(&outside);
        let mut stored = 0;
        while_flipping(&to.join("copy/sub"), &to.join("link"), || {
            let done = ends.across(up, &["-rp", "--no-sync"], "tree/.", "copy");
            assert!(matches!(done.code(), 0 | 1), "{done:?}");
            stored += usize::from(done.status.success());
        });
        assert!(tree(&outside) == before, "up: {up}: something was written outside");
        println!("up: {up}: {stored} times all of it was stored");
        for side in [&from, &to] {
            fs::remove_dir_all(side).unwrap();
            fs::create_dir(side).unwrap();
        }
    }
}

#[test]
fn nothing_is_read_outside_a_root_through_a_link_that_comes_and_goes() {
    let ends = Ends::with(&["copy-read", "--root", "$THERE/root"], &[]);
    deep_tree(&ends.there("root/tree"), "public");
    deep_tree(&ends.there("outside"), "secret");
    symlink(ends.there("outside/sub"), ends.there("link")).unwrap();
    let mut came = 0;
    while_flipping(&ends.there("root/tree/sub"), &ends.there("link"), || {
        let done = ends.scp(["-r", "--no-sync", "box:tree/.", "copy"]);
        assert!(matches!(done.code(), 0 | 1), "{done:?}");
        for node in [ends.here("copy/sub"), ends.here("copy/sub/deep")] {
            let entries = fs::read_dir(&node).into_iter().flatten().map(|entry| entry.unwrap().path());
            for file in entries.filter(|path| path.is_file()) {
                assert_eq!(fs::read_to_string(&file).unwrap(), "public", "{}", file.display());
                came += 1;
            }
        }
        let _ = fs::remove_dir_all(ends.here("copy"));
    });
    assert!(came > 0, "nothing came at all");
}

#[test]
fn nothing_is_read_through_a_link_that_comes_and_goes_where_links_are_kept() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        deep_tree(&from.join("tree"), "public");
        let outside = ends.aside(format!("outside {up}"));
        deep_tree(&outside, "secret");
        symlink(outside.join("sub"), from.join("link")).unwrap();
        while_flipping(&from.join("tree/sub"), &from.join("link"), || {
            let done = ends.across(up, &["-r", "--links", "--no-sync"], "tree/.", "copy");
            assert!(matches!(done.code(), 0 | 1), "{done:?}");
            if to.join("copy/sub").symlink_metadata().is_ok_and(|sub| sub.is_dir()) {
                for node in [to.join("copy/sub"), to.join("copy/sub/deep")] {
                    let entries = fs::read_dir(&node).into_iter().flatten().map(|entry| entry.unwrap().path());
                    for file in entries.filter(|path| path.is_file()) {
                        assert_eq!(fs::read_to_string(&file).unwrap(), "public", "up: {up}: {}", file.display());
                    }
                }
            }
            let _ = fs::remove_dir_all(to.join("copy"));
        });
    }
}
