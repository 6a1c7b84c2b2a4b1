//! lftp(1), by SFTP and by its own protocol for shells.

use super::{Site, sample, timeless, tree, write};
use crate::sandbox::Done;
use std::fs;

/// Runs lines of lftp's; a failure is one, at once.
fn lftp(site: &Site, lines: &str) -> Done {
    let settings = "set net:max-retries 1; set net:timeout 20; set cmd:fail-exit yes; \
                    set sftp:connect-program 'kw-pty -a -x'; set fish:connect-program 'kw-pty -a -x'; ";
    site.run("lftp", ["--norc", "-c", &format!("{settings}{lines}")])
}

#[test]
fn lftp_lists_gets_and_puts() {
    let Some(site) = Site::with(&["lftp"]) else { return };
    write(&site.here("file"), b"contents", 0o644);
    let at_key = format!("-u {}, sftp://127.0.0.1:{}", site.key, site.port);
    for at in ["sftp://box", &at_key, "fish://box"] {
        let there = site.there("").display().to_string();
        let done = lftp(&site, &format!("open {at}; cd {there}; put file; cls -1; get file -o back")).succeeds();
        assert_eq!(done.stdout, "file\n");
        assert_eq!(fs::read(site.here("back")).unwrap(), b"contents");
        fs::remove_file(site.here("back")).unwrap();
        fs::remove_file(site.there("file")).unwrap();
    }
}

#[test]
fn lftp_mirrors_a_tree_there_and_back() {
    let Some(site) = Site::with(&["lftp"]) else { return };
    sample(&site.here("tree"));
    let there = site.there("tree").display().to_string();
    lftp(
        &site,
        &format!("open sftp://box; mirror -R --no-umask -P 3 tree {there}; mirror --no-umask -P 3 {there} back"),
    )
    .succeeds();
    let [original, there, back] =
        [site.here("tree"), site.there("tree"), site.here("back")].map(|root| timeless(tree(&root)));
    assert_eq!(there, original);
    assert_eq!(back, original);
}
