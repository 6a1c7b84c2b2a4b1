//! Death at every system call: what was acknowledged is saved, and nothing is there twice.

use super::{Party, paired};
use std::process::{Command, Stdio};

/// The calls that change or show anything, on the way from a message to its acknowledgement.
const CALLS: [&str; 8] = ["openat", "flock", "write", "ftruncate", "fsync", "fdatasync", "rename", "sendto"];

/// More than a message takes of any of them, by one thread.
const MOST: usize = 60;

fn strace_works() -> bool {
    let works =
        Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|ended| ended.success());
    if !works {
        eprintln!("skipped: strace is not installed, or may not trace here");
    }
    works
}

/// `kw-chat` with `args`, killed when one of its threads makes `call` for the `when`th time.
fn dying(party: &Party, call: &str, when: usize, args: &[&str]) -> Command {
    let inner = party.user.command("kw-chat");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"]);
    command.arg(format!("inject={call}:signal=KILL:when={when}")).arg(inner.get_program()).args(args);
    command.env("KEYWIRE_HOME", party.user.home()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Every text of `wanted` is there once, in order, but for those that nobody was told of.
fn holds(there: &[String], acked: &[String]) {
    for text in acked {
        assert_eq!(there.iter().filter(|one| *one == text).count(), 1, "{text} in {there:?}");
    }
    let mut once = there.to_vec();
    once.dedup();
    assert_eq!(once, there);
}

#[test]
fn a_receiver_that_is_killed_at_any_call_has_saved_what_it_acknowledged_once() {
    if !strace_works() {
        return;
    }
    let (a, mut b) = paired();
    b.stop();
    let at = b.address.split_once('@').unwrap().1.to_owned();
    let (mut sent, mut acked, mut deaths) = (vec!["first".to_owned()], vec!["first".to_owned()], 0);
    for call in CALLS {
        for when in 1..MOST {
            let mut listener = dying(&b, call, when, &["listen", "--listen", &at]).spawn().unwrap();
            let mut out = std::io::BufReader::new(listener.stdout.take().unwrap());
            let mut line = String::new();
            std::io::BufRead::read_line(&mut out, &mut line).unwrap();
            if line.starts_with("listening") {
                let text = format!("{call} {when}");
                let ended = a.chat(["send", "--wait=10s", "b", &text]);
                // 8: whoever dies in the handshake looks like somebody without the key.
                assert!([0, 3, 4, 8].contains(&ended.code()), "{ended:?}");
                if ended.code() == 0 {
                    acked.push(text.clone());
                }
                sent.push(text);
            }
            let alive = listener.try_wait().unwrap().is_none();
            let _ = Command::new("pkill").args(["-KILL", "-P", &listener.id().to_string()]).status();
            let _ = listener.kill();
            listener.wait().unwrap();
            deaths += usize::from(!alive);
            if alive {
                break;
            }
        }
    }
    assert!(deaths > 20, "{deaths}");
    b.listen(&[]);
    a.chat(["send", "b", "last"]).succeeds();
    sent.push("last".to_owned());
    holds(&b.texts(&a), &acked);
    // What was not acknowledged was kept, and came with the last one.
    assert_eq!(b.texts(&a), sent);
}

#[test]
fn a_sender_that_is_killed_at_any_call_sends_everything_it_kept_once() {
    if !strace_works() {
        return;
    }
    let (a, b) = paired();
    let (mut acked, mut deaths) = (vec!["first".to_owned()], 0);
    for call in CALLS {
        for when in 1..MOST {
            let text = format!("{call} {when}");
            let ended = dying(&a, call, when, &["send", "--wait=10s", "b", &text]).output().unwrap();
            if ended.status.success() {
                acked.push(text);
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths > 20, "{deaths}");
    a.chat(["send", "b", "last"]).succeeds();
    acked.push("last".to_owned());
    let there = b.texts(&a);
    holds(&there, &acked);
    let kept: Vec<String> = a.texts(&b);
    assert_eq!(there, kept);
}
