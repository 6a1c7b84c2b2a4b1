//! Groups on disk: death and failing system calls at every step, and the files as keywire-files(5) shows them.

use super::death::{CALLS, FAILING, Trial, begin, home};
use crate::sandbox::{Dir, strace_works};
use keywire::group::home::{DiskShelf, Facts, Group, Groups, Status};
use keywire::group::keys::EpochKey;
use keywire::group::shelf::Shelf;
use keywire::key::{KeyPair, SecretKey};
use keywire::proto::group::{Class, Entry, EntryId, Genesis, Header, History, Inc, KeyId, Kind, LogId, Mode};
use keywire::sign::Signature;
use keywire::store::Store;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What dies.
const TRIAL: Trial =
    Trial { test: "state::groups::a_process_that_does_all_that_is_done_with_a_group", end: ("left", "1") };

const BEGIN: u64 = 1_800_000_000_000;

fn me() -> KeyPair {
    KeyPair::from_secret(SecretKey::from_bytes(&[7; 32]))
}

/// A member that this user has never met, and its log.
fn other_log() -> LogId {
    let author = KeyPair::from_secret(SecretKey::from_bytes(&[9; 32])).public();
    LogId { class: Class::Content, author, inc: Inc([1; 8]) }
}

fn groups(home: &Path) -> Groups {
    Groups::open(&Store::at(home), &me())
}

/// The next entries of a log, of which these are the last.
fn entries(group: &Group, log: LogId, mut last: Option<Entry>, count: u64) -> Vec<Entry> {
    let mut entries = Vec::new();
    for _ in 0..count {
        let (seq, prev) = last.as_ref().map_or((0, EntryId::default()), |last| (last.header.seq, last.id));
        let body = format!("text {}", seq + 1).into_bytes();
        let header = Header {
            group: group.id(),
            log,
            seq: seq + 1,
            prev,
            clock: BEGIN + seq,
            time: BEGIN + seq,
            kind: Kind::Message,
            roster: EntryId::default(),
            key: KeyId::default(),
            reply_to: EntryId::default(),
            deps: Vec::new(),
            body_len: u32::try_from(body.len()).unwrap(),
            body_hash: keywire::kdf::hash_32(&[&body]),
        };
        let entry = Entry::of(&header.encode(), Signature([7; 64]), Some(body)).unwrap();
        last = Some(entry.clone());
        entries.push(entry);
    }
    entries
}

#[test]
fn a_process_that_does_all_that_is_done_with_a_group() {
    let Some(home) = begin() else { return };
    let home = home.as_path();
    let genesis = Genesis {
        owner: me().public(),
        created: BEGIN / 1000,
        mode: Mode::Private,
        history: History::All,
        key: KeyId::default(),
        salt: [0; 16],
    };
    let key = EpochKey(keywire::kdf::Secret::new([3; 32]));
    let group = groups(home).create(Facts::new("team", genesis, Status::Active), &[key]).unwrap();
    println!("\nmade 1");
    let log = group.own_log(Class::Content).unwrap();
    println!("log {}", log.inc);
    let mut shelf = DiskShelf::open(&group).unwrap();
    let mine = entries(&group, log, None, 4);
    let theirs = entries(&group, other_log(), None, 2);
    shelf.append(&mine[..2]).unwrap();
    println!("mine 2");
    shelf.append(&[&mine[2..3], &theirs].concat()).unwrap();
    println!("mine 3\ntheirs 2");
    let mut shelf = DiskShelf::open(&group).unwrap();
    assert_eq!(shelf.forget_before(BEGIN + 1).unwrap(), 2);
    println!("forgotten 1");
    assert_eq!(group.own_log(Class::Content).unwrap(), log);
    shelf.append(&mine[3..]).unwrap();
    println!("mine 4");
    group.set_cursor("backup", &[((log.author, log.inc), 4)].into()).unwrap();
    println!("cursor 4");
    group
        .update(|facts| {
            facts.status = Status::Left;
            Ok(())
        })
        .unwrap();
    println!("left 1");
}

/// What was said is there, our log is still the one that it was, and all goes on.
fn holds(place: &Dir, said: &BTreeMap<String, String>, what: &str) {
    let home = home(place);
    let there = groups(&home).list().unwrap();
    let number = |word: &str| said.get(word).map_or(0, |value| value.parse::<u64>().unwrap());
    let Some(group) = there.first() else {
        assert_eq!(number("made"), 0, "{what}");
        return;
    };
    assert_eq!(group.keys().unwrap().len(), 1, "{what}");
    let log = group.own_log(Class::Content).unwrap();
    if let Some(inc) = said.get("log") {
        assert_eq!(log.inc.to_string(), *inc, "{what}: a new log");
    }
    let mut shelf = DiskShelf::open(group).unwrap();
    for (log, least, most) in [(log, number("mine"), 4), (other_log(), number("theirs"), 2)] {
        let found = shelf.read(&log, 1, usize::MAX).unwrap();
        let count = u64::try_from(found.len()).unwrap();
        assert!((least..=most).contains(&count), "{what}: {count} of {log:?}");
        let sound = entries(group, log, None, count);
        for (found, sound) in found.iter().zip(&sound) {
            let bare = Entry { body: None, ..sound.clone() };
            let lost = found.header.seq == 1 && *found == bare;
            assert!(lost || (found == sound && (number("forgotten") == 0 || found.header.seq > 1)), "{what}");
        }
        shelf.append(&entries(group, log, found.last().cloned(), 1)).unwrap();
        assert_eq!(DiskShelf::open(group).unwrap().read(&log, count + 1, 1).unwrap().len(), 1, "{what}");
    }
    assert_eq!(group.own_log(Class::Content).unwrap(), log);
    let ours = fs::read_dir(home.join("groups").join(group.id().to_string()).join("logs")).unwrap();
    let ours = ours.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
        name.starts_with(&me().public().to_string())
    });
    assert_eq!(ours.count(), 1, "{what}: files are left over");
    let cursor = group.cursor("backup").unwrap().and_then(|cursor| cursor.get(&(log.author, log.inc)).copied());
    assert!(cursor.unwrap_or(0) >= number("cursor"), "{what}");
    let status = group.facts().unwrap().status;
    assert!(status == Status::Left || number("left") == 0, "{what}");
}

#[test]
fn death_at_any_call_neither_loses_nor_forks_anything_of_a_group() {
    if strace_works() {
        let tried = TRIAL.at_each_call("signal=SIGKILL", &CALLS, holds);
        println!("killed {tried} times");
        assert!(tried > 100, "{tried}");
    }
}

#[test]
fn an_error_of_any_call_neither_loses_nor_forks_anything_of_a_group() {
    if strace_works() {
        assert!(TRIAL.at_each_call("error=EIO", &FAILING, holds) > 20);
    }
}
