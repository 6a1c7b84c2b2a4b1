//! Who watches the network must not see when a key is pressed.

use super::Screen;
use crate::pty::{Pair, eventually};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Somebody in the middle of a connection who notes the lengths of what the dialer sends.
struct Tap {
    at: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    fn new(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let noted = sent.clone();
        std::thread::spawn(move || {
            let (mut near, _) = listener.accept().unwrap();
            let mut far = TcpStream::connect(to).unwrap();
            let (mut back, mut there) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back, &mut there));
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = near.read(&mut bytes) {
                noted.lock().unwrap().extend(&bytes[..count]);
                far.write_all(&bytes[..count]).unwrap();
            }
        });
        Tap { at, sent }
    }

    /// The lengths of the frames so far, behind the two bytes of the preface.
    fn lengths(&self) -> Vec<usize> {
        let sent = self.sent.lock().unwrap();
        let mut rest = sent.get(2..).unwrap_or_default();
        let mut lengths = Vec::new();
        while let Some((length, behind)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            lengths.push(length);
            rest = behind.get(length..).unwrap_or_default();
        }
        lengths
    }
}

/// Types one key into a program that echoes it, and returns the lengths of what was sent from then on, once `enough`.
fn one_key(options: &[&str], enough: usize) -> Vec<usize> {
    let pair = Pair::new();
    let (key, at) = pair.address.split_once('@').unwrap();
    let tap = Tap::new(at.parse().unwrap());
    let address = format!("{key}@{}", tap.at);
    let program = "stty raw -echo; printf ready; head -c 1; echo; exec sleep 1000";
    let mut screen = Screen::new(&pair.guest, &[&["-t"], options, &[&address, program]].concat());
    screen.expect("ready");
    let before = tap.lengths().len();
    screen.type_keys("k");
    screen.expect("k");
    eventually("enough was sent", || tap.lengths().len() >= before + enough);
    tap.lengths().split_off(before)
}

#[test]
fn behind_one_key_follow_many_records_of_its_length() {
    let lengths = one_key(&["--hide-timing"], 50);
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
}

#[test]
fn without_the_option_a_key_is_one_record() {
    assert_eq!(one_key(&[], 1).len(), 1);
}
