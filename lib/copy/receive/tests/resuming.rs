//! Copies that go on where others ended.

use super::*;
use std::fs::OpenOptions;
use std::io::Write;

fn resuming() -> Request {
    Request { resume: true, ..wishes() }
}

const SIZE: usize = 200_000;

fn bytes(seed: u8) -> Vec<u8> {
    (0..SIZE).map(|at| (at / 7) as u8 ^ seed).collect()
}

/// A copy of one file that is lost after so many bytes.
fn interrupted(yard: &Yard, length: usize) -> Copied {
    let whole = bytes(0);
    let mut messages = vec![BEGIN, top("x/f"), large("", SIZE as u64)];
    messages.extend(whole[..length].chunks(50_000).map(FromSender::Data));
    copy_until(&yard.at("to"), None, &wishes(), &messages, Goodbye::Vanish)
}

/// The one part in the target.
fn part(yard: &Yard) -> PathBuf {
    let names = yard.names("to");
    let parts: Vec<_> = names.iter().filter(|name| name.ends_with(".part")).collect();
    assert_eq!(parts.len(), 1, "{names:?}");
    yard.at("to").join(parts[0])
}

/// Asks about the file, lets something happen, and goes on where the answer says if `goes_on`. Returns the answer too.
fn resumed(yard: &Yard, source: &[u8], happens: impl FnOnce(), goes_on: bool) -> (u64, Copied) {
    resumed_at(&Place::of_process().unwrap(), yard, source, happens, goes_on)
}

fn resumed_at(place: &Place, yard: &Yard, source: &[u8], happens: impl FnOnce(), goes_on: bool) -> (u64, Copied) {
    let to = yard.at("to");
    let mut answer = 0;
    let copied = run(&Target::Path(place, to.as_os_str().as_bytes()), None, &resuming(), |back, mouth| {
        let size = source.len() as u64;
        for message in [BEGIN, top("x/f"), FromSender::Ask(size, b"")] {
            mouth.say(&message);
        }
        mouth.flush();
        let batch = back.recv().unwrap().unwrap();
        let record = batch.records().next().unwrap();
        let FromReceiver::Have(length, hash) = FromReceiver::decode(&record).unwrap() else { panic!("{record:?}") };
        answer = length;
        let have = usize::try_from(length).unwrap();
        assert!(have <= source.len());
        let is_same = have > 0 && blake3::hash(&source[..have]).as_bytes() == &hash;
        happens();
        let offset = if is_same && goes_on { have } else { 0 };
        let form = if offset == source.len() { Form::Complete } else { Form::Pieces };
        let file = File { form, meta: META, size, offset: offset as u64, name: b"", data: b"" };
        for message in [FromSender::Answered, top("x/f"), FromSender::File(file)] {
            mouth.say(&message);
        }
        if form == Form::Pieces {
            source[offset..].chunks(60_000).for_each(|data| mouth.say(&FromSender::Data(data)));
            mouth.say(&WHOLE);
        }
        mouth.say(&FromSender::End(1));
        Goodbye::Close
    });
    (answer, copied)
}

fn moved(copied: &Copied) -> u64 {
    copied.events.iter().filter_map(|event| event.strip_prefix("moved ")?.parse::<u64>().ok()).sum()
}

#[test]
fn a_lost_connection_leaves_what_is_worth_it_and_says_so() {
    let yard = Yard::new();
    std::fs::write(yard.at("to/f"), "old").unwrap();
    let copied = interrupted(&yard, 150_000);
    assert!(copied.outcome.is_err());
    assert_eq!(copied.events.last().unwrap(), "kept x/f");
    assert_eq!((std::fs::read(part(&yard)).unwrap(), yard.read("to/f")), (bytes(0)[..150_000].to_vec(), "old".into()));
    let copied = interrupted(&yard, 50_000);
    assert!(!copied.events.iter().any(|event| event.starts_with("kept")), "{copied:?}");
    assert_eq!(yard.names("to"), ["f"]);
}

#[test]
fn of_a_stream_nothing_is_kept() {
    let yard = Yard::new();
    let whole = bytes(0);
    let stream = File { form: Form::Stream, meta: META, size: 0, offset: 0, name: b"", data: b"" };
    let mut messages = vec![BEGIN, top("x/f"), FromSender::File(stream)];
    messages.extend(whole[..150_000].chunks(50_000).map(FromSender::Data));
    let copied = copy_until(&yard.at("to"), None, &wishes(), &messages, Goodbye::Vanish);
    assert!(copied.outcome.is_err() && copied.events.contains(&"moved 50000".to_owned()), "{copied:?}");
    assert!(!copied.events.iter().any(|event| event.starts_with("kept")) && yard.names("to").is_empty(), "{copied:?}");
}

#[test]
fn of_a_sender_that_breaks_the_rules_nothing_is_kept() {
    let yard = Yard::new();
    let whole = bytes(0);
    let mut messages = vec![BEGIN, top("x/f"), large("", SIZE as u64)];
    messages.extend(whole[..150_000].chunks(50_000).map(FromSender::Data));
    messages.push(LEAVE);
    let copied = yard.receive(&wishes(), &messages);
    assert!(copied.broke("does not end") && yard.names("to").is_empty(), "{copied:?}");
    assert!(!copied.events.iter().any(|event| event.starts_with("kept")));
}

#[test]
fn a_copy_goes_on_where_the_last_one_ended() {
    for length in [100_000, SIZE - 1, SIZE] {
        let yard = Yard::new();
        interrupted(&yard, length);
        let (had, copied) = resumed(&yard, &bytes(0), || {}, true);
        assert!(had == length as u64 && copied.is_whole(1), "{copied:?}");
        assert_eq!(moved(&copied), SIZE as u64);
        assert!(std::fs::read(yard.at("to/f")).unwrap() == bytes(0));
        assert_eq!((yard.names("to"), yard.mode("to/f")), (vec!["f".to_owned()], 0o644 & !umask()));
    }
}

fn umask() -> u32 {
    let yard = Yard::new();
    std::fs::write(yard.at("new"), "").unwrap();
    !yard.mode("new") & 0o777 & 0o666
}

#[test]
fn a_copy_starts_anew_where_the_source_or_the_part_has_changed() {
    let edit = |yard: &Yard| {
        let mut part = OpenOptions::new().write(true).open(part(yard)).unwrap();
        part.write_all(b"edited").unwrap();
    };
    let lengthen =
        |yard: &Yard| OpenOptions::new().write(true).open(part(yard)).unwrap().set_len(SIZE as u64 + 1).unwrap();
    type Change<'a> = &'a dyn Fn(&Yard);
    let changes: [(Change<'_>, u8); 3] = [(&|_| {}, 1), (&edit, 0), (&lengthen, 0)];
    for (change, seed) in changes {
        let yard = Yard::new();
        interrupted(&yard, 100_000);
        change(&yard);
        let (_, copied) = resumed(&yard, &bytes(seed), || {}, true);
        assert!(copied.is_whole(1), "{copied:?}");
        assert!(std::fs::read(yard.at("to/f")).unwrap() == bytes(seed));
        assert_eq!(yard.names("to"), ["f"]);
    }
}

#[test]
fn a_part_longer_than_the_source_is_not_offered() {
    let yard = Yard::new();
    interrupted(&yard, 150_000);
    let (had, copied) = resumed(&yard, &bytes(0)[..70_000], || {}, true);
    assert!(had == 0 && copied.is_whole(1), "{copied:?}");
    assert!(std::fs::read(yard.at("to/f")).unwrap() == bytes(0)[..70_000]);
}

#[test]
fn a_file_that_is_there_and_the_same_is_left_as_it_is() {
    use std::os::unix::fs::MetadataExt;
    let yard = Yard::new();
    std::fs::write(yard.at("to/f"), bytes(0)).unwrap();
    let before = std::fs::metadata(yard.at("to/f")).unwrap().ino();
    let (had, copied) = resumed(&yard, &bytes(0), || {}, true);
    assert!(had == SIZE as u64 && copied.is_whole(1), "{copied:?}");
    assert_eq!((std::fs::metadata(yard.at("to/f")).unwrap().ino(), yard.names("to").len()), (before, 1));
    // With other contents of that length it is copied; one of another length is no beginning.
    let (had, copied) = resumed(&yard, &bytes(1), || {}, true);
    assert!(had == SIZE as u64 && copied.is_whole(1), "{copied:?}");
    assert!(std::fs::read(yard.at("to/f")).unwrap() == bytes(1));
    let (had, copied) = resumed(&yard, &bytes(1)[..SIZE - 1], || {}, true);
    assert!(had == 0 && copied.is_whole(1), "{copied:?}");
}

#[test]
fn a_file_that_is_there_is_left_as_it_is_also_beside_a_part_that_does_not_fit() {
    use std::os::unix::fs::MetadataExt;
    let yard = Yard::new();
    interrupted(&yard, 150_000);
    OpenOptions::new().write(true).open(part(&yard)).unwrap().set_len(SIZE as u64 + 1).unwrap();
    std::fs::write(yard.at("to/f"), bytes(0)).unwrap();
    let before = std::fs::metadata(yard.at("to/f")).unwrap().ino();
    let (had, copied) = resumed(&yard, &bytes(0), || {}, true);
    assert!(had == SIZE as u64 && copied.is_whole(1), "{copied:?}");
    assert_eq!(std::fs::metadata(yard.at("to/f")).unwrap().ino(), before);
}

#[test]
fn a_place_that_tells_nothing_offers_what_its_own_copies_left_behind() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::of_process().unwrap().telling(false);
    let yard = Yard::new();
    std::fs::write(yard.at("to/f"), bytes(0)).unwrap();
    let before = std::fs::metadata(yard.at("to/f")).unwrap().ino();
    let (had, copied) = resumed_at(&place, &yard, &bytes(0), || {}, true);
    assert!(had == 0 && copied.is_whole(1), "{copied:?}");
    assert_ne!(std::fs::metadata(yard.at("to/f")).unwrap().ino(), before);
    interrupted(&yard, 100_000);
    let (had, copied) = resumed_at(&place, &yard, &bytes(0), || {}, true);
    assert!(had == 100_000 && copied.is_whole(1), "{copied:?}");
}

#[test]
fn what_was_offered_must_be_as_it_was_when_the_file_comes() {
    let change = |path: PathBuf, keep_length: bool| {
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        if keep_length { file.write_all(b"changed").unwrap() } else { file.set_len(99_999).unwrap() }
    };
    for keep_length in [true, false] {
        let yard = Yard::new();
        interrupted(&yard, 100_000);
        let (_, copied) = resumed(&yard, &bytes(0), || change(part(&yard), keep_length), true);
        assert!(copied.failed("changed meanwhile"), "{copied:?}");
        assert!(!yard.at("to/f").exists());
        let yard = Yard::new();
        std::fs::write(yard.at("to/f"), bytes(0)).unwrap();
        let (_, copied) = resumed(&yard, &bytes(0), || change(yard.at("to/f"), keep_length), true);
        assert!(copied.failed("changed meanwhile"), "{copied:?}");
    }
    let yard = Yard::new();
    interrupted(&yard, 100_000);
    let (_, copied) = resumed(&yard, &bytes(0), || std::fs::remove_file(part(&yard)).unwrap(), true);
    assert!(copied.failed("changed meanwhile") && yard.names("to").is_empty(), "{copied:?}");
}

#[test]
fn an_offset_other_than_what_was_offered_stores_nothing() {
    for offset in [99_999, 100_001] {
        let yard = Yard::new();
        interrupted(&yard, 100_000);
        let size = SIZE as u64;
        let file = File { form: Form::Pieces, meta: META, size, offset: offset as u64, name: b"", data: b"" };
        let ask = FromSender::Ask(size, b"");
        let rest = bytes(0)[offset..].to_vec();
        let mut messages = vec![BEGIN, top("f"), ask, FromSender::Answered, top("f"), FromSender::File(file)];
        messages.extend(rest.chunks(50_000).map(FromSender::Data));
        messages.extend([WHOLE, FromSender::End(1)]);
        let copied = yard.receive(&resuming(), &messages);
        assert!(copied.failed("changed meanwhile") && !yard.at("to/f").exists(), "{offset} {copied:?}");
        assert_eq!(std::fs::metadata(part(&yard)).unwrap().len(), 100_000);
    }
}

#[test]
fn what_no_later_copy_would_find_is_not_kept() {
    let yard = Yard::new();
    interrupted(&yard, 100_000);
    let first = std::fs::File::open(part(&yard)).unwrap();
    first.lock().unwrap();
    let copied = interrupted(&yard, 150_000);
    assert!(!copied.events.iter().any(|event| event.starts_with("kept")), "{copied:?}");
    assert_eq!((yard.names("to").len(), std::fs::metadata(part(&yard)).unwrap().len()), (1, 100_000));
}

#[test]
fn an_offset_that_was_not_offered_stores_nothing() {
    for offset in [1, 99_999, 100_001, SIZE as u64] {
        let yard = Yard::new();
        interrupted(&yard, 100_000);
        std::fs::write(yard.at("to/f"), bytes(9)).unwrap();
        let form = if offset == SIZE as u64 { Form::Complete } else { Form::Pieces };
        let file = File { form, meta: META, size: SIZE as u64, offset, name: b"", data: b"" };
        let rest = bytes(0)[offset as usize..].to_vec();
        let mut messages = vec![BEGIN, FromSender::Answered, top("x/f"), FromSender::File(file)];
        if form == Form::Pieces {
            messages.extend(rest.chunks(50_000).map(FromSender::Data));
            messages.push(WHOLE);
        }
        messages.push(FromSender::End(1));
        let copied = yard.receive(&resuming(), &messages);
        assert!(copied.failed("changed meanwhile"), "{offset} {copied:?}");
        assert!(std::fs::read(yard.at("to/f")).unwrap() == bytes(9));
    }
}

#[test]
fn every_question_about_a_tree_is_answered_in_order_and_makes_nothing() {
    let yard = Yard::new();
    std::fs::create_dir_all(yard.at("to/src/sub")).unwrap();
    std::fs::write(yard.at("to/src/same"), "abc").unwrap();
    std::fs::write(yard.at("to/src/sub/same"), "defg").unwrap();
    std::os::unix::fs::symlink("same", yard.at("to/src/link")).unwrap();
    std::os::unix::fs::symlink("sub", yard.at("to/src/linked")).unwrap();
    nix::unistd::mkfifo(&yard.at("to/src/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let ask = |size, name: &'static str| FromSender::Ask(size, name.as_bytes());
    let below = |name: &'static str| FromSender::Directory(META, name.as_bytes());
    let messages = [
        BEGIN,
        top("src"),
        below(""),
        ask(3, "same"),
        ask(4, "same"),
        ask(3, "none"),
        ask(3, "link"),
        ask(0, "fifo"),
        below("new"),
        ask(3, "same"),
        below("newer"),
        ask(3, "same"),
        LEAVE,
        LEAVE,
        below("linked"),
        ask(4, "same"),
        LEAVE,
        below("sub"),
        ask(4, "same"),
        LEAVE,
        LEAVE,
        FromSender::Answered,
        top("src"),
        below(""),
        LEAVE,
        FromSender::End(1),
    ];
    let copied = yard.receive(&resuming(), &messages);
    assert!(copied.is_whole(1), "{copied:?}");
    let lengths: Vec<&str> =
        copied.said.iter().filter_map(|said| said.strip_prefix("Have(")?.split(',').next()).collect();
    assert_eq!(lengths, ["3", "0", "0", "0", "0", "0", "0", "0", "4"]);
    assert_eq!(yard.names("to/src"), ["fifo", "link", "linked", "same", "sub"]);
}

#[test]
fn nothing_is_copied_while_it_is_asked_what_is_there() {
    for wrong in [
        vec![small("", "x")],
        vec![FromSender::Link(b"", b"x")],
        vec![FromSender::End(0)],
        vec![directory(""), FromSender::Answered],
        vec![FromSender::Ask(1, b""), FromSender::Ask(1, b"")],
        vec![FromSender::Answered, FromSender::Ask(1, b"")],
        vec![FromSender::Answered, small("", "x")],
        vec![FromSender::Answered, FromSender::Answered],
    ] {
        let yard = Yard::new();
        let copied = yard.receive(&resuming(), &[&[BEGIN, top("a")], &wrong[..]].concat());
        assert!(copied.broke("protocol error"), "{wrong:?} {copied:?}");
        assert!(yard.names("to").is_empty());
    }
}

#[test]
fn a_resumed_file_is_verified_from_its_first_byte() {
    for is_right in [true, false] {
        let yard = Yard::new();
        interrupted(&yard, 100_000);
        let whole = bytes(0);
        let hash = if is_right { *blake3::hash(&whole).as_bytes() } else { [7; 32] };
        let file = File { form: Form::Pieces, meta: META, size: SIZE as u64, offset: 100_000, name: b"", data: b"" };
        let mut messages = vec![
            BEGIN,
            top("f"),
            FromSender::Ask(SIZE as u64, b""),
            FromSender::Answered,
            top("f"),
            FromSender::File(file),
        ];
        messages.extend(whole[100_000..].chunks(50_000).map(FromSender::Data));
        messages.extend([FromSender::Whole(Some(hash)), FromSender::End(1)]);
        let copied = yard.receive(&Request { verify: true, ..resuming() }, &messages);
        assert_eq!((copied.is_whole(1), copied.failed("hash differs")), (is_right, !is_right), "{copied:?}");
        assert_eq!(yard.names("to").len(), usize::from(is_right));
    }
}
