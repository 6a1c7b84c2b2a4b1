//! The state directory: what is refused, what is never harmed, and what keywire-files(5) promises about it.

mod chat;
mod crowd;
mod death;
mod drop;
mod faults;
mod inbox;
mod groups;
mod page;
mod shown;

use crate::sandbox::{Done, User, binary};
use keywire::identity::IdentityFile;
use keywire::key::KeyPair;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

fn new_key() -> String {
    KeyPair::generate().unwrap().public().to_string()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// A user with `alice` in the address book and on the allowlist.
fn user_with_state() -> User {
    let user = User::new();
    user.run("kw-peers", ["add", "alice", &format!("{}@host:2022", new_key())]).succeeds();
    user.run("kw-peers", ["allow", "alice", "exec"]).succeeds();
    user
}

/// Runs kw-peers; a run that hangs is killed, and fails the test by it.
fn in_time<const N: usize>(user: &User, args: [&str; N]) -> Done {
    let mut command = Command::new("timeout");
    Done::of(command.args(["-s", "KILL", "20", binary("kw-peers")]).args(args).env("KEYWIRE_HOME", user.home()))
}

/// A reading and a changing command for each file that kw-peers keeps.
const COMMANDS: [(&str, [&str; 1], [&str; 3]); 2] =
    [("peers.json", ["list"], ["rename", "alice", "Alice"]), ("allow.json", ["rules"], ["allow", "alice", "pipe"])];

#[test]
fn a_file_that_cannot_be_used_is_named_and_left_as_it_is() {
    let user = user_with_state();
    for (name, reading, changing) in COMMANDS {
        let path = user.home().join(name);
        let sound = fs::read_to_string(&path).unwrap();
        let rows = if name == "peers.json" { "peers" } else { "rules" };
        let damaged = [
            ("empty", String::new()),
            ("blank", "\n".to_owned()),
            ("cut in the middle", sound[..sound.len() / 2].to_owned()),
            ("without its last brace", sound.trim_end().trim_end_matches('}').to_owned()),
            ("garbage", "\0\u{1}\u{2}garbage".to_owned()),
            ("more after the end", format!("{sound}{{}}")),
            ("a list", "[]".to_owned()),
            ("without a version", sound.replace("\"version\": 1,", "")),
            ("a version that is text", sound.replace("\"version\": 1", "\"version\": \"1\"")),
            ("an old version", sound.replace("\"version\": 1", "\"version\": 0")),
            ("a field twice", sound.replace("\"version\": 1,", &format!("\"version\": 1, \"{rows}\": [],"))),
            ("a field twice in a row", sound.replace("\"key\":", "\"key\": null, \"key\":")),
            ("an unknown field", sound.replace("\"version\": 1,", "\"version\": 1, \"more\": 1,")),
            ("an unknown field in a row", sound.replace("\"key\":", "\"kex\": 1, \"key\":")),
            ("a wrong key", sound.replace("\"kw1", "\"kw1q")),
            ("a name that cannot be one", sound.replace("\"alice\"", "\"a lice\"")),
            ("nested deeply", format!("{{\"version\": 1, \"{rows}\": {}", "[".repeat(1 << 20))),
            ("nested deeply at the top", "[".repeat(1 << 20)),
            ("nested deeply where nothing belongs", format!("{{\"x\": {}", "{\"x\":".repeat(1 << 20))),
            ("20 MB", format!("{sound}{}", " ".repeat(20 << 20))),
        ];
        for (what, text) in damaged {
            assert_ne!(text, sound, "{what}");
            fs::write(&path, &text).unwrap();
            for done in [in_time(&user, reading), in_time(&user, changing)] {
                let done = done.fails(5, &format!("{} cannot be used: ", path.display()));
                assert!(done.stderr.contains("hint: mend it") && done.stderr.len() < 1000, "{what}: {done:?}");
            }
            assert!(fs::read(&path).unwrap() == text.as_bytes(), "{what}: the file was changed");
        }
        fs::write(&path, sound.replace("\"version\": 1", "\"version\": 2, \"new\": {}")).unwrap();
        in_time(&user, changing).fails(5, "has version 2 of its format; this program knows version 1");
        fs::write(&path, &sound).unwrap();
        in_time(&user, changing).succeeds();
    }
}

#[test]
fn a_file_larger_than_memory_is_refused_without_being_read() {
    let user = user_with_state();
    let path = user.home().join("peers.json");
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    in_time(&user, ["list"]).fails(5, "it is larger than 16 MiB");
}

#[test]
fn rows_that_contradict_each_other_are_refused() {
    let user = user_with_state();
    let again = |name: &str, from: &str, to: &str| {
        let path = user.home().join(name);
        let text = fs::read_to_string(&path).unwrap();
        let row = text.split_once('[').unwrap().1.rsplit_once(']').unwrap().0;
        fs::write(&path, text.replacen(row, &format!("{row},{}", row.replace(from, to)), 1)).unwrap();
        text
    };
    let sound = again("peers.json", "", "");
    in_time(&user, ["list"]).fails(5, "the name 'alice' stands in it twice");
    fs::write(user.home().join("peers.json"), sound).unwrap();
    let sound = again("peers.json", "alice", "bob");
    in_time(&user, ["list"]).fails(5, "stands in it twice");
    fs::write(user.home().join("peers.json"), sound).unwrap();
    again("allow.json", "", "");
    in_time(&user, ["rules"]).fails(5, "there are two rules for kw1");
}

#[test]
fn a_damaged_identity_is_named_left_alone_and_never_quoted() {
    let user = User::new();
    fs::create_dir(user.home()).unwrap();
    let path = user.home().join("identity.json");
    let file = IdentityFile::locate(Some(&path)).unwrap();
    let keys = KeyPair::generate().unwrap();
    file.create(&keys, None).unwrap();
    let sound = fs::read_to_string(&path).unwrap();
    let secret = keys.secret().expose_text().unwrap();
    for text in [
        String::new(),
        sound[..sound.len() - 20].to_owned(),
        sound.replace("\"secret\"", "\"sealed\""),
        sound.replace("\"version\": 1", &format!("\"version\": \"{}\"", secret.as_str())),
        sound.replace("\"secret\": ", &format!("\"{}\": ", secret.as_str())),
        sound.replace("\"version\": 1", "\"version\": 2"),
    ] {
        fs::write(&path, &text).unwrap();
        let error = file.public().unwrap_err();
        let said = format!("{error} {:?}", error.hints());
        assert_eq!(error.kind().exit_status(), 5);
        assert!(said.contains(path.to_str().unwrap()) && !said.contains(&secret[20..40]), "{said}");
        assert!(file.create(&keys, None).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

/// What may lie where a state file belongs, and is none.
const ODDITIES: [&str; 5] = ["a directory", "a FIFO", "a symbolic link", "a symbolic link to nothing", "a socket"];

fn put(oddity: &str, path: &Path, target: &Path) {
    match oddity {
        "a directory" => fs::create_dir(path).unwrap(),
        "a FIFO" => drop(Done::of(Command::new("mkfifo").arg(path)).succeeds()),
        "a symbolic link" => std::os::unix::fs::symlink(target, path).unwrap(),
        "a symbolic link to nothing" => std::os::unix::fs::symlink("nowhere", path).unwrap(),
        _ => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
    }
}

#[test]
fn what_is_no_file_of_ours_is_refused_where_state_belongs() {
    let user = user_with_state();
    let elsewhere = user.file("elsewhere");
    for (name, reading, changing) in COMMANDS {
        let path = user.home().join(name);
        let sound = fs::read(&path).unwrap();
        fs::write(&elsewhere, &sound).unwrap();
        for oddity in ODDITIES {
            fs::remove_file(&path).unwrap();
            put(oddity, &path, &elsewhere);
            let before = fs::symlink_metadata(&path).unwrap().ino();
            in_time(&user, reading).fails(5, path.to_str().unwrap());
            in_time(&user, changing).fails(5, "nothing was changed");
            assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before, "{oddity} was replaced");
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            fs::write(&path, &sound).unwrap();
        }
        assert_eq!(fs::read(&elsewhere).unwrap(), sound);
    }
    let lock = user.home().join(".lock");
    for oddity in ODDITIES {
        fs::remove_file(&lock).unwrap();
        put(oddity, &lock, &elsewhere);
        let done = in_time(&user, ["rename", "alice", "bob"]).fails(5, "nothing was changed");
        assert!(done.stderr.contains(".lock"), "{oddity}: {done:?}");
        let _ = fs::remove_file(&lock).or_else(|_| fs::remove_dir(&lock));
        fs::write(&lock, "").unwrap();
    }
    assert!(!user.home().join("nowhere").exists());
}

#[test]
fn a_planted_temporary_file_is_not_written_through() {
    let user = user_with_state();
    let victim = user.file("victim");
    fs::write(&victim, "precious").unwrap();
    let temporary = user.home().join(".peers.json.tmp");
    for name in ["bob", "carol"] {
        match name {
            "bob" => std::os::unix::fs::symlink(&victim, &temporary).unwrap(),
            _ => fs::hard_link(&victim, &temporary).unwrap(),
        }
        in_time(&user, ["add", name, &new_key()]).succeeds();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(fs::symlink_metadata(&temporary).is_err());
    }
    assert_eq!(in_time(&user, ["list"]).stdout.lines().count(), 3);
}

#[test]
fn a_backup_by_hard_link_keeps_the_old_state() {
    let user = user_with_state();
    let (path, backup) = (user.home().join("peers.json"), user.file("backup"));
    let before = fs::read(&path).unwrap();
    fs::hard_link(&path, &backup).unwrap();
    in_time(&user, ["rename", "alice", "bob"]).succeeds();
    assert_eq!(fs::read(&backup).unwrap(), before);
    assert_ne!(fs::read(&path).unwrap(), before);
    fs::rename(&backup, &path).unwrap();
    assert!(in_time(&user, ["list"]).succeeds().stdout.starts_with("alice "));
}

#[test]
fn files_are_made_for_their_owner_alone_under_any_umask() {
    for umask in ["000", "022", "077"] {
        let user = User::new();
        let key = new_key();
        for args in [["add", "alice", key.as_str()], ["allow", "alice", "exec"]] {
            let script = format!("umask {umask}; exec \"$0\" \"$@\"");
            let mut shell = Command::new("sh");
            shell.args(["-c", &script, binary("kw-peers")]).args(args).env("KEYWIRE_HOME", user.home());
            Done::of(&mut shell).succeeds();
        }
        assert_eq!(mode(&user.home()), 0o700, "umask {umask}");
        for name in [".lock", "peers.json", "allow.json"] {
            assert_eq!(mode(&user.home().join(name)), 0o600, "{name} under umask {umask}");
        }
        assert_eq!(fs::read_dir(user.home()).unwrap().count(), 3);
    }
}

#[test]
fn what_others_may_write_is_refused_and_how_to_mend_it_is_said() {
    let user = user_with_state();
    let path = user.home().join("allow.json");
    for (wrong, path) in [(0o770, user.home()), (0o707, user.home()), (0o620, path.clone()), (0o602, path)] {
        let right = mode(&path);
        fs::set_permissions(&path, Permissions::from_mode(wrong)).unwrap();
        let done = in_time(&user, ["rules"]).fails(5, "others may write");
        assert!(done.stderr.contains(&format!("hint: take that away: chmod go= {}", path.display())), "{done:?}");
        in_time(&user, ["allow", "alice", "pipe"]).fails(5, "others may write");
        assert_eq!(mode(&path), wrong, "the mode was changed");
        fs::set_permissions(&path, Permissions::from_mode(right)).unwrap();
    }
    in_time(&user, ["rules"]).succeeds();
}

#[test]
fn an_identity_that_others_may_read_is_refused() {
    let user = User::new();
    fs::create_dir(user.home()).unwrap();
    let path = user.home().join("identity.json");
    let file = IdentityFile::locate(Some(&path)).unwrap();
    file.create(&KeyPair::generate().unwrap(), None).unwrap();
    assert_eq!(mode(&path), 0o600);
    for wrong in [0o640, 0o604, 0o644, 0o660] {
        fs::set_permissions(&path, Permissions::from_mode(wrong)).unwrap();
        let error = file.public().unwrap_err();
        assert!(error.to_string().starts_with("others may "), "{error}");
    }
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    let user = user_with_state();
    if !nix::unistd::geteuid().is_root() {
        // Root's directory is somebody else's too, and needs no chown.
        let done = Done::of(user.command("kw-peers").env("KEYWIRE_HOME", "/usr").arg("list"));
        done.fails(5, "/usr belongs to another user");
        return;
    }
    for path in [user.home().join("peers.json"), user.home()] {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        in_time(&user, ["list"]).fails(5, &format!("{} belongs to another user", path.display()));
        in_time(&user, ["add", "bob", &new_key()]).fails(5, "belongs to another user");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
}

#[test]
fn a_state_directory_that_is_a_link_or_a_file_is_refused() {
    let user = user_with_state();
    let (link, file) = (user.file("link"), user.file("file"));
    std::os::unix::fs::symlink(user.home(), &link).unwrap();
    fs::write(&file, "").unwrap();
    for path in [link, file] {
        let done = Done::of(user.command("kw-peers").env("KEYWIRE_HOME", &path).arg("list"));
        done.fails(5, "is not a directory of its own");
    }
    let done = Done::of(user.command("kw-peers").env("KEYWIRE_HOME", user.file("no/parent")).arg("list"));
    done.fails(5, "cannot create");
}

#[test]
fn without_keywire_home_the_state_lies_in_the_home_directory() {
    let user = User::new();
    fs::create_dir(user.home()).unwrap();
    for empty in [false, true] {
        let mut command = user.command("kw-peers");
        command.env_remove("KEYWIRE_HOME").env("HOME", user.home()).arg("list");
        if empty {
            command.env("KEYWIRE_HOME", "");
        }
        Done::of(&mut command).succeeds();
        let made = user.home().join(".keywire");
        assert_eq!(mode(&made), 0o700);
        fs::remove_dir_all(made).unwrap();
    }
}

#[test]
fn the_lock_stays_the_same_empty_file_through_all_changes() {
    let user = user_with_state();
    let lock = user.home().join(".lock");
    let before = fs::metadata(&lock).unwrap().ino();
    in_time(&user, ["add", "bob", &new_key()]).succeeds();
    in_time(&user, ["remove", "bob"]).succeeds();
    let after = fs::metadata(&lock).unwrap();
    assert_eq!((after.ino(), after.len()), (before, 0));
}
