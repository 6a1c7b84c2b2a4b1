//! One file, of every length and form, and standard input.

use super::*;
use crate::copy::send::content::SMALL;
use crate::record::MAX_BODY_LEN;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[test]
fn files_of_every_length_arrive_byte_for_byte() {
    let dir = Dir::new();
    let lengths =
        [0, 1, 4096, SMALL - 1, SMALL, SMALL + 1, MAX_BODY_LEN, MAX_BODY_LEN + 1, 32 * MAX_BODY_LEN + 7, 9_000_000];
    for length in lengths {
        dir.file(&format!("d/{length}"), &bytes(length));
    }
    for verify in [false, true] {
        let copied = copy(&dir.select(&["d"]), &Request { verify, ..wishes() });
        assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 1 + lengths.len() as u64, failed: 0 });
        for length in lengths {
            let came = &copied.came.files[&format!("d/{length}")];
            assert!(came.is_whole && came.data == bytes(length) && came.size == length as u64, "{length}");
            let hash = (verify && length > 0).then(|| *blake3::hash(&bytes(length)).as_bytes());
            assert_eq!(came.hash, hash, "{length}");
            let is_one = if verify { length == 0 } else { length <= SMALL };
            assert_eq!(came.form == Some(Form::Complete), is_one, "{length}");
            assert!(copied.events.contains(&format!("began d/{length} File Some({length})")));
            assert!(copied.events.contains(&format!("stored d/{length} File {length}")));
        }
        let moved = copied.events.iter().filter_map(|event| event.strip_prefix("moved ")?.parse::<usize>().ok());
        assert_eq!(moved.sum::<usize>(), lengths.iter().sum::<usize>());
    }
}

#[test]
fn permissions_and_the_time_of_the_last_change_go_with_a_file() {
    let dir = Dir::new();
    let path = dir.file("a", b"x");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o4751)).unwrap();
    let time = std::time::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    std::fs::File::open(&path).unwrap().set_modified(time).unwrap();
    let copied = copy(&dir.select(&["a"]), &wishes());
    let meta = Meta { mode: 0o751, seconds: 1_000_000_000, nanos: 123_456_789 };
    assert_eq!(copied.came.files["a"].meta, meta);
    std::fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH - Duration::new(1, 1)).unwrap();
    let meta = copy(&dir.select(&["a"]), &wishes()).came.files["a"].meta;
    assert_eq!((meta.seconds, meta.nanos), (-2, 999_999_999));
}

/// A file of data and holes in turn, `true` for data, a MiB each.
fn with_holes(path: &Path, parts: &[bool]) -> Vec<u8> {
    const PART: usize = 1 << 20;
    let file = std::fs::File::create(path).unwrap();
    file.set_len((parts.len() * PART) as u64).unwrap();
    let mut whole = vec![0; parts.len() * PART];
    for (at, _) in parts.iter().enumerate().filter(|(_, is_data)| **is_data) {
        file.write_all_at(&bytes(PART), (at * PART) as u64).unwrap();
        whole[at * PART..(at + 1) * PART].copy_from_slice(&bytes(PART));
    }
    whole
}

#[test]
fn holes_stay_holes_wherever_they_are() {
    let dir = Dir::new();
    for (at, parts) in [
        &[false, true][..],
        &[true, false],
        &[true, false, true],
        &[false, true, false],
        &[false, true, false, false, true, true, false],
        &[false],
    ]
    .iter()
    .enumerate()
    {
        let name = format!("file{at}");
        let whole = with_holes(&dir.at(&name), parts);
        for verify in [false, true] {
            let copied = copy(&dir.select(&[&name]), &Request { verify, ..wishes() });
            let came = &copied.came.files[&name];
            assert!(came.is_whole && came.data == whole, "{parts:?}");
            let holes = parts.iter().filter(|is_data| !**is_data).count();
            assert_eq!(came.holes, (holes << 20) as u64, "{parts:?}");
            assert_eq!(came.hash, verify.then(|| *blake3::hash(&whole).as_bytes()));
        }
    }
}

#[test]
fn a_hundred_gibibytes_of_nothing_take_no_time() {
    let dir = Dir::new();
    std::fs::File::create(dir.at("a")).unwrap().set_len(100 << 30).unwrap();
    let start = Instant::now();
    let copied = copy(&dir.select(&["a"]), &wishes());
    assert!(copied.came.files["a"].is_whole && copied.outcome.unwrap().stored == 1);
    assert!(copied.came.has(&format!("HOLE {}", 100_u64 << 30)));
    // Reading it would take longer, on any machine.
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_dry_run_sends_no_contents() {
    let dir = Dir::new();
    dir.file("d/a", &bytes(10));
    dir.file("d/b", &bytes(1_000_000));
    let copied = copy(&dir.select(&["d"]), &Request { dry_run: true, verify: true, ..wishes() });
    for (name, size) in [("d/a", 10), ("d/b", 1_000_000)] {
        let came = &copied.came.files[name];
        assert_eq!((came.form, came.size, came.data.len()), (Some(Form::Complete), size, 0));
    }
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 3, failed: 0 });
}

#[test]
fn a_file_that_says_it_is_empty_and_is_not_arrives_all_the_same() {
    let dir = Dir::new();
    let selection = Selection { place: Place::of_process().unwrap(), ..dir.select(&["/proc/cpuinfo"]) };
    let copied = copy(&selection, &Request { verify: true, ..wishes() });
    let came = &copied.came.files["/proc/cpuinfo"];
    assert_eq!(came.form, Some(Form::Stream));
    assert!(came.is_whole && came.data.starts_with(b"processor"));
    assert_eq!(came.hash, Some(*blake3::hash(&came.data).as_bytes()));
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 1, failed: 0 });
}

#[test]
fn what_comes_slowly_from_standard_input_goes_at_once() {
    let (reading, mut writing) = std::io::pipe().unwrap();
    let (heard, next) = mpsc::channel();
    let dir = Dir::new();
    let selection = Selection { stdin: true, ..dir.select(&[]) };
    let writer = std::thread::spawn(move || {
        for _ in 0..20 {
            writing.write_all(b"part").unwrap();
            next.recv_timeout(Duration::from_secs(20)).expect("each part goes before the next one is written");
        }
    });
    let mut polite = polite();
    let answers: Answers = Box::new(move |message, items| {
        if matches!(message, FromSender::Data(_)) {
            let _ = heard.send(());
        }
        polite(message, items)
    });
    let wishes = Request { verify: true, ..wishes() };
    let copied = copy_with(&selection, &wishes, Some(Patient::new(reading.into())), answers, |_| {});
    writer.join().unwrap();
    let came = &copied.came.files[""];
    assert!(came.is_whole && came.form == Some(Form::Stream));
    assert_eq!(came.data, b"part".repeat(20));
    assert_eq!(came.hash, Some(*blake3::hash(&came.data).as_bytes()));
    assert_eq!(copied.events.last().unwrap(), "stored - File 80");
}

#[test]
fn much_comes_from_standard_input_whole() {
    for (resume, dry_run) in [(false, false), (true, false), (false, true)] {
        let (reading, mut writing) = std::io::pipe().unwrap();
        let dir = Dir::new();
        let selection = Selection { stdin: true, ..dir.select(&[]) };
        let writer = std::thread::spawn(move || writing.write_all(&bytes(7_000_001)));
        let wishes = Request { resume, dry_run, ..wishes() };
        let copied = copy_with(&selection, &wishes, Some(Patient::new(reading.into())), polite(), |_| {});
        assert_eq!(copied.outcome.unwrap(), Outcome { stored: 1, failed: 0 });
        assert_eq!(copied.came.has("ANSWERED"), resume);
        assert_eq!(writer.join().unwrap().is_ok(), !dry_run);
        assert!(dry_run || copied.came.files[""].data == bytes(7_000_001));
    }
}
