//! Groups: how soon one message is everywhere, what that costs, and how fast a newcomer has a long history.

use crate::sandbox::User;
use crate::table::{Table, median};
use keywire::conn::{ListenOptions, Listener};
use keywire::error::Result;
use keywire::group::engine::{Event, House, Joined, Options, Terms};
use keywire::group::home::{DiskShelf, Groups};
use keywire::group::replica::{Replica, Words};
use keywire::group::shelf::{Shelf, Stored};
use keywire::identity::IdentityFile;
use keywire::key::KeyPair;
use keywire::proto::group::roster::Op;
use keywire::proto::group::{Class, Entry, EntryId, GROUP, GroupId, History, Inc, Kind, LogId, Mode};
use keywire::store::Store;
use nix::sys::resource::{UsageWho, getrusage};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const ENTRIES: u64 = 100_000;
const HISTORY: u64 = 1_000_000;
const MESSAGES: usize = 60;
const PATIENCE: Duration = Duration::from_secs(120);

pub fn rows(table: &mut Table) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    last(table, &runtime);
    cold(table, &runtime);
    for count in [4, 16, 64] {
        runtime.block_on(everywhere(table, count));
    }
}

fn terms() -> Terms {
    Terms { expires: 86_400, uses: 100, approve: false }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

async fn serve(house: &House) -> tokio::task::JoinHandle<()> {
    let options =
        ListenOptions { limits: keywire::conn::Limits { startups: 1000, ..Default::default() }, ..Default::default() };
    let listener = Listener::bind(house.me().clone(), &"127.0.0.1:0".parse().unwrap(), GROUP, options).await.unwrap();
    let house = house.clone();
    tokio::spawn(async move { house.serve(Some(listener), std::future::pending()).await.unwrap() })
}

/// What is read of a long history for its end.
fn last(table: &mut Table, runtime: &tokio::runtime::Runtime) {
    let user = User::with_key();
    let house = House::open(Store::at(&user.home()), identity(&user.home()), Options::default()).unwrap();
    let group = runtime.block_on(house.create("long".to_owned(), Mode::Private, History::All)).unwrap();
    drop(house);
    // A process that is begun counts for as large as the one that begins it, so that must not have written all this; and who
    // writes it must be no child of ours, whose memory is measured. Its end is that of its output.
    let mut writer = std::process::Command::new("sh");
    writer.args(["-c", "\"$0\" \"$@\" &"]).arg(std::env::current_exe().unwrap());
    writer.arg(FILL).arg(user.home()).arg(group.to_string()).output().unwrap();
    let times: Vec<Duration> = (0..20)
        .map(|_| {
            let start = Instant::now();
            let shown = user.run("kw-group", ["history", "long"]).succeeds();
            assert_eq!(shown.stdout.lines().count(), 100);
            start.elapsed()
        })
        .collect();
    // Of all processes so far, the largest: those before it were small.
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    table.row([
        format!("kw-group: the last 100 of {HISTORY} messages"),
        format!("{:.1} ms, {:.1} MiB", median(&times).as_secs_f64() * 1e3, peak as f64 / 1024.0),
        String::new(),
        String::new(),
        "<= 30 ms, <= 16 MiB".to_owned(),
    ]);
}

/// The word that has this program write the long history in a state directory.
pub const FILL: &str = "fill-group";

/// Does so.
pub fn fill_as_told(dir: &Path, group: &str) {
    fill(&Store::at(dir), &identity(dir), group.parse().unwrap(), HISTORY, 4);
}

fn identity(dir: &Path) -> Arc<KeyPair> {
    let file = IdentityFile::locate(Some(&dir.join("identity.json"))).unwrap();
    Arc::new(file.load(|| unreachable!("it has no passphrase")).unwrap())
}

/// A newcomer of its own process gets a log of many entries.
fn cold(table: &mut Table, runtime: &tokio::runtime::Runtime) {
    let (old, new) = (User::with_key(), User::with_key());
    let (store, me) = (Store::at(&old.home()), identity(&old.home()));
    let open = || House::open(store.clone(), me.clone(), Options::default()).unwrap();
    let group =
        runtime.block_on(async { open().create("long".to_owned(), Mode::Private, History::All).await.unwrap() });
    fill(&store, &me, group, ENTRIES, 1);
    let (link, serving) = runtime.block_on(async {
        let house = open();
        let serving = serve(&house).await;
        while house.info(group).await.unwrap().members.iter().all(|member| member.addresses.is_empty()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        (house.invite(group, terms()).await.unwrap().0.to_string(), serving)
    });
    let start = Instant::now();
    let mut join = new.command("kw-group");
    let mut join =
        join.args(["join", "-", "--wait", "120s"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut join.stdin.take().unwrap(), link.as_bytes()).unwrap();
    assert!(join.wait().unwrap().success());
    let took = start.elapsed();
    assert_eq!(new.run("kw-group", ["export", "long"]).succeeds().stdout.lines().count() as u64, ENTRIES);
    let memory = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() as f64 / 1024.0;
    serving.abort();
    table.row([
        "kw-group join, 100,000 entries of 100 bytes, keys and all".to_owned(),
        format!("{:.0} entries/s, {memory:.1} MiB", ENTRIES as f64 / took.as_secs_f64()),
        format!("{:.1} s", took.as_secs_f64()),
        String::new(),
        ">= 30,000 entries/s, <= 64 MiB".to_owned(),
    ]);
}

/// Writes many entries into the logs of so many authors: the owner, and others that it adds.
fn fill(store: &Store, me: &Arc<KeyPair>, group: GroupId, count: u64, authors: usize) {
    let kept = Groups::open(store, me).get(&group).unwrap().unwrap();
    let shelf = Batched { disk: DiskShelf::open(&kept).unwrap(), waiting: Vec::new() };
    let mut replica = Replica::open(kept.genesis().unwrap(), shelf).unwrap();
    let keys: Vec<_> = kept.keys().unwrap().into_values().collect();
    let acts = kept.own_log(Class::Roster).unwrap();
    let mut logs = vec![(me.clone(), kept.own_log(Class::Content).unwrap())];
    for _ in 1..authors {
        let other = Arc::new(KeyPair::generate().unwrap());
        let member = other.public();
        replica.act(me, acts, Op::Add { member, invite: None, given: None }, None, now()).unwrap();
        logs.push((other, LogId { class: Class::Content, author: member, inc: Inc::random().unwrap() }));
    }
    let text = [b'x'; 100];
    for (author, log) in (0..count).zip(logs.iter().cycle()).map(|(_, one)| one) {
        let words = Words { kind: Kind::Message, text: &text, reply_to: EntryId::default() };
        replica.write(author, *log, &words, &keys, now()).unwrap();
    }
    replica.shelf_mut().flush();
}

/// A shelf that syncs many entries at a time.
struct Batched {
    disk: DiskShelf,
    waiting: Vec<Entry>,
}

impl Batched {
    fn flush(&mut self) {
        self.disk.append(&std::mem::take(&mut self.waiting)).unwrap();
    }
}

impl Shelf for Batched {
    fn logs(&self) -> Result<Vec<Stored>> {
        self.disk.logs()
    }

    fn read(&self, log: &LogId, from: u64, most: usize) -> Result<Vec<Entry>> {
        self.disk.read(log, from, most)
    }

    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        self.waiting.extend_from_slice(entries);
        if self.waiting.len() >= 10_000 {
            self.flush();
        }
        Ok(())
    }

    fn keep_fork(&mut self, fork: &[Entry; 2]) -> Result<()> {
        self.disk.keep_fork(fork)
    }

    fn forks(&self) -> Result<Vec<[Entry; 2]>> {
        self.disk.forks()
    }
}

/// How soon a message of one is stored by all, each member with a house, a directory and connections of its own.
async fn everywhere(table: &mut Table, count: usize) {
    let users: Vec<User> = (0..count).map(|_| User::new()).collect();
    let houses: Vec<House> = users
        .iter()
        .map(|user| {
            let me = Arc::new(KeyPair::generate().unwrap());
            std::fs::create_dir(user.home()).unwrap();
            House::open(Store::at(&user.home()), me, Options::default()).unwrap()
        })
        .collect();
    let mut serving = Vec::new();
    for house in &houses {
        serving.push(serve(house).await);
    }
    let group = houses[0].create("crowd".to_owned(), Mode::Private, History::All).await.unwrap();
    while houses[0].info(group).await.unwrap().members.iter().all(|member| member.addresses.is_empty()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let link = houses[0].invite(group, terms()).await.unwrap().0;
    for house in &houses[1..] {
        let (_, joined) = house.join(link.clone(), None, PATIENCE).await.unwrap();
        assert_eq!(joined, Joined::Active);
    }
    // All know all, and have the links that they keep.
    for house in &houses {
        while house.info(group).await.unwrap().members.iter().filter(|member| !member.addresses.is_empty()).count()
            < count
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let (mut times, mut cpu) = (Vec::new(), Duration::ZERO);
    for message in 0..MESSAGES + 10 {
        let author = &houses[message * 7 % count];
        let mut events: Vec<_> = houses.iter().map(House::events).collect();
        let (start, before) = (Instant::now(), used());
        author.say(group, format!("message {message}"), None).await.unwrap();
        let mut arrived = Vec::new();
        for events in &mut events {
            while !matches!(events.recv().await.unwrap(), Event::Message { .. }) {}
            arrived.push(start.elapsed());
        }
        // The first ones find out who need not send to whom.
        if message >= 10 {
            times.extend(arrived);
            cpu += used() - before;
        }
    }
    serving.iter().for_each(tokio::task::JoinHandle::abort);
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    let each = cpu.as_secs_f64() * 1e3 / (MESSAGES * count) as f64;
    table.row([
        format!("kw-group: one message, {count} members on one machine"),
        format!("p50 {:.1} ms, p99 {:.1} ms", median(&times).as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3),
        format!("{each:.2} ms of processor a member"),
        String::new(),
        "p99 <= 250 ms; linear".to_owned(),
    ]);
}

/// Processor time of this process.
fn used() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros =
        |time: nix::sys::time::TimeVal| Duration::from_micros((time.tv_sec() * 1_000_000 + time.tv_usec()) as u64);
    micros(usage.user_time()) + micros(usage.system_time())
}
