use super::*;
use crate::key::{KeyPair, SecretKey};
use crate::proto::inbox::{Card, MAX_SEALED_LEN, MAX_USES, Rki};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A machine with a drop box, and who has messages held there.
struct Machine {
    dir: PathBuf,
    owner: KeyPair,
    allowed: Allowlist,
    now: SystemTime,
}

impl Machine {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("keywire-drop-{}-{count}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Self::at(dir)
    }

    fn at(dir: PathBuf) -> Self {
        let owner = KeyPair::from_secret(SecretKey::from_bytes(&[7; 32]));
        let mut allowed = Allowlist::default();
        allowed.rule_mut(owner.public()).rights.insert(Right::Drop);
        Machine { dir, owner, allowed, now: SystemTime::UNIX_EPOCH + 20_000 * DAY }
    }

    fn open(&self) -> DropBox {
        DropBox::open(&Store::at(&self.dir), self.now).unwrap()
    }

    fn hold(&self, drop_box: &DropBox, ticket: &Ticket, sealed: &SealedMessage) -> Delivery {
        drop_box.hold(ticket, sealed, &self.allowed, self.now).unwrap()
    }

    fn list(&self, drop_box: &DropBox) -> Vec<SealedId> {
        drop_box.list(&self.owner.public(), self.now)
    }

    fn ticket(&self, keys: u8, lasts: Duration) -> Ticket {
        ticket_of(&self.owner, keys, self.now + lasts)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(DROP_DIR).join(self.owner.public().to_string()).join(name)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn one_time_key(number: u8) -> PublicKey {
    PublicKey::from_bytes(&[&[number], &[9; 31][..]].concat()).unwrap()
}

fn ticket_of(owner: &KeyPair, keys: u8, until: SystemTime) -> Ticket {
    let keys = (1..=keys).map(one_time_key).collect();
    Card::make(owner, keys, Time::of(until), Vec::new()).unwrap().ticket()
}

/// A message of so many bytes to the key of this number.
fn sealed_of(key: u8, content: &str, length: usize) -> SealedMessage {
    let mut noise = vec![5; length - 20];
    noise[..content.len()].copy_from_slice(content.as_bytes());
    SealedMessage::new(Rki::of(&one_time_key(key)), noise).unwrap()
}

fn sealed(key: u8, content: &str) -> SealedMessage {
    sealed_of(key, content, 500)
}

/// The names and sizes of all files below `dir`, locks left out.
fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false if entry.file_name().to_str().unwrap().ends_with("lock") => {}
            false => found.push((entry.path(), entry.metadata().unwrap().len())),
        }
    }
    found.sort();
    found
}

#[test]
fn a_message_is_held_until_its_owner_has_taken_it_over_restarts_too() {
    let machine = Machine::new();
    let ticket = machine.ticket(2, HOUR);
    let (one, two) = (sealed(1, "one"), sealed(2, "two"));
    let drop_box = machine.open();
    assert_eq!(machine.hold(&drop_box, &ticket, &one), Ok(()));
    assert_eq!(machine.hold(&drop_box, &ticket, &two), Ok(()));
    // The same bytes again are the same message.
    assert_eq!(machine.hold(&drop_box, &ticket, &one), Ok(()));
    drop(drop_box);
    let drop_box = machine.open();
    let mut ids = [one.id(), two.id()];
    ids.sort();
    assert_eq!(machine.list(&drop_box), ids);
    assert_eq!(machine.hold(&drop_box, &ticket, &two), Ok(()));
    assert_eq!(files(&machine.dir).len(), 2);
    let owner = machine.owner.public();
    assert_eq!(drop_box.read(&owner, &one.id()).unwrap(), one);
    drop_box.remove(&owner, &[one.id(), SealedId([9; 16])]).unwrap();
    assert_eq!(drop_box.read(&owner, &one.id()), None);
    drop(drop_box);
    let drop_box = machine.open();
    assert_eq!(machine.list(&drop_box), [two.id()]);
    drop_box.remove(&owner, &[two.id()]).unwrap();
    assert!(files(&machine.dir).is_empty() && drop_box.notices().is_empty());
}

#[test]
fn what_one_owner_has_another_neither_reads_nor_removes() {
    let mut machine = Machine::new();
    let other = KeyPair::generate().unwrap();
    machine.allowed.rule_mut(other.public()).rights.insert(Right::Drop);
    let drop_box = machine.open();
    let message = sealed(1, "mine");
    assert_eq!(machine.hold(&drop_box, &machine.ticket(1, HOUR), &message), Ok(()));
    assert!(drop_box.list(&other.public(), machine.now).is_empty());
    assert_eq!(drop_box.read(&other.public(), &message.id()), None);
    drop_box.remove(&other.public(), &[message.id()]).unwrap();
    assert_eq!(machine.list(&drop_box), [message.id()]);
    // Nor does what it has itself under the same id change that.
    let theirs = ticket_of(&other, 1, machine.now + HOUR);
    assert_eq!(machine.hold(&drop_box, &theirs, &message), Ok(()));
    drop_box.remove(&other.public(), &[message.id()]).unwrap();
    assert_eq!(drop_box.read(&machine.owner.public(), &message.id()).unwrap(), message);
}

#[test]
fn a_hundred_thousand_messages_of_strangers_leave_no_trace_and_the_owner_is_served() {
    let machine = Machine::new();
    let good = machine.ticket(1, HOUR);
    let drop_box = machine.open();
    let before = sealed(1, "before");
    assert_eq!(machine.hold(&drop_box, &good, &before), Ok(()));
    let on_disk = files(&machine.dir);

    let stranger = KeyPair::generate().unwrap();
    let theirs = ticket_of(&stranger, 1, machine.now + HOUR);
    for number in 0..98_000 {
        let message = sealed_of(1, &number.to_string(), 120);
        assert_eq!(machine.hold(&drop_box, &theirs, &message), Err(Refusal::Unknown));
    }
    // Of the owner's ticket every byte changed, where that still is a ticket.
    let mut forged: Vec<Ticket> = Vec::new();
    let bytes = good.encode();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        forged.extend(Ticket::decode(&changed));
    }
    assert!(forged.len() > 150, "{} tickets", forged.len());
    for number in 0..2000 {
        let message = sealed_of(1, &number.to_string(), 120);
        let answer = machine.hold(&drop_box, &forged[number % forged.len()], &message);
        assert!(matches!(answer, Err(Refusal::Wrong | Refusal::Unknown | Refusal::Expired)), "{answer:?}");
    }
    assert_eq!(files(&machine.dir), on_disk);
    assert_eq!(lock(&drop_box.held).len(), 1);
    assert_eq!(drop_box.read(&machine.owner.public(), &before.id()).unwrap(), before);
    assert_eq!(machine.hold(&drop_box, &good, &sealed(1, "after")), Ok(()));
}

#[test]
fn whoever_has_a_card_holds_no_more_than_its_owner_may_have_and_pushes_nothing_out() {
    let machine = Machine::new();
    let most = u8::try_from(MAX_USES).unwrap();
    let ticket = machine.ticket(most, HOUR);
    let drop_box = machine.open();
    let before = sealed(most, "before");
    assert_eq!(machine.hold(&drop_box, &ticket, &before), Ok(()));
    let mut held = 1;
    for number in 0..2000_usize {
        let key = u8::try_from(number % MAX_USES).unwrap() + 1;
        // Large ones first, then ones that would still fit, however small.
        let length = if number < 1000 { MAX_SEALED_LEN } else { 200 };
        match machine.hold(&drop_box, &ticket, &sealed_of(key, &number.to_string(), length)) {
            Ok(()) => held += 1,
            Err(why) => assert_eq!(why, Refusal::Full),
        }
    }
    let all = lock(&drop_box.held).get(&machine.owner.public()).unwrap().clone();
    assert_eq!(all.len(), held);
    assert!(all.iter().map(|one| one.length).sum::<usize>() <= MOST_BYTES);
    for one in &all {
        assert!(all.iter().filter(|other| other.key == one.key).count() <= MOST_OF_A_KEY);
    }
    assert!(held > 16, "{held}");
    assert_eq!(files(&machine.dir).len(), held);
    drop(drop_box);
    let drop_box = machine.open();
    assert_eq!(drop_box.read(&machine.owner.public(), &before.id()).unwrap(), before);
    assert_eq!(machine.hold(&drop_box, &ticket, &sealed(most, "more")), Err(Refusal::Full));
    drop_box.remove(&machine.owner.public(), &machine.list(&drop_box)).unwrap();
    assert_eq!(machine.hold(&drop_box, &ticket, &sealed(most, "more")), Ok(()));
}

#[test]
fn of_one_one_time_key_four_different_messages_are_held() {
    let machine = Machine::new();
    let (ticket, drop_box) = (machine.ticket(2, HOUR), machine.open());
    for number in 0..MOST_OF_A_KEY {
        assert_eq!(machine.hold(&drop_box, &ticket, &sealed(1, &number.to_string())), Ok(()));
    }
    assert_eq!(machine.hold(&drop_box, &ticket, &sealed(1, "more")), Err(Refusal::Full));
    assert_eq!(machine.hold(&drop_box, &ticket, &sealed(1, "0")), Ok(()));
    assert_eq!(machine.hold(&drop_box, &ticket, &sealed(2, "more")), Ok(()));
}

#[test]
fn of_one_owner_so_many_messages_are_held_whatever_their_size() {
    let machine = Machine::new();
    let drop_box = machine.open();
    let mut taken = 0;
    // Cards of different keys: the same number stands for others on each.
    for card in 0..3_u8 {
        let key = |number: u8| PublicKey::from_bytes(&[&[number, card], &[9; 30][..]].concat()).unwrap();
        let keys = (1..=50).map(key).collect();
        let until = Time::of(machine.now + HOUR);
        let ticket = Card::make(&machine.owner, keys, until, Vec::new()).unwrap().ticket();
        for number in 0..200_u8 {
            let noise = vec![number; 112];
            let message = SealedMessage::new(Rki::of(&key(number % 50 + 1)), noise).unwrap();
            let answer = machine.hold(&drop_box, &ticket, &message);
            taken += usize::from(answer.is_ok());
            assert_eq!(answer.is_ok(), taken <= MAX_HELD && card < 2, "{card} {number}");
        }
    }
    assert_eq!(machine.list(&drop_box).len(), MAX_HELD);
}

#[test]
fn what_is_over_is_removed_and_makes_room() {
    let mut machine = Machine::new();
    let drop_box = machine.open();
    let (short, long) = (machine.ticket(1, HOUR), machine.ticket(2, 30 * DAY));
    for number in 0..MOST_OF_A_KEY {
        assert_eq!(machine.hold(&drop_box, &short, &sealed(1, &number.to_string())), Ok(()));
    }
    assert_eq!(machine.hold(&drop_box, &long, &sealed(2, "long")), Ok(()));
    machine.now += HOUR;
    assert_eq!(machine.list(&drop_box), [sealed(2, "long").id()]);
    assert_eq!(machine.hold(&drop_box, &short, &sealed(1, "late")), Err(Refusal::Expired));
    assert_eq!(machine.hold(&drop_box, &long, &sealed(1, "room")), Ok(()));
    assert_eq!(files(&machine.dir).len(), 2);
    machine.now += HELD_FOR - HOUR;
    drop_box.expire(machine.now).unwrap();
    assert_eq!(machine.list(&drop_box), [sealed(1, "room").id()]);
    assert_eq!(files(&machine.dir).len(), 1);
    drop(drop_box);
    machine.now += HOUR;
    assert!(machine.list(&machine.open()).is_empty());
    assert!(files(&machine.dir).is_empty());
}

#[test]
fn one_who_has_lost_the_right_is_given_nothing_more() {
    let mut machine = Machine::new();
    let (ticket, drop_box) = (machine.ticket(1, HOUR), machine.open());
    assert_eq!(machine.hold(&drop_box, &ticket, &sealed(1, "one")), Ok(()));
    machine.allowed.remove(&machine.owner.public());
    machine.allowed.rule_mut(machine.owner.public()).rights.insert(Right::Shell);
    assert_eq!(machine.hold(&drop_box, &ticket, &sealed(1, "two")), Err(Refusal::Unknown));
}

#[test]
fn a_message_that_its_ticket_is_not_for_is_wrong() {
    let machine = Machine::new();
    let (ticket, drop_box) = (machine.ticket(1, HOUR), machine.open());
    assert_eq!(machine.hold(&drop_box, &ticket, &sealed(2, "two")), Err(Refusal::Wrong));
}

#[test]
fn what_is_damaged_is_noticed_and_left_out_and_the_rest_is_served() {
    let machine = Machine::new();
    let (ticket, drop_box) = (machine.ticket(4, HOUR), machine.open());
    let all: Vec<_> = (1..=4).map(|key| sealed(key, "text")).collect();
    for message in &all {
        assert_eq!(machine.hold(&drop_box, &ticket, message), Ok(()));
    }
    drop(drop_box);
    let name = |at: usize| machine.path(&format!("{}.json", all[at].id()));
    let text = std::fs::read_to_string(name(0)).unwrap();
    std::fs::write(name(0), &text[..text.len() / 2]).unwrap();
    std::fs::copy(name(2), name(1)).unwrap();
    std::fs::write(machine.path(&format!(".{}.json.tmp", all[0].id())), "{").unwrap();
    std::fs::write(machine.path("letter"), "dear").unwrap();
    std::fs::create_dir(machine.dir.join(DROP_DIR).join("somebody")).unwrap();
    let drop_box = machine.open();
    let mut notices = drop_box.notices();
    notices.sort();
    let ends = [" damaged, and ", " damaged, and ", "letter: does not belong", "somebody: does not belong"];
    assert_eq!(notices.len(), ends.len(), "{notices:?}");
    for end in ends {
        assert!(notices.iter().any(|notice| notice.contains(end)), "{end}: {notices:?}");
    }
    let mut left = [all[2].id(), all[3].id()];
    left.sort();
    assert_eq!(machine.list(&drop_box), left);
    assert!(!machine.path(&format!(".{}.json.tmp", all[0].id())).exists());
    // One that is damaged while the service runs.
    std::fs::write(name(3), "").unwrap();
    assert_eq!(drop_box.read(&machine.owner.public(), &all[3].id()), None);
    assert_eq!(drop_box.notices().len(), 1);
    assert_eq!(drop_box.read(&machine.owner.public(), &all[2].id()).unwrap(), all[2]);
}

#[test]
fn two_processes_do_not_share_a_drop_box() {
    let machine = Machine::new();
    let drop_box = machine.open();
    let told = DropBox::open(&Store::at(&machine.dir), machine.now).unwrap_err().to_string();
    assert!(told.contains("another drop box runs already"), "{told}");
    drop(drop_box);
    machine.open();
}

/// The name under which the test below runs itself, with files that cannot grow.
const CROWDED: &str = "KEYWIRE_TEST_CROWDED";

#[test]
fn a_full_disk_holds_nothing_more_loses_nothing_and_goes_on_later() {
    if let Ok(dir) = std::env::var(CROWDED) {
        let machine = Machine::at(dir.into());
        let drop_box = machine.open();
        let large = sealed_of(2, "large", 20_000);
        let told = drop_box.hold(&machine.ticket(2, HOUR), &large, &machine.allowed, machine.now).unwrap_err();
        assert!(told.to_string().ends_with(".json: file too large"), "{told}");
        assert_eq!(machine.list(&drop_box), [sealed(1, "small").id()]);
        // It is not ours to remove.
        std::mem::forget(machine);
        return;
    }
    let machine = Machine::new();
    let ticket = machine.ticket(2, HOUR);
    assert_eq!(machine.hold(&machine.open(), &ticket, &sealed(1, "small")), Ok(()));
    let before = files(&machine.dir);
    let name = "inbox::dropbox::tests::a_full_disk_holds_nothing_more_loses_nothing_and_goes_on_later";
    // In blocks of 512 bytes.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact \"$1\" --nocapture";
    let this = std::env::current_exe().unwrap();
    let child = Command::new("sh").arg("-c").arg(script).arg(this).arg(name).env(CROWDED, &machine.dir).output();
    let child = child.unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(files(&machine.dir), before);
    let large = sealed_of(2, "large", 20_000);
    let drop_box = machine.open();
    assert_eq!(machine.hold(&drop_box, &ticket, &large), Ok(()));
    assert_eq!(drop_box.read(&machine.owner.public(), &large.id()).unwrap(), large);
}
