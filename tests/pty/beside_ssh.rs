//! The same command lines through kw-pty and through ssh: what differs, differs on purpose, and both are pinned here.

mod on_purpose;

use super::{Pair, random};
use crate::openssh::Ssh;
use crate::peer::PATIENCE;
use crate::sandbox::Dir;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};

/// The options of the client, and a line for a shell here in which `"$@"` is the client with its options and the host.
type Row = (&'static [&'static str], &'static str);

/// Statuses, words, streams: everything must be equal, byte for byte.
const EQUAL: &[Row] = &[
    // Exit statuses.
    (&[], r#""$@" true"#),
    (&[], r#""$@" false"#),
    (&[], r#""$@" exit 42"#),
    (&[], r#""$@" 'exit 255'"#),
    (&[], r#""$@" 'exit 256'"#),
    (&[], r#""$@" 'exit -1'"#),
    (&[], r#""$@" /nonexistent/program"#),
    (&[], r#""$@" no-such-word-here a b"#),
    (&[], r#""$@" /etc/passwd"#),
    (&[], r#""$@" 'if then'"#),
    // Signals that the command's own shell deals with.
    (&[], r#""$@" 'exec 2>/dev/null; sh -c "kill -9 \$\$"; exit $?'"#),
    (&[], r#""$@" 'trap "echo caught; exit 5" TERM; kill -TERM $$; echo not here'"#),
    (&[], r#""$@" 'trap "" HUP INT TERM; kill -HUP $$; kill -INT $$; kill -TERM $$; exit 4'"#),
    (&[], r#""$@" 'yes | head -n 1; echo ${PIPESTATUS[0]}'"#),
    (&[], r#""$@" 'exec sed -n "s/^Sig\(...\):.*\(.......\)$/\1 \2/p" /proc/self/status'"#),
    // Words.
    (&[], r#""$@" echo 'a  b' '$HOME' '"c  d"' "'e  f'" '\\' 'x;y=z'"#),
    (&[], r#""$@" printf '"%s|"' a 'b c' '' d"#),
    (&[], r#""$@" "printf '%s|' a 'b c' '' d""#),
    (&[], r#""$@" -- echo -n -e 'a\tb'"#),
    (
        &[],
        r#""$@" 'echo one
                   echo two # three'"#,
    ),
    (&[], r#""$@" 'printf "grün %s 日本 \303\050"' ü"#),
    (&[], r#""$@" 'echo /etc/host*' '{a,b}' '~root'"#),
    (&[], r#""$@" echo "$(head -c 8000 /dev/zero | tr '\0' x)" | wc -c"#),
    (&[], r#""$@" echo "$(head -c 120000 /dev/zero | tr '\0' x)" | wc -c"#),
    (&[], r#""$@" "printf %s $(printf 'a\377\376')" | od -An -tx1"#),
    (&[], r#""$@" 'echo $0 $# $-; shopt -q login_shell || echo no login'"#),
    // What a process is born with.
    (&[], r#""$@" 'pwd; umask; id; ulimit -a; nice; cat /proc/self/oom_score_adj'"#),
    (&[], r#""$@" 'ls /proc/self/fd; echo x >/dev/tty'"#),
    (&[], r#""$@" 'ps -o pid=,pgid=,sid= -p $$ | tr -s " " "\n" | grep . | sort -u | wc -l; ps -o tpgid=,tty= -p $$'"#),
    // Which shell, where no command is given.
    (&[], r#"echo 'echo $((6 * 7)) $0; exit 5' | "$@""#),
    (&["-T"], r#"echo 'echo $((6 * 7)); exit 5' | "$@" ''"#),
    // Streams.
    (&[], r#""$@" 'echo out; echo err >&2; echo out'"#),
    (&[], r#""$@" 'for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done 2>&1'"#),
    (&[], r#""$@" 'test -p /dev/stdin && test -p /dev/stdout && test -p /dev/stderr && echo pipes'"#),
    (&[], r#""$@" 'exec >/dev/null 2>&1; sleep 0.3; exit 6'"#),
    (&[], r#""$@" 'exec >&- 2>&-; sleep 0.3; exit 7'"#),
    (&[], r#""$@" 'exec >&-; sleep 0.3; head -c 1000000 /dev/zero >&2'"#),
    (&["-n"], r#""$@" 'exec >&-; sleep 0.3; head -c 1000000 /dev/zero >&2'"#),
    (&[], r#""$@" 'head -c 20000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 9'"#),
    (&[], r#""$@" 'printf "no line end"; printf "nor here" >&2'"#),
    (&[], r#""$@" 'sleep 1000 >/dev/null 2>&1 </dev/null & kill $! && echo killed'"#),
    // Standard input of every kind.
    (&[], r#""$@" 'cat; echo end' </dev/null"#),
    (&["-n"], r#"printf abc | "$@" 'cat; echo end'"#),
    (&[], r#""$@" 'cat; echo end' <&-"#),
    (&[], r#": | "$@" 'cat; echo end'"#),
    (&[], r#""$@" 'cat; echo end' <data"#),
    (&[], r#"cat data | "$@" 'cat; echo end'"#),
    (&[], r#"printf 'one\ntwo\n' | "$@" 'read x; echo "first $x"; cat'"#),
    (&[], r#"yes | "$@" 'head -n 1'"#),
    (&[], r#""$@" 'exec <&-; sleep 0.3; echo deaf; exit 3' </dev/zero"#),
    (&[], r#"cat data | "$@" 'cat >/dev/null; exit 8'"#),
    (&[], r#""$@" 'cat' </dev/zero | head -c 100000 | wc -c"#),
    (&[], r#"for i in 1 2 3 4; do "$@" "echo $i" | true; done"#),
    (&[], r#"printf '1\n2\n3\n' | while read n; do "$@" "echo $n; cat"; done"#),
    (&["-n"], r#"printf '1\n2\n3\n' | while read n; do "$@" "echo $n"; done"#),
    (&[], r#"tar c d | "$@" 'tar t | sort'"#),
    (&[], r#""$@" 'cd /etc && tar c passwd hosts' | tar t"#),
    // One of the client's own streams is not there.
    (&[], r#""$@" 'echo lost; exit 3' >&-"#),
    (&[], r#""$@" 'echo lost >&2; exit 3' 2>&-"#),
    (&[], r#"{ "$@" 'echo one; exec >/dev/null; sleep 0.3; exit 4'; echo "status $?" >&2; } | head -n 1"#),
    // A terminal, and none.
    (&["-T"], r#""$@" tty"#),
    (&["-t"], r#""$@" tty"#),
    (&["-t"], r#"printf abc | "$@" 'cat; exit 3'"#),
    (&["-tt"], r#""$@" 'test -t 0 && test -t 1 && test -t 2 && echo three; echo err >&2; exit 4'"#),
    (&["-tt"], r#"TERM=vt220 "$@" 'echo $TERM'"#),
    (&["-tt"], r#""$@" 'printf "a\nb\r\nc\303\274"; exit 255'"#),
    (&["-tt"], r#""$@" 'seq 1 20000'"#),
    (
        &["-tt"],
        r#""$@" 'ls /proc/self/fd; echo x >/dev/tty; exec sed -n "s/^Sig\(...\):.*\(.......\)$/\1 \2/p" /proc/self/status'"#,
    ),
    (&["-tt"], r#""$@" 'ps -o pid=,pgid=,sid=,tpgid= -p $$ | tr -s " " "\n" | grep . | sort -u | wc -l'"#),
    (&["-tt"], r#""$@" 'trap "" HUP; sleep 1000 & kill $!; trap "" TERM; sleep 3 & echo at once'"#),
    (&["-tt"], r#""$@" 'sleep 1000 & echo at once'"#),
];

/// The same with the client on a terminal.
const EQUAL_ON_A_TERMINAL: &[Row] = &[
    (&[], r#""$@" tty; echo $?"#),
    (&["-T"], r#""$@" 'tty; exit 3'; echo $?"#),
    (&["-t"], r#""$@" 'test -t 0 && stty size; exit 3'; echo $?"#),
    (&["-t"], r#""$@" 'echo $TERM; echo err >&2'"#),
    (&["-t"], r#""$@" 'echo to a file' >out; od -c out"#),
    (&["-t"], r#""$@" 'echo $0 $-; kill -9 $$' >/dev/null; stty size"#),
    (&["-t"], r#"stty -a >before; "$@" true; stty -a >after; cmp before after && echo as before"#),
    (&["-t"], r#"stty -echo -onlcr; "$@" true; stty -a | grep -o -e '-echo ' -e -onlcr; stty echo onlcr"#),
    (&["-t"], r#"stty iutf8 intr ^X erase ^H susp undef ixany -ixon -echoctl; "$@" 'stty -a | tail -n +2'"#),
    (&["-tt"], r#""$@" 'tty >/dev/null && echo tty' </dev/null"#),
    (&["-tt"], r#""$@" 'tty >/dev/null && echo tty' <&-"#),
    (&["-n"], r#""$@" 'cat; echo end'"#),
];

/// The same with keys that are typed once the text in the middle is shown.
const EQUAL_WHEN_TYPED_AT: &[(Row, &str, &str)] = &[
    ((&["-t"], r#""$@" 'trap "echo caught; exit 9" INT; echo up; sleep 1000 & wait'; echo $?"#), "up", "\x03"),
    ((&["-t"], r#""$@" 'trap "echo caught; exit 8" QUIT; echo up; sleep 1000 & wait'; echo $?"#), "up", "\x1c"),
    ((&["-t"], r#""$@" 'echo up; cat; echo end'"#), "up", "abc\r\x04"),
    ((&["-t"], r#""$@" 'echo up; read x; echo "<$x>"'"#), "up", "ab\x7fc\r"),
    ((&["-t"], r#"stty iutf8; "$@" 'echo up; read x; printf %s "$x" | od -tx1'"#), "up", "a\u{e9}b\x7f\x7f\r"),
    ((&["-t"], r#""$@" 'stty raw -echo; echo up; head -c 9 | od -c'"#), "up", "\r~~\r~x~.~?"),
    ((&["-t"], r#""$@" 'stty raw -echo; echo up; sleep 1000'; echo left $?"#), "up", "\r~."),
    ((&["-te", "none"], r#""$@" 'stty raw -echo; echo up; head -c 5 | od -c'"#), "up", "\r~.~?"),
    ((&["-te", "^A"], r#""$@" 'stty raw -echo; echo up; sleep 1000'; echo left $?"#), "up", "\r\x01."),
    ((&[], r#""$@" 'echo up; cat; echo end'"#), "up", "abc\r\x04"),
];

/// A host of each kind, and one guest for both.
struct Both {
    pair: Pair,
    ssh: Ssh,
    dir: Dir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    KwPty,
    Ssh,
}

/// How a line ended: with this status, and this on standard output and standard error.
#[derive(Debug, PartialEq, Eq)]
struct Outcome(Option<i32>, String, String);

impl Both {
    /// `None`, with a word about it, where OpenSSH is not installed.
    fn start() -> Option<Self> {
        // With it bash does not take a command for something to read .bashrc for, which it would under sshd only.
        let Some(ssh) = Ssh::start() else {
            eprintln!("skipped: no OpenSSH server could be started");
            return None;
        };
        let dir = Dir::new();
        std::fs::write(dir.join("data"), random(200_000)).unwrap();
        std::fs::create_dir_all(dir.join("d/e")).unwrap();
        std::fs::write(dir.join("d/e/f"), "f").unwrap();
        Some(Both { pair: Pair::new(), ssh, dir })
    }

    /// A client with its options and the host, and no command yet.
    fn client(&self, client: Client, options: &[&str]) -> Command {
        match client {
            Client::KwPty => {
                let mut command = self.pair.guest.command("kw-pty");
                command.arg("-q").args(options).arg(&self.pair.address);
                command
            }
            Client::Ssh => self.ssh.command(options),
        }
    }

    /// The words after `sh -c` for a row.
    fn words(&self, client: Client, (options, line): Row) -> Vec<OsString> {
        let command = self.client(client, options);
        let call = std::iter::once(command.get_program()).chain(command.get_args());
        ["-c", line, "sh"].iter().map(OsString::from).chain(call.map(OsString::from)).collect()
    }

    fn run(&self, client: Client, row: Row) -> Outcome {
        let mut shell = Command::new("/bin/sh");
        shell.args(self.words(client, row)).current_dir(self.dir.path()).stdin(Stdio::null());
        let done = shell.env("KEYWIRE_HOME", self.pair.guest.home()).env("TERM", "xterm").output().unwrap();
        Outcome(done.status.code(), text(&done.stdout), text(&done.stderr))
    }

    /// Runs a row on a terminal of 33 lines and 99 columns, on which `keys` are typed once `prompt` is seen.
    fn run_on_a_terminal(&self, client: Client, row: Row, prompt: &str, keys: &str) -> Outcome {
        let size = PtySize { rows: 33, cols: 99, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut shell = CommandBuilder::new("/bin/sh");
        shell.args(self.words(client, row));
        shell.cwd(self.dir.path());
        shell.env("KEYWIRE_HOME", self.pair.guest.home());
        shell.env("TERM", "xterm");
        let mut child = pair.slave.spawn_command(shell).unwrap();
        drop(pair.slave);
        let (mut reader, mut writer) = (pair.master.try_clone_reader().unwrap(), pair.master.take_writer().unwrap());
        let (send, receive) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                if send.send(text(&piece[..count])).is_err() {
                    break;
                }
            }
        });
        let (mut shown, mut typed) = (String::new(), keys.is_empty());
        loop {
            match receive.recv_timeout(PATIENCE) {
                Ok(piece) => shown.push_str(&piece),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    child.kill().unwrap();
                    panic!("{client:?} {row:?} hangs after {shown:?}");
                }
            }
            if !typed && shown.contains(prompt) {
                writer.write_all(keys.as_bytes()).unwrap();
                typed = true;
            }
        }
        let status = child.wait().unwrap().exit_code();
        Outcome(i32::try_from(status).ok(), shown, String::new())
    }

    /// Runs every row through both clients and names all that differ.
    fn compare(&self, rows: &[Row], run: impl Fn(Client, Row) -> Outcome + Sync) {
        let (next, differences) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let (ours, theirs) = (run(Client::KwPty, *row), run(Client::Ssh, *row));
                        if ours != theirs {
                            differences.lock().unwrap().push(format!(
                                "{row:?}\n  kw-pty {}\n  ssh    {}",
                                shown(&ours),
                                shown(&theirs)
                            ));
                        }
                    }
                });
            }
        });
        let differences = differences.into_inner().unwrap();
        assert!(
            differences.is_empty(),
            "{} of {} rows differ:\n{}",
            differences.len(),
            rows.len(),
            differences.join("\n")
        );
    }
}

fn text(bytes: &[u8]) -> String {
    // One character a byte: what differs must not become equal.
    bytes.iter().copied().map(char::from).collect()
}

/// An outcome for a person: the beginning is enough.
fn shown(Outcome(status, stdout, stderr): &Outcome) -> String {
    let start = |text: &str| format!("{} bytes {:?}", text.len(), text.chars().take(300).collect::<String>());
    format!("status {status:?}, stdout {}, stderr {}", start(stdout), start(stderr))
}

#[test]
fn keys_on_a_terminal_come_to_the_same_as_through_ssh() {
    let Some(both) = Both::start() else { return };
    for (row, prompt, keys) in EQUAL_WHEN_TYPED_AT {
        both.compare(&[*row], |client, row| both.run_on_a_terminal(client, row, prompt, keys));
    }
}

#[test]
fn command_lines_come_to_the_same_as_through_ssh() {
    let Some(both) = Both::start() else { return };
    both.compare(EQUAL, |client, row| both.run(client, row));
}

#[test]
fn command_lines_on_a_terminal_come_to_the_same_as_through_ssh() {
    let Some(both) = Both::start() else { return };
    for row in EQUAL_ON_A_TERMINAL {
        both.compare(&[*row], |client, row| both.run_on_a_terminal(client, row, "", ""));
    }
}
