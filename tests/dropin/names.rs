//! kw-pty under the name of ssh, first in the PATH: programs that were told nothing find it.

use super::{Site, sample, tree, write};
use crate::sandbox::{Done, binary};
use std::fs;
use std::os::unix::fs::symlink;

/// A site where `ssh` is kw-pty.
fn site(programs: &[&str]) -> Option<Site> {
    let site = Site::with(programs)?;
    call_it_ssh(&site);
    Some(site)
}

fn call_it_ssh(site: &Site) {
    symlink(binary("kw-pty"), site.aside("own/ssh")).unwrap();
}

#[test]
fn rsync_finds_kw_pty_under_the_name_of_ssh() {
    let Some(site) = site(&["rsync"]) else { return };
    sample(&site.here("tree"));
    site.run("rsync", ["-a", "tree/", &site.at("tree")]).succeeds();
    assert_eq!(tree(&site.there("tree")), tree(&site.here("tree")));
}

#[test]
fn git_finds_kw_pty_under_the_name_of_ssh_and_does_not_ask_what_it_is() {
    let Some(site) = site(&["git"]) else { return };
    site.run("git", ["init", "-q", "--bare", site.there("project.git").to_str().unwrap()]).succeeds();
    for at in [site.at("project.git"), format!("ssh://{}", site.at_uri("project.git"))] {
        let mut list = site.program("git");
        let done =
            Done::of(list.args(["ls-remote", &at]).env("GIT_TRACE", "1").env("GIT_TRACE_PACKET", "1")).succeeds();
        assert!(done.stderr.contains("ls-remote< version 2") && !done.stderr.contains("ssh -G"), "{done:?}");
    }
}

#[test]
fn restic_and_borg_find_kw_pty_under_the_name_of_ssh() {
    let Some(site) = site(&["restic", "borg"]) else { return };
    let by_uri = format!("sftp://{}", site.at_uri("restic").replacen('/', "//", 1));
    for repository in [&format!("sftp:{}", site.at("other")), &by_uri] {
        Done::of(
            site.program("restic").args(["-q", "--no-cache", "-r", repository, "init"]).env("RESTIC_PASSWORD", "word"),
        )
        .succeeds();
    }
    assert!(site.there("other/config").exists() && site.there("restic/config").exists());
    site.run("borg", ["init", "-e", "none", &site.at("borg")]).succeeds();
    assert!(site.there("borg/config").exists());
}

#[test]
fn lftp_finds_kw_pty_under_the_name_of_ssh() {
    let Some(site) = site(&["lftp"]) else { return };
    write(&site.there("file"), b"contents", 0o600);
    let get =
        format!("set net:max-retries 1; set net:timeout 20; open sftp://box; get {}", site.there("file").display());
    site.run("lftp", ["--norc", "-c", &get]).succeeds();
    assert_eq!(fs::read(site.here("file")).unwrap(), b"contents");
}

#[test]
fn parallel_finds_kw_pty_under_the_name_of_ssh() {
    let Some(site) = super::parallel::site(&[]) else { return };
    call_it_ssh(&site);
    assert_eq!(site.run("parallel", ["--will-cite", "-S", "1/box", "echo {}", ":::", "hi"]).succeeds().stdout, "hi\n");
}

#[test]
fn ansible_finds_kw_pty_under_the_name_of_ssh() {
    let Some(site) = site(&["ansible"]) else { return };
    let mut ansible = site.program("ansible");
    ansible
        .args(["-i", "box,", "box", "-m", "raw", "-a", "echo $KEYWIRE_PEER"])
        .env("ANSIBLE_LOCALHOST_WARNING", "False");
    assert!(Done::of(&mut ansible).succeeds().stdout.contains("rc=0 >>\nkw1"));
}

#[test]
fn whoever_asks_ssh_for_its_version_is_answered_where_ssh_answers() {
    let Some(site) = site(&[]) else { return };
    let done = site.run("ssh", ["-V"]).succeeds();
    assert!(done.stdout.is_empty() && done.stderr.starts_with("kw-pty "), "{done:?}");
}
