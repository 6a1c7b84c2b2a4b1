//! git(1): it asks by -G whether a program is like ssh, and only then hands on a port and its protocol.

use super::Site;
use crate::sandbox::Done;
use std::fs;

/// A bare repository with one commit on the host, and the guest's settings for git.
fn repository() -> Option<Site> {
    repository_at("127.0.0.1")
}

fn repository_at(host: &str) -> Option<Site> {
    let site = Site::of(&["git"], host, &["shell"])?;
    site.shell(
        "git config --global user.name Ada && git config --global user.email ada@example.org &&
         git config --global init.defaultBranch main && git init -q --bare $there/project.git && git init -q first &&
         cd first && echo one > file && git add file && git commit -q -m one && git push -q $there/project.git main",
    )
    .succeeds();
    Some(site)
}

/// Runs git with kw-pty for its ssh, and with no word about what kind of ssh that is.
fn git(site: &Site, args: &[&str]) -> Done {
    Done::of(site.program("git").args(args).env("GIT_SSH_COMMAND", "kw-pty"))
}

#[test]
fn git_clones_pushes_and_fetches_by_a_name() {
    let Some(site) = repository() else { return };
    for clone in ["a", "b"] {
        git(&site, &["clone", "-q", &site.at("project.git"), clone]).succeeds();
    }
    site.shell("cd a && echo two > file && git commit -q -a -m two").succeeds();
    git(&site, &["-C", "a", "push", "-q"]).succeeds();
    git(&site, &["-C", "b", "fetch", "-q"]).succeeds();
    git(&site, &["-C", "b", "merge", "-q", "origin/main"]).succeeds();
    assert_eq!(fs::read(site.here("b/file")).unwrap(), b"two\n");
}

#[test]
fn git_clones_and_pushes_by_a_uri_with_a_key_and_a_port() {
    let Some(site) = repository() else { return };
    let uri = format!("ssh://{}", site.at_uri("project.git"));
    git(&site, &["clone", "-q", &uri, "clone"]).succeeds();
    git(&site, &["-C", "clone", "push", "-q", "origin", "HEAD:refs/heads/other"]).succeeds();
    assert!(git(&site, &["ls-remote", &uri]).succeeds().stdout.contains("refs/heads/other"));
}

#[test]
fn git_clones_from_an_ipv6_address() {
    let Some(site) = repository_at("[::1]") else { return };
    let place = site.there("project.git");
    git(&site, &["clone", "-q", &format!("ssh://{}@[::1]:{}{}", site.key, site.port, place.display()), "clone"])
        .succeeds();
    assert_eq!(fs::read(site.here("clone/file")).unwrap(), b"one\n");
}

#[test]
fn git_finds_that_kw_pty_is_like_ssh_and_speaks_its_newest_protocol() {
    let Some(site) = repository() else { return };
    let mut clone = site.program("git");
    clone.args(["clone", &format!("ssh://{}", site.at_uri("project.git"))]).env("GIT_SSH_COMMAND", "kw-pty");
    let done = Done::of(clone.env("GIT_TRACE", "1").env("GIT_TRACE_PACKET", "1")).succeeds();
    assert!(done.stderr.contains("kw-pty -G "), "{done:?}");
    assert!(done.stderr.contains("clone< version 2"), "{done:?}");
}

#[test]
fn git_takes_kw_pty_and_its_options_from_its_own_settings() {
    let Some(site) = repository() else { return };
    let command = format!("core.sshCommand=kw-pty -4 -o ConnectTimeout=20 -p {}", site.port);
    site.run("git", ["clone", "-q", "-c", &command, &site.at_key("project.git"), "clone"]).succeeds();
    site.run("git", ["-C", "clone", "fetch", "-q"]).succeeds();
    assert_eq!(fs::read(site.here("clone/file")).unwrap(), b"one\n");
}

#[test]
fn git_gets_an_archive_of_a_repository_there() {
    let Some(site) = repository() else { return };
    let line = "GIT_SSH_COMMAND=kw-pty git archive --remote=box:$there/project.git main | tar x -O";
    assert_eq!(site.shell(line).succeeds().stdout, "one\n");
}

#[test]
fn git_fails_as_over_ssh_where_there_is_no_repository() {
    let Some(site) = repository() else { return };
    let done = site.same_as_by_ssh(|ssh| {
        let mut list = site.program("git");
        let done = Done::of(list.args(["ls-remote", &site.at("missing.git")]).env("GIT_SSH_COMMAND", ssh));
        (done.code(), done.stdout, done.stderr)
    });
    assert!(done.0 == 128 && done.2.contains("does not appear to be a git repository"), "{done:?}");
}
