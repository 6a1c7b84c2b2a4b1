//! Hostile bytes at the SFTP server: at its decoder, and at the whole of it below a root of its own.

use super::{Dice, near};
use crate::sandbox::Dir;
use crate::sftp::{NONE, mode, packet, string};
use keywire::root::{Kind, Links, RelPath, Root};
use keywire::sftp::{Input, MAX_PACKET_LEN, Request, Rights, Server};

/// A request of every kind, as they stand in packets.
fn requests() -> Vec<Vec<u8>> {
    let (name, other, handle) = (string("sub/file"), string("new"), string([0; 8]));
    let (at, length) = (7_u64.to_be_bytes(), 9_u32.to_be_bytes());
    let owner = [2_u32.to_be_bytes(), [0; 4], [0; 4]].concat();
    let all =
        [&0x8000_000d_u32.to_be_bytes()[..], &at, &0o640_u32.to_be_bytes(), &[0; 8], &1_u32.to_be_bytes()].concat();
    let all = [all, string("a"), string("b")].concat();
    let extended = |name: &str, body: &[&[u8]]| (200, [string(name), body.concat()].concat());
    let flags = 0x1b_u32.to_be_bytes();
    let mut requests: Vec<(u8, Vec<u8>)> = vec![
        (3, [&name[..], &flags, &mode(0o644)].concat()),
        (4, handle.clone()),
        (5, [&handle[..], &at, &length].concat()),
        (6, [&handle[..], &at, &string("data")].concat()),
        (8, handle.clone()),
        (9, [&name[..], &all].concat()),
        (10, [&handle[..], &owner].concat()),
        (12, handle.clone()),
        (14, [&other[..], &NONE].concat()),
        (18, [&name[..], &other].concat()),
        (20, [&name[..], &other].concat()),
        extended("posix-rename@openssh.com", &[&name, &other]),
        extended("statvfs@openssh.com", &[&name]),
        extended("fstatvfs@openssh.com", &[&handle]),
        extended("hardlink@openssh.com", &[&name, &other]),
        extended("fsync@openssh.com", &[&handle]),
        extended("lsetstat@openssh.com", &[&name, &all]),
        extended("limits@openssh.com", &[]),
        extended("expand-path@openssh.com", &[&name]),
        extended("copy-data", &[&handle, &at, &at, &handle, &at]),
        extended("home-directory", &[&other]),
        extended("users-groups-by-id@openssh.com", &[&string([0; 8]), &string([0; 4])]),
    ];
    requests.extend([7, 11, 13, 15, 16, 17, 19].map(|kind| (kind, name.clone())));
    requests.into_iter().map(|(kind, body)| [&[kind, 0, 0, 0, 1][..], &body].concat()).collect()
}

#[test]
fn a_request_is_read_whole_or_not_at_all() {
    let good = requests();
    for packet in &good {
        let (id, request) = Request::decode(packet).unwrap();
        assert!(id == 1 && request != Request::Unknown, "{packet:?}");
        assert!((0..packet.len()).all(|length| Request::decode(&packet[..length]).is_err()), "{request:?}");
        // What a later version has put behind it is not looked at.
        assert_eq!(Request::decode(&[packet, &b"more"[..]].concat()).unwrap(), (id, request));
    }
    for packet in &good {
        for bytes in near(packet) {
            let _ = Request::decode(&bytes);
        }
    }
    let mut dice = Dice::new("sftp requests");
    for _ in 0..100_000 {
        let at = dice.roll(good.len());
        let _ = Request::decode(&dice.spoil(&good[at]));
    }
}

#[test]
fn no_length_makes_the_input_take_more_than_its_room() {
    let mut dice = Dice::new("sftp lengths");
    for _ in 0..2000 {
        let mut stream = Vec::new();
        for _ in 0..dice.roll(6) {
            let length = dice.roll(40_000);
            stream.extend(packet(17, &dice.bytes(length)));
        }
        let cut = dice.spoil(&stream);
        let mut input = Input::new(cut.as_slice());
        let mut total = 0;
        loop {
            match input.packet() {
                Ok(Some(packet)) => {
                    assert!((1..=MAX_PACKET_LEN).contains(&packet.len()));
                    total += packet.len();
                }
                Ok(None) => match input.fill() {
                    Ok(true) => {}
                    _ => break,
                },
                Err(_) => break,
            }
        }
        assert!(total <= cut.len());
    }
}

#[test]
fn whatever_a_client_sends_is_answered_or_ends_it_and_stays_below_the_root() {
    let dir = Dir::new();
    let good = requests();
    let mut dice = Dice::new("sftp server");
    for round in 0..300 {
        let inside = dir.join(format!("in-{round}"));
        std::fs::create_dir_all(inside.join("sub")).unwrap();
        std::fs::write(inside.join("sub/file"), "contents").unwrap();
        let mut stream = packet(1, &3_u32.to_be_bytes());
        let mut sent = 0;
        for _ in 0..100 {
            let at = dice.roll(good.len());
            let request = if dice.roll(3) == 0 { dice.spoil(&good[at]) } else { good[at].clone() };
            if let Some((kind, body)) = request.split_first() {
                stream.extend(packet(*kind, body));
                sent += 1;
            }
        }
        let server = Server::new(Some(&inside), Rights { read: true, write: true }).unwrap();
        let mut replies = Vec::new();
        let ended = server.serve(stream.as_slice(), &mut replies);
        let mut rest = replies.as_slice();
        let mut answered = 0;
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let (reply, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
            assert!(matches!(reply[0], 2 | 101..=105 | 201), "a reply of type {}", reply[0]);
            rest = behind;
            answered += 1;
        }
        assert!(ended.is_err() || answered == sent + 1, "{answered} answers to {sent} requests");
        std::fs::remove_dir_all(&inside).unwrap();
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn no_path_of_any_bytes_leads_above_a_root() {
    let dir = Dir::new();
    std::fs::create_dir_all(dir.join("in/a/b")).unwrap();
    std::fs::write(dir.join("secret"), "secret").unwrap();
    for (target, link) in [("..", "in/u"), ("/", "in/a/r"), ("../..", "in/a/v"), ("../../secret", "in/a/s")] {
        std::os::unix::fs::symlink(target, dir.join(link)).unwrap();
    }
    let parts: [&[u8]; 12] = [
        b"..",
        b".",
        b"",
        b"a",
        b"b",
        b"u",
        b"r",
        b"v",
        b"s",
        b"secret",
        b"in",
        dir.path().as_os_str().as_encoded_bytes(),
    ];
    let mut dice = Dice::new("paths");
    for links in [Links::Followed, Links::Refused] {
        let root = Root::open(&dir.join("in"), links).unwrap();
        for _ in 0..50_000 {
            let count = 1 + dice.roll(8);
            let path: Vec<&[u8]> = (0..count).map(|_| parts[dice.roll(parts.len())]).collect();
            let path = RelPath::top().join(&path.join(&b'/')).unwrap();
            if let Ok(status) = root.node(&path).and_then(|node| node.status()) {
                assert!(status.kind() != Kind::File, "{path:?} leads to a file, and there is none below the root");
            }
            if let Ok(real) = root.real_path(&path) {
                let below = real.as_bytes().split(|byte| *byte == b'/').all(|part| part != b"..");
                assert!(below, "{path:?} comes to {real:?}");
            }
        }
    }
}
