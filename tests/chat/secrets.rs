//! What stands on the disk, and what it opens for whoever takes it.

use super::{Party, paired};
use std::path::{Path, PathBuf};

fn files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(below).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn no_file_of_either_side_holds_a_text_that_can_be_read() {
    let (a, mut b) = paired();
    a.chat(["send", "b", "the launch code is 0000"]).succeeds();
    b.stop();
    a.chat(["send", "b", "the launch code is 0001"]).fails_with(3);
    let encoded = data_encoding::BASE64.encode(b"the launch code");
    for party in [&a, &b] {
        let files = files(&party.user.home());
        assert!(files.iter().any(|file| file.ends_with("log.jsonl")), "{files:?}");
        for file in files {
            use std::os::unix::fs::PermissionsExt;
            let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
            assert!(!text.contains("launch") && !text.contains(&encoded[..16]), "{}", file.display());
            let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.display());
        }
    }
}

#[test]
fn a_stolen_copy_of_all_files_opens_nothing_without_the_passphrase() {
    let (a, b) = paired();
    let passphrase = a.user.file("passphrase");
    std::fs::write(&passphrase, "a long one\n").unwrap();
    a.user.run("kw-keygen", ["passphrase", "--new-passphrase-file", passphrase.to_str().unwrap()]).succeeds();
    let thief = Party::new();
    for file in files(&a.user.home()) {
        let to = thief.user.home().join(file.strip_prefix(a.user.home()).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    }
    for words in [&["history", "b"][..], &["export", "b"], &["send", "b", "as a"]] {
        let tried = thief.chat(words.iter().copied()).fails_with(7);
        assert!(!tried.stdout.contains("first"), "{tried:?}");
    }
    // Another identity in its place opens nothing either.
    std::fs::remove_file(thief.user.home().join("identity.json")).unwrap();
    thief.user.run("kw-keygen", ["new"]).succeeds();
    let tried = thief.chat(["export", "b"]);
    assert!(tried.code() != 0 && !tried.stdout.contains("first"), "{tried:?}");
    let read = a.chat(["history", "--passphrase-file", passphrase.to_str().unwrap(), "b"]).succeeds();
    assert!(read.stdout.contains("first"));
    assert_eq!(b.texts(&a), ["first"]);
}

#[test]
fn a_safety_number_is_the_same_at_both_ends_and_for_no_other_pair() {
    let (a, b) = paired();
    let c = Party::new();
    c.names(&b, "b");
    let number = |party: &Party, other: &str| {
        let shown = party.chat(["verify", "--json", other]).succeeds().stdout;
        let shown: keywire::json::Value = keywire::json::parse(shown.trim_end().as_bytes(), 1 << 16).unwrap();
        shown["number"].as_str().unwrap().to_owned()
    };
    assert_eq!(number(&a, "b"), number(&b, "a"));
    assert_ne!(number(&a, "b"), number(&c, "b"));
    assert_eq!(number(&a, "b").chars().filter(char::is_ascii_digit).count(), 60);
}
