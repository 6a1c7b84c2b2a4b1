//! Messages: one from a script, many from many, and a look back at a long history.

use crate::hosts::kib;
use crate::sandbox::{Running, User};
use crate::table::{Table, median};
use crate::talker::Talker;
use keywire::chat::{Chat, Incoming};
use keywire::identity::IdentityFile;
use keywire::json::Bytes;
use keywire::proto::chat::{Envelope, Open};
use keywire::store::Store;
use nix::sys::resource::{UsageWho, getrusage};
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const ONE_SHOTS: usize = 50;
const SENDERS: usize = 100;
const EACH: usize = 500;
/// Messages of a sender that are under way at once.
const WINDOW: usize = 100;
const HISTORY: u64 = 1_000_000;

pub fn rows(table: &mut Table) {
    history(table);
    one_shot(table);
    many(table);
}

fn listener(user: &User) -> (Running, String) {
    let mut command = user.command("kw-chat");
    command.args(["listen", "--listen", "127.0.0.1:0"]).stderr(Stdio::null());
    let mut listener = Running::start(&mut command);
    let address = listener.address();
    (listener, address)
}

/// What one wait for the disk takes here: a small file that grows, as a log does.
fn sync_time(user: &User) -> Duration {
    let mut file = std::fs::File::create(user.file("sync")).unwrap();
    let times: Vec<Duration> = (0..ONE_SHOTS)
        .map(|_| {
            file.write_all(&[b'x'; 400]).unwrap();
            let start = Instant::now();
            file.sync_data().unwrap();
            start.elapsed()
        })
        .collect();
    median(&times)
}

fn one_shot(table: &mut Table) {
    let (a, b) = (User::with_key(), User::with_key());
    let (mut listening, address) = listener(&b);
    std::thread::spawn(move || while !listening.line().is_empty() {});
    a.run("kw-peers", ["add", "b", &address]).succeeds();
    a.run("kw-chat", ["pair", "invite", "b"]).succeeds();
    b.run("kw-chat", ["pair", "accept", &a.key(), "--name", "a"]);
    let time = |user: &User| -> Vec<Duration> {
        (0..ONE_SHOTS)
            .map(|_| {
                let start = Instant::now();
                user.run("kw-chat", ["send", "--wait=5s", "b", "done"]).succeeds();
                start.elapsed()
            })
            .collect()
    };
    time(&a);
    let alone = time(&a);
    let (mut own, _) = listener(&a);
    std::thread::spawn(move || while !own.line().is_empty() {});
    time(&a);
    let through = time(&a);
    let start: Vec<Duration> = (0..ONE_SHOTS)
        .map(|_| {
            let start = Instant::now();
            a.run("kw-chat", ["--version"]).succeeds();
            start.elapsed()
        })
        .collect();
    let shown = |times: &[Duration]| format!("{:.1} ms", median(times).as_secs_f64() * 1e3);
    let beside =
        format!("a process that does nothing {}, one sync {:.2} ms", shown(&start), sync_time(&a).as_secs_f64() * 1e3);
    for (name, times) in [("dialing itself", &alone), ("through a listener of its own", &through)] {
        table.row([
            format!("kw-chat send --wait to a running listener, {name}"),
            shown(times),
            beside.clone(),
            String::new(),
            "<= 15 ms".to_owned(),
        ]);
    }
}

/// Senders that do nothing but send: they keep their state in memory, so that what is measured is the listener.
fn many(table: &mut Table) {
    let b = User::with_key();
    let (mut listening, address) = listener(&b);
    let mut talkers: Vec<Talker> = (0..SENDERS).map(|_| Talker::new(&address)).collect();
    for talker in &mut talkers {
        talker.invite();
        b.run("kw-chat", ["pair", "accept", &talker.key().to_string()]);
    }
    let mut ready: Vec<_> = talkers
        .into_iter()
        .map(|mut talker| {
            let mut talk = talker.confirm();
            talker.meet(&mut talk);
            let messages: Vec<Envelope> =
                (0..EACH).map(|number| Envelope::Message(talker.message(&format!("message {number}")).0)).collect();
            (talk, messages)
        })
        .collect();
    let pid = listening.pid();
    std::thread::spawn(move || while !listening.line().is_empty() {});
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (talk, messages) in &mut ready {
            scope.spawn(move || {
                let is_ack = |heard: &Envelope| matches!(heard, Envelope::Saved(_));
                for (at, message) in messages.iter().enumerate() {
                    talk.say(message);
                    if at >= WINDOW {
                        talk.hear_until(is_ack);
                    }
                }
                for _ in 0..WINDOW.min(EACH) {
                    talk.hear_until(is_ack);
                }
            });
        }
    });
    let rate = (SENDERS * EACH) as f64 / start.elapsed().as_secs_f64();
    table.row([
        format!("messages a second, saved and acknowledged, of {SENDERS} senders"),
        format!("{rate:.0}, {:.1} MiB at the most", kib(pid, "VmHWM") as f64 / 1024.0),
        format!("one sync {:.2} ms", sync_time(&b).as_secs_f64() * 1e3),
        String::new(),
        ">= 5,000".to_owned(),
    ]);
}

/// A long history: messages as they come from somebody who is not paired, which needs no keys.
fn history(table: &mut Table) {
    let (a, b) = (User::with_key(), User::with_key());
    a.run("kw-peers", ["add", "b", &b.key()]).succeeds();
    let me = IdentityFile::locate(Some(&a.home().join("identity.json"))).unwrap();
    let me = me.load(|| unreachable!("it has no passphrase")).unwrap();
    let chat = Chat::open(Store::at(&a.home()), me.into(), Arc::new(SystemTime::now)).unwrap();
    let conversation = chat.with(b.key().parse().unwrap());
    for batch in 0..HISTORY / 1000 {
        let message = |number: u64| {
            let id = format!("{batch}-{number}").parse().unwrap();
            let body =
                format!("message {number} of batch {batch}, some eighty characters long as most messages are, or so");
            Incoming::Open(Open {
                id,
                body: Bytes(body.into_bytes()),
                ack: true,
                time: batch * 1000 + number,
                reply_to: None,
            })
        };
        let (_, stored) = conversation.receive(&(0..1000).map(message).collect::<Vec<_>>()).unwrap();
        assert_eq!(stored.len(), 1000);
    }
    let times: Vec<Duration> = (0..20)
        .map(|_| {
            let start = Instant::now();
            let shown = a.run("kw-chat", ["history", "-n", "100", "b"]).succeeds();
            assert_eq!(shown.stdout.lines().count(), 100);
            start.elapsed()
        })
        .collect();
    // Of all processes so far, the largest: this topic runs first, and those before it were small.
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    table.row([
        format!("the last 100 of {HISTORY} messages"),
        format!("{:.1} ms, {:.1} MiB", median(&times).as_secs_f64() * 1e3, peak as f64 / 1024.0),
        String::new(),
        String::new(),
        "<= 30 ms, <= 16 MiB".to_owned(),
    ]);
}
