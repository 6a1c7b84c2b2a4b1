//! Reading back.

use super::{Gap, History, Lens, Message, Position, Text};
use crate::group::home::tests::{BEGIN, Home, Writer};
use crate::group::keys::Opened;
use crate::group::roster::Verdict;
use crate::group::shelf::Shelf;
use crate::proto::group::{Dep, Entry, EntryId, Header, KeyId, Kind, LogId};

fn open(entry: &Entry) -> Opened {
    entry.body.clone().map_or(Opened::Broken, Opened::Text)
}

fn counts(_: &Header, _: &EntryId) -> Verdict {
    Verdict::Counts
}

fn endless(_: &LogId, _: &EntryId) -> Option<u64> {
    None
}

const CLEAR: Lens<'_> = Lens { open: &open, verdict: &counts, end: &endless };

/// A group of several members who have spoken in turns, by chance: all entries in the order in which they are shown.
fn crowd(home: &Home, members: usize, count: usize) -> (Vec<Writer>, Vec<Entry>) {
    let group = home.create("team");
    let mut writers: Vec<_> = (0..members).map(|_| Writer::new(&group)).collect();
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut entries = Vec::new();
    let mut shelf = home.shelf();
    for number in 0..count {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        let writer = &mut writers[usize::try_from(chance % members as u64).unwrap()];
        // Clocks that are the same in several logs, and far apart.
        writer.clock += chance / 7 % 3 * 500;
        entries.push(writer.write(&format!("message {number} {}", "x".repeat(number % 200))));
    }
    entries.chunks(1000).for_each(|some| shelf.append(some).unwrap());
    let key = |entry: &Entry| (entry.header.clock, entry.header.log.author, entry.header.seq, entry.header.log.inc);
    entries.sort_by_key(key);
    (writers, entries)
}

fn history(home: &Home) -> History {
    History::open(&home.start()).unwrap()
}

fn messages(entries: &[Entry]) -> Vec<Message> {
    entries.iter().filter_map(|entry| Message::of(entry, &open)).collect()
}

fn all(home: &Home) -> Vec<Message> {
    history(home).after(&mut Position::new(), usize::MAX, CLEAR).unwrap()
}

fn texts(messages: &[Message]) -> Vec<&str> {
    let text = |message: &Message| match &message.text {
        Text::Readable(text) => text.clone(),
        Text::Unreadable(why) => why.clone(),
    };
    messages.iter().map(|message| &*text(message).leak()).collect()
}

#[test]
fn every_way_of_reading_tells_the_same() {
    let home = Home::new();
    let (_, entries) = crowd(&home, 7, 3000);
    let expected = messages(&entries);
    let history = history(&home);
    for count in [0, 1, 2, 100, 2999, 3000, 3001] {
        assert!(history.last(count, CLEAR).unwrap() == expected[3000 - count.min(3000)..], "the last {count}");
    }
    for most in [1, 7, 500, 5000] {
        let (mut position, mut found) = (Position::new(), Vec::new());
        while found.len() < 3000 {
            let more = history.after(&mut position, most, CLEAR).unwrap();
            assert_eq!(more.len(), most.min(3000 - found.len()));
            found.extend(more);
            if most == 1 && found.len() == 50 {
                break;
            }
        }
        assert!(found == expected[..found.len()], "{most} at a time");
        if most > 1 {
            assert!(history.after(&mut position, 1, CLEAR).unwrap().is_empty());
            assert_eq!(position, history.end());
        }
    }
}

#[test]
fn a_reader_begins_at_a_time() {
    let home = Home::new();
    let (_, entries) = crowd(&home, 5, 1000);
    let history = history(&home);
    for at in [0, 1, 400, 998, 999] {
        let millis = entries[at].header.clock;
        let mut position = history.at(millis).unwrap();
        let found = history.after(&mut position, usize::MAX, CLEAR).unwrap();
        let expected: Vec<_> = entries.iter().filter(|entry| entry.header.clock > millis).cloned().collect();
        assert!(found == messages(&expected), "from {at} on");
    }
    assert_eq!(history.at(u64::MAX).unwrap(), history.end());
    let mut position = history.at(BEGIN).unwrap();
    assert_eq!(history.after(&mut position, usize::MAX, CLEAR).unwrap().len(), 1000);
}

#[test]
fn what_comes_late_is_given_to_who_has_read_on_already_and_marked() {
    let home = Home::new();
    let (mut writers, entries) = crowd(&home, 3, 300);
    let mut position = Position::new();
    let before = history(&home);
    before.after(&mut position, 200, CLEAR).unwrap();
    // One that was away: all of it is older than what was read, in a log that nobody knew.
    let mut away = Writer::new(&home.start());
    let mut now = Writer::new(&home.start());
    now.clock = entries[299].header.clock + 60_000;
    let late = away.write_some(2);
    home.shelf().append(&[late.clone(), now.write_some(1)].concat()).unwrap();
    let found = history(&home).after(&mut position, usize::MAX, CLEAR).unwrap();
    assert_eq!(found.len(), 103);
    assert_eq!(found[0].id, late[0].id);
    assert!(found.iter().all(|message| message.late == (message.author == away.log.author)));
    // Nothing is marked for who reads all of it, or the end.
    assert!(all(&home).iter().chain(&history(&home).last(500, CLEAR).unwrap()).all(|message| !message.late));
    // And all that was read, so that the next is late by what is furthest.
    home.shelf().append(&writers[0].write_some(1)).unwrap();
    let found = history(&home).after(&mut position, usize::MAX, CLEAR).unwrap();
    assert_eq!(found.iter().map(|message| message.late).collect::<Vec<_>>(), [true]);
}

#[test]
fn what_is_missing_is_said_before_the_first_that_knows_of_it() {
    let home = Home::new();
    let group = home.create("team");
    let (mut a, mut b, mut c) = (Writer::new(&group), Writer::new(&group), Writer::new(&group));
    let gone = Writer::new(&group);
    let dep = |log: &LogId, seq| Dep { log: log.tag(), seq, id: [0; 16] };
    let first = a.write_some(2);
    let say = |writer: &mut Writer, deps: Vec<Dep>| {
        writer.clock += 10_000;
        let mut header = writer.header();
        header.deps = deps;
        writer.write_as(header, b"x")
    };
    let entries = [
        say(&mut b, vec![dep(&a.log, 2)]),
        say(&mut c, vec![dep(&a.log, 5), dep(&gone.log, 3)]),
        say(&mut b, vec![dep(&a.log, 4), dep(&gone.log, 2)]),
        say(&mut c, vec![dep(&a.log, 7)]),
    ];
    home.shelf().append(&[first, entries.to_vec()].concat()).unwrap();
    let gap = |writer: Option<&Writer>, from, to| Gap { author: writer.map(|writer| writer.log.author), from, to };
    for found in [all(&home), history(&home).last(100, CLEAR).unwrap()] {
        let mut with: Vec<_> = found.iter().map(|message| (message.id, message.gaps.clone())).collect();
        with.retain(|(_, gaps)| !gaps.is_empty());
        let expected =
            [(entries[1].id, vec![gap(Some(&a), 3, 5), gap(None, 1, 3)]), (entries[3].id, vec![gap(Some(&a), 6, 7)])];
        assert_eq!(with, expected);
    }
    // What does not count is not missing.
    let end = |log: &LogId, _: &EntryId| (*log == a.log).then_some(2);
    let found = history(&home).last(100, Lens { end: &end, ..CLEAR }).unwrap();
    assert_eq!(found.iter().map(|message| message.gaps.len()).collect::<Vec<_>>().iter().sum::<usize>(), 1);
    assert_eq!(history(&home).missing(CLEAR), [gap(Some(&a), 3, 7), gap(None, 1, 2)]);
}

#[test]
fn what_does_not_count_is_not_shown_and_is_behind_the_reader_all_the_same() {
    let home = Home::new();
    let (writers, entries) = crowd(&home, 4, 400);
    let muted = writers[0].log;
    let verdict = |header: &Header, _: &EntryId| match header.log == muted {
        true => Verdict::Hidden("muted".to_owned()),
        false => Verdict::Counts,
    };
    let lens = Lens { verdict: &verdict, ..CLEAR };
    let visible: Vec<_> = entries.iter().filter(|entry| entry.header.log != muted).cloned().collect();
    let mut position = Position::new();
    assert!(history(&home).after(&mut position, usize::MAX, lens).unwrap() == messages(&visible));
    assert_eq!(position, history(&home).end());
    assert!(history(&home).last(50, lens).unwrap() == messages(&visible[visible.len() - 50..]));
    // A log that was cut is read to the cut, and not passed over.
    let end = |log: &LogId, _: &EntryId| (*log == muted).then_some(3);
    let lens = Lens { end: &end, ..CLEAR };
    let within: Vec<_> =
        entries.iter().filter(|entry| entry.header.log != muted || entry.header.seq <= 3).cloned().collect();
    let mut position = Position::new();
    assert!(history(&home).after(&mut position, usize::MAX, lens).unwrap() == messages(&within));
    assert_eq!(position[&(muted.author, muted.inc)], 3);
    assert!(history(&home).last(usize::MAX, lens).unwrap() == messages(&within));
    let end = |log: &LogId, _: &EntryId| (*log == muted).then_some(0);
    assert_eq!(history(&home).last(usize::MAX, Lens { end: &end, ..CLEAR }).unwrap().len(), visible.len());
}

#[test]
fn what_cannot_be_read_says_why_and_what_is_no_message_is_none() {
    let home = Home::new();
    let group = home.create("team");
    let mut writer = Writer::new(&group);
    let old = writer.write("old");
    writer.clock += 1_000_000;
    let mut entries = vec![old];
    entries.extend(["plain", "sealed", "broken"].map(|text| writer.write(text)));
    let mut header = writer.header();
    header.reply_to = entries[1].id;
    entries.push(writer.write_as(header, b"\xff"));
    for kind in [Kind::Addresses, Kind::Leave] {
        let header = Header { kind, ..writer.header() };
        entries.push(writer.write_as(header, b""));
    }
    let mut shelf = home.shelf();
    shelf.append(&entries).unwrap();
    shelf.forget_before(BEGIN + 500_000).unwrap();
    let open = |entry: &Entry| match entry.body.as_deref() {
        Some(b"sealed") => Opened::NoKey(KeyId::default()),
        Some(b"broken") => Opened::Broken,
        Some(text) => Opened::Text(text.to_vec()),
        None => panic!("asked to open nothing"),
    };
    let found = history(&home).last(10, Lens { open: &open, ..CLEAR }).unwrap();
    let said = texts(&found);
    assert_eq!(said.len(), 5);
    for (said, word) in said.iter().zip(["too old", "plain", "key is not here", "has not sealed", "no text"]) {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(found[4].reply_to, Some(entries[1].id));
    assert_eq!(found[1].path(), format!("msgs/{}/{}000000/2", writer.log.author, entries[1].header.time));
}

#[test]
fn a_log_that_is_written_anew_while_it_is_read_is_read_on() {
    let home = Home::new();
    let (_, entries) = crowd(&home, 3, 2000);
    let history = history(&home);
    let middle = entries[1000].header.clock;
    let mut position = Position::new();
    let first = history.after(&mut position, 700, CLEAR).unwrap();
    home.shelf().forget_before(middle).unwrap();
    let ids = |messages: &[Message]| messages.iter().map(|message| message.id).collect::<Vec<_>>();
    let expected: Vec<_> = entries.iter().map(|entry| entry.id).collect();
    let rest = history.after(&mut position, usize::MAX, CLEAR).unwrap();
    assert_eq!([ids(&first), ids(&rest)].concat(), expected);
    assert!(ids(&history.last(usize::MAX, CLEAR).unwrap()) == expected);
}

#[test]
fn damaged_lines_are_left_out_and_said_and_half_a_line_is_none() {
    let home = Home::new();
    let (writers, entries) = crowd(&home, 2, 400);
    let path = home.path("logs").join(format!("{}-{}.jsonl", writers[0].log.author, writers[0].log.inc));
    let sound = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<_> = sound.lines().collect();
    let bad = lines[50].replacen("\"b\":\"", "\"b\":\"AAAA", 1);
    (lines[50], lines[51], lines[90]) = (&bad, "", "{}");
    let text = lines.join("\n") + "\nx\n" + lines[0];
    std::fs::write(&path, &text).unwrap();
    let is_bad = |entry: &&Entry| entry.header.log == writers[0].log && [51, 52, 91].contains(&entry.header.seq);
    let expected: Vec<_> = entries.iter().filter(|entry| !is_bad(entry)).cloned().collect();
    let groups = home.groups();
    let history = History::open(&groups.list().unwrap()[0]).unwrap();
    assert!(history.last(usize::MAX, CLEAR).unwrap() == messages(&expected));
    assert!(history.after(&mut Position::new(), usize::MAX, CLEAR).unwrap() == messages(&expected));
    let said = groups.notices();
    assert!(said.len() == 1 && said[0].contains("damaged, and left out"), "{said:?}");
    assert!(std::fs::read_to_string(&path).unwrap() == text, "a reader has changed the log");
}

/// Bytes that this thread has read.
fn bytes_read() -> u64 {
    let counts = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
fn the_end_of_a_long_history_costs_a_bounded_part_of_it() {
    let home = Home::new();
    let (_, entries) = crowd(&home, 10, 30_000);
    let before = bytes_read();
    assert!(history(&home).last(100, CLEAR).unwrap() == messages(&entries[29_900..]));
    let read = bytes_read() - before;
    assert!(read < 3 << 20, "{read}");
}

#[test]
fn a_thousand_logs_of_long_messages_are_read_with_few_of_them_in_memory() {
    let home = Home::new();
    let group = home.create("team");
    let mut writers: Vec<_> = (0..1000).map(|_| Writer::new(&group)).collect();
    let long = "y".repeat(60_000);
    let batch: Vec<_> = writers.iter_mut().map(|writer| writer.write(&long)).collect();
    home.shelf().append(&batch).unwrap();
    let history = history(&home);
    let mut merge = super::Merge::new(&history.tracks, super::Way::Forth, &endless, |_| 0).unwrap();
    assert!(merge.in_memory() < 5 << 20, "{}", merge.in_memory());
    let mut count = 0;
    while let Some((_, entry)) = merge.next().unwrap() {
        assert_eq!(entry.body.unwrap().len(), 60_000);
        count += 1;
    }
    assert_eq!(count, 1000);
    assert_eq!(history.last(3, CLEAR).unwrap().len(), 3);
}
