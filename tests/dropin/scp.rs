//! scp(1), which speaks SFTP, and its own older protocol by -O.

use super::{Site, sample, timeless, tree, write};
use std::fs;

/// The options for either protocol.
const PROTOCOLS: [&[&str]; 2] = [&[], &["-O"]];

/// Runs scp with another ssh.
fn scp(site: &Site, ssh: &str, options: &[&str], paths: &[&str]) -> crate::sandbox::Done {
    site.run("scp", [&["-S", ssh], options, paths].concat())
}

#[test]
fn scp_copies_a_tree_with_its_modes_and_times_there_and_back() {
    let Some(site) = Site::with(&["scp"]) else { return };
    sample(&site.here("tree"));
    for (name, kept) in [("kept", &["-r", "-p"][..]), ("made", &["-r"])] {
        let to = site.at(name);
        let (there, back) = site.same_as_by_ssh(|ssh| {
            scp(&site, ssh, kept, &["tree", &to]).succeeds();
            scp(&site, ssh, kept, &[&to, name]).succeeds();
            let trees = [site.there(name), site.here(name)].map(|root| tree(&root));
            let [there, back] = if name == "kept" { trees } else { trees.map(timeless) };
            (there, back)
        });
        if name == "kept" {
            assert!(there == tree(&site.here("tree")) && back == there);
        }
    }
}

#[test]
fn scp_copies_a_tree_by_its_older_protocol() {
    let Some(site) = Site::with(&["scp"]) else { return };
    sample(&site.here("tree"));
    // That protocol has no way to write a line end in a name.
    fs::remove_file(site.here("tree/new\nline")).unwrap();
    fs::remove_file(site.here("tree/in a folder/new\nline")).unwrap();
    let to = site.at("tree");
    let same = site.same_as_by_ssh(|ssh| {
        scp(&site, ssh, &["-O", "-r", "-p"], &["tree", &to]).succeeds();
        scp(&site, ssh, &["-O", "-r", "-p"], &[&to, "back"]).succeeds();
        let [original, there, back] =
            [site.here("tree"), site.there("tree"), site.here("back")].map(|root| timeless(tree(&root)));
        (original == there, original == back, tree(&site.there("tree")), tree(&site.here("back")))
    });
    assert!(same.0 && same.1);
}

#[test]
fn scp_hands_on_a_key_and_a_port_and_its_options() {
    let Some(site) = Site::with(&["scp"]) else { return };
    write(&site.here("file"), b"contents", 0o600);
    for protocol in PROTOCOLS {
        let options = [protocol, &["-P", &site.port, "-q", "-C", "-4", "-o", "ConnectTimeout=20"]].concat();
        scp(&site, "kw-pty", &options, &["file", &site.at_key("there")]).succeeds();
        scp(&site, "kw-pty", &options, &[&site.at_key("there"), "back"]).succeeds();
        scp(&site, "kw-pty", protocol, &["back", &format!("scp://{}", site.at_uri("by-uri").replacen('/', "//", 1))])
            .succeeds();
        for copied in [site.there("there"), site.here("back"), site.there("by-uri")] {
            assert_eq!(fs::read(&copied).unwrap(), b"contents");
            fs::remove_file(copied).unwrap();
        }
    }
}

#[test]
fn scp_reaches_an_ipv6_address() {
    let Some(site) = Site::of(&["scp"], "[::1]", &["shell"]) else { return };
    write(&site.here("file"), b"contents", 0o600);
    let to = format!("{}@[::1]:{}", site.key, site.there("file").display());
    scp(&site, "kw-pty", &["-P", &site.port], &["file", &to]).succeeds();
    assert_eq!(fs::read(site.there("file")).unwrap(), b"contents");
}

#[test]
fn scp_copies_from_host_to_host_through_here() {
    let Some(site) = Site::with(&["scp"]) else { return };
    sample(&site.there("tree"));
    for protocol in PROTOCOLS {
        let options = [protocol, &["-3", "-r", "-p"]].concat();
        let (from, to) = (site.at("tree/in a folder/large"), site.at("copied"));
        let from = if protocol.is_empty() { from } else { from.replace(' ', "\\ ") };
        scp(&site, "kw-pty", &options, &[&from, &to]).succeeds();
        assert!(fs::read(site.there("copied")).unwrap() == fs::read(site.there("tree/in a folder/large")).unwrap());
        fs::remove_file(site.there("copied")).unwrap();
    }
}

#[test]
fn scp_names_files_there_with_spaces_quotes_and_stars() {
    let Some(site) = Site::with(&["scp"]) else { return };
    sample(&site.there("tree"));
    let copied = site.same_as_by_ssh(|ssh| {
        fs::create_dir(site.here("by name")).unwrap();
        scp(&site, ssh, &["-p"], &[&site.at("tree/a space"), &site.at("tree/quotes*"), "by name"]).succeeds();
        scp(&site, ssh, &["-p", "-O"], &[&site.at("tree/p*"), &site.at("tree/in*/la*"), "by name"]).succeeds();
        tree(&site.here("by name"))
    });
    let names: Vec<String> = copied.keys().map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["a space", "large", "latin1 \u{fffd}", "plain", "program", "quotes '\"` `id`"]);
}

#[test]
fn scp_fails_as_over_ssh() {
    let Some(site) = Site::with(&["scp"]) else { return };
    write(&site.here("file"), b"contents", 0o600);
    fs::create_dir(site.there("folder")).unwrap();
    let (missing, no_folder, folder) = (site.at("missing"), site.at("no/folder"), site.at("folder"));
    let cases: [(&[&str], i32); 4] =
        [(&[&missing, "."], 1), (&["file", &no_folder], 1), (&[&folder, "."], 1), (&[&missing, &folder, "."], 1)];
    for protocol in PROTOCOLS {
        let said = site.same_as_by_ssh(|ssh| {
            cases.map(|(paths, _)| {
                let done = scp(&site, ssh, protocol, paths);
                (done.code(), done.stdout, done.stderr)
            })
        });
        for ((_, expected), (status, _, stderr)) in cases.iter().zip(&said) {
            assert!(status == expected && stderr.starts_with("scp: "), "{said:?}");
        }
        assert!(said[0].2.contains("No such file or directory"), "{said:?}");
    }
    let done = scp(&site, "kw-pty", &["-P", "1"], &[&site.at_key("file"), "."]);
    // A broken pipe may be the first that it sees of this, over ssh as well.
    assert!(
        !done.status.success() && done.stderr.contains("kw-pty: cannot connect to 127.0.0.1:1: connection refused"),
        "{done:?}"
    );
}
