//! rsync(1): it hands on the words of its own command line one by one, and the user apart from the host.

use super::{Site, sample, sample_with_links, tree, write};
use crate::sandbox::Done;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

#[test]
fn rsync_copies_a_tree_there_and_back_and_finds_nothing_to_do_the_second_time() {
    let Some(site) = Site::with(&["rsync"]) else { return };
    sample_with_links(&site.here("tree"));
    // Its ssh writes to a socket that does not wait, and has room for less.
    write(&site.here("tree/larger"), &crate::pty::random(4_000_000), 0o600);
    let [copied, copied_again, back] = site.same_as_by_ssh(|ssh| {
        site.run("rsync", ["-a", "-e", ssh, "tree/", &site.at("tree/")]).succeeds();
        let again = site.run("rsync", ["-a", "-i", "-e", ssh, "tree/", &site.at("tree/")]).succeeds();
        assert_eq!(again.stdout, "");
        let copied = tree(&site.there("tree"));
        site.run("rsync", ["-a", "-e", ssh, &site.at("tree"), "back"]).succeeds();
        [copied, tree(&site.there("tree")), tree(&site.here("back/tree"))]
    });
    let original = tree(&site.here("tree"));
    assert!(copied == original && copied_again == original && back == original);
}

#[test]
fn rsync_takes_a_key_for_the_user_and_the_port_from_its_remote_shell() {
    let Some(site) = Site::with(&["rsync"]) else { return };
    sample(&site.here("tree"));
    for (place, options) in [("p", format!("-p {}", site.port)), ("o", format!("-oPort={}", site.port))] {
        let shell = format!("kw-pty {options}");
        site.run("rsync", ["-a", "-e", &shell, "tree/", &site.at_key(place)]).succeeds();
        assert_eq!(tree(&site.there(place)), tree(&site.here("tree")));
    }
}

#[test]
fn rsync_reaches_an_ipv6_address_in_brackets() {
    let Some(site) = Site::of(&["rsync"], "[::1]", &["shell"]) else { return };
    sample(&site.here("tree"));
    let to = format!("{}@[::1]:{}", site.key, site.there("tree").display());
    site.run("rsync", ["-a", "-e", &format!("kw-pty -p {}", site.port), "tree/", &to]).succeeds();
    assert_eq!(tree(&site.there("tree")), tree(&site.here("tree")));
}

#[test]
fn rsync_names_one_file_there_whatever_bytes_its_name_has() {
    let Some(site) = Site::with(&["rsync"]) else { return };
    write(&site.here("file"), b"contents", 0o600);
    // Without -s the name goes through the shell there, for which rsync quotes it; a line end it cannot quote.
    let names: [(&[u8], &[&str]); 3] =
        [(b"a 'b' \"c\" $HOME `id` *", &[]), (b"latin1 \xe9", &[]), (b"a 'b'\nc \xe9 $HOME", &["-s"])];
    for (name, options) in names {
        let place = site.there(OsStr::from_bytes(name));
        let remote = [b"box:", place.as_os_str().as_bytes()].concat();
        let remote = OsStr::from_bytes(&remote);
        let mut push = site.program("rsync");
        Done::of(push.args(["-a", "-e", "kw-pty"]).args(options).args(["file".as_ref(), remote])).succeeds();
        assert_eq!(fs::read(&place).unwrap(), b"contents");
        let mut pull = site.program("rsync");
        Done::of(pull.args(["-a", "-e", "kw-pty"]).args(options).args([remote, "back".as_ref()])).succeeds();
        assert_eq!(fs::read(site.here("back")).unwrap(), b"contents");
        fs::remove_file(site.here("back")).unwrap();
    }
}

#[test]
fn rsync_deletes_what_is_gone_and_sends_what_has_changed() {
    let Some(site) = Site::with(&["rsync"]) else { return };
    sample(&site.here("tree"));
    site.same_as_by_ssh(|ssh| {
        let sync = || site.run("rsync", ["-a", "-i", "--delete", "-e", ssh, "tree/", &site.at("tree/")]).succeeds();
        sync();
        fs::remove_file(site.here("tree/-dash")).unwrap();
        write(&site.here("tree/plain"), b"longer than it was", 0o640);
        let done = sync().stdout;
        assert!(done.contains("*deleting   -dash\n") && done.contains(" plain\n"), "{done}");
        let (here, there) = (tree(&site.here("tree")), tree(&site.there("tree")));
        assert_eq!(here, there);
        // The folder itself has just been changed.
        done.lines().filter(|line| !line.ends_with(" ./")).map(str::to_owned).collect::<Vec<_>>()
    });
}

#[test]
fn rsync_has_the_status_that_it_has_over_ssh() {
    let Some(site) = Site::with(&["rsync"]) else { return };
    let (status, said) = site.same_as_by_ssh(|ssh| {
        let done = site.run("rsync", ["-a", "-e", ssh, &site.at("missing"), "."]);
        (done.code(), done.stderr.lines().find(|line| line.contains("link_stat")).map(str::to_owned))
    });
    assert!(status == 23 && said.is_some_and(|line| line.contains("No such file")));
    let done = site.run("rsync", ["-a", "-e", "kw-pty -p 1", &site.at_key(""), "."]);
    // It does not wait for the status of its ssh: 12 where it was quicker, over ssh as well.
    assert!([255, 12].contains(&done.code()), "{done:?}");
    assert!(done.stderr.contains("kw-pty: cannot connect to 127.0.0.1:1: connection refused"), "{done:?}");
}
