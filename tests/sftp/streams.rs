//! The two streams of the server: what ends it, what it costs, and pipes that do not wait.

use super::{Ask, Client, READ, Reply, packet, server, string};
use crate::pty::{eventually, random};
use crate::sandbox::{Dir, Done};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

/// The server in little memory: what it takes by mistake ends it.
fn confined() -> Command {
    let mut command = Command::new("sh");
    let start = format!("ulimit -v 400000; exec {} --sftp-server", crate::sandbox::binary("kw-ptyd"));
    command.args(["-c", &start]).env("RUST_BACKTRACE", "0");
    command
}

fn init() -> Vec<u8> {
    packet(1, &3_u32.to_be_bytes())
}

#[test]
fn a_client_that_says_no_more_ends_the_server_well() {
    assert_eq!(Done::with(&mut server(), b"").code(), 0);
    let done = Done::with(&mut server(), &init());
    assert_eq!((done.code(), done.stderr.as_str(), done.bytes[4]), (0, "", 2));
}

#[test]
fn the_first_packet_tells_the_version_and_the_extensions() {
    let done = Done::with(&mut server(), &packet(1, &[&6_u32.to_be_bytes()[..], &string("x"), &string("y")].concat()));
    assert_eq!((done.code(), &done.bytes[4..9]), (0, &[2, 0, 0, 0, 3][..]));
    for extension in ["posix-rename@openssh.com", "statvfs@openssh.com", "limits@openssh.com", "copy-data"] {
        assert!(done.stdout.contains(extension), "{extension}");
    }
}

#[test]
fn a_client_that_breaks_the_protocol_ends_the_server_with_a_reason() {
    let huge = [&init()[..], &u32::MAX.to_be_bytes()].concat();
    let long = [&init()[..], &262_145_u32.to_be_bytes(), &[7; 1000]].concat();
    for (input, why) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "a packet of 1195725856 bytes"),
        (huge, "a packet of 4294967295 bytes where 1 to 262144 may stand"),
        (long, "a packet of 262145 bytes"),
        (vec![0; 100], "a packet of 0 bytes"),
        (packet(1, b""), "an INIT without a version"),
        (packet(17, &[&[0; 4][..], &string("/")].concat()), "INIT is the first packet"),
        ([init(), init()].concat(), "INIT is the first packet"),
        ([init(), packet(17, &[0; 3])].concat(), "ends in the middle of a field"),
        ([init(), packet(17, &[0, 0, 0, 1, 0, 0, 0, 9, b'/'])].concat(), "ends in the middle of a field"),
        ([init(), packet(17, &[0, 0, 0, 1, 255, 255, 255, 255])].concat(), "ends in the middle of a field"),
        ([&init()[..], &[0, 0]].concat(), "the input ends in the middle of a packet"),
        ([&init()[..], &[0, 0, 0, 9, 17]].concat(), "the input ends in the middle of a packet"),
        ([&init()[..], &packet(6, &[0; 200_000])[..150_000]].concat(), "the input ends in the middle of a packet"),
    ] {
        let done = Done::with(&mut confined(), &input);
        let told = "kw-ptyd: sftp: the client broke the protocol: ";
        assert!(done.stderr.starts_with(told) && done.stderr.contains(why), "{why:?} is not in {done:?}");
        assert_eq!(done.code(), 1);
    }
}

#[test]
fn noise_ends_the_server_in_little_memory() {
    for _ in 0..20 {
        let mut noise = random(1 << 20);
        // Each begins like a packet, so that some of it is understood.
        noise.splice(..0, [init(), vec![0, 0, 100, 0, 17]].concat());
        assert_eq!(Done::with(&mut confined(), &noise).code(), 1);
    }
}

#[test]
fn replies_come_before_the_next_request() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    // The rest of a packet may take its time: what came before it is answered.
    let request = packet(17, &[&[0, 0, 0, 5][..], &string(".")].concat());
    let (begun, rest) = request.split_at(7);
    client.send(&[&request[..], begun].concat());
    client.reply(5).attributes();
    client.send(rest);
    client.reply(5).attributes();
}

#[test]
fn a_client_that_is_gone_ends_the_server() {
    let dir = Dir::new();
    std::fs::write(dir.join("file"), vec![7; 1 << 20]).unwrap();
    let mut client = Client::at(&dir);
    let handle = client.open("file", READ).handle();
    for _ in 0..20 {
        client.send_request(5, &[&string(&handle), &[0; 8], &(200_u32 << 10).to_be_bytes()]);
    }
    drop(client.output.take());
    eventually("the server ends", || client.server.try_wait().unwrap().is_some());
}

#[test]
fn pipes_that_do_not_wait_are_waited_for() {
    let dir = Dir::new();
    let contents = random(2 << 20);
    std::fs::write(dir.join("file"), &contents).unwrap();
    let (theirs_in, mut ours_in) = std::io::pipe().unwrap();
    let (mut ours_out, theirs_out) = std::io::pipe().unwrap();
    for fd in [theirs_in.as_raw_fd(), theirs_out.as_raw_fd()] {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    }
    let mut command = server();
    let mut server = command.current_dir(dir.path()).stdin(theirs_in).stdout(Stdio::from(theirs_out)).spawn().unwrap();
    drop(command);
    ours_in.write_all(&init()).unwrap();
    // The version, which has to be read before anything else is asked.
    let mut length = [0; 4];
    ours_out.read_exact(&mut length).unwrap();
    std::io::copy(&mut (&mut ours_out).take(u32::from_be_bytes(length).into()), &mut std::io::sink()).unwrap();
    let open = [&[0, 0, 0, 1][..], &string("file"), &READ.to_be_bytes(), &[0; 4]].concat();
    ours_in.write_all(&packet(Ask::Open as u8, &open)).unwrap();
    let mut handle = [0; 4 + 1 + 4 + 4 + 8];
    ours_out.read_exact(&mut handle).unwrap();
    for at in 0..16_u64 {
        let read = [&[0, 0, 0, 2][..], &string(&handle[13..]), &(at << 17).to_be_bytes(), &(1_u32 << 17).to_be_bytes()];
        ours_in.write_all(&packet(Ask::Read as u8, &read.concat())).unwrap();
    }
    // By now the pipe is full, and the server waits.
    let mut read: Vec<u8> = Vec::new();
    for _ in 0..16 {
        let mut piece = vec![0; 4 + 1 + 4 + 4 + (1 << 17)];
        ours_out.read_exact(&mut piece).unwrap();
        read.extend(&piece[13..]);
    }
    assert!(read == contents);
    drop(ours_in);
    assert!(server.wait().unwrap().success());
}

#[test]
fn many_requests_leave_nothing_behind() {
    let dir = Dir::new();
    let mut client = Client::at(&dir);
    client.make("file", b"contents");
    let memory = |client: &Client| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", client.server.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim();
        line.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let work = |client: &mut Client, times: u32| {
        for _ in 0..times {
            let handle = client.open("file", READ).handle();
            assert_eq!(client.read(&handle, 0, 100), Reply::Data(b"contents".to_vec()));
            client.close(&handle).ok();
        }
    };
    work(&mut client, 1000);
    let before = memory(&client);
    // Many more than there may be descriptors.
    work(&mut client, 10_000);
    assert!(memory(&client) < before + 512, "{before} kB became {} kB", memory(&client));
}
