//! Many processes, one state directory: no change is lost, none is seen half done, and the dead hold nothing.

use super::{new_key, user_with_state};
use crate::sandbox::{Running, User};
use keywire::key::{KeyPair, PublicKey, SecretKey};
use keywire::store::Store;
use keywire::trust::Allowlist;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WRITERS: u8 = 8;
const CHANGES: u32 = 200;

/// Names the state directory, and makes this test program a writer or a holder of the lock.
const WRITER: &str = "KEYWIRE_TEST_WRITER";
const HOLDER: &str = "KEYWIRE_TEST_HOLDER";

/// The key under which writer `number` counts in the allowlist; 0 is the one that all of them share.
fn counter_key(number: u8) -> PublicKey {
    KeyPair::from_secret(SecretKey::from_bytes(&[number; 32])).public()
}

/// A rule serves as a counter: the number stands in its command.
fn count(list: &Allowlist, number: u8) -> u32 {
    let rule = list.rule(&counter_key(number));
    rule.and_then(|rule| rule.command.as_ref()).map_or(0, |text| text.parse().unwrap())
}

fn count_up(list: &mut Allowlist, number: u8) {
    let next = count(list, number) + 1;
    list.rule_mut(counter_key(number)).command = Some(next.to_string());
}

/// This test program once more, as one test that the environment gives a part to play.
fn once_more(test: &str, part: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("state::crowd::{test}"), "--nocapture"]).env(part, home);
    command
}

#[test]
fn a_writer_is_a_process_of_its_own_and_waits_its_turn() {
    let Some(home) = std::env::var_os(WRITER) else { return };
    let number = std::env::var("KEYWIRE_TEST_NUMBER").unwrap().parse().unwrap();
    let store = Store::at(Path::new(&home));
    for _ in 0..CHANGES {
        Allowlist::update(&store, |list| {
            count_up(list, number);
            count_up(list, 0);
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn no_change_of_eight_processes_is_lost_and_a_reader_sees_none_half_done() {
    let user = User::new();
    std::fs::create_dir(user.home()).unwrap();
    let started = Instant::now();
    let mut writers: Vec<_> = (1..=WRITERS)
        .map(|number| {
            let mut command = once_more("a_writer_is_a_process_of_its_own_and_waits_its_turn", WRITER, &user.home());
            Running::start(command.env("KEYWIRE_TEST_NUMBER", number.to_string()))
        })
        .collect();
    let store = Store::at(&user.home());
    let (mut reads, mut last) = (0, 0);
    while writers.iter_mut().any(|writer| writer.child.try_wait().unwrap().is_none()) {
        let list = Allowlist::load(&store).unwrap();
        let sum: u32 = (1..=WRITERS).map(|number| count(&list, number)).sum();
        assert_eq!(sum, count(&list, 0), "half a change was seen");
        assert!(sum >= last, "an acknowledged change was undone");
        (reads, last) = (reads + 1, sum);
    }
    for writer in writers {
        assert!(writer.finish().0.success());
    }
    println!("{} changes and {reads} reads in {:?}", u32::from(WRITERS) * CHANGES, started.elapsed());
    let list = Allowlist::load(&store).unwrap();
    assert_eq!(count(&list, 0), u32::from(WRITERS) * CHANGES);
    assert!((1..=WRITERS).all(|number| count(&list, number) == CHANGES));
    assert_eq!(std::fs::read_dir(user.home()).unwrap().count(), 2, "something was left behind");
}

#[test]
fn no_peer_that_eight_shells_add_at_once_is_lost() {
    let user = User::new();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let user = &user;
            scope.spawn(move || {
                for number in 0..12 {
                    let name = format!("peer-{writer}-{number}");
                    user.run("kw-peers", ["add", &name, &new_key()]).succeeds();
                    user.run("kw-peers", ["allow", &name, "exec"]).succeeds();
                }
            });
        }
    });
    for command in ["list", "rules"] {
        let listed = user.run("kw-peers", [command]).succeeds().stdout;
        assert_eq!(listed.lines().count(), usize::from(WRITERS) * 12);
    }
}

#[test]
fn a_holder_keeps_the_lock_until_its_input_ends() {
    let Some(home) = std::env::var_os(HOLDER) else { return };
    Allowlist::update(&Store::at(Path::new(&home)), |list| {
        list.rule_mut(counter_key(0)).command = Some("half a change".to_owned());
        println!("\nthe lock is held");
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        Ok(())
    })
    .unwrap();
}

/// A process that holds the lock of `user`, and is seen to.
fn holder(user: &User) -> Running {
    let mut command = once_more("a_holder_keeps_the_lock_until_its_input_ends", HOLDER, &user.home());
    let mut holder = Running::start(&mut command);
    while holder.line() != "the lock is held" {}
    holder
}

/// Waits until the kernel lists `waiter` as waiting for a lock.
fn until_it_waits(waiter: &mut Running) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let pid = waiter.pid().to_string();
    loop {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        if locks.lines().any(|line| line.contains("->") && line.split_whitespace().any(|word| word == pid)) {
            return;
        }
        assert!(waiter.child.try_wait().unwrap().is_none(), "it did not wait for the lock");
        assert!(Instant::now() < deadline, "it neither waited nor ended");
        std::thread::yield_now();
    }
}

#[test]
fn a_killed_holder_of_the_lock_blocks_nobody_and_leaves_the_old_state() {
    let user = user_with_state();
    let before = std::fs::read(user.home().join("allow.json")).unwrap();
    let holder = holder(&user);
    let mut waiter = Running::start(user.command("kw-peers").args(["add", "bob", &new_key()]).stderr(Stdio::null()));
    until_it_waits(&mut waiter);
    user.run("kw-peers", ["rules"]).succeeds();
    drop(holder);
    assert!(waiter.finish().0.success());
    assert_eq!(std::fs::read(user.home().join("allow.json")).unwrap(), before);
    assert_eq!(user.run("kw-peers", ["list"]).succeeds().stdout.lines().count(), 2);
}

#[test]
fn a_lock_that_was_deleted_under_a_waiter_is_made_anew() {
    let user = user_with_state();
    let holder = holder(&user);
    let mut waiter = Running::start(user.command("kw-peers").args(["add", "bob", &new_key()]).stderr(Stdio::null()));
    until_it_waits(&mut waiter);
    std::fs::remove_file(user.home().join(".lock")).unwrap();
    drop(holder);
    assert!(waiter.finish().0.success());
    assert!(user.home().join(".lock").exists(), "the change was made under a lock that nobody else can see");
}
