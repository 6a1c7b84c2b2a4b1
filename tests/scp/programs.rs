//! kw-scp among other programs: pipes, JSON, holes, limits, and two hosts at once.

use super::{Ends, at, names, on_disk, parts, sample, tree, write};
use crate::pty::{eventually, random};
use crate::sandbox::{Done, Running};
use keywire::json::{self, Value};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::process::Stdio;

/// The lines of `--json`.
#[track_caller]
fn lines(done: &Done) -> Vec<Value> {
    done.stdout.lines().map(|line| json::parse(line.as_bytes(), 1 << 20).unwrap()).collect()
}

#[test]
fn a_pipe_becomes_a_file_and_a_file_goes_into_a_pipe() {
    let ends = Ends::new();
    for size in [0, 1, 65_518, 65_519, 5_000_000] {
        let bytes = random(size);
        Done::with(ends.patient().arg("-").arg(ends.at("file")), &bytes).succeeds();
        assert!(fs::read(ends.there("file")).unwrap() == bytes, "{size} bytes up");
        let done = Done::of(ends.patient().arg(ends.at("file")).arg("-")).succeeds();
        assert!(done.bytes == bytes && done.stderr.is_empty(), "{size} bytes down");
    }
    fs::create_dir(ends.there("folder")).unwrap();
    let done = Done::with(ends.patient().arg("-").arg(ends.at("folder")), b"x");
    assert!(!done.status.success() && tree(&ends.there("folder")).is_empty(), "a pipe has no name: {done:?}");
}

#[test]
fn several_files_go_into_a_pipe_one_after_the_other() {
    let ends = Ends::new();
    let (one, two) = (random(100_000), random(3));
    write(&ends.there("one"), &one, 0o600);
    write(&ends.there("two"), &two, 0o600);
    File::create(ends.there("hole")).unwrap().set_len(70_000).unwrap();
    let mut scp = ends.patient();
    let done = Done::of(scp.args(["one", "hole", "missing", "two"].map(|name| ends.at(name))).arg("-")).fails_with(1);
    assert!(done.bytes == [one, vec![0; 70_000], two].concat());
    assert!(done.stderr.contains("missing: no such file or directory"), "{done:?}");
}

#[test]
fn a_pipe_that_ends_late_gives_no_file_before_its_end() {
    let ends = Ends::new();
    let mut scp = Running::start(ends.command().arg("-").arg(ends.at("file")));
    let early = random(200_000);
    scp.stdin().write_all(&early).unwrap();
    eventually("what has come is on its way to the disk", || {
        parts(&ends.there("")).first().is_some_and(|part| fs::metadata(part).is_ok_and(|part| part.len() > 0))
    });
    assert!(!ends.there("file").exists());
    scp.stdin().write_all(b"late").unwrap();
    assert!(scp.finish().0.success());
    assert!(fs::read(ends.there("file")).unwrap() == [&early[..], b"late"].concat());
    assert_eq!(names(&tree(&ends.there(""))), ["file"]);
}

#[test]
fn a_reader_that_goes_away_ends_the_copy() {
    let ends = Ends::new();
    File::create(ends.there("file")).unwrap().write_all(&random(20_000_000)).unwrap();
    let mut scp = ends.command();
    let mut scp = Running::start(scp.arg(ends.at("file")).arg("-").stderr(Stdio::null()));
    scp.close_output();
    let ended = scp.child.wait().unwrap();
    assert!(!ended.success(), "{ended:?}");
}

#[test]
fn holes_stay_holes_and_a_hundred_gibibytes_of_them_take_no_time() {
    const GIB: u64 = 1 << 30;
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        let file = File::create(from.join("file")).unwrap();
        file.set_len(100 * GIB).unwrap();
        for at in [0, 7 * GIB + 12_345, 64 * GIB] {
            file.write_all_at(format!("data at {at}").as_bytes(), at).unwrap();
        }
        ends.across(up, &["-p"], "file", "copy").succeeds();
        let copy = File::open(to.join("copy")).unwrap();
        assert_eq!(copy.metadata().unwrap().len(), 100 * GIB);
        assert!(on_disk(&to.join("copy")) < 1 << 20, "{} bytes on disk", on_disk(&to.join("copy")));
        for at in [0, 7 * GIB + 12_345, 64 * GIB] {
            let text = format!("data at {at}");
            let mut there = vec![0; text.len() + 1];
            copy.read_exact_at(&mut there, at).unwrap();
            assert_eq!(there, [text.as_bytes(), b"\0"].concat());
        }
        // Over a file that is full: holes are zeros, not what was there.
        fs::write(from.join("small"), "x").unwrap();
        File::options().write(true).open(from.join("small")).unwrap().set_len(500_000).unwrap();
        write(&to.join("small copy"), &random(600_000), 0o600);
        ends.across(up, &[], "small", "small copy").succeeds();
        assert!(fs::read(to.join("small copy")).unwrap() == [&b"x"[..], &vec![0; 499_999]].concat());
        for path in [from.join("file"), to.join("copy")] {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn from_one_host_to_another_a_tree_goes_through_here() {
    let ends = Ends::new();
    let other = Ends::new();
    sample(&ends.there("tree"));
    std::os::unix::fs::symlink("plain", ends.there("tree/link")).unwrap();
    other.host.run("kw-peers", ["allow", &ends.guest.key(), "shell"]).succeeds();
    ends.guest.run("kw-peers", ["add", "other", &other.address]).succeeds();
    for options in [&["-rp", "--links"][..], &["-3rp", "--links", "--verify"], &["-rp", "--links", "--resume"]] {
        ends.guest.run("kw-scp", ["--help"]);
        let mut scp = ends.patient();
        let to = at("other", &other.there("copy"));
        Done::of(scp.args(options).arg(ends.at("tree")).arg(&to)).succeeds();
        assert!(tree(&other.there("copy")) == tree(&ends.there("tree")), "{options:?}");
        if options != ["-3rp", "--links", "--verify"] {
            fs::remove_dir_all(other.there("copy")).unwrap();
        } else {
            fs::rename(other.there("copy"), other.there("again")).unwrap();
        }
    }
    // What goes wrong at either end is said here.
    fs::create_dir(other.there("plain")).unwrap();
    let mut scp = ends.patient();
    let sources = ["missing", "tree/plain", "tree/none"].map(|name| ends.at(name));
    let done = Done::of(scp.args(sources).arg(at("other", &other.there("")))).fails_with(1);
    assert!(done.stderr.contains("missing: no such file or directory"), "{done:?}");
    assert!(done.stderr.contains("plain: is a directory"), "{done:?}");
    assert!(other.there("none").exists() && ends.there("tree/plain").exists());
    // A target that only a directory will do for is called as it was written.
    for sources in [["tree/plain", "tree/none"].map(|name| ends.at(name)), ["a", "b"].map(Into::into)] {
        for name in ["a", "b"] {
            write(&ends.here(name), b"", 0o600);
        }
        let target = other.there("no/such");
        let done = Done::of(ends.patient().args(sources).arg(at("other", &target))).fails_with(1);
        assert!(done.stderr.contains(&format!("other:{}: no such directory", target.display())), "{done:?}");
    }
}

#[test]
fn what_becomes_of_each_item_is_a_line_of_json() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        sample(&from.join("tree"));
        nix::unistd::mkfifo(&from.join("tree/fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        let done = ends.across(up, &["-r", "--json"], "tree", "copy").fails_with(1);
        let said = lines(&done);
        let of = |event: &str| said.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
        let there = tree(&to.join("copy"));
        let bytes: u64 = there
            .keys()
            .map(|name| to.join("copy").join(name))
            .filter(|path| path.is_file())
            .map(|path| fs::metadata(path).unwrap().len())
            .sum();
        let stored = of("stored");
        assert_eq!(stored.len(), there.len() + 1, "the top is one too");
        assert_eq!(stored.iter().filter_map(|line| line["bytes"].as_u64()).sum::<u64>(), bytes);
        let kinds = |kind: &str| stored.iter().filter(|line| line["kind"] == kind).count();
        assert_eq!(kinds("directory"), 1 + there.values().filter(|node| node.kind == 'd').count());
        assert_eq!(kinds("file"), there.values().filter(|node| node.kind == 'f').count());
        // A name that is no text is there in full as well.
        let hex = stored.iter().filter_map(|line| line["path_hex"].as_str());
        let paths: Vec<Vec<u8>> = hex.map(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).collect();
        let odd = there.keys().filter(|name| std::str::from_utf8(name.as_bytes()).is_err());
        assert_eq!(paths.len(), odd.clone().count());
        assert!(odd.clone().all(|name| paths.iter().any(|path| path.ends_with(name.as_bytes()))));
        let failed = of("failed");
        assert!(failed.len() == 1 && failed[0]["path"].as_str().unwrap().ends_with("tree/fifo"), "{failed:?}");
        assert_eq!(failed[0]["reason"], "not a regular file");
        let last = said.last().unwrap();
        assert_eq!(last["event"], "done");
        assert_eq!(
            (&last["stored"], &last["failed"], &last["bytes"]),
            (&json::json!(stored.len()), &json::json!(1), &json::json!(bytes))
        );
        assert!(said.iter().all(|line| line["event"] == "done" || line["peer"].is_string() != up), "{said:?}");
    }
    // Also when nothing can be done.
    let said = lines(&ends.down(&["--json"], "missing", "x").fails_with(1));
    assert_eq!(said.iter().map(|line| line["event"].as_str().unwrap()).collect::<Vec<_>>(), ["failed", "done"]);
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_would_be() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        sample(&from.join("tree"));
        fs::create_dir_all(to.join("there/tree/none")).unwrap();
        write(&to.join("there/tree/program"), b"old", 0o600);
        let before = tree(&to);
        let done = ends.across(up, &["-rp", "--dry-run"], "tree", "there").fails_with(1);
        assert_eq!(tree(&to), before);
        for name in ["in a folder/large", "program", "deep/er/still"] {
            assert!(done.stdout.lines().any(|line| line.contains(&format!("tree/{name}"))), "{name}: {done:?}");
        }
        assert!(done.stderr.contains("tree/none: is a directory"), "{done:?}");
        ends.across(up, &["-r", "--dry-run"], "tree", "new").succeeds();
        ends.across(up, &["-r", "--dry-run"], "tree", "no/folder").fails(1, "no such directory");
        assert_eq!(tree(&to), before);
    }
}

#[test]
fn a_quiet_copy_says_nothing_and_a_verbose_one_says_each_item() {
    let ends = Ends::new();
    fs::create_dir(ends.here("tree")).unwrap();
    write(&ends.here("tree/file"), b"contents", 0o600);
    for options in [&["-r"][..], &["-rq"]] {
        let done = ends.up(options, "tree", "copy").succeeds();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
        fs::remove_dir_all(ends.there("copy")).unwrap();
    }
    let done = ends.up(&["-rv"], "tree", "copy").succeeds();
    let (_, place) = ends.address.split_once('@').unwrap();
    assert!(done.stdout.is_empty() && done.stderr.contains(place), "{done:?}");
    assert!(done.stderr.lines().any(|line| line.contains("tree/file")), "{done:?}");
}

#[test]
fn a_file_of_which_the_system_knows_no_size_comes_whole_or_is_said() {
    let ends = Ends::new();
    let whole = fs::read("/proc/version").unwrap();
    assert_eq!(fs::metadata("/proc/version").unwrap().len(), 0);
    for (from, to) in [("/proc/version".into(), ends.at("version")), ("box:/proc/version".into(), "version".into())] {
        let from: std::ffi::OsString = from;
        let done = ends.scp([from, to]);
        let copied = [ends.there("version"), ends.here("version")].into_iter().find_map(|path| fs::read(path).ok());
        assert!(done.code() == 1 || copied.as_ref() == Some(&whole), "{copied:?} {done:?}");
        let _ = fs::remove_file(ends.there("version"));
    }
}

#[test]
fn many_copies_at_once_do_not_get_in_each_others_way() {
    let ends = Ends::new();
    let bytes = random(200_000);
    write(&ends.here("file"), &bytes, 0o600);
    let running: Vec<Running> = (0..16)
        .map(|number| Running::start(ends.command().arg("file").arg(ends.at(format!("copy {number}")))))
        .collect();
    for scp in running {
        assert!(scp.finish().0.success());
    }
    let there = tree(&ends.there(""));
    let right = there.keys().filter(|name| fs::read(ends.there(name)).unwrap() == bytes);
    assert_eq!((right.count(), there.len()), (16, 16));
}

#[test]
fn a_limit_slows_the_copy_down_in_both_directions() {
    let ends = Ends::new();
    let bytes = random(400_000);
    write(&ends.here("file"), &bytes, 0o600);
    write(&ends.there("file"), &bytes, 0o600);
    for up in [true, false] {
        let began = std::time::Instant::now();
        // 400 KB at 2,000 Kbit a second, which are 256,000 bytes.
        ends.across(up, &["-l", "2000"], "file", "copy").succeeds();
        assert!(began.elapsed().as_secs_f64() > 0.8, "{:?}", began.elapsed());
        assert!(fs::read(ends.sides(up)[1].join("copy")).unwrap() == bytes);
    }
}

#[test]
fn a_copy_that_takes_longer_than_any_sign_of_life_comes_to_its_end() {
    let ends = Ends::with(&["shell"], &["--keepalive", "1"]);
    let bytes = random(2_000_000);
    write(&ends.here("file"), &bytes, 0o600);
    write(&ends.there("file"), &bytes, 0o600);
    std::thread::scope(|scope| {
        for up in [true, false] {
            let (ends, bytes) = (&ends, &bytes);
            scope.spawn(move || {
                // Five seconds, of which the other side hears nothing in most: what it asks stands behind all the data.
                ends.across(up, &["-l", "3200", "--keepalive", "1"], "file", "copy").succeeds();
                assert!(fs::read(ends.sides(up)[1].join("copy")).unwrap() == *bytes);
            });
        }
    });
}

#[test]
fn every_way_to_sync_brings_the_same() {
    let ends = Ends::new();
    sample(&ends.here("tree"));
    for option in ["--fsync", "--no-sync", "--verify"] {
        ends.up(&["-rp", option], "tree", option).succeeds();
        assert!(tree(&ends.there(option)) == tree(&ends.here("tree")), "{option}");
    }
}

#[test]
fn whoever_is_not_there_is_named() {
    let ends = Ends::new();
    write(&ends.here("file"), b"contents", 0o600);
    ends.scp(["file", "nobody:x"]).fails(1, "nobody");
    let key = ends.address.split('@').next().unwrap();
    ends.scp(["file", &format!("{key}@127.0.0.1:1:x")]).fails(4, "connection refused");
    let other = crate::sandbox::User::with_key().key();
    let at = ends.address.split('@').nth(1).unwrap();
    ends.scp(["file", &format!("{other}@{at}:x")]).fails(4, "");
    for words in [&["file"][..], &[], &["file", "other"], &["--nonsense", "file", "box:"], &["-l", "x", "file", "box:"]]
    {
        ends.scp(words).fails(2, "");
    }
}
