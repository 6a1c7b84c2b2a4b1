//! sshfs(1): the host's files as a folder of this machine.

use super::{Site, sample, tree};
use crate::pty::{eventually, random};
use crate::sandbox::Done;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

/// The host's folder, mounted. It is gone when the test ends, however that ends.
struct Mount<'a> {
    site: &'a Site,
    at: PathBuf,
}

impl<'a> Mount<'a> {
    /// `None`, and a word about it, where nothing can be mounted.
    fn new(site: &'a Site, from: &str, options: &[&str]) -> Option<Self> {
        if let Err(why) = OpenOptions::new().read(true).write(true).open("/dev/fuse") {
            eprintln!("skipped: nothing can be mounted without /dev/fuse: {why}");
            return None;
        }
        let mount = Mount { site, at: site.here("mounted") };
        fs::create_dir(&mount.at).unwrap();
        // It stays in the background with this file open, so that a pipe would never end.
        let said = File::create(site.aside("said")).unwrap();
        let mut sshfs = site.program("sshfs");
        sshfs
            .args(["-o", "ssh_command=kw-pty"])
            .args(options)
            .arg(from)
            .arg(&mount.at)
            .stdout(said.try_clone().unwrap());
        let status = sshfs.stderr(said).status().unwrap();
        let said = fs::read_to_string(site.aside("said")).unwrap();
        if !status.success() && said.contains("fusermount") {
            eprintln!("skipped: nothing can be mounted here: {}", said.trim());
            return None;
        }
        assert!(status.success(), "{said}");
        Some(mount)
    }

    fn is_mounted(&self) -> bool {
        fs::read_to_string("/proc/self/mountinfo").unwrap().contains(self.at.to_str().unwrap())
    }

    fn unmount(&self) -> Done {
        self.site.run("fusermount3", ["-u", self.at.to_str().unwrap()])
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        if self.is_mounted() {
            let _ = Command::new("fusermount3").args(["-q", "-u", "-z"]).arg(&self.at).status();
        }
    }
}

/// Whether any process names `text` in its command line.
fn is_running(text: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(text))
}

#[test]
fn sshfs_mounts_the_hosts_files_and_changes_them_as_if_they_were_here() {
    let Some(site) = Site::with(&["sshfs", "fusermount3"]) else { return };
    sample(&site.there("tree"));
    let Some(mount) = Mount::new(&site, &site.at(""), &[]) else { return };
    assert_eq!(tree(&mount.at.join("tree")), tree(&site.there("tree")));

    fs::write(mount.at.join("new"), b"first ").unwrap();
    OpenOptions::new().append(true).open(mount.at.join("new")).unwrap().write_all_at(b"second", 6).unwrap();
    assert_eq!(fs::read(site.there("new")).unwrap(), b"first second");
    fs::set_permissions(mount.at.join("new"), Permissions::from_mode(0o640)).unwrap();
    assert_eq!(site.there("new").metadata().unwrap().permissions().mode() & 0o777, 0o640);
    OpenOptions::new().write(true).open(mount.at.join("new")).unwrap().set_len(5).unwrap();
    fs::rename(mount.at.join("new"), mount.at.join("renamed")).unwrap();
    assert_eq!(fs::read(site.there("renamed")).unwrap(), b"first");
    std::os::unix::fs::symlink("renamed", mount.at.join("link")).unwrap();
    assert_eq!(fs::read(mount.at.join("link")).unwrap(), b"first");
    fs::create_dir(mount.at.join("folder")).unwrap();
    fs::remove_dir(mount.at.join("folder")).unwrap();
    for name in ["link", "renamed"] {
        fs::remove_file(mount.at.join(name)).unwrap();
    }
    assert_eq!(fs::read_dir(site.there("")).unwrap().count(), 1);
    assert_eq!(fs::read(mount.at.join("renamed")).unwrap_err().kind(), std::io::ErrorKind::NotFound);

    let at = mount.at.to_str().unwrap().to_owned();
    mount.unmount().succeeds();
    assert!(!mount.is_mounted());
    eventually("sshfs ends", || !is_running(&at));
}

#[test]
fn sshfs_reads_and_writes_a_large_file_by_a_key_and_a_port() {
    let Some(site) = Site::with(&["sshfs", "fusermount3"]) else { return };
    let bytes = random(20_000_000);
    fs::write(site.there("large"), &bytes).unwrap();
    let Some(mount) = Mount::new(&site, &site.at_key(""), &["-p", &site.port, "-o", "reconnect"]) else { return };
    assert!(fs::read(mount.at.join("large")).unwrap() == bytes, "the bytes were changed");
    fs::write(mount.at.join("copied"), &bytes).unwrap();
    assert!(fs::read(site.there("copied")).unwrap() == bytes, "the bytes were changed");
    mount.unmount().succeeds();
}
