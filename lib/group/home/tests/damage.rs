//! Lines that are damaged, and files that are none of ours.

use super::{Home, Writer, all, texts};
use crate::group::shelf::Shelf;
use crate::proto::group::Class;
use std::os::unix::fs::PermissionsExt;

#[test]
fn half_a_line_is_cut_off_and_said_and_the_log_goes_on() {
    let home = Home::new();
    let group = home.create("team");
    let own = group.own_log(Class::Content).unwrap();
    for mut writer in [Writer::of(&group, own), Writer::new(&group)] {
        home.shelf().append(&writer.write_some(2)).unwrap();
        let path = home.log_path(&writer.log);
        let sound = std::fs::read_to_string(&path).unwrap();
        let line = sound.lines().next().unwrap();
        for cut in [1, 10, line.len()] {
            std::fs::write(&path, format!("{sound}{}", &line[..cut])).unwrap();
            let shelf = home.shelf();
            assert_eq!(texts(&shelf, &writer.log), ["text 1", "text 2"]);
            assert!(shelf.notices()[0].ends_with("was cut off"));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), sound);
        }
        home.shelf().append(&writer.write_some(1)).unwrap();
        assert_eq!(texts(&home.shelf(), &writer.log).len(), 3);
    }
    assert_eq!(home.start().own_log(Class::Content).unwrap(), own);
}

/// Lines that are none of an entry of the log, where the third of five stands.
fn bad_lines(lines: &[&str], other: &str) -> Vec<String> {
    vec![
        String::new(),
        "{}".to_owned(),
        "\0".repeat(100),
        lines[2].replacen("\"b\":\"", "\"b\":\"AAAA", 1),
        lines[2].replacen("\"h\":\"A", "\"h\":\"B", 1),
        flipped(lines[2], 200),
        flipped(lines[3], 200),
        lines[2].replacen("\"s\":\"", "\"s\":\"AAAA", 1),
        lines[2].replacen('{', "{\"more\":1,", 1),
        lines[2][..lines[2].len() - 1].to_owned(),
        lines[1].to_owned(),
        lines[3].to_owned(),
        other.to_owned(),
    ]
}

/// The line with another letter at a place in its header.
fn flipped(line: &str, at: usize) -> String {
    let letter = if &line[at..=at] == "A" { "B" } else { "A" };
    format!("{}{letter}{}", &line[..at], &line[at + 1..])
}

#[test]
fn an_entry_that_the_next_one_does_not_name_is_damaged_wherever_reading_began() {
    let home = Home::new();
    let group = home.create("team");
    let mut writer = Writer::new(&group);
    let entries = writer.write_some(5);
    home.shelf().append(&entries).unwrap();
    let path = home.log_path(&writer.log);
    let sound = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = sound.lines().collect();
    // A letter of the time, which is nothing that reading needs.
    let text = sound.replace(lines[2], &flipped(lines[2], 172));
    for from in [1, 2, 3, 4] {
        std::fs::write(&path, &text).unwrap();
        let mut shelf = home.shelf();
        let found = shelf.read(&writer.log, from, usize::MAX).unwrap();
        assert_eq!(found, entries.get(usize::try_from(from).unwrap() - 1..2).unwrap_or_default(), "{from}");
        assert_eq!(shelf.mend().unwrap(), [writer.log]);
        shelf.append(&entries[2..]).unwrap();
        assert_eq!(all(&home.shelf(), &writer.log), entries);
    }
    // In pieces.
    std::fs::write(&path, &text).unwrap();
    let shelf = home.shelf();
    let pieces: Vec<_> = (1..=5).map(|from| shelf.read(&writer.log, from, 1).unwrap().len()).collect();
    assert_eq!(pieces, [1, 1, 0, 0, 1]);
}

#[test]
fn a_damaged_line_ends_what_the_log_serves_until_the_rest_has_come_again() {
    let home = Home::new();
    let group = home.create("team");
    let (mut writer, mut stranger) = (Writer::new(&group), Writer::new(&group));
    let entries = writer.write_some(5);
    home.shelf().append(&entries).unwrap();
    home.shelf().append(&stranger.write_some(3)).unwrap();
    let path = home.log_path(&writer.log);
    let sound = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = sound.lines().collect();
    let other = std::fs::read_to_string(home.log_path(&stranger.log)).unwrap();
    for bad in bad_lines(&lines, other.lines().nth(2).unwrap()) {
        let text = format!("{}\n{}\n{bad}\n{}\n{}\n", lines[0], lines[1], lines[3], lines[4]);
        std::fs::write(&path, &text).unwrap();
        let mut shelf = home.shelf();
        assert_eq!(all(&shelf, &writer.log), entries[..2], "{bad}");
        assert_eq!(shelf.mend().unwrap(), [writer.log], "{bad}");
        assert!(shelf.mend().unwrap().is_empty());
        assert!(shelf.notices().iter().any(|said| said.contains("damaged")));
        let kept = path.with_file_name(format!("{}.bad", path.file_name().unwrap().to_str().unwrap()));
        assert_eq!(std::fs::read_to_string(kept).unwrap(), text);
        let stored = shelf.logs().unwrap().into_iter().find(|stored| stored.log == writer.log).unwrap();
        assert_eq!((stored.seq, stored.id), (2, entries[1].id));
        shelf.append(&entries[2..]).unwrap();
        assert_eq!(all(&home.shelf(), &writer.log), entries);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), sound);
    }
}

#[test]
fn lines_that_are_missing_are_never_passed_over() {
    let home = Home::new();
    let group = home.create("team");
    let mut writer = Writer::new(&group);
    let entries = writer.write_some(9);
    home.shelf().append(&entries).unwrap();
    let path = home.log_path(&writer.log);
    let sound = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = sound.lines().collect();
    for from in 1..=9 {
        std::fs::write(&path, [&lines[..3], &lines[5..]].concat().join("\n") + "\n").unwrap();
        let mut shelf = home.shelf();
        let found = shelf.read(&writer.log, from, usize::MAX).unwrap();
        let first = usize::try_from(from).unwrap() - 1;
        assert_eq!(
            found,
            if first < 3 {
                &entries[first..3]
            } else {
                entries.get(first.max(6)..).filter(|_| first > 5).unwrap_or_default()
            }
        );
        let mended = shelf.mend().unwrap();
        assert_eq!(mended.len(), usize::from(first < 6), "{from}");
    }
}

#[test]
fn damage_at_either_end_is_found_at_the_start() {
    let home = Home::new();
    let group = home.create("team");
    let mut writer = Writer::new(&group);
    let entries = writer.write_some(4);
    home.shelf().append(&entries).unwrap();
    let path = home.log_path(&writer.log);
    let sound = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = sound.lines().collect();
    for (text, left) in [
        (format!("{}\n{}\n{{}}\n\n", lines[0], lines[1]), 2),
        (format!("{}\nx\n", lines[0]), 1),
        ("x\n".to_owned(), 0),
        (format!("x\n{sound}"), 0),
        (format!("{}\n{}\n", lines[1], lines[2]), 0),
    ] {
        std::fs::write(&path, &text).unwrap();
        let mut shelf = home.shelf();
        assert_eq!(all(&shelf, &writer.log), entries[..left], "{text}");
        assert_eq!(shelf.logs().unwrap().len(), usize::from(left > 0));
        assert!(shelf.notices()[0].contains("damaged"));
        shelf.append(&entries[left..]).unwrap();
        assert_eq!(all(&home.shelf(), &writer.log), entries);
    }
}

#[test]
fn whoever_only_looks_changes_nothing_and_reads_what_is_sound() {
    let home = Home::new();
    let group = home.create("team");
    let mut writer = Writer::new(&group);
    let entries = writer.write_some(4);
    home.shelf().append(&entries).unwrap();
    let path = home.log_path(&writer.log);
    let sound = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = sound.lines().collect();
    for (text, left) in [
        (format!("{sound}{}", &lines[0][..100]), 4),
        (format!("{}\n{}\nx\n", lines[0], lines[1]), 2),
        (format!("{}\n{}\nx\n{}\n", lines[0], lines[1], lines[3]), 2),
        ("x\n".to_owned(), 0),
    ] {
        std::fs::write(&path, &text).unwrap();
        let mut shelf = super::DiskShelf::look(&home.start()).unwrap();
        assert_eq!(all(&shelf, &writer.log), entries[..left], "{text}");
        assert_eq!(shelf.notices().len(), usize::from(left < 4));
        let next = Writer::new(&group).write_some(1);
        assert!(shelf.append(&next).is_err() && shelf.mend().is_err() && shelf.forget_before(u64::MAX).is_err());
        assert!(shelf.keep_fork(&[next[0].clone(), next[0].clone()]).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
    // What is looked at while another process drops what is old.
    std::fs::write(&path, &sound).unwrap();
    let looking = super::DiskShelf::look(&home.start()).unwrap();
    assert_eq!(looking.read(&writer.log, 1, 1).unwrap(), entries[..1]);
    home.shelf().forget_before(super::BEGIN + 2001).unwrap();
    assert_eq!(looking.read(&writer.log, 2, usize::MAX).unwrap()[1..], entries[2..]);
}

#[test]
fn our_own_log_is_never_written_again_once_it_was_damaged() {
    let home = Home::new();
    let group = home.create("team");
    let log = group.own_log(Class::Content).unwrap();
    let mut writer = Writer::of(&group, log);
    home.shelf().append(&writer.write_some(3)).unwrap();
    let path = home.log_path(&log);
    let sound = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = sound.lines().collect();
    std::fs::write(&path, format!("{}\n{}\nx\n", lines[0], lines[1])).unwrap();
    assert_eq!(texts(&home.shelf(), &log).len(), 2);
    assert_ne!(home.start().own_log(Class::Content).unwrap(), log);
}

#[test]
fn what_is_no_file_of_ours_is_refused_where_a_log_belongs_and_other_names_are_left_alone() {
    let home = Home::new();
    let group = home.create("team");
    let mut writer = Writer::new(&group);
    home.shelf().append(&writer.write_some(2)).unwrap();
    let path = home.log_path(&writer.log);
    let dir = path.parent().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    for other in ["README", "x.jsonl", &name.to_uppercase(), &format!("{name}.bad"), &format!(".{name}.tmp")] {
        std::fs::write(dir.join(other), "x").unwrap();
    }
    assert_eq!(home.shelf().logs().unwrap().len(), 1);
    let refused = |said: &str| {
        let error = DiskShelfError::of(&home);
        assert!(error.0.contains(said) && error.0.contains(dir.to_str().unwrap()), "{}", error.0);
    };
    let victim = home.dir.join("victim");
    std::fs::rename(&path, &victim).unwrap();
    std::os::unix::fs::symlink(&victim, &path).unwrap();
    refused("is a symbolic link");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    refused("is not a regular file");
    std::fs::remove_dir(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused("is not a regular file");
    std::fs::remove_file(&path).unwrap();
    std::fs::rename(&victim, &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o622)).unwrap();
    refused("others may write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let moved = home.dir.join("moved");
    std::fs::rename(dir, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, dir).unwrap();
    refused("is not a directory of its own");
}

/// What is said when a shelf cannot be opened.
struct DiskShelfError(String);

impl DiskShelfError {
    fn of(home: &Home) -> Self {
        DiskShelfError(super::DiskShelf::open(&home.start()).err().unwrap().to_string())
    }
}
