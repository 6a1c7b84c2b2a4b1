use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A directory `in` with a file of its own, and a secret beside it.
struct Jail(PathBuf);

impl Jail {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("keywire-root-{}-{count}", std::process::id()));
        std::fs::create_dir_all(path.join("in/sub")).unwrap();
        std::fs::write(path.join("in/own"), "own").unwrap();
        std::fs::write(path.join("secret"), "secret").unwrap();
        Jail(path)
    }

    fn inside(&self, name: &str) -> PathBuf {
        self.0.join("in").join(name)
    }

    fn open(&self, links: Links) -> Root {
        Root::open(&self.0.join("in"), links).unwrap()
    }

    /// The same root as each way to look up sees it, and with links followed or not.
    fn every_root(&self) -> Vec<Root> {
        let mut roots = vec![self.open(Links::Followed), self.open(Links::Refused), self.open(Links::Refused)];
        roots[2].lookup = Lookup::ByPart;
        roots
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const READ: Access = Access { read: true, write: false, append: false, truncate: false, create: None, new: false };
const MAKE: Access =
    Access { read: false, write: true, append: false, truncate: true, create: Some(0o666), new: false };

fn path(text: &str) -> RelPath {
    RelPath::top().join(text.as_bytes()).unwrap()
}

fn read(root: &Root, text: &str) -> io::Result<String> {
    root.file(&path(text), READ).and_then(io::read_to_string)
}

#[test]
fn a_path_is_bytes_without_a_nul_and_not_too_long() {
    let from = RelPath::top().join(b"a/b").unwrap();
    assert_eq!(from.join(b"c").unwrap().as_bytes(), b"a/b/c");
    assert_eq!(from.join(b"//c/").unwrap().as_bytes(), b"c/");
    assert_eq!(from.join(b"/").unwrap(), RelPath::top());
    assert_eq!(from.join(b"\xff\n ").unwrap().as_bytes(), b"a/b/\xff\n ");
    assert_eq!(path("./a//../../b/./c/").folded(), path("b/c"));
    assert!(from.join(b"a\0b").is_err());
    assert!(RelPath::top().join(&[b'a'; MAX_PATH_LEN]).is_ok());
    assert!(RelPath::top().join(&[b'a'; MAX_PATH_LEN + 1]).is_err());
    assert!(from.join(&[b'a'; MAX_PATH_LEN - 3]).is_err());
}

#[test]
fn a_name_is_one_name() {
    for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", &[b'a'; MAX_NAME_LEN + 1]] {
        assert!(Name::new(bad).is_err(), "{bad:?}");
    }
    for good in [&b"a"[..], b"...", b"-rf", b"\xff", b"\n", &[b'a'; MAX_NAME_LEN]] {
        assert_eq!(Name::new(good).unwrap().as_bytes(), good);
    }
    for nameless in ["", "/", ".", "..", "a/..", "a/.", "a/../"] {
        assert!(path(nameless).split().is_none(), "{nameless}");
    }
    for (whole, parent, name) in [("a", "", "a"), ("a/b", "a", "b"), ("a//b//", "a", "b"), ("../b", "..", "b")] {
        let whole = path(whole);
        let (found, last) = whole.split().unwrap();
        assert_eq!((found.as_bytes().trim_ascii_end(), last.as_bytes()), (found.as_bytes(), name.as_bytes()));
        assert_eq!(found.folded(), path(parent).folded());
    }
}

#[test]
fn nothing_above_the_root_is_found() {
    let jail = Jail::new();
    let secret = jail.0.join("secret");
    let far_up = format!("sub/../../../../../../../../..{}", secret.display());
    let out_of_proc = format!("/proc/self/root{}", secret.display());
    for root in jail.every_root() {
        assert_eq!(read(&root, "own").unwrap(), "own");
        for outside in ["../secret", "sub/../../secret", &far_up, &out_of_proc] {
            assert!(root.node(&path(outside)).is_err(), "{outside} {root:?}");
            // Where `..` leads nowhere, this is a name in the root.
            let _ = root.file(&path(outside), MAKE);
            let _ = std::fs::remove_file(jail.inside("secret"));
        }
        assert!(read(&root, secret.to_str().unwrap()).is_err());
    }
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "secret");
}

#[test]
fn a_link_begins_and_ends_at_the_root_or_is_refused() {
    let jail = Jail::new();
    symlink("/own", jail.inside("absolute")).unwrap();
    symlink("../../../own", jail.inside("sub/upwards")).unwrap();
    symlink(jail.0.join("secret"), jail.inside("outside")).unwrap();
    symlink("../secret", jail.inside("above")).unwrap();
    symlink("/sub", jail.inside("folder")).unwrap();
    symlink("/proc/self/fd/0", jail.inside("magic")).unwrap();
    std::fs::create_dir_all(jail.0.join("out/deep")).unwrap();
    std::fs::write(jail.0.join("out/deep/secret"), "secret").unwrap();
    symlink("../out", jail.inside("away")).unwrap();
    let roots = jail.every_root();
    for within in ["absolute", "sub/upwards", "folder/upwards", "folder/../own"] {
        assert_eq!(read(&roots[0], within).unwrap(), "own", "{within}");
        for strict in &roots[1..] {
            let opened = read(strict, within);
            // Where links are refused before anything is opened, `folder/..` is folded away.
            assert!(opened.is_err() || within == "folder/../own", "{within} {strict:?}");
        }
    }
    for root in &roots {
        for outside in ["outside", "above", "magic"] {
            assert!(root.node(&path(outside)).is_err(), "{outside} {root:?}");
            assert_eq!(root.link_itself(&path(outside)).unwrap().status().unwrap().kind(), Kind::Link);
            assert!(root.read_link(&path(outside)).is_ok());
        }
        assert!(read(root, "away/deep/secret").is_err(), "{root:?}");
        assert!(root.read_link(&path("own")).is_err());
    }
    assert_eq!(roots[0].read_link(&path("above")).unwrap(), b"../secret");
}

#[test]
fn what_changes_a_name_changes_it_below_the_root_only() {
    let jail = Jail::new();
    symlink("..", jail.inside("up")).unwrap();
    symlink("/", jail.inside("top")).unwrap();
    let before = |name: &str| std::fs::read_to_string(jail.0.join(name)).unwrap_or_default();
    for root in jail.every_root() {
        for via in ["..", "up", "top/..", "sub/../.."] {
            let (secret, new) = (path(&format!("{via}/secret")), path(&format!("{via}/new")));
            let _ = root.remove_file(&secret);
            let _ = root.rename(&secret, &path("stolen"));
            let _ = root.hard_link(&secret, &path("stolen"));
            let _ = root.replace(&path("own"), &secret).and_then(|()| root.replace(&secret, &path("own")));
            let _ = root.symbolic_link(b"x", &new);
            let _ = root.remove_file(&new);
            let _ = root.make_directory(&new, 0o777);
            let _ = root.remove_directory(&new);
        }
        assert_eq!((before("secret").as_str(), before("in/own").as_str()), ("secret", "own"), "{root:?}");
        assert!(!jail.inside("stolen").exists() && !jail.0.join("new").exists());
    }
}

#[test]
fn the_real_path_is_the_one_below_the_root() {
    let jail = Jail::new();
    symlink("sub", jail.inside("folder")).unwrap();
    let root = jail.open(Links::Followed);
    for (asked, real) in [
        ("", ""),
        (".", ""),
        ("../..", ""),
        ("folder", "sub"),
        ("folder/..", ""),
        ("folder/new", "sub/new"),
        ("sub/./../own", "own"),
    ] {
        assert_eq!(root.real_path(&path(asked)).unwrap(), path(real), "{asked}");
    }
    assert!(root.real_path(&path("none/new")).is_err());
    let whole = Root::open(Path::new("/"), Links::Followed).unwrap();
    let sub = std::fs::canonicalize(jail.inside("sub")).unwrap();
    let asked = jail.inside("folder/../sub");
    assert_eq!(whole.real_path(&path(asked.to_str().unwrap())).unwrap(), path(sub.to_str().unwrap()));
}

#[test]
fn what_was_replaced_meanwhile_has_no_path() {
    let jail = Jail::new();
    for root in jail.every_root() {
        let node = root.node(&path("own")).unwrap();
        assert_eq!(root.path_of(&node, &path("own")).unwrap(), Some(path("own")));
        for name in ["new", "own (deleted)"] {
            std::fs::write(jail.inside(name), "new").unwrap();
        }
        std::fs::rename(jail.inside("new"), jail.inside("own")).unwrap();
        assert_eq!(root.path_of(&node, &path("own")).unwrap(), None);
        std::fs::remove_file(jail.inside("own (deleted)")).unwrap();
        assert_eq!(root.path_of(&node, &path("own")).unwrap(), None);
        assert_eq!(root.real_path(&path("own")).unwrap(), path("own"));
    }
    std::fs::write(jail.inside("own (deleted)"), "its name").unwrap();
    assert_eq!(jail.open(Links::Followed).real_path(&path("own (deleted)")).unwrap(), path("own (deleted)"));
}

#[test]
fn a_name_that_is_taken_stays_with_what_has_it() {
    let jail = Jail::new();
    let root = jail.open(Links::Followed);
    std::fs::write(jail.inside("other"), "other").unwrap();
    for (from, to) in [("own", "other"), ("own", "sub"), ("sub", "own"), ("own", "own")] {
        let refused = root.rename(&path(from), &path(to)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{from} {to}");
    }
    assert_eq!(read(&root, "other").unwrap(), "other");
    root.rename(&path("own"), &path("sub/own")).unwrap();
    root.rename(&path("sub"), &path("moved/")).unwrap();
    root.replace(&path("moved/own"), &path("other")).unwrap();
    assert_eq!(read(&root, "other").unwrap(), "own");
}

#[test]
fn only_regular_files_are_opened_and_nothing_is_waited_for() {
    let jail = Jail::new();
    nix::unistd::mkfifo(&jail.inside("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(jail.inside("socket")).unwrap();
    let root = jail.open(Links::Followed);
    for special in ["fifo", "socket", "sub"] {
        assert!(root.file(&path(special), READ).is_err(), "{special}");
        assert!(root.file(&path(special), MAKE).is_err(), "{special}");
    }
    let whole = Root::open(Path::new("/"), Links::Followed).unwrap();
    for device in ["dev/null", "dev/zero", "dev/tty", "dev/stdin", "proc/self/fd/0"] {
        assert!(whole.file(&path(device), READ).is_err(), "{device}");
    }
}

#[test]
fn bits_beyond_the_permissions_stay_but_are_not_set() {
    let jail = Jail::new();
    let root = jail.open(Links::Followed);
    let mode = |name: &str| std::fs::metadata(jail.inside(name)).unwrap().mode() & 0o7777;
    let set = |name: &str, mode: u32| root.node(&path(name)).unwrap().set_mode(mode).unwrap();
    set("own", 0o7751);
    assert_eq!(mode("own"), 0o751);
    std::fs::set_permissions(jail.inside("sub"), PermissionsExt::from_mode(0o3700)).unwrap();
    set("sub", 0o7770);
    assert_eq!(mode("sub"), 0o3770);
    set("sub", 0o1770);
    assert_eq!(mode("sub"), 0o1770);
    root.file(&path("made"), Access { create: Some(0o7777), ..MAKE }).unwrap();
    root.make_directory(&path("folder"), 0o7777).unwrap();
    assert_eq!((mode("made") & 0o7000, mode("folder") & 0o7000), (0, 0));
}

#[test]
fn what_is_set_on_a_link_itself_is_not_set_on_what_it_leads_to() {
    let jail = Jail::new();
    symlink("own", jail.inside("link")).unwrap();
    let root = jail.open(Links::Followed);
    let before = std::fs::metadata(jail.inside("own")).unwrap();
    let itself = root.link_itself(&path("link")).unwrap();
    itself.set_times(1000, 2000).unwrap();
    itself.set_owner(u32::MAX, u32::MAX).unwrap();
    assert_eq!(itself.set_mode(0o600).unwrap_err().raw_os_error(), Some(nix::libc::EOPNOTSUPP));
    let (link, own) = (jail.inside("link").symlink_metadata().unwrap(), std::fs::metadata(jail.inside("own")).unwrap());
    assert_eq!((link.atime(), link.mtime()), (1000, 2000));
    assert_eq!((own.mode(), own.mtime(), own.mtime_nsec()), (before.mode(), before.mtime(), before.mtime_nsec()));
    root.node(&path("link")).unwrap().set_times(3000, 4000).unwrap();
    assert_eq!(std::fs::metadata(jail.inside("own")).unwrap().mtime(), 4000);
}

/// Ends what goes on beside a test, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_link_that_is_swapped_for_a_file_meanwhile_leads_nowhere_either() {
    let jail = Jail::new();
    let secret = jail.0.join("secret");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (file, link, target) = (jail.inside("file"), jail.inside("link"), jail.inside("target"));
            while !over.load(Ordering::Relaxed) {
                std::fs::write(&file, "own").unwrap();
                std::fs::rename(&file, &target).unwrap();
                symlink(&secret, &link).unwrap();
                std::fs::rename(&link, &target).unwrap();
            }
        });
        let _end = End(&over);
        for root in jail.every_root() {
            for _ in 0..10_000 {
                // While it is made anew, the file is empty.
                assert!(!read(&root, "target").is_ok_and(|text| text.contains("secret")));
                let _ = root.node(&path("target")).map(|node| node.set_mode(0o640));
                let access = Access { create: None, truncate: false, ..MAKE };
                let _ =
                    root.file(&path("target"), access).map(|file| std::os::unix::fs::FileExt::write_at(&file, b"X", 0));
            }
        }
    });
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
    assert_ne!(std::fs::metadata(&secret).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn a_directory_tells_of_nothing_above_the_root() {
    let jail = Jail::new();
    std::fs::set_permissions(&jail.0, PermissionsExt::from_mode(0o711)).unwrap();
    std::fs::set_permissions(jail.0.join("in"), PermissionsExt::from_mode(0o750)).unwrap();
    let root = jail.open(Links::Followed);
    let mut listed: Vec<(Vec<u8>, u32)> = root
        .directory(&RelPath::top())
        .unwrap()
        .map(|entry| entry.map(|(name, status)| (name, status.unwrap().mode & 0o777)).unwrap())
        .collect();
    listed.sort();
    let names: Vec<&[u8]> = listed.iter().map(|(name, _)| name.as_slice()).collect();
    assert_eq!(names, [&b"."[..], b"..", b"own", b"sub"]);
    assert_eq!(listed[1].1, 0o750);
}

#[test]
fn a_directory_below_is_a_root_that_lets_nothing_out() {
    let jail = Jail::new();
    std::fs::write(jail.inside("sub/file"), "file").unwrap();
    symlink("file", jail.inside("sub/link")).unwrap();
    symlink("../own", jail.inside("sub/upwards")).unwrap();
    let whole = Root::open(Path::new("/"), Links::Followed).unwrap();
    let sub = RelPath::top().join(jail.inside("sub").as_os_str().as_encoded_bytes()).unwrap();
    let own = jail.every_root().into_iter().map(|root| root.below(&path("sub"), Links::Refused).unwrap());
    for below in own.chain([
        whole.below(&sub, Links::Refused).unwrap(),
        whole.around(&sub.join(b"x").unwrap(), Links::Refused).unwrap().0,
    ]) {
        assert_eq!(read(&below, "file").unwrap(), "file");
        for outside in ["../own", "link", "upwards", "../sub/upwards"] {
            assert!(read(&below, outside).is_err(), "{outside} {below:?}");
        }
    }
    let without = Root { lookup: Lookup::Unbounded, ..whole };
    assert_eq!(without.below(&sub, Links::Refused).unwrap().lookup, Lookup::ByPart);
    for root in jail.every_root() {
        let there = path("sub/new/");
        assert_eq!(root.around(&there, Links::Refused).unwrap().1.as_bytes(), b"new");
        assert!(root.around(&path("sub/.."), Links::Refused).is_err());
        assert!(root.below(&path("own"), Links::Refused).is_err());
    }
}

#[test]
fn a_folder_is_filled_by_names_and_no_link_is_followed() {
    let jail = Jail::new();
    let name = |text: &'static str| Name::new(text.as_bytes()).unwrap();
    let both = Access { read: true, write: true, ..Access::default() };
    symlink("../own", jail.inside("sub/link")).unwrap();
    symlink("..", jail.inside("sub/up")).unwrap();
    nix::unistd::mkfifo(&jail.inside("sub/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for root in jail.every_root() {
        let folder = root.folder_to_fill(&path("sub")).unwrap();
        for taken in ["link", "up", "fifo"] {
            assert_eq!(folder.make_file(name(taken), 0o644).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(folder.make_folder(name(taken), 0o755).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert!(folder.existing_file(name(taken), both).is_err(), "{taken}");
            assert!(folder.folder_to_fill(name(taken)).is_err(), "{taken}");
        }
        drop(folder.make_file(name("a"), 0o7777).unwrap());
        assert_eq!(std::fs::metadata(jail.inside("sub/a")).unwrap().mode() & 0o7000, 0);
        assert!(folder.existing_file(name("a"), both).is_ok());
        folder.rename(name("a"), name("b")).unwrap();
        folder.remove(name("b")).unwrap();
        folder.make_link(b"anything/at all", name("l")).unwrap();
        folder.remove(name("l")).unwrap();
        folder.make_folder(name("d"), 0o700).unwrap();
        let inner = folder.folder_to_fill(name("d")).unwrap();
        std::fs::set_permissions(jail.inside("sub/d"), std::fs::Permissions::from_mode(0o3700)).unwrap();
        inner.set_mode(0o4511).unwrap();
        inner.set_modified(-5, 7).unwrap();
        let is = std::fs::metadata(jail.inside("sub/d")).unwrap();
        assert_eq!((is.mode() & 0o7777, is.mtime(), is.mtime_nsec()), (0o3511, -5, 7));
        std::fs::remove_dir(jail.inside("sub/d")).unwrap();
    }
    assert_eq!(std::fs::read_to_string(jail.inside("own")).unwrap(), "own");
}

#[test]
fn a_handle_that_is_good_for_names_only_does_all_that_a_directory_needs() {
    let jail = Jail::new();
    let root = jail.open(Links::Refused);
    let dir = root.resolve(&path("sub"), OFlags::PATH | OFlags::DIRECTORY, 0).unwrap();
    let folder = Folder { dir };
    folder.set_mode(0o711).unwrap();
    folder.set_modified(5, 7).unwrap();
    folder.sync_file_system().unwrap();
    folder.may_be_filled().unwrap();
    let is = std::fs::metadata(jail.inside("sub")).unwrap();
    assert_eq!((is.mode() & 0o7777, is.mtime(), is.mtime_nsec()), (0o711, 5, 7));
}
