//! sftp(1), which writes its options to ssh as `-oName value`, in small letters too.

use super::{Site, sample, tree, write};
use crate::sandbox::Done;
use std::fs;
use std::path::Path;

/// Where OpenSSH keeps its server, on one system or another.
const SERVERS: [&str; 3] =
    ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];

/// Runs sftp with what it is told in `batch`, and with another ssh.
fn sftp(site: &Site, ssh: &str, options: &[&str], batch: &str) -> Done {
    fs::write(site.aside("batch"), batch).unwrap();
    Done::of(site.program("sftp").args(["-S", ssh, "-b"]).arg(site.aside("batch")).args(options))
}

#[test]
fn sftp_does_in_a_batch_all_that_it_does_over_ssh() {
    let Some(site) = Site::with(&["sftp"]) else { return };
    sample(&site.here("tree"));
    let batch = format!(
        "cd {}\nput -r -p tree\nput tree/plain one\nget -p one one\nget -r -p tree back\nls -1 tree\nls\nls -l tree\nls -ln tree\n\
         rename one two\nln two three\nsymlink two four\nchmod 640 two\nmkdir folder\nput tree/plain folder\n\
         mkdir empty\nrmdir empty\nrm three\n-rm missing\n-mkdir folder\n-get missing\nls -1 folder\npwd\n",
        site.there("").display()
    );
    let (_, there, back) = site.same_as_by_ssh(|ssh| {
        let done = sftp(&site, ssh, &["box"], &batch);
        let changed = |name: &str| fs::metadata(site.there(name)).unwrap().permissions();
        let outcome =
            (done.code(), done.stdout, done.stderr, changed("two"), fs::read_link(site.there("four")).unwrap());
        (outcome, tree(&site.there("tree")), tree(&site.here("back")))
    });
    assert!(there == tree(&site.here("tree")) && back == there);
}

#[test]
fn sftp_hands_on_a_key_a_port_and_its_options() {
    let Some(site) = Site::with(&["sftp"]) else { return };
    write(&site.here("file"), b"contents", 0o600);
    let at = format!("{}@127.0.0.1", site.key);
    let options = [
        "-P",
        &site.port,
        "-q",
        "-C",
        "-4",
        "-o",
        "ConnectTimeout=20",
        "-o",
        "compression yes",
        "-o",
        "ForwardAgent no",
    ];
    let batch = format!("put file {0}/file\nget {0}/file back\n", site.there("").display());
    sftp(&site, "kw-pty", &[&options[..], &[&at]].concat(), &batch).succeeds();
    assert_eq!(fs::read(site.here("back")).unwrap(), b"contents");
    let uri = format!("sftp://{at}:{}/{}", site.port, site.there("").display());
    sftp(&site, "kw-pty", &[&uri], "rename file renamed\n").succeeds();
    assert_eq!(fs::read(site.there("renamed")).unwrap(), b"contents");
}

#[test]
fn sftp_goes_on_with_a_file_that_was_half_there() {
    let Some(site) = Site::with(&["sftp"]) else { return };
    let bytes = crate::pty::random(1_000_000);
    write(&site.here("whole"), &bytes, 0o600);
    for half in [site.there("up"), site.here("down")] {
        write(&half, &bytes[..400_000], 0o600);
    }
    let batch = format!("put -a whole {0}/up\nget -a {0}/up down\n", site.there("").display());
    sftp(&site, "kw-pty", &["box"], &batch).succeeds();
    assert!(fs::read(site.there("up")).unwrap() == bytes && fs::read(site.here("down")).unwrap() == bytes);
}

#[test]
fn sftp_shows_how_full_the_disk_is() {
    let Some(site) = Site::with(&["sftp"]) else { return };
    let done = sftp(&site, "kw-pty", &["box"], &format!("df {}\n", site.there("").display())).succeeds();
    let figures: Vec<&str> = done.stdout.lines().last().unwrap().split_whitespace().collect();
    assert!(figures.len() == 5 && figures[0].parse::<u64>().unwrap() > 0 && figures[4].ends_with('%'), "{done:?}");
}

#[test]
fn sftp_stops_where_a_batch_fails_and_says_what_it_says_over_ssh() {
    let Some(site) = Site::with(&["sftp"]) else { return };
    let said = site.same_as_by_ssh(|ssh| {
        let folder = site.there("");
        let folder = folder.display();
        ["get {}/missing", "rm {}/missing", "mkdir {}/no/folder", "cd {}/missing", "chmod 600 {}/missing"].map(|line| {
            let done = sftp(
                &site,
                ssh,
                &["box"],
                &format!("{}\nmkdir {folder}/not reached\n", line.replace("{}", &folder.to_string())),
            );
            (done.code(), done.stdout, done.stderr)
        })
    });
    assert!(said.iter().all(|(status, _, stderr)| *status == 1 && !stderr.is_empty()), "{said:?}");
    assert!(!site.there("not").exists());
    let done = sftp(&site, "kw-pty", &["-P", "1", &format!("{}@127.0.0.1", site.key)], "pwd\n");
    // A broken pipe may be the first that it sees of this, over ssh as well.
    assert!(
        !done.status.success() && done.stderr.contains("kw-pty: cannot connect to 127.0.0.1:1: connection refused"),
        "{done:?}"
    );
}

#[test]
fn sftp_speaks_to_openssh_s_server_as_to_any_command() {
    let Some(site) = Site::with(&["sftp"]) else { return };
    let Some(server) = SERVERS.into_iter().find(|server| Path::new(server).exists()) else {
        eprintln!("skipped: sftp-server is not installed");
        return;
    };
    write(&site.there("file"), b"contents", 0o600);
    sftp(&site, "kw-pty", &["-s", server, "box"], &format!("get {}\n", site.there("file").display())).succeeds();
    assert_eq!(fs::read(site.here("file")).unwrap(), b"contents");
}
