//! What lasts: members that are killed, stopped, or put back from a backup.

use super::{Member, three};
use crate::pty::eventually;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The files of a member's logs of content.
fn logs(member: &Member) -> Vec<PathBuf> {
    let groups = member.user.home().join("groups");
    let dirs = std::fs::read_dir(groups).unwrap().map(|entry| entry.unwrap().path().join("logs"));
    let files = dirs.filter(|dir| dir.is_dir()).flat_map(|dir| std::fs::read_dir(dir).unwrap());
    files.map(|entry| entry.unwrap().path()).collect()
}

/// Bytes of all of them.
fn size(member: &Member) -> u64 {
    logs(member).iter().map(|file| file.metadata().unwrap().len()).sum()
}

fn by(files: &[PathBuf], author: &Member) -> usize {
    let key = author.user.key();
    files.iter().filter(|file| file.file_name().unwrap().to_string_lossy().starts_with(&key)).count()
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args(["-a", "-T"]).arg(from).arg(to).status().unwrap().success());
}

#[test]
fn without_the_owner_the_others_talk_and_it_gets_what_it_missed() {
    let [mut ada, bob, eve] = three();
    ada.stop();
    bob.group(["send", "g", "she is away"]).succeeds();
    eve.group(["send", "g", "so it is"]).succeeds();
    eventually("both have both", || [&bob, &eve].iter().all(|member| member.texts() == ["she is away", "so it is"]));
    assert!(ada.texts().is_empty());
    ada.serve();
    eventually("the owner has both", || ada.texts() == ["she is away", "so it is"]);
}

#[test]
fn members_are_killed_in_turn_and_nothing_that_another_holds_is_lost() {
    let mut all = three();
    let mut held = Vec::new();
    for round in 0..6 {
        let victim = round % 3;
        for author in 0..3 {
            let text = format!("{round} of {author}");
            if author == victim {
                let before = size(&all[victim]);
                let mut server = all[victim].server.take().unwrap();
                let mut send = all[victim].user.command("kw-group");
                send.args(["send", "g", &text]).stdout(Stdio::null()).stderr(Stdio::null());
                let mut send = send.spawn().unwrap();
                if round % 2 == 1 {
                    eventually("it has written it down", || size(&all[victim]) > before);
                }
                server.child.kill().unwrap();
                server.child.wait().unwrap();
                if send.wait().unwrap().success() {
                    held.push(text);
                }
            } else if all[author].group(["send", "g", &text]).status.success() {
                held.push(text);
            }
        }
        all[victim].serve();
    }
    assert!(held.len() >= 12, "{held:?}");
    for member in &all {
        eventually("all have all that was held", || {
            let texts = member.texts();
            held.iter().all(|text| texts.iter().filter(|one| *one == text).count() == 1)
        });
        let files = logs(member);
        for author in &all {
            assert_eq!(by(&files, author), 1, "a kill begins no new log: {files:?}");
        }
    }
}

/// Sees that `author`, which has said 'one' and 'two', says 'three' in another log, and that all have everything.
fn goes_on_in_a_new_log(author: &Member, all: [&Member; 3]) {
    author.group(["send", "g", "three"]).succeeds();
    for member in all {
        eventually("all have all three", || member.texts() == ["one", "two", "three"]);
        assert_eq!(by(&logs(member), author), 2);
        assert_eq!(member.object(&["info", "g"])["forks"].as_array().map(Vec::len), Some(0));
    }
}

#[test]
fn a_backup_that_is_put_back_goes_on_in_a_new_log_and_loses_nothing() {
    let [ada, mut bob, eve] = three();
    let groups = bob.user.home().join("groups");
    bob.group(["send", "g", "one"]).succeeds();
    bob.stop();
    let backup = bob.user.file("backup");
    copy(&groups, &backup);
    bob.serve();
    bob.group(["send", "g", "two"]).succeeds();
    bob.stop();
    std::fs::remove_dir_all(&groups).unwrap();
    copy(&backup, &groups);
    bob.serve();
    goes_on_in_a_new_log(&bob, [&ada, &bob, &eve]);
}

#[test]
fn a_log_that_is_put_back_in_its_own_file_goes_on_in_a_new_one_once_others_show_what_it_lacks() {
    let [ada, mut bob, eve] = three();
    bob.group(["send", "g", "one"]).succeeds();
    bob.stop();
    let backup: Vec<_> = logs(&bob).into_iter().map(|file| (std::fs::read(&file).unwrap(), file)).collect();
    bob.serve();
    bob.group(["send", "g", "two"]).succeeds();
    bob.stop();
    for (text, file) in &backup {
        // The file is the same one: only its text is older.
        std::fs::write(file, text).unwrap();
    }
    assert_eq!(bob.texts(), ["one"]);
    bob.serve();
    eventually("what was lost is back", || bob.texts() == ["one", "two"]);
    goes_on_in_a_new_log(&bob, [&ada, &bob, &eve]);
}

#[test]
fn a_damaged_log_of_another_is_kept_aside_and_asked_for_again() {
    let [ada, mut bob, _eve] = three();
    let said: Vec<String> = (0..5).map(|number| format!("number {number}")).collect();
    said.iter().for_each(|text| drop(ada.group(["send", "g", text]).succeeds()));
    eventually("it has all", || bob.texts() == said);
    bob.stop();
    let file = logs(&bob).into_iter().find(|file| by(std::slice::from_ref(file), &ada) == 1).unwrap();
    let mut text = std::fs::read_to_string(&file).unwrap();
    let third = text.match_indices('\n').nth(2).unwrap().0 + 20;
    text.replace_range(third..third + 4, "????");
    std::fs::write(&file, &text).unwrap();
    bob.serve();
    eventually("it has all again", || bob.texts() == said);
    let kept = format!("{}.bad", file.file_name().unwrap().to_string_lossy());
    assert_eq!(std::fs::read_to_string(file.with_file_name(kept)).unwrap(), text);
}

#[test]
fn when_others_were_seen_is_known_without_a_service() {
    let [mut ada, mut bob, _eve] = three();
    bob.group(["send", "g", "here"]).succeeds();
    bob.stop();
    ada.stop();
    let info = bob.object(&["info", "g"]);
    assert!(info["synced"].as_u64().is_some(), "{info:?}");
    let members = bob.group(["members", "g", "--json"]).succeeds().objects();
    let seen = members.iter().filter(|one| one["seen"].as_u64().is_some()).count();
    assert_eq!((seen, members.iter().filter(|one| one["connected"] == true).count()), (2, 0), "{members:?}");
}
