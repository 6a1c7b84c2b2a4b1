//! What every test of a program needs: a home of its own, the programs in it, and processes that end with the test.

use keywire::json::{self, Value};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, removed with everything in it when the test ends.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Self {
        Dir::below(&std::env::temp_dir())
    }

    /// The same in memory, where the system has such a place: for more files than a disk makes in no time.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Dir::below(memory) } else { Dir::new() }
    }

    fn below(parent: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("keywire-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(name);
        std::fs::create_dir(&path).unwrap();
        Dir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A user: an empty `KEYWIRE_HOME`, and the programs run in it.
pub struct User {
    dir: Dir,
}

impl User {
    /// A user without any state yet.
    pub fn new() -> Self {
        User { dir: Dir::new() }
    }

    /// A user with a key pair.
    pub fn with_key() -> Self {
        let user = User::new();
        user.run("kw-keygen", ["new"]).succeeds();
        user
    }

    /// The state directory.
    pub fn home(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// A file or folder of this user's, outside the state directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// This user's public key.
    pub fn key(&self) -> String {
        self.run("kw-keygen", ["show"]).succeeds().stdout.trim().to_owned()
    }

    /// A program of this user's that runs `script`.
    pub fn script(&self, script: &str) -> String {
        let path = self.file("script");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A program of ours, ready to be given more arguments.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(binary(program));
        command.env("KEYWIRE_HOME", self.home()).env_remove("LC_ALL").stdin(Stdio::null());
        command
    }

    /// Runs a program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Done {
        Done::of(self.command(program).args(args))
    }

    /// Runs a program to its end with `input` on its standard input.
    pub fn run_with<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>, input: &[u8]) -> Done {
        Done::with(self.command(program).args(args), input)
    }
}

/// The path of a program of ours.
pub fn binary(program: &str) -> &'static str {
    match program {
        "kw-keygen" => env!("CARGO_BIN_EXE_kw-keygen"),
        "kw-peers" => env!("CARGO_BIN_EXE_kw-peers"),
        "kw-ptyd" => env!("CARGO_BIN_EXE_kw-ptyd"),
        "kw-pty" => env!("CARGO_BIN_EXE_kw-pty"),
        "kw-scp" => env!("CARGO_BIN_EXE_kw-scp"),
        "kw-chat" => env!("CARGO_BIN_EXE_kw-chat"),
        "kw-group" => env!("CARGO_BIN_EXE_kw-group"),
        "kw-inbox" => env!("CARGO_BIN_EXE_kw-inbox"),
        "kw-pipe" => env!("CARGO_BIN_EXE_kw-pipe"),
        other => panic!("{other} is no program of ours"),
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Done {
    pub status: ExitStatus,
    pub bytes: Vec<u8>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Runs `command` to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Done {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            bytes: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs `command` to its end with `input` on its standard input; it may end before it has read all of it.
    pub fn with(command: &mut Command, input: &[u8]) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let _ = stdin.write_all(input);
            });
            let output = child.wait_with_output().unwrap();
            Done {
                status: output.status,
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                bytes: output.stdout,
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            }
        })
    }

    /// What it printed, an object a line.
    #[track_caller]
    pub fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| json::parse(line.as_bytes(), 1 << 20).unwrap()).collect()
    }

    /// The exit status; a death by signal is not one.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert!(self.status.success(), "{self:?}");
        self
    }

    /// Checks the exit status.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }

    /// Checks the exit status, that nothing stands on standard output, and that the error names `what`.
    #[track_caller]
    pub fn fails(self, code: i32, what: &str) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.contains(what), "{what:?} is not in {self:?}");
        self
    }
}

/// A program that runs beside the test; it is killed when the test ends.
pub struct Running {
    pub child: Child,
    out: Option<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts `command` with its standard input and output in our hands.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().map(BufReader::new);
        Running { child, out }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stdin(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().unwrap()
    }

    /// The next line it prints, without its end; waits for it.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.as_mut().unwrap().read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// The address in its first line, `listening KEY@HOST:PORT`.
    pub fn address(&mut self) -> String {
        let line = self.line();
        line.strip_prefix("listening ").unwrap_or_else(|| panic!("no address in {line:?}")).to_owned()
    }

    /// Reads no more of what it prints, and lets it know.
    pub fn close_output(&mut self) {
        self.out = None;
    }

    /// Closes its standard input and reads what it prints until its end.
    pub fn finish(mut self) -> (ExitStatus, Vec<u8>) {
        drop(self.child.stdin.take());
        let mut rest = Vec::new();
        self.out.take().unwrap().read_to_end(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether strace can be used here; if not, the reason why the test is left out is said.
pub fn strace_works() -> bool {
    let works = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .output()
        .is_ok_and(|done| done.status.success());
    if !works {
        eprintln!("skipped: strace is not installed, or may not trace here");
    }
    works
}
