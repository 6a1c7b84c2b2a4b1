//! What is put on the shelf is there, whoever asks for it and from where.

use super::super::forgotten_before;
use super::{BEGIN, Home, Writer, all, texts};
use crate::group::shelf::{MemoryShelf, Shelf};
use crate::proto::group::{Addresses, Class, Entry, Kind, LogId};

#[test]
fn entries_are_there_after_a_restart_as_in_memory_from_any_place_and_in_any_pieces() {
    let home = Home::new();
    let group = home.create("team");
    let mut memory = MemoryShelf::default();
    let own = [Class::Content, Class::Roster].map(|class| Writer::of(&group, group.own_log(class).unwrap()));
    let mut writers: Vec<_> = own.into_iter().chain((0..3).map(|_| Writer::new(&group))).collect();
    for round in 0..20 {
        let batch: Vec<Entry> = writers.iter_mut().flat_map(|writer| writer.write_some(1 + round % 4)).collect();
        memory.append(&batch).unwrap();
        match round % 3 {
            // A program that goes on, and one that has just started.
            0 => home.shelf().append(&batch).unwrap(),
            _ => batch.chunks(3).for_each(|some| home.shelf().append(some).unwrap()),
        }
    }
    let shelf = home.shelf();
    let bytes = |log: &LogId| std::fs::metadata(home.log_path(log)).unwrap().len();
    let (found, expected) = (shelf.logs().unwrap(), memory.logs().unwrap());
    assert_eq!(found.len(), 5);
    for (found, mut expected) in found.into_iter().zip(expected) {
        expected.bytes = bytes(&found.log);
        assert_eq!(found, expected);
        for (from, most) in [(0, 1), (1, 1), (2, 5000), (17, 1), (17, 1200), (50, usize::MAX), (51, 10), (9999, 1)] {
            let there = shelf.read(&found.log, from, most).unwrap();
            let entries = memory.read(&found.log, 1, usize::MAX).unwrap();
            let from = usize::try_from(from.max(1)).unwrap() - 1;
            assert_eq!(there, entries.get(from..from + there.len()).unwrap_or_default());
            assert_eq!(there.is_empty(), from >= entries.len(), "{from} {most}");
            assert!(most == usize::MAX || there.len() <= 1 + most / 400);
        }
        assert_eq!(all(&shelf, &found.log), memory.read(&found.log, 1, usize::MAX).unwrap());
    }
    assert!(shelf.notices().is_empty());
}

#[test]
fn any_place_of_a_log_of_a_hundred_thousand_entries_is_found() {
    let home = Home::new();
    let group = home.create("team");
    let mut writer = Writer::new(&group);
    let mut shelf = home.shelf();
    let entries = writer.write_some(100_000);
    entries.chunks(5000).for_each(|some| shelf.append(some).unwrap());
    let shelf = home.shelf();
    for seq in [1, 2, 3, 77, 999, 50_000, 65_536, 99_998, 99_999, 100_000] {
        let found = shelf.read(&writer.log, seq, 1200).unwrap();
        assert_eq!(found[0], entries[usize::try_from(seq).unwrap() - 1]);
        assert_eq!(found.len(), 2.min(100_001 - usize::try_from(seq).unwrap()));
    }
}

#[test]
fn a_thousand_logs_are_more_than_may_be_open_and_work_all_the_same() {
    let home = Home::new();
    let group = home.create("team");
    let mut writers: Vec<_> = (0..1000).map(|_| Writer::new(&group)).collect();
    let batch: Vec<_> = writers.iter_mut().flat_map(|writer| writer.write_some(2)).collect();
    home.shelf().append(&batch).unwrap();
    let shelf = home.shelf();
    assert_eq!(shelf.logs().unwrap().len(), 1000);
    assert!(writers.iter().all(|writer| texts(&shelf, &writer.log) == ["text 1", "text 2"]));
}

#[test]
fn what_does_not_follow_is_refused_and_nothing_of_it_is_there() {
    let home = Home::new();
    let group = home.create("team");
    let (mut one, mut other) = (Writer::new(&group), Writer::new(&group));
    let (mut shelf, mut memory) = (home.shelf(), MemoryShelf::default());
    let first = one.write_some(2);
    shelf.append(&first).unwrap();
    memory.append(&first).unwrap();
    let (good, next) = (other.write("good"), one.write_some(3));
    let mut fork = Writer::of(&group, one.log);
    fork.write("other");
    let wrong = fork.write_some(2).pop().unwrap();
    for batch in [
        vec![good.clone(), next[1].clone()],
        vec![good.clone(), next[0].clone(), next[2].clone()],
        vec![good.clone(), first[1].clone()],
        vec![good.clone(), wrong],
    ] {
        assert!(shelf.append(&batch).unwrap_err().to_string().contains("does not follow"));
        assert!(memory.append(&batch).is_err());
        assert_eq!((shelf.logs().unwrap().len(), memory.logs().unwrap().len()), (1, 1));
        assert_eq!(all(&shelf, &one.log), first);
    }
    shelf.append(&next).unwrap();
    assert_eq!(texts(&shelf, &one.log).len(), 5);
}

#[test]
fn of_each_log_the_fork_in_the_lowest_place_is_kept_and_without_bodies() {
    let home = Home::new();
    let group = home.create("team");
    let (mut a, mut b) = (Writer::new(&group), Writer::new(&group));
    let (mut other_a, mut other_b) = (Writer::of(&group, a.log), Writer::of(&group, b.log));
    let low = [a.write("one"), other_a.write("other")];
    let high = [a.write("one"), other_a.write("other")];
    let third = [b.write("x"), other_b.write("y")];
    let bare = |fork: &[Entry; 2]| fork.clone().map(|entry| Entry { body: None, ..entry });
    let mut memory = MemoryShelf::default();
    assert!(home.shelf().forks().unwrap().is_empty());
    for (fork, kept) in [(&high, &high), (&low, &low), (&low, &low), (&high, &low)] {
        home.shelf().keep_fork(fork).unwrap();
        memory.keep_fork(fork).unwrap();
        assert_eq!(home.shelf().forks().unwrap(), [bare(kept)]);
        assert_eq!(memory.forks().unwrap(), [bare(kept)]);
    }
    home.shelf().keep_fork(&third).unwrap();
    assert_eq!(home.shelf().forks().unwrap().len(), 2);
    // Half a line, and one that is none.
    let path = home.path("forks.jsonl");
    let sound = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{{}}\n{sound}{{\"a\":")).unwrap();
    let shelf = home.shelf();
    assert_eq!(shelf.forks().unwrap().len(), 2);
    assert!(shelf.notices()[0].contains("damaged, and left out"));
}

#[test]
fn what_is_too_old_loses_its_text_and_the_chain_stays() {
    let home = Home::new();
    let group = home.create("team");
    let own = group.own_log(Class::Content).unwrap();
    let (mut me, mut other) = (Writer::of(&group, own), Writer::new(&group));
    let roster = group.own_log(Class::Roster).unwrap();
    let mut acts = Writer::of(&group, roster);
    let mut shelf = home.shelf();
    let mut batch = me.write_some(100);
    let mut header = me.header();
    header.kind = Kind::Addresses;
    let addresses = Addresses { addresses: vec!["host:1".to_owned()] };
    batch.push(me.write_as(header, crate::json::line(&addresses).unwrap().as_bytes()));
    batch.extend(me.write_some(99));
    batch.extend(other.write_some(20));
    batch.extend(acts.write_some(5));
    shelf.append(&batch).unwrap();

    assert_eq!(forgotten_before(None, BEGIN), None);
    assert_eq!(forgotten_before(Some(2), BEGIN), Some(BEGIN - 2 * 24 * 3600 * 1000));
    assert_eq!(shelf.forget_before(BEGIN).unwrap(), 0);
    // Entry `n` of a log has the clock BEGIN + n seconds.
    assert_eq!(shelf.forget_before(BEGIN + 150_001).unwrap(), 149 + 20);
    assert_eq!(shelf.forget_before(BEGIN + 150_001).unwrap(), 0);
    for shelf in [&shelf, &home.shelf()] {
        let mine = all(shelf, &own);
        assert_eq!(mine.len(), 200);
        for entry in &mine {
            let kept = entry.header.seq > 150 || entry.header.kind == Kind::Addresses;
            assert_eq!(entry.body.is_some(), kept, "{}", entry.header.seq);
            assert_eq!(Entry { body: None, ..entry.clone() }, {
                let seq = usize::try_from(entry.header.seq).unwrap();
                Entry { body: None, ..batch[seq - 1].clone() }
            });
        }
        assert!(all(shelf, &other.log).iter().all(|entry| entry.body.is_none()));
        assert!(all(shelf, &roster).iter().all(|entry| entry.body.is_some()));
        let bytes = std::fs::metadata(home.log_path(&own)).unwrap().len();
        assert_eq!(shelf.logs().unwrap().iter().find(|stored| stored.log == own).unwrap().bytes, bytes);
    }
    // The log is still ours, and goes on.
    assert_eq!(home.start().own_log(Class::Content).unwrap(), own);
    shelf.append(&me.write_some(1)).unwrap();
    assert_eq!(shelf.forget_before(u64::MAX).unwrap(), 51);
    assert_eq!(home.start().own_log(Class::Content).unwrap(), own);
    assert_eq!(all(&home.shelf(), &own).len(), 201);
}
