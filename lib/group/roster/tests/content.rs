use super::*;

fn refused(verdict: Verdict, because: &str) {
    let Verdict::Refused(why) = verdict else { panic!("{verdict:?}") };
    assert!(why.contains(because), "{why}");
}

impl World {
    /// What becomes of an entry in a log whose first names `first`.
    fn verdict(&self, number: u16, inc: u8, seq: u64, roster: &Place, first: &Place) -> Verdict {
        self.roster().verdict(&entry(number, inc, seq, roster.id), &first.id)
    }

    fn last(&self) -> Place {
        self.acts.last().unwrap().place
    }
}

fn cut_of(roster: &Roster, number: u16, inc: u8, first: &Place) -> Option<u64> {
    roster.cut(&entry(number, inc, 1, first.id).log, &first.id)
}

#[test]
fn what_a_member_writes_counts_once_it_knows_that_it_is_one() {
    let world = World::new(Mode::Public);
    let (early, added, late) = (world.acts[3].place, world.acts[4].place, world.last());
    assert_eq!(world.verdict(4, 1, 1, &added, &added), Verdict::Counts);
    assert_eq!(world.verdict(4, 1, 1, &late, &late), Verdict::Counts);
    refused(world.verdict(4, 1, 1, &early, &early), "before it was a member");
    refused(world.verdict(9, 1, 1, &late, &late), "never was a member");
    assert_eq!(world.verdict(0, 1, 1, &early, &early), Verdict::Counts);
    let unknown = at(0, 9, 1);
    assert_eq!(world.verdict(4, 1, 1, &unknown, &unknown), Verdict::Later);
    assert_eq!(world.verdict(9, 1, 1, &unknown, &unknown), Verdict::Later);
    let none = Place { id: EntryId::default(), ..unknown };
    refused(world.verdict(4, 1, 1, &none, &none), "before it was a member");
    assert_eq!(world.verdict(0, 1, 1, &none, &none), Verdict::Counts);
}

#[test]
fn behind_the_cut_of_a_removal_nothing_counts_and_logs_it_does_not_name_have_none() {
    let mut world = World::new(Mode::Public);
    let first = world.last();
    world.act(1, remove(4, &[at(4, 1, 5)]));
    assert_eq!(world.verdict(4, 1, 5, &first, &first), Verdict::Counts);
    refused(world.verdict(4, 1, 6, &first, &first), "was removed");
    refused(world.verdict(4, 2, 1, &first, &first), "was removed");
    let roster = world.roster();
    assert_eq!((cut_of(&roster, 4, 1, &first), cut_of(&roster, 4, 2, &first)), (Some(5), Some(0)));
    assert_eq!(cut_of(&roster, 5, 1, &first), None);
}

#[test]
fn of_several_removals_the_one_that_leaves_least_counts() {
    let mut world = World::new(Mode::Public);
    let (then, first) = (world.now(), world.last());
    world.after(&then, 1, remove(4, &[at(4, 1, 5), at(4, 2, 3)]));
    world.after(&then, 2, remove(4, &[at(4, 1, 9)]));
    let roster = world.roster();
    assert_eq!((cut_of(&roster, 4, 1, &first), cut_of(&roster, 4, 2, &first)), (Some(5), Some(0)));
    assert!(roster.void().is_empty(), "both apply");
}

#[test]
fn after_an_addition_that_has_seen_the_removal_only_new_logs_count() {
    let mut world = World::new(Mode::Public);
    let first = world.last();
    let removal = world.act(1, remove(4, &[at(4, 1, 5)]));
    let again = world.act(1, add(4));
    refused(world.verdict(4, 1, 6, &again, &first), "was removed");
    refused(world.verdict(4, 2, 1, &removal, &removal), "was removed");
    assert_eq!(world.verdict(4, 2, 1, &again, &again), Verdict::Counts);
    // Another removal cuts the new log too.
    world.act(1, remove(4, &[at(4, 2, 1)]));
    refused(world.verdict(4, 2, 2, &again, &again), "was removed");
    assert_eq!(cut_of(&world.roster(), 4, 1, &first), Some(0));
}

#[test]
fn a_cut_of_an_admin_spares_what_a_checkpoint_settled_that_does_not_know_of_it() {
    let mut world = World::new(Mode::Public);
    let first = world.last();
    let members = standing::standings(&world);
    world.act(0, Op::Checkpoint { members, frontier: vec![at(4, 1, 7), at(4, 2, 2), at(5, 1, 4)] });
    let then = world.now();
    world.act(1, remove(4, &[at(4, 1, 5)]));
    let roster = world.roster();
    assert_eq!((cut_of(&roster, 4, 1, &first), cut_of(&roster, 4, 2, &first)), (Some(7), Some(2)));
    assert_eq!(cut_of(&roster, 4, 3, &first), Some(0));
    world.act(2, mute(5, &[]));
    assert_eq!(world.verdict(5, 1, 4, &first, &first), Verdict::Counts);
    assert!(matches!(world.verdict(5, 1, 5, &first, &first), Verdict::Hidden(_)));
    // The owner's cuts go where it wants.
    world.after(&then, 0, remove(6, &[]));
    let mut other = World::new(Mode::Public);
    let members = standing::standings(&other);
    other.act(0, Op::Checkpoint { members, frontier: vec![at(4, 1, 7)] });
    other.act(0, remove(4, &[at(4, 1, 5)]));
    assert_eq!(cut_of(&other.roster(), 4, 1, &first), Some(5));
}

#[test]
fn a_checkpoint_that_knows_of_a_removal_does_not_weaken_it() {
    let mut world = World::new(Mode::Public);
    let first = world.last();
    world.act(1, remove(4, &[at(4, 1, 5)]));
    let members = standing::standings(&world);
    world.act(0, Op::Checkpoint { members, frontier: vec![at(4, 1, 7)] });
    assert_eq!(cut_of(&world.roster(), 4, 1, &first), Some(5));
}

#[test]
fn a_void_removal_cuts_nothing() {
    let mut world = World::new(Mode::Public);
    let (then, first) = (world.now(), world.last());
    world.after(&then, 1, remove(4, &[]));
    world.after(&then, 0, promote(4));
    assert_eq!(cut_of(&world.roster(), 4, 1, &first), None);
    assert_eq!(world.verdict(4, 1, 9, &first, &first), Verdict::Counts);
}

#[test]
fn what_a_muted_member_writes_is_hidden_until_it_knows_that_it_is_heard_again() {
    let mut world = World::new(Mode::Public);
    let first = world.last();
    let mute_one = world.act(1, mute(4, &[at(4, 1, 3)]));
    assert_eq!(world.verdict(4, 1, 3, &first, &first), Verdict::Counts);
    assert!(matches!(world.verdict(4, 1, 4, &first, &first), Verdict::Hidden(why) if why.contains("is muted")));
    assert!(matches!(world.verdict(4, 2, 1, &mute_one, &mute_one), Verdict::Hidden(_)));
    let heard = world.act(2, unmute(4));
    assert!(matches!(world.verdict(4, 1, 5, &mute_one, &first), Verdict::Hidden(_)));
    assert_eq!(world.verdict(4, 1, 6, &heard, &first), Verdict::Counts);
    // A second mute opens a second window.
    let again = world.act(1, mute(4, &[at(4, 1, 8)]));
    assert!(matches!(world.verdict(4, 1, 5, &mute_one, &first), Verdict::Hidden(_)));
    assert_eq!(world.verdict(4, 1, 8, &heard, &first), Verdict::Counts);
    assert!(matches!(world.verdict(4, 1, 9, &again, &first), Verdict::Hidden(_)));
}

#[test]
fn a_muted_admin_is_not_heard_and_still_acts() {
    let mut world = World::new(Mode::Public);
    let first = world.last();
    world.act(0, mute(1, &[]));
    world.act(1, rename("still here"));
    assert!(matches!(world.verdict(1, 1, 1, &first, &first), Verdict::Hidden(_)));
    assert_eq!(world.roster().name(), "still here");
}

#[test]
fn acts_are_taken_from_the_owner_and_from_admins_up_to_the_owners_cut() {
    let mut world = World::new(Mode::Public);
    let act = |number, inc, seq| {
        let mut header = entry(number, inc, seq, EntryId::default());
        header.log.class = Class::Roster;
        header.kind = Kind::Act;
        header
    };
    let none = EntryId::default();
    let roster = world.roster();
    assert_eq!(roster.verdict(&act(0, 1, 99), &none), Verdict::Counts);
    assert_eq!(roster.verdict(&act(1, 1, 1), &none), Verdict::Counts);
    refused(roster.verdict(&act(4, 1, 1), &none), "never was an admin");
    refused(roster.verdict(&act(9, 1, 1), &none), "never was an admin");
    let one = world.act(1, rename("one"));
    world.act(0, demote(1, &[one]));
    let roster = world.roster();
    assert_eq!(roster.verdict(&act(1, 1, 1), &none), Verdict::Counts);
    refused(roster.verdict(&act(1, 1, 2), &none), "no admin any more");
    refused(roster.verdict(&act(1, 2, 1), &none), "no admin any more");
    assert_eq!(roster.cut(&act(1, 1, 1).log, &none), Some(1));
    // A removal by an admin cuts no acts.
    let mut other = world.clone();
    other.act(2, remove(1, &[]));
    assert_eq!(other.roster().verdict(&act(1, 1, 1), &none), Verdict::Counts);
    // Its content is not cut by that, and new acts come once it is promoted again.
    assert_eq!(roster.verdict(&entry(1, 1, 9, one.id), &one.id), Verdict::Counts);
    world.act(0, promote(1));
    assert_eq!(world.roster().verdict(&act(1, 1, 2), &none), Verdict::Counts);
    world.act(0, Op::Remove { member: key(1), cut: Cut { content: Vec::new(), roster: vec![one] } });
    refused(world.roster().verdict(&act(1, 1, 2), &none), "no admin any more");
}

#[test]
fn who_writes_names_a_head_by_which_it_is_a_member_and_heard() {
    let mut world = World::new(Mode::Public);
    let then = world.now();
    let added = world.after(&then, 1, add(7));
    let other = world.after(&then, 2, rename("later"));
    let roster = world.roster();
    assert_eq!(roster.head(&key(7)), added.id);
    assert_eq!(roster.head(&key(4)), other.id);
    assert_eq!(world.verdict(7, 1, 1, &added, &added), Verdict::Counts);
    // The same once it was removed and added again, and once it was muted and is heard again.
    world.act(1, remove(4, &[]));
    world.act(1, mute(5, &[]));
    let then = world.now();
    let again = world.after(&then, 1, add(4));
    let heard = world.after(&then, 2, unmute(5));
    world.after(&then, 3, rename("latest"));
    assert_eq!(world.roster().head(&key(4)), again.id);
    assert_eq!(world.roster().head(&key(5)), heard.id);
}
