//! ansible(1): several commands for each task, on a terminal or with the program on standard input.

use super::{Site, write};
use crate::sandbox::Done;
use std::fs;

/// Runs a module on a host, with some of ansible's settings.
fn ansible(site: &Site, host: &str, settings: &[(&str, &str)], args: &[&str]) -> Done {
    let temporary = site.there("ansible").display().to_string();
    let config = format!("[defaults]\nremote_tmp = {temporary}\ninterpreter_python = auto_silent\n");
    fs::write(site.aside("ansible.cfg"), config).unwrap();
    let by_key = format!("other ansible_host=127.0.0.1 ansible_port={} ansible_user={}", site.port, site.key);
    fs::write(site.aside("hosts"), format!("box\n{by_key}\n")).unwrap();
    let mut ansible = site.program("ansible");
    ansible.arg("-i").arg(site.aside("hosts")).arg(host).args(args).env("ANSIBLE_CONFIG", site.aside("ansible.cfg"));
    ansible.env("ANSIBLE_SSH_EXECUTABLE", "kw-pty").envs(settings.iter().copied());
    Done::of(&mut ansible).succeeds()
}

#[test]
fn ansible_pings_commands_and_copies() {
    let Some(site) = Site::with(&["ansible"]) else { return };
    write(&site.here("file"), b"contents \xe9\0\n", 0o644);
    for pipelining in ["False", "True"] {
        let run = |args: &[&str]| {
            let settings = [("ANSIBLE_PIPELINING", pipelining), ("ANSIBLE_SSH_TRANSFER_METHOD", "piped")];
            ansible(&site, "box", &settings, args)
        };
        assert!(run(&["-m", "ping"]).stdout.contains("\"ping\": \"pong\""));
        let said = run(&["-m", "shell", "-a", "echo $KEYWIRE_PEER 'a  b'"]).stdout;
        assert!(said.contains("box | CHANGED | rc=0 >>\nkw1") && said.ends_with(" a  b\n"), "{said}");
        let copy = format!("src=file dest={} mode=0640", site.there("file").display());
        let said = run(&["-m", "copy", "-a", &copy]);
        assert!(said.stdout.contains("\"mode\": \"0640\"") && said.stderr.is_empty(), "{said:?}");
        assert_eq!(fs::read(site.there("file")).unwrap(), b"contents \xe9\0\n");
        fs::remove_file(site.there("file")).unwrap();
    }
}

#[test]
fn ansible_takes_a_key_for_its_user_and_a_port() {
    let Some(site) = Site::with(&["ansible"]) else { return };
    let done = ansible(&site, "other", &[], &["-m", "raw", "-a", "echo $KEYWIRE_CONNECTION"]);
    assert!(done.stdout.contains(&format!("127.0.0.1 {}", site.port)) && done.stderr.is_empty(), "{done:?}");
}

#[test]
fn ansible_copies_by_sftp_where_sftp_is_told_of_kw_pty_too() {
    let Some(site) = Site::with(&["ansible", "sftp"]) else { return };
    write(&site.here("file"), b"contents", 0o644);
    let settings = [("ANSIBLE_SSH_TRANSFER_METHOD", "sftp"), ("ANSIBLE_SFTP_EXTRA_ARGS", "-S kw-pty")];
    let copy = format!("src=file dest={}", site.there("file").display());
    let done = ansible(&site, "box", &settings, &["-m", "copy", "-a", &copy]);
    assert!(done.stderr.is_empty(), "{done:?}");
    assert_eq!(fs::read(site.there("file")).unwrap(), b"contents");
}
