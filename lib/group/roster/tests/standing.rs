use super::*;

#[test]
fn a_group_has_its_owner_its_name_and_whom_the_owner_added() {
    let world = World::new(Mode::Public);
    let roster = world.roster();
    assert_eq!(roster.name(), "rowing");
    assert_eq!(roster.members().len(), 7);
    assert_eq!(world.role(0), Some(Role::Owner));
    assert_eq!(world.role(1), Some(Role::Admin));
    assert_eq!(world.role(4), Some(Role::Member));
    assert_eq!(world.role(7), None);
    assert!(roster.was_ever(&key(4)) && !roster.was_ever(&key(7)));
    assert!(roster.void().is_empty(), "{:?}", roster.void());
}

#[test]
fn a_group_without_acts_has_its_owner_alone() {
    let roster = Roster::fold(&genesis(Mode::Private), &[]);
    assert_eq!(roster.members().keys().collect::<Vec<_>>(), [&key(0)]);
    assert_eq!(roster.head(&key(0)), EntryId::default());
    assert!(roster.keys().is_empty());
}

#[test]
fn a_removal_beats_a_concurrent_addition() {
    let mut world = World::new(Mode::Public);
    let then = world.now();
    world.after(&then, 2, remove(7, &[]));
    world.after(&then, 1, add(7));
    assert_eq!(world.role(7), None);
    assert!(world.roster().is_removed(&key(7)));
    assert!(world.roster().void().is_empty());
}

#[test]
fn who_was_removed_is_a_member_again_by_an_addition_that_has_seen_the_removal() {
    let mut world = World::new(Mode::Public);
    let then = world.now();
    let removal = world.act(1, remove(4, &[at(4, 1, 5)]));
    world.after(&then, 2, rename("other"));
    assert_eq!(world.role(4), None);
    let again = world.after(&[removal], 2, add(4));
    assert_eq!(world.role(4), Some(Role::Member));
    assert!(!world.roster().is_removed(&key(4)));
    assert_eq!(world.why(&again), None);
}

#[test]
fn an_act_of_the_owner_beats_a_concurrent_one_of_an_admin_on_the_same() {
    let mut world = World::new(Mode::Public);
    let then = world.now();
    let removal = world.after(&then, 1, remove(4, &[]));
    assert_eq!(world.role(4), None);
    world.after(&then, 0, promote(4));
    assert_eq!(world.role(4), Some(Role::Admin));
    world.is_void(&removal, "the owner acted on the same at the same time");
    // So does its name, and nothing that has seen it is beaten.
    let name = world.after(&then, 2, rename("theirs"));
    world.after(&then, 0, rename("ours"));
    assert_eq!(world.roster().name(), "ours");
    world.is_void(&name, "at the same time");
    world.act(2, rename("later"));
    assert_eq!(world.roster().name(), "later");
}

#[test]
fn of_two_concurrent_names_by_admins_the_one_with_the_higher_clock_counts() {
    let mut world = World::new(Mode::Public);
    let then = world.now();
    world.after(&then, 2, rename("first"));
    world.after(&then, 1, rename("second"));
    assert_eq!(world.roster().name(), "second");
    // What was seen does not come back for its clock.
    let last = world.act(3, rename("third"));
    world.acts.iter_mut().find(|act| act.place == last).unwrap().clock = 0;
    assert_eq!(world.roster().name(), "third");
}

#[test]
fn two_admins_cannot_remove_each_other() {
    let mut world = World::new(Mode::Public);
    let then = world.now();
    let one = world.after(&then, 1, remove(2, &[]));
    let other = world.after(&then, 2, remove(1, &[]));
    world.is_void(&one, "is an admin, and only the owner touches admins");
    world.is_void(&other, "is an admin, and only the owner touches admins");
    assert_eq!((world.role(1), world.role(2)), (Some(Role::Admin), Some(Role::Admin)));
}

#[test]
fn admins_touch_neither_the_owner_nor_an_admin_in_any_way() {
    let mut world = World::new(Mode::Public);
    for op in [remove(0, &[]), mute(0, &[]), add(0)] {
        let act = world.act(1, op);
        world.is_void(&act, "nobody touches the owner");
    }
    for op in [remove(2, &[]), mute(2, &[]), unmute(2), add(2)] {
        let act = world.act(1, op);
        world.is_void(&act, "only the owner touches admins");
    }
    let own = world.act(0, remove(0, &[]));
    world.is_void(&own, "nobody touches the owner");
    let own = world.act(1, mute(1, &[]));
    world.is_void(&own, "nobody acts on itself");
    assert_eq!(world.role(2), Some(Role::Admin));
}

#[test]
fn a_counter_removal_that_a_demoted_admin_dates_back_is_void() {
    let mut world = World::new(Mode::Public);
    let then = world.now();
    let good = world.act(1, remove(4, &[]));
    let kept = world.after(&[good], 0, demote(1, &[good]));
    // It says that it has not seen the demotion.
    let counter = world.after(&then, 1, remove(5, &[]));
    world.is_void(&counter, "behind the cut");
    assert_eq!((world.role(4), world.role(5)), (None, Some(Role::Member)));
    assert_eq!(world.role(1), Some(Role::Member));
    assert_eq!(world.why(&good), None);
    // In a log that the owner has not seen nothing counts.
    let hidden = world.put(1, 2, &then, remove(6, &[]), None);
    world.is_void(&hidden, "behind the cut");
    // Who is an admin again may act again, once it has seen that.
    let again = world.after(&[kept], 0, promote(1));
    let early = world.after(&[kept], 1, remove(6, &[]));
    let late = world.after(&[again], 1, remove(6, &[]));
    world.is_void(&early, "is no admin");
    assert_eq!(world.why(&late), None);
}

#[test]
fn an_addition_behind_the_cut_goes_with_its_admin() {
    let mut world = World::new(Mode::Public);
    let then = world.now();
    world.after(&then, 1, add(7));
    world.after(&then, 0, Op::Remove { member: key(1), cut: Cut::default() });
    assert_eq!((world.role(1), world.role(7)), (None, None));
    assert!(!world.roster().was_ever(&key(7)));
}

#[test]
fn an_addition_that_another_has_confirmed_stays_when_its_admin_goes() {
    let mut world = World::new(Mode::Public);
    let then = world.now();
    world.act(1, add(7));
    world.act(0, promote(7));
    world.after(&then, 0, promote(6));
    let cut = world.now();
    world.put(0, 2, &cut, Op::Remove { member: key(1), cut: Cut::default() }, None);
    assert_eq!(world.role(7), Some(Role::Admin));
}

#[test]
fn a_mute_beats_a_concurrent_unmute_and_an_unmute_that_has_seen_it_ends_it() {
    let mut world = World::new(Mode::Public);
    world.act(1, mute(4, &[]));
    let then = world.now();
    let early = world.after(&then, 2, mute(4, &[]));
    world.after(&then, 1, unmute(4));
    assert_eq!(world.why(&early), None);
    assert!(world.roster().members()[&key(4)].muted);
    world.act(3, unmute(4));
    assert!(!world.roster().members()[&key(4)].muted);
}

#[test]
fn who_is_added_anew_is_heard_anew() {
    let mut world = World::new(Mode::Public);
    world.act(1, mute(4, &[]));
    world.act(1, remove(4, &[]));
    world.act(1, add(4));
    assert!(!world.roster().members()[&key(4)].muted);
}

#[test]
fn a_checkpoint_settles_what_it_has_seen_against_concurrent_acts() {
    let mut world = World::new(Mode::Public);
    world.act(1, remove(6, &[]));
    let then = world.now();
    let members = standings(&world);
    let checkpoint = world.act(0, Op::Checkpoint { members, frontier: Vec::new() });
    let removal = world.after(&then, 1, remove(4, &[]));
    let back = world.after(&then, 2, add(6));
    let muting = world.after(&then, 2, mute(5, &[]));
    let fresh = world.after(&then, 3, add(7));
    assert_eq!(world.why(&checkpoint), None);
    world.is_void(&removal, "at the same time");
    world.is_void(&back, "at the same time");
    world.is_void(&muting, "at the same time");
    assert_eq!(world.why(&fresh), None);
    assert_eq!((world.role(4), world.role(6), world.role(7)), (Some(Role::Member), None, Some(Role::Member)));
    // What comes after it counts.
    world.act(1, remove(4, &[]));
    assert_eq!(world.role(4), None);
}

#[test]
fn a_checkpoint_keeps_members_whose_admin_is_cut_off_later() {
    let mut world = World::new(Mode::Public);
    world.act(1, add(7));
    world.act(2, mute(7, &[]));
    let members = standings(&world);
    world.act(0, Op::Checkpoint { members, frontier: Vec::new() });
    world.act(0, Op::Remove { member: key(1), cut: Cut::default() });
    let roster = world.roster();
    assert_eq!(roster.role(&key(7)), Some(Role::Member));
    assert!(roster.members()[&key(7)].muted);
}

#[test]
fn of_concurrent_acts_in_two_logs_of_the_owner_both_are_in_force_and_the_strictest_counts() {
    let mut world = World::new(Mode::Public);
    let then = world.now();
    let both = |world: &mut World, strict: Op, mild: Op| {
        let strict = world.put(0, 2, &then, strict, None);
        let mild = world.put(0, 3, &then, mild, None);
        assert_eq!((world.why(&strict), world.why(&mild)), (None, None));
    };
    both(&mut world, remove(1, &[]), demote(1, &[]));
    assert_eq!(world.role(1), None);
    both(&mut world, remove(4, &[]), promote(4));
    assert_eq!(world.role(4), None);
    let members = standings(&World::new(Mode::Public));
    world.put(0, 4, &then, demote(2, &[]), None);
    world.put(0, 5, &then, Op::Checkpoint { members, frontier: Vec::new() }, None);
    assert_eq!((world.role(1), world.role(2), world.role(3)), (None, Some(Role::Member), Some(Role::Admin)));
    let invite = || Op::Invite { capability: key(100), expires: 1, uses: 1, approve: false };
    let made = world.act(0, invite());
    world.put(0, 2, &[made], Op::Revoke { capability: key(100) }, None);
    world.put(0, 3, &then, invite(), None);
    assert!(!world.roster().invites().contains_key(&key(100)));
}

#[test]
fn whom_a_demoted_admin_added_behind_the_cut_gets_no_new_key() {
    let mut world = World::new(Mode::Private);
    world.act(1, Op::Add { member: key(7), invite: None, given: Some(wraps(0, &[7])) });
    world.act(0, demote(1, &[]));
    assert_eq!(world.role(7), None);
    let with = world.with_key(0, Op::Rotate {}, Some(wraps(1, &[0, 1, 2, 3, 4, 5, 6, 7])));
    world.is_void(&with, "ghost member");
    let without = world.with_key(0, Op::Rotate {}, Some(wraps(2, &[0, 1, 2, 3, 4, 5, 6])));
    assert_eq!(world.why(&without), None);
}

pub(super) fn standings(world: &World) -> Vec<Standing> {
    let roster = world.roster();
    let others = roster.members().iter().filter(|(member, _)| **member != key(0));
    others.map(|(member, is)| Standing { member: *member, role: is.role, muted: is.muted }).collect()
}
