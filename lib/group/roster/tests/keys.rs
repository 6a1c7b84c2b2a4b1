use super::*;

const ALL: [u16; 7] = [0, 1, 2, 3, 4, 5, 6];

fn removal(world: &mut World, seen: &[Place], by: u16, number: u16, key_number: u16) -> Place {
    let rest: Vec<u16> = ALL.into_iter().filter(|other| *other != number).collect();
    world.put(by, 1, seen, remove(number, &[]), Some(wraps(key_number, &rest)))
}

fn sealed(number: u16, key: KeyId, roster: &Place) -> Header {
    Header { key, ..entry(number, 1, 1, roster.id) }
}

#[test]
fn who_is_given_the_key_has_it_and_nobody_lacks_it() {
    let mut world = World::new(Mode::Private);
    let roster = world.roster();
    assert!(roster.void().is_empty(), "{:?}", roster.void());
    assert_eq!(roster.keys(), [epoch(0)]);
    assert_eq!(roster.epochs()[0].holders.len(), 7);
    assert_eq!((roster.epochs()[0].act, roster.epochs()[0].clock), (world.acts[0].place.id, 1));
    assert!(roster.lacking().is_empty());
    world.act(1, add(7));
    assert_eq!(world.roster().lacking(), [key(7)]);
    world.act(2, Op::Give { given: wraps(0, &[7]) });
    assert!(world.roster().lacking().is_empty());
}

#[test]
fn what_somebody_gives_who_does_not_have_it_is_not_there() {
    let mut world = World::new(Mode::Private);
    let then = world.now();
    let rest = [0, 1, 2, 3, 4, 5, 6];
    world.with_key(1, Op::Rotate {}, Some(wraps(1, &rest)));
    world.act(1, add(7));
    // It has not seen the key that it gives.
    world.after(&then, 2, Op::Add { member: key(7), invite: None, given: Some(wraps(1, &[7])) });
    assert_eq!(world.roster().lacking(), [key(7)]);
    // Who was given it may give it on.
    world.act(0, promote(7));
    world.act(1, add(8));
    world.act(7, Op::Give { given: wraps(1, &[8]) });
    assert_eq!(world.roster().lacking(), [key(7), key(8)]);
    world.act(3, Op::Give { given: wraps(1, &[7]) });
    assert_eq!(world.roster().lacking(), [key(8)], "it gave what it had not yet");
    world.act(7, Op::Give { given: wraps(1, &[8]) });
    assert!(world.roster().lacking().is_empty());
}

#[test]
fn a_removal_brings_a_new_key_which_the_removed_lacks() {
    let mut world = World::new(Mode::Private);
    let then = world.now();
    removal(&mut world, &then, 1, 4, 1);
    let roster = world.roster();
    assert_eq!(roster.keys(), [epoch(1)]);
    assert!(!roster.epochs()[1].holders.contains(&key(4)));
    assert!(roster.lacking().is_empty() && roster.strangers().is_empty());
}

#[test]
fn an_act_that_must_bring_a_key_and_does_not_is_void() {
    let mut world = World::new(Mode::Private);
    for op in [remove(4, &[]), Op::Rotate {}] {
        let act = world.act(1, op);
        world.is_void(&act, "brings no new key");
    }
    assert_eq!(world.role(4), Some(Role::Member));
    let bare = World { acts: Vec::new(), ..world.clone() };
    for wraps in [None, Some(wraps(0, &[])), Some(wraps(0, &[0, 4]))] {
        let mut bare = bare.clone();
        let act = bare.with_key(0, Op::Create { name: "x".into() }, wraps);
        assert!(bare.why(&act).is_some() && bare.roster().name().is_empty());
    }
}

#[test]
fn a_ghost_member_in_a_key_voids_the_whole_act_and_is_named() {
    let mut world = World::new(Mode::Private);
    let ghost = world.with_key(1, Op::Rotate {}, Some(wraps(1, &[0, 1, 2, 3, 4, 5, 6, 9])));
    world.is_void(&ghost, &format!("ghost member: a key for {}", key(9).short()));
    let removed = world.with_key(1, remove(4, &[]), Some(wraps(2, &ALL)));
    world.is_void(&removed, &format!("ghost member: a key for {}", key(4).short()));
    assert_eq!(world.role(4), Some(Role::Member));
    let added = Op::Add { member: key(7), invite: None, given: Some(wraps(0, &[7, 9])) };
    let added = world.act(1, added);
    world.is_void(&added, &format!("ghost member: keys for {}", key(9).short()));
    let given = world.act(1, Op::Give { given: wraps(0, &[9]) });
    world.is_void(&given, &format!("ghost member: keys for {}", key(9).short()));
    assert_eq!(world.roster().keys(), [epoch(0)]);
    assert!(!world.roster().epochs()[0].holders.contains(&key(9)));
    assert_eq!(world.roster().strangers(), [key(7), key(9)], "they may have it all the same");
}

#[test]
fn a_key_that_leaves_a_member_out_voids_the_whole_act_and_names_the_member() {
    let mut world = World::new(Mode::Private);
    let act = world.with_key(1, remove(4, &[]), Some(wraps(1, &[0, 1, 2, 3, 6])));
    world.is_void(&act, &format!("{} is left out", key(5).short()));
    let act = world.with_key(1, remove(4, &[]), Some(wraps(1, &[1, 2, 3, 5, 6])));
    world.is_void(&act, &format!("{} is left out", key(0).short()));
    assert_eq!(world.role(4), Some(Role::Member));
    // Whom the act adds is a member of it.
    let without = world.with_key(1, add(7), Some(wraps(1, &ALL)));
    world.is_void(&without, &format!("{} is left out", key(7).short()));
    let with = world.with_key(1, add(7), Some(wraps(1, &[0, 1, 2, 3, 4, 5, 6, 7])));
    assert_eq!(world.why(&with), None);
    assert_eq!(world.roster().keys(), [epoch(1)]);
}

#[test]
fn a_new_key_is_one_and_new_with_one_box_for_each() {
    let mut world = World::new(Mode::Private);
    let twice = world.with_key(1, Op::Rotate {}, Some(wraps(1, &[0, 1, 2, 3, 4, 5, 6, 6])));
    world.is_void(&twice, "two boxes");
    let old = world.with_key(1, Op::Rotate {}, Some(wraps(0, &ALL)));
    world.is_void(&old, "an old one");
    let mut mixed = wraps(1, &ALL);
    mixed.boxes[3].key = epoch(2);
    let mixed = world.with_key(1, Op::Rotate {}, Some(mixed));
    world.is_void(&mixed, "several keys");
    let mut zero = wraps(1, &ALL);
    zero.boxes.iter_mut().for_each(|one| one.key = KeyId::default());
    let zero = world.with_key(1, Op::Rotate {}, Some(zero));
    world.is_void(&zero, "in no box");
}

#[test]
fn concurrent_removals_leave_several_keys_and_none_of_the_removed_has_all() {
    let mut world = World::new(Mode::Private);
    let then = world.now();
    removal(&mut world, &then, 1, 4, 1);
    removal(&mut world, &then, 2, 5, 2);
    world.after(&then, 3, Op::Add { member: key(7), invite: None, given: Some(wraps(0, &[7])) });
    let roster = world.roster();
    assert_eq!(roster.keys(), [epoch(1), epoch(2)]);
    assert_eq!(roster.lacking(), [key(7)]);
    assert!(roster.strangers().is_empty());
    let holders = |number: usize| roster.epochs()[number].holders.clone();
    assert!(holders(1).contains(&key(5)) && !holders(1).contains(&key(4)));
    assert!(holders(2).contains(&key(4)) && !holders(2).contains(&key(5)));
    // One that has seen both replaces both.
    world.with_key(0, Op::Rotate {}, Some(wraps(3, &[0, 1, 2, 3, 6, 7])));
    assert_eq!(world.roster().keys(), [epoch(3)]);
    assert!(world.roster().lacking().is_empty());
}

#[test]
fn a_beaten_removal_takes_its_key_along() {
    let mut world = World::new(Mode::Private);
    let then = world.now();
    let beaten = removal(&mut world, &then, 1, 4, 1);
    world.after(&then, 0, promote(4));
    world.is_void(&beaten, "at the same time");
    assert_eq!(world.roster().keys(), [epoch(0)]);
    assert_eq!(world.roster().epochs().len(), 1);
    assert!(world.roster().lacking().is_empty());
}

#[test]
fn whom_a_void_act_gave_the_key_is_named_until_there_is_a_new_one() {
    let mut world = World::new(Mode::Private);
    let then = world.now();
    world.after(&then, 1, Op::Add { member: key(7), invite: None, given: Some(wraps(0, &[7])) });
    assert!(world.roster().strangers().is_empty());
    world.after(&then, 0, demote(1, &[]));
    assert_eq!(world.role(7), None);
    assert_eq!(world.roster().strangers(), [key(7)]);
    world.with_key(0, Op::Rotate {}, Some(wraps(1, &ALL)));
    assert!(world.roster().strangers().is_empty());
}

#[test]
fn what_is_sealed_under_a_key_that_its_author_knew_to_be_retired_is_refused() {
    let mut world = World::new(Mode::Private);
    let then = world.now();
    let before = *then.last().unwrap();
    let renewed = world.with_key(2, Op::Rotate {}, Some(wraps(1, &ALL)));
    let now = world.now();
    let removed = removal(&mut world, &now, 1, 4, 2);
    let aside = world.after(&then, 3, rename("aside"));
    let roster = world.roster();
    let verdict = |key, last: &Place| roster.verdict(&sealed(5, key, last), &before.id);
    assert_eq!(verdict(epoch(0), &before), Verdict::Counts);
    assert_eq!(verdict(epoch(0), &renewed), Verdict::Counts, "nobody was removed");
    for key in [epoch(0), epoch(1)] {
        assert!(matches!(verdict(key, &removed), Verdict::Refused(why) if why.contains("retired")));
        assert_eq!(verdict(key, &aside), Verdict::Counts, "it did not know");
        assert!(roster.retired(&key, &removed.id) && !roster.retired(&key, &aside.id));
    }
    assert_eq!(verdict(epoch(2), &removed), Verdict::Counts);
    assert!(matches!(roster.verdict(&sealed(0, epoch(0), &removed), &before.id), Verdict::Refused(_)));
    // An id that no act brought may be that of several keys together.
    assert_eq!(verdict(epoch(99), &removed), Verdict::Counts);
}

#[test]
fn bodies_are_in_clear_in_public_groups_and_in_no_others() {
    let private = World::new(Mode::Private);
    let public = World::new(Mode::Public);
    let open = World::new(Mode::Open);
    let verdict = |world: &World, number, key| {
        let last = world.acts[9].place;
        world.roster().verdict(&sealed(number, key, &last), &last.id)
    };
    for number in [0, 5] {
        assert!(
            matches!(verdict(&private, number, KeyId::default()), Verdict::Refused(why) if why.contains("in clear"))
        );
        assert!(matches!(verdict(&open, number, KeyId::default()), Verdict::Refused(why) if why.contains("in clear")));
        assert!(matches!(verdict(&public, number, epoch(0)), Verdict::Refused(why) if why.contains("public")));
        assert!(matches!(verdict(&open, number, epoch(0)), Verdict::Refused(why) if why.contains("another key")));
        assert_eq!(verdict(&open, number, epoch(500)), Verdict::Counts);
        assert_eq!(verdict(&public, number, KeyId::default()), Verdict::Counts);
    }
    let last = private.acts[9].place;
    let leave = Header { kind: Kind::Leave, ..entry(5, 1, 1, last.id) };
    assert_eq!(private.roster().verdict(&leave, &last.id), Verdict::Counts);
}

#[test]
fn an_open_group_has_one_key_for_ever_and_a_public_one_none() {
    let mut open = World::new(Mode::Open);
    assert_eq!(open.roster().keys(), [epoch(500)]);
    assert_eq!(open.roster().epochs()[0].holders.len(), 7);
    assert!(open.roster().lacking().is_empty());
    let act = open.with_key(0, Op::Rotate {}, Some(wraps(1, &ALL)));
    open.is_void(&act, "in an open group");
    let mut public = World::new(Mode::Public);
    assert!(public.roster().keys().is_empty() && public.roster().lacking().is_empty());
    let act = public.with_key(0, remove(4, &[]), Some(wraps(1, &[0, 1, 2, 3, 5, 6])));
    public.is_void(&act, "in a public group");
    let act = public.act(0, Op::Add { member: key(7), invite: None, given: Some(wraps(1, &[7])) });
    public.is_void(&act, "in a public group");
    let act = public.act(0, Op::Give { given: wraps(1, &[4]) });
    public.is_void(&act, "in a public group");
}
