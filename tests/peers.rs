//! kw-peers: the address book and the allowlist, one scenario a test.

use crate::sandbox::{Done, User};
use keywire::identity::IdentityFile;
use keywire::json::{self, Value};
use keywire::key::KeyPair;

fn new_key() -> String {
    KeyPair::generate().unwrap().public().to_string()
}

impl User {
    fn peers<const N: usize>(&self, args: [&str; N]) -> Done {
        self.run("kw-peers", args)
    }

    /// What a command prints as JSON.
    fn peers_json<const N: usize>(&self, args: [&str; N]) -> Value {
        let done = self.peers(args).succeeds();
        json::parse(&done.bytes, 1 << 20).unwrap()
    }

    /// A user whose address book knows `name` by the key that comes back.
    fn who_knows(name: &str) -> (User, String) {
        let (user, key) = (User::new(), new_key());
        user.peers(["add", name, &format!("{key}@host:2022")]).succeeds();
        (user, key)
    }
}

#[test]
fn a_peer_is_added_with_all_its_addresses_and_listed_in_columns() {
    let (user, key, other) = (User::new(), new_key(), new_key());
    let done = user.peers(["add", "alice", &format!("{key}@host:2022"), &format!("{key}@[::1]:7")]).succeeds();
    assert_eq!((done.stdout.as_str(), done.stderr), ("", format!("alice is {key} at host:2022,[::1]:7\n")));
    user.peers(["add", "b", &other]).succeeds();
    let listed = user.peers(["list"]).succeeds().stdout;
    assert_eq!(listed, format!("alice  {key}  host:2022,[::1]:7\nb      {other}\n"));
}

#[test]
fn a_key_as_a_qr_code_spells_it_is_the_same_key() {
    let (user, key) = (User::new(), new_key());
    user.peers(["add", "alice", &key.to_uppercase()]).succeeds();
    assert!(user.peers(["list"]).succeeds().stdout.contains(&key));
}

#[test]
fn adding_a_known_name_again_adds_addresses_once_and_keeps_what_was_there() {
    let (user, key) = User::who_knows("alice");
    user.peers(["add", "alice", &key, "--note", "the desk"]).succeeds();
    for _ in 0..2 {
        user.peers(["add", "ALICE", &format!("{key}@other:9")]).succeeds();
    }
    let list = user.peers_json(["list", "--json"]);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["addresses"], json::json!(["host:2022", "other:9"]));
    assert_eq!((&list[0]["name"], &list[0]["note"]), (&json::json!("alice"), &json::json!("the desk")));
}

#[test]
fn a_name_stands_for_one_key_and_a_key_has_one_name() {
    let (user, key) = User::who_knows("alice");
    let before = std::fs::read(user.home().join("peers.json")).unwrap();
    user.peers(["add", "alice", &new_key()]).fails(1, "'alice' is the name of another key");
    user.peers(["add", "bob", &key]).fails(1, "kw-peers rename alice bob");
    user.peers(["add", "bob", &new_key(), &new_key()]).fails(2, "the keys differ");
    assert_eq!(std::fs::read(user.home().join("peers.json")).unwrap(), before);
}

#[test]
fn a_mistyped_key_is_refused_with_its_reason_before_anything_is_made() {
    let (user, key) = (User::new(), new_key());
    let slip = if key.ends_with('q') { "p" } else { "q" };
    let slip = format!("{}{slip}", &key[..key.len() - 1]);
    user.peers(["add", "alice", &slip]).fails(2, "the checksum does not match");
    user.peers(["add", "alice", &format!("{slip}@host:1")]).fails(2, "the checksum does not match");
    user.peers(["add", "alice", "kw1short"]).fails(2, "8 characters instead of 61");
    user.peers(["add", "alice", "host:2022"]).fails(2, "a key starts with kw1");
    user.peers(["add", "alice", &format!("{key}@host:port")]).fails(2, "a port is a number");
    user.peers(["add", "alice", &format!("{key}@::1:22")]).fails(2, "[::1]:2022");
    user.peers(["add", "alice"]).fails(2, "no key is given");
    assert!(!user.home().exists());
    user.peers(["allow", &slip, "exec"]).fails(2, "the checksum does not match");
    user.peers(["show", &slip]).fails(2, "the checksum does not match");
}

#[test]
fn what_cannot_be_a_name_is_refused() {
    let (user, key) = User::who_knows("alice");
    for name in ["", "a b", "a@b", "a:b", ".hidden", "f\u{fc}r", "a\x1b[31m", &"n".repeat(64), &new_key()] {
        user.peers(["add", name, &key]).fails(2, "cannot be a name");
        user.peers(["rename", "alice", name]).fails(2, "cannot be a name");
    }
    user.peers(["add", "--", "-n", &key]).fails(2, "cannot be a name");
}

#[test]
fn a_secret_key_given_by_mistake_is_refused_and_not_repeated() {
    let user = User::new();
    let secret = KeyPair::generate().unwrap().secret().expose_text().unwrap().to_string();
    for done in [
        user.peers(["add", "alice", &secret]),
        user.peers(["add", &secret, &new_key()]),
        user.peers(["show", &secret]),
        user.peers(["rename", &secret, "bob"]),
        user.peers(["allow", &secret, "exec"]),
    ] {
        assert!(!done.status.success() && !format!("{done:?}").contains(&secret[12..]), "{done:?}");
    }
}

#[test]
fn ones_own_key_is_added_and_said_to_be_ones_own() {
    let (user, own) = (User::new(), KeyPair::generate().unwrap());
    let key = own.public().to_string();
    assert!(!user.peers(["add", "me", &key]).succeeds().stderr.contains("own"));
    IdentityFile::locate(Some(&user.home().join("identity.json"))).unwrap().create(&own, None).unwrap();
    let said = user.peers(["add", "me", &key]).succeeds().stderr;
    assert!(said.contains("note: that is your own key"), "{said}");
}

#[test]
fn an_empty_list_is_no_error_and_prints_nothing() {
    let user = User::new();
    assert_eq!(user.peers(["list"]).succeeds().stdout, "");
    assert_eq!(user.peers(["rules"]).succeeds().stdout, "");
    assert_eq!(user.peers(["list", "--json"]).succeeds().stdout, "[]\n");
    assert_eq!(user.peers(["rules", "--json"]).succeeds().stdout, "[]\n");
}

#[test]
fn a_peer_is_shown_by_its_name_and_by_its_key_alike() {
    let (user, key) = User::who_knows("alice");
    user.peers(["add", "alice", &key, "--note", "a\x1b[2Jb"]).succeeds();
    user.peers(["allow", "alice", "pipe"]).succeeds();
    let shown = user.peers(["show", "Alice"]).succeeds().stdout;
    assert_eq!(shown, user.peers(["show", &key]).succeeds().stdout);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[..3], ["name     alice", &format!("key      {key}"), &format!("address  {key}@host:2022")]);
    assert_eq!(lines[4..], ["note     a\\u{1b}[2Jb", "may      pipe"]);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_one() {
    let (user, _) = User::who_knows("alice");
    for command in ["show", "remove"] {
        user.peers([command, "alcie"]).fails(1, "kw-peers: hint: did you mean 'alice'?");
    }
    user.peers(["rename", "alcie", "bob"]).fails(1, "did you mean 'alice'?");
    user.peers(["allow", "alcie", "exec"]).fails(1, "did you mean 'alice'?");
    user.peers(["deny", "alcie"]).fails(1, "did you mean 'alice'?");
    user.peers(["show", "zaphod"]).fails(1, "'kw-peers list' shows the names");
    user.peers(["show", &new_key()]).fails(1, "is not in the address book");
}

#[test]
fn a_peer_keeps_its_key_and_addresses_under_a_new_name() {
    let (user, key) = User::who_knows("alice");
    user.peers(["add", "bob", &new_key()]).succeeds();
    user.peers(["rename", "alice", "BOB"]).fails(1, "there is a peer called");
    user.peers(["rename", "alice", "carol"]).succeeds();
    user.peers(["rename", "carol", "Carol"]).succeeds();
    assert!(user.peers(["list"]).succeeds().stdout.starts_with(&format!("Carol  {key}  host:2022\n")));
    user.peers(["show", "alice"]).fails(1, "no peer is called 'alice'");
}

#[test]
fn removing_a_peer_says_that_its_rule_stands_and_the_old_name_still_ends_it() {
    let (user, key) = User::who_knows("alice");
    user.peers(["allow", "alice", "exec"]).succeeds();
    let said = user.peers(["remove", "alice"]).succeeds().stderr;
    assert!(said.contains(&format!("kw-peers deny {key}")), "{said}");
    assert_eq!(user.peers(["list"]).succeeds().stdout, "");
    assert_eq!(user.peers(["rules"]).succeeds().stdout, format!("alice  {key}  exec\n"));
    user.peers(["deny", "alice"]).succeeds();
    assert_eq!(user.peers(["rules"]).succeeds().stdout, "");
}

#[test]
fn an_old_name_in_a_rule_never_stands_for_the_peer_who_has_the_name_now() {
    let (user, old) = User::who_knows("alice");
    user.peers(["allow", "alice", "exec"]).succeeds();
    user.peers(["rename", "alice", "bob"]).succeeds();
    user.peers(["add", "alice", &new_key()]).succeeds();
    user.peers(["deny", "alice"]).fails(1, "nothing is allowed to alice");
    assert_eq!(user.peers(["rules"]).succeeds().stdout, format!("bob  {old}  exec\n"));
}

#[test]
fn rights_add_up_and_what_holds_now_is_said() {
    let (user, key) = User::who_knows("alice");
    user.peers(["allow", "alice", "copy-write", "copy-read", "--root", "/"]).succeeds();
    let done = user.peers(["allow", &key, "pipe,exec"]).succeeds();
    assert_eq!(done.stdout, "");
    assert!(done.stderr.contains("may: exec, copy-read, copy-write, pipe; root /\n"), "{}", done.stderr);
    let rule = &user.peers_json(["rules", "--json"])[0];
    assert_eq!(rule["rights"], json::json!(["exec", "copy-read", "copy-write", "pipe"]));
    assert_eq!(rule["name"], "alice");
}

#[test]
fn a_key_without_a_name_can_be_allowed_too() {
    let (user, key) = (User::new(), new_key());
    user.peers(["allow", &key, "pipe"]).succeeds();
    assert_eq!(user.peers(["rules"]).succeeds().stdout, format!("-  {key}  pipe\n"));
    assert_eq!(user.peers_json(["rules", "--json"])[0]["name"], Value::Null);
    user.peers(["deny", &key]).succeeds();
}

#[test]
fn limits_are_set_changed_and_kept_until_they_are_set_again() {
    let (user, key) = User::who_knows("alice");
    user.peers(["allow", "alice", "--expires", "7d"]).fails(2, "no right is given");
    user.peers(["allow", "alice", "exec", "--command", "backup --all", "--expires", "2099-12-31"]).succeeds();
    user.peers(["allow", "alice", "--root", "/srv"]).succeeds();
    let row = format!("alice  {key}  exec  until 2099-12-31T00:00:00Z  root /srv  command backup --all\n");
    assert_eq!(user.peers(["rules"]).succeeds().stdout, row);
    user.peers(["allow", "alice", "--expires", "never", "--command", "-x"]).succeeds();
    assert_eq!(user.peers(["rules"]).succeeds().stdout, format!("alice  {key}  exec  root /srv  command -x\n"));
}

#[test]
fn a_limit_that_makes_no_sense_is_a_wrong_command_line() {
    let (user, _) = User::who_knows("alice");
    for (option, value, why) in [
        ("--root", "srv", "'/' on"),
        ("--root", "/srv/../etc", "'..'"),
        ("--root", "", "'/' on"),
        ("--expires", "soon", "not a time"),
        ("--expires", "2020-01-01", "expired already"),
        ("--expires", "9999999y", "not a time"),
        ("--command", " ", "1 to 4096 bytes"),
    ] {
        user.peers(["allow", "alice", "exec", option, value]).fails(2, why);
    }
    user.peers(["allow", "alice", "exex"]).fails(2, "the rights are: shell, exec");
    user.peers(["allow", "alice"]).fails(2, "no right is given");
    assert_eq!(user.peers(["rules"]).succeeds().stdout, "");
}

#[test]
fn a_root_beside_a_shell_is_said_to_bind_copies_only() {
    let (user, _) = User::who_knows("alice");
    let said = user.peers(["allow", "alice", "shell", "--root", "/"]).succeeds().stderr;
    assert!(said.contains("the root binds copies only"), "{said}");
    let said = user.peers(["allow", "alice", "--root", "/no/such"]).succeeds().stderr;
    assert!(said.contains("not a directory yet"), "{said}");
}

#[test]
fn an_expired_rule_is_marked_and_allowing_more_by_it_is_said_to_do_nothing() {
    let (user, key) = User::who_knows("alice");
    user.peers(["allow", "alice", "exec", "--expires", "2099-01-01"]).succeeds();
    let file = user.home().join("allow.json");
    let text = std::fs::read_to_string(&file).unwrap().replace("2099-", "2019-");
    std::fs::write(&file, text).unwrap();
    assert_eq!(user.peers(["rules"]).succeeds().stdout, format!("alice  {key}  exec  expired 2019-01-01T00:00:00Z\n"));
    assert_eq!(user.peers_json(["rules", "--json"])[0]["expired"], true);
    let said = user.peers(["allow", "alice", "pipe"]).succeeds().stderr;
    assert!(said.contains("the rule has expired"), "{said}");
    user.peers(["allow", "alice", "--expires", "1h"]).succeeds();
    assert_eq!(user.peers_json(["rules", "--json"])[0]["expired"], false);
}

#[test]
fn denying_takes_single_rights_or_the_whole_rule() {
    let (user, _) = User::who_knows("alice");
    user.peers(["allow", "alice", "exec", "pipe", "forward"]).succeeds();
    let said = user.peers(["deny", "alice", "pipe"]).succeeds().stderr;
    assert!(said.contains("may: exec, forward\n"), "{said}");
    let said = user.peers(["deny", "alice", "exec,forward"]).succeeds().stderr;
    assert!(said.contains("may do nothing here"), "{said}");
    assert_eq!(user.peers(["rules"]).succeeds().stdout, "");
    user.peers(["allow", "alice", "exec"]).succeeds();
    user.peers(["deny", "alice"]).succeeds();
    user.peers(["deny", "alice"]).fails(1, "nothing is allowed to alice here");
}

#[test]
fn a_denial_that_would_change_nothing_is_an_error_with_the_way_out() {
    let (user, _) = User::who_knows("alice");
    user.peers(["allow", "alice", "shell", "exec"]).succeeds();
    let before = std::fs::read(user.home().join("allow.json")).unwrap();
    user.peers(["deny", "alice", "exec"]).fails(1, "hint: take the shell away: kw-peers deny alice shell");
    user.peers(["deny", "alice", "copy-read"]).fails(1, "with the right 'shell'");
    user.peers(["deny", "alice", "pipe"]).fails(1, "does not have the right 'pipe'");
    user.peers(["deny", "alice", "shell", "pipe"]).fails(1, "nothing was changed");
    assert_eq!(std::fs::read(user.home().join("allow.json")).unwrap(), before);
    user.peers(["deny", "alice", "shell", "copy-read"]).succeeds();
    assert_eq!(user.peers_json(["rules", "--json"])[0]["rights"], json::json!(["exec"]));
}

#[test]
fn json_has_every_field_whether_it_is_set_or_not() {
    let (user, key) = User::who_knows("alice");
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(names(&user.peers_json(["list", "--json"])[0]), "added addresses key name note");
    let shown = user.peers_json(["show", "alice", "--json"]);
    assert_eq!((&shown["peer"]["key"], &shown["rule"]), (&json::json!(key), &Value::Null));
    user.peers(["allow", "alice", "exec"]).succeeds();
    let shown = user.peers_json(["show", "alice", "--json"]);
    assert_eq!(names(&shown["rule"]), "command expired expires key name rights root");
    assert_eq!(shown["rule"], user.peers_json(["rules", "--json"])[0]);
}

#[test]
fn a_wrong_command_line_is_told_from_a_wrong_state() {
    let user = User::new();
    user.peers([]).fails(2, "kw-peers: hint: 'kw-peers --help'");
    user.peers(["lst"]).fails(2, "lst");
    user.peers(["list", "--jsn"]).fails(2, "--jsn");
    user.peers(["list", "surplus"]).fails(2, "surplus");
    std::fs::create_dir(user.home()).unwrap();
    std::fs::write(user.home().join("allow.json"), "{").unwrap();
    user.peers(["rules"]).fails(5, "allow.json cannot be used");
}

#[test]
fn a_reader_that_went_away_is_no_error_but_a_full_disk_is() {
    let (user, _) = User::who_knows("alice");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = user.command("kw-peers").arg("list").stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = user.command("kw-peers").arg("list").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}
