//! restic(1), which speaks SFTP, and borg(1), which runs itself on the host.

use super::{Site, sample_with_links, tree};
use crate::sandbox::Done;
use std::fs;

/// Runs restic on the repository `repository` of the host's, which it reaches by `command`.
fn restic(site: &Site, command: &str, args: &[&str]) -> Done {
    let mut restic = site.program("restic");
    restic
        .args(["-q", "--no-cache", "-o", &format!("sftp.command={command}"), "-r"])
        .arg(format!("sftp:{}", site.at("backup")));
    // Its key is meant to be slow to guess.
    Done::of(restic.args(args).env("RESTIC_PASSWORD", "word").env("RESTIC_TEST_FAKE_KDF", "1"))
}

#[test]
fn restic_backs_up_checks_and_restores() {
    let Some(site) = Site::with(&["restic"]) else { return };
    sample_with_links(&site.here("tree"));
    let by_name = "kw-pty box -s sftp";
    // What it makes of a URI by itself, behind the name of its ssh.
    let by_key = format!("kw-pty 127.0.0.1 -p {} -l {} -s sftp", site.port, site.key);
    restic(&site, by_name, &["init"]).succeeds();
    restic(&site, &by_key, &["backup", "tree"]).succeeds();
    restic(&site, by_name, &["check", "--read-data"]).succeeds();
    fs::create_dir(site.here("back")).unwrap();
    restic(&site, &by_key, &["restore", "latest", "--target", "back"]).succeeds();
    assert_eq!(tree(&site.here("back/tree")), tree(&site.here("tree")));
}

#[test]
fn borg_backs_up_lists_and_extracts() {
    let Some(site) = Site::with(&["borg"]) else { return };
    sample_with_links(&site.here("tree"));
    let borg = |args: &[&str]| {
        let mut borg = site.program("borg");
        // The same repository has two names here.
        borg.args(args).env("BORG_RSH", "kw-pty").env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        Done::of(borg.env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")).succeeds()
    };
    let (by_name, by_key) = (site.at("backup"), format!("ssh://{}", site.at_uri("backup")));
    borg(&["init", "-e", "none", &by_name]);
    borg(&["create", &format!("{by_name}::first"), "tree"]);
    borg(&["create", &format!("{by_key}::second"), "tree"]);
    assert_eq!(borg(&["list", "--short", &by_key]).stdout, "first\nsecond\n");
    fs::remove_dir_all(site.here("tree")).unwrap();
    borg(&["extract", &format!("{by_name}::second")]);
    let second = tree(&site.here("tree"));
    fs::remove_dir_all(site.here("tree")).unwrap();
    borg(&["extract", &format!("{by_key}::first")]);
    assert_eq!(tree(&site.here("tree")), second);
    assert_eq!(fs::read(site.here("tree/plain")).unwrap(), b"plain");
}
