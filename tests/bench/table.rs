//! Timing in pairs, and the table.

use std::fmt;
use std::time::{Duration, Instant};

/// The rows so far.
#[derive(Default)]
pub struct Table(Vec<[String; 5]>);

impl Table {
    /// One row: what, ours, theirs, ratio, bar.
    pub fn row(&mut self, cells: [String; 5]) {
        eprintln!("{}", cells.join(" | "));
        self.0.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n", machine())?;
        writeln!(f, "| what | keywire | beside it | ratio, median (min-max) | bar |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        self.0.iter().try_for_each(|cells| writeln!(f, "| {} |", cells.join(" | ")))
    }
}

/// The processor and the kernel: what the figures belong to.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} ({cores} cores), Linux {}", name.unwrap_or("unknown processor"), kernel.trim())
}

/// Runs two things in turn and returns the times of both: the pairs share whatever the machine does meanwhile.
pub fn pairs(runs: usize, ours: impl FnMut(), theirs: impl FnMut()) -> (Vec<Duration>, Vec<Duration>) {
    pairs_after(runs, || {}, ours, theirs)
}

/// The same with something before each that does not count.
pub fn pairs_after(
    runs: usize,
    mut before: impl FnMut(),
    mut ours: impl FnMut(),
    mut theirs: impl FnMut(),
) -> (Vec<Duration>, Vec<Duration>) {
    let mut time = |work: &mut dyn FnMut()| {
        before();
        let start = Instant::now();
        work();
        start.elapsed()
    };
    // One of each that does not count: caches fill.
    time(&mut ours);
    time(&mut theirs);
    (0..runs).map(|_| (time(&mut ours), time(&mut theirs))).unzip()
}

/// The middle one.
pub fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

/// Ours by theirs, pair by pair: median, smallest, largest.
pub fn ratio(ours: &[Duration], theirs: &[Duration]) -> (f64, f64, f64) {
    let mut ratios: Vec<f64> =
        ours.iter().zip(theirs).map(|(our, their)| our.as_secs_f64() / their.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    (ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1])
}

/// A ratio as it stands in the table.
pub fn shown((median, least, most): (f64, f64, f64)) -> String {
    format!("{median:.2} ({least:.2}-{most:.2})")
}
