//! Files that were put back from copies.

use super::{Home, Writer, copy, texts};
use crate::group::shelf::Shelf;
use crate::proto::group::Class;

#[test]
fn our_log_is_the_same_after_each_start_and_no_file_is_left_over() {
    let home = Home::new();
    let group = home.create("team");
    for class in [Class::Content, Class::Roster] {
        let log = group.own_log(class).unwrap();
        for _ in 0..3 {
            assert_eq!(home.start().own_log(class).unwrap(), log);
        }
        let mut writer = Writer::of(&group, log);
        home.shelf().append(&writer.write_some(3)).unwrap();
        assert_eq!(home.start().own_log(class).unwrap(), log);
        let dir = home.log_path(&log).parent().unwrap().to_owned();
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1);
    }
}

#[test]
fn a_group_that_was_put_back_from_a_copy_begins_a_new_log_and_leaves_the_old_one_as_it_is() {
    for whole in [true, false] {
        let home = Home::new();
        let group = home.create("team");
        let old = group.own_log(Class::Content).unwrap();
        let mut writer = Writer::of(&group, old);
        home.shelf().append(&writer.write_some(3)).unwrap();
        let (place, backup) = (home.path("").to_owned(), home.dir.join("backup"));
        copy(&place, &backup);
        home.shelf().append(&writer.write_some(2)).unwrap();
        // What is put back may get the numbers of what was there.
        if whole {
            std::fs::remove_dir_all(&place).unwrap();
            copy(&backup, &place);
        } else {
            std::fs::remove_file(home.log_path(&old)).unwrap();
            let path = home.log_path(&old);
            copy(&backup.join(path.strip_prefix(&place).unwrap()), &path);
        }
        let before = std::fs::read(home.log_path(&old)).unwrap();
        let new = home.start().own_log(Class::Content).unwrap();
        assert_ne!(new, old);
        assert_eq!(home.start().own_log(Class::Content).unwrap(), new);
        let mut next = Writer::of(&group, new);
        home.shelf().append(&next.write_some(1)).unwrap();
        assert_eq!(std::fs::read(home.log_path(&old)).unwrap(), before);
        assert_eq!(texts(&home.shelf(), &old).len(), 3);
        // What peers have of the old one is taken all the same.
        let mut again = Writer::of(&group, old);
        let lost = again.write_some(5).split_off(3);
        home.shelf().append(&lost).unwrap();
        assert_eq!(home.start().own_log(Class::Content).unwrap(), new);
    }
}

#[test]
fn a_log_that_was_moved_and_put_back_or_linked_elsewhere_is_the_same() {
    let home = Home::new();
    let group = home.create("team");
    let log = group.own_log(Class::Content).unwrap();
    let path = home.log_path(&log);
    std::fs::hard_link(&path, home.dir.join("backup")).unwrap();
    std::fs::rename(&path, home.dir.join("moved")).unwrap();
    std::fs::rename(home.dir.join("moved"), &path).unwrap();
    assert_eq!(home.start().own_log(Class::Content).unwrap(), log);
}

#[test]
fn a_log_of_which_others_have_more_is_given_up() {
    let home = Home::new();
    let group = home.create("team");
    let log = group.own_log(Class::Content).unwrap();
    group.retire_log(&log).unwrap();
    let next = home.start().own_log(Class::Content).unwrap();
    assert_ne!(next, log);
    assert_eq!(home.start().own_log(Class::Content).unwrap(), next);
}
