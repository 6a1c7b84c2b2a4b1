//! What is said about a copy: on standard error to people, and on standard output to programs.

use crate::NAME;
use crate::args::Args;
use crate::operand::shown;
use crate::plan::{From, Plan, To, Transfer};
use crate::progress::Progress;
use keywire::cli;
use keywire::copy::{Event, Outcome};
use keywire::error::{Error, Kind as Failure, Result};
use keywire::json;
use keywire::root::Kind;
use keywire::term::sanitize_line;
use serde::Serialize;
use std::time::Instant;

/// Says what becomes of each item, and counts.
pub(crate) struct Show {
    progress: Option<Progress>,
    is_json: bool,
    is_verbose: bool,
    is_dry: bool,
    stored: u64,
    failed: u64,
    /// Of them in the transfers before this one.
    failed_before: u64,
    bytes: u64,
    began: Instant,
    /// Why standard output takes no more.
    closed: Option<Error>,
    /// Whether anything was on its way.
    has_begun: bool,
    /// Whether it was said in which file it ended.
    has_kept: bool,
    left: Left,
}

/// What is left of a file in which a copy ended too soon.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// What came, and we see it.
    Here,
    /// What came over: only the host knows how much.
    There,
    /// Nothing that could be gone on from: standard input was the source.
    NoInput,
    /// Nothing: it went to standard output.
    Output,
}

/// A line of `--json`. kw-scp(1), JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line<'a> {
    Stored {
        #[serde(flatten)]
        item: Item<'a>,
        kind: &'static str,
        bytes: u64,
    },
    Failed {
        #[serde(flatten)]
        item: Item<'a>,
        reason: &'a str,
    },
    Kept {
        #[serde(flatten)]
        item: Item<'a>,
    },
    Interrupted {
        #[serde(flatten)]
        item: Item<'a>,
    },
    Done {
        stored: u64,
        failed: u64,
        bytes: u64,
        seconds: f64,
        dry_run: bool,
    },
}

/// What a line is about.
#[derive(Serialize)]
struct Item<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl<'a> Item<'a> {
    fn new(host: Option<&'a str>, path: &[u8]) -> Self {
        let path_hex =
            std::str::from_utf8(path).is_err().then(|| path.iter().map(|byte| format!("{byte:02x}")).collect());
        let text = |chunk: std::str::Utf8Chunk<'_>| {
            chunk.valid().chars().chain(chunk.invalid().iter().map(|_| '\u{fffd}')).collect::<String>()
        };
        Item { peer: host, path: path.utf8_chunks().map(text).collect(), path_hex }
    }
}

impl<'a> Line<'a> {
    fn kept(left: Left, item: Item<'a>) -> Self {
        match left {
            Left::Here => Line::Kept { item },
            Left::There | Left::NoInput | Left::Output => Line::Interrupted { item },
        }
    }
}

impl Show {
    pub(crate) fn new(args: &Args, plan: &Plan) -> Self {
        // What a reader of standard output shows on the same terminal must not be drawn over.
        let is_drawn = !args.quiet && !args.json && !args.dry_run && plan.to != To::Stdout && cli::is_watched();
        Show {
            progress: is_drawn.then(Progress::new),
            is_json: args.json,
            is_verbose: args.verbose,
            is_dry: args.dry_run,
            stored: 0,
            failed: 0,
            failed_before: 0,
            bytes: 0,
            began: Instant::now(),
            closed: None,
            has_begun: false,
            has_kept: false,
            left: Left::Here,
        }
    }

    /// Another transfer begins.
    pub(crate) fn begin(&mut self, transfer: &Transfer, to: &To) {
        self.failed_before = self.failed;
        self.left = match (&transfer.from, to) {
            (From::Stdin, _) => Left::NoInput,
            (_, To::Host(..)) => Left::There,
            (_, To::Here(_)) => Left::Here,
            (_, To::Stdout) => Left::Output,
        };
    }

    /// A transfer came to its end; what it counted as failed and nobody named is not passed over.
    pub(crate) fn outcome(&mut self, outcome: Outcome) {
        let unnamed = outcome.failed.saturating_sub(self.failed - self.failed_before);
        if unnamed > 0 {
            self.failed = self.failed.saturating_add(unnamed);
            self.say(&format!("{unnamed} more not copied as they should be, and the host did not say which"));
        }
    }

    /// Whether it helps to know how much there is in all.
    pub(crate) fn wants_totals(&self) -> bool {
        self.progress.is_some()
    }

    /// Whether something was not copied as it should be.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// How to go on after an end that came too soon, if there is a way and it was not said yet.
    pub(crate) fn next_step(&self) -> Option<&'static str> {
        let step = match self.left {
            Left::Here | Left::There => "the same command with --resume goes on from what came over",
            Left::NoInput => "nothing of it is stored",
            Left::Output => return None,
        };
        let helps = self.has_begun && !self.has_kept && !self.is_dry;
        helps.then_some(step)
    }

    /// A signal ends the copy.
    pub(crate) fn interrupted(&self) {
        if let Some(step) = self.next_step() {
            self.say(&format!("interrupted; {step}"));
        }
    }

    /// Something happened to an item; the sender is `host`, or this machine.
    pub(crate) fn event(&mut self, host: Option<&str>, event: Event<'_>) {
        match event {
            Event::Began { path, kind, size } => {
                self.has_begun = true;
                if let Some(progress) = self.progress.as_mut().filter(|_| kind == Kind::File) {
                    progress.began(path, size);
                }
            }
            Event::Moved(bytes) => {
                if let Some(progress) = &mut self.progress {
                    progress.moved(bytes);
                }
            }
            Event::Stored { path, kind, size } => self.stored(host, path, kind, size),
            Event::Failed { path, why } => {
                self.failed += 1;
                self.say(&format!("{}: {}", named(host, path), sanitize_line(why)));
                self.line(|| Line::Failed { item: Item::new(host, path), reason: why });
            }
            Event::Kept { path } => {
                self.has_kept = true;
                self.say(&kept(self.left, &named(host, path)));
                let left = self.left;
                self.line(|| Line::kept(left, Item::new(host, path)));
            }
            Event::Total { files, bytes } => {
                if let Some(progress) = &mut self.progress {
                    progress.total(files, bytes);
                }
            }
        }
    }

    fn stored(&mut self, host: Option<&str>, path: &[u8], kind: Kind, size: u64) {
        self.stored += 1;
        self.bytes = self.bytes.saturating_add(size);
        if let Some(progress) = self.progress.as_mut().filter(|_| kind == Kind::File) {
            progress.done();
        }
        if self.is_verbose && !self.is_dry {
            self.say(&format!("stored {}", named(host, path)));
        }
        if self.is_dry && !self.is_json {
            let slash = if kind == Kind::Directory { "/" } else { "" };
            self.print(&format!("{}{slash}\n", named(host, path)));
        }
        self.line(|| Line::Stored { item: Item::new(host, path), kind: kind_name(kind), bytes: size });
    }

    /// A transfer did not come to its end.
    pub(crate) fn report(&self, error: &Error) {
        match &self.progress {
            Some(progress) => progress.suspend(|| cli::report(NAME, error)),
            None => cli::report(NAME, error),
        }
    }

    /// The last words.
    ///
    /// # Errors
    /// Standard output did not take what was said there.
    pub(crate) fn end(mut self) -> Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        if let Some(sum) = self.progress.as_ref().and_then(Progress::end) {
            cli::say(&format!("{NAME}: {sum}"));
        }
        let (stored, failed, bytes, dry_run) = (self.stored, self.failed, self.bytes, self.is_dry);
        self.line(|| Line::Done { stored, failed, bytes, seconds, dry_run });
        match self.closed {
            // Whoever read along has had enough of it: the copy itself is as it is.
            Some(error) if error.kind() != Failure::ClosedOutput => Err(error),
            _ => Ok(()),
        }
    }

    fn say(&self, text: &str) {
        let text = format!("{NAME}: {text}");
        match &self.progress {
            Some(progress) => progress.suspend(|| cli::say(&text)),
            None => cli::say(&text),
        }
    }

    fn line<'a>(&mut self, line: impl FnOnce() -> Line<'a>) {
        if self.is_json {
            match json::line(&line()) {
                Ok(text) => self.print(&format!("{text}\n")),
                Err(error) => self.closed = self.closed.take().or(Some(error)),
            }
        }
    }

    /// Writes to standard output for as long as it takes something.
    fn print(&mut self, text: &str) {
        if self.closed.is_none() {
            self.closed = cli::print(text).err();
        }
    }
}

/// That a copy ended in this file, and how to go on.
fn kept(left: Left, name: &str) -> String {
    match left {
        Left::Here => format!("kept a part of {name}; the same command with --resume goes on from there"),
        Left::There => format!("interrupted in {name}; the same command with --resume goes on from what came over"),
        Left::NoInput | Left::Output => format!("interrupted in {name}; nothing of it is stored"),
    }
}

/// An item, for people.
fn named(host: Option<&str>, path: &[u8]) -> String {
    match host {
        Some(host) => format!("{}:{}", sanitize_line(host), shown(path)),
        None => shown(path),
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Link => "link",
        Kind::Special => "special",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &Line<'_>) -> String {
        json::line(line).unwrap()
    }

    #[test]
    fn a_line_of_json_says_what_became_of_one_item() {
        let stored = Line::Stored { item: Item::new(Some("box"), b"d/a b"), kind: "file", bytes: 7 };
        assert_eq!(text(&stored), r#"{"event":"stored","peer":"box","path":"d/a b","kind":"file","bytes":7}"#);
        let failed = Line::Failed { item: Item::new(None, b"\n\x1b"), reason: "is a directory" };
        assert_eq!(text(&failed), r#"{"event":"failed","path":"\n\u001b","reason":"is a directory"}"#);
        let done = Line::Done { stored: 1, failed: 2, bytes: 3, seconds: 0.5, dry_run: false };
        let said = r#"{"event":"done","stored":1,"failed":2,"bytes":3,"seconds":0.5,"dry_run":false}"#;
        assert_eq!(text(&done), said);
    }

    fn show(words: &[&str]) -> (Show, Plan) {
        let args = Args::of(words);
        let plan = Plan::new(&args).unwrap();
        (Show::new(&args, &plan), plan)
    }

    #[test]
    fn what_a_transfer_counted_as_failed_counts_even_if_nobody_named_it() {
        let (mut show, plan) = show(&["box:a", "."]);
        let one = Outcome { stored: 0, failed: 1 };
        show.begin(&plan.transfers[0], &plan.to);
        show.event(None, Event::Failed { path: b"a", why: "why" });
        show.outcome(one);
        assert_eq!(show.failed, 1, "once is enough");
        show.begin(&plan.transfers[0], &plan.to);
        show.outcome(one);
        assert!(show.failed == 2 && show.has_failed());
    }

    #[test]
    fn only_what_is_seen_here_is_said_to_be_kept_and_a_stream_is_never_gone_on_with() {
        for (words, said, event, goes_on) in [
            (["box:a", "."], "kept a part of a;", "kept", true),
            (["a", "box:"], "interrupted in a;", "interrupted", true),
            (["box:a", "other:"], "interrupted in a;", "interrupted", true),
            (["-", "box:f"], "interrupted in a;", "interrupted", false),
            (["box:f", "-"], "interrupted in a;", "interrupted", false),
        ] {
            let (mut show, plan) = show(&words);
            show.begin(&plan.transfers[0], &plan.to);
            assert_eq!(show.next_step(), None, "{words:?}: nothing was on its way");
            let path = b"a";
            show.event(None, Event::Began { path, kind: Kind::File, size: None });
            assert_eq!(show.next_step().is_some_and(|step| step.contains("--resume")), goes_on, "{words:?}");
            let line = kept(show.left, "a");
            assert!(line.starts_with(said) && line.contains("--resume") == goes_on, "{words:?}: {line}");
            assert!(text(&Line::kept(show.left, Item::new(None, path))).contains(&format!("\"{event}\"")));
            show.event(None, Event::Kept { path });
            assert_eq!(show.next_step(), None, "{words:?}: that was said");
        }
    }

    #[test]
    fn a_path_that_is_no_text_is_in_json_in_full_too() {
        let kept = Line::Kept { item: Item::new(None, b"a\xff\xfe/\xc3b") };
        let said = "{\"event\":\"kept\",\"path\":\"a\u{fffd}\u{fffd}/\u{fffd}b\",\"path_hex\":\"61fffe2fc362\"}";
        assert_eq!(text(&kept), said);
    }

    #[test]
    fn an_item_is_named_with_its_host_and_shown_harmlessly() {
        assert_eq!(named(Some("box"), b"a\x1b]0;x\x07"), "box:a\\u{1b}]0;x\\u{7}");
        assert_eq!(named(None, "\u{202e}gpj".as_bytes()), "\\u{202e}gpj");
    }
}
