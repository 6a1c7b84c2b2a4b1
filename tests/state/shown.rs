//! The files of a group as keywire-files(5) shows them.

use super::documented;
use crate::sandbox::User;
use keywire::group::home::Groups;
use keywire::key::KeyPair;
use keywire::store::Store;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

#[test]
fn the_files_of_a_group_in_the_page_load_beside_each_other() {
    let user = User::new();
    let dir = user.home().join("groups/591e4b6839c696628c81952913b87fbd565d2ed05e887a37fe33590bd95645bf");
    fs::create_dir_all(&dir).unwrap();
    for part in [user.home(), user.home().join("groups"), dir.clone()] {
        fs::set_permissions(part, Permissions::from_mode(0o700)).unwrap();
    }
    for name in ["group.json", "members.json", "joins.json", "cursors.json"] {
        let (_, examples) = documented(&format!("groups/GID/{name}"));
        fs::write(dir.join(name), &examples[0]).unwrap();
        fs::set_permissions(dir.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    let group = Groups::open(&Store::at(&user.home()), &KeyPair::generate().unwrap()).find("ops").unwrap();
    let facts = group.facts().unwrap();
    assert_eq!((facts.peers.len(), facts.announced.len(), facts.wish.is_some()), (1, 1, true));
    let known = group.known().unwrap();
    assert_eq!((known.addresses.len(), known.left.len()), (3, 1));
    assert_eq!(group.joins().unwrap().len(), 1);
    assert_eq!(group.cursor("backup").unwrap().unwrap().len(), 1);
}

#[test]
fn scratch_examples() {
    use keywire::group::home::{DiskShelf, Facts, Status};
    use keywire::group::keys::{EpochKey, joint_id, seal_body};
    use keywire::group::shelf::Shelf;
    use keywire::proto::group::{Class, Entry, EntryId, Header, Inc, KeyId, Kind, LogId};
    let (_, identities) = documented("identity.json");
    let identity: keywire::json::Value = keywire::json::parse(identities[0].as_bytes(), 9999).unwrap();
    let me = KeyPair::from_secret(keywire::key::SecretKey::from_text(identity["secret"].as_str().unwrap()).unwrap());
    let user = User::new();
    fs::create_dir_all(user.home()).unwrap();
    fs::set_permissions(user.home(), Permissions::from_mode(0o700)).unwrap();
    let (_, examples) = documented("groups/GID/group.json");
    let file: keywire::json::Value = keywire::json::parse(examples[0].as_bytes(), 99999).unwrap();
    let facts: Facts = keywire::json::parse(examples[0].as_bytes(), 99999).unwrap();
    println!("{}", file["name"]);
    let key = EpochKey::random().unwrap();
    let groups = Groups::open(&Store::at(&user.home()), &me);
    let group = groups.create(Facts::new("ops", facts.genesis, Status::Active), &[key.clone()]).unwrap();
    let log = LogId { class: Class::Content, author: me.public(), inc: "794edbe171a3be1c".parse::<Inc>().unwrap() };
    let mut prev = EntryId::default();
    let mut entries = Vec::new();
    for (seq, text) in [(1, "is it done?"), (2, "it is")] {
        let time = 1_795_292_100_000 + seq * 60_000;
        let mut header = Header {
            group: group.id(), log, seq, prev, clock: time, time, kind: Kind::Message,
            roster: EntryId([0x5a; 32]), key: KeyId::default(), reply_to: prev, deps: Vec::new(), body_len: 0, body_hash: [0; 32],
        };
        header.key = joint_id(&[key.id()]);
        let body = seal_body(&[key.clone()], &header, text.as_bytes()).unwrap();
        let mut entry = Entry::sign(&me, header, body).unwrap();
        prev = entry.id;
        if seq == 1 { entry.body = None; }
        entries.push(entry);
    }
    let mut shelf = DiskShelf::open(&group).unwrap();
    shelf.append(&entries).unwrap();
    let dir = user.home().join("groups").join(group.id().to_string());
    println!("----{}", fs::read_to_string(dir.join("keys.json")).unwrap());
    let logs = fs::read_dir(dir.join("logs")).unwrap().next().unwrap().unwrap().path();
    println!("----\n{}", fs::read_to_string(logs).unwrap());
}
