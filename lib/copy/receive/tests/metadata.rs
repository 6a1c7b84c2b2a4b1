//! Permissions and times.

use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// When something was written last.
fn time(path: &Path) -> (i64, i64) {
    let is = std::fs::metadata(path).unwrap();
    (is.mtime(), is.mtime_nsec())
}

const KEPT: (i64, i64) = (META.seconds, META.nanos as i64);

/// The permissions that something new gets here.
fn new(mode: u32) -> u32 {
    let path = std::env::temp_dir().join(format!("keywire-umask-{}-{mode:o}", std::process::id()));
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    made.metadata().unwrap().mode() & 0o7777
}

fn file(name: &'static str, mode: u16) -> FromSender<'static> {
    let meta = Meta { mode, ..META };
    FromSender::File(File { form: Form::Complete, meta, size: 1, offset: 0, name: name.as_bytes(), data: b"x" })
}

fn folder(name: &'static str, mode: u16) -> FromSender<'static> {
    FromSender::Directory(Meta { mode, ..META }, name.as_bytes())
}

#[test]
fn a_new_file_or_directory_gets_its_permissions_less_the_umask() {
    let yard = Yard::new();
    let modes: [(&str, u16); 6] =
        [("a", 0o644), ("b", 0o777), ("c", 0o666), ("d", 0o444), ("e", 0o000), ("f", 0o4755 & 0o777)];
    let mut messages = vec![BEGIN, top("src"), folder("", 0o777)];
    messages.extend(modes.map(|(name, mode)| file(name, mode)));
    messages.extend([folder("sub", 0o555), file("in", 0o600), LEAVE, LEAVE, FromSender::End(9)]);
    assert!(yard.receive(&wishes(), &messages).is_whole(9));
    for (name, mode) in modes {
        assert_eq!(yard.mode(&format!("to/src/{name}")), new(mode.into()), "{name}");
    }
    assert_eq!((yard.mode("to/src"), yard.mode("to/src/sub")), (new(0o777), new(0o555)));
    assert_ne!(time(&yard.at("to/src/a")), KEPT);
}

#[test]
fn permissions_and_times_are_kept_to_the_nanosecond_when_that_is_wished() {
    let yard = Yard::new();
    let messages = [
        BEGIN,
        top("src"),
        folder("", 0o750),
        file("a", 0o777),
        file("b", 0o000),
        large("c", 4),
        FromSender::Hole(4),
        WHOLE,
        folder("sub", 0o500),
        file("in", 0o400),
        folder("deeper", 0o111),
        file("in", 0o111),
        LEAVE,
        LEAVE,
        LEAVE,
        FromSender::End(8),
    ];
    // The second time on what is there.
    for _ in 0..2 {
        let copied = yard.receive(&preserving(), &messages);
        assert!(copied.is_whole(8), "{copied:?}");
        let expected = [
            ("src", 0o750),
            ("src/a", 0o777),
            ("src/b", 0),
            ("src/c", 0o644),
            ("src/sub", 0o500),
            ("src/sub/in", 0o400),
            ("src/sub/deeper", 0o111),
            ("src/sub/deeper/in", 0o111),
        ];
        for (name, mode) in expected {
            let name = format!("to/{name}");
            assert_eq!((yard.mode(&name), time(&yard.at(&name))), (mode, KEPT), "{name}");
        }
    }
}

#[test]
fn what_is_there_keeps_its_permissions_unless_others_are_to_be_kept() {
    let yard = Yard::new();
    std::fs::create_dir(yard.at("to/src")).unwrap();
    set_mode(&yard.at("to/src"), 0o700);
    std::fs::write(yard.at("to/src/secret"), "old").unwrap();
    set_mode(&yard.at("to/src/secret"), 0o600);
    std::fs::write(yard.at("to/src/tool"), "old").unwrap();
    set_mode(&yard.at("to/src/tool"), 0o4755);
    let messages =
        [BEGIN, top("src"), folder("", 0o777), file("secret", 0o666), file("tool", 0o644), LEAVE, FromSender::End(3)];
    assert!(yard.receive(&wishes(), &messages).is_whole(3));
    assert_eq!((yard.mode("to/src"), yard.mode("to/src/secret")), (0o700, 0o600));
    // New contents do not run as somebody else.
    assert_eq!(yard.mode("to/src/tool"), 0o755);
    assert!(yard.receive(&preserving(), &messages).is_whole(3));
    assert_eq!((yard.mode("to/src"), yard.mode("to/src/secret"), yard.mode("to/src/tool")), (0o777, 0o666, 0o644));
}

#[test]
fn the_directory_that_the_user_named_is_not_touched() {
    let yard = Yard::new();
    set_mode(&yard.at("to"), 0o700);
    let messages = [BEGIN, top("src/."), folder("", 0o777), file("a", 0o644), LEAVE, FromSender::End(2)];
    assert!(yard.receive(&preserving(), &messages).is_whole(2));
    assert_eq!(yard.mode("to"), 0o700);
    assert_ne!(time(&yard.at("to")), KEPT);
    // One that is made for it is not there yet.
    assert!(copy(&yard.at("to/new"), None, &preserving(), &messages).is_whole(2));
    assert_eq!((yard.mode("to/new"), time(&yard.at("to/new"))), (0o777, KEPT));
}

#[test]
fn bits_that_a_directory_has_and_a_sender_cannot_send_stay() {
    let yard = Yard::new();
    std::fs::create_dir(yard.at("to/src")).unwrap();
    set_mode(&yard.at("to/src"), 0o3777);
    let messages = [BEGIN, top("src"), folder("", 0o555), LEAVE, FromSender::End(1)];
    assert!(yard.receive(&preserving(), &messages).is_whole(1));
    assert_eq!(yard.mode("to/src"), 0o3555);
}

#[test]
fn a_time_out_of_all_measure_becomes_the_nearest_or_is_said() {
    for seconds in [i64::MIN, -1, 0, 1 << 40, i64::MAX] {
        let yard = Yard::new();
        let meta = Meta { seconds, ..META };
        let item = FromSender::File(File { form: Form::Complete, meta, size: 1, offset: 0, name: b"", data: b"x" });
        let copied = yard.receive(&preserving(), &[BEGIN, top("a"), item, FromSender::End(1)]);
        let is_told = copied.outcome.as_ref().is_ok_and(|is| *is == Outcome { stored: 1, failed: 1 })
            && copied.said.iter().any(|said| said.starts_with("Problem(") && said.contains("another time"));
        assert!(copied.is_whole(1) || is_told, "{seconds} {copied:?}");
        assert_eq!(yard.read("to/a"), "x");
    }
}

#[test]
fn holes_take_no_room() {
    let yard = Yard::new();
    let size = 1 << 40;
    let pieces = [
        FromSender::Data(b"front"),
        FromSender::Hole((1 << 39) - 5),
        FromSender::Data(b"middle"),
        FromSender::Hole((1 << 39) - 6),
        WHOLE,
    ];
    let copied =
        yard.receive(&wishes(), &[&[BEGIN, top("a"), large("", size)], &pieces[..], &[FromSender::End(1)]].concat());
    // A file system may have no files of a tebibyte.
    if copied.is_whole(1) {
        let is = std::fs::metadata(yard.at("to/a")).unwrap();
        assert_eq!(is.len(), size);
        assert!(is.blocks() * 512 < 1 << 20, "{}", is.blocks());
    } else {
        assert!(copied.failed("too large") && yard.names("to").is_empty(), "{copied:?}");
    }
}

#[test]
fn everything_is_brought_to_the_disk_as_wished() {
    for sync in [Sync::End, Sync::Each, Sync::None] {
        let yard = Yard::new();
        let wishes = Request { sync, ..wishes() };
        let messages = [BEGIN, top("src"), folder("", 0o755), file("a", 0o644), LEAVE, FromSender::End(2)];
        assert!(yard.receive(&wishes, &messages).is_whole(2), "{sync:?}");
    }
}

/// Runs one test of this program anew as a user without rights.
fn as_nobody(test: &str, environment: &[(&str, &Path)]) {
    use std::os::unix::process::CommandExt;
    // Somebody without rights may not reach where this program lies.
    let program = std::env::temp_dir().join(format!("keywire-tests-{}-{test}", std::process::id()));
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set_mode(&program, 0o755);
    let ran = std::process::Command::new(&program)
        .args(["--exact", &format!("copy::receive::tests::metadata::{test}")])
        .envs(environment.iter().copied())
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output();
    std::fs::remove_file(&program).unwrap();
    let ran = ran.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

/// Runs one test of this program as a user without rights, if this one has all of them. Says whether it is to go on here.
fn without_rights(test: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        as_nobody(test, &[]);
    }
    !is_root
}

#[test]
fn what_may_not_be_written_is_left_alone_and_the_rest_goes_on() {
    if !without_rights("what_may_not_be_written_is_left_alone_and_the_rest_goes_on") {
        return;
    }
    let yard = Yard::new();
    std::fs::create_dir_all(yard.at("to/src/closed")).unwrap();
    std::fs::write(yard.at("to/src/closed/old"), "old").unwrap();
    std::fs::write(yard.at("to/src/fixed"), "old").unwrap();
    set_mode(&yard.at("to/src/fixed"), 0o444);
    set_mode(&yard.at("to/src/closed"), 0o555);
    let messages = [
        BEGIN,
        top("src"),
        folder("", 0o755),
        file("fixed", 0o644),
        file("open", 0o644),
        folder("closed", 0o755),
        file("old", 0o644),
        file("new", 0o644),
        folder("below", 0o755),
        file("new", 0o644),
        LEAVE,
        LEAVE,
        LEAVE,
        FromSender::End(8),
    ];
    let dry: Vec<_> = messages
        .iter()
        .map(|message| match message {
            FromSender::File(file) => FromSender::File(File { data: b"", ..*file }),
            other => *other,
        })
        .collect();
    let copied = yard.receive(&Request { dry_run: true, ..wishes() }, &dry);
    assert!(copied.failed("permission denied"), "{copied:?}");
    let copied = yard.receive(&wishes(), &messages);
    assert!(copied.failed("permission denied"), "{copied:?}");
    assert_eq!(copied.outcome.unwrap(), Outcome { stored: 3, failed: 4 });
    assert_eq!((yard.read("to/src/fixed"), yard.read("to/src/closed/old")), ("old".into(), "old".into()));
    assert_eq!(yard.names("to/src/closed"), ["old"]);
    // Its owner can let it be filled: with the permissions of its source it is, and read-only again after.
    set_mode(&yard.at("to/src/fixed"), 0o644);
    let again: Vec<_> = messages
        .iter()
        .map(|message| match message {
            FromSender::Directory(meta, b"closed") => FromSender::Directory(Meta { mode: 0o555, ..*meta }, b"closed"),
            other => *other,
        })
        .collect();
    let copied = yard.receive(&preserving(), &again);
    assert!(copied.is_whole(8), "{copied:?}");
    assert_eq!((yard.mode("to/src/closed"), yard.names("to/src/closed").len()), (0o555, 3));
    set_mode(&yard.at("to/src/closed"), 0o755);
}

#[test]
fn a_directory_that_its_owner_may_not_write_is_filled_before_it_is_closed() {
    if !without_rights("a_directory_that_its_owner_may_not_write_is_filled_before_it_is_closed") {
        return;
    }
    for wishes in [wishes(), preserving()] {
        let yard = Yard::new();
        let closed = [folder("", 0o500), file("a", 0o400), folder("sub", 0o000), file("b", 0o000), LEAVE, LEAVE];
        let copied = yard.receive(&wishes, &[&[BEGIN, top("src")], &closed[..], &[FromSender::End(4)]].concat());
        assert!(copied.is_whole(4), "{copied:?}");
        assert_eq!((yard.mode("to/src"), yard.mode("to/src/sub"), yard.read("to/src/a")), (0o500, 0, "x".into()));
        set_mode(&yard.at("to/src"), 0o700);
        set_mode(&yard.at("to/src/sub"), 0o700);
    }
}

#[test]
fn a_directory_that_cannot_get_its_permissions_is_filled_all_the_same() {
    use std::os::unix::fs::chown;
    // Only who has all rights can prepare this, and only who has not can try it.
    let prepared = std::env::var_os("KEYWIRE_TEST_YARD").map(PathBuf::from);
    let messages = [
        BEGIN,
        top("src"),
        folder("", 0o700),
        file("a", 0o644),
        folder("sub", 0o700),
        file("b", 0o644),
        LEAVE,
        LEAVE,
        FromSender::End(4),
    ];
    if let Some(to) = prepared {
        let copied = copy(&to, None, &preserving(), &messages);
        assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 4, failed: 1 }, "{copied:?}");
        assert!(copied.events.iter().any(|event| event.starts_with("failed src it keeps other permissions")));
        let told = format!("Problem({:?}, \"it keeps other permissions", b"src");
        assert!(copied.said.iter().any(|said| said.starts_with(&told)), "{copied:?}");
        // The sender would leave out what is in it.
        assert!(!copied.said.iter().any(|said| said.starts_with("Failed")), "{copied:?}");
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let yard = Yard::new();
    std::fs::create_dir(yard.at("to/src")).unwrap();
    set_mode(&yard.at("to/src"), 0o777);
    chown(yard.at("to"), Some(65534), None).unwrap();
    let test = "a_directory_that_cannot_get_its_permissions_is_filled_all_the_same";
    as_nobody(test, &[("KEYWIRE_TEST_YARD", &yard.at("to"))]);
    assert_eq!((yard.read("to/src/a"), yard.read("to/src/sub/b")), ("x".into(), "x".into()));
    assert_eq!((yard.mode("to/src"), yard.mode("to/src/sub")), (0o777, 0o700));
}

#[test]
fn what_becomes_of_a_directory_when_it_is_left_is_told_to_both_sides() {
    let yard = Yard::new();
    let place = Place::of_process().unwrap();
    let to = yard.at("to");
    let copied = run(&Target::Path(&place, to.as_os_str().as_bytes()), None, &preserving(), |back, mouth| {
        for message in [BEGIN, top("src"), folder("", 0o750), folder("sub", 0o700), LEAVE] {
            mouth.say(&message);
        }
        mouth.flush();
        while !yard.at("to/src/sub").exists() {
            back.recv().unwrap().unwrap();
        }
        // It cannot be found any more when it is its turn.
        std::fs::rename(yard.at("to/src"), yard.at("moved")).unwrap();
        for message in [LEAVE, FromSender::End(2)] {
            mouth.say(&message);
        }
        Goodbye::Close
    });
    assert_eq!(copied.outcome.as_ref().unwrap(), &Outcome { stored: 2, failed: 1 }, "{copied:?}");
    let told = format!("Problem({:?}, \"it keeps other permissions", b"src");
    assert!(copied.said.iter().any(|said| said.starts_with(&told)), "{copied:?}");
}

#[test]
fn a_directory_that_may_not_be_listed_can_be_filled() {
    if !without_rights("a_directory_that_may_not_be_listed_can_be_filled") {
        return;
    }
    let yard = Yard::new();
    std::fs::create_dir(yard.at("to/drop")).unwrap();
    set_mode(&yard.at("to/drop"), 0o300);
    let messages = [
        BEGIN,
        top("drop"),
        folder("", 0o755),
        file("a", 0o644),
        folder("sub", 0o755),
        LEAVE,
        file("b", 0o644),
        LEAVE,
        FromSender::End(4),
    ];
    let copied = yard.receive(&Request { sync: Sync::End, ..wishes() }, &messages);
    assert!(copied.is_whole(4), "{copied:?}");
    assert_eq!((yard.mode("to/drop"), yard.read("to/drop/a"), yard.read("to/drop/b")), (0o300, "x".into(), "x".into()));
    set_mode(&yard.at("to/drop"), 0o700);
}
