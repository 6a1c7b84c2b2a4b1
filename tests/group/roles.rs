//! Owner, admins and members: what one does, the others see.

use super::Member;
use crate::pty::eventually;

/// How `member` stands in the eyes of `of`: role, and whether it is muted.
fn standing(of: &Member, member: &Member) -> (String, bool) {
    let members = of.group(["members", "g", "--json"]).succeeds().objects();
    let row = members.iter().find(|row| row["member"] == member.user.key().as_str()).unwrap();
    (row["role"].as_str().unwrap().to_owned(), row["muted"] == true)
}

#[test]
fn an_admin_does_what_admins_may_until_it_is_one_no_more() {
    let ada = Member::founder();
    let (bob, eve) = (ada.guest(), ada.guest());
    eventually("bob may not", || bob.group(["mute", "g", &eve.user.key()]).code() == 6);
    assert!(ada.group(["promote", "g", &bob.user.key()]).stdout.ends_with(" is an admin of g\n"));
    eventually("bob knows", || bob.group(["invite", "g"]).status.success());
    assert!(bob.group(["mute", "g", &eve.user.key()]).succeeds().stdout.starts_with("muted kw1"));
    eventually("the owner sees what the admin did", || standing(&ada, &eve) == ("member".to_owned(), true));
    assert_eq!(standing(&ada, &bob), ("admin".to_owned(), false));
    bob.group(["remove", "g", &ada.user.key()]).fails_with(6);
    bob.group(["promote", "g", &eve.user.key()]).fails_with(6);

    ada.group(["demote", "g", &bob.user.key()]);
    eventually("bob is none any more", || bob.group(["unmute", "g", &eve.user.key()]).code() == 6);
    assert_eq!(standing(&ada, &bob), ("member".to_owned(), false));
}

#[test]
fn who_is_muted_is_told_so_and_heard_again_when_that_ends() {
    let ada = Member::founder();
    let eve = ada.guest();
    eve.group(["send", "g", "before"]).succeeds();
    ada.group(["mute", "g", &eve.user.key()]);
    let hears = || drop(eve.group(["recv", "--cursor", "c", "g"]));
    hears();
    eve.group(["send", "g", "meanwhile"]).fails_with(6);
    ada.group(["unmute", "g", &eve.user.key()]);
    hears();
    eve.group(["send", "g", "after"]).succeeds();
    assert_eq!(ada.texts(), ["before", "after"]);
}

#[test]
fn an_admin_lets_others_in_while_the_owner_is_away() {
    let mut ada = Member::founder();
    let mut bob = ada.guest();
    bob.serve();
    ada.group(["promote", "g", &bob.user.key()]);
    eventually("bob knows", || standing(&bob, &bob).0 == "admin");
    ada.group(["send", "g", "of old"]).succeeds();
    eventually("bob has it", || bob.texts() == ["of old"]);
    ada.stop();
    let eve = bob.guest();
    assert_eq!(eve.group(["send", "g", "and new"]).code(), 0);
    for member in [&bob, &eve] {
        assert_eq!(member.texts(), ["of old", "and new"]);
    }
    ada.serve();
    eventually("the owner has it too", || ada.texts() == ["of old", "and new"]);
    assert_eq!(standing(&ada, &eve), ("member".to_owned(), false));
}

#[test]
fn a_new_name_is_seen_by_all_and_changes_no_name_that_commands_take() {
    let ada = Member::founder();
    let bob = ada.guest();
    ada.group(["rename", "g", "night watch"]);
    eventually("bob sees it", || {
        bob.group(["recv", "--cursor", "c", "g"]);
        bob.object(&["info", "g"])["title"] == "night watch"
    });
    assert_eq!(bob.object(&["info", "g"])["group_name"], "g");
}

#[test]
fn where_newcomers_get_nothing_of_the_past_they_read_what_is_said_from_then_on() {
    let mut ada = Member::new();
    ada.group(["create", "g", "--history", "none"]).succeeds();
    ada.serve();
    let bob = ada.guest();
    ada.group(["send", "g", "before eve", "--wait", "0"]);
    let eve = ada.guest();
    ada.group(["send", "g", "after", "--wait", "0"]);
    for member in [&bob, &eve] {
        member.group(["recv", "--cursor", "c", "g"]).succeeds();
    }
    assert_eq!(bob.texts(), ["before eve", "after"]);
    assert_eq!(eve.texts(), ["?", "after"]);
}
