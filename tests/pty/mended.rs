//! What a reading by fresh eyes found, and must not come back.

use super::Pair;
use crate::link::{Link, Quality};
use crate::sandbox::Done;
use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn the_last_bytes_arrive_however_long_they_are_under_way() {
    let pair = Pair::new();
    let quality = Quality::slow(Duration::from_millis(20), 100_000);
    let (_link, address) = Link::to_peer(&pair.address, quality);
    let done = pair.guest.run("kw-pty", [&address, "head -c 800000 /dev/zero; exit 7"]);
    assert_eq!((done.code(), done.bytes.len(), done.stderr.as_str()), (7, 800_000, ""));
}

#[test]
fn input_that_is_read_slowly_does_not_pile_up_in_the_host() {
    let pair = Pair::new();
    let line = "while [ $(head -c 65536 | wc -c) -gt 0 ]; do :; done";
    pair.run_with(line, &vec![b'x'; 100 << 20]).succeeds();
    let status = std::fs::read_to_string(format!("/proc/{}/status", pair.daemon.pid())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = most.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kib < 40 << 10, "{kib} KiB");
}

#[test]
fn the_reader_of_standard_error_may_go_and_the_session_goes_on() {
    let pair = Pair::new();
    let mut client = pair.guest.command("kw-pty");
    client.args([&pair.address, "echo out1; echo err >&2; read x; echo err >&2; echo out2; exit 3"]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(client.stderr.take());
    writeln!(client.stdin.take().unwrap(), "go on").unwrap();
    let mut out = String::new();
    client.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!((client.wait().unwrap().code(), out.as_str()), (Some(3), "out1\nout2\n"));
}

#[test]
fn input_that_cannot_be_read_has_not_ended() {
    let pair = Pair::new();
    let mut client = pair.guest.command("kw-pty");
    client.args([&pair.address, "cat >/dev/null; echo all"]).stdin(File::open("/").unwrap());
    Done::of(&mut client).fails(255, "cannot read standard input: is a directory");
}
