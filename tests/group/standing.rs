//! Who is a member, and who says so: those who left, who were removed, who wait, and who come again.

use super::{Member, three};
use crate::pty::eventually;

fn status(member: &Member) -> String {
    member.object(&["list"])["status"].as_str().unwrap().to_owned()
}

/// Whether `of` knows `member` as a member, in whatever role.
fn is_member(of: &Member, member: &Member) -> bool {
    let members = of.group(["members", "g", "--json"]).succeeds().objects();
    members.iter().any(|row| row["member"] == member.user.key().as_str() && row["role"] != "waiting")
}

#[test]
fn nobody_is_removed_because_an_admin_who_left_answers_no_more() {
    let [mut ada, bob, mut eve] = three();
    ada.group(["promote", "g", &bob.user.key()]);
    eventually("bob knows", || bob.group(["invite", "g"]).status.success());
    ada.stop();
    eve.stop();
    bob.group(["leave", "g"]);
    eve.serve();
    eventually("eve was refused", || {
        let members = eve.group(["members", "g", "--json"]).succeeds().objects();
        members.iter().any(|row| row["failure"].as_str().is_some_and(|why| why.contains("no member of this group")))
    });
    ada.serve();
    ada.group(["send", "g", "still here", "--wait", "10s"]).succeeds();
    eventually("eve has it", || eve.texts() == ["still here"]);
    assert_eq!((status(&ada), status(&eve)), ("active".to_owned(), "active".to_owned()));
}

#[test]
fn who_was_removed_while_it_was_away_is_told_at_the_first_try() {
    let ada = Member::founder();
    let bob = ada.guest();
    ada.group(["remove", "g", &bob.user.key()]);
    let done = bob.group(["send", "g", "anybody?"]).fails_with(6);
    assert!(done.stderr.contains("you were removed from this group"), "{done:?}");
    assert_eq!(status(&bob), "removed");
    assert!(bob.texts().is_empty() && ada.texts().is_empty());
}

#[test]
fn who_left_comes_again_when_an_admin_says_so() {
    let ada = Member::founder();
    let bob = ada.guest();
    bob.group(["send", "g", "first"]).succeeds();
    bob.group(["leave", "g"]).succeeds();
    eventually("it is noted", || !is_member(&ada, &bob));
    bob.asks(&ada.link(&[]));
    ada.group(["approve", "g", &bob.user.key()]);
    eventually("it is in again", || bob.group(["send", "g", "second"]).status.success());
    // Nobody takes the old farewell for a new one.
    assert!(is_member(&ada, &bob));
    assert_eq!(ada.texts(), ["first", "second"]);
    assert_eq!(bob.texts(), ["first", "second"]);
}

#[test]
fn who_waits_has_status_5_and_asks_again_with_each_command() {
    let ada = Member::founder();
    let bob = Member::new();
    bob.asks(&ada.link(&["--approve"]));
    let done = bob.group(["send", "g", "let me in", "--wait", "1s"]).fails_with(5);
    assert!(done.stderr.contains("not a member of g yet"), "{done:?}");
    ada.group(["approve", "g", &bob.user.key()]);
    bob.group(["send", "g", "here I am"]).succeeds();
    assert_eq!(ada.texts(), ["here I am"]);
}

#[test]
fn who_waits_can_be_turned_away() {
    let ada = Member::founder();
    let bob = Member::new();
    bob.asks(&ada.link(&["--approve"]));
    ada.group(["remove", "g", &bob.user.key()]).succeeds();
    assert_eq!(ada.object(&["info", "g"])["waiting"], 0);
}

#[test]
fn what_members_said_of_themselves_is_found_again_in_their_logs() {
    let ada = Member::founder();
    let mut bob = ada.guest();
    bob.serve();
    let addresses = |of: &Member| {
        let members = of.group(["members", "g", "--json"]).succeeds().objects();
        members.iter().filter(|one| one["addresses"].as_array().is_some_and(|at| !at.is_empty())).count()
    };
    eventually("both are known", || addresses(&bob) == 2);
    bob.stop();
    let groups = std::fs::read_dir(bob.user.home().join("groups")).unwrap().flatten();
    let file = groups.map(|entry| entry.path().join("members.json")).find(|file| file.exists()).unwrap();
    std::fs::remove_file(&file).unwrap();
    bob.serve();
    assert_eq!(addresses(&bob), 2);
    bob.stop();
    std::fs::write(&file, "not what it was").unwrap();
    assert_eq!(addresses(&bob), 0);
    bob.serve();
    assert_eq!(addresses(&bob), 2);
    assert_eq!(std::fs::read_to_string(file.with_extension("json.bad")).unwrap(), "not what it was");
}

#[test]
fn all_who_serve_hear_what_changes_among_members() {
    let ada = Member::founder();
    let bob = ada.guest();
    let mut listen = bob.user.command("kw-group");
    let mut listen = crate::sandbox::Running::start(listen.args(["listen", "--json", "g"]));
    let eve = ada.guest();
    let mut changes = |count: usize| -> Vec<String> {
        (0..count)
            .map(|_| {
                let line: keywire::json::Value = keywire::json::parse(listen.line().as_bytes(), 10_000).unwrap();
                line["text"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    assert!(changes(1)[0].ends_with("is a member now"));
    ada.group(["promote", "g", &bob.user.key()]);
    assert_eq!(changes(1), ["you are an admin now"]);
    ada.group(["mute", "g", &eve.user.key()]);
    assert!(changes(1)[0].ends_with("is muted now"));
    ada.group(["rename", "g", "night watch"]);
    assert_eq!(changes(1), ["it is called night watch now"]);
    ada.group(["remove", "g", &eve.user.key()]);
    assert!(changes(1)[0].ends_with("was removed"));
}
