//! The files of a group as keywire-files(5) shows them.

use super::page::documented;
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
    let known = group.known().unwrap().unwrap();
    assert_eq!((known.addresses.len(), known.left.len()), (3, 1));
    assert_eq!(group.joins().unwrap().len(), 1);
    assert_eq!(group.cursor("backup").unwrap().unwrap().len(), 1);
}
