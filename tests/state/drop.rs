//! A drop box on disk: death and failing system calls at every step, and its file as keywire-files(5) shows it.

use super::death::{CALLS, FAILING, Trial, begin, home};
use super::page::documented;
use crate::hostile::inbox::{card, owner, sealed};
use crate::sandbox::Dir;
use crate::sandbox::strace_works;
use keywire::inbox::dropbox::{DROP_DIR, DropBox};
use keywire::json::{self, Value};
use keywire::proto::inbox::SealedMessage;
use keywire::store::Store;
use keywire::trust::{Allowlist, Right, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What dies.
const TRIAL: Trial =
    Trial { test: "state::drop::a_process_that_does_all_that_is_done_in_a_drop_box", end: ("gone", "2") };

fn allowed() -> Allowlist {
    let mut list = Allowlist::default();
    list.rule_mut(owner().public()).rights.insert(Right::Drop);
    list
}

fn open(home: &Path) -> DropBox {
    DropBox::open(&Store::at(home), SystemTime::now()).unwrap()
}

fn messages() -> [SealedMessage; 3] {
    [1, 2, 3].map(|key| sealed(key, b"text"))
}

#[test]
fn a_process_that_does_all_that_is_done_in_a_drop_box() {
    let Some(home) = begin() else { return };
    let (drop_box, now) = (open(&home), SystemTime::now());
    let ticket = card(&owner(), 3, &[]).ticket();
    for (at, message) in messages().iter().enumerate() {
        drop_box.hold(&ticket, message, &allowed(), now).unwrap().unwrap();
        println!("held {}", at + 1);
    }
    let ids = messages().map(|message| message.id());
    drop_box.remove(&owner().public(), &ids[..2]).unwrap();
    println!("gone 2");
}

/// What was said to be held is there, unless it was said to be gone, and all goes on.
fn holds(place: &Dir, said: &BTreeMap<String, String>, what: &str) {
    let (drop_box, now) = (open(&home(place)), SystemTime::now());
    let number = |word: &str| said.get(word).map_or(0, |value| value.parse::<usize>().unwrap());
    let there = |message: &SealedMessage| drop_box.read(&owner().public(), &message.id()).as_ref() == Some(message);
    let [one, two, three] = messages();
    if number("gone") == 2 {
        assert!(!there(&one) && !there(&two), "{what}");
    }
    // The first two may be on their way out once all are held.
    let held = number("held");
    assert!(held < 1 || held == 3 || there(&one), "{what}");
    assert!(held < 2 || held == 3 || there(&two), "{what}");
    assert!(held < 3 || there(&three), "{what}");
    assert!(drop_box.notices().is_empty(), "{what}: {:?}", drop_box.notices());
    let ticket = card(&owner(), 3, &[]).ticket();
    for message in [&one, &two, &three] {
        drop_box.hold(&ticket, message, &allowed(), now).unwrap().unwrap();
        assert!(there(message), "{what}");
    }
    assert_eq!(drop_box.list(&owner().public(), now).len(), 3, "{what}");
}

#[test]
fn death_at_any_call_loses_nothing_that_is_held() {
    if strace_works() {
        let tried = TRIAL.at_each_call("signal=SIGKILL", &CALLS, holds);
        println!("killed {tried} times");
        assert!(tried > 40, "{tried}");
    }
}

#[test]
fn an_error_of_any_call_loses_nothing_that_is_held() {
    if strace_works() {
        assert!(TRIAL.at_each_call("error=EIO", &FAILING, holds) > 10);
    }
}

#[test]
fn the_message_on_the_page_is_held_and_all_its_fields_are_named() {
    let (section, examples) = documented("drop/KEY/ID.json");
    let value: Value = json::parse(examples[0].as_bytes(), examples[0].len()).unwrap();
    let shown: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = section.lines().filter_map(|line| line.strip_prefix(".It Va ")).collect();
    assert_eq!(listed, shown);
    let bytes = data_encoding::BASE64.decode(value["message"].as_str().unwrap().as_bytes()).unwrap();
    let message = SealedMessage::decode(&bytes).unwrap();

    let place = Dir::new();
    let store = Store::at(place.path()).below(DROP_DIR).unwrap().below(&owner().public().to_string()).unwrap();
    let path = store.path(&format!("{}.json", message.id()));
    fs::write(&path, &examples[0]).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let received: Time = json::parse(value["received"].to_string().as_bytes(), 100).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(received.unix());
    let drop_box = DropBox::open(&Store::at(place.path()), then).unwrap();
    assert_eq!(drop_box.read(&owner().public(), &message.id()).unwrap(), message);
    assert!(drop_box.notices().is_empty());
}
