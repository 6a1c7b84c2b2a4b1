//! Which key is dialed, and where.

use super::args;
use crate::line::place::resolve;
use keywire::key::KeyPair;
use keywire::trust::Peers;
use std::time::SystemTime;

/// An address book with `box` at 192.0.2.7:7000 and `bare` without an address, and their keys.
fn book() -> (Peers, String, String) {
    let mut peers = Peers::default();
    let [boxed, bare] = [(); 2].map(|()| KeyPair::generate().unwrap().public());
    peers.add("box", boxed, &["192.0.2.7:7000".parse().unwrap()], "", SystemTime::UNIX_EPOCH).unwrap();
    peers.add("bare", bare, &[], "", SystemTime::UNIX_EPOCH).unwrap();
    (peers, boxed.to_string(), bare.to_string())
}

#[test]
fn every_way_to_write_a_host_comes_to_a_key_and_a_place() {
    let (peers, boxed, bare) = book();
    let at_bare = |place: &str| format!("{bare}@{place}");
    for (words, wanted) in [
        (vec!["box"], format!("{boxed}@192.0.2.7:7000")),
        (vec!["BOX", "-p", "9"], format!("{boxed}@192.0.2.7:9")),
        (vec![&boxed], format!("{boxed}@192.0.2.7:7000")),
        (vec![&at_bare("h")], at_bare("h:2022")),
        (vec![&at_bare("h:9")], at_bare("h:9")),
        (vec!["-p", "8", &at_bare("h:9")], at_bare("h:9")),
        (vec!["-p", "8", &at_bare("h")], at_bare("h:8")),
        (vec![&at_bare("[::1]:9")], at_bare("[::1]:9")),
        (vec!["-p9", &at_bare("::1")], at_bare("[::1]:9")),
        (vec!["-l", &bare, "h"], at_bare("h:2022")),
        (vec!["-l", "bare", "h:9"], at_bare("h:9")),
        (vec!["bare@h"], at_bare("h:2022")),
        (vec!["-l", &bare, "::1"], at_bare("[::1]:2022")),
        (vec!["-l", &bare, "fe80::1%eth0", "-p", "9"], at_bare("[fe80::1%eth0]:9")),
        (vec!["-l", &bare, "[::1]"], at_bare("[::1]:2022")),
        (vec![&format!("ssh://{bare}@h:9")], at_bare("h:9")),
        (vec![&format!("ssh://{bare}@h")], at_bare("h:2022")),
        (vec![&format!("ssh://{bare}@[::1]:9/")], at_bare("[::1]:9")),
        (vec!["ssh://box"], format!("{boxed}@192.0.2.7:7000")),
        (vec!["ssh://box:9"], format!("{boxed}@192.0.2.7:9")),
        (vec!["-p8", "ssh://box:9"], format!("{boxed}@192.0.2.7:8")),
    ] {
        assert_eq!(resolve(&args(&words), &peers).unwrap().to_string(), wanted, "{words:?}");
    }
}

#[test]
fn another_host_may_be_dialed_for_the_key_of_a_name() {
    let (peers, boxed, bare) = book();
    for (words, wanted) in [
        (vec!["-oHostName=h", "box"], format!("{boxed}@h:7000")),
        (vec!["-oHostName=h", "-p9", "box"], format!("{boxed}@h:9")),
        (vec!["-oHostName=h", "bare"], format!("{bare}@h:2022")),
        (vec!["-oHostName=%h.example", "bare"], format!("{bare}@bare.example:2022")),
        (vec!["-oHostName=::1", "bare"], format!("{bare}@[::1]:2022")),
        (vec!["-oHostName=h", "-l", "bare", "whatever"], format!("{bare}@h:2022")),
        (vec!["-oHostName=h", &format!("{bare}@x:9")], format!("{bare}@h:9")),
    ] {
        assert_eq!(resolve(&args(&words), &peers).unwrap().to_string(), wanted, "{words:?}");
    }
    assert!(resolve(&args(&["-oHostName=%z", "bare"]), &peers).unwrap_err().to_string().contains("'%z'"));
}

#[test]
fn a_user_that_is_no_key_is_told_what_belongs_there() {
    let (peers, _, _) = book();
    let error = resolve(&args(&["root@box"]), &peers).unwrap_err();
    assert!(error.hints().concat().contains("leave it out: 'box' is in the address book"), "{error:?}");
    let error = resolve(&args(&["-l", "root", "h"]), &peers).unwrap_err();
    assert!(error.hints().concat().contains("the key of the host"), "{error:?}");
    assert!(resolve(&args(&["nobody"]), &peers).unwrap_err().to_string().contains("no peer is called 'nobody'"));
}
