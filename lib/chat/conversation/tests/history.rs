//! Reading back.

use super::super::{Entry, Side, Stage};
use super::{BEGIN, Talk, acked, draft, id, open};
use crate::error::Error;

/// A conversation of `count` messages, each a second after the one before: every third is ours, and most of ours are
/// acknowledged in the end, some withdrawn, and some wait.
fn long(talk: &Talk, count: usize) {
    let start = talk.start();
    for number in 0..count {
        let text = format!("text {number}").repeat(1 + number % 40);
        let name = format!("m{number}");
        match number % 3 {
            0 => drop(start.queue(&[draft(&name, &text)], true).unwrap()),
            _ => drop(start.receive(&[open(&name, &text)]).unwrap()),
        }
        if number % 60 == 59 {
            let ours: Vec<_> = (number - 59..number).step_by(3).map(|number| format!("m{number}")).collect();
            start.open_saved(&ours[..17].iter().map(|name| acked(name)).collect::<Vec<_>>()).unwrap();
            start.withdraw(&[id(&ours[17])]).unwrap();
        }
        talk.home.wait(1000);
    }
}

fn all(talk: &Talk) -> Vec<Entry> {
    let mut all = Vec::new();
    let each = |entry| {
        all.push(entry);
        Ok(())
    };
    talk.start().each(each).unwrap();
    all
}

#[test]
fn every_way_of_reading_tells_the_same() {
    let talk = Talk::new();
    long(&talk, 600);
    let start = talk.start();
    let all = all(&talk);
    assert!(all.iter().map(|entry| entry.seq).eq(1..=600));
    let count = |stage| all.iter().filter(|entry| entry.stage == Some(stage)).count();
    assert_eq!([Stage::Acked, Stage::Expired, Stage::Queued].map(count), [170, 10, 20]);
    for count in [0, 1, 7, 100, 599, 600, 601, usize::MAX] {
        assert!(start.last(count).unwrap() == all[600 - count.min(600)..], "the last {count}");
    }
    for (seq, count) in [(0, 1), (0, 600), (1, 10), (299, 100), (300, 1), (598, 5), (599, 5), (600, 5), (u64::MAX, 5)] {
        let from = usize::try_from(seq.min(600)).unwrap();
        let found = start.after(seq, count).unwrap();
        assert!(found == all[from..(from + count).min(600)], "{count} after {seq}: {found:?}");
    }
    assert_eq!(start.last_seq().unwrap(), 600);
    for (millis, seq) in [(0, 0), (BEGIN, 0), (BEGIN + 1, 1), (BEGIN + 299_000, 299), (u64::MAX, 600)] {
        assert_eq!(start.seq_before(millis).unwrap(), seq);
    }
}

#[test]
fn a_reader_may_stop_where_it_likes() {
    let talk = Talk::new();
    long(&talk, 20);
    let mut read = 0;
    let stop = |_| {
        read += 1;
        if read == 5 { Err(Error::no("enough")) } else { Ok(()) }
    };
    assert_eq!(talk.start().each(stop).unwrap_err().to_string(), "enough");
    assert_eq!(read, 5);
}

#[test]
fn what_is_forgotten_is_gone_and_everything_else_goes_on() {
    let talk = Talk::new();
    long(&talk, 300);
    let before = all(&talk);
    let until = BEGIN + 200_000;
    let waits = |entry: &Entry| entry.stage == Some(Stage::Queued);
    let kept: Vec<_> = before.iter().filter(|entry| entry.stored >= until || waits(entry)).cloned().collect();
    let waiting = talk.start().waiting(|_| false, 1000).unwrap();
    let gone = talk.start().forget_before(until).unwrap();
    assert_eq!(usize::try_from(gone).unwrap(), before.len() - kept.len());
    assert!(gone > 150);
    assert_eq!(all(&talk), kept);
    assert_eq!(talk.start().forget_before(until).unwrap(), 0);
    assert_eq!(
        talk.start().after(5, 1000).unwrap(),
        kept.iter().filter(|entry| entry.seq > 5).cloned().collect::<Vec<_>>()
    );
    assert_eq!(talk.start().waiting(|_| false, 1000).unwrap(), waiting);
    assert!(talk.start().receive(&[open("m298", "again")]).unwrap().1.is_empty());
    assert_eq!(talk.start().receive(&[open("new", "new")]).unwrap().1[0].seq, 301);
    assert_eq!(talk.start().forget_before(u64::MAX).unwrap(), u64::try_from(kept.len() - waiting.len() + 1).unwrap());
    assert!(all(&talk).iter().all(|entry| entry.side == Side::Out && waits(entry)));
    assert_eq!(talk.start().receive(&[open("newer", "newer")]).unwrap().1[0].seq, 302);
}

#[test]
fn forgetting_that_is_cut_short_anywhere_loses_nothing_else() {
    let talk = Talk::new();
    long(&talk, 60);
    let (log, state) = (talk.log(), talk.state());
    talk.start().forget_before(BEGIN + 30_000).unwrap();
    let (shorter, waiting) = (talk.log(), talk.start().waiting(|_| false, 100).unwrap());
    assert!(shorter.len() < log.len());
    let kept = all(&talk);
    // It died between the log and the state.
    talk.put(&shorter, Some(&state));
    assert_eq!(all(&talk), kept);
    assert_eq!(talk.start().waiting(|_| false, 100).unwrap(), waiting);
    assert_eq!(talk.start().receive(&[open("new", "new")]).unwrap().1[0].seq, 61);
    assert_eq!(talk.start().waiting(|_| false, 100).unwrap(), waiting);
    // And a copy of the log from before is put back.
    talk.put(&log, Some(&state));
    assert_eq!(all(&talk).len(), 60);
}
