//! Cards: what they say, how they are read, and what becomes of their one-time keys.

use super::{card, card_for, inbox, new_key, open, put, rkis, seal};
use crate::camera;
use crate::sandbox::User;
use keywire::json::{Value, json};
use keywire::key::KeyPair;
use keywire::proto::inbox::{Card, Rki};
use keywire::trust::Time;
use std::time::{Duration, SystemTime};

/// A card of `owner` that has expired.
fn expired(owner: &KeyPair) -> Card {
    let keys = vec![KeyPair::generate().unwrap().public()];
    let nowhere = vec!["127.0.0.1:1".parse().unwrap()];
    Card::make(owner, keys, Time::of(SystemTime::now() - Duration::from_secs(60)), nowhere).unwrap()
}

#[test]
fn a_card_says_whose_it_is_until_when_and_where() {
    let (ada, bob, drop_box) = (User::with_key(), User::with_key(), new_key());
    bob.run("kw-peers", ["add", "ada", &ada.key()]).succeeds();
    let at = format!("{drop_box}@[::1]:9");
    let args = ["--at", "ada.example", "--at", "10.0.0.7:99", "--drop", &at, "--uses", "2", "--expires", "1h"];
    let text = card(&ada, &args);
    let object = bob.run_with("kw-inbox", ["show", "--json", "-"], text.as_bytes()).succeeds().objects().remove(0);
    let addresses = json!(["ada.example:8803", "10.0.0.7:99", at]);
    assert_eq!((&object["event"], &object["card"]), (&"card".into(), &text.trim_end().into()));
    assert_eq!((&object["recipient"], &object["name"]), (&ada.key().into(), &"ada".into()));
    assert_eq!(object["addresses"], addresses);
    let left = Duration::from_millis(object["expires"].as_u64().unwrap()) - since_1970();
    assert!(left > Duration::from_secs(3500) && left <= Duration::from_secs(3601), "{left:?}");

    let shown = bob.run_with("kw-inbox", ["show", "-"], text.as_bytes()).succeeds().stdout;
    let row = |name: &str| {
        let rows = shown.lines().filter_map(|line| line.split_once("  ")).filter(|(first, _)| *first == name);
        rows.map(|(_, text)| text.trim_start().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(row("recipient"), [format!("{} (ada)", ada.key())], "{shown}");
    assert_eq!(row("keys"), [rkis(&bob, &text).join(" ")], "{shown}");
    assert!(shown.contains("\nat         ada.example:8803\nat         10.0.0.7:99\n"), "{shown}");
    assert!(shown.contains(&format!("\ndrop       {at}\n")), "{shown}");
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

#[test]
fn both_sides_of_a_card_compare_the_number_that_kw_keygen_shows() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let text = card(&ada, &[]);
    let number = bob.run("kw-keygen", ["fingerprint", &ada.key(), &bob.key()]).succeeds().stdout;
    let shown = bob.run_with("kw-inbox", ["show", "-"], text.as_bytes()).succeeds().stdout;
    let end: Vec<&str> =
        shown.lines().rev().take(3).map(|line| line.trim_start_matches("number").trim_start()).collect();
    assert_eq!(end.into_iter().rev().collect::<Vec<_>>(), number.lines().collect::<Vec<_>>(), "{shown}");
    let object = bob.run_with("kw-inbox", ["show", "--json", "-"], text.as_bytes()).succeeds().objects().remove(0);
    assert_eq!(object["number"], number.trim_end().replace('\n', " "));

    let own = ada.run_with("kw-inbox", ["show", "-"], text.as_bytes()).succeeds().stdout;
    assert!(own.contains("a card of ours") && !own.contains("number"), "{own}");
}

#[test]
fn a_picture_is_drawn_as_kw_keygen_draws_it() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let file = card_for(&bob, &ada, &[]);
    let shown = inbox(&bob, &["show", "--picture", file.to_str().unwrap()]).succeeds().stdout;
    let picture = ada.run("kw-keygen", ["show", "--picture"]).succeeds().stdout;
    assert!(shown.ends_with(picture.split_once('\n').unwrap().1), "{shown}");
}

#[test]
fn a_camera_reads_a_card_and_what_it_reads_can_be_sealed_to() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let made =
        inbox(&ada, &["card", "--qr", "--at", "ada.example", "--drop", &format!("{}@box", new_key())]).succeeds();
    let (text, drawn) = made.stdout.split_once('\n').unwrap();
    let read = camera::read(drawn);
    assert_eq!(read, text.to_uppercase());
    let shown = bob.run_with("kw-inbox", ["show", "--qr", "-"], text.as_bytes()).succeeds().stdout;
    assert_eq!(camera::read(&shown), read);
    assert!(open(&ada, &seal(&bob, &read, &["--text", "seen"]), &[]).succeeds().stdout.ends_with(": seen\n"));
}

#[test]
fn a_card_of_fifty_keys_is_still_a_qr_code() {
    let ada = User::with_key();
    let made = inbox(&ada, &["card", "--qr", "--uses", "50", "--at", "ada.example"]).succeeds();
    let (text, drawn) = made.stdout.split_once('\n').unwrap();
    assert_eq!(camera::read(drawn), text.to_uppercase());
}

#[test]
fn a_card_with_broken_lines_is_read_and_a_changed_one_is_not() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let text = card(&ada, &["--at", "ada.example"]);
    let broken: Vec<&str> = text.trim_end().as_bytes().chunks(60).map(|line| str::from_utf8(line).unwrap()).collect();
    for written in [broken.join("\r\n  "), format!("\n{text}\n"), text.to_uppercase()] {
        let shown =
            bob.run_with("kw-inbox", ["show", "--json", "-"], written.as_bytes()).succeeds().objects().remove(0);
        assert_eq!(shown["card"], text.trim_end());
    }
    for at in [20, 80, 200, text.len() - 20] {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
        bob.run_with("kw-inbox", ["show", "-"], &changed).fails(1, "card");
        bob.run_with("kw-inbox", ["seal", "--text", "x", "--card", "-"], &changed).fails(1, "card");
    }
}

#[test]
fn an_expired_card_is_shown_and_nothing_is_sealed_to_it_or_delivered() {
    let (owner, ada, bob) = (KeyPair::generate().unwrap(), User::with_key(), User::with_key());
    let text = expired(&owner).to_string();
    let shown = bob.run_with("kw-inbox", ["show", "-"], text.as_bytes()).fails_with(1);
    assert!(shown.stdout.contains(" (expired)") && shown.stderr.contains("the card has expired"), "{shown:?}");
    let refused = bob.run_with("kw-inbox", ["seal", "--text", "x", "--card", "-"], text.as_bytes()).fails(1, "expired");
    // Whoever tries until the network is there must not try for ever.
    let sealed = put(&bob, "sealed", &seal(&bob, &card(&ada, &[]), &["--text", "x"]));
    let args = ["send", "--card", "-", "--sealed", sealed.to_str().unwrap()];
    let late = bob.run_with("kw-inbox", args, text.as_bytes()).fails_with(1);
    assert_eq!(late.stderr, refused.stderr);
}

#[test]
fn a_card_without_an_address_says_that_messages_must_be_handed_over() {
    let (ada, drop_box) = (User::with_key(), new_key());
    assert!(inbox(&ada, &["card"]).succeeds().stderr.contains("names no address"));
    assert!(!inbox(&ada, &["card", "--at", "host"]).succeeds().stderr.contains("names no address"));

    let config = format!(r#"{{"version": 1, "inbox": {{"addresses": ["ada.example:9", "{drop_box}@box"]}}}}"#);
    std::fs::write(ada.home().join("config.json"), config).unwrap();
    let object = |args: &[&str]| inbox(&ada, &[&["card", "--json"], args].concat()).succeeds().objects().remove(0);
    assert_eq!(object(&[])["addresses"], json!(["ada.example:9", format!("{drop_box}@box:8803")]));
    assert_eq!(object(&["--at", "other"])["addresses"], json!(["other:8803"]));
}

#[test]
fn a_drop_box_is_named_by_the_address_book() {
    let (ada, key) = (User::with_key(), new_key());
    ada.run("kw-peers", ["add", "box", &format!("{key}@box.example:2022")]).succeeds();
    let other = new_key();
    ada.run("kw-peers", ["add", "elsewhere", &format!("{other}@box.example:18803")]).succeeds();
    // The port of another service stands for the host; any other port is meant.
    let args = ["card", "--json", "--drop", "box", "--drop", "elsewhere"];
    let made = inbox(&ada, &args).succeeds().objects().remove(0);
    let expected = [format!("{key}@box.example:8803"), format!("{other}@box.example:18803")];
    assert_eq!(made["addresses"], json!(expected));
    inbox(&ada, &["card", "--drop", "bax"]).fails(1, "did you mean 'box'?");
    let many: Vec<String> = (0..9).map(|number| format!("--at=host{number}")).collect();
    let args: Vec<&str> = std::iter::once("card").chain(many.iter().map(String::as_str)).collect();
    inbox(&ada, &args).fails(2, "8");
    let nowhere = format!("{key}@box.example:0");
    inbox(&ada, &["card", "--drop", &nowhere]).fails(1, "port 0, which nobody can dial");
    inbox(&ada, &["card", "--expires", "0s"]).fails(2, "a card is good for 1s to 30d");
}

#[test]
fn a_card_is_found_in_the_mail_around_it() {
    let (ada, bob) = (User::with_key(), User::with_key());
    let text = card(&ada, &[]);
    let broken: String = text.trim().as_bytes().chunks(60).map(|line| String::from_utf8_lossy(line) + "\r\n").collect();
    let mail = format!("Hello Bob,\r\n\r\nmy card:\r\n{broken}\r\nYours, Ada\r\n");
    let shown = bob.run_with("kw-inbox", ["show", "-"], mail.as_bytes()).succeeds();
    assert!(shown.stdout.contains(&ada.key()), "{shown:?}");
    let none = bob.run_with("kw-inbox", ["show", "-"], b"Hello Bob, I have none.\n");
    none.fails(1, "there is no line that begins with keywire:card:");
}

#[test]
fn cards_tells_what_became_of_each_one_time_key() {
    let (ada, bob) = (User::with_key(), User::with_key());
    ada.run("kw-peers", ["add", "bob", &bob.key()]).succeeds();
    assert_eq!(inbox(&ada, &["cards"]).succeeds().stdout, "");
    let text = card(&ada, &["--label", "for bob", "--uses", "2"]);
    let sealed = seal(&bob, &text, &["--text", "hello"]);
    let opened = open(&ada, &sealed, &["--json"]).succeeds().objects().remove(0);
    let keys = inbox(&ada, &["cards", "--json"]).succeeds().objects();
    let state = |state: &str| keys.iter().find(|key| key["state"] == state).unwrap();
    let (used, live) = (state("used"), state("live"));
    assert_eq!((&used["rki"], &used["id"], &used["name"]), (&opened["rki"], &opened["id"], &"bob".into()));
    assert_eq!((&used["by"], &used["card"]), (&bob.key().into(), &text.trim_end().into()));
    assert_eq!((&live["by"], &live["id"], &live["label"]), (&Value::Null, &Value::Null, &"for bob".into()));

    let rki = live["rki"].as_str().unwrap();
    assert!(inbox(&ada, &["revoke", rki]).succeeds().stderr.contains("revoked 1 one-time key\n"));
    let shown = inbox(&ada, &["cards"]).succeeds().stdout;
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains(&format!("{rki}  revoked  ")) && shown.contains("  for bob  by bob\n"), "{shown}");
    for (rki, why) in
        [(rki, "it is revoked"), ("00000000", "there is no"), (used["rki"].as_str().unwrap(), "it is used")]
    {
        inbox(&ada, &["revoke", rki]).fails(1, why);
    }
}

#[test]
fn no_more_than_fifty_one_time_keys_are_live_until_some_are_taken_back() {
    let ada = User::with_key();
    card(&ada, &["--uses", "49"]);
    inbox(&ada, &["card", "--uses", "2"]).fails(1, "50");
    card(&ada, &[]);
    inbox(&ada, &["card"]).fails(1, "50");
    assert!(inbox(&ada, &["revoke", "--all"]).succeeds().stderr.contains("revoked 50 one-time keys"));
    assert!(inbox(&ada, &["revoke", "--all"]).succeeds().stderr.contains("no one-time key is live"));
    card(&ada, &["--uses", "50"]);
}

#[test]
fn an_identifier_is_the_beginning_of_the_hash_of_its_key() {
    let ada = User::with_key();
    let text = card(&ada, &["--uses", "3"]);
    let keys: Vec<String> = text.parse::<Card>().unwrap().keys().iter().map(|key| Rki::of(key).to_string()).collect();
    assert_eq!(rkis(&ada, &text), keys);
}

#[test]
fn our_own_key_is_no_drop_box() {
    let ada = User::with_key();
    inbox(&ada, &["card", "--drop", &format!("{}@box.example", ada.key())]).fails(2, "--at says where we listen");
}
