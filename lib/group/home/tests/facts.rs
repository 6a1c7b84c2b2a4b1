//! What is known of a group beside its logs.

use super::super::{Join, Joining, MAX_JOINS, Wish};
use super::{Facts, Home, Status, Writer, genesis, key};
use crate::error::Kind;
use crate::group::history::Position;
use crate::key::KeyPair;
use crate::sign::Signature;
use crate::trust::Time;

fn id(group: &super::Group) -> String {
    group.id().to_string()
}

#[test]
fn a_group_is_found_by_its_name_its_id_and_the_beginning_of_that() {
    let home = Home::new();
    assert!(home.groups().list().unwrap().is_empty());
    assert_eq!(home.groups().find("team").err().unwrap().kind(), Kind::No);
    let (team, other) = (home.create("team"), home.create("other"));
    for (word, found) in [("team", &team), ("other", &other), (&id(&team), &team), (&id(&other)[..8], &other)] {
        assert_eq!(home.groups().find(word).unwrap().id(), found.id());
    }
    assert_eq!(home.groups().get(&team.id()).unwrap().unwrap().facts().unwrap().name, "team");
    for word in ["", "Team", "tea", &id(&team)[..7], "00000000", &id(&team).to_uppercase()] {
        let error = home.groups().find(word).err().unwrap();
        assert_eq!(error.kind(), Kind::No, "{word}: {error}");
        assert!(error.hints()[0].contains("8 digits"));
    }
}

#[test]
fn two_groups_of_one_name_want_the_id() {
    let home = Home::new();
    let (one, two) = (home.create("one"), home.create("two"));
    two.update(|facts| {
        facts.name = "one".to_owned();
        Ok(())
    })
    .unwrap();
    let error = home.groups().find("one").err().unwrap();
    assert_eq!(error.kind(), Kind::Usage);
    for group in [&one, &two] {
        assert!(error.to_string().contains(&id(group)[..16]), "{error}");
        assert_eq!(home.groups().find(&id(group)[..16]).unwrap().id(), group.id());
    }
    // A name that looks like the beginning of another's id gets nothing that is meant for that.
    two.update(|facts| {
        facts.name = id(&one)[..8].to_owned();
        Ok(())
    })
    .unwrap();
    assert!(home.groups().find(&id(&one)[..8]).err().unwrap().to_string().contains("any of 2 groups"));
    assert_eq!(home.groups().find(&id(&one)).unwrap().id(), one.id());
}

#[test]
fn a_name_that_is_taken_gets_a_number_and_stays_as_long_as_names_may_be() {
    let home = Home::new();
    let long = "é".repeat(64);
    for (wanted, free) in [("team", "team"), ("team", "team-2"), ("team", "team-3"), (&long, &long)] {
        assert_eq!(home.groups().free_name(wanted).unwrap(), free);
        home.create(free);
    }
    assert_eq!(home.groups().free_name(&long).unwrap(), "é".repeat(62) + "-2");
    let facts = Facts::new("team", genesis(home.me.public(), "other"), Status::Active);
    let error = home.groups().create(facts, &[]).err().unwrap();
    assert_eq!(error.kind(), Kind::No);
    assert_eq!(home.groups().list().unwrap().len(), 4);
}

#[test]
fn a_group_that_cannot_be_read_hides_no_other_and_is_named_where_it_may_be_meant() {
    let home = Home::new();
    let (one, two) = (home.create("one"), home.create("two"));
    let path = home.dir.join("groups").join(id(&two)).join("group.json");
    std::fs::write(&path, "{").unwrap();
    assert_eq!(home.groups().find("one").unwrap().id(), one.id());
    assert_eq!(home.groups().list().unwrap().len(), 2);
    assert!(home.groups().find("two").err().unwrap().to_string().contains(path.to_str().unwrap()));
    std::fs::copy(home.dir.join("groups").join(id(&one)).join("group.json"), &path).unwrap();
    assert!(two.facts().unwrap_err().to_string().contains("is that of another group"));
    assert!(two.update(|_| Ok(())).is_err());
    // One whose making was cut short is none.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(home.groups().list().unwrap().len(), 1);
    assert!(home.groups().get(&two.id()).unwrap().is_none());
}

#[test]
fn what_is_known_is_there_after_a_restart_and_a_group_is_made_once() {
    let home = Home::new();
    let peer = KeyPair::generate().unwrap().public();
    let mut facts = Facts::new("team", genesis(home.me.public(), "team"), Status::Pending);
    facts.peers = vec![format!("{peer}@host:8802").parse().unwrap()];
    facts.wish = Some(Wish { capability: peer, signature: Signature([9; 64]) });
    facts.announced = vec!["me.example:8802".parse().unwrap()];
    home.groups().create(facts.clone(), &[key(1)]).unwrap();
    assert_eq!(home.start().facts().unwrap(), facts);
    let again = home.groups().create(facts.clone(), &[]).err().unwrap();
    assert_eq!(again.kind(), Kind::No);
    home.start()
        .update(|facts| {
            facts.status = Status::Active;
            Ok(())
        })
        .unwrap();
    facts.status = Status::Active;
    assert_eq!(home.start().facts().unwrap(), facts);
    for name in ["", "a\nb", "\u{202e}x", &"x".repeat(65)] {
        let change = |facts: &mut Facts| {
            facts.name = name.to_owned();
            Ok(())
        };
        assert!(home.start().update(change).is_err(), "{name:?}");
    }
    assert_eq!(home.start().facts().unwrap().name, "team");
}

#[test]
fn keys_are_there_for_this_identity_alone_and_in_this_group() {
    let home = Home::new();
    let group = home.create("team");
    assert!(group.keys().unwrap().is_empty());
    group.add_keys(&[key(1)]).unwrap();
    let before = std::fs::read_to_string(home.path("keys.json")).unwrap();
    group.add_keys(&[key(1)]).unwrap();
    assert_eq!(std::fs::read_to_string(home.path("keys.json")).unwrap(), before);
    let keys = home.start().keys().unwrap();
    assert_eq!(*keys[&key(1).id()].0, [1; 32]);
    assert!(!before.contains(&crate::json::line(&crate::json::Bytes(vec![1; 32])).unwrap()));
    let stranger = crate::key::KeyPair::generate().unwrap();
    let theirs = super::Groups::open(&crate::store::Store::at(&home.dir), &stranger);
    let error = theirs.list().unwrap()[0].keys().err().unwrap();
    assert!(error.to_string().contains("another one's"), "{error}");
    let other = home.create("other");
    let place = home.dir.join("groups").join(id(&other)).join("keys.json");
    std::fs::copy(home.dir.join("groups").join(id(&group)).join("keys.json"), place).unwrap();
    assert!(other.keys().is_err());
}

#[test]
fn those_who_wait_do_so_once_each_and_no_more_than_sixty_four() {
    let home = Home::new();
    let group = home.create("team");
    let key = || KeyPair::generate().unwrap().public();
    let join = |since| Join {
        member: key(),
        capability: key(),
        signature: Signature([3; 64]),
        since: Time::from_unix(since).unwrap(),
    };
    let all: Vec<_> = (0..MAX_JOINS).map(|number| join(number as u64)).collect();
    all.iter().for_each(|join| assert_eq!(group.add_join(join.clone()).unwrap(), Joining::New));
    assert_eq!(home.start().joins().unwrap(), all);
    let again = Join { since: Time::from_unix(1000).unwrap(), ..all[5].clone() };
    assert_eq!(group.add_join(again).unwrap(), Joining::Waits);
    assert_eq!(home.start().joins().unwrap(), all);
    assert_eq!(group.add_join(join(1)).unwrap(), Joining::Full);
    assert_eq!(group.drop_joins(|join| join.member == all[5].member).unwrap(), 1);
    assert_eq!(group.drop_joins(|join| join.member == all[5].member).unwrap(), 0);
    assert_eq!(group.add_join(join(1)).unwrap(), Joining::New);
    assert_eq!(home.start().joins().unwrap().len(), MAX_JOINS);
}

#[test]
fn many_who_wait_by_one_invite_leave_room_for_others() {
    let home = Home::new();
    let group = home.create("team");
    let key = || KeyPair::generate().unwrap().public();
    let join = |capability| {
        let (signature, since) = (Signature([3; 64]), Time::from_unix(1).unwrap());
        group.add_join(Join { member: key(), capability, signature, since }).unwrap()
    };
    let leaked = key();
    assert_eq!((0..17).map(|_| join(leaked)).filter(|joining| *joining == Joining::New).count(), 16);
    assert_eq!(join(key()), Joining::New);
}

#[test]
fn a_cursor_stands_where_it_was_put_in_each_log() {
    let home = Home::new();
    let group = home.create("team");
    let logs = [Writer::new(&group).log, Writer::new(&group).log];
    let at = |places: &[(usize, u64)]| -> Position {
        places.iter().map(|(log, seq)| ((logs[*log].author, logs[*log].inc), *seq)).collect()
    };
    assert_eq!(group.cursor("backup").unwrap(), None);
    group.set_cursor("backup", &at(&[(0, 5), (1, 7)])).unwrap();
    group.set_cursor("backup", &at(&[(0, 6)])).unwrap();
    group.set_cursor("other", &at(&[(1, 1)])).unwrap();
    assert_eq!(home.start().cursor("backup").unwrap().unwrap(), at(&[(0, 6), (1, 7)]));
    assert_eq!(home.start().cursor("other").unwrap().unwrap(), at(&[(1, 1)]));
    for name in ["", "a b", "../x"] {
        assert_eq!(group.cursor(name).unwrap_err().kind(), Kind::Usage);
        assert_eq!(group.set_cursor(name, &Position::new()).unwrap_err().kind(), Kind::Usage);
    }
}
