//! Whoever writes may die at any moment, and files may be put back from copies: what was acknowledged is there, once.

use super::super::{Queued, Stage};
use super::{Talk, acked, draft, id, names, open};

/// The bytes of a log in which the writer died, at every place that matters: nothing of it written, half a line, whole lines.
pub(super) fn cuts(before: usize, log: &[u8]) -> Vec<usize> {
    let ends = (before..log.len()).filter(|at| log[*at] == b'\n').flat_map(|at| [at, at + 1, at + 2]);
    let mut cuts: Vec<_> = ends.chain([before, before + 1, log.len()]).filter(|at| *at <= log.len()).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

#[test]
fn a_receiver_that_dies_anywhere_has_each_message_once_after_it_was_sent_again() {
    let talk = Talk::new();
    talk.start().receive(&[open("a", "one")]).unwrap();
    let (log, state) = (talk.log(), talk.state());
    let batch = [open("b", "two"), open("c", "three"), open("d", "four")];
    talk.start().receive(&batch).unwrap();
    let written = talk.log();
    for with_state in [true, false] {
        for cut in cuts(log.len(), &written) {
            talk.put(&written[..cut], with_state.then_some(&state[..]));
            let (answers, entries) = talk.start().receive(&batch).unwrap();
            assert_eq!(names(&answers), ["b", "c", "d"], "cut at {cut}");
            let there = written[..cut].iter().filter(|byte| **byte == b'\n').count() - 1;
            assert_eq!(entries.len(), 3 - there, "cut at {cut}");
            assert_eq!(talk.texts(), ["one", "two", "three", "four"], "cut at {cut}");
            let seqs: Vec<_> = talk.start().last(10).unwrap().iter().map(|entry| entry.seq).collect();
            assert_eq!(seqs, [1, 2, 3, 4]);
            assert!(talk.start().receive(&batch).unwrap().1.is_empty());
        }
    }
}

#[test]
fn a_sender_that_dies_anywhere_sends_what_is_in_its_log_once() {
    let talk = Talk::new();
    talk.start().queue(&[draft("a", "one")], true).unwrap();
    let (log, state) = (talk.log(), talk.state());
    let drafts = [draft("b", "two"), draft("c", "three")];
    talk.start().queue(&drafts, true).unwrap();
    let written = talk.log();
    for with_state in [true, false] {
        for cut in cuts(log.len(), &written) {
            talk.put(&written[..cut], with_state.then_some(&state[..]));
            let there = written[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(names(&talk.start().waiting(|_| false, 10).unwrap()), ["a", "b", "c"][..there], "cut at {cut}");
            let answers = talk.start().queue(&drafts, true).unwrap();
            let known = answers.iter().filter(|answer| **answer == Queued::Known(Stage::Queued)).count();
            assert_eq!(known, there - 1, "cut at {cut}");
            assert_eq!(talk.texts(), ["one", "two", "three"], "cut at {cut}");
            assert_eq!(names(&talk.start().waiting(|_| false, 10).unwrap()), ["a", "b", "c"], "cut at {cut}");
        }
    }
}

#[test]
fn an_acknowledgement_holds_if_its_mark_is_there_or_the_state_is() {
    let talk = Talk::new();
    talk.start().queue(&[draft("a", "one"), draft("b", "two")], true).unwrap();
    let (log, state) = (talk.log(), talk.state());
    talk.start().open_saved(&[acked("a")]).unwrap();
    let (marked, after) = (talk.log(), talk.state());
    let stages = || talk.start().last(2).unwrap().iter().map(|entry| entry.stage.unwrap()).collect::<Vec<_>>();
    // The mark was written, and the state was not.
    talk.put(&marked, Some(&state));
    assert_eq!(stages(), [Stage::Acked, Stage::Queued]);
    assert_eq!(names(&talk.start().waiting(|_| false, 10).unwrap()), ["b"]);
    // The state was, and a loss of power took the mark.
    for cut in [log.len(), log.len() + 5] {
        talk.put(&marked[..cut], Some(&after));
        assert_eq!(stages(), [Stage::Acked, Stage::Queued]);
        assert_eq!(names(&talk.start().waiting(|_| false, 10).unwrap()), ["b"]);
        assert_eq!(talk.start().queue(&[draft("a", "one")], true).unwrap(), [Queued::Known(Stage::Acked)]);
        talk.start().queue(&[draft("c", "three")], true).unwrap();
        assert_eq!(talk.texts(), ["one", "two", "three"]);
        talk.start().withdraw(&[id("c")]).unwrap();
    }
    // Neither was: it is sent again.
    talk.put(&log, Some(&state));
    assert_eq!(stages(), [Stage::Queued, Stage::Queued]);
    assert_eq!(talk.start().open_saved(&[acked("a")]).unwrap(), [id("a")]);
}

#[test]
fn an_old_state_that_is_put_back_takes_up_all_that_the_log_has() {
    let talk = Talk::new();
    talk.start().queue(&[draft("a", "one"), draft("b", "two")], true).unwrap();
    let old = talk.state();
    talk.start().open_saved(&[acked("a")]).unwrap();
    talk.start().receive(&[open("x", "three")]).unwrap();
    talk.start().queue(&[draft("c", "four"), draft("d", "five")], true).unwrap();
    talk.start().open_saved(&[acked("c")]).unwrap();
    talk.start().withdraw(&[id("b")]).unwrap();
    talk.put(&talk.log(), Some(&old));
    assert_eq!(names(&talk.start().waiting(|_| false, 10).unwrap()), ["d"]);
    let (answers, entries) = talk.start().receive(&[open("x", "three"), open("y", "six")]).unwrap();
    assert_eq!((names(&answers), entries[0].seq), (vec!["x", "y"], 6));
    assert_eq!(talk.texts(), ["one", "two", "three", "four", "five", "six"]);
}

#[test]
fn a_log_that_is_gone_or_older_leaves_the_places_that_were_given() {
    let talk = Talk::new();
    talk.start().receive(&[open("a", "one")]).unwrap();
    let old = talk.log();
    talk.start().queue(&[draft("b", "two")], true).unwrap();
    let state = talk.state();
    for log in [&old[..], b"", &old[..old.len() - 3]] {
        talk.put(log, Some(&state));
        // The text of the message that waited is gone with the log; it is said, and nothing else suffers.
        let chat = talk.home.chat();
        assert!(chat.with(talk.peer).waiting(|_| false, 10).unwrap().is_empty());
        assert!(chat.notices().iter().any(|notice| notice.ends_with("is damaged in it, and stays unsent")));
        let (_, entries) = talk.start().receive(&[open("c", "three"), open("a", "one")]).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [3]);
    }
}

#[test]
fn half_a_line_is_cut_off_and_said_and_a_damaged_one_is_left_out_and_said() {
    let talk = Talk::new();
    talk.start().receive(&[open("a", "one"), open("b", "two"), open("c", "three")]).unwrap();
    let (sound, state) = (talk.log(), talk.state());
    let text = String::from_utf8(sound).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let flipped = lines[1].replace("\"text\":\"", "\"text\":\"A");
    let damaged = [
        flipped.as_str(),
        "",
        "{}",
        "{\"seq\":2}",
        "{\"seq\":2,\"acked\":1,\"expired\":1}",
        "\0\0\0\0",
        &lines[1][..lines[1].len() - 1],
        &lines[1].replace("\"seq\":2", "\"seq\":7"),
        &lines[1].replace("\"side\":\"in\"", "\"side\":\"out\""),
        &lines[1].replace("\"id\":\"b\"", "\"id\":\"z\""),
        &lines[1].replace("\"sealed\"", "\"other\":1,\"sealed\""),
    ];
    for bad in damaged {
        talk.put(format!("{}\n{bad}\n{}\n{{\"seq\":9", lines[0], lines[2]).as_bytes(), Some(&state));
        let chat = talk.home.chat();
        let start = chat.with(talk.peer);
        for _ in 0..2 {
            let texts: Vec<_> = start.last(10).unwrap().into_iter().map(|entry| entry.text).collect();
            assert_eq!(texts, ["one", "three"], "{bad}");
        }
        let said = chat.notices();
        assert_eq!(said.len(), 1, "{bad}: {said:?}");
        assert!(said[0].contains("log.jsonl: there are lines in it that are damaged"), "{said:?}");
        assert!(talk.log().ends_with(b"{\"seq\":9"), "a reader has changed the log");
        start.receive(&[open("d", "four")]).unwrap();
        let texts: Vec<_> = start.last(10).unwrap().into_iter().map(|entry| entry.text).collect();
        assert_eq!(texts, ["one", "three", "four"]);
        let said = chat.notices();
        assert!(said.iter().any(|notice| notice.ends_with("was cut off")), "{said:?}");
    }
}
