//! Full-screen programs in a real terminal: two panes of tmux of one size, in one of them a program on this machine, in the
//! other the same through kw-pty, and the two must look the same, with colours, attributes and cursor.

use crate::peer::PATIENCE;
use crate::pty::{Pair, eventually};
use crate::sandbox::{Dir, binary};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Lines of a file that every program is given: plain, wide, combining, and with lines of box drawing.
fn lines() -> String {
    let line = |number: u32| match number % 5 {
        0 => format!("line {number} │ ┌─┬─┐ ╔═╦═╗ ░▒▓█ │\n"),
        1 => format!("line {number} │ 日本語の行 한국어 │\n"),
        2 => format!("line {number} │ e\u{301}a\u{308}o\u{302} │ \u{1f980}\u{1f600} │\n"),
        3 => format!("line {number} │ Ελληνικά Кириллица │\n"),
        _ => format!("line {number} {}\n", "long ".repeat(30)),
    };
    (1..=200).map(line).collect()
}

/// A private tmux server with two panes: `direct` and `through`. In both, `$GO` runs a command.
struct Panes {
    dir: Dir,
    pair: Pair,
}

/// What a pane shows: its lines with their escape sequences, and where the cursor is.
#[derive(Clone, PartialEq, Eq)]
struct Shown {
    lines: String,
    cursor: String,
}

const DIRECT: &str = "direct";
const THROUGH: &str = "through";

/// Whether all these programs are here; if not, that the test is left out is said.
fn installed(programs: &[&str]) -> bool {
    let there = |program: &&str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|path| path.join(program).is_file())
    };
    match programs.iter().find(|program| !there(program)) {
        Some(missing) => eprintln!("skipped: {missing} is not installed"),
        None => return true,
    }
    false
}

impl Panes {
    fn new() -> Self {
        let panes = Panes { dir: Dir::new(), pair: Pair::new() };
        std::fs::write(panes.file(), lines()).unwrap();
        let pair = &panes.pair;
        let through = format!("{} -t {}", binary("kw-pty"), pair.address);
        for (name, go) in [(DIRECT, "/bin/sh -c"), (THROUGH, through.as_str())] {
            // A clean slate, as the host gives one.
            let shell = format!(
                "exec env -i PATH=\"$PATH\" HOME=\"$HOME\" SHELL=/bin/sh TERM=screen-256color LANG=C.UTF-8 PS1='ready$ ' \
                 KEYWIRE_HOME='{}' FILE='{}' GO='{go}' /bin/sh -i",
                pair.guest.home().display(),
                panes.file().display()
            );
            panes.tmux(&["new-session", "-d", "-s", name, "-x", "100", "-y", "30", &shell]);
            panes.tmux(&["set", "-t", name, "status", "off"]);
            panes.tmux(&["resize-window", "-t", name, "-x", "100", "-y", "30"]);
        }
        panes.tmux(&["set", "-s", "escape-time", "0"]);
        panes.show("ready$");
        panes
    }

    fn file(&self) -> PathBuf {
        self.dir.join("file")
    }

    /// Runs a tmux command and gives what it prints.
    fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-L", "keywire", "-f", "/dev/null"]).args(words).env("TMUX_TMPDIR", self.dir.path());
        let output = command.env("LC_ALL", "C.UTF-8").env_remove("TMUX").stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn shown(&self, name: &str) -> Shown {
        let lines = self.tmux(&["capture-pane", "-p", "-e", "-t", name]);
        Shown {
            lines,
            cursor: self.tmux(&["display-message", "-p", "-t", name, "#{cursor_x},#{cursor_y} #{cursor_flag}"]),
        }
    }

    fn text(&self, name: &str) -> String {
        self.tmux(&["capture-pane", "-p", "-t", name])
    }

    /// Types text, as it is, into both panes.
    fn type_text(&self, text: &str) {
        for name in [DIRECT, THROUGH] {
            self.tmux(&["send-keys", "-l", "-t", name, text]);
        }
    }

    /// Presses keys by the names that tmux has for them.
    fn press(&self, keys: &[&str]) {
        for name in [DIRECT, THROUGH] {
            self.tmux(&[&["send-keys", "-t", name], keys].concat());
        }
    }

    fn resize(&self, columns: &str, rows: &str) {
        for name in [DIRECT, THROUGH] {
            self.tmux(&["resize-window", "-t", name, "-x", columns, "-y", rows]);
        }
    }

    /// Waits until `text` is in one pane.
    #[track_caller]
    fn shows(&self, name: &str, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.text(name).contains(text) {
            assert!(Instant::now() < deadline, "{text:?} is not in the pane {name}\n{}", self.text(name));
        }
    }

    /// Waits until `text` is in both panes.
    #[track_caller]
    fn show(&self, text: &str) {
        self.shows(DIRECT, text);
        self.shows(THROUGH, text);
    }

    /// Waits until both panes are equal, `text` is in them, and nothing moves any more.
    #[track_caller]
    fn are_equal(&self, text: &str) -> String {
        self.show(text);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (direct, through) = (self.shown(DIRECT), self.shown(THROUGH));
            std::thread::sleep(Duration::from_millis(100));
            if direct == through && direct == self.shown(DIRECT) && through == self.shown(THROUGH) {
                return direct.lines;
            }
            assert!(
                Instant::now() < deadline,
                "the panes differ\ndirect, cursor {}{}\nthrough kw-pty, cursor {}{}",
                direct.cursor,
                direct.lines,
                through.cursor,
                through.lines
            );
        }
    }

    /// Runs a command through `$GO` in both panes.
    fn go(&self, command: &str) {
        self.type_text(&format!("clear; $GO \"{command}\""));
        self.press(&["Enter"]);
    }

    /// The modes of the terminal of the pane with kw-pty.
    fn modes(&self, name: &str) -> String {
        let file = self.dir.join(name);
        self.type_text(&format!("clear; stty -a >{}.$$; mv {0}.$$ {0}", file.display()));
        self.press(&["Enter"]);
        eventually("the modes are written", || file.exists());
        self.show("ready$");
        // The first line has the size.
        let modes = std::fs::read_to_string(file).unwrap();
        modes.split_once('\n').unwrap().1.to_owned()
    }
}

impl Drop for Panes {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.args(["-L", "keywire", "kill-server"]).env("TMUX_TMPDIR", self.dir.path()).status();
    }
}

#[test]
fn vim_looks_as_it_does_here() {
    if !installed(&["tmux", "vim"]) {
        return;
    }
    let panes = Panes::new();
    let before = panes.modes("before");
    panes.go("vim -N -u NONE -i NONE -n $FILE");
    panes.are_equal("line 20");
    panes.type_text("Oinserted 日本 é here");
    panes.are_equal("-- INSERT --");
    panes.press(&["Escape"]);
    panes.type_text(":set number hlsearch cursorline");
    panes.press(&["Enter"]);
    panes.are_equal("  2 line 1");
    panes.type_text("/line 15");
    panes.press(&["Enter"]);
    panes.are_equal("line 15");
    panes.type_text(":split");
    panes.press(&["Enter"]);
    panes.type_text(":vsplit");
    panes.press(&["Enter"]);
    panes.are_equal("file [+]");
    panes.resize("71", "22");
    panes.are_equal("file [+]");
    panes.resize("120", "40");
    panes.are_equal("file [+]");
    panes.press(&["C-f", "C-w", "j", "G"]);
    panes.are_equal("line 200");
    panes.type_text(":only");
    panes.press(&["Enter", "g", "g"]);
    panes.are_equal("inserted 日本 é here");
    panes.type_text(":qa!");
    panes.press(&["Enter"]);
    panes.are_equal("ready$");
    assert_eq!(panes.modes("after"), before);
}

#[test]
fn what_vim_writes_is_what_was_typed() {
    if !installed(&["tmux", "vim"]) {
        return;
    }
    let panes = Panes::new();
    panes.go("vim -N -u NONE -i NONE -n $FILE.\\$PPID");
    panes.show("[New]");
    panes.type_text("iwritten 日本 e\u{301} ~. here");
    panes.press(&["Enter"]);
    panes.type_text("a tab\tand the end");
    panes.press(&["Escape"]);
    panes.type_text(":wq");
    panes.press(&["Enter"]);
    panes.show("ready$");
    let files = std::fs::read_dir(panes.dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let written: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().contains("/file.")).collect();
    assert_eq!(written.len(), 2);
    for file in written {
        assert_eq!(std::fs::read_to_string(file).unwrap(), "written 日本 e\u{301} ~. here\na tab\tand the end\n");
    }
}

#[test]
fn less_looks_as_it_does_here() {
    if !installed(&["tmux", "less"]) {
        return;
    }
    let panes = Panes::new();
    let before = panes.modes("before");
    panes.go("less -N $FILE");
    panes.are_equal("     20 line 20");
    panes.press(&["Space", "Space", "b"]);
    panes.are_equal("     40 line 40");
    panes.type_text("/line 150");
    panes.press(&["Enter"]);
    panes.are_equal("line 150");
    panes.resize("66", "18");
    panes.are_equal("line 150");
    panes.resize("133", "44");
    // As many lines are there once it has drawn them anew: a key that comes before that is lost, here as well.
    panes.are_equal("line 180");
    panes.type_text("G");
    panes.are_equal("(END)");
    panes.type_text("1g-S");
    panes.are_equal("Chop long lines");
    panes.press(&["Enter", "Right"]);
    panes.are_equal("long long");
    panes.type_text("q");
    panes.are_equal("ready$");
    assert_eq!(panes.modes("after"), before);
}

#[test]
fn htop_draws_resizes_and_quits() {
    if !installed(&["tmux", "htop"]) {
        return;
    }
    monitor("HTOPRC=/dev/null htop -d 5", &["PID", "USER", "Load average", "F1"]);
}

#[test]
fn top_draws_resizes_and_quits() {
    if !installed(&["tmux", "top"]) {
        return;
    }
    monitor("top -d 0.5", &["PID", "USER", "load average", "%CPU"]);
}

/// What shows other numbers every time has a structure all the same.
fn monitor(command: &str, parts: &[&str]) {
    let panes = Panes::new();
    let before = panes.modes("before");
    panes.go(command);
    for (columns, rows) in [("100", 30), ("72", 20), ("140", 45)] {
        panes.resize(columns, &rows.to_string());
        for name in [DIRECT, THROUGH] {
            for part in parts {
                panes.shows(name, part);
            }
            // Drawn down to the last line, and not beyond.
            eventually("it fills the pane", || {
                let text = panes.text(name);
                text.lines().count() == rows && text.lines().last().is_some_and(|line| !line.trim().is_empty())
            });
        }
    }
    panes.type_text("q");
    panes.show("ready$");
    assert_eq!(panes.modes("after"), before);
}

#[test]
fn text_of_every_kind_and_all_colours_look_as_they_do_here() {
    if !installed(&["tmux"]) {
        return;
    }
    let panes = Panes::new();
    panes.go("head -n 25 $FILE");
    panes.are_equal("line 25");
    let colours = "i=0; while [ $i -lt 256 ]; do printf '\\\\033[48;5;%sm%4d' $i $i; i=$((i+1)); done; \
                   printf '\\\\033[0m\\\\n\\\\033[1;3;4;9;38;2;10;200;30mall at once\\\\033[0m plain\\\\n'";
    panes.go(&colours.replace('$', "\\$"));
    let shown = panes.are_equal("plain");
    assert!(shown.contains("48;5;255m 255") && shown.contains("38;2;10;200;30m"), "{shown}");
    // What is no text, and what comes in pieces.
    panes.go("printf '\\\\346\\\\227'; sleep 0.2; printf '\\\\245 \\\\377\\\\303( \\\\t|tab\\\\n'; echo over");
    panes.are_equal("over");
}

#[test]
fn a_line_that_is_edited_looks_as_it_does_here() {
    if !installed(&["tmux", "bash"]) {
        return;
    }
    let panes = Panes::new();
    panes.go("PS1='> ' exec bash --norc --noprofile -i");
    panes.are_equal(">");
    panes.type_text("echo 日本語 e\u{301}\u{301} \u{1f980} end");
    panes.press(&[
        "Left", "Left", "Left", "Left", "Left", "BSpace", "BSpace", "Home", "C-k", "C-y", "C-y", "C-a", "M-d",
    ]);
    panes.type_text("echo ");
    panes.are_equal("echo");
    panes.type_text(&"very long ".repeat(20));
    panes.are_equal("very long");
    panes.resize("60", "30");
    panes.press(&["C-l"]);
    panes.are_equal("very long");
    panes.press(&["C-c"]);
    panes.are_equal("^C");
    panes.type_text("clear; echo up; cat");
    panes.press(&["Enter"]);
    panes.are_equal("up\n\n");
    panes.type_text("typed\tx");
    panes.press(&["Enter"]);
    panes.are_equal("typed   x\ntyped");
    panes.press(&["C-d"]);
    panes.are_equal("typed   x\n>");
    panes.type_text("exit 3");
    panes.press(&["Enter"]);
    panes.are_equal("exit\nready$");
    panes.type_text("echo status $?");
    panes.press(&["Enter"]);
    panes.are_equal("status 3");
}

#[test]
fn a_host_that_dies_behind_a_full_screen_program_leaves_a_terminal_to_work_with() {
    if !installed(&["tmux", "vim"]) {
        return;
    }
    let panes = Panes::new();
    let before = panes.modes("before");
    panes.go("vim -N -u NONE -i NONE -n '+set mouse=a' $FILE");
    panes.are_equal("line 20");
    panes.pair.daemon.signal(nix::sys::signal::Signal::SIGKILL);
    panes.shows(THROUGH, "ready$");
    let flags = "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{keypad_flag} #{keypad_cursor_flag}";
    assert_eq!(panes.tmux(&["display-message", "-p", "-t", THROUGH, flags]).trim(), "0 1 0 0 0");
    panes.type_text(":qa!");
    panes.press(&["Enter"]);
    panes.show("ready$");
    assert_eq!(panes.modes("after"), before);
}
