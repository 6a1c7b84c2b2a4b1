//! The manual says what the programs do: options, formats and addresses of pages are compared with the programs.

use crate::sandbox::{Done, binary};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn man() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

fn page(program: &str) -> String {
    let section = if program.ends_with('d') { 8 } else { 1 };
    std::fs::read_to_string(man().join(format!("{program}.{section}"))).unwrap()
}

/// The names of the programs, from the manifest.
fn programs() -> Vec<String> {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    manifest
        .split("[[bin]]")
        .skip(1)
        .filter_map(|part| part.split("name = \"").nth(1)?.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// The long options and commands that `--help` of a program or of one of its commands lists.
fn listed_by_help(words: &[&str]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (program, commands) = words.split_first().unwrap();
    let help = Done::of(Command::new(binary(program)).args(commands).arg("--help")).succeeds().stdout;
    let mut options = BTreeSet::new();
    let mut subcommands = BTreeSet::new();
    let mut section = "";
    for line in help.lines() {
        if !line.starts_with(' ') {
            section = line.trim();
        } else if let Some(word) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            match section {
                "Options:" => {
                    options.extend(
                        word.split([' ', ',']).filter(|word| word.starts_with("--")).take(1).map(str::to_owned),
                    );
                }
                "Commands:" => {
                    subcommands.insert(word.split_whitespace().next().unwrap().to_owned());
                }
                _ => {}
            }
        }
    }
    (options, subcommands)
}

/// The same of a program or command and of all commands below it; a command of a command is `one other`.
fn listed_below(words: &[&str]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut options, direct) = listed_by_help(words);
    let mut commands = BTreeSet::new();
    for command in direct {
        let (more, below) = listed_below(&[words, &[command.as_str()]].concat());
        options.extend(more);
        commands.extend(below.iter().map(|below| format!("{command} {below}")));
        if below.is_empty() {
            commands.insert(command);
        }
    }
    (options, commands)
}

/// The long options that a page lists: its lines `.It Fl x , Fl -name Ar value`.
fn listed_by_page(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter(|line| line.starts_with(".It Fl "))
        .flat_map(|line| line.split_whitespace().filter(|word| word.starts_with('-') && word.len() > 1))
        .map(|word| format!("-{word}"))
        .collect()
}

#[test]
fn every_option_of_help_stands_in_the_page_and_the_other_way_round() {
    for program in programs() {
        let (options, commands) = listed_below(&[&program]);
        let page = page(&program);
        assert_eq!(options, listed_by_page(&page), "{program}: --help on the left, the page on the right");
        for command in commands {
            assert!(page.contains(&format!(".It Cm {command}")), "{program}: the command {command} is not in its page");
        }
    }
}

#[test]
fn the_introduction_names_every_program_and_every_page() {
    let introduction = std::fs::read_to_string(man().join("keywire.7")).unwrap();
    for entry in std::fs::read_dir(man()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (page, section) = name.rsplit_once('.').unwrap();
        if name != "keywire.7" {
            assert!(
                introduction.contains(&format!("Xr {page} {section}")),
                "keywire(7) does not name {page}({section})"
            );
        }
    }
    for program in programs() {
        assert!(introduction.contains(&program), "keywire(7) does not name {program}");
    }
}

#[test]
fn the_exit_statuses_in_the_introduction_are_the_ones_in_the_code() {
    use keywire::error::Kind;
    let introduction = std::fs::read_to_string(man().join("keywire.7")).unwrap();
    let table = introduction.split(".Sh EXIT STATUS").nth(1).unwrap().split(".Sh").next().unwrap();
    let listed: BTreeSet<String> =
        table.lines().filter_map(|line| line.strip_prefix(".It ")).map(str::to_owned).collect();
    for kind in [Kind::No, Kind::Usage, Kind::Refused, Kind::Network, Kind::State] {
        assert!(listed.contains(&kind.exit_status().to_string()), "{kind:?} is not in {listed:?}");
    }
}

#[test]
fn mandoc_has_nothing_to_say_about_any_page() {
    if Command::new("mandoc").arg("-T").arg("lint").arg("/dev/null").output().is_err() {
        eprintln!("skipped: mandoc is not installed");
        return;
    }
    for entry in std::fs::read_dir(man()).unwrap() {
        let path = entry.unwrap().path();
        let lint = Done::of(Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&path));
        assert!(lint.status.success(), "{}: {}{}", path.display(), lint.stdout, lint.stderr);
    }
}
