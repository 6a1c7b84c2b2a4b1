//! A disk that takes no more: what is there stays whole, and goes on when there is room again.

use super::{Home, Writer, all};
use crate::group::shelf::Shelf;
use crate::proto::group::Class;
use std::process::Command;

/// The name under which the test below runs itself, with files that cannot grow.
const CROWDED: &str = "KEYWIRE_TEST_CROWDED";

#[test]
fn logs_of_which_one_cannot_grow_keep_what_they_have_and_go_on_later() {
    let (mut home, mut all_of) = (Home::new(), Vec::new());
    if let Ok(dir) = std::env::var(CROWDED) {
        let lent = std::mem::replace(&mut home.dir, dir.into());
        std::fs::remove_dir(lent).unwrap();
        crowded(&home);
        // It is not ours to remove.
        std::mem::forget(home);
        return;
    }
    let group = home.create("team");
    let mut writers = [Writer::of(&group, group.own_log(Class::Content).unwrap()), Writer::new(&group)];
    writers.sort_by_key(|writer| writer.log);
    home.shelf().append(&writers[0].write_some(1)).unwrap();
    // The second has nearly what a file may have.
    home.shelf().append(&writers[1].write_some(4)).unwrap();
    all_of.extend(writers.iter().map(|writer| std::fs::read(home.log_path(&writer.log)).unwrap()));
    // In blocks of 512 bytes: room for a line more in the first, and not in the second.
    let room = all_of[1].len() / 512 + 1;
    let name = "group::home::tests::full::logs_of_which_one_cannot_grow_keep_what_they_have_and_go_on_later";
    let script = format!("trap '' XFSZ; ulimit -f {room}; exec \"$0\" --exact \"$1\" --nocapture");
    let this = std::env::current_exe().unwrap();
    let child = Command::new("sh").arg("-c").arg(script).arg(this).arg(name).env(CROWDED, &home.dir).output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    for (writer, before) in writers.iter().zip(&all_of) {
        assert!(std::fs::read(home.log_path(&writer.log)).unwrap() == *before);
    }
    let batch: Vec<_> = writers.iter_mut().flat_map(|writer| writer.write_some(1)).collect();
    home.shelf().append(&batch).unwrap();
    assert_eq!(writers.map(|writer| all(&home.shelf(), &writer.log).len()), [2, 5]);
}

/// The test in a process whose files cannot grow.
fn crowded(home: &Home) {
    let mut shelf = home.shelf();
    let mut batch = Vec::new();
    for stored in shelf.logs().unwrap() {
        let mut header = shelf.read(&stored.log, stored.seq, 1).unwrap().remove(0).header;
        (header.seq, header.prev) = (stored.seq + 1, stored.id);
        batch.push(Writer::of(&home.start(), stored.log).write_as(header, &[b'x'; 500]));
    }
    assert_eq!(batch.len(), 2);
    let before = shelf.logs().unwrap();
    let error = shelf.append(&batch).unwrap_err();
    assert!(error.to_string().ends_with(".jsonl: file too large"), "{error}");
    assert_eq!(error.hints(), ["nothing was changed"]);
    assert_eq!(shelf.logs().unwrap(), before);
    shelf.append(&batch[..1]).unwrap();
    let log = home.log_path(&before[0].log);
    // As it was for the other process, which compares.
    std::fs::OpenOptions::new().write(true).open(log).unwrap().set_len(before[0].bytes).unwrap();
}
