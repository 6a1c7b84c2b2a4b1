//! `--tcp` on either side: a port there is a port here, with half-closes and resets as they were.

use super::{Noise, Pipe, two};
use crate::peer::PATIENCE;
use crate::sandbox::User;
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

/// A port of this test's, carried from the dialer's port to here.
struct Carried {
    target: TcpListener,
    listen: Pipe,
    dial: Pipe,
    port: String,
    _users: (User, User),
}

impl Carried {
    fn new() -> Self {
        let (host, dialer, _) = two();
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = target.local_addr().unwrap().to_string();
        let mut listen = Pipe::start(&host, ["listen", "--tcp", &at, "127.0.0.1:0"]);
        let mut dial = Pipe::start(&dialer, ["dial", "--tcp", "127.0.0.1:0", &listen.served()]);
        let port = dial.served();
        Carried { target, listen, dial, port, _users: (host, dialer) }
    }

    fn client(&self) -> TcpStream {
        patient(TcpStream::connect(&self.port).unwrap())
    }

    /// A connection from end to end: the client's socket and the server's.
    fn both(&self) -> (TcpStream, TcpStream) {
        let client = self.client();
        (client, patient(self.target.accept().unwrap().0))
    }
}

fn patient(socket: TcpStream) -> TcpStream {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn a_request_is_answered_by_the_server_at_the_other_end_of_two_ports() {
    let carried = Carried::new();
    let (mut client, mut server) = carried.both();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut request = [0; 18];
    server.read_exact(&mut request).unwrap();
    assert_eq!(&request, b"GET / HTTP/1.0\r\n\r\n");
    let mut body = vec![0; 5 << 20];
    Noise(3).fill(&mut body);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
            server.write_all(&body).unwrap();
            drop(server);
        });
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(answer.split_off(19) == body);
        assert_eq!(answer, b"HTTP/1.0 200 OK\r\n\r\n");
    });
}

#[test]
fn half_a_close_crosses_in_either_direction() {
    let carried = Carried::new();
    for client_first in [true, false] {
        let (client, server) = carried.both();
        let (mut first, mut second) = if client_first { (client, server) } else { (server, client) };
        first.write_all(b"all I have").unwrap();
        first.shutdown(Shutdown::Write).unwrap();
        let mut came = String::new();
        second.read_to_string(&mut came).unwrap();
        assert_eq!(came, "all I have");
        second.write_all(b"the answer").unwrap();
        drop(second);
        let mut came = String::new();
        first.read_to_string(&mut came).unwrap();
        assert_eq!(came, "the answer");
    }
}

#[test]
fn fifty_connections_at_once_do_not_mix() {
    let carried = Carried::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..50 {
                let mut socket = patient(carried.target.accept().unwrap().0);
                scope.spawn(move || {
                    let mut bytes = Vec::new();
                    socket.read_to_end(&mut bytes).unwrap();
                    bytes.reverse();
                    socket.write_all(&bytes).unwrap();
                });
            }
        });
        for seed in 1..=50 {
            let mut client = carried.client();
            scope.spawn(move || {
                let mut bytes = vec![0; 100_000];
                Noise(seed).fill(&mut bytes);
                client.write_all(&bytes).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).unwrap();
                bytes.reverse();
                assert!(answer == bytes, "connection {seed}");
            });
        }
    });
}

/// Closes with a reset.
fn reset(socket: TcpStream) {
    keywire::sys::reset_when_closed(&socket).unwrap();
}

/// Whatever came, it did not end in good order.
fn is_reset(socket: &mut TcpStream) -> bool {
    let mut came = Vec::new();
    let end = socket.read_to_end(&mut came);
    end.is_err_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionReset)
}

#[test]
fn a_reset_stays_a_reset_in_either_direction() {
    let mut carried = Carried::new();
    for client_resets in [true, false] {
        let (client, server) = carried.both();
        let (mut breaks, mut learns) = if client_resets { (client, server) } else { (server, client) };
        breaks.write_all(b"half of it").unwrap();
        learns.read_exact(&mut [0; 10]).unwrap();
        reset(breaks);
        assert!(is_reset(&mut learns), "client resets: {client_resets}");
        let (knows, told) = match client_resets {
            true => (&mut carried.dial, &mut carried.listen),
            false => (&mut carried.listen, &mut carried.dial),
        };
        assert!(knows.said().contains("the TCP connection was lost: connection reset by peer"));
        assert!(told.said().contains("the other side cannot: the TCP connection was lost"));
    }
}

#[test]
fn a_connection_that_is_cut_on_the_way_is_a_reset_to_both_ends() {
    let mut carried = Carried::new();
    let (mut client, mut server) = carried.both();
    client.write_all(b"half").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    carried.dial.signal(Signal::SIGKILL);
    assert!(is_reset(&mut server));
    assert!(carried.listen.said().contains("the connection was cut"));
}

#[test]
fn a_server_that_is_not_there_is_a_reset_to_the_client_and_a_line_for_both_people() {
    let mut carried = Carried::new();
    let at = carried.target.local_addr().unwrap();
    drop(std::mem::replace(&mut carried.target, TcpListener::bind("127.0.0.1:0").unwrap()));
    assert!(is_reset(&mut carried.client()));
    let why = format!("cannot connect to {at}: connection refused");
    assert!(carried.listen.said().contains(&why));
    assert!(carried.dial.said().contains(&format!("the other side cannot: {why}")));
}

#[test]
fn a_program_at_one_port_talks_to_a_command_at_the_other_end() {
    let (host, dialer, _) = two();
    let (_listen, address) = super::exec::serving(&host, "head -1; echo bye");
    let mut dial = Pipe::start(&dialer, ["dial", "--tcp", "127.0.0.1:0", &address]);
    let port = dial.served();
    let mut client = patient(TcpStream::connect(port).unwrap());
    client.write_all(b"hello\n").unwrap();
    // The command ends while this side has not.
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello\nbye\n");
    dial.signal(Signal::SIGTERM);
    dial.finish().succeeds();
}

#[test]
fn a_dialer_with_a_port_says_why_it_cannot_dial_and_goes_on() {
    let (host, dialer) = (User::with_key(), User::with_key());
    let mut listen = Pipe::start(&host, ["listen", "--exec", "cat", "127.0.0.1:0"]);
    let mut dial = Pipe::start(&dialer, ["dial", "--tcp", "127.0.0.1:0", &listen.served()]);
    let port = dial.served();
    assert!(is_reset(&mut patient(TcpStream::connect(&port).unwrap())));
    assert!(dial.said().contains("it is not on the allowlist"));
    assert!(dial.said().contains("hint: on the host: kw-peers allow"));
    host.run("kw-peers", ["allow", &dialer.key(), "pipe"]).succeeds();
    let mut client = patient(TcpStream::connect(&port).unwrap());
    client.write_all(b"now").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "now");
    dialer.run("kw-pipe", ["dial", "--tcp", &port, &format!("{}@127.0.0.1:7", host.key())]).fails(5, "already in use");
}
