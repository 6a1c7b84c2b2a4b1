//! What a rule gives: reading, writing, a root, and for how long.

use super::cut::Way;
use super::{Ends, at, names, tree, write};
use crate::pty::{eventually, random};
use crate::sandbox::{Done, User};
use keywire::json::{self, Value};
use std::fs;
use std::os::unix::fs::symlink;

/// The lines of the audit log, once there are so many.
fn audit(ends: &Ends, count: usize) -> Vec<Value> {
    let mut lines = Vec::new();
    eventually("the audit log has its lines", || {
        let text = fs::read_to_string(ends.host.home().join("ptyd.audit.jsonl")).unwrap_or_default();
        lines = text.lines().map(|line| json::parse(line.as_bytes(), 1 << 20).unwrap()).collect();
        lines.len() >= count
    });
    assert_eq!(lines.len(), count);
    lines
}

#[test]
fn whoever_may_only_read_writes_nothing_and_the_other_way_round() {
    for (right, may_write) in [("copy-read", false), ("copy-write", true)] {
        let ends = Ends::with(&[right], &[]);
        write(&ends.here("here"), b"here", 0o600);
        write(&ends.there("there"), b"there", 0o600);
        let up = ends.up(&[], "here", "new");
        let down = ends.down(&[], "there", "new");
        let (done, refused) = if may_write { (up, down) } else { (down, up) };
        done.succeeds();
        let wanting = if may_write { "copy-read" } else { "copy-write" };
        assert_eq!(refused.code(), 3, "{refused:?}");
        assert!(refused.stderr.contains(wanting) && refused.stderr.contains("hint: "), "{refused:?}");
        assert_eq!([ends.there("new").exists(), ends.here("new").exists()], [may_write, !may_write]);
    }
}

#[test]
fn an_unknown_key_and_other_rights_are_refused() {
    for rule in [&["exec"][..], &["forward"], &["pipe"]] {
        let ends = Ends::with(rule, &[]);
        write(&ends.here("file"), b"contents", 0o600);
        assert_eq!(ends.up(&[], "file", "new").code(), 3, "{rule:?}");
        assert!(!ends.there("new").exists());
    }
    let ends = Ends::new();
    let stranger = User::with_key();
    write(&ends.there("file"), b"contents", 0o600);
    let mut scp = stranger.command("kw-scp");
    let done = Done::of(scp.arg(at(&ends.address, &ends.there("file"))).arg(ends.here("got")));
    done.fails(3, "not on the allowlist");
    assert!(!ends.here("got").exists());
}

#[test]
fn a_rule_with_a_command_of_its_own_gives_no_copy() {
    for rule in [&["exec", "--command", "echo ran"][..], &["shell", "--command", "echo ran"]] {
        let ends = Ends::with(rule, &[]);
        write(&ends.here("file"), b"contents", 0o600);
        write(&ends.there("file"), b"contents", 0o600);
        assert_eq!(ends.up(&[], "file", "new").code(), 3);
        assert_eq!(ends.down(&[], "file", "new").code(), 3);
        assert!(!ends.there("new").exists() && !ends.here("new").exists());
    }
}

/// Ends whose guest is held below `there/root`, with a secret beside it.
fn jailed(rights: &[&str]) -> Ends {
    let ends = Ends::with(&[rights, &["--root", "$THERE/root"]].concat(), &[]);
    let root = ends.there("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::create_dir(ends.there("outside")).unwrap();
    write(&ends.there("outside/secret"), b"secret", 0o600);
    write(&root.join("file"), b"inside", 0o600);
    write(&root.join("sub/other"), b"inside too", 0o600);
    let outside = ends.there("outside");
    symlink(&outside, root.join("absolute")).unwrap();
    symlink("../outside", root.join("relative")).unwrap();
    symlink(outside.join("secret"), root.join("to the secret")).unwrap();
    symlink("../../outside/secret", root.join("sub/up")).unwrap();
    symlink("/sub", root.join("to sub")).unwrap();
    symlink("/", root.join("top")).unwrap();
    ends
}

#[test]
fn nothing_outside_a_root_is_read() {
    let ends = jailed(&["copy-read"]);
    let secret = ends.there("outside/secret");
    for path in [
        "/../outside/secret",
        "../outside/secret",
        "sub/../../outside/secret",
        "absolute/secret",
        "relative/secret",
        "to the secret",
        "sub/up",
        secret.to_str().unwrap(),
        "~/../outside/secret",
        "*/secret",
        "../*/secret",
        "rel*/s*",
        "/proc/self/root/etc/passwd",
        "/etc/passwd",
    ] {
        let done = ends.scp([&format!("box:{path}"), "got"]);
        assert_eq!(done.code(), 1, "{path}: {done:?}");
        assert!(!ends.here("got").exists(), "{path}");
    }
    // What is inside is there by every path, links inside included.
    for (path, contents) in [
        ("file", "inside"),
        ("/file", "inside"),
        ("~/file", "inside"),
        ("../file", "inside"),
        ("to sub/other", "inside too"),
        ("top/sub/other", "inside too"),
    ] {
        ends.scp([&format!("box:{path}"), "got"]).succeeds();
        assert_eq!(fs::read(ends.here("got")).unwrap(), contents.as_bytes(), "{path}");
        fs::remove_file(ends.here("got")).unwrap();
    }
    let done = ends.scp(["-r", "box:/", "all"]).fails_with(1);
    let copied = tree(&ends.here("all"));
    assert_eq!(names(&copied), ["file", "sub", "sub/other", "to sub", "to sub/other"], "{}", done.stderr);
}

#[test]
fn nothing_outside_a_root_is_written() {
    let ends = jailed(&["copy-write"]);
    write(&ends.here("file"), b"evil", 0o600);
    fs::create_dir_all(ends.here("tree/absolute")).unwrap();
    write(&ends.here("tree/absolute/planted"), b"evil", 0o600);
    write(&ends.here("tree/to the secret"), b"evil", 0o600);
    let before = tree(&ends.there("outside"));
    let passwd = fs::metadata("/etc/passwd").unwrap().modified().unwrap();
    for path in [
        "/../outside/planted",
        "../outside",
        "absolute",
        "relative",
        "absolute/planted",
        "to the secret",
        "sub/up",
        "/etc/passwd",
        "top/../../outside/planted",
    ] {
        // It may land somewhere inside.
        ends.scp(["file", &format!("box:{path}")]).code();
        assert_eq!(tree(&ends.there("outside")), before, "{path}");
    }
    assert_eq!(fs::metadata("/etc/passwd").unwrap().modified().unwrap(), passwd);
    ends.scp(["-r", "tree/.", "box:"]).code();
    ends.scp(["-r", "--links", "tree/.", "box:/"]).code();
    assert_eq!(tree(&ends.there("outside")), before);
    assert_eq!(names(&tree(&ends.there("")))[..2], ["outside", "outside/secret"]);
    ends.scp(["file", "box:sub/new"]).succeeds();
    ends.scp(["file", "box:/to sub/newer"]).succeeds();
    assert!(ends.there("root/sub/new").exists() && ends.there("root/sub/newer").exists());
}

/// A copy that stands still in its middle while `change` happens, and then would go on slowly.
fn meanwhile(ends: &Ends, up: bool, change: impl FnOnce() + Send + 'static) -> Done {
    let [from, to] = ends.sides(up);
    fs::write(from.join("large"), random(40_000_000)).unwrap();
    let way = Way::turn(&ends.address, 500_000, move || {
        // What has come that far may still wait for the host to let its dialer in.
        eventually("the copy has begun", || names(&tree(&to)).iter().any(|name| name.ends_with(".part")));
        change();
        true
    });
    let mut scp = ends.patient();
    // Four seconds for all of it, a third of which is under way at once, and the host looks at its rules each second.
    scp.args(["-l", "80000"]);
    if up {
        Done::of(scp.arg(ends.here("large")).arg(at(&way.address, &ends.there("copy"))))
    } else {
        Done::of(scp.arg(at(&way.address, &ends.there("large"))).arg(ends.here("copy")))
    }
}

#[test]
fn a_right_that_is_taken_away_ends_the_copy_that_lives_by_it() {
    for up in [true, false] {
        let ends = Ends::new();
        let mut deny = ends.host.command("kw-peers");
        deny.args(["deny", &ends.guest.key()]);
        let done = meanwhile(&ends, up, move || drop(Done::of(&mut deny).succeeds()));
        assert_eq!(done.code(), 3, "{done:?}");
        assert!(done.stderr.contains("it is no longer allowed"), "{done:?}");
        assert!(!ends.there("copy").exists() && !ends.here("copy").exists());
        assert_eq!(audit(&ends, 1)[0]["outcome"], "revoked");
    }
}

#[test]
fn a_rule_that_has_expired_gives_nothing_and_one_that_expires_ends_its_copy() {
    let ends = Ends::with(&["copy-write", "--expires", "2s"], &[]);
    let done = meanwhile(&ends, true, || {});
    assert!(done.code() == 3 && done.stderr.contains("has expired"), "{done:?}");
    assert!(!ends.there("copy").exists());
    let done = ends.up(&[], "large", "copy");
    let log = fs::read_to_string(ends.host.file("log")).unwrap();
    assert!(done.code() == 3 && done.stderr.contains("expired"), "{done:?} {log}");
}

#[test]
fn a_host_that_stops_says_so() {
    let ends = Ends::new();
    let pid = nix::unistd::Pid::from_raw(ends.daemon.pid() as i32);
    let done = meanwhile(&ends, true, move || nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap());
    assert_eq!(done.code(), 4, "{done:?}");
    assert!(
        done.stderr.contains("stop") || done.stderr.contains("going away") || done.stderr.contains("shut"),
        "{done:?}"
    );
    assert!(!ends.there("copy").exists());
}

#[test]
fn a_copy_is_a_line_of_the_audit_log() {
    let ends = Ends::new();
    write(&ends.here("file"), &random(5000), 0o600);
    ends.up(&[], "file", "copy").succeeds();
    ends.down(&[], "copy", "back").succeeds();
    ends.down(&[], "missing", "back").fails_with(1);
    let lines = audit(&ends, 3);
    for (line, way, path) in
        [(&lines[0], "to-host", "copy"), (&lines[1], "from-host", "copy"), (&lines[2], "from-host", "missing")]
    {
        assert_eq!(
            (&line["op"], &line["way"], &line["key"]),
            (&json::json!("copy"), &json::json!(way), &json::json!(ends.guest.key())),
            "{line}"
        );
        assert!(line.to_string().contains(ends.there(path).to_str().unwrap()), "{line}");
    }
    assert!(lines[0]["received"].as_u64().unwrap() > 5000 && lines[1]["sent"].as_u64().unwrap() > 5000);
}
