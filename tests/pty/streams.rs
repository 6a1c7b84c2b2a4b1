//! Standard streams that others have made non-blocking, and a host that is gone before its last words are read.

use super::{Pair, eventually, random};
use crate::peer::Peer;
use crate::sandbox::{Running, User};
use keywire::key::KeyPair;
use keywire::proto::pty::{Exit, FromHost, STDOUT};
use keywire::sys;
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

/// Our end of a stream, and the other one for a program: it does not wait.
fn impatient() -> (UnixStream, Stdio) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    (ours, OwnedFd::from(theirs).into())
}

#[test]
fn a_non_blocking_input_that_is_empty_for_a_moment_is_not_at_its_end() {
    let pair = Pair::new();
    let (mut input, theirs) = impatient();
    let mut command = pair.guest.command("kw-pty");
    let mut client = command.args([&pair.address, "cat"]).stdin(theirs).stdout(Stdio::piped()).spawn().unwrap();
    // Only the client itself may hold the other end.
    drop(command);
    let mut output = client.stdout.take().unwrap();
    for piece in [b"one", b"two"] {
        input.write_all(piece).unwrap();
        let mut came = [0; 3];
        output.read_exact(&mut came).unwrap();
        assert_eq!(&came, piece);
    }
    drop(input);
    assert_eq!(output.read(&mut [0]).unwrap(), 0);
    assert_eq!(client.wait().unwrap().code(), Some(0));
}

#[test]
fn a_non_blocking_output_that_is_full_for_a_moment_loses_nothing() {
    let pair = Pair::new();
    let said = random(5_000_000);
    std::fs::write(pair.host.file("said"), &said).unwrap();
    let line = format!("cat {}", pair.host.file("said").display());
    for error in [false, true] {
        let (mut output, theirs) = impatient();
        let mut command = pair.guest.command("kw-pty");
        if error {
            command.args([&pair.address, &format!("{line} >&2")]).stdout(Stdio::null()).stderr(theirs);
        } else {
            command.args([&pair.address, &line]).stdout(theirs).stderr(Stdio::null());
        }
        let mut client = command.spawn().unwrap();
        drop(command);
        eventually("nobody reads, and much waits", || sys::readable_now(&output).unwrap() > 50_000);
        let mut came = Vec::new();
        output.read_to_end(&mut came).unwrap();
        assert!(came == said, "{} bytes came of {}, or others", came.len(), said.len());
        assert_eq!(client.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_stream_that_others_wait_for_stays_so() {
    let pair = Pair::new();
    let (mut input, theirs) = UnixStream::pair().unwrap();
    let mut over_socket = pair.guest.command("kw-pty");
    over_socket.args([&pair.address, "cat"]).stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut over_socket = over_socket.spawn().unwrap();
    input.write_all(b"up").unwrap();
    over_socket.stdout.as_mut().unwrap().read_exact(&mut [0; 2]).unwrap();
    let mut over_pipes = pair.start(&[], "echo up; cat");
    assert_eq!(over_pipes.line(), "up");
    for pid in [over_socket.id(), over_pipes.pid()] {
        for stream in 0..3 {
            let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{stream}")).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
            assert_eq!(i32::from_str_radix(flags, 8).unwrap() & nix::libc::O_NONBLOCK, 0, "{stream}: {info}");
        }
    }
    drop(input);
    assert_eq!(over_socket.wait().unwrap().code(), Some(0));
}

#[test]
fn a_file_and_a_device_are_streams_too() {
    let pair = Pair::new();
    let said = random(3_000_000);
    let (from, to) = (pair.guest.file("from"), pair.guest.file("to"));
    std::fs::write(&from, &said).unwrap();
    std::fs::write(&to, b"before ").unwrap();
    let mut command = pair.guest.command("kw-pty");
    command.args([&pair.address, "cat; head -c 100000 /dev/zero >&2"]).stdin(std::fs::File::open(&from).unwrap());
    command.stdout(std::fs::File::options().append(true).open(&to).unwrap());
    command.stderr(std::fs::File::options().write(true).open("/dev/null").unwrap());
    assert_eq!(command.status().unwrap().code(), Some(0));
    assert!(std::fs::read(&to).unwrap() == [b"before ", &said[..]].concat());
}

#[test]
fn how_a_command_ended_is_known_though_the_host_is_gone_before_it_is_read() {
    let (host, guest) = (KeyPair::generate().unwrap(), User::with_key());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("{}@{}", host.public(), listener.local_addr().unwrap());
    let mut client = Running::start(guest.command("kw-pty").args([&address, "anything"]));
    let mut peer = Peer::accept(&listener, &host, "pty");
    // Every record leaves at once, and is there when the connection is reset.
    peer.socket.set_nodelay(true).unwrap();
    peer.send(STDOUT, b"up\n");
    assert_eq!(client.line(), "up");
    client.signal(Signal::SIGSTOP);
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", client.pid())).unwrap();
    eventually("the client is stopped", || stat().contains(") T "));
    let (kind, body) = FromHost::Exit(Exit::Status(7)).encode();
    peer.send(STDOUT, b"last words");
    peer.send(kind, &body);
    sys::reset_when_closed(&peer.socket).unwrap();
    drop(peer);
    // It finds something to send first, and that there is nobody to send it to.
    client.signal(Signal::SIGINT);
    client.signal(Signal::SIGCONT);
    let (status, output) = client.finish();
    assert_eq!((status.code(), output.as_slice()), (Some(7), &b"last words"[..]));
}
