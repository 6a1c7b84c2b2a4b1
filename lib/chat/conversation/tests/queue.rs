//! Messages of ours that wait.

use super::super::{Queued, Side, Stage};
use super::{BEGIN, Talk, acked, draft, id, names};
use crate::error::Kind;
use crate::proto::chat::{Envelope, MAX_TEXT_LEN};
use std::os::unix::fs::PermissionsExt;

fn waiting(talk: &Talk) -> Vec<String> {
    names(&talk.start().waiting(|_| false, 1000).unwrap()).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_message_waits_through_restarts_until_it_is_acknowledged() {
    let talk = Talk::new();
    let drafts = [draft("a", "one"), draft("b", "two"), draft("c", "three")];
    assert_eq!(talk.start().queue(&drafts, true).unwrap(), [Queued::Waiting; 3]);
    assert_eq!(talk.start().count_waiting().unwrap(), 3);
    let sent = talk.start().waiting(|_| false, 1000).unwrap();
    let bodies: Vec<_> = sent
        .iter()
        .map(|one| match one {
            Envelope::Open(open) => (open.id.as_str(), std::str::from_utf8(&open.body.0).unwrap(), open.time),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bodies, [("a", "one", BEGIN), ("b", "two", BEGIN), ("c", "three", BEGIN)]);
    assert_eq!(names(&talk.start().waiting(|one| *one == id("a"), 1).unwrap()), ["b"]);
    assert_eq!(talk.start().open_saved(&[acked("b"), acked("b"), acked("x")]).unwrap(), [id("b")]);
    assert!(talk.start().open_saved(&[acked("b")]).unwrap().is_empty());
    assert_eq!(waiting(&talk), ["a", "c"]);
    let history = talk.start().last(10).unwrap();
    let stages: Vec<_> = history.iter().map(|entry| (entry.seq, entry.stage, entry.text.as_str())).collect();
    let stage = |seq, stage, text| (seq, Some(stage), text);
    assert_eq!(
        stages,
        [stage(1, Stage::Queued, "one"), stage(2, Stage::Acked, "two"), stage(3, Stage::Queued, "three")]
    );
    assert!(history.iter().all(|entry| entry.side == Side::Out && !entry.sealed && entry.stored == BEGIN));
}

#[test]
fn an_id_names_one_message_for_ever() {
    let talk = Talk::new();
    talk.start().queue(&[draft("a", "one"), draft("b", "two")], true).unwrap();
    assert_eq!(talk.start().queue(&[draft("a", "one")], true).unwrap(), [Queued::Known(Stage::Queued)]);
    talk.start().open_saved(&[acked("a")]).unwrap();
    let again = talk.start().queue(&[draft("a", "one"), draft("c", "new"), draft("c", "new")], true).unwrap();
    assert_eq!(again, [Queued::Known(Stage::Acked), Queued::Waiting, Queued::Known(Stage::Queued)]);
    let (log, state) = (talk.log(), talk.state());
    for wrong in [
        &[draft("d", "new"), draft("a", "other")][..],
        &[draft("d", "new"), draft("b", "other")],
        &[draft("d", "new"), draft("d", "other")],
    ] {
        let error = talk.start().queue(wrong, true).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        let name = wrong.last().unwrap().head.id.as_str();
        assert!(error.to_string().starts_with(&format!("the id '{name}' was used for another message")), "{error}");
    }
    assert!((talk.log(), talk.state()) == (log, state), "something was stored with an error");
    assert_eq!(talk.start().last(10).unwrap().len(), 3);
}

#[test]
fn what_is_withdrawn_is_not_sent_and_may_be_sent_again_under_its_id() {
    let talk = Talk::new();
    talk.start().queue(&[draft("a", "one"), draft("b", "two")], true).unwrap();
    talk.start().withdraw(&[id("a"), id("x")]).unwrap();
    assert_eq!(waiting(&talk), ["b"]);
    assert_eq!(talk.start().last(2).unwrap()[0].stage, Some(Stage::Expired));
    assert_eq!(talk.start().queue(&[draft("a", "one")], true).unwrap(), [Queued::Waiting]);
    assert_eq!(waiting(&talk), ["b", "a"]);
    talk.start().open_saved(&[acked("a")]).unwrap();
    assert_eq!(talk.start().queue(&[draft("a", "one")], true).unwrap(), [Queued::Known(Stage::Acked)]);
}

#[test]
fn a_message_whose_time_is_over_is_taken_out_unless_it_is_on_its_way() {
    let talk = Talk::new();
    let timed = |name, ttl| {
        let mut draft = draft(name, "text");
        draft.head.ttl = Some(ttl);
        draft
    };
    talk.start().queue(&[timed("a", 10), timed("b", 20), timed("c", u64::MAX), timed("d", 5)], true).unwrap();
    talk.home.wait(9_999);
    assert_eq!(names(&talk.start().waiting(|one| *one == id("d"), 1000).unwrap()), ["a", "b", "c"]);
    talk.home.wait(1);
    assert_eq!(waiting(&talk), ["b", "c"]);
    let stages: Vec<_> = talk.start().last(4).unwrap().iter().map(|entry| entry.stage.unwrap()).collect();
    assert_eq!(stages, [Stage::Expired, Stage::Queued, Stage::Queued, Stage::Expired]);
    assert_eq!(talk.start().queue(&[timed("a", 10)], true).unwrap(), [Queued::Known(Stage::Expired)]);
}

#[test]
fn no_more_than_a_thousand_wait_and_all_or_none_are_stored() {
    let talk = Talk::new();
    let many = |from: usize, to: usize| (from..to).map(|n| draft(&format!("m{n}"), "text")).collect::<Vec<_>>();
    talk.start().queue(&many(0, 990), true).unwrap();
    let before = (talk.log(), talk.state());
    let error = talk.start().queue(&many(980, 1001), true).unwrap_err();
    assert!(error.to_string().contains(&format!("1000 messages wait for {}", talk.peer)), "{error}");
    assert!((talk.log(), talk.state()) == before);
    talk.start().queue(&many(980, 1000), true).unwrap();
    assert_eq!(talk.start().count_waiting().unwrap(), 1000);
    assert_eq!(talk.start().queue(&many(5, 6), true).unwrap(), [Queued::Known(Stage::Queued)]);
    assert_eq!(waiting(&talk), many(0, 1000).iter().map(|draft| draft.head.id.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_text_that_is_too_long_or_has_no_keys_is_refused_before_anything_is_made() {
    let talk = Talk::new();
    let long = "x".repeat(MAX_TEXT_LEN);
    let error = talk.start().queue(&[draft("a", &format!("{long}y"))], true).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("65537 bytes")), (Kind::Usage, true));
    assert!(!talk.path("").exists());
    talk.start().queue(&[draft("a", &long)], true).unwrap();
    assert_eq!(talk.start().last(1).unwrap()[0].text, long);
    let error = talk.start().queue(&[draft("b", "text")], false).unwrap_err();
    assert!(error.to_string().contains("there are no keys"), "{error}");
}

#[test]
fn looking_makes_no_files() {
    let talk = Talk::new();
    let start = talk.start();
    assert!(start.last(1).unwrap().is_empty() && start.after(0, 1).unwrap().is_empty());
    assert!(start.waiting(|_| false, 1).unwrap().is_empty() && !start.wants_step().unwrap());
    assert_eq!((start.last_seq().unwrap(), start.seq_before(u64::MAX).unwrap()), (0, 0));
    assert_eq!((start.forget_before(u64::MAX).unwrap(), start.count_waiting().unwrap()), (0, 0));
    assert!(start.hello(&[0; 64], true).unwrap().is_none());
    start.end().unwrap();
    start.each(|entry| panic!("{entry:?}")).unwrap();
    assert_eq!(std::fs::read_dir(talk.home.path()).unwrap().count(), 0);
}

#[test]
fn files_are_for_their_owner_alone_and_hold_no_text_in_clear() {
    let talk = Talk::new();
    let text = "a text that nobody else may read";
    talk.start().queue(&[draft("a", text)], true).unwrap();
    talk.start().receive(&[super::open("b", text)]).unwrap();
    talk.start().waiting(|_| false, 10).unwrap();
    for name in ["log.jsonl", "state.json", ".lock"] {
        assert_eq!(std::fs::metadata(talk.path(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        let bytes = std::fs::read(talk.path(name)).unwrap();
        let base64 = data_encoding::BASE64.encode(text.as_bytes());
        for clear in [text.as_bytes(), &base64.as_bytes()[..20]] {
            assert!(!bytes.windows(clear.len()).any(|piece| piece == clear), "{name}");
        }
    }
    for dir in ["", ".."] {
        assert_eq!(std::fs::metadata(talk.path(dir)).unwrap().permissions().mode() & 0o777, 0o700);
    }
    assert_eq!(talk.texts(), [text, text]);
}

#[test]
fn another_identity_opens_nothing_and_is_told_so() {
    let talk = Talk::new();
    talk.start().queue(&[draft("a", "text")], true).unwrap();
    let other = talk.home.taken_over().with(talk.peer);
    for error in [other.last(5).unwrap_err(), other.after(0, 5).unwrap_err(), other.each(|_| Ok(())).unwrap_err()] {
        assert!(error.to_string().contains("log.jsonl cannot be used"), "{error}");
    }
    assert!(other.waiting(|_| false, 5).unwrap().is_empty());
    assert_eq!(waiting(&talk), ["a"], "it was thrown away");
}

#[test]
fn a_directory_that_is_not_ours_alone_is_refused() {
    let talk = Talk::new();
    talk.start().queue(&[draft("a", "text")], true).unwrap();
    let dir = talk.path("");
    let refused = || talk.start().last(1).is_err() && talk.start().queue(&[draft("b", "text")], true).is_err();
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o770)).unwrap();
    assert!(refused());
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)).unwrap();
    let moved = talk.home.path().join("moved");
    std::fs::rename(talk.path(""), &moved).unwrap();
    std::os::unix::fs::symlink(&moved, talk.home.path().join("chat").join(talk.peer.to_string())).unwrap();
    assert!(refused());
}

#[test]
fn the_state_of_another_conversation_is_refused() {
    let (talk, other) = (Talk::new(), Talk::new());
    talk.start().queue(&[draft("a", "text")], true).unwrap();
    other.start().queue(&[draft("a", "text")], true).unwrap();
    talk.put(&other.log(), Some(&other.state()));
    let error = talk.start().waiting(|_| false, 1).unwrap_err();
    assert!(error.to_string().contains("is that of another conversation"), "{error}");
}

#[test]
fn many_at_once_lose_nothing() {
    let talk = Talk::new();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let talk = &talk;
            scope.spawn(move || {
                for number in 0..20 {
                    let name = format!("{worker}-{number}");
                    talk.start().queue(&[draft(&name, &name)], true).unwrap();
                    talk.start().receive(&[super::open(&name, &name)]).unwrap();
                    if number % 2 == 0 {
                        talk.start().open_saved(&[acked(&name)]).unwrap();
                    }
                }
            });
        }
    });
    let mut history = talk.start().last(1000).unwrap();
    assert!(history.iter().map(|entry| entry.seq).eq(1..=320));
    assert!(history.iter().all(|entry| entry.text == entry.id.as_str()));
    history.retain(|entry| entry.stage == Some(Stage::Queued));
    assert_eq!((history.len(), talk.start().count_waiting().unwrap()), (80, 80));
}
