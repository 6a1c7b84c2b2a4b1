//! What lands where: the same commands side by side with scp(1), in both directions.

use super::{Ends, Tree, names, to_seconds, tree, write};
use crate::openssh::Ssh;
use crate::sandbox::{Done, User, binary};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What is there on the side that is read.
fn sources(root: &Path) {
    for folder in ["dir/sub", "dir/none", "other"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let files =
        ["one", "two", "three.txt", ".hidden", "[x]", "x", "dir/a", "dir/.b", "dir/sub/c", "other/a", "a b", "dir/one"];
    for file in files {
        write(&root.join(file), format!("new {file}").as_bytes(), 0o640);
    }
    for folder in ["dir/sub", "dir/none", "dir", "other", ""] {
        super::age(&root.join(folder), super::LONG_AGO);
    }
}

/// What is there on the side that is written.
fn targets(root: &Path) {
    for folder in ["into/dir", "blocked/one", "blocked/dir"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for file in ["old", "into/two", "into/dir/a", "into/dir/kept"] {
        write(&root.join(file), b"old", 0o600);
    }
    for folder in ["into/dir", "into", "blocked/one", "blocked/dir", "blocked"] {
        super::age(&root.join(folder), super::LONG_AGO);
    }
}

/// What a line comes to: whether it says that all is well, and what is there then.
type End = (bool, Tree);

/// Runs one line of sources and a target, without their folders, from a fresh start.
fn run(
    ends: &Ends,
    up: bool,
    sources: &[&str],
    target: &str,
    copy: impl FnOnce(&[String], &str) -> Done,
) -> (End, Done) {
    let [from, to] = ends.sides(up);
    fs::remove_dir_all(&to).unwrap();
    fs::create_dir(&to).unwrap();
    targets(&to);
    let given = |side: &Path, name: &str| format!("{}/{name}", side.display());
    let words: Vec<String> = sources.iter().map(|name| given(&from, name)).collect();
    let done = copy(&words, &given(&to, target));
    ((done.status.success(), to_seconds(tree(&to))), done)
}

/// Forgets when a directory was changed in which a file was replaced: scp writes over the old one, and we give the new one its
/// name.
fn without_times(mut tree: Tree, options: &str) -> Tree {
    for (name, node) in &mut tree {
        if node.kind == 'd' && (options == "-p" || name == "into") {
            node.changed = None;
        }
    }
    tree
}

/// Ours on the left, scp's on the right.
fn both(
    ends: &Ends,
    ssh: &(Ssh, [String; 2]),
    up: bool,
    options: &str,
    words: &[&str],
    target: &str,
) -> ((End, Done), End) {
    let [near, far] = if up { ["", "box:"] } else { ["box:", ""] };
    let ours = run(ends, up, words, target, |words, target| {
        let mut scp = ends.patient();
        Done::of(scp.arg(options).args(words.iter().map(|word| format!("{near}{word}"))).arg(format!("{far}{target}")))
    });
    // To a host, this scp makes no directory of a name with a slash behind it; from one it does.
    let target = if up && target == "new/" { "new" } else { target };
    let [near, far] = [near, far].map(|host| host.replace("box:", "127.0.0.1:"));
    let theirs = run(ends, up, words, target, |words, target| {
        let mut scp = ssh.0.scp(&ssh.1);
        Done::of(scp.arg(options).args(words.iter().map(|word| format!("{near}{word}"))).arg(format!("{far}{target}")))
    });
    (ours, theirs.0)
}

#[test]
fn what_lands_where_is_what_scp_does_with_the_same_words() {
    let Some(ssh) = Ssh::start_or_say() else { return };
    let (_master, shared) = ssh.master();
    let ssh = (ssh, shared);
    let ends = Ends::new();
    let table: &[(&str, &[&str], &str)] = &[
        ("-p", &["one"], "new"),
        ("-p", &["one"], "old"),
        ("-p", &["one"], "into"),
        ("-p", &["one"], "into/"),
        ("-p", &["two"], "into/"),
        ("-p", &["one"], "."),
        ("-p", &["one"], ""),
        ("-p", &["one"], "missing/new"),
        ("-p", &["one"], "missing/"),
        ("-p", &["one"], "old/new"),
        ("-p", &["one", "two", "a b"], "into"),
        ("-p", &["one", "other/a"], "into/dir"),
        ("-p", &["one", "two"], "old"),
        ("-p", &["dir"], "into"),
        ("-rp", &["dir"], "new"),
        ("-rp", &["dir"], "new/"),
        ("-rp", &["dir/"], "new"),
        ("-rp", &["dir"], "into"),
        ("-rp", &["dir/"], "into"),
        ("-rp", &["dir/."], "into"),
        ("-rp", &["dir/."], "new"),
        ("-rp", &["dir", "one", "other"], "into"),
        ("-rp", &["dir"], "old"),
        ("-rp", &["dir"], "missing/new"),
        ("-rp", &["dir", "other"], "old"),
        ("-rp", &["other/../dir"], "into"),
        ("-rp", &["./dir//sub/./"], "new"),
        ("-p", &["one"], "blocked"),
        ("-p", &[".hidden"], "into"),
    ];
    for up in [true, false] {
        let [from, _] = ends.sides(up);
        fs::remove_dir_all(&from).unwrap();
        fs::create_dir(&from).unwrap();
        sources(&from);
        for (options, words, target) in table {
            let ((ours, done), theirs) = both(&ends, &ssh, up, options, words, target);
            let what = format!("{options} {words:?} {target:?}, up: {up}: {done:?}");
            assert_eq!(names(&ours.1), names(&theirs.1), "{what}");
            let [ours, theirs] = [ours, theirs].map(|(well, tree)| (well, without_times(tree, options)));
            assert!(ours == theirs, "{what}\nours: {ours:?}\nscp's: {theirs:?}");
        }
    }
}

#[test]
fn remote_patterns_find_what_scp_finds() {
    let Some(ssh) = Ssh::start_or_say() else { return };
    let (_master, shared) = ssh.master();
    let ssh = (ssh, shared);
    let ends = Ends::new();
    sources(&ends.there(""));
    for words in [
        &["*"][..],
        &["t*"],
        &["?"],
        &["o??"],
        &["[ot]*"],
        &["[!o]*"],
        &["*/a"],
        &["d?r/*"],
        &[".h*"],
        &["dir/.*b"],
        &["nothing*"],
        &["[x]", "one"],
        &["[x]*"],
        &["*.txt", "missing", "tw[o]"],
        &["\\[x\\]"],
        &["*\\*"],
    ] {
        let ((ours, done), mut theirs) = both(&ends, &ssh, false, "-rp", words, "into");
        if words == ["[x]", "one"] {
            // The file of that very name is there: scp takes the word for a pattern all the same.
            assert!(ours.1.contains_key(std::ffi::OsStr::new("into/[x]")), "{done:?}");
            theirs.1.remove(std::ffi::OsStr::new("into/x"));
            let own = ours.1[std::ffi::OsStr::new("into/[x]")].clone();
            theirs.1.insert("into/[x]".into(), own);
        }
        assert_eq!(names(&ours.1), names(&theirs.1), "{words:?}: {done:?}");
        assert!(ours == theirs, "{words:?}: {done:?}\n{ours:?}\n{theirs:?}");
    }
}

#[test]
fn several_sources_need_a_directory_and_nothing_is_written_without_one() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        let _ = fs::remove_dir_all(&from);
        fs::create_dir(&from).unwrap();
        sources(&from);
        for (words, target, why) in [
            (&["one", "two"][..], "new", "no such directory"),
            (&["one", "two"], "old", "not a directory"),
            (&["one", "missing"], "new", "no such directory"),
            (&["dir", "other"], "new/", "no such directory"),
        ] {
            let [near, far] = if up { ["", "box:"] } else { ["box:", ""] };
            let ((_, there), done) = run(&ends, up, words, target, |words, target| {
                let words = words.iter().map(|word| format!("{near}{word}"));
                Done::of(ends.patient().arg("-r").args(words).arg(format!("{far}{target}")))
            });
            done.fails(1, why);
            let untouched = run(&ends, up, words, target, |_, _| Done::of(&mut Command::new("true"))).0.1;
            assert_eq!(there, untouched, "{words:?} {target}");
        }
        assert!(to.join("old").exists());
    }
}

#[test]
fn one_of_several_that_is_missing_does_not_keep_the_others_back() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, _] = ends.sides(up);
        let _ = fs::remove_dir_all(&from);
        fs::create_dir(&from).unwrap();
        sources(&from);
        let [near, far] = if up { ["", "box:"] } else { ["box:", ""] };
        let ((_, there), done) = run(&ends, up, &["one", "missing", "dir", "two"], "into", |words, target| {
            let words = words.iter().map(|word| format!("{near}{word}"));
            Done::of(ends.patient().args(words).arg(format!("{far}{target}")))
        });
        super::trees::names_once(&done, &[("/missing", "no such file or directory"), ("/dir", "is a directory")]);
        assert!(names(&there).contains(&"into/one".to_owned()) && names(&there).contains(&"into/two".to_owned()));
    }
}

#[test]
fn a_source_that_ends_in_two_dots_has_no_name_to_land_under() {
    let ends = Ends::new();
    for up in [true, false] {
        let [from, to] = ends.sides(up);
        fs::create_dir_all(from.join("dir/sub")).unwrap();
        fs::create_dir_all(to.join("into/deep")).unwrap();
        write(&from.join("dir/file"), b"contents", 0o600);
        for source in ["dir/..", "dir/sub/..", "dir/sub/../"] {
            let done = ends.across(up, &["-r"], source, "into/deep");
            assert_eq!(done.code(), 1, "{source}: {done:?}");
            assert!(done.stderr.contains(".."), "{source}: {done:?}");
        }
        assert_eq!(names(&tree(&to)), ["into", "into/deep"]);
        for side in [&from, &to] {
            fs::remove_dir_all(side).unwrap();
            fs::create_dir(side).unwrap();
        }
    }
    write(&ends.there("file"), b"contents", 0o600);
    let done = ends.down(&["-r"], "*/..", "x").fails_with(1);
    assert!(!ends.here("x").exists(), "{done:?}");
}

#[test]
fn what_is_in_a_folder_lands_in_the_target_itself() {
    let ends = Ends::new();
    sources(&ends.here("tree"));
    sources(&ends.there("tree"));
    for (up, directory) in [(true, ends.here("tree/dir")), (false, ends.here(""))] {
        for source in [".", "./.", "dir/../dir/."].iter().filter(|_| up) {
            let mut scp = ends.patient();
            let in_dir = if source.starts_with("dir") { ends.here("tree") } else { directory.clone() };
            Done::of(scp.current_dir(in_dir).arg("-rp").arg(source).arg(ends.at("copy"))).succeeds();
            assert_eq!(tree(&ends.there("copy")), tree(&ends.here("tree/dir")), "{source}");
            fs::remove_dir_all(ends.there("copy")).unwrap();
        }
    }
    ends.down(&["-rp"], "tree/dir/.", "copy").succeeds();
    assert_eq!(tree(&ends.here("copy")), tree(&ends.there("tree/dir")));
}

/// A host whose user has a home directory of this test's. `None`, and a word about it, where that cannot be made.
fn at_home(ends: &Ends) -> Option<(crate::sandbox::Running, String)> {
    let works = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("skipped: unshare(1) is not installed, or may not make a mount namespace here");
        return None;
    }
    let passwd = ends.aside("passwd");
    let home = ends.there("home");
    fs::create_dir(&home).unwrap();
    fs::write(&passwd, format!("somebody:x:{}:0::{}:/bin/sh\n", nix::unistd::getuid(), home.display())).unwrap();
    let line = "mount --bind \"$0\" /etc/passwd && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "/bin/sh", "-c", line]).arg(&passwd).arg(binary("kw-ptyd"));
    command.args(["--listen", "127.0.0.1:0"]).env("KEYWIRE_HOME", ends.host.home()).stderr(Stdio::null());
    let mut daemon = crate::sandbox::Running::start(&mut command);
    let address = daemon.address();
    Some((daemon, address))
}

#[test]
fn a_remote_path_starts_at_the_home_directory() {
    let mut ends = Ends::new();
    let Some((_daemon, address)) = at_home(&ends) else { return };
    ends.move_to(&address);
    let home = ends.there("home");
    fs::create_dir(home.join("docs")).unwrap();
    write(&ends.here("file"), b"contents", 0o600);
    for (target, lands) in [
        ("box:", "file"),
        ("box:.", "file"),
        ("box:~", "file"),
        ("box:~/", "file"),
        ("box:docs", "docs/file"),
        ("box:~/docs", "docs/file"),
        ("box:~/docs/new", "docs/new"),
        ("box:docs/other", "docs/other"),
        ("box:~somebody", "~somebody"),
        ("box:./~", "~"),
    ] {
        ends.scp(["file", target]).succeeds();
        assert_eq!(fs::read(home.join(lands)).unwrap_or_default(), b"contents", "{target}");
        ends.scp([target, "back"]).code();
        fs::remove_file(home.join(lands)).unwrap();
        let _ = fs::remove_dir_all(ends.here("back"));
        let _ = fs::remove_file(ends.here("back"));
    }
    write(&home.join("docs/a"), b"a", 0o600);
    ends.scp(["-r", "box:", "all"]).succeeds();
    assert_eq!(names(&tree(&ends.here("all"))), ["docs", "docs/a"]);
    ends.scp(["box:~/d*/a", "box:docs/[a]", "box:docs/a", "."]).succeeds();
    assert_eq!(fs::read(ends.here("a")).unwrap(), b"a");
}

#[test]
fn a_file_that_is_copied_onto_itself_keeps_its_contents() {
    let ends = Ends::new();
    let bytes = crate::pty::random(300_000);
    write(&ends.here("file"), &bytes, 0o640);
    let there = super::at("box", &ends.here("file"));
    for options in [&[][..], &["-p"], &["--resume"], &["--verify"]] {
        Done::of(ends.patient().args(options).arg("file").arg(&there)).succeeds();
        Done::of(ends.patient().args(options).arg(&there).arg("file")).succeeds();
        assert!(fs::read(ends.here("file")).unwrap() == bytes, "{options:?}");
    }
    assert_eq!(names(&tree(&ends.here(""))), ["file"]);
}

#[test]
fn a_word_with_a_colon_is_a_host_unless_a_slash_comes_first() {
    let ends = Ends::new();
    write(&ends.here("a:b"), b"contents", 0o600);
    write(&ends.here(":c"), b"contents", 0o600);
    ends.scp(["./a:b", ends.at("x:y:z").to_str().unwrap()]).succeeds();
    assert!(ends.there("x:y:z").exists());
    ends.scp([":c", ends.at("c").to_str().unwrap()]).succeeds();
    assert!(ends.there("c").exists());
    // A peer a is looked for, and the file of that name is pointed out.
    let done = ends.scp(["a:b", ends.at("d").to_str().unwrap()]);
    assert!(done.code() == 1 && done.stderr.contains("./a:b"), "{done:?}");
}

#[test]
fn every_way_to_name_a_host_leads_there() {
    let ends = Ends::new();
    write(&ends.here("file"), b"contents", 0o600);
    let (key, at) = ends.address.split_once('@').unwrap();
    let port = at.rsplit_once(':').unwrap().1;
    let to = ends.there("to");
    let to = to.display();
    for (options, target) in [
        (&[][..], format!("{key}@127.0.0.1:{port}:{to}")),
        (&[], format!("{key}:{to}")),
        (&[], format!("box@127.0.0.1:{port}:{to}")),
        (&["-P", port], format!("{key}@127.0.0.1:{to}")),
        (&["-P", port], format!("{key}@localhost:{to}")),
        (&["-4"], format!("box:{to}")),
    ] {
        ends.scp([options, &["file", &target]].concat()).succeeds();
        fs::remove_file(ends.there("to")).unwrap();
    }
    let stranger = User::with_key();
    let mut command = stranger.command("kw-scp");
    let identity = ends.guest.home().join("identity.json");
    command.arg("-i").arg(identity).arg(ends.here("file")).arg(format!("{}:{to}", ends.address));
    Done::of(&mut command).succeeds();
}
