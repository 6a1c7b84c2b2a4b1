//! kw-keygen on a terminal, and without one where it needs one.

use super::{SECOND, alice, identity, sealed};
use crate::sandbox::{Done, User, binary};
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// How long a prompt may take to hide what is typed; it takes no time, but the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// kw-keygen in a real terminal.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    reader: Box<dyn Read + Send>,
    writer: Box<dyn Write + Send>,
    seen: String,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only while it runs: portable-pty would signal whoever has its process id by then.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
        }
    }
}

impl Terminal {
    fn start(user: &User, args: &[&str], term: &str) -> Self {
        let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 200, ..PtySize::default() }).unwrap();
        let mut command = CommandBuilder::new(binary("kw-keygen"));
        command.args(args);
        command.env("KEYWIRE_HOME", user.home());
        command.env("TERM", term);
        Terminal {
            child: pair.slave.spawn_command(command).unwrap(),
            reader: pair.master.try_clone_reader().unwrap(),
            writer: pair.master.take_writer().unwrap(),
            master: pair.master,
            seen: String::new(),
        }
    }

    fn echoes(&self) -> bool {
        use nix::sys::termios::LocalFlags;
        self.master.get_termios().unwrap().local_flags.contains(LocalFlags::ECHO)
    }

    /// Waits for `prompt`, and until the terminal does not echo; then types.
    fn answer(&mut self, prompt: &str, typed: &str) {
        while !self.seen.ends_with(prompt) {
            let mut byte = [0];
            assert_eq!(self.reader.read(&mut byte).unwrap(), 1, "no {prompt:?} in {:?}", self.seen);
            self.seen.push(byte[0] as char);
        }
        let asked = Instant::now();
        while self.echoes() {
            let waits = self.child.try_wait().unwrap().is_none() && asked.elapsed() < PATIENCE;
            assert!(waits, "what is typed would be shown: {:?}", self.seen);
            std::thread::yield_now();
        }
        self.writer.write_all(typed.as_bytes()).unwrap();
    }

    /// Waits for the program's end: its exit status, or the signal that ended it, and all that was seen.
    fn finish(mut self) -> (u32, Option<String>, String) {
        let status = self.child.wait().unwrap();
        let mut rest = Vec::new();
        // When nobody has the other side open any more, the end of a terminal is an error.
        let _ = self.reader.read_to_end(&mut rest);
        self.seen += &String::from_utf8_lossy(&rest);
        (status.exit_code(), status.signal().map(str::to_owned), std::mem::take(&mut self.seen))
    }
}

#[test]
fn without_a_terminal_the_error_names_the_option_that_helps() {
    let (user, first) = sealed();
    let alone = |args: &[&str]| {
        let mut command = user.command("kw-keygen");
        // A session of its own has no terminal, wherever these tests run.
        keywire::sys::lead_session(command.args(args), false);
        Done::of(&mut command)
    };
    let elsewhere = user.file("new").into_os_string().into_string().unwrap();
    alone(&["new", "-i", &elsewhere, "--passphrase"])
        .fails(5, "hint: put it into a file that only you may read, and name it: --passphrase-file");
    alone(&["passphrase"]).fails(5, " --passphrase-file FILE");
    alone(&["passphrase", "--passphrase-file", &first]).fails(5, " --new-passphrase-file FILE");
    assert!(!user.file("new").exists());
}

#[test]
fn a_passphrase_is_typed_twice_on_the_terminal_and_never_shown() {
    let user = User::new();
    let mut terminal = Terminal::start(&user, &["new", "--passphrase"], "xterm");
    terminal.answer("new passphrase: ", &format!("{SECOND}\r"));
    terminal.answer("the same again: ", &format!("{SECOND}\r"));
    let (code, _, seen) = terminal.finish();
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains("second") && !seen.contains('*') && seen.contains(&user.key()), "{seen}");

    let mut terminal = Terminal::start(&user, &["passphrase", "--remove"], "xterm");
    terminal.answer("identity.json: ", &format!("{SECOND}\r"));
    let (code, _, seen) = terminal.finish();
    assert_eq!(code, 0, "{seen}");
    assert!(fs::read_to_string(identity(&user)).unwrap().contains("kwsecret1"));
}

#[test]
fn two_passphrases_that_differ_make_nothing() {
    let user = User::new();
    let mut terminal = Terminal::start(&user, &["new", "--passphrase"], "xterm");
    terminal.answer("new passphrase: ", "one\r");
    terminal.answer("the same again: ", "other\r");
    let (code, _, seen) = terminal.finish();
    assert!(code == 2 && seen.contains("not the same"), "{code} {seen}");
    assert!(!identity(&user).exists());
}

#[test]
fn an_interrupted_prompt_gives_the_terminal_back_with_its_echo() {
    let user = User::new();
    let mut terminal = Terminal::start(&user, &["new", "--passphrase"], "xterm");
    // As a shell would, this keeps the terminal open: else its settings would go with the program.
    let tty = terminal.master.tty_name().unwrap();
    let shell = OpenOptions::new().read(true).custom_flags(nix::libc::O_NOCTTY).open(tty).unwrap();
    terminal.answer("new passphrase: ", "half\u{3}");
    terminal.child.wait().unwrap();
    assert!(terminal.echoes());
    drop(shell);
    let (_, signal, seen) = terminal.finish();
    assert!(signal.is_some_and(|name| name.contains("Interrupt")), "{seen}");
    assert!(!identity(&user).exists());
}

#[test]
fn the_qr_code_has_colours_of_its_own_where_there_are_colours() {
    let user = alice();
    for (term, coloured) in [("xterm-256color", true), ("dumb", false)] {
        let (code, _, seen) = Terminal::start(&user, &["show", "--qr"], term).finish();
        assert_eq!((code, seen.contains("\x1b[38;5;231;48;5;16m█")), (0, coloured), "{term}: {seen}");
        assert_eq!(seen.matches("\x1b[0m").count(), if coloured { 19 } else { 0 }, "{term}: {seen}");
    }
}
