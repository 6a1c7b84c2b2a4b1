//! Command lines: parse, run, exit. The same options, errors and exit statuses in every program.
//!
//! argh reads `--name value` only. What people and other programs write besides, `--name=value`, `-nvalue`, `-abc` and a
//! lone `-`, is brought into that form first, by argh's own description of the options.

mod output;
mod words;

pub use output::Output;
pub use words::PathArg;

use crate::error::{Error, Kind, Result, reason};
use crate::identity::IdentityFile;
use crate::key::KeyPair;
use crate::seal::Passphrase;
use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, TopLevelCommand};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

/// Stands for a lone `-`, which argh would take for an option: a private-use character no command line holds by accident.
const LONE_DASH: &str = "\u{f8ff}-";

/// Runs a program: reads its command line, calls `run`, prints what went wrong, and says how it ended.
pub fn main<A: TopLevelCommand + ArgsInfo>(name: &str, run: fn(A) -> Result<ExitCode>) -> ExitCode {
    run_with(name, text_only(std::env::args_os().skip(1)), run)
}

/// The same for a program whose arguments name files, and so need not be UTF-8: those are read as a [`PathArg`].
pub fn main_of_files<A: TopLevelCommand + ArgsInfo>(name: &str, run: fn(A) -> Result<ExitCode>) -> ExitCode {
    let words = std::env::args_os().skip(1).map(|arg| words::to_text(&arg)).collect();
    run_with(name, Ok(words), run)
}

fn run_with<A: TopLevelCommand + ArgsInfo>(
    name: &str,
    words: Result<Vec<String>>,
    run: fn(A) -> Result<ExitCode>,
) -> ExitCode {
    crate::sys::protect_memory();
    crate::sys::give_back_large_buffers();
    let ended = words.and_then(|words| parse::<A>(name, &words)).and_then(|parsed| match parsed {
        Parsed::Args(args) => run(args),
        Parsed::Print(text) => print(&text).map(|()| ExitCode::SUCCESS),
    });
    ended.unwrap_or_else(|error| {
        report(name, &error);
        ExitCode::from(error.kind().exit_status())
    })
}

/// The same for a program that hands on the exit status of a remote command: it reads its command line itself, and each
/// failure of its own is 255, as ssh's are.
pub fn main_of_remote(name: &str, run: fn(Vec<OsString>) -> Result<ExitCode>) -> ExitCode {
    crate::sys::protect_memory();
    crate::sys::give_back_large_buffers();
    run(std::env::args_os().skip(1).collect()).unwrap_or_else(|error| {
        report(name, &error);
        ExitCode::from(255)
    })
}

/// What `--version` says.
#[must_use]
pub fn version(name: &str) -> String {
    format!("{name} {}", env!("CARGO_PKG_VERSION"))
}

/// Where [`say`] and [`report`] write in place of standard error.
static LOG: OnceLock<File> = OnceLock::new();

/// From now on, appends what this program says to `file` in place of standard error.
///
/// # Errors
/// It cannot be opened for writing.
pub fn log_to(file: &Path) -> Result<()> {
    let opened = File::options().append(true).create(true).open(file);
    let opened = opened.map_err(|cause| Error::file("write to", file, &cause))?;
    // Whoever was named first stays.
    let _ = LOG.set(opened);
    Ok(())
}

/// Says `text` on standard error. Nobody is left to tell when that is gone, and no program ends over it.
pub fn say(text: &str) {
    write_talk(&format!("{text}\n"));
}

/// One write, so that lines of several programs in one log stay whole.
fn write_talk(text: &str) {
    let _ = match LOG.get() {
        Some(mut log) => log.write_all(text.as_bytes()),
        None => std::io::stderr().lock().write_all(text.as_bytes()),
    };
}

/// Prints an error and its hints on standard error, each line with the program's name in front.
pub fn report(name: &str, error: &Error) {
    if error.kind() == Kind::ClosedOutput {
        return;
    }
    let hints = error.hints().iter().map(|hint| format!("{name}: hint: {hint}\n"));
    write_talk(&std::iter::once(format!("{name}: {error}\n")).chain(hints).collect::<String>());
}

/// Writes a result to standard output, whole.
///
/// # Errors
/// [`Kind::ClosedOutput`] if the reader is gone, else that it cannot be written.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|cause| Error::output(&cause))
}

/// An error as argh hands it on: a sentence is all that it takes.
#[must_use]
pub fn in_words(error: &Error) -> String {
    std::iter::once(error.to_string()).chain(error.hints().iter().cloned()).collect::<Vec<_>>().join("; ")
}

/// A lone `-` among the positional arguments, as the user wrote it.
#[must_use]
pub fn undash(text: &str) -> &str {
    if text == LONE_DASH { "-" } else { text }
}

/// Loads an identity: `--identity FILE` or the one in the state directory; asks for its passphrase if it has one, from
/// `--passphrase-file` or on the terminal.
///
/// # Errors
/// Those of [`IdentityFile::load`], and no terminal to ask on.
pub fn identity(file: Option<&Path>, passphrase_file: Option<&Path>) -> Result<KeyPair> {
    let identity = IdentityFile::locate(file)?;
    let shown = identity.path();
    identity.load(|| passphrase(passphrase_file, &format!("passphrase for {}: ", shown.display())))
}

/// A passphrase: the first line of `file`, or what is typed on the terminal without being shown.
///
/// # Errors
/// A file that cannot be read, no terminal, and nothing typed.
pub fn passphrase(file: Option<&Path>, prompt: &str) -> Result<Passphrase> {
    let typed = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file).map(zeroize::Zeroizing::new);
            let text = text.map_err(|cause| Error::file("read", file, &cause))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        None => typed("passphrase", prompt).map_err(|error| {
            error.hint("put it into a file that only you may read, and name it: --passphrase-file FILE")
        })?,
    };
    let passphrase = Passphrase::new(typed);
    if passphrase.is_empty() {
        return Err(Error::usage("the passphrase is empty"));
    }
    Ok(passphrase)
}

/// What is typed on the terminal without being shown: a `what`; nothing, if the end of the input is typed.
///
/// # Errors
/// There is no terminal, or it fails.
pub fn typed(what: &str, prompt: &str) -> Result<String> {
    std::fs::File::open("/dev/tty")
        .map_err(|_| Error::state(format!("a {what} is needed, and there is no terminal to ask for it on")))?;
    // For Ctrl-C, rpassword raises SIGINT while the terminal is still without echo. Held back until the echo is on again,
    // it ends this process just the same.
    let interrupt = SigSet::from(Signal::SIGINT);
    let before = interrupt.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let typed = rpassword::prompt_password(prompt);
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    match typed {
        Err(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => Ok(String::new()),
        typed => typed.map_err(|cause| Error::state(format!("no {what} was typed: {}", reason(&cause)))),
    }
}

/// Runs `work` to its end on this thread: enough for a client.
///
/// # Errors
/// Those of `work`, and a system without a way to wait.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    run_on(&mut tokio::runtime::Builder::new_current_thread(), work)
}

/// Runs `work` to its end on all processors: for a listener, and for the last bit of speed.
///
/// # Errors
/// As [`block_on`].
pub fn block_on_all<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    run_on(&mut tokio::runtime::Builder::new_multi_thread(), work)
}

fn run_on<T>(builder: &mut tokio::runtime::Builder, work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|cause| Error::state(format!("cannot start: {}", crate::error::reason(&cause))))?;
    let done = runtime.block_on(work);
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Ends when this process is asked to end: SIGTERM, SIGINT or SIGHUP.
///
/// # Errors
/// The signals cannot be waited for.
pub fn asked_to_end() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| signal(kind).map_err(|cause| Error::state(format!("cannot wait for signals: {cause}")));
    // What nohup and shells have told us to ignore stays ignored.
    let heeded = |kind: SignalKind| !crate::sys::is_ignored(kind.as_raw_value());
    let [heed_term, heed_int, heed_hup] =
        [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(heeded);
    let (mut term, mut int, mut hup) =
        (wait(SignalKind::terminate())?, wait(SignalKind::interrupt())?, wait(SignalKind::hangup())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv(), if heed_term => {}
            _ = int.recv(), if heed_int => {}
            _ = hup.recv(), if heed_hup => {}
            else => std::future::pending().await,
        }
    })
}

/// Whether standard error is a terminal that a person looks at.
#[must_use]
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// What a command line came to.
#[derive(Debug, PartialEq, Eq)]
enum Parsed<A> {
    Args(A),
    /// Help or the version: a result, for standard output.
    Print(String),
}

/// The arguments of a program that takes no other than text.
fn text_only(args: impl Iterator<Item = OsString>) -> Result<Vec<String>> {
    args.map(|arg| {
        arg.into_string()
            .map_err(|arg| Error::usage(format!("an argument is not UTF-8: {}", arg.to_string_lossy().escape_debug())))
    })
    .collect()
}

fn parse<A: TopLevelCommand + ArgsInfo>(name: &str, words: &[String]) -> Result<Parsed<A>> {
    if words.first().is_some_and(|first| first == "--version" || first == "-V") {
        return Ok(Parsed::Print(format!("{}\n", version(name))));
    }
    let words = normal_form(&A::get_args_info(), words)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match A::from_args(&[name], &words) {
        Ok(args) => Ok(Parsed::Args(args)),
        Err(early) if early.status.is_ok() => {
            let of_program = words.first().is_some_and(|first| first.starts_with('-'));
            Ok(Parsed::Print(if of_program { with_version(&early.output) } else { early.output }))
        }
        Err(early) => {
            let why = early.output.trim_end().split("\n\n").next().unwrap_or_default().replace('\n', " ");
            Err(Error::usage(lower_first(&words::shown(&why))).hint(format!("'{name} --help' shows the options")))
        }
    }
}

/// argh does not know `--version`; help names it all the same.
fn with_version(help: &str) -> String {
    let listed = "  -h, --help        display usage information";
    help.lines()
        .map(|line| match line.trim_start().starts_with("-h, --help") {
            true => format!("{listed}\n  -V, --version     display the version\n"),
            false => format!("{line}\n"),
        })
        .collect()
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Brings `words` into the form that argh reads.
fn normal_form(command: &CommandInfoWithArgs, words: &[String]) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let mut positionals = 0;
    let mut rest = words.iter();
    // From the first word of a list of words that may be anything, such as a remote command, nothing is an option.
    let greedy_from = command.positionals.iter().position(|one| one.optionality == argh::Optionality::Greedy);
    while let Some(word) = rest.next() {
        if greedy_from.is_some_and(|from| positionals >= from) && !word.starts_with('-') || word == "--" {
            out.push(word.clone());
            out.extend(rest.cloned());
            break;
        }
        if word == "-" {
            out.push(LONE_DASH.to_owned());
            positionals += 1;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let flag = command.flags.iter().find(|flag| flag.long == format!("--{name}"));
            out.push(format!("--{name}"));
            match (flag.is_some_and(takes_value), value) {
                (true, Some(value)) => out.push(value),
                (true, None) => out.extend(rest.next().cloned()),
                (false, Some(_)) if flag.is_some() => {
                    return Err(Error::usage(format!("the option --{name} takes no value")));
                }
                _ => {}
            }
        } else if let Some(cluster) = word.strip_prefix('-') {
            expand(command, cluster, &mut rest, &mut out);
        } else if let Some(sub) = command.commands.iter().find(|sub| sub.name == *word) {
            out.push(word.clone());
            out.extend(normal_form(&sub.command, rest.as_slice())?);
            break;
        } else {
            out.push(word.clone());
            positionals += 1;
        }
    }
    Ok(out)
}

/// Splits `-abVALUE` into `-a -b VALUE`.
fn expand(
    command: &CommandInfoWithArgs,
    cluster: &str,
    rest: &mut std::slice::Iter<'_, String>,
    out: &mut Vec<String>,
) {
    let mut letters = cluster.chars();
    while let Some(letter) = letters.next() {
        out.push(format!("-{letter}"));
        let flag = command.flags.iter().find(|flag| flag.short == Some(letter));
        if flag.is_some_and(takes_value) {
            match letters.as_str() {
                "" => out.extend(rest.next().cloned()),
                value => out.push(value.to_owned()),
            }
            break;
        }
    }
}

fn takes_value(flag: &FlagInfo<'_>) -> bool {
    matches!(flag.kind, FlagInfoKind::Option { .. })
}
