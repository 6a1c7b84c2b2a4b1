//! keywire-files(5) is the truth about the files: its examples load, and its lists have their fields.

use crate::sandbox::User;
use keywire::chat::Config;
use keywire::identity::IdentityFile;
use keywire::json::{self, Value};
use keywire::key::{KeyPair, SecretKey};
use keywire::pair::{Ourselves, Pair, Pairs, Standing};
use keywire::seal::{Passphrase, StorageKey};
use keywire::store::Store;
use keywire::trust::{Allowlist, Peers};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The section of keywire-files(5) about the file `name`, and the examples in it.
pub(super) fn documented(name: &str) -> (String, Vec<String>) {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/keywire-files.5")).unwrap();
    let section = page.split(&format!(".Ss {name}\n")).nth(1).unwrap_or_else(|| panic!("no section on {name}"));
    let section = section.split("\n.S").next().unwrap().to_owned();
    let blocks = section.split(".Bd -literal\n").skip(1);
    let examples = blocks.map(|block| format!("{}\n", block.split("\n.Ed").next().unwrap())).collect();
    (section, examples)
}

/// The only example of the file `name`.
pub(super) fn example(name: &str) -> String {
    let (_, mut examples) = documented(name);
    assert_eq!(examples.len(), 1, "{name}");
    examples.remove(0)
}

/// What stands in an example.
pub(super) fn value(text: &str) -> Value {
    json::parse(text.as_bytes(), text.len()).unwrap()
}

/// The field names in objects, however deep.
pub(super) fn fields(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            into.insert(name.clone());
            fields(value, into);
        }),
        Value::Array(rows) => rows.iter().for_each(|row| fields(row, into)),
        _ => {}
    }
}

/// The fields that the section of a file lists.
pub(super) fn listed(name: &str) -> BTreeSet<String> {
    let (section, _) = documented(name);
    let items = section.lines().filter_map(|line| line.strip_prefix(".It Va "));
    items.flat_map(|names| names.split(" , Va ")).map(str::to_owned).collect()
}

/// Who the example of an identity is.
pub(super) fn identity() -> Arc<KeyPair> {
    let (_, identities) = documented("identity.json");
    let secret = identities.iter().find_map(|text| Some(value(text)["secret"].as_str()?.to_owned())).unwrap();
    Arc::new(KeyPair::from_secret(SecretKey::from_text(&secret).unwrap()))
}

/// Puts the examples of a file, one after the other, where a user would have them.
fn each_example(name: &str, mut load: impl FnMut(&User)) {
    let (_, examples) = documented(name);
    assert!(!examples.is_empty(), "{name} has no example");
    for example in examples {
        let user = User::new();
        fs::create_dir(user.home()).unwrap();
        fs::write(user.home().join(name), &example).unwrap();
        fs::set_permissions(user.home().join(name), Permissions::from_mode(0o600)).unwrap();
        load(&user);
    }
}

#[test]
fn the_examples_in_the_page_are_files_that_load() {
    each_example("peers.json", |user| {
        assert!(Peers::load(&Store::at(&user.home())).unwrap().list().len() > 1);
        user.run("kw-peers", ["show", "alice"]).succeeds();
    });
    each_example("allow.json", |user| {
        assert!(Allowlist::load(&Store::at(&user.home())).unwrap().rules().len() > 1);
        user.run("kw-peers", ["rules"]).succeeds();
    });
    each_example("config.json", |user| {
        let config = Config::load(&Store::at(&user.home())).unwrap();
        assert_eq!((config.retention_days, config.addresses.len(), config.group.keep_days), (Some(365), 2, Some(90)));
        assert_eq!(config.inbox.addresses.len(), 1);
    });
    let mut sealed = BTreeSet::new();
    each_example("identity.json", |user| {
        let file = IdentityFile::locate(Some(&user.home().join("identity.json"))).unwrap();
        let passphrase = || Ok(Passphrase::new("correct horse battery staple".to_owned()));
        assert_eq!(file.load(passphrase).unwrap().public(), file.public().unwrap().0);
        sealed.insert(file.public().unwrap().1);
    });
    assert_eq!(sealed.len(), 2, "one example in clear, one sealed");
}

#[test]
fn the_pairs_in_the_page_load_and_are_those_of_its_identity() {
    each_example("pairs.json", |user| {
        let store = Store::at(&user.home());
        let me = identity();
        let storage = StorageKey::of(&me);
        let us = Ourselves { me: &me, storage: &storage, addresses: &[] };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_300_000);
        let pairs = Pairs::load(&store).unwrap();
        let standings: Vec<Standing> = pairs.list().iter().map(Pair::standing).collect();
        let pending = pairs.list()[2].key;
        assert_eq!(
            standings,
            [
                Standing::Accepted { confirmed: true },
                Standing::Invited,
                Standing::Pending,
                Standing::Accepted { confirmed: false },
                Standing::Declined,
                Standing::Open
            ]
        );
        Pairs::update(&store, |pairs| pairs.accept(us, &pending, now)).unwrap();
        assert_eq!(Pairs::load(&store).unwrap().standing(&pending), Standing::Accepted { confirmed: false });
        let path = user.home().join("pairs.json");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(Pairs::load(&store).unwrap_err().to_string().starts_with("others may read"));
    });
}

#[test]
fn the_page_names_every_field_of_its_examples_and_no_other() {
    for name in [
        "identity.json",
        "peers.json",
        "allow.json",
        "config.json",
        "pairs.json",
        "groups/GID/group.json",
        "groups/GID/keys.json",
        "groups/GID/members.json",
        "groups/GID/joins.json",
        "inbox/keys.json",
        "inbox/keys/HASH.json",
        "inbox/sent.json",
        "inbox/answers.json",
    ] {
        let mut shown = BTreeSet::new();
        documented(name).1.iter().for_each(|example| fields(&value(example), &mut shown));
        assert_eq!(listed(name), shown, "{name}: the list on the left, the examples on the right");
    }
}
