use super::*;
use crate::root::{Links, RelPath, Root};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

struct Yard(PathBuf);

impl Yard {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("keywire-part-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Yard(path)
    }

    fn folder(&self) -> Folder {
        Root::open(&self.0, Links::Refused).unwrap().folder_to_fill(&RelPath::top()).unwrap()
    }

    /// Where the part for `name` is looked for.
    fn place(&self) -> PathBuf {
        self.0.join(std::str::from_utf8(&PartName::of(name()).0).unwrap())
    }

    fn names(&self) -> usize {
        std::fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn name() -> Name<'static> {
    Name::new(b"name").unwrap()
}

const RIGHTS: Rights = Rights::New(0o644);
const PLAIN: Finish = Finish { rights: RIGHTS, time: None, sync: false };

fn write(part: &mut Part, bytes: &[u8]) {
    part.write(&mut [IoSlice::new(&[]), IoSlice::new(bytes), IoSlice::new(&[])]).unwrap();
}

#[test]
fn a_part_is_hidden_and_called_the_same_each_time_however_long_the_name() {
    let long = [b'x'; 255];
    for name in [&b"a"[..], &long, b"\xff"] {
        let own = PartName::of(Name::new(name).unwrap());
        assert_eq!(own, PartName::of(Name::new(name).unwrap()));
        let text = std::str::from_utf8(&own.0).unwrap();
        assert!(text.starts_with(".kw-") && text.ends_with(".part") && text.len() == 25, "{text}");
    }
    assert_ne!(PartName::of(name()), PartName::of(Name::new(b"other").unwrap()));
    assert_ne!(PartName::random().unwrap(), PartName::random().unwrap());
    // The first 16 digits of the hash, as b3sum(1) shows them.
    let digits = blake3::hash(b"name").to_hex();
    assert_eq!(&PartName::of(name()).0[4..20], &digits.as_bytes()[..16]);
}

#[test]
fn what_is_called_like_a_part_can_be_nothing_else() {
    assert!(name_of(&PartName::random().unwrap().0).is_err());
    for other in [
        &b".kw-0123456789abcde.part"[..],
        b".kw-0123456789abcdef0.part",
        b".kw-0123456789abcdeF.part",
        b".kw-0123456789abcdef.parts",
        b"kw-0123456789abcdef.part",
        b".kw-.part",
        b".kw-part",
    ] {
        assert!(name_of(other).is_ok(), "{other:?}");
    }
}

#[test]
fn a_finished_part_has_its_name_and_nothing_else_is_left() {
    let yard = Yard::new();
    let folder = yard.folder();
    let mut part = Part::begin(&folder, name(), RIGHTS).unwrap();
    write(&mut part, b"front");
    part.skip(4).unwrap();
    write(&mut part, b"back");
    part.skip(3).unwrap();
    let expected = b"front\0\0\0\0back\0\0\0";
    assert_eq!((part.at(), part.hash(|| true).unwrap()), (16, *blake3::hash(expected).as_bytes()));
    assert!(!yard.0.join("name").exists());
    let time = Some((-1, 999_999_999));
    part.finish(&folder, name(), Finish { rights: Rights::Exactly(0o640), time, sync: true }).unwrap().unwrap();
    let is = std::fs::metadata(yard.0.join("name")).unwrap();
    assert_eq!((is.mode() & 0o7777, is.mtime(), is.mtime_nsec()), (0o640, -1, 999_999_999));
    assert_eq!((std::fs::read(yard.0.join("name")).unwrap(), yard.names()), (expected.to_vec(), 1));
}

#[test]
fn what_an_earlier_copy_left_is_gone_on_with_or_removed() {
    let yard = Yard::new();
    let folder = yard.folder();
    write(&mut Part::begin(&folder, name(), Rights::Exactly(0)).unwrap(), b"left over");
    let before = std::fs::metadata(yard.place()).unwrap().ino();
    let mut part = Part::left_over(&folder, name()).unwrap();
    assert_eq!((part.at(), part.can_be_found(name())), (9, true));
    write(&mut part, b" and more");
    drop(part);
    assert_eq!(std::fs::read(yard.place()).unwrap(), b"left over and more");
    let reader = std::fs::File::open(yard.place()).unwrap();
    assert_eq!(reader.metadata().unwrap().ino(), before);
    let mut part = Part::begin(&folder, name(), RIGHTS).unwrap();
    assert_eq!((part.at(), part.length(), part.can_be_found(name()), yard.names()), (0, 0, true, 1));
    write(&mut part, b"new");
    // Who had it open sees nothing of what follows.
    assert_eq!(io::read_to_string(reader).unwrap(), "left over and more");
    part.finish(&folder, name(), PLAIN).unwrap().unwrap();
    let is = std::fs::metadata(yard.0.join("name")).unwrap();
    // Not with the permissions that the earlier copy wanted.
    assert_eq!((is.len(), is.mode() & 0o777, yard.names()), (3, 0o644 & !umask(), 1));
}

#[test]
fn a_part_is_never_more_open_than_the_file_that_it_becomes() {
    let yard = Yard::new();
    let folder = yard.folder();
    let mode = |part: &Part| part.file().metadata().unwrap().mode() & 0o777;
    let leave = || {
        write(&mut Part::begin(&folder, name(), RIGHTS).unwrap(), b"left over");
        std::fs::set_permissions(yard.place(), Permissions::from_mode(0o666)).unwrap();
    };
    leave();
    assert_eq!(mode(&Part::begin(&folder, name(), Rights::Exactly(0o600)).unwrap()), 0o600);
    assert_eq!(mode(&Part::begin(&folder, name(), Rights::New(0o640)).unwrap()), 0o640 & !umask());
    leave();
    let part = Part::left_over(&folder, name()).unwrap();
    assert_eq!(mode(&part), 0o600);
    part.finish(&folder, name(), PLAIN).unwrap().unwrap();
    assert_eq!(std::fs::metadata(yard.0.join("name")).unwrap().mode() & 0o777, 0o644 & !umask());
}

/// A copy of something while `there` has the name of its part: it works, and leaves alone what is there.
fn works_beside(yard: &Yard, there: &str) {
    let folder = yard.folder();
    assert!(Part::left_over(&folder, name()).is_none(), "{there}");
    let before = yard.names();
    let mut part = Part::begin(&folder, name(), RIGHTS).unwrap();
    assert!(!part.can_be_found(name()), "{there}");
    write(&mut part, b"new");
    part.finish(&folder, name(), PLAIN).unwrap().unwrap();
    assert_eq!((std::fs::read(yard.0.join("name")).unwrap(), yard.names()), (b"new".to_vec(), before + 1), "{there}");
    std::fs::remove_file(yard.0.join("name")).unwrap();
    Part::begin(&folder, name(), RIGHTS).unwrap().remove(&folder);
    assert_eq!(yard.names(), before, "{there}");
}

#[test]
fn what_somebody_else_put_where_a_part_belongs_is_left_alone() {
    let yard = Yard::new();
    let victim = yard.0.join("victim");
    std::fs::write(&victim, "secret").unwrap();
    let place = yard.place();
    symlink(&victim, &place).unwrap();
    works_beside(&yard, "a link");
    std::fs::remove_file(&place).unwrap();
    std::fs::hard_link(&victim, &place).unwrap();
    works_beside(&yard, "another name of a file");
    std::fs::remove_file(&place).unwrap();
    nix::unistd::mkfifo(&place, nix::sys::stat::Mode::S_IRWXU).unwrap();
    works_beside(&yard, "a FIFO");
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    works_beside(&yard, "a directory");
    std::fs::remove_dir(&place).unwrap();
    if nix::unistd::geteuid().is_root() {
        std::fs::write(&place, "theirs").unwrap();
        std::os::unix::fs::chown(&place, Some(65534), None).unwrap();
        works_beside(&yard, "the file of another user");
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "theirs");
    }
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "secret");
}

#[test]
fn a_part_that_another_copy_writes_is_left_to_it() {
    let yard = Yard::new();
    let folder = yard.folder();
    let mut first = Part::begin(&folder, name(), RIGHTS).unwrap();
    works_beside(&yard, "an empty part that is written");
    write(&mut first, b"first");
    works_beside(&yard, "a part that is written");
    first.finish(&folder, name(), PLAIN).unwrap().unwrap();
    assert_eq!(std::fs::read(yard.0.join("name")).unwrap(), b"first");
}

#[test]
fn copies_that_begin_at_the_same_time_have_a_part_each() {
    let yard = Yard::new();
    let turns = || {
        let folder = yard.folder();
        (0..3000).try_for_each(|turn| {
            let part = Part::begin(&folder, name(), RIGHTS)?;
            if turn % 3 == 0 {
                // Its writer is gone before it is whole.
                return Ok(());
            }
            part.finish(&folder, name(), PLAIN)?
        })
    };
    let done: Vec<io::Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(turns)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(done.iter().all(Result::is_ok), "{done:?}");
}

#[test]
fn an_empty_part_whose_writer_is_gone_is_taken_over() {
    let yard = Yard::new();
    drop(std::fs::File::create(yard.place()).unwrap());
    assert!(Part::begin(&yard.folder(), name(), RIGHTS).unwrap().can_be_found(name()));
    assert_eq!(yard.names(), 1);
}

#[test]
fn a_part_that_cannot_get_its_name_is_removed() {
    let yard = Yard::new();
    std::fs::create_dir(yard.0.join("name")).unwrap();
    let folder = yard.folder();
    let mut part = Part::begin(&folder, name(), RIGHTS).unwrap();
    write(&mut part, b"x");
    assert_eq!(part.finish(&folder, name(), PLAIN).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    assert_eq!(yard.names(), 1);
}

#[test]
fn what_is_there_of_a_file_is_its_part_or_the_whole_file() {
    let yard = Yard::new();
    let folder = yard.folder();
    let have = |size| {
        had_before(&folder, name(), size).or_else(|| whole(&folder, name(), size)).map(|(mut file, length)| {
            let mut bytes = String::new();
            file.read_to_string(&mut bytes).unwrap();
            (bytes, length)
        })
    };
    assert_eq!(have(0), None);
    std::fs::write(yard.0.join("name"), "whole").unwrap();
    assert_eq!((have(4), have(5), have(6)), (None, Some(("whole".into(), 5)), None));
    let mut part = Part::begin(&folder, name(), RIGHTS).unwrap();
    assert_eq!(have(5), Some(("whole".into(), 5)));
    write(&mut part, b"par");
    // While it is written it is not to be had.
    assert_eq!(have(5), Some(("whole".into(), 5)));
    drop(part);
    assert_eq!((have(2), have(3), have(5)), (None, Some(("par".into(), 3)), Some(("par".into(), 3))));
}

#[test]
fn a_hash_that_nobody_waits_for_is_not_computed_to_its_end() {
    let yard = Yard::new();
    let mut part = Part::begin(&yard.folder(), name(), RIGHTS).unwrap();
    part.skip(1 << 40).unwrap();
    let mut asked = 0;
    let hash = part.hash(|| {
        asked += 1;
        asked < 3
    });
    // Some file systems have no files that large.
    assert!(hash.is_err() && matches!(asked, 0 | 3), "{asked}");
}
