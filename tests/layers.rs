//! The house: a module uses only what `lib/lib.rs` lists above it, and each outside crate has one door.

use std::path::{Path, PathBuf};

/// Outside crate, and the files and folders that may name it.
const DOORS: &[(&str, &[&str])] = &[
    ("snow", &["lib/noise/"]),
    ("aws_lc_rs", &["lib/noise/", "lib/seal.rs"]),
    ("blake2", &["lib/noise/", "lib/kdf.rs"]),
    ("hkdf", &["lib/kdf.rs"]),
    ("chacha20poly1305", &["lib/seal.rs"]),
    ("argon2", &["lib/seal.rs"]),
    ("aes_gcm", &["lib/seal.rs"]),
    ("x25519_dalek", &["lib/key.rs"]),
    ("curve25519_dalek", &["lib/sign.rs", "lib/sign/"]),
    ("ed25519_dalek", &["lib/sign.rs", "lib/sign/"]),
    ("bech32", &["lib/key.rs"]),
    ("serde_json", &["lib/json.rs"]),
    ("fs2", &["lib/store.rs"]),
    ("humantime", &["lib/trust/"]),
    ("tokio::net", &["lib/conn/", "lib/control.rs"]),
    (
        "argh",
        &[
            "lib/cli.rs",
            "bins/keygen/args.rs",
            "bins/peers/args.rs",
            "bins/ptyd/args.rs",
            "bins/pipe/args.rs",
            "bins/scp/args.rs",
            "bins/chat/args.rs",
            "bins/group/args.rs",
            "bins/inbox/args.rs",
        ],
    ),
    ("rpassword", &["lib/cli.rs"]),
    ("portable_pty", &["lib/host/"]),
    ("rustix", &["lib/root/"]),
    ("blake3", &["lib/copy/"]),
    ("indicatif", &["bins/scp/"]),
    ("qrcode", &["lib/qr.rs"]),
    ("prost", &["lib/proto/inbox/"]),
    ("getrandom", &["lib/random.rs", "lib/noise/"]),
];

fn sources(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(below)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().into_owned()
}

/// The lines of code, without comments: what a sentence names is not used.
fn code(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned()).collect()
}

/// Whether `line` names the path `name` as a whole word: `snow::`, but not `my_snow::` nor `snowy::`.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::"))
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
        || line.trim_start().starts_with(&format!("use {name};"))
}

fn modules() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("lib/lib.rs")).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).map(str::to_owned).collect()
}

#[test]
fn a_module_uses_only_the_modules_listed_above_it() {
    let modules = modules();
    assert!(modules.len() > 10, "lib.rs lists {modules:?}");
    for path in sources("lib") {
        let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("lib")).unwrap();
        let own = inside.components().next().unwrap().as_os_str().to_string_lossy();
        let own = own.trim_end_matches(".rs");
        let Some(place) = modules.iter().position(|name| name == own) else { continue };
        for line in code(&path) {
            for below in &modules[place + 1..] {
                assert!(
                    !line.contains(&format!("crate::{below}")),
                    "{own} uses {below}, which is listed below it: {line}"
                );
            }
        }
    }
}

#[test]
fn every_source_file_of_the_library_is_a_listed_module() {
    let modules = modules();
    for path in sources("lib") {
        let inside = relative(&path);
        let first = inside.trim_start_matches("lib/").split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        assert!(first == "lib" || modules.contains(&first), "{inside} belongs to no listed module");
    }
}

#[test]
fn each_outside_crate_has_one_door() {
    for path in sources("lib").into_iter().chain(sources("bins")) {
        let file = relative(&path);
        for line in code(&path) {
            for (outside, doors) in DOORS {
                let allowed = doors.iter().any(|door| file.starts_with(door));
                assert!(allowed || !names(&line, outside), "{file} names {outside}, whose doors are {doors:?}: {line}");
            }
        }
    }
}

#[test]
fn programs_do_not_use_each_other() {
    for path in sources("bins") {
        for line in code(&path) {
            assert!(!line.contains("#[path"), "{}: {line}", relative(&path));
        }
    }
}

#[test]
fn only_the_system_module_is_unsafe() {
    for path in sources("lib").into_iter().chain(sources("bins")) {
        let file = relative(&path);
        let unsafe_lines = code(&path).iter().filter(|line| line.contains("unsafe ")).count();
        assert!(file == "lib/sys.rs" || unsafe_lines == 0, "{file} has {unsafe_lines} lines with unsafe");
    }
}
