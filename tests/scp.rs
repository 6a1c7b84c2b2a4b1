//! kw-scp and kw-ptyd over a real connection: what lands where, what is kept of it, and what is left when something goes
//! wrong on the way.

mod cut;
mod faults;
mod lands;
mod links;
mod programs;
mod resume;
mod rights;
mod trees;

use crate::sandbox::{Dir, Done, Running, User, binary};
use nix::unistd::{Gid, Uid, chown};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Permissions};
use std::hash::{Hash, Hasher};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Seconds after which a copy that still runs hangs, and is killed by timeout(1), so that its test fails.
const PATIENCE: &str = "60";

/// Who the programs are where root could do too much.
const NOBODY: u32 = 65_534;

/// When everything in a sample was changed, with a part of a second.
pub const LONG_AGO: Duration = Duration::new(1_234_567_890, 123_456_789);

/// A host and a guest whom it lets in, with a folder each: `there` and `here`. The guest calls the host `box`.
pub struct Ends {
    /// It ends before its folder goes, and does not write it anew.
    pub daemon: Running,
    pub host: User,
    pub guest: User,
    /// `KEY@HOST:PORT`.
    pub address: String,
    unprivileged: bool,
    dir: Dir,
}

impl Ends {
    /// A host that gives the guest every right.
    pub fn new() -> Self {
        Ends::with(&["shell"], &[])
    }

    /// The same with a rule as `kw-peers allow` makes it, and options for the host.
    pub fn with(rule: &[&str], options: &[&str]) -> Self {
        Ends::make(rule, options, false, &[])
    }

    /// The same, and no program is root.
    pub fn unprivileged() -> Self {
        Ends::make(&["shell"], &[], true, &[])
    }

    /// The same with words in front of the host's own command line.
    pub fn behind(words: &[&str]) -> Self {
        Ends::make(&["shell"], &[], false, words)
    }

    fn make(rule: &[&str], options: &[&str], unprivileged: bool, words: &[&str]) -> Self {
        let (dir, host, guest) = (Dir::new(), User::with_key(), User::with_key());
        for name in ["here", "there"] {
            fs::create_dir(dir.join(name)).unwrap();
        }
        let rule = rule.iter().map(|word| word.replace("$THERE", dir.join("there").to_str().unwrap()));
        Done::of(host.command("kw-peers").args(["allow", &guest.key()]).args(rule)).succeeds();
        if unprivileged {
            [&host.file("."), &guest.file("."), dir.path()].into_iter().for_each(give_away);
        }
        let (daemon, address) = start(&host, options, unprivileged, words);
        let mut add = guest.command("kw-peers");
        drop_privileges(add.args(["add", "box", &address]), unprivileged);
        Done::of(&mut add).succeeds();
        Ends { daemon, host, guest, address, unprivileged, dir }
    }

    /// A place on the guest's side.
    pub fn here(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join("here").join(name)
    }

    /// A place on the host's side.
    pub fn there(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join("there").join(name)
    }

    /// A place of neither's.
    pub fn aside(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// A place on the host's side, as a word for kw-scp.
    pub fn at(&self, name: impl AsRef<Path>) -> OsString {
        at("box", &self.there(name))
    }

    /// kw-scp in the folder `here`, ready to be given arguments.
    pub fn command(&self) -> Command {
        let mut command = self.guest.command("kw-scp");
        drop_privileges(command.current_dir(self.here("")), self.unprivileged);
        command
    }

    /// The same under timeout(1), so that it cannot hang.
    pub fn patient(&self) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", PATIENCE, binary("kw-scp")]).current_dir(self.here("")).env_remove("LC_ALL");
        command.env("KEYWIRE_HOME", self.guest.home()).stdin(std::process::Stdio::null());
        drop_privileges(&mut command, self.unprivileged);
        command
    }

    /// Runs kw-scp to its end.
    pub fn scp<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Done {
        Done::of(self.patient().args(args))
    }

    /// Copies `from` here to `to` there.
    pub fn up(&self, options: &[&str], from: impl AsRef<Path>, to: impl AsRef<Path>) -> Done {
        Done::of(self.patient().args(options).arg("--").arg(self.here(from)).arg(self.at(to)))
    }

    /// Copies `from` there to `to` here.
    pub fn down(&self, options: &[&str], from: impl AsRef<Path>, to: impl AsRef<Path>) -> Done {
        Done::of(self.patient().args(options).arg("--").arg(self.at(from)).arg(self.here(to)))
    }

    /// The same in the direction `up` says: from one side's `from` to the other side's `to`.
    pub fn across(&self, up: bool, options: &[&str], from: &str, to: &str) -> Done {
        if up { self.up(options, from, to) } else { self.down(options, from, to) }
    }

    /// Where a copy in that direction comes from and goes to.
    pub fn sides(&self, up: bool) -> [PathBuf; 2] {
        if up { [self.here(""), self.there("")] } else { [self.there(""), self.here("")] }
    }

    /// How many sessions the host has ended, by its audit log.
    pub fn sessions(&self) -> usize {
        let text = fs::read_to_string(self.host.home().join("ptyd.audit.jsonl")).unwrap_or_default();
        text.lines().count()
    }

    /// Starts the host anew, at another address.
    pub fn restart(&mut self) {
        let _ = self.daemon.child.kill();
        let (daemon, address) = start(&self.host, &[], self.unprivileged, &[]);
        self.daemon = daemon;
        self.move_to(&address);
    }

    /// Lets the guest find the host at another address.
    pub fn move_to(&mut self, address: &str) {
        self.address = address.to_owned();
        for args in [&["remove", "box"][..], &["add", "box", address]] {
            let mut command = self.guest.command("kw-peers");
            drop_privileges(command.args(args), self.unprivileged);
            Done::of(&mut command).succeeds();
        }
    }

    /// Hands everything on both sides to whoever the programs are.
    pub fn give_away(&self) {
        if self.unprivileged {
            [self.here(""), self.there("")].iter().for_each(|side| give_away(side));
        }
    }
}

/// `HOST:PATH`.
pub fn at(host: &str, path: &Path) -> OsString {
    OsString::from_vec([host.as_bytes(), b":", path.as_os_str().as_bytes()].concat())
}

fn start(host: &User, options: &[&str], unprivileged: bool, words: &[&str]) -> (Running, String) {
    let log = File::create(host.file("log")).unwrap();
    let mut command = match words.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(binary("kw-ptyd")).env("KEYWIRE_HOME", host.home());
            command
        }
        None => host.command("kw-ptyd"),
    };
    command.args(["--listen", "127.0.0.1:0"]).args(options).stderr(log);
    drop_privileges(&mut command, unprivileged);
    let mut daemon = Running::start(&mut command);
    let address = daemon.address();
    (daemon, address)
}

/// Runs a program as nobody if this is root.
fn drop_privileges(command: &mut Command, unprivileged: bool) {
    if unprivileged && Uid::effective().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Hands a tree to nobody if this is root.
fn give_away(path: &Path) {
    if !Uid::effective().is_root() {
        return;
    }
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        if fs::symlink_metadata(&path).unwrap().is_symlink() {
            continue;
        }
        chown(&path, Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY))).unwrap();
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

/// Something in a tree. A directory has no contents, a symbolic link no more than its target, and a thing of another kind
/// nothing at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub kind: char,
    pub mode: u32,
    /// Seconds and nanoseconds; none if it was changed just now.
    pub changed: Option<(i64, i64)>,
    pub sum: u64,
}

pub type Tree = BTreeMap<OsString, Node>;

/// All that is below `root`, by its name: two trees are the same if they are equal.
#[track_caller]
pub fn tree(root: &Path) -> Tree {
    let mut nodes = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    let today = SystemTime::now() - Duration::from_secs(86_400);
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
        for path in entries.map(|entry| entry.unwrap().path()) {
            let found = fs::symlink_metadata(&path).unwrap();
            let (kind, contents) = match found.mode() & 0o170_000 {
                0o040_000 => ('d', Vec::new()),
                0o100_000 => ('f', fs::read(&path).unwrap()),
                0o120_000 => ('l', fs::read_link(&path).unwrap().into_os_string().into_vec()),
                _ => ('?', Vec::new()),
            };
            let old = found.modified().unwrap() < today;
            let changed = (old && kind != 'l').then(|| (found.mtime(), found.mtime_nsec()));
            let mode = if kind == 'l' { 0 } else { found.mode() & 0o7777 };
            let mut sum = DefaultHasher::new();
            contents.hash(&mut sum);
            let name = path.strip_prefix(root).unwrap().as_os_str().to_owned();
            nodes.insert(name, Node { kind, mode, changed, sum: sum.finish() });
            if kind == 'd' {
                folders.push(path);
            }
        }
    }
    nodes
}

/// What is not the same in two trees, a line each; nothing if they are equal.
pub fn differences(one: &Tree, other: &Tree) -> String {
    let names: BTreeSet<&OsString> = one.keys().chain(other.keys()).collect();
    let other_than = |name: &&&OsString| one.get(**name) != other.get(**name);
    let lines = names
        .iter()
        .filter(other_than)
        .map(|name| format!("{}: {:?} and {:?}\n", name.display(), one.get(*name), other.get(*name)));
    lines.collect()
}

/// The names of a tree.
pub fn names(tree: &Tree) -> Vec<String> {
    tree.keys().map(|name| name.to_string_lossy().into_owned()).collect()
}

/// The same with whole seconds, for programs that keep no more.
pub fn to_seconds(mut tree: Tree) -> Tree {
    for node in tree.values_mut() {
        node.changed = node.changed.map(|(seconds, _)| (seconds, 0));
    }
    tree
}

/// Names that have gone wrong somewhere.
pub fn odd_names() -> Vec<Vec<u8>> {
    let names: [&[u8]; 28] = [
        b"plain",
        b"a space",
        b" ",
        b"trailing ",
        b"new\nline",
        b"\n",
        b"tab\t",
        b"cr\r",
        b"'",
        b"\"",
        b"quotes '\"",
        b"`touch ran`",
        b"$(touch ran)",
        b";touch ran;",
        b"$HOME",
        b"~",
        b"-dash",
        b"--",
        b"*",
        b"[x]",
        b"a:b",
        b"back\\slash",
        b"...",
        b".hidden",
        b"latin1 \xe9",
        b"\xff\xfe\x01",
        "gr\u{fc}n \u{202e}".as_bytes(),
        b"\x1b]0;x\x07",
    ];
    names.into_iter().map(<[u8]>::to_vec).chain([vec![b'l'; 255], vec![0xe9; 255]]).collect()
}

/// Files and folders, empty ones and full ones, with every kind of name, mode and time; no links.
pub fn sample(root: &Path) {
    let inner = root.join("in a folder");
    for folder in ["in a folder/empty", "empty", "deep/er/still"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (number, name) in (0_u32..).zip(odd_names()) {
        let name = OsStr::from_bytes(&name);
        write(&root.join(name), name.as_bytes(), 0o600 | number);
        write(&inner.join(name), &vec![0x40; number as usize * 1000], 0o644);
        age(&inner.join(name), LONG_AGO + Duration::new(number.into(), number));
    }
    for (name, size) in [("one", 1), ("record", 65_519), ("large", 300_000), ("batch", 2_100_000)] {
        write(&inner.join(name), &crate::pty::random(size), 0o600);
    }
    write(&root.join("none"), b"", 0o640);
    write(&root.join("program"), b"#!/bin/sh\necho done\n", 0o755);
    write(&root.join("before 1970"), b"old", 0o644);
    let before = SystemTime::UNIX_EPOCH - Duration::new(1_000_000, 5);
    File::open(root.join("before 1970")).unwrap().set_times(FileTimes::new().set_modified(before)).unwrap();
    let folders = [
        ("in a folder/empty", 0o700),
        ("in a folder", 0o711),
        ("empty", 0o755),
        ("deep/er/still", 0o750),
        ("deep/er", 0o755),
        ("deep", 0o705),
    ];
    for (folder, mode) in folders.into_iter().chain([("", 0o750)]) {
        fs::set_permissions(root.join(folder), Permissions::from_mode(mode)).unwrap();
        age(&root.join(folder), LONG_AGO);
    }
}

/// Writes a file of [`LONG_AGO`].
pub fn write(path: &Path, contents: &[u8], mode: u32) {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    age(path, LONG_AGO);
}

/// Makes it so old.
pub fn age(path: &Path, since_1970: Duration) {
    let changed = SystemTime::UNIX_EPOCH + since_1970;
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(changed)).unwrap();
}

/// Bytes on disk.
pub fn on_disk(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

/// The names in a folder that are there while or because a copy did not come to its end.
pub fn parts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().as_bytes().starts_with(b".kw-")).collect()
}

/// Checks that whoever reads this at a terminal is safe from it.
#[track_caller]
pub fn is_harmless(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|_| panic!("no text: {}", bytes.escape_ascii()));
    for letter in text.chars() {
        let bad =
            (letter.is_control() && !matches!(letter, '\n' | '\t')) || ('\u{202a}'..='\u{202e}').contains(&letter);
        assert!(!bad, "{letter:?} in {text:?}");
    }
}
