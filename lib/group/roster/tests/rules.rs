use super::*;

/// That `author` may not do `op`, and that the act is void for the same reason.
fn may_not(world: &mut World, author: u16, op: Op, why: &str) {
    let said = world.roster().may(&key(author), &op).expect_err(why);
    assert!(said.contains(why), "{said}");
    let wraps = (world.genesis.mode == Mode::Private).then(|| wraps(77, &[0]));
    let act = world.with_key(author, op, wraps);
    assert_eq!(world.why(&act), Some(said));
    world.acts.pop();
}

#[test]
fn only_the_owner_promotes_demotes_creates_and_makes_checkpoints() {
    let mut world = World::new(Mode::Public);
    may_not(&mut world, 1, promote(4), "only the owner promotes");
    may_not(&mut world, 1, demote(2, &[]), "only the owner demotes");
    may_not(&mut world, 1, Op::Create { name: "mine".into() }, "only the owner creates");
    let members = standing::standings(&world);
    may_not(&mut world, 1, Op::Checkpoint { members, frontier: Vec::new() }, "only the owner makes checkpoints");
}

#[test]
fn members_and_strangers_do_nothing() {
    let mut world = World::new(Mode::Public);
    may_not(&mut world, 4, rename("ours"), "is no admin");
    may_not(&mut world, 4, add(7), "is no admin");
    may_not(&mut world, 9, add(7), "is no member");
    world.act(0, Op::Remove { member: key(1), cut: Cut::default() });
    may_not(&mut world, 1, add(7), "is no member");
}

#[test]
fn an_act_that_has_no_meaning_is_void() {
    let mut world = World::new(Mode::Public);
    may_not(&mut world, 0, Op::Create { name: "again".into() }, "created only once");
    may_not(&mut world, 1, add(4), "is a member already");
    may_not(&mut world, 0, promote(1), "is an admin already");
    may_not(&mut world, 0, promote(9), "is no member");
    may_not(&mut world, 0, demote(4, &[]), "is no admin");
    may_not(&mut world, 1, mute(9, &[]), "is no member");
    may_not(&mut world, 1, unmute(9), "is no member");
    may_not(&mut world, 1, rename(""), "has letters");
    may_not(&mut world, 1, rename("two\nlines"), "no control characters");
    may_not(&mut world, 1, rename(&"x".repeat(65)), "65 characters");
    assert!(world.roster().may(&key(1), &rename(&"ä".repeat(64))).is_ok());
}

#[test]
fn a_key_may_be_removed_before_it_is_a_member() {
    let mut world = World::new(Mode::Public);
    world.act(1, remove(9, &[]));
    let roster = world.roster();
    assert!(roster.is_removed(&key(9)) && roster.void().is_empty());
}

#[test]
fn a_cut_names_only_logs_of_who_is_cut_and_acts_that_were_seen_each_log_once() {
    let mut world = World::new(Mode::Public);
    may_not(&mut world, 1, remove(4, &[at(5, 1, 1)]), "the logs of another");
    may_not(&mut world, 1, remove(4, &[at(4, 1, 1), at(4, 1, 2)]), "two places in one log");
    let then = world.now();
    let unseen = world.act(1, rename("new"));
    let act = world.after(&then, 0, demote(1, &[unseen]));
    world.is_void(&act, "did not know");
    let elsewhere = Place { seq: 2, ..unseen };
    may_not(&mut world, 0, demote(1, &[elsewhere]), "did not know");
    assert_eq!(world.role(1), Some(Role::Admin));
}

#[test]
fn a_checkpoint_says_how_things_stand_and_nothing_else() {
    let mut world = World::new(Mode::Public);
    let right = standing::standings(&world);
    let checkpoint = |members: &[Standing]| Op::Checkpoint { members: members.to_vec(), frontier: Vec::new() };
    assert_eq!(world.roster().may(&key(0), &checkpoint(&right)), Ok(()));
    may_not(&mut world, 0, checkpoint(&right[1..]), "leaves members out");
    may_not(&mut world, 0, checkpoint(&[&right[..], &right[..1]].concat()), "what is not so");
    let mut raised = right.clone();
    raised[5].role = Role::Admin;
    may_not(&mut world, 0, checkpoint(&raised), "what is not so");
    let mut muted = right.clone();
    muted[5].muted = true;
    may_not(&mut world, 0, checkpoint(&muted), "what is not so");
    let twice = Op::Checkpoint { members: right, frontier: vec![at(4, 1, 1), at(4, 1, 2)] };
    may_not(&mut world, 0, twice, "two places in one log");
}

#[test]
fn a_full_group_takes_nobody() {
    let mut world = World::new(Mode::Public);
    for number in 7..500 {
        let seen: Vec<Place> = world.acts.last().map(|act| act.place).into_iter().collect();
        world.after(&seen, 0, add(number));
    }
    assert_eq!(world.roster().members().len(), 500);
    may_not(&mut world, 1, add(500), "the group is full");
    world.act(1, remove(4, &[]));
    let then = world.now();
    let one = world.act(1, add(500));
    assert_eq!(world.why(&one), None);
    may_not(&mut world, 1, add(501), "the group is full");
    // Those who did not know of each other are both in.
    let other = world.after(&then, 2, add(501));
    assert_eq!(world.why(&other), None);
    assert_eq!(world.roster().members().len(), 501);
}

fn invite(number: u16, uses: u32) -> Op {
    Op::Invite { capability: key(number), expires: 1000, uses, approve: true }
}

fn add_by(number: u16, invite: u16) -> Op {
    Op::Add { member: key(number), invite: Some(key(invite)), given: None }
}

#[test]
fn an_invite_lets_as_many_in_as_it_says_and_none_once_it_is_revoked() {
    let mut world = World::new(Mode::Public);
    world.act(1, invite(100, 3));
    let left = |world: &World| world.roster().invites().get(&key(100)).map(|invite| invite.left);
    let made = world.roster().invites()[&key(100)].clone();
    assert_eq!(made, Invite { by: key(1), expires: 1000, left: 3, approve: true });
    may_not(&mut world, 2, add_by(7, 101), "an invite that is not there");
    world.act(2, add_by(7, 100));
    assert_eq!(left(&world), Some(2));
    assert_eq!(world.roster().members()[&key(7)].invite, Some(key(100)));
    let then = world.now();
    world.after(&then, 1, add_by(8, 100));
    world.after(&then, 2, add_by(8, 100));
    assert_eq!(left(&world), Some(1), "one who was let in twice at the same time came once");
    world.act(1, add_by(10, 100));
    may_not(&mut world, 2, add_by(9, 100), "used up");
    may_not(&mut world, 2, invite(100, 5), "there already");
    may_not(&mut world, 2, Op::Invite { capability: key(101), expires: 1, uses: 0, approve: false }, "for nobody");
    world.act(2, invite(101, 5));
    let then = world.now();
    world.act(3, Op::Revoke { capability: key(101) });
    assert!(!world.roster().invites().contains_key(&key(101)));
    may_not(&mut world, 2, add_by(9, 101), "not there");
    may_not(&mut world, 2, Op::Revoke { capability: key(101) }, "no invite");
    // Who did not know that it was revoked has let somebody in.
    world.after(&then, 2, add_by(9, 101));
    assert_eq!(world.role(9), Some(Role::Member));
    assert!(world.roster().void().is_empty());
}

#[test]
fn an_act_whose_past_is_not_there_or_is_another_does_nothing() {
    let mut world = World::new(Mode::Public);
    let before = world.roster();
    let missing = Place { id: EntryId([9; 32]), ..at(1, 1, 1) };
    let act = world.after(&[missing], 0, rename("new"));
    world.is_void(&act, "not here as it names it");
    let after = world.act(0, rename("newer"));
    world.is_void(&after, "not here as it names it");
    let first = world.acts[0].place;
    let other = world.after(&[Place { id: EntryId([9; 32]), ..first }], 1, rename("another"));
    world.is_void(&other, "not here as it names it");
    assert_eq!(world.roster().heads(), before.heads());
    assert_eq!(world.roster().name(), "rowing");
    // Two acts in one place are none.
    let mut twin = world.acts[0].clone();
    twin.place.id = EntryId([8; 32]);
    world.acts.push(twin);
    assert_eq!(world.roster().members().len(), 1);
    assert!(world.why(&first).is_some());
}

#[test]
fn what_an_act_has_seen_has_seen_more() {
    let mut world = World::new(Mode::Public);
    let removal = world.act(1, remove(4, &[]));
    let seen_it = world.after(&[removal], 2, rename("new"));
    // It names only the last act it has seen.
    world.after(&[seen_it], 3, add(4));
    assert_eq!(world.role(4), Some(Role::Member));
}

#[test]
fn heads_are_the_last_acts_and_a_new_one_has_seen_those_of_other_logs() {
    let mut world = World::new(Mode::Public);
    let one = world.act(1, rename("one"));
    let two = world.act(2, rename("two"));
    let roster = world.roster();
    assert_eq!(roster.heads(), [world.acts[9].place, one, two]);
    assert_eq!(roster.next(&key(1), &one.inc), [world.acts[9].place, two]);
    assert_eq!(roster.next(&key(1), &Inc([2; 8])), roster.heads());
}
