//! First contact: sealing and opening, deliveries to a drop box, and fetching.

use crate::sandbox::{Running, User};
use crate::table::{Table, median};
use keywire::addr::PeerAddr;
use keywire::identity::IdentityFile;
use keywire::inbox::{Greeting, Inbox, Wish, carry};
use keywire::key::KeyPair;
use keywire::proto::inbox::{Address, Card, SealedMessage};
use keywire::store::Store;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const MESSAGES: usize = 50;
/// As many as a drop box holds for one one-time key.
const ROUNDS: usize = 4;

/// Somebody with an inbox.
struct Side {
    user: User,
    me: Arc<KeyPair>,
    inbox: Inbox,
}

impl Side {
    fn new() -> Self {
        let user = User::with_key();
        let file = IdentityFile::locate(Some(&user.home().join("identity.json"))).unwrap();
        let me = Arc::new(file.load(|| unreachable!()).unwrap());
        let inbox = Inbox::open(Store::at(&user.home()), Arc::new(SystemTime::now)).unwrap();
        Side { user, me, inbox }
    }

    fn card(&self, addresses: Vec<Address>) -> Card {
        let life = Duration::from_secs(3600);
        self.inbox.make_card(&self.me, Wish { label: String::new(), life, uses: MESSAGES, addresses }).unwrap()
    }

    fn seal(&self, card: &Card) -> SealedMessage {
        let greeting = Greeting { text: Some("hello, it is me".to_owned()), pair: false, answer_at: Vec::new() };
        self.inbox.seal(&self.me, card, &greeting).unwrap().message
    }
}

/// What one wait for the disk takes here: a file of its own, as each of a drop box's is.
fn sync_time(user: &User) -> Duration {
    let times: Vec<Duration> = (0..MESSAGES)
        .map(|number| {
            let path = user.file(&format!("sync{number}"));
            let start = Instant::now();
            std::fs::write(&path, [b'x'; 900]).unwrap();
            std::fs::File::open(&path).unwrap().sync_all().unwrap();
            start.elapsed()
        })
        .collect();
    median(&times)
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

fn row(table: &mut Table, what: &str, time: Duration, beside: &str) {
    table.row([what.to_owned(), ms(time), beside.to_owned(), String::new(), String::new()]);
}

pub fn rows(table: &mut Table) {
    let (ada, bob) = (Side::new(), Side::new());
    let sync = ms(sync_time(&ada.user));
    let card = ada.card(Vec::new());
    let timed = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    let mut messages = Vec::new();
    let sealing: Vec<_> = (0..MESSAGES).map(|_| timed(&mut || messages.push(bob.seal(&card)))).collect();
    let opening: Vec<_> = messages
        .iter()
        .map(|message| timed(&mut || drop(ada.inbox.unseal(&ada.me, message).unwrap().unwrap())))
        .collect();
    let beside = format!("one synced file: {sync}");
    row(table, "seal a greeting to a card: which key it took is saved, synced", median(&sealing), &beside);
    row(table, "open it: stored, its key ended, its secret wiped, each synced", median(&opening), &beside);
    deliveries(table, &bob, &beside);
}

fn deliveries(table: &mut Table, bob: &Side, beside: &str) {
    let (ada, holder) = (Side::new(), User::with_key());
    holder.run("kw-peers", ["add", "ada", &ada.user.key()]).succeeds();
    holder.run("kw-peers", ["allow", "ada", "drop"]).succeeds();
    let mut command = holder.command("kw-inbox");
    command.args(["drop", "--listen", "127.0.0.1:0", "--json"]).stderr(Stdio::null());
    let mut running = Running::start(&mut command);
    let first = running.line();
    let at: PeerAddr = first.split('"').find(|word| word.contains('@')).unwrap().parse().unwrap();
    std::thread::spawn(move || while !running.line().is_empty() {});
    let card = ada.card(vec![Address { key: Some(at.key), at: at.at.clone() }]);
    let messages: Vec<_> = (0..MESSAGES * ROUNDS).map(|_| bob.seal(&card)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let times: Vec<_> = messages
        .iter()
        .map(|message| {
            let start = Instant::now();
            runtime.block_on(carry::deliver(&card, message)).unwrap();
            start.elapsed()
        })
        .collect();
    let what = "deliver to a drop box: a handshake with a new key, a ticket checked, two syncs";
    row(table, what, median(&times), beside);
    let start = Instant::now();
    let fetched = runtime
        .block_on(async {
            // The other three to the same key are refused.
            ada.inbox.fetch(&ada.me, &at, |_| Ok(()), std::future::pending()).await
        })
        .unwrap();
    assert_eq!(fetched.taken, MESSAGES * ROUNDS);
    let each = start.elapsed() / u32::try_from(MESSAGES * ROUNDS).unwrap();
    row(table, "fetch from it, open one in four, and have it removed: each", each, beside);
}
