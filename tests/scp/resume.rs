//! Copies that do not come to their end: what is left of them, and how `--resume` goes on.

use super::cut::Way;
use super::{Ends, at, differences, names, parts, tree, write};
use crate::hostile::Dice;
use crate::pty::{eventually, random};
use crate::sandbox::{Done, Running};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

/// What is copied, and the least of it that is kept.
const SIZE: usize = 8_000_000;
const LEAST: u64 = 64 << 10;

/// A file, small ones before and after it.
fn tree_to_copy(root: &Path) {
    fs::create_dir_all(root.join("tree/z")).unwrap();
    write(&root.join("tree/a"), b"small", 0o600);
    write(&root.join("tree/large"), &random(SIZE), 0o640);
    write(&root.join("tree/z/last"), &random(1000), 0o600);
    super::age(&root.join("tree/z"), super::LONG_AGO);
    super::age(&root.join("tree"), super::LONG_AGO);
}

/// A copy of the tree by `address`, ready to run.
fn copy(ends: &Ends, up: bool, address: &str, options: &[&str]) -> Command {
    let mut scp = ends.patient();
    scp.args(options);
    if up {
        scp.arg(ends.here("tree")).arg(at(address, &ends.there("copy")));
    } else {
        scp.arg(at(address, &ends.there("tree"))).arg(ends.here("copy"));
    }
    scp
}

/// Waits until the host has noticed that a session by `way` is over. Whoever was cut in the handshake had none.
fn is_noticed(ends: &Ends, before: usize, way: &Way) {
    if way.carried() > 8000 {
        eventually("the session is over at the host", || ends.sessions() > before);
    }
}

/// What came of a copy that was ended early: whole files and parts, and nothing else. Returns the longest part.
#[track_caller]
fn is_whole_so_far(from: &Path, to: &Path, what: &str) -> u64 {
    if !to.exists() {
        return 0;
    }
    let (before, after) = (tree(from), tree(to));
    for (name, node) in &after {
        let is_part = name.to_string_lossy().split('/').next_back().is_some_and(|name| name.starts_with(".kw-"));
        assert!(is_part || node.kind == 'd' || before.get(name) == Some(node), "{what}: {}", name.display());
    }
    let folders = [to.to_owned(), to.join("z")];
    let found = folders.iter().filter(|folder| folder.exists()).flat_map(|folder| parts(folder));
    found.map(|part| fs::metadata(part).unwrap().len()).max().unwrap_or(0)
}

/// Goes on with a copy that was ended early, and checks that it comes to what an uncut one does, and does not start anew.
#[track_caller]
fn goes_on(ends: &Ends, up: bool, part: u64, what: &str) {
    let [from, to] = ends.sides(up);
    let way = Way::to(&ends.address);
    let done = Done::of(&mut copy(ends, up, &way.address, &["-rp", "--resume", "--verify"]));
    assert!(done.status.success(), "{what}: {done:?}");
    let lands = if to.join("copy/tree").exists() { "copy/tree" } else { "copy" };
    assert_eq!(differences(&tree(&from.join("tree")), &tree(&to.join(lands))), "", "{what}: {done:?}");
    if part >= LEAST {
        let most = SIZE as u64 - part + 100_000;
        assert!(way.carried() <= most, "{what}: {} bytes, {part} were there", way.carried());
    }
    fs::remove_dir_all(to.join("copy")).unwrap();
}

#[test]
fn a_copy_that_is_cut_anywhere_is_continued_from_there() {
    let ends = Ends::new();
    let mut dice = Dice::new("cut");
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        tree_to_copy(&from);
        // Into a folder that is there, so that the same command means the same twice.
        let (mut cut, mut kept) = (0, 0);
        for round in 0..12 {
            fs::create_dir(to.join("copy")).unwrap();
            let after = if round < 2 { dice.roll(4000) } else { dice.roll(SIZE + 8000) };
            let way = Way::cut(&ends.address, after as u64);
            let before = ends.sessions();
            let done = Done::of(&mut copy(&ends, up, &way.address, &["-rp"]));
            let what = format!("cut after {after}, up: {up}: {done:?}");
            is_noticed(&ends, before, &way);
            let part = is_whole_so_far(&from.join("tree"), &to.join("copy/tree"), &what);
            if !done.status.success() {
                assert_eq!(done.code(), 4, "{what}");
                cut += 1;
                kept += usize::from(part > 0);
                if part > 0 && !up {
                    assert!(done.stderr.contains("--resume"), "{what}");
                }
            }
            goes_on(&ends, up, part, &what);
        }
        assert!(cut >= 8 && kept >= 4, "{cut} were cut, {kept} left a part");
        fs::remove_dir_all(from.join("tree")).unwrap();
    }
}

#[test]
fn a_copy_whose_client_is_killed_anywhere_is_continued_from_there() {
    let ends = Ends::new();
    let mut dice = Dice::new("client killed");
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        tree_to_copy(&from);
        for _ in 0..5 {
            fs::create_dir(to.join("copy")).unwrap();
            let after = dice.roll(SIZE);
            let (say, pid) = channel();
            let way = Way::turn(&ends.address, after as u64, move || {
                kill(Pid::from_raw(pid.recv().unwrap()), Signal::SIGKILL).unwrap();
                true
            });
            let mut scp = ends.command();
            scp.arg("-rp");
            if up {
                scp.arg(ends.here("tree")).arg(at(&way.address, &ends.there("copy")));
            } else {
                scp.arg(at(&way.address, &ends.there("tree"))).arg(ends.here("copy"));
            }
            let before = ends.sessions();
            let mut scp = Running::start(scp.stderr(Stdio::null()));
            say.send(scp.pid() as i32).unwrap();
            let ended = scp.child.wait().unwrap();
            let what = format!("killed after {after}, up: {up}: {ended:?}");
            assert_eq!(ended.signal(), Some(9), "{what}");
            is_noticed(&ends, before, &way);
            let part = is_whole_so_far(&from.join("tree"), &to.join("copy/tree"), &what);
            goes_on(&ends, up, part, &what);
        }
        fs::remove_dir_all(from.join("tree")).unwrap();
    }
}
#[test]
fn a_copy_whose_host_is_killed_anywhere_is_continued_from_there() {
    let mut ends = Ends::new();
    let mut dice = Dice::new("host killed");
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        tree_to_copy(&from);
        for _ in 0..5 {
            fs::create_dir(to.join("copy")).unwrap();
            let after = dice.roll(SIZE);
            let pid = ends.daemon.pid() as i32;
            let way = Way::turn(&ends.address, after as u64, move || {
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
                true
            });
            let done = Done::of(&mut copy(&ends, up, &way.address, &["-rp"]));
            let what = format!("killed after {after}, up: {up}: {done:?}");
            // It may have said all that it had to say before.
            assert!(done.code() == 4 || !up && done.code() == 0, "{what}");
            ends.restart();
            let part = is_whole_so_far(&from.join("tree"), &to.join("copy/tree"), &what);
            goes_on(&ends, up, part, &what);
        }
        fs::remove_dir_all(from.join("tree")).unwrap();
    }
}

/// Leaves a part of `large` behind, in the direction `up`; what it is.
fn cut_in_the_middle(ends: &Ends, up: bool) -> std::path::PathBuf {
    let [_, to] = ends.sides(up);
    let way = Way::cut(&ends.address, SIZE as u64 / 2);
    let before = ends.sessions();
    let mut scp = ends.patient();
    let [near, far] =
        if up { [ends.here("large"), ends.there("copy")] } else { [ends.here("copy"), ends.there("large")] };
    let far = at(&way.address, &far);
    Done::of(if up { scp.arg(near).arg(far) } else { scp.arg(far).arg(near) }).fails_with(4);
    is_noticed(ends, before, &way);
    let mut found = parts(&to);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Goes on with `large`; how many bytes that took.
#[track_caller]
fn resumed(ends: &Ends, up: bool) -> u64 {
    let [from, to] = ends.sides(up);
    let way = Way::to(&ends.address);
    let mut scp = ends.patient();
    let [near, far] =
        if up { [ends.here("large"), ends.there("copy")] } else { [ends.here("copy"), ends.there("large")] };
    let far = at(&way.address, &far);
    scp.arg("--resume");
    Done::of(if up { scp.arg(near).arg(far) } else { scp.arg(far).arg(near) }).succeeds();
    assert!(fs::read(from.join("large")).unwrap() == fs::read(to.join("copy")).unwrap());
    assert_eq!(parts(&to), Vec::<std::path::PathBuf>::new());
    way.carried()
}

#[test]
fn a_part_is_used_only_as_far_as_it_is_what_the_source_begins_with() {
    let ends = Ends::new();
    let whole = SIZE as u64;
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        let fresh = || {
            let _ = fs::remove_file(to.join("copy"));
            fs::write(from.join("large"), random(SIZE)).unwrap();
            cut_in_the_middle(&ends, up)
        };
        let part = fresh();
        let length = fs::metadata(&part).unwrap().len();
        assert!(resumed(&ends, up) < whole - length + 100_000, "the part is what it should be");

        // The source has changed in front.
        fresh();
        fs::write(from.join("large"), random(SIZE)).unwrap();
        assert!(resumed(&ends, up) > whole);

        // The part was edited.
        let part = fresh();
        let mut bytes = fs::read(&part).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&part, bytes).unwrap();
        assert!(resumed(&ends, up) > whole);

        // The source is shorter than the part.
        let part = fresh();
        let length = fs::metadata(&part).unwrap().len() as usize;
        let shorter = fs::read(from.join("large")).unwrap()[..length - 1].to_vec();
        fs::write(from.join("large"), shorter).unwrap();
        resumed(&ends, up);

        // The part is all of it, or all but one byte.
        for missing in [0, 1] {
            let part = fresh();
            let bytes = fs::read(from.join("large")).unwrap();
            fs::write(&part, &bytes[..SIZE - missing]).unwrap();
            let carried = resumed(&ends, up);
            assert!(carried < 100_000, "{missing} missing: {carried}");
        }
    }
}

#[test]
fn what_is_there_already_is_not_sent_again_by_resume() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        fs::write(from.join("large"), random(SIZE)).unwrap();
        ends.across(up, &[], "large", "copy").succeeds();
        let carried = resumed(&ends, up);
        assert!(carried < 20_000, "{carried}");
        // The same length, and other bytes.
        fs::write(from.join("large"), random(SIZE)).unwrap();
        assert!(resumed(&ends, up) > SIZE as u64);
        assert_eq!(names(&tree(&to)), ["copy"].map(str::to_owned).to_vec());
        fs::remove_file(to.join("copy")).unwrap();
        fs::remove_file(from.join("large")).unwrap();
    }
}

#[test]
fn without_resume_a_part_is_used_up_and_none_of_it_is_believed() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        fs::write(from.join("large"), random(SIZE)).unwrap();
        cut_in_the_middle(&ends, up);
        fs::write(from.join("large"), random(SIZE / 2)).unwrap();
        ends.across(up, &[], "large", "copy").succeeds();
        assert!(fs::read(from.join("large")).unwrap() == fs::read(to.join("copy")).unwrap());
        assert!(parts(&to).is_empty());
        fs::remove_file(to.join("copy")).unwrap();
        fs::remove_file(from.join("large")).unwrap();
    }
}

#[test]
fn a_part_that_somebody_else_prepared_is_not_written_to() {
    let ends = Ends::new();
    fs::write(ends.here("large"), random(SIZE)).unwrap();
    let part = cut_in_the_middle(&ends, true);
    let outside = ends.aside("outside");
    for prepared in ["link", "second name", "fifo", "folder"] {
        let _ = fs::remove_file(&part);
        let _ = fs::remove_file(&outside);
        fs::write(&outside, "precious").unwrap();
        match prepared {
            "link" => std::os::unix::fs::symlink(&outside, &part).unwrap(),
            "second name" => fs::hard_link(&outside, &part).unwrap(),
            "folder" => fs::create_dir(&part).unwrap(),
            _ => nix::unistd::mkfifo(&part, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap(),
        }
        for options in [&[][..], &["--resume"]] {
            ends.up(options, "large", "copy").succeeds();
            assert!(fs::read(ends.here("large")).unwrap() == fs::read(ends.there("copy")).unwrap(), "{prepared}");
            assert_eq!(fs::read(&outside).unwrap(), b"precious", "{prepared}");
            fs::remove_file(ends.there("copy")).unwrap();
        }
        assert_eq!(parts(&ends.there("")), std::slice::from_ref(&part), "{prepared}");
    }
}

#[test]
fn a_signal_ends_a_copy_with_the_target_as_it_was_and_names_the_part() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            fs::write(from.join("large"), random(SIZE)).unwrap();
            fs::write(to.join("copy"), "old").unwrap();
            let (say, go) = channel::<i32>();
            let (told, tell) = channel();
            let target = to.clone();
            let way = Way::turn(&ends.address, SIZE as u64 / 2, move || {
                let pid = Pid::from_raw(go.recv().unwrap());
                eventually("enough has been written", || {
                    let part = parts(&target).pop().and_then(|part| fs::metadata(part).ok());
                    part.is_some_and(|part| part.len() >= LEAST)
                });
                kill(pid, signal).unwrap();
                told.send(()).unwrap();
                true
            });
            let before = ends.sessions();
            let mut scp = ends.command();
            // So slow that it is not over before the signal is.
            scp.args(["-l", "160000"]);
            let far = |path: &Path| at(&way.address, path);
            if up {
                scp.arg(from.join("large")).arg(far(&to.join("copy")));
            } else {
                scp.arg(far(&from.join("large"))).arg(to.join("copy"));
            }
            let scp = scp.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            say.send(scp.id() as i32).unwrap();
            let ended = scp.wait_with_output().unwrap();
            tell.recv().unwrap();
            let said = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.signal(), Some(signal as i32), "{said}");
            assert!(fs::read(to.join("copy")).unwrap() == b"old", "up: {up}: {said}");
            is_noticed(&ends, before, &way);
            let left = parts(&to);
            assert!(left.len() == 1 && fs::metadata(&left[0]).unwrap().len() >= LEAST, "up: {up}: {left:?} {said}");
            // The client does not see what the host keeps.
            assert!(said.contains("--resume") && up != said.contains("kept a part of"), "up: {up}: {said}");
            assert_eq!(names(&tree(&to)).len(), 2);
            let carried = resumed(&ends, up);
            assert!(carried < SIZE as u64, "{carried}");
        }
        for path in [from.join("large"), to.join("copy")] {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn of_two_copies_to_one_target_one_wins_whole() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        let contents = [random(2_000_000), random(2_100_000)];
        for (name, bytes) in ["one", "two"].iter().zip(&contents) {
            fs::write(from.join(name), bytes).unwrap();
        }
        for options in [&[][..], &["--resume"]] {
            let mut both = Vec::new();
            for name in ["one", "two"] {
                let mut scp = ends.command();
                scp.args(["-l", "40000"]).args(options);
                let [near, far] =
                    if up { [ends.here(name), ends.there("copy")] } else { [ends.here("copy"), ends.there(name)] };
                let far = at("box", &far);
                if up {
                    scp.arg(near).arg(far)
                } else {
                    scp.arg(far).arg(near)
                };
                both.push(Running::start(&mut scp));
            }
            eventually("both are at it", || {
                parts(&to).len() == 2 || both.iter_mut().any(|scp| scp.child.try_wait().unwrap().is_some())
            });
            for scp in both {
                let (ended, _) = scp.finish();
                assert!(ended.success(), "{ended:?}");
            }
            let there = fs::read(to.join("copy")).unwrap();
            assert!(contents.contains(&there), "{} bytes of neither", there.len());
            assert_eq!(names(&tree(&to)), ["copy"]);
            fs::remove_file(to.join("copy")).unwrap();
        }
        for name in ["one", "two"] {
            fs::remove_file(from.join(name)).unwrap();
        }
    }
}
