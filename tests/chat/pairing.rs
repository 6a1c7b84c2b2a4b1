//! Consent: who may send what to whom, and how both sides come to know it.

use super::{Party, paired};

#[test]
fn two_who_pair_send_a_message_that_is_acknowledged_and_still_there_after_both_restart() {
    let (mut a, mut b) = (Party::new(), Party::listening());
    a.names(&b, "b");
    let invited = a.chat(["pair", "invite", "b"]).succeeds();
    assert!(invited.stdout.starts_with("invited b"), "{invited:?}");
    let list = b.chat(["pair", "list"]).succeeds().stdout;
    assert!(list.contains(&a.user.key()) && list.contains("pending") && list.contains("127.0.0.1"), "{list}");
    a.chat(["send", "b", "too early"]).fails(5, "");
    assert!(b.texts(&a).is_empty());
    b.chat(["pair", "accept", &a.user.key(), "--name", "a"]);
    let sent = a.chat_with(["send", "--wait=5s", "b", "-"], "Linux ops 6.1\n").succeeds();
    assert!(sent.stdout.starts_with("acked by b in ") && sent.stdout.ends_with(" ms\n"), "{sent:?}");
    assert!(b.listener().line().ends_with(" a: Linux ops 6.1"));
    assert_eq!((a.standing(&b), b.standing(&a)), ("accepted".into(), "accepted".into()));
    b.stop();
    b.listen(&[]);
    a.listen(&[]);
    assert_eq!((a.texts(&b), b.texts(&a)), (vec!["Linux ops 6.1".to_owned()], vec!["Linux ops 6.1".to_owned()]));
}

#[test]
fn a_no_is_kept_told_once_and_later_invites_are_dropped_in_silence() {
    let (a, mut b) = (Party::new(), Party::listening());
    a.names(&b, "b");
    a.chat(["pair", "invite", "b"]).succeeds();
    b.chat(["pair", "decline", &a.user.key()]).succeeds();
    assert_eq!(b.standing(&a), "declined");
    b.stop();
    b.listen(&[]);
    assert_eq!(b.standing(&a), "declined");
    a.chat(["send", "b", "hello"]).fails(6, "declined");
    assert_eq!(a.standing(&b), "declined-by-peer");
    // A new invite arrives, and nobody sees it: neither here nor there.
    a.chat(["pair", "invite", "b"]).succeeds();
    assert_eq!((a.standing(&b), b.standing(&a)), ("invited".into(), "declined".into()));
    a.chat(["send", "b", "hello"]).fails(5, "");
    assert_eq!((a.standing(&b), b.standing(&a)), ("invited".into(), "declined".into()));
    // It was the user's word, and it is the user who may change it.
    b.chat(["pair", "invite", &a.user.key()]);
    a.chat(["send", "b", "hello again"]).succeeds();
    assert_eq!(b.texts(&a), ["hello again"]);
}

#[test]
fn an_invite_to_somebody_who_is_away_waits_and_arrives_later() {
    let (mut a, mut b) = (Party::new(), Party::listening());
    a.names(&b, "b");
    b.stop();
    let invited = a.chat(["pair", "invite", "b"]).fails_with(3);
    assert!(invited.stderr.contains("cannot be reached"), "{invited:?}");
    b.listen(&[]);
    // A listener of our own sees to it.
    a.listen(&[]);
    crate::pty::eventually("the invite has arrived", || b.standing(&a) == "pending");
}

#[test]
fn an_answer_to_somebody_who_is_away_waits_until_it_comes_by() {
    let (a, mut b) = (Party::new(), Party::listening());
    a.names(&b, "b");
    a.chat(["pair", "invite", "b"]).succeeds();
    b.stop();
    // With nobody's listener running, and no address to dial.
    b.chat(["pair", "accept", &a.user.key(), "--name", "a"]).succeeds();
    assert_eq!(b.standing(&a), "unconfirmed");
    b.chat(["send", "--wait=1s", "a", "queued from b"]).fails_with(3);
    b.listen(&[]);
    let got = a.chat(["recv", "--since", "1h", "b"]).succeeds();
    assert!(got.stdout.ends_with(" b: queued from b\n"), "{got:?}");
    assert_eq!((a.standing(&b), b.standing(&a)), ("accepted".into(), "accepted".into()));
}

#[test]
fn two_who_invite_each_other_are_paired() {
    for _ in 0..2 {
        let (mut a, mut b) = (Party::listening(), Party::listening());
        a.names(&b, "b");
        b.names(&a, "a");
        a.stop();
        b.stop();
        a.chat(["pair", "invite", "b"]).fails_with(3);
        b.chat(["pair", "invite", "a"]).fails_with(3);
        a.listen(&[]);
        b.listen(&[]);
        a.chat(["send", "--wait=20s", "b", "one"]);
        crate::pty::eventually("they are paired", || a.standing(&b) == "accepted" && b.standing(&a) == "accepted");
        a.chat(["send", "b", "to b"]).succeeds();
        b.chat(["send", "a", "to a"]).succeeds();
    }
}

#[test]
fn whoever_removes_a_pair_ends_it_for_both_and_the_history_stays() {
    let (a, b) = paired();
    b.chat(["pair", "remove", "a"]).succeeds();
    a.chat(["send", "b", "still there?"]).fails(5, "");
    assert_eq!((a.standing(&b), b.standing(&a)), ("removed-by-peer".into(), "removed".into()));
    assert_eq!(b.texts(&a), ["first"]);
    a.chat(["pair", "invite", "b"]).succeeds();
    b.chat(["pair", "accept", "a"]);
    a.chat(["send", "b", "anew"]).succeeds();
    assert_eq!(b.texts(&a), ["first", "anew"]);
}

#[test]
fn whoever_is_blocked_is_refused_at_the_door() {
    let (a, b) = paired();
    b.chat(["pair", "block", "a"]).succeeds();
    a.chat(["send", "b", "hello"]).fails_with(6);
    a.chat(["pair", "invite", "--renew", "b"]).fails_with(6);
    assert_eq!(b.standing(&a), "blocked");
    assert_eq!(b.texts(&a), ["first"]);
    b.chat(["pair", "remove", "a"]).succeeds();
    assert_ne!(b.standing(&a), "blocked");
}

#[test]
fn a_dismissed_invite_does_not_come_back_and_a_new_one_does() {
    let (a, b) = (Party::new(), Party::listening());
    a.names(&b, "b");
    a.chat(["pair", "invite", "b"]).succeeds();
    b.chat(["pair", "dismiss", &a.user.key()]).succeeds();
    a.chat(["send", "b", "hello"]).fails_with(5);
    assert_eq!(b.standing(&a), "none");
    a.chat(["pair", "remove", "b"]).succeeds();
    a.chat(["pair", "invite", "b"]).succeeds();
    assert_eq!(b.standing(&a), "pending");
}

#[test]
fn new_keys_are_made_only_by_both_users_word_and_messages_go_on() {
    let (a, mut b) = paired();
    a.chat(["pair", "invite", "b"]).fails_with(1);
    a.chat(["pair", "invite", "--renew", "b"]).succeeds();
    a.chat(["send", "b", "under the old keys"]).succeeds();
    b.chat(["pair", "accept", "a"]);
    a.chat(["send", "b", "under the new keys"]).succeeds();
    for text in ["under the old keys", "under the new keys"] {
        assert!(b.listener().line().ends_with(text));
    }
}

#[test]
fn who_has_lost_all_state_but_the_key_pairs_anew() {
    let (a, b) = paired();
    for lost in ["pairs.json", "chat"] {
        let path = a.user.home().join(lost);
        let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
    }
    a.chat(["send", "b", "hello"]).fails(5, "");
    a.chat(["pair", "invite", "b"]).succeeds();
    b.chat(["pair", "accept", "a"]);
    a.chat(["send", "b", "back again"]).succeeds();
    assert_eq!(b.texts(&a), ["first", "back again"]);
}

#[test]
fn open_pairing_takes_messages_of_anybody_and_going_back_keeps_the_conversations() {
    let (a, mut b) = (Party::new(), Party::listening());
    let stranger = Party::new();
    a.names(&b, "b");
    stranger.names(&b, "b");
    b.stop();
    let open = r#"{"version": 1, "pairing": "open"}"#;
    for party in [&a, &b, &stranger] {
        std::fs::write(party.user.home().join("config.json"), open).unwrap();
    }
    b.listen(&[]);
    assert!(b.chat(["status"]).succeeds().stdout.contains("OPEN"));
    a.chat(["send", "b", "no pair"]).succeeds();
    stranger.chat(["send", "b", "nor I"]).succeeds();
    b.chat(["send", "--wait=100ms", &a.user.key(), "answer"]).fails_with(3);
    a.chat(["recv", "--since", "1h", "b"]).succeeds();
    assert_eq!(a.texts(&b), ["no pair", "answer"]);
    b.stop();
    std::fs::write(b.user.home().join("config.json"), r#"{"version": 1, "pairing": "required"}"#).unwrap();
    b.listen(&[]);
    a.chat(["send", "b", "still open"]).succeeds();
    stranger.chat(["send", "b", "still here?"]).fails_with(5);
    assert_eq!(b.texts(&a), ["no pair", "answer", "still open"]);
    assert_eq!(b.texts(&stranger), ["nor I"]);
}
