//! How far a copy is, for whoever looks at the terminal.
//!
//! It is drawn five times a second by a thread of its own from what the copy last said, so that many small files cost no more
//! than one large one.

use crate::operand::shown;
use indicatif::{BinaryBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use keywire::term::WindowSize;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a copy lasts before it is shown, and a file before it is named: what is faster cannot be read.
const NAMED_AFTER: Duration = Duration::from_millis(500);

/// How often it is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// What is drawn: `what`, `of` and `left` are our own.
const TEMPLATE: &str = "{what}{binary_bytes}{of}  {binary_bytes_per_sec}{left}";

/// Characters of a line that are for numbers.
const FOR_NUMBERS: usize = 76;

/// The line at the bottom of the terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    now: Arc<Mutex<Now>>,
    began: Instant,
    is_shown: bool,
}

/// How far the copy is.
#[derive(Default)]
struct Now {
    /// The file that is under way, as it was named.
    name: Vec<u8>,
    size: Option<u64>,
    moved: u64,
    since: Option<Instant>,
    /// Files that are done.
    done: u64,
    /// Files of which is known that they are to come, those that are done among them.
    files: Option<u64>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let now = Arc::new(Mutex::new(Now::default()));
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let what = now.clone();
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(
            style
                .with_key("what", move |_: &ProgressState, line: &mut dyn Write| {
                    let _ = line.write_str(&lock(&what).line());
                })
                .with_key("of", |state: &ProgressState, line: &mut dyn Write| {
                    if let Some(bytes) = state.len() {
                        let _ = write!(line, " of {}", BinaryBytes(bytes));
                    }
                })
                .with_key("left", |state: &ProgressState, line: &mut dyn Write| {
                    if state.len().is_some() {
                        let _ = write!(line, "  {} left", HumanDuration(state.eta()));
                    }
                }),
        );
        Progress { bar, now, began: Instant::now(), is_shown: false }
    }

    /// A file is under way.
    pub(crate) fn began(&mut self, path: &[u8], size: Option<u64>) {
        let mut now = lock(&self.now);
        now.name.clear();
        now.name.extend_from_slice(path);
        (now.size, now.moved, now.since) = (size, 0, Some(Instant::now()));
    }

    /// More of it has been moved.
    pub(crate) fn moved(&mut self, bytes: u64) {
        let mut now = lock(&self.now);
        now.moved = now.moved.saturating_add(bytes);
        drop(now);
        self.bar.inc(bytes);
        if !self.is_shown && self.began.elapsed() > NAMED_AFTER {
            self.is_shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(DRAWN_EVERY);
        }
    }

    /// A file is where it belongs, or will not be there.
    pub(crate) fn done(&mut self) {
        lock(&self.now).done += 1;
    }

    /// So much there is in all, beside what there was in the transfers before.
    pub(crate) fn total(&mut self, files: u64, bytes: u64) {
        let mut now = lock(&self.now);
        now.files = Some(now.files.unwrap_or(0).saturating_add(files));
        self.bar.set_length(self.bar.length().unwrap_or(0).saturating_add(bytes));
    }

    /// Takes the line away while something else is said.
    pub(crate) fn suspend(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }

    /// Takes the line away; answers with what stays in its place, if it was ever seen.
    pub(crate) fn end(&self) -> Option<String> {
        // The end of a bar moves it there.
        let (bytes, took) = (BinaryBytes(self.bar.position()), HumanDuration(self.began.elapsed()));
        self.bar.finish_and_clear();
        let files = lock(&self.now).done;
        let noun = if files == 1 { "file" } else { "files" };
        self.is_shown.then(|| format!("{files} {noun}, {bytes} in {took}"))
    }
}

impl Now {
    /// What stands in front of the numbers.
    fn line(&self) -> String {
        let mut line = String::new();
        // Of a file that is all on its way there is nothing more to see.
        let is_moving = self.files == Some(1) || self.size.is_none_or(|size| self.moved < size);
        if is_moving && self.since.is_some_and(|since| since.elapsed() > NAMED_AFTER) {
            line.push_str(&self.named());
            if let Some(size) = self.size.filter(|size| *size > 0 && self.files != Some(1)) {
                let percent = u128::from(self.moved.min(size)) * 100 / u128::from(size);
                let _ = write!(line, " {percent}%");
            }
            line.push_str("  ");
        }
        match self.files {
            Some(1) => {}
            Some(files) => {
                let _ = write!(line, "{} of {files} files  ", self.done.min(files));
            }
            None if self.done > 0 => {
                let _ = write!(line, "{} files  ", self.done);
            }
            None => {}
        }
        line
    }

    /// The end of the name, as much as there is room for.
    fn named(&self) -> String {
        let room = WindowSize::of(&std::io::stderr()).map_or(80, |size| usize::from(size.cols));
        let room = room.saturating_sub(FOR_NUMBERS).max(12);
        let name = shown(&self.name);
        match name.chars().count().checked_sub(room) {
            None | Some(0) => name,
            Some(over) => std::iter::once('…').chain(name.chars().skip(over + 1)).collect(),
        }
    }
}

fn lock(now: &Mutex<Now>) -> MutexGuard<'_, Now> {
    now.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(now: Now) -> String {
        now.line()
    }

    #[test]
    fn a_file_is_named_only_when_it_takes_its_time() {
        let long_ago = Instant::now().checked_sub(Duration::from_secs(9));
        let now = |since| Now { name: b"d/a\x1b\n".to_vec(), size: Some(8), moved: 3, since, done: 2, files: Some(5) };
        assert_eq!(line(now(Some(Instant::now()))), "2 of 5 files  ");
        assert_eq!(line(now(long_ago)), "d/a\\u{1b}\\n 37%  2 of 5 files  ");
        assert_eq!(line(Now { files: Some(1), done: 0, ..now(long_ago) }), "d/a\\u{1b}\\n  ");
        assert_eq!(line(Now { moved: 8, ..now(long_ago) }), "2 of 5 files  ");
        assert_eq!(line(Now { moved: 8, files: Some(1), ..now(long_ago) }), "d/a\\u{1b}\\n  ");
        assert_eq!(line(Now { files: None, size: None, ..now(long_ago) }), "d/a\\u{1b}\\n  2 files  ");
    }

    #[test]
    fn of_a_long_name_its_end_is_shown() {
        let name = "x".repeat(5000) + "/end";
        let shown = Now { name: name.into_bytes(), ..Now::default() }.named();
        assert!(shown.starts_with('…') && shown.ends_with("/end") && shown.chars().count() < 1000, "{shown}");
    }

    #[test]
    fn the_template_is_one_that_can_be_drawn() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
