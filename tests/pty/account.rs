//! Whose shell it is: start-up files that speak, shells and home directories that are not there. The host believes a password
//! file of our own, which only it can see.

use crate::sandbox::{Dir, Done, Running, User, binary};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A host whose user has the home directory and the shell that the test wants.
struct Elsewhere {
    dir: Dir,
    _host: User,
    guest: User,
    _daemon: Running,
    address: String,
}

/// Whether a host may be given a password file of its own here; if not, the reason why the test is left out is said.
fn may_mount() -> bool {
    let works = Command::new("unshare")
        .args(["-m", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        eprintln!("skipped: unshare(1) is not installed, or may not make a mount namespace here");
    }
    works
}

impl Elsewhere {
    /// `home` and `shell` say what stands in the password file, given a fresh home directory.
    fn new(home: impl Fn(&Path) -> PathBuf, shell: impl Fn(&Path) -> PathBuf) -> Self {
        let (dir, host, guest) = (Dir::new(), User::with_key(), User::with_key());
        let (home, shell) = (home(dir.path()), shell(dir.path()));
        let uid = nix::unistd::getuid();
        std::fs::write(dir.join("passwd"), format!("somebody:x:{uid}:0::{}:{}\n", home.display(), shell.display()))
            .unwrap();
        let line = "mount --bind \"$0\" /etc/passwd && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "/bin/sh", "-c", line]).arg(dir.join("passwd")).arg(binary("kw-ptyd"));
        command.args(["--listen", "127.0.0.1:0", "--allow", &guest.key()]).env("KEYWIRE_HOME", host.home());
        let mut daemon = Running::start(command.stderr(Stdio::null()));
        let address = daemon.address();
        Elsewhere { dir, _host: host, guest, _daemon: daemon, address }
    }

    /// A home directory with these files in it, and bash.
    fn with_files(files: &[(&str, &str)]) -> Self {
        let elsewhere = Self::new(Path::to_owned, |_| PathBuf::from("/bin/bash"));
        for (name, text) in files {
            std::fs::write(elsewhere.dir.join(name), text).unwrap();
        }
        elsewhere
    }

    fn run(&self, options: &[&str], command: &str) -> Done {
        Done::of(self.guest.command("kw-pty").args(options).args([&self.address, command]))
    }
}

fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const NOISE: &str = "echo noise from a start-up file\n";

#[test]
fn start_up_files_that_speak_do_not_reach_a_command() {
    if !may_mount() {
        return;
    }
    let host = Elsewhere::with_files(&[(".bashrc", NOISE), (".profile", NOISE), (".bash_profile", NOISE)]);
    assert_eq!(host.run(&[], "echo quiet").succeeds().stdout, "quiet\n");
    assert_eq!(host.run(&["-tt"], "echo quiet").succeeds().stdout, "quiet\r\n");
    let piped = host.guest.run_with("kw-pty", [&host.address, "cat"], b"\0\x01binary").succeeds();
    assert_eq!(piped.bytes, b"\0\x01binary");
}

#[test]
fn a_login_shell_reads_the_profile_at_home() {
    if !may_mount() {
        return;
    }
    let host = Elsewhere::with_files(&[(".bash_profile", "echo \"profile in $PWD as $USER with $SHELL and $HOME\"\n")]);
    let home = host.dir.path().display();
    let done = host.guest.run_with("kw-pty", [&host.address], b"shopt -q login_shell && exit 7\n");
    assert_eq!(done.code(), 7);
    assert!(done.stdout.contains(&format!("profile in {home} as somebody with /bin/bash and {home}\n")), "{done:?}");
}

#[test]
fn a_shell_that_is_not_there_is_127_and_named() {
    if !may_mount() {
        return;
    }
    let host = Elsewhere::new(Path::to_owned, |_| PathBuf::from("/nonexistent/shell"));
    for options in [&[][..], &["-tt"]] {
        host.run(options, "true").fails(127, "/nonexistent/shell");
    }
}

#[test]
fn a_shell_that_is_no_program_is_126_and_named() {
    if !may_mount() {
        return;
    }
    let plain = Elsewhere::new(Path::to_owned, |dir| dir.join("passwd"));
    plain.run(&[], "true").fails(126, "passwd: the login shell is not a program");
    let folder = Elsewhere::new(Path::to_owned, Path::to_owned);
    folder.run(&[], "true").fails(126, "the login shell is not a program");
}

#[test]
fn a_shell_whose_interpreter_is_not_there_is_127_and_named() {
    if !may_mount() {
        return;
    }
    let host = Elsewhere::new(Path::to_owned, |dir| script(dir, "shell", "#!/nonexistent/interpreter\n"));
    host.run(&[], "true").fails(127, "/shell: ");
}

#[test]
fn a_home_that_is_not_there_is_126_and_named() {
    if !may_mount() {
        return;
    }
    let host = Elsewhere::new(|dir| dir.join("gone"), |_| PathBuf::from("/bin/sh"));
    host.run(&[], "true").fails(126, "/gone: the home directory");
}

#[test]
fn an_account_without_a_login_says_so_in_its_own_words() {
    if !may_mount() {
        return;
    }
    let text = "#!/bin/sh\necho this account is not available\nexit 1\n";
    let host = Elsewhere::new(Path::to_owned, |dir| script(dir, "nologin", text));
    let done = host.run(&[], "true");
    assert_eq!((done.code(), done.stdout.as_str()), (1, "this account is not available\n"));
}
