//! Keys that may do one thing only, as real programs meet it.

use super::{Site, sample, tree, write};
use crate::sandbox::Done;
use std::fs;

#[test]
fn a_key_with_git_shell_for_its_command_reaches_repositories_and_nothing_else() {
    let rule = ["exec", "--command", "git-shell -c \"$KEYWIRE_ORIGINAL_COMMAND\""];
    let Some(site) = Site::of(&["git", "git-shell", "sftp"], "127.0.0.1", &rule) else { return };
    site.shell(
        "git config --global user.name Ada && git config --global user.email ada@example.org &&
         git init -q --bare $there/project.git && export GIT_SSH_COMMAND=kw-pty &&
         git clone -q box:$there/project.git clone && cd clone && echo one > file && git add file && git commit -q -m one &&
         git push -q origin HEAD:main && git ls-remote --exit-code origin main",
    )
    .succeeds();
    for command in
        [&["box", "cat /etc/passwd"][..], &["box"], &["box", "git-upload-pack '/x'; id"], &["-s", "box", "sftp"]]
    {
        let done = site.run("kw-pty", command);
        assert!(
            done.code() == 128 && done.stdout.is_empty() && done.stderr.starts_with("fatal: "),
            "{command:?}: {done:?}"
        );
    }
    write(&site.aside("batch"), b"ls /\n", 0o600);
    let done = Done::of(site.program("sftp").args(["-S", "kw-pty", "-b"]).arg(site.aside("batch")).arg("box"));
    assert!(!done.status.success() && done.stderr.contains("fatal: "), "{done:?}");
}

#[test]
fn a_key_that_may_only_read_gets_files_and_changes_none() {
    let Some(site) = Site::of(&["sftp", "scp", "rsync"], "127.0.0.1", &["copy-read"]) else { return };
    sample(&site.there("tree"));
    write(&site.here("file"), b"contents", 0o600);
    let before = tree(&site.there(""));
    site.run("scp", ["-S", "kw-pty", "-r", "-p", &site.at("tree"), "back"]).succeeds();
    assert_eq!(tree(&site.here("back")), tree(&site.there("tree")));
    let done = site.run("scp", ["-S", "kw-pty", "file", &site.at("file")]).fails_with(1);
    assert!(done.stderr.contains("Permission denied"), "{done:?}");
    for line in
        ["put file there", "mkdir new", "rm tree/plain", "rename tree moved", "chmod 777 tree", "symlink tree link"]
    {
        write(&site.aside("batch"), format!("cd {}\n{line}\n", site.there("").display()).as_bytes(), 0o600);
        let done = Done::of(site.program("sftp").args(["-S", "kw-pty", "-b"]).arg(site.aside("batch")).arg("box"));
        assert!(done.code() == 1 && done.stderr.contains("ermission denied"), "{line}: {done:?}");
    }
    for refused in [&["box"][..], &["box", "true"], &["-N", "box"]] {
        let done = site.run("kw-pty", refused).fails_with(255);
        assert!(done.stderr.contains("host refused this key"), "{refused:?}: {done:?}");
    }
    // Both run a command on the host.
    for refused in [&["rsync", "-e"][..], &["scp", "-O", "-S"]] {
        let from = site.at("tree/plain");
        let done = site.run(refused[0], [&refused[1..], &["kw-pty", &from, "."]].concat());
        assert!(!done.status.success() && done.stderr.contains("without the right 'exec'"), "{refused:?}: {done:?}");
    }
    assert_eq!(tree(&site.there("")), before);
}

#[test]
fn a_key_that_may_only_write_below_a_folder_puts_files_there_and_nowhere_else() {
    let outside = crate::sandbox::Dir::new();
    let inside = outside.join("inside");
    fs::create_dir(&inside).unwrap();
    write(&outside.join("secret"), b"secret", 0o600);
    let rule = ["copy-write", "--root", inside.to_str().unwrap()];
    let Some(site) = Site::of(&["sftp", "scp"], "127.0.0.1", &rule) else { return };
    write(&site.here("file"), b"contents", 0o600);
    site.run("scp", ["-S", "kw-pty", "file", "box:/file"]).succeeds();
    assert_eq!(fs::read(inside.join("file")).unwrap(), b"contents");
    site.run("scp", ["-S", "kw-pty", "file", "box:/../../escaped"]).succeeds();
    assert_eq!(fs::read(inside.join("escaped")).unwrap(), b"contents");
    for path in ["/file", "/../secret", outside.join("secret").to_str().unwrap()] {
        let done = site.run("scp", ["-S", "kw-pty", &format!("box:{path}"), "back"]);
        assert!(done.code() == 1 && !site.here("back").exists(), "{path}: {done:?}");
    }
    assert_eq!(tree(outside.path()).len(), 4);
}
