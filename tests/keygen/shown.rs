//! What kw-keygen shows of a key: text, picture, QR code, digits, and what is wrong with it.

use super::{ALICE, ALICE_SECRET, BOB, alice, json, keygen, with_bob};
use crate::camera;
use crate::sandbox::User;
use bech32::{Bech32, Bech32m, Hrp};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn show_says_as_json_what_there_is_to_know() {
    let shown = json(&keygen(&alice(), &["show", "--json"]).succeeds());
    assert_eq!((&shown["key"], &shown["sealed"]), (&ALICE.into(), &false.into()));
    let user = with_bob();
    let shown = json(&keygen(&user, &["show", "BOB", "--json"]).succeeds());
    assert_eq!(shown, serde_json::json!({ "key": BOB, "name": "bob" }));
}

#[test]
fn the_picture_of_a_key_is_the_one_in_the_manual() {
    // Drawn by a second implementation, from the text of kw-keygen(1).
    let picture = "\
+----[keywire]----+
| . o.++o=o+Eo=   |
|. * =. =oo. + .  |
| + +    .o +     |
|  +       . +    |
| +o     S  o o   |
|++++ .   .. o    |
|B+o . . .  .     |
|+o . . .         |
|. o.o            |
+-----------------+
";
    assert_eq!(keygen(&alice(), &["show", "--picture"]).succeeds().stdout, format!("{ALICE}\n{picture}"));
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/man/kw-keygen.1")).unwrap();
    assert!(manual.contains(picture));
    assert!(!keygen(&alice(), &["show", BOB, "--picture"]).succeeds().stdout.contains(picture));
}

#[test]
fn the_qr_code_holds_the_key_in_upper_case_with_a_quiet_zone_around_it() {
    let shown = keygen(&alice(), &["show", "--qr"]).succeeds().stdout;
    let light = camera::modules(&shown);
    let code = qrcode::QrCode::with_error_correction_level(ALICE.to_uppercase(), qrcode::EcLevel::M).unwrap();
    let (width, quiet) = (code.width(), 4);
    assert_eq!((width, light.len(), light[0].len()), (29, 38, 37));
    for (y, row) in light.iter().take(37).enumerate() {
        for (x, light) in row.iter().enumerate() {
            let inside = (quiet..quiet + width).contains(&x) && (quiet..quiet + width).contains(&y);
            let dark = inside && code[(x - quiet, y - quiet)] == qrcode::Color::Dark;
            assert_eq!(*light, !dark, "at {x}, {y} of\n{shown}");
        }
    }
}

#[test]
fn a_camera_reads_the_key_from_its_qr_code() {
    for user in [alice(), User::with_key()] {
        let shown = keygen(&user, &["show", "--qr"]).succeeds().stdout;
        assert_eq!(camera::read(&shown), user.key().to_uppercase());
    }
}

#[test]
fn check_says_what_is_wrong_with_a_mistyped_key() {
    let key = |prefix: &str, bytes: &[u8]| bech32::encode::<Bech32m>(Hrp::parse(prefix).unwrap(), bytes).unwrap();
    let bytes: Vec<u8> = bech32::decode(ALICE).unwrap().1;
    let other_name: Vec<u8> = bytes.iter().enumerate().map(|(at, b)| if at == 31 { b | 0x80 } else { *b }).collect();
    let cases = [
        (ALICE.replace("9c4tca", "9c4tcc"), "checksum"),
        (ALICE.replace("s5s0", "5ss0"), "checksum"),
        (bech32::encode::<Bech32>(Hrp::parse("kw").unwrap(), &bytes).unwrap(), "checksum"),
        (ALICE[..60].to_owned(), "60 characters instead of 61"),
        (format!("{ALICE}q"), "62 characters"),
        (key("kw", &bytes[1..]), "characters instead of 61"),
        (ALICE.replace("tca", "TCA"), "upper and lower case"),
        (ALICE.replace("9c4", "bc4"), "'b' at position 56"),
        (ALICE.replace("9c4", "1c4"), "'1' at position 56"),
        (key("kw", &[0; 32]), "low-order"),
        (key("kw", &other_name), "canonical"),
        (key("npub", &bytes), "starts with kw1"),
        (String::new(), "starts with kw1"),
        (ALICE_SECRET.to_owned(), "secret key"),
        (ALICE_SECRET.to_uppercase(), "secret key"),
        (format!("{ALICE}@host:2022"), "before the '@'"),
    ];
    let user = User::new();
    for (text, problem) in cases {
        keygen(&user, &["check", &text]).fails(1, problem);
        let checked = keygen(&user, &["check", &text, "--json"]);
        assert_eq!((checked.code(), checked.stderr.as_str()), (1, ""));
        assert_eq!(json(&checked)["valid"], false);
        assert!(checked.stdout.contains(problem), "{checked:?}");
    }
    assert!(!user.home().exists());
}

#[test]
fn check_prints_a_good_key_in_its_one_form() {
    let user = User::new();
    for text in [ALICE.to_owned(), ALICE.to_uppercase()] {
        assert_eq!(keygen(&user, &["check", &text]).succeeds().stdout, format!("{ALICE}\n"));
        let checked = json(&keygen(&user, &["check", "--json", &text]).succeeds());
        assert_eq!(checked, serde_json::json!({ "valid": true, "key": ALICE }));
    }
}

#[test]
fn a_fingerprint_is_the_one_that_the_manual_describes() {
    // Computed by a second implementation, from the text of kw-keygen(1).
    let user = with_bob();
    let pair = "49308 69722 02277 07960\n25648 97656 20378 48417\n61277 84882 53860 64862\n";
    for names in [[ALICE, BOB], [BOB, ALICE], ["bob", ALICE], [ALICE, "Bob"]] {
        assert_eq!(keygen(&user, &["fingerprint", names[0], names[1]]).succeeds().stdout, pair);
    }
    let alone = "86989 07739 65216 58765\n99681 02797 36110 41285\n24608 46831 73981 64463\n";
    assert_eq!(keygen(&user, &["fingerprint", ALICE]).succeeds().stdout, alone);
    let both = json(&keygen(&user, &["fingerprint", "bob", ALICE, "--json"]).succeeds());
    assert_eq!(both["fingerprint"], pair.trim_end().replace('\n', " "));
    assert_eq!(both["keys"], serde_json::json!([ALICE, BOB]));
}

#[test]
fn every_key_and_every_pair_has_a_fingerprint_of_its_own() {
    let user = with_bob();
    let third = User::with_key().key();
    let all = [vec![ALICE], vec![BOB], vec![&third], vec![ALICE, BOB], vec![ALICE, &third], vec![BOB, &third]];
    let fingerprint = |keys: &Vec<&str>| keygen(&user, &[&["fingerprint"], &keys[..]].concat()).succeeds().stdout;
    let different: BTreeSet<String> = all.iter().map(fingerprint).collect();
    assert_eq!(different.len(), all.len());
}

#[test]
fn a_fingerprint_needs_known_names_and_whole_keys() {
    let user = with_bob();
    keygen(&user, &["fingerprint", "bpb"]).fails(1, "did you mean 'bob'");
    keygen(&user, &["fingerprint", "bob", &ALICE[..60]]).fails(2, "60 characters");
    keygen(&user, &["fingerprint", ALICE_SECRET]).fails(2, "secret key");
    fs::write(user.home().join("peers.json"), "").unwrap();
    keygen(&user, &["fingerprint", "bob"]).fails(5, "peers.json");
}
