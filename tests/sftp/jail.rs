//! A client within a root reaches nothing beyond it, however it asks.

use super::{Ask, CREATE, Client, NONE, READ, Reply, TRUNCATE, WRITE, mode, server, string};
use crate::sandbox::Dir;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// A root with a file in it, and a secret beside it.
struct Jail(Dir);

impl Jail {
    fn new() -> Self {
        let dir = Dir::new();
        std::fs::create_dir_all(dir.join("in/sub")).unwrap();
        std::fs::write(dir.join("in/own"), "own").unwrap();
        std::fs::write(dir.join("secret"), "secret").unwrap();
        std::fs::create_dir(dir.join("outside")).unwrap();
        std::fs::set_permissions(dir.join("secret"), PermissionsExt::from_mode(0o640)).unwrap();
        Jail(dir)
    }

    fn root(&self) -> PathBuf {
        self.0.join("in")
    }

    fn client(&self) -> Client {
        Client::within(&self.root(), &[])
    }

    /// Nothing beside the root has changed.
    #[track_caller]
    fn is_untouched(&self) {
        let mut names: Vec<_> =
            std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["in", "outside", "secret"]);
        assert_eq!(std::fs::read_dir(self.0.join("outside")).unwrap().count(), 0);
        let secret = std::fs::metadata(self.0.join("secret")).unwrap();
        assert_eq!((secret.mode() & 0o7777, secret.nlink(), secret.len()), (0o640, 1, 6));
        assert_eq!(std::fs::read_to_string(self.0.join("secret")).unwrap(), "secret");
    }
}

/// Asks for `name`, which leads to the secret if anything does, in every way there is.
fn tries_everything(client: &mut Client, name: &str) {
    for flags in [READ, WRITE, READ | WRITE | CREATE, WRITE | CREATE | TRUNCATE] {
        if let Reply::Handle(handle) = client.open(name, flags) {
            assert!(!matches!(client.read(&handle, 0, 100), Reply::Data(data) if data.starts_with(b"secret")));
            let _ = client.write(&handle, 0, b"XXX");
            let _ = client.ask(Ask::Fsetstat, &[&string(&handle), &mode(0o777)]);
            client.close(&handle).ok();
        }
    }
    for ask in [Ask::Stat, Ask::Lstat] {
        let told = client.about(ask, name);
        assert!(!matches!(told, Reply::Attributes(is) if is.size == 6), "{name}: {told:?}");
    }
    let _ = client.ask(Ask::Setstat, &[&string(name), &mode(0o777)]);
    let _ = client.extended("lsetstat@openssh.com", &[&string(name), &mode(0o777)]);
    let _ = client.extended("hardlink@openssh.com", &[&string(name), &string("stolen")]);
    assert!(!client.contents("stolen").is_ok_and(|text| text == b"secret"));
    let _ = client.both(Ask::Rename, name, "stolen");
    let _ = client.extended("posix-rename@openssh.com", &[&string("own"), &string(name)]);
    let _ = client.extended("posix-rename@openssh.com", &[&string(name), &string("own")]);
    let _ = client.about(Ask::Remove, name);
    let _ = client.both(Ask::Symlink, "x", name);
    let _ = client.ask(Ask::Mkdir, &[&string(name), &NONE]);
    let _ = client.about(Ask::Rmdir, name);
    let _ = client.about(Ask::Remove, "stolen");
    let _ = client.about(Ask::Rmdir, "stolen");
}

#[test]
fn neither_dots_nor_absolute_paths_lead_out() {
    let jail = Jail::new();
    let secret = jail.0.join("secret");
    let mut client = jail.client();
    for name in [
        "../secret".to_owned(),
        "../outside/new".to_owned(),
        "sub/../../secret".to_owned(),
        "/../../../secret".to_owned(),
        "./..//../secret".to_owned(),
        secret.display().to_string(),
        format!("../../../../../../../..{}", secret.display()),
        format!("/proc/self/root{}", secret.display()),
        "/proc/self/cwd/secret".to_owned(),
        "/dev/fd/0".to_owned(),
    ] {
        tries_everything(&mut client, &name);
        jail.is_untouched();
    }
    assert!(client.finish().success());
}

#[test]
fn links_lead_to_what_is_within_or_nowhere() {
    let jail = Jail::new();
    let secret = jail.0.join("secret");
    let mut client = jail.client();
    let out = [
        secret.display().to_string(),
        "../secret".to_owned(),
        "../../../../../../../secret".to_owned(),
        "/proc/self/root".to_owned(),
        format!("sub/../../../..{}", secret.display()),
    ];
    for target in &out {
        for at in ["link", "sub/link"] {
            // One made by the client, and one that was there.
            client.both(Ask::Symlink, target, at).ok();
            assert_eq!(client.about(Ask::Readlink, at).name(), target.as_bytes());
            tries_everything(&mut client, at);
            let _ = client.about(Ask::Remove, at);
            symlink(target, jail.root().join(at)).unwrap();
            tries_everything(&mut client, at);
            let _ = std::fs::remove_file(jail.root().join(at));
            jail.is_untouched();
        }
    }
    for (target, through) in [("..", "up/secret"), ("../outside", "up/new"), ("/", "up/own"), ("/..", "up/secret")] {
        symlink(target, jail.root().join("up")).unwrap();
        tries_everything(&mut client, through);
        let _ = std::fs::remove_file(jail.root().join("up"));
        jail.is_untouched();
    }
}

#[test]
fn within_the_root_it_looks_like_all_there_is() {
    let jail = Jail::new();
    symlink("/own", jail.root().join("absolute")).unwrap();
    symlink("../../../own", jail.root().join("sub/upwards")).unwrap();
    let mut client = jail.client();
    for own in ["own", "/own", "/../own", "absolute", "sub/upwards", "/sub/../own"] {
        assert_eq!(client.contents(own).unwrap(), b"own", "{own}");
    }
    for (asked, comes_to) in
        [(".", "/"), ("..", "/"), ("/", "/"), ("absolute", "/own"), ("sub/upwards", "/own"), ("../new", "/new")]
    {
        assert_eq!(client.about(Ask::Realpath, asked).name(), comes_to.as_bytes(), "{asked}");
    }
    let (top, above) = (client.about(Ask::Stat, "/").attributes(), client.about(Ask::Stat, "/..").attributes());
    assert_eq!(top, above);
    let listed = client.list("/");
    assert!(listed.iter().filter(|entry| entry.0.starts_with(b".")).all(|entry| entry.2.mode == top.mode));
}

/// Ends what goes on beside a test, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_link_that_is_swapped_for_a_file_meanwhile_leads_nowhere() {
    let jail = Jail::new();
    let over = AtomicBool::new(false);
    let mut opened = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let [file, link, target] = ["file", "link", "target"].map(|name| jail.root().join(name));
            while !over.load(Ordering::Relaxed) {
                std::fs::write(&file, "own").unwrap();
                std::fs::rename(&file, &target).unwrap();
                symlink(jail.0.join("secret"), &link).unwrap();
                std::fs::rename(&link, &target).unwrap();
                let _ = std::fs::rename(jail.root().join("sub"), jail.root().join("other"));
                let _ = symlink("../outside", jail.root().join("sub"));
                let _ = std::fs::remove_file(jail.root().join("sub"));
                let _ = std::fs::rename(jail.root().join("other"), jail.root().join("sub"));
            }
        });
        let _end = End(&over);
        let mut client = jail.client();
        for _ in 0..10_000 {
            if let Reply::Handle(handle) = client.open("target", READ | WRITE) {
                opened += 1;
                let read = client.read(&handle, 0, 100);
                assert!(!matches!(&read, Reply::Data(data) if data.starts_with(b"secret")), "{read:?}");
                let _ = client.write(&handle, 0, b"XXX");
                client.close(&handle).ok();
            }
            let _ = client.ask(Ask::Setstat, &[&string("target"), &mode(0o777)]);
            if let Reply::Handle(handle) = client.open("sub/new", WRITE | CREATE) {
                client.close(&handle).ok();
            }
            let _ = client.about(Ask::Remove, "sub/new");
        }
    });
    assert!(opened > 0, "the file was never opened");
    jail.is_untouched();
}

#[test]
fn without_the_call_of_newer_kernels_no_link_is_followed() {
    let jail = Jail::new();
    symlink("/own", jail.root().join("absolute")).unwrap();
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null", "-e", "trace=openat2", "-e", "inject=openat2:error=ENOSYS"]);
    let probe = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("skipped: strace does not run here");
        return;
    }
    command.arg(server().get_program()).arg("--sftp-server").arg("--root").arg(jail.root());
    let mut client = Client::of(&mut command);
    assert_eq!(client.contents("/sub/../own").unwrap(), b"own");
    assert!(client.contents("absolute").is_err());
    assert_eq!(client.about(Ask::Readlink, "absolute").name(), b"/own");
    assert_eq!(client.about(Ask::Realpath, "sub/..").name(), b"/");
    client.make("sub/new", b"new");
    client.both(Ask::Rename, "sub/new", "new").ok();
    for name in ["../secret", "sub/../../secret", "link", "sub/link", "up/secret"] {
        let _ = symlink("../secret", jail.root().join("link"));
        let _ = symlink(jail.0.join("secret"), jail.root().join("sub/link"));
        let _ = symlink("..", jail.root().join("up"));
        tries_everything(&mut client, name);
        jail.is_untouched();
    }
}
