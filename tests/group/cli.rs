//! What needs no other side: command lines, names, shapes of objects, and an empty home.

use super::Member;
use crate::sandbox::User;
use keywire::json::json;
use keywire::key::KeyPair;

#[test]
fn a_wrong_command_line_has_status_2_and_a_next_step() {
    let user = User::with_key();
    for (args, why) in [
        (&[][..], "--help"),
        (&["create"], "name"),
        (&["create", "--mode", "secret", "g"], "no mode"),
        (&["create", "--history", "some", "g"], "neither none nor all"),
        (&["create", ""], "1 to 64"),
        (&["create", "a\nb"], "1 to 64"),
        (&["invite", "--list", "--uses", "2", "g"], "no other option"),
        (&["invite", "--list", "--revoke", "x", "g"], "no other option"),
        (&["invite", "--uses", "0", "g"], "once at least"),
        (&["invite", "--expires", "7", "g"], "7d"),
        (&["join"], "no link on standard input"),
        (&["join", "-"], "no link on standard input"),
        (&["join", "keywire:invite:AAAA"], "not an invite link"),
        (&["join", "http://x"], "keywire:invite:"),
        (&["send", "g", ""], "the text is empty"),
        (&["send", "g", &"x".repeat((64 << 10) + 1)], "64 KiB"),
        (&["send", "g", "x", "--reply-to", "7"], "64 digits"),
        (&["send", "g", "x", "--wait", "soon"], "not how long"),
        (&["recv"], "from where on is not said"),
        (&["recv", "--since", "7", "g"], "not a time"),
        (&["recv", "--cursor", "a b", "g"], "cannot be the name"),
        (&["recv", "--cursor", "exec", "g"], "the hook's"),
        (&["listen", "--exec", "no-such-program x"], "no such program"),
        (&["history", "g", "--since", "x"], "not a time"),
        (&["serve", "--listen", "::1"], "brackets"),
        (&["remove", "g"], "member"),
    ] {
        let done = user.run("kw-group", args).fails(2, why);
        assert!(done.stderr.lines().all(|line| line.starts_with("kw-group: ")), "{done:?}");
    }
}

#[test]
fn help_and_the_version_are_results() {
    let user = User::new();
    for args in [&["--help"][..], &["send", "--help"], &["invite", "--help"], &["remove", "--help"]] {
        let help = user.run("kw-group", args).succeeds().stdout;
        assert!(help.starts_with("Usage: kw-group"), "{args:?}");
    }
    assert!(user.run("kw-group", ["--version"]).succeeds().stdout.starts_with("kw-group "));
    assert!(!user.home().exists());
}

#[test]
fn an_unknown_group_is_a_no_with_a_next_step_in_every_command() {
    let user = User::with_key();
    assert_eq!(user.run("kw-group", ["list"]).succeeds().stdout, "");
    for args in [
        &["invite", "x"][..],
        &["invite", "--list", "x"],
        &["send", "x", "text"],
        &["recv", "--cursor", "c", "x"],
        &["listen", "x"],
        &["history", "x"],
        &["export", "x"],
        &["search", "x", "text"],
        &["members", "x"],
        &["promote", "x", "ada"],
        &["rename", "x", "y"],
        &["leave", "x"],
        &["info", "x"],
    ] {
        user.run("kw-group", args).fails(1, "'kw-group list'");
    }
}

#[test]
fn without_an_identity_the_next_step_is_named_and_the_status_is_7() {
    let user = User::new();
    for args in [&["list"][..], &["create", "g"], &["send", "g", "x"], &["serve"]] {
        user.run("kw-group", args).fails(7, "hint: make a key pair: kw-keygen new");
    }
}

#[test]
fn the_unit_starts_the_service_as_it_was_called() {
    let unit = User::new().run("kw-group", ["serve", "--print-unit", "--listen", "[::]:7"]).succeeds().stdout;
    let program = crate::sandbox::binary("kw-group");
    assert!(unit.contains(&format!("ExecStart={program} serve --listen \"[::]:7\"\n")), "{unit}");
    assert!(unit.contains("Documentation=man:kw-group(1)\n") && unit.contains("/kw-group.service, then:"), "{unit}");
}

#[test]
fn a_group_is_named_by_its_name_its_id_and_the_first_digits_of_that() {
    let ada = Member::new();
    let made = ada.group(["create", "g"]).succeeds();
    assert_eq!(made.stderr, "made g, a private group\n");
    let id = made.stdout.trim();
    assert!(id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    for word in ["g", id, &id[..8]] {
        assert_eq!(ada.object(&["info", word])["group"], id, "{word}");
    }
    ada.group(["info", &id[..7]]).fails(1, "no group");
    ada.group(["create", &id[..8]]).succeeds();
    ada.group(["info", &id[..8]]).fails(2, "2 groups");
}

#[test]
fn a_group_of_one_stands_as_the_page_says() {
    let ada = Member::new();
    let id = ada.group(["create", "--history", "none", "g"]).succeeds().stdout.trim().to_owned();
    let key = ada.user.key();
    let group = json!({
        "event": "group", "group": id, "group_name": "g", "mode": "private", "status": "active", "reason": null,
    });
    assert_eq!(ada.object(&["list"]), group);
    assert_eq!(ada.group(["list"]).succeeds().stdout, format!("g  {id}  private  active\n"));
    let member = json!({
        "event": "member", "group": id, "group_name": "g", "member": key, "name": null, "role": "owner",
        "muted": false, "connected": false, "seen": null, "addresses": [], "failure": null,
    });
    assert_eq!(ada.object(&["members", "g"]), member);
    let mut info = ada.object(&["info", "g"]);
    assert!(info["created"].take().as_u64().is_some());
    let expected = json!({
        "event": "info", "group": id, "group_name": "g", "mode": "private", "status": "active", "title": "g",
        "owner": key, "name": null, "created": null, "history": "none", "members": 1, "connected": 0, "waiting": 0,
        "entries": 0, "synced": null, "gaps": [], "forks": [], "void": [],
    });
    assert_eq!(info, expected);
}

#[test]
fn what_nobody_else_can_hold_is_kept_and_has_status_3_and_a_change_is_done() {
    let ada = Member::new();
    ada.group(["create", "g"]).succeeds();
    let done = ada.group(["send", "g", "hello", "--json"]).fails_with(3);
    assert!(done.stderr.contains("g has no other member; kept"), "{done:?}");
    let sent = &done.objects()[0];
    assert_eq!((&sent["event"], &sent["outcome"], &sent["by"]), (&json!("sent"), &json!("alone"), &json!(null)));
    assert_eq!(ada.texts(), ["hello"]);
    let message = ada.object(&["history", "g"]);
    for (field, value) in [("side", "out"), ("author", &ada.user.key()), ("text", "hello"), ("group_name", "g")] {
        assert_eq!(message[field], value, "{message}");
    }
    assert_eq!((&message["id"], &message["gaps"], &message["late"]), (&sent["id"], &json!([]), &json!(false)));
    let done = ada.object(&["rename", "g", "h"]);
    assert_eq!((&done["event"], &done["deed"], &done["outcome"]), (&json!("done"), &json!("rename"), &json!("alone")));
    assert_eq!(ada.object(&["info", "g"])["title"], "h");
    assert_eq!(ada.group(["search", "g", "HELL"]).succeeds().stdout.matches(" me: hello\n").count(), 1);
    ada.group(["search", "g", "other"]).fails(1, "no message has that in it");
    ada.group(["leave", "g"]).fails(6, "owner cannot leave");
}

#[test]
fn public_and_open_groups_are_said_to_be_what_they_are() {
    let (ada, bob) = (Member::new(), Member::new());
    for (mode, warning) in [("public", "this group is PUBLIC"), ("open", "this group is OPEN")] {
        let made = ada.group(["create", "--mode", mode, mode]).succeeds();
        assert!(made.stderr.contains(warning), "{made:?}");
        let link = ada.group(["invite", mode]).succeeds();
        assert!(link.stderr.contains("warning: the link names no address"), "{link:?}");
        let joined = bob.join(&link.stdout).fails_with(3);
        assert!(joined.stderr.contains(warning), "{joined:?}");
        assert!(bob.group(["list"]).succeeds().stdout.contains(&mode.to_uppercase()));
    }
    let made = ada.group(["create", "g"]).succeeds();
    assert!(!made.stderr.contains("warning"), "{made:?}");
}

#[test]
fn a_link_in_the_command_line_is_taken_with_a_warning() {
    let (ada, bob) = (Member::new(), Member::new());
    ada.group(["create", "g"]).succeeds();
    let link = ada.link(&["--uses", "3", "--expires", "1h"]);
    let done = bob.group(["join", link.trim(), "--name", "theirs", "--wait", "1s"]).fails(3, "kept");
    assert!(done.stderr.contains("warning: the link stands in the history of the shell"), "{done:?}");
    assert_eq!(bob.object(&["list"])["status"], "pending");
    assert_eq!(bob.object(&["list"])["group_name"], "theirs");
    bob.group(["send", "theirs", "hello", "--wait", "1s"]).fails_with(5);
}

#[test]
fn an_invite_can_be_listed_drawn_and_ended() {
    let ada = Member::new();
    ada.group(["create", "g"]).succeeds();
    let made = &ada.group(["invite", "g", "--uses", "7", "--approve", "--json"]).succeeds().objects()[0];
    assert!(made["link"].as_str().unwrap().starts_with("keywire:invite:"), "{made}");
    let mut listed = ada.object(&["invite", "--list", "g"]);
    assert!(listed["link"].is_null());
    listed["link"] = made["link"].clone();
    assert_eq!(&listed, made);
    assert_eq!((&made["left"], &made["approve"]), (&json!(7), &json!(true)));
    let capability = made["capability"].as_str().unwrap();
    ada.group(["invite", "g", "--revoke", &capability[..5]]).fails(2, "too little");
    ada.group(["invite", "g", "--revoke", &KeyPair::generate().unwrap().public().to_string()]).fails(1, "no invite");
    ada.group(["invite", "g", "--revoke", &capability[..12]]).succeeds();
    assert_eq!(ada.group(["invite", "--list", "g"]).succeeds().stdout, "");
    assert!(ada.link(&["--qr"]).contains('█'));
}

#[test]
fn a_member_that_is_none_is_a_no() {
    let ada = Member::new();
    ada.group(["create", "g"]).succeeds();
    let key = KeyPair::generate().unwrap().public().to_string();
    ada.group(["remove", "g", &key]).fails(1, "no member");
    ada.group(["approve", "g", &key]).fails(1, "has not asked");
    ada.group(["promote", "g", "bob"]).fails(1, "'kw-group members g' shows the keys");
}
