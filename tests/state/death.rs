//! A test of its own that does all that is done with some state, killed or failing at each system call, by strace(1).

use crate::sandbox::Dir;
use keywire::store::Store;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Names the state directory, and makes this test program the one that dies.
const DYING: &str = "KEYWIRE_TEST_DYING";

/// The calls that change anything, or come between those that do.
pub(super) const CALLS: [&str; 10] =
    ["openat", "write", "fsync", "fdatasync", "rename", "unlink", "mkdir", "ftruncate", "flock", "close"];

/// Those of them that a disk lets fail.
pub(super) const FAILING: [&str; 5] = ["write", "fsync", "fdatasync", "rename", "ftruncate"];

/// What dies.
pub(super) struct Trial {
    /// The test that calls [`begin`] first, and prints a line `WHAT VALUE` for each thing that is done.
    pub(super) test: &'static str,
    /// The last of these lines.
    pub(super) end: (&'static str, &'static str),
}

/// The state directory of a test that is to die now; none if it runs like the others.
pub(super) fn begin() -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os(DYING)?);
    // In the traces everything before this is how a program starts.
    let _ = fs::metadata(home.join("begin"));
    let _ = fs::File::open(home.join("begin"));
    // The line that the test harness has begun ends here.
    println!();
    Some(home)
}

/// Where the state directory is.
pub(super) fn home(place: &Dir) -> PathBuf {
    place.join("state")
}

/// A state directory with nothing in it, in memory: what is tried is the order of calls, and not the disk.
fn new_place() -> Dir {
    let place = Dir::in_memory();
    Store::at(place.path()).below("state").unwrap();
    place
}

impl Trial {
    /// Runs it under strace: what it said, and the trace.
    fn traced(&self, place: &Dir, options: &[&str]) -> (BTreeMap<String, String>, String) {
        let log = place.join("strace.log");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(&log).args(options).arg(std::env::current_exe().unwrap());
        command
            .args(["--exact", self.test, "--nocapture", "--test-threads=1"])
            .env(DYING, home(place))
            .env("RUST_BACKTRACE", "0");
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let said = said.lines().filter_map(|line| line.split_once(' '));
        let said = said.map(|(what, value)| (what.to_owned(), value.to_owned())).collect();
        (said, fs::read_to_string(&log).unwrap_or_default())
    }

    /// How often each call is made before the work begins, and until its end.
    fn counted_calls(&self) -> BTreeMap<&'static str, (usize, usize)> {
        let (said, log) = self.traced(&new_place(), &[]);
        assert_eq!(said[self.end.0], self.end.1, "{log}");
        let mut counts = BTreeMap::new();
        let mut begun = false;
        for call in log.lines().filter_map(|line| line.split_once(' ').map(|(_, call)| call.trim_start())) {
            begun |= call.contains("/begin\"");
            if let Some(name) = CALLS.iter().find(|name| call.split_once('(').is_some_and(|(call, _)| call == **name)) {
                let (before, all) = counts.entry(*name).or_insert((0, 0));
                *before += usize::from(!begun);
                *all += 1;
            }
        }
        counts
    }

    /// Has each of `calls` do `what` each time that it is made, and has `holds` look at what is left; how often that was.
    pub(super) fn at_each_call(
        &self,
        what: &str,
        calls: &[&str],
        holds: impl Fn(&Dir, &BTreeMap<String, String>, &str),
    ) -> usize {
        let mut tried = 0;
        for (call, (before, all)) in self.counted_calls().into_iter().filter(|(call, _)| calls.contains(call)) {
            for when in before + 1..=all {
                let place = new_place();
                let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{what}:when={when}"));
                let (said, _) = self.traced(&place, &["-e", &trace, "-e", &inject]);
                holds(&place, &said, &format!("{what} at {call} {when}"));
                tried += 1;
            }
        }
        tried
    }
}
