//! kw-keygen: the identity file from its making to its end; below this, what is asked on a terminal and what is shown.

mod shown;
mod terminal;

use crate::sandbox::{Done, User};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Stdio;

/// RFC 7748 section 6.1: the key pair of Alice, and the public key of Bob.
const ALICE: &str = "kw1s5s0qzvfxzn4gayt0hwtg0hhtgxm7wsdycup4a8t5j5ca25mfe4q9c4tca";
const ALICE_SECRET: &str = "kwsecret1wurk6znnrzjh60qkc9e9rvnxgh05ctu8a0qfj243wla628de9s4qerxr0z";
const BOB: &str = "kw1m60dkltm0hqmf56mv8pweep4xulcxs7gtduxwnddl3lpgmug9d8spqefhv";

const FIRST: &str = "first passphrase";
const SECOND: &str = "a second one, mit ümlaut";

/// Runs kw-keygen to its end. Whatever a test is about, no secret key may be seen.
fn keygen(user: &User, args: &[&str]) -> Done {
    let done = user.run("kw-keygen", args);
    // An error may name the prefix of a secret key in the place of one, and no more.
    let seen = format!("{}{}", done.stdout, done.stderr).to_lowercase().replace("'kwsecret1...'", "");
    for secret in ["kwsecret1", ALICE_SECRET.trim_start_matches("kwsecret1"), FIRST, SECOND] {
        assert!(!seen.contains(secret), "{done:?}");
    }
    done
}

fn json(done: &Done) -> serde_json::Value {
    assert_eq!(done.stdout.lines().count(), 1, "{done:?}");
    serde_json::from_str(&done.stdout).unwrap()
}

fn identity(user: &User) -> PathBuf {
    user.home().join("identity.json")
}

/// A user whose identity file holds `text`.
fn user_with(text: &str) -> User {
    let user = User::new();
    DirBuilder::new().mode(0o700).create(user.home()).unwrap();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(identity(&user)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    user
}

fn alice() -> User {
    user_with(&format!(r#"{{"version": 1, "public": "{ALICE}", "secret": "{ALICE_SECRET}"}}"#))
}

/// A file of `user` with a passphrase on its first line.
fn passphrase_file(user: &User, passphrase: &str) -> String {
    let file = user.file(&format!("passphrase {}", passphrase.len()));
    fs::write(&file, format!("{passphrase}\nnot this line\n")).unwrap();
    file.into_os_string().into_string().unwrap()
}

/// A user with a new key pair that is sealed under [`FIRST`], and the file with that passphrase.
fn sealed() -> (User, String) {
    let user = User::new();
    let first = passphrase_file(&user, FIRST);
    keygen(&user, &["new", "--passphrase-file", &first]).succeeds();
    (user, first)
}

/// Alice, with Bob in her address book.
fn with_bob() -> User {
    let user = alice();
    let book = format!(
        r#"{{"version": 1, "peers": [{{"name": "bob", "key": "{BOB}", "addresses": [], "added": "2026-11-21T00:00:00Z"}}]}}"#
    );
    fs::write(user.home().join("peers.json"), book).unwrap();
    fs::set_permissions(user.home().join("peers.json"), Permissions::from_mode(0o600)).unwrap();
    user
}

#[test]
fn new_makes_a_private_file_in_a_private_directory_and_prints_the_key() {
    let user = User::new();
    let made = keygen(&user, &["new"]).succeeds();
    assert_eq!(made.stderr, format!("made {}\n", identity(&user).display()));
    assert_eq!(fs::metadata(identity(&user)).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(user.home()).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(keygen(&user, &["show"]).succeeds().stdout, made.stdout);
    assert_eq!(keygen(&user, &["check", made.stdout.trim_end()]).succeeds().stdout, made.stdout);
}

#[test]
fn new_refuses_to_overwrite_anything() {
    let user = User::with_key();
    let before = fs::read(identity(&user)).unwrap();
    keygen(&user, &["new"]).fails(5, "already");
    // Refused before anybody is asked for a passphrase: there is no terminal here.
    keygen(&user, &["new", "--passphrase"]).fails(5, "already");
    assert_eq!(fs::read(identity(&user)).unwrap(), before);

    for odd in ["", "{}", "not ours"] {
        let user = user_with(odd);
        keygen(&user, &["new"]).fails(5, "already");
        assert_eq!(fs::read_to_string(identity(&user)).unwrap(), odd);
    }
}

#[test]
fn of_eight_that_make_a_key_pair_at_once_one_wins() {
    let user = User::new();
    let start = || user.command("kw-keygen").arg("new").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let all: Vec<_> = std::iter::repeat_with(start).take(8).collect();
    let ended: Vec<_> = all.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let winners: Vec<_> = ended.iter().filter(|one| one.status.success()).collect();
    assert_eq!(winners.len(), 1, "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&winners[0].stdout).trim_end(), user.key());
    assert!(ended.iter().all(|one| one.status.success() || one.status.code() == Some(5)), "{ended:?}");
}

#[test]
fn a_key_pair_is_made_even_if_nobody_reads_what_is_said_about_it() {
    let user = User::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let made = Done::of(user.command("kw-keygen").arg("new").stderr(writer)).succeeds();
    assert_eq!(made.stdout.trim_end(), user.key());
}

#[test]
fn an_identity_can_be_kept_in_any_file() {
    let user = User::new();
    let elsewhere = user.file("elsewhere.json").into_os_string().into_string().unwrap();
    let made = keygen(&user, &["new", "--identity", &elsewhere, "--json"]).succeeds();
    assert_eq!(json(&made)["file"], elsewhere.as_str());
    assert_eq!(keygen(&user, &["show", "-i", &elsewhere]).succeeds().stdout.trim_end(), json(&made)["key"]);
    assert!(!identity(&user).exists());
    keygen(&user, &["show"]).fails(5, "kw-keygen new");
}

#[test]
fn an_identity_that_others_may_read_is_refused_with_the_way_out() {
    let user = User::with_key();
    for mode in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(identity(&user), Permissions::from_mode(mode)).unwrap();
        for command in ["show", "passphrase"] {
            keygen(&user, &[command]).fails(5, "chmod go= ");
        }
    }
}

#[test]
fn a_state_directory_may_be_readable_but_not_writable_by_others() {
    let user = User::with_key();
    fs::set_permissions(user.home(), Permissions::from_mode(0o755)).unwrap();
    keygen(&user, &["show"]).succeeds();
    for mode in [0o770, 0o702] {
        fs::set_permissions(user.home(), Permissions::from_mode(mode)).unwrap();
        keygen(&user, &["show"]).fails(5, "others may write");
    }
}

#[test]
fn a_symbolic_link_is_not_followed_to_an_identity() {
    let (user, other) = (User::with_key(), User::new());
    DirBuilder::new().mode(0o700).create(other.home()).unwrap();
    std::os::unix::fs::symlink(identity(&user), identity(&other)).unwrap();
    keygen(&other, &["show"]).fails(5, "symbolic link");
    keygen(&other, &["new"]).fails(5, "already");
    fs::remove_file(identity(&user)).unwrap();
    keygen(&other, &["new"]).fails(5, "already");
    assert!(!identity(&user).exists());
}

#[test]
fn a_damaged_identity_is_named_and_left_as_it_is() {
    let whole = format!(r#"{{"version": 1, "public": "{ALICE}", "secret": "{ALICE_SECRET}"}}"#);
    let cases = [
        (String::new(), "it is empty"),
        (whole[..whole.len() / 2].to_owned(), "cannot be used"),
        ("\u{0}\u{7f}garbage".to_owned(), "cannot be used"),
        (whole.replace("\"version\": 1", "\"version\": 2"), "version 2"),
        (format!(r#"{{"version": 1, "public": "{ALICE}"}}"#), "either"),
        (whole.replace(ALICE, ALICE_SECRET), "cannot be used"),
        (whole.replace(ALICE_SECRET, &ALICE_SECRET.replace("wurk", "wurq")), "secret"),
        (whole.replace(ALICE, BOB), "the secret of another"),
        (whole.replace('}', ", \"more\": 1}"), "damaged"),
        (whole.replace(": 1,", &format!(": \"{ALICE_SECRET}\",")), "damaged"),
        (whole.replace("\"secret\"", &format!("\"{ALICE_SECRET}\"")), "damaged"),
    ];
    for (text, problem) in cases {
        let user = user_with(&text);
        let new = passphrase_file(&user, SECOND);
        for command in [&["show"][..], &["show", "--json"], &["passphrase", "--new-passphrase-file", &new]] {
            let failed = keygen(&user, command).fails(5, problem);
            assert!(failed.stderr.contains(&identity(&user).display().to_string()), "{failed:?}");
        }
        assert_eq!(fs::read_to_string(identity(&user)).unwrap(), text);
    }
}

#[test]
fn a_fifo_or_a_directory_in_the_place_of_an_identity_is_refused_at_once() {
    let user = user_with("");
    fs::remove_file(identity(&user)).unwrap();
    fs::create_dir(identity(&user)).unwrap();
    keygen(&user, &["show"]).fails(5, "not a regular file");
    fs::remove_dir(identity(&user)).unwrap();
    nix::unistd::mkfifo(&identity(&user), nix::sys::stat::Mode::S_IRWXU).unwrap();
    keygen(&user, &["show"]).fails(5, "not a regular file");
}

#[test]
fn a_passphrase_is_set_changed_and_removed_and_the_key_stays() {
    let user = alice();
    let (first, second) = (passphrase_file(&user, FIRST), passphrase_file(&user, SECOND));
    let stored = || fs::read_to_string(identity(&user)).unwrap();
    let is_sealed = || json(&keygen(&user, &["show", "--json"]).succeeds())["sealed"].clone();

    let set = keygen(&user, &["passphrase", "--new-passphrase-file", &first, "--json"]).succeeds();
    assert!(set.stderr.starts_with("set a passphrase for"), "{set:?}");
    assert_eq!((json(&set)["key"].as_str(), json(&set)["sealed"].as_bool()), (Some(ALICE), Some(true)));
    assert!(!stored().contains("kwsecret1"));

    let change = ["passphrase", "--passphrase-file", &first, "--new-passphrase-file", &second];
    assert!(keygen(&user, &change).succeeds().stderr.starts_with("changed"));
    keygen(&user, &change).fails(5, "wrong passphrase");
    assert_eq!(is_sealed(), true);

    keygen(&user, &["passphrase", "--remove", "--passphrase-file", &second]).succeeds();
    assert_eq!(is_sealed(), false);
    assert!(stored().contains(ALICE_SECRET));
    keygen(&user, &["passphrase", "--remove"]).fails(1, "has no passphrase");
    assert_eq!(fs::metadata(identity(&user)).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn a_wrong_passphrase_is_said_so_and_changes_nothing() {
    let (user, _) = sealed();
    let before = fs::read(identity(&user)).unwrap();
    let wrong = passphrase_file(&user, "wrong");
    keygen(&user, &["passphrase", "--remove", "--passphrase-file", &wrong]).fails(5, "wrong passphrase for");
    assert_eq!(fs::read(identity(&user)).unwrap(), before);
}

#[test]
fn an_empty_passphrase_is_none() {
    let user = User::new();
    let empty = passphrase_file(&user, "");
    keygen(&user, &["new", "--passphrase-file", &empty]).fails(2, "empty");
    keygen(&user, &["new", "--passphrase-file", "/nonexistent/file"]).fails(5, "/nonexistent/file");
    assert!(!identity(&user).exists());
}

#[test]
fn a_sealed_secret_opens_in_no_other_identity_and_not_with_a_changed_byte() {
    let (user, first) = sealed();
    let text = fs::read_to_string(identity(&user)).unwrap();
    let stored: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut changed = vec![text.replace(&user.key(), ALICE)];
    for field in ["salt", "nonce", "ciphertext"] {
        let hex = stored["sealed"][field].as_str().unwrap();
        let other = if hex.ends_with('0') { "1" } else { "0" };
        changed.push(text.replace(hex, &format!("{}{other}", &hex[..hex.len() - 1])));
    }
    for text in changed {
        let other = user_with(&text);
        keygen(&other, &["passphrase", "--remove", "--passphrase-file", &first]).fails(5, "wrong passphrase");
    }
}

#[test]
fn a_sealed_file_cannot_ask_for_unbounded_work() {
    let (user, first) = sealed();
    let text = fs::read_to_string(identity(&user)).unwrap();
    for (field, modest, huge) in
        [("memory_kib", 65_536, 1 << 21), ("memory_kib", 65_536, u32::MAX), ("passes", 3, u32::MAX), ("lanes", 1, 9)]
    {
        let from = format!("\"{field}\": {modest}");
        assert!(text.contains(&from), "{text}");
        let hostile = user_with(&text.replace(&from, &format!("\"{field}\": {huge}")));
        let change = ["passphrase", "--remove", "--passphrase-file", &first];
        keygen(&hostile, &change).fails(5, "beyond the limits");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    let user = with_bob();
    for (args, problem) in [
        (&[][..], "kw-keygen --help"),
        (&["make"], "make"),
        (&["new", "--overwrite"], "--overwrite"),
        (&["check"], "key"),
        (&["show", "--json", "--qr"], "--qr"),
        (&["show", "--json", "--picture"], "--picture"),
        (&["show", "bob", "--identity", "x"], "--identity"),
        (&["passphrase", "--remove", "--new-passphrase-file", "x"], "--remove"),
        (&["fingerprint", "bob", BOB], "the same key"),
    ] {
        keygen(&user, args).fails(2, problem);
    }
}
